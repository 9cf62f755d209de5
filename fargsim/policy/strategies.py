"""Placement strategies: each rule of a chain refines the candidates that the rules before it left.

Source: Amazon ECS Developer Guide, task-placement-strategies.html; Amazon ECS API Reference, API_PlacementStrategy.html and
API_UpdateService.html (the default of services).

A chain is a lexicographic key: candidates that are equal on every rule are told apart by the default rule of services (the zone with
the fewest tasks of the group, then the instance with the fewest), then by the order of registration. ``random`` leaves one candidate.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fargsim.model.placement import PlacementStrategy
from fargsim.policy.views import ZONE, FleetView, GroupView

Rows = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule of a chain: its name as people write it, and what it leaves of the candidates."""

    name: str
    refine: Callable[[Rows, FleetView, GroupView, float], Rows]
    spread_over: str | None = None
    """The attribute whose values the rule counts tasks by."""
    column: Callable[[FleetView, GroupView], NDArray[np.int64]] | None = None
    """For a rule that looks at each instance alone: the column it makes small."""
    random: bool = False
    unit: str = ""
    """Of the column, in words."""


def _random(rows: Rows, fleet: FleetView, group: GroupView, draw: float) -> Rows:
    at = min(int(draw * len(rows)), len(rows) - 1)
    return rows[at : at + 1]


def _least(rows: Rows, keys: NDArray[np.int64]) -> Rows:
    least: Rows = rows[keys == keys.min()]
    return least


def _spread_over(attribute: str) -> Callable[[Rows, FleetView, GroupView, float], Rows]:
    def refine(rows: Rows, fleet: FleetView, group: GroupView, draw: float) -> Rows:
        column = fleet.attributes.get(attribute)
        if column is None:
            return rows
        # an instance without the attribute is a value of its own: the extra last place, which code -1 reads
        without = int(group.tasks[column.codes < 0].sum()) if attribute != ZONE else 0
        counts = np.append(group.per_value(attribute, column), without)
        return _least(rows, counts[column.codes[rows]])

    return refine


def _tasks(fleet: FleetView, group: GroupView) -> NDArray[np.int64]:
    return group.tasks


def _free_cpu(fleet: FleetView, group: GroupView) -> NDArray[np.int64]:
    return fleet.free_cpu_units


def _free_memory(fleet: FleetView, group: GroupView) -> NDArray[np.int64]:
    return fleet.free_memory_mib


def _by_column(name: str, column: Callable[[FleetView, GroupView], NDArray[np.int64]], unit: str) -> Rule:
    return Rule(
        name, lambda rows, fleet, group, draw: _least(rows, column(fleet, group)[rows]), column=column, unit=unit
    )


RANDOM = Rule("random", _random, random=True)
SPREAD_ZONES = Rule(f"spread(attribute:{ZONE})", _spread_over(ZONE), spread_over=ZONE)
SPREAD_INSTANCES = _by_column("spread(instanceId)", _tasks, "of the group")
BINPACK_CPU = _by_column("binpack(cpu)", _free_cpu, "CPU units free")
BINPACK_MEMORY = _by_column("binpack(memory)", _free_memory, "MiB free")
DEFAULT_CHAIN = (SPREAD_ZONES, SPREAD_INSTANCES)
"""The chain of a service without a strategy; it also tells apart what another chain leaves equal."""

MANAGED_INSTANCES = (
    PlacementStrategy(type="spread", field=f"attribute:{ZONE}"),
    PlacementStrategy(type="binpack", field="memory"),
)
"""What ECS does on Managed Instances, which take no strategy: zones first, then packing. That it packs by memory is an assumption.

Source: Amazon ECS Developer Guide, task-placement.html, ManagedInstances.html.
"""


def rule_of(strategy: PlacementStrategy) -> Rule:
    """Return the rule of one item of ``placementStrategy``."""
    field = strategy.field or ""
    if strategy.type == "random":
        return RANDOM
    if strategy.type == "binpack":
        return BINPACK_CPU if field.lower() == "cpu" else BINPACK_MEMORY
    if field in ("instanceId", "host"):
        return SPREAD_INSTANCES
    name = field.removeprefix("attribute:")
    return SPREAD_ZONES if name == ZONE else Rule(f"spread({field})", _spread_over(name), spread_over=name)


def chain_of(strategies: tuple[PlacementStrategy, ...], *, service: bool) -> tuple[Rule, ...]:
    """Return the rules of a strategy with AWS's defaults and the tie-breaking rules behind it.

    >>> [rule.name for rule in chain_of((), service=True)]
    ['spread(attribute:ecs.availability-zone)', 'spread(instanceId)']
    >>> [rule.name for rule in chain_of((), service=False)]
    ['random']
    """
    if not strategies:
        return DEFAULT_CHAIN if service else (RANDOM,)
    rules = [rule_of(s) for s in strategies]
    if any(rule.random for rule in rules):
        return tuple(rules)
    return (*rules, *(rule for rule in DEFAULT_CHAIN if rule not in rules))
