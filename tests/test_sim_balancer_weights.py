"""Weights of targets that change by themselves, and those of Network Load Balancers: who gets which share of the requests."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from balancer_helpers import QUICK, SEED, US, group, kept, service, states
from sim_helpers import behind, exact_region, network, register

from fargsim import Region
from fargsim.model.scenario import Record
from fargsim.sim.streams import Streams

# slow start


def test_slow_start_gives_a_new_target_the_share_of_its_ramp():
    region = exact_region(seed=SEED, record=Record(requests="full"))
    register(region, behaviour={"request": QUICK})
    target_group = group(region, attributes={"slow_start__duration_seconds": 60})
    service(region, "web", 1)
    region.send_traffic("web", {"constant": "100 /s", "process": "regular"}, until="4 min")
    region.run(until="20 s")
    region.ecs.update_service(service="web", desiredCount=2)
    region.run(until="30 s")
    seen = states(target_group, region)
    region.run(until="5 min")
    [(healthy_at, state)] = seen
    assert state == "healthy"
    got = kept(region)
    old, new = region.registry.clusters["default"].tasks
    rows = got[(got.arrived_at >= healthy_at) & (got.arrived_at < healthy_at + 60 * US)]
    assert len(rows) == 6000
    # weight w = t / 60 beside a weight of 1: a share of w / (1 + w); over the ramp 60 s (1 - ln 2)
    share = (rows.task_id == new).sum() / 6000
    assert share == pytest.approx(1 - math.log(2), abs=0.002)
    tenth = rows[rows.arrived_at < healthy_at + 6 * US]
    assert (tenth.task_id == new).sum() == pytest.approx(100 * (6 - 60 * math.log(1.1)), abs=3)
    after = got[(got.arrived_at >= healthy_at + 60 * US) & (got.arrived_at < healthy_at + 100 * US)]
    assert (after.task_id == new).sum() == (after.task_id == old).sum() == 2000


def test_the_first_healthy_targets_start_at_full_weight():
    region = exact_region(seed=SEED, record=Record(requests="full"))
    register(region, behaviour={"request": QUICK})
    target_group = group(region, attributes={"slow_start__duration_seconds": 60})
    region.ecs.create_service(
        serviceName="web",
        taskDefinition="web",
        desiredCount=3,
        launchType="FARGATE",
        networkConfiguration=network(),
        loadBalancers=behind(),
    )
    seen = states(target_group, region)
    region.send_traffic("web", {"constant": "100 /s", "process": "regular"}, until="2 min")
    region.run(until="3 min")
    got = kept(region)
    first = [at for at, _ in seen]
    assert len(first) == 3
    shares = got[(got.arrived_at >= first[2]) & (got.arrived_at < first[2] + 10 * US)].task_id.value_counts()
    # the first one was alone; the two others became healthy beside it and begin slowly
    assert shares.max() > 750
    assert shares.min() > 0


# automatic target weights


def five(mitigation: str) -> tuple[Region, Any]:
    """Four tasks that work and one that fails every second request."""
    region = exact_region(seed=SEED, record=Record(requests="full"))
    register(region, behaviour={"request": QUICK})
    region.behave("web:2", {"request": {**QUICK, "error_rate": 0.5}})
    register(region, behaviour={"request": QUICK})
    target_group = group(
        region,
        attributes={
            "load_balancing__algorithm__type": "weighted_random",
            "load_balancing__algorithm__anomaly_mitigation": mitigation,
        },
    )
    service(region, "web", 4, revision="web:1")
    service(region, "bad", 1, revision="web:2")
    region.send_traffic("web", {"constant": "100 /s"}, until="5 min")
    return region, target_group


def test_anomaly_mitigation_takes_traffic_from_the_one_that_fails():
    region, target_group = five("on")
    [bad] = [t for t in target_group.targets.values() if t.task.revision.number == 2]
    path = []
    for at in range(5, 31, 5):
        region.run(until=f"{at} s")
        path.append(target_group.automatic.weights.get(bad, 1.0))
    # halved at every look while it is anomalous
    assert path[:3] == [0.5, 0.25, 0.125]
    assert set(target_group.automatic.weights) == {bad}
    region.run(until="5 min")
    on = kept(region)
    region, target_group = five("off")
    region.run(until="30 s")
    assert [t.task.revision.number for t in target_group.automatic.anomalous] == [2]
    assert target_group.automatic.weights == {}
    region.run(until="5 min")
    off = kept(region)
    share = {name: (rows.task_id == bad.task.task_id).mean() for name, rows in (("on", on), ("off", off))}
    assert share["off"] == pytest.approx(0.2, abs=0.01)
    assert share["on"] < 0.1
    # chance picks by the stream: with equal weights the k-th fifth is the k-th target
    order = {t.task.task_id: k for k, t in enumerate(target_group.targets.values())}
    u = Streams(SEED)["route/web"].random(len(off))
    assert off.task_id.map(order).tolist() == np.floor(5 * u).astype(int).tolist()
    assert (on.outcome == "failed").sum() < 0.6 * (off.outcome == "failed").sum()


def test_a_target_that_has_recovered_comes_back_step_by_step():
    region, target_group = five("on")
    region.run(until="30 s")
    [bad] = list(target_group.automatic.weights)
    low = target_group.automatic.weights[bad]
    region.ecs.update_service(service="bad", desiredCount=0)
    region.run(until="60 s")
    assert low < 0.2
    assert bad not in target_group.automatic.weights
    assert bad not in target_group.automatic.anomalous


def test_nobody_looks_while_nothing_can_fail():
    region = exact_region(seed=SEED)
    register(region, behaviour={"request": QUICK})
    target_group = group(
        region,
        attributes={
            "load_balancing__algorithm__type": "weighted_random",
            "load_balancing__algorithm__anomaly_mitigation": "on",
        },
    )
    service(region, "web", 3)
    region.send_traffic("web", {"constant": "10 /s"}, until="5 min")
    looks = []
    inner = target_group.automatic._look
    target_group.automatic._look = lambda: (looks.append(region.now_us), inner())
    region.run(until="1 min")
    assert looks == []
    ill = next(iter(target_group.targets.values()))
    target_group.set_answering(ill, False)
    region.run(until="2 min")
    assert looks[0] == 65 * US
    target_group.set_answering(ill, True)
    region.run(until="5 min")
    # a minute later everything is as it was, and so is the silence
    assert looks[-1] < 200 * US


# Network Load Balancers


def test_a_network_load_balancer_checks_by_its_own_defaults_and_spreads_flows_inside_a_zone():
    region = exact_region(seed=SEED, record=Record(requests="full"))
    register(region, behaviour={"request": QUICK})
    region.elbv2.create_target_group(Name="tg", Protocol="TCP")
    region.elbv2.create_load_balancer(
        Name="nlb",
        Type="network",
        Subnets=["subnet-a", "subnet-b"],
        Listeners=[{"Protocol": "TCP", "DefaultActions": [{"Type": "forward", "TargetGroupArn": "tg"}]}],
    )
    target_group = region.registry.target_groups["tg"]
    service(region, "web", 3, subnets=("subnet-a", "subnet-b"))
    region.send_traffic("web", {"constant": "20 /s"}, until="5 min")
    region.run(until="5 min")
    assert region.registry.balancers["nlb"].arn.split(":")[-1].startswith("loadbalancer/net/nlb/")
    got = kept(region)
    tasks = [t.task for t in target_group.targets.values()]
    entry, route = (Streams(SEED)[f"{name}/web"].random(len(got)) for name in ("entry", "route"))
    here = {zone: [t.task_id for t in tasks if t.zone == zone] for zone in ("us-east-1a", "us-east-1b")}
    expected = []
    for e, r in zip(entry, route, strict=True):
        names = here["us-east-1a" if e < 0.5 else "us-east-1b"]
        expected.append(names[int(r * len(names))])
    assert got.task_id.tolist() == expected


def test_network_target_groups_have_defaults_of_their_own_unless_they_say_otherwise():
    region = exact_region(assumptions={"nlb_interval_s": 20, "nlb_unhealthy_threshold": 3})
    register(region, behaviour={"request": QUICK})
    found = {}
    for name, more in (("plain", {}), ("own", {"HealthCheckIntervalSeconds": 10, "UnhealthyThresholdCount": 2})):
        region.elbv2.create_target_group(Name=name, Protocol="TCP", **more)
        region.elbv2.create_load_balancer(
            Name=f"lb-{name}",
            Type="network",
            Listeners=[{"Protocol": "TCP", "DefaultActions": [{"Type": "forward", "TargetGroupArn": name}]}],
        )
        target_group = region.registry.target_groups[name]
        service(region, name, 1, to=name)
        seen = found[name] = states(target_group, region)
        [target] = target_group.targets.values()
        region.kit.at(100 * US, lambda t=target, g=target_group: g.set_answering(t, False))
        assert seen == []
    region.run(until="5 min")
    [(plain, _)], [(own, _)] = found["plain"], found["own"]
    # checks go on in their rhythm: the first that fails comes within an interval, the others at their distance
    assert 100 + 2 * 20 <= plain / US <= 100 + 3 * 20
    assert 100 + 10 <= own / US <= 100 + 2 * 10
