"""By hand: who gets a request by weight and in zones, what becomes of it at a dead target, what it costs by profile."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from fargsim.kernel import DemandsNeeded, Outcome, Plane

SERVED, CUT_OFF, TIMED_OUT, FAILED = Outcome.SERVED, Outcome.CUT_OFF, Outcome.TIMED_OUT, Outcome.FAILED

pytestmark = pytest.mark.parametrize("compiled", [True, False], ids=["compiled", "twin"])


def make(compiled: bool, routing: str = "round_robin", **options: Any) -> Plane:
    return Plane(routing, compiled=compiled, record_every=1, **options)


def taken_by(plane: Plane) -> list[int]:
    """The slot of every request."""
    return [int(slot) for slot in plane.take_outcomes()["slot"]]


def endings(plane: Plane) -> list[tuple[int, Outcome, int, int]]:
    """Slot, outcome, start and end of every request."""
    return [
        (int(o["slot"]), Outcome(int(o["outcome"])), int(o["start_us"]), int(o["end_us"]))
        for o in plane.take_outcomes()
    ]


def test_weighted_random_takes_the_slot_its_number_falls_on(compiled: bool) -> None:
    # weights 1, 1/4, 3/4: half, an eighth, three eighths of [0, 1); a number on a border belongs to the next one
    plane = make(compiled, "weighted_random")
    for weight in (1.0, 0.25, 0.75):
        plane.open_slot(0, cores=1.0, weight=weight)
    draw = [0.0, 0.4999, 0.5, 0.6249, 0.625, 1.0 - 2.0**-53]
    plane.offer(range(6), [0.0] * 6, draw=draw)
    plane.advance(6)
    assert taken_by(plane) == [0, 0, 1, 1, 2, 2]
    plane.set_routable(6, 0, False)  # a quarter and three quarters are left
    plane.set_weight(6, 1, 0.75)  # and now it is half and half
    plane.offer([6, 7], [0.0] * 2, draw=[0.49, 0.5])
    plane.close_slot(8, 1)
    plane.offer([8, 9], [0.0] * 2, draw=[0.0, 0.99])
    plane.set_routable(9, 2, False)
    plane.advance(20)
    assert taken_by(plane) == [1, 2, 2, -1]


def test_a_slot_of_a_quarter_of_the_weight_gets_every_fourth_turn(compiled: bool) -> None:
    plane = make(compiled)
    for weight in (1.0, 0.25, 1.0):
        plane.open_slot(0, cores=1.0, weight=weight)
    plane.offer(range(11), [0.0] * 11)
    plane.advance(11)
    assert taken_by(plane) == [0, 2, 0, 2, 0, 2, 0, 1, 2, 0, 2]
    # warmed up: plain turns again, from where the cursor stands
    plane.set_weight(11, 1, 1.0)
    plane.offer(range(11, 15), [0.0] * 4)
    plane.advance(15)
    assert taken_by(plane) == [0, 1, 2, 0]


def test_what_a_slot_has_saved_up_stays_when_its_weight_changes(compiled: bool) -> None:
    plane = make(compiled)
    plane.open_slot(0, cores=1.0)
    plane.open_slot(0, cores=1.0, weight=0.5)
    plane.offer(range(6), [0.0] * 6)
    plane.set_weight(2, 1, 0.25)  # half a turn saved: then two quarters make it whole
    plane.advance(6)
    assert taken_by(plane) == [0, 0, 0, 1, 0, 0]


def test_slots_of_equal_weight_take_equal_turns_however_small_it_is(compiled: bool) -> None:
    plane = make(compiled)
    for weight in (1e-6, 1e-6, 5e-7):
        plane.open_slot(0, cores=1.0, weight=weight)
    plane.offer(range(10), [0.0] * 10)
    plane.advance(10)
    assert taken_by(plane) == [0, 1, 0, 1, 2, 0, 1, 0, 1, 2]


def test_least_outstanding_requests_does_not_look_at_weights(compiled: bool) -> None:
    plane = make(compiled, "least_outstanding_requests")
    plane.open_slot(0, cores=1.0, weight=0.01)
    plane.open_slot(0, cores=1.0)
    plane.offer(range(4), [1e3] * 4)
    plane.advance(10**5)
    assert taken_by(plane) == [0, 1, 0, 1]


def test_nothing_listens_is_502_at_once(compiled: bool) -> None:
    # what the slot held before goes on, its queue too; it serves again when it listens again
    plane = make(compiled)
    slot = plane.open_slot(0, cores=1.0, workers=1)
    plane.offer([0, 10, 20, 30, 400], [100.0] * 5)
    plane.set_mode(15, slot, "refuse")
    plane.set_mode(300, slot, "serve")
    plane.advance(1000)
    assert endings(plane) == [
        (0, SERVED, 0, 100),
        (0, SERVED, 100, 200),
        (0, CUT_OFF, -1, 20),
        (0, CUT_OFF, -1, 30),
        (0, SERVED, 400, 500),
    ]
    use, c = plane.slot(slot), plane.counters()
    assert (use.routed, use.cut_off, use.connection_errors, use.served) == (5, 2, 2, 3)
    assert (c.cut_off, c.connection_refused, c.connection_timed_out, c.target_connection_errors) == (2, 2, 0, 2)
    assert (c.responses, c.response_sum_us) == (3, 100 + 190 + 100)
    assert use.in_system_us == 100 + 190 + 100


@pytest.mark.parametrize(("idle", "end"), [(0, 320), (500, 320), (200, 220)])
def test_nothing_answers_is_504_when_connecting_takes_too_long(compiled: bool, idle: int, end: int) -> None:
    plane = make(compiled, idle_timeout_us=idle, connect_timeout_us=300)
    slot = plane.open_slot(0, cores=1.0, workers=1, queue_limit=0)
    plane.offer([0, 20, 21], [50.0, 1.0, 1.0])
    plane.set_mode(10, slot, "blackhole")
    plane.advance(30)
    use = plane.slot(slot)
    # outstanding, but the task has never heard of the two
    assert (use.outstanding, use.connecting, use.in_task, use.in_worker) == (3, 2, 1, 1)
    plane.set_mode(40, slot, "serve")  # too late for those two
    plane.offer([60], [50.0])
    plane.advance(1000)
    assert endings(plane) == [
        (0, SERVED, 0, 50),
        (0, TIMED_OUT, -1, end),
        (0, TIMED_OUT, -1, end + 1),
        (0, SERVED, 60, 110),
    ]
    use, c = plane.slot(slot), plane.counters()
    assert (use.timed_out, use.connection_errors, use.started, use.in_system_us) == (2, 2, 2, 100.0)
    assert (c.timed_out, c.connection_timed_out, c.orphaned, c.in_flight) == (2, 2, 0, 0)


def test_a_black_hole_repels_least_outstanding_requests(compiled: bool) -> None:
    # six requests 10 apart, each served in 1 by the other slot; the hole takes what the cursor gives it while it is empty
    plane = make(compiled, "least_outstanding_requests", connect_timeout_us=35)
    plane.open_slot(0, cores=1.0, mode="blackhole")
    plane.open_slot(0, cores=1.0)
    plane.offer(range(0, 60, 10), [1.0] * 6)
    plane.advance(100)
    # the first one holds the hole until 35; then both are empty and the cursor stands at the hole
    assert taken_by(plane) == [0, 1, 1, 1, 0, 1]


def test_closing_a_black_hole_cuts_off_those_who_connect(compiled: bool) -> None:
    plane = make(compiled, connect_timeout_us=300)
    slot = plane.open_slot(0, cores=2.0, workers=4, mode="blackhole")
    plane.offer([0, 5], [1.0, 1.0])
    assert plane.close_slot(100, slot) == 2
    use = plane.slot(slot)
    assert (use.cut_off, use.connecting, use.connection_errors, use.in_system_us, use.in_worker_us) == (2, 0, 0, 0, 0)
    assert endings(plane) == [(0, CUT_OFF, -1, 100), (0, CUT_OFF, -1, 100)]


def test_users_of_dead_targets_think_and_come_again(compiled: bool) -> None:
    # refused at 0, again at 10; swallowed at 20 until 120; served from 130 on
    plane = make(compiled, first_requests_us=[0], connect_timeout_us=100)
    slot = plane.open_slot(0, cores=1.0, mode="refuse")
    plane.offer_demands([5.0] * 9, [10.0] * 9)
    plane.set_mode(15, slot, "blackhole")
    plane.set_mode(125, slot, "serve")
    plane.advance(140)
    assert endings(plane) == [
        (0, CUT_OFF, -1, 0),
        (0, CUT_OFF, -1, 10),
        (0, TIMED_OUT, -1, 120),
        (0, SERVED, 130, 135),
    ]
    assert plane.thinking == 1


def test_a_request_costs_what_its_slots_profile_says(compiled: bool) -> None:
    plane = make(compiled)
    plane.open_slot(0, cores=1.0, workers=1)
    plane.open_slot(0, cores=1.0, workers=1, profile=1)
    assert plane.profiles == 0
    cpu = [[10.0, 20.0, 30.0, 40.0], [100.0, 200.0, 300.0, 400.0]]
    plane.offer([0, 1000, 2000, 3000], cpu, wait_us=[1.0, 2.0, 3.0, 4.0], fails=[[1, 0, 0, 0], [0, 0, 0, 1]])
    assert plane.profiles == 2
    plane.advance(10_000)
    assert endings(plane) == [
        (0, FAILED, 0, 11),
        (1, SERVED, 1000, 1202),
        (0, SERVED, 2000, 2033),
        (1, FAILED, 3000, 3404),
    ]
    assert plane.slots().failed.tolist() == [1, 1]


def test_taken_back_to_be_offered_with_one_more_profile(compiled: bool) -> None:
    plane = make(compiled)
    plane.open_slot(0, cores=1.0)
    plane.offer([0, 100], [10.0, 20.0])
    plane.offer([200, 300], [30.0, 40.0], wait_us=[5.0, 5.0], fails=[True, False])
    plane.advance(150)
    assert plane.pending == 2
    with_wait = plane.withdraw()
    assert plane.pending == 0
    assert with_wait.arrivals_us.tolist() == [200, 300]
    assert with_wait.wait_us is not None
    assert (with_wait.draw, with_wait.entry, with_wait.think_us) == (None, None, None)
    plane.offer(with_wait.arrivals_us, [with_wait.cpu_us, 2 * with_wait.cpu_us], with_wait.wait_us, with_wait.fails)
    plane.open_slot(150, cores=1.0, profile=1)
    plane.set_routable(150, 0, False)
    plane.advance(1000)
    assert endings(plane) == [
        (0, SERVED, 0, 10),
        (0, SERVED, 100, 120),
        (1, FAILED, 200, 265),
        (1, SERVED, 300, 385),
    ]


def test_taken_back_are_chunks_of_both_shapes_as_one(compiled: bool) -> None:
    plane = make(compiled)
    plane.offer([0, 1], [1.0, 2.0])
    plane.offer([2], [[3.0], [30.0]], fails=[1], draw=[0.5])
    back = plane.withdraw()
    assert back.cpu_us.tolist() == [[1.0, 2.0, 3.0], [1.0, 2.0, 30.0]]
    assert back.fails is not None
    assert back.fails.tolist() == [[0, 0, 1], [0, 0, 1]]
    assert (back.wait_us, back.draw) == (None, None)
    plane.offer([0], [1.0])  # earlier than what was taken back: nothing of it is left
    assert plane.pending == 1
    nothing = Plane(compiled=compiled).withdraw()
    assert nothing.arrivals_us.size == nothing.cpu_us.size == 0


def test_a_closed_loop_takes_back_demands_that_nobody_has_used(compiled: bool) -> None:
    plane = make(compiled, first_requests_us=[0, 5])
    plane.open_slot(0, cores=1.0)
    plane.offer_demands([1.0, 2.0, 3.0], [50.4, 60.0, 0.0])
    plane.advance(10)
    back = plane.withdraw()
    assert back.think_us is not None
    assert (back.cpu_us.tolist(), back.think_us.tolist(), back.arrivals_us.size) == ([3.0], [1], 0)
    with pytest.raises(DemandsNeeded):
        plane.advance(200)


def test_requests_stay_in_the_zone_they_enter_by(compiled: bool) -> None:
    plane = make(compiled, cross_zone=False)
    zones = [0, 2, 0, 2, 2]
    for zone in zones:
        plane.open_slot(0, cores=1.0, zone=zone)
    #        zone 0 has slots 0 and 2; zone 2 has 1, 3, 4; each its own turns. 1 has none: on to 2. 3 and 9: around to 0
    entry = [0, 2, 2, 0, 0, 2, 1, 3, 9]
    plane.offer(range(9), [0.0] * 9, entry=entry)
    plane.advance(9)
    assert taken_by(plane) == [0, 1, 3, 2, 0, 4, 1, 2, 0]
    # zone 2 loses its slots: its requests go round to 0; then 0 loses its own
    for slot in (1, 3, 4):
        plane.set_routable(9, slot, False)
    plane.offer([9, 10], [0.0] * 2, entry=[2, 2])
    for slot in (0, 2):
        plane.set_routable(11, slot, False)
    plane.offer([11], [0.0], entry=[0])
    plane.set_routable(12, 3, True)
    plane.offer([12], [0.0], entry=[0])
    plane.advance(100)
    assert taken_by(plane) == [2, 0, -1, 3]


def test_zones_with_least_outstanding_requests_and_with_weights(compiled: bool) -> None:
    least = make(compiled, "least_outstanding_requests", cross_zone=False)
    for zone in (0, 1, 1):
        least.open_slot(0, cores=1.0, workers=1, zone=zone)
    # slot 0 is the fullest from the second on, and still alone in its zone
    least.offer(range(6), [1e3] * 6, entry=[0, 0, 1, 0, 1, 1])
    least.advance(10**5)
    assert taken_by(least) == [0, 0, 1, 0, 2, 1]
    weighted = make(compiled, "weighted_random", cross_zone=False)
    for zone, weight in ((0, 1.0), (1, 1.0), (1, 0.25)):
        weighted.open_slot(0, cores=1.0, zone=zone, weight=weight)
    weighted.offer(range(4), [0.0] * 4, draw=[0.99, 0.0, 0.79, 0.8], entry=[0, 1, 1, 1])
    weighted.advance(10)
    assert taken_by(weighted) == [0, 1, 1, 2]
    thinned = make(compiled, cross_zone=False)
    for zone, weight in ((0, 0.5), (1, 1.0), (1, 0.5)):
        thinned.open_slot(0, cores=1.0, zone=zone, weight=weight)
    thinned.offer(range(7), [0.0] * 7, entry=[0, 1, 1, 1, 0, 1, 1])
    thinned.advance(10)
    assert taken_by(thinned) == [0, 1, 1, 2, 0, 1, 1]


def test_least_outstanding_in_a_zone_far_above_the_levels_of_its_table(compiled: bool) -> None:
    # 1,024 levels: beyond, rows are compared one by one; the other zone's slot is empty and not asked
    count = 3000 if compiled else 100
    plane = make(compiled, "least_outstanding_requests", cross_zone=False)
    for zone in (0, 1, 1):
        plane.open_slot(0, cores=1.0, workers=1, zone=zone)
    plane.offer([0] * count, [1e9] * count, entry=[1] * count)
    plane.advance(1)
    assert plane.slots().outstanding.tolist() == [0, count // 2, count // 2]


@pytest.mark.parametrize(
    ("call", "error"),
    [
        (lambda p: p.open_slot(10, cores=1.0, weight=0.0), "a weight must be above 0 and at most 1, not 0"),
        (lambda p: p.open_slot(10, cores=1.0, weight=1.5), "a weight must be"),
        (lambda p: p.open_slot(10, cores=1.0, zone=256), "a zone is a number from 0 to 255, not 256"),
        (lambda p: p.open_slot(10, cores=1.0, profile=-1), "profiles count from 0"),
        (lambda p: p.open_slot(10, cores=1.0, profile=2), "the pending requests have 2 profiles, none is 2"),
        (lambda p: p.open_slot(10, cores=1.0, mode="dead"), "mode 'dead' is not one of serve, refuse, blackhole"),
        (lambda p: p.set_mode(10, 0, "dead"), "mode 'dead'"),
        (lambda p: p.set_weight(10, 0, float("nan")), "a weight must be"),
        (lambda p: p.set_weight(10, 7, 0.5), "slot 7 is not open"),
        (lambda p: p.offer([60], [1.0], entry=[0]), "needs a number in"),
        (lambda p: p.offer([60], [1.0], draw=[0.5]), "need the zone they enter by"),
        (lambda p: p.offer([60], [1.0], draw=[1.0], entry=[0]), r"draw must be in \[0, 1\)"),
        (lambda p: p.offer([60], [1.0], draw=[np.nan], entry=[0]), "draw must be finite"),
        (lambda p: p.offer([60], [1.0], draw=[0.5, 0.5], entry=[0]), "draw has shape"),
        (lambda p: p.offer([60], [1.0], draw=[0.5], entry=[256]), "entry must be whole numbers from 0 to 255"),
        (lambda p: p.offer([60], [1.0], draw=[0.5], entry=[0.5]), "entry must be whole numbers"),
        (lambda p: p.offer([60], [[1.0]] * 3, draw=[0.5], entry=[0]), "those pending are for 2: withdraw them"),
        (lambda p: p.offer([60], [[1.0]], draw=[0.5], entry=[0]), "for 1 profiles, and an open slot has profile 1"),
        (lambda p: p.offer([60], [[1.0]] * 2, [[1.0]] * 3, draw=[0.5], entry=[0]), "are for 2, 3 profiles"),
        (lambda p: p.offer([60], np.ones((2, 2)), draw=[0.5], entry=[0]), "cpu_us has shape"),
        (lambda p: p.offer([60], np.ones((0, 1)), draw=[0.5], entry=[0]), "demands for no profile"),
        (lambda p: Plane(connect_timeout_us=0, compiled=p is None), "an attempt to connect cannot last 0 us"),
    ],
)
def test_bad_input_is_refused_and_changes_nothing(compiled: bool, call: Any, error: str) -> None:
    plane = make(compiled, "weighted_random", cross_zone=False)
    plane.open_slot(0, cores=1.0, profile=1)
    plane.advance(10)
    plane.offer([50], [[1.0], [2.0]], draw=[0.5], entry=[0])
    with pytest.raises((ValueError, KeyError), match=error):
        call(plane)
    assert (plane.pending, plane.profiles, plane.now_us, plane.open_slots) == (1, 2, 10, (0,))
