"""24 hours of one Fargate service at 1,000 requests per second, target tracking on. Prints one JSON object.

usage: python benchmarks/bench_day.py [HOURS]
"""

from __future__ import annotations

import json
import resource
import sys
import time
from pathlib import Path

import fargsim
from fargsim.sim.build import simulate

SCENARIO = Path(__file__).resolve().parents[1] / "scenarios" / "fargate-vs-ec2.yaml"
HOUR_US = 3_600_000_000


def measure(hours: int) -> dict[str, float]:
    """Run the shipped web service at a constant 1,000 requests per second; the plane is compiled beforehand."""
    base = fargsim.load_variants(
        SCENARIO,
        overrides=(
            ("traffic[0].rate", "{constant: 1000 /s}"),
            ("services[0].desiredCount", "40"),
            ("scaling[0].MaxCapacity", "100"),
        ),
    )["fargate"]
    simulate(base.model_copy(update={"duration": HOUR_US // 60}))
    day = base.model_copy(update={"duration": hours * HOUR_US})
    started = time.perf_counter()
    recorder = simulate(day)
    seconds = time.perf_counter() - started
    requests = int(recorder.tables()["services"]["requests_arrived"].sum())
    return {
        "hours": hours,
        "requests": requests,
        "seconds": seconds,
        "ns_per_request": 1e9 * seconds / requests,
        "peak_gib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20,
    }


if __name__ == "__main__":
    sys.stdout.write(json.dumps(measure(int(sys.argv[1]) if len(sys.argv) > 1 else 24)) + "\n")
