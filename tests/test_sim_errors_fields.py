"""What RegisterTaskDefinition, CreateService and RunTask refuse: the field, and what would be legal."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from sim_helpers import exact_region, network, register

import fargsim
from fargsim import Region
from fargsim.load.issue import ScenarioError
from fargsim.sim.errors import AwsError, ClientException


def container(**more: Any) -> dict[str, Any]:
    return {"containerDefinitions": [{"name": "app", "image": "app:1", **more}]}


DEFINITIONS: dict[str, tuple[dict[str, Any], tuple[str, ...]]] = {
    "memory below the reservation": (
        container(memory=256, memoryReservation=257),
        ("containerDefinitions[0]", "'memory' must be greater than or equal to 'memoryReservation'", "256", "257"),
    ),
    "less memory than Docker takes": (
        container(memory=5),
        ("containerDefinitions[0].memory: must be at least 6, not 5",),
    ),
    "an expression that does not parse": (
        {
            "requiresCompatibilities": ["EC2"],
            "placementConstraints": [{"type": "memberOf", "expression": "attribute:a === b"}],
        },
        ("placementConstraints[0].expression", "column 17"),
    ),
    "a constraint on Fargate": (
        {"placementConstraints": [{"type": "memberOf", "expression": "attribute:a exists"}]},
        ("placementConstraints: Fargate takes no placement constraints",),
    ),
    "a privileged container on Fargate": (container(privileged=True), ("containerDefinitions[0].privileged",)),
    "a stop time-out past Fargate's": (
        container(stopTimeout=121),
        ("containerDefinitions[0].stopTimeout", "legal: 2 to 120"),
    ),
    "a check out of range": (
        container(healthCheck={"command": ["CMD", "true"], "retries": 11}),
        ("containerDefinitions[0].healthCheck.retries: must be at most 10, not 11 (legal: 1 to 10)",),
    ),
    "eleven containers": (
        {"containerDefinitions": [{"name": f"c{n}", "image": "app:1"} for n in range(11)]},
        ("containerDefinitions: must have at most 10 elements, not 11 (legal: 1 to 10)",),
    ),
}


@pytest.mark.parametrize("name", DEFINITIONS)
def test_a_task_definition_is_refused_with_field_and_range(name: str) -> None:
    change, words = DEFINITIONS[name]
    whole = {
        "family": "new",
        "cpu": "256",
        "memory": "512",
        "networkMode": "awsvpc",
        "requiresCompatibilities": ["FARGATE"],
        **container(),
        **change,
    }
    with pytest.raises(ClientException) as caught:
        Region().ecs.register_task_definition(**whole)
    assert all(word in str(caught.value) for word in words), str(caught.value)
    assert ";" not in str(caught.value)  # one fault is told once


def test_memory_equal_to_the_reservation_is_taken() -> None:
    region = Region()
    region.ecs.register_task_definition(family="equal", **container(memory=256, memoryReservation=256))
    assert region.ecs.describe_task_definition(taskDefinition="equal")["taskDefinition"]["revision"] == 1


FARGATE: dict[str, Any] = {"taskDefinition": "web", "launchType": "FARGATE", "networkConfiguration": network()}
EC2: dict[str, Any] = {"taskDefinition": "ec2", "launchType": "EC2"}
REQUESTS: dict[str, tuple[dict[str, Any], str, tuple[str, ...]]] = {
    "a platform version that is not there": (
        {**FARGATE, "platformVersion": "9.9.9"},
        "PlatformUnknownException",
        ("9.9.9", "LATEST, 1.4.0 and 1.3.0"),
    ),
    "a platform version that is gone": (
        {**FARGATE, "platformVersion": "1.2.0"},
        "PlatformUnknownException",
        ("1.2.0",),
    ),
    "a size that the platform version does not have": (
        {**FARGATE, "taskDefinition": "large", "platformVersion": "1.3.0"},
        "PlatformTaskDefinitionIncompatibilityException",
        ("8192", "1.4.0"),
    ),
    "a platform version on EC2": (
        {**EC2, "platformVersion": "1.4.0"},
        "InvalidParameterException",
        ("The platform version must be null when specifying an EC2 launch type.",),
    ),
    "Windows on Fargate Spot": (
        {
            "taskDefinition": "windows",
            "networkConfiguration": network(),
            "capacityProviderStrategy": [{"capacityProvider": "FARGATE_SPOT", "weight": 1}],
        },
        "InvalidParameterException",
        ("capacityProviderStrategy: FARGATE_SPOT runs Linux tasks only, not WINDOWS_SERVER_2022_CORE",),
    ),
}


def prepared() -> Region:
    region = exact_region(quotas={"fargate_on_demand_vcpu": 100})
    register(region)
    register(region, "ec2", fargate=False, memory=1024)
    register(region, "large", cpu=8192, memory=16384)
    region.ecs.register_task_definition(
        family="windows",
        cpu="1024",
        memory="2048",
        networkMode="awsvpc",
        requiresCompatibilities=["FARGATE"],
        runtimePlatform={"operatingSystemFamily": "WINDOWS_SERVER_2022_CORE"},
        **container(),
    )
    return region


@pytest.mark.parametrize("name", REQUESTS)
def test_a_service_and_a_task_are_refused(name: str) -> None:
    request, code, words = REQUESTS[name]
    for call in ("create_service", "run_task"):
        region = prepared()
        more = {"serviceName": "new", "desiredCount": 1} if call == "create_service" else {}
        with pytest.raises(AwsError) as caught:
            getattr(region.ecs, call)(**request, **more)
        assert caught.value.code == code
        assert all(word in str(caught.value) for word in words), str(caught.value)


def test_platform_versions_that_are_there_are_taken() -> None:
    region = prepared()
    for version in ("LATEST", "1.4.0", "1.3.0"):
        assert region.ecs.run_task(**FARGATE, platformVersion=version)["tasks"]
    assert region.ecs.run_task(**{**FARGATE, "taskDefinition": "large", "platformVersion": "1.4.0"})["tasks"]


def test_a_standalone_task_does_not_count_as_one_of_a_service() -> None:
    region = prepared()
    with pytest.raises(AwsError, match=r"group: .*'service:web'") as caught:
        region.ecs.run_task(**FARGATE, group="service:web")
    assert caught.value.code == "InvalidParameterException"


def test_a_platform_version_in_a_file_is_refused_at_its_line(tmp_path: Path) -> None:
    file = tmp_path / "scenario.yaml"
    file.write_text(
        "schema: 1\nname: x\nregion: us-east-1\nduration: 5 min\ntaskDefinitions:\n"
        "  - {family: web, cpu: '256', memory: '512', networkMode: awsvpc, requiresCompatibilities: [FARGATE],\n"
        "     containerDefinitions: [{name: app, image: 'app:1'}]}\n"
        "services:\n  - serviceName: web\n    taskDefinition: web\n    desiredCount: 1\n    launchType: FARGATE\n"
        "    platformVersion: 9.9.9\n"
        "    networkConfiguration: {awsvpcConfiguration: {subnets: [subnet-a]}}\n"
    )
    with pytest.raises(ScenarioError) as caught:
        fargsim.load(file)
    [issue] = caught.value.issues
    assert (issue.line, issue.col, issue.dotted()) == (13, 22, "services[0].platformVersion")
    assert "legal are LATEST, 1.4.0 and 1.3.0" in issue.message


def test_windows_on_fargate_spot_is_refused_at_its_line(tmp_path: Path) -> None:
    file = tmp_path / "scenario.yaml"
    file.write_text(
        "schema: 1\nname: x\nregion: us-east-1\nduration: 5 min\ntaskDefinitions:\n"
        "  - {family: web, cpu: '1024', memory: '2048', networkMode: awsvpc, requiresCompatibilities: [FARGATE],\n"
        "     runtimePlatform: {operatingSystemFamily: WINDOWS_SERVER_2022_CORE},\n"
        "     containerDefinitions: [{name: app, image: 'app:1'}]}\n"
        "services:\n  - serviceName: web\n    taskDefinition: web\n    desiredCount: 1\n"
        "    capacityProviderStrategy:\n      - {capacityProvider: FARGATE_SPOT, weight: 1}\n"
        "    networkConfiguration: {awsvpcConfiguration: {subnets: [subnet-a]}}\n"
    )
    with pytest.raises(ScenarioError) as caught:
        fargsim.load(file)
    [issue] = caught.value.issues
    assert (issue.line, issue.dotted()) == (14, "services[0].capacityProviderStrategy[0].capacityProvider")
    assert issue.message == "FARGATE_SPOT runs Linux tasks only, not WINDOWS_SERVER_2022_CORE"
