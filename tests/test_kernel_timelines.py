"""Hand-computed lives of a few requests, compared whole, on the compiled plane and on its twin."""

from __future__ import annotations

import math
import pickle
import subprocess
import sys
from typing import Any

import numpy as np
import pytest

from fargsim.kernel import Outcome, Plane

SERVED, REFUSED, NO_TARGET = Outcome.SERVED, Outcome.REFUSED_FULL, Outcome.NO_TARGET
CUT_OFF, TIMED_OUT, FAILED = Outcome.CUT_OFF, Outcome.TIMED_OUT, Outcome.FAILED
CLIENT_CLOSED = Outcome.CLIENT_CLOSED

pytestmark = pytest.mark.parametrize("compiled", [True, False], ids=["compiled", "twin"])


def endings(plane: Plane) -> list[tuple[int, Outcome, int, int]]:
    """Slot, outcome, start and end of every request."""
    return [
        (int(o["slot"]), Outcome(int(o["outcome"])), int(o["start_us"]), int(o["end_us"]))
        for o in plane.take_outcomes()
    ]


def make(compiled: bool, routing: str = "round_robin", **options: Any) -> Plane:
    return Plane(routing, compiled=compiled, record_every=1, **options)


def offer(plane: Plane, *rows: tuple[float, ...]) -> None:
    """Rows of arrival, cpu, wait."""
    arrivals, cpu, wait = zip(*((*row, 0.0)[:3] for row in rows), strict=True)
    plane.offer(np.array(arrivals, np.int64), np.array(cpu, float), np.array(wait, float))


def test_two_requests_share_one_core(compiled: bool) -> None:
    # 0-100 the first alone does 100; then both at half speed: the second's 50 are done at 200 (the first has 150);
    # the first's last 150 alone until 350
    plane = make(compiled)
    slot = plane.open_slot(0, cores=1.0)
    offer(plane, (0, 300), (100, 50))
    plane.advance(1000)
    assert endings(plane) == [(0, SERVED, 0, 350), (0, SERVED, 100, 200)]
    use = plane.slot(slot)
    assert (use.busy_core_us, use.in_system_us, use.in_worker_us) == (350.0, 450.0, 450.0)


def test_more_requests_than_cores_share_them_all(compiled: bool) -> None:
    # three on two cores: 2/3 each, the 100s end at 150; on 0.25 cores at speed 2 one alone gets 0.5
    plane = make(compiled)
    plane.open_slot(0, cores=2.0)
    offer(plane, (0, 100), (0, 100), (0, 200))
    plane.advance(225)
    assert plane.slots().busy_core_us.tolist() == [2 * 150 + 75]
    plane.advance(1000)
    assert endings(plane) == [(0, SERVED, 0, 150), (0, SERVED, 0, 150), (0, SERVED, 0, 250)]
    slow = make(compiled)
    slow.open_slot(0, cores=0.25, speed=2.0)
    offer(slow, (0, 100))
    slow.advance(1000)
    assert endings(slow) == [(0, SERVED, 0, 200)]
    assert slow.slots().busy_core_us.tolist() == [50.0]


def test_wait_holds_the_worker_but_no_core(compiled: bool) -> None:
    # two workers, one core. A waits 0-100 then needs 100; B needs 150 from 10; they share from 100: B has 60 left, A 100;
    # B ends at 220, A has 40 left: 260. C queues from 20, gets B's worker at 220, waits to 270, runs alone to 280
    plane = make(compiled)
    plane.open_slot(0, cores=1.0, workers=2)
    offer(plane, (0, 100, 100), (10, 150), (20, 10, 50))
    plane.advance(1000)
    assert endings(plane) == [(0, SERVED, 0, 260), (0, SERVED, 10, 220), (0, SERVED, 220, 280)]
    use = plane.slot(0)
    assert use.busy_core_us == 260.0
    assert use.in_worker_us == 260 + 210 + 60
    assert use.in_system_us == 260 + 210 + 260


def test_one_worker_serves_in_order(compiled: bool) -> None:
    # M/G/1 by hand, the fixed-rate path: half a core, so 50 take 100; the wait comes first
    plane = make(compiled)
    plane.open_slot(0, cores=0.5, workers=1)
    offer(plane, (0, 50), (10, 50, 30), (300, 5))
    plane.advance(150)
    assert plane.slots().busy_core_us.tolist() == [0.5 * (100 + 20)]  # the second waits 100-130
    assert plane.slots().in_worker_us.tolist() == [150.0]
    plane.advance(1000)
    assert endings(plane) == [(0, SERVED, 0, 100), (0, SERVED, 100, 230), (0, SERVED, 300, 310)]


def test_full_queue_refuses(compiled: bool) -> None:
    plane = make(compiled)
    plane.open_slot(0, cores=1.0, workers=1, queue_limit=1)
    # the work ends at 100 sharp, before the arrival of the same instant
    offer(plane, (0, 100), (10, 100), (20, 100), (100, 100), (150, 100))
    plane.advance(1000)
    assert endings(plane) == [
        (0, SERVED, 0, 100),
        (0, SERVED, 100, 200),
        (0, REFUSED, -1, 20),
        (0, SERVED, 200, 300),
        (0, REFUSED, -1, 150),
    ]
    c = plane.counters()
    assert (c.arrived, c.served, c.refused_full, c.in_flight) == (5, 3, 2, 0)
    assert plane.slot(0).routed == 5


def test_no_routable_slot(compiled: bool) -> None:
    plane = make(compiled)
    slot = plane.open_slot(0, cores=1.0, routable=False)
    offer(plane, (0, 10), (10, 10), (20, 10))
    plane.set_routable(10, slot, True)  # a change comes before the arrivals of its instant
    plane.set_routable(20, slot, False)
    plane.advance(100)
    assert endings(plane) == [(-1, NO_TARGET, -1, 0), (0, SERVED, 10, 20), (-1, NO_TARGET, -1, 20)]


def test_when_ready_goes_round_those_who_have_room_and_refuses_when_nobody_has(compiled: bool) -> None:
    plane = make(compiled, "when_ready")
    one = plane.open_slot(0, cores=1.0, max_concurrency=1)
    plane.open_slot(0, cores=2.0, max_concurrency=2)
    offer(plane, (0, 100), (0, 100), (0, 100), (0, 100), (100, 10), (100, 10), (105, 10))
    plane.advance(50)
    assert (plane.counters().no_target, plane.counters().not_ready) == (1, 1)
    plane.advance(1000)
    # 0: one, other, other (one is busy), nobody; at 100 all are done, and the cursor stands behind the other: one, other; 105: the other
    assert endings(plane) == [
        (0, SERVED, 0, 100),
        (1, SERVED, 0, 100),
        (1, SERVED, 0, 100),
        (-1, NO_TARGET, -1, 0),
        (0, SERVED, 100, 110),
        (1, SERVED, 100, 110),
        (1, SERVED, 105, 115),
    ]
    plane.set_routable(1000, one, False)
    plane.set_mode(1000, 1, "refuse")  # whose agent does not say that it is ready
    plane.offer(np.array([1000]), np.array([10.0]))
    plane.advance(1001)
    assert (plane.counters().no_target, plane.counters().not_ready) == (2, 2)
    plane.set_routable(1001, 1, False)
    plane.offer(np.array([1001]), np.array([10.0]))
    plane.advance(1002)
    assert (plane.counters().no_target, plane.counters().not_ready) == (3, 2), "nobody is there at all"


def test_a_slot_is_not_ready_while_it_works_for_who_has_gone(compiled: bool) -> None:
    plane = make(compiled, "when_ready", idle_timeout_us=50)
    plane.open_slot(0, cores=1.0, max_concurrency=1)
    offer(plane, (0, 100), (60, 10), (100, 10))
    plane.advance(1000)
    assert endings(plane) == [(0, TIMED_OUT, 0, 50), (-1, NO_TARGET, -1, 60), (0, SERVED, 100, 110)]


def test_time_out_and_work_goes_on(compiled: bool) -> None:
    # A would end at 300, its user leaves at 100; B (one worker) still has to wait for A's work, and times out queued
    plane = make(compiled, "least_outstanding_requests", idle_timeout_us=100)
    plane.open_slot(0, cores=1.0, workers=1)
    offer(plane, (0, 300), (50, 20), (290, 20))
    plane.advance(100)
    c = plane.counters()
    assert (c.timed_out, c.in_flight, c.orphaned) == (1, 1, 1)
    assert plane.slots().outstanding.tolist() == [1]
    plane.advance(1000)
    # C: A's work ends at 300, B's orphaned work at 320, C's at 340
    assert endings(plane) == [(0, TIMED_OUT, 0, 100), (0, TIMED_OUT, -1, 150), (0, SERVED, 320, 340)]
    use = plane.slot(0)
    assert (use.busy_core_us, use.worked, use.served, use.timed_out) == (340.0, 3, 1, 2)


def test_a_client_that_waits_less_than_the_balancer_leaves_and_the_work_goes_on(compiled: bool) -> None:
    # the same as above, but for who ends it
    plane = make(compiled, "least_outstanding_requests", idle_timeout_us=200, client_timeout_us=100)
    plane.open_slot(0, cores=1.0, workers=1)
    offer(plane, (0, 300), (50, 20), (290, 20))
    plane.advance(100)
    c = plane.counters()
    assert (c.client_closed, c.timed_out, c.in_flight, c.orphaned) == (1, 0, 1, 1)
    plane.advance(1000)
    assert endings(plane) == [(0, CLIENT_CLOSED, 0, 100), (0, CLIENT_CLOSED, -1, 150), (0, SERVED, 320, 340)]


@pytest.mark.parametrize("client_us", [0, 100, 500])
def test_a_client_that_waits_as_long_as_the_balancer_or_longer_gets_504(compiled: bool, client_us: int) -> None:
    plane = make(compiled, idle_timeout_us=100, client_timeout_us=client_us)
    plane.open_slot(0, cores=1.0, workers=1)
    offer(plane, (0, 300))
    plane.advance(1000)
    assert endings(plane) == [(0, TIMED_OUT, 0, 100)]
    assert (plane.counters().timed_out, plane.counters().client_closed) == (1, 0)


@pytest.mark.parametrize(
    ("client_us", "outcome", "end_us"), [(40, CLIENT_CLOSED, 40), (50, CLIENT_CLOSED, 50), (60, TIMED_OUT, 50)]
)
def test_who_gives_up_first_on_a_target_that_does_not_answer(
    compiled: bool, client_us: int, outcome: Outcome, end_us: int
) -> None:
    plane = make(compiled, connect_timeout_us=50, client_timeout_us=client_us)
    plane.open_slot(0, cores=1.0, mode="blackhole")
    offer(plane, (0, 10))
    plane.advance(1000)
    assert endings(plane) == [(0, outcome, -1, end_us)]
    c, late = plane.counters(), int(outcome == TIMED_OUT)
    assert (c.client_closed, c.timed_out, c.connection_timed_out) == (1 - late, late, late)


def test_time_out_with_cancel_frees_the_worker(compiled: bool) -> None:
    plane = make(compiled, idle_timeout_us=100, cancel_on_timeout=True)
    plane.open_slot(0, cores=1.0, workers=1)
    offer(plane, (0, 300), (50, 20), (60, 300))
    plane.advance(1000)
    # A is dropped at 100, B runs 100-120, C 120-160
    assert endings(plane) == [(0, TIMED_OUT, 0, 100), (0, SERVED, 100, 120), (0, TIMED_OUT, 120, 160)]
    assert plane.slot(0).busy_core_us == 160.0
    assert plane.counters().orphaned == 0


def test_cancel_gives_the_core_to_the_others(compiled: bool) -> None:
    # both share from 0; A and B leave at 100 with 50 done each... B came at 40: A has 40 + 30 done at 100
    plane = make(compiled, idle_timeout_us=100, cancel_on_timeout=True)
    plane.open_slot(0, cores=1.0)
    offer(plane, (0, 300), (40, 60))
    plane.advance(1000)
    # from 100 B is alone with 30 left
    assert endings(plane) == [(0, TIMED_OUT, 0, 100), (0, SERVED, 40, 130)]
    assert plane.slot(0).busy_core_us == 130.0


def test_an_answer_at_the_deadline_counts(compiled: bool) -> None:
    plane = make(compiled, idle_timeout_us=100)
    plane.open_slot(0, cores=1.0, workers=1)
    offer(plane, (0, 100), (0, 1))
    plane.advance(1000)
    assert endings(plane) == [(0, SERVED, 0, 100), (0, TIMED_OUT, 100, 100)]


def test_closing_a_slot_cuts_off_what_it_holds(compiled: bool) -> None:
    plane = make(compiled, idle_timeout_us=80)
    slot = plane.open_slot(0, cores=1.0, workers=2)
    offer(plane, (0, 500), (50, 500, 200), (60, 10))
    assert plane.close_slot(100, slot) == 2  # the first user has left at 80
    assert endings(plane) == [(0, TIMED_OUT, 0, 80), (0, CUT_OFF, 50, 100), (0, CUT_OFF, -1, 100)]
    use = plane.slot(slot)
    assert (use.busy_core_us, use.in_system_us, use.in_worker_us) == (100.0, 190.0, 150.0)
    assert (use.cut_off, use.timed_out, use.in_task) == (2, 1, 0)
    assert plane.counters().orphaned == 0
    assert plane.slots().slot.size == 0
    again = plane.open_slot(100, cores=1.0)
    assert again == 1
    offer(plane, (100, 10))
    plane.advance(200)
    assert endings(plane) == [(1, SERVED, 100, 110)]


def test_application_errors_do_all_the_work(compiled: bool) -> None:
    plane = make(compiled)
    plane.open_slot(0, cores=1.0)
    plane.offer([0, 100], [40.0, 30.0], fails=[True, False])
    plane.advance(1000)
    assert endings(plane) == [(0, FAILED, 0, 40), (0, SERVED, 100, 130)]
    c = plane.counters()
    assert (c.failed, c.failed_latency_sum_us, c.latency_sum_us) == (1, 40.0, 30.0)
    assert int(plane.histogram().sum()) == 1


def test_change_of_rate_reaches_what_is_in_service(compiled: bool) -> None:
    # fixed: 100 of 300 done at 100, the rest at half speed takes 400. The second's wait is over at 120 under way
    plane = make(compiled)
    fixed = plane.open_slot(0, cores=1.0, workers=1)
    shared = plane.open_slot(0, cores=1.0)
    offer(plane, (0, 300), (0, 300))
    plane.set_rate(100, fixed, speed=0.5)
    plane.set_rate(100, shared, cores=0.25)
    plane.advance(5000)
    assert endings(plane) == [(0, SERVED, 0, 500), (1, SERVED, 0, 900)]
    assert plane.slots().busy_core_us.tolist() == [500.0, 300.0]


def test_round_robin_by_row(compiled: bool) -> None:
    plane = make(compiled)
    for _ in range(3):
        plane.open_slot(0, cores=1.0)
    offer(plane, *[(t, 1000) for t in range(4)])
    plane.set_routable(4, 1, False)
    offer(plane, (4, 1), (5, 1))
    plane.close_slot(6, 0)
    plane.open_slot(6, cores=1.0)  # takes row 0
    plane.set_routable(6, 1, True)
    offer(plane, *[(t, 1) for t in range(6, 10)])
    plane.advance(100)
    plane.advance(10**5)
    assert [slot for slot, *_ in endings(plane)] == [0, 1, 2, 0, 2, 0, 1, 2, 3, 1]


def test_least_outstanding_takes_the_emptiest_then_turns(compiled: bool) -> None:
    plane = make(compiled, "least_outstanding_requests")
    for _ in range(3):
        plane.open_slot(0, cores=1.0, workers=1)
    offer(
        plane,
        (0, 1000),  # all empty: slot 0
        (1, 5),  # 1 and 2 empty, cursor at 1: slot 1
        (2, 1000),  # 2 empty: slot 2
        (10, 1000),  # 1 is free again: slot 1
        (11, 1000),  # one each, cursor at 2: slot 2
        (12, 1000),  # 0 and 1 have one, cursor wraps to 0: slot 0
        (13, 1000),  # slot 1 alone has one
        (14, 1000),  # two each, cursor at 2: slot 2
    )
    plane.advance(15)
    assert plane.slots().outstanding.tolist() == [2, 2, 3]
    plane.advance(10**5)
    assert [slot for slot, *_ in endings(plane)] == [0, 1, 2, 1, 2, 0, 1, 2]


def test_least_outstanding_far_above_the_levels_of_its_table(compiled: bool) -> None:
    # 1,024 levels; beyond, rows are compared one by one: here 1,500 apiece but for one that gets the next ones
    count = 3000
    plane = make(compiled, "least_outstanding_requests")
    for _ in range(2):
        plane.open_slot(0, cores=1.0, workers=1)
    if not compiled:  # the twin searches everything for each event: a shorter way to the same state is as good
        count = 300
    offer(plane, *[(0, 1e9)] * count)
    plane.advance(1)
    assert plane.slots().outstanding.tolist() == [count // 2, count // 2]
    late = plane.open_slot(1, cores=1.0, workers=1)
    offer(plane, (1, 1.0), (1, 1.0))
    plane.advance(2)
    assert plane.slot(late).routed == 2


def test_instants_leave_rounded_up(compiled: bool) -> None:
    plane = make(compiled)
    plane.open_slot(0, cores=1.0, workers=1)
    offer(plane, (0, 10.25), (1, 10.25))
    plane.advance(10)
    assert plane.counters().served == 0
    plane.advance(11)
    assert plane.counters().served == 1
    plane.advance(21)
    assert endings(plane) == [(0, SERVED, 0, 11), (0, SERVED, 11, 21)]
    assert plane.counters().latency_sum_us == 10.25 + 19.5


def test_many_slots_opened_and_closed_take_no_room(compiled: bool) -> None:
    plane = make(compiled)
    for k in range(300):
        plane.offer([k], [5.0])
        slot = plane.open_slot(k, cores=1.0)
        assert slot == k
        plane.close_slot(k + 1, slot)
    assert plane.counters().cut_off == 300
    assert plane.open_slots == ()


def test_more_slots_than_one_word_and_one_table(compiled: bool) -> None:
    count = 200
    plane = make(compiled, "least_outstanding_requests")
    slots = [plane.open_slot(0, cores=1.0, workers=1) for _ in range(count)]
    offer(plane, *[(k, 1e6) for k in range(2 * count)])
    plane.advance(count)
    assert plane.slots().outstanding.tolist() == [1] * count
    plane.advance(2 * count)
    assert plane.slots().outstanding.tolist() == [2] * count
    assert [plane.slot(slot).routed for slot in slots] == [2] * count


def test_a_plane_can_be_pickled_on_the_way(compiled: bool) -> None:
    plane = make(compiled, "least_outstanding_requests", idle_timeout_us=500)
    for _ in range(3):
        plane.open_slot(0, cores=1.0, workers=4)
    offer(plane, *[(k * 10, 60.5, 7.0) for k in range(100)])
    plane.advance(400)
    copy = pickle.loads(pickle.dumps(plane))
    for each in (plane, copy):
        each.advance(5000)
    assert copy.counters() == plane.counters()
    assert copy.take_outcomes().tobytes() == plane.take_outcomes().tobytes()


@pytest.mark.parametrize(
    ("call", "error"),
    [
        (lambda p: p.offer([25, 24], [1.0, 1.0]), "not in order"),
        (lambda p: p.offer([1], [1.0]), "an arrival at 1 us"),
        (lambda p: p.offer([20], [-1.0]), "cpu_us must be finite"),
        (lambda p: p.offer([20], [1.0], [math.nan]), "wait_us must be finite"),
        (lambda p: p.offer([20], [1.0, 2.0]), "cpu_us has shape"),
        (lambda p: p.offer([20.5], [1.0]), "whole microseconds"),
        (lambda p: p.offer([2**60], [1.0]), "past"),
        (lambda p: p.advance(9), "cannot advance"),
        (lambda p: p.open_slot(10, cores=0.0), "cores and speed"),
        (lambda p: p.open_slot(10, cores=1.0, workers=0), "worker"),
        (lambda p: p.open_slot(10, cores=1.0, queue_limit=-1), "queue"),
        (lambda p: p.close_slot(10, 7), "slot 7 is not open"),
        (lambda p: Plane("random", compiled=p is None), "not one of round_robin"),
    ],
)
def test_bad_input_is_refused_and_changes_nothing(compiled: bool, call: Any, error: str) -> None:
    plane = make(compiled)
    plane.open_slot(0, cores=1.0)
    plane.advance(10)
    with pytest.raises((ValueError, KeyError), match=error):
        call(plane)
    assert plane.pending == 0
    assert plane.now_us == 10
    assert plane.open_slots == (0,)


def test_importing_the_room_does_not_import_numba(compiled: bool) -> None:
    code = f"""
import sys, fargsim.kernel
assert "numba" not in sys.modules
fargsim.kernel.Plane(compiled={compiled})
assert ("numba" in sys.modules) == {compiled}
"""
    subprocess.run([sys.executable, "-c", code], check=True)
