"""Illegal deployment configurations and requests: AWS's exception, the field, the legal range; through the verbs and in files."""

from __future__ import annotations

from contextlib import nullcontext
from typing import Any

import pytest
from ruamel.yaml import YAML
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
        ("thresholdConfiguration.value: is 0", "COUNT takes 1 or more"),
    ),
    "no percentage at all": (
        {"deploymentCircuitBreaker": {**BREAKER, "thresholdConfiguration": {"value": 0}}},
        ("thresholdConfiguration.value: is 0", "BOUNDED_PERCENT takes 1 to 100"),
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
    "a maximum below what must stay": (
        {"maximumPercent": 99},
        ("maximumPercent: is 99", "at least minimumHealthyPercent, which is 100"),
    ),
    "a minimum above what may be": (
        {"minimumHealthyPercent": 201},
        ("minimumHealthyPercent: is 201", "at most maximumPercent, which is 200"),
    ),
    "steps between the tenths": (
        {"strategy": "LINEAR", "linearConfiguration": {"stepPercent": 10.05}},
        ("linearConfiguration.stepPercent", "10.05 is not a multiple of 0.1 (legal: 3 to 100 in steps of 0.1)"),
    ),
    "a canary between the tenths": (
        {"strategy": "CANARY", "canaryConfiguration": {"canaryPercent": 0.25}},
        ("canaryConfiguration.canaryPercent", "0.25 is not a multiple of 0.1 (legal: 0.1 to 100 in steps of 0.1)"),
    ),
    "alarms that are on and none": (
        {"alarms": {"alarmNames": [], "enable": True, "rollback": True}},
        ("alarms: alarmNames is empty", "at least 1"),
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


def created(configuration: dict[str, Any], **more: Any) -> Region:
    region = exact_region()
    register(region)
    region.ecs.create_service(**{**arguments(configuration), **more})
    return region


def test_an_update_leaves_alone_what_it_is_not_told() -> None:
    region = created({"minimumHealthyPercent": 50, "deploymentCircuitBreaker": BREAKER})

    def now() -> dict[str, Any]:
        spec = region.registry.service("default", "web").spec
        return spec.deployment_configuration.model_dump(by_alias=True, exclude_unset=True)

    region.ecs.update_service(service="web", deploymentConfiguration={"maximumPercent": 150})
    assert now() == {"minimumHealthyPercent": 50, "maximumPercent": 150, "deploymentCircuitBreaker": BREAKER}
    off = {"enable": False, "rollback": False}
    region.ecs.update_service(service="web", deploymentConfiguration={"deploymentCircuitBreaker": off})
    assert now()["deploymentCircuitBreaker"] == off
    region.ecs.update_service(service="web", deploymentConfiguration={})
    assert now() == {"minimumHealthyPercent": 50, "maximumPercent": 150, "deploymentCircuitBreaker": off}
    nothing = {"maximumPercent": None, "deploymentCircuitBreaker": None}
    region.ecs.update_service(service="web", deploymentConfiguration=nothing)
    assert now() == {"minimumHealthyPercent": 50, "maximumPercent": 150, "deploymentCircuitBreaker": off}


def test_an_update_is_judged_by_what_comes_out() -> None:
    region = created({"minimumHealthyPercent": 50})
    # a half is the lower bound that the service has already
    region.ecs.update_service(service="web", deploymentConfiguration={"earlySuccessCriteria": EARLY})
    for change, words in (
        ({"minimumHealthyPercent": 60}, ("deploymentConfiguration", "healthyPercent is 50", "at least", "60")),
        ({"maximumPercent": 40}, ("deploymentConfiguration", "minimumHealthyPercent is 50", "at most", "40")),
        ({"linearConfiguration": {}}, ("deploymentConfiguration", "linearConfiguration is for strategy LINEAR")),
        ({"strategy": "CANARY"}, ("loadBalancers", "CANARY needs a load balancer")),
    ):
        with pytest.raises(InvalidParameterException) as caught:
            region.ecs.update_service(service="web", deploymentConfiguration=change)
        assert all(word in str(caught.value) for word in words), str(caught.value)
    spec = region.registry.service("default", "web").spec.deployment_configuration
    assert (spec.minimum_healthy_percent, spec.maximum_percent, spec.strategy) == (50, None, "ROLLING")


@pytest.mark.parametrize("key", ["deploymentCircuitBreaker", "alarms"])
def test_what_codedeploy_s_services_must_not_have(key: str) -> None:
    value = {**BREAKER, **({"alarmNames": ["errors"]} if key == "alarms" else {})}
    with pytest.raises(InvalidParameterException, match=f"deploymentConfiguration.{key}: .*ECS, not CODE_DEPLOY"):
        created({key: value}, deploymentController={"type": "CODE_DEPLOY"})


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
    ("desired", "configuration", "stalls"),
    [
        (1, "{minimumHealthyPercent: 100, maximumPercent: 100}", True),
        (3, "{maximumPercent: 125}", True),  # three and three quarters are three
        (4, "{maximumPercent: 125}", False),
        (2, "{minimumHealthyPercent: 75, maximumPercent: 100}", True),
        (4, "{minimumHealthyPercent: 75, maximumPercent: 100}", False),
        (0, "{maximumPercent: 100}", False),
    ],
)
def test_validate_says_that_a_deployment_will_stall(
    tmp_path: Any, desired: int, configuration: str, stalls: bool
) -> None:
    path = tmp_path / "stalls.yaml"
    text = SCENARIO.replace("CONFIGURATION", configuration).replace("desiredCount: 1", f"desiredCount: {desired}")
    path.write_text(text, encoding="utf-8")
    report = validate_file(path)
    assert report.ok
    found = [note for note in report.notes if "stalls" in note]
    assert bool(found) == stalls
    assert not found or f"desiredCount {desired}, at least {desired} of its tasks" in found[0]


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
        ("ecs.stop_service_deployment: {service: web, stopType: ABORT}", ("stopType", "ABORT is not simulated")),
        (
            "ecs.update_service: {service: web, deploymentConfiguration: {strategy: CANARY}}",
            ("ecs.update_service.loadBalancers", "CANARY needs a load balancer"),
        ),
        (
            "ecs.update_service: {service: web, deploymentConfiguration: {maximumPercent: 40}}",
            ("ecs.update_service.deploymentConfiguration", "minimumHealthyPercent is 50", "at most maximumPercent, 40"),
        ),
        (
            "codedeploy.create_deployment: {deploymentGroupName: wob, taskDefinition: web}",
            ("codedeploy.create_deployment.deploymentGroupName", "no deployment group 'wob'"),
        ),
        ("codedeploy.stop_deployment: {deploymentGroupName: wob}", ("no deployment group 'wob'",)),
    ],
)
def test_a_timeline_names_what_is_wrong_with_it(tmp_path: Any, entry: str, words: tuple[str, ...]) -> None:
    text = SCENARIO.replace("CONFIGURATION", "{minimumHealthyPercent: 50}")
    [fault] = faults(tmp_path, text + f"timeline:\n  - {{at: 1 min, {entry}}}\n")
    assert all(word in fault for word in words), fault


def test_updates_add_up_in_the_order_of_their_time(tmp_path: Any) -> None:
    text = (
        SCENARIO.replace("CONFIGURATION", "{}")
        + """\
timeline:
  - {at: 3 min, ecs.update_service: {service: web, deploymentConfiguration: {maximumPercent: 60}}}
  - {at: 2 min, ecs.update_service: {service: web, deploymentConfiguration: {maximumPercent: 70}}}
  - {at: 1 min, ecs.update_service: {service: web, deploymentConfiguration: {minimumHealthyPercent: 50}}}
  - {at: 4 min, ecs.update_service: {service: web, deploymentConfiguration: {minimumHealthyPercent: 65}}}
"""
    )
    [fault] = faults(tmp_path, text)
    assert fault.startswith("19: timeline[3].ecs.update_service.deploymentConfiguration: minimumHealthyPercent is 65")


SPOT = "capacityProviderStrategy: [{capacityProvider: FARGATE_SPOT, weight: 1}]"
PLAIN = "capacityProviderStrategy: [{capacityProvider: FARGATE, weight: 1}]"


@pytest.mark.parametrize(
    ("updates", "refused"),
    [
        # what the service has by then needs no force
        ([f"{SPOT}, forceNewDeployment: true", f"{SPOT}, desiredCount: 2"], []),
        ([f"{SPOT}, forceNewDeployment: true", "capacityProviderStrategy: []"], [1]),
        ([f"{SPOT}, forceNewDeployment: true", "capacityProviderStrategy: [], forceNewDeployment: true", SPOT], [2]),
        (["capacityProviderStrategy: []"], []),
        # what was refused changes nothing
        ([SPOT, SPOT], [0, 1]),
        ([f"{SPOT}, forceNewDeployment: true", PLAIN, SPOT], [1]),
    ],
)
def test_a_strategy_is_compared_with_the_service_as_it_is_by_then_as_the_verb_does(
    tmp_path: Any, updates: list[str], refused: list[int]
) -> None:
    entries = [f"  - {{at: {n + 1} min, ecs.update_service: {{service: web, {u}}}}}\n" for n, u in enumerate(updates)]
    found = faults(tmp_path, SCENARIO.replace("CONFIGURATION", "{}") + "timeline:\n" + "".join(entries))
    message = "capacityProviderStrategy: a changed strategy takes effect with a forced deployment only: give forceNewDeployment: true"
    assert found == [f"{16 + n}: timeline[{n}].ecs.update_service.{message}" for n in refused]
    region = created({})
    for n, update in enumerate(updates):
        with pytest.raises(InvalidParameterException, match="force") if n in refused else nullcontext():
            region.ecs.update_service(service="web", **YAML(typ="safe").load(f"{{{update}}}"))


def test_an_update_of_an_unknown_service_is_told_by_its_name_alone(tmp_path: Any) -> None:
    entry = f"timeline:\n  - {{at: 1 min, ecs.update_service: {{service: wob, {SPOT}}}}}\n"
    [fault] = faults(tmp_path, SCENARIO.replace("CONFIGURATION", "{}") + entry)
    assert "no service 'wob'" in fault


@pytest.mark.parametrize(
    ("group", "words"),
    [
        ("ecsServices: [{serviceName: wob}]", ("ecsServices[0].serviceName", "no service 'wob'")),
        ("ecsServices: [{serviceName: web}]", ("deployment controller ECS: it must be CODE_DEPLOY",)),
    ],
)
def test_a_deployment_group_names_what_is_there(tmp_path: Any, group: str, words: tuple[str, ...]) -> None:
    pair = "{targetGroups: [{name: a}, {name: b}], prodTrafficRoute: {listenerArns: [front:80]}}"
    balancer = f"loadBalancerInfo: {{targetGroupPairInfoList: [{pair}]}}"
    alarms = "alarmConfiguration: {enabled: true, alarms: [{name: errors}]}"
    entry = f"codedeploy.create_deployment_group: {{deploymentGroupName: web, {group}, {balancer}, {alarms}}}"
    found = faults(tmp_path, SCENARIO.replace("CONFIGURATION", "{}") + f"timeline:\n  - {{at: 1 min, {entry}}}\n")
    texts = "\n".join(found)
    for word in (*words, "target group 'a'", "target group 'b'", "listener 'front:80'", "alarm 'errors'"):
        assert word in texts, texts
    assert len(found) == 5


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
