"""Which tasks of a service are stopped when it shrinks, and in which zone Fargate starts and stops tasks.

Source: Amazon ECS Developer Guide, update-service-parameters.html (order without a strategy), task-placement-strategies.html (what a
strategy does on scale-in), task-placement.html (Fargate spreads over zones, separately for each capacity provider),
task-scale-in-protection.html.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fargsim.model.placement import PlacementStrategy
from fargsim.policy.strategies import (
    BINPACK_CPU,
    BINPACK_MEMORY,
    DEFAULT_CHAIN,
    SPREAD_INSTANCES,
    SPREAD_ZONES,
    Rule,
    rule_of,
)
from fargsim.policy.views import ZONE, AttributeColumn, FleetView

_UNITS = {
    SPREAD_ZONES: "of the service in the zone",
    SPREAD_INSTANCES: "of the service on the instance",
    BINPACK_CPU: "CPU units would be free",
    BINPACK_MEMORY: "MiB would be free",
}


@dataclass(frozen=True, slots=True)
class VictimStep:
    """One row of an explanation: what one rule said of one task when somebody had to go.

    Attributes
    ----------
    task
        Position of the task in the view's columns.
    turn
        Number of the choice, from 0.
    step
        Name of the rule.
    passed
        Whether the task could still be chosen afterwards.
    found
        What the rule looked at, in words.
    """

    task: int
    turn: int
    step: str
    passed: bool
    found: str


@dataclass(frozen=True, slots=True)
class ServiceTasksView:
    """Tasks of one service that are not being stopped, oldest first; all columns have shape (tasks,).

    Parameters
    ----------
    zone
        Zone codes.
    row
        The instance's row in the fleet, -1 on Fargate.
    may_stop
        Which tasks may be chosen: of the revision that shrinks, not protected from scale-in. The others count in the balance.
    cpu_units, memory_mib
        What a task gives back to its instance.
    """

    zone: NDArray[np.int32]
    row: NDArray[np.int64]
    may_stop: NDArray[np.bool_]
    cpu_units: NDArray[np.int64]
    memory_mib: NDArray[np.int64]


def victims(
    tasks: ServiceTasksView,
    number: int,
    strategies: tuple[PlacementStrategy, ...] = (),
    fleet: FleetView | None = None,
    draws: Sequence[float] = (),
    steps: list[VictimStep] | None = None,
) -> tuple[int, ...]:
    """Choose which tasks to stop, one after the other, each choice knowing the ones before it.

    Without a strategy: in the zone with the most tasks of the service, on the instance with the most of them there. With a strategy the
    rules choose in turn: ``spread`` where most tasks are, ``binpack`` on the instance that will have most of the resource left,
    ``random`` by lot. What the rules leave equal goes by lot where the chain spreads or is random, otherwise to the newest task.

    Parameters
    ----------
    number
        How many to choose; fewer are returned where fewer may stop.
    fleet
        The instances; needed for a strategy that looks at them (``binpack``, ``spread`` over a custom attribute).
    draws
        One uniform draw from [0, 1) for each task to choose; read where lots are drawn, and only then needed.
    steps
        Where given, what every rule said of every candidate is appended to it; the choice is the same.

    Returns
    -------
    tuple of int
        Positions in the view's columns, in the order of choice.

    Notes
    -----
    That of equal tasks the newest goes is an assumption: AWS says nothing about tasks on one instance.

    Examples
    --------
    Two zones hold 2 and 1 tasks: the fuller one gives.

    >>> column = lambda *values: np.array(values, dtype=np.int64)
    >>> tasks = ServiceTasksView(
    ...     zone=np.array([0, 0, 1], dtype=np.int32), row=column(0, 1, 2), may_stop=np.ones(3, dtype=np.bool_),
    ...     cpu_units=column(256, 256, 256), memory_mib=column(512, 512, 512),
    ... )
    >>> victims(tasks, 1)
    (1,)
    """
    left = np.ones(len(tasks.zone), dtype=np.bool_)
    rules = tuple(rule_of(s) for s in strategies) or DEFAULT_CHAIN
    by_lot = bool(strategies) and any(r.spread_over or r == SPREAD_INSTANCES or r.random for r in rules)
    chosen: list[int] = []
    for turn in range(number):
        candidates = np.flatnonzero(left & tasks.may_stop)
        if not len(candidates):
            break
        for rule in rules:
            if len(candidates) == 1 and steps is None:
                break
            before, keys = candidates, _keys(rule, candidates, tasks, left, fleet, chosen)
            if len(before) > 1:
                at = min(int(draws[turn] * len(before)), len(before) - 1) if keys is None else 0
                candidates = before[at : at + 1] if keys is None else before[keys == keys.max()]
            if steps is not None:
                told = [""] * len(before) if keys is None else [f"{key} {_UNITS.get(rule, rule.name)}" for key in keys]
                kept = set(candidates.tolist())
                steps += [
                    VictimStep(t, turn, rule.name, t in kept, f) for t, f in zip(before.tolist(), told, strict=True)
                ]
        if by_lot and len(candidates) > 1:
            pick = int(candidates[min(int(draws[turn] * len(candidates)), len(candidates) - 1)])
        else:
            pick = int(candidates[-1])
        if steps is not None and len(candidates) > 1:
            name = "by lot" if by_lot else "the newest"
            steps += [VictimStep(t, turn, name, t == pick, "") for t in candidates.tolist()]
        chosen.append(pick)
        left[pick] = False
    return tuple(chosen)


def _keys(
    rule: Rule,
    candidates: NDArray[np.int64],
    tasks: ServiceTasksView,
    left: NDArray[np.bool_],
    fleet: FleetView | None,
    chosen: list[int],
) -> NDArray[np.int64] | None:
    """Return what a rule makes large, for each candidate; None where it draws lots."""
    if rule.random:
        return None
    if rule.spread_over is not None:
        codes = _codes(rule.spread_over, tasks, fleet)
        counts = np.bincount(
            codes[left] + 1, minlength=int(codes.max()) + 2
        )  # code -1: instances without the attribute
        return np.asarray(counts[codes[candidates] + 1], dtype=np.int64)
    if rule == SPREAD_INSTANCES:
        counts = np.bincount(tasks.row[left] + 1, minlength=int(tasks.row.max()) + 2)
        return np.asarray(counts[tasks.row[candidates] + 1], dtype=np.int64)
    return _left_over(rule, candidates, tasks, fleet, chosen)


def _codes(attribute: str, tasks: ServiceTasksView, fleet: FleetView | None) -> NDArray[np.int32]:
    if attribute == ZONE:
        return tasks.zone
    column: AttributeColumn | None = None if fleet is None else fleet.attributes.get(attribute)
    if column is None:
        return np.zeros(len(tasks.zone), dtype=np.int32)
    codes: NDArray[np.int32] = column.codes[tasks.row]
    return codes


def _left_over(
    rule: Rule, candidates: NDArray[np.int64], tasks: ServiceTasksView, fleet: FleetView | None, chosen: list[int]
) -> NDArray[np.int64]:
    """Return how much of a resource each candidate's instance would have left after the candidate and those chosen have gone."""
    if fleet is None:
        raise ValueError("a binpack strategy needs the fleet to choose what to stop")
    gives = tasks.cpu_units if rule == BINPACK_CPU else tasks.memory_mib
    free = (fleet.free_cpu_units if rule == BINPACK_CPU else fleet.free_memory_mib)[tasks.row[candidates]]
    gone = np.zeros(len(candidates), dtype=np.int64)
    for position in chosen:
        gone += np.where(tasks.row[candidates] == tasks.row[position], gives[position], 0)
    keys: NDArray[np.int64] = free + gone + gives[candidates]
    return keys


def fargate_zone(counts: Sequence[int], draw: float | None = None) -> int:
    """Return the zone of the next Fargate task: the one with the fewest tasks of the service at this capacity provider.

    Parameters
    ----------
    counts
        Tasks by zone, in the order of the zones of the service's subnets.
    draw
        A uniform draw from [0, 1) that decides among equals; without it the first of them is taken.

    Examples
    --------
    >>> fargate_zone([1, 0, 0]), fargate_zone([1, 0, 0], 0.7)
    (1, 2)
    """
    if not counts:
        raise ValueError("a Fargate task needs the zone of one subnet at least")
    return _among(counts, min(counts), draw)


def fargate_fullest_zone(counts: Sequence[int], may_stop: Sequence[bool], draw: float | None = None) -> int | None:
    """Return the zone that gives a task on scale-in: the one with the most, of those that have a task that may stop.

    >>> fargate_fullest_zone([1, 2, 2], [True, True, True]), fargate_fullest_zone([1, 2, 2], [True, False, False])
    (1, 0)
    """
    open_counts = [c if ok else -1 for c, ok in zip(counts, may_stop, strict=True)]
    if not open_counts or max(open_counts) < 0:
        return None
    return _among(open_counts, max(open_counts), draw)


def _among(counts: Sequence[int], value: int, draw: float | None) -> int:
    equals = [zone for zone, count in enumerate(counts) if count == value]
    return equals[0] if draw is None else equals[min(int(draw * len(equals)), len(equals) - 1)]
