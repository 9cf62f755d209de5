"""Illegal task definitions: AWS's exception, the field, the legal range; through the verb, in a file and in a scenario."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from fargsim import Region
from fargsim.load import validate_file
from fargsim.model.base import Issue
from fargsim.sim.errors import ClientException

CHECK = {"command": ["CMD", "true"]}
RESTART = {"enabled": True}


def waits(*names: str, condition: str = "START") -> list[dict[str, str]]:
    return [{"containerName": name, "condition": condition} for name in names]


def definition(*containers: dict[str, Any], **task: Any) -> dict[str, Any]:
    named = [{"name": f"c{n}", "image": "app:1", **c} for n, c in enumerate(containers or ({},))]
    return {
        "family": "web",
        "cpu": "256",
        "memory": "512",
        "networkMode": "awsvpc",
        "requiresCompatibilities": ["FARGATE"],
        "containerDefinitions": named,
        **task,
    }


def one(**container: Any) -> dict[str, Any]:
    return definition(container)


C0 = "containerDefinitions[0]"
RANGES: list[tuple[dict[str, Any], str, str]] = [
    (one(healthCheck={**CHECK, key: value}), f"{C0}.healthCheck.{key}", f"(legal: {low} to {high})")
    for key, low, high in (("interval", 5, 300), ("timeout", 2, 60), ("retries", 1, 10), ("startPeriod", 0, 300))
    for value in (low - 1, high + 1)
]
RANGES += [
    (one(**{key: value}), f"{C0}.{key}", "(legal: 2 to 120)")
    for key in ("startTimeout", "stopTimeout")
    for value in (1, 121)
]
RANGES += [
    (
        one(restartPolicy={**RESTART, "restartAttemptPeriod": value}),
        f"{C0}.restartPolicy.restartAttemptPeriod",
        "(legal: 60 to 1800)",
    )
    for value in (59, 1801)
]
RANGES += [
    (
        one(restartPolicy={**RESTART, "ignoredExitCodes": list(range(51))}),
        f"{C0}.restartPolicy.ignoredExitCodes",
        "at most 50",
    ),
    (one(memory=5), f"{C0}.memory", "at least 6"),
    (definition(*[{}] * 11), "containerDefinitions", "must have at most 10 elements, not 11 (legal: 1 to 10)"),
    (definition(containerDefinitions=[]), "containerDefinitions", "(legal: 1 to 10)"),
    (definition(ephemeralStorage={"sizeInGiB": 20}), "ephemeralStorage.sizeInGiB", "(legal: 21 to 200)"),
    (definition(ephemeralStorage={"sizeInGiB": 201}), "ephemeralStorage.sizeInGiB", "(legal: 21 to 200)"),
    (definition(memory="4096"), "memory", "No Fargate configuration exists for given values: "),
    (definition(cpu="300"), "cpu", "Invalid 'cpu' setting for task: "),
    (
        definition({"dependsOn": waits("c1")}, {"dependsOn": waits("c0")}),
        f"{C0}.dependsOn",
        "in a circle: c0 -> c1 -> c0",
    ),
    (
        one(dependsOn=waits("db")),
        f"{C0}.dependsOn[0].containerName",
        "Cannot depend on container 'db' because it does not exist",
    ),
    (one(dependsOn=waits("c0")), f"{C0}.dependsOn", "in a circle: c0 -> c0"),
    (
        definition({"dependsOn": waits("c1", condition="HEALTHY")}, {}),
        f"{C0}.dependsOn[0].condition",
        "container c0 waits for c1 to be HEALTHY: it has no health check",
    ),
    (
        definition({"dependsOn": waits("c1", condition="SUCCESS")}, {}),
        f"{C0}.dependsOn[0].condition",
        "container c0 waits for SUCCESS of c1, whose exit would end the task",
    ),
    (
        definition({"dependsOn": waits("c1", condition="COMPLETE")}, {}),
        f"{C0}.dependsOn[0].condition",
        "A dependency container with SUCCESS or COMPLETE condition cannot be an essential container",
    ),
    (
        one(dependsOn=waits("c0", condition="STARTED")),
        f"{C0}.dependsOn[0].condition",
        "START, COMPLETE, SUCCESS, HEALTHY",
    ),
    (
        one(
            repositoryCredentials={
                "credentialsParameter": "arn:aws:secretsmanager:us-east-1:123456789012:secret:hub-AbCdEf"
            }
        ),
        "executionRoleArn",
        "Private repository authentication requires that the task definition specify a value for executionRoleArn.",
    ),
    (
        one(image="123456789012.dkr.ecr.us-east-1.amazonaws.com/web:1"),
        "executionRoleArn",
        "Fargate requires task definition to have execution role ARN to support ECR images.",
    ),
]


@pytest.mark.parametrize(("whole", "path", "words"), RANGES)
def test_verb_file_and_scenario_say_the_same(whole: dict[str, Any], path: str, words: str, tmp_path: Path) -> None:
    region = Region("us-east-1", seed=7)
    with pytest.raises(ClientException) as caught:
        region.ecs.register_task_definition(**whole)
    assert words in str(caught.value)
    if path != "executionRoleArn":  # named in AWS's own words
        assert str(caught.value).startswith(f"{path}: ")
    assert region.registry.revisions == {}

    file = tmp_path / "web.taskdef.json"
    file.write_text(json.dumps(whole, indent=1), encoding="utf-8")
    report = validate_file(file)
    [issue] = [i for i in report.issues if i.dotted() == path]
    assert issue.text.startswith("ClientException: ")
    assert words in issue.text
    assert f": {path}: ClientException: " in str(issue)
    assert {"path": path, "message": issue.text}.items() <= report.as_json()["issues"][
        report.issues.index(issue)
    ].items()

    scenario = tmp_path / "web.json"
    scenario.write_text(
        json.dumps({"name": "web", "duration": "1 h", "taskDefinitions": [{"file": file.name}]}), encoding="utf-8"
    )
    assert str(issue) in [str(i) for i in validate_file(scenario).issues]
    entry = {"at": "1 min", "ecs.register_task_definition": whole}
    scenario.write_text(json.dumps({"name": "web", "duration": "1 h", "timeline": [entry]}), encoding="utf-8")
    [late] = [i for i in validate_file(scenario).issues if i.dotted().endswith(path)]
    assert late.dotted() == f"timeline[0].ecs.register_task_definition.{path}"
    assert (late.exception, late.message) == (issue.exception, issue.message)


def test_both_ends_of_every_range_are_taken() -> None:
    region = Region("us-east-1", seed=7)
    for low in (True, False):
        check = {"interval": (5, 300), "timeout": (2, 60), "retries": (1, 10), "startPeriod": (0, 300)}
        region.ecs.register_task_definition(
            **one(
                healthCheck={**CHECK, **{key: ends[not low] for key, ends in check.items()}},
                startTimeout=(2, 120)[not low],
                stopTimeout=(2, 120)[not low],
                restartPolicy={
                    **RESTART,
                    "restartAttemptPeriod": (60, 1800)[not low],
                    "ignoredExitCodes": list(range(50)),
                },
                memory=(6, 512)[not low],
            ),
            ephemeralStorage={"sizeInGiB": (21, 200)[not low]},
        )
    region.ecs.register_task_definition(**definition(*[{}] * 10))
    assert len(region.registry.revisions["web"]) == 3


def test_on_an_instance_a_stop_may_take_longer_than_on_fargate() -> None:
    region = Region("us-east-1", seed=7)
    on_ec2 = {"requiresCompatibilities": ["EC2"]}
    region.ecs.register_task_definition(**definition({"stopTimeout": 3600, "startTimeout": 1}, **on_ec2))
    [container] = region.registry.revision("web").definition.container_definitions
    assert (container.stop_timeout, container.start_timeout) == (3600, 1)


def circles(*needs: tuple[str, ...]) -> list[str]:
    """What is said of containers c0, c1, ... that wait for others."""
    with pytest.raises(ClientException) as caught:
        Region("us-east-1").ecs.register_task_definition(**definition(*({"dependsOn": waits(*n)} for n in needs)))
    return str(caught.value).split("; ")


def test_who_only_waits_for_a_circle_is_not_in_it() -> None:
    words = "containers must not wait for each other in a circle"
    assert circles(("c1",), ("c2",), ("c1",)) == [f"containerDefinitions[1].dependsOn: {words}: c1 -> c2 -> c1"]
    # two circles are two faults
    assert circles(("c1",), ("c0",), ("c3", "c1"), ("c2",)) == [
        f"containerDefinitions[0].dependsOn: {words}: c0 -> c1 -> c0",
        f"containerDefinitions[2].dependsOn: {words}: c2 -> c3 -> c2",
    ]
    # also where they have a container in common, or a way
    assert circles(("c1",), ("c0", "c2"), ("c1",)) == [
        f"containerDefinitions[0].dependsOn: {words}: c0 -> c1 -> c0",
        f"containerDefinitions[1].dependsOn: {words}: c1 -> c2 -> c1",
    ]
    assert sorted(circles(("c1",), ("c2",), ("c0", "c1"))) == [
        f"containerDefinitions[0].dependsOn: {words}: c0 -> c1 -> c2 -> c0",
        f"containerDefinitions[1].dependsOn: {words}: c1 -> c2 -> c1",
    ]
    # ways that meet again are none
    Region("us-east-1").ecs.register_task_definition(
        **definition({"dependsOn": waits("c1", "c2")}, {"dependsOn": waits("c3")}, {"dependsOn": waits("c3")}, {})
    )


def test_faults_of_every_kind_are_told_at_once(tmp_path: Path) -> None:
    """A figure out of range, an unknown key, a circle, a size that is not there and one container too many: none hides another."""
    containers: list[dict[str, Any]] = [
        {"healthCheck": {**CHECK, "interval": 4}, "imag": "x", "dependsOn": waits("c1")}
    ]
    containers += [{"dependsOn": waits("c0")}, *[{}] * 9]
    file = tmp_path / "web.json"
    file.write_text(json.dumps(definition(*containers, memory="4096"), indent=1), encoding="utf-8")
    assert {issue.dotted() for issue in validate_file(file).issues} == {
        f"{C0}.healthCheck.interval",
        f"{C0}.imag",
        f"{C0}.dependsOn",
        "containerDefinitions",
        "memory",
    }


@pytest.mark.parametrize(
    "change",
    [
        {"family": 5},
        {"containerDefinitions": "web"},
        {"containerDefinitions": [{"name": 5, "image": "x"}]},
        {"cpu": [1]},
    ],
)
def test_what_is_left_out_is_not_missed(change: dict[str, Any], tmp_path: Path) -> None:
    file = tmp_path / "web.json"
    file.write_text(json.dumps(definition(**change)), encoding="utf-8")
    [issue] = validate_file(file).issues
    assert "missing" not in issue.message
    assert issue.dotted().startswith(Issue((next(iter(change)),), "").dotted())
