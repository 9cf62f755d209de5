"""Faults found by the model, in the words of the document: a path that exists, a place, and what would be legal."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from pydantic import BaseModel, ValidationError

from fargsim.load.issue import LocatedIssue
from fargsim.load.node import Node, locate
from fargsim.load.shape import legal_keys
from fargsim.model.base import Faults, Path
from fargsim.model.fault_words import word
from fargsim.model.scenario import Scenario
from fargsim.model.taskdef import TaskDefinition

_QUANTILE_KEY = re.compile(r"p\d{1,2}(?:\.\d+)?")


def translate(
    error: ValidationError,
    data: Any,
    root: Node,
    place: Callable[[Path], Path] = tuple,
    model: type[BaseModel] = Scenario,
) -> list[LocatedIssue]:
    """Turn the model's errors into located faults.

    Parameters
    ----------
    error
        What pydantic raised.
    data
        The plain document it was given.
    root
        The tree in which places are looked up.
    place
        Turns a path inside `data` into one inside the tree.
    model
        The class that was validated, for the legal keys.
    """
    errors: list[dict[str, Any]] = [dict(one) for one in error.errors(include_url=False)]
    unknown = _unknown_keys(errors, data, model)
    found = []
    for one in errors:
        path, at_key = _document_path(one, data)
        one["input"] = _at(data, path)
        if one["type"] == "missing" and (path, str(one["loc"][-1])) in unknown.values():
            # said once, at the misspelt key
            continue
        if one["type"] == "too_short" and len(one["input"]) >= one["ctx"]["min_length"]:
            # the model does not count elements that are at fault themselves
            continue
        for below, message in _messages(one, path, unknown, model):
            whole = place((*path, *below))
            found.append(locate(root, whole, message, at_key=at_key, exception=refused_as(whole, model)))
    return found


def refused_as(path: Path, model: type[BaseModel] = Scenario) -> str:
    """Return AWS's name for the error with which it refuses what stands at a path; empty for what is not sent to AWS.

    Parameters
    ----------
    model
        The class of the whole document: a scenario, or a task definition of its own.

    Examples
    --------
    >>> refused_as(("taskDefinitions", 0, "cpu")), refused_as(("behaviour", "web"))
    ('ClientException', '')
    """
    inside = path[:1] == ("taskDefinitions",) and len(path) > 1
    return "ClientException" if model is TaskDefinition or inside or "ecs.register_task_definition" in path else ""


def _unknown_keys(errors: Iterable[Any], data: Any, model: type[BaseModel]) -> dict[Path, tuple[Path, str]]:
    """Return the unknown keys by path, each with the legal key it looks most like (or an empty text)."""
    found = {}
    for one in errors:
        if one["type"] == "extra_forbidden":
            path, _ = _document_path(one, data)
            around, name = path[:-1], str(path[-1])
            legal = legal_keys(around, model)
            plain = {_folded(key): key for key in legal}
            close = [plain[_folded(name)]] if _folded(name) in plain else difflib.get_close_matches(name, legal, n=1)
            found[path] = (around, close[0] if close else "")
    return found


def _folded(key: str) -> str:
    return re.sub(r"[-_.\s]", "", key).lower()


def _document_path(error: Mapping[str, Any], data: Any) -> tuple[Path, bool]:
    """Return the path inside the document, and whether the key itself is at fault.

    The model's locations also name the kinds of unions and, for a missing key, the key that is not there; neither is in the document.
    """
    path: list[str | int] = []
    here = data
    for part in error["loc"]:
        if isinstance(here, dict) and isinstance(part, str):
            if part not in here and part in ("quantile", "p"):
                part = next((k for k in here if _QUANTILE_KEY.fullmatch(k)), part)
            if part not in here:
                continue
        elif not (isinstance(here, list) and isinstance(part, int) and part < len(here)):
            continue
        here = here[part]
        path.append(part)
    return tuple(path), error["type"] == "extra_forbidden"


def _at(data: Any, path: Path) -> Any:
    """Return the value as the document has it: validators may have changed the one in the error."""
    for part in path:
        data = data[part]
    return data


def _messages(
    error: Mapping[str, Any], path: Path, unknown: Mapping[Path, tuple[Path, str]], model: type[BaseModel]
) -> list[tuple[Path, str]]:
    kind, context = error["type"], error.get("ctx") or {}
    cause = context.get("error")
    if isinstance(cause, Faults):
        return [(issue.path, issue.message) for issue in cause.issues]
    if kind == "value_error":
        return [((), str(cause))]
    if kind == "missing":
        return [((), f"the key '{error['loc'][-1]}' is missing")]
    if kind == "extra_forbidden":
        meant = unknown[path][1]
        legal = ", ".join(legal_keys(path[:-1], model)) or "none"
        hint = f" did you mean '{meant}'?" if meant else ""
        return [((), f"unknown key '{path[-1]}':{hint} legal keys are {legal}")]
    return [((), word(error, model))]
