"""The plane's clock: time-outs, slots' events and arrivals in order; and what the control plane does to a slot.

Slots meet only in the router, so between two arrivals each slot's events can run on their own, in any order of
slots. A calendar (a ring of buckets over time, one entry per slot) says which slots have one due.
"""

from __future__ import annotations

import numpy as np

from fargsim.kernel import heap
from fargsim.kernel.calendar import relink, unlink
from fargsim.kernel.choice import choose
from fargsim.kernel.connect import turn_away
from fargsim.kernel.jit import inlined, jit, trailing_zeros
from fargsim.kernel.layout import (
    CONNECTING,
    FIXED,
    FREE,
    NOBODY,
    QUEUED,
    ROUND_ROBIN,
    RUNNING,
    SHARED,
    WAITING,
    Arrays,
    Chunk,
    Outcome,
)
from fargsim.kernel.router import add_outstanding, drop, enter, level_of, pick
from fargsim.kernel.station import (
    attain,
    dequeue,
    enqueue,
    forget_user,
    leave,
    nanoseconds,
    note,
    set_next,
    share,
    start,
    step,
    stop_running,
    write_outcome,
)

CUT_OFF, TIMED_OUT = int(Outcome.CUT_OFF), int(Outcome.TIMED_OUT)
NO_TARGET = int(Outcome.NO_TARGET)


@inlined
def catch_up(a: Arrays, row: int, until: float) -> None:
    """Let all the slot's events up to an instant happen."""
    while a.slots[row].next_us <= until:
        step(a, row)
    relink(a, row)


@jit
def catch_up_apart(a: Arrays, row: int, until: float) -> None:
    """Do the same as a call of its own, where it is rare: inlined code is what takes long to compile."""
    catch_up(a, row, until)


@jit
def take_out(a: Arrays, row: int, item: int, now: float) -> None:
    """Take a request out of its slot before its work is done; its worker goes to the next in the queue."""
    s = a.slots[row]
    q = a.requests[item]
    if q.phase == QUEUED:
        dequeue(a, row, item)
        s.in_task -= 1
        s.in_system_ns += nanoseconds(now)
        q.phase = FREE
        q.next = a.plane[0].free
        a.plane[0].free = item
        a.plane[0].used -= 1
        return
    if q.phase == WAITING:
        s.wait_root = heap.remove(a.requests, s.wait_root, item)
    else:
        s.run_root = heap.remove(a.requests, s.run_root, item)
        if s.kind == FIXED:
            s.fixed_ns += max(nanoseconds(now) - nanoseconds(q.cpu_start_us), 0)
        else:
            attain(a, row, now)
            stop_running(a, row)
    leave(a, row, item, now)


@jit
def time_out(a: Arrays, item: int, now: float) -> None:
    """Answer 504 for a request at its deadline; its slot's events up to then have happened."""
    row = a.requests[item].row
    a.plane[0].timed_out += 1
    a.slots[row].timed_out += 1
    note(a, item, TIMED_OUT, now)
    forget_user(a, item, now)
    add_outstanding(a, row, -1)
    if a.plane[0].cancel == 1:
        take_out(a, row, item, now)
        set_next(a, row)
        relink(a, row)


@jit
def time_outs(a: Arrays, until: int) -> None:
    """Let all deadlines up to an instant pass, in order of arrival."""
    plane = a.plane[0]
    while a.requests[NOBODY].younger != NOBODY:
        item = a.requests[NOBODY].younger
        deadline = a.requests[item].arrival_us + plane.idle_us
        if deadline > until:
            return
        catch_up_apart(a, a.requests[item].row, float(deadline))
        if a.requests[NOBODY].younger == item:
            time_out(a, item, float(deadline))


@inlined
def settle(a: Arrays, until: int) -> None:
    """Let everything but arrivals happen, up to and including an instant."""
    plane = a.plane[0]
    if plane.idle_us > 0:
        oldest = a.requests[NOBODY].younger
        if oldest != NOBODY and a.requests[oldest].arrival_us + plane.idle_us <= until:
            time_outs(a, until)
    if plane.routing == ROUND_ROBIN:
        return  # nobody asks how the slots are: each catches up at its own next arrival
    now = float(until)
    mask = a.calendar.size - 1
    last = np.int64(now * plane.inverse_width)
    bucket = max(plane.bucket, last - mask)
    while bucket <= last:
        # buckets are narrow, so that one gone by holds rows that are due and little else: find those in use by their marks
        marks = a.marks[(bucket & mask) >> 6] >> np.uint64(bucket & 63)
        if marks == np.uint64(0):
            bucket = (bucket | 63) + 1
            continue
        bucket += trailing_zeros(marks)
        if bucket > last:
            break
        row = a.calendar[bucket & mask]
        while row >= 0:
            after = a.slots[row].calendar_next
            if a.slots[row].next_us <= now:
                catch_up(a, row, now)
            row = after
        bucket += 1
    plane.bucket = last


@inlined
def admit(a: Arrays, chunk: Chunk, i: int, arrival: int, special: bool) -> int:
    """Route one request and let it in (return its record), or refuse it (return -1)."""
    plane = a.plane[0]
    number = plane.arrived
    plane.arrived += 1
    row = choose(a, chunk, i) if special else pick(a)
    if row < 0:
        plane.no_target += 1
        if plane.sample > 0 and number % plane.sample == 0:
            write_outcome(a, number, -1, NO_TARGET, arrival, -1.0, float(arrival))
        return -1
    s = a.slots[row]
    if plane.routing == ROUND_ROBIN:
        catch_up(a, row, float(arrival))
    s.routed += 1
    if s.in_worker >= s.workers and s.queued >= s.queue_limit:
        return turn_away(a, row, number, arrival)
    at = i
    if chunk.stride > 0:
        at += a.terms[row].profile * chunk.stride
    item: int = plane.free
    q = a.requests[item]
    plane.free = q.next
    plane.used += 1
    q.arrival_us = arrival
    q.number = number
    q.cpu = chunk.cpu_us[at]
    q.wait_us = chunk.wait_us[at] if chunk.wait_us.size > 0 else 0.0
    q.start_us = -1.0
    q.row = row
    q.fails = int(chunk.fails[at]) if chunk.fails.size > 0 else 0
    q.alive = 1
    if plane.idle_us > 0:
        newest = a.requests[NOBODY].older
        q.younger = NOBODY
        q.older = newest
        a.requests[newest].younger = item
        a.requests[NOBODY].older = item
    s.in_task += 1
    s.in_system_ns -= arrival * 1000
    add_outstanding(a, row, 1)
    if s.in_worker < s.workers:
        start(a, row, item, float(arrival))
        set_next(a, row)
        relink(a, row)
    else:
        enqueue(a, row, item)
    return item


@jit
def run_chunk(a: Arrays, chunk: Chunk, begin: int, until: int, rows: int) -> int:
    """Serve a chunk's arrivals before an instant; with `rows` not negative, let all else up to it happen too.

    Returns the position it came to; its complement (~) when a pool was full and it must be called again.
    """
    plane = a.plane[0]
    special = plane.special == 1
    i = begin
    while True:
        here = i < chunk.arrivals_us.size and chunk.arrivals_us[i] < until
        if not here and i == chunk.arrivals_us.size and rows < 0:
            return i
        if here and plane.free < 0:
            return ~i
        if plane.sample > 0 and a.outcomes.size - plane.recorded < plane.used + 1:
            return ~i
        now = chunk.arrivals_us[i] if here else until
        settle(a, now)
        if not here:
            if plane.routing == ROUND_ROBIN:
                for row in range(rows):
                    catch_up_apart(a, row, float(until))
            return i
        admit(a, chunk, i, now, special)
        i += 1


@jit
def route(a: Arrays, row: int, routable: int) -> None:
    """Let the router use a row, or no longer."""
    plane = a.plane[0]
    if a.slots[row].routable == routable:
        return
    a.slots[row].routable = routable
    if routable == 1:
        plane.routable += 1
        enter(a, row, level_of(a, row))
    else:
        plane.routable -= 1
        drop(a, row, level_of(a, row))


@jit
def close(a: Arrays, row: int, now: float) -> int:
    """Cut off everything in a slot; return how many users lost their request."""
    route(a, row, 0)
    s = a.slots[row]
    now_ns = nanoseconds(now)
    lost = 0
    if s.kind == SHARED:
        attain(a, row, now)
    for item in range(a.requests.size):
        q = a.requests[item]
        if q.phase == FREE or q.row != row:
            continue
        if q.alive == 1:
            lost += 1
            note(a, item, CUT_OFF, now)
            forget_user(a, item, now)
        if q.phase != CONNECTING:
            s.in_system_ns += now_ns
            if q.phase != QUEUED:
                s.in_worker_ns += now_ns
                if s.kind == FIXED:
                    s.fixed_ns += max(now_ns - nanoseconds(q.cpu_start_us), 0)
        q.phase = FREE
        q.next = a.plane[0].free
        a.plane[0].free = item
        a.plane[0].used -= 1
    a.plane[0].cut_off += lost
    s.cut_off += lost
    s.outstanding = 0
    a.terms[row].connecting = 0
    s.in_task = 0
    s.in_worker = 0
    s.queued = 0
    s.busy = 0
    s.open = 0
    s.next_us = np.inf
    unlink(a, row)
    return lost


@jit
def set_rate(a: Arrays, row: int, now: float, cores: float, speed: float) -> None:
    """Change a slot's cores or speed; from then on its work is shared by attained service."""
    s = a.slots[row]
    if s.kind == SHARED:
        attain(a, row, now)
    else:
        rate = share(s.cores, s.speed, 1)
        held = s.run_root
        s.kind = SHARED
        s.run_root = -1
        s.last_us = now
        s.attained = 0.0
        # the heap is taken apart by popping, so equal keys keep the order the twin cannot see either
        while held >= 0:
            item = held
            held = heap.pop(a.requests, item)
            q = a.requests[item]
            if q.cpu_start_us > now:
                q.phase = WAITING
                q.key = q.cpu_start_us
                s.wait_root = heap.push(a.requests, s.wait_root, item)
            else:
                q.phase = RUNNING
                s.fixed_ns += nanoseconds(now) - nanoseconds(q.cpu_start_us)
                s.busy += 1
                q.key = (q.key - now) * rate
                s.run_root = heap.push(a.requests, s.run_root, item)
        s.busy_core_us = float(s.fixed_ns) / 1000.0 * min(1.0, s.cores)
        s.fixed_ns = 0
    s.cores = cores
    s.speed = speed
    s.rate = share(cores, speed, max(s.busy, 1))
    set_next(a, row)
    relink(a, row)


@jit
def rebuild(a: Arrays, rows: int, now: float, inverse_width: float) -> None:
    """Fill the router's table and the calendar afresh, after either has changed its size."""
    plane = a.plane[0]
    a.levels[:] = 0
    a.calendar[:] = -1
    a.marks[:] = 0
    plane.lowest = 0
    plane.inverse_width = inverse_width
    plane.bucket = np.int64(now * inverse_width)
    for row in range(rows):
        s = a.slots[row]
        s.bucket = -1
        if s.open == 1:
            relink(a, row)
            if s.routable == 1:
                enter(a, row, level_of(a, row))
