"""Tasks that share hosts against the same tasks each on its own, on the same requests in one process.

100 tasks of two services (or of as many as asked for) on 25 hosts of four cores, load 0.7, least outstanding requests, Poisson arrivals,
lognormal demand (mean 10 ms, sigma 1). Alone each task has one core; on hosts it may have four and shares them, so that at times the
hosts are short of cores.

    python benchmarks/bench_hosts.py [--requests 2000000] [--repetitions 3] [--services 2] [--json]
"""

from __future__ import annotations

import argparse
import json
import math
import statistics
import sys
import time

import numpy as np

from fargsim.kernel import Hosts, Plane, accumulate

TASKS, PER_HOST, LOAD, SERVICE_US = 100, 4, 0.7, 10_000.0


def planes(services: int, shared: bool) -> list[Plane]:
    """Services whose tasks are alone, or four on a host."""
    made = [Plane("least_outstanding_requests") for _ in range(services)]
    each = TASKS // services
    if not shared:
        for plane in made:
            for _ in range(each):
                plane.open_slot(0, cores=1.0, workers=32)
        return made
    hosts = Hosts()
    for plane in made:
        hosts.join(plane)
    machines = [hosts.open_host(0, float(PER_HOST)) for _ in range(TASKS // PER_HOST)]
    for place, plane in enumerate(made):
        for number in range(place * each, (place + 1) * each):
            slot = plane.open_slot(0, cores=float(PER_HOST), workers=32)
            machine, weight = machines[number % len(machines)], (3.0, 1.0)[place % 2]
            hosts.seat(0, plane, slot, machine, weight=weight, most=float(PER_HOST))
    return made


def run(made: list[Plane], work: list[tuple[np.ndarray, np.ndarray]]) -> float:
    """Return the nanoseconds a request."""
    began = time.perf_counter()
    for plane, (arrivals, cpu) in zip(made, work, strict=True):
        plane.offer(arrivals, cpu)
    end = max(int(arrivals[-1]) for arrivals, _ in work)
    for plane in made:
        plane.advance(end + 60_000_000)
    return (time.perf_counter() - began) * 1e9 / sum(arrivals.size for arrivals, _ in work)


def repetition(seed: int, requests: int, services: int) -> tuple[float, float]:
    """Return the cost alone and on hosts, on the same draws."""
    draw = np.random.Generator(np.random.PCG64(seed))
    n = requests // services
    work = []
    for _ in range(services):
        sums = accumulate(0.0, draw.standard_exponential(n)) * (SERVICE_US * services / (LOAD * TASKS))
        work.append((np.rint(sums).astype(np.int64), draw.lognormal(math.log(SERVICE_US) - 0.5, 1.0, n)))
    return run(planes(services, False), work), run(planes(services, True), work)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--requests", type=int, default=2_000_000)
    parser.add_argument("--repetitions", type=int, default=3)
    parser.add_argument("--services", type=int, default=2, choices=[1, 2, 4, 10, 20, 50, 100])
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    repetition(0, 20_000, options.services)  # compiles
    found = [repetition(1 + i, options.requests, options.services) for i in range(options.repetitions)]
    answer = {
        "requests": options.requests,
        "ns_alone": statistics.median(alone for alone, _ in found),
        "ns_on_hosts": statistics.median(shared for _, shared in found),
        "on_hosts_over_alone": statistics.median(shared / alone for alone, shared in found),
    }
    if options.json:
        sys.stdout.write(json.dumps(answer) + "\n")
        return
    for name, value in answer.items():
        sys.stdout.write(f"{name:24} {value:,.2f}\n")


if __name__ == "__main__":
    main()
