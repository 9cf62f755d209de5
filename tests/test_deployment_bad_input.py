"""Illegal deployment configurations and requests: AWS's exception, the field, the legal range; through the verbs and in files."""

from __future__ import annotations

from typing import Any

import pytest
from sim_helpers import exact_region, network, register

from fargsim import Region
from fargsim.load import validate_file
from fargsim.sim.errors import InvalidParameterException

BREAKER = {"enable": True, "rollback": True}
EARLY = {"enable": True, "healthyPercent": 50, "sourceServiceRevisionCleanup": "BLOCKING"}

CONFIGURATIONS: dict[str, tuple[dict[str, Any], tuple[str, ...]]] = {
    "no such percentage": (
        {"deploymentCircuitBreaker": {**BREAKER, "thresholdConfiguration": {"type": "BOUNDED_PERCENT", "value": 101}}},
        ("thresholdConfiguration", "BOUNDED_PERCENT takes 1 to 100"),
    ),
    "a threshold of none": (
        {"deploymentCircuitBreaker": {**BREAKER, "thresholdConfiguration": {"type": "COUNT", "value": 0}}},
        ("thresholdConfiguration.value", "must be at least 1, not 0"),
    ),
    "a threshold of another kind": (
        {"deploymentCircuitBreaker": {**BREAKER, "thresholdConfiguration": {"type": "PERCENT", "value": 5}}},
        ("thresholdConfiguration.type", "one of BOUNDED_PERCENT, UNBOUNDED_PERCENT, COUNT"),
    ),
    "a breaker that says half": (
        {"deploymentCircuitBreaker": {"enable": True}},
        ("deploymentCircuitBreaker.rollback", "required"),
    ),
    "early success below the lower bound": (
        {"earlySuccessCriteria": EARLY},
        ("earlySuccessCriteria.healthyPercent is 50", "at least minimumHealthyPercent, 100"),
    ),
    "early success of more than all": (
        {"minimumHealthyPercent": 50, "earlySuccessCriteria": {**EARLY, "healthyPercent": 101}},
        ("earlySuccessCriteria.healthyPercent", "legal: 0 to 100"),
    ),
    "early success of another strategy": (
        {"strategy": "BLUE_GREEN", "minimumHealthyPercent": 50, "earlySuccessCriteria": EARLY},
        ("earlySuccessCriteria is for strategy ROLLING",),
    ),
    "a clean-up of another kind": (
        {"minimumHealthyPercent": 50, "earlySuccessCriteria": {**EARLY, "sourceServiceRevisionCleanup": "LATER"}},
        ("sourceServiceRevisionCleanup", "one of BLOCKING, DEFERRED"),
    ),
    "bounds that exclude each other": (
        {"minimumHealthyPercent": 120, "maximumPercent": 110},
        ("minimumHealthyPercent is 120", "at most maximumPercent, 110"),
    ),
    "a negative bound": ({"minimumHealthyPercent": -1}, ("minimumHealthyPercent", "legal: 0 to 10000")),
    "a bake time of more than a day": (
        {"bakeTimeInMinutes": 1441},
        ("bakeTimeInMinutes", "legal: 0 to 1440"),
    ),
    "alarms without names": ({"alarms": {"enable": True, "rollback": True}}, ("alarms.alarmNames", "required")),
}


def arguments(configuration: dict[str, Any]) -> dict[str, Any]:
    return {
        "serviceName": "web",
        "taskDefinition": "web",
        "desiredCount": 1,
        "launchType": "FARGATE",
        "networkConfiguration": network("subnet-a"),
        "deploymentConfiguration": configuration,
    }


@pytest.mark.parametrize("name", CONFIGURATIONS)
def test_a_verb_names_the_field_and_the_legal_range(name: str) -> None:
    configuration, words = CONFIGURATIONS[name]
    region = exact_region()
    register(region)
    with pytest.raises(InvalidParameterException) as caught:
        region.ecs.create_service(**arguments(configuration))
    assert all(word in str(caught.value) for word in words), str(caught.value)
    assert "deploymentConfiguration" in str(caught.value)
    region.ecs.create_service(**arguments({}))
    with pytest.raises(InvalidParameterException):
        region.ecs.update_service(service="web", deploymentConfiguration=configuration)
    assert region.registry.service("default", "web").spec.deployment_configuration.minimum_healthy_percent is None


SCENARIO = """\
schema: 1
name: bad
duration: 10 min
taskDefinitions:
  - {family: web, cpu: "256", memory: "512", networkMode: awsvpc, requiresCompatibilities: [FARGATE],
     containerDefinitions: [{name: app, image: "app:1"}]}
services:
  - serviceName: web
    taskDefinition: web
    desiredCount: 1
    launchType: FARGATE
    networkConfiguration: {awsvpcConfiguration: {subnets: [subnet-a]}}
    deploymentConfiguration:
      CONFIGURATION
"""


def faults(tmp_path: Any, text: str) -> list[str]:
    path = tmp_path / "bad.yaml"
    path.write_text(text, encoding="utf-8")
    return [f"{issue.line}: {issue.dotted()}: {issue.message}" for issue in validate_file(path).issues]


@pytest.mark.parametrize(
    ("configuration", "line", "words"),
    [
        ("{alarms: {alarmNames: [errors], enable: true, rollback: true}}", 14, ("alarmNames[0]", "alarm 'errors'")),
        ("{bakeTimeInMinutes: 2000}", 14, ("bakeTimeInMinutes", "1440")),
        ("{minimumHealthyPercent: 120, maximumPercent: 110}", 14, ("minimumHealthyPercent is 120",)),
    ],
)
def test_a_file_names_the_line(tmp_path: Any, configuration: str, line: int, words: tuple[str, ...]) -> None:
    [fault] = faults(tmp_path, SCENARIO.replace("CONFIGURATION", configuration))
    assert fault.startswith(f"{line}: ")
    assert all(word in fault for word in words), fault


@pytest.mark.parametrize(
    ("entry", "words"),
    [
        ("ecs.stop_service_deployment: {service: wob}", ("ecs.stop_service_deployment", "'wob'")),
        ("ecs.stop_service_deployment: {}", ("give either serviceDeploymentArn or service",)),
        ("ecs.update_task_protection: {service: wob, protectionEnabled: true}", ("'wob'",)),
        ("ecs.update_task_protection: {service: web}", ("protectionEnabled",)),
        (
            "ecs.update_task_protection: {service: web, protectionEnabled: true, expiresInMinutes: 2881}",
            ("expiresInMinutes", "2880"),
        ),
    ],
)
def test_a_timeline_names_what_is_wrong_with_it(tmp_path: Any, entry: str, words: tuple[str, ...]) -> None:
    text = SCENARIO.replace("CONFIGURATION", "{}") + f"timeline:\n  - {{at: 1 min, {entry}}}\n"
    [fault] = faults(tmp_path, text)
    assert all(word in fault for word in words), fault


@pytest.mark.parametrize(
    "call",
    [
        {"protectionEnabled": True},
        {"tasks": [f"t{n}" for n in range(11)], "protectionEnabled": True},
        {"tasks": ["t"], "protectionEnabled": True, "expiresInMinutes": 0},
        {"tasks": ["t"], "protectionEnabled": False, "expiresInMinutes": 5},
    ],
)
def test_update_task_protection_refuses(call: dict[str, Any]) -> None:
    with pytest.raises(InvalidParameterException):
        Region("us-east-1").ecs.update_task_protection(**call)


def test_unknown_statuses_and_stop_types_are_refused() -> None:
    region = exact_region()
    register(region)
    region.ecs.create_service(**arguments({}))
    with pytest.raises(InvalidParameterException, match="ROLLBACK_SUCCESSFUL"):
        region.ecs.list_service_deployments(service="web", status=["DONE"])
    with pytest.raises(InvalidParameterException, match="ROLLBACK"):
        region.ecs.stop_service_deployment(service="web", stopType="NOW")
