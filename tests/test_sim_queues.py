"""Queues and the tasks that work on them: verbs, life of a task, metrics, scaling on the backlog, tables."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from sim_helpers import EXACT, PLENTY, SUBNETS, exact_region, network, register, seconds

from fargsim import Region
from fargsim.model.scenario import Scenario
from fargsim.sim.build import build
from fargsim.sim.errors import InvalidAttributeValue, QueueDoesNotExist, QueueNameExists
from fargsim.sim.state import Stop
from fargsim.sim.task_life import stop_task

STARTS_S = 15
"""When a task is RUNNING on Fargate with the durations of `exact_region`; a service begins 5 s after it is created."""


def worker(
    region: Region, queue: str = "orders", *, tasks: int = 1, attributes: Mapping[str, Any] = {}, **more: Any
) -> None:
    """A service of tasks that work on a queue, one message at a time, 2 s of CPU each."""
    if queue not in region.queues.by_name:
        region.sqs.create_queue(QueueName=queue, Attributes=attributes)
    container = more.pop("container", {})
    does = {"stop": more.pop("stop", "0 s"), "message": {"queue": queue, "cpu": "2 s", **more}}
    register(region, "worker", behaviour=does, container=container)
    region.ecs.create_service(
        serviceName="worker", taskDefinition="worker", desiredCount=tasks, launchType="FARGATE", networkConfiguration=network()
    )  # fmt: skip


def put(region: Region, *at_s: float, queue: str = "orders") -> None:
    region.send_messages(queue, {"instants": [f"{at} s" for at in at_s]})


def depth(region: Region, queue: str = "orders") -> tuple[int, int]:
    found = region.sqs.get_queue_attributes(QueueUrl=queue)["Attributes"]
    return int(found["ApproximateNumberOfMessages"]), int(found["ApproximateNumberOfMessagesNotVisible"])


def of(region: Region, queue: str = "orders") -> Any:
    frame = region.kit.recorder.queues.frame()
    return frame[frame["queue"] == queue]


def test_a_task_takes_messages_from_the_end_of_its_boot_on() -> None:
    region = exact_region()
    worker(region)
    put(region, 1, 1, 1)
    running = 5 + STARTS_S
    region.run(f"{running} s")
    assert depth(region) == (2, 1)
    region.run(f"{running + 2} s")
    assert depth(region) == (1, 1)
    region.run(f"{running + 6} s")
    assert depth(region) == (0, 0)
    region.run("1 min")
    [row] = of(region).itertuples()
    assert (row.sent, row.received, row.deleted) == (3, 3, 3)
    assert (row.completion_p50_s, row.completion_max_s) == (running - 1 + 4, running - 1 + 6)
    # 3 wait from 1 s on, then 2, then 1 for 2 s each
    assert row.visible_mean * 60 == pytest.approx(3 * (running - 1) + 2 * 2 + 1 * 2)


def test_cpu_of_messages_is_cpu_of_the_task() -> None:
    region = exact_region()
    worker(region)
    put(region, *range(60, 120, 4))
    region.run("3 min")
    rows = region.kit.recorder.services.frame()
    assert rows["cpu_utilization"].tolist()[1] == pytest.approx(50)
    tasks = region.finish().tasks.frame()
    assert tasks["cpu_core_s"].tolist() == pytest.approx([30])


def test_messages_of_a_lost_task_come_back_when_their_time_out_has_passed() -> None:
    region = exact_region()
    worker(region, attributes={"VisibilityTimeout": "90"}, tasks=2)
    put(region, 30)
    region.run("31 s")
    service = region.registry.service("default", "worker")
    [busy] = [t for t in service.tasks.values() if region.kit.work.use(t).busy_core_us > 0]
    stop_task(region.kit, busy, Stop("TerminationNotice", "gone", kill=True))
    region.run("119 s")
    assert depth(region) == (0, 1)
    region.run("3 min")
    rows = of(region)
    assert (rows["received"].sum(), rows["received_again"].sum(), rows["deleted"].sum()) == (2, 1, 1)
    assert rows["completion_max_s"].max() == 92


@pytest.mark.parametrize(
    ("options", "ended_s", "deleted"),
    [
        ({"stop": "1 s"}, 1, 0),
        ({"finish_on_stop": True}, 20, 1),
        ({"finish_on_stop": True, "container": {"stopTimeout": 5}}, 5, 0),
    ],
)
def test_what_a_task_that_is_told_to_stop_does_with_its_message(
    options: dict[str, Any], ended_s: int, deleted: int
) -> None:
    region = exact_region()
    worker(region, attributes={"VisibilityTimeout": "600"}, **{"cpu": "30 s", **options})
    put(region, 30, 35)
    region.run("40 s")
    region.ecs.update_service(service="worker", desiredCount=0)
    region.run("2 min")
    [task] = region.kit.recorder.tasks.frame().itertuples()
    assert seconds(task.stopping_at) == 45 - 5 + 5
    took = seconds(task.execution_stopped_at) - seconds(task.stopping_at)  # type: ignore[operator]
    # it began at 30, was told at 45 and needs 30 s in all
    assert took == pytest.approx(15 if ended_s == 20 else ended_s, abs=0.001)
    assert task.exit_code == (137 if ended_s == 5 else 0)
    assert of(region)["deleted"].sum() == deleted
    assert depth(region) == ((1, 0) if deleted else (1, 1)), "it takes nothing more after SIGTERM"


def test_poison_goes_to_the_dead_letter_queue() -> None:
    region = exact_region()
    region.sqs.create_queue(QueueName="dead")
    redrive = '{"deadLetterTargetArn": "arn:aws:sqs:us-east-1:123456789012:dead", "maxReceiveCount": "3"}'
    worker(region, attributes={"VisibilityTimeout": "60", "RedrivePolicy": redrive}, poison_rate="100 %")
    put(region, 30, 31)
    region.run("10 min")
    assert depth(region) == (0, 0)
    assert depth(region, "dead") == (2, 0)
    rows = of(region)
    assert (rows["received"].sum(), rows["failed"].sum(), rows["dead_lettered"].sum()) == (6, 6, 2)
    assert of(region, "dead")["moved_in"].sum() == 2


def test_a_heartbeat_keeps_a_long_message_from_coming_back() -> None:
    def receives(**more: Any) -> tuple[int, int, int]:
        region = exact_region()
        worker(region, attributes={"VisibilityTimeout": "10"}, cpu="35 s", tasks=2, **more)
        put(region, 30)
        region.run("4 min")
        rows = of(region)
        return rows["received"].sum(), rows["late"].sum(), rows["deleted"].sum()

    assert receives(heartbeat="4 s") == (1, 0, 1)
    # without: 30 and 40 to 65 and 75; back at 50, received by the first that is free; and so on until one is in time
    received, late, _ = receives()
    assert received > 2
    assert late > 0


def test_metrics_of_a_queue_and_backlog_per_task() -> None:
    region = exact_region(assumptions={"metric_publish_lag_s": 0, "custom_metric_publish_lag_s": 0})
    region.sqs.create_queue(
        QueueName="orders", backlog_per_task={"service": "worker", "namespace": "Orders", "metric": "BacklogPerTask"}
    )
    worker(region, tasks=2, cpu="50 s")
    put(region, *[40] * 10)
    region.run("62 s")
    from fargsim.sim.alarm_run import metric_key

    def value(namespace: str, name: str, dimensions: dict[str, str], statistic: str = "Average") -> float:
        [point] = region.cloudwatch.windows(metric_key(namespace, name, dimensions), 60_000_000, 60_000_000, 1)
        assert point is not None
        return point.statistic(statistic)

    mine = {"QueueName": "orders"}
    assert value("AWS/SQS", "ApproximateNumberOfMessagesVisible", mine) == 8
    assert value("AWS/SQS", "ApproximateNumberOfMessagesNotVisible", mine) == 2
    assert value("AWS/SQS", "ApproximateAgeOfOldestMessage", mine, "Maximum") == 20
    assert value("AWS/SQS", "NumberOfMessagesSent", mine, "Sum") == 10
    assert value("AWS/SQS", "NumberOfMessagesReceived", mine, "Sum") == 2
    assert value("Orders", "BacklogPerTask", {"ClusterName": "default", "ServiceName": "worker"}) == 4


def backlog_scaling(metric: dict[str, Any], **queue: Any) -> Region:
    region = exact_region(assumptions={"metric_publish_lag_s": 30, "custom_metric_publish_lag_s": 30})
    region.ecs.update_cluster_settings(cluster="default", settings=[{"name": "containerInsights", "value": "enabled"}])
    region.sqs.create_queue(QueueName="orders", **queue)
    worker(region, cpu="1 s")
    target = region.application_autoscaling
    target.register_scalable_target(ResourceId="service/default/worker", MinCapacity=1, MaxCapacity=30)
    target.put_scaling_policy(
        ResourceId="service/default/worker", PolicyName="backlog", PolicyType="TargetTrackingScaling",
        TargetTrackingScalingPolicyConfiguration={
            "TargetValue": 30, "CustomizedMetricSpecification": metric, "ScaleOutCooldown": 60, "ScaleInCooldown": 60,
        },
    )  # fmt: skip
    region.send_messages(
        "orders", {"steps": [{"at": "2 min", "rate": "5 /s"}, {"at": "30 min", "rate": "0.2 /s"}], "process": "regular"}
    )
    return region


MATH = {
    "Metrics": [
        {
            "Id": "visible",
            "MetricStat": {
                "Metric": {
                    "MetricName": "ApproximateNumberOfMessagesVisible",
                    "Namespace": "AWS/SQS",
                    "Dimensions": [{"Name": "QueueName", "Value": "orders"}],
                },
                "Stat": "Average",
            },
            "ReturnData": False,
        },
        {
            "Id": "tasks",
            "MetricStat": {
                "Metric": {
                    "MetricName": "RunningTaskCount",
                    "Namespace": "ECS/ContainerInsights",
                    "Dimensions": [
                        {"Name": "ClusterName", "Value": "default"},
                        {"Name": "ServiceName", "Value": "worker"},
                    ],
                },
                "Stat": "Average",
            },
            "ReturnData": False,
        },
        {"Id": "backlog", "Expression": "visible / tasks", "ReturnData": True},
    ]
}
OWN = {
    "MetricName": "BacklogPerTask",
    "Namespace": "Orders",
    "Statistic": "Average",
    "Dimensions": [{"Name": "ClusterName", "Value": "default"}, {"Name": "ServiceName", "Value": "worker"}],
}


@pytest.mark.parametrize("metric", ["metric math", "own metric"])
def test_target_tracking_follows_the_backlog_per_task(metric: str) -> None:
    """As AWS shows for queues: application-auto-scaling-target-tracking-metric-math.html, as-using-sqs-queue.html."""
    if metric == "own metric":
        region = backlog_scaling(OWN, backlog_per_task={"service": "worker", "namespace": "Orders"})
    else:
        region = backlog_scaling(MATH)
    region.run("75 min")
    rows = region.kit.recorder.services.frame()
    assert rows["running"].max() >= 6, (
        "five messages a second of 1 s each need five tasks, and more to work off the rest"
    )
    queue = of(region)
    assert queue["visible"].iloc[29] < 400, "without scaling 4 a second would be left: 6,720"
    assert rows["desired"].iloc[-1] == 1, "an empty queue scales in"
    assert queue["deleted"].sum() == queue["sent"].sum() - queue["visible"].iloc[-1] - queue["in_flight"].iloc[-1]


def test_a_task_that_is_restarted_in_place_loses_its_message_and_goes_on() -> None:
    region = exact_region()
    policy = {"restartPolicy": {"enabled": True, "restartAttemptPeriod": 60}}
    worker(region, attributes={"VisibilityTimeout": "30"}, cpu="20 s", container=policy)
    put(region, 100)
    region.run("110 s")
    from fargsim.sim.task_life import crash

    [task] = region.registry.service("default", "worker").tasks.values()
    crash(region.kit, task, 1)
    region.run("3 min")
    rows = of(region)
    assert (rows["received"].sum(), rows["deleted"].sum()) == (2, 1)
    assert rows["completion_max_s"].max() == 50
    assert region.finish().tasks.frame()["cpu_core_s"].tolist() == pytest.approx([30])


def test_tasks_of_run_task_work_on_queues_too() -> None:
    region = exact_region()
    region.sqs.create_queue(QueueName="orders")
    register(region, "worker", behaviour={"message": {"queue": "orders", "cpu": "1 s"}})
    put(region, 1)
    region.ecs.run_task(taskDefinition="worker", launchType="FARGATE", networkConfiguration=network())
    region.run("1 min")
    assert of(region)["deleted"].sum() == 1


def test_verbs_answer_as_aws_does() -> None:
    region = exact_region()
    answer = region.sqs.create_queue(QueueName="a", Attributes={"VisibilityTimeout": "45"})
    assert answer == region.sqs.create_queue(QueueName="a", Attributes={"VisibilityTimeout": "45"})
    assert region.sqs.list_queues() == {"QueueUrls": [answer["QueueUrl"]]}
    found = region.sqs.get_queue_attributes(
        QueueUrl=answer["QueueUrl"], AttributeNames=["VisibilityTimeout", "QueueArn"]
    )
    assert found["Attributes"] == {"VisibilityTimeout": "45", "QueueArn": "arn:aws:sqs:us-east-1:123456789012:a"}
    with pytest.raises(QueueNameExists):
        region.sqs.create_queue(QueueName="a")
    with pytest.raises(QueueDoesNotExist, match="Queues: a"):
        region.sqs.get_queue_attributes(QueueUrl="b")
    with pytest.raises(QueueDoesNotExist):
        region.sqs.create_queue(
            QueueName="b", Attributes={"RedrivePolicy": {"deadLetterTargetArn": "b", "maxReceiveCount": 1}}
        )
    for wrong in ({"VisibilityTimeout": "43201"}, {"RedrivePolicy": "{}"}, {"Colour": "blue"}, {"DelaySeconds": "1"}):
        with pytest.raises(InvalidAttributeValue, match=next(iter(wrong))):
            region.sqs.create_queue(QueueName="c", Attributes=wrong)
    with pytest.raises(InvalidAttributeValue, match="FIFO"):
        region.sqs.create_queue(QueueName="c.fifo")


def scenario(**more: Any) -> Scenario:
    task = {
        "family": "worker",
        "cpu": "1024",
        "memory": "2048",
        "networkMode": "awsvpc",
        "requiresCompatibilities": ["FARGATE"],
        "containerDefinitions": [{"name": "app", "image": "a"}],
    }
    return Scenario.model_validate(
        {
            "name": "queues",
            "duration": "30 min",
            "network": {"subnets": [{"SubnetId": s, "AvailabilityZone": z} for s, z in SUBNETS.items()]},
            "quotas": PLENTY,
            "assumptions": EXACT,
            "initial_state": "running",
            "taskDefinitions": [task],
            "behaviour": {"worker": {"message": {"queue": "orders", "cpu": {"exponential": {"mean": "500 ms"}}}}},
            "queues": [
                {
                    "QueueName": "orders",
                    "Attributes": {"RedrivePolicy": {"deadLetterTargetArn": "x", "maxReceiveCount": 5}},
                },
                {"QueueName": "x"},
            ],
            "messages": [
                {"queue": "orders", "rate": {"constant": "1 /s"}},
                {"queue": "orders", "name": "more", "rate": {"constant": "0.5 /s"}},
            ],
            "services": [
                {
                    "serviceName": "worker",
                    "taskDefinition": "worker",
                    "desiredCount": 1,
                    "launchType": "FARGATE",
                    "networkConfiguration": network(),
                }
            ],
            **more,
        }
    )


def test_a_scenario_says_queues_and_who_sends_to_them() -> None:
    region = build(scenario())
    region.run("30 min")
    rows = region.finish().queues.frame()
    mine = rows[rows["queue"] == "orders"]
    assert 2500 < mine["sent"].sum() < 2900
    # Little's law, without chance: what messages waited and were worked on is what they spent there, but for those still there
    spent = (mine["completion_mean_s"] * mine["deleted"]).sum()
    there = mine["visible_mean"].sum() * 60 + region.kit.recorder.tasks.frame()["cpu_core_s"].sum()
    last = mine.iloc[-1]
    assert spent == pytest.approx(there, abs=(last["visible"] + last["in_flight"]) * last["oldest_age_s"] + 0.01)
    assert spent > 2500


def test_another_revision_works_on_the_same_messages_with_the_same_numbers() -> None:
    """What a message costs is drawn with the message: a second sender, or who receives it, changes nothing of it."""

    def times(**more: Any) -> list[float]:
        region = build(scenario(**more))
        region.run("30 min")
        rows = region.finish().queues.frame()
        return rows[rows["queue"] == "orders"]["completion_mean_s"].tolist()

    assert times() == times()
    fast = {"worker": {"speed": 2.0, "message": {"queue": "orders", "cpu": {"exponential": {"mean": "1 s"}}}}}
    assert times(behaviour=fast) == pytest.approx(times(), rel=1e-4)
