"""What a sound file gives: a scenario that survives storing, notes, facts and a schema."""

from __future__ import annotations

import copy
import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from load_examples import EC2, SCENARIO, TASK_DEFINITION, changed, place

from fargsim.load import json_schema, load, load_notes, load_variants, validate_file
from fargsim.load.node import to_plain
from fargsim.load.yaml_reader import read_yaml
from fargsim.model.scenario import Scenario

SHIPPED = sorted((Path(__file__).resolve().parents[1] / "scenarios").glob("*.yaml"))
RICH = changed(
    "slo: {latency_p99: 400 ms, error_rate: 0.1 %}",
    """slo: {latency_p99: 0.4 s, error_rate: 0.05 %}
jobs:
  - name: nightly
    run_task: {taskDefinition: web, launchType: FARGATE, networkConfiguration: {awsvpcConfiguration: {subnets: [subnet-b]}}}
    rate: {steps: [{at: 0 s, rate: 0.333 /h}, {at: 90 min, rate: 1e-3 /s}], process: regular}
billing: {bytes_per_request: 12345.678}
record: {requests: sampled, period: 15 s}""",
    SCENARIO + EC2,
)


@pytest.mark.parametrize("text", [SCENARIO, RICH])
def test_a_stored_scenario_is_the_same_scenario(text: str, tmp_path: Path) -> None:
    scenario = load(place(tmp_path, text))
    stored = scenario.model_dump_json(by_alias=True)
    again = Scenario.model_validate_json(stored)
    assert again == scenario
    assert again.model_dump_json(by_alias=True) == stored
    # and a stored scenario is an accepted input
    path = tmp_path / "stored.json"
    path.write_text(stored, encoding="utf-8")
    assert load(path) == scenario


@pytest.mark.parametrize("path", SHIPPED, ids=lambda p: p.stem)
def test_the_shipped_scenarios_are_sound_and_survive_storing(path: Path) -> None:
    variants = to_plain(read_yaml(path.read_text(encoding="utf-8"), "file")).get("variants")
    for name, scenario in load_variants(path).items():
        assert Scenario.model_validate_json(scenario.model_dump_json(by_alias=True)) == scenario
        assert scenario.variant == (name if variants else None)


def test_json_and_yaml_give_the_same_scenario(tmp_path: Path) -> None:
    path = place(tmp_path, RICH)
    as_json = tmp_path / "scenario.json"
    as_json.write_text(json.dumps(to_plain(read_yaml(RICH, "rich")), indent="\t"), encoding="utf-8")
    assert load(as_json) == load(path)


def test_reading_is_exact(tmp_path: Path) -> None:
    scenario = load(place(tmp_path, RICH))
    assert scenario.billing.bytes_per_request == 12345.678
    assert scenario.slo.latency_p99 == 400_000
    assert scenario.jobs[0].rate.steps is not None
    assert scenario.jobs[0].rate.steps[0].rate == 0.333 / 3600
    assert scenario.jobs[0].rate.steps[1].rate == 1e-3


def test_notes_name_the_assumed_values_that_are_used(tmp_path: Path) -> None:
    def named(text: str) -> set[str]:
        notes = load_notes(load(place(tmp_path, text)))
        return {
            n.removeprefix("no source gives a figure for ").split(" = ")[0] for n in notes if n.startswith("no source")
        }

    plain = named(SCENARIO)
    assert {"bytes_per_request", "connections_per_request", "deprovision_s", "scheduler_tick_s"} <= plain
    # set by the scenario, or of a part that it does not have
    assert not {"service_reaction_s", "root_volume_gib", "registered_memory_factor", "spot_capacity_available"} & plain
    assert {"root_volume_gib", "registered_memory_factor"} <= named(SCENARIO + EC2)
    spot = changed("launchType: FARGATE", "capacityProviderStrategy: [{capacityProvider: FARGATE_SPOT}]")
    assert "spot_interruptions_per_task_hour" in named(spot)
    assert "bytes_per_request" not in named(changed("quotas:", "billing: {bytes_per_request: 100}\nquotas:"))


def test_notes_tell_what_is_probably_not_meant(tmp_path: Path) -> None:
    on_ec2 = changed("launchType: FARGATE", "launchType: EC2", changed(", assignPublicIp: ENABLED", ""))
    assert "service web runs on EC2, but no Auto Scaling group joins cluster default" in load_notes(
        load(place(tmp_path, on_ec2))
    )
    assert "the tasks of jobs nightly never end: behaviour.web has no 'run'" in load_notes(load(place(tmp_path, RICH)))
    chain = "attribute:a exists or attribute:b exists and attribute:c exists"
    text = changed(
        "launchType: EC2",
        f"launchType: EC2\n    placementConstraints: [{{type: memberOf, expression: '{chain}'}}]",
        on_ec2,
    )
    [note] = [n for n in load_notes(load(place(tmp_path, text))) if n.startswith("expression")]
    assert chain in note
    assert "and" in note.removeprefix(f"expression '{chain}'")


def test_notes_tell_what_is_accepted_but_not_simulated(tmp_path: Path) -> None:
    definition = copy.deepcopy(TASK_DEFINITION)
    definition["containerDefinitions"][0] |= {"startTimeout": 30, "restartPolicy": None, "dependsOn": []}
    text = changed(
        "desiredCount: 4",
        "desiredCount: 4\n    platformVersion: 1.4.0\n    serviceRegistries: [{registryArn: arn}]\n    "
        "deploymentConfiguration: {bakeTimeInMinutes: 5}",
    )
    text = changed("TargetType: ip}", "TargetType: ip, Attributes: [{Key: stickiness.enabled, Value: 'true'}]}", text)
    found = load_notes(load(place(tmp_path, text, definition)))
    assert [n for n in found if n.endswith("is accepted but not simulated yet")] == [
        "serviceRegistries of service web is accepted but not simulated yet",
        "stickiness.enabled of target group web-targets is accepted but not simulated yet",
    ]
    assert not [n for n in load_notes(load(place(tmp_path))) if "not simulated" in n]


def test_a_task_definition_s_facts(tmp_path: Path) -> None:
    definition = copy.deepcopy(TASK_DEFINITION)
    definition["containerDefinitions"].append(
        {"name": "log", "image": "x", "essential": False, "memoryReservation": 64}
    )
    definition["containerDefinitions"][0] |= {"memory": 512, "cpu": 256}
    report = validate_file(place(tmp_path, SCENARIO, definition).with_name("web.taskdef.json"))
    assert report.as_json() == {
        "file": str(tmp_path / "web.taskdef.json"),
        "kind": "task definition",
        "ok": True,
        "issues": [],
        "facts": {
            "family": "web",
            "containers": 2,
            "cpu_units": 1024,
            "memory_mib": 2048,
            "network_mode": "awsvpc",
            "requires_compatibilities": ["FARGATE", "EC2"],
            "fargate_ok": True,
        },
        "notes": [],
    }


@pytest.mark.parametrize(
    ("change", "facts"),
    [
        ({"cpu": None, "memory": None, "requiresCompatibilities": ["EC2"]}, (256, 512, False)),
        ({"cpu": ".5 vCPU", "memory": "1 GB"}, (512, 1024, True)),
        ({"cpu": "512", "memory": "5120", "requiresCompatibilities": []}, (512, 5120, False)),
        ({"networkMode": "bridge", "requiresCompatibilities": []}, (1024, 2048, False)),
    ],
)
def test_sizes_as_placement_sees_them(change: dict[str, Any], facts: tuple[int, int, bool], tmp_path: Path) -> None:
    definition = copy.deepcopy(TASK_DEFINITION) | change
    definition["containerDefinitions"][0] |= {"memory": 1024, "memoryReservation": 512, "cpu": 256}
    report = validate_file(place(tmp_path, SCENARIO, definition).with_name("web.taskdef.json"))
    assert (report.facts["cpu_units"], report.facts["memory_mib"], report.facts["fargate_ok"]) == facts


@pytest.mark.parametrize(
    ("text", "kind", "message"),
    [
        ("[1, 2]", "unknown", "is neither a scenario"),
        ("{}", "unknown", "is neither a scenario"),
        ('{"taskDefinition": {"family": "a"}}', "unknown", "looks like the output of describe-task-definition"),
        ('{"family": "a"}', "task definition", "the key 'containerDefinitions' is missing"),
        ('{"services": []}', "scenario", "the key 'name' is missing"),
        ("{", "unknown", "the file ends too early"),
    ],
)
def test_the_kind_of_a_file_is_seen_from_its_keys(text: str, kind: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "input.json"
    path.write_text(text)
    report = validate_file(path)
    assert (report.kind, report.ok) == (kind, False)
    assert report.issues[0].message.startswith(message)


def test_every_fault_of_every_variant_is_in_the_report(tmp_path: Path) -> None:
    text = SCENARIO + "variants: {a: {seed: -1}, b: {seed: -2, slo: {x: 1}}}\n"
    report = validate_file(place(tmp_path, text))
    assert [(i.dotted(), i.message.rpartition(" (")[2]) for i in report.issues] == [
        ("seed", "variant a)"),
        ("seed", "variant b)"),
        ("slo.x", "variant b)"),
    ]
    assert validate_file(place(tmp_path, text.replace("seed: -", "seed: ").replace(", slo: {x: 1}", ""))).facts[
        "variants"
    ] == ["a", "b"]


@pytest.fixture(scope="module")
def schema() -> dict[str, Any]:
    return json_schema()


def refuses(schema: dict[str, Any], document: Any) -> bool:
    return next(jsonschema.Draft202012Validator(schema).iter_errors(document), None) is not None


def test_the_schema_is_one_and_takes_what_the_reader_takes(schema: dict[str, Any]) -> None:
    jsonschema.Draft202012Validator.check_schema(schema)
    for text in (SCENARIO, RICH, *(p.read_text() for p in SHIPPED)):
        document = to_plain(read_yaml(text, "file"))
        errors = list(jsonschema.Draft202012Validator(schema).iter_errors(document))
        assert not errors, errors[0].message


def test_the_schema_takes_a_stored_scenario(schema: dict[str, Any], tmp_path: Path) -> None:
    stored = load(place(tmp_path, RICH)).model_dump(mode="json", by_alias=True)
    errors = list(jsonschema.Draft202012Validator(schema).iter_errors(stored))
    assert not errors, errors[0].message


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("MinCapacity: 2", "MinCapcity: 2"),
        ("desiredCount: 4", "desired_count: 4"),
        ("desiredCount: 4", "desiredCount: -4"),
        ("launchType: FARGATE", "launchType: fargate"),
        ("duration: 24 h\n", ""),
        ("file: web.taskdef.json", "fil: web.taskdef.json"),
        ("{mean: 6 s, p95: 10 s}", "{mean: 6 s, pp95: 10 s}"),
        ("duration: 24 h\n", "duration: 24 h\nvariants: {a: {nmae: x}}\n"),
        ("duration: 24 h\n", "duration: 24 h\nvariants: {a: {services: [{serviceName: web, desiredCont: 3}]}}\n"),
    ],
)
def test_the_schema_refuses_misspelt_and_impossible_values(old: str, new: str, schema: dict[str, Any]) -> None:
    assert refuses(schema, to_plain(read_yaml(changed(old, new), "file")))


def test_the_schema_lets_a_variant_hold_a_part(schema: dict[str, Any]) -> None:
    variants = (
        "variants:\n"
        "  a:\n"
        "  b: {services: [{serviceName: web, launchType: null, $remove: true}], traffic: [{to: web, rate: {constant: 1 /s}}]}\n"
    )
    assert not refuses(schema, to_plain(read_yaml(SCENARIO + variants, "file")))


def test_reading_pulls_in_no_engine_and_no_table_library() -> None:
    code = "import sys, fargsim.load; print([m for m in ('simpy', 'pandas', 'numba', 'matplotlib', 'numpy', 'lark') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_reading_a_large_scenario_takes_time_in_proportion(tmp_path: Path) -> None:
    def seconds(services: int) -> float:
        network = "networkConfiguration: {awsvpcConfiguration: {subnets: [subnet-a]}}"
        one = f"  - {{serviceName: s%d, taskDefinition: web, launchType: FARGATE, {network}}}\n"
        text = changed("scaling:\n", "".join(one % n for n in range(services)) + "scaling:\n")
        path = place(tmp_path, text)
        begun = time.process_time()
        load(path)
        return time.process_time() - begun

    seconds(10)
    few, many = seconds(200), seconds(800)
    # four times the services; a quadratic reader would take sixteen times as long
    assert many < 9 * few
