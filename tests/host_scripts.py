"""Generated runs of planes that share hosts: what is asked of them, when, and everything they answer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from hypothesis import strategies as st
from kernel_scripts import (
    HORIZON_US,
    Answer,
    Change,
    Opening,
    Script,
    cores_of_a_slot,
    full_scripts,
    many,
    routing_of,
    work_of,
)

from fargsim.kernel import DemandsNeeded, Hosts, Plane


@dataclass(frozen=True)
class Sitting:
    """Where a slot sits: which host (counts round them; the last number: none), its weight and its most."""

    host: int
    weight: float
    most: float


@dataclass(frozen=True)
class Capacity:
    at: int
    host: int
    cores: float


@dataclass(frozen=True)
class Outsider:
    host: int
    weight: float
    most: float
    watch: bool
    demands: tuple[tuple[int, float], ...]  # instants in order


@dataclass(frozen=True)
class HostScript:
    planes: tuple[Script, ...]
    hosts: tuple[float, ...]
    sittings: tuple[Sitting, ...]  # of the slots in order of opening, over and over
    capacity: tuple[Capacity, ...] = ()
    outsiders: tuple[Outsider, ...] = ()


def host_scripts() -> st.SearchStrategy[HostScript]:
    weight = st.one_of(st.sampled_from([1.0, 1.0, 2.0, 512.0]), st.floats(0.5, 9.0))
    instants = st.integers(0, HORIZON_US)
    demand = st.one_of(st.sampled_from([0.0, 1.0, 2.0]), st.floats(0.0, 5.0))
    return st.builds(
        HostScript,
        planes=many(full_scripts(), 1, 3),
        hosts=many(cores_of_a_slot, 1, 3),
        sittings=many(st.builds(Sitting, st.integers(0, 3), weight, cores_of_a_slot), 1, 7),
        capacity=many(st.builds(Capacity, instants, st.integers(0, 2), cores_of_a_slot), 0, 3),
        outsiders=many(
            st.builds(
                Outsider,
                st.integers(0, 2),
                weight,
                cores_of_a_slot,
                st.booleans(),
                many(st.tuples(instants, demand), 1, 5).map(lambda rows: tuple(sorted(rows))),
            ),
            0,
            2,
        ),
    )


@dataclass
class Together:
    answers: list[Answer]
    used_by_outsiders: list[float]
    granted: list[Any]
    seen: list[Any]


class Stage:
    """The planes of a script and their hosts, in the middle of being played."""

    def __init__(self, script: HostScript, compiled: bool, chunk: int) -> None:
        self.script, self.chunk = script, chunk
        self.hosts = Hosts(compiled=compiled)
        self.granted: list[Any] = []
        self.hosts.on_grant = lambda member, cores, at: self.granted.append((member, cores, at))
        self.planes = [
            Plane(
                one.routing,
                one.idle_timeout_us,
                one.cancel,
                first_requests_us=np.array(one.users) if one.users else None,
                connect_timeout_us=one.connect_timeout_us,
                cross_zone=one.cross_zone,
                compiled=compiled,
                record_every=1,
            )
            for one in script.planes
        ]
        for plane in self.planes:
            self.hosts.join(plane)
        self.machines = [self.hosts.open_host(0, cores) for cores in script.hosts]
        self.outsiders = [
            self.hosts.invite(
                0, self.machines[o.host % len(self.machines)], weight=o.weight, most=o.most, watch=o.watch
            )
            for o in script.outsiders
        ]
        self.offered = [0] * len(self.planes)
        self.opened: list[list[int]] = [[] for _ in self.planes]
        self.closed: list[list[Any]] = [[] for _ in self.planes]
        for one, plane in zip(script.planes, self.planes, strict=True):
            for begin in range(0, 0 if one.users else len(one.requests), chunk):
                numbers = range(begin, min(begin + chunk, len(one.requests)))
                arrivals = np.array([one.requests[k][0] for k in numbers])
                plane.offer(arrivals, *work_of(one, numbers), *routing_of(one, numbers))

    def advance(self, stop: int) -> None:
        while True:
            try:
                self.hosts.advance(stop)
            except DemandsNeeded as short:
                self._offer_demands(self.planes.index(short.plane), short.count)
            else:
                return

    def _offer_demands(self, which: int, count: int) -> None:
        one, plane = self.script.planes[which], self.planes[which]
        assert 1 <= count <= len(one.users)
        assert plane.pending == 0
        numbers = range(self.offered[which], self.offered[which] + self.chunk)
        cpu, *others = work_of(one, numbers)
        thinks = np.array([one.thinks[k % len(one.thinks)] for k in numbers])
        plane.offer_demands(cpu, thinks, *others, *routing_of(one, numbers))
        self.offered[which] += self.chunk

    def act(self, which: int, action: Opening | Change) -> None:
        plane, opened, one = self.planes[which], self.opened[which], self.script.planes[which]
        if isinstance(action, Opening):
            slot = plane.open_slot(
                action.at,
                cores=action.cores,
                speed=action.speed,
                workers=action.workers,
                queue_limit=action.queue_limit,
                routable=action.routable,
                profile=action.profile % max(one.profiles, 1),
                weight=action.weight,
                zone=action.zone,
                mode=action.mode,
                max_concurrency=action.max_concurrency,
            )
            sittings = self.script.sittings
            sitting = sittings[sum(map(len, self.opened)) % len(sittings)]
            opened.append(slot)
            self.sit(action.at, which, slot, sitting)
            return
        if not opened or opened[action.which % len(opened)] not in plane.open_slots:
            return
        slot = opened[action.which % len(opened)]
        if action.what == "close":
            self.closed[which].append((plane.close_slot(action.at, slot), plane.slot(slot)))
        elif action.what == "rate":  # of who shares a host it is his most that changes: he sits down anew
            self.sit(action.at, which, slot, Sitting(action.which, action.speed, action.cores))
        elif action.what == "weight":
            plane.set_weight(action.at, slot, action.weight)
        elif action.what == "mode":
            plane.set_mode(action.at, slot, action.mode)
        else:
            plane.set_routable(action.at, slot, action.what == "routable")

    def sit(self, at: int, which: int, slot: int, sitting: Sitting) -> None:
        if sitting.host < len(self.machines):
            machine = self.machines[sitting.host]
            self.hosts.seat(at, self.planes[which], slot, machine, weight=sitting.weight, most=sitting.most)


def play_together(
    script: HostScript,
    *,
    compiled: bool,
    cuts: tuple[int, ...] = (),
    chunk: int = 1000,
    until: int = 2 * HORIZON_US,
    look: bool = False,
) -> Together:
    """Run a script, cut at some more instants, its requests offered in chunks; `look` keeps what is seen on the way."""
    stage = Stage(script, compiled, chunk)
    doings: list[tuple[int, int, int, Any]] = []
    for which, one in enumerate(script.planes):
        doings += [(action.at, 0, which, action) for action in one.actions()]
    doings += [(c.at, 1, c.host, c.cores) for c in script.capacity]
    for number, outsider in enumerate(script.outsiders):
        doings += [(at, 2, number, demand) for at, demand in outsider.demands]
    doings.sort(key=lambda doing: doing[:3])
    seen: list[Any] = []
    for stop in sorted({at for at, *_ in doings} | set(cuts)):
        if stop > until:
            break
        stage.advance(stop)
        for at, kind, which, what in doings:
            if at != stop:
                continue
            if kind == 0:
                stage.act(which, what)
            elif kind == 1:
                stage.hosts.set_cores(at, stage.machines[which % len(stage.machines)], what)
            else:
                stage.hosts.set_demand(at, stage.outsiders[which], what)
        if look:
            seen += [(plane.counters(), plane.slots(), plane.histogram()) for plane in stage.planes]
    stage.advance(until)
    answers = [
        Answer(p.counters(), p.slots(), closed, p.histogram(), p.take_outcomes(), [], p.thinking)
        for p, closed in zip(stage.planes, stage.closed, strict=True)
    ]
    return Together(answers, [stage.hosts.used_core_us(until, m) for m in stage.outsiders], stage.granted, seen)
