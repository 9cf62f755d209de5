"""Targets behind a balancer: each revision's own work, health, weights, zones, and what users see when it goes wrong."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from sim_helpers import behind, exact_region, network, register

from fargsim import Region
from fargsim.model.scenario import Record
from fargsim.sim.streams import Streams, sampler
from fargsim.sim.target_health import Contact

US = 1_000_000
SEED = 3
QUICK: dict[str, Any] = {"cpu": "1 ms"}


def group(region: Region, name: str = "tg", *, balancer: dict[str, Any] | None = None, **more: Any) -> Any:
    """A target group and a balancer before it; attributes by their keys with ``__`` for the dot."""
    attributes = [{"Key": k.replace("__", "."), "Value": str(v)} for k, v in more.pop("attributes", {}).items()]
    shape = {"HealthCheckIntervalSeconds": 5, "HealthCheckTimeoutSeconds": 2, **more}
    region.elbv2.create_target_group(Name=name, Attributes=attributes, **shape)
    protocol = shape.get("Protocol", "HTTP")
    region.elbv2.create_load_balancer(
        Name=f"lb-{name}",
        Listeners=[{"Protocol": protocol, "DefaultActions": [{"Type": "forward", "TargetGroupArn": name}]}],
        **(balancer or {}),
    )
    return region.registry.target_groups[name]


def service(region: Region, name: str, count: int, *, revision: str = "web", to: str = "tg", subnets: Any = ()) -> Any:
    """A service whose tasks are there and healthy."""
    region.ecs.create_service(
        serviceName=name,
        taskDefinition=revision,
        desiredCount=count,
        launchType="FARGATE",
        networkConfiguration=network(*subnets),
        loadBalancers=behind(to),
        healthCheckGracePeriodSeconds=1_000_000,
    )
    found = region.registry.service("default", name)
    found.settle()
    region.run(until=region.now_us)  # they are registered
    return found


def kept(region: Region) -> Any:
    frame = region.finish().requests.frame().sort_values("request_id", ignore_index=True)
    start = region.registry.start
    for column in ("arrived_at", "ended_at"):
        frame[column] = ((frame[column] - start).dt.total_seconds() * US).round()
    return frame


def states(target_group: Any, region: Region) -> list[tuple[int, str]]:
    """Record every change of a target's health from now on: microseconds and state."""
    found: list[tuple[int, str]] = []
    inner = target_group.on_health

    def on_health(task: Any) -> None:
        found.append((region.now_us, target_group.targets[task.task_id].state))
        inner(task)

    target_group.on_health = on_health
    return found


# revisions


def test_a_request_costs_what_the_revision_that_serves_it_says():
    region = exact_region(seed=SEED, record=Record(requests="full"))
    law = {"lognormal": {"mean": "4 ms", "sigma": 0.5}}
    slow = {"lognormal": {"mean": "12 ms", "sigma": 0.5}}
    # a core for each request: nobody waits and nobody shares
    register(region, cpu=1024, behaviour={"request": {"cpu": law}})
    region.behave("web:2", {"request": {"cpu": slow, "error_rate": 0.25}})
    register(region, cpu=1024, behaviour={"request": {"cpu": law}})
    group(region, attributes={"deregistration_delay__timeout_seconds": 5})
    service(region, "web", 1, revision="web:1")
    region.send_traffic("web", {"constant": "5 /s", "process": "regular"}, until="4 min")
    region.run(until="1 min")
    region.ecs.update_service(service="web", taskDefinition="web:2")
    region.run(until="5 min")
    got = kept(region)
    revisions = {t.task_id: t.revision.number for t in region.registry.clusters["default"].tasks.values()}
    revisions |= {t.task_id: t.revision.number for t in region.registry.clusters["default"].stopped.values()}
    number = got.task_id.map(revisions)
    assert set(number) == {1, 2}
    streams, n = Streams(SEED), len(got)
    behaviours = [region.registry.revision(f"web:{k}").behaviour.request for k in (1, 2)]
    # both revisions' demands are made of the same normal numbers
    cpu = {k: sampler(b.cpu)(Streams(SEED)["demand/web/cpu"], n) for k, b in enumerate(behaviours, 1)}
    assert cpu[2] == pytest.approx(3 * cpu[1])
    fails = (streams["failure/web"].random(n) < 0.25) & (number == 2)
    assert (got.outcome == "failed").tolist() == fails.tolist()
    took = got.ended_at - got.arrived_at
    expected = np.ceil(np.where(number == 2, cpu[2], cpu[1]))
    assert (took == expected).all()
    assert 100 < fails.sum() < 300


def test_workers_and_queue_are_those_of_the_revision():
    region = exact_region(seed=SEED, record=Record(requests="full"))
    register(region, behaviour={"request": {"cpu": "1 s", "workers": 1, "queue": 0}})
    region.behave("web:2", {"request": {"cpu": "1 s", "workers": 1, "queue": 2}})
    register(region, behaviour={"request": {"cpu": "1 s", "workers": 1, "queue": 0}})
    for name, revision in (("one", "web:1"), ("two", "web:2")):
        group(region, name)
        service(region, name, 1, revision=revision, to=name)
        region.send_traffic(name, {"instants": ["10 s", "10.1 s", "10.2 s", "10.3 s"]})
    region.run(until="1 min")
    got = kept(region)
    outcomes = {name: sorted(rows.outcome) for name, rows in got.groupby("service")}
    assert outcomes == {"one": ["refused_503"] * 3 + ["served"], "two": ["refused_503"] + ["served"] * 3}


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


# zones


def test_without_cross_zone_every_zone_gets_its_share_whatever_its_targets():
    region = exact_region(seed=SEED, record=Record(requests="full"))
    register(region, behaviour={"request": QUICK})
    subnets = {"Subnets": ["subnet-a", "subnet-b", "subnet-c"]}
    group(region, balancer=subnets, attributes={"load_balancing__cross_zone__enabled": "false"})
    service(region, "web", 3, subnets=("subnet-a", "subnet-b"))
    region.send_traffic("web", {"constant": "20 /s"}, until="5 min")
    region.run(until="5 min")
    tasks = region.registry.clusters["default"].tasks
    zones = [task.zone for task in tasks.values()]
    assert sorted(zones) == ["us-east-1a", "us-east-1a", "us-east-1b"]
    got = kept(region)
    zone = got.task_id.map({name: task.zone for name, task in tasks.items()})
    # zone c has no target: DNS answers with a and b, and chance picks one of them
    entry = Streams(SEED)["entry/web"].random(len(got))
    assert zone.tolist() == np.where(entry < 0.5, "us-east-1a", "us-east-1b").tolist()
    counts = got.task_id.value_counts()
    alone = next(name for name, task in tasks.items() if task.zone == "us-east-1b")
    pair = [counts[name] for name in tasks if name != alone]
    assert abs(pair[0] - pair[1]) <= 1
    assert counts[alone] > 1.8 * max(pair)


def test_a_zone_leaves_dns_with_its_last_healthy_target_and_comes_back():
    region = exact_region(seed=SEED, record=Record(requests="full"))
    register(region, behaviour={"request": QUICK})
    subnets = {"Subnets": ["subnet-a", "subnet-b"]}
    target_group = group(
        region, balancer=subnets, attributes={"load_balancing__cross_zone__enabled": "false"}, HealthyThresholdCount=2
    )
    service(region, "web", 2, subnets=("subnet-a", "subnet-b"))
    region.send_traffic("web", {"constant": "20 /s", "process": "regular"}, until="5 min")
    ill = next(t for t in target_group.targets.values() if t.task.zone == "us-east-1b")
    seen = states(target_group, region)
    region.run(until="60 s")
    target_group.set_answering(ill, False)
    region.run(until="120 s")
    target_group.set_answering(ill, True)
    region.run(until="6 min")
    (gone, first), (back, second) = seen
    assert (first, second) == ("unhealthy", "healthy")
    # two checks each, 5 s apart
    assert 5 * US <= gone - 60 * US <= 10 * US + 5 * US
    assert 5 * US <= back - 120 * US <= 10 * US
    got = kept(region)
    got["ill"] = (got.task_id == ill.task.task_id) & (got.outcome == "served")
    assert not got[(got.arrived_at >= gone) & (got.arrived_at < back)].ill.any()
    assert set(got[(got.arrived_at >= gone) & (got.arrived_at < back)].outcome) == {"served"}
    # until the checks have found out, the zone's users got 502
    between = got[(got.arrived_at >= 60 * US) & (got.arrived_at < gone)]
    assert (between.outcome == "cut_502").sum() == pytest.approx(len(between) / 2, rel=0.25)
    assert got[got.arrived_at >= back].ill.mean() == pytest.approx(0.5, abs=0.05)


def test_a_target_in_a_zone_of_no_subnet_is_unused():
    region = exact_region(seed=SEED)
    register(region, behaviour={"request": QUICK})
    group(region, balancer={"Subnets": ["subnet-a"]})
    service(region, "web", 2, subnets=("subnet-a", "subnet-b"))
    health = region.elbv2.describe_target_health(TargetGroupArn="tg")["TargetHealthDescriptions"]
    assert sorted(h["TargetHealth"]["State"] for h in health) == ["healthy", "unused"]


# what users see


def test_502_from_a_target_that_does_not_listen_and_503_before_any_is_judged():
    region = exact_region(seed=SEED, record=Record(requests="full"))
    register(region, behaviour={"request": QUICK, "boot": "60 s"})
    target_group = group(region)
    region.ecs.create_service(
        serviceName="web",
        taskDefinition="web",
        desiredCount=1,
        launchType="FARGATE",
        networkConfiguration=network(),
        loadBalancers=behind(),
        healthCheckGracePeriodSeconds=300,
    )
    seen = states(target_group, region)
    region.send_traffic("web", {"constant": "10 /s", "process": "regular"}, until="4 min")
    region.run(until="5 min")
    [task] = region.registry.clusters["default"].tasks.values()
    (unhealthy_at, _), (healthy_at, _) = seen
    ready_at = task.boot_done_at
    got = kept(region)
    expected = np.select(
        [got.arrived_at < unhealthy_at, got.arrived_at < ready_at], ["no_target_503", "cut_502"], "served"
    )
    # it has failed open: the target serves from the end of its boot on, checks or no checks
    assert unhealthy_at < ready_at < healthy_at
    assert got.outcome.tolist() == expected.tolist()
    assert (got.ended_at == got.arrived_at)[got.outcome == "cut_502"].all()


def test_504_after_ten_seconds_from_a_target_that_cannot_be_reached():
    region = exact_region(seed=SEED, record=Record(requests="full"))
    region.registry.contact = lambda task, group: Contact(reachable=False)
    register(region, behaviour={"request": QUICK})
    target_group = group(region)
    service(region, "web", 1)
    seen = states(target_group, region)
    region.send_traffic("web", {"constant": "1 /s", "process": "regular"}, until="1 min")
    region.run(until="2 min")
    [(unhealthy_at, state)] = seen
    assert state == "unhealthy"
    # first check 5 s to 10 s after registration, the second 5 s later, and then its time-out of 2 s
    assert 12 * US <= unhealthy_at <= 17 * US
    got = kept(region)
    assert set(got.outcome) == {"timeout_504"}
    assert (got.ended_at - got.arrived_at == 10 * US).all()


def test_a_check_that_gets_the_wrong_answer_never_passes_while_requests_are_served():
    region = exact_region(seed=SEED, record=Record(requests="full"))
    region.registry.contact = lambda task, group: Contact(passes=False)
    register(region, behaviour={"request": QUICK})
    target_group = group(region)
    service(region, "web", 1)
    seen = states(target_group, region)
    region.send_traffic("web", {"constant": "1 /s"}, until="1 min")
    region.run(until="2 min")
    assert [state for _, state in seen] == ["unhealthy"]
    assert set(kept(region).outcome) == {"served"}


@pytest.mark.parametrize(
    ("settings", "seconds"),
    [({"HealthCheckIntervalSeconds": 30}, 150), ({"HealthyThresholdCount": 2}, 10)],
    ids=["defaults", "interval 5, threshold 2"],
)
def test_an_application_that_recovers_is_healthy_after_its_threshold_of_checks(settings, seconds):
    region = exact_region(seed=SEED)
    register(
        region, behaviour={"request": QUICK, "health": {"fails_after": "10 min", "recovers_after": "400.000001 s"}}
    )
    target_group = group(region, **settings)
    service(region, "web", 1)
    seen = states(target_group, region)
    region.run(until="10 min")
    assert seen == []
    region.run(until="40 min")
    (unhealthy_at, first), (healthy_at, second) = seen
    interval = settings.get("HealthCheckIntervalSeconds", 5) * US
    assert (first, second) == ("unhealthy", "healthy")
    # the second failed check after 600 s; the last of the passed ones is on the same grid
    assert 600 * US + interval <= unhealthy_at < 600 * US + 2 * interval
    assert (healthy_at - unhealthy_at) % interval == 0
    recovered_at = 600 * US + 400_000_001
    assert seconds * US - interval < healthy_at - recovered_at <= seconds * US


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
        target_group = region.registry.target_groups[name]
        service(region, name, 1, to=name)
        seen = found[name] = states(target_group, region)
        [target] = target_group.targets.values()
        region.kit.at(100 * US, lambda t=target, g=target_group: g.set_answering(t, False))
        assert seen == []
    region.run(until="5 min")
    [(plain, _)], [(own, _)] = found["plain"], found["own"]
    # the first check of a target that was there before begins with its illness: 5 s and a share of the interval later
    assert 100 + 5 + 2 * 20 <= plain / US <= 100 + 5 + 3 * 20
    assert 100 + 5 + 10 <= own / US <= 100 + 5 + 2 * 10
