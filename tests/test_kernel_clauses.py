"""The five clauses of the data plane, for any input: answers repeat, cuts change nothing, compiled equals twin bit for
bit, every request ends exactly once, and busy time is the sum over requests."""

from __future__ import annotations

import math
from dataclasses import fields

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from kernel_scripts import HORIZON_US, Script, bits, play, scripts

from fargsim.kernel import Outcome, Plane, SlotTable

FAST = settings(max_examples=150, deadline=None)
SLOW = settings(max_examples=300, deadline=None)
cut_instants = st.lists(st.integers(0, 2 * HORIZON_US), max_size=12).map(tuple)


@FAST
@given(scripts())
def test_same_arguments_same_answer(script: Script) -> None:
    assert bits(play(script, compiled=True)) == bits(play(script, compiled=True))


@SLOW
@given(scripts())
def test_compiled_equals_twin_bit_for_bit(script: Script) -> None:
    compiled = play(script, compiled=True, look=True)
    twin = play(script, compiled=False, look=True)
    assert bits(compiled) == bits(twin)


@FAST
@given(scripts(), cut_instants, st.integers(1, 7))
def test_cuts_and_chunks_change_nothing(script: Script, cuts: tuple[int, ...], chunk: int) -> None:
    whole = play(script, compiled=True)
    cut = play(script, compiled=True, cuts=cuts, chunk=chunk)
    assert bits(cut) == bits(whole)


@FAST
@given(scripts(), cut_instants)
def test_requests_are_conserved_at_every_cut(script: Script, cuts: tuple[int, ...]) -> None:
    last = 0
    for until in sorted({*cuts, HORIZON_US}):
        answer = play(script, compiled=True, until=until)
        c = answer.counters
        ended = c.served + c.refused_full + c.no_target + c.cut_off + c.timed_out + c.failed
        assert c.arrived == sum(row[0] < until for row in script.requests)
        assert c.arrived == ended + c.in_flight
        assert min(c) >= 0
        assert ended >= last
        last = ended
        assert c.in_flight == int(answer.slots.outstanding.sum())
        assert c.in_flight + c.orphaned == int(answer.slots.in_task.sum())
        assert bool(np.all(answer.slots.in_worker <= answer.slots.in_task))
        assert int(answer.histogram.sum()) == c.served


@FAST
@given(scripts())
def test_every_request_ends_exactly_once(script: Script) -> None:
    # with every slot's work done in the end, nothing can be in flight
    answer = play(script, compiled=True, until=10**7)
    assert answer.counters.in_flight == 0
    assert answer.counters.orphaned == 0
    numbers = answer.outcomes["request"]
    assert numbers.tolist() == list(range(len(script.requests)))
    for outcome in Outcome:
        assert int(np.sum(answer.outcomes["outcome"] == outcome)) == getattr(answer.counters, outcome.name.lower())


@FAST
@given(scripts(changes=("routable", "unroutable")))
def test_busy_time_is_the_sum_over_requests(script: Script) -> None:
    # no slot dies and none changes: all work is done in the end, but for what a time-out cancels
    if script.cancel:
        script = Script(**{f.name: getattr(script, f.name) for f in fields(script)} | {"cancel": False})
    answer = play(script, compiled=True, until=10**7)
    slots, outcomes = answer.slots, answer.outcomes
    for k, slot in enumerate(slots.slot):
        worked = (outcomes["slot"] == slot) & (outcomes["outcome"] != Outcome.REFUSED_FULL)
        demand = math.fsum(script.requests[i][1] for i in np.flatnonzero(worked)) / slots.speed[k]
        # a fixed slot's phases are whole nanoseconds each; a double's rounding is far below that here
        assert slots.busy_core_us[k] == pytest.approx(demand, rel=1e-9, abs=1e-3 * (int(worked.sum()) + 1))
        arrived = outcomes["arrival_us"][worked]
        if script.idle_timeout_us == 0:
            stay = float(np.sum(outcomes["end_us"][worked] - arrived))
            assert slots.in_system_us[k] == pytest.approx(stay, abs=1.0 * int(worked.sum()) + 1e-9)


@FAST
@given(scripts())
def test_capacity_is_never_exceeded(script: Script) -> None:
    answer = play(script, compiled=True, cuts=tuple(range(0, HORIZON_US, 250)), look=True)
    limits = {k: (o.cores, o.workers, o.queue_limit) for k, o in enumerate(sorted_openings(script))}
    tables = [seen for seen in answer.on_the_way if isinstance(seen, SlotTable)]
    for table in tables:
        for k, slot in enumerate(table.slot):
            _, workers, queue_limit = limits[int(slot)]
            assert table.in_worker[k] <= workers
            assert table.in_task[k] - table.in_worker[k] <= queue_limit
            # work-conserving: nobody queues beside a free worker
            assert table.in_task[k] == table.in_worker[k] or table.in_worker[k] == workers


def sorted_openings(script: Script) -> list[object]:
    from kernel_scripts import Opening

    return [action for action in script.actions() if isinstance(action, Opening)]


@pytest.mark.parametrize("routing", ["round_robin", "least_outstanding_requests"])
@pytest.mark.parametrize("cancel", [False, True])
def test_cuts_and_chunks_change_nothing_at_scale(routing: str, cancel: bool) -> None:
    # past one word of rows, many turns of the calendar, growing pools, buckets retuned by every chunk's own rate
    requests, slots = 20_000, 90
    draw = np.random.default_rng(np.random.SeedSequence([20261123, len(routing), cancel]))
    gaps = draw.exponential(1.0, requests) * np.repeat([20.0, 400.0, 5.0, 100.0], requests // 4)
    arrivals = np.cumsum(gaps).astype(np.int64)
    cpu = draw.lognormal(8.0, 1.2, requests)
    wait = draw.exponential(2_000.0, requests)

    def run(chunk: int, cuts: int) -> tuple[object, ...]:
        plane = Plane(routing, 40_000, cancel, record_every=1)
        for k in range(slots):
            plane.open_slot(0, cores=0.5 + k % 3, workers=(1, 4, 10**6)[k % 3], queue_limit=20)
        for begin in range(0, requests, chunk):
            part = slice(begin, begin + chunk)
            plane.offer(arrivals[part], cpu[part], wait[part])
        end = int(arrivals[-1])
        stops = np.unique(np.linspace(0, end, cuts + 2).astype(np.int64)).tolist()
        # at every fifth of the requests a slot dies, another stops taking requests and a new one opens
        changes = [int(arrivals[requests * k // 5]) for k in range(1, 5)]
        for stop in sorted({*stops, *changes}):
            plane.advance(stop)
            if stop in changes:
                k = changes.index(stop)
                plane.close_slot(stop, 10 * k)
                plane.set_routable(stop, 10 * k + 1, False)
                plane.set_rate(stop, 10 * k + 2, speed=0.5)
                plane.open_slot(stop, cores=2.0, workers=2)
        plane.advance(end + 10**6)
        c = plane.counters()
        assert min(c.served, c.refused_full, c.cut_off, c.timed_out) > 0  # or this test would show little
        return tuple(
            bits(value)
            for value in (
                plane.counters(),
                plane.slots(),
                [plane.slot(10 * k) for k in range(4)],
                plane.histogram(),
                plane.take_outcomes(),
            )
        )

    whole = run(requests, 0)
    assert run(777, 0) == whole
    assert run(requests, 501) == whole
    assert run(64, 97) == whole
