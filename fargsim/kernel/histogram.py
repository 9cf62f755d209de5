"""Log-bucketed latency histograms: relative error below 0.8 % from 1 us to 12 days, in 20 KiB.

A bucket is read from the bits of the IEEE double: the exponent and the first six bits of the mantissa, as in
HdrHistogram. Counts of disjoint periods add up, so a caller keeps one snapshot per period and subtracts.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import numpy.typing as npt

Counts = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

MANTISSA_BITS = 6
OCTAVES = 40
SHIFT = 52 - MANTISSA_BITS
FIRST = (1023 << MANTISSA_BITS) - 1  # what 1.0 us shifts to, less one: bucket 0 holds what is below 1 us
BUCKETS = (OCTAVES << MANTISSA_BITS) + 1


def bucket_of(latency_us: npt.ArrayLike) -> Counts:
    """Return the bucket index of each latency.

    Parameters
    ----------
    latency_us
        Latencies in microseconds, any shape, none negative. Below 1 us all share bucket 0; from 2**40 us
        (12.7 days) all share the last.

    Examples
    --------
    >>> bucket_of([0.5, 1.0, 1.99, 2.0]).tolist()
    [0, 1, 64, 65]
    """
    values = np.asarray(latency_us, dtype=np.float64, order="C")
    index = (values.view(np.int64) >> SHIFT) - FIRST
    clipped: Counts = np.clip(index, 0, BUCKETS - 1)
    return clipped


def bucket_edges_us() -> Floats:
    """Return the `BUCKETS` + 1 edges in microseconds: bucket i holds edge[i] <= latency < edge[i + 1]."""
    step = np.arange(BUCKETS, dtype=np.int64)
    octave, part = step >> MANTISSA_BITS, step & ((1 << MANTISSA_BITS) - 1)
    edges = np.ldexp(1.0 + part / (1 << MANTISSA_BITS), octave)
    return np.concatenate(([0.0], edges))


def bucket_values_us() -> Floats:
    """Return the value that stands for each bucket, in microseconds: its middle (shape ``(BUCKETS,)``).

    At most 1/129 (0.78 %) away from any latency of the bucket, relative to that latency, from 1 us upwards.
    """
    edges = bucket_edges_us()
    middle: Floats = (edges[:-1] + edges[1:]) / 2.0
    return middle


def quantiles_from_histogram(counts: npt.ArrayLike, q: Sequence[float] | Floats) -> Floats:
    """Return quantiles of a histogram in microseconds (nearest rank); NaN where it is empty.

    Parameters
    ----------
    counts
        Counts per bucket, shape ``(BUCKETS,)``.
    q
        Probabilities, each from 0 to 1.

    Raises
    ------
    ValueError
        A probability outside 0 to 1, or counts of the wrong shape.

    Examples
    --------
    >>> counts = np.bincount(bucket_of([100.0, 200.0, 300.0, 400.0]), minlength=BUCKETS)
    >>> quantiles_from_histogram(counts, [0.5, 1.0]).tolist()
    [201.0, 402.0]
    """
    table = np.asarray(counts, dtype=np.int64)
    wanted = np.asarray(q, dtype=np.float64)
    if table.shape != (BUCKETS,):
        raise ValueError(f"a histogram has {BUCKETS} counts, not shape {table.shape}")
    if not bool(np.all((wanted >= 0.0) & (wanted <= 1.0))):
        raise ValueError(f"a quantile's probability lies from 0 to 1, not {q}")
    running = np.cumsum(table)
    total = int(running[-1])
    if total == 0:
        return np.full(wanted.shape, np.nan)
    rank = np.clip(np.ceil(wanted * total), 1, total).astype(np.int64)
    at: Floats = bucket_values_us()[np.searchsorted(running, rank)]
    return at


def quantile_from_histogram(counts: npt.ArrayLike, q: float) -> float:
    """Return one quantile of a histogram in microseconds; NaN where it is empty."""
    return float(quantiles_from_histogram(counts, [q])[0])


def mean_from_histogram(counts: npt.ArrayLike) -> float:
    """Return the mean by bucket middles, in microseconds; NaN where the histogram is empty.

    `Counters.latency_sum_us` gives the exact mean of a whole run; this one serves merged histograms.
    """
    table = np.asarray(counts, dtype=np.int64)
    total = int(table.sum())
    return float(table @ bucket_values_us() / total) if total else float("nan")


def count_above(counts: npt.ArrayLike, limit_us: float) -> int:
    """Return how many latencies lie in buckets whose middle is above a limit (an SLO's bad requests)."""
    return int(np.asarray(counts, dtype=np.int64)[bucket_values_us() > limit_us].sum())


def merge(histograms: Iterable[npt.ArrayLike]) -> Counts:
    """Return the sum of histograms, shape ``(BUCKETS,)``."""
    total = np.zeros(BUCKETS, dtype=np.int64)
    for counts in histograms:
        total += np.asarray(counts, dtype=np.int64)
    return total
