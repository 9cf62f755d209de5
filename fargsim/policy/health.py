"""When health checks change their mind, computed instead of simulated check by check."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Transition:
    """A change of health at an instant."""

    at_us: int
    state: Literal["healthy", "unhealthy"]


def boot_transitions(
    first_check_us: int,
    interval_us: int,
    ready_us: int,
    *,
    healthy_threshold: int,
    unhealthy_threshold: int,
    first_success_suffices: bool = True,
) -> tuple[Transition, ...]:
    """Return how a new target's health changes when it fails every check before `ready_us` and passes every one from then on.

    A newly registered target is healthy after one success; the thresholds apply afterwards. So a target that fails
    `unhealthy_threshold` checks first needs `healthy_threshold` successes to come back.

    Parameters
    ----------
    first_check_us, interval_us
        Instant of the first check and the distance of the others.
    ready_us
        Instant from which a check passes.

    Source: Elastic Load Balancing, Application Load Balancers User Guide, target-group-health-checks.html; Amazon ECS Developer Guide,
    load-balancer-healthcheck.html.

    Examples
    --------
    >>> boot_transitions(0, 30, 10, healthy_threshold=5, unhealthy_threshold=2)
    (Transition(at_us=30, state='healthy'),)
    >>> boot_transitions(0, 30, 70, healthy_threshold=5, unhealthy_threshold=2)
    (Transition(at_us=30, state='unhealthy'), Transition(at_us=210, state='healthy'))
    """
    failed = max(0, -(-(ready_us - first_check_us) // interval_us))
    if failed < unhealthy_threshold:
        passes = 1 if first_success_suffices else healthy_threshold
        return (Transition(first_check_us + (failed + passes - 1) * interval_us, "healthy"),)
    return (
        Transition(first_check_us + (unhealthy_threshold - 1) * interval_us, "unhealthy"),
        Transition(first_check_us + (failed + healthy_threshold - 1) * interval_us, "healthy"),
    )


@dataclass(frozen=True, slots=True)
class Checks:
    """How a target group checks its targets."""

    interval_us: int
    timeout_us: int
    healthy_threshold: int
    unhealthy_threshold: int


@dataclass(frozen=True, slots=True)
class Health:
    """What the checks of one target have come to.

    Parameters
    ----------
    state
        As DescribeTargetHealth shows it.
    next_us
        The first check that is not counted in `streak`.
    passing
        Whether checks pass from now on, as far as is known.
    hangs
        Whether a check that does not pass hangs until its time-out, instead of being refused at once.
    streak
        Results in a row that speak against `state`, before `next_us`.
    """

    state: Literal["initial", "healthy", "unhealthy"]
    next_us: int
    passing: bool
    hangs: bool = False
    streak: int = 0


def health_turns(health: Health, checks: Checks, at_us: int, *, passing: bool, hangs: bool = False) -> Health:
    """Return the health of a target whose checks begin to pass, or not to, at an instant: a check of that instant meets the new.

    Examples
    --------
    >>> checks = Checks(30, 5, healthy_threshold=5, unhealthy_threshold=2)
    >>> health_turns(Health("healthy", 100, True), checks, 130, passing=False)
    Health(state='healthy', next_us=130, passing=False, hangs=False, streak=0)
    >>> health_turns(Health("healthy", 100, False), checks, 101, passing=True)
    Health(state='healthy', next_us=130, passing=True, hangs=False, streak=1)
    """
    checked = max(0, -(-(at_us - health.next_us) // checks.interval_us))
    streak = health.streak
    if checked:
        # what agrees with the state wipes out what spoke against it
        against = health.passing if health.state == "unhealthy" else not health.passing
        streak = streak + checked if against else 0
    return Health(health.state, health.next_us + checked * checks.interval_us, passing, hangs, streak)


def next_transition(health: Health, checks: Checks) -> tuple[Transition, Health] | None:
    """Return when a target's state changes next if its checks go on as they do, and its health from then on; None for never.

    A new target is healthy after one passed check; every other change needs its threshold of checks in a row. A check that hangs fails at
    its time-out.

    Source: Elastic Load Balancing, Application Load Balancers User Guide, target-group-health-checks.html.

    Examples
    --------
    >>> checks = Checks(30, 5, healthy_threshold=5, unhealthy_threshold=2)
    >>> next_transition(Health("healthy", 0, passing=False), checks)[0]
    Transition(at_us=30, state='unhealthy')
    >>> next_transition(Health("healthy", 0, passing=False, hangs=True), checks)[0]
    Transition(at_us=35, state='unhealthy')
    >>> next_transition(Health("unhealthy", 0, passing=True), checks)[0]
    Transition(at_us=120, state='healthy')
    >>> next_transition(Health("healthy", 0, passing=True), checks) is None
    True
    """
    if health.passing == (health.state == "healthy") and health.state != "initial":
        return None
    state: Literal["healthy", "unhealthy"] = "healthy" if health.passing else "unhealthy"
    if health.passing:
        needed = 1 if health.state == "initial" else checks.healthy_threshold - health.streak
    else:
        needed = checks.unhealthy_threshold - health.streak
    last = health.next_us + (max(1, needed) - 1) * checks.interval_us
    lag = checks.timeout_us if health.hangs and not health.passing else 0
    after = Health(state, last + checks.interval_us, health.passing, health.hangs)
    return Transition(last + lag, state), after


def recovery_us(interval_us: int, healthy_threshold: int) -> int:
    """Return how long an unhealthy target that works again stays out: the threshold's worth of intervals.

    Source: Amazon ECS Developer Guide, load-balancer-healthcheck.html (5 x 30 s = 150 s; 2 x 5 s = 10 s).

    >>> recovery_us(30, 5), recovery_us(5, 2)
    (150, 10)
    """
    return interval_us * healthy_threshold


def container_unhealthy_us(
    broken_us: int, first_check_us: int, *, interval_us: int, timeout_us: int, retries: int, hangs: bool
) -> int:
    """Return when a container health check says UNHEALTHY after the container breaks at `broken_us`.

    The next check starts one interval after the one before it has completed; a check of a hung container completes after its
    time-out, one that fails at once completes at once. The container is UNHEALTHY when `retries` checks in a row have failed.

    Parameters
    ----------
    first_check_us
        Start of any check that completed at once before the break; the phase of the checks.

    Source: Amazon ECS API Reference, API_HealthCheck.html.

    Examples
    --------
    >>> container_unhealthy_us(1, 0, interval_us=30, timeout_us=5, retries=3, hangs=True)
    105
    """
    start = first_check_us + max(0, -(-(broken_us - first_check_us) // interval_us)) * interval_us
    lasts = timeout_us if hangs else 0
    return start + (retries - 1) * (interval_us + lasts) + lasts


def standing_of(
    targets: Sequence[str], health: str | None, *, waited: bool, in_grace: bool
) -> Literal["healthy", "undecided", "unhealthy"]:
    """Return what a RUNNING task counts as to its service.

    With a balancer it counts as healthy when every target is, with a container health check when that says so, with both when both do;
    with neither after a wait of 40 s. A failed check of either kind makes it unhealthy, except inside the grace period.

    Parameters
    ----------
    targets
        States of its targets; empty without a balancer.
    health
        ``HEALTHY``, ``UNHEALTHY`` or ``UNKNOWN``; None without a container health check.
    waited
        Whether the wait of a task that has neither is over.
    in_grace
        Whether the health check grace period still lasts.

    Source: Amazon ECS API Reference, API_DeploymentConfiguration.html, API_CreateService.html.

    Examples
    --------
    >>> standing_of(("healthy",), "UNKNOWN", waited=False, in_grace=False)
    'undecided'
    >>> standing_of(("unhealthy",), None, waited=True, in_grace=True), standing_of((), None, waited=True, in_grace=False)
    ('undecided', 'healthy')
    """
    if health == "UNHEALTHY" or "unhealthy" in targets:
        return "undecided" if in_grace else "unhealthy"
    if health is None and not targets:
        return "healthy" if waited else "undecided"
    passed = health in (None, "HEALTHY") and all(state == "healthy" for state in targets)
    return "healthy" if passed else "undecided"
