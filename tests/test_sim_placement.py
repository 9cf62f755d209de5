"""Placement in the region: what is kept of every decision, the two ledgers, and what rules an instance out."""

from __future__ import annotations

from typing import Any

import pandas as pd
import pytest
from sim_helpers import associate, behind, exact_region, fleet, network, register, statuses, target_group

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


@pytest.mark.parametrize(
    ("quota", "reason", "needed", "found"),
    [
        ({"fargate_task_vcpu": 0.5}, "LIMIT:CPU", "1 vCPU", "at most 0.5 vCPU a task"),
        ({"fargate_task_memory_gib": 1}, "LIMIT:MEMORY", "2 GiB", "at most 1 GiB a task"),
    ],
)
def test_a_task_too_large_for_the_account_is_held_against_the_limit_of_its_size(
    quota: dict[str, float], reason: str, needed: str, found: str
) -> None:
    region = exact_region(record=FULL, quotas=quota)
    register(region)
    run = {"taskDefinition": "web", "launchType": "FARGATE", "networkConfiguration": network()}
    assert region.ecs.run_task(**run)["failures"]
    [row] = steps(region, step="task size").itertuples()
    assert (row.passed, row.reason, row.needed, row.found) == (False, reason, needed, found)


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


def test_an_instance_whose_task_drains_takes_another_of_the_distinct_group() -> None:
    """`distinctInstance` looks at the desired status: two tasks may run on one instance for a while."""
    region = exact_region()
    fleet(region, 2)
    target_group(region, kind="instance", delay=300)
    register(region, "web", cpu=256, memory=256, fargate=False)
    region.ecs.create_service(
        serviceName="web",
        taskDefinition="web",
        desiredCount=2,
        launchType="EC2",
        loadBalancers=behind(),
        placementConstraints=[{"type": "distinctInstance"}],
        deploymentConfiguration={"minimumHealthyPercent": 50, "maximumPercent": 150},
        availabilityZoneRebalancing="DISABLED",
    )
    region.run(until="5 min")
    region.ecs.update_service(service="web", forceNewDeployment=True)
    region.run(until="6 min")
    there = region.registry.cluster("default").tasks.values()
    draining = [t for t in there if t.last_status == "DEACTIVATING"]
    [new] = [t for t in there if t.alive]
    assert len(draining) == 2
    assert new.last_status == "RUNNING"
    assert new.instance in [t.instance for t in draining]
    view = region.registry.cluster("default").fleet.view()
    for instance in region.registry.cluster("default").instances_by_row.values():
        assert instance.row is not None
        assert view.groups["service:web"][instance.row] <= 1
        assert view.free_cpu_units[instance.row] == 2048 - 256 * len(instance.tasks), "a draining task keeps its units"


def test_the_agent_starts_its_queue_in_order_and_nobody_passes_the_first() -> None:
    region = exact_region()
    fleet(region, 1)  # 2,048 units
    register(
        region, "old", cpu=1024, memory=256, fargate=False, container={"stopTimeout": 60}, behaviour={"stop": "30 s"}
    )
    register(region, "big", cpu=2048, memory=256, fargate=False)
    register(region, "small", cpu=512, memory=256, fargate=False)
    run = {"launchType": "EC2"}
    first = region.ecs.run_task(taskDefinition="old", **run)["tasks"][0]
    region.run(until="60 s")
    region.ecs.stop_task(task=first["taskArn"])
    region.run(until="61 s")
    # the scheduler's ledger has all 2,048 units, the host only 1,024 until 90 s
    [big] = region.ecs.run_task(taskDefinition="big", **run)["tasks"]
    region.run(until="62 s")
    region.ecs.stop_task(task=big["taskArn"], reason="changed my mind")  # it is PENDING and gives its place back
    assert region.ecs.run_task(taskDefinition="small", **run)["failures"][0]["reason"] == "RESOURCE:CPU"
    region.run(until="63 s")
    [big] = region.ecs.run_task(taskDefinition="big", **run)["tasks"]
    region.run(until="64 s")
    instance = next(iter(region.registry.cluster("default").instances_by_row.values()))
    assert [task.revision.definition.family for task in instance.queue.values()] == ["big"]
    region.run(until="120 s")
    assert (90.0, "ACTIVATING") in statuses(region)[2]
    assert not instance.queue


def test_a_small_task_waits_behind_a_large_one_that_came_first() -> None:
    region = exact_region()
    fleet(region, 1)
    slow = {"container": {"stopTimeout": 60}, "behaviour": {"stop": "30 s"}, "fargate": False}
    register(region, "old", cpu=1536, memory=256, **slow)
    register(region, "big", cpu=1024, memory=256, fargate=False)
    register(region, "small", cpu=512, memory=256, fargate=False)
    [old] = region.ecs.run_task(taskDefinition="old", launchType="EC2")["tasks"]
    region.run(until="60 s")
    region.ecs.stop_task(task=old["taskArn"])
    region.run(until="61 s")
    # 512 units are free on the host: enough for the small task, but the large one came first
    region.ecs.run_task(taskDefinition="big", launchType="EC2")
    region.run(until="62 s")
    region.ecs.run_task(taskDefinition="small", launchType="EC2")
    region.run(until="120 s")
    _, big, small = statuses(region)
    assert (90.0, "ACTIVATING") in big
    assert (90.0, "ACTIVATING") in small


def test_who_gives_up_at_the_head_of_the_queue_lets_the_next_one_start_at_once() -> None:
    region = exact_region()
    fleet(region, 1)
    slow = {"container": {"stopTimeout": 60}, "behaviour": {"stop": "30 s"}, "fargate": False}
    register(region, "old", cpu=1536, memory=256, **slow)
    register(region, "big", cpu=1024, memory=256, fargate=False)
    register(region, "small", cpu=512, memory=256, fargate=False)
    [old] = region.ecs.run_task(taskDefinition="old", launchType="EC2")["tasks"]
    region.run(until="60 s")
    region.ecs.stop_task(task=old["taskArn"])
    region.run(until="61 s")
    [big] = region.ecs.run_task(taskDefinition="big", launchType="EC2")["tasks"]
    region.ecs.run_task(taskDefinition="small", launchType="EC2")
    region.run(until="70 s")
    region.ecs.stop_task(task=big["taskArn"])
    region.run(until="120 s")
    assert (70.0, "ACTIVATING") in statuses(region)[2]


def test_a_daemon_task_and_one_of_start_task_have_their_steps() -> None:
    region = exact_region(record=FULL)
    fleet(region, 1)
    register(region, "agent", cpu=128, memory=128, fargate=False)
    register(region, "job", cpu=1024, memory=512, fargate=False)
    region.ecs.create_service(
        serviceName="agent", taskDefinition="agent", schedulingStrategy="DAEMON", launchType="EC2"
    )
    region.run(until="30 s")
    [instance] = region.ecs.list_container_instances()["containerInstanceArns"]
    start = {"taskDefinition": "job", "containerInstances": [instance]}
    assert region.ecs.start_task(**start)["failures"] == []
    assert region.ecs.start_task(**start)["failures"][0]["reason"] == "RESOURCE:CPU"
    daemon = steps(region, group="service:agent")
    assert daemon["step"].tolist()[:3] == ["daemon", "status", "agent"]
    assert daemon["passed"].all()
    assert daemon["task_id"].notna().all()
    started = steps(region, group="family:job", step="cpu")
    assert started["passed"].tolist() == [True, False]
    assert started["task_id"].isna().tolist() == [False, True]
    assert started["found"].tolist() == ["1920 CPU units free", "896 CPU units free"]


def test_the_vpc_and_the_trunk_are_attributes() -> None:
    region = exact_region(surroundings={"network": {"security_groups": [{"GroupId": "sg-1", "VpcId": "vpc-mine"}]}})
    fleet(region, 1, name="plain")
    fleet(region, 1, name="trunked", awsvpc_trunking=True)
    shown = [
        {a["name"]: a.get("value") for a in i["attributes"]}
        for i in region.ecs.describe_container_instances(
            containerInstances=region.ecs.list_container_instances()["containerInstanceArns"]
        )["containerInstances"]
    ]
    assert {one["ecs.vpc-id"] for one in shown} == {"vpc-mine"}
    assert ["ecs.awsvpc-trunk-id" in one for one in shown] == [False, True]
    found = region.ecs.list_container_instances(filter="attribute:ecs.awsvpc-trunk-id exists")
    assert len(found["containerInstanceArns"]) == 1
