"""The request plane against the drawing of its own random numbers, and against one SimPy process per request.

100 tasks of one core at load 0.7, least outstanding requests, Poisson arrivals, lognormal demand (mean 10 ms, sigma 1).
Every repetition draws, serves first come first served and serves the whole station, one after the other on the same
draws, so that a slow spell of the machine hits all three; what is reported is the median of the paired ratios.

    python benchmarks/bench_kernel.py [--requests 10000000] [--repetitions 5] [--json]
"""

from __future__ import annotations

import argparse
import json
import math
import statistics
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

from fargsim.kernel import UNLIMITED, Plane, accumulate

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

TASKS, LOAD, SERVICE_US, WAIT_US = 100, 0.7, 10_000.0, 5_000.0
CHUNK = 1_000_000
PERIOD_US = 60_000_000


def fcfs() -> Plane:
    plane = Plane("least_outstanding_requests")
    for _ in range(TASKS):
        plane.open_slot(0, cores=1.0, workers=1)
    return plane


def station() -> Plane:
    plane = Plane("least_outstanding_requests", idle_timeout_us=60_000_000)
    for _ in range(TASKS):
        plane.open_slot(0, cores=1.0, workers=32, queue_limit=100)
    return plane


class Clock:
    """Sums the seconds of many stretches."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def __enter__(self) -> None:
        self.begin = time.perf_counter()

    def __exit__(self, *exception: object) -> None:
        self.seconds += time.perf_counter() - self.begin


def repetition(seed: int, requests: int) -> dict[str, float]:
    """Nanoseconds per request of each part, on the same draws, interleaved chunk by chunk."""
    draw = np.random.Generator(np.random.PCG64(seed))
    clocks = {name: Clock() for name in ("draw", "draw_wait", "convert", "fcfs", "station")}
    first, whole = fcfs(), station()
    before, period, done = 0.0, PERIOD_US, 0
    histograms = []
    while done < requests:
        n = min(CHUNK, requests - done)
        with clocks["draw"]:
            gaps = draw.standard_exponential(n)
            cpu = draw.lognormal(math.log(SERVICE_US) - 0.5, 1.0, n)
        with clocks["draw_wait"]:
            wait = draw.standard_exponential(n)
        with clocks["convert"]:
            sums = accumulate(before, gaps)
            before = float(sums[-1])
            arrivals = np.rint(sums * (SERVICE_US / (LOAD * TASKS))).astype(np.int64)
        wait *= WAIT_US
        end = int(arrivals[-1])
        with clocks["fcfs"]:
            first.offer(arrivals, cpu)
            first.advance(end)
        with clocks["station"]:
            whole.offer(arrivals, cpu, wait)
            while period < end:  # what a caller does each minute: use of every task, latency histogram
                whole.advance(period)
                whole.slots()
                histograms.append(whole.histogram())
                period += PERIOD_US
            whole.advance(end)
        done += n
    for plane in (first, whole):
        counters = plane.counters()
        assert counters.arrived >= requests - done // CHUNK - 1
        assert counters.served > 0.99 * requests
    return {name: clock.seconds / requests * 1e9 for name, clock in clocks.items()}


def simpy_ns(seed: int, requests: int) -> float:
    """Nanoseconds per request of one SimPy process per request, drawing included."""
    from oracle_simpy import Station

    draw = np.random.Generator(np.random.PCG64(seed))
    begin = time.perf_counter()
    sums = accumulate(0.0, draw.standard_exponential(requests))
    arrivals = np.rint(sums * (SERVICE_US / (LOAD * TASKS))).astype(np.int64)
    cpu = draw.lognormal(math.log(SERVICE_US) - 0.5, 1.0, requests)
    target = {"cores": 1.0, "speed": 1.0, "workers": 1, "queue_limit": UNLIMITED, "shared": False}
    rows = [(a, c, 0.0) for a, c in zip(arrivals.tolist(), cpu.tolist(), strict=True)]
    Station("least_outstanding_requests", [target] * TASKS).run(rows)
    return (time.perf_counter() - begin) / requests * 1e9


def measure(requests: int = 10_000_000, repetitions: int = 5, simpy_requests: int = 20_000) -> dict[str, Any]:
    """Return medians over paired repetitions; the first, which warms caches and loads machine code, is left out."""
    rows = []
    for k in range(repetitions + 1):
        row = repetition(2026 + k, requests if k else CHUNK)
        row["simpy"] = simpy_ns(2026 + k, simpy_requests)
        rows.append(row)
    rows = rows[1:]

    def median(figure: Any) -> float:
        return round(statistics.median(figure(row) for row in rows), 2)

    return {
        "requests": requests,
        "repetitions": repetitions,
        "ns_per_request": {name: median(lambda row, name=name: row[name]) for name in rows[0]},
        "fcfs_over_draw": median(lambda r: r["fcfs"] / r["draw"]),
        "station_over_draw": median(lambda r: r["station"] / r["draw"]),
        "station_over_draw_with_wait": median(lambda r: r["station"] / (r["draw"] + r["draw_wait"])),
        "simpy_over_draw_and_fcfs": median(lambda r: r["simpy"] / (r["draw"] + r["convert"] + r["fcfs"])),
        "goals": {"fcfs_over_draw": 3.0, "station_over_draw": 6.0, "simpy_over_draw_and_fcfs": 100.0},
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--requests", type=int, default=10_000_000)
    parser.add_argument("--repetitions", type=int, default=5)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    result = measure(options.requests, options.repetitions)
    if options.json:
        print(json.dumps(result))
        return
    for name, ns in result["ns_per_request"].items():
        print(f"{name:10s} {ns:10.1f} ns a request")
    for name, goal in result["goals"].items():
        sign = ">=" if name.startswith("simpy") else "<="
        print(f"{name:28s} {result[name]:7.2f} x   (goal {sign} {goal:g} x)")
    print(f"{'station_over_draw_with_wait':28s} {result['station_over_draw_with_wait']:7.2f} x")


if __name__ == "__main__":
    main()
