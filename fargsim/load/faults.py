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
from fargsim.model.quantity import DURATION_UNITS_US, SIZE_UNITS_BYTES, format_duration
from fargsim.model.scenario import Scenario

_QUANTILE_KEY = re.compile(r"p\d{1,2}(?:\.\d+)?")
_QUANTITY_UNIT = re.compile(r"[\d.eE+\- ]+(\D.*)")


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
            found.append(locate(root, place((*path, *below)), message, at_key=at_key))
    return found


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
    return [((), _MESSAGES[kind](error["input"], context) if kind in _MESSAGES else str(error["msg"]))]


def shown(value: Any) -> str:
    """Return a value as a message shows it: short, and a list or mapping by its kind."""
    if isinstance(value, dict):
        return "a mapping"
    if isinstance(value, list | tuple):
        return "a list"
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    text = f"'{value}'" if isinstance(value, str) else str(value)
    return text if len(text) <= 80 else f"{text[:76]}...{text[-1] if text[-1] == chr(39) else ''}"


def _bound(value: Any, bound: Any) -> str:
    """Return a bound in the unit in which the value was written."""
    if isinstance(value, str) and isinstance(bound, int | float):
        found = _QUANTITY_UNIT.fullmatch(value.strip())
        unit = found.group(1).strip() if found else ""
        if unit in DURATION_UNITS_US:
            return format_duration(int(bound)) if bound else f"0 {unit}"
        if unit in SIZE_UNITS_BYTES:
            return f"{bound} B"
        if unit.startswith("/"):
            return f"{bound:g} /s"
    return f"{bound:g}" if isinstance(bound, float) else str(bound)


def _limit(words: str, key: str) -> Callable[[Any, Mapping[str, Any]], str]:
    return lambda value, context: f"must be {words} {_bound(value, context[key])}, not {shown(value)}"


def _kind(words: str) -> Callable[[Any, Mapping[str, Any]], str]:
    return lambda value, context: f"must be {words}, not {shown(value)}"


def _literal(value: Any, context: Mapping[str, Any]) -> str:
    legal = str(context["expected"]).replace("'", "").replace(" or ", ", ").split(", ")
    close = difflib.get_close_matches(str(value).upper(), [x.upper() for x in legal], n=1)
    meant = next((x for x in legal if close and x.upper() == close[0]), None)
    hint = f" (did you mean {meant}?)" if meant else ""
    many = f"one of {', '.join(legal)}" if len(legal) > 1 else legal[0]
    return f"must be {many}, not {shown(value)}{hint}"


def _length(words: str, key: str) -> Callable[[Any, Mapping[str, Any]], str]:
    def say(value: Any, context: Mapping[str, Any]) -> str:
        what = "elements" if isinstance(value, list | tuple | dict) else "characters"
        many = len(value) if isinstance(value, list | tuple | dict | str) else context.get("actual_length")
        return f"must have {words} {context[key]} {what if context[key] != 1 else what[:-1]}, not {many}"

    return say


_MESSAGES: dict[str, Callable[[Any, Mapping[str, Any]], str]] = {
    "literal_error": _literal,
    "greater_than": _limit("more than", "gt"),
    "greater_than_equal": _limit("at least", "ge"),
    "less_than": _limit("less than", "lt"),
    "less_than_equal": _limit("at most", "le"),
    "too_short": _length("at least", "min_length"),
    "too_long": _length("at most", "max_length"),
    "string_too_short": _length("at least", "min_length"),
    "string_too_long": _length("at most", "max_length"),
    "string_pattern_mismatch": lambda value, context: f"{shown(value)} does not match the pattern {context['pattern']}",
    "int_type": _kind("a whole number"),
    "int_from_float": _kind("a whole number"),
    "int_parsing": _kind("a whole number"),
    "int_parsing_size": _kind("a smaller whole number"),
    "float_type": _kind("a number"),
    "float_parsing": _kind("a number"),
    "finite_number": _kind("a finite number"),
    "bool_type": _kind("true or false"),
    "bool_parsing": _kind("true or false"),
    "string_type": _kind("a text"),
    "dict_type": _kind("a mapping"),
    "model_type": _kind("a mapping"),
    "model_attributes_type": _kind("a mapping"),
    "list_type": _kind("a list"),
    "tuple_type": _kind("a list"),
}
