"""Lifecycle hooks of Auto Scaling groups: they hold instances on their way in and out until somebody says go on.

Source: Amazon EC2 Auto Scaling User Guide, lifecycle-hooks.html; API_PutLifecycleHook.html: a hook waits for CompleteLifecycleAction or
for the end of its heartbeat time-out; a heartbeat starts that time anew, up to 48 hours or 100 times the time-out, whichever is shorter.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable
from typing import TYPE_CHECKING, Any

import simpy

from fargsim.model.group_options import LifecycleHook, Result
from fargsim.sim.kit import US_PER_S, Kit

if TYPE_CHECKING:
    from fargsim.sim.instances import InstanceRun

LONGEST_S = 48 * 3600
TIMEOUTS_AT_MOST = 100


def hold_us(hook: LifecycleHook) -> tuple[int, Result]:
    """Return how long a hook holds an instance, and what it ends with.

    Examples
    --------
    Work of 100 s, nobody sends heartbeats, the hook waits 60 s:

    >>> hook = {"LifecycleHookName": "h", "LifecycleTransition": "autoscaling:EC2_INSTANCE_LAUNCHING", "HeartbeatTimeout": 60}
    >>> hold_us(LifecycleHook.model_validate({**hook, "answer": {"after": "100 s"}}))
    (60000000, 'ABANDON')
    >>> hold_us(LifecycleHook.model_validate({**hook, "answer": {"after": "100 s", "heartbeat_every": "30 s"}}))
    (100000000, 'CONTINUE')
    """
    timeout = hook.heartbeat_timeout * US_PER_S
    limit = min(LONGEST_S * US_PER_S, TIMEOUTS_AT_MOST * timeout)
    answer = hook.answer
    if answer is None:
        return timeout, hook.default_result
    patience = timeout
    if answer.heartbeat_every is not None and answer.heartbeat_every <= timeout:
        patience = limit
    if answer.after > min(patience, limit):
        return min(patience, limit), hook.default_result
    return answer.after, answer.result


class Hooks:
    """The hooks of a group. All of a transition run side by side."""

    def __init__(self, kit: Kit, hooks: Iterable[LifecycleHook]) -> None:
        self._kit = kit
        found = tuple(hooks)
        self.launching = tuple(h for h in found if h.launching)
        self.terminating = tuple(h for h in found if not h.launching)

    def launch(self, instance: InstanceRun) -> Generator[simpy.Event, Any, bool]:
        """Hold an instance on its way in; returns whether it may go into service: the first ABANDON ends that."""
        waits = [hold_us(hook) for hook in self.launching]
        abandoned = [us for us, result in waits if result == "ABANDON"]
        instance.lifecycle_state = f"{instance.lifecycle_state}:Wait"
        yield self._kit.env.timeout(min(abandoned) if abandoned else max(us for us, _ in waits))
        return not abandoned

    def termination_us(self) -> int:
        """Return how long the hooks hold an instance on its way out: an ABANDON ends the other hooks, and it goes either way."""
        waits = [hold_us(hook) for hook in self.terminating]
        abandoned = [us for us, result in waits if result == "ABANDON"]
        return min(abandoned) if abandoned else max((us for us, _ in waits), default=0)
