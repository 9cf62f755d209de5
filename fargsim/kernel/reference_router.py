"""The twin's router: which slot gets the next request, by rules in the order of their operations.

* *Candidates* are the routable slots by row; where requests do not cross zones, those of the zone the request enters
  by or, where that has none, of the next zone, cyclic, that has one.
* *Round robin* and *least outstanding requests* (of the candidates, those with the fewest) take the first one from the
  cursor on, around the end; the cursor then stands behind it. Each zone has a cursor of its own.
* *Round robin, thinned by weights*: a candidate of the greatest weight takes the request as it comes up. Another one first
  saves up its weight over the greatest, in whole parts of a TURN, one part at least; it takes the request when it
  has a TURN, which is then spent, else the next candidate comes up.
* *When ready* takes the first candidate from the cursor on that serves and has fewer requests than its most, those whose users are gone
  included; where there is none, nobody gets it and the cursor stays.
* *Weighted random* adds the candidates' weights up by row; the first up to which the sum exceeds the request's number
  times the whole (or is the whole) takes it.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence

from fargsim.kernel.layout import LEAST_OUTSTANDING, TURN, WEIGHTED_RANDOM, WHEN_READY
from fargsim.kernel.reference_slot import Slot


class Router:
    """The rule and its cursors."""

    def __init__(self, routing: int, cross_zone: bool) -> None:
        self.routing, self.cross_zone = routing, cross_zone
        self.cursors: dict[int, int] = {}  # by zone; -1: all zones together

    def route(self, slots: Sequence[Slot], draw: float, entry: int) -> Slot | None:
        """Choose one of the open slots, which come by row."""
        candidates = [slot for slot in slots if slot.routable]
        zone = -1
        if candidates and not self.cross_zone:
            there = {slot.zone for slot in candidates}
            zone = min(there, key=lambda z: (z < entry, z))
            candidates = [slot for slot in candidates if slot.zone == zone]
        if not candidates:
            return None
        if self.routing == WEIGHTED_RANDOM:
            return by_weight(candidates, draw)
        cursor = self.cursors.get(zone, 0)
        if self.routing == LEAST_OUTSTANDING:
            least = min(slot.outstanding() for slot in candidates)
            candidates = [slot for slot in candidates if slot.outstanding() == least]
        candidates = [s for s in candidates if s.row >= cursor] + [s for s in candidates if s.row < cursor]
        if self.routing == WHEN_READY:
            candidates = [slot for slot in candidates if slot.is_ready()][:1]
            if not candidates:
                return None
        chosen = candidates[0] if self.routing == LEAST_OUTSTANDING else by_turns(candidates)
        self.cursors[zone] = chosen.row + 1
        return chosen


def by_turns(candidates: Sequence[Slot]) -> Slot:
    """Return the first whose turn it is."""
    heaviest = max(slot.weight for slot in candidates)
    for slot in itertools.cycle(candidates):
        if slot.weight == heaviest:
            return slot
        slot.credit += max(1, round(slot.weight / heaviest * TURN))
        if slot.credit >= TURN:
            slot.credit -= TURN
            return slot
    raise AssertionError("a cycle of candidates has no end")


def by_weight(candidates: Sequence[Slot], draw: float) -> Slot:
    """Return the one a number in [0, 1) falls on."""
    upto = list(itertools.accumulate(slot.weight for slot in candidates))
    total = upto[-1]
    aim = draw * total
    return next(slot for slot, u in zip(candidates, upto, strict=True) if u > aim or u == total)
