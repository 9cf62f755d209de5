"""Placement that is refused: where the fault is, what is legal, in CreateService, UpdateService, RunTask and task definitions alike."""

from __future__ import annotations

from typing import Any

import pytest
from sim_helpers import exact_region, fleet, register

from fargsim.sim.errors import AwsError

JOB = {"taskDefinition": "job", "launchType": "EC2"}


def member(expression: str) -> dict[str, Any]:
    return {"placementConstraints": [{"type": "memberOf", "expression": expression}]}


def strategy(*rules: dict[str, str]) -> dict[str, Any]:
    return {"placementStrategy": list(rules)}


REFUSED: dict[str, tuple[dict[str, Any], tuple[str, ...]]] = {
    "an expression that ends too soon": (
        member("attribute:x =="),
        ("placementConstraints[0].expression", "column 15", "a value was expected"),
    ),
    "an operator that is none": (
        member("attribute:x = y"),
        ("placementConstraints[0].expression", "column 13", "'='", "an operator was expected"),
    ),
    "a subject that is none": (member("atribute:x == y"), ("column 1:", "attribute:NAME", "runningTasksCount")),
    "a parenthesis that is not closed": (
        member("agentVersion > 1.0 and (attribute:x exists"),
        ("column 43", "')' was expected"),
    ),
    "an operator that the subject does not take": (member("agentVersion in [1, 2]"), ("column 14", "== != > >= < <=")),
    "an expression that is too long": (
        member("attribute:x == " + "y" * 2000),
        ("placementConstraints[0].expression", "2000", "2015"),
    ),
    "memberOf without an expression": (
        {"placementConstraints": [{"type": "memberOf"}]},
        ("placementConstraints[0]", "memberOf needs an expression"),
    ),
    "too many constraints": (
        {"placementConstraints": [{"type": "distinctInstance"}] * 11},
        ("placementConstraints", "10", "11"),
    ),
    "too many with those of the task definition": (
        {
            "taskDefinition": "six",
            **member("attribute:x exists"),
            "placementConstraints": [{"type": "distinctInstance"}] * 5,
        },
        ("placementConstraints", "10", "11", "task definition included"),
    ),
    "too many rules": (strategy(*[{"type": "random"}] * 6), ("placementStrategy", "5", "6")),
    "a rule that is none": (strategy({"type": "spreads"}), ("placementStrategy[0].type", "random, spread, binpack")),
    "packing by what is none": (
        strategy({"type": "binpack", "field": "disk"}),
        ("placementStrategy[0]", "cpu or memory", "'disk'"),
    ),
    "spreading over nothing": (
        strategy({"type": "spread"}),
        ("placementStrategy[0]", "instanceId, host or attribute:NAME", "missing"),
    ),
    "spreading over no attribute": (
        strategy({"type": "spread", "field": "attribute:"}),
        ("placementStrategy[0]", "instanceId, host or attribute:NAME", "'attribute:'"),
    ),
}


@pytest.mark.parametrize("verb", ["run_task", "create_service", "update_service"])
@pytest.mark.parametrize("case", REFUSED)
def test_it_is_refused_with_its_field_and_what_is_legal(case: str, verb: str) -> None:
    wrong, words = REFUSED[case]
    region = exact_region()
    fleet(region)
    register(region, "job", cpu=128, memory=128, fargate=False)
    region.ecs.register_task_definition(
        family="six",
        memory="128",
        containerDefinitions=[{"name": "app", "image": "app:1"}],
        placementConstraints=[{"type": "memberOf", "expression": "attribute:x exists"}] * 6,
    )
    region.ecs.create_service(serviceName="there", desiredCount=0, **JOB)
    given: dict[str, dict[str, Any]] = {
        "run_task": {**JOB, **wrong},
        "create_service": {"serviceName": "new", **JOB, **wrong},
        "update_service": {"service": "there", **wrong},
    }
    with pytest.raises(AwsError) as refused:
        getattr(region.ecs, verb)(**given[verb])
    assert type(refused.value).__name__ == "InvalidParameterException"
    for word in words:
        assert word in str(refused.value)


def test_a_task_definition_takes_expressions_only_and_names_the_column() -> None:
    region = exact_region()
    definition = {"family": "new", "memory": "128", "containerDefinitions": [{"name": "app", "image": "app:1"}]}
    for wrong, words in (
        (member("attribute:x =="), ("placementConstraints[0].expression", "column 15")),
        ({"placementConstraints": [{"type": "distinctInstance"}]}, ("placementConstraints[0].type", "memberOf")),
        ({"placementConstraints": member("attribute:x exists")["placementConstraints"] * 11}, ("10", "11")),
    ):
        with pytest.raises(AwsError) as refused:
            region.ecs.register_task_definition(**definition, **wrong)
        assert type(refused.value).__name__ == "ClientException"
        for word in words:
            assert word in str(refused.value)
