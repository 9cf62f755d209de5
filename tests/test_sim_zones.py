"""Availability zones on exact regions: rebalancing, outages, impairments, lost capacity, retirement."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
from shift_helpers import front
from shift_helpers import service as service_behind_both
from sim_helpers import SUBNETS, exact_region, fleet, messages, network, register, seconds

from fargsim import Region
from fargsim.sim.errors import AwsError

A, B, C = SUBNETS.values()


def web(region: Region, desired: int = 4, *subnets: str, **more: Any) -> None:
    region.ecs.create_service(
        **{
            "serviceName": "web",
            "taskDefinition": "web",
            "desiredCount": desired,
            "launchType": "FARGATE",
            "networkConfiguration": network(*subnets),
            **more,
        }
    )


def on_ec2(region: Region, desired: int, **more: Any) -> None:
    web(region, desired, **{"launchType": "EC2", "networkConfiguration": None, **more})


def where(region: Region, service: str = "web") -> dict[str, int]:
    """Living tasks by zone."""
    tasks = region.registry.service("default", service).tasks.values()
    return dict(Counter(t.zone for t in tasks if t.alive))


def named(region: Region, part: str = "REBALANC") -> list[tuple[float, str]]:
    """Events whose name has a part, with their names."""
    events = region.kit.recorder.events.frame()
    return [(seconds(row.at), row.event_name) for row in events.itertuples() if part in row.event_name]


def take_capacity(region: Region, *zones: str, seconds_: int = 120, option: str = "on_demand") -> None:
    region.registry.fargate.capacity.withdraw(zones, (option,), seconds_ * 1_000_000)


# --- rebalancing


def test_a_service_is_balanced_when_capacity_is_back_by_hand() -> None:
    """Z1 in the region. Two tasks, two zones, no capacity in b until 120 s: both are in a.

    Created at 5 s, RUNNING at 20 s, healthy at 60 s: steady, so rebalancing begins at 120 s: when b is back. One task starts in b (RUNNING
    at 135 s, healthy at 175 s), then the newest of a stops: SIGTERM at 175 s, gone at 183 s.
    """
    region = exact_region()
    register(region)
    take_capacity(region, B)
    web(region, 2, "subnet-a", "subnet-b")
    region.run(until="100 s")
    assert where(region) == {A: 2}
    region.run(until="5 min")
    assert where(region) == {A: 1, B: 1}
    said = [(at, text) for at, text in messages(region) if "AZ" in text or "steady" in text]
    assert said == [
        (60, "has reached a steady state."),
        (120, f"is not AZ balanced with 2 tasks in {A}, 0 tasks in {B}. AZ Rebalancing in progress."),
        (120, f"has started 1 tasks in {B} to AZ Rebalance"),
        (175, f"has stopped 1 running tasks in {A} due to AZ rebalancing"),
        (183, f"is AZ balanced with 1 tasks in {A}, 1 tasks in {B}."),
        (183, "has reached a steady state."),
    ]
    assert named(region) == [(120, "SERVICE_REBALANCING_STARTED"), (183, "SERVICE_REBALANCING_COMPLETED")]
    rows = region.kit.recorder.tasks.frame()
    [stopped] = rows[rows.stopped_at.notna()].itertuples()
    [deployment] = region.registry.service("default", "web").deployments
    assert stopped.stopped_reason == (
        f"Availability-zone rebalancing initiated by (deployment {deployment.deployment_id})"
    )
    assert (stopped.stop_code, seconds(stopped.stopping_at)) == ("ServiceSchedulerInitiated", 175)


def test_nothing_is_tried_again_before_the_zone_has_capacity() -> None:
    region = exact_region()
    register(region)
    take_capacity(region, B, seconds_=1800)
    web(region, 4, "subnet-a", "subnet-b")
    region.run(until="29 min")
    assert where(region) == {A: 4}
    assert [name for _, name in named(region)] == ["SERVICE_REBALANCING_STARTED", "SERVICE_REBALANCING_STOPPED"]
    failures = [text for _, text in messages(region) if text.startswith("is unable")]
    assert failures == [f"is unable to place a task in {B}."]
    before = len(region.kit.recorder.events)
    region.run(until="40 min")
    assert where(region) == {A: 2, B: 2}
    assert len(region.kit.recorder.events) > before
    assert named(region)[2][0] == 1800 + 60


def test_a_balanced_service_and_one_that_is_off_do_nothing() -> None:
    for more in ({}, {"availabilityZoneRebalancing": "DISABLED"}):
        region = exact_region()
        register(region)
        if more:
            take_capacity(region, B)
        web(region, 5, "subnet-a", "subnet-b", **more)
        region.run(until="1 h")
        assert named(region) == []
        assert sum(where(region).values()) == 5


def test_an_update_turns_it_on_and_off_without_a_deployment() -> None:
    region = exact_region()
    register(region)
    take_capacity(region, B)
    web(region, 2, "subnet-a", "subnet-b", availabilityZoneRebalancing="DISABLED")
    region.run(until="10 min")
    assert where(region) == {A: 2}
    region.ecs.update_service(service="web", availabilityZoneRebalancing="ENABLED")
    region.run(until="15 min")
    assert where(region) == {A: 1, B: 1}
    assert len(region.registry.service("default", "web").rollouts.all) == 1
    assert region.ecs.describe_services(services=["web"])["services"][0]["availabilityZoneRebalancing"] == "ENABLED"


@pytest.mark.parametrize(
    ("more", "default"),
    [
        ({}, "ENABLED"),
        ({"deploymentConfiguration": {"maximumPercent": 100, "minimumHealthyPercent": 50}}, "DISABLED"),
    ],
)
def test_the_default_is_on_where_the_service_can_have_it(more: dict[str, Any], default: str) -> None:
    region = exact_region()
    register(region)
    web(region, 1, **more)
    assert region.ecs.describe_services(services=["web"])["services"][0]["availabilityZoneRebalancing"] == default


def test_asked_for_where_it_cannot_be_is_refused() -> None:
    region = exact_region()
    register(region)
    with pytest.raises(AwsError, match="maximumPercent is 100") as refusal:
        web(
            region,
            availabilityZoneRebalancing="ENABLED",
            deploymentConfiguration={"maximumPercent": 100, "minimumHealthyPercent": 50},
        )
    assert refusal.value.code == "InvalidParameterException"


def test_a_deployment_interrupts_it() -> None:
    region = exact_region()
    register(region)
    take_capacity(region, B)
    web(region, 4, "subnet-a", "subnet-b")
    region.run(until="130 s")
    region.ecs.update_service(service="web", forceNewDeployment=True)
    region.run(until="10 min")
    names = [name for _, name in named(region)]
    assert names[:2] == ["SERVICE_REBALANCING_STARTED", "SERVICE_REBALANCING_STOPPED"]
    # the new tasks were spread beside the old ones of a, so that more of them are in b: that is put right afterwards
    assert names[2:] == ["SERVICE_REBALANCING_STARTED", "SERVICE_REBALANCING_COMPLETED"]
    assert where(region) == {A: 2, B: 2}
    assert region.registry.service("default", "web").running == 4


def test_protected_tasks_stay_and_the_event_says_so() -> None:
    region = exact_region()
    register(region)
    take_capacity(region, B)
    web(region, 2, "subnet-a", "subnet-b")
    region.run(until="130 s")
    old = [t for t in region.registry.service("default", "web").tasks.values() if t.zone == A]
    region.ecs.update_task_protection(
        cluster="default", tasks=[t.task_id for t in old], protectionEnabled=True, expiresInMinutes=60
    )
    region.run(until="30 min")
    assert [name for _, name in named(region, "_FAILURE")] == ["TASKSET_SCALE_IN_FAILURE_BY_TASK_PROTECTION"]
    assert named(region)[-1][1] == "SERVICE_REBALANCING_STOPPED"
    assert sum(where(region).values()) == 2
    assert all(t.alive for t in old)
    started = len(region.kit.recorder.tasks) + 2
    region.run(until="60 min")
    assert len(region.kit.recorder.tasks) + 2 == started, "nothing starts while nobody may stop"
    region.run(until="90 min")
    assert where(region) == {A: 1, B: 1}, "the protection has ended"


def test_as_many_rounds_as_the_upper_bound_asks_for() -> None:
    """Six tasks in a, none in b; one more may start at a time (maximumPercent 120): three rounds."""
    region = exact_region()
    register(region)
    take_capacity(region, B, seconds_=90)
    web(region, 6, "subnet-a", "subnet-b", deploymentConfiguration={"maximumPercent": 120})
    service = region.registry.service("default", "web")
    most = 0
    for second in range(10, 600):
        region.run(until=f"{second} s")
        most = max(most, len(service.tasks))
    assert where(region) == {A: 3, B: 3}
    assert most == 7
    starts = [text for _, text in messages(region) if "to AZ Rebalance" in text]
    assert len(starts) == 3
    assert [name for _, name in named(region)] == ["SERVICE_REBALANCING_STARTED", "SERVICE_REBALANCING_COMPLETED"]


def test_fargate_and_fargate_spot_are_balanced_each_on_its_own() -> None:
    """b has neither at first: Spot tasks are back in balance although all tasks together would be."""
    region = exact_region()
    register(region)
    for option in ("on_demand", "spot"):
        take_capacity(region, B, option=option)
    strategy = [{"capacityProvider": "FARGATE", "weight": 1}, {"capacityProvider": "FARGATE_SPOT", "weight": 1}]
    web(region, 4, "subnet-a", "subnet-b", launchType=None, capacityProviderStrategy=strategy)
    region.run(until="10 min")
    tasks = [t for t in region.registry.service("default", "web").tasks.values() if t.alive]
    assert Counter((t.capacity_provider, t.zone) for t in tasks) == {
        ("FARGATE", A): 1,
        ("FARGATE", B): 1,
        ("FARGATE_SPOT", A): 1,
        ("FARGATE_SPOT", B): 1,
    }


def test_on_ec2_a_new_zone_gets_its_share_and_no_instance_is_launched_for_it() -> None:
    region = exact_region()
    register(region, cpu=256, memory=256, fargate=False)
    fleet(region, 1, zones=1, name="one")
    fleet(region, 0, name="two", AvailabilityZones=[B])
    on_ec2(region, 4)
    region.run(until="10 min")
    assert where(region) == {A: 4}
    assert named(region) == []
    region.autoscaling.set_desired_capacity(AutoScalingGroupName="two", DesiredCapacity=1)
    region.run(until="20 min")
    assert where(region) == {A: 2, B: 2}
    assert [name for _, name in named(region)] == ["SERVICE_REBALANCING_STARTED", "SERVICE_REBALANCING_COMPLETED"]
    assert len(region.registry.cluster("default").instances_by_row) == 2


def test_a_full_instance_in_the_other_zone_is_told_once_and_tried_when_it_has_room() -> None:
    region = exact_region()
    register(region, cpu=512, memory=512, fargate=False)
    register(region, "job", cpu=2048, memory=512, fargate=False)
    fleet(region, 2, zones=2)
    full = region.ecs.run_task(
        taskDefinition="job",
        launchType="EC2",
        placementConstraints=[{"type": "memberOf", "expression": f"attribute:ecs.availability-zone == {B}"}],
    )["tasks"][0]["taskArn"]
    on_ec2(region, 3)
    region.run(until="20 min")
    assert where(region) == {A: 3}
    failures = [text for _, text in messages(region) if text.startswith("is unable")]
    assert failures == [f"is unable to place a task in {B} because no container instance met all of its requirements."]
    region.ecs.stop_task(task=full)
    region.run(until="30 min")
    assert where(region) == {A: 2, B: 1}


def test_a_service_that_loses_it_by_another_change_has_none_meanwhile() -> None:
    region = exact_region()
    register(region)
    take_capacity(region, B)
    web(region, 2, "subnet-a", "subnet-b")
    bounds = {"maximumPercent": 100, "minimumHealthyPercent": 50}
    region.ecs.update_service(service="web", deploymentConfiguration=bounds)
    region.run(until="10 min")
    assert where(region) == {A: 2}
    region.ecs.update_service(service="web", deploymentConfiguration={"maximumPercent": 200})
    region.run(until="20 min")
    assert where(region) == {A: 1, B: 1}


def test_a_blue_green_service_is_balanced_too_when_no_deployment_is_under_way() -> None:
    region = exact_region()
    register(region)
    front(region)
    take_capacity(region, B, seconds_=300)
    configuration = {"strategy": "BLUE_GREEN", "bakeTimeInMinutes": 0}
    service_behind_both(region, configuration, networkConfiguration=network("subnet-a", "subnet-b"))
    region.run(until="4 min")
    assert where(region) == {A: 2}
    region.run(until="15 min")
    assert where(region) == {A: 1, B: 1}
    assert named(region)[-1][1] == "SERVICE_REBALANCING_COMPLETED"
    region.ecs.update_service(service="web", forceNewDeployment=True)
    region.run(until="30 min")
    assert sum(where(region).values()) == 2


def test_a_zone_without_fargate_is_left_out() -> None:
    """Tasks go to the other zones, and two of them are in balance; a standalone task goes nowhere else either."""
    subnets = [{"SubnetId": name, "AvailabilityZone": zone} for name, zone in SUBNETS.items()]
    region = exact_region(surroundings={"network": {"subnets": subnets, "zones_without_fargate": [B]}})
    register(region)
    web(region, 4)
    region.run(until="10 min")
    assert where(region) == {A: 2, C: 2}
    assert named(region) == []
    for _ in range(10):
        answer = region.ecs.run_task(taskDefinition="web", launchType="FARGATE", networkConfiguration=network())
        assert answer["tasks"][0]["availabilityZone"] in (A, C)
    answer = region.ecs.run_task(taskDefinition="web", launchType="FARGATE", networkConfiguration=network("subnet-b"))
    assert [failure["reason"] for failure in answer["failures"]] == ["INTERNAL"]
