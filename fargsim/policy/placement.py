"""Which container instance a task is placed on: filters, then constraints, then strategies.

Source: Amazon ECS Developer Guide, task-placement.html, task-placement-constraints.html, api_failures_messages.html,
service-event-messages-list.html, container-instance-draining.html.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from fargsim.model.placement import PlacementConstraint, PlacementStrategy
from fargsim.model.taskdef import MemberOf
from fargsim.policy.cluster_query import Query, parse
from fargsim.policy.index import USES_SHARE, IndexSlot, PlacementIndex, indexable
from fargsim.policy.needs import TaskNeeds
from fargsim.policy.strategies import Rule, chain_of
from fargsim.policy.views import FleetView, GroupView, Mask

NOT_ACTIVE = "INACTIVE"
AGENT = "AGENT"
CPU = "RESOURCE:CPU"
MEMORY = "RESOURCE:MEMORY"
PORTS = "RESOURCE:PORTS"
GPU = "RESOURCE:GPU"
ENI = "RESOURCE:ENI"
LOCATION = "LOCATION"
ATTRIBUTE = "ATTRIBUTE"
MEMBER_OF = "MemberOf placement constraint unsatisfied."
DISTINCT_INSTANCE = "DistinctInstance placement constraint unsatisfied."


@dataclass(frozen=True, slots=True)
class Check:
    """One filter or constraint: the failure it stands for and which instances pass."""

    reason: str
    name: str
    passes: Callable[[FleetView, GroupView], Mask]
    row_passes: Callable[[FleetView, GroupView, int], bool] | None = None
    """The same of one row, where that can be said without looking at the others."""
    static: bool = False
    """Whether it depends only on attributes, ids, versions and dates."""


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
    """

    needs: TaskNeeds
    checks: tuple[Check, ...]
    rules: tuple[Rule, ...]
    dynamic: tuple[Check, ...] = field(repr=False)

    @property
    def spread_over(self) -> tuple[str, ...]:
        """Attributes the chain counts tasks by."""
        return tuple(rule.spread_over for rule in self.rules if rule.spread_over is not None)


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
    checks = (*_filters(needs), *map(_constraint, constraints))
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
        return Place(row, index.candidates) if row >= 0 else _why_not(plan, fleet, group)
    mask = _feasible(plan, fleet, group, static)
    rows: NDArray[np.int64] = np.flatnonzero(mask)
    found = len(rows)
    if not found:
        return _why_not(plan, fleet, group)
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


def _why_not(plan: PlacementPlan, fleet: FleetView, group: GroupView) -> NoPlacement:
    active = fleet.active
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


@dataclass(frozen=True, slots=True)
class Step:
    """One row of an explanation: what one check or rule said of one instance.

    Attributes
    ----------
    row
        The instance.
    step
        Name of the check or rule.
    passed
        Whether the instance was still a candidate afterwards.
    reason
        The failure the step stands for, None for a strategy rule or where it passed.
    """

    row: int
    step: str
    passed: bool
    reason: str | None


def explain(
    plan: PlacementPlan, fleet: FleetView, group: GroupView, draw: float = 0.0
) -> tuple[Place | NoPlacement, tuple[Step, ...]]:
    """Choose an instance as `place` does and say what every step did to every instance that had come so far.

    The steps of an instance end with the first it fails; the chosen instance passes all.
    """
    steps: list[Step] = []
    rows: NDArray[np.int64] = np.arange(fleet.size)
    for check in plan.checks:
        ok = check.passes(fleet, group)[rows]
        steps += [Step(int(r), check.name, bool(o), None if o else check.reason) for r, o in zip(rows, ok, strict=True)]
        rows = rows[ok]
    found = len(rows)
    if not found:
        return _why_not(plan, fleet, group), tuple(steps)
    for rule in plan.rules:
        kept = rule.refine(rows, fleet, group, draw)
        inside = set(kept.tolist())
        steps += [Step(r, rule.name, r in inside, None) for r in rows.tolist()]
        rows = kept
    if len(rows) > 1:
        steps += [Step(r, "registration order", r == int(rows[0]), None) for r in rows.tolist()]
    return Place(int(rows[0]), found), tuple(steps)


def service_event(failure: NoPlacement, instance_id: str | None) -> str:
    """Return what follows ``(service NAME)`` in the service event of a failed placement.

    Source: Amazon ECS Developer Guide, service-event-messages-list.html.
    """
    start = "was unable to place a task because no container instance met all of its requirements. "
    if failure.closest is None or instance_id is None:
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


def _filters(needs: TaskNeeds) -> tuple[Check, ...]:
    """Return the checks a task's needs make, in the order of the placement process; the first two are status and agent."""
    checks = [
        Check(NOT_ACTIVE, "status", lambda fleet, _: fleet.active),
        Check(AGENT, "agent", lambda fleet, _: fleet.agent_connected),
    ]
    if needs.cpu_units:
        checks.append(_at_least(CPU, "cpu", lambda fleet: fleet.free_cpu_units, needs.cpu_units))
    if needs.memory_mib:
        checks.append(_at_least(MEMORY, "memory", lambda fleet: fleet.free_memory_mib, needs.memory_mib))
    if needs.host_ports:
        checks.append(
            Check(
                PORTS,
                "ports",
                lambda fleet, _: _ports_free(fleet, needs),
                lambda fleet, _, row: _row_ports_free(fleet, needs, row),
            )
        )
    if needs.gpus:
        checks.append(_at_least(GPU, "gpu", lambda fleet: fleet.free_gpus, needs.gpus))
    if needs.enis:
        checks.append(_at_least(ENI, "eni", lambda fleet: fleet.free_enis, needs.enis))
    if needs.zones is not None:
        checks.append(Check(LOCATION, "subnets", lambda fleet, _: _in_zones(fleet, needs.zones or ()), static=True))
    if needs.attributes:
        checks.append(Check(ATTRIBUTE, "attributes", lambda fleet, _: _has_attributes(fleet, needs), static=True))
    return tuple(checks)


def _at_least(reason: str, name: str, column: Callable[[FleetView], NDArray[np.int64]], need: int) -> Check:
    return Check(
        reason,
        name,
        lambda fleet, _: column(fleet) >= need,
        lambda fleet, _, row: column(fleet).item(row) >= need,
    )


def _constraint(constraint: PlacementConstraint | MemberOf) -> Check:
    if constraint.type == "distinctInstance":
        return Check(
            DISTINCT_INSTANCE,
            "distinctInstance",
            lambda _, group: group.tasks == 0,
            lambda _, group, row: group.tasks.item(row) == 0,
        )
    query = parse(constraint.expression or "")
    return Check(MEMBER_OF, f"memberOf({query.text})", _members(query), static=query.static)


def _members(query: Query) -> Callable[[FleetView, GroupView], Mask]:
    return lambda fleet, _: query.mask(fleet)


def _ports_free(fleet: FleetView, needs: TaskNeeds) -> Mask:
    free = np.ones(fleet.size, dtype=np.bool_)
    if len(set(needs.host_ports)) < len(needs.host_ports):
        return ~free  # two containers of the task ask for the same port: no instance can give it twice
    for port in needs.host_ports:
        taken = fleet.host_ports.get(port)
        if taken is not None:
            free &= ~taken
    return free


def _row_ports_free(fleet: FleetView, needs: TaskNeeds, row: int) -> bool:
    taken = (fleet.host_ports.get(port) for port in needs.host_ports)
    free = not any(column is not None and column.item(row) for column in taken)
    return free and len(set(needs.host_ports)) == len(needs.host_ports)


def _in_zones(fleet: FleetView, zones: tuple[str, ...]) -> Mask:
    column = fleet.attributes["ecs.availability-zone"] if fleet.size else None
    if column is None:
        return np.zeros(0, dtype=np.bool_)
    wanted = [code for code, value in enumerate(column.values) if value in zones]
    return np.isin(column.codes, wanted)


def _has_attributes(fleet: FleetView, needs: TaskNeeds) -> Mask:
    mask = np.ones(fleet.size, dtype=np.bool_)
    for name, value in needs.attributes:
        column = fleet.attributes.get(name)
        if column is None:
            return np.zeros(fleet.size, dtype=np.bool_)
        if value is None:
            mask &= column.codes >= 0
        else:
            codes = [code for code, known in enumerate(column.values) if known == value]
            mask &= np.isin(column.codes, codes)
    return mask
