"""Which keys are legal where: a walk through the model's types along the path of a fault."""

from __future__ import annotations

import types
from collections.abc import Iterable
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import BaseModel

from fargsim.model.base import Path
from fargsim.model.scenario import Scenario

TASK_DEFINITION_FILE = {"file": "a task definition as JSON or YAML"}


def keys_of(model: type[BaseModel]) -> dict[str, Any]:
    """Return a model's keys as a document writes them, with their types."""
    return {(f.alias or name): f.annotation for name, f in model.model_fields.items()}


def legal_keys(path: Path, root: type[BaseModel] = Scenario) -> list[str]:
    """Return the keys that are legal in the mapping at a path; empty where any key is.

    >>> legal_keys(("services", 0, "networkConfiguration"))
    ['awsvpcConfiguration']
    """
    found: list[Any] = [root]
    for part in path:
        found = [below for one in found for below in _below(one, part)]
    keys: dict[str, None] = {}
    for one in found:
        for model in _models(one):
            keys.update(dict.fromkeys(k for k in keys_of(model) if k not in ("p", "quantile")))
            if "quantile" in model.model_fields:
                keys.update(dict.fromkeys(("p50", "p95", "p99")))
    if not path and root is Scenario:
        keys["variants"] = None
    if path[:1] == ("taskDefinitions",) and len(path) == 2:
        keys.update(dict.fromkeys(TASK_DEFINITION_FILE))
    return list(keys)


def _open(annotation: Any) -> Iterable[Any]:
    """Yield the types an annotation may stand for."""
    origin = get_origin(annotation)
    if origin is Annotated:
        yield from _open(get_args(annotation)[0])
    elif origin in (Union, types.UnionType):
        for one in get_args(annotation):
            yield from _open(one)
    else:
        yield annotation


def _models(annotation: Any) -> list[type[BaseModel]]:
    return [one for one in _open(annotation) if isinstance(one, type) and issubclass(one, BaseModel)]


def _below(annotation: Any, part: str | int) -> list[Any]:
    found: list[Any] = []
    for one in _open(annotation):
        origin, inner = get_origin(one), get_args(one)
        if isinstance(one, type) and issubclass(one, BaseModel):
            below = keys_of(one).get(str(part))
            found += [] if below is None else [below]
        elif origin is tuple and isinstance(part, int):
            found.append(inner[0])
        elif origin is dict and isinstance(part, str):
            found.append(inner[1])
    return found
