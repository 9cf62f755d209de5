"""A document as a tree of values that know where they stand."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from fargsim.load.issue import LocatedIssue, Mark
from fargsim.model.base import Path

Plain = None | bool | int | float | str


@dataclass(slots=True)
class Scalar:
    """A text, a number, true, false or null."""

    value: Plain
    mark: Mark
    size: int = 1


@dataclass(slots=True)
class Sequence:
    """A list."""

    items: list[Node]
    mark: Mark
    size: int = 1


@dataclass(slots=True)
class Mapping:
    """Keys and values, in order; `keys` holds the place of each key.

    `whole` marks a value that came from a file of its own: an overlay puts it in the place of another instead of merging the two.
    `broken` marks one that could not be read, whose fault is already known.
    """

    entries: dict[str, Node]
    mark: Mark
    keys: dict[str, Mark] = field(default_factory=dict)
    size: int = 1
    whole: bool = False
    broken: bool = False


Node = Scalar | Sequence | Mapping


@dataclass(frozen=True, slots=True)
class Limits:
    """How large a document may become.

    Parameters
    ----------
    file_bytes
        Largest file.
    nodes
        Most values of the document, each alias counted with all that it stands for.
    depth
        Deepest nesting.
    """

    file_bytes: int = 10_000_000
    nodes: int = 500_000
    depth: int = 64


LIMITS = Limits()


def to_plain(node: Node) -> Any:
    """Return the document as dicts, lists and scalars."""
    if isinstance(node, Mapping):
        return {key: to_plain(value) for key, value in node.entries.items()}
    if isinstance(node, Sequence):
        return [to_plain(item) for item in node.items]
    return node.value


def child(node: Node, part: str | int) -> Node | None:
    """Return the value under a key or index; None when there is none."""
    if isinstance(node, Mapping) and isinstance(part, str):
        return node.entries.get(part)
    if isinstance(node, Sequence) and isinstance(part, int) and 0 <= part < len(node.items):
        return node.items[part]
    return None


def find(node: Node, path: Path) -> Node | None:
    """Return the value at a path; None when it is not there."""
    for part in path:
        below = child(node, part)
        if below is None:
            return None
        node = below
    return node


def locate(root: Node, path: Path, message: str, *, at_key: bool = False, exception: str = "") -> LocatedIssue:
    """Return a fault with its place: the value at the path, or the nearest one around it that exists.

    The path is given from the root of the file in which the value stands, so a fault inside a task definition file reads as it
    would in that file.

    Parameters
    ----------
    at_key
        Point at the key instead of its value.
    exception
        AWS's name for the error, where its API refuses the same.
    """
    node, mark, start, inside = root, root.mark, 0, root.mark.file
    for n, part in enumerate(path):
        below = child(node, part)
        if below is None:
            break
        if isinstance(below, Mapping) and below.whole:
            start, inside = n + 1, below.mark.file
        mark = below.mark
        if at_key and n == len(path) - 1 and isinstance(node, Mapping) and isinstance(part, str):
            mark = node.keys.get(part, mark)
        node = below
    if mark.file != inside:
        # an overlay's value inside a task definition that came from a file
        start = 0
    return LocatedIssue(mark.file, mark.line, mark.col, tuple(path[start:]), message, exception)


def walk(node: Node, path: Path = ()) -> Iterator[tuple[Path, Node]]:
    """Yield every value with its path, parents first."""
    yield path, node
    if isinstance(node, Mapping):
        for key, value in node.entries.items():
            yield from walk(value, (*path, key))
    elif isinstance(node, Sequence):
        for n, value in enumerate(node.items):
            yield from walk(value, (*path, n))


_INT = re.compile(r"[-+]?[0-9]+")
_BASED = re.compile(r"0o[0-7]+|0x[0-9a-fA-F]+")
_FLOAT = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?")
_ENDLESS = re.compile(r"[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)")
_WORDS: dict[str, Plain] = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL"), None),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}
LONGEST_NUMBER = 300


def text_fault(text: str) -> str | None:
    """Say what keeps a text from being written out again; None for nearly every text."""
    if text.isascii():
        return None
    found = re.search("[\ud800-\udfff]", text)
    return None if found is None else f"the text holds half a surrogate pair, U+{ord(found.group()):04X}"


def resolve_plain(text: str) -> Plain:
    """Return what an unquoted word means by the core schema of YAML 1.2: ``yes`` and ``2026-03-02`` are texts.

    Raises
    ------
    ValueError
        For a number that is not finite or too long.

    >>> resolve_plain("no"), resolve_plain("true"), resolve_plain("0x10"), resolve_plain("1e3"), resolve_plain("1_000")
    ('no', True, 16, 1000.0, '1_000')
    """
    if text in _WORDS:
        return _WORDS[text]
    if text[0] not in "0123456789+-.":
        return text
    if _INT.fullmatch(text):
        return int(_short(text))
    if _BASED.fullmatch(text):
        return int(_short(text), 0)
    if _ENDLESS.fullmatch(text):
        raise ValueError(f"{text} is not a finite number")
    if _FLOAT.fullmatch(text):
        number = float(_short(text))
        if number in (float("inf"), float("-inf")):
            raise ValueError(f"{text} is too large for a number")
        return number
    return text


def _short(text: str) -> str:
    if len(text) > LONGEST_NUMBER:
        raise ValueError(f"a number of {len(text)} characters is too long")
    return text
