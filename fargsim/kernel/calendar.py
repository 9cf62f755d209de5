"""The calendar: a ring of narrow buckets over time that says which rows have an event due.

One entry per row, in the bucket of its next event; rows whose event is a whole turn of the ring away share buckets
with nearer ones and are passed over. How wide a bucket is changes the speed, never the answer.

Source: R. Brown, "Calendar queues", Communications of the ACM 31 (1988).
"""

from __future__ import annotations

import numpy as np

from fargsim.kernel.jit import inlined, jit, trailing_zeros
from fargsim.kernel.layout import ROUND_ROBIN, Arrays

FAR = 2.0**62
"""Places from here on are no places: a double that large does not fit an integer."""


@inlined
def unlink(a: Arrays, row: int) -> None:
    """Take a row out of the calendar."""
    s = a.slots[row]
    if s.bucket >= 0:
        after = s.calendar_next
        before = s.calendar_prev
        if before >= 0:
            a.slots[before].calendar_next = after
        else:
            a.calendar[s.bucket] = after
            if after < 0:
                a.marks[s.bucket >> 6] &= ~(np.uint64(1) << np.uint64(s.bucket & 63))
        if after >= 0:
            a.slots[after].calendar_prev = before
        s.bucket = -1


@inlined
def relink(a: Arrays, row: int) -> None:
    """Put a row into the bucket of its next event; where slots catch up late there is no calendar."""
    if a.plane[0].routing == ROUND_ROBIN:
        return
    s = a.slots[row]
    unlink(a, row)
    place = s.next_us * a.plane[0].inverse_width
    if place < FAR:
        bucket = np.int64(place) & (a.calendar.size - 1)
        head = a.calendar[bucket]
        s.calendar_next = head
        s.calendar_prev = -1
        if head >= 0:
            a.slots[head].calendar_prev = row
        a.calendar[bucket] = row
        a.marks[bucket >> 6] |= np.uint64(1) << np.uint64(bucket & 63)
        s.bucket = bucket


@jit
def next_event(a: Arrays, limit: float) -> float:
    """Return the instant of the first of all slots' events, or `limit` where none is before it; changes nothing."""
    plane = a.plane[0]
    mask = a.calendar.size - 1
    bucket = plane.bucket
    last = min(np.int64(limit * plane.inverse_width), bucket + mask)
    first = limit
    while bucket <= last:
        marks = a.marks[(bucket & mask) >> 6] >> np.uint64(bucket & 63)
        if marks == np.uint64(0):
            bucket = (bucket | 63) + 1
            continue
        bucket += trailing_zeros(marks)
        if bucket > last:
            break
        row = a.calendar[bucket & mask]
        while row >= 0:
            first = min(first, a.slots[row].next_us)
            row = a.slots[row].calendar_next
        # what was found may belong to a later turn of the ring: then a nearer event may stand in a bucket to come
        if first < limit and np.int64(first * plane.inverse_width) <= bucket:
            break
        bucket += 1
    return first
