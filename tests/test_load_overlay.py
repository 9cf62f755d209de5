"""Variants and overrides: what merges, what is replaced, what goes, and where a fault of theirs points."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from load_examples import EC2, SCENARIO, changed, faults, place

from fargsim.load import ScenarioError, load, load_variants
from fargsim.load.issue import Mark
from fargsim.load.node import find, to_plain
from fargsim.load.overlay import apply_overrides, overlay
from fargsim.load.yaml_reader import read_yaml


def merged(base: str, over: str) -> Any:
    return to_plain(overlay(read_yaml(base, "base"), read_yaml(over, "over")))


@pytest.mark.parametrize(
    ("base", "over", "result"),
    [
        ("{a: 1, b: {c: 2, d: 3}}", "{b: {c: 4}, e: 5}", {"a": 1, "b": {"c": 4, "d": 3}, "e": 5}),
        ("{a: 1, b: 2}", "{a: null, z: null}", {"b": 2}),
        ("{a: {b: 1}}", "{a: 3}", {"a": 3}),
        ("{a: 3}", "{a: {b: 1, c: null}}", {"a": {"b": 1}}),
        ("{a: [1, 2, 3]}", "{a: [4]}", {"a": [4]}),
        ("{a: [{x: 1}, {x: 2}]}", "{a: [{y: 1}]}", {"a": [{"y": 1}]}),
        (
            "{services: [{serviceName: a, n: 1}, {serviceName: b, n: 2}]}",
            "{services: [{serviceName: b, n: 3}, {serviceName: c, n: 4}]}",
            {"services": [{"serviceName": "a", "n": 1}, {"serviceName": "b", "n": 3}, {"serviceName": "c", "n": 4}]},
        ),
        (
            "{x: [{family: web, containerDefinitions: [{name: a, cpu: 1}, {name: b, cpu: 2}]}]}",
            "{x: [{family: web, containerDefinitions: [{name: b, cpu: 9}]}]}",
            {"x": [{"family": "web", "containerDefinitions": [{"name": "a", "cpu": 1}, {"name": "b", "cpu": 9}]}]},
        ),
        (
            "{attributes: [{Key: a, Value: x}, {Key: b, Value: y}]}",
            "{attributes: [{Key: a, Value: z}]}",
            {"attributes": [{"Key": "a", "Value": "z"}, {"Key": "b", "Value": "y"}]},
        ),
        (
            "{services: [{serviceName: a}, {serviceName: b}]}",
            "{services: [{serviceName: a, $remove: true}]}",
            {"services": [{"serviceName": "b"}]},
        ),
        # two elements of one name: which one would be meant is not clear, so the list is replaced
        ("{traffic: [{to: a, n: 1}, {to: a, n: 2}]}", "{traffic: [{to: a, n: 3}]}", {"traffic": [{"to": "a", "n": 3}]}),
        # a strategy is one value
        (
            "{s: {capacityProviderStrategy: [{capacityProvider: FARGATE, weight: 1}]}}",
            "{s: {capacityProviderStrategy: [{capacityProvider: FARGATE_SPOT, weight: 1}]}}",
            {"s": {"capacityProviderStrategy": [{"capacityProvider": "FARGATE_SPOT", "weight": 1}]}},
        ),
        # of what can only be one, the newer stays
        (
            "{launchType: FARGATE, n: 1}",
            "{capacityProviderStrategy: [{capacityProvider: FARGATE_SPOT}]}",
            {"n": 1, "capacityProviderStrategy": [{"capacityProvider": "FARGATE_SPOT"}]},
        ),
        (
            "{rate: {daily: [1], peak: 3 /s, scale: 2}}",
            "{rate: {constant: 1 /s}}",
            {"rate": {"peak": "3 /s", "scale": 2, "constant": "1 /s"}},
        ),
        (
            "{boot: {lognormal: {mean: 1 s}}}",
            "{boot: {exponential: {mean: 2 s}}}",
            {"boot": {"exponential": {"mean": "2 s"}}},
        ),
    ],
)
def test_an_overlay(base: str, over: str, result: Any) -> None:
    assert merged(base, over) == result


def test_an_overlay_changes_neither_document_and_values_keep_their_places() -> None:
    base, over = read_yaml("a:\n  b: 1\n  c: 2\n", "base"), read_yaml("a:\n  c: 3\n", "over")
    before = to_plain(base), to_plain(over)
    result = overlay(base, over)
    assert (to_plain(base), to_plain(over)) == before
    changed_value, kept = find(result, ("a", "c")), find(result, ("a", "b"))
    assert changed_value is not None
    assert kept is not None
    assert (changed_value.mark, kept.mark) == (Mark("over", 2, 6), Mark("base", 2, 6))


def set_all(text: str, *pairs: tuple[str, str]) -> Any:
    return to_plain(apply_overrides(read_yaml(text, "base"), pairs))


@pytest.mark.parametrize(
    ("text", "path", "value", "result"),
    [
        ("{a: {b: [1, {c: 2}]}}", "a.b[1].c", "5", {"a": {"b": [1, {"c": 5}]}}),
        ("{a: {b: 1}}", "a.x", "[1, 2]", {"a": {"b": 1, "x": [1, 2]}}),
        ("{a: 1}", "x.y.z", "7", {"a": 1, "x": {"y": {"z": 7}}}),
        ("{a: {b: 1, c: 2}}", "a.b", "null", {"a": {"c": 2}}),
        ("{a: [1, 2]}", "a[0]", "null", {"a": [2]}),
        ("{a: 1}", "a", "", {"a": ""}),
        ("{a: 1}", "a", "250 ms", {"a": "250 ms"}),
        (
            "{services: [{serviceName: web, n: 1}]}",
            "services[web].n",
            "2",
            {"services": [{"serviceName": "web", "n": 2}]},
        ),
        (
            "{t: [{ecs.update_service: {n: 1}}]}",
            "t[0].ecs.update_service.n",
            "2",
            {"t": [{"ecs.update_service": {"n": 2}}]},
        ),
        (
            "{launchType: FARGATE}",
            "capacityProviderStrategy",
            "[{capacityProvider: X}]",
            {"capacityProviderStrategy": [{"capacityProvider": "X"}]},
        ),
    ],
)
def test_an_override(text: str, path: str, value: str, result: Any) -> None:
    assert set_all(text, (path, value)) == result


def test_overrides_follow_one_another() -> None:
    assert set_all("{a: 1}", ("b.c", "1"), ("b.d", "2"), ("b.c", "3")) == {"a": 1, "b": {"c": 3, "d": 2}}


@pytest.mark.parametrize(
    ("path", "value", "found"),
    [
        ("services[3].x", "1", ("services", "has 1 elements, so there is no [3] (the first is [0])")),
        ("services[wep].x", "1", ("services", "has no element 'wep': it has web")),
        ("services.x", "1", ("services", "has no keys, so 'x' cannot be set in it")),
        ("name[0]", "1", ("name", "is not a list, so it has no element [0]")),
        (
            "timeline[one].at",
            "1",
            ("timeline", "has no element 'one': its elements have no names, write a number from 0"),
        ),
        ("nowhere[0]", "1", ("nowhere", "is not there, so none of its elements can be set")),
        ("a..b", "1", (".", "'a..b' is not a path: write it like services[0].desiredCount")),
        ("", "1", (".", "'' is not a path: write it like services[0].desiredCount")),
        ("seed", "-1", ("seed", "must be at least 0, not -1")),
        ("services[web].desiredCount", "many", ("services[0].desiredCount", "must be a whole number, not 'many'")),
        (
            "services[web].desiredcount",
            "3",
            ("services[0].desiredcount", "unknown key 'desiredcount': did you mean 'desiredCount'?"),
        ),
        ("traffic[0].to", "api", ("traffic[0].to", "there is no service 'api': there is web")),
        (
            "taskDefinitions[web].cpu",
            "512",
            ("taskDefinitions[0].cpu", "the containers' cpu adds up to 1024 units, more than the task's 512"),
        ),
        ("seed", "[1,", ("[1]", "the file ends too early: the list that begins on line 1 is not closed")),
    ],
)
def test_a_fault_of_an_override_points_to_it(path: str, value: str, found: tuple[str, str], tmp_path: Path) -> None:
    [(file, line, _, at, message)] = faults(place(tmp_path), overrides=[("seed", "7"), (path, value)])
    assert (file, at) == ("--set", found[0])
    assert message.startswith(found[1])
    # the reader of a value counts its own lines
    assert line == (1 if value == "[1," else 2)


def test_overrides_reach_every_variant_and_win_over_them(tmp_path: Path) -> None:
    path = place(
        tmp_path, SCENARIO + "variants:\n  a: {seed: 3}\n  b: {services: [{serviceName: web, desiredCount: 9}]}\n"
    )
    found = load_variants(path, overrides=[("seed", "8"), ("services[web].desiredCount", "5")])
    assert [(s.seed, s.services[0].desired_count) for s in found.values()] == [(8, 5), (8, 5)]


def test_a_variant_changes_what_came_from_a_file(tmp_path: Path) -> None:
    text = SCENARIO + (
        "variants:\n"
        "  arm: {taskDefinitions: [{family: web, runtimePlatform: {cpuArchitecture: ARM64}}]}\n"
        "  wrong: {taskDefinitions: [{family: web, memory: '3000'}]}\n"
        "  other: {taskDefinitions: [{file: small.json}]}\n"
    )
    path = place(tmp_path, text)
    (tmp_path / "small.json").write_text(
        (tmp_path / "web.taskdef.json").read_text().replace("2048", "4096").replace('"4096",', "2048,", 0)
    )
    arm = load(path, variant="arm").task_definitions[0]
    assert (arm.cpu_architecture, arm.memory_mib, arm.container_definitions[0].memory) == ("ARM64", 2048, 2048)
    # a file takes the place of the definition of its family as a whole
    assert load(path, variant="other").task_definitions[0].memory_mib == 4096
    found = faults(path, variant="wrong")
    line = text.split("\n").index("  wrong: {taskDefinitions: [{family: web, memory: '3000'}]}") + 1
    assert [(f[:2], f[3]) for f in found] == [(("scenario.yaml", line), "taskDefinitions[0].memory")]


def test_a_variant_that_adds_capacity(tmp_path: Path) -> None:
    over = "\n".join("    " + line for line in EC2.rstrip().split("\n"))
    service = (
        "    clusters: [{clusterName: default, capacityProviders: [on-fleet]}]\n"
        "    services:\n"
        "      - serviceName: web\n"
        "        capacityProviderStrategy: [{capacityProvider: on-fleet}]\n"
        "        networkConfiguration: {awsvpcConfiguration: {assignPublicIp: DISABLED}}\n"
    )
    found = load_variants(place(tmp_path, f"{SCENARIO}variants:\n  fargate: {{}}\n  ec2:\n{over}\n{service}"))
    assert [(s.services[0].launch_type, len(s.auto_scaling_groups)) for s in found.values()] == [
        ("FARGATE", 0),
        (None, 1),
    ]
    networks = [s.services[0].network_configuration for s in found.values()]
    shown = [(n.awsvpc_configuration.subnets, n.awsvpc_configuration.assign_public_ip) for n in networks if n]
    assert shown == [(("subnet-a", "subnet-b"), "ENABLED"), (("subnet-a", "subnet-b"), "DISABLED")]


@pytest.mark.parametrize(
    ("variants", "path", "message"),
    [
        ("[a, b]", "variants", "must be a mapping from names to what differs"),
        ("{}", "variants", "must be a mapping from names to what differs"),
        ("{a: 3}", "variants.a", "must be a mapping with what differs from the scenario"),
        ("{'../x': {}}", "variants.../x", "'../x' is no name for a variant"),
        ("{a: {nmae: x}}", "nmae", "unknown key 'nmae': did you mean 'name'?"),
        (
            "{a: {taskDefinitions: [{file: no.json}]}}",
            "variants.a.taskDefinitions[0].file",
            "'no.json': there is no such file",
        ),
        (
            "{a: {taskDefinitions: [{file: web.taskdef.json, cpu: 1}]}}",
            "variants.a.taskDefinitions[0].file",
            "'file' stands alone: cpu belongs",
        ),
    ],
)
def test_a_fault_of_the_variants(variants: str, path: str, message: str, tmp_path: Path) -> None:
    file = place(tmp_path, SCENARIO + f"variants: {variants}\n")
    with pytest.raises(ScenarioError) as caught:
        load_variants(file)
    [issue] = caught.value.issues
    assert (issue.dotted(), issue.line) == (path, SCENARIO.count("\n") + 1)
    assert issue.message.startswith(message)


def test_a_broken_file_of_another_variant_does_not_stop_this_one(tmp_path: Path) -> None:
    path = place(tmp_path, SCENARIO + "variants: {good: {}, bad: {taskDefinitions: [{file: no.json}]}}\n")
    assert load(path, variant="good").variant == "good"
    assert [f[3] for f in faults(path, variant="bad")] == ["variants.bad.taskDefinitions[0].file"]


def test_merge_keys_and_aliases_read_as_yaml_has_them(tmp_path: Path) -> None:
    first = "  - {at: 10 h, ecs.update_service: &u {service: web, desiredCount: 6}}"
    second = "  - {at: 11 h, ecs.update_service: {<<: *u, desiredCount: 7}}"
    text = changed(first.replace("&u ", ""), f"{first}\n{second}")
    scenario = load(place(tmp_path, text))
    assert [e.update_service.desired_count for e in scenario.timeline if e.update_service] == [6, 7]
