"""The router's other ways: by weight, in zones, by who is ready. Runs that need none of these never come here.

Weights, masks and the number of routable rows of each zone are worked out between two runs, after every change.
"""

from __future__ import annotations

import numpy as np

from fargsim.kernel.jit import inlined, jit, trailing_zeros
from fargsim.kernel.layout import LEAST_OUTSTANDING, LEVELS, SERVE, TURN, Arrays, Chunk
from fargsim.kernel.router import least_of_top


@inlined
def zone_of(a: Arrays, entry: int) -> int:
    """Return the first zone from the entry on, around the end, that has a routable row; -1: there is none."""
    zones = a.zones.size
    begin = entry if entry < zones else 0
    for step in range(zones):
        zone = begin + step
        if zone >= zones:
            zone -= zones
        if a.zones[zone].routable > 0:
            return zone
    return -1


@inlined
def by_weight(a: Arrays, zone: int, draw: float) -> int:
    """Return the first row up to which the weights exceed that part of their sum."""
    rows = a.weights.shape[1]
    total = a.weights[zone, rows - 1]
    aim = draw * total  # may be rounded up to the whole of it: then the last row with a weight
    low = 0
    high = rows - 1
    while low < high:
        middle = (low + high) >> 1
        if a.weights[zone, middle] > aim or a.weights[zone, middle] == total:
            high = middle
        else:
            low = middle + 1
    return low


@inlined
def next_of(a: Arrays, level: int, zone: int, cursor: int) -> int:
    """Return a zone's first row on a level from the cursor on, around the end; -1: there is none."""
    words = a.levels.shape[1]
    at = cursor >> 6
    word = a.levels[level, at] & a.masks[zone, at] & (~np.uint64(0) << np.uint64(cursor & 63))
    for _ in range(words):
        if word != np.uint64(0):
            break
        at = at + 1 if at + 1 < words else 0
        word = a.levels[level, at] & a.masks[zone, at]
    if word == np.uint64(0):
        return -1
    return (at << 6) + trailing_zeros(word)


@inlined
def by_turns(a: Arrays, zone: int, cursor: int) -> int:
    """Return the first row from the cursor on whose turn it is: one of less weight saves up for it as it is passed."""
    rows = a.levels.shape[1] << 6
    row = next_of(a, 0, zone, cursor)
    while True:
        t = a.terms[row]
        if t.weight == a.zones[zone].heaviest:
            return row
        t.credit += max(1, np.int64(np.rint(t.weight / a.zones[zone].heaviest * TURN)))
        if t.credit >= TURN:
            t.credit -= TURN
            return row
        row = next_of(a, 0, zone, row + 1 if row + 1 < rows else 0)


@inlined
def is_empty(a: Arrays, level: int) -> bool:
    """Tell whether no row, of whichever zone, is on a level."""
    used = np.uint64(0)
    for at in range(a.levels.shape[1]):
        used |= a.levels[level, at]
    return bool(used == np.uint64(0))


@jit
def least_in(a: Arrays, zone: int, cursor: int) -> int:
    """Return the zone's first row from the cursor on with the fewest outstanding requests."""
    plane = a.plane[0]
    while plane.lowest < LEVELS - 1 and is_empty(a, plane.lowest):
        plane.lowest += 1
    level = plane.lowest
    while level < LEVELS - 1:
        row = next_of(a, level, zone, cursor)
        if row >= 0:
            return row
        level += 1
    return least_of_top(a, cursor, zone)


@jit
def ready_in(a: Arrays, zone: int, cursor: int) -> int:
    """Return the zone's first row from the cursor on that is ready; -1: none is."""
    rows = a.levels.shape[1] << 6
    first = next_of(a, 0, zone, cursor)
    row = first
    while True:
        if a.terms[row].mode == SERVE and a.slots[row].in_task < a.terms[row].max_concurrency:
            return row
        row = next_of(a, 0, zone, row + 1 if row + 1 < rows else 0)
        if row == first:
            return -1


@jit
def choose(a: Arrays, chunk: Chunk, i: int) -> int:
    """Return the row that gets the chunk's i-th request, and turn the zone's cursor; -1 where no row is routable."""
    plane = a.plane[0]
    zone = zone_of(a, int(chunk.entry[i]) if plane.zoned == 1 else 0)
    if zone < 0:
        return -1
    if plane.weighted == 1:
        return by_weight(a, zone, chunk.draw[i])
    cursor = a.zones[zone].cursor if plane.zoned == 1 else plane.cursor
    if plane.ready == 1:
        row = ready_in(a, zone, cursor)
        if row < 0:
            plane.not_ready += 1
            return -1
    else:
        row = least_in(a, zone, cursor) if plane.routing == LEAST_OUTSTANDING else by_turns(a, zone, cursor)
    behind = row + 1 if row + 1 < a.levels.shape[1] << 6 else 0
    if plane.zoned == 1:
        a.zones[zone].cursor = behind
    else:
        plane.cursor = behind
    return row
