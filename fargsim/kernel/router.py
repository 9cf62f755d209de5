"""The router's table: routable rows by number of outstanding requests, a bit each, and a rotating cursor.

Round robin keeps all rows on level 0, so that both rules are one search: on the lowest level in use, the first row
from the cursor on, around the end; the cursor then stands behind the chosen row.
"""

from __future__ import annotations

import numpy as np

from fargsim.kernel.jit import inlined, jit, trailing_zeros
from fargsim.kernel.layout import LEAST_OUTSTANDING, LEVELS, Arrays


@inlined
def level_of(a: Arrays, row: int) -> int:
    """Return the level a row belongs on."""
    if a.plane[0].routing == LEAST_OUTSTANDING:
        level: int = min(a.slots[row].outstanding, LEVELS - 1)
        return level
    return 0


@inlined
def enter(a: Arrays, row: int, level: int) -> None:
    """Put a row on a level."""
    a.levels[level, row >> 6] |= np.uint64(1) << np.uint64(row & 63)
    if level < a.plane[0].lowest:
        a.plane[0].lowest = level


@inlined
def drop(a: Arrays, row: int, level: int) -> None:
    """Take a row off its level."""
    a.levels[level, row >> 6] &= ~(np.uint64(1) << np.uint64(row & 63))


@inlined
def add_outstanding(a: Arrays, row: int, change: int) -> None:
    """Count one outstanding request more or less, and move the row with it."""
    s = a.slots[row]
    before = min(s.outstanding, LEVELS - 1)
    s.outstanding += change
    if s.routable == 1 and a.plane[0].routing == LEAST_OUTSTANDING:
        after = min(s.outstanding, LEVELS - 1)
        if after != before:
            drop(a, row, before)
            enter(a, row, after)


@jit
def least_of_top(a: Arrays, cursor: int, zone: int) -> int:
    """Search the top level, where rows differ in their number of outstanding requests, in a zone or (-1) in all."""
    rows = a.levels.shape[1] << 6
    best = -1
    for step in range(rows):
        row = cursor + step
        if row >= rows:
            row -= rows
        word = a.levels[LEVELS - 1, row >> 6]
        if zone >= 0:
            word &= a.masks[zone, row >> 6]
        word >>= np.uint64(row & 63)
        if word & np.uint64(1) and (best < 0 or a.slots[row].outstanding < a.slots[best].outstanding):
            best = row
    return best


@inlined
def pick(a: Arrays) -> int:
    """Return the row that gets the next request and turn the cursor; -1 where no row is routable."""
    plane = a.plane[0]
    if plane.routable == 0:
        return -1
    words = a.levels.shape[1]
    begin = plane.cursor >> 6
    behind = ~np.uint64(0) << np.uint64(plane.cursor & 63)
    level = plane.lowest
    at = begin
    word = a.levels[level, at] & behind
    left = words  # and then the first word again, for what stands before the cursor
    while word == np.uint64(0):
        if left == 0:
            level += 1
            at = begin
            word = a.levels[level, at] & behind
            left = words
        else:
            at = at + 1 if at + 1 < words else 0
            word = a.levels[level, at]
            left -= 1
    plane.lowest = level
    row = least_of_top(a, plane.cursor, -1) if level == LEVELS - 1 else (at << 6) + trailing_zeros(word)
    plane.cursor = row + 1 if row + 1 < words << 6 else 0
    return row
