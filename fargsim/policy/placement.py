"""Which container instance a task is placed on: filters, then constraints, then strategies.

Source: Amazon ECS Developer Guide, task-placement.html, task-placement-constraints.html, api_failures_messages.html,
service-event-messages-list.html, container-instance-draining.html.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from fargsim.model.placement import PlacementConstraint, PlacementStrategy
from fargsim.model.taskdef import MemberOf
from fargsim.policy.filters import AGENT, ATTRIBUTE, CPU, MEMBER_OF, MEMORY, PORTS, Check, constraint, filters
from fargsim.policy.index import USES_SHARE, IndexSlot, PlacementIndex, indexable
from fargsim.policy.needs import TaskNeeds
from fargsim.policy.strategies import Rule, chain_of
from fargsim.policy.views import FleetView, GroupView, Mask


@dataclass(frozen=True, slots=True, eq=False)
class PlacementPlan:
    """A placement request, compiled once and used for many tasks.

    Attributes
    ----------
    needs
        What the task asks for.
    checks
        Filters and constraints, in the order in which they apply.
    rules
        The strategy chain with its tie-breaking rules.
    dynamic
        Those of the checks that depend on what changes with every task; status and agent are a column of their own.
    spread_over
        Attributes whose values the chain counts the group's tasks by; whoever keeps the group's columns should keep these sums.
    draws
        Whether the chain draws lots.
    """

    needs: TaskNeeds
    checks: tuple[Check, ...]
    rules: tuple[Rule, ...]
    dynamic: tuple[Check, ...] = field(repr=False)

    spread_over: tuple[str, ...] = field(init=False)
    draws: bool = field(init=False)

    def __post_init__(self) -> None:
        spread_over = tuple(rule.spread_over for rule in self.rules if rule.spread_over is not None)
        object.__setattr__(self, "spread_over", spread_over)
        object.__setattr__(self, "draws", any(rule.random for rule in self.rules))


@dataclass(frozen=True, slots=True)
class Place:
    """Place the task on the instance of this row."""

    row: int
    candidates: int
    """How many instances passed every filter and constraint."""


@dataclass(frozen=True, slots=True)
class NoPlacement:
    """No instance will do.

    Attributes
    ----------
    reasons
        How many instances each reason ruled out, in the order of the checks; an instance counts for the first check it fails.
        Instances that have left or drain are not among them.
    closest
        Row of the closest match, the active instance that fails the fewest checks (ties: the oldest); None without active instances.
    closest_reason
        The first check the closest match fails.
    """

    reasons: tuple[tuple[str, int], ...]
    closest: int | None
    closest_reason: str | None


def compile_placement(
    needs: TaskNeeds,
    constraints: tuple[PlacementConstraint | MemberOf, ...] = (),
    strategies: tuple[PlacementStrategy, ...] = (),
    *,
    service: bool,
) -> PlacementPlan:
    """Compile a placement request.

    Parameters
    ----------
    constraints
        Those of the task definition and those of the service or of RunTask.
    service
        Whether the tasks belong to a service: without a strategy they are spread over zones, then put where the fewest tasks of the
        service are. Tasks of RunTask without a strategy are placed at random.

    Raises
    ------
    QueryError
        For an expression that is not of the cluster query language.
    """
    checks = (*filters(needs), *map(constraint, constraints))
    dynamic = tuple(check for check in checks[2:] if not check.static)  # status and agent: the column `schedulable`
    return PlacementPlan(needs, checks, chain_of(strategies, service=service), dynamic)


def place(plan: PlacementPlan, fleet: FleetView, group: GroupView, draw: float = 0.0) -> Place | NoPlacement:
    """Choose an instance for one task.

    Parameters
    ----------
    group
        Tasks of the task's own group (``service:NAME``, or ``family:NAME`` by default for RunTask).
    draw
        A uniform draw from [0, 1); read by ``random`` only.

    Examples
    --------
    >>> from fargsim.policy.fleet import Fleet
    >>> fleet = Fleet()
    >>> for zone in ("a", "b"):
    ...     _ = fleet.register(f"i-{zone}", cpu_units=1024, memory_mib=1024, zone=zone)
    >>> plan = compile_placement(TaskNeeds(cpu_units=256, memory_mib=1000), service=True)
    >>> place(plan, fleet.view(), fleet.group("service:web"))
    Place(row=0, candidates=2)
    """
    static = _static(plan, fleet, group)
    index = None if fleet.journal is None else _index(plan, fleet, group, static)
    if index is not None:
        row = index.best(fleet, group)
        return Place(row, index.candidates) if row >= 0 else why_not(plan, fleet, group)
    mask = _feasible(plan, fleet, group, static)
    rows: NDArray[np.int64] = np.flatnonzero(mask)
    found = len(rows)
    if not found:
        return why_not(plan, fleet, group)
    for rule in plan.rules:
        if len(rows) == 1:
            break
        rows = rule.refine(rows, fleet, group, draw)
    return Place(int(rows[0]), found)


def _static(plan: PlacementPlan, fleet: FleetView, group: GroupView) -> Mask:
    """Return which instances pass the checks on what rarely changes; kept with the fleet."""
    static = fleet.derived.get(plan)
    if static is None or len(static) != fleet.size:
        static = np.ones(fleet.size, dtype=np.bool_)
        for check in plan.checks[2:]:
            if check.static:
                static &= check.passes(fleet, group)
        static = fleet.keep(plan, static)
    return static


def _feasible(plan: PlacementPlan, fleet: FleetView, group: GroupView, static: Mask) -> Mask:
    """Return which instances pass every check."""
    mask = fleet.schedulable & static
    for check in plan.dynamic:
        mask &= check.passes(fleet, group)
    return mask


def _index(plan: PlacementPlan, fleet: FleetView, group: GroupView, static: Mask) -> PlacementIndex | None:
    """Return the plan's index where one has paid for itself."""
    slot = fleet.indexes.get(plan)
    if slot is None:
        slot = fleet.indexes[plan] = IndexSlot()
    if slot.index is not None:
        if slot.index.matches(fleet, group, static):
            return slot.index
        slot.index, slot.uses = None, 0
    slot.uses += 1
    if slot.uses * USES_SHARE <= fleet.size or not indexable(plan, fleet, group):
        return None
    slot.index = PlacementIndex(plan, fleet, group, static, _feasible(plan, fleet, group, static))
    return slot.index


def matching(plan: PlacementPlan, fleet: FleetView, group: GroupView) -> Mask:
    """Return which ACTIVE instances a plan could use, were they empty: attributes, subnets and ``memberOf`` constraints."""
    mask = fleet.active & _static(plan, fleet, group)
    for check in plan.dynamic:
        if check.reason == MEMBER_OF:
            mask &= check.passes(fleet, group)
    return mask


def why_not(plan: PlacementPlan, fleet: FleetView, group: GroupView, among: Mask | None = None) -> NoPlacement:
    """Say why no instance will do, or none of some."""
    active = fleet.active if among is None else fleet.active & among
    left = active.copy()
    failed = np.zeros(fleet.size, dtype=np.int64)
    first = np.full(fleet.size, -1, dtype=np.int64)
    reasons: dict[str, int] = {}
    for at, check in enumerate(plan.checks[1:]):
        fails = ~check.passes(fleet, group)
        out = left & fails
        number = int(np.count_nonzero(out))
        if number:
            reasons[check.reason] = reasons.get(check.reason, 0) + number
        first[out] = at
        left &= ~fails
        failed += fails
    rows = np.flatnonzero(active)
    if not len(rows):
        return NoPlacement((), None, None)
    closest = int(rows[failed[rows].argmin()])
    return NoPlacement(tuple(reasons.items()), closest, plan.checks[1:][int(first[closest])].reason)


def service_event(failure: NoPlacement, instance_id: str | None, *, provider: bool = False) -> str:
    """Return what follows ``(service NAME)`` in the service event of a failed placement.

    Parameters
    ----------
    instance_id
        The closest match.
    provider
        Whether the task was to run on a capacity provider's instances.

    Notes
    -----
    Source: Amazon ECS Developer Guide, service-event-messages-list.html.
    """
    start = "was unable to place a task because no container instance met all of its requirements. "
    if failure.closest is None or instance_id is None:
        if provider:
            return (
                "was unable to reach steady state. Reason: No Container Instances were found in your capacity provider."
            )
        return start + "Reason: No Container Instances were found in your cluster."
    closest = f"The closest matching container-instance {instance_id} "
    texts = {
        CPU: "has insufficient CPU units available.",
        MEMORY: "has insufficient memory available.",
        PORTS: "is already using a port required by your task.",
        AGENT: 'encountered error "AGENT".',
        ATTRIBUTE: "is missing an attribute required by your task.",
    }
    reason = failure.closest_reason or ""
    return start + closest + texts.get(reason, f'encountered error "{reason}".')
