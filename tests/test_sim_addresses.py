"""Addresses of subnets: a task in ``awsvpc`` mode takes one, or does not come past PROVISIONING."""

from __future__ import annotations

import pytest
from sim_helpers import exact_region, network, stamps, statuses
from test_sim_mistakes import define, run, subnet


def test_a_subnet_without_addresses_fails_the_task_in_provisioning():
    region = exact_region(surroundings={"network": {"subnets": [subnet(AvailableIpAddressCount=0)]}})
    define(region)
    told = run(region, public=True)
    assert statuses(region) == [[(0, "PROVISIONING"), (180, "STOPPED")]]
    assert (told["stopCode"], told["stoppedReason"]) == (
        "TaskFailedToStart",
        "Unexpected EC2 error while attempting to Create Network Interface with public IP assignment enabled in subnet 'subnet-a': "
        "InsufficientFreeAddressesInSubnet",
    )
    assert set(stamps(region, told["taskArn"])) == {"createdAt", "stoppedAt"}


def test_an_address_that_is_given_back_goes_to_the_task_that_waits():
    region = exact_region(surroundings={"network": {"subnets": [subnet(AvailableIpAddressCount=1)]}})
    define(region)
    placed = {"taskDefinition": "web", "launchType": "FARGATE", "networkConfiguration": network("subnet-a")}
    first, _ = region.ecs.run_task(**placed, count=2)["tasks"]
    region.run(until="50 s")
    region.ecs.stop_task(task=first["taskArn"])
    region.run(until="200 s")
    # stopping takes 1 s, detaching the interface 7 s; only then is the address free
    assert statuses(region)[0][-2:] == [(51, "DEPROVISIONING"), (58, "STOPPED")]
    assert statuses(region)[1] == [(0, "PROVISIONING"), (62, "PENDING"), (68, "ACTIVATING"), (73, "RUNNING")]


@pytest.mark.parametrize(("said", "running"), [({}, 11), ({"AvailableIpAddressCount": 3}, 3)])
def test_a_subnet_has_the_addresses_of_its_block_but_five_unless_it_says_how_many_are_free(said, running):
    around = {"network": {"subnets": [subnet(CidrBlock="10.0.0.0/28", **said)]}}
    region = exact_region(surroundings=around)
    define(region)
    placed = {"taskDefinition": "web", "launchType": "FARGATE", "networkConfiguration": network("subnet-a")}
    for _ in range(2):
        region.ecs.run_task(**placed, count=7)
    region.run(until="400 s")
    assert [life[-1][1] for life in statuses(region)] == ["RUNNING"] * running + ["STOPPED"] * (14 - running)


@pytest.mark.parametrize(("said", "more"), [({}, 2), ({"AvailableIpAddressCount": 3}, 3)])
def test_tasks_that_were_there_before_have_addresses_of_the_block(said, more):
    region = exact_region(surroundings={"network": {"subnets": [subnet(CidrBlock="10.0.0.0/28", **said)]}})
    define(region)
    placed = {"taskDefinition": "web", "launchType": "FARGATE", "networkConfiguration": network("subnet-a")}
    region.ecs.create_service(serviceName="web", desiredCount=9, **placed)
    region.registry.service("default", "web").settle()
    region.ecs.run_task(**placed, count=5)
    region.run(until="400 s")
    assert [life[-1][1] for life in statuses(region)] == ["RUNNING"] * (9 + more) + ["STOPPED"] * (5 - more)


def test_another_subnet_of_the_zone_helps_out():
    subnets = [subnet(AvailableIpAddressCount=1), subnet(SubnetId="subnet-b", AvailableIpAddressCount=1)]
    region = exact_region(surroundings={"network": {"subnets": subnets}})
    define(region)
    region.ecs.run_task(
        taskDefinition="web", launchType="FARGATE", networkConfiguration=network("subnet-a", "subnet-b"), count=3
    )
    region.run(until="400 s")
    assert [life[-1][1] for life in statuses(region)] == ["RUNNING", "RUNNING", "STOPPED"]


def test_a_task_that_is_stopped_while_it_waits_leaves_the_queue():
    region = exact_region(surroundings={"network": {"subnets": [subnet(AvailableIpAddressCount=1)]}})
    define(region)
    placed = {"taskDefinition": "web", "launchType": "FARGATE", "networkConfiguration": network("subnet-a")}
    first, second, _ = region.ecs.run_task(**placed, count=3)["tasks"]
    region.run(until="30 s")
    region.ecs.stop_task(task=second["taskArn"])
    region.ecs.stop_task(task=first["taskArn"])
    region.run(until="100 s")
    assert [life[-1] for life in statuses(region)] == [(38, "STOPPED"), (37, "STOPPED"), (53, "RUNNING")]
