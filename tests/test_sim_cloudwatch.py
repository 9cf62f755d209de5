"""CloudWatch in the simulation: what is measured when, who sees it when, and what alarms do about it."""

from __future__ import annotations

from typing import Any

import pytest
from sim_helpers import behind, exact_region, fleet, network, register, seconds, target_group

from fargsim import Region
from fargsim.sim.errors import ResourceNotFound, ValidationError
from fargsim.sim.service_datapoints import service_key

MINUTE_US = 60_000_000
SERVICE = [{"Name": "ClusterName", "Value": "default"}, {"Name": "ServiceName", "Value": "web"}]


def alarm(**more: Any) -> dict[str, Any]:
    return {
        "AlarmName": "a",
        "Namespace": "App",
        "MetricName": "Depth",
        "Statistic": "Average",
        "Period": 60,
        "EvaluationPeriods": 2,
        "Threshold": 10,
        "ComparisonOperator": "GreaterThanThreshold",
        **more,
    }


def put(region: Region, value: float, **more: Any) -> None:
    datum = {"MetricName": "Depth", "Value": value, **more}
    region.cloudwatch.put_metric_data(Namespace="App", MetricData=[datum])


def changes(region: Region, name: str = "a") -> list[tuple[float | None, str]]:
    table = region.kit.recorder.alarms.frame()
    return [(seconds(r.at), r.state_after) for r in table[table.alarm == name].itertuples()]


def test_an_alarm_is_evaluated_once_a_minute_a_publish_lag_after_the_period() -> None:
    region = exact_region()
    region.cloudwatch.put_metric_alarm(**alarm())
    assert region.cloudwatch.state("a") == "INSUFFICIENT_DATA"
    for minute, value in enumerate([5, 20, 20, 20, 5]):
        region.run(until=f"{60 * minute + 30} s")
        put(region, value)
    region.run(until="10 min")
    # the lag of custom metrics is 15 s; two of two breach at the third minute's end; afterwards no data: what is real is used first
    assert changes(region) == [(75, "OK"), (195, "ALARM"), (315, "OK"), (555, "INSUFFICIENT_DATA")]


def test_data_of_one_period_are_summed_up_in_its_statistics() -> None:
    region = exact_region()
    for name, statistic, threshold in (
        ("avg", "Average", 7),
        ("max", "Maximum", 11),
        ("min", "Minimum", 2.9),
        ("sum", "Sum", 27.9),
        ("n", "SampleCount", 3.9),
    ):
        region.cloudwatch.put_metric_alarm(
            **alarm(AlarmName=name, Statistic=statistic, Threshold=threshold, EvaluationPeriods=1)
        )
    put(region, 3)
    region.run(until="40 s")
    region.cloudwatch.put_metric_data(
        Namespace="App",
        MetricData=[
            {"MetricName": "Depth", "StatisticValues": {"SampleCount": 2, "Sum": 15, "Minimum": 3, "Maximum": 12}},
            {"MetricName": "Depth", "Values": [10], "Counts": [1]},
        ],
    )
    region.run(until="80 s")
    states = {a["AlarmName"]: a["StateValue"] for a in region.cloudwatch.describe_alarms()["MetricAlarms"]}
    # 3, 3, 12, 10: sum 28, mean 7, four of them
    assert states == {"avg": "OK", "max": "ALARM", "min": "ALARM", "sum": "ALARM", "n": "ALARM"}


@pytest.mark.parametrize(
    ("treatment", "expected"),
    [
        ("missing", [(75, "ALARM"), (255, "INSUFFICIENT_DATA")]),
        ("ignore", [(75, "ALARM")]),
        ("breaching", [(75, "ALARM")]),
        ("notBreaching", [(75, "ALARM"), (255, "OK")]),
    ],
)
def test_missing_data(treatment: str, expected: list[tuple[float, str]]) -> None:
    region = exact_region()
    region.cloudwatch.put_metric_alarm(**alarm(EvaluationPeriods=1, TreatMissingData=treatment))
    put(region, 20)
    region.run(until="15 min")
    # the evaluation range is three periods: the datapoint of the first minute is out of sight at the end of the fourth
    assert changes(region) == expected


def test_two_of_three() -> None:
    region = exact_region()
    region.cloudwatch.put_metric_alarm(**alarm(EvaluationPeriods=3, DatapointsToAlarm=2))
    for minute, value in enumerate([5, 20, 5, 20, 5, 5]):  # 20, 5, 20 at the fourth minute's end, then 5, 20, 5
        region.run(until=f"{60 * minute} s")
        put(region, value)
    region.run(until="400 s")
    assert changes(region) == [(75, "OK"), (255, "ALARM"), (315, "OK")]


def test_a_long_period_slides_with_every_minute() -> None:
    region = exact_region()
    region.cloudwatch.put_metric_alarm(**alarm(Period=300, EvaluationPeriods=1, Statistic="Sum", Threshold=100))
    for minute in range(12):
        region.run(until=f"{60 * minute} s")
        put(region, 30 if 4 <= minute < 8 else 1)
    region.run(until="12 min")
    # minutes 4 to 7 have 30: the sum of the last five is above 100 from the end of minute 7 (4 x 30 + 1) to that of minute 8
    assert changes(region) == [(75, "OK"), (495, "ALARM"), (615, "OK")]


def test_a_period_by_the_clock_on_the_wall_is_looked_at_when_it_is_over() -> None:
    """The same data as above: minutes 4 to 7 have 30, the others 1."""
    found = {}
    for zone in (None, "+00:05", "Asia/Kathmandu"):
        region = exact_region()
        window = {"WallClockWindow": {} if zone is None else {"Timezone": zone}}
        region.cloudwatch.put_metric_alarm(
            **alarm(Period=300, EvaluationPeriods=1, Statistic="Sum", Threshold=100, EvaluationWindow=window)
        )
        for minute in range(12):
            region.run(until=f"{60 * minute} s")
            put(region, 30 if 4 <= minute < 8 else 1)
        region.run(until="12 min")
        found[zone] = changes(region)
    # 0 to 5 min have 4 + 30, 5 to 10 min 90 + 2: the sum of the sliding window was above 100, that of none of these is
    assert list(found.values()) == [[(315, "OK")]] * 3
    region = exact_region()
    window = {"WallClockWindow": {"Timezone": "+00:25"}}
    region.cloudwatch.put_metric_alarm(
        **alarm(Period=3600, EvaluationPeriods=1, Statistic="Sum", Threshold=100, EvaluationWindow=window)
    )
    for minute in range(0, 180, 5):
        region.run(until=f"{minute} min")
        put(region, 30 if 35 <= minute < 60 else 1)
    # 35 min past the hour is a full hour there: 150 + 7 from then on; in full hours of UTC it would be seen at 60 min
    assert changes(region) == [(35 * 60 + 15, "OK"), (95 * 60 + 15, "ALARM"), (155 * 60 + 15, "OK")]


def test_periods_below_a_minute_are_evaluated_every_ten_seconds() -> None:
    region = exact_region()
    region.cloudwatch.put_metric_alarm(**alarm(Period=10, EvaluationPeriods=1))
    region.run(until="32 s")
    put(region, 50, StorageResolution=1)
    region.run(until="2 min")
    assert changes(region)[0] == (55, "ALARM")  # the period ends at 40 s


def test_metric_math_over_metrics_and_missing_operands() -> None:
    region = exact_region()
    stat = {"Period": 60, "Stat": "Average"}
    region.cloudwatch.put_metric_alarm(
        AlarmName="a",
        EvaluationPeriods=1,
        Threshold=30,
        ComparisonOperator="GreaterThanOrEqualToThreshold",
        Metrics=[
            {
                "Id": "q",
                "MetricStat": {"Metric": {"Namespace": "App", "MetricName": "Depth"}, **stat},
                "ReturnData": False,
            },
            {
                "Id": "w",
                "MetricStat": {"Metric": {"Namespace": "App", "MetricName": "Workers"}, **stat},
                "ReturnData": False,
            },
            {"Id": "e", "Expression": "q / each"},
            {"Id": "each", "Expression": "IF(w > 0, w, 1)", "ReturnData": False},
        ],
    )
    for minute, (depth, workers) in enumerate([(90, 4), (90, 3), (90, None), (30, 0)]):
        region.run(until=f"{60 * minute} s")
        put(region, depth)
        if workers is not None:
            put(region, workers, MetricName="Workers")
    region.run(until="5 min")
    assert changes(region) == [(75, "OK"), (135, "ALARM")]  # 22.5, 30, nothing (the 30 is still in range), 30
    [shown] = region.cloudwatch.describe_alarms(StateValue="ALARM")["MetricAlarms"]
    assert shown["StateReason"] == "1 of 1 datapoints >= 30"


def test_a_service_s_metric_and_its_cluster_s() -> None:
    region = exact_region()
    register(region, behaviour={"idle_cpu": "0.5 vCPU"}, fargate=False, memory=1024)
    fleet(region, 1)
    region.ecs.create_service(serviceName="web", taskDefinition="web", desiredCount=1, launchType="EC2")
    region.ecs.run_task(taskDefinition="web", launchType="EC2")
    common = {"Namespace": "AWS/ECS", "MetricName": "CPUUtilization", "EvaluationPeriods": 1}
    region.cloudwatch.put_metric_alarm(**alarm(**common, Dimensions=SERVICE, Threshold=49))
    # two tasks of half a vCPU each on the 2,048 units of a c5.large
    cluster = [{"Name": "ClusterName", "Value": "default"}]
    region.cloudwatch.put_metric_alarm(**alarm(AlarmName="c", **common, Dimensions=cluster, Threshold=49.9))
    reserved = {**common, "MetricName": "CPUReservation"}
    region.cloudwatch.put_metric_alarm(**alarm(AlarmName="r", **reserved, Dimensions=cluster, Threshold=99))
    region.run(until="6 min")
    assert [changes(region, name)[-1][1] for name in ("a", "c", "r")] == ["ALARM"] * 3


def test_subscribers_and_the_state_that_a_user_sets() -> None:
    region = exact_region()
    region.cloudwatch.put_metric_alarm(**alarm())
    seen: list[Any] = []
    region.cloudwatch.on_change.append(lambda name, before, after: seen.append((name, before, after)))
    stop = region.cloudwatch.subscribe("a", lambda state: seen.append(state))
    region.cloudwatch.set_alarm_state(AlarmName="a", StateValue="ALARM", StateReason="drill")
    assert seen == [("a", "INSUFFICIENT_DATA", "ALARM"), "ALARM"]
    stop()
    region.cloudwatch.set_alarm_state(AlarmName="a", StateValue="OK")
    assert seen[2:] == [("a", "ALARM", "OK")]
    region.run(until="2 min")  # the next evaluation says otherwise
    assert region.cloudwatch.state("a") == "INSUFFICIENT_DATA"
    region.cloudwatch.delete_alarms(AlarmNames=["a"])
    with pytest.raises(ResourceNotFound, match=r"Unknown alarm 'a'\. Alarms: none"):
        region.cloudwatch.state("a")


def test_an_updated_alarm_keeps_its_state_until_it_is_evaluated() -> None:
    """API_PutMetricAlarm.html: when an existing alarm is updated, its state is left unchanged."""
    region = exact_region()
    region.cloudwatch.put_metric_alarm(**alarm(EvaluationPeriods=1))
    seen: list[Any] = []
    region.cloudwatch.subscribe("a", seen.append)
    for minute in range(3):
        region.run(until=f"{60 * minute} s")
        put(region, 20)
    region.run(until="150 s")
    region.cloudwatch.put_metric_alarm(**alarm(EvaluationPeriods=1, Threshold=15))
    assert region.cloudwatch.state("a") == "ALARM"
    region.run(until="200 s")
    assert changes(region) == [(75, "ALARM")]
    region.cloudwatch.put_metric_alarm(**alarm(EvaluationPeriods=1, Threshold=25, TreatMissingData="ignore"))
    region.run(until="320 s")
    assert changes(region) == [(75, "ALARM"), (255, "OK")]
    assert seen == ["ALARM", "OK"]


def test_an_alarm_made_late_looks_back() -> None:
    region = exact_region()
    for minute in range(4):
        region.run(until=f"{60 * minute} s")
        put(region, 20)
    region.run(until="250 s")
    region.cloudwatch.put_metric_alarm(**alarm(EvaluationPeriods=3))
    region.run(until="260 s")
    assert changes(region) == [(255, "ALARM")]


def test_metrics_have_their_minute_whatever_the_period_of_the_tables() -> None:
    found = []
    for period in ("20 s", "60 s", "90 s"):
        region = Region(seed=1, assumptions={"spot_interruptions_per_task_hour": 0}, record=_record(period))
        register(region, behaviour={"idle_cpu": "0.4 vCPU"})
        region.ecs.create_service(
            serviceName="web",
            taskDefinition="web",
            desiredCount=2,
            launchType="FARGATE",
            networkConfiguration=network(),
        )
        region.run(until="301 s")
        service = region.registry.service("default", "web")
        points = region.cloudwatch.windows(service_key(service, "CPUUtilization"), 5 * MINUTE_US, MINUTE_US, 5)
        found.append([p and round(p.statistic("Average"), 6) for p in points])
    assert found[0] == found[1] == found[2]
    assert found[0][-1] == 40


def test_minimum_and_maximum_are_those_of_single_tasks_over_twenty_seconds() -> None:
    region = exact_region()
    register(region, behaviour={"request": {"cpu": "30 s", "workers": 1}})
    target_group(region)
    region.ecs.create_service(
        serviceName="web", taskDefinition="web", desiredCount=2, launchType="FARGATE",
        networkConfiguration=network(), loadBalancers=behind(),
    )  # fmt: skip
    region.send_traffic("web", {"instants": [120_000_000]}, until="5 min")
    region.run(until="301 s")
    key = service_key(region.registry.service("default", "web"), "CPUUtilization")
    [point] = region.cloudwatch.windows(key, 3 * MINUTE_US, MINUTE_US, 1)
    assert point is not None
    # one of two tasks is busy for half a minute: 100, 50 and 0 % of its 20 seconds; the other one is idle
    assert point.statistic("Average") == pytest.approx(25)
    assert (point.statistic("Minimum"), point.statistic("Maximum")) == (0, pytest.approx(100))
    [after] = region.cloudwatch.windows(key, 4 * MINUTE_US, MINUTE_US, 1)
    assert after is not None
    assert after.statistic("Maximum") == 0


def _record(period: str) -> Any:
    from fargsim.model.scenario import Record

    return Record.model_validate({"period": period})


def test_container_insights_metrics_are_there_only_when_asked_for() -> None:
    for value, expected in (("disabled", [None]), ("enabled", [2.0])):
        region = exact_region()
        region.ecs.create_cluster(clusterName="c", settings=[{"name": "containerInsights", "value": value}])
        register(region)
        region.ecs.create_service(
            cluster="c", serviceName="web", taskDefinition="web", desiredCount=2, launchType="FARGATE",
            networkConfiguration=network(),
        )  # fmt: skip
        region.run(until="2 min")
        key = service_key(region.registry.service("c", "web"), "RunningTaskCount", "ECS/ContainerInsights")
        assert [p and p.total for p in region.cloudwatch.windows(key, 2 * MINUTE_US, MINUTE_US, 1)] == expected


def test_requests_per_target_by_the_name_or_the_dimension_that_aws_writes() -> None:
    region = exact_region()
    register(region, behaviour={"request": {"cpu": "10 ms"}})
    target_group(region)
    region.ecs.create_service(
        serviceName="web", taskDefinition="web", desiredCount=2, launchType="FARGATE",
        networkConfiguration=network(), loadBalancers=behind(),
    )  # fmt: skip
    region.send_traffic("web", {"constant": "10 /s", "process": "regular"}, until="10 min")
    for name, value in (("a", "tg"), ("b", "targetgroup/tg/0123456789abcdef")):
        region.cloudwatch.put_metric_alarm(
            **alarm(
                AlarmName=name,
                Namespace="AWS/ApplicationELB",
                MetricName="RequestCountPerTarget",
                Statistic="Sum",
                Dimensions=[{"Name": "TargetGroup", "Value": value}],
                Threshold=299,
                EvaluationPeriods=1,
            )
        )
    region.run(until="6 min")
    assert [changes(region, name)[-1][1] for name in ("a", "b")] == ["ALARM", "ALARM"]


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"Period": 45}, "Period must be 10, 20, 30 or a multiple of 60 seconds, not 45"),
        ({"Period": 60, "EvaluationPeriods": 1441}, "EvaluationPeriods x Period is 86460 s: at most 86400 s"),
        ({"DatapointsToAlarm": 3}, r"DatapointsToAlarm \(3\) must not exceed EvaluationPeriods \(2\)"),
        ({"Statistic": None, "ExtendedStatistic": "p101"}, "ExtendedStatistic must be p0 to p100"),
        ({"Statistic": None}, "give either Statistic or ExtendedStatistic"),
        ({"EvaluationWindow": {}}, "EvaluationWindow: give either SlidingWindow or WallClockWindow"),
        (
            {"Period": 120, "EvaluationWindow": {"WallClockWindow": {}}},
            "with a WallClockWindow, Period must be one of 60, 300, 3600, 86400, 604800 seconds, not 120",
        ),
        ({"EvaluationWindow": {"WallClockWindow": {"Timezone": "+01:03"}}}, "must be a multiple of 5 minutes"),
        ({"EvaluationWindow": {"WallClockWindow": {"Timezone": "Mars"}}}, "'Mars' is no time zone"),
        ({"Namespace": None}, "MetricName and Namespace belong together"),
        ({"ComparisonOperator": "Above"}, "ComparisonOperator: must be one of GreaterThanThreshold, "),
        ({"AlarmActions": ["no-such-policy"]}, "neither an ARN nor the name of one scaling policy"),
    ],
)
def test_alarms_that_aws_refuses(wrong: dict[str, Any], message: str) -> None:
    region = exact_region()
    with pytest.raises(ValidationError, match=message):
        region.cloudwatch.put_metric_alarm(**alarm(**wrong))
    assert region.cloudwatch.describe_alarms()["MetricAlarms"] == []


@pytest.mark.parametrize(
    ("expressions", "message"),
    [
        (["q +"], "e0: column 4: a number, an Id or a function is missing before the end"),
        (["q / w"], "e0: column 5: 'w' is no Id: there is e0, q"),
        (["MEDIAN(q)"], "'MEDIAN' is no function here"),
        (["e0 + 1"], "e0: the expression leads back to itself"),
        (["q", "q"], "exactly one line may have ReturnData: true, not 2"),
    ],
)
def test_expressions_that_cannot_be_read(expressions: list[str], message: str) -> None:
    region = exact_region()
    queries: list[dict[str, Any]] = [{"Id": f"e{n}", "Expression": text} for n, text in enumerate(expressions)]
    metric = {"Metric": {"Namespace": "App", "MetricName": "Depth"}, "Period": 60, "Stat": "Average"}
    queries.append({"Id": "q", "MetricStat": metric, "ReturnData": False})
    with pytest.raises(ValidationError, match=message.replace("+", r"\+")):
        region.cloudwatch.put_metric_alarm(
            AlarmName="a", EvaluationPeriods=1, Threshold=1, ComparisonOperator="GreaterThanThreshold", Metrics=queries
        )


def test_data_that_aws_refuses() -> None:
    region = exact_region()
    with pytest.raises(ValidationError, match="belong to AWS's own services"):
        region.cloudwatch.put_metric_data(Namespace="AWS/ECS", MetricData=[{"MetricName": "X", "Value": 1}])
    with pytest.raises(ValidationError, match="exactly one of Value, Values, StatisticValues"):
        region.cloudwatch.put_metric_data(Namespace="App", MetricData=[{"MetricName": "X"}])
    with pytest.raises(ValidationError, match="within the past two weeks"):
        put(region, 1, Timestamp="2027-01-01T00:00:00Z")
