"""The scenario format as JSON Schema, for editors."""

from __future__ import annotations

import copy
from typing import Any

from fargsim.load.overlay import REMOVE
from fargsim.model.distribution import KINDS
from fargsim.model.scenario import Scenario

DIALECT = "https://json-schema.org/draft/2020-12/schema"


def json_schema() -> dict[str, Any]:
    """Return the JSON Schema (draft 2020-12) of a scenario file, with task definition files and variants.

    It tells shapes; references and facts are told by ``fargsim validate``. An overlay under ``variants`` may hold a part of
    anything, so its keys are checked and nothing in it is required.

    >>> schema = json_schema()
    >>> schema["title"], sorted(schema["required"])
    ('fargsim scenario', ['duration', 'name'])
    """
    schema = Scenario.model_json_schema(by_alias=True, mode="validation")
    definitions = schema["$defs"]
    _friendly_distributions(schema)
    _quantile_keys(definitions["LognormalShape"])
    properties = schema["properties"]
    properties["taskDefinitions"]["items"] = {
        "anyOf": [
            {"$ref": "#/$defs/TaskDefinition"},
            {
                "type": "object",
                "title": "TaskDefinitionFile",
                "description": "A file with what aws ecs register-task-definition --cli-input-json takes, relative to the scenario",
                "properties": {"file": {"type": "string", "examples": ["web.taskdef.json"]}},
                "required": ["file"],
                "additionalProperties": False,
            },
        ]
    }
    partial = _partial(schema)
    properties["variants"] = {
        "type": "object",
        "description": "Overlays by name: mappings merge, null removes a key, lists of named things merge by name",
        "additionalProperties": {"anyOf": [partial, {"type": "null"}]},
    }
    schema["title"] = "fargsim scenario"
    schema["description"] = "A workload on Amazon ECS: what runs, how it behaves, what arrives, what goes wrong."
    return {"$schema": DIALECT, **schema}


def _friendly_distributions(node: Any) -> None:
    """Let a plain duration stand wherever a distribution may, as the reader does."""
    if isinstance(node, dict):
        names = {
            str(one.get("$ref", "")).rpartition("/")[2].lower()
            for one in node.get("oneOf", ())
            if isinstance(one, dict)
        }
        if names == set(KINDS):
            node["oneOf"].append({"type": "string", "description": "A duration with its unit", "examples": ["6 s"]})
            node.pop("discriminator", None)
        for value in node.values():
            _friendly_distributions(value)
    elif isinstance(node, list):
        for value in node:
            _friendly_distributions(value)


def _quantile_keys(shape: dict[str, Any]) -> None:
    """Describe ``p99: 250 ms``, which the model splits into a probability and a duration."""
    duration = {"type": "string", "examples": ["250 ms"], "description": "The quantile of this probability"}
    shape["patternProperties"] = {r"^p\d{1,2}(\.\d{1,6})?$": duration}
    for key in ("p50", "p90", "p95", "p99"):
        shape["properties"].setdefault(key, duration)


def _partial(schema: dict[str, Any]) -> dict[str, Any]:
    """Return the schema of an overlay: the same keys, nothing required, null to remove, ``$remove`` in elements."""
    definitions = schema["$defs"]
    for name, one in list(definitions.items()):
        part = copy.deepcopy(one)
        part.pop("required", None)
        definitions[f"{name}Part"] = part
    whole = {"type": "object", "additionalProperties": False, "properties": copy.deepcopy(schema["properties"])}
    for part in (whole, *(v for k, v in definitions.items() if k.endswith("Part"))):
        for key, value in part.get("properties", {}).items():
            part["properties"][key] = {"anyOf": [value, {"type": "null"}]}
        if "properties" in part:
            part["properties"][REMOVE] = {"const": True, "description": "Takes the element of this name away"}
        _point_to_parts(part)
    whole["properties"].pop(REMOVE, None)
    return whole


def _point_to_parts(node: Any) -> None:
    if isinstance(node, dict):
        ref = node.get("$ref")
        if isinstance(ref, str) and not ref.endswith("Part"):
            node["$ref"] = f"{ref}Part"
        for value in node.values():
            _point_to_parts(value)
    elif isinstance(node, list):
        for value in node:
            _point_to_parts(value)
