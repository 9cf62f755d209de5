"""Whatever is done to a sound document, the reader answers with a scenario or with located faults, never with a traceback."""

from __future__ import annotations

import copy
import json
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from load_examples import EC2, SCENARIO, TASK_DEFINITION, place

from fargsim.load import ScenarioError, load_variants
from fargsim.load.check import check
from fargsim.load.issue import LocatedIssue
from fargsim.load.json_reader import read_json
from fargsim.load.node import Mapping, to_plain
from fargsim.load.yaml_reader import read_yaml

WHOLE = SCENARIO + EC2 + "variants:\n  a: {}\n  b: {seed: 3, services: [{serviceName: web, desiredCount: 2}]}\n"
ALPHABET = "\n\t :,-[]{}'\"#&*!|>%@`~?\\xX09.eE+null\u00e9\u2028\U0001f600"
INSERTS = st.one_of(
    st.text(alphabet=ALPHABET, max_size=6),
    st.sampled_from(
        [
            "&a ",
            "*a",
            "<<: ",
            "!!python/object:x ",
            "- ",
            "{",
            "}",
            "null",
            "~",
            "1e999",
            ".inf",
            "[[",
            "a: b\n",
            "\x00",
            "\ud800",
        ]
    ),
)


@st.composite
def spoilt(draw: st.DrawFn, text: str) -> str:
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, len(text)))
        cut = draw(st.sampled_from([0, 0, 1, 2, 5, 30]))
        text = text[:at] + draw(INSERTS) + text[at + cut :]
    return text


def check_places(issues: tuple[LocatedIssue, ...], folder: Path) -> None:
    assert issues
    for issue in issues:
        assert issue.message
        assert "\n" not in issue.message
        assert issue.col >= 1
        lines = Path(issue.file).read_bytes().decode("utf-8", "replace").replace("\u2028", "\n").splitlines() or [""]
        assert 1 <= issue.line <= len(lines) + 1, issue
        assert Path(issue.file).parent == folder


@settings(max_examples=250, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(text=spoilt(WHOLE))
def test_a_spoilt_scenario_gives_a_scenario_or_located_faults(text: str, tmp_path: Path) -> None:
    path = place(tmp_path, "")
    path.write_bytes(text.encode("utf-8", "surrogatepass"))
    try:
        load_variants(path)
    except ScenarioError as error:
        check_places(error.issues, tmp_path)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(text=spoilt(json.dumps(TASK_DEFINITION, indent=1)))
def test_a_spoilt_task_definition_gives_a_scenario_or_located_faults(text: str, tmp_path: Path) -> None:
    path = place(tmp_path)
    (tmp_path / "web.taskdef.json").write_bytes(text.encode("utf-8", "surrogatepass"))
    try:
        load_variants(path)
    except ScenarioError as error:
        check_places(error.issues, tmp_path)


VALUES = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(-(2**70), 2**70),
        st.floats(allow_nan=False, allow_infinity=False),
        st.text(max_size=8),
        st.sampled_from(
            ["1 s", "-1 s", "FARGATE", "web", "web:0", "arn:aws:ecs:x", "packed:eJw=", "us-east-1", "2026-01-01"]
        ),
    ),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=8), inner, max_size=3)),
    max_leaves=6,
)
SOUND = to_plain(read_yaml(WHOLE, "whole"))


def paths_of(value: object, path: tuple[str | int, ...] = ()) -> list[tuple[str | int, ...]]:
    found = [path]
    if isinstance(value, dict):
        for key, below in value.items():
            found += paths_of(below, (*path, key))
    elif isinstance(value, list):
        for n, below in enumerate(value):
            found += paths_of(below, (*path, n))
    return found


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_a_value_of_any_kind_anywhere_gives_a_scenario_or_located_faults(data: st.DataObject, tmp_path: Path) -> None:
    document = json.loads(json.dumps(SOUND))
    for _ in range(data.draw(st.integers(1, 3))):
        path = data.draw(st.sampled_from(paths_of(document)[1:]))
        here = document
        for part in path[:-1]:
            here = here[part]
        if data.draw(st.booleans()):
            here[path[-1]] = data.draw(VALUES)
        elif isinstance(here, dict):
            here[data.draw(st.text(max_size=6))] = data.draw(VALUES)
        else:
            here.append(data.draw(VALUES))
    file = place(tmp_path, json.dumps(document, indent=1), name="scenario.json")
    try:
        load_variants(file)
    except ScenarioError as error:
        check_places(error.issues, tmp_path)


@given(VALUES)
def test_json_reads_as_the_standard_library_reads_it(value: object) -> None:
    text = json.dumps(value)
    try:
        found = to_plain(read_json(text, "file"))
    except ScenarioError:
        pytest.fail(f"{text} was refused")
    assert found == json.loads(text)
    assert repr(found) == repr(json.loads(text))


@given(VALUES)
def test_yaml_reads_json_the_same(value: object) -> None:
    # escapes for characters beyond the basic plane differ between the two, so the text stays as it is
    text = json.dumps(value, ensure_ascii=False)
    if any(c in text for c in "\x7f\x85\u2028\u2029\ufeff\ufffe\uffff") or any(
        ord(c) < 32 or 0x7F <= ord(c) < 0xA0 for c in text
    ):
        return
    assert repr(to_plain(read_yaml(text, "file"))) == repr(json.loads(text))


def test_no_value_of_a_stored_scenario_can_be_spoilt_into_a_traceback(tmp_path: Path) -> None:
    # a stored scenario has every key, also those that stand at their defaults
    stored = json.loads(load_variants(place(tmp_path, WHOLE))["b"].model_dump_json(by_alias=True))
    told = 0
    for path in paths_of(stored)[1:]:
        for value in (None, True, -1, "x", [None]):
            document = copy.deepcopy(stored)
            here = document
            for part in path[:-1]:
                here = here[part]
            here[path[-1]] = value
            root = read_json(json.dumps(document), "file")
            assert isinstance(root, Mapping)
            scenario, issues = check(root)
            assert (scenario is None) == bool(issues), (path, value)
            told += len(issues)
    assert told > 1000
