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

from fargsim.kernel import Outcome, SlotTable

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
