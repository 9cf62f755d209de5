"""Health checks of one target, as the few changes they come to: nothing is done check by check.

Source: Elastic Load Balancing, Application Load Balancers User Guide, target-group-health-checks.html; Network Load Balancers User Guide,
target-group-health-checks.html.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from fargsim.model.balancing import TargetGroup
from fargsim.policy.health import Checks, Health, health_turns, next_transition
from fargsim.sim.kit import US_PER_S, Kit

if TYPE_CHECKING:
    from fargsim.sim.state import TaskRun
    from fargsim.sim.targets import TargetGroupRun


@dataclass(frozen=True, slots=True)
class Contact:
    """What a balancer meets at a task.

    Parameters
    ----------
    reachable
        False: packets are dropped on the way (a security group): checks time out, requests end in 504.
    listens
        False: nothing listens on the target's port: checks are refused, requests end in 502.
    understands
        False: it speaks another protocol than the target group: requests end in 502.
    passes
        False: the check gets an answer that does not pass (another path, another code), while requests are served.
    silent
        The check gets no answer at all (its port is not open, while that of the requests is).
    reason
        What the balancer says of a check that fails.
    """

    reachable: bool = True
    listens: bool = True
    passes: bool = True
    silent: bool = False
    reason: str = "Health checks failed"
    understands: bool = True

    @property
    def hangs(self) -> bool:
        """Whether a check that fails takes its whole time-out."""
        return self.silent or not self.reachable


def always(task: TaskRun, group: TargetGroupRun) -> Contact:
    """Let every task be met as its target group expects."""
    return Contact()


def checks_of(kit: Kit, spec: TargetGroup) -> Checks:
    """Return the health check settings of a target group; those of a Network Load Balancer have defaults of their own."""
    given = spec.model_fields_set
    number = kit.parameters.number

    def setting(field: str, parameter: str) -> float:
        own: float = getattr(spec, field)
        return own if field in given or not spec.network else number(parameter)

    interval_s = setting("health_check_interval_seconds", "nlb_interval_s")
    timeout_s = min(interval_s, setting("health_check_timeout_seconds", "nlb_health_check_timeout_s"))
    return Checks(
        round(interval_s * US_PER_S),
        round(timeout_s * US_PER_S),
        round(setting("healthy_threshold_count", "nlb_healthy_threshold")),
        round(setting("unhealthy_threshold_count", "nlb_unhealthy_threshold")),
    )


class HealthWatch:
    """Computes when a target's health changes, and changes it then.

    Parameters
    ----------
    kit, checks
        The region's equipment, and the settings.
    health
        Where the checks stand.
    become
        Told of every change.
    """

    def __init__(
        self, kit: Kit, checks: Checks, health: Health, become: Callable[[Literal["healthy", "unhealthy"]], None]
    ) -> None:
        self._kit = kit
        self._checks = checks
        self._health = health
        self._become = become
        self._plan = 0
        self._arm()

    def turn(self, passing: bool, hangs: bool = False) -> None:
        """Take note that checks pass from now on, or do not."""
        if (passing, hangs and not passing) != (self._health.passing, self._health.hangs and not self._health.passing):
            self._health = health_turns(self._health, self._checks, self._kit.now, passing=passing, hangs=hangs)
            self._arm()

    def _arm(self) -> None:
        self._plan += 1
        found = next_transition(self._health, self._checks)
        if found is not None:
            plan, (transition, after) = self._plan, found
            self._kit.at(transition.at_us, lambda: self._happen(plan, after))

    def _happen(self, plan: int, after: Health) -> None:
        if plan == self._plan:
            self._health = after
            self._arm()
            assert after.state != "initial"
            self._become(after.state)


def outage_of(kit: Kit, task: TaskRun, ready_at: int) -> tuple[int, int | None] | None:
    """Return from when to when a task's application does not pass checks, drawn once a task; None for never."""
    health = task.revision.behaviour.health
    if health is None:
        return None
    if task.outage is None:
        family = task.revision.definition.family
        fails_at = ready_at + kit.streams.duration_us(f"fails/{family}", health.fails_after)
        if health.recovers_after is None:
            task.outage = (fails_at, None)
        else:
            task.outage = (fails_at, fails_at + kit.streams.duration_us(f"recovers/{family}", health.recovers_after))
    return task.outage
