"""JSON to a tree of located values.

The standard library's reader gives no positions and keeps the last of two equal keys; both matter here.
"""

from __future__ import annotations

import re
from json.decoder import JSONDecodeError, scanstring  # type: ignore[attr-defined]

from fargsim.load.issue import Mark, fault
from fargsim.load.node import LIMITS, LONGEST_NUMBER, Limits, Mapping, Node, Scalar, Sequence, text_fault
from fargsim.model.base import Path

_SPACE = re.compile(r"[ \t\r\n]*")
_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(\.[0-9]+)?([eE][-+]?[0-9]+)?")
_WORDS: dict[str, bool | None] = {"true": True, "false": False, "null": None}


def read_json(text: str, file: str, limits: Limits = LIMITS) -> Node:
    """Read one JSON document.

    Raises
    ------
    ScenarioError
        With the place of the fault: broken syntax, a key that stands twice, a document beyond its limits.
    """
    return _Reader(text, file, limits).document()


class _Reader:
    def __init__(self, text: str, file: str, limits: Limits) -> None:
        self.text = text
        self.file = file
        self.limits = limits
        self._path: list[str | int] = []
        self._total = 0
        self._counted_to = 0
        self._line = 1
        self._line_start = 0

    def mark(self, at: int) -> Mark:
        """Return the place of an offset; offsets come in increasing order but for faults, so each line is counted once."""
        if at < self._counted_to:
            self._counted_to, self._line, self._line_start = 0, 1, 0
        breaks = self.text.count("\n", self._counted_to, at)
        if breaks:
            self._line += breaks
            self._line_start = self.text.rfind("\n", self._counted_to, at) + 1
        self._counted_to = at
        return Mark(self.file, self._line, at - self._line_start + 1)

    def refuse(self, at: int, message: str) -> Exception:
        end = len(self.text.rstrip())
        if at >= end:
            return fault(
                self.mark(end), self.path(), "the file ends too early" if self.text.strip() else "the file is empty"
            )
        return fault(self.mark(at), self.path(), message)

    def path(self) -> Path:
        return tuple(self._path)

    def space(self, at: int) -> int:
        found = _SPACE.match(self.text, at)
        assert found is not None
        return found.end()

    def document(self) -> Node:
        node, at = self.value(self.space(0))
        at = self.space(at)
        if at < len(self.text):
            raise self.refuse(at, "is not JSON: nothing may follow the document")
        return node

    def value(self, at: int) -> tuple[Node, int]:
        self._total += 1
        if self._total > self.limits.nodes:
            raise self.refuse(at, f"the document grows beyond {self.limits.nodes} values here")
        head = self.text[at : at + 1]
        if head in ("{", "["):
            if len(self._path) >= self.limits.depth:
                raise self.refuse(at, f"values are nested more than {self.limits.depth} deep")
            return self.mapping(at) if head == "{" else self.sequence(at)
        mark = self.mark(at)
        if head == '"':
            text, end = self.string(at)
            return Scalar(text, mark), end
        for word, meaning in _WORDS.items():
            if self.text.startswith(word, at):
                return Scalar(meaning, mark), at + len(word)
        found = _NUMBER.match(self.text, at)
        if found is None:
            raise self.refuse(at, "is not JSON: expected a value")
        return Scalar(self.number(found, at), mark), found.end()

    def number(self, found: re.Match[str], at: int) -> int | float:
        text = found.group()
        if len(text) > LONGEST_NUMBER:
            raise self.refuse(at, f"a number of {len(text)} characters is too long")
        if found.group(1) is None and found.group(2) is None:
            return int(text)
        number = float(text)
        if number in (float("inf"), float("-inf")):
            raise self.refuse(at, f"{text} is too large for a number")
        return number

    def string(self, at: int) -> tuple[str, int]:
        try:
            text, end = scanstring(self.text, at + 1, True)
        except JSONDecodeError as error:
            ends = "Unterminated" in error.msg
            raise self.refuse(len(self.text) if ends else error.pos, f"is not JSON: {error.msg.lower()}") from None
        bad = text_fault(text)
        if bad is not None:
            raise self.refuse(at, bad)
        return str(text), int(end)

    def mapping(self, at: int) -> tuple[Node, int]:
        node = Mapping({}, self.mark(at))
        at = self.space(at + 1)
        if self.text.startswith("}", at):
            return node, at + 1
        while True:
            if not self.text.startswith('"', at):
                raise self.refuse(at, "is not JSON: expected a key in double quotes")
            key_at = at
            key_mark = self.mark(at)
            key, at = self.string(at)
            self._path.append(key)
            if key in node.entries:
                raise self.refuse(key_at, f"the key '{key[:60]}' stands twice (first on line {node.keys[key].line})")
            at = self.space(at)
            if not self.text.startswith(":", at):
                raise self.refuse(at, "is not JSON: expected ':'")
            node.entries[key], at = self.value(self.space(at + 1))
            node.keys[key] = key_mark
            self._path.pop()
            at, more = self.next(at, "}")
            if not more:
                node.size = 1 + sum(v.size for v in node.entries.values())
                return node, at

    def sequence(self, at: int) -> tuple[Node, int]:
        node = Sequence([], self.mark(at))
        at = self.space(at + 1)
        if self.text.startswith("]", at):
            return node, at + 1
        while True:
            self._path.append(len(node.items))
            item, at = self.value(at)
            self._path.pop()
            node.items.append(item)
            at, more = self.next(at, "]")
            if not more:
                node.size = 1 + sum(v.size for v in node.items)
                return node, at

    def next(self, at: int, closing: str) -> tuple[int, bool]:
        """Step over a comma (more follows) or the closing bracket."""
        at = self.space(at)
        if self.text.startswith(closing, at):
            return at + 1, False
        if not self.text.startswith(",", at):
            raise self.refuse(at, f"is not JSON: expected ',' or '{closing}'")
        return self.space(at + 1), True
