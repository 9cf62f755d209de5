"""The tables target_groups and load_balancers, and the same figures as CloudWatch's datapoints."""

from __future__ import annotations

from typing import Any

import pytest
from sim_helpers import behind, exact_region, network, register, target_group

from fargsim import Region
from fargsim.policy.capacity_units import LCU, NLCU, units_used
from fargsim.report.cost import capacity_units
from fargsim.sim.alarm_run import metric_key

US = 1_000_000
MINUTE = 60 * US
CODES = ["request_count", "http_code_target_2xx_count", "http_code_target_5xx_count"]
OWN = ["http_code_elb_502_count", "http_code_elb_503_count", "http_code_elb_504_count"]


def served(count: int, behaviour: dict[str, Any], **assumptions: float) -> Region:
    region = exact_region(assumptions=assumptions)
    register(region, behaviour=behaviour)
    target_group(region)
    region.ecs.create_service(
        serviceName="web",
        taskDefinition="web",
        desiredCount=count,
        launchType="FARGATE",
        networkConfiguration=network(),
        loadBalancers=behind(),
        healthCheckGracePeriodSeconds=100_000,
    )
    region.registry.service("default", "web").settle()
    return region


def tables(region: Region) -> tuple[Any, Any]:
    recorder = region.finish()
    return recorder.target_groups.frame(), recorder.load_balancers.frame()


def test_a_minute_of_requests_by_hand():
    region = served(2, {"request": {"cpu": "250 ms"}})
    # 59 requests in the first minute (the 60th comes with its end), then nothing any more
    region.send_traffic("web", {"constant": "1 /s", "process": "regular"}, until="61 s")
    region.run(until="3 min")
    groups, balancers = tables(region)
    assert groups.target_group.tolist() == ["tg"] * 3
    assert groups.load_balancer.tolist() == ["lb-tg"] * 3
    assert groups.request_count[:2].tolist() == [59, 1]
    assert groups.request_count_per_target[:2].tolist() == [29.5, 0.5]
    assert groups.target_response_time_s[:2].tolist() == [0.25, 0.25]
    assert groups.http_code_target_2xx_count[:2].tolist() == [59, 1]
    assert groups.http_code_target_5xx_count[:2].tolist() == [0, 0]
    # without traffic there is no datapoint, but there are hosts
    assert groups.iloc[2][[*CODES, *OWN, "target_response_time_s"]].isna().all()
    assert groups.healthy_host_count.tolist() == [2, 2, 2]
    assert groups.un_healthy_host_count.tolist() == [0, 0, 0]
    assert groups.anomalous_host_count.tolist() == groups.mitigated_host_count.tolist() == [0, 0, 0]
    assert groups.http_code_target_3xx_count[:2].tolist() == groups.http_code_target_4xx_count[:2].tolist() == [0, 0]
    assert balancers.request_count[:2].tolist() == [59, 1]
    assert balancers.http_code_elb_5xx_count[:2].tolist() == [0, 0]
    # a tenth of a connection and 8 KiB each; connections live a minute
    assert balancers.new_connection_count.tolist() == pytest.approx([5.9, 0.1, 0])
    assert balancers.active_connection_count.tolist() == pytest.approx([5.9, 0.1, 0])
    assert balancers.processed_bytes.tolist() == [59 * 8192, 8192, 0]
    by_bytes = 59 * 8192 * 60 / 2**30
    assert balancers.lcu_processed_bytes[0] == pytest.approx(by_bytes)
    assert balancers.consumed_lcus[0] == pytest.approx(max(5.9 / 60 / 25, 5.9 / 3000, by_bytes))
    assert balancers.consumed_lcus[2] == 0


def test_every_cause_of_an_error_has_its_code():
    region = served(1, {"request": {"cpu": "1 ms", "error_rate": 1.0}})
    group = region.registry.target_groups["tg"]
    region.send_traffic("web", {"constant": "1 /s", "process": "regular"}, until="10 min")
    region.run(until="60 s")
    [target] = group.targets.values()
    group.set_answering(target, False)  # nothing listens: 502
    region.run(until="120 s")
    region.ecs.update_service(service="web", desiredCount=0)
    region.run(until="240 s")  # nobody is registered: 503
    groups, balancers = tables(region)
    assert groups.http_code_target_5xx_count[0] == 59
    assert groups.http_code_target_2xx_count[0] == 0
    assert groups.target_response_time_s[0] == pytest.approx(0.001)
    second = groups.iloc[1]
    assert second[OWN].tolist() == [60, 0, 0]
    assert second.target_connection_error_count == 60
    assert second.request_count == 60
    assert (second.healthy_host_count, second.un_healthy_host_count) == (0, 1)
    # none healthy: over the registered ones
    assert second.request_count_per_target == 60
    last = groups.iloc[3]
    assert last[OWN].tolist() == [0, 60, 0]
    # no target was chosen for them
    assert last.request_count == 0
    assert last.request_count_per_target != last.request_count_per_target
    assert balancers[OWN].to_numpy().tolist() == groups[OWN].to_numpy().tolist()
    assert balancers.http_code_elb_5xx_count.tolist() == groups[OWN].sum(axis=1).tolist()


def test_a_draining_target_is_neither_healthy_nor_unhealthy():
    region = served(2, {"request": {"cpu": "1 ms"}})
    region.kit.at(30 * US, lambda: region.ecs.update_service(service="web", desiredCount=1))
    region.run(until="1 min")  # 5 s later one begins to drain, for 30 s
    groups, _ = tables(region)
    assert len(region.registry.target_groups["tg"].targets) == 2
    assert (groups.healthy_host_count[0], groups.un_healthy_host_count[0]) == (1, 0)


def test_rows_and_datapoints_say_the_same():
    region = served(2, {"request": {"cpu": {"exponential": {"mean": "200 ms"}}, "error_rate": 0.1}})
    region.send_traffic("web", {"constant": "5 /s"}, until="5 min")
    region.run(until="5 min")
    own = {"TargetGroup": "tg", "LoadBalancer": "lb-tg"}

    def points(name: str, dimensions: dict[str, str], statistic: str = "Sum") -> list[float]:
        key = metric_key("AWS/ApplicationELB", name, dimensions)
        found = region.cloudwatch.windows(key, 5 * MINUTE, MINUTE, 5)
        return [p.statistic(statistic) for p in found if p is not None]

    seen = {
        "request_count": points("RequestCount", own),
        "http_code_target_2xx_count": points("HTTPCode_Target_2XX_Count", own),
        "http_code_target_5xx_count": points("HTTPCode_Target_5XX_Count", own),
        "request_count_per_target": points("RequestCountPerTarget", own),
        "target_response_time_s": points("TargetResponseTime", own, "Average"),
        "healthy_host_count": points("HealthyHostCount", own, "Average"),
    }
    alone = points("RequestCountPerTarget", {"TargetGroup": "tg"})
    lcus = points("ConsumedLCUs", {"LoadBalancer": "lb-tg"}, "Average")
    p90 = points("TargetResponseTime", own, "p90")
    groups, balancers = tables(region)
    for column, values in seen.items():
        assert groups[column].tolist() == pytest.approx(values), column
    assert alone == seen["request_count_per_target"]
    assert lcus == pytest.approx(balancers.consumed_lcus.tolist())
    assert all(p > mean for p, mean in zip(p90, seen["target_response_time_s"], strict=True))
    # counts of periods add up to all requests
    total = region.registry.target_groups["tg"].bridge.plane.counters()
    assert groups.request_count.sum() == total.arrived
    assert groups.http_code_target_5xx_count.sum() == total.failed > 0


def test_an_alarm_of_a_user_watches_the_targets_errors():
    region = served(2, {"request": {"cpu": "1 ms"}})
    region.cloudwatch.put_metric_alarm(
        AlarmName="5xx",
        Namespace="AWS/ApplicationELB",
        MetricName="HTTPCode_ELB_5XX_Count",
        Dimensions=[
            {"Name": "LoadBalancer", "Value": region.registry.balancers["lb-tg"].arn.split(":loadbalancer/")[1]}
        ],
        Statistic="Sum",
        Period=60,
        EvaluationPeriods=1,
        Threshold=10,
        ComparisonOperator="GreaterThanThreshold",
    )
    group = region.registry.target_groups["tg"]
    region.send_traffic("web", {"constant": "10 /s"}, until="20 min")
    region.run(until="8 min")
    # a count of errors is only there when it is not 0
    assert region.cloudwatch.state("5xx") == "INSUFFICIENT_DATA"
    for target in group.targets.values():
        group.set_answering(target, False)
    region.run(until="15 min")
    assert region.cloudwatch.state("5xx") == "ALARM"


def test_a_network_load_balancer_has_no_codes_and_no_rules():
    region = exact_region()
    register(region, behaviour={"request": {"cpu": "1 ms"}})
    region.elbv2.create_target_group(Name="tg", Protocol="TCP")
    region.elbv2.create_load_balancer(
        Name="nlb",
        Type="network",
        Listeners=[{"Protocol": "TCP", "DefaultActions": [{"Type": "forward", "TargetGroupArn": "tg"}]}],
    )
    region.ecs.create_service(
        serviceName="web",
        taskDefinition="web",
        desiredCount=3,
        launchType="FARGATE",
        networkConfiguration=network(),
        loadBalancers=behind(),
    )
    region.registry.service("default", "web").settle()
    region.send_traffic("web", {"constant": "10 /s"}, until="1 min")
    region.run(until="1 min")
    groups, balancers = tables(region)
    assert groups[["http_code_target_2xx_count", *OWN]].isna().all(axis=None)
    assert groups.request_count[0] > 500
    row = balancers.iloc[0]
    assert row.type == "network"
    assert row.lcu_rule_evaluations != row.lcu_rule_evaluations
    used = units_used(
        NLCU,
        new_connections_per_s=groups.request_count[0] * 0.1 / 60,
        active_connections=groups.request_count[0] * 0.1,
        gb_per_h=groups.request_count[0] * 8192 * 60 / 2**30,
    )
    assert row.consumed_lcus == pytest.approx(used.consumed)


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        ({"new_connections_per_s": 25}, 1.0),
        ({"active_connections": 3000}, 1.0),
        ({"gb_per_h": 1}, 1.0),
        ({"requests_per_s": 1000, "rules": 11}, 1.0),
        ({"requests_per_s": 1000, "rules": 10}, 0.0),
        ({"new_connections_per_s": 5, "active_connections": 6000, "gb_per_h": 1.5}, 2.0),
    ],
)
def test_the_largest_of_four_dimensions_is_billed(more, expected):
    nothing = {"new_connections_per_s": 0, "active_connections": 0, "gb_per_h": 0}
    assert capacity_units(LCU, **{**nothing, **more}) == expected
