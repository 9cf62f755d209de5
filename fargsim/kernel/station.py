"""One slot's own events: a worker given, a wait over, work done, a worker handed on.

The rules, and the order of floating point operations, are those of `fargsim.kernel.reference`.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from fargsim.kernel import heap
from fargsim.kernel.jit import inlined, jit
from fargsim.kernel.layout import CONNECTING, FIXED, FREE, NS, QUEUED, RUNNING, WAITING, Arrays, Outcome
from fargsim.kernel.router import add_outstanding
from fargsim.kernel.users import think

SERVED, FAILED, TIMED_OUT = int(Outcome.SERVED), int(Outcome.FAILED), int(Outcome.TIMED_OUT)
SHIFT, FIRST, LAST = 46, (1023 << 6) - 1, 2560  # see histogram.py; a test holds the two together


@inlined
def nanoseconds(instant_us: float) -> int:
    """Return an instant as whole nanoseconds, half to even."""
    whole: Any = np.int64(np.rint(instant_us * NS))
    nanos: int = whole
    return nanos


@inlined
def share(cores: float, speed: float, busy: int) -> float:
    """Return the work per microsecond that each of `busy` requests gets."""
    if busy <= cores:
        return speed
    return cores / busy * speed


@inlined
def attain(a: Arrays, row: int, now: float) -> None:
    """Bring a SHARED slot's attained service and busy time up to one of its own events."""
    s = a.slots[row]
    if s.busy > 0:
        span = now - s.last_us
        s.attained = s.attained + s.rate * span
        s.busy_core_us = s.busy_core_us + min(float(s.busy), s.cores) * span
    s.last_us = now


@inlined
def set_next(a: Arrays, row: int) -> None:
    """Work out the slot's next event: at equal instants work done comes before a wait over."""
    s = a.slots[row]
    when = np.inf
    if s.run_root >= 0:
        key = a.requests[s.run_root].key
        when = key if s.kind == FIXED else s.last_us + max(key - s.attained, 0.0) / s.rate
    s.wait_next = 0
    if s.wait_root >= 0:
        over = a.requests[s.wait_root].key
        if over < when:
            when = over
            s.wait_next = 1
    s.next_us = when


@inlined
def run(a: Arrays, row: int, item: int, now: float) -> None:
    """Begin the cpu phase in a SHARED slot."""
    s = a.slots[row]
    attain(a, row, now)
    s.busy += 1
    s.rate = share(s.cores, s.speed, s.busy)
    q = a.requests[item]
    q.phase = RUNNING
    q.key = s.attained + q.cpu
    s.run_root = heap.push(a.requests, s.run_root, item)


@inlined
def stop_running(a: Arrays, row: int) -> None:
    """Count one request less in the cpu phase of a SHARED slot."""
    s = a.slots[row]
    s.busy -= 1
    if s.busy == 0:
        s.attained = 0.0
    else:
        s.rate = share(s.cores, s.speed, s.busy)


@inlined
def start(a: Arrays, row: int, item: int, now: float) -> None:
    """Give a request a free worker."""
    s = a.slots[row]
    q = a.requests[item]
    s.in_worker += 1
    s.in_worker_ns -= nanoseconds(now)
    s.started += 1
    q.start_us = now
    if s.kind == FIXED:
        q.phase = RUNNING
        q.cpu_start_us = now + q.wait_us
        q.key = q.cpu_start_us + q.cpu / share(s.cores, s.speed, 1)
        s.run_root = heap.push(a.requests, s.run_root, item)
    elif q.wait_us > 0.0:
        q.phase = WAITING
        q.key = now + q.wait_us
        s.wait_root = heap.push(a.requests, s.wait_root, item)
    else:
        run(a, row, item, now)


@inlined
def enqueue(a: Arrays, row: int, item: int) -> None:
    """Put a request behind the others."""
    s = a.slots[row]
    q = a.requests[item]
    q.phase = QUEUED
    q.next = -1
    q.prev = s.queue_tail
    if s.queue_tail >= 0:
        a.requests[s.queue_tail].next = item
    else:
        s.queue_head = item
    s.queue_tail = item
    s.queued += 1


@inlined
def dequeue(a: Arrays, row: int, item: int) -> None:
    """Take a request out of the queue, wherever it stands."""
    s = a.slots[row]
    q = a.requests[item]
    if q.prev >= 0:
        a.requests[q.prev].next = q.next
    else:
        s.queue_head = q.next
    if q.next >= 0:
        a.requests[q.next].prev = q.prev
    else:
        s.queue_tail = q.prev
    s.queued -= 1


@inlined
def forget_user(a: Arrays, item: int, now: float) -> None:
    """Let the user go: take the request off the list of waiting users (kept only where there is a time-out)."""
    plane = a.plane[0]
    q = a.requests[item]
    q.alive = 0
    if plane.idle_us == 0:
        return
    a.requests[q.older].younger = q.younger
    a.requests[q.younger].older = q.older
    if plane.users > 0:  # down here: a closed loop always keeps the list
        think(a, q.user, now)


@inlined
def release(a: Arrays, item: int) -> None:
    """Give the record back to the pool."""
    plane = a.plane[0]
    a.requests[item].phase = FREE
    a.requests[item].next = plane.free
    plane.free = item
    plane.used -= 1


@jit
def write_outcome(
    a: Arrays, number: int, slot: int, outcome: int, arrival: int, start_us: float, end_us: float
) -> None:
    """Append one ending to the records (the caller has made sure of the room)."""
    plane = a.plane[0]
    out = a.outcomes[plane.recorded]
    out.request = number
    out.slot = slot
    out.outcome = outcome
    out.arrival_us = arrival
    out.start_us = np.int64(np.ceil(start_us))
    out.end_us = np.int64(np.ceil(end_us))
    plane.recorded += 1


@inlined
def note(a: Arrays, item: int, outcome: int, end_us: float) -> None:
    """Record how a request ended, where it is one of the sample."""
    sample = a.plane[0].sample
    if sample > 0:
        q = a.requests[item]
        if q.number % sample == 0:
            write_outcome(a, q.number, a.slots[q.row].slot, outcome, q.arrival_us, q.start_us, end_us)


@inlined
def answer(a: Arrays, row: int, item: int, now: float) -> None:
    """Tell the user, if there still is one, that the work is done."""
    q = a.requests[item]
    if q.alive == 0:
        return
    plane = a.plane[0]
    s = a.slots[row]
    took_ns = nanoseconds(now) - q.arrival_us * 1000
    if q.fails != 0:
        plane.failed += 1
        plane.failed_latency_ns += took_ns
        s.failed += 1
        note(a, item, FAILED, now)
    else:
        plane.served += 1
        plane.latency_ns += took_ns
        s.served += 1
        bits: Any = np.float64(now - q.arrival_us).view(np.int64)
        bucket: int = (bits >> SHIFT) - FIRST
        a.histogram[min(max(bucket, 0), LAST)] += 1
        note(a, item, SERVED, now)
    add_outstanding(a, row, -1)
    forget_user(a, item, now)


@inlined
def leave(a: Arrays, row: int, item: int, now: float) -> None:
    """Let a request that holds a worker go, and hand the worker on."""
    s = a.slots[row]
    now_ns = nanoseconds(now)
    s.in_worker -= 1
    s.in_worker_ns += now_ns
    s.in_task -= 1
    s.in_system_ns += now_ns
    release(a, item)
    head = s.queue_head
    if head >= 0:
        dequeue(a, row, head)
        start(a, row, head, now)


@jit
def give_up(a: Arrays, row: int, item: int, now: float) -> None:
    """Answer 504 where nothing has answered the attempt to connect; the task has never seen the request."""
    plane = a.plane[0]
    plane.timed_out += 1
    plane.connection_timed_out += 1
    a.slots[row].timed_out += 1
    a.terms[row].connection_errors += 1
    a.terms[row].connecting -= 1
    note(a, item, TIMED_OUT, now)
    add_outstanding(a, row, -1)
    forget_user(a, item, now)
    release(a, item)


@inlined
def step(a: Arrays, row: int) -> None:
    """Let the slot's next event happen."""
    s = a.slots[row]
    now = s.next_us
    if s.wait_next == 1:
        item = s.wait_root
        s.wait_root = heap.pop(a.requests, item)
        if a.requests[item].phase == CONNECTING:
            give_up(a, row, item, now)
        else:
            run(a, row, item, now)
    else:
        item = s.run_root
        if s.kind == FIXED:
            s.run_root = heap.pop(a.requests, item)
            s.fixed_ns += nanoseconds(now) - nanoseconds(a.requests[item].cpu_start_us)
        else:
            attain(a, row, now)
            s.attained = a.requests[item].key  # exactly: rounding must not pile up
            s.run_root = heap.pop(a.requests, item)
            stop_running(a, row)
        s.worked += 1
        answer(a, row, item, now)
        leave(a, row, item, now)
    set_next(a, row)
