"""Published targets V1 to V5 and Z5 to Z8, seen through the verbs of a region.

Sources: Amazon ECS Developer Guide, deployment-type-ecs.html (V1 to V4), container-instance-draining.html (V5),
service-event-messages-list.html (Z7, Z8); Amazon ECS API Reference, API_UpdateService.html (Z5, Z6).
"""

from __future__ import annotations

from collections import Counter

import pytest
from sim_helpers import exact_region, fleet, messages, network, register, seconds


def first_moves(desired: int, low: int, high: int) -> tuple[int, int, list[str]]:
    """How many new tasks start, and how many old ones stop, in the first step of a rolling update."""
    region = exact_region()
    register(region)
    region.ecs.create_service(
        serviceName="web",
        taskDefinition="web",
        desiredCount=desired,
        launchType="FARGATE",
        networkConfiguration=network(),
        deploymentConfiguration={"minimumHealthyPercent": 100, "maximumPercent": 200},
    )
    region.run(until="200 s")
    register(region)
    region.ecs.update_service(
        service="web",
        taskDefinition="web:2",
        deploymentConfiguration={"minimumHealthyPercent": low, "maximumPercent": high},
    )
    region.run(until="205 s")
    events = [text for at, text in messages(region) if at > 200]
    region.run(until="206 s")
    tasks = region.finish().tasks.frame()
    return int((tasks.revision == 2).sum()), int((tasks.stopping_at.map(seconds) == 205).sum()), events


@pytest.mark.parametrize(
    ("desired", "low", "high", "starts", "stops"),
    [(4, 50, 100, 0, 2), (2, 75, 100, 0, 0), (4, 100, 200, 4, 0), (3, 100, 125, 0, 0), (3, 100, 100, 0, 0)],
    ids=["V1", "V2", "V3", "V4", "V5"],
)
def test_v1_to_v5(desired, low, high, starts, stops):
    started, stopped, events = first_moves(desired, low, high)
    assert (started, stopped) == (starts, stops)
    stalled = any("unable to stop or start tasks during a deployment" in text for text in events)
    assert stalled == (starts == 0 and stops == 0)


def zones(region) -> Counter[str]:
    service = region.registry.service("default", "web")
    return Counter(t.zone for t in service.tasks.values() if t.alive)


def service(region, desired, **more):
    region.ecs.create_service(
        **{
            "serviceName": "web",
            "taskDefinition": "web",
            "desiredCount": desired,
            "launchType": "FARGATE",
            "networkConfiguration": network(),
            **more,
        }
    )


def change(region, desired):
    region.ecs.update_service(service="web", desiredCount=desired)
    region.run(until=region.now_us + 60_000_000)


def test_z5_a_task_goes_to_a_zone_with_the_fewest():
    region = exact_region()
    register(region)
    service(region, 1)
    region.run(until="60 s")
    for desired, counts in ((2, [0, 1, 1]), (3, [1, 1, 1]), (4, [1, 1, 2]), (7, [2, 2, 3])):
        change(region, desired)
        assert sorted(zones(region).get(f"us-east-1{z}", 0) for z in "abc") == counts


@pytest.mark.parametrize("seed", range(5))
def test_z6_a_task_leaves_a_zone_with_the_most(seed):
    region = exact_region(seed=seed)
    register(region)
    service(region, 5)
    region.run(until="60 s")
    before = zones(region)
    assert sorted(before.values()) == [1, 2, 2]
    change(region, 4)
    [zone] = (before - zones(region)).keys()
    assert before[zone] == 2


def test_z7_a_fixed_host_port_holds_one_task_an_instance():
    region = exact_region()
    fleet(region, 3)
    register(
        region,
        fargate=False,
        cpu=128,
        memory=256,
        container={"portMappings": [{"containerPort": 80, "hostPort": 80}]},
    )
    service(region, 4, launchType="EC2", networkConfiguration=None)
    region.run(until="120 s")
    assert sorted(zones(region).values()) == [1, 1, 1]
    [event] = {text for _, text in messages(region) if "unable to place" in text}
    assert "port" in event


def test_z8_one_task_of_1000_mib_on_an_instance_of_1024_mib():
    region = exact_region()
    # a c5.large registers 3,993 MiB: reserve all but 1,024 of them
    fleet(region, 2, agent={"ECS_RESERVED_MEMORY": 3993 - 1024})
    [one, _] = region.ecs.describe_container_instances(
        containerInstances=region.ecs.list_container_instances()["containerInstanceArns"]
    )["containerInstances"]
    assert {r["name"]: r.get("integerValue") for r in one["registeredResources"]}["MEMORY"] == 1024
    register(region, fargate=False, cpu=128, memory=1000)
    service(region, 3, launchType="EC2", networkConfiguration=None)
    region.run(until="120 s")
    instances = Counter(t.instance for t in region.registry.service("default", "web").tasks.values())
    assert list(instances.values()) == [1, 1]
    [event] = {text for _, text in messages(region) if "unable to place" in text}
    assert "memory" in event


def test_z5_on_ec2_ties_go_to_the_instance_with_the_fewest_tasks_of_the_service():
    region = exact_region()
    fleet(region, 6, kind="m5.xlarge")
    register(region, fargate=False, cpu=128, memory=256)
    service(region, 6, launchType="EC2", networkConfiguration=None)
    region.run(until="60 s")
    assert sorted(zones(region).values()) == [2, 2, 2]
    instances = Counter(t.instance for t in region.registry.service("default", "web").tasks.values())
    assert set(instances.values()) == {1}
