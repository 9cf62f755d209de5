"""The clauses of the data plane once more, with every verb it has: weights, zones, profiles, targets that refuse or swallow
what comes, requests taken back and offered again; in the open loop and in the closed one."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from kernel_scripts import HORIZON_US, Script, bits, full_scripts, play

from fargsim.kernel import Counters, Outcome, Plane, SlotTable

FAST = settings(max_examples=100, deadline=None)
SLOW = settings(max_examples=250, deadline=None)
UNTIL = 2 * HORIZON_US
cut_instants = st.lists(st.integers(0, UNTIL), max_size=12).map(tuple)


@SLOW
@given(full_scripts())
def test_compiled_equals_twin_bit_for_bit(script: Script) -> None:
    compiled = play(script, compiled=True, look=True)
    twin = play(script, compiled=False, look=True)
    assert bits(compiled) == bits(twin)


@FAST
@given(full_scripts(), cut_instants, st.integers(1, 7))
def test_cuts_and_chunks_change_nothing(script: Script, cuts: tuple[int, ...], chunk: int) -> None:
    whole = play(script, compiled=True)
    assert bits(play(script, compiled=True, cuts=cuts, chunk=chunk)) == bits(whole)


@FAST
@given(full_scripts(), cut_instants, st.integers(1, 50))
def test_taking_back_and_offering_again_changes_nothing(script: Script, cuts: tuple[int, ...], chunk: int) -> None:
    whole = play(script, compiled=True)
    assert bits(play(script, compiled=True, cuts=cuts, chunk=chunk, withdraw=True)) == bits(whole)


@FAST
@given(full_scripts(), cut_instants)
def test_requests_are_conserved_at_every_cut(script: Script, cuts: tuple[int, ...]) -> None:
    answer = play(script, compiled=True, cuts=cuts, look=True)
    counts = [x for x in answer.on_the_way if isinstance(x, Counters)] + [answer.counters]
    tables = [x for x in answer.on_the_way if isinstance(x, SlotTable)] + [answer.slots]
    last = 0
    for c, table in zip(counts, tables, strict=True):
        ended = c.served + c.refused_full + c.no_target + c.cut_off + c.timed_out + c.failed
        assert c.arrived == ended + c.in_flight
        assert min(c) >= 0
        assert ended >= last
        last = ended
        assert c.in_flight == int(table.outstanding.sum())
        assert c.in_flight + c.orphaned == int(table.in_task.sum()) + int(table.connecting.sum())
        assert c.connection_refused + c.misunderstood <= c.cut_off
        assert c.connection_timed_out <= c.timed_out
        assert bool(np.all(table.connection_errors <= table.cut_off + table.timed_out))


@FAST
@given(full_scripts(closed=False))
def test_every_request_ends_exactly_once_and_errors_belong_to_a_slot(script: Script) -> None:
    answer = play(script, compiled=True, until=10**7)
    assert answer.counters.in_flight == answer.counters.orphaned == 0
    assert answer.outcomes["request"].tolist() == list(range(len(script.requests)))
    for outcome in Outcome:
        assert int(np.sum(answer.outcomes["outcome"] == outcome)) == getattr(answer.counters, outcome.name.lower())
    closed = [use for _, use in answer.closed]
    for column, total in (
        ("connection_errors", answer.counters.target_connection_errors + answer.counters.misunderstood),
        ("failed", answer.counters.failed),
        ("cut_off", answer.counters.cut_off),
        ("timed_out", answer.counters.timed_out),
    ):
        assert int(getattr(answer.slots, column).sum()) + sum(getattr(use, column) for use in closed) == total


@FAST
@given(full_scripts(closed=False))
def test_requests_stay_in_their_zone_while_it_has_a_routable_slot(script: Script) -> None:
    # nothing changes after the openings, which are all at 0, so that who is routable is known
    openings = tuple(o for o in script.openings if o.at == 0)
    if script.cross_zone or not openings:
        return
    answer = play(Script(**{**vars(script), "openings": openings, "changes": ()}), compiled=True, until=10**7)
    zones = {o.zone for o in openings if o.routable}
    for row in answer.outcomes:
        if not zones:
            assert row["outcome"] == Outcome.NO_TARGET
            continue
        entry = script.entries[int(row["request"]) % len(script.entries)]
        nearest = min(zones, key=lambda zone: (zone < entry, zone))
        assert openings[int(row["slot"])].zone == nearest


def test_weighted_random_keeps_the_shares() -> None:
    # Four slots, 100,000 requests: each count is binomial; |z| < 5 for all of them fails by chance with
    # probability below 4 x 5.8e-7 = 2.3e-6, were the seed another one.
    weights = [1.0, 0.5, 0.25, 0.05]
    n = 100_000
    plane = Plane("weighted_random")
    slots = [plane.open_slot(0, cores=1.0, weight=w) for w in weights]
    draw = np.random.default_rng(np.random.SeedSequence([20261123, 5]))
    plane.offer(np.arange(n), np.zeros(n), draw=draw.random(n))
    plane.advance(n)
    for slot, weight in zip(slots, weights, strict=True):
        p = weight / sum(weights)
        assert abs(plane.slot(slot).routed - n * p) < 5.0 * math.sqrt(n * p * (1.0 - p))


@pytest.mark.parametrize("routing", ["round_robin", "least_outstanding_requests", "weighted_random", "when_ready"])
@pytest.mark.parametrize("cross_zone", [True, False])
def test_cuts_chunks_and_taking_back_change_nothing_at_scale(routing: str, cross_zone: bool) -> None:
    # past one word of rows, growing pools, two revisions, targets that come and go, warm up, refuse and swallow
    requests, slots = 20_000, 150
    draw = np.random.default_rng(np.random.SeedSequence([20261123, len(routing), cross_zone]))
    arrivals = np.cumsum(draw.exponential(60.0, requests)).astype(np.int64)
    cpu = draw.lognormal(8.0, 1.2, (2, requests))
    wait = draw.exponential(2_000.0, requests)
    fails = (draw.random((2, requests)) < [[0.0], [0.2]]).astype(np.uint8)
    numbers, entry = draw.random(requests), draw.integers(0, 3, requests).astype(np.uint8)

    def run(chunk: int, cuts: int, withdraw: bool) -> tuple[object, ...]:
        plane = Plane(routing, 40_000, connect_timeout_us=10_000, cross_zone=cross_zone, record_every=1)
        for k in range(slots):
            plane.open_slot(
                0, cores=0.5 + k % 3, workers=(1, 4, 10**6)[k % 3], queue_limit=20, zone=k % 3, profile=k % 2,
                max_concurrency=(1, 6, 0)[k % 3],
            )  # fmt: skip
        for begin in range(0, requests, chunk):
            part = slice(begin, begin + chunk)
            plane.offer(arrivals[part], cpu[:, part], wait[part], fails[:, part], numbers[part], entry[part])
        end = int(arrivals[-1])
        stops = np.unique(np.linspace(0, end, cuts + 2).astype(np.int64)).tolist()
        changes = [int(arrivals[requests * k // 9]) for k in range(1, 9)]
        for stop in sorted({*stops, *changes}):
            plane.advance(stop)
            if withdraw:
                plane.offer(*plane.withdraw()[:6])
            if stop in changes:
                k = changes.index(stop)
                plane.close_slot(stop, 10 * k)
                plane.set_mode(stop, 10 * k + 1, "refuse")
                plane.set_mode(stop, 10 * k + 2, "blackhole")
                plane.set_weight(stop, 10 * k + 3, 0.1 * (k + 1))
                plane.open_slot(stop, cores=2.0, workers=2, zone=k % 4, weight=0.05, profile=1)
        plane.advance(end + 10**6)
        c = plane.counters()
        assert min(c.served, c.failed, c.timed_out, c.cut_off) > 0
        if routing == "when_ready":  # who refuses or swallows is never ready
            assert c.target_connection_errors == 0
            assert c.not_ready > 0 or cross_zone
        else:
            assert min(c.connection_refused, c.connection_timed_out) > 0
        return tuple(bits(x) for x in (c, plane.slots(), plane.histogram(), plane.take_outcomes()))

    whole = run(requests, 0, withdraw=False)
    assert run(777, 0, withdraw=False) == whole
    assert run(requests, 301, withdraw=False) == whole
    assert run(640, 97, withdraw=True) == whole
