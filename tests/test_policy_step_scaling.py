"""Step scaling, choosing among policies, and forecasts: decision tables and laws."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from fargsim.model.scaling import StepScaling
from fargsim.policy.predictive_scaling import forecast
from fargsim.policy.step_scaling import (
    StepMemory,
    StepView,
    adjustment,
    choose,
    round_percent,
    step,
    wanted_capacity,
)
from fargsim.policy.target_tracking import Decision, Limits, NoChange, ScalingView, SetDesired

S = 1_000_000


def spec(*steps: tuple[float | None, float | None, int], kind: str = "ChangeInCapacity", **more: Any) -> StepScaling:
    return StepScaling.model_validate(
        {
            "AdjustmentType": kind,
            "StepAdjustments": [
                {"MetricIntervalLowerBound": low, "MetricIntervalUpperBound": high, "ScalingAdjustment": n}
                for low, high, n in steps
            ],
            **more,
        }
    )


BOTH_WAYS = spec((None, -20, -3), (-20, -10, -1), (-10, 0, 0), (0, 10, 0), (10, 20, 1), (20, None, 3))


@pytest.mark.parametrize(
    ("metric", "expected"),
    [
        # above the threshold of 50: the lower bound belongs to the step; below it the upper one
        (70.0, 3), (69.999, 1), (60.0, 1), (59.999, 0), (50.0, 0), (40.001, 0), (40.0, -1), (30.0, -3), (30.001, -1), (0.0, -3),
    ],
)  # fmt: skip
def test_bounds(metric: float, expected: int) -> None:
    assert adjustment(BOTH_WAYS, StepView(metric, 50.0)) == expected


def test_the_threshold_itself_belongs_to_the_side_of_the_alarm() -> None:
    up, down = spec((0, None, 2)), spec((None, 0, -2))
    assert adjustment(up, StepView(50.0, 50.0, above=True)) == 2
    assert adjustment(up, StepView(50.0, 50.0, above=False)) is None
    assert adjustment(down, StepView(50.0, 50.0, above=False)) == -2
    assert adjustment(down, StepView(50.0, 50.0, above=True)) is None
    assert adjustment(up, StepView(None, 50.0)) is None


@pytest.mark.parametrize(
    ("steps", "message"),
    [
        ([(0, 10, 1), (20, None, 2)], "the step that begins at 20 leaves a gap to the one that ends at 10"),
        ([(0, 20, 1), (10, None, 2)], "the step that begins at 10 overlaps the one that ends at 20"),
        ([(0, None, 1), (10, None, 2)], "the step that begins at 10 overlaps the one that ends at inf"),
        ([(None, 0, -1), (None, 10, 1)], "the step that begins at -inf overlaps the one that ends at 0"),
        ([(None, None, 1)], "give MetricIntervalLowerBound or MetricIntervalUpperBound"),
        ([(10, 10, 1)], "the lower bound 10 must be below the upper bound 10"),
        ([(0, 10, 1)], "a positive upper bound needs a step without MetricIntervalUpperBound"),
        ([(-10, 0, -1)], "a negative lower bound needs a step without MetricIntervalLowerBound"),
        ([], "at least 1 item"),
    ],
)
def test_tables_that_aws_refuses(steps: list[tuple[float | None, float | None, int]], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        spec(*steps)


def test_configurations_that_aws_refuses() -> None:
    with pytest.raises(ValidationError, match="ExactCapacity takes a ScalingAdjustment of 0 or more"):
        spec((0, None, -1), kind="ExactCapacity")
    with pytest.raises(ValidationError, match="MinAdjustmentMagnitude is for PercentChangeInCapacity only"):
        spec((0, None, 1), MinAdjustmentMagnitude=2)


@given(capacity=st.integers(0, 5_000), percent=st.integers(-100, 1_000))
def test_percent_rounding_goes_toward_zero_but_never_to_it(capacity: int, percent: int) -> None:
    hundredths = capacity * percent
    exact = abs(hundredths) // 100 or (1 if hundredths else 0)
    assert round_percent(capacity * percent / 100) == (exact if hundredths >= 0 else -exact)


def test_percent_of_a_binary_fraction_is_exact() -> None:
    percent = spec((0, None, 10), kind="PercentChangeInCapacity")
    assert all(wanted_capacity(percent, 10 * n, 10) == 11 * n for n in range(1, 300))


def test_limits_and_exact_capacity() -> None:
    exact = spec((0, None, 40), kind="ExactCapacity")
    told, _ = step(exact, Limits(2, 20), StepView(60.0, 50.0), ScalingView(0, 10), StepMemory())
    assert told == SetDesired(20, "metric 60, threshold 50: exactly 40")
    less = spec((None, 0, -5))
    told, _ = step(less, Limits(8, 20), StepView(40.0, 50.0, above=False), ScalingView(0, 10), StepMemory())
    assert isinstance(told, SetDesired)
    assert told.desired == 8
    # above the maximum: lowered to it first, and further where the step says more
    for amount, expected in ((-1, 20), (-15, 15)):
        policy = spec((None, 0, amount))
        told, _ = step(policy, Limits(8, 20), StepView(40.0, 50.0, above=False), ScalingView(0, 30), StepMemory())
        assert isinstance(told, SetDesired)
        assert told.desired == expected
    # below the minimum: a scale-in does not lift, a scale-out does
    told, _ = step(less, Limits(8, 20), StepView(40.0, 50.0, above=False), ScalingView(0, 5), StepMemory())
    assert isinstance(told, NoChange)
    told, _ = step(spec((0, None, 1)), Limits(8, 20), StepView(60.0, 50.0), ScalingView(0, 5), StepMemory())
    assert isinstance(told, SetDesired)
    assert told.desired == 8


def test_scale_in_waits_for_its_cooldown_for_deployments_and_for_leave() -> None:
    less, view = spec((None, 0, -2), Cooldown=600), StepView(40.0, 50.0, above=False)
    first, memory = step(less, Limits(1, 20), view, ScalingView(0, 10), StepMemory())
    assert isinstance(first, SetDesired)
    assert memory.scale_in_until_us == 600 * S
    held, same = step(less, Limits(1, 20), view, ScalingView(599 * S, 8), memory)
    assert (held, same) == (NoChange("scale-in cooldown"), memory)
    later, _ = step(less, Limits(1, 20), view, ScalingView(600 * S, 8), memory)
    assert isinstance(later, SetDesired)
    for service, why in (
        (ScalingView(0, 10, deploying=True), "deployment is in progress"),
        (ScalingView(0, 10, no_in=True), "suspended by the user"),
    ):
        held, _ = step(less, Limits(1, 20), view, service, StepMemory())
        assert isinstance(held, NoChange)
        assert why in held.because
    more = spec((0, None, 2))
    held, _ = step(more, Limits(1, 20), StepView(60.0, 50.0), ScalingView(0, 10, no_out=True), StepMemory())
    assert held == NoChange("scale-out is suspended by the user")
    told, _ = step(more, Limits(1, 20), StepView(60.0, 50.0), ScalingView(0, 10, deploying=True), StepMemory())
    assert isinstance(told, SetDesired)


@given(
    amounts=st.lists(st.integers(1, 9), min_size=1, max_size=12),
    gaps=st.lists(st.integers(0, 400), min_size=12, max_size=12),
    percent=st.booleans(),
)
def test_inside_one_cooldown_capacity_never_exceeds_the_largest_step(
    amounts: list[int], gaps: list[int], percent: bool
) -> None:
    """Whatever the alarms say while it runs: what was there before the cooldown, plus the most aggressive step of them."""
    kind = "PercentChangeInCapacity" if percent else "ChangeInCapacity"
    desired, memory, now = 20, StepMemory(), 0
    for amount, gap in zip(amounts, gaps, strict=False):
        now += gap * S
        policy = spec((0, None, amount * (10 if percent else 1)), kind=kind)
        base = memory.base if now < memory.scale_out_until_us else desired
        told, memory = step(policy, Limits(1, 10_000), StepView(60.0, 50.0), ScalingView(now, desired), memory)
        ceiling = wanted_capacity(policy, base, amount * (10 if percent else 1))
        if isinstance(told, SetDesired):
            assert desired < told.desired == ceiling
            desired = told.desired
        else:
            assert desired >= ceiling


@pytest.mark.parametrize(
    ("decisions", "expected"),
    [
        ([SetDesired(13, ""), SetDesired(30, "")], 1),
        ([SetDesired(12, ""), SetDesired(4, "")], 0),  # any may scale out
        ([NoChange(""), SetDesired(4, "")], 1),  # steps scale in without asking
        ([SetDesired(6, ""), SetDesired(4, "")], 0),  # what leaves more
        ([NoChange(""), NoChange("")], None),
        ([SetDesired(12, "a"), SetDesired(12, "b")], 0),
        ([SetDesired(10, "")], None),
    ],
)
def test_choosing(decisions: list[Decision], expected: int | None) -> None:
    assert choose(decisions, 10) == expected


def test_a_forecast_needs_a_day_and_uses_two_weeks() -> None:
    assert forecast(dict.fromkeys(range(23), 1.0), 23) == {}
    days = {24 * d + h: float(100 * d + h) for d in range(20) for h in range(24)}
    told = forecast(days, 24 * 20)
    assert len(told) == 48
    # the last 14 of 20 days: 6 to 19, whose mean is 12.5
    assert told[24 * 20 + 7] == told[24 * 21 + 7] == 1250 + 7
    # an hour that is missing on some days is the mean of the others
    del days[24 * 19 + 7]
    assert forecast(days, 24 * 20)[24 * 20 + 7] == 100 * sum(range(6, 19)) / 13 + 7
