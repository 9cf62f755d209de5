"""The page on the format names every key of the format, and its examples are sound."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from load_examples import TASK_DEFINITION

from fargsim.load import json_schema, load, unsimulated
from fargsim.load.overlay import AS_ONE, NATURAL_KEYS
from fargsim.model.quantity import DURATION_UNITS_US, RATE_UNITS_PER_S, SIZE_UNITS_BYTES

PAGE = (Path(__file__).resolve().parents[1] / "docs" / "scenario.md").read_text(encoding="utf-8")
NAMED = set(re.findall(r"[A-Za-z_$][A-Za-z0-9_.$]*", " ".join(re.findall(r"`([^`\n]+)`", PAGE))))


def keys_of(schema: dict[str, Any]) -> set[str]:
    found = set(schema["properties"])
    for name, part in schema["$defs"].items():
        if not name.endswith("Part"):
            found |= set(part.get("properties", {}))
    return found - {"p50", "p90"}


def test_every_key_is_in_the_page() -> None:
    assert sorted(keys_of(json_schema()) - NAMED) == []


def test_every_unit_and_natural_key_is_in_the_page() -> None:
    for text in (*DURATION_UNITS_US, *SIZE_UNITS_BYTES, *RATE_UNITS_PER_S, *NATURAL_KEYS, *AS_ONE):
        if text != "µs":
            assert f"`{text}`" in PAGE, text


def test_every_key_that_is_not_simulated_yet_is_in_the_page_s_list() -> None:
    listed = PAGE[PAGE.index("## Accepted, but not simulated yet") : PAGE.index("## Files and limits")]
    keys = (unsimulated.SERVICE,)
    for key in (*(k for group in keys for k in group.values()), *unsimulated.ATTRIBUTES):
        assert f"`{key}`" in listed, key


@pytest.mark.parametrize("example", re.findall(r"```yaml\n(.*?)```", PAGE, flags=re.DOTALL))
def test_the_examples_of_the_page_are_sound(example: str, tmp_path: Path) -> None:
    import json

    (tmp_path / "httpd.taskdef.json").write_text(json.dumps(TASK_DEFINITION | {"family": "httpd"}))
    path = tmp_path / "example.yaml"
    path.write_text(example)
    assert load(path).services
