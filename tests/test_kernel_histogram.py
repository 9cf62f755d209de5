"""Histogram error, quantiles, and the compiled and the slow way into a bucket."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fargsim.kernel import (
    BUCKETS,
    Plane,
    bucket_edges_us,
    bucket_of,
    bucket_values_us,
    count_above,
    mean_from_histogram,
    merge,
    quantile_from_histogram,
    quantiles_from_histogram,
)


@given(st.floats(1.0, 2.0**40, exclude_max=True))
def test_a_bucket_stands_for_its_latencies_within_one_percent(latency: float) -> None:
    bucket = int(bucket_of(latency))
    edges = bucket_edges_us()
    assert edges[bucket] <= latency < edges[bucket + 1]
    assert abs(bucket_values_us()[bucket] - latency) <= latency / 128


def test_worst_error_is_just_below_one_in_128() -> None:
    edges, values = bucket_edges_us(), bucket_values_us()
    worst = np.max((values[1:] - edges[1:-1]) / edges[1:-1])
    assert worst == 1 / 128
    assert worst < 0.01


def test_ends_of_the_range() -> None:
    assert bucket_of([0.0, 0.999, 2.0**40, 1e300]).tolist() == [0, 0, BUCKETS - 1, BUCKETS - 1]
    assert bucket_edges_us()[-1] == 2.0**40


@given(st.lists(st.floats(1.0, 1e9), min_size=1, max_size=200), st.floats(0.0, 1.0))
def test_quantile_is_the_nearest_rank_within_one_percent(latencies: list[float], q: float) -> None:
    counts = np.bincount(bucket_of(latencies), minlength=BUCKETS)
    exact = sorted(latencies)[max(math.ceil(q * len(latencies)), 1) - 1]
    assert quantile_from_histogram(counts, q) == pytest.approx(exact, rel=0.01)


def test_plane_counts_into_the_same_buckets() -> None:
    draw = np.random.default_rng(5)
    # one decade after the other, edges and their neighbours among them
    latencies = np.concatenate(
        (10.0 ** draw.uniform(-2, 12, 4000), bucket_edges_us()[1:-1], np.nextafter(bucket_edges_us()[2:-1], 0))
    )
    plane = Plane("round_robin")
    plane.open_slot(0, cores=1e6, workers=10**5)  # a core for everyone
    plane.offer(np.zeros(latencies.size, np.int64), latencies)
    plane.advance(2**45)
    assert plane.counters().served == latencies.size
    assert plane.histogram().tolist() == np.bincount(bucket_of(latencies), minlength=BUCKETS).tolist()


def test_merge_mean_and_tail() -> None:
    first = np.bincount(bucket_of([100.0, 200.0]), minlength=BUCKETS)
    second = np.bincount(bucket_of([300.0]), minlength=BUCKETS)
    both = merge([first, second])
    assert int(both.sum()) == 3
    assert mean_from_histogram(both) == pytest.approx(200.0, rel=0.01)
    assert count_above(both, 250.0) == 1


def test_empty_and_bad_histograms() -> None:
    empty = np.zeros(BUCKETS, np.int64)
    assert math.isnan(quantile_from_histogram(empty, 0.5))
    assert math.isnan(mean_from_histogram(empty))
    with pytest.raises(ValueError, match="counts, not shape"):
        quantiles_from_histogram([1, 2], [0.5])
    with pytest.raises(ValueError, match="from 0 to 1"):
        quantiles_from_histogram(empty, [1.5])
