"""Instants of arrival: the inverse of an integrated rate, chunk by chunk, and counts spread over periods."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fargsim.kernel import RateClock, accumulate, spread_counts

rates = st.lists(st.one_of(st.just(0.0), st.floats(0.5, 500.0)), min_size=2, max_size=8)


def sums(seed: int, count: int) -> np.ndarray:
    return accumulate(0.0, np.random.default_rng(seed).standard_exponential(count))


@settings(deadline=None)
@given(rates, st.sampled_from(["steps", "linear"]), st.integers(0, 2**32), st.lists(st.integers(0, 600), max_size=5))
def test_chunks_change_nothing(rate: list[float], shape: str, seed: int, cuts: list[int]) -> None:
    edges = np.arange(len(rate) + (shape == "steps")) * 700_000
    clock = RateClock(edges, rate, shape)
    draws = np.random.default_rng(seed).standard_exponential(600)
    whole = clock.instants(accumulate(0.0, draws))
    got, before = [], 0.0
    for piece in np.split(draws, sorted(cuts)):
        running = accumulate(before, piece)
        before = float(running[-1]) if running.size else before
        got.append(clock.instants(running))
    assert np.concatenate(got).tolist() == whole.tolist()


@settings(deadline=None)
@given(rates, st.sampled_from(["steps", "linear"]), st.integers(0, 2**32))
def test_instants_invert_the_integrated_rate(rate: list[float], shape: str, seed: int) -> None:
    edges = np.arange(len(rate) + (shape == "steps")) * 700_000
    clock = RateClock(edges, rate, shape)
    unit = sums(seed, 600)
    instants = clock.instants(unit)
    assert instants.size == int(np.sum(unit < clock.expected))
    assert bool(np.all(np.diff(instants) >= 0))
    # integrate the rate again, by the trapezium over a merged grid, where it is exact
    for instant, unit_sum in list(zip(instants.tolist(), unit.tolist(), strict=False))[:50]:
        total = 0.0
        for k in range(edges.size - 1):
            a, b = float(edges[k]), float(min(edges[k + 1], instant))
            if b <= a:
                break
            if shape == "steps":
                total += rate[k] * (b - a) / 1e6
            else:
                r0 = rate[k]
                r1 = r0 + (rate[k + 1] - r0) * (b - a) / 700_000
                total += (r0 + r1) / 2 * (b - a) / 1e6
        # half a microsecond of the steepest rate, or a stretch of rate zero at its edge
        assert total == pytest.approx(unit_sum, abs=1e-6 * max(rate) + 1e-9)


def test_nothing_arrives_while_the_rate_is_zero() -> None:
    clock = RateClock([0, 10**6, 2 * 10**6, 3 * 10**6], [50.0, 0.0, 50.0])
    instants = clock.instants(sums(1, 200))
    assert instants.size > 60
    assert not np.any((instants > 10**6) & (instants < 2 * 10**6))


def test_linear_rate_by_hand() -> None:
    # 0 to 2 per second over two seconds: R(t) = t^2 / 2, so R = 0.5 at 1 s and 2 at the end
    clock = RateClock([0, 2_000_000], [0.0, 2.0], "linear")
    assert clock.expected == 2.0
    assert clock.instants(np.array([0.125, 0.5, 1.9999999, 2.0])).tolist() == [
        500_000,
        1_000_000,
        1_999_999,
    ]  # never the last edge


def test_counts_are_kept_exactly() -> None:
    draw = np.random.default_rng(3)
    counts = draw.poisson(20, 50)
    edges = np.arange(51) * 60_000_000
    instants = spread_counts(edges, counts, draw.random(int(counts.sum())))
    assert np.histogram(instants, edges)[0].tolist() == counts.tolist()
    assert bool(np.all(np.diff(instants) >= 0))


@pytest.mark.parametrize(
    ("edges", "rate", "shape", "error"),
    [
        ([0, 0], [1.0], "steps", "edges must rise"),
        ([0], [], "steps", "edges must rise"),
        ([0, 1], [-1.0], "steps", "finite and not negative"),
        ([0, 1], [float("inf")], "steps", "finite and not negative"),
        ([0, 1], [1.0, 2.0], "steps", "do not fit"),
        ([0, 1], [1.0], "linear", "do not fit"),
        ([0, 1], [1.0], "cubic", "not one of"),
    ],
)
def test_bad_rates_are_refused(edges: list[int], rate: list[float], shape: str, error: str) -> None:
    with pytest.raises(ValueError, match=error):
        RateClock(edges, rate, shape)


def test_bad_counts_are_refused() -> None:
    with pytest.raises(ValueError, match="one more than the counts"):
        spread_counts([0, 1], [1, 1], np.array([0.5, 0.5]))
    with pytest.raises(ValueError, match="one draw each"):
        spread_counts([0, 10], [2], np.array([0.5]))
