"""How a replica service moves toward what is wanted: bounds, rolling updates, replacement of unhealthy and lost tasks.

The published invariants are those of the Amazon ECS Developer Guide, deployment-type-ecs.html and ecs_services.html, and of the Amazon ECS
API Reference, API_DeploymentConfiguration.html. The step itself is a model that satisfies them; AWS does not publish its own.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from fractions import Fraction


@dataclass(frozen=True, slots=True)
class Bounds:
    """How many tasks a service must keep healthy, and may have.

    Parameters
    ----------
    lower
        Healthy RUNNING tasks that must remain.
    upper
        Tasks that may exist: PENDING, RUNNING and (a parameter) STOPPING.
    """

    lower: int
    upper: int

    def fixed(self, desired: int) -> bool:
        """Whether of as many healthy tasks as are desired none may stop, and none may start beside them.

        >>> [bounds(desired, 75, 100).fixed(desired) for desired in (2, 4)]
        [True, False]
        """
        return self.lower >= desired >= self.upper


def bounds(desired: int, minimum_healthy_percent: int | None, maximum_percent: int | None) -> Bounds:
    """Return the bounds of a desired count: the lower one rounded up, the upper one rounded down.

    ``None`` stands for the default of a replica service, 100 and 200.

    Source: Amazon ECS API Reference, API_DeploymentConfiguration.html.

    >>> bounds(4, 50, 200), bounds(2, 75, 100), bounds(3, 100, 125)
    (Bounds(lower=2, upper=8), Bounds(lower=2, upper=2), Bounds(lower=3, upper=3))
    >>> bounds(4, None, None)
    Bounds(lower=4, upper=8)
    """
    low = 100 if minimum_healthy_percent is None else minimum_healthy_percent
    high = 200 if maximum_percent is None else maximum_percent
    return Bounds(math.ceil(Fraction(desired * low, 100)), math.floor(Fraction(desired * high, 100)))


@dataclass(frozen=True, slots=True)
class RevisionView:
    """The living tasks of one service revision.

    Parameters
    ----------
    deployment
        Its deployment.
    wanted
        How many of its tasks should live: the memory of the scheduler. A deployment that is being replaced wants what is left of it.
    pending
        Tasks on the way to RUNNING.
    undecided
        RUNNING tasks that count neither as healthy nor as unhealthy yet.
    healthy
        RUNNING tasks that count as healthy.
    unhealthy
        RUNNING tasks that must be replaced.
    protected, protected_unjudged
        Tasks of `healthy`, and of `pending` and `undecided`, that scale-in protection keeps.
    failed
        Whether the deployment has failed: it starts nothing.
    stopping
        Tasks that are being stopped and have not stopped yet.
    draining
        Tasks of `unhealthy` that serve well, but stand on an instance that drains: the bounds say when they may be stopped.
    resolving
        Whether its first task has yet to establish the digests of the images: no other one starts before.
    """

    deployment: str
    wanted: int
    pending: int = 0
    undecided: int = 0
    healthy: int = 0
    unhealthy: int = 0
    protected: int = 0
    failed: bool = False
    protected_unjudged: int = 0
    stopping: int = 0
    resolving: bool = False
    draining: int = 0

    @property
    def alive(self) -> int:
        """All its tasks that are not being stopped."""
        return self.pending + self.undecided + self.healthy + self.unhealthy


@dataclass(frozen=True, slots=True)
class ServiceView:
    """What one step of the service scheduler sees.

    Parameters
    ----------
    desired
        The desired count.
    bounds
        Its bounds.
    revisions
        The newest first (the PRIMARY deployment), then those being replaced from the newest to the oldest.
    stopping
        Tasks whose desired status is STOPPED and that have not stopped yet.
    count_stopping
        Whether they count for the upper bound.
    launches
        How many launches the rate limits allow now.
    """

    desired: int
    bounds: Bounds
    revisions: tuple[RevisionView, ...]
    stopping: int = 0
    count_stopping: bool = True
    launches: int = 1 << 30


@dataclass(frozen=True, slots=True)
class StartTasks:
    """Start tasks of a deployment."""

    deployment: str
    number: int


@dataclass(frozen=True, slots=True)
class StopTasks:
    """Stop tasks of a deployment.

    Parameters
    ----------
    unhealthy
        Whether the unhealthy ones are meant (they are being replaced); otherwise those that are surplus: not healthy ones first.
    """

    deployment: str
    number: int
    unhealthy: bool = False


@dataclass(frozen=True, slots=True)
class Step:
    """What one step decides.

    Parameters
    ----------
    wanted
        The memory for the next step: by deployment, how many of its tasks should live.
    complete
        The newest deployment has all its tasks healthy and no task of another is left, not even one that is still stopping.
    stalled
        Something is left to do, nothing may be started or stopped, and nothing is in flight: the configuration forbids it.
    """

    starts: tuple[StartTasks, ...] = ()
    stops: tuple[StopTasks, ...] = ()
    wanted: dict[str, int] = field(default_factory=dict)
    complete: bool = False
    stalled: bool = False


def rolling_step(view: ServiceView) -> Step:
    """Decide what to start and stop now.

    Examples
    --------
    Four tasks of an old revision, default bounds: four new ones may start first.

    >>> old = RevisionView("old", wanted=4, healthy=4)
    >>> new = RevisionView("new", wanted=0)
    >>> rolling_step(ServiceView(4, bounds(4, 100, 200), (new, old))).starts
    (StartTasks(deployment='new', number=4),)
    """
    primary, others = view.revisions[0], view.revisions[1:]
    wanted = {r.deployment: r.wanted for r in view.revisions}
    total = sum(r.alive for r in view.revisions) + (view.stopping if view.count_stopping else 0)
    room = max(0, min(view.bounds.upper - total, view.launches))
    starts: dict[str, int] = {}
    stops: list[StopTasks] = []

    def start(deployment: str, number: int) -> int:
        nonlocal room
        granted = min(number, room)
        if primary.resolving and deployment == primary.deployment:
            granted = min(granted, 1 - primary.alive - starts.get(deployment, 0))
        if granted > 0:
            starts[deployment] = starts.get(deployment, 0) + granted
            room -= granted
        return max(granted, 0)

    # 1. what is lost is replaced by its own revision; one that is being replaced only as far as the lower bound needs it
    healthy = sum(r.healthy for r in view.revisions)
    needed = view.bounds.lower - healthy - sum(r.pending + r.undecided for r in others)
    wanted[primary.deployment] = min(primary.wanted, view.desired)
    if not primary.failed:
        start(primary.deployment, wanted[primary.deployment] - primary.alive)
    for revision in others:
        if not revision.failed:
            needed -= start(revision.deployment, min(revision.wanted - revision.alive, needed))

    # 2. the newest deployment grows toward the desired count. This comes before replacements beside tasks that still stand: a
    # revision of which no task ever gets healthy would take that room again and again
    if not primary.failed:
        wanted[primary.deployment] += start(primary.deployment, view.desired - wanted[primary.deployment])
    may_grow = not primary.failed and wanted[primary.deployment] < view.desired

    # 3. what is unhealthy is replaced by its own revision, the replacement first where there is room. Tasks on a draining instance
    # serve: they go as far as the lower bound lets them, at once below 100 %, never where both bounds are 100 %: Amazon ECS Developer
    # Guide, container-instance-draining.html
    spare = max(0, healthy + sum(r.draining for r in view.revisions) - view.bounds.lower)
    for revision in (*others, primary):
        old = revision is not primary
        if old and healthy >= view.bounds.lower:
            continue  # its unhealthy tasks go as surplus below
        target = wanted[revision.deployment]
        lacking = target - (revision.alive - revision.unhealthy) - starts.get(revision.deployment, 0)
        if old:
            lacking = 0 if revision.failed else min(lacking, needed)
            needed -= 0 if may_grow else start(revision.deployment, lacking)
        elif primary.failed:
            lacking = 0  # nothing will come in their place: none goes to make room
        else:
            start(revision.deployment, lacking)
        judging = bool(revision.pending or revision.undecided or starts.get(revision.deployment))
        number, for_room = _unhealthy_to_stop(revision, target, lacking, judging, view)
        if old and revision.failed and may_grow and not room and view.launches > 0:
            # nobody replaces them, they serve nobody, and they hold the places that the newest deployment needs
            places = view.desired - wanted[primary.deployment] - (view.stopping if view.count_stopping else 0)
            number = max(number, min(revision.unhealthy - revision.draining, max(0, places)))
        leaving = min(revision.draining, spare)
        spare -= leaving
        number = min(number, revision.unhealthy - revision.draining) + leaving
        if number:
            stops.append(StopTasks(revision.deployment, number, unhealthy=True))
        if old and for_room and may_grow:
            wanted[revision.deployment] -= number  # the newest deployment gets the place

    # 4. what is surplus is stopped, the oldest revision first, as far as enough healthy tasks remain. A deployment that has failed
    # replaces nothing any more: only what is more than the desired count goes
    may_stop = max(0, healthy - view.bounds.lower)
    if primary.failed:
        may_stop = min(may_stop, max(0, sum(r.alive - r.unhealthy for r in view.revisions) - view.desired))
    if healthy >= view.bounds.lower and (may_stop or not primary.failed):
        for revision in reversed(others):
            if revision.unhealthy:
                stops.append(StopTasks(revision.deployment, revision.unhealthy, unhealthy=True))
            number, may_stop = _surplus(revision, revision.alive - revision.unhealthy, may_stop)
            if number:
                stops.append(StopTasks(revision.deployment, number))
            wanted[revision.deployment] = max(0, wanted[revision.deployment] - number - revision.unhealthy)
    number, may_stop = _surplus(primary, primary.alive - primary.unhealthy - view.desired, may_stop)
    if number:
        stops.append(StopTasks(primary.deployment, number))

    left = sum(r.alive + r.stopping for r in others)
    complete = not left and not starts and primary.healthy >= view.desired and primary.alive == view.desired
    in_flight = view.stopping or any(r.pending or r.undecided for r in view.revisions) or view.launches <= 0
    stalled = not (complete or starts or stops or in_flight) and (left > 0 or primary.alive != view.desired)
    return Step(tuple(StartTasks(d, n) for d, n in starts.items()), tuple(stops), wanted, complete, stalled)


def _unhealthy_to_stop(
    revision: RevisionView, wanted: int, lacking: int, judging: bool, view: ServiceView
) -> tuple[int, bool]:
    """Return how many unhealthy tasks of a revision are stopped now, and whether that is only to make room."""
    if not revision.unhealthy:
        return 0, False
    replaced = min(revision.unhealthy, max(0, revision.healthy - max(0, wanted - revision.unhealthy)))
    if replaced or judging:
        return replaced, False
    # every replacement has been judged: those beyond the wanted count go, or one makes room for its replacement
    surplus = min(revision.unhealthy, max(0, revision.alive - wanted))
    no_room = lacking > 0 and view.launches > 0 and not (view.count_stopping and view.stopping)
    return (surplus, False) if surplus else (1 if no_room else 0, no_room)


def _surplus(revision: RevisionView, surplus: int, may_stop: int) -> tuple[int, int]:
    """Return how many surplus tasks of a revision are stopped, and how many healthy ones may still go after that."""
    if surplus <= 0:
        return 0, may_stop
    not_healthy = min(surplus, revision.pending + revision.undecided - revision.protected_unjudged)
    healthy = min(surplus - not_healthy, may_stop, revision.healthy - revision.protected)
    return not_healthy + healthy, may_stop - healthy


def scaled_wanted(wanted: int, before: int, after: int) -> int:
    """Return what a deployment that is being replaced wants after the desired count has grown: scale-out reaches both revisions.

    Source: https://aws.amazon.com/about-aws/whats-new/2025/11/amazon-ecs-service-availability-rolling-deployments.

    >>> scaled_wanted(2, 4, 6), scaled_wanted(2, 4, 3)
    (3, 2)
    """
    if after <= before or before <= 0:
        return wanted
    return math.ceil(Fraction(wanted * after, before))


def breaker_threshold(
    desired: int, *, kind: str = "BOUNDED_PERCENT", value: float = 50, minimum: int = 3, maximum: int = 200
) -> int:
    """Return after how many failed tasks the circuit breaker fails a deployment.

    Parameters
    ----------
    kind
        ``BOUNDED_PERCENT``, ``UNBOUNDED_PERCENT`` or ``COUNT``.
    minimum
        3 since 2024-01-08; 10 before.

    Source: Amazon ECS Developer Guide, deployment-circuit-breaker.html.

    >>> [breaker_threshold(d) for d in (1, 25, 400, 800)]
    [3, 13, 200, 200]
    """
    if kind == "COUNT":
        return int(value)
    share = math.ceil(Fraction(value) * desired / 100)
    return share if kind == "UNBOUNDED_PERCENT" else max(minimum, min(maximum, share))


def throttle_delay_s(failures: int, *, base_s: float = 12.65625, factor: float = 2.0, cap_s: float = 1620.0) -> float:
    """Return how long the scheduler waits after so many tasks in a row that never reached RUNNING.

    The cap of 27 minutes is published (Amazon ECS Developer Guide, service-throttle-logic.html), the growth is a model.

    >>> [throttle_delay_s(n) for n in (0, 1, 2, 8, 9)]
    [0.0, 12.65625, 25.3125, 1620.0, 1620.0]
    """
    return 0.0 if failures <= 0 else min(cap_s, base_s * factor ** min(failures - 1, 64))
