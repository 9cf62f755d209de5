"""Slots of several planes that share the cores of hosts: by hand, laws for any script, and twins."""

from __future__ import annotations

import math

import numpy as np
import pytest
import stats
from host_scripts import HostScript, host_scripts, play_together
from hypothesis import given, settings
from hypothesis import strategies as st
from kernel_scripts import HORIZON_US, bits

from fargsim.kernel import Hosts, Plane
from fargsim.kernel.host_layout import MEMBER
from fargsim.kernel.reference_hosts import Host, Member

BOTH = pytest.mark.parametrize("compiled", [False, True], ids=["twin", "compiled"])


def everything(together) -> tuple:
    return (
        tuple(bits(a) for a in together.answers),
        tuple(map(float.hex, together.used_by_outsiders)),
        tuple(together.granted),
    )


def two_planes(compiled: bool) -> tuple[Hosts, list[Plane], list[int]]:
    """One slot in each of two planes, on one host of two cores, weights 3 and 1."""
    hosts = Hosts(compiled=compiled)
    planes = [Plane("round_robin", compiled=compiled, record_every=1) for _ in range(2)]
    slots = []
    for plane in planes:
        hosts.join(plane)
        slots.append(plane.open_slot(0, cores=2.0))
    machine = hosts.open_host(0, 2.0)
    for plane, slot, weight in zip(planes, slots, (3.0, 1.0), strict=True):
        hosts.seat(0, plane, slot, machine, weight=weight, most=2.0)
    return hosts, planes, slots


# by hand


@BOTH
def test_busy_neighbours_share_by_weight_and_whoever_is_alone_has_it_all(compiled):
    hosts, planes, slots = two_planes(compiled)
    planes[0].offer([0, 0], cpu_us=[3000.0, 3000.0])
    planes[1].offer([0, 1000], cpu_us=[1000.0, 3000.0])
    hosts.advance(100_000)
    # 0: three requests on two cores: at most 1.5 for the first task, 0.5 for the second; its second request at 1000 changes no share.
    # the second task has 500 us of work done at 1000, its two requests share 0.5 cores from then on: the first one ends 2000 later.
    # At 4000 the first task's requests end (0.75 each); from 3000 on the other one of the second task has 0.5, then a whole core
    assert planes[0].take_outcomes()["end_us"].tolist() == [4000, 4000]
    assert planes[1].take_outcomes()["end_us"].tolist() == [3000, 6000]
    assert planes[0].slot(slots[0]).busy_core_us == 6000.0
    assert planes[1].slot(slots[1]).busy_core_us == 4000.0


@BOTH
def test_who_wants_less_than_his_part_leaves_the_rest_to_the_others(compiled):
    hosts, planes, _ = two_planes(compiled)
    planes[0].offer([0], cpu_us=[3000.0])  # one request: one core of the 1.5 that are his part
    planes[1].offer([0, 0, 0], cpu_us=[1000.0] * 3)  # so these three have the other core
    hosts.advance(100_000)
    assert planes[0].take_outcomes()["end_us"].tolist() == [3000]
    assert planes[1].take_outcomes()["end_us"].tolist() == [3000, 3000, 3000]


@BOTH
def test_a_capped_neighbour_has_his_cores_and_no_more(compiled):
    hosts = Hosts(compiled=compiled)
    plane = Plane("round_robin", compiled=compiled, record_every=1)
    capped, free = (plane.open_slot(0, cores=2.0) for _ in range(2))
    hosts.join(plane)
    machine = hosts.open_host(0, 2.0)
    hosts.seat(0, plane, capped, machine, weight=512.0, most=0.5)
    hosts.seat(0, plane, free, machine, weight=2.0, most=2.0)
    plane.offer(np.zeros(6, int), cpu_us=np.full(6, 1000.0))  # three each
    hosts.advance(100_000)
    # the capped one takes 6000 for his three, whatever the host has left; the others have 1.5 cores
    assert plane.take_outcomes()["end_us"].tolist() == [6000, 2000] * 3


@BOTH
def test_outside_demand_takes_its_part_and_is_told_of_its_cores(compiled):
    hosts, planes, _ = two_planes(compiled)
    machine = hosts.open_host(0, 1.0)
    slot = planes[0].open_slot(0, cores=1.0, routable=False)
    planes[0].set_routable(0, 0, False)
    planes[0].set_routable(0, slot, True)
    hosts.seat(0, planes[0], slot, machine, weight=1.0, most=1.0)
    told = []
    hosts.on_grant = lambda member, cores, at: told.append((member, cores, at))
    member = hosts.invite(0, machine, weight=1.0, most=1.0, watch=True)
    hosts.set_demand(0, member, 2.0)
    planes[0].offer([1000], cpu_us=[1000.0])
    hosts.advance(10_000)
    # alone it has the core; from 1000 to 3000 it has half of it
    assert planes[0].take_outcomes()["end_us"].tolist() == [3000]
    assert told == [(member, 0.5, 1000.0), (member, 1.0, 3000.0)]
    assert hosts.used_core_us(10_000, member) == 9000.0
    hosts.set_demand(10_000, member, 0.25)
    hosts.advance(11_000)
    assert hosts.used_core_us(11_000, member) == 9250.0


@BOTH
def test_fewer_cores_from_an_instant_on(compiled):
    hosts, planes, _ = two_planes(compiled)
    machine = hosts.open_host(0, 4.0)
    slot = planes[0].open_slot(0, cores=4.0, routable=False)
    planes[0].set_routable(0, 0, False)
    planes[0].set_routable(0, slot, True)
    hosts.seat(0, planes[0], slot, machine, weight=1.0, most=4.0)
    planes[0].offer([0, 0], cpu_us=[2000.0, 2000.0])
    hosts.advance(1000)
    hosts.set_cores(1000, machine, 0.5)
    hosts.advance(10_000)
    assert planes[0].take_outcomes()["end_us"].tolist() == [5000, 5000]


# sharing


@given(
    st.floats(0.1, 64.0),
    st.lists(st.tuples(st.floats(0.5, 2048.0), st.integers(0, 40), st.floats(0.1, 64.0)), min_size=1, max_size=30),
)
def test_nothing_is_idle_while_somebody_wants_it_and_parts_follow_weights(cores, members):
    host = Host(cores)
    for number, (weight, busy, most) in enumerate(members):
        member = Member(number, None, weight, most, told=float(busy))
        host.members.append(member)
    host.share(0.0)
    working = [m for m in host.members if m.told > 0]
    used = [min(m.told, m.cores) for m in working]
    wanted = sum(m.claim() for m in working)
    assert math.isclose(
        sum(used), min(cores, wanted), rel_tol=1e-9
    )  # the host's cores at most, and no fewer than wanted
    assert all(m.cores <= m.most * (1 + 1e-12) for m in working)
    short = [m for m in working if min(m.told, m.cores) < m.claim() * (1 - 1e-9)]
    if short:  # who gets less than he claims gets by weight, and nobody gets more for his weight
        level = max(m.cores / m.weight for m in short)
        assert all(math.isclose(m.cores / m.weight, level, rel_tol=1e-9) for m in short)
        assert all(u / m.weight <= level * (1 + 1e-9) for m, u in zip(working, used, strict=True))


# laws for any script


@settings(max_examples=120)
@given(host_scripts())
def test_compiled_planes_on_hosts_equal_their_twins_to_the_bit(script):
    assert everything(play_together(script, compiled=True)) == everything(play_together(script, compiled=False))


@settings(max_examples=60)
@given(host_scripts(), st.lists(st.integers(0, 2 * HORIZON_US), max_size=12), st.integers(1, 40))
def test_cutting_an_interval_or_the_offers_changes_nothing(script, cuts, chunk):
    whole = play_together(script, compiled=True)
    cut = play_together(script, compiled=True, cuts=tuple(cuts), chunk=chunk, look=True)
    assert everything(whole) == everything(cut)


@settings(max_examples=60)
@given(host_scripts())
def test_cores_of_a_host_are_never_exceeded_and_requests_are_conserved(script):
    one = HostScript(script.planes, script.hosts, script.sittings, outsiders=script.outsiders)
    together = play_together(one, compiled=True)
    horizon = 2 * HORIZON_US
    busy = sum(
        float(a.slots.busy_core_us.sum()) + sum(use.busy_core_us for _, use in a.closed) for a in together.answers
    )
    alone = sum(
        s.cores * (horizon - s.at) for plane in one.planes for s in plane.openings
    )  # what slots that sit nowhere may use at most
    assert busy + sum(together.used_by_outsiders) <= sum(one.hosts) * horizon + alone + 1e-6
    for answer in together.answers:
        c = answer.counters
        ended = c.served + c.refused_full + c.no_target + c.cut_off + c.timed_out + c.failed
        assert c.arrived == ended + c.in_flight


@settings(max_examples=40)
@given(host_scripts(), st.lists(st.floats(0.5, 1024.0), min_size=1, max_size=6))
def test_the_work_left_on_a_single_core_does_not_depend_on_the_weights(script, weights):
    """Work conservation: whoever may use the whole core, the core is busy as long as anybody has work, however it is shared."""

    def busy(weights: list[float]) -> np.ndarray:
        hosts = Hosts()
        machine = hosts.open_host(0, 1.0)
        planes = []
        for number, one in enumerate(script.planes):
            plane = Plane("round_robin")
            hosts.join(plane)
            slot = plane.open_slot(0, cores=1.0)
            hosts.seat(0, plane, slot, machine, weight=weights[number % len(weights)], most=1.0)
            plane.offer([r[0] for r in one.requests], cpu_us=[r[1] for r in one.requests])
            planes.append(plane)
        seen = []
        for at in range(0, 4 * HORIZON_US, HORIZON_US // 8):
            hosts.advance(at)
            seen.append(sum(float(plane.slots().busy_core_us.sum()) for plane in planes))
        return np.array(seen)

    arrivals = sorted((r[0], r[1]) for one in script.planes for r in one.requests)
    work, last, left, expected = 0.0, 0, 0.0, []
    for at in range(0, 4 * HORIZON_US, HORIZON_US // 8):
        while arrivals and arrivals[0][0] < at:
            when, cpu = arrivals.pop(0)
            done = min(left, when - last)
            work, left, last = work + done, left - done + cpu, when
        done = min(left, at - last)
        work, left, last = work + done, left - done, at
        expected.append(work)
    assert np.allclose(busy(weights), expected, rtol=1e-9, atol=1e-6)
    assert np.allclose(busy([1.0]), expected, rtol=1e-9, atol=1e-6)


def test_services_that_share_a_core_are_one_queue_of_theory() -> None:
    """M/M/1 whatever the weights: with exponential demands of one mean, who is served does not change how many there are."""
    rho, mean_us, n = 0.7, 10_000.0, 300_000

    def one(draw: np.random.Generator) -> tuple[float, float]:
        hosts, inside = Hosts(), []
        machine = hosts.open_host(0, 1.0)
        for weight in (3.0, 1.0):
            plane = Plane()
            hosts.join(plane)
            slot = plane.open_slot(0, cores=1.0)
            hosts.seat(0, plane, slot, machine, weight=weight, most=1.0)
            arrivals = np.rint(np.cumsum(draw.exponential(2 * mean_us / rho, n // 2))).astype(np.int64)
            plane.offer(arrivals, draw.exponential(mean_us, n // 2))
            inside.append((plane, slot))
        end = round(0.99 * n * mean_us / rho)
        begin = end // 10
        hosts.advance(begin)
        before = [plane.slot(slot) for plane, slot in inside]
        hosts.advance(end)
        after = [plane.slot(slot) for plane, slot in inside]
        span = end - begin
        number = sum(a.in_system_us - b.in_system_us for a, b in zip(after, before, strict=True)) / span
        busy = sum(a.busy_core_us - b.busy_core_us for a, b in zip(after, before, strict=True)) / span
        return number, busy

    found = [one(draw) for draw in stats.generators("two services on a core", 20)]
    stats.check("two services on a core, number", [number for number, _ in found], rho / (1 - rho))
    stats.check("two services on a core, busy", [busy for _, busy in found], rho)


def test_where_there_is_enough_for_all_a_host_changes_nothing():
    rng = np.random.default_rng(3)
    arrivals, cpu = np.cumsum(rng.integers(1, 900, 500)), rng.exponential(1500.0, 500)
    answers = []
    for seated in (False, True):
        plane = Plane("least_outstanding_requests", record_every=1)
        slots = [plane.open_slot(0, cores=1.0, workers=6) for _ in range(4)]
        if seated:
            hosts = Hosts()
            hosts.join(plane)
            machine = hosts.open_host(0, 4.0)
            for slot in slots:
                hosts.seat(0, plane, slot, machine, weight=1.0, most=1.0)
        plane.offer(arrivals, cpu_us=cpu)
        plane.advance(2_000_000)
        answers.append((bits(plane.take_outcomes()), bits(plane.slots()), bits(plane.histogram())))
    assert answers[0] == answers[1]


# the border


def test_what_hosts_refuse():
    hosts = Hosts(compiled=False)
    plane = Plane(compiled=False)
    hosts.join(plane)
    with pytest.raises(ValueError, match="joined hosts already"):
        hosts.join(plane)
    late = Plane(compiled=False)
    late.advance(5)
    with pytest.raises(ValueError, match="cannot join"):
        hosts.join(late)
    slot = plane.open_slot(0, cores=1.0)
    for cores in (0.0, -1.0, float("nan")):
        with pytest.raises(ValueError, match="needs cores"):
            hosts.open_host(0, cores)
    machine = hosts.open_host(0, 1.0)
    with pytest.raises(ValueError, match="weight and most"):
        hosts.seat(0, plane, slot, machine, weight=0.0, most=1.0)
    with pytest.raises(ValueError, match="demand"):
        hosts.set_demand(0, hosts.invite(0, machine, weight=1.0, most=1.0), -1.0)
    plane.advance(10)
    with pytest.raises(ValueError, match="cannot advance"):
        hosts.advance(9)


def test_members_do_not_grow_without_bound():
    hosts = Hosts()
    plane = Plane()
    hosts.join(plane)
    machine = hosts.open_host(0, 1.0)
    for at in range(200):
        slot = plane.open_slot(at, cores=1.0)
        hosts.seat(at, plane, slot, machine, weight=1.0, most=1.0)
        plane.close_slot(at, slot)
    assert hosts._body.arrays.members.size == 64
    assert hosts._body.arrays.members.dtype == MEMBER
