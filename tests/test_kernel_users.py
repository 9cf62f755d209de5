"""The clauses of the data plane in a closed loop, for any input; and by hand what a user does after each kind of ending."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from kernel_scripts import HORIZON_US, Script, bits, closed_scripts, play

from fargsim.kernel import Counters, DemandsNeeded, Outcome, Plane

FAST = settings(max_examples=100, deadline=None)
SLOW = settings(max_examples=200, deadline=None)
UNTIL = HORIZON_US + 1000
cut_instants = st.lists(st.integers(0, UNTIL), max_size=12).map(tuple)
both = pytest.mark.parametrize("compiled", [True, False])


@FAST
@given(closed_scripts())
def test_same_arguments_same_answer(script: Script) -> None:
    assert bits(play(script, compiled=True)) == bits(play(script, compiled=True))


@SLOW
@given(closed_scripts())
def test_compiled_equals_twin_bit_for_bit(script: Script) -> None:
    compiled = play(script, compiled=True, until=UNTIL, look=True)
    twin = play(script, compiled=False, until=UNTIL, look=True)
    assert bits(compiled) == bits(twin)


@FAST
@given(closed_scripts(), cut_instants, st.integers(1, 7))
def test_cuts_and_chunks_change_nothing(script: Script, cuts: tuple[int, ...], chunk: int) -> None:
    whole = play(script, compiled=True, until=UNTIL)
    cut = play(script, compiled=True, cuts=cuts, chunk=chunk, until=UNTIL)
    assert bits(cut) == bits(whole)


@FAST
@given(closed_scripts(), cut_instants)
def test_requests_and_users_are_conserved_at_every_cut(script: Script, cuts: tuple[int, ...]) -> None:
    answer = play(script, compiled=True, cuts=cuts, until=UNTIL, look=True)
    seen = [x for x in answer.on_the_way if isinstance(x, Counters)] + [answer.counters]
    thinking = [x for x in answer.on_the_way if isinstance(x, int)] + [answer.thinking]
    last = 0
    for c, idle in zip(seen, thinking, strict=True):
        ended = c.served + c.refused_full + c.no_target + c.cut_off + c.timed_out + c.failed
        assert c.arrived == ended + c.in_flight
        assert min(c) >= 0
        assert c.in_flight + idle == len(script.users)
        assert ended >= last
        last = ended
    assert answer.counters.in_flight == int(answer.slots.outstanding.sum())


@FAST
@given(closed_scripts())
def test_every_arrival_is_an_end_and_a_think_time_before(script: Script) -> None:
    # the arrivals after the first ones are, as a multiset, the ends rounded up plus the think time of the request's number
    answer = play(script, compiled=True, until=UNTIL)
    outcomes = answer.outcomes
    thinks = [max(1, round(t)) for t in script.thinks]
    made = [int(r["end_us"]) + thinks[int(r["request"]) % len(thinks)] for r in outcomes]
    expected = sorted(t for t in (*script.users, *made) if t < UNTIL)
    assert answer.counters.arrived == len(expected)
    # what is still in flight is not among the outcomes: it arrived, and made nothing yet
    seen = outcomes["arrival_us"].tolist()
    assert [t for t, _ in itertools.groupby(expected)] == sorted(set(expected))
    rest = list(expected)
    for t in seen:
        rest.remove(t)
    assert len(rest) == answer.counters.in_flight
    # numbers follow the instants
    assert bool(np.all(np.diff(outcomes["arrival_us"]) >= 0))


@both
def test_what_a_user_does_after_each_kind_of_ending(compiled: bool) -> None:
    plane = Plane("round_robin", idle_timeout_us=100, first_requests_us=[10], compiled=compiled, record_every=1)
    cpu = [30.0, 30.5, 30.0, 500.0, 20.0, 60.0, 10.0]
    think = [7.0, 5.4, 0.0, 40.0, 6.0, 9.0, 10_000.0]
    fails = [0, 0, 1, 0, 0, 0, 0]
    plane.offer_demands(cpu, think, fails=fails)
    slot = plane.open_slot(0, cores=1.0, workers=1, queue_limit=0)
    plane.set_routable(210, slot, False)  # the slot is still at work on what timed out
    plane.close_slot(260, slot)
    other = plane.open_slot(270, cores=1.0, workers=1, queue_limit=0)
    plane.close_slot(315, other)
    plane.open_slot(320, cores=1.0, workers=1)
    plane.advance(1_000)
    got = [(int(r["arrival_us"]), Outcome(r["outcome"]).name, int(r["end_us"])) for r in plane.take_outcomes()]
    assert got == [
        (10, "SERVED", 40),
        (47, "SERVED", 78),  # at 77.5: the first whole microsecond at which it has happened
        (83, "FAILED", 113),  # a think time of 5.4 is 5
        (114, "TIMED_OUT", 214),  # none at all is a microsecond
        (254, "NO_TARGET", 254),
        (260, "NO_TARGET", 260),
        (269, "NO_TARGET", 269),
    ]
    assert (plane.thinking, plane.counters().in_flight) == (1, 0)


@both
def test_refused_and_cut_off_users_come_again(compiled: bool) -> None:
    plane = Plane("round_robin", first_requests_us=[0, 5], compiled=compiled, record_every=1)
    plane.offer_demands([100.0, 1.0, 1.0, 20.0, 1.0], [30.0, 20.0, 40.0, 10_000.0, 10_000.0])
    slot = plane.open_slot(0, cores=1.0, workers=1, queue_limit=0)
    plane.close_slot(50, slot)
    plane.open_slot(60, cores=1.0, workers=1, queue_limit=0)
    plane.advance(1_000)
    rows = plane.take_outcomes()
    got = [(int(r["arrival_us"]), Outcome(r["outcome"]).name, int(r["end_us"])) for r in rows]
    assert got == [
        (0, "CUT_OFF", 50),
        (5, "REFUSED_FULL", 5),
        (25, "REFUSED_FULL", 25),
        (65, "SERVED", 85),
        (80, "REFUSED_FULL", 80),
    ]
    assert plane.thinking == 2


@both
def test_users_of_one_instant_go_by_number_and_after_the_ends(compiled: bool) -> None:
    # all at once on a server without a queue: the lowest number gets it; an end at an instant comes before the arrival
    plane = Plane("round_robin", first_requests_us=[20, 10, 20, 10], compiled=compiled, record_every=1)
    plane.offer_demands([10.0, 10.0, 10.0, 10.0], [1e6] * 4)
    plane.open_slot(0, cores=1.0, workers=1, queue_limit=0)
    plane.advance(100)
    assert plane.take_outcomes()["outcome"].tolist() == [1, 2, 1, 2]


@both
def test_a_plane_without_demands_says_how_many_it_needs_and_goes_on(compiled: bool) -> None:
    plane = Plane("round_robin", first_requests_us=[100, 200, 900], compiled=compiled)
    plane.open_slot(0, cores=1.0)
    with pytest.raises(DemandsNeeded, match="at 100 us the users need the demands of 2 requests or more") as short:
        plane.advance(500)
    assert (short.value.count, plane.now_us, plane.counters().arrived) == (2, 100, 0)
    with pytest.raises(DemandsNeeded):
        plane.open_slot(500, cores=1.0)
    plane.offer_demands([5.0], [10.0])
    with pytest.raises(DemandsNeeded) as short:
        plane.advance(500)
    assert (short.value.count, plane.now_us, plane.counters().served) == (2, 115, 1)
    plane.offer_demands([5.0, 5.0], [1000.0, 1000.0])
    plane.advance(500)
    assert (plane.now_us, plane.counters().served, plane.pending) == (500, 3, 0)


@both
def test_dismissed_users_send_nothing_more(compiled: bool) -> None:
    plane = Plane("round_robin", first_requests_us=[0, 500], compiled=compiled)
    plane.open_slot(0, cores=1.0)
    plane.offer_demands([300.0], [10.0])
    plane.dismiss_users(100)
    assert (plane.thinking, plane.counters().in_flight) == (0, 1)
    plane.advance(10_000)
    assert plane.counters().served == plane.counters().arrived == 1


@both
def test_bad_arguments_are_refused(compiled: bool) -> None:
    for first in ([], [0.5], [-1], [[1, 2]], [2**60]):
        with pytest.raises(ValueError, match="first requests"):
            Plane(first_requests_us=first, compiled=compiled)
    closed, open_loop = Plane(first_requests_us=[1], compiled=compiled), Plane(compiled=compiled)
    with pytest.raises(ValueError, match="the users of a closed loop make the arrivals"):
        closed.offer([1], [1.0])
    with pytest.raises(ValueError, match="an open loop: offer arrivals"):
        open_loop.offer_demands([1.0], [1.0])
    with pytest.raises(ValueError, match="an open loop has no users"):
        open_loop.dismiss_users(0)
    for cpu, think in (([1.0, 2.0], [1.0]), ([1.0], [-1.0]), ([1.0], [np.inf]), ([1.0], [1e300])):
        with pytest.raises(ValueError, match=r"cpu_us|think_us"):
            closed.offer_demands(cpu, think)
    assert closed.pending == 0


@pytest.mark.parametrize("routing", ["round_robin", "least_outstanding_requests"])
@pytest.mark.parametrize("think", [200_000.0, 1_500_000.0])
def test_cuts_and_chunks_change_nothing_at_scale(routing: str, think: float) -> None:
    # past one word of rows, many turns of the calendar, growing pools, buckets retuned on the way
    users, slots, end = 3_000, 90, 4_000_000
    draw = np.random.default_rng(np.random.SeedSequence([20261123, len(routing), int(think)]))
    first = draw.integers(0, int(think), users)
    rows = 200_000
    cpu, wait = draw.lognormal(8.0, 1.2, rows), draw.exponential(2_000.0, rows)
    thinks = draw.exponential(think, rows)

    def run(chunk: int, cuts: int) -> tuple[object, ...]:
        plane = Plane(routing, 400_000, first_requests_us=first, record_every=1)
        for k in range(slots):
            plane.open_slot(0, cores=0.5 + k % 3, workers=(1, 4, 10**6)[k % 3], queue_limit=20)
        offered = 0
        changes = [end * k // 5 for k in range(1, 5)]
        for stop in sorted({*np.linspace(0, end, cuts + 2).astype(int).tolist(), *changes}):
            while True:
                try:
                    plane.advance(stop)
                    break
                except DemandsNeeded:
                    assert offered < rows
                    part = slice(offered, offered + chunk)
                    plane.offer_demands(cpu[part], thinks[part], wait[part])
                    offered += chunk
            if stop in changes:
                k = changes.index(stop)
                plane.close_slot(stop, 10 * k)
                plane.set_routable(stop, 10 * k + 1, False)
                plane.set_rate(stop, 10 * k + 2, speed=0.5)
                plane.open_slot(stop, cores=2.0, workers=2)
        c = plane.counters()
        assert c.in_flight + plane.thinking == users
        assert c.arrived > 5_000
        return tuple(bits(x) for x in (c, plane.slots(), plane.histogram(), plane.take_outcomes(), plane.thinking))

    whole = run(rows, 0)
    assert run(777, 0) == whole
    assert run(rows, 501) == whole
    assert run(6_400, 97) == whole
