"""States of targets: why they are not healthy, how they leave, what ends with them, and what checks cost."""

from __future__ import annotations

import pytest
from balancer_helpers import QUICK, SEED, US, group, kept, service, states
from sim_helpers import behind, exact_region, network, register

from fargsim import Region
from fargsim.model.scenario import Record
from fargsim.sim.target_health import Contact

# why


def of_target(region: Region, target_group: str = "tg") -> list[tuple[str, str | None, str | None]]:
    found = region.elbv2.describe_target_health(TargetGroupArn=target_group)["TargetHealthDescriptions"]
    return [(h["State"], h.get("Reason"), h.get("Description")) for h in (d["TargetHealth"] for d in found)]


def test_describe_target_health_says_why():
    region = exact_region(seed=SEED)
    register(region, behaviour={"request": QUICK, "boot": "60 s"})
    group(region, attributes={"deregistration_delay__timeout_seconds": 30}, HealthCheckIntervalSeconds=20)
    region.ecs.create_service(
        serviceName="web",
        taskDefinition="web",
        desiredCount=1,
        launchType="FARGATE",
        networkConfiguration=network(),
        loadBalancers=behind(),
        healthCheckGracePeriodSeconds=300,
    )
    seen = []
    for at in range(21, 200):
        region.run(until=f"{at} s")
        now = of_target(region)
        seen += [] if now == seen[-1:] else now
    assert seen == [
        ("initial", "Elb.RegistrationInProgress", "Target registration is in progress"),
        ("initial", "Elb.InitialHealthChecking", "Initial health checks in progress"),
        ("unhealthy", "Target.FailedHealthChecks", "Health checks failed"),
        ("healthy", None, None),
    ]
    region.ecs.update_service(service="web", desiredCount=0)
    region.run(until="210 s")
    assert of_target(region) == [
        ("draining", "Target.DeregistrationInProgress", "Target deregistration is in progress")
    ]
    region.run(until="250 s")
    assert of_target(region) == []


@pytest.mark.parametrize(
    ("contact", "reason"),
    [
        (Contact(reachable=False, reason="Request timed out"), "Target.Timeout"),
        (Contact(passes=False, reason="Health checks failed with these codes: [404]"), "Target.ResponseCodeMismatch"),
    ],
)
def test_reasons_of_checks_that_never_pass(contact, reason):
    region = exact_region(seed=SEED)
    region.registry.contact = lambda task, group: contact
    register(region, behaviour={"request": QUICK})
    group(region)
    service(region, "web", 1)
    region.run(until="1 min")
    assert of_target(region) == [("unhealthy", reason, contact.reason)]


# deregistration


def test_requests_that_outlive_the_deregistration_delay_end_in_502():
    region = exact_region(seed=SEED, record=Record(requests="full"))
    register(region, behaviour={"request": {"cpu": "1 ms", "wait": {"uniform": {"min": "5 s", "max": "55 s"}}}})
    target_group = group(region, attributes={"deregistration_delay__timeout_seconds": 30})
    service(region, "web", 1)
    region.send_traffic("web", {"constant": "2 /s", "process": "regular"}, until="100 s")
    region.run(until="100 s")
    region.ecs.update_service(service="web", desiredCount=0)
    region.run(until="5 min")
    [task] = region.registry.clusters["default"].stopped.values()
    assert task.stopping_at == 135 * US  # 5 s until ECS acts, 30 s of draining: all of them
    got = kept(region)
    draining = got[got.arrived_at < 105 * US]
    assert set(draining.outcome) == {"served", "cut_502"}
    cut = draining[draining.outcome == "cut_502"]
    assert len(cut) > 5
    assert (cut.ended_at == 135 * US).all()
    # the others were answered in time, many of them while the target was draining
    assert (draining[draining.outcome == "served"].ended_at <= 135 * US).all()
    assert (draining[draining.outcome == "served"].ended_at > 105 * US).sum() > 10
    assert target_group.targets == {}


def test_a_task_behind_two_target_groups_waits_for_the_longer_delay():
    region = exact_region(seed=SEED)
    register(region, behaviour={"request": QUICK})
    group(region, "one", attributes={"deregistration_delay__timeout_seconds": 20})
    group(region, "two", attributes={"deregistration_delay__timeout_seconds": 70})
    region.ecs.create_service(
        serviceName="web",
        taskDefinition="web",
        desiredCount=1,
        launchType="FARGATE",
        networkConfiguration=network(),
        loadBalancers=[*behind("one"), *behind("two")],
    )
    region.run(until="100 s")
    [task] = region.registry.clusters["default"].tasks
    region.ecs.stop_task(task=task)
    region.run(until="130 s")
    groups = region.registry.target_groups
    assert task not in groups["one"].targets
    assert groups["two"].targets[task].state == "draining"
    region.run(until="4 min")
    # the whole delay, whoever stops it and whether or not a request is left
    assert region.registry.clusters["default"].stopped[task].stopping_at == 170 * US


# Network Load Balancers


@pytest.mark.parametrize("terminates", [True, False])
def test_a_network_load_balancer_ends_the_flows_of_a_target_that_becomes_unhealthy(terminates):
    region = exact_region(seed=SEED, record=Record(requests="full"))
    register(region, behaviour={"request": {"cpu": "1 ms", "wait": "40 s"}})
    attributes = {} if terminates else {
        "target_health_state__unhealthy__connection_termination__enabled": "false",
        "target_health_state__unhealthy__draining_interval_seconds": 60,
    }  # fmt: skip
    target_group = group(region, Protocol="TCP", balancer={"Type": "network"}, attributes=attributes)
    service(region, "web", 2, subnets=("subnet-a",))
    ill = next(iter(target_group.targets.values()))
    seen = states(target_group, region)
    region.send_traffic("web", {"constant": "2 /s", "process": "regular"}, until="60 s")
    region.run(until="60 s")
    # checks fail from now on, whatever becomes of requests
    target_group.set_answering(ill, False, listening=True)
    region.run(until="3 min")
    [(at, state)] = seen
    assert state == "unhealthy"
    got = kept(region)
    held = got[(got.task_id == ill.task.task_id) & (got.arrived_at + 40 * US > at)]
    assert len(held) > 5
    if terminates:
        assert set(held.outcome) == {"cut_502"}
        assert (held.ended_at == at).all()
    else:
        assert set(held.outcome) == {"served"}
    rest = got.drop(held.index)
    assert set(rest.outcome) == {"served"}


def test_a_target_drains_first_where_its_flows_are_left_alone():
    region = exact_region(seed=SEED)
    register(region, behaviour={"request": QUICK})
    attributes = {
        "target_health_state__unhealthy__connection_termination__enabled": "false",
        "target_health_state__unhealthy__draining_interval_seconds": 60,
    }
    target_group = group(region, Protocol="TCP", balancer={"Type": "network"}, attributes=attributes)
    service(region, "web", 1)
    [target] = target_group.targets.values()
    seen = states(target_group, region)
    region.run(until="60 s")
    target_group.set_answering(target, False)
    region.run(until="90 s")
    [(at, _)] = seen
    assert of_target(region) == [("unhealthy.draining", "Target.FailedHealthChecks", "Health checks failed")]
    region.run(until=at + 60 * US)
    assert of_target(region) == [("unhealthy", "Target.FailedHealthChecks", "Health checks failed")]


# cost


@pytest.mark.parametrize("kind", [{}, {"Protocol": "TCP", "balancer": {"Type": "network"}}])
def test_checks_cost_nothing_while_nothing_changes(kind):
    def events(interval: int) -> int:
        region = exact_region(seed=SEED)
        register(region, behaviour={"request": QUICK, "health": {"fails_after": "5 h", "recovers_after": "2 h"}})
        group(region, HealthCheckIntervalSeconds=interval, **kind)
        service(region, "web", 5)
        region.run(until="12 h")
        return next(region.kit.env._eid)  # every event that was ever scheduled

    # 43,200 checks of the five targets or 720: two turns each
    assert events(5) == events(300)


def test_targets_of_a_group_that_no_rule_forwards_to_are_unused():
    region = exact_region(seed=SEED)
    register(region, behaviour={"request": QUICK})
    group(region)
    service(region, "web", 1)
    region.elbv2.create_target_group(Name="other")
    region.elbv2.modify_listener(
        ListenerArn="lb-tg:80", DefaultActions=[{"Type": "forward", "TargetGroupArn": "other"}]
    )
    assert of_target(region) == [
        (
            "unused",
            "Target.NotInUse",
            "Target group is not configured to receive traffic from the load balancer",
        )
    ]
