"""The compiled plane against one SimPy process per request, request by request."""

from __future__ import annotations

import math

import numpy as np
import pytest
from oracle_simpy import Station

from fargsim.kernel import UNLIMITED, Outcome, Plane

REQUESTS = 3000


@pytest.mark.parametrize("routing", ["round_robin", "least_outstanding_requests"])
@pytest.mark.parametrize(
    ("cores", "speed", "workers", "queue_limit", "shared", "idle", "waits"),
    [
        (1.0, 1.0, 1, UNLIMITED, False, 0, False),
        (2.0, 1.0, 2, 5, False, 0, True),
        (4.0, 0.5, 3, UNLIMITED, False, 60_000, True),
        (1.0, 1.0, UNLIMITED, UNLIMITED, True, 0, False),
        (1.0, 1.0, 4, 3, True, 0, True),
        (1.5, 1.3, 4, 2, True, 60_000, True),
    ],
    ids=["fcfs", "fcfs-bounded", "fcfs-timeout", "ps", "station", "station-timeout"],
)
def test_agrees_with_one_process_per_request(
    routing: str,
    cores: float,
    speed: float,
    workers: int,
    queue_limit: int,
    shared: bool,
    idle: int,
    waits: bool,
) -> None:
    targets = 5
    draw = np.random.default_rng(np.random.SeedSequence([20261123, workers % 100, idle]))
    gap = 10_000.0 / (targets * cores * speed * 0.85)
    # no two arrivals at one instant: SimPy and the plane order such causes differently, by design
    arrivals = np.cumsum(np.maximum(draw.exponential(gap, REQUESTS).astype(np.int64), 1))
    cpu = draw.lognormal(math.log(10_000.0) - 0.5, 1.0, REQUESTS)
    wait = draw.exponential(5_000.0, REQUESTS) if waits else np.zeros(REQUESTS)

    one = {"cores": cores, "speed": speed, "workers": min(workers, 10**6), "queue_limit": queue_limit}
    expected = Station(routing, [{**one, "shared": shared}] * targets).run(
        list(zip(arrivals.tolist(), cpu.tolist(), wait.tolist(), strict=True)), float(idle)
    )

    plane = Plane(routing, idle, record_every=1)
    for _ in range(targets):
        plane.open_slot(0, cores=cores, speed=speed, workers=workers, queue_limit=queue_limit)
    plane.offer(arrivals, cpu, wait)
    plane.advance(10**9)
    got = plane.take_outcomes()

    assert got["slot"].tolist() == [slot for _, slot, _, _ in expected]
    assert [Outcome(int(o)).name.lower() for o in got["outcome"]] == [word for word, *_ in expected]
    for column, at in (("start_us", 2), ("end_us", 3)):
        theirs = np.array([row[at] for row in expected])
        slack = 1e-6 if shared else 0.0  # two methods, two roundings: a millionth of a microsecond
        assert bool(np.all(np.ceil(theirs - slack) <= got[column]))
        assert bool(np.all(got[column] <= np.ceil(theirs + slack)))
    if idle:
        assert plane.counters().timed_out > 0
    if queue_limit < UNLIMITED:
        assert plane.counters().refused_full > 0
