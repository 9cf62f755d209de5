"""Mistakes that a task lives with: it runs and is stopped, its requests fail, or it is never launched; and who backs off."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest
from sim_helpers import behind, exact_region, fleet, messages, network, register, statuses, target_group
from test_sim_mistakes import define, run, subnet

from fargsim import Region

# running, and yet wrong


def test_an_image_for_another_processor_runs_and_exits():
    region = exact_region(surroundings={"images": {"app": {"architectures": ["X86_64"]}}})
    define(region, more={"runtimePlatform": {"cpuArchitecture": "ARM64", "operatingSystemFamily": "LINUX"}})
    told = run(region)
    assert statuses(region)[0][3:] == [(15, "RUNNING"), (16, "STOPPING"), (17, "DEPROVISIONING"), (24, "STOPPED")]
    assert (told["stopCode"], told["stoppedReason"], told["containers"][0]["exitCode"]) == (
        "EssentialContainerExited",
        "Essential container in task exited",
        1,
    )
    [row] = region.finish().containers.frame().itertuples()
    assert (row.exit_code, row.last_words) == (1, "exec format error")  # what its log says


def test_an_image_for_the_instances_processor_runs():
    for kind, last in (("m6g.large", "STOPPED"), ("m5.large", "RUNNING")):
        region = exact_region(surroundings={"images": {"app": {"architectures": ["X86_64"]}}})
        register(region, fargate=False, cpu=512, memory=512)
        fleet(region, 1, kind)
        region.ecs.run_task(taskDefinition="web", launchType="EC2")
        region.run(until="60 s")
        assert statuses(region)[0][-1][1] == last


def behind_balancer(surroundings: dict[str, Any], behaviour: dict[str, Any] | None = None, **check: Any) -> Region:
    region = exact_region(surroundings=surroundings)
    register(region, behaviour=behaviour or {})
    region.elbv2.create_target_group(
        Name="tg",
        TargetType="ip",
        HealthCheckIntervalSeconds=5,
        HealthCheckTimeoutSeconds=2,
        Attributes=[{"Key": "deregistration_delay.timeout_seconds", "Value": "0"}],
        **check,
    )
    region.elbv2.create_load_balancer(
        Name="lb",
        SecurityGroups=["sg-lb"],
        Listeners=[{"Protocol": "HTTP", "Port": 80, "DefaultActions": [{"Type": "forward", "TargetGroupArn": "tg"}]}],
    )
    configuration = {"awsvpcConfiguration": {"subnets": ["subnet-a"], "securityGroups": ["sg-task"]}}
    region.ecs.create_service(
        serviceName="web",
        taskDefinition="web",
        desiredCount=1,
        launchType="FARGATE",
        networkConfiguration=configuration,
        loadBalancers=behind(),
    )
    return region


def group(*rules: dict[str, Any]) -> dict[str, Any]:
    return {
        "network": {
            "subnets": [subnet()],
            "security_groups": [{"GroupId": "sg-task", "IpPermissions": list(rules)}],
        }
    }


def rule(port: int, source: str = "sg-lb") -> dict[str, Any]:
    return {"IpProtocol": "tcp", "FromPort": port, "ToPort": port, "UserIdGroupPairs": [{"GroupId": source}]}


@pytest.mark.parametrize(
    ("surroundings", "behaviour", "check", "why"),
    [
        (group(rule(80, "sg-other")), {}, {}, "Request timed out"),
        (group(rule(80)), {}, {"HealthCheckPort": "8080"}, "Request timed out"),
        ({}, {"listen": {"ports": [80]}}, {"HealthCheckPort": "8080"}, "Health checks failed"),
        ({}, {"listen": {"address": "127.0.0.1"}}, {}, "Health checks failed"),
        ({}, {"listen": {"ports": [3000]}}, {}, "Health checks failed"),
        (
            {},
            {"listen": {"paths": {"/": 200}}},
            {"HealthCheckPath": "/healthz"},
            "Health checks failed with these codes: [404]",
        ),
        ({}, {"listen": {"paths": {"/": 302}}}, {}, "Health checks failed with these codes: [302]"),
    ],
    ids=["closed group", "closed check port", "deaf check port", "127.0.0.1", "other port", "wrong path", "wrong code"],
)
def test_checks_that_never_pass_stop_a_running_task_for_ever_without_back_off(surroundings, behaviour, check, why):
    region = behind_balancer(surroundings, behaviour, **check)
    region.run(until="10 min")
    lives = statuses(region)
    assert {status for life in lives for _, status in life[3:4]} == {"RUNNING"}
    [first] = region.ecs.describe_tasks(tasks=region.ecs.list_tasks(desiredStatus="STOPPED")["taskArns"][:1])["tasks"]
    assert first["stopCode"] == "ServiceSchedulerInitiated"
    assert first["stoppedReason"].startswith("Task failed ELB health checks in (target-group arn:")
    told = [(at, text) for at, text in messages(region) if "unhealthy" in text]
    assert all(text.endswith(f"due to (reason {why}).") for _, text in told)
    # no back-off: the gaps between the starts do not grow
    starts = [life[0][0] for life in lives]
    gaps = [b - a for a, b in pairwise(starts)]
    assert len(gaps) > 8
    assert max(gaps) < 60
    assert not [text for _, text in messages(region) if "consistently" in text]


@pytest.mark.parametrize(
    ("surroundings", "behaviour", "check"),
    [
        (group(rule(80)), {}, {}),
        (group(rule(80), rule(8080)), {"listen": {"ports": [80, 8080]}}, {"HealthCheckPort": "8080"}),
        (group({"IpProtocol": "-1", "IpRanges": [{"CidrIp": "10.0.0.0/8"}]}), {}, {}),
        ({}, {"listen": {"paths": {"/": 302}}}, {"Matcher": {"HttpCode": "200-399"}}),
        ({}, {"listen": {"paths": {"/healthz": 200}}}, {"HealthCheckPath": "/healthz?quick=1"}),
    ],
    ids=["open group", "open check port", "range", "matcher", "path"],
)
def test_checks_that_pass(surroundings, behaviour, check):
    region = behind_balancer(surroundings, behaviour, **check)
    region.run(until="3 min")
    assert len(statuses(region)) == 1
    assert "has reached a steady state." in [text for _, text in messages(region)]


@pytest.mark.parametrize(
    ("first", "last", "healthy"), [(32768, 65535, True), (80, 80, False)], ids=["ephemeral ports", "container port"]
)
def test_with_dynamic_ports_the_group_of_the_instance_must_admit_the_ephemeral_range(first, last, healthy):
    admits = {"IpProtocol": "tcp", "FromPort": first, "ToPort": last, "UserIdGroupPairs": [{"GroupId": "default"}]}
    closed = {"GroupId": "sg-hosts", "IpPermissions": [admits]}
    region = exact_region(surroundings={"network": {"subnets": [subnet()], "security_groups": [closed]}})
    register(region, fargate=False, cpu=256, memory=256, mode="bridge")
    region.autoscaling.create_launch_template(
        LaunchTemplateName="asg", LaunchTemplateData={"InstanceType": "c5.large", "SecurityGroupIds": ["sg-hosts"]}
    )
    region.autoscaling.create_auto_scaling_group(
        AutoScalingGroupName="asg",
        MinSize=1,
        MaxSize=1,
        LaunchTemplate={"LaunchTemplateName": "asg"},
        AvailabilityZones=["us-east-1a"],
        registered_at_start=True,
    )
    target_group(region, kind="instance")
    region.ecs.create_service(
        serviceName="web", taskDefinition="web", desiredCount=1, launchType="EC2", loadBalancers=behind()
    )
    region.run(until="5 min")
    assert ("has reached a steady state." in [text for _, text in messages(region)]) is healthy


@pytest.mark.parametrize(
    ("role", "roles", "share"),
    [
        (None, {}, 0.64),
        ("app", {"app": {"actions": ["s3:GetObject"]}}, 0.64),
        ("app", {"app": {"actions": ["dynamodb:*"]}}, 0.2),
        ("app", {}, 0.2),
    ],
    ids=["no role", "role without the right", "role with the right", "role that is not listed"],
)
def test_a_missing_task_role_is_an_error_of_the_application(role, roles, share):
    region = exact_region(surroundings={"roles": roles})
    calls = {"actions": ["dynamodb:GetItem"], "error_rate": 0.55}
    region.behave("web", {"request": {"cpu": "1 ms", "error_rate": 0.2}, "calls": calls})
    region.ecs.register_task_definition(
        family="web",
        cpu="1024",
        memory="2048",
        networkMode="awsvpc",
        requiresCompatibilities=["FARGATE"],
        containerDefinitions=[{"name": "app", "image": "app:1", "portMappings": [{"containerPort": 80}]}],
        **({"taskRoleArn": f"arn:aws:iam::123456789012:role/{role}"} if role else {}),
    )
    request = region.registry.revision("web").behaviour.request
    assert request is not None
    assert request.error_rate == pytest.approx(share)


def test_requests_fail_as_often_as_the_missing_task_role_makes_them():
    counts = []
    for role in ({}, {"taskRoleArn": "arn:aws:iam::123456789012:role/app"}):
        region = exact_region()
        region.behave("web", {"request": {"cpu": "1 ms"}, "calls": {"actions": ["s3:GetObject"]}})
        region.ecs.register_task_definition(
            family="web",
            cpu="1024",
            memory="2048",
            networkMode="awsvpc",
            requiresCompatibilities=["FARGATE"],
            containerDefinitions=[{"name": "app", "image": "app:1", "portMappings": [{"containerPort": 80}]}],
            **role,
        )
        target_group(region)
        region.ecs.create_service(
            serviceName="web",
            taskDefinition="web",
            desiredCount=1,
            launchType="FARGATE",
            networkConfiguration=network("subnet-a"),
            loadBalancers=behind(),
        )
        region.run(until="60 s")
        region.send_traffic("web", {"constant": "10 /s"}, until="120 s")
        region.run(until="130 s")
        services = region.finish().services.frame()
        counts.append((int(services["requests_failed"].sum()), int(services["requests_served"].sum())))
    (failed, served), (none, all_served) = counts
    assert failed > 400
    assert (served, none) == (0, 0)
    assert all_served == failed


# back-off


def test_tasks_that_fail_before_running_are_started_ever_more_rarely():
    region = exact_region(surroundings={"images": {"app": {"tags": ["2"]}}})
    register(region)
    region.ecs.create_service(
        serviceName="web",
        taskDefinition="web",
        desiredCount=1,
        launchType="FARGATE",
        networkConfiguration=network("subnet-a"),
    )
    region.run(until="3 h")
    starts = [life[0][0] for life in statuses(region)]
    gaps = [b - a for a, b in pairwise(starts)]
    # 15 s until it fails, then 12.65625 s doubled each time, on the grid of one second, up to 27 minutes
    assert gaps == [28, 41, 66, 117, 218, 420, 825, 1635, 1635, 1635, 1635, 1635]
    texts = [text for _, text in messages(region)]
    assert "is unable to consistently start tasks successfully." in texts
    assert any(t.startswith("was unable to place a task. Reason: CannotPullContainerError: pull image") for t in texts)


def test_a_sound_task_definition_ends_the_back_off_at_once():
    region = exact_region(surroundings={"images": {"app": {"tags": ["2"]}}})
    register(region)
    register(region, container={"image": "app:2"})
    region.ecs.create_service(
        serviceName="web",
        taskDefinition="web:1",
        desiredCount=1,
        launchType="FARGATE",
        networkConfiguration=network("subnet-a"),
    )
    region.run(until="1 h")
    region.ecs.update_service(service="web", taskDefinition="web:2")
    region.run(until="62 min")
    assert statuses(region)[-1] == [(3605, "PROVISIONING"), (3609, "PENDING"), (3615, "ACTIVATING"), (3620, "RUNNING")]


# capacity


def test_without_capacity_in_its_zones_nothing_is_launched():
    region = exact_region()
    register(region)
    placed = {"taskDefinition": "web", "launchType": "FARGATE"}
    region.registry.fargate.capacity.withdraw(["us-east-1a"], ["on_demand"], 600_000_000)
    answer = region.ecs.run_task(**placed, networkConfiguration=network("subnet-a"))
    assert [f["reason"] for f in answer["failures"]] == [
        "Capacity is unavailable at this time. Please try again later or in a different availability zone"
    ]
    assert [f["detail"] for f in answer["failures"]] == ["RESOURCE:FARGATE"]
    answer = region.ecs.run_task(**placed, networkConfiguration=network("subnet-a", "subnet-b"), count=5)
    assert {t["availabilityZone"] for t in answer["tasks"]} == {"us-east-1b"}
    spot = {"taskDefinition": "web", "capacityProviderStrategy": [{"capacityProvider": "FARGATE_SPOT"}]}
    assert region.ecs.run_task(**spot, networkConfiguration=network("subnet-a"))["tasks"]


def test_a_service_starts_its_tasks_when_capacity_is_back():
    region = exact_region()
    register(region)
    region.registry.fargate.capacity.withdraw(["us-east-1a"], ["on_demand"], 600_000_000)
    region.ecs.create_service(
        serviceName="web",
        taskDefinition="web",
        desiredCount=1,
        launchType="FARGATE",
        networkConfiguration=network("subnet-a"),
    )
    region.run(until="20 min")
    assert statuses(region) == [[(600, "PROVISIONING"), (604, "PENDING"), (610, "ACTIVATING"), (615, "RUNNING")]]
    assert messages(region)[0] == (
        5,
        "was unable to place a task. Reason: Capacity is unavailable at this time. Please try again later or in a different "
        "availability zone.",
    )
