"""Statistics of periods and metric math: laws and tables."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fargsim.kernel import bucket_edges_us
from fargsim.policy.metric_data import Point, Series, merge
from fargsim.policy.metric_math import MathError, parse

VALUES = st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=30)


def points(values: list[float]) -> list[Point]:
    return [Point.of(60 * n, 60 * (n + 1), v) for n, v in enumerate(values)]


@given(VALUES, st.data())
def test_statistics_do_not_depend_on_how_periods_are_cut(values: list[float], data: st.DataObject) -> None:
    cut = data.draw(st.integers(0, len(values)))
    parts = [merge(points(values)[:cut]), merge(points(values)[cut:])]
    whole, pieces = merge(points(values)), merge([p for p in parts if p is not None])
    assert whole is not None
    assert pieces is not None
    for name in ("Minimum", "Maximum", "SampleCount"):
        assert whole.statistic(name) == pieces.statistic(name)
    assert pieces.statistic("Sum") == pytest.approx(whole.statistic("Sum"), abs=1e-6)
    assert whole.statistic("Average") == pytest.approx(sum(values) / len(values), abs=1e-6)
    assert (pieces.start_us, pieces.end_us) == (0, 60 * len(values))


@given(VALUES, st.integers(1, 4), st.integers(1, 6), st.integers(0, 2000))
def test_windows_hold_every_point_once(values: list[float], minutes: int, number: int, until: int) -> None:
    series = Series(60, 10_000)
    for point in points(values):
        series.add(point)
    found = series.windows(until, 60 * minutes, number)
    assert len(found) == number
    inside = [v for n, v in enumerate(values) if until - 60 * minutes * number < 60 * (n + 1) <= until]
    assert sum(p.count for p in found if p) == len(inside)
    assert math.fsum(p.total for p in found if p) == pytest.approx(math.fsum(inside), abs=1e-6)


def test_a_series_keeps_its_order_and_its_length() -> None:
    series = Series(60, 300)
    for end in (60, 180, 120, 120, 600):
        series.add(Point.of(end - 60, end, float(end)))
    assert [(p.end_us, p.total) for p in series.newest(10_000)] == [(600, 600.0)]
    series = Series(60, 600)
    for end in (60, 180, 120, 120):
        series.add(Point.of(end - 60, end, float(end)))
    assert [(p.end_us, p.total, p.count) for p in series.newest(180)] == [(180, 180, 1), (120, 240, 2), (60, 60, 1)]


def test_percentiles_with_and_without_a_histogram() -> None:
    edges = bucket_edges_us()
    counts = np.zeros(edges.size - 1, dtype=np.int64)
    low, high = (int(np.searchsorted(edges, x, side="right")) - 1 for x in (10_000, 2_000_000))
    counts[low], counts[high] = 98, 2
    point = Point(0, 60, 100, 4.98, 0.01, 2.0, counts)
    assert point.statistic("p50") == pytest.approx(0.01, rel=0.01)
    assert point.statistic("p99") == pytest.approx(2.0, rel=0.01)
    both = merge([point, point])
    assert both is not None
    assert both.statistic("p50") == point.statistic("p50")
    plain = Point(0, 60, 100, 4.98, 0.01, 2.0)
    assert plain.statistic("p50") == 2.0  # what is known of it
    mixed = merge([point, plain])
    assert mixed is not None
    assert mixed.histogram is None
    with pytest.raises(ValueError, match="'Median' is no statistic"):
        plain.statistic("Median")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1 + 2 * 3", 7), ("(1 + 2) * 3", 9), ("2 ^ 3 ^ 2", 512), ("-2 ^ 2", -4), ("7 - 2 - 1", 4), ("8 / 4 / 2", 1), ("2 * -3", -6),
        ("a + b", 7), ("a / b", 0.75), ("a > b", 0), ("a < b AND b < 5", 1), ("a > b || b == 4", 1), ("a != 3", 0), ("1.5e1", 15),
        ("SUM([a, b, m])", 7), ("AVG(a, b)", 3.5), ("MAX(a, b)", 4), ("MIN([a, b])", 3), ("ABS(a - b)", 1), ("CEIL(a / 2)", 2),
        ("FLOOR(a / 2)", 1), ("IF(a > 2, b, a)", 4), ("IF(a > 9, b)", None), ("m + a", None), ("FILL(m, 0) + a", 3), ("MAX(m, a)", 3),
        ("SUM(m)", None), ("a / (b - 4)", None), ("0 ^ -1", None), ("(-8) ^ 0.5", None), ("1e308 * 10", None), ("if(m, 1, 2)", None),
    ],
)  # fmt: skip
def test_what_expressions_are_worth(text: str, expected: float | None) -> None:
    assert parse(text).value({"a": 3.0, "b": 4.0, "m": None}) == expected


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "column 1: a number, an Id or a function is missing before the end"),
        ("a +", "column 4"),
        ("(a", "column 3: '[)]' is missing before the end"),
        ("a b", "column 3: 'b' is not expected here"),
        ("a $ b", "column 3: '[$]' does not belong into an expression"),
        ("c", "column 1: 'c' is no Id: there is a, b"),
        ("RATE(a)", "column 1: 'RATE' is no function here: use ABS, AVG"),
        ("CEIL(a, b)", "column 1: CEIL takes 1 arguments, not 2"),
        ("(" * 200 + "a" + ")" * 200, "more than 30 brackets inside each other"),
        ("2" + "^2" * 200, "more than 30 powers of powers"),
    ],
)
def test_what_cannot_be_read(text: str, message: str) -> None:
    with pytest.raises(MathError, match=message):
        parse(text, ["a", "b"])


NUMBER = st.integers(0, 50).map(str)
TERM = st.recursive(
    NUMBER,
    lambda inner: st.tuples(inner, st.sampled_from(["+", "-", "*"]), inner).map(lambda t: f"({t[0]} {t[1]} {t[2]})"),
    max_leaves=12,
)


def test_a_long_sum_is_no_deep_one() -> None:
    assert parse("+".join(["a"] * 1024)).value({"a": 1.0}) == 1024


@given(TERM)
def test_arithmetic_is_arithmetic(text: str) -> None:
    value: Any = eval(text, {"__builtins__": {}})
    assert parse(text).value({}) == pytest.approx(float(value))
