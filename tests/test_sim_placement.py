"""Placement in the region: what is kept of every decision, the two ledgers, and what rules an instance out."""

from __future__ import annotations

from typing import Any

import pandas as pd
import pytest
from sim_helpers import associate, exact_region, fleet, network, register, statuses

from fargsim import Region
from fargsim.model.scenario import Record

FULL = Record(placements="full")
ON_CP = [{"capacityProvider": "cp", "weight": 1}]


def steps(region: Region, **where: Any) -> pd.DataFrame:
    found = region.kit.recorder.placement_steps.frame()
    for name, value in where.items():
        found = found[found[name] == value]
    return found


def busy(record: Record) -> Region:
    """A region with every kind of decision: instances, a waiting line, Fargate providers, scale-in."""
    region = exact_region(record=record)
    fleet(region, 1, name="plain")
    fleet(region, 0, name="managed")
    region.ecs.create_capacity_provider(
        name="cp", autoScalingGroupProvider={"autoScalingGroupArn": "managed", "managedScaling": {"status": "ENABLED"}}
    )
    associate(region, "cp")
    register(region, "job", cpu=512, memory=512, fargate=False)
    register(region, "web")
    region.ecs.run_task(taskDefinition="job", count=6, launchType="EC2")
    region.ecs.run_task(taskDefinition="job", count=3, capacityProviderStrategy=ON_CP)
    region.ecs.create_service(
        serviceName="web",
        taskDefinition="web",
        desiredCount=4,
        networkConfiguration=network(),
        capacityProviderStrategy=[
            {"capacityProvider": "FARGATE", "weight": 1},
            {"capacityProvider": "FARGATE_SPOT", "weight": 1},
        ],
    )
    region.run(until="4 min")
    region.ecs.update_service(service="web", desiredCount=2)
    region.run(until="10 min")
    return region


def test_full_records_change_nothing_but_the_table_of_steps() -> None:
    told, plain = busy(FULL), busy(Record())
    after, before = told.finish().tables(), plain.finish().tables()
    assert len(before["placement_steps"]) == 0 < len(after["placement_steps"])
    for name in before:
        if name != "placement_steps":
            pd.testing.assert_frame_equal(after[name], before[name])


def test_every_instance_has_one_row_a_step_to_the_first_it_fails() -> None:
    region = busy(FULL)
    found = steps(region, candidate_type="instance", kind="place", group="family:job")
    for _, rows in found.groupby(["decision", "candidate"]):
        assert rows["passed"].tolist()[:-1] == [True] * (len(rows) - 1)
    placed = region.kit.recorder.placements.frame()
    # an attempt that found no place has no task, and its rows end with the failure
    lost = found[found["task_id"].isna() & ~found["passed"]]
    assert set(lost["reason"]) == {"RESOURCE:CPU"}
    assert lost["needed"].tolist() == ["512 CPU units"] * len(lost)
    assert lost["found"].tolist() == ["0 CPU units free"] * len(lost)
    assert lost["decision"].nunique() == (placed["outcome"] == "failed").sum() == 2


def test_a_waiting_task_has_its_first_look_its_tries_and_who_stood_in_front() -> None:
    region = busy(FULL)
    waiting = region.kit.recorder.tasks.frame()
    tasks = {t.task_id for t in region.registry.cluster("default").tasks.values() if t.capacity_provider == "cp"}
    assert len(tasks) == 3 - len(waiting[waiting["capacity_provider"] == "cp"])
    for task in tasks:
        mine = steps(region, task_id=task)
        assert mine["kind"].iloc[0] == "place"
        assert not mine[mine["decision"] == mine["decision"].iloc[0]]["passed"].all(), "there was no instance at first"
        last = mine[mine["decision"] == mine["decision"].iloc[-1]]
        assert last["kind"].iloc[0] == "wait"
        assert last["passed"].any()
    behind = steps(region, kind="wait", step="waiting line")
    assert set(behind["candidate"]) <= tasks


def test_a_fargate_task_has_account_provider_and_zone() -> None:
    region = busy(FULL)
    for task in region.registry.service("default", "web").tasks:
        kinds = list(dict.fromkeys(steps(region, task_id=task)["candidate_type"]))
        assert kinds == ["account", "capacity provider", "zone"]
        zones = steps(region, task_id=task, candidate_type="zone")
        assert zones["passed"].sum() == 1


def test_the_victims_pass_every_step_of_their_decision() -> None:
    region = busy(FULL)
    tasks = region.kit.recorder.tasks.frame()
    stopped = set(tasks[tasks["stop_code"] == "ServiceSchedulerInitiated"]["task_id"])
    assert len(stopped) == 2
    picked = steps(region, kind="stop", step="the newest", passed=True)
    assert set(picked["candidate"]) == stopped


def test_a_fixed_port_is_free_to_the_scheduler_at_stopping_and_to_the_agent_when_it_is_gone() -> None:
    region = exact_region()
    fleet(region, 1)
    port = {"portMappings": [{"containerPort": 80, "hostPort": 80}], "stopTimeout": 20}
    register(region, "web", cpu=256, memory=256, fargate=False, container=port, behaviour={"stop": "15 s"})
    run = {"taskDefinition": "web", "launchType": "EC2"}
    [first] = region.ecs.run_task(**run)["tasks"]
    region.run(until="60 s")
    [failure] = region.ecs.run_task(**run)["failures"]
    assert failure["reason"] == "RESOURCE:PORTS"
    region.ecs.stop_task(task=first["taskArn"])
    region.run(until="61 s")  # it is STOPPING for 15 s
    assert region.ecs.run_task(**run)["failures"] == []
    region.run(until="120 s")
    lives = statuses(region)
    assert (75.0, "STOPPED") in lives[0]
    assert (61.0, "PENDING") in lives[1]
    assert (75.0, "ACTIVATING") in lives[1], "the agent waits until the port is really free"


@pytest.mark.parametrize(
    ("container", "agent", "placed"),
    [
        (
            {"logConfiguration": {"logDriver": "awslogs", "options": {"awslogs-group": "g", "awslogs-region": "r"}}},
            {},
            True,
        ),
        ({"logConfiguration": {"logDriver": "fluentd"}}, {}, True),
        ({"logConfiguration": {"logDriver": "gelf", "options": {"gelf-address": "udp://x"}}}, {}, False),
        (
            {"logConfiguration": {"logDriver": "gelf", "options": {"gelf-address": "udp://x"}}},
            {"ECS_AVAILABLE_LOGGING_DRIVERS": ["gelf"]},
            True,
        ),
        ({"portMappings": [{"containerPort": 22, "hostPort": 22}]}, {}, False),
        ({"portMappings": [{"containerPort": 22, "hostPort": 22}]}, {"ECS_RESERVED_PORTS": [2375]}, True),
    ],
)
def test_what_the_agent_is_set_to_decides_what_its_instance_takes(
    container: dict[str, Any], agent: dict[str, Any], placed: bool
) -> None:
    region = exact_region()
    fleet(region, 1, agent=agent)
    register(region, "web", cpu=256, memory=256, fargate=False, container=container)
    answer = region.ecs.run_task(taskDefinition="web", launchType="EC2")
    assert bool(answer["tasks"]) is placed


def test_an_agent_without_task_interfaces_takes_no_awsvpc_task() -> None:
    region = exact_region()
    fleet(region, 1, agent={"ECS_ENABLE_TASK_ENI": False})
    register(region, "web", cpu=256, memory=256, fargate=False, mode="awsvpc")
    answer = region.ecs.run_task(taskDefinition="web", launchType="EC2", networkConfiguration=network())
    assert [f["reason"] for f in answer["failures"]] == ["ATTRIBUTE"]


def test_gpus_are_counted() -> None:
    region = exact_region()
    fleet(region, 1, "g4dn.xlarge")
    gpu = {"resourceRequirements": [{"type": "GPU", "value": "1"}]}
    register(region, "train", cpu=256, memory=256, fargate=False, container=gpu)
    run = {"taskDefinition": "train", "launchType": "EC2"}
    assert region.ecs.run_task(**run)["failures"] == []
    assert [f["reason"] for f in region.ecs.run_task(**run)["failures"]] == ["RESOURCE:GPU"]


def test_a_cluster_without_instances_of_the_provider_says_so() -> None:
    region = exact_region()
    fleet(region, 0)
    region.ecs.create_capacity_provider(name="cp", autoScalingGroupProvider={"autoScalingGroupArn": "asg"})
    associate(region, "cp")
    register(region, "web", cpu=256, memory=256, fargate=False)
    region.ecs.create_service(serviceName="web", taskDefinition="web", desiredCount=1, capacityProviderStrategy=ON_CP)
    region.run(until="60 s")
    said = region.kit.recorder.events.frame()["message"].tolist()
    assert any(text.endswith("Reason: No Container Instances were found in your capacity provider.") for text in said)
