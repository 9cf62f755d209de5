"""Lifecycle hooks while they run: Lambda functions that are called until they have an answer, pauses that somebody ends.

Sources: Amazon ECS Developer Guide, lambda-lifecycle-hooks.html, pause-lifecycle-hooks.html, ecs_hook_state_change_events.html; Amazon
ECS API Reference, API_DeploymentLifecycleHookDetail.html.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import simpy

from fargsim.model.lifecycle import HookAnswer, LifecycleHook
from fargsim.sim.kit import US_PER_S, Kit

if TYPE_CHECKING:
    from fargsim.sim.service_events import ServiceEvents

HookStatus = Literal["AWAITING_ACTION", "IN_PROGRESS", "SUCCEEDED", "FAILED", "TIMED_OUT"]
LAMBDA_US = 15 * 60 * US_PER_S
"""A Lambda function that runs longer has failed."""
CALL_BACK_US = 30 * US_PER_S
"""After how long a function that answers IN_PROGRESS is called again, unless it says when."""


@dataclass(slots=True, eq=False)
class HookRun:
    """One hook at one stage of one deployment."""

    hook_id: str
    hook: LifecycleHook
    stage: str
    status: HookStatus
    expires_at: int
    done: simpy.Event
    """Happens when the deployment may go on, as far as this hook is concerned; never, when it is to be rolled back."""

    @property
    def open(self) -> bool:
        """Whether it is still waited for."""
        return self.status in ("AWAITING_ACTION", "IN_PROGRESS")


class HookCalls:
    """The hooks of one service deployment.

    Parameters
    ----------
    kit, events
        The region's equipment, and where changes of a hook are told.
    hooks
        What the service has configured.
    functions
        By name of a Lambda function, what it answers when it is called for the first time, the second time, ...: the last answer is
        given again and again. A function without an entry succeeds.
    give_up
        Called with a reason when a hook asks for a rollback.
    """

    def __init__(
        self,
        kit: Kit,
        events: ServiceEvents,
        hooks: Sequence[LifecycleHook],
        functions: dict[str, tuple[HookAnswer, ...]],
        give_up: Callable[[str], None],
    ) -> None:
        self.runs: list[HookRun] = []
        """All that have run, oldest first."""
        self._kit = kit
        self._events = events
        self._hooks = hooks
        self._functions = functions
        self._give_up = give_up
        self._calls: dict[str, int] = {}

    def at(self, stage: str) -> list[HookRun]:
        """Begin the hooks of a stage, all at once."""
        return [self._begin(hook, stage) for hook in self._hooks if stage in hook.lifecycle_stages]

    def pauses_until(self) -> int | None:
        """Return until when pauses may last that wait for somebody now; None without any."""
        return max((run.expires_at for run in self.waiting()), default=None)

    def waiting(self) -> list[HookRun]:
        """Return the pauses that wait for somebody, the oldest first."""
        return [run for run in self.runs if run.status == "AWAITING_ACTION"]

    def close(self) -> None:
        """Wait for nothing any more."""
        for run in self.runs:
            if run.open:
                run.status = "FAILED"

    def finish(self, run: HookRun, action: str) -> None:
        """Continue or roll back, as somebody says of a pause."""
        if action == "CONTINUE":
            self._end(run, "SUCCEEDED")
        else:
            self._end(run, "FAILED", f"hook {run.hook_id} at {run.stage} was rolled back")

    def _begin(self, hook: LifecycleHook, stage: str) -> HookRun:
        kit = self._kit
        pause = hook.target_type == "PAUSE"
        prefix = "ecs-pause" if pause else "ecs-lambda"
        timeout = hook.timeout_configuration
        run = HookRun(
            f"{prefix}-{kit.identifier('hook', 32)}",
            hook,
            stage,
            "AWAITING_ACTION" if pause else "IN_PROGRESS",
            kit.now + timeout.timeout_in_minutes * 60 * US_PER_S,
            kit.env.event(),
        )
        self.runs.append(run)
        self._tell(run)
        if not pause:
            self._call(run)
        kit.at(run.expires_at, lambda: self._expire(run))
        return run

    def _call(self, run: HookRun) -> None:
        """Call the function of a hook."""
        kit, name = self._kit, run.hook.function
        number = self._calls.get(name, 0)
        self._calls[name] = number + 1
        answers = self._functions.get(name) or (HookAnswer(after=kit.us("lambda_hook_s")),)
        answer = answers[min(number, len(answers) - 1)]
        if answer.after > LAMBDA_US:
            reason = f"function {name} at {run.stage} did not answer within 15 minutes"
            kit.at(kit.now + LAMBDA_US, lambda: self._end(run, "TIMED_OUT", reason))
        else:
            kit.at(kit.now + answer.after, lambda: self._answered(run, answer))

    def _answered(self, run: HookRun, answer: HookAnswer) -> None:
        if not run.open:
            return
        if answer.status == "IN_PROGRESS":
            wait = CALL_BACK_US if answer.call_back_delay is None else answer.call_back_delay
            self._kit.at(self._kit.now + wait, lambda: self._call(run) if run.open else None)
        elif answer.status == "SUCCEEDED":
            self._end(run, "SUCCEEDED")
        else:
            self._end(run, "FAILED", f"function {run.hook.function} at {run.stage} answered FAILED")

    def _expire(self, run: HookRun) -> None:
        timeout = run.hook.timeout_configuration
        reason = f"hook {run.hook_id} at {run.stage} timed out after {timeout.timeout_in_minutes} minutes"
        self._end(run, "TIMED_OUT", None if timeout.action == "CONTINUE" else reason)

    def _end(self, run: HookRun, status: HookStatus, roll_back: str | None = None) -> None:
        if not run.open:
            return
        run.status = status
        self._tell(run)
        if roll_back is None:
            run.done.succeed()
        else:
            self._give_up(roll_back)

    def _tell(self, run: HookRun) -> None:
        what = "pause" if run.hook.target_type == "PAUSE" else run.hook.function
        text = f"(hook {run.hook_id}) {what} at {run.stage}: {run.status}."
        kind = "ERROR" if run.status in ("FAILED", "TIMED_OUT") else "INFO"
        self._events.announce(text, f"HOOK_{run.status}", kind)
