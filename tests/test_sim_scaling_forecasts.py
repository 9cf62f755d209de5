"""Forecasts through the simulation, and what the verbs of scaling refuse."""

from __future__ import annotations

from typing import Any

import pytest
from scaling_helpers import WEB, H, decisions, put, service, steps, track

from fargsim import Region
from fargsim.sim.errors import ObjectNotFoundException, ValidationException

PAIR = {"PredefinedMetricPairSpecification": {"PredefinedMetricType": "ALBRequestCount"}}
APART = {
    "PredefinedScalingMetricSpecification": {"PredefinedMetricType": "ALBRequestCountPerTarget"},
    "PredefinedLoadMetricSpecification": {"PredefinedMetricType": "TotalALBRequestCount"},
}


def forecasting(**more: Any) -> Region:
    """Sixty requests a minute from 8 to 16 h, six a minute otherwise; ten a minute for each task."""
    load = {0.0: 0.1}
    for day in range(3):
        load |= {(24 * day + 8) * 60: 1.0, (24 * day + 16) * 60: 0.1}
    region = service(load, tasks=1, low=1, high=more.pop("high", 20), cpu="1 ms")
    metric = {"TargetValue": 10, **more.pop("metric", PAIR)}
    put(region, "ahead", "PredictiveScaling", **{"MetricSpecifications": [metric], "Mode": "ForecastAndScale", **more})
    return region


def test_a_forecast_scales_ahead_of_the_hour_and_never_in() -> None:
    region = forecasting()
    region.run(until="50 h")
    # a day of history is there at 24 h; eight in the morning of the second day, 300 s ahead: 60 / 10 tasks
    assert decisions(region) == [(32 * H - 300, "ahead", 1, 6)]
    told = region.application_autoscaling.get_predictive_scaling_forecast(ResourceId=WEB, PolicyName="ahead")
    capacity = dict(zip(told["CapacityForecast"]["Timestamps"], told["CapacityForecast"]["Values"], strict=True))
    assert len(capacity) == 48
    by_hour = {t.hour: n for t, n in capacity.items()}
    assert {h for h, n in by_hour.items() if n == 6} == set(range(8, 16))
    assert set(by_hour.values()) == {1, 6}
    assert told["UpdateTime"].hour in (0, 6, 12, 18)


def test_a_forecast_is_the_floor_of_the_dynamic_policies() -> None:
    region = forecasting()
    put(region, "track", "TargetTrackingScaling", TargetValue=30,
        PredefinedMetricSpecification={"PredefinedMetricType": "ALBRequestCountPerTarget"})  # fmt: skip
    region.run(until="44 h")
    found = [d for d in decisions(region) if d[0] is not None and d[0] > 24 * H]
    # tracking alone would be content with two tasks of 30 a minute, but not before the last hour of the forecast is over
    assert found[0] == (32 * H - 300, "ahead", 1, 6)
    assert found[1][1] == "track"
    assert found[1][0] is not None
    assert found[1][0] >= 40 * H
    # the minute before 16 h still says 60 / 30; a cooldown later it is 6 / 30
    assert [after for *_, after in found[1:]] == [2, 1]


@pytest.mark.parametrize(
    ("more", "expected", "maximum"),
    [
        ({"high": 4}, [(32 * H - 300, 4)], 4),
        (
            {"high": 4, "MaxCapacityBreachBehavior": "IncreaseMaxCapacity", "MaxCapacityBuffer": 10},
            [(32 * H - 300, 6)],
            7,  # 6.6, for good
        ),
        ({"SchedulingBufferTime": 0}, [(32 * H, 6)], 20),
        ({"Mode": "ForecastOnly"}, [], 20),
        ({"metric": APART}, [(32 * H - 300, 6)], 20),
    ],
)
def test_limits_and_modes_of_a_forecast(more: dict[str, Any], expected: list[Any], maximum: int) -> None:
    region = forecasting(**more)
    region.run(until="42 h")
    assert [(at, after) for at, _, _, after in decisions(region)] == expected
    [target] = region.application_autoscaling.describe_scalable_targets()["ScalableTargets"]
    assert target["MaxCapacity"] == maximum


# --- what is refused


def test_refusals_under_the_names_of_aws() -> None:
    region = service({1: 1})
    aas = region.application_autoscaling
    with pytest.raises(ValidationException, match=r"MaxCapacity \(1\) is below MinCapacity \(2\)"):
        aas.register_scalable_target(ResourceId=WEB, MinCapacity=2, MaxCapacity=1)
    with pytest.raises(ValidationException, match="TargetValue: must be more than 0"):
        track(region, target=0)
    with pytest.raises(ValidationException, match="the step that begins at 20 leaves a gap to the one that ends at 10"):
        steps(region, "s", (0, 10, 1), (20, None, 2))
    with pytest.raises(ValidationException, match="never fires: there is no such day"):
        action(region, "cron(0 0 30 2 ? *)")
    with pytest.raises(ValidationException, match="never fires after 2026-01-05T00:00:00Z"):
        action(region, "at(2026-01-04T23:59:59)")
    with pytest.raises(ValidationException, match=r"MinCapacity \(30\) would be above MaxCapacity \(20\)"):
        action(region, "rate(1 hour)", MinCapacity=30)
    with pytest.raises(ValidationException, match="StepScalingPolicyConfiguration is missing"):
        aas.put_scaling_policy(ResourceId=WEB, PolicyName="p", PolicyType="StepScaling")
    with pytest.raises(
        ValidationException, match="give either PredefinedMetricPairSpecification, or PredefinedScaling"
    ):
        forecasting(metric={**PAIR, **APART})
    with pytest.raises(
        ValidationException, match="give either PredefinedMetricPairSpecification, or PredefinedScaling"
    ):
        forecasting(metric={})
    mixed = {**APART, "PredefinedLoadMetricSpecification": {"PredefinedMetricType": "ECSServiceTotalCPUUtilization"}}
    with pytest.raises(
        ValidationException, match="goes with ECSServiceAverageCPUUtilization here, not with ALBRequest"
    ):
        forecasting(metric=mixed)
    label = {"PredefinedMetricType": "ALBRequestCountPerTarget", "ResourceLabel": "app/lb/1/targetgroup/other/2"}
    with pytest.raises(ValidationException, match="ResourceLabel: service web is not behind other but tg"):
        put(region, "p", "TargetTrackingScaling", TargetValue=1, PredefinedMetricSpecification=label)
    label = {**label, "PredefinedMetricType": "ECSServiceAverageCPUUtilization"}
    with pytest.raises(ValidationException, match="ResourceLabel goes with ALBRequestCountPerTarget only"):
        put(region, "p", "TargetTrackingScaling", TargetValue=1, PredefinedMetricSpecification=label)
    metric = {"Metrics": [{"Id": "each", "Expression": "1/"}]}
    with pytest.raises(ValidationException, match="each: column 3: a number, an Id or a function is missing"):
        put(region, "p", "TargetTrackingScaling", TargetValue=1, CustomizedMetricSpecification=metric)
    with pytest.raises(ObjectNotFoundException, match="No scaling policy 'x'"):
        aas.delete_scaling_policy(ResourceId=WEB, PolicyName="x")
    with pytest.raises(ObjectNotFoundException, match="No scheduled action 'x'"):
        aas.delete_scheduled_action(ResourceId=WEB, ScheduledActionName="x")
    assert aas.describe_scaling_policies()["ScalingPolicies"] == []
    assert aas.describe_scheduled_actions()["ScheduledActions"] == []
    assert region.cloudwatch.describe_alarms()["MetricAlarms"] == []


def test_what_a_service_that_codedeploy_deploys_cannot_be_scaled_by() -> None:
    fine = {"metricConfigurations": [{"metricNames": ["CPUUtilization"], "resolutionSeconds": 20}]}
    region = service({1: 1}, deploymentController={"type": "CODE_DEPLOY"}, monitoring=fine)
    for kind in ("ALBRequestCountPerTarget", "ECSServiceAverageCPUUtilizationHighResolution"):
        message = f"PredefinedMetricType: {kind} is not supported for services with the CODE_DEPLOY deployment controller: it needs ECS"
        with pytest.raises(ValidationException, match=message):
            track(region, kind)
    track(region, "ECSServiceAverageCPUUtilization")


def test_an_action_may_rely_on_another_one_to_make_room_for_it() -> None:
    region = service({1: 1})
    aas = region.application_autoscaling
    put_action = aas.put_scheduled_action
    morning = {"Schedule": "at(2026-01-05T01:00:00)", "ScalableTargetAction": {"MinCapacity": 30}}
    with pytest.raises(ValidationException, match=r"MinCapacity \(30\) would be above MaxCapacity \(20\)"):
        put_action(ResourceId=WEB, ScheduledActionName="more", **morning)
    with pytest.raises(ValidationException, match=r"MaxCapacity \(0\) would be below MinCapacity \(1\)"):
        action(region, "rate(1 hour)", MaxCapacity=0)
    room = {"Schedule": "at(2026-01-05T00:30:00)", "ScalableTargetAction": {"MaxCapacity": 40}}
    put_action(ResourceId=WEB, ScheduledActionName="room", **room)
    put_action(ResourceId=WEB, ScheduledActionName="more", **morning)
    region.run(until="2 h")
    assert decisions(region) == [(H, "more", 2, 30)]


def action(region: Region, schedule: str, **target: int) -> None:
    region.application_autoscaling.put_scheduled_action(
        ResourceId=WEB, ScheduledActionName="a", Schedule=schedule, ScalableTargetAction=target or {"MinCapacity": 1}
    )
