"""What Elastic Load Balancing refuses: its exception, the field, what is legal, and nothing changed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sim_helpers import exact_region, target_group

import fargsim
from fargsim import Region
from fargsim.load import load_notes
from fargsim.load.issue import ScenarioError
from fargsim.load.unsimulated import unsimulated
from fargsim.sim.errors import AwsError

Case = tuple[Callable[[Region], Any], str, tuple[str, ...]]


def attributes(**pairs: Any) -> list[dict[str, str]]:
    """Attributes by their keys, with ``__`` for the dot."""
    return [{"Key": key.replace("__", "."), "Value": str(value)} for key, value in pairs.items()]


def to(*names: str) -> list[dict[str, Any]]:
    return [{"Type": "forward", "TargetGroupArn": name} for name in names]


def weighted(**weights: int) -> list[dict[str, Any]]:
    groups = [{"TargetGroupArn": name, "Weight": weight} for name, weight in weights.items()]
    return [{"Type": "forward", "ForwardConfig": {"TargetGroups": groups}}]


def group(*words: str, code: str = "ValidationError", **more: Any) -> Case:
    return lambda r: r.elbv2.create_target_group(**{"Name": "new", **more}), code, words


def balancer(*words: str, code: str = "ValidationError", **more: Any) -> Case:
    return lambda r: r.elbv2.create_load_balancer(**{"Name": "new", **more}), code, words


def listener(*words: str, code: str = "ValidationError", **more: Any) -> Case:
    shape = {"LoadBalancerArn": "lb-tg", "Port": 81, "DefaultActions": to("free"), **more}
    return lambda r: r.elbv2.create_listener(**shape), code, words


def rule(*words: str, code: str = "ValidationError", **more: Any) -> Case:
    shape = {"ListenerArn": "lb-tg:80", "Priority": 2, "Actions": to("tg"), **more}
    return lambda r: r.elbv2.create_rule(**shape), code, words


CONFLICT = "InvalidConfigurationRequestException"
CASES: dict[str, Case] = {
    # target groups: health checks
    "interval too short": group("HealthCheckIntervalSeconds", "5 to 300", "4", HealthCheckIntervalSeconds=4),
    "interval too long": group("HealthCheckIntervalSeconds", "5 to 300", HealthCheckIntervalSeconds=301),
    "time-out too short": group("HealthCheckTimeoutSeconds", "2 to 120", HealthCheckTimeoutSeconds=1),
    "time-out too long": group("HealthCheckTimeoutSeconds", "2 to 120", HealthCheckTimeoutSeconds=121),
    "healthy threshold": group("HealthyThresholdCount", "2 to 10", HealthyThresholdCount=1),
    "unhealthy threshold": group("UnhealthyThresholdCount", "2 to 10", UnhealthyThresholdCount=11),
    "time-out as long as the interval": group(
        "HealthCheckTimeoutSeconds: Health check interval (10 s) must be greater than the timeout (10 s)",
        HealthCheckIntervalSeconds=10,
        HealthCheckTimeoutSeconds=10,
    ),
    "default time-out as long as the interval": group(
        "HealthCheckIntervalSeconds: Health check interval (5 s) must be greater than the timeout (5 s)",
        HealthCheckIntervalSeconds=5,
    ),
    "time-out of TCP above the interval": group(
        "HealthCheckTimeoutSeconds: Health check interval (5 s) must be at least the timeout (6 s)",
        Protocol="TCP",
        HealthCheckIntervalSeconds=5,
        HealthCheckTimeoutSeconds=6,
    ),
    "health checks turned off": group("HealthCheckEnabled", "always enabled", HealthCheckEnabled=False),
    "path without a slash": group("HealthCheckPath", "'/'", "'health'", HealthCheckPath="health"),
    "no such port": group("HealthCheckPort", "1 to 65535", "'99999'", HealthCheckPort="99999"),
    "no such protocol of checks": group("HealthCheckProtocol", "HTTP, HTTPS, TCP", HealthCheckProtocol="UDP"),
    "TCP checks of HTTP": group("HealthCheckProtocol", "HTTP or HTTPS", HealthCheckProtocol="TCP"),
    "code out of range": group("Matcher.HttpCode", "200 to 499", "'503'", Matcher={"HttpCode": "503"}),
    "range out of range": group("Matcher.HttpCode", "200 to 499", Matcher={"HttpCode": "200-500"}),
    "range backwards": group("Matcher.HttpCode", "200 to 499", Matcher={"HttpCode": "299-200"}),
    "no code": group("Matcher.HttpCode", "200 to 499", Matcher={"HttpCode": "ok"}),
    "code of a network load balancer": group(
        "Matcher.HttpCode", "200 to 599", Protocol="TCP", Matcher={"HttpCode": "600"}
    ),
    "gRPC code": group("Matcher.GrpcCode", "0 to 99", Matcher={"GrpcCode": "100"}),
    # target groups: the rest
    "target group exists": group("tg", code="DuplicateTargetGroupNameException", Name="tg"),
    "name with a hyphen first": group("Name", Name="-new"),
    "name too long": group("Name", Name="a" * 33),
    "port of a target group": group("Port", "1 to 65535", Port=0),
    "unknown attribute": group(
        "Target group attribute key 'slow_start' is not recognized", "slow_start.duration_seconds",
        Attributes=attributes(slow_start="1"),
    ),
    "delay out of range": group(
        "Attributes[0].Value: deregistration_delay.timeout_seconds", "from 0 to 3600", "'3601'",
        Attributes=attributes(deregistration_delay__timeout_seconds=3601),
    ),
    "half a second of delay": group(
        "deregistration_delay.timeout_seconds", "from 0 to 3600", "'30.5': a whole number",
        Attributes=attributes(deregistration_delay__timeout_seconds="30.5"),
    ),
    "no number": group(
        "deregistration_delay.timeout_seconds", "from 0 to 3600", "'nan'",
        Attributes=attributes(deregistration_delay__timeout_seconds="nan"),
    ),
    "digits of another alphabet": group(
        "Attributes[0].Value: slow_start.duration_seconds must be 0 or from 30 to 900, not '²5.5'",
        Attributes=attributes(slow_start__duration_seconds="²5.5"),
    ),
    "slow start too short": group(
        "slow_start.duration_seconds must be 0 or from 30 to 900", Attributes=attributes(slow_start__duration_seconds=29)
    ),
    "slow start too long": group(
        "slow_start.duration_seconds must be 0 or from 30 to 900", Attributes=attributes(slow_start__duration_seconds=901)
    ),
    "minimum of one target and a half": group(
        "minimum_healthy_targets.count must be off or from 1 to 1000", "'1.5': a whole number",
        Attributes=attributes(target_group_health__dns_failover__minimum_healthy_targets__count=1.5),
    ),
    "minimum for routing cannot be off": group(
        "minimum_healthy_targets.count must be from 1 to 1000",
        Attributes=attributes(target_group_health__unhealthy_state_routing__minimum_healthy_targets__count="off"),
    ),
    "an attribute twice": group(
        "Attributes[1].Key", "stands twice",
        Attributes=attributes(stickiness__enabled="true") + attributes(stickiness__enabled="false"),
    ),
    "slow start of an algorithm that has none": group(
        "slow_start.duration_seconds", "round_robin", "least_outstanding_requests", code=CONFLICT,
        Attributes=attributes(
            load_balancing__algorithm__type="least_outstanding_requests", slow_start__duration_seconds=30
        ),
    ),
    "mitigation of an algorithm that has none": group(
        "anomaly_mitigation", "weighted_random", code=CONFLICT,
        Attributes=attributes(load_balancing__algorithm__anomaly_mitigation="on"),
    ),
    "mitigation with stickiness": group(
        "anomaly_mitigation", "stickiness", code=CONFLICT,
        Attributes=attributes(
            load_balancing__algorithm__type="weighted_random",
            load_balancing__algorithm__anomaly_mitigation="on",
            stickiness__enabled="true",
        ),
    ),
    "algorithm of TCP": group(
        "load_balancing.algorithm.type is for target groups of protocol HTTP or HTTPS, not of TCP", code=CONFLICT,
        Protocol="TCP", Attributes=attributes(load_balancing__algorithm__type="round_robin"),
    ),
    "client addresses of HTTP": group(
        "preserve_client_ip.enabled is for target groups of protocol TCP", code=CONFLICT,
        Attributes=attributes(preserve_client_ip__enabled="true"),
    ),
    "cookies of TCP": group(
        "stickiness.type", "source_ip, not lb_cookie", code=CONFLICT, Protocol="TCP",
        Attributes=attributes(stickiness__type="lb_cookie"),
    ),
    "draining of a target whose connections are ended": group(
        "draining_interval_seconds needs", code=CONFLICT, Protocol="TCP",
        Attributes=attributes(target_health_state__unhealthy__draining_interval_seconds=60),
    ),
    # load balancers
    "load balancer exists": balancer("lb-tg", code="DuplicateLoadBalancerNameException", Name="lb-tg"),
    "name of an internal one": balancer("Name", "internal-", Name="internal-x"),
    "idle time-out": balancer(
        "Attributes[0].Value: idle_timeout.timeout_seconds must be from 1 to 4000",
        Attributes=attributes(idle_timeout__timeout_seconds=4001),
    ),
    "half a second of idle time-out": balancer(
        "idle_timeout.timeout_seconds", "whole number", Attributes=attributes(idle_timeout__timeout_seconds="60.5")
    ),
    "keep-alive": balancer(
        "client_keep_alive.seconds must be from 60 to 604800", Attributes=attributes(client_keep_alive__seconds=59)
    ),
    "idle time-out of a network load balancer": balancer(
        "'idle_timeout.timeout_seconds' is not supported on load balancers with type 'network'", code=CONFLICT,
        Type="network", Attributes=attributes(idle_timeout__timeout_seconds=60),
    ),
    "no cross-zone load balancing": balancer(
        "load_balancing.cross_zone.enabled", "application", "target groups", code=CONFLICT,
        Attributes=attributes(load_balancing__cross_zone__enabled="false"),
    ),
    "second listener leads nowhere": balancer(
        "nope", code="TargetGroupNotFoundException",
        Listeners=[{"Port": 80, "DefaultActions": to("free")}, {"Port": 81, "DefaultActions": to("nope")}],
    ),
    "two listeners on one port": balancer(
        "port 80", code="DuplicateListenerException", Listeners=[{"DefaultActions": to("free")}] * 2
    ),
    "target group of another load balancer": balancer(
        "targetgroup/tg/", "lb-tg", "more than one load balancer", code="TargetGroupAssociationLimitException",
        Listeners=[{"DefaultActions": to("tg")}],
    ),
    # listeners and rules
    "load balancer is not there": listener("nope", code="LoadBalancerNotFoundException", LoadBalancerArn="nope"),
    "target group is not there": listener("nope", code="TargetGroupNotFoundException", DefaultActions=to("nope")),
    "port is taken": listener("port 80", code="DuplicateListenerException", Port=80),
    "port of a listener": listener("Port", "1 to 65535", Port=65536),
    "TCP on an application load balancer": listener(
        "HTTP or HTTPS, not TCP", code="UnsupportedProtocolException", Protocol="TCP"
    ),
    "no certificate": listener("A certificate must be specified for HTTPS listeners", Protocol="HTTPS"),
    "target group of TCP": listener("HTTP or HTTPS", "tcp has TCP", code=CONFLICT, DefaultActions=to("tcp")),
    "two forward actions": listener(
        "exactly one forward action, not 2", code="InvalidLoadBalancerActionException", DefaultActions=to("tg", "free")
    ),
    "an action to nowhere": listener("TargetGroupArn", "ForwardConfig", DefaultActions=[{"Type": "forward"}]),
    "two ways in one action": listener(
        "DefaultActions[0]", "TargetGroupArn", DefaultActions=[{**to("tg")[0], **weighted(free=1)[0]}]
    ),
    "weight out of range": listener("Weight", "0 to 999", DefaultActions=weighted(tg=1000)),
    "no weight": listener("all weights", DefaultActions=weighted(tg=0, free=0)),
    "a target group twice": listener(
        "'tg' stands twice",
        DefaultActions=[{"Type": "forward", "ForwardConfig": {"TargetGroups": [{"TargetGroupArn": "tg"}] * 2}}],
    ),
    "listener is not there": rule("lb-tg:99", "lb-tg:80", code="ListenerNotFoundException", ListenerArn="lb-tg:99"),
    "priority too low": rule("Priority", "1 to 50000", Priority=0),
    "priority too high": rule("Priority", "1 to 50000", Priority=50_001),
    "priority is taken": rule("priority 1", code="PriorityInUseException", Priority=1),
    "rule to another balancer's group": rule(
        "more than one load balancer", code="TargetGroupAssociationLimitException", Actions=to("other")
    ),
    "rule is not there": (
        lambda r: r.elbv2.modify_rule(RuleArn="lb-tg:80/7", Actions=to("tg")),
        "RuleNotFoundException",
        ("lb-tg:80/7", "lb-tg:80/1"),
    ),
    "shift to another balancer's group": (
        lambda r: r.elbv2.modify_listener(ListenerArn="lb-tg:80", DefaultActions=weighted(tg=1, other=1)),
        "TargetGroupAssociationLimitException",
        ("lb-other",),
    ),
}  # fmt: skip


@pytest.fixture
def region() -> Region:
    region = exact_region()
    target_group(region)
    target_group(region, "other")
    region.elbv2.create_rule(ListenerArn="lb-tg:80", Priority=1, Actions=to("tg"))
    region.elbv2.create_target_group(Name="free")
    region.elbv2.create_target_group(Name="tcp", Protocol="TCP")
    return region


def snapshot(region: Region) -> dict[str, Any]:
    registry = region.registry
    return {
        "groups": {
            n: (g.spec, g.balancer and g.balancer.spec.name, len(g.rules)) for n, g in registry.target_groups.items()
        },
        "listeners": {
            name: region.elbv2.describe_listeners(LoadBalancerArn=name)["Listeners"] for name in registry.balancers
        },
        "rules": {name: region.elbv2.describe_rules(ListenerArn=name)["Rules"] for name in registry.listeners},
    }


@pytest.mark.parametrize("case", CASES)
def test_a_balancers_verb_is_refused_with_field_and_range(region: Region, case: str) -> None:
    verb, code, words = CASES[case]
    before = snapshot(region)
    with pytest.raises(AwsError) as caught:
        verb(region)
    assert caught.value.code == code
    for word in words:
        assert word in str(caught.value)
    assert snapshot(region) == before


def test_a_target_group_that_no_listener_forwards_to_any_more_may_go_to_another_balancer(region: Region) -> None:
    region.elbv2.modify_listener(ListenerArn="lb-tg:80", DefaultActions=to("free"))
    region.elbv2.modify_rule(RuleArn="lb-tg:80/1", Actions=to("free"))
    region.elbv2.create_listener(LoadBalancerArn="lb-other", Port=81, DefaultActions=to("tg"))
    assert region.registry.target_groups["tg"].balancer is region.registry.balancers["lb-other"]


def test_settings_at_the_ends_of_their_ranges_are_taken(region: Region) -> None:
    create = region.elbv2.create_target_group
    create(Name="a", HealthCheckIntervalSeconds=5, HealthCheckTimeoutSeconds=2, HealthyThresholdCount=2)
    create(Name="b", HealthCheckIntervalSeconds=300, HealthCheckTimeoutSeconds=120, UnhealthyThresholdCount=10)
    create(Name="c", Protocol="TCP", HealthCheckIntervalSeconds=5, HealthCheckTimeoutSeconds=5)
    create(Name="d", Protocol="TCP", HealthCheckIntervalSeconds=5)
    create(Name="e", Matcher={"HttpCode": "200,202,400-499"}, HealthCheckPort="traffic-port")
    create(Name="f", TargetType="lambda", HealthCheckEnabled=False)
    for n, value in enumerate((0, 30, 900)):
        create(Name=f"slow{n}", Attributes=attributes(slow_start__duration_seconds=value))
    for n, value in enumerate((0, 3600)):
        create(Name=f"delay{n}", Attributes=attributes(deregistration_delay__timeout_seconds=value))
    region.elbv2.create_load_balancer(Name="x", Attributes=attributes(load_balancing__cross_zone__enabled="true"))
    assert len(region.registry.target_groups) == 4 + 11


def test_what_aws_has_and_the_simulator_has_not_is_taken_and_said(tmp_path: Path) -> None:
    scenario = fargsim.load(
        place(
            tmp_path,
            "Attributes: [{Key: preserve_client_ip.enabled, Value: 'true'}, {Key: stickiness.enabled, Value: 'true'}]",
            "Attributes: [{Key: dns_record.client_routing_policy, Value: availability_zone_affinity},"
            " {Key: access_logs.s3.bucket, Value: logs}]",
        )
    )
    notes = list(unsimulated(scenario))
    assert notes == [
        "stickiness.enabled of target group tg is accepted but not simulated yet",
        "dns_record.client_routing_policy of load balancer lb is accepted but not simulated yet",
    ]


def test_what_the_simulator_has_not_is_said_of_the_timeline_too(tmp_path: Path) -> None:
    timeline = """timeline:
  - at: 1 min
    elbv2.modify_target_group_attributes: {TargetGroupArn: tg, Attributes: [{Key: stickiness.enabled, Value: 'true'}]}
  - at: 2 min
    elbv2.modify_load_balancer_attributes:
      LoadBalancerArn: arn:aws:elasticloadbalancing:us-east-1:123456789012:loadbalancer/net/lb/50dc6c495c0c9188
      Attributes: [{Key: dns_record.client_routing_policy, Value: availability_zone_affinity}]
"""
    assert list(unsimulated(fargsim.load(place(tmp_path, "", "", timeline)))) == [
        "stickiness.enabled of target group tg is accepted but not simulated yet",
        "dns_record.client_routing_policy of load balancer lb is accepted but not simulated yet",
    ]


ALARMS = """alarms:
"""


def alarm(name: str, metric: str, dimensions: dict[str, str], namespace: str = "AWS/ApplicationELB") -> str:
    named = ", ".join(f"{{Name: {key}, Value: {value}}}" for key, value in dimensions.items())
    return (
        f"  - {{AlarmName: {name}, Namespace: {namespace}, MetricName: {metric}, Dimensions: [{named}], Statistic: Sum,\n"
        "     Period: 60, EvaluationPeriods: 1, Threshold: 1, ComparisonOperator: GreaterThanThreshold}\n"
    )


def test_an_alarm_on_what_never_has_data_is_taken_and_said(tmp_path: Path) -> None:
    both = {"TargetGroup": "tg", "LoadBalancer": "lb"}
    text = ALARMS + "".join(
        (
            alarm("full", "RejectedConnectionCount", {"LoadBalancer": "lb"}),
            alarm("half", "RequestCount", {"TargetGroup": "tg"}),
            alarm("fine", "HTTPCode_Target_4XX_Count", both),
            alarm("hosts", "UnHealthyHostCount", {**both, "AvailabilityZone": "us-east-1a"}, "AWS/NetworkELB"),
            alarm("own", "Whatever", {"LoadBalancer": "lb"}, "App"),
        )
    )
    notes = [note for note in load_notes(fargsim.load(place(tmp_path, "", "", text))) if note.startswith("alarm")]
    assert notes == [
        "alarm full watches AWS/ApplicationELB RejectedConnectionCount, which never has data: nothing here causes it",
        "alarm half watches AWS/ApplicationELB RequestCount, which never has data: "
        "it is there by LoadBalancer, or by LoadBalancer and TargetGroup",
    ]


@pytest.mark.parametrize(
    ("dimensions", "message"),
    [
        ({"LoadBalancer": "lp"}, "alarms[0].Dimensions[0].Value: there is no load balancer 'lp': there is lb"),
        ({"LoadBalancer": "lb", "TargetGroup": "web"}, "alarms[0].Dimensions[1].Value: there is no target group 'web'"),
    ],
)
def test_an_alarm_on_a_balancer_that_is_not_there_is_refused(
    tmp_path: Path, dimensions: dict[str, str], message: str
) -> None:
    for namespace in ("AWS/ApplicationELB", "AWS/NetworkELB"):
        with pytest.raises(ScenarioError) as caught:
            fargsim.load(place(tmp_path, "", "", ALARMS + alarm("a", "ConsumedLCUs", dimensions, namespace)))
        assert any(message in str(issue) for issue in caught.value.issues), caught.value.issues


def place(folder: Path, group_line: str, balancer_line: str, second: str = "") -> Path:
    path = folder / "scenario.yaml"
    path.write_text(
        f"""schema: 1
name: balancers
region: us-east-1
start: 2026-03-02T00:00:00Z
duration: 10 min
seed: 1
targetGroups:
  - Name: tg
    Protocol: TCP
    {group_line}
loadBalancers:
  - Name: lb
    Type: network
    {balancer_line}
    Listeners: [{{Protocol: TCP, DefaultActions: [{{Type: forward, TargetGroupArn: tg}}]}}]
{second}"""
    )
    return path


@pytest.mark.parametrize(
    ("group_line", "balancer_line", "second", "line", "message"),
    [
        (
            "Attributes: [{Key: deregistration_delay.timeout_seconds, Value: '1e3'}]", "", "", 10,
            "targetGroups[0].Attributes[0].Value: deregistration_delay.timeout_seconds must be from 0 to 3600, not '1e3'",
        ),
        (
            "", "Attributes: [{Key: idle_timeout.timeout_seconds, Value: '60'}]", "", 14,
            "loadBalancers[0].Attributes: Load balancer attribute key 'idle_timeout.timeout_seconds' is not supported",
        ),
        (
            "", "",
            "  - Name: second\n    Type: network\n    Listeners:\n"
            "      - {Protocol: TCP, DefaultActions: [{Type: forward, TargetGroupArn: tg}]}\n",
            19, "target group tg belongs to load balancer lb: to one only",
        ),
        (
            "", "",
            "  - Name: second\n    Type: network\n    Listeners:\n"
            "      - {Protocol: TLS, DefaultActions: [{Type: forward, TargetGroupArn: tg}]}\n",
            19, "loadBalancers[1].Listeners[0].Certificates: a certificate must be specified for TLS listeners",
        ),
        (
            "", "",
            "  - Name: second\n    Type: network\n    Listeners:\n"
            "      - {Protocol: HTTP, DefaultActions: [{Type: forward, TargetGroupArn: tg}, {Type: forward, TargetGroupArn: tg}]}\n",
            19, "has protocol TCP or TLS or UDP or TCP_UDP, not HTTP",
        ),
    ],
)  # fmt: skip
def test_a_balancer_in_a_file_is_refused_at_its_line(
    tmp_path: Path, group_line: str, balancer_line: str, second: str, line: int, message: str
) -> None:
    with pytest.raises(ScenarioError) as caught:
        fargsim.load(place(tmp_path, group_line, balancer_line, second))
    found = [str(issue) for issue in caught.value.issues]
    assert any(f":{line}:" in text and message in text for text in found), found
