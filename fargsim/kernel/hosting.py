"""Planes whose slots share hosts, all together: one event at a time, the first of all hosts, time-outs and arrivals.

The rules, and the order of floating point operations, are those of `fargsim.kernel.reference_hosts`. Hosts wait in a binary heap by
the instant of their first event; the order of equal instants of two hosts does not matter, they meet in the routers only.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, cast

import numpy as np
import numpy.typing as npt

from fargsim.kernel.advance import admit, time_out
from fargsim.kernel.host_layout import DONE, GRANTED, GROW, NEEDS_DEMANDS, NEXT_CHUNK
from fargsim.kernel.jit import entry, inlined, jit, source_digest
from fargsim.kernel.lanes import arrays_of, chunk_of
from fargsim.kernel.layout import NOBODY, Arrays, Floats, Ints, Records
from fargsim.kernel.station import attain, set_next, share, step
from fargsim.kernel.users import think, wake


class HostArrays(NamedTuple):
    """The whole state of the hosts."""

    table: Ints
    """Where the planes' arrays lie, see `fargsim.kernel.lanes`."""
    lanes: Records
    """LANE, one row a plane."""
    hosts: Records
    """HOST."""
    members: Records
    """MEMBER."""
    heap: npt.NDArray[np.int32]
    """Open hosts, a binary heap by their next event."""
    size: Ints
    """Shape (2,): hosts in the heap; the watched member that has been given other cores, -1: none."""
    at_us: Floats
    """Shape (1,): the instant at which a run stopped."""


@inlined
def is_before(h: HostArrays, one: int, other: int) -> bool:
    """Tell whether a host's next event comes before another's."""
    sooner: bool = h.hosts[one].next_us < h.hosts[other].next_us
    return sooner


@jit
def sift(h: HostArrays, host: int) -> None:
    """Put a host where it belongs in the heap, after its next event has changed."""
    place = h.hosts[host].place
    while place > 0:
        above = h.heap[(place - 1) >> 1]
        if not is_before(h, host, above):
            break
        h.heap[place] = above
        h.hosts[above].place = place
        place = (place - 1) >> 1
    while 2 * place + 1 < h.size[0]:
        below = 2 * place + 1
        if below + 1 < h.size[0] and is_before(h, h.heap[below + 1], h.heap[below]):
            below += 1
        if not is_before(h, h.heap[below], host):
            break
        h.heap[place] = h.heap[below]
        h.hosts[h.heap[place]].place = place
        place = below
    h.heap[place] = host
    h.hosts[host].place = place


@jit
def give(h: HostArrays, member: int, cores: float, now: float) -> None:
    """Give a member other cores from now on."""
    m = h.members[member]
    if m.lane >= 0:
        a = arrays_of(h.table, m.lane)
        s = a.slots[m.row]
        attain(a, m.row, now)
        s.cores = cores
        s.rate = share(cores, s.speed, s.busy)
        set_next(a, m.row)
        m.next_us = s.next_us
    else:
        m.used_core_us = m.used_core_us + min(m.demand, m.cores) * (now - m.last_us)
        m.last_us = now
        if m.watch == 1:
            h.size[1] = member
    m.cores = cores


@jit
def level_of(h: HostArrays, host: int) -> float:
    """Return the cores for each unit of weight where a host is short of cores, and mark who is short; inf: it is not."""
    cores = h.hosts[host].cores
    wanted = 0.0
    weight = 0.0
    short = 0
    at = h.hosts[host].first
    while at >= 0:
        m = h.members[at]
        m.claim = min(m.demand, m.most)
        wanted = wanted + m.claim
        m.short = 0
        if m.claim > 0.0:
            m.short = 1
            short += 1
            weight = weight + m.weight
        at = m.next
    if wanted <= cores:
        return np.inf
    left = cores
    level = np.inf
    while short > 0:
        level = left / weight
        served = 0
        at = h.hosts[host].first
        while at >= 0:
            m = h.members[at]
            if m.short == 1 and m.claim <= m.weight * level:
                m.short = 0
                left = left - m.claim
                weight = weight - m.weight
                served += 1
            at = m.next
        if served == 0:
            break
        short -= served
    return level


@jit
def share_out(h: HostArrays, host: int, now: float) -> None:
    """Give everybody on a host his part, and work out when something happens there next."""
    if h.hosts[host].cores < np.inf:
        level = level_of(h, host)
        at = h.hosts[host].first
        while at >= 0:
            m = h.members[at]
            if m.demand > 0.0:
                cores = m.weight * level if level < np.inf and m.short == 1 else m.most
                if cores != m.cores:
                    give(h, at, cores, now)
            at = m.next
    first = np.inf
    at = h.hosts[host].first
    while at >= 0:
        first = min(first, h.members[at].next_us)
        at = h.members[at].next
    if first != h.hosts[host].next_us:
        h.hosts[host].next_us = first
        sift(h, host)


@inlined
def look(h: HostArrays, a: Arrays, member: int) -> None:
    """See how a member's slot stands."""
    m = h.members[member]
    s = a.slots[m.row]
    m.next_us = s.next_us
    m.demand = float(s.busy)


@inlined
def has_room(a: Arrays) -> bool:
    """Tell whether the endings of all that is in a plane, and of one request more, can be written down."""
    plane = a.plane[0]
    room: bool = plane.sample == 0 or a.outcomes.size - plane.recorded >= plane.used + 1
    return room


@jit
def happen(h: HostArrays, host: int) -> int:
    """Let the first event of a host happen; return its plane's complement (~) where that has no room."""
    member = h.hosts[host].first
    at = h.members[member].next
    while at >= 0:
        if h.members[at].next_us < h.members[member].next_us:
            member = at
        at = h.members[at].next
    m = h.members[member]
    a = arrays_of(h.table, m.lane)
    if not has_room(a):
        full: int = ~m.lane
        return full
    now = m.next_us
    step(a, m.row)
    look(h, a, member)
    share_out(h, host, now)
    h.at_us[0] = now
    return 0


@jit
def happen_late(h: HostArrays, lane: int, deadline: float) -> int:
    """Let the oldest user of a plane go at the deadline; return the plane's complement (~) where that has no room."""
    a = arrays_of(h.table, lane)
    if not has_room(a):
        return ~lane
    item = a.requests[NOBODY].younger
    row = a.requests[item].row
    time_out(a, item, deadline)
    member = a.terms[row].member
    look(h, a, member)
    share_out(h, h.members[member].host, deadline)
    h.at_us[0] = deadline
    return 0


@jit
def arrive(h: HostArrays, lane: int, arrival: int) -> int:
    """Let a plane's next request in; return the plane's complement (~) where that has no room."""
    a = arrays_of(h.table, lane)
    plane = a.plane[0]
    if plane.free < 0 or not has_room(a):
        return ~lane
    chunk = chunk_of(h.table, lane)
    i = h.lanes[lane].position
    h.lanes[lane].position += 1
    h.at_us[0] = float(arrival)
    user = -1
    if h.lanes[lane].users == 1:
        user = wake(a)
        a.users[user].think_us = chunk.think_us[i]
    item = admit(a, chunk, i, arrival, plane.special == 1)
    if item < 0:
        if user >= 0:
            think(a, user, float(arrival))
        return 0
    if user >= 0:
        a.requests[item].user = user
    member = a.terms[a.requests[item].row].member
    look(h, a, member)
    share_out(h, h.members[member].host, float(arrival))
    return 0


@jit
def run_together(h: HostArrays, until: float) -> int:
    """Let everything happen in all planes; return why it ended and whom it concerns, as `why + 8 * whom`."""
    h.size[1] = -1
    lanes = h.lanes.size
    while True:
        instant = until
        arriving = -1
        late = -1
        deadline = np.inf
        for lane in range(lanes):
            a = arrays_of(h.table, lane)
            plane = a.plane[0]
            if h.lanes[lane].users == 1:
                if plane.thinking > 0 and a.users[a.users[0].heap].due_us < instant:
                    instant = float(a.users[a.users[0].heap].due_us)
                    arriving = lane
            else:
                chunk = chunk_of(h.table, lane)
                i = h.lanes[lane].position
                if i < chunk.arrivals_us.size:
                    if chunk.arrivals_us[i] < instant:
                        instant = float(chunk.arrivals_us[i])
                        arriving = lane
                elif h.lanes[lane].more == 1:
                    return NEXT_CHUNK + 8 * lane
            if plane.idle_us > 0:
                oldest = a.requests[NOBODY].younger
                if oldest != NOBODY and a.requests[oldest].arrival_us + plane.idle_us < deadline:
                    deadline = float(a.requests[oldest].arrival_us + plane.idle_us)
                    late = lane
        event = h.hosts[h.heap[0]].next_us if h.size[0] > 0 else np.inf
        full = 0
        if event <= min(instant, deadline):
            full = happen(h, h.heap[0])
        elif deadline <= instant:
            full = happen_late(h, late, deadline)
        elif arriving < 0:
            return DONE
        else:
            if h.lanes[arriving].users == 1 and h.lanes[arriving].position == chunk_of(h.table, arriving).think_us.size:
                h.at_us[0] = instant
                return (NEXT_CHUNK if h.lanes[arriving].more == 1 else NEEDS_DEMANDS) + 8 * arriving
            full = arrive(h, arriving, int(instant))
        if full < 0:
            return GROW + 8 * ~full
        if h.size[1] >= 0:
            granted: int = GRANTED + 8 * h.size[1]
            return granted


@jit
def enter_heap(h: HostArrays, host: int) -> None:
    """Take a host into the heap."""
    h.hosts[host].place = h.size[0]
    h.heap[h.size[0]] = host
    h.size[0] += 1
    sift(h, host)


@jit
def leave_heap(h: HostArrays, host: int) -> None:
    """Take a host out of the heap."""
    place = h.hosts[host].place
    h.size[0] -= 1
    last = h.heap[h.size[0]]
    if last != host:
        h.hosts[last].place = place
        h.heap[place] = last
        sift(h, last)


@jit
def join(h: HostArrays, member: int, now: float) -> None:
    """Let a member sit down behind the others of its host."""
    m = h.members[member]
    host = h.hosts[m.host]
    m.next = -1
    m.prev = host.last
    if host.last >= 0:
        h.members[host.last].next = member
    else:
        host.first = member
    host.last = member
    see(h, member, now)


@jit
def see(h: HostArrays, member: int, now: float) -> None:
    """Look at a member again after something was done to it from outside."""
    m = h.members[member]
    if m.lane >= 0:
        a = arrays_of(h.table, m.lane)
        look(h, a, member)
        m.cores = a.slots[m.row].cores
    share_out(h, m.host, now)


@jit
def part(h: HostArrays, member: int, now: float) -> None:
    """Let a member go."""
    m = h.members[member]
    host = h.hosts[m.host]
    if m.prev >= 0:
        h.members[m.prev].next = m.next
    else:
        host.first = m.next
    if m.next >= 0:
        h.members[m.next].prev = m.prev
    else:
        host.last = m.prev
    share_out(h, m.host, now)


RUN, OPEN, CLOSE, SHARE, JOIN, SEE, PART, DEMAND = range(8)

Operate = Callable[[int, HostArrays, int, float, float], int]


def _with_cache_key(digest: int) -> Operate:
    def operate_hosts(op: int, h: HostArrays, which: int, now: float, value: float) -> int:
        if op == RUN:
            return run_together(h, now)
        if op == OPEN:
            enter_heap(h, which)
        elif op == CLOSE:
            leave_heap(h, which)
        elif op == SHARE:
            share_out(h, which, now)
        elif op == JOIN:
            join(h, which, now)
        elif op == SEE:
            see(h, which, now)
        elif op == PART:
            part(h, which, now)
        elif op == DEMAND:
            give(h, which, h.members[which].cores, now)
            h.members[which].demand = value
            share_out(h, h.members[which].host, now)
        else:
            return digest  # never asked for: it makes the digest part of the cache's key
        return 0

    return cast(Operate, entry(operate_hosts))


operate_hosts: Operate = _with_cache_key(source_digest())
"""Do one thing to hosts and the planes on them: one compiled function, as `fargsim.kernel.operate` is for one plane."""
