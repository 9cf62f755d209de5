"""RunTask, StartTask, StopTask and container instances through the verbs: rates, tokens, overrides, failures, states."""

from __future__ import annotations

from typing import Any

import pytest
from sim_helpers import exact_region, fleet, messages, network, register, seconds, statuses

from fargsim import Region
from fargsim.sim.errors import (
    AttributeLimitExceededException,
    AwsError,
    ConflictException,
    InvalidParameterException,
    TargetNotFoundException,
    ThrottlingException,
)


def on_ec2(region: Region, **more: Any) -> dict[str, Any]:
    return region.ecs.run_task(**{"taskDefinition": "job", "launchType": "EC2", **more})


def instances(region: Region) -> list[str]:
    return region.ecs.list_container_instances()["containerInstanceArns"]


def described(region: Region, at: int = 0) -> dict[str, Any]:
    return region.ecs.describe_container_instances(containerInstances=[instances(region)[at]])["containerInstances"][0]


@pytest.fixture
def region() -> Region:
    region = exact_region()
    fleet(region, 2)
    register(region, "job", cpu=512, memory=1024, fargate=False)
    return region


# --- rates


def test_run_start_and_stop_task_share_a_bucket_of_100_calls_that_refills_with_40_a_second(region: Region) -> None:
    for call in range(100):
        if call % 2:
            on_ec2(region)
        else:
            region.ecs.start_task(taskDefinition="job", containerInstances=["i-none"])
    with pytest.raises(
        ThrottlingException, match="RunTask 100 times at once and 40 times a second, shared with StartTask, StopTask"
    ):
        on_ec2(region)
    with pytest.raises(ThrottlingException, match="StopTask"):
        region.ecs.stop_task(task="any")
    region.run(until="1 s")
    for _ in range(40):
        region.ecs.start_task(taskDefinition="job", containerInstances=["i-none"])
    with pytest.raises(ThrottlingException):
        on_ec2(region)


def test_a_throttled_call_starts_nothing(region: Region) -> None:
    for _ in range(100):
        region.ecs.start_task(taskDefinition="job", containerInstances=["i-none"])
    before = len(region.registry.cluster("default").tasks)
    with pytest.raises(ThrottlingException):
        on_ec2(region)
    assert len(region.registry.cluster("default").tasks) == before == 0


BUCKETS = {
    "update_service": (50, 5),
    "register_task_definition": (20, 1),
    "create_cluster": (20, 1),
    "put_cluster_capacity_providers": (20, 1),
    "create_capacity_provider": (10, 1),
    "deregister_container_instance": (200, 120),
    "update_task_protection": (200, 80),
    "get_task_protection": (200, 80),
    "stop_task": (100, 40),
    "describe_clusters": (50, 20),
    "describe_services": (100, 20),
    "describe_service_revisions": (100, 20),
    "describe_tasks": (100, 20),
    "describe_task_definition": (50, 20),
}
"""Calls at once and a second, as ECS publishes them."""


def answered(region: Region, verb: str) -> int:
    """How many calls of a verb are answered at this instant before one is throttled; what it answers does not matter."""
    for number in range(1000):
        try:
            getattr(region.ecs, verb)(unknown="")
        except ThrottlingException:
            return number
        except (AwsError, TypeError):
            pass
    return -1


@pytest.mark.parametrize("verb", BUCKETS)
def test_every_group_of_verbs_has_its_bucket(verb: str) -> None:
    region = exact_region(assumptions={"api_read_throttling": True})
    region.run(until="1 s")
    burst, per_s = BUCKETS[verb]
    assert answered(region, verb) == burst
    assert answered(region, verb) == 0
    region.run(until="2 s")
    assert answered(region, verb) == per_s


def test_a_bucket_is_one_groups_and_all_its_verbs_share_it() -> None:
    region = exact_region()
    region.run(until="1 s")
    assert answered(region, "create_service") == 50
    assert answered(region, "delete_service") == answered(region, "stop_service_deployment") == 0
    assert answered(region, "update_task_protection") == 200
    assert answered(region, "get_task_protection") == 0


def test_what_builds_the_first_state_what_only_looks_and_what_is_told_so_has_no_rate() -> None:
    region = exact_region()
    assert answered(region, "register_task_definition") == -1
    assert answered(region, "run_task") == 100, "tasks are no first state"
    region.run(until="1 s")
    assert answered(region, "describe_tasks") == -1
    region = exact_region(assumptions={"api_throttling": False})
    region.run(until="1 s")
    assert answered(region, "update_service") == answered(region, "run_task") == -1


# --- client tokens


def test_the_same_token_starts_nothing_twice_and_other_parameters_conflict(region: Region) -> None:
    first = on_ec2(region, clientToken="once", count=2)
    region.run(until="20 s")
    again = on_ec2(region, clientToken="once", count=2)
    assert [t["taskArn"] for t in again["tasks"]] == [t["taskArn"] for t in first["tasks"]]
    assert {t["lastStatus"] for t in again["tasks"]} == {"RUNNING"}, "as they are now"
    assert len(region.registry.cluster("default").tasks) == 2
    with pytest.raises(ConflictException, match="once"):
        on_ec2(region, clientToken="once", count=1)
    assert len(on_ec2(region, clientToken="twice")["tasks"]) == 1


# --- overrides


def test_overrides_change_what_is_reserved_and_described(region: Region) -> None:
    override = {"cpu": "1024", "memory": "2048"}
    [task] = on_ec2(region, overrides=override)["tasks"]
    assert (task["cpu"], task["memory"]) == ("1024", "2048")
    remaining = {r["name"]: r.get("integerValue") for r in _instance_of(region, task)["remainingResources"]}
    assert remaining["CPU"] == 2048 - 1024


def _instance_of(region: Region, task: dict[str, Any]) -> dict[str, Any]:
    arn = task["containerInstanceArn"]
    return region.ecs.describe_container_instances(containerInstances=[arn])["containerInstances"][0]


@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        ({"containerOverrides": [{"name": "wep", "cpu": 1}]}, "Override for container named wep"),
        ({"containerOverrides": [{"name": "app", "cpu": 1024}]}, "overrides: cpu: .* more than the task's 512"),
        (
            {"containerOverrides": [{"name": "app", "memory": 5}]},
            r"containerOverrides\[0\].memory: must be at least 6, not 5",
        ),
        ({"ephemeralStorage": {"sizeInGiB": 201}}, r"ephemeralStorage.sizeInGiB: .* \(legal: 21 to 200\)"),
        (
            {"containerOverrides": [{"name": "app", "environment": [{"name": "X", "value": "x" * 8200}]}]},
            "8192 characters",
        ),
        ({"memroy": "1"}, "memroy"),
    ],
)
def test_illegal_overrides_are_refused(region: Region, overrides: dict[str, Any], words: str) -> None:
    with pytest.raises(InvalidParameterException, match=words):
        on_ec2(region, overrides=overrides)


def test_a_size_that_fargate_does_not_have_is_refused_in_overrides() -> None:
    region = exact_region()
    register(region, "web")
    run = {"taskDefinition": "web", "launchType": "FARGATE", "networkConfiguration": network()}
    with pytest.raises(InvalidParameterException, match=r"overrides: memory: No Fargate configuration .*, not 4096"):
        region.ecs.run_task(**run, overrides={"cpu": "256", "memory": "4096"})
    [task] = region.ecs.run_task(**run, overrides={"cpu": "256", "memory": "512"})["tasks"]
    assert (task["cpu"], task["memory"]) == ("256", "512")


# --- StartTask


def test_start_task_places_where_it_is_told_whatever_the_strategy(region: Region) -> None:
    second = instances(region)[1]
    for _ in range(2):
        [task] = region.ecs.start_task(taskDefinition="job", containerInstances=[second], startedBy="me")["tasks"]
        assert (task["containerInstanceArn"], task["startedBy"], task["group"]) == (second, "me", "family:job")
    region.run(until="20 s")
    assert described(region, 1)["runningTasksCount"] == 2


def test_start_task_says_why_an_instance_cannot_take_the_task(region: Region) -> None:
    first, second = instances(region)
    register(region, "big", cpu=4096, memory=512, fargate=False)
    register(region, "fat", cpu=128, memory=30_000, fargate=False)
    register(region, "arm", cpu=128, memory=128, fargate=False)
    register(
        region,
        "port",
        cpu=128,
        memory=128,
        fargate=False,
        container={"portMappings": [{"containerPort": 80, "hostPort": 22}]},
    )
    splunk = {"logDriver": "splunk", "options": {"splunk-url": "u", "splunk-token": "t"}}
    register(region, "log", cpu=128, memory=128, fargate=False, container={"logConfiguration": splunk})

    def reasons(family: str, *names: str) -> list[str]:
        return [
            f["reason"]
            for f in region.ecs.start_task(taskDefinition=family, containerInstances=list(names))["failures"]
        ]

    assert reasons("big", first) == ["RESOURCE:CPU"]
    assert reasons("fat", first) == ["RESOURCE:MEMORY"]
    assert reasons("port", first) == ["RESOURCE:PORTS"]
    assert reasons("log", first) == ["ATTRIBUTE"]
    assert reasons("job", "i-none", second) == ["MISSING"], "the other instance has taken its task"
    group = region.registry.group("asg")
    region.registry.cluster("default").fleet.set_agent_connected(0, False)
    assert reasons("job", first) == ["AGENT"]
    region.registry.cluster("default").fleet.set_agent_connected(0, True)
    region.ecs.update_container_instances_state(containerInstances=[first], status="DRAINING")
    assert reasons("job", first) == ["INACTIVE"]
    lost = next(i for i in group.instances.values() if first.endswith(i.instance_id))
    group.lose(lost, "test")
    assert reasons("job", first) == ["INACTIVE"]


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"containerInstances": [f"i-{n}" for n in range(11)]}, "containerInstances"),
        ({"containerInstances": []}, "containerInstances"),
        ({"taskDefinition": "web"}, "FARGATE"),
        ({"placementStrategy": [{"type": "random"}]}, "placementStrategy"),
    ],
)
def test_start_task_refuses(region: Region, more: dict[str, Any], words: str) -> None:
    register(region, "web")
    with pytest.raises(InvalidParameterException, match=words):
        region.ecs.start_task(**{"taskDefinition": "job", "containerInstances": ["i-1"], **more})


# --- container instances


def test_an_instance_is_described_in_full(region: Region) -> None:
    one = described(region)
    assert (one["status"], one["agentConnected"], one["runningTasksCount"]) == ("ACTIVE", True, 0)
    registered = {r["name"]: r for r in one["registeredResources"]}
    assert registered["CPU"]["integerValue"] == 2048
    assert registered["PORTS"]["stringSetValue"] == ["22", "2375", "2376", "51678", "51679"]
    names = {a["name"]: a.get("value") for a in one["attributes"]}
    assert names["ecs.instance-type"] == "c5.large"
    assert names["ecs.capability.task-eni"] is None
    assert not [name for name in names if name.startswith("fargsim")]
    register(
        region,
        "port",
        cpu=128,
        memory=128,
        fargate=False,
        container={"portMappings": [{"containerPort": 80, "hostPort": 8080}]},
    )
    region.ecs.start_task(taskDefinition="port", containerInstances=[one["containerInstanceArn"]])
    after = described(region)
    ports = {r["name"]: r for r in after["remainingResources"]}["PORTS"]["stringSetValue"]
    assert ports == ["22", "2375", "2376", "8080", "51678", "51679"]
    assert after["registeredResources"] == one["registeredResources"]


def test_docker_chooses_ports_from_the_ephemeral_range_and_gives_them_back(region: Region) -> None:
    register(region, "dyn", cpu=128, memory=128, fargate=False, container={"portMappings": [{"containerPort": 80}]})
    first = instances(region)[0]
    tasks = [region.ecs.start_task(taskDefinition="dyn", containerInstances=[first])["tasks"][0] for _ in range(2)]
    region.run(until="20 s")
    arns = [t["taskArn"] for t in tasks]
    found = [t["containers"][0]["networkBindings"][0] for t in region.ecs.describe_tasks(tasks=arns)["tasks"]]
    assert [b["hostPort"] for b in found] == [32768, 32769]
    assert {b["containerPort"] for b in found} == {80}
    assert "8080" not in str(described(region)["remainingResources"]), "such ports are not reserved ones"


def test_at_most_100_host_ports_are_reserved_on_an_instance() -> None:
    region = exact_region(assumptions={"api_throttling": False})
    fleet(region, 1, "c5.4xlarge")
    for n in range(0, 95):
        port = {"portMappings": [{"containerPort": 80, "hostPort": 10_000 + n}]}
        register(region, f"p{n}", cpu=128, memory=16, fargate=False, container=port)
        assert region.ecs.run_task(taskDefinition=f"p{n}", launchType="EC2")["failures"] == []
    port = {"portMappings": [{"containerPort": 80, "hostPort": 20_000}]}
    register(region, "last", cpu=128, memory=16, fargate=False, container=port)
    [failure] = region.ecs.run_task(taskDefinition="last", launchType="EC2")["failures"]
    assert failure["reason"] == "RESOURCE:PORTS", "five are the agent's, 95 of tasks"


def test_custom_attributes_can_be_put_listed_queried_and_deleted(region: Region) -> None:
    first, second = instances(region)
    region.ecs.put_attributes(attributes=[{"name": "stack", "value": "blue", "targetId": first}])
    assert region.ecs.list_attributes(attributeName="stack")["attributes"] == [
        {"name": "stack", "value": "blue", "targetType": "container-instance", "targetId": first}
    ]
    constraint = [{"type": "memberOf", "expression": "attribute:stack == blue"}]
    for _ in range(2):
        [task] = on_ec2(region, placementConstraints=constraint)["tasks"]
        assert task["containerInstanceArn"] == first
    assert region.ecs.list_container_instances(filter="attribute:stack exists")["containerInstanceArns"] == [first]
    region.ecs.delete_attributes(attributes=[{"name": "stack", "targetId": first}])
    [failure] = on_ec2(region, placementConstraints=constraint)["failures"]
    assert failure["reason"] == "MemberOf placement constraint unsatisfied."
    with pytest.raises(TargetNotFoundException, match="i-none"):
        region.ecs.put_attributes(attributes=[{"name": "a", "value": "b", "targetId": "i-none"}])
    many = [{"name": f"a{n}", "value": "x", "targetId": second} for n in range(10)]
    region.ecs.put_attributes(attributes=many)
    with pytest.raises(AttributeLimitExceededException, match="10"):
        region.ecs.put_attributes(attributes=[{"name": "one-more", "value": "x", "targetId": second}])
    with pytest.raises(InvalidParameterException, match="built in"):
        region.ecs.put_attributes(attributes=[{"name": "ecs.os-type", "value": "x", "targetId": second}])
    with pytest.raises(InvalidParameterException, match="column 17"):
        region.ecs.list_container_instances(filter="attribute:stack =")


def test_draining_replaces_service_tasks_stops_pending_ones_and_leaves_standalone_ones_alone() -> None:
    region = exact_region()
    fleet(region, 2)
    register(region, "web", cpu=512, memory=512, fargate=False)
    region.ecs.create_service(serviceName="web", taskDefinition="web", desiredCount=2, launchType="EC2")
    region.run(until="2 min")
    first, second = instances(region)
    [alone] = region.ecs.start_task(taskDefinition="web", containerInstances=[first])["tasks"]
    region.run(until="3 min")
    region.ecs.update_container_instances_state(containerInstances=[first], status="DRAINING")
    assert region.ecs.list_container_instances(status="DRAINING")["containerInstanceArns"] == [first]
    region.run(until="6 min")
    service = region.ecs.describe_services(services=["web"])["services"][0]
    assert service["runningCount"] == 2
    arns = region.ecs.list_tasks(serviceName="web")["taskArns"]
    where = {t["containerInstanceArn"] for t in region.ecs.describe_tasks(tasks=arns)["tasks"]}
    assert where == {second}
    assert region.ecs.describe_tasks(tasks=[alone["taskArn"]])["tasks"][0]["lastStatus"] == "RUNNING"
    assert described(region)["status"] == "DRAINING", "until somebody sets it to ACTIVE"
    region.ecs.update_container_instances_state(containerInstances=[first], status="ACTIVE")
    assert region.ecs.start_task(taskDefinition="web", containerInstances=[first])["failures"] == []
    answer = region.ecs.update_container_instances_state(containerInstances=["i-none"], status="DRAINING")
    assert answer["failures"] == [{"arn": "i-none", "reason": "MISSING"}]
    with pytest.raises(InvalidParameterException, match="status"):
        region.ecs.update_container_instances_state(containerInstances=[first], status="STOPPED")


def test_a_pending_service_task_on_a_draining_instance_stops_at_once() -> None:
    region = exact_region(assumptions={"ec2_start_min_s": 60, "ec2_start_max_s": 60})
    fleet(region, 1)
    register(region, "web", cpu=512, memory=512, fargate=False)
    region.ecs.create_service(serviceName="web", taskDefinition="web", desiredCount=1, launchType="EC2")
    region.run(until="20 s")
    region.ecs.update_container_instances_state(containerInstances=instances(region), status="DRAINING")
    region.run(until="21 s")
    [life] = statuses(region)
    assert life[-1] == (20.0, "STOPPED")


def test_deregistration_needs_force_where_tasks_run_and_then_ecs_forgets_them() -> None:
    region = exact_region()
    fleet(region, 2)
    register(region, "web", cpu=512, memory=512, fargate=False)
    region.ecs.create_service(serviceName="web", taskDefinition="web", desiredCount=2, launchType="EC2")
    region.run(until="2 min")
    first, second = instances(region)
    with pytest.raises(InvalidParameterException, match="Found running tasks"):
        region.ecs.deregister_container_instance(containerInstance=first)
    region.ecs.deregister_container_instance(containerInstance=first, force=True)
    assert instances(region) == [second]
    region.run(until="4 min")
    arns = region.ecs.list_tasks(serviceName="web")["taskArns"]
    assert {t["containerInstanceArn"] for t in region.ecs.describe_tasks(tasks=arns)["tasks"]} == {second}
    assert len(arns) == 2
    assert len(region.registry.group("asg").in_service) == 2, "the EC2 instance runs on, and is paid for"


# --- an agent that is cut off


def test_an_agent_that_is_cut_off_takes_nothing_and_its_tasks_stay_as_last_known() -> None:
    region = exact_region()
    fleet(region, 1)
    register(region, "web", cpu=256, memory=256, fargate=False)
    register(region, "short", cpu=256, memory=256, fargate=False, behaviour={"run": "60 s"})
    region.ecs.create_service(serviceName="web", taskDefinition="web", desiredCount=1, launchType="EC2")
    [short] = region.ecs.run_task(taskDefinition="short", launchType="EC2")["tasks"]
    region.run(until="30 s")
    from fargsim.model.timeline import AgentDisconnected
    from fargsim.sim.agents import cut_off

    cut_off(region, AgentDisconnected.model_validate({"auto_scaling_group": "asg", "for": "5 min"}))
    assert described(region)["agentConnected"] is False
    [failure] = region.ecs.run_task(taskDefinition="web", launchType="EC2")["failures"]
    assert failure["reason"] == "AGENT"
    region.ecs.update_service(service="web", desiredCount=2)
    region.run(until="5 min")
    assert any('encountered error "AGENT".' in text for _, text in messages(region))
    [seen] = region.ecs.describe_tasks(tasks=[short["taskArn"]])["tasks"]
    assert seen["lastStatus"] == "RUNNING", "it ended long ago, but nobody could say so"
    region.run(until="7 min")
    [seen] = region.ecs.describe_tasks(tasks=[short["taskArn"]])["tasks"]
    assert seen["lastStatus"] == "STOPPED"
    assert seconds(seen["stoppedAt"]) == pytest.approx(331, abs=2), "five minutes after it was cut off at 30 s"
    assert region.ecs.describe_services(services=["web"])["services"][0]["runningCount"] == 2


def test_a_cluster_without_container_instances_refuses_run_task():
    region = exact_region()
    register(region, fargate=False)
    with pytest.raises(InvalidParameterException, match="No Container Instances were found in your cluster") as refused:
        region.ecs.run_task(taskDefinition="web", launchType="EC2")
    assert refused.value.code == "InvalidParameterException"
    fleet(region, 1)
    assert len(region.ecs.run_task(taskDefinition="web", launchType="EC2")["tasks"]) == 1
