"""A slot that takes no more: its queue is full, nothing listens there, or what is sent there vanishes."""

from __future__ import annotations

from fargsim.kernel import heap
from fargsim.kernel.calendar import relink
from fargsim.kernel.jit import jit
from fargsim.kernel.layout import BLACKHOLE, CONNECTING, GARBLE, REFUSE, Arrays, Outcome
from fargsim.kernel.router import add_outstanding
from fargsim.kernel.station import set_next, write_outcome

CUT_OFF, REFUSED_FULL = int(Outcome.CUT_OFF), int(Outcome.REFUSED_FULL)


@jit
def connect_in_vain(a: Arrays, row: int, number: int, arrival: int) -> int:
    """Let a request wait for a connection until it gives up; return its record.

    It stands among the slot's waits, holds no worker and is not in the task. The attempt ends at the idle time-out at
    the latest, so it needs no place among the users whom that one is for: its record is a ring of its own.
    """
    plane = a.plane[0]
    item: int = plane.free
    q = a.requests[item]
    plane.free = q.next
    plane.used += 1
    patience = plane.connect_us
    if plane.idle_us > 0:
        patience = min(patience, plane.idle_us)
    q.arrival_us = arrival
    q.number = number
    q.start_us = -1.0
    q.row = row
    q.fails = 0
    q.alive = 1
    q.younger = item
    q.older = item
    q.phase = CONNECTING
    q.key = float(arrival + patience)
    s = a.slots[row]
    s.wait_root = heap.push(a.requests, s.wait_root, item)
    a.terms[row].connecting += 1
    add_outstanding(a, row, 1)
    set_next(a, row)
    relink(a, row)
    return item


@jit
def turn_away(a: Arrays, row: int, number: int, arrival: int) -> int:
    """Answer for a slot that takes no more: 503 where it is full, 502 where nothing listens or understands, later where it is silent."""
    plane = a.plane[0]
    s = a.slots[row]
    if a.terms[row].mode == BLACKHOLE:
        return connect_in_vain(a, row, number, arrival)
    outcome = REFUSED_FULL
    if a.terms[row].mode == REFUSE or a.terms[row].mode == GARBLE:
        outcome = CUT_OFF
        plane.cut_off += 1
        if a.terms[row].mode == REFUSE:
            plane.connection_refused += 1
        else:
            plane.misunderstood += 1
        s.cut_off += 1
        a.terms[row].connection_errors += 1
    else:
        plane.refused_full += 1
        s.refused_full += 1
    if plane.sample > 0 and number % plane.sample == 0:
        write_outcome(a, number, s.slot, outcome, arrival, -1.0, float(arrival))
    return -1
