"""Every kind of scaling policy through the simulation, with instants and counts added up by hand."""

from __future__ import annotations

from typing import Any

import pytest
from scaling_helpers import WEB, H, cpu_alarm, decisions, service, steps, track
from sim_helpers import exact_region, network, register

from fargsim import Region
from fargsim.model.alarms import CustomMetric
from fargsim.policy.user_policy import UserPolicy, UserView
from fargsim.sim.errors import ObjectNotFoundException, ValidationException

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


# --- 20 seconds, customized metrics, from zero

FINE = {"metricConfigurations": [{"metricNames": ["CPUUtilization"], "resolutionSeconds": 20}]}
HIGH_RESOLUTION = "ECSServiceAverageCPUUtilizationHighResolution"


def test_metrics_of_twenty_seconds() -> None:
    region = service({1: 9.6, 20: 19.2, 60: 9.6}, monitoring=FINE)
    track(region, HIGH_RESOLUTION)
    region.run(until="80 min")
    # three of 20 s end at 1260 s and are seen 15 s later; 45 of 20 s below 45 % from 3600 s on end at 4500 s
    assert decisions(region) == [(1275, "track", 2, 4), (4515, "track", 4, 2)]


def test_high_resolution_needs_a_service_that_sends_it() -> None:
    region = service({1: 1})
    with pytest.raises(ValidationException, match="needs CPUUtilization at resolutionSeconds 20 in the monitoring"):
        track(region, HIGH_RESOLUTION)
    region.ecs.update_service(service="web", monitoring=FINE)
    track(region, HIGH_RESOLUTION)
    memory = "ECSServiceAverageMemoryUtilizationHighResolution"
    with pytest.raises(ValidationException, match="needs MemoryUtilization at resolutionSeconds 20"):
        track(region, memory)


def test_metrics_of_twenty_seconds_go_on_while_a_revision_that_has_them_is_rolled_out() -> None:
    region = service({1: 7, 20: 19.2}, low=2, monitoring=FINE)
    track(region, HIGH_RESOLUTION, target=40)
    region.run(until="15 min")
    register_again(region, boot="60 min")
    region.ecs.update_service(service="web", taskDefinition="web:2", healthCheckGracePeriodSeconds=7200)
    region.run(until="30 min")
    assert len(region.registry.service("default", "web").deployments) == 2
    # scale-out goes on during a deployment, and so do the metrics that call for it: 1.92 cores on four running tasks, two of which boot,
    # are 48 %; ceil(4 x 48 / 40) = 5
    assert decisions(region) == [(1275, "track", 2, 5)]


def test_metrics_of_twenty_seconds_begin_when_the_revision_that_asks_for_them_is_everywhere() -> None:
    region = service({1: 9.6, 20: 19.2})
    region.run(until="10 min")
    register_again(region, boot="15 min")
    region.ecs.update_service(
        service="web", taskDefinition="web:2", healthCheckGracePeriodSeconds=7200, monitoring=FINE
    )
    track(region, HIGH_RESOLUTION)
    region.run(until="24 min")
    assert len(region.registry.service("default", "web").deployments) == 2
    assert decisions(region) == []
    assert {a["StateValue"] for a in region.cloudwatch.describe_alarms()["MetricAlarms"]} == {"INSUFFICIENT_DATA"}
    region.run(until="40 min")
    [(at, *_, after)] = decisions(region)
    assert at > 25 * 60 + 60
    assert after == 4


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


# --- deployments


def test_no_scale_in_while_a_deployment_runs() -> None:
    region = service({1: 19.2, 20: 9.6}, tasks=4)
    track(region)
    region.run(until="36 min")
    # 24 % from 20 min on: the 15th low minute is seen at 2250 s. New tasks boot for an hour from 36 min on
    region.behave("web", {"boot": "60 min", "request": {"cpu": "100 ms", "workers": 1, "queue": 4}})
    register_again(region, boot="60 min")
    region.ecs.update_service(service="web", taskDefinition="web:2", healthCheckGracePeriodSeconds=7200)
    region.run(until="90 min")
    assert decisions(region) == []
    region.run(until="110 min")  # they have booted at about 97 min
    assert [(name, before, after) for _, name, before, after in decisions(region)] == [("track", 4, 2)]
    assert decisions(region)[0][0] > 97 * 60


def register_again(region: Region, boot: str) -> None:
    register(region, behaviour={"boot": boot, "request": {"cpu": "100 ms", "workers": 1, "queue": 4}})


def test_a_scale_out_goes_to_both_revisions() -> None:
    region = service({1: 19.2, 40: 38.4}, tasks=4)
    track(region)
    region.run(until="36 min")
    register_again(region, boot="60 min")
    region.ecs.update_service(
        service="web", taskDefinition="web:2", healthCheckGracePeriodSeconds=7200,
        deploymentConfiguration={"minimumHealthyPercent": 100, "maximumPercent": 150},
    )  # fmt: skip
    region.run(until="55 min")
    [found] = decisions(region)
    assert found[1:] == ("track", 4, 8)
    deployments = region.registry.service("default", "web").deployments
    assert {d.revision.number: sum(d.counts.values()) for d in deployments} == {1: 8, 2: 4}


# --- a policy of the user's own


def test_a_function_decides() -> None:
    region = service({1: 9.6, 20: 19.2}, high=7)
    track(region, target=10)
    views: list[UserView] = []

    def policy(view: UserView, memory: int | None) -> tuple[int | None, int, str]:
        views.append(view)
        if view.cpu_utilization is not None and view.cpu_utilization > 90:
            return view.desired + 10, (memory or 0) + 1, f"busy for the {(memory or 0) + 1}th time"
        return None, memory or 0, ""

    region.application_autoscaling.use("web", policy)
    region.run(until="26 min")
    # it takes the place of the tracking policy; 12 is beyond the maximum of 7
    assert decisions(region) == [(1410, "policies", 2, 7)]
    assert region.kit.recorder.scaling.frame().reason[0] == "busy for the 1th time"
    assert [v.at_us for v in views] == [60_000_000 * n + 150_000_000 for n in range(1, 24)]
    busy = views[20]
    assert (busy.data_end_us, busy.desired, busy.running, busy.minimum, busy.maximum) == (1260 * 10**6, 2, 2, 1, 7)
    assert busy.cpu_utilization == pytest.approx(96, abs=0.1)
    assert busy.request_count_per_target == pytest.approx(576, abs=2)
    assert busy.request_count == pytest.approx(2 * busy.request_count_per_target)
    assert busy.messages_visible is None


def test_a_function_is_asked_once_a_minute_from_now_on_and_no_more_when_its_target_is_gone() -> None:
    region = service({1: 9.6})
    asked: list[tuple[str, int]] = []

    def named(name: str) -> UserPolicy:
        def policy(view: UserView, memory: None) -> tuple[int | None, None, str]:
            asked.append((name, view.at_us // 1_000_000))
            return None, None, ""

        return policy

    region.run(until="10 min")
    region.application_autoscaling.use("web", named("first"))
    region.run(until="12 min")
    region.application_autoscaling.use("web", named("second"))
    region.run(until="14 min")
    region.application_autoscaling.deregister_scalable_target(ResourceId=WEB)
    region.run(until="20 min")
    # at 30 s past a minute, as metrics of AWS/ECS are seen 150 s late
    assert asked == [("first", 630), ("first", 690), ("second", 750), ("second", 810)]


def test_a_function_sees_the_queue_of_its_workers() -> None:
    region = exact_region()
    region.sqs.create_queue(QueueName="jobs")
    register(region, behaviour={"message": {"queue": "jobs", "cpu": "10 s"}})
    region.ecs.create_service(
        serviceName="web", taskDefinition="web", desiredCount=1, launchType="FARGATE", networkConfiguration=network()
    )
    region.send_messages("jobs", {"steps": [{"at": "0 s", "rate": "1 /s"}], "process": "regular"}, until="1 h")
    seen: list[UserView] = []

    def backlog(view: UserView, memory: None) -> tuple[int | None, None, str]:
        seen.append(view)
        return None if view.messages_visible is None else -int(-view.messages_visible // 100), None, "100 a task"

    region.application_autoscaling.use("web", backlog)
    region.run(until="8 min")
    told = [v.messages_visible for v in seen]
    # one task works off six a minute, and begins at 20 s; what it has in hand is not visible
    assert told[0] == pytest.approx(60 - 4, abs=2)
    assert told[1] == pytest.approx(told[0] + 54, abs=2)
    assert [after for *_, after in decisions(region)][:2] == [2, 3]


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


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        ((2.5, None, ""), r"returns a whole number of tasks or None, not 2\.5"),
        ((True, None, ""), "returns a whole number of tasks or None, not True"),
        (None, r"returns \(desired count or None, what to remember, why\), not None"),
        (5, r"returns \(desired count or None, what to remember, why\), not 5"),
        ((5, None, 3), "says why in words, not 3"),
    ],
)
def test_a_function_that_returns_something_else_is_told_so(answer: Any, message: str) -> None:
    region = service({1: 1})
    region.application_autoscaling.use("web", lambda view, memory: answer)
    with pytest.raises(TypeError, match=message):
        region.run(until="5 min")
