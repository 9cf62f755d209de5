"""Attributes of target groups and load balancers that change while the region runs."""

from __future__ import annotations

from typing import Any

import pytest
from balancer_helpers import QUICK, SEED, US, group, kept, service, states
from sim_helpers import exact_region, register
from test_sim_errors_balancer import alarm, attributes, place

import fargsim
from fargsim import Region
from fargsim.load.issue import ScenarioError
from fargsim.model.scenario import Record
from fargsim.sim.errors import AwsError


def modify(region: Region, name: str = "tg", **pairs: Any) -> Any:
    return region.elbv2.modify_target_group_attributes(TargetGroupArn=name, Attributes=attributes(**pairs))


def started(count: int = 2, **more: Any) -> Region:
    region = exact_region(seed=SEED, record=Record(requests="full"))
    register(region, behaviour={"request": QUICK})
    group(region, **more)
    service(region, "web", count)
    return region


def test_attributes_are_merged_by_their_keys():
    region = started(attributes={"deregistration_delay__timeout_seconds": 10, "slow_start__duration_seconds": 30})
    answer = modify(region, deregistration_delay__timeout_seconds=20, stickiness__enabled="false")
    assert answer["Attributes"] == attributes(
        deregistration_delay__timeout_seconds=20, slow_start__duration_seconds=30, stickiness__enabled="false"
    )
    spec = region.registry.target_groups["tg"].spec
    assert (spec.deregistration_delay_s, spec.slow_start_s, spec.health_check_interval_seconds) == (20, 30, 5)


def test_a_delay_holds_for_targets_that_begin_to_drain_after_the_change():
    region = started(3, attributes={"deregistration_delay__timeout_seconds": 60})
    first, second, _ = region.registry.clusters["default"].tasks
    region.ecs.update_service(service="web", desiredCount=1)
    region.ecs.stop_task(task=first)
    region.run(until="1 s")
    modify(region, deregistration_delay__timeout_seconds=10)
    region.ecs.stop_task(task=second)
    region.run(until="5 min")
    stopped = region.registry.clusters["default"].stopped
    assert (stopped[first].stopping_at, stopped[second].stopping_at) == (60 * US, 11 * US)


def test_a_minimum_of_healthy_targets_takes_effect_at_once():
    region = started(4)
    target_group = region.registry.target_groups["tg"]
    ill = next(iter(target_group.targets.values()))
    target_group.set_answering(ill, False, listening=True)
    region.run(until="1 min")
    region.send_traffic("web", {"constant": "4 /s", "process": "regular"}, until="3 min")
    region.run(until="2 min")
    modify(region, target_group_health__unhealthy_state_routing__minimum_healthy_targets__percentage=80)
    region.run(until="3 min")
    got = kept(region)
    ills = got[got.task_id == ill.task.task_id].arrived_at
    assert 50 < len(ills) < 70
    assert ills.min() >= 120 * US


def test_slow_start_that_is_turned_off_gives_whole_shares_and_turned_on_ramps_the_next():
    region = started(1, attributes={"slow_start__duration_seconds": 300})
    target_group = region.registry.target_groups["tg"]
    region.send_traffic("web", {"constant": "100 /s", "process": "regular"}, until="3 min")
    region.ecs.update_service(service="web", desiredCount=2)
    seen = states(target_group, region)
    region.run(until="1 min")
    [(healthy_at, _)] = seen
    modify(region, slow_start__duration_seconds=0)
    region.run(until="3 min")
    got = kept(region)
    new = list(region.registry.clusters["default"].tasks)[1]
    ramp = got[(got.arrived_at >= healthy_at) & (got.arrived_at < 60 * US)]
    assert (ramp.task_id == new).mean() < 0.15
    after = got[got.arrived_at >= 60 * US]
    assert (after.task_id == new).mean() == pytest.approx(0.5, abs=0.001)


def test_mitigation_that_is_turned_off_gives_every_target_its_whole_weight():
    region = exact_region(seed=SEED, record=Record(requests="full"))
    register(region, behaviour={"request": QUICK})
    region.behave("web:2", {"request": {**QUICK, "error_rate": 0.5}})
    register(region, behaviour={"request": QUICK})
    on = {
        "load_balancing__algorithm__type": "weighted_random",
        "load_balancing__algorithm__anomaly_mitigation": "on",
    }
    target_group = group(region, attributes=on)
    service(region, "web", 4, revision="web:1")
    service(region, "bad", 1, revision="web:2")
    region.send_traffic("web", {"constant": "100 /s"}, until="2 min")
    region.run(until="1 min")
    [bad] = target_group.automatic.weights
    modify(region, load_balancing__algorithm__anomaly_mitigation="off")
    region.run(until="2 min")
    assert target_group.automatic.weights == {}
    assert target_group.automatic.anomalous == {bad}
    got = kept(region)
    share = [(rows.task_id == bad.task.task_id).mean() for _, rows in got.groupby(got.arrived_at >= 60 * US)]
    assert share[0] < 0.1
    assert share[1] == pytest.approx(0.2, abs=0.02)


def test_what_the_plane_is_made_of_changes_only_before_requests_arrive():
    region = started()
    modify(
        region,
        load_balancing__algorithm__type="least_outstanding_requests",
        load_balancing__cross_zone__enabled="false",
    )
    region.elbv2.modify_load_balancer_attributes(
        LoadBalancerArn="lb-tg", Attributes=attributes(idle_timeout__timeout_seconds=7)
    )
    region.send_traffic("web", {"constant": "1 /s"}, until="1 min")
    region.run(until="10 s")
    target_group = region.registry.target_groups["tg"]
    assert (target_group.spec.algorithm, target_group.cross_zone) == ("least_outstanding_requests", False)
    assert target_group.balancer.spec.idle_timeout_s == 7
    before = target_group.spec, target_group.balancer.spec
    for pairs, word in (
        ({"load_balancing__algorithm__type": "round_robin"}, "load_balancing.algorithm.type"),
        ({"load_balancing__cross_zone__enabled": "true"}, "load_balancing.cross_zone.enabled"),
    ):
        with pytest.raises(AwsError, match=word) as caught:
            modify(region, **pairs)
        assert caught.value.code == "InvalidConfigurationRequestException"
    with pytest.raises(AwsError, match=r"idle_timeout\.timeout_seconds"):
        region.elbv2.modify_load_balancer_attributes(
            LoadBalancerArn="lb-tg", Attributes=attributes(idle_timeout__timeout_seconds=8)
        )
    assert (target_group.spec, target_group.balancer.spec) == before


@pytest.mark.parametrize(
    ("call", "code", "word"),
    [
        (lambda r: modify(r, "nope", stickiness__enabled="true"), "TargetGroupNotFoundException", "nope"),
        (lambda r: modify(r, slow_start__duration_seconds=29), "ValidationError", "30 to 900"),
        (lambda r: modify(r), "ValidationError", "Attributes"),
        (
            lambda r: modify(r, load_balancing__algorithm__anomaly_mitigation="on"),
            "InvalidConfigurationRequestException",
            "weighted_random",
        ),
        (
            lambda r: r.elbv2.modify_load_balancer_attributes(
                LoadBalancerArn="nope", Attributes=attributes(idle_timeout__timeout_seconds=7)
            ),
            "LoadBalancerNotFoundException",
            "nope",
        ),
        (
            lambda r: r.elbv2.modify_load_balancer_attributes(
                LoadBalancerArn="lb-tg", Attributes=attributes(load_balancing__cross_zone__enabled="false")
            ),
            "InvalidConfigurationRequestException",
            "target groups",
        ),
    ],
)
def test_what_the_api_refuses(call, code, word):
    region = started()
    before = region.registry.target_groups["tg"].spec, region.registry.balancers["lb-tg"].spec
    with pytest.raises(AwsError, match=word) as caught:
        call(region)
    assert caught.value.code == code
    assert (region.registry.target_groups["tg"].spec, region.registry.balancers["lb-tg"].spec) == before


def test_a_timeline_changes_attributes_and_its_names_are_checked(tmp_path):
    def text(group_name: str, balancer_name: str) -> str:
        return f"""timeline:
  - at: 1 min
    elbv2.modify_target_group_attributes:
      TargetGroupArn: {group_name}
      Attributes: [{{Key: deregistration_delay.timeout_seconds, Value: "5"}}]
  - at: 2 min
    elbv2.modify_load_balancer_attributes:
      LoadBalancerArn: {balancer_name}
      Attributes: [{{Key: load_balancing.cross_zone.enabled, Value: "true"}}]
alarms:
{alarm("a", "HealthyHostCount", {"LoadBalancer": "lb", "TargetGroup": "tg"}, "AWS/NetworkELB")}"""

    result = fargsim.run(fargsim.load(place(tmp_path, "", "", text("tg", "lb"))))
    assert result.tables["events"].query("message.str.contains('elbv2')").empty
    with pytest.raises(ScenarioError) as caught:
        fargsim.load(place(tmp_path, "", "", text("tq", "lq")))
    found = [str(issue) for issue in caught.value.issues]
    assert any("timeline[0].elbv2.modify_target_group_attributes.TargetGroupArn" in fault for fault in found)
    assert any("timeline[1].elbv2.modify_load_balancer_attributes.LoadBalancerArn" in fault for fault in found)
