"""Targets behind a balancer: each revision's own work, health, zones, and what users see when it goes wrong."""

from __future__ import annotations

import numpy as np
import pytest
from balancer_helpers import QUICK, SEED, US, group, kept, service, states
from sim_helpers import behind, exact_region, network, register

from fargsim.model.scenario import Record
from fargsim.sim.streams import Streams, sampler
from fargsim.sim.target_health import Contact

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


def test_503_before_any_target_is_registered_and_502_from_one_that_does_not_listen():
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
    # RUNNING at 20 s, registered 5 s later
    expected = np.select([got.arrived_at < 25 * US, got.arrived_at < ready_at], ["no_target_503", "cut_502"], "served")
    # it has failed open: the target serves from the end of its boot on, checks or no checks
    assert 25 * US < unhealthy_at < ready_at < healthy_at
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


@pytest.mark.parametrize(
    ("settings", "balancer", "seconds"),
    [
        ({}, {}, 60),
        ({}, {"Attributes": [{"Key": "idle_timeout.timeout_seconds", "Value": "5"}]}, 5),
        ({"Protocol": "TCP"}, {"Type": "network"}, 350),
    ],
    ids=["default", "5 s", "network"],
)
def test_a_request_ends_in_504_when_the_balancer_has_waited_long_enough(settings, balancer, seconds):
    region = exact_region(seed=SEED, record=Record(requests="full"))
    register(region, behaviour={"request": {"cpu": "1 ms", "wait": {"uniform": {"min": "1 s", "max": "400 s"}}}})
    group(region, balancer=balancer, **settings)
    service(region, "web", 1)
    region.send_traffic("web", {"constant": "5 /s", "process": "regular"}, until="1 min")
    region.run(until="20 min")
    got = kept(region)
    took = got.ended_at - got.arrived_at
    late = got.outcome == "timeout_504"
    assert (took[late] == seconds * US).all()
    assert (took[~late] < seconds * US).all()
    assert set(got.outcome) == {"served", "timeout_504"}
    assert late.mean() == pytest.approx(1 - (seconds - 1) / 399, abs=0.06)


@pytest.mark.parametrize(
    ("settings", "balancer"), [({}, {}), ({"Protocol": "TCP"}, {"Type": "network"})], ids=["application", "network"]
)
@pytest.mark.parametrize("cancels", [False, True])
def test_clients_that_wait_less_than_the_balancer_leave_and_the_task_works_on_unless_it_cancels(
    settings, balancer, cancels
):
    """load-balancer-troubleshooting.html (HTTP 460). One worker, 3 s for each of two requests, clients who wait 2 s."""
    region = exact_region(seed=SEED, record=Record(requests="full"))
    request = {"cpu": "3 s", "workers": 1, "cancel_on_timeout": cancels}
    register(region, cpu=1024, behaviour={"request": request})
    group(region, balancer={**balancer, "client_timeout": "2 s"}, **settings)
    service(region, "web", 1)
    region.send_traffic("web", {"instants": ["10 s", "11 s", "30 s"]})
    region.run(until="2 min")
    got = kept(region)
    rows = region.kit.recorder.services.frame()
    assert got.outcome.tolist() == ["client_closed_460"] * 3
    assert (got.ended_at - got.arrived_at).tolist() == [2 * US] * 3
    assert rows.requests_client_closed_460.sum() == 3
    assert rows.requests_timeout_504.sum() == 0
    tasks = region.kit.recorder.tasks.frame()
    # one that cancels works 2 s for the first, and for the second from 12 to 13; the others 3 s for each
    assert tasks.cpu_core_s.sum() == pytest.approx(2 + 1 + 2 if cancels else 9)
    table = region.kit.recorder.load_balancers.frame()
    assert table.http_code_elb_4xx_count.sum() == 3
    assert table.http_code_elb_5xx_count.sum() == 0


@pytest.mark.parametrize(
    ("minimum", "reached"),
    [({}, 1), ({"count": 2}, 4), ({"percentage": 25}, 1), ({"percentage": 26}, 4), ({"count": 1, "percentage": 50}, 4)],
)
def test_too_few_healthy_targets_by_the_target_groups_own_minimum(minimum, reached):
    region = exact_region(seed=SEED, record=Record(requests="full"))
    register(region, behaviour={"request": QUICK})
    key = "target_group_health__unhealthy_state_routing__minimum_healthy_targets__"
    target_group = group(region, attributes={key + name: value for name, value in minimum.items()})
    service(region, "web", 4)
    for ill in list(target_group.targets.values())[1:]:
        target_group.set_answering(ill, False, listening=True)  # checks fail, requests are served
    region.run(until="1 min")
    region.send_traffic("web", {"constant": "4 /s", "process": "regular"}, until="2 min")
    region.run(until="2 min")
    got = kept(region)
    assert set(got.outcome) == {"served"}
    assert got.task_id.nunique() == reached


def test_a_zone_leaves_dns_by_the_target_groups_own_minimum():
    def reached(minimum: int) -> set[str]:
        region = exact_region(seed=SEED, record=Record(requests="full"))
        register(region, behaviour={"request": QUICK})
        attributes = {
            "load_balancing__cross_zone__enabled": "false",
            "target_group_health__dns_failover__minimum_healthy_targets__count": minimum,
        }
        target_group = group(region, balancer={"Subnets": ["subnet-a", "subnet-b"]}, attributes=attributes)
        service(region, "web", 4, subnets=("subnet-a", "subnet-b"))
        ill = next(t for t in target_group.targets.values() if t.task.zone == "us-east-1b")
        target_group.set_answering(ill, False)
        region.run(until="1 min")
        region.send_traffic("web", {"constant": "10 /s"}, until="2 min")
        region.run(until="2 min")
        zones = {t.task.task_id: t.task.zone for t in target_group.targets.values()}
        return set(kept(region).task_id.map(zones))

    # one healthy target is left in zone b
    assert reached(1) == {"us-east-1a", "us-east-1b"}
    assert reached(2) == {"us-east-1a"}
