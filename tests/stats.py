"""The one statistical rule of the suite.

n independent replications, each a mean over the requests after the warm-up; the mean of the n means is compared with
theory by a t-interval. There are K such checks in the whole suite, sharing a family error rate of 10^-3 (Bonferroni), so a
true model fails one of them in a thousand runs of fresh seeds; seeds are fixed, so it either passes always or never.
A check must also be sharp: its half-width may be at most 2 % of theory, or it would let a biased model through.

Seeds are `FAMILY` plus the check's name, declared here once. No retries; no check is loosened to pass.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Callable

import numpy as np
from scipy import stats

FAMILY = 20261123
FAMILY_ERROR_RATE = 1e-3
CHECKS = 37
"""K: those of test_statistical_*.py (counted there), 1 of test_kernel_pull.py, 2 of test_kernel_hosts.py, 1 of test_sim_target_control.py;
long runs are another family."""
WIDTH = 0.02


def generators(name: str, count: int) -> list[np.random.Generator]:
    """One independent stream per replication of a named check."""
    seeds = np.random.SeedSequence([FAMILY, zlib.crc32(name.encode())]).spawn(count)
    return [np.random.Generator(np.random.PCG64(seed)) for seed in seeds]


def check(name: str, means: list[float], theory: float) -> None:
    """Compare independent replications with theory, or fail with all that is needed to look into it."""
    n = len(means)
    mean = math.fsum(means) / n
    spread = math.sqrt(math.fsum((x - mean) ** 2 for x in means) / (n - 1))
    t = float(stats.t.ppf(1.0 - FAMILY_ERROR_RATE / (2 * CHECKS), n - 1))
    half = t * spread / math.sqrt(n)
    facts = (
        f"{name}: family {FAMILY}, n {n}, mean {mean:.6g}, interval +-{half:.3g} ({half / theory:.2%} of theory), "
        f"theory {theory:.6g}, off by {(mean - theory) / theory:+.3%}"
    )
    assert half <= WIDTH * theory, f"too blunt: {facts}"
    assert abs(mean - theory) <= half, f"not the theory: {facts}"


def replicate(name: str, count: int, one: Callable[[np.random.Generator], float], theory: float) -> None:
    """Run and compare one check with one figure."""
    check(name, [one(generator) for generator in generators(name, count)], theory)
