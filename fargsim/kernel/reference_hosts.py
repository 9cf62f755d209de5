"""The slow twin of hosts: what it means that the slots of several planes share the cores of one machine.

**Members.** A host has `cores` and members in order of joining. A member is a slot, whose *demand* is the number of its running
requests, or somebody outside, whose demand is told. It may have `most` cores; its *claim* is the smaller of the two.

**Sharing.** Where the claims, added up in order, do not exceed the cores, everybody has `most`. Otherwise cores are given by weight and
nothing is left idle (weighted max-min): with all who claim something *short*, ``level = left / weight``, where `left` are the cores and
`weight` the weights of the short ones. Whoever is short and claims no more than ``weight * level`` of his own is served: his claim leaves
`left`, his weight leaves `weight`, in order; so on with the new level until nobody is served any more. The served have `most`, the short
``weight * level``. This is done anew after each event of a member, at its instant; a member without demand keeps what he had.

A member whose cores change is brought forward first (`Slot.attain`); one whose cores stay the same is left alone, so that looking more
often changes nothing. All slots on a host with finite cores are *shared* ones.

**Order.** All planes go together. Of the events of one host the first instant comes first, then the order of joining; hosts meet in
the routers only. At one instant: events of hosts, time-outs (by plane), arrivals (by plane).

Source: the completely fair scheduler gives runnable control groups processor time in proportion to their shares and leaves none idle
(Linux kernel documentation, sched-design-CFS; control group v1 cpu.shares); an ECS container's `cpu` is its share
(Amazon ECS API Reference, API_ContainerDefinition.html). That time is given evenly at each instant, and not in slices, is ours.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import cast

from fargsim.kernel.body import Body
from fargsim.kernel.host_layout import DONE, GRANTED, NEEDS_DEMANDS, NEXT_CHUNK, Stopped
from fargsim.kernel.layout import Chunk, Records
from fargsim.kernel.reference import ReferenceBody
from fargsim.kernel.reference_slot import Request, Slot


@dataclass(eq=False, slots=True)
class Member:
    """Who sits on a host: a slot, or somebody outside (None)."""

    number: int
    slot: Slot | None
    weight: float
    most: float
    watch: bool = False
    told: float = 0.0
    cores: float = 0.0
    last: float = 0.0
    used: float = 0.0

    def demand(self) -> float:
        """Cores it could keep busy."""
        return self.told if self.slot is None else float(len(self.slot.running))

    def claim(self) -> float:
        """What it asks for."""
        return min(self.demand(), self.most)

    def give(self, cores: float, now: float) -> None:
        """Give it other cores from now on."""
        if self.slot is not None:
            self.slot.attain(now)
            self.slot.cores = cores
        else:
            self.used += min(self.told, self.cores) * (now - self.last)
            self.last = now
        self.cores = cores


@dataclass(eq=False, slots=True)
class Host:
    """A machine."""

    cores: float
    members: list[Member] = field(default_factory=list)

    def next_event(self) -> tuple[float, Member | None]:
        """When something happens to one of its slots next, and to which."""
        slots = [m for m in self.members if m.slot is not None]
        first = min(slots, key=lambda m: cast(Slot, m.slot).next_event(), default=None)
        return (math.inf, None) if first is None else (cast(Slot, first.slot).next_event(), first)

    def share(self, now: float) -> Member | None:
        """Give everybody who works his part; return the last one whose part is watched and has changed."""
        if math.isinf(self.cores):
            return None
        wanted = 0.0
        for member in self.members:
            wanted += member.claim()
        level, short = math.inf, [m for m in self.members if m.claim() > 0.0]
        if wanted > self.cores:
            left, weight = self.cores, 0.0
            for member in short:
                weight += member.weight
            while short:
                level = left / weight
                served = [m for m in short if m.claim() <= m.weight * level]
                for member in served:
                    left -= member.claim()
                    weight -= member.weight
                short = [m for m in short if m not in served]
                if not served:
                    break
        else:
            short = []
        told = None
        for member in self.members:
            cores = member.weight * level if member in short else member.most
            if member.demand() > 0.0 and cores != member.cores:
                member.give(cores, now)
                told = member if member.watch else told
        return told


class ReferenceHosts:
    """Hosts and the planes whose slots sit on them, as objects."""

    def __init__(self) -> None:
        self.bodies: list[ReferenceBody] = []
        self.hosts: list[Host] = []
        self.members: dict[int, tuple[Host, Member]] = {}
        self.seats: dict[Slot, Host] = {}
        self.granted_to: Member | None = None
        self.count = 0

    def add_lane(self, body: Body) -> int:
        """Take a plane in; return its number."""
        self.bodies.append(cast(ReferenceBody, body))
        return len(self.bodies) - 1

    def open_host(self, cores: float) -> int:
        """Open a host; return its number."""
        self.hosts.append(Host(cores))
        return len(self.hosts) - 1

    def close_host(self, host: int) -> None:
        """Close a host without members."""
        assert not self.hosts[host].members

    def set_cores(self, now: float, host: int, cores: float) -> None:
        """Change how many cores the members of a host share."""
        self.hosts[host].cores = cores
        self._share(self.hosts[host], now)

    def seat(self, now: float, host: int, lane: int, row: int, weight: float, most: float) -> int:
        """Let a slot be a member; return its number."""
        slot = self.bodies[lane].at(row)
        member = Member(self.count, slot, weight, most, cores=slot.cores)
        self.seats[slot] = self.hosts[host]
        return self._join(self.hosts[host], member, now)

    def invite(self, now: float, host: int, weight: float, most: float, watch: bool) -> int:
        """Let somebody be a member who works outside of the planes; return the number."""
        return self._join(self.hosts[host], Member(self.count, None, weight, most, watch, cores=most, last=now), now)

    def _join(self, host: Host, member: Member, now: float) -> int:
        self.count += 1
        host.members.append(member)
        self.members[member.number] = (host, member)
        self._share(host, now)
        return member.number

    def refresh(self, now: float, member: int) -> None:
        """Look at a slot again after something was done to it from outside."""
        host, seated = self.members[member]
        if seated.slot is not None:
            seated.cores = seated.slot.cores
        self._share(host, now)

    def leave(self, now: float, member: int) -> None:
        """Take a member out."""
        host, gone = self.members.pop(member)
        host.members.remove(gone)
        if gone.slot is not None:
            del self.seats[gone.slot]
        self._share(host, now)

    def set_demand(self, now: float, member: int, demand: float) -> None:
        """Change how many cores an outside member could keep busy."""
        host, outside = self.members[member]
        outside.give(outside.cores, now)
        outside.told = demand
        self._share(host, now)

    def granted(self, member: int) -> float:
        """Return how many cores a member has been given."""
        return self.members[member][1].cores

    def in_use(self, host: int) -> tuple[float, float]:
        """Return how many of a host's cores are busy now, and how many its members could keep busy."""
        members = self.hosts[host].members
        return sum(min(m.demand(), m.cores) for m in members), sum(m.claim() for m in members)

    def used_core_us(self, now: float, member: int) -> float:
        """Return the integral of the cores an outside member has used."""
        outside = self.members[member][1]
        return outside.used + min(outside.told, outside.cores) * (now - outside.last)

    def _share(self, host: Host, now: float) -> None:
        told = host.share(now)
        self.granted_to = told or self.granted_to

    def run(self, chunks: list[Chunk], lanes: Records, until: float) -> Stopped:
        """Let everything happen in all planes, up to an instant (arrivals before it) or to a reason to stop."""
        self._last_told()
        while True:
            at, arriving = self._next_arrival(chunks, lanes, until)
            if arriving >= 0 and at is None:
                return Stopped(NEXT_CHUNK, arriving, until)
            instant = until if at is None else at
            deadline, late = self._next_deadline()
            event, host, member = self._next_event()
            if event <= min(instant, deadline) and host is not None and member is not None and member.slot is not None:
                body = next(b for b in self.bodies if member.slot in b.live())
                body.happen(member.slot)
                self._share(host, event)
                now = event
            elif deadline <= instant and late is not None:
                body, request = late
                body.time_out(request, deadline)
                self._share(self.seats[request.slot], deadline)
                now = deadline
            elif arriving < 0:
                return Stopped(DONE, -1, until)
            else:
                lane, now = arriving, float(instant)
                if lanes["users"][lane] and lanes["position"][lane] == chunks[lane].think_us.size:
                    return Stopped(NEXT_CHUNK if lanes["more"][lane] else NEEDS_DEMANDS, lane, now)
                self._admit(self.bodies[lane], chunks[lane], int(lanes["position"][lane]), int(instant), now)
                lanes["position"][lane] += 1
            told = self._last_told()
            if told is not None:
                return Stopped(GRANTED, told.number, now)

    def _last_told(self) -> Member | None:
        told, self.granted_to = self.granted_to, None
        return told

    def _next_arrival(self, chunks: list[Chunk], lanes: Records, until: float) -> tuple[float | None, int]:
        """When the next request arrives before an instant and in which plane (-1: none); None: the plane needs another chunk."""
        first, found = until, -1
        for lane, (body, chunk) in enumerate(zip(self.bodies, chunks, strict=True)):
            if lanes["users"][lane]:
                due = body.first_due()
            else:
                i = int(lanes["position"][lane])
                if i == chunk.arrivals_us.size and lanes["more"][lane]:
                    return None, lane
                due = int(chunk.arrivals_us[i]) if i < chunk.arrivals_us.size else None
            if due is not None and due < first:
                first, found = due, lane
        return (None, -1) if found < 0 else (first, found)

    def _next_deadline(self) -> tuple[float, tuple[ReferenceBody, Request] | None]:
        first: float = math.inf
        found = None
        for body in self.bodies:
            users = [q for slot in body.live() for q in slot.inside() if q.alive]
            oldest = min(users, key=lambda q: q.number, default=None)
            if body.idle_us and oldest is not None and oldest.arrival + body.idle_us < first:
                first, found = float(oldest.arrival + body.idle_us), (body, oldest)
        return first, found

    def _next_event(self) -> tuple[float, Host | None, Member | None]:
        host = min(self.hosts, key=lambda h: h.next_event()[0], default=None)
        return (math.inf, None, None) if host is None else (host.next_event()[0], host, host.next_event()[1])

    def _admit(self, body: ReferenceBody, chunk: Chunk, i: int, at: int, now: float) -> None:
        if body.closed_loop and body.due:
            user = min((due, user) for user, due in body.due.items())[1]
            del body.due[user]
            body.admit(at, chunk, i, user, int(chunk.think_us[i]))
        else:
            body.admit(at, chunk, i)
        for host in self.hosts:  # whoever has got it: the others' parts stay as they are
            self._share(host, now)
