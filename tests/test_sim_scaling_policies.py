"""Every kind of scaling policy through the simulation, with instants and counts added up by hand."""

from __future__ import annotations

import pytest
from scaling_helpers import WEB, H, cpu_alarm, decisions, service, steps, track
from sim_helpers import exact_region, network, register

from fargsim import Region
from fargsim.model.alarms import CustomMetric
from fargsim.sim.errors import ObjectNotFoundException

# --- steps


def test_steps_up_and_down() -> None:
    region = service({1: 9.6, 20: 19.2, 40: 9.6})
    out = steps(region, "out", (0, 20, 1), (20, None, 2))
    steps(region, "in", (-20, 0, -1), (None, -20, -2))
    cpu_alarm(region, "busy", "Greater", 60, out)  # by ARN
    cpu_alarm(region, "idle", "Less", 30, "in", periods=2)  # by name
    region.run(until="55 min")
    # 96 % in the minute that ends at 21 min, seen at 1410 s: 36 above the threshold is in the second step. While the cooldown runs the
    # alarm calls every minute and gets nothing, as two have been added. 24 % from 40 min on: the second minute is seen at 2670 s;
    # 6 below the threshold is in the first step; then 32 %
    assert decisions(region) == [(1410, "out", 2, 4), (2670, "in", 4, 3)]
    row = region.kit.recorder.scaling.frame().iloc[0]
    assert (row.policy_type, row.alarm, row.alarm_state, row.metric_name) == (
        "StepScaling", "busy", "ALARM", "CPUUtilization",
    )  # fmt: skip
    assert row.metric_value == pytest.approx(96, abs=0.1)
    assert row.reason == f"metric {row.metric_value:g}, threshold 60: +2"


def test_a_lasting_alarm_calls_again_when_the_cooldown_is_over() -> None:
    region = service({1: 100.0}, cpu="1 s")  # nothing helps
    cpu_alarm(region, "busy", "Greater", 60, steps(region, "out", (0, None, 2), Cooldown=120))
    region.run(until="9 min")
    # 15 s until RUNNING and 9.8 s until the second minute: it is seen at 270 s. Every 120 s from then on
    assert decisions(region) == [(270, "out", 2, 4), (390, "out", 4, 6), (510, "out", 6, 8)]


def test_the_metric_is_aggregated_as_the_policy_says() -> None:
    for aggregation, expected in (("Average", 5), ("Maximum", 7)):
        region = exact_region()
        register(region)
        region.ecs.create_service(
            serviceName="web",
            taskDefinition="web",
            desiredCount=4,
            launchType="FARGATE",
            networkConfiguration=network(),
        )
        region.application_autoscaling.register_scalable_target(ResourceId=WEB, MinCapacity=1, MaxCapacity=20)
        arn = steps(region, "out", (0, 10, 1), (10, None, 3), MetricAggregationType=aggregation)
        region.cloudwatch.put_metric_alarm(
            AlarmName="a", Namespace="App", MetricName="Depth", Statistic="Average", Period=60, EvaluationPeriods=1,
            Threshold=10, ComparisonOperator="GreaterThanThreshold", AlarmActions=[arn],
        )  # fmt: skip
        region.cloudwatch.put_metric_data(Namespace="App", MetricData=[{"MetricName": "Depth", "Values": [5, 25]}])
        region.run(until="2 min")
        assert decisions(region) == [(75, "out", 4, expected)]


def test_steps_and_tracking_together() -> None:
    region = service({1: 9.6, 20: 19.2})
    track(region)
    cpu_alarm(region, "busy", "Greater", 60, steps(region, "out", (0, None, 6)), periods=3)
    region.run(until="30 min")
    # both call at 1530 s: tracking wants 4, the steps 8
    assert decisions(region) == [(1530, "out", 2, 8)]


def test_steps_scale_in_without_asking_tracking() -> None:
    region = service({1: 9.6}, tasks=4)
    track(region, target=20)  # 24 % on 4 tasks: wants 5
    cpu_alarm(region, "idle", "Less", 40, steps(region, "in", (None, 0, -1), Cooldown=6000), periods=10)
    region.run(until="13 min")
    names = [name for _, name, _, _ in decisions(region)]
    assert names == ["track", "in"]


def test_steps_do_not_hurry_tracking() -> None:
    """An alarm of tracking calls once a minute; that another alarm calls a step policy in between is none of its business."""
    region = service({1: 19.2, 20: 10.5, 38: 9}, tasks=4)
    track(region, ScaleInCooldown=280)
    arn = steps(region, "never", (0, None, 0))
    region.cloudwatch.put_metric_alarm(
        AlarmName="odd", Namespace="App", MetricName="Depth", Statistic="Average", Period=60, EvaluationPeriods=1,
        Threshold=0, ComparisonOperator="GreaterThanThreshold", AlarmActions=[arn],
    )  # fmt: skip
    region.cloudwatch.define(
        CustomMetric.model_validate({"namespace": "App", "name": "Depth", "steps": [{"at": "0 s", "value": 1}]})
    )
    region.run(until="60 min")
    # 26 % from 20 min on: 2.1 tasks, so 3; the alarm lasts at 35 %. 9 /s are 1.8 tasks, but the cooldown lasts until 42:10. The other
    # alarm calls at 42:15, its own at 42:30
    assert decisions(region) == [(2250, "track", 4, 3), (2550, "track", 3, 2)]


# --- schedules


def test_schedules_in_their_zones() -> None:
    region = service({1: 1})  # a Monday, 2026-01-05T00:00Z
    put_action = region.application_autoscaling.put_scheduled_action
    berlin = {"Schedule": "cron(0 2 ? * MON-FRI *)", "Timezone": "Europe/Berlin"}
    put_action(ResourceId=WEB, ScheduledActionName="up", **berlin, ScalableTargetAction={"MinCapacity": 6})
    at = {"Schedule": "at(2026-01-05T02:00:00)"}
    put_action(
        ResourceId=WEB, ScheduledActionName="down", **at, ScalableTargetAction={"MinCapacity": 1, "MaxCapacity": 3}
    )
    put_action(
        ResourceId=WEB, ScheduledActionName="often", Schedule="rate(50 minutes)",
        EndTime="2026-01-05T04:00:00Z", ScalableTargetAction={"MaxCapacity": 10},
    )  # fmt: skip
    region.run(until="30 h")
    # 02:00 in Berlin is 01:00 UTC: 6; at 02:00 UTC at most 3. The rate only widens what is allowed. On Tuesday 6 again
    assert decisions(region) == [(H, "up", 2, 6), (2 * H, "down", 6, 3), (25 * H, "up", 3, 6)]
    [target] = region.application_autoscaling.describe_scalable_targets()["ScalableTargets"]
    assert (target["MinCapacity"], target["MaxCapacity"]) == (6, 10)
    reason = region.kit.recorder.scaling.frame().reason[0]
    assert reason == "scheduled action up was triggered: minimum capacity was set to 6"


def test_a_start_time_is_a_time_of_its_own_and_an_end_time_the_last() -> None:
    region = service({1: 1})
    region.application_autoscaling.put_scheduled_action(
        ResourceId=WEB, ScheduledActionName="up", Schedule="cron(30 * * * ? *)", StartTime="2026-01-05T02:10:00Z",
        EndTime="2026-01-05T03:30:00Z", ScalableTargetAction={"MinCapacity": 3},
    )  # fmt: skip
    instants = []
    for hour in range(24):
        region.run(until=f"{hour * 10 + 9} min")
        region.application_autoscaling.register_scalable_target(ResourceId=WEB, MinCapacity=1, MaxCapacity=20)
        region.ecs.update_service(service="web", desiredCount=2)
    region.run(until="5 h")
    instants = [at for at, name, _, _ in decisions(region) if name == "up"]
    assert instants == [2 * H + 600, 2 * H + 1800, 3 * H + 1800]


def test_scheduled_actions_ignore_cooldowns_and_respect_their_suspension() -> None:
    region = service({1: 9.6, 20: 19.2})
    track(region)
    region.application_autoscaling.put_scheduled_action(
        ResourceId=WEB,
        ScheduledActionName="a",
        Schedule="at(2026-01-05T00:26:00)",
        ScalableTargetAction={"MinCapacity": 7},
    )
    region.application_autoscaling.put_scheduled_action(
        ResourceId=WEB,
        ScheduledActionName="b",
        Schedule="at(2026-01-05T00:40:00)",
        ScalableTargetAction={"MinCapacity": 9},
    )
    region.run(until="30 min")
    assert decisions(region) == [(1530, "track", 2, 4), (1560, "a", 4, 7)]
    state = {"ScheduledScalingSuspended": True}
    region.application_autoscaling.register_scalable_target(ResourceId=WEB, SuspendedState=state)
    region.run(until="45 min")
    assert len(decisions(region)) == 2


def test_what_is_suspended_does_not_happen() -> None:
    region = service({1: 9.6, 20: 19.2, 40: 1})
    track(region)
    both = {"DynamicScalingOutSuspended": True, "DynamicScalingInSuspended": True}
    region.application_autoscaling.register_scalable_target(ResourceId=WEB, SuspendedState=both)
    region.run(until="30 min")
    assert decisions(region) == []
    [target] = region.application_autoscaling.describe_scalable_targets()["ScalableTargets"]
    assert target["SuspendedState"] == {**both, "ScheduledScalingSuspended": False}
    resumed = {"DynamicScalingInSuspended": True}
    region.application_autoscaling.register_scalable_target(ResourceId=WEB, SuspendedState=resumed)
    region.run(until="70 min")
    assert [(before, after) for _, _, before, after in decisions(region)] == [(2, 4)]


# --- customized metrics, from zero


def backlog(region: Region, target: float, *, fill: bool = False) -> None:
    """Keep so many messages per running task: metric math over a queue's depth and Container Insights."""
    dimensions = [{"Name": "ClusterName", "Value": "c"}, {"Name": "ServiceName", "Value": "web"}]
    running = {"Namespace": "ECS/ContainerInsights", "MetricName": "RunningTaskCount", "Dimensions": dimensions}
    depth = {"Metric": {"Namespace": "App", "MetricName": "Depth"}, "Stat": "Average"}
    region.application_autoscaling.put_scaling_policy(
        ResourceId="service/c/web",
        PolicyName="backlog",
        TargetTrackingScalingPolicyConfiguration={
            "TargetValue": target,
            "CustomizedMetricSpecification": {
                "Metrics": [
                    {"Id": "depth", "MetricStat": depth, "ReturnData": False},
                    {"Id": "tasks", "MetricStat": {"Metric": running, "Stat": "Average"}, "ReturnData": False},
                    {"Id": "each", "Expression": "depth / MAX(tasks, 1)" if fill else "depth / tasks"},
                ]
            },
        },
    )


def workers(tasks: int, depth: dict[int, float | None], *, low: int = 0) -> Region:
    region = exact_region()
    region.ecs.create_cluster(clusterName="c", settings=[{"name": "containerInsights", "value": "enabled"}])
    register(region)
    region.ecs.create_service(
        cluster="c", serviceName="web", taskDefinition="web", desiredCount=tasks, launchType="FARGATE",
        networkConfiguration=network(),
    )  # fmt: skip
    region.application_autoscaling.register_scalable_target(ResourceId="service/c/web", MinCapacity=low, MaxCapacity=50)
    told = [{"at": f"{minute} min", "value": value} for minute, value in depth.items()]
    region.cloudwatch.define(CustomMetric.model_validate({"namespace": "App", "name": "Depth", "steps": told}))
    return region


def test_backlog_per_task() -> None:
    region = workers(4, {0: 80, 20: 300})
    backlog(region, 20)
    region.run(until="30 min")
    # 80 / 4 = 20 is at the target; 300 / 4 = 75 in the minutes that end at 21, 22, 23 min. The lag is that of the task count, 150 s:
    # ceil(4 x 75 / 20) = 15
    assert decisions(region) == [(1530, "backlog", 4, 15)]
    assert region.kit.recorder.scaling.frame().metric_name[0] == "depth / tasks"


def test_from_zero_one_task_first_and_then_by_the_running_count() -> None:
    region = workers(0, {0: 0, 10: 100})
    backlog(region, 20, fill=True)
    region.run(until="40 min")
    found = decisions(region)
    # three minutes above the target end at 13 min, seen at 930 s: one task. It runs from 950 s on: the first minute with a running count
    # begins at 900 s; a sixth of it is 1/6 of a task, and every datapoint after that says ceil(1 x 100 / 20) = 5
    assert found[0] == (930, "backlog", 0, 1)
    assert found[-1][3] == 5
    assert [after for *_, after in found] == sorted(after for *_, after in found)


def test_division_by_no_tasks_is_no_data_and_no_scaling() -> None:
    region = workers(0, {0: 100})
    backlog(region, 20)
    region.run(until="30 min")
    assert decisions(region) == []


def test_without_leave_to_scale_in_nothing_is_taken_away() -> None:
    region = service({1: 19.2, 20: 1}, tasks=4)
    track(region, DisableScaleIn=True)
    region.run(until="60 min")
    assert decisions(region) == []


def test_a_policy_that_is_deleted_leaves_no_alarm() -> None:
    region = service({1: 9.6, 20: 19.2})
    track(region)
    aas = region.application_autoscaling
    assert len(region.cloudwatch.describe_alarms()["MetricAlarms"]) == 2
    [shown] = aas.describe_scaling_policies(ResourceId=WEB)["ScalingPolicies"]
    assert [a["AlarmName"].split("-")[2] for a in shown["Alarms"]] == ["AlarmHigh", "AlarmLow"]
    aas.delete_scaling_policy(PolicyName="track", ResourceId=WEB)
    assert region.cloudwatch.describe_alarms()["MetricAlarms"] == []
    region.run(until="30 min")
    assert decisions(region) == []
    aas.deregister_scalable_target(ResourceId=WEB)
    with pytest.raises(ObjectNotFoundException, match="No scalable target registered"):
        aas.delete_scaling_policy(PolicyName="track", ResourceId=WEB)
