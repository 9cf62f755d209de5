"""Closed forms of queueing theory, on the compiled plane.

Warm-up: the first tenth of the requests of each replication is left out of every mean: the plane is advanced to
the arrival of the first request behind it and the counters are read there. At loads of 0.7 to 0.8 that tenth is
thousands of mean services, far beyond the relaxation time of these queues (about 1 / (1 - sqrt(rho))^2 services, at
most some 90 here).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pytest
import stats

from fargsim.kernel import UNLIMITED, DemandsNeeded, Plane, accumulate

SERVICE_US = 10_000.0
WARM_UP = 0.1
REPLICATIONS, REQUESTS = 20, 300_000
LONG_REPLICATIONS, LONG_REQUESTS = 40, 2_000_000

Draw = Callable[[np.random.Generator, int], npt.NDArray[np.float64]]


def exponential(draw: np.random.Generator, n: int) -> npt.NDArray[np.float64]:
    return draw.exponential(SERVICE_US, n)


def constant(draw: np.random.Generator, n: int) -> npt.NDArray[np.float64]:
    return np.full(n, SERVICE_US)


def lognormal(draw: np.random.Generator, n: int) -> npt.NDArray[np.float64]:
    sigma = 0.8  # squared coefficient of variation 0.9
    return draw.lognormal(math.log(SERVICE_US) - sigma**2 / 2, sigma, n)


@dataclass(frozen=True)
class Queue:
    """One slot with Poisson arrivals."""

    load: float
    service: Draw
    cores: float
    workers: int
    queue_limit: int = UNLIMITED
    waits: bool = False  # off-CPU time instead of cpu

    @property
    def rate_per_us(self) -> float:
        return self.load * self.cores / SERVICE_US


@dataclass(frozen=True)
class Means:
    """What one replication gives, after the warm-up."""

    latency_us: float
    in_system: float
    in_worker: float
    utilisation: float
    refused: float


def simulate(queue: Queue, draw: np.random.Generator, requests: int) -> Means:
    """Run one replication."""
    plane = Plane("round_robin")
    slot = plane.open_slot(0, cores=queue.cores, workers=queue.workers, queue_limit=queue.queue_limit)
    sums = accumulate(0.0, draw.standard_exponential(requests))
    arrivals = np.rint(sums / queue.rate_per_us).astype(np.int64)
    plane.offer(arrivals, queue.service(draw, requests))
    begin = int(arrivals[int(WARM_UP * requests)])
    end = int(arrivals[-1])
    plane.advance(begin)
    c0, s0 = plane.counters(), plane.slot(slot)
    plane.advance(end)
    c1, s1 = plane.counters(), plane.slot(slot)
    span = end - begin
    return Means(
        latency_us=(c1.latency_sum_us - c0.latency_sum_us) / (c1.served - c0.served),
        in_system=(s1.in_system_us - s0.in_system_us) / span,
        in_worker=(s1.in_worker_us - s0.in_worker_us) / span,
        utilisation=(s1.busy_core_us - s0.busy_core_us) / span / queue.cores,
        refused=(c1.refused_full - c0.refused_full) / (c1.arrived - c0.arrived),
    )


def erlang_c(servers: int, load: float) -> float:
    """Probability of waiting in M/M/c (A. K. Erlang 1917; Kleinrock, Queueing Systems I, eq. 3.40)."""
    offered = servers * load
    blocked = 1.0
    for k in range(1, servers + 1):
        blocked = offered * blocked / (k + offered * blocked)
    return blocked / (1.0 - load * (1.0 - blocked))


def loss(servers: int, places: int, load: float) -> tuple[float, float]:
    """Probability that M/M/c/K is full and mean number in it, from its birth-death chain."""
    weight = [1.0]
    for k in range(1, places + 1):
        weight.append(weight[-1] * servers * load / min(k, servers))
    total = math.fsum(weight)
    return weight[-1] / total, math.fsum(k * w for k, w in enumerate(weight)) / total


def cases() -> dict[str, tuple[Queue, dict[str, float]]]:
    """Every queue with its closed forms; the number of figures is K of the family."""
    rho, many = 0.7, 10
    found: dict[str, tuple[Queue, dict[str, float]]] = {}

    sojourn = SERVICE_US / (1 - rho)
    found["M/M/1"] = (
        Queue(rho, exponential, 1.0, 1),
        {"latency_us": sojourn, "in_system": rho / (1 - rho), "in_worker": rho, "utilisation": rho},
    )
    waiting = erlang_c(many, 0.8) * SERVICE_US / (many * (1 - 0.8))
    found["M/M/10"] = (
        Queue(0.8, exponential, float(many), many),
        {
            "latency_us": SERVICE_US + waiting,
            "in_system": many * 0.8 * (1 + waiting / SERVICE_US),  # Little
            "in_worker": many * 0.8,
            "utilisation": 0.8,
        },
    )
    found["M/D/1"] = (
        Queue(rho, constant, 1.0, 1),
        {"latency_us": SERVICE_US * (1 + rho / (2 * (1 - rho))), "utilisation": rho},
    )
    squared = math.exp(0.8**2) - 1  # Pollaczek-Khinchine with the lognormal's squared coefficient of variation
    found["M/G/1"] = (
        Queue(rho, lognormal, 1.0, 1),
        {"latency_us": SERVICE_US * (1 + rho * (1 + squared) / (2 * (1 - rho))), "utilisation": rho},
    )
    # insensitive: the law of the demand does not matter, only its mean
    for name, law in (("exponential", exponential), ("lognormal", lognormal)):
        found[f"M/G/1-PS {name}"] = (
            Queue(rho, law, 1.0, UNLIMITED),
            {"latency_us": sojourn, "in_system": rho / (1 - rho), "utilisation": rho},
        )
    # ten shared cores: the number in the system is M/M/10's, for any law (Kelly, Reversibility, 3.3)
    found["M/G/10-PS lognormal"] = (
        Queue(0.8, lognormal, float(many), UNLIMITED),
        {"latency_us": SERVICE_US + waiting, "utilisation": 0.8},
    )
    full, inside = loss(4, 8, 0.9)
    found["M/M/4/8"] = (
        Queue(0.9, exponential, 4.0, 4, queue_limit=4),
        {
            "refused": full,
            "in_system": inside,
            "latency_us": inside / (4 * 0.9 / SERVICE_US * (1 - full)),
            "utilisation": 0.9 * (1 - full),
        },
    )
    return found


CASES = cases()


def compare(name: str, replications: int, requests: int, label: str) -> None:
    queue, theory = CASES[name]
    runs = [simulate(queue, draw, requests) for draw in stats.generators(f"{name}{label}", replications)]
    for figure, value in theory.items():
        stats.check(f"{name} {figure}{label}", [getattr(run, figure) for run in runs], value)


@pytest.mark.parametrize("name", CASES)
def test_closed_form(name: str) -> None:
    compare(name, REPLICATIONS, REQUESTS, "")


@pytest.mark.slow
@pytest.mark.parametrize("name", CASES)
def test_closed_form_long(name: str) -> None:
    compare(name, LONG_REPLICATIONS, LONG_REQUESTS, ", long")


@pytest.mark.parametrize("name", CASES)
def test_littles_law_holds_in_every_single_run(name: str) -> None:
    # L = lambda W over one whole busy run from empty to empty is an identity, not a statistic
    queue, _ = CASES[name]
    draw = stats.generators(f"{name}, Little", 1)[0]
    plane = Plane("round_robin")
    slot = plane.open_slot(0, cores=queue.cores, workers=queue.workers, queue_limit=queue.queue_limit)
    arrivals = np.rint(np.cumsum(draw.exponential(1 / queue.rate_per_us, 20_000))).astype(np.int64)
    plane.offer(arrivals, queue.service(draw, 20_000))
    plane.advance(10**10)
    assert plane.counters().in_flight == 0
    assert plane.slot(slot).in_system_us == pytest.approx(plane.counters().latency_sum_us, rel=1e-12)


@dataclass(frozen=True)
class ClosedLoop:
    """A fixed number of users of one slot: the machine repair model, the terminals of a computer."""

    users: int
    think_us: float
    servers: int
    service: Draw = exponential
    workers: int | None = None  # None: a worker a core, first come first served

    def plane(self, draw: np.random.Generator) -> tuple[Plane, int]:
        first = np.maximum(draw.exponential(self.think_us, self.users), 1.0).astype(np.int64)
        plane = Plane("least_outstanding_requests", first_requests_us=first)
        return plane, plane.open_slot(0, cores=float(self.servers), workers=self.workers or self.servers)

    def run(self, draw: np.random.Generator, requests: int) -> dict[str, float]:
        """One replication of about as many requests."""
        plane, slot = self.plane(draw)
        x, *_ = self.theory()

        def reach(until: int) -> None:
            while plane.now_us < until:
                try:
                    plane.advance(until)
                except DemandsNeeded as needed:
                    n = max(needed.count, 50_000)
                    plane.offer_demands(self.service(draw, n), draw.exponential(self.think_us, n))

        begin, end = (round(part * requests / x) for part in (WARM_UP, 1.0))
        reach(begin)
        c0, s0 = plane.counters(), plane.slot(slot)
        reach(end)
        c1, s1 = plane.counters(), plane.slot(slot)
        span = end - begin
        return {
            "throughput": (c1.served - c0.served) / span,
            "response": (c1.latency_sum_us - c0.latency_sum_us) / (c1.served - c0.served),
            "in_flight": (s1.in_system_us - s0.in_system_us) / span,
            "utilisation": (s1.busy_core_us - s0.busy_core_us) / span / self.servers,
        }

    def theory(self) -> tuple[float, float, float, float]:
        """Throughput, response time, number in flight and utilisation of M/M/c//N (Kleinrock, Queueing Systems I, 3.8)."""
        # birth rate (N - k) / Z, death rate min(k, c) / S
        weight = [1.0]
        for k in range(1, self.users + 1):
            birth = (self.users - k + 1) / self.think_us
            weight.append(weight[-1] * birth * SERVICE_US / min(k, self.servers))
        total = math.fsum(weight)
        busy = math.fsum(min(k, self.servers) * w for k, w in enumerate(weight)) / total
        inside = math.fsum(k * w for k, w in enumerate(weight)) / total
        x = busy / SERVICE_US
        return x, inside / x, inside, busy / self.servers


CLOSED = {
    "M/M/1//20": (ClosedLoop(20, 180_000.0, 1), ("throughput", "response", "in_flight", "utilisation")),
    "M/M/4//50": (ClosedLoop(50, 100_000.0, 4), ("throughput", "response", "utilisation")),
    # processor sharing is insensitive to the law of the demand: the same chain
    "M/G/1//20-PS lognormal": (
        ClosedLoop(20, 180_000.0, 1, lognormal, UNLIMITED),
        ("throughput", "response"),
    ),
}


def compare_closed(name: str, replications: int, requests: int, label: str) -> None:
    loop, figures = CLOSED[name]
    x, response, inside, use = loop.theory()
    theory = {"throughput": x, "response": response, "in_flight": inside, "utilisation": use}
    runs = [loop.run(draw, requests) for draw in stats.generators(f"{name}{label}", replications)]
    for figure in figures:
        stats.check(f"{name} {figure}{label}", [run[figure] for run in runs], theory[figure])


@pytest.mark.parametrize("name", CLOSED)
def test_closed_loop(name: str) -> None:
    compare_closed(name, REPLICATIONS, REQUESTS, "")


@pytest.mark.slow
@pytest.mark.parametrize("name", CLOSED)
def test_closed_loop_long(name: str) -> None:
    compare_closed(name, LONG_REPLICATIONS, LONG_REQUESTS, ", long")


@pytest.mark.parametrize("name", CLOSED)
def test_interactive_response_time_law_holds_in_every_single_run(name: str) -> None:
    # R = N / X - Z (Denning and Buzen, Computing Surveys 10, 1978) over a whole run is an identity, not a statistic, but for
    # what each user had begun at its ends: at most a think time and a response
    loop, _ = CLOSED[name]
    draw = stats.generators(f"{name}, response time law", 1)[0]
    plane, _ = loop.plane(draw)
    think = np.maximum(np.rint(draw.exponential(loop.think_us, REQUESTS)), 1.0)
    plane.offer_demands(loop.service(draw, REQUESTS), think)
    end = round(0.9 * REQUESTS / loop.theory()[0])
    plane.advance(end)
    c = plane.counters()
    assert c.served + c.in_flight == c.arrived
    response, z = c.latency_sum_us / c.served, float(think[: c.arrived].sum()) / c.served
    edge = loop.users * (float(think.max()) + 20 * response) / c.served
    assert edge < 0.015 * response
    assert loop.users / (c.served / end) - z == pytest.approx(response, abs=edge)


def test_number_of_checks_is_the_one_declared() -> None:
    checks = sum(len(theory) for _, theory in CASES.values()) + sum(len(figures) for _, figures in CLOSED.values())
    others = 1 + 2 + 1  # test_kernel_pull.py, test_kernel_hosts.py, test_sim_target_control.py
    assert checks + others == stats.CHECKS


def test_the_rule_rejects_a_biased_and_a_blunt_model() -> None:
    draw = stats.generators("the rule itself", 1)[0]
    sharp = (1.0 + 0.005 * draw.standard_normal(20)).tolist()
    stats.check("sharp and true", sharp, 1.0)
    with pytest.raises(AssertionError, match="not the theory"):
        stats.check("biased", [x * 1.02 for x in sharp], 1.0)
    with pytest.raises(AssertionError, match="too blunt"):
        stats.check("blunt", (1.0 + 0.2 * draw.standard_normal(20)).tolist(), 1.0)
