"""One M/M/10 queue of 10^8 requests, the whole process: imports, drawing, serving, exit.

The figure to be ahead of is 7.2 million requests/s (simcore, the Rust core of DSLab, on such a machine); the goal is 8
million, with compilation cached. Chunks keep memory flat: the peak resident size is printed too.

    python benchmarks/bench_mm10.py [--requests 100000000] [--json]
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import time
from typing import Any

CHUNK = 500_000
SERVERS, LOAD, SERVICE_US = 10, 0.7, 10_000.0


def serve(requests: int) -> dict[str, Any]:
    """Draw and serve in this process."""
    import numpy as np

    from fargsim.kernel import Plane, accumulate

    draw = np.random.Generator(np.random.PCG64(2026))
    plane = Plane("round_robin")
    plane.open_slot(0, cores=float(SERVERS), workers=SERVERS)
    before, done = 0.0, 0
    while done < requests:
        n = min(CHUNK, requests - done)
        sums = accumulate(before, draw.standard_exponential(n))
        before = float(sums[-1])
        arrivals = np.rint(sums * (SERVICE_US / (LOAD * SERVERS))).astype(np.int64)
        cpu = draw.standard_exponential(n)
        cpu *= SERVICE_US
        plane.offer(arrivals, cpu)
        plane.advance(int(arrivals[-1]))
        done += n
    counters = plane.counters()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {"served": counters.served, "mean_ms": counters.latency_sum_us / counters.served / 1e3, "peak_mib": peak}


def measure(requests: int = 100_000_000) -> dict[str, Any]:
    """Run the whole process once to cache the machine code, then once on the clock."""
    here = [sys.executable, __file__, "--inside"]
    subprocess.run([*here, "--requests", "1000"], check=True, capture_output=True)
    begin = time.perf_counter()
    done = subprocess.run([*here, "--requests", str(requests)], check=True, capture_output=True, text=True)
    seconds = time.perf_counter() - begin
    rate = requests / seconds
    return {"requests": requests, "seconds": seconds, "requests_per_s": rate, "goal": 8e6, **json.loads(done.stdout)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--requests", type=int, default=100_000_000)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--inside", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.inside:
        print(json.dumps(serve(options.requests)))
        return
    result = measure(options.requests)
    if options.json:
        print(json.dumps(result))
        return
    print(f"{result['requests_per_s'] / 1e6:.2f} million requests/s (goal >= 8), {result['seconds']:.1f} s,")
    print(f"peak {result['peak_mib']:.0f} MiB, mean latency {result['mean_ms']:.4f} ms")


if __name__ == "__main__":
    main()
