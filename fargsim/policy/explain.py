"""Placement told step by step: what every check and every rule said of every instance.

The answers are those of `fargsim.policy.placement.place`; this is the slow way to them, for records in full and for teaching.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fargsim.policy.filters import value_of
from fargsim.policy.placement import NoPlacement, Place, PlacementPlan, why_not
from fargsim.policy.strategies import Rule
from fargsim.policy.views import FleetView, GroupView


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
    needed, found
        What the step asked for and what the instance had, in words with units; empty where there is no figure.
    """

    row: int
    step: str
    passed: bool
    reason: str | None
    needed: str = ""
    found: str = ""


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
        for r, passed in zip(rows.tolist(), ok.tolist(), strict=True):
            reason = None if passed else check.reason
            steps.append(Step(r, check.name, passed, reason, check.needed, check.found(fleet, group, r)))
        rows = rows[ok]
    found = len(rows)
    if not found:
        return why_not(plan, fleet, group), tuple(steps)
    for rule in plan.rules:
        kept = rule.refine(rows, fleet, group, draw)
        inside = set(kept.tolist())
        asked, has = _figures(rule, rows, kept, fleet, group)
        steps += [
            Step(r, rule.name, r in inside, None, asked, text) for r, text in zip(rows.tolist(), has, strict=True)
        ]
        rows = kept
    if len(rows) > 1:
        steps += [
            Step(r, "registration order", r == int(rows[0]), None, "the oldest", f"number {at}")
            for at, r in enumerate(rows.tolist(), start=1)
        ]
    return Place(int(rows[0]), found), tuple(steps)


def explain_row(plan: PlacementPlan, fleet: FleetView, group: GroupView, row: int) -> tuple[Step, ...]:
    """Say what the checks of a plan say of one instance, to the first it fails: how StartTask looks at the instance it is given."""
    steps = []
    for check in plan.checks:
        passed = bool(check.passes(fleet, group)[row])
        reason = None if passed else check.reason
        steps.append(Step(row, check.name, passed, reason, check.needed, check.found(fleet, group, row)))
        if not passed:
            break
    return tuple(steps)


def _figures(
    rule: Rule, rows: NDArray[np.int64], kept: NDArray[np.int64], fleet: FleetView, group: GroupView
) -> tuple[str, list[str]]:
    """Return what a rule looks for among its candidates, and what each of them has."""
    if rule.random:
        return "a lot", [""] * len(rows)
    if rule.spread_over is not None:
        column = fleet.attributes.get(rule.spread_over)
        if column is None:
            return "", [""] * len(rows)
        counts = group.per_value(rule.spread_over, column)
        without = int(group.tasks[column.codes < 0].sum())
        texts = []
        for row in rows.tolist():
            value = value_of(column, row)
            number = without if value is None else int(counts[column.codes[row]])
            texts.append(f"{number} of the group in {value or 'no value'}")
        return "the fewest", texts
    assert rule.column is not None
    has = [f"{number} {rule.unit}" for number in rule.column(fleet, group)[rows].tolist()]
    return "the least", has
