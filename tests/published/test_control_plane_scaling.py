"""Published figures of service auto scaling that need steps, several policies or a forecast."""

from __future__ import annotations

from typing import Any

from fargsim.model.group_options import GroupTargetTracking
from fargsim.model.predictive_scaling import PredictiveScaling
from fargsim.model.scaling import StepScaling
from fargsim.policy.group_tracking import GroupLoad, track_group
from fargsim.policy.predictive_scaling import floor_for
from fargsim.policy.step_scaling import StepMemory, StepView, choose, round_percent, step, wanted_capacity
from fargsim.policy.target_tracking import Limits, ScalingView, SetDesired, wanted_tasks

LIMITS = Limits(1, 100)


def steps(kind: str, *adjustments: dict[str, Any], **more: Any) -> StepScaling:
    return StepScaling.model_validate({"AdjustmentType": kind, "StepAdjustments": list(adjustments), **more})


def desired(decision: object) -> int:
    assert isinstance(decision, SetDesired)
    return decision.desired


def test_s4_a_removal_of_one_and_a_half_is_one() -> None:
    """EC2 Auto Scaling User Guide, as-scaling-target-tracking.html; services round the same way."""
    assert wanted_tasks(45, 6, 60) == 6 - 1  # 4.5
    spec = GroupTargetTracking.model_validate(
        {"PredefinedMetricSpecification": {"PredefinedMetricType": "ASGAverageCPUUtilization"}, "TargetValue": 60}
    )
    resized = track_group(spec, GroupLoad(45, 6, 6, 6, 0, 10, "OK", "ALARM"))
    assert resized is not None
    assert resized.capacity == 6 - 1


def test_s6_rounding_of_percent_changes() -> None:
    """Application Auto Scaling User Guide, step-scaling-policy-overview.html."""
    assert [round_percent(x) for x in (12.7, 0.67, -0.58, -6.67)] == [12, 1, -1, -6]


def test_s7_at_least_the_magnitude() -> None:
    """Application Auto Scaling API Reference, API_StepScalingPolicyConfiguration.html."""
    quarter = {"MetricIntervalLowerBound": 0, "ScalingAdjustment": 25}
    spec = steps("PercentChangeInCapacity", quarter, MinAdjustmentMagnitude=2)
    assert wanted_capacity(spec, 4, 25) == 4 + 2
    assert wanted_capacity(steps("PercentChangeInCapacity", quarter), 4, 25) == 4 + 1


def test_s8_the_policy_that_leaves_the_most_wins() -> None:
    """Application Auto Scaling API Reference: at a capacity of 10, +3 against +200 %."""
    view = StepView(80.0, 60.0)
    service = ScalingView(0, 10)
    decisions = [
        step(steps(kind, {"MetricIntervalLowerBound": 0, "ScalingAdjustment": n}), LIMITS, view, service, StepMemory())[
            0
        ]
        for kind, n in (("ChangeInCapacity", 3), ("PercentChangeInCapacity", 200))
    ]
    assert [desired(d) for d in decisions] == [13, 30]
    assert choose(decisions, 10) == 1


def test_s9_a_more_aggressive_step_inside_the_cooldown_adds_the_difference() -> None:
    """Application Auto Scaling User Guide, step-scaling-policy-overview.html: 2, then 3 inside the cooldown."""
    spec = steps(
        "ChangeInCapacity",
        {"MetricIntervalLowerBound": 0, "MetricIntervalUpperBound": 10, "ScalingAdjustment": 2},
        {"MetricIntervalLowerBound": 10, "ScalingAdjustment": 3},
    )
    first, memory = step(spec, LIMITS, StepView(65.0, 60.0), ScalingView(0, 10), StepMemory())
    assert desired(first) == 12
    second, memory = step(spec, LIMITS, StepView(75.0, 60.0), ScalingView(60_000_000, 12), memory)
    assert desired(second) == 12 + 1
    third, _ = step(spec, LIMITS, StepView(75.0, 60.0), ScalingView(120_000_000, 13), memory)
    assert not isinstance(third, SetDesired)
    later, _ = step(spec, LIMITS, StepView(75.0, 60.0), ScalingView(360_000_000, 13), memory)
    assert desired(later) == 13 + 3


def test_s10_a_forecast_beyond_the_maximum_raises_it() -> None:
    """Application Auto Scaling API Reference, API_PredictiveScalingPolicyConfiguration.html: forecast 50, maximum 40, buffer 10 %."""
    metric = {
        "TargetValue": 50,
        "PredefinedMetricPairSpecification": {"PredefinedMetricType": "ECSServiceCPUUtilization"},
    }
    honoured = PredictiveScaling.model_validate({"MetricSpecifications": [metric]})
    raised = PredictiveScaling.model_validate(
        {
            "MetricSpecifications": [metric],
            "MaxCapacityBreachBehavior": "IncreaseMaxCapacity",
            "MaxCapacityBuffer": 10,
        }
    )
    limits = Limits(1, 40)
    assert floor_for(raised, limits, 50).maximum == 55
    assert floor_for(raised, limits, 50).capacity == 50
    assert (floor_for(honoured, limits, 50).capacity, floor_for(honoured, limits, 50).maximum) == (40, 40)
