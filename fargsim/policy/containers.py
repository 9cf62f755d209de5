"""The rules of the containers inside one task: who may start, who is stopped when, who is restarted, how healthy the task is.

Pure functions of what is known at an instant; the processes are in `fargsim.sim`.

Sources: Amazon ECS API Reference, API_ContainerDefinition.html, API_ContainerDependency.html, API_ContainerRestartPolicy.html,
API_HealthCheck.html, API_Task.html; the agent's order of steps: github.com/aws/amazon-ecs-agent, agent/engine/dependencygraph/graph.go.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

Condition = Literal["START", "COMPLETE", "SUCCESS", "HEALTHY"]
Health = Literal["HEALTHY", "UNHEALTHY", "UNKNOWN"]
Phase = Literal["waiting", "starting", "running", "stopping", "stopped"]


@dataclass(frozen=True, slots=True)
class Seen:
    """What is known of a container when others wait for it."""

    phase: Phase
    exit_code: int | None = None
    health: Health = "UNKNOWN"
    ran: bool = False
    """Whether it has ever run."""


@dataclass(frozen=True, slots=True)
class Resolution:
    """Whether a container may start: yes, not yet, or never, and because of which dependency."""

    verdict: Literal["yes", "wait", "never"]
    of: str = ""
    why: str = ""


def may_start(depends_on: Sequence[tuple[str, Condition]], seen: Mapping[str, Seen]) -> Resolution:
    """Return whether a container's dependencies let it start.

    START: the other one runs or has run; COMPLETE: it has exited, whatever its code; SUCCESS: it has exited with 0; HEALTHY: its health
    check passes, which is asked at the start only.

    Examples
    --------
    >>> may_start((("migrate", "SUCCESS"),), {"migrate": Seen("running", ran=True)}).verdict
    'wait'
    >>> may_start((("migrate", "SUCCESS"),), {"migrate": Seen("stopped", 1, ran=True)})
    Resolution(verdict='never', of='migrate', why='dependency did not exit successfully')
    """
    waits = ""
    for name, condition in depends_on:
        other = seen[name]
        stopped = other.phase == "stopped"
        if stopped and not other.ran:
            return Resolution("never", name, "dependency will never start")
        if stopped and condition == "SUCCESS" and other.exit_code != 0:
            return Resolution("never", name, "dependency did not exit successfully")
        if stopped and condition == "HEALTHY":
            return Resolution("never", name, "dependency stopped before it was healthy")
        met = {
            "START": other.phase in ("running", "stopping", "stopped"),
            "COMPLETE": stopped,
            "SUCCESS": stopped,
            "HEALTHY": other.phase == "running" and other.health == "HEALTHY",
        }[condition]
        if not met and not waits:
            waits = name
    return Resolution("wait", waits) if waits else Resolution("yes")


def dependents_of(name: str, depends_on: Mapping[str, Sequence[tuple[str, Condition]]]) -> tuple[str, ...]:
    """Return the containers that depend on one: it is told to stop only when they have stopped.

    >>> dependents_of("db", {"db": (), "web": (("db", "START"),), "log": ()})
    ('web',)
    """
    return tuple(other for other, needs in depends_on.items() if any(of == name for of, _ in needs))


def restarts(
    ran_us: int, exit_code: int, *, enabled: bool, ignored_exit_codes: Sequence[int], attempt_period_us: int
) -> bool:
    """Return whether a container that has exited by itself is restarted in place.

    It must have run for the attempt period since it was started last, so that it is restarted at most once a period.

    >>> restarts(300, 1, enabled=True, ignored_exit_codes=(), attempt_period_us=300)
    True
    >>> restarts(299, 1, enabled=True, ignored_exit_codes=(), attempt_period_us=300)
    False
    """
    return enabled and exit_code not in ignored_exit_codes and ran_us >= attempt_period_us


def task_health(essential: Iterable[Health]) -> Health:
    """Return a task's health from that of its essential containers with a health check.

    >>> task_health(["HEALTHY", "UNKNOWN"]), task_health(["UNKNOWN", "UNHEALTHY"]), task_health([])
    ('UNKNOWN', 'UNHEALTHY', 'UNKNOWN')
    """
    known = set(essential)
    if "UNHEALTHY" in known:
        return "UNHEALTHY"
    return "HEALTHY" if known == {"HEALTHY"} else "UNKNOWN"


@dataclass(frozen=True, slots=True)
class Trouble:
    """A span in which an application does not pass its checks.

    Parameters
    ----------
    from_us, until_us
        Its instants; `until_us` None for no end.
    hangs
        Whether a check gets no answer and lasts for its time-out; otherwise it fails at once.
    """

    from_us: int
    until_us: int | None = None
    hangs: bool = False


def health_changes(
    started_us: int,
    ready_us: int,
    *,
    interval_us: int,
    timeout_us: int,
    retries: int,
    start_period_us: int,
    trouble: Trouble | None = None,
) -> tuple[tuple[int, Health], ...]:
    """Return when the health of a container changes, UNKNOWN being where it starts.

    The first check starts one interval after the container, the next one interval after the one before has completed. `retries` failures
    in a row make the container UNHEALTHY; those of checks that start inside the start period do not count unless a check has passed
    before; one success makes it HEALTHY. What would be thousands of checks costs a handful of steps.

    Parameters
    ----------
    started_us
        Start of the container.
    ready_us
        From then on the application answers; before, checks fail at once.
    trouble
        A span in which it does not pass.

    Examples
    --------
    >>> clock = dict(interval_us=30, timeout_us=5, retries=3)
    >>> health_changes(0, 10, start_period_us=0, **clock)
    ((30, 'HEALTHY'),)
    >>> health_changes(0, 100, start_period_us=0, **clock)
    ((90, 'UNHEALTHY'), (120, 'HEALTHY'))
    >>> health_changes(0, 100, start_period_us=60, **clock)
    ((120, 'HEALTHY'),)
    >>> health_changes(0, 10, start_period_us=0, trouble=Trouble(31, hangs=True), **clock)
    ((30, 'HEALTHY'), (135, 'UNHEALTHY'))
    """
    changes: list[tuple[int, Health]] = []
    status: Health = "UNKNOWN"
    check = started_us + interval_us
    failures = 0
    while True:
        passes, until, lasts = _outcome(check, ready_us, trouble, timeout_us)
        if passes:
            failures = 0
            if status != "HEALTHY":
                status = "HEALTHY"
                changes.append((check, status))
        elif status != "UNKNOWN" or check - started_us >= start_period_us:
            failures += 1
            if failures >= retries and status != "UNHEALTHY":
                status = "UNHEALTHY"
                changes.append((check + lasts, status))
        step = interval_us + lasts
        if passes or status == "UNHEALTHY":  # nothing changes any more until the application does
            if until is None:
                return tuple(changes)
            check += step * max(1, -(-(until - check) // step))
        else:
            check += step


def _outcome(check_us: int, ready_us: int, trouble: Trouble | None, timeout_us: int) -> tuple[bool, int | None, int]:
    """Return whether a check passes, until when all checks end alike (None for good), and how long a check lasts."""
    troubled = trouble is not None and trouble.from_us <= check_us and not _over(trouble, check_us)
    if troubled:
        assert trouble is not None
        return False, trouble.until_us, timeout_us if trouble.hangs else 0
    begins = None if trouble is None or check_us >= trouble.from_us else trouble.from_us
    if check_us < ready_us:
        return False, ready_us if begins is None else min(ready_us, begins), 0
    return True, begins, 0


def _over(trouble: Trouble, at_us: int) -> bool:
    return trouble.until_us is not None and at_us >= trouble.until_us


def crossing_us(amount: float, per_hour: float, limit: float) -> int | None:
    """Return after how many microseconds an amount that grows steadily is above a limit; None if never.

    Parameters
    ----------
    amount, limit
        In one unit, such as bytes.
    per_hour
        Growth in that unit per hour.

    >>> crossing_us(100, 3600, 110), crossing_us(100, 0, 110), crossing_us(120, 0, 110)
    (10000001, None, 0)
    """
    if amount > limit:
        return 0
    if per_hour <= 0:
        return None
    return int((limit - amount) / per_hour * 3_600_000_000) + 1


def usable_storage_bytes(allocated_gib: int, image_bytes: float, unpacked_ratio: float) -> float:
    """Return what a Fargate task may write: its ephemeral storage less the images, compressed and unpacked.

    Negative when the images do not fit.

    Source: Amazon ECS Developer Guide, fargate-task-storage.html.

    >>> usable_storage_bytes(20, 1 * 2**30, 2.0) / 2**30
    17.0
    """
    return allocated_gib * 2.0**30 - image_bytes * (1 + unpacked_ratio)
