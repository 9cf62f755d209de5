"""Composite alarms in the simulation: they follow others, deployments watch them, and they scale nothing."""

from __future__ import annotations

from typing import Any

import pytest
from scaling_helpers import WEB, cpu_alarm, decisions, service, steps, track
from sim_helpers import exact_region, register, seconds

from fargsim import Region
from fargsim.sim.errors import ResourceNotFound, ValidationError


def metric_alarm(region: Region, name: str) -> None:
    region.cloudwatch.put_metric_alarm(
        AlarmName=name, Namespace="App", MetricName=name, Statistic="Average", Period=60, EvaluationPeriods=1, Threshold=1,
        ComparisonOperator="GreaterThanThreshold",
    )  # fmt: skip


def put(region: Region, name: str, rule: str, **more: Any) -> None:
    region.cloudwatch.put_composite_alarm(AlarmName=name, AlarmRule=rule, **more)


def value(region: Region, name: str, value: float) -> None:
    region.cloudwatch.put_metric_data(Namespace="App", MetricData=[{"MetricName": name, "Value": value}])


def changes(region: Region, name: str) -> list[tuple[float | None, str, str]]:
    table = region.kit.recorder.alarms.frame()
    return [(seconds(r.at), r.state_after, r.reason) for r in table[table.alarm == name].itertuples()]


def test_it_follows_its_alarms_at_the_same_instant_and_others_follow_it() -> None:
    region = exact_region()
    for name in ("a", "b"):
        metric_alarm(region, name)
    put(region, "both", "ALARM(a) AND ALARM(b)")
    put(region, "calm", "NOT ALARM(both)")
    for minute, (a, b) in enumerate([(5, 0), (5, 5), (0, 5)]):
        region.run(until=f"{60 * minute} s")
        value(region, "a", a)
        value(region, "b", b)
    region.run(until="4 min")
    # seen 15 s after the minute; at 195 s a is OK again
    assert changes(region, "both") == [
        (0, "OK", "the alarm was created"),
        (135, "ALARM", "b transitioned to ALARM"),
        (195, "OK", "a transitioned to OK"),
    ]
    assert [row[:2] for row in changes(region, "calm")] == [(0, "ALARM"), (135, "OK"), (195, "ALARM")]


def test_alarms_that_change_places_at_one_instant_are_no_change() -> None:
    region = exact_region()
    for name in ("a", "b"):
        metric_alarm(region, name)
        value(region, name, 5 if name == "a" else 0)
    put(region, "any", "ALARM(a) OR ALARM(b)")
    region.run(until="60 s")
    value(region, "a", 0)
    value(region, "b", 5)
    region.run(until="150 s")
    assert [row[:2] for row in changes(region, "any")] == [(0, "OK"), (75, "ALARM")]
    assert [row[:2] for row in changes(region, "a")] == [(75, "ALARM"), (135, "OK")]


def test_described_only_when_asked_for_and_deleted_with_care() -> None:
    region = exact_region()
    metric_alarm(region, "a")
    put(region, "c", "ALARM(a)", AlarmDescription="of one")
    cloudwatch = region.cloudwatch
    assert [a["AlarmName"] for a in cloudwatch.describe_alarms()["MetricAlarms"]] == ["a"]
    assert "CompositeAlarms" not in cloudwatch.describe_alarms()
    [shown] = cloudwatch.describe_alarms(AlarmTypes=["CompositeAlarm"])["CompositeAlarms"]
    assert (shown["AlarmRule"], shown["StateValue"], shown["AlarmArn"][-8:]) == ("ALARM(a)", "OK", ":alarm:c")
    with pytest.raises(ValidationError, match=r"Cannot delete a as there are composite alarm\(s\) depending on it: c"):
        cloudwatch.delete_alarms(AlarmNames=["a"])
    cloudwatch.set_alarm_state(AlarmName="a", StateValue="ALARM")
    assert cloudwatch.state("c") == "ALARM"
    cloudwatch.delete_alarms(AlarmNames=["a", "c"])
    with pytest.raises(ResourceNotFound):
        cloudwatch.state("c")


def test_an_updated_one_keeps_its_state_until_its_rule_says_another() -> None:
    """API_PutCompositeAlarm.html: when an existing alarm is updated, its state is left unchanged."""
    region = exact_region()
    metric_alarm(region, "a")
    put(region, "c", "ALARM(a)")
    region.cloudwatch.set_alarm_state(AlarmName="a", StateValue="ALARM")
    heard: list[Any] = []
    region.cloudwatch.on_change.append(lambda name, before, after: heard.append((name, before, after)))
    region.cloudwatch.subscribe("c", heard.append)
    put(region, "c", "ALARM(a) AND NOT OK(a)", AlarmDescription="the same in other words")
    assert (region.cloudwatch.state("c"), heard) == ("ALARM", [])
    put(region, "c", "OK(a)")
    assert heard == [("c", "ALARM", "OK"), "OK"]
    assert [row[1:] for row in changes(region, "c")] == [
        ("OK", "the alarm was created"),
        ("ALARM", "a transitioned to ALARM"),
        ("OK", "the alarm was updated"),
    ]


def test_one_that_is_deleted_with_its_alarms_does_not_follow_them_any_more() -> None:
    region = exact_region()
    metric_alarm(region, "a")
    put(region, "c", "INSUFFICIENT_DATA(a)")
    region.cloudwatch.set_alarm_state(AlarmName="a", StateValue="OK")
    heard: list[Any] = []
    region.cloudwatch.on_change.append(lambda *change: heard.append(change))
    region.cloudwatch.delete_alarms(AlarmNames=["a", "c"])
    assert heard == []
    assert [row[1] for row in changes(region, "c")] == ["ALARM", "OK"]


def test_the_alarms_of_a_policy_may_go_and_come_back() -> None:
    region = service({1: 19.2})
    track(region)
    name = f"TargetTracking-{WEB}-AlarmHigh-track"
    put(region, "c", f'ALARM("{name}")')
    region.run(until="10 min")
    region.application_autoscaling.delete_scaling_policy(PolicyName="track", ResourceId=WEB)
    assert [row[1:] for row in changes(region, "c")] == [
        ("OK", "the alarm was created"),
        ("ALARM", f"{name} transitioned to ALARM"),
        ("OK", f"{name} was deleted"),
    ]
    track(region, target=10)
    region.run(until="11 min")
    assert region.cloudwatch.state("c") == "ALARM"


def test_a_deployment_watches_it_and_goes_back() -> None:
    region = service({1: 9.6})
    metric_alarm(region, "slow")
    metric_alarm(region, "deploying")
    put(region, "bad", "ALARM(slow) AND NOT ALARM(deploying)")
    region.run(until="5 min")
    register(region, behaviour={"request": {"cpu": "100 ms", "workers": 1, "queue": 4}})
    watch = {"alarms": {"alarmNames": ["bad"], "enable": True, "rollback": True}}
    region.ecs.update_service(service="web", taskDefinition="web:2", deploymentConfiguration=watch)
    region.run(until="320 s")
    value(region, "slow", 5)
    region.run(until="20 min")
    assert [row[:2] for row in changes(region, "bad")][:2] == [(0, "OK"), (375, "ALARM")]
    [primary] = region.registry.service("default", "web").deployments
    assert primary.revision.number == 1


def test_it_cannot_scale() -> None:
    region = service({1: 19.2})
    arn = steps(region, "out", (0, None, 2))
    cpu_alarm(region, "busy", "Greater", 60, "arn:aws:sns:us-east-1:123456789012:people")
    for action in ("out", arn):
        with pytest.raises(ValidationError, match=r"AlarmActions\[0\]: a composite alarm cannot scale"):
            put(region, "c", "ALARM(busy)", AlarmActions=[action])
    put(region, "c", "ALARM(busy)", AlarmActions=["arn:aws:sns:us-east-1:123456789012:people"])
    region.run(until="10 min")
    assert region.cloudwatch.state("c") == "ALARM"
    assert decisions(region) == []


def test_what_is_refused() -> None:
    region = exact_region()
    metric_alarm(region, "a")
    put(region, "c", "ALARM(a)")
    put(region, "d", "ALARM(c)")
    with pytest.raises(ValidationError, match=r"AlarmRule: there is no alarm 'x'\. Alarms: a, c, d\."):
        put(region, "e", "ALARM(a) OR ALARM(x)")
    with pytest.raises(ValidationError, match="AlarmRule: c would depend on itself"):
        put(region, "c", "ALARM(a) AND ALARM(d)")
    with pytest.raises(ValidationError, match="AlarmRule: e would depend on itself"):
        put(region, "e", "ALARM(e)")
    with pytest.raises(ValidationError, match="AlarmRule: cannot be read at column 1"):
        put(region, "e", "busy")
    with pytest.raises(ValidationError, match="AlarmName: 'a' is a metric alarm"):
        put(region, "a", "TRUE")
    with pytest.raises(ValidationError, match="AlarmName: 'c' is a composite alarm"):
        metric_alarm(region, "c")
