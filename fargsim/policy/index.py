"""Placement over large fleets without looking at every instance.

A plan that is used again and again gets an index: heaps of feasible rows, one for each combination of values that the chain spreads
over. Inside such a class every spread rule says the same of all rows, so the order is that of what belongs to a row alone (free cpu,
free memory, tasks of the group, registration), and the best row of the whole fleet is the best of the classes' best rows. A change
touches one row; the fleet keeps a journal of touched rows, and an index reads it before it answers.

The index is a shortcut and nothing more: it gives the row that the rules over columns give, or declines.
"""

from __future__ import annotations

from collections.abc import Callable
from heapq import heapify, heappop, heappush
from typing import TYPE_CHECKING

from fargsim.policy.views import FleetView, GroupView, Mask

if TYPE_CHECKING:
    from fargsim.policy.placement import PlacementPlan

BACKLOG_MAX = 40
"""Touched rows that cost as much to read as one placement over columns."""
USES_SHARE = 16
"""A plan is indexed when its uses since the last change of the fleet exceed a sixteenth of the instances."""
CLASSES_MAX = 64

_Entry = tuple[int, ...]
_Number = Callable[[int], int]


class PlacementIndex:
    """Heaps of feasible rows of one plan and one task group.

    Parameters
    ----------
    static, feasible
        Columns over the instances: which pass the checks on what rarely changes, and which pass all.
    """

    def __init__(self, plan: PlacementPlan, fleet: FleetView, group: GroupView, static: Mask, feasible: Mask) -> None:
        assert fleet.journal is not None
        self.static = static
        self._journal = fleet.journal
        self._read = len(fleet.journal)
        self._tasks = group.tasks
        self._keys: tuple[_Number, ...] = tuple(
            rule.column(fleet, group).item for rule in plan.rules if rule.column is not None
        )
        self._checks = tuple(check.row_passes for check in plan.dynamic)
        spread = [rule.spread_over for rule in plan.rules if rule.spread_over is not None]
        at_class, at_row = iter(range(len(plan.rules))), iter(range(len(plan.rules)))
        self._parts: tuple[tuple[_Number | None, int], ...] = tuple(
            (None, next(at_row))
            if rule.spread_over is None
            else (group.by_value[rule.spread_over].item, next(at_class))
            for rule in plan.rules
        )
        """Of each rule: the kept sums and the place of its value among a class's codes, or its place in an entry."""
        columns = [fleet.attributes[name].codes.tolist() for name in spread]
        numbers: dict[tuple[int, ...], int] = {}
        codes_of_rows = zip(*columns, strict=True) if columns else (() for _ in range(fleet.size))
        self._class_of = [numbers.setdefault(codes, len(numbers)) for codes in codes_of_rows]
        self._codes = list(numbers)
        self._heaps: list[list[_Entry]] = [[] for _ in numbers]
        self._entries: list[_Entry | None] = [None] * fleet.size
        self.candidates = 0
        for row in feasible.nonzero()[0].tolist():
            entry = (*(key(row) for key in self._keys), row)
            self._entries[row] = entry
            self._heaps[self._class_of[row]].append(entry)
            self.candidates += 1
        for heap in self._heaps:
            heapify(heap)

    def matches(self, fleet: FleetView, group: GroupView, static: Mask) -> bool:
        """Return whether the index is of this fleet and group, and not too far behind."""
        return (
            self.static is static
            and self._journal is fleet.journal
            and self._tasks is group.tasks
            and len(self._journal) - self._read <= BACKLOG_MAX
        )

    def best(self, fleet: FleetView, group: GroupView) -> int:
        """Return the row the chain chooses, -1 where none is feasible."""
        journal = self._journal
        while self._read < len(journal):
            self._touch(journal[self._read], fleet, group)
            self._read += 1
        best: tuple[int, ...] | None = None
        entries = self._entries
        for codes, heap in zip(self._codes, self._heaps, strict=True):
            while heap and entries[heap[0][-1]] is not heap[0]:
                heappop(heap)
            if heap:
                key = self._full_key(codes, heap[0])
                if best is None or key < best:
                    best = key
        return -1 if best is None else best[-1]

    def _full_key(self, codes: tuple[int, ...], entry: _Entry) -> tuple[int, ...]:
        """Return the lexicographic key of a class's best row, with the classes' counts at their places in the chain."""
        return (*[entry[at] if sums is None else sums(codes[at]) for sums, at in self._parts], entry[-1])

    def _touch(self, row: int, fleet: FleetView, group: GroupView) -> None:
        """Read one row anew."""
        if self._entries[row] is not None:
            self.candidates -= 1
            self._entries[row] = None
        if not (self.static.item(row) and fleet.schedulable.item(row)):
            return
        for check in self._checks:
            assert check is not None
            if not check(fleet, group, row):
                return
        entry = (*(key(row) for key in self._keys), row)
        self._entries[row] = entry
        self.candidates += 1
        heap = self._heaps[self._class_of[row]]
        heappush(heap, entry)
        if len(heap) > 2 * len(self._entries) + 64:  # stale entries are dropped before they fill the memory
            heap[:] = [e for e in heap if self._entries[e[-1]] is e]
            heapify(heap)


class IndexSlot:
    """How often a plan has been used since the fleet last changed, and its index once there is one."""

    __slots__ = ("index", "uses")

    def __init__(self) -> None:
        self.uses = 0
        self.index: PlacementIndex | None = None


def indexable(plan: PlacementPlan, fleet: FleetView, group: GroupView) -> bool:
    """Return whether a plan can be indexed on this fleet: no lots, no check on tasks of others, kept sums, few classes."""
    if any(rule.random for rule in plan.rules) or any(check.row_passes is None for check in plan.dynamic):
        return False
    classes = 1
    for name in plan.spread_over:
        column = fleet.attributes.get(name)
        if column is None or name not in group.by_value or bool((column.codes < 0).any()):
            return False
        classes *= len(column.values)
    return classes <= CLASSES_MAX
