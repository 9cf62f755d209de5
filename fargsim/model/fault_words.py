"""What is wrong with a value, in words a person can act on: readers of files and the verbs say the same."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Annotated, Any, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from fargsim.model.base import Path
from fargsim.model.quantity import DURATION_UNITS_US, SIZE_UNITS_BYTES, format_duration

_QUANTITY_UNIT = re.compile(r"[\d.eE+\- ]+(\D.*)")


def word(error: Mapping[str, Any], model: type[BaseModel] | None = None) -> str:
    """Return what one of pydantic's errors says of the value in it.

    Parameters
    ----------
    error
        An element of ``ValidationError.errors()``.
    model
        The class that was validated: where a figure is out of its range, both ends of the range are named.

    Examples
    --------
    >>> from fargsim.model.taskdef import HealthCheck
    >>> error = {"type": "greater_than_equal", "loc": ("interval",), "input": 4, "ctx": {"ge": 5}}
    >>> word(error, HealthCheck)
    'must be at least 5, not 4 (legal: 5 to 300)'
    """
    kind, context = error["type"], error.get("ctx") or {}
    if kind not in _MESSAGES:
        return str(error["msg"]).removeprefix("Value error, ")
    text = _MESSAGES[kind](error["input"], context)
    value = error["input"]
    if kind in _LENGTHS and model is not None:
        ends = _ends(model, tuple(error["loc"]), "min_length", "max_length")
        if ends is not None and ends[0] != ends[1]:
            text += f" (legal: {ends[0]} to {ends[1]})"
    if kind in _RANGED and model is not None and not (isinstance(value, str) and not value.strip().isdigit()):
        ends = _ends(model, tuple(error["loc"]))
        if ends is not None:
            text += f" (legal: {_bound(None, ends[0])} to {_bound(None, ends[1])})"
    return text


_RANGED = ("greater_than_equal", "less_than_equal")
_LENGTHS = ("too_short", "too_long", "string_too_short", "string_too_long")


def _ends(model: type[BaseModel], path: Path, low: str = "ge", high: str = "le") -> tuple[Any, Any] | None:
    """Return the least and the greatest legal figure (or length) at a path; None where one of them is open."""
    found: list[tuple[Any, Iterable[Any]]] = [(model, ())]
    for part in path:
        below = [one for annotation, _ in found for one in _below(annotation, part)]
        found = below or found
    for annotation, metadata in found:
        limits = [limit for _, more in ((annotation, metadata), *_opened(annotation)) for limit in _flat(more)]
        least = [getattr(limit, low) for limit in limits if hasattr(limit, low)]
        most = [getattr(limit, high) for limit in limits if hasattr(limit, high)]
        if least and most:
            return least[0], most[0]
    return None


def _flat(metadata: Iterable[Any]) -> Iterable[Any]:
    for one in metadata:
        if isinstance(one, FieldInfo):
            yield from _flat(one.metadata)
        else:
            yield one


def _opened(annotation: Any) -> Iterable[tuple[Any, Iterable[Any]]]:
    """Yield the types an annotation may stand for, each with what is said of it."""
    if get_origin(annotation) is Annotated:
        inner, *metadata = get_args(annotation)
        yield inner, metadata
        yield from _opened(inner)
    elif isinstance(annotation, type) or get_origin(annotation) in (tuple, dict):
        yield annotation, ()
    else:
        for one in get_args(annotation):
            yield from _opened(one)


def _below(annotation: Any, part: str | int) -> Iterable[tuple[Any, Iterable[Any]]]:
    for one, _ in _opened(annotation):
        origin, inner = get_origin(one), get_args(one)
        if isinstance(one, type) and issubclass(one, BaseModel):
            for name, field in one.model_fields.items():
                if part in (name, field.alias):
                    yield field.annotation, field.metadata
        elif origin is tuple and isinstance(part, int):
            yield inner[0], ()
        elif origin is dict and isinstance(part, str):
            yield inner[1], ()


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
