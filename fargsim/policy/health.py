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
    targets: Sequence[str], health: str | None, *, waited: bool, in_grace: bool, host_drains: bool = False
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
    host_drains
        Whether its instance drains: it must be replaced in any case.

    Source: Amazon ECS API Reference, API_DeploymentConfiguration.html, API_CreateService.html.

    Examples
    --------
    >>> standing_of(("healthy",), "UNKNOWN", waited=False, in_grace=False)
    'undecided'
    >>> standing_of(("unhealthy",), None, waited=True, in_grace=True), standing_of((), None, waited=True, in_grace=False)
    ('undecided', 'healthy')
    """
    if host_drains:
        return "unhealthy"
    if health == "UNHEALTHY" or "unhealthy" in targets:
        return "undecided" if in_grace else "unhealthy"
    if health is None and not targets:
        return "healthy" if waited else "undecided"
    passed = health in (None, "HEALTHY") and all(state == "healthy" for state in targets)
    return "healthy" if passed else "undecided"
