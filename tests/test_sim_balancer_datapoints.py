"""CloudWatch's datapoints of load balancers and target groups: which there are, when, and what they say."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from balancer_helpers import QUICK, SEED, US, group, service
from sim_helpers import exact_region, register

from fargsim import Region
from fargsim.model.balancer_metrics import METRICS
from fargsim.policy.metric_data import Point
from fargsim.sim.alarm_run import metric_key
from fargsim.sim.streams import Streams
from fargsim.sim.target_health import Contact

MINUTE = 60 * US
GROUP = {"TargetGroup": "tg", "LoadBalancer": "lb-tg"}
BALANCER = {"LoadBalancer": "lb-tg"}
HOSTS = {"HealthyHostCount", "UnHealthyHostCount"}
ALWAYS = {"AnomalousHostCount", "MitigatedHostCount"}
CODES = {f"HTTPCode_Target_{n}XX_Count" for n in (2, 3, 4, 5)}


def point(
    region: Region, name: str, dimensions: dict[str, str], minute: int, namespace: str = "ApplicationELB"
) -> Point:
    """The datapoint of the n-th minute; it must be there."""
    key = metric_key(f"AWS/{namespace}", name, dimensions)
    (found,) = region.cloudwatch.windows(key, minute * MINUTE, MINUTE, 1)
    assert found is not None, (name, dimensions, minute)
    return found


def sums(region: Region, names: list[str], dimensions: dict[str, str], minute: int) -> list[float]:
    return [point(region, name, dimensions, minute).statistic("Sum") for name in names]


def there(region: Region, dimensions: dict[str, str], minute: int, namespace: str = "ApplicationELB") -> set[str]:
    """Names of the metrics of some dimensions that have a datapoint in a minute."""
    wanted = metric_key("", "", dimensions)[2]
    return {
        key[1]
        for key in list(region.cloudwatch._series)
        if key[0] == f"AWS/{namespace}"
        and key[2] == wanted
        and region.cloudwatch.windows(key, minute * MINUTE, MINUTE, 1) != [None]
    }


def test_each_metric_has_datapoints_by_its_own_criterion():
    region = exact_region(seed=SEED)
    register(region, behaviour={"request": QUICK})
    target_group = group(region)
    service(region, "web", 2)
    region.send_traffic(
        "web", {"steps": [{"at": "0 s", "rate": "0 /s"}, {"at": "1 min", "rate": "5 /s"}]}, until="8 min"
    )
    region.run(until="2 min")
    # nothing arrives: hosts, and what is always there
    assert there(region, GROUP, 1) == HOSTS | ALWAYS
    assert there(region, BALANCER, 1) == {"ConsumedLCUs"}
    assert there(region, {"TargetGroup": "tg"}, 1) == set()
    # requests flow and nothing goes wrong: no count of errors, but codes of targets, at 0
    flows = {"RequestCount", "TargetResponseTime"} | CODES
    assert there(region, GROUP, 2) == HOSTS | ALWAYS | flows | {"RequestCountPerTarget"}
    connections = {"ConsumedLCUs", "ProcessedBytes", "NewConnectionCount", "ActiveConnectionCount"}
    assert there(region, BALANCER, 2) == connections | flows
    assert there(region, {"TargetGroup": "tg"}, 2) == {"RequestCountPerTarget"}
    assert sums(region, ["HTTPCode_Target_5XX_Count", "HTTPCode_Target_4XX_Count"], GROUP, 2) == [0, 0]
    # nothing listens any more: 502, and connections that were not established
    for target in target_group.targets.values():
        target_group.set_answering(target, False)
    region.run(until="3 min")
    elb = {"HTTPCode_ELB_5XX_Count", "HTTPCode_ELB_502_Count"}
    assert there(region, BALANCER, 3) == connections | (flows - {"TargetResponseTime"}) | elb | {
        "TargetConnectionErrorCount"
    }
    assert "TargetConnectionErrorCount" in there(region, GROUP, 3)
    arrived = point(region, "RequestCount", BALANCER, 3).statistic("Sum")
    assert sums(region, [*sorted(elb), "TargetConnectionErrorCount"], BALANCER, 3) == [arrived] * 3
    # nobody is registered: no hosts, no requests for which a target was chosen, 503
    region.ecs.update_service(service="web", desiredCount=0)
    region.run(until="6 min")
    assert there(region, GROUP, 6) == ALWAYS
    assert there(region, BALANCER, 6) == connections | {"HTTPCode_ELB_5XX_Count", "HTTPCode_ELB_503_Count"}
    assert there(region, {"TargetGroup": "tg"}, 6) == set()


def test_clients_that_close_their_connection_are_4xx_of_the_balancer():
    region = exact_region(seed=SEED)
    register(region, behaviour={"request": {"cpu": "1 ms", "wait": "3 s"}})
    group(region, balancer={"client_timeout": "2 s"})
    service(region, "web", 2)
    region.send_traffic("web", {"constant": "1 /s", "process": "regular"}, until="1 min")
    region.run(until="2 min")
    [sent] = sums(region, ["RequestCount"], BALANCER, 1)
    closed = sum(sums(region, ["HTTPCode_ELB_4XX_Count"], BALANCER, minute)[0] for minute in (1, 2))
    assert closed == sent == 59, "one a second, before the minute is over"
    assert not any("5XX" in name and "ELB" in name for name in there(region, BALANCER, 1))


def test_statistics_of_counts_and_times():
    region = exact_region(seed=SEED)
    register(region, cpu=1024, behaviour={"request": {"cpu": {"uniform": {"min": "10 ms", "max": "90 ms"}}}})
    group(region)
    service(region, "web", 4)
    region.send_traffic("web", {"constant": "2 /s", "process": "regular"}, until="1 min")
    region.run(until="2 min")
    for dimensions in (GROUP, BALANCER):
        count = point(region, "HTTPCode_Target_2XX_Count", dimensions, 1)
        assert [count.statistic(s) for s in ("Sum", "Minimum", "Maximum", "Average")] == [119, 1, 1, 1]
        time = point(region, "TargetResponseTime", dimensions, 1)
        assert time.statistic("SampleCount") == 119
        cpu = 10 + 80 * Streams(SEED)["demand/web/cpu"].random(119)
        assert time.statistic("Average") == pytest.approx(cpu.mean() / 1000, rel=1e-3)
        # buckets are a percent or so wide
        assert time.statistic("Minimum") == pytest.approx(cpu.min() / 1000, rel=0.02)
        assert time.statistic("Maximum") == pytest.approx(cpu.max() / 1000, rel=0.02)
        assert time.statistic("p50") == pytest.approx(np.median(cpu) / 1000, rel=0.02)
    # the average over the targets, and no sum: 119 requests over 4 healthy targets
    assert sums(region, ["RequestCountPerTarget"], GROUP, 1) == [29.75]


def test_a_balancer_has_the_answers_of_all_its_target_groups():
    region = exact_region(seed=SEED)
    register(region, "quick", behaviour={"request": {"cpu": "10 ms"}})
    register(region, "slow", behaviour={"request": {"cpu": "100 ms", "error_rate": 1.0}})
    group(region)
    region.elbv2.create_target_group(Name="other")
    region.elbv2.create_rule(
        ListenerArn="lb-tg:80", Priority=1, Actions=[{"Type": "forward", "TargetGroupArn": "other"}]
    )
    service(region, "quick", 1, revision="quick")
    service(region, "slow", 1, revision="slow", to="other")
    region.send_traffic("quick", {"constant": "3 /s", "process": "regular"}, until="1 min")
    region.send_traffic("slow", {"constant": "1 /s", "process": "regular"}, until="1 min")
    region.run(until="2 min")
    names = ["RequestCount", "HTTPCode_Target_2XX_Count", "HTTPCode_Target_5XX_Count"]
    assert sums(region, names, BALANCER, 1) == [179 + 59, 179, 59]
    time = point(region, "TargetResponseTime", BALANCER, 1)
    assert time.statistic("Average") == pytest.approx((179 * 0.01 + 59 * 0.1) / 238, rel=1e-6)


def test_hosts_by_zone():
    region = exact_region(seed=SEED)
    register(region, behaviour={"request": QUICK})
    target_group = group(region)
    service(region, "web", 4)
    ill = next(t for t in target_group.targets.values() if t.task.zone == "us-east-1b")
    target_group.set_answering(ill, False)
    region.run(until="1 min")
    zones = {}
    for zone in ("us-east-1a", "us-east-1b", "us-east-1c"):
        of = {**GROUP, "AvailabilityZone": zone}
        zones[zone] = [point(region, name, of, 1).statistic("Maximum") for name in sorted(HOSTS)]
    assert zones == {"us-east-1a": [2, 0], "us-east-1b": [0, 1], "us-east-1c": [1, 0]}
    assert sums(region, sorted(HOSTS), GROUP, 1) == [3, 1]


def test_a_network_load_balancer_counts_flows():
    region = exact_region(seed=SEED)
    register(region, behaviour={"request": QUICK})
    group(region, Protocol="TCP", balancer={"Type": "network"})
    service(region, "web", 1)
    region.send_traffic("web", {"constant": "5 /s"}, until="1 min")
    region.run(until="2 min")
    flows = {"ConsumedLCUs", "ProcessedBytes", "NewFlowCount", "ActiveFlowCount"}
    assert there(region, BALANCER, 1, "NetworkELB") == flows
    assert there(region, BALANCER, 2, "NetworkELB") == {"ConsumedLCUs"}
    assert there(region, GROUP, 1, "NetworkELB") == there(region, GROUP, 2, "NetworkELB") == HOSTS
    assert there(region, GROUP, 1) == there(region, BALANCER, 1) == set()


# codes of answers


def coded(rates: dict[str, float]) -> Region:
    region = exact_region(seed=SEED)
    register(region, behaviour={"request": {**QUICK, **rates}})
    group(region, attributes={"deregistration_delay__timeout_seconds": 5})
    service(region, "web", 3)
    region.send_traffic("web", {"constant": "10 /s", "process": "regular"}, until="6 min")
    return region


def test_redirects_and_client_errors_are_answers_that_are_counted_apart():
    region = coded({"redirect_rate": 0.1, "client_error_rate": 0.25, "error_rate": 0.5})
    region.run(until="2 min")
    region.ecs.update_service(service="web", desiredCount=1)  # what targets that are gone have answered counts on
    region.run(until="6 min")
    recorder = region.finish()
    rows = recorder.target_groups.frame()
    total = rows[[c for c in rows if c.startswith("http_code_target")]].sum()
    counters = region.registry.target_groups["tg"].bridge.plane.counters()
    number = Streams(SEED)["answers/tg/web:1"].random(counters.served)
    assert total.http_code_target_3xx_count == (number < 0.1).sum()
    assert total.http_code_target_4xx_count == ((number >= 0.1) & (number < 0.35)).sum()
    assert total.http_code_target_5xx_count == counters.failed
    assert total.sum() == counters.served + counters.failed == 3599
    # datapoints say the same as rows, minute by minute
    columns = [f"http_code_target_{n}xx_count" for n in (2, 3, 4, 5)]
    for minute in range(1, 7):
        assert sums(region, sorted(CODES), GROUP, minute) == rows[columns].iloc[minute - 1].tolist()
        assert sums(region, sorted(CODES), BALANCER, minute) == rows[columns].iloc[minute - 1].tolist()
    # users got what they asked for: only 5xx is an error
    assert region.registry.service("default", "web").meter is not None
    assert recorder.services.frame().requests_served.sum() == counters.served


def test_an_alarm_watches_client_errors():
    region = coded({"client_error_rate": 0.5})
    region.cloudwatch.put_metric_alarm(
        AlarmName="4xx",
        Namespace="AWS/ApplicationELB",
        MetricName="HTTPCode_Target_4XX_Count",
        Dimensions=[{"Name": k, "Value": v} for k, v in GROUP.items()],
        Statistic="Sum",
        Period=60,
        EvaluationPeriods=1,
        Threshold=200,
        ComparisonOperator="GreaterThanThreshold",
    )
    region.run(until="6 min")
    assert region.cloudwatch.state("4xx") == "ALARM"


def test_anomalies_are_detected_whatever_the_algorithm():
    region = exact_region(seed=SEED)
    register(region, "web", behaviour={"request": QUICK})
    region.behave("web:2", {"request": {**QUICK, "error_rate": 0.5}})
    register(region, behaviour={"request": QUICK})
    target_group = group(region)
    service(region, "web", 3, revision="web:1")
    service(region, "bad", 1, revision="web:2")
    region.send_traffic("web", {"constant": "20 /s"}, until="2 min")
    region.run(until="3 min")
    assert sums(region, sorted(ALWAYS), GROUP, 2) == [1, 0]
    (bad,) = target_group.automatic.anomalous
    assert bad.task.revision.number == 2


# rules


def test_requests_meet_the_rules_before_the_one_they_match():
    region = exact_region(seed=SEED, assumptions={"connections_per_request": 0, "bytes_per_request": 0})
    register(region, behaviour={"request": QUICK})
    group(region)
    to: list[dict[str, Any]] = [{"Type": "forward", "TargetGroupArn": "tg"}]
    for priority in range(100, 1300, 100):
        region.elbv2.create_rule(ListenerArn="lb-tg:80", Priority=priority, Actions=to)
    service(region, "web", 1)
    for listener, rate in (("lb-tg:80", 4), ("lb-tg:80/1100", 2), ("lb-tg:80/300", 1)):
        region.send_traffic("web", {"constant": f"{rate} /s", "process": "regular"}, until="61 s", listener=listener)
    region.run(until="3 min")
    rows = region.finish().load_balancers.frame()
    # the default action comes after all 12 rules and is none itself; the eleventh rule is one beyond the ten free ones
    default, eleventh, third = 239, 119, 59
    assert rows.rule_evaluations.tolist() == [12 * default + 11 * eleventh + 3 * third, 12 * 4 + 11 * 2 + 3, 0]
    lcu = (2 * default + eleventh) / 60 / 1000
    assert rows.lcu_rule_evaluations[0] == pytest.approx(lcu)
    assert rows.consumed_lcus[0] == pytest.approx(lcu)
    assert point(region, "RuleEvaluations", BALANCER, 1).statistic("Sum") == rows.rule_evaluations[0]
    assert point(region, "ConsumedLCUs", BALANCER, 1).statistic("Average") == pytest.approx(lcu)
    assert "RuleEvaluations" not in there(region, BALANCER, 3)


def test_users_of_a_closed_loop_meet_rules_too():
    region = exact_region(seed=SEED)
    register(region, behaviour={"request": QUICK})
    group(region)
    region.elbv2.create_rule(ListenerArn="lb-tg:80", Priority=1, Actions=[{"Type": "forward", "TargetGroupArn": "tg"}])
    service(region, "web", 1)
    region.send_traffic("web", {"users": {"count": 3, "think": "1 s"}}, until="1 min", listener="lb-tg:80/1")
    region.run(until="2 min")
    recorder = region.finish()
    arrived = region.registry.target_groups["tg"].bridge.plane.counters().arrived
    assert 100 < arrived == recorder.load_balancers.frame().rule_evaluations.sum()


def test_rules_that_a_scenario_does_not_list_count_as_it_says():
    region = exact_region(seed=SEED, assumptions={"rules_per_listener": 30})
    register(region, behaviour={"request": QUICK})
    group(region)
    service(region, "web", 1)
    region.send_traffic("web", {"constant": "1 /s", "process": "regular"}, until="1 min")
    region.run(until="1 min")
    row = region.finish().load_balancers.frame().iloc[0]
    assert row.rule_evaluations == 30 * 59
    assert row.lcu_rule_evaluations == pytest.approx(20 * 59 / 60 / 1000)
    assert isinstance(row.period_start_at, pd.Timestamp)


# what an alarm can watch


def published(region: Region, namespace: str) -> set[tuple[str, frozenset[str]]]:
    """Names and dimensions of everything that has ever had a datapoint."""
    return {(key[1], frozenset(name for name, _ in key[2])) for key in region.cloudwatch._series if key[0] == namespace}


def declared(namespace: str) -> set[tuple[str, frozenset[str]]]:
    return {(name, dimensions) for name, many in METRICS[namespace].items() for dimensions in many}


def test_every_metric_that_can_be_watched_has_a_datapoint_once_its_cause_is_there():
    region = exact_region(seed=SEED)
    register(region, behaviour={"request": {**QUICK, "error_rate": 0.1, "client_error_rate": 0.1}})
    target_group = group(region, attributes={"deregistration_delay__timeout_seconds": 5})
    region.elbv2.create_rule(ListenerArn="lb-tg:80", Priority=1, Actions=[{"Type": "forward", "TargetGroupArn": "tg"}])
    service(region, "web", 2)
    # agents that let one request in at once, and clients that wait less than it takes
    agent = {"name": "agent", "image": "a:1", "environment": [{"name": "TARGET_CONTROL_MAX_CONCURRENCY", "value": "1"}]}
    register(region, "slow", behaviour={"request": {**QUICK, "wait": "3 s"}}, others=[agent])
    group(region, "controlled", TargetControlPort=3000, balancer={"client_timeout": "2 s"})
    service(region, "slow", 2, revision="slow", to="controlled")
    # applications that do not speak TLS, behind a target group that does
    register(region, "plain", behaviour={"request": QUICK, "listen": {"protocol": "HTTP"}})
    region.elbv2.create_target_group(Name="tls", Protocol="HTTPS")
    forward = [{"Type": "forward", "TargetGroupArn": "tls"}]
    region.elbv2.create_load_balancer(Name="lb-tls", Listeners=[{"Protocol": "HTTP", "DefaultActions": forward}])
    service(region, "plain", 1, revision="plain", to="tls")
    region.send_traffic("plain", {"constant": "5 /s"}, until="10 min")
    region.send_traffic("slow", {"constant": "5 /s"}, until="10 min")
    region.send_traffic("web", {"constant": "5 /s"}, until="10 min")
    region.run(until="2 min")
    unreachable = Contact(reachable=False)
    for target in target_group.targets.values():
        target_group.meet(target, unreachable)  # 504
    region.run(until="4 min")
    for target in target_group.targets.values():
        target_group.meet(target, Contact())
        target_group.set_answering(target, False)  # 502
    region.run(until="6 min")
    region.ecs.update_service(service="web", desiredCount=0)  # 503
    region.run(until="10 min")
    assert published(region, "AWS/ApplicationELB") == declared("AWS/ApplicationELB")
    assert published(region, "AWS/NetworkELB") == set()


def test_every_metric_of_a_network_load_balancer_too():
    region = exact_region(seed=SEED)
    register(region, behaviour={"request": QUICK})
    group(region, Protocol="TCP", balancer={"Type": "network"})
    service(region, "web", 2)
    region.send_traffic("web", {"constant": "5 /s"}, until="1 min")
    region.run(until="2 min")
    assert published(region, "AWS/NetworkELB") == declared("AWS/NetworkELB")
    assert published(region, "AWS/ApplicationELB") == set()
