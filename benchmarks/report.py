"""Measure every row of the speed goals, each in a process of its own, and write ``docs/performance.md``.

usage: python benchmarks/report.py [--quick]
"""

from __future__ import annotations

import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "performance.md"
FARGSIM = [sys.executable, "-m", "fargsim"]


def script(name: str, *arguments: str) -> dict[str, Any]:
    """Run a benchmark script and return the JSON object it prints."""
    command = [sys.executable, str(ROOT / "benchmarks" / name), *arguments]
    done = subprocess.run(command, check=True, capture_output=True, text=True, cwd=ROOT)
    found: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    return found


def seconds(command: list[str], runs: int = 5, **environment: str) -> float:
    """Return the median wall time of a command, output thrown away."""
    taken = []
    for _ in range(runs):
        started = time.perf_counter()
        subprocess.run(command, check=True, capture_output=True, cwd=ROOT, env={**os.environ, **environment})
        taken.append(time.perf_counter() - started)
    return statistics.median(taken)


def first_and_next_run() -> tuple[float, float]:
    """Return the wall time of the main run with and without compilation."""
    with tempfile.TemporaryDirectory() as folder:
        out = str(Path(folder) / "out")
        cache = str(Path(folder) / "cache")
        command = [*FARGSIM, "run", "scenarios/fargate-vs-ec2.yaml", "-o", out, "--force"]
        return seconds(command, 1, NUMBA_CACHE_DIR=cache), seconds(command, 1, NUMBA_CACHE_DIR=cache)


def row(what: str, goal: str, measured: str, reached: bool | None) -> str:
    """Return one row of the table."""
    mark = "-" if reached is None else "yes" if reached else "**not yet**"
    return f"| {what} | {goal} | {measured} | {mark} |"


def main() -> None:
    """Measure and write the page."""
    quick = "--quick" in sys.argv[1:]
    kernel = script("bench_kernel.py", "--json", *(["--requests", "1000000"] if quick else []))
    queue = script("bench_mm10.py", "--json", *(["--requests", "10000000"] if quick else []))
    hosts = script("bench_hosts.py", "--json", *(["--requests", "200000"] if quick else []))
    day = script("bench_day.py", "2" if quick else "24")
    small = script("bench_control_plane.py", "10000", "10000")
    large = script("bench_control_plane.py", "20000" if quick else "100000", "10000")
    version = seconds([*FARGSIM, "--version"])
    validate = seconds([*FARGSIM, "validate", "scenarios/fargate-vs-ec2.yaml"])
    cold, warm = first_and_next_run()
    ns = kernel["ns_per_request"]
    growth = large["us_per_task"] / small["us_per_task"]
    per_day = day["seconds"] * 24 / day["hours"]
    rows = [
        row(
            "request plane, FCFS, against drawing its random numbers",
            "<= 3 x",
            f"{kernel['fcfs_over_draw']:.2f} x",
            kernel["fcfs_over_draw"] <= 3,
        ),
        row(
            "request plane, whole station, against drawing its random numbers (waits drawn too)",
            "<= 6 x",
            f"{kernel['station_over_draw_with_wait']:.2f} x (without the waits' drawing: {kernel['station_over_draw']:.2f} x)",
            kernel["station_over_draw_with_wait"] <= 6,
        ),
        row(
            "drawing and FCFS, against one SimPy process per request",
            ">= 100 x",
            f"{kernel['simpy_over_draw_and_fcfs']:.0f} x",
            kernel["simpy_over_draw_and_fcfs"] >= 100,
        ),
        row(
            f"one M/M/10 queue of {queue['requests']:.0e} requests, whole process",
            ">= 8 million/s",
            f"{queue['requests_per_s'] / 1e6:.1f} million/s",
            queue["requests_per_s"] >= 8e6,
        ),
        row(
            f"24 h at 1,000 requests/s, target tracking ({day['hours']} h measured)",
            "<= 20 s, < 1 GiB",
            f"{per_day:.1f} s, {day['peak_gib']:.2f} GiB",
            per_day <= 20 and day["peak_gib"] < 1,
        ),
        row(
            f"RunTask over 10,000 instances ({large['tasks']:,} tasks measured)",
            "<= 40 us a task",
            f"{large['us_per_task']:.0f} us, {large['peak_gib']:.2f} GiB",
            large["us_per_task"] <= 40,
        ),
        row(f"cost per task, 10^4 against {large['tasks']:,} tasks", "<= 1.3 x", f"{growth:.2f} x", growth <= 1.3),
        row("`fargsim --version`", "<= 0.25 s", f"{version:.2f} s", version <= 0.25),
        row("`fargsim validate`", "<= 1 s", f"{validate:.2f} s", validate <= 1),
        row(
            "the README's main run, with compilation / after",
            "<= 40 s / <= 12 s",
            f"{cold:.0f} s / {warm:.0f} s",
            cold <= 40 and warm <= 12,
        ),
        row("sweep on 2 cores", ">= 1.8 x one core", "no sweep yet", None),
        row(
            "tasks that share hosts, two services, against each task alone",
            "-",
            f"{hosts['on_hosts_over_alone']:.1f} x",
            None,
        ),
    ]
    PAGE.write_text(
        "# Performance\n\n"
        "Written by `make bench`: each row measured in a process of its own, ratios within one run of one process.\n"
        "Absolute times are those of one small shared machine as fast as it was at that hour, which the drawing of random numbers\n"
        "tells (last line; NumPy's work, not ours): between November 2026's runs it has moved from 17 to 27 ns, and they with it.\n\n"
        f"Machine: {os.cpu_count()} cores, {platform.machine()}, Python {platform.python_version()}.\n\n"
        "| what | goal | measured | reached |\n|---|---|---|---|\n" + "\n".join(rows) + "\n\n"
        f"Drawing arrivals and demands takes {ns['draw']:.0f} ns a request, waits {ns['draw_wait']:.0f} ns more; "
        f"FCFS {ns['fcfs']:.0f} ns, the whole station {ns['station']:.0f} ns.\n",
        encoding="utf-8",
    )
    sys.stdout.write(PAGE.read_text(encoding="utf-8"))


if __name__ == "__main__":
    main()
