"""YAML to a tree of located values, from the parser's events.

Built on events instead of a loader: nothing is constructed by tag, an alias is counted before it is followed, and every value keeps its
line and column.
"""

from __future__ import annotations

from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.events import AliasEvent, MappingStartEvent, ScalarEvent, SequenceStartEvent
from ruamel.yaml.reader import ReaderError

from fargsim.load.issue import Mark, ScenarioError, fault
from fargsim.load.node import LIMITS, Limits, Mapping, Node, Scalar, Sequence, resolve_plain, text_fault
from fargsim.model.base import Path

_CORE = "tag:yaml.org,2002:"
_SCALAR_TAGS = {f"{_CORE}{name}" for name in ("str", "int", "float", "bool", "null")}


def read_yaml(text: str, file: str, limits: Limits = LIMITS, *, line_offset: int = 0) -> Node:
    """Read one YAML document.

    Parameters
    ----------
    text
        The document.
    file
        The name that faults carry.
    line_offset
        Added to every line number.

    Raises
    ------
    ScenarioError
        With the place of the fault: broken syntax, a key that stands twice, a tag, more than one document, an alias that
        grows the document beyond its limits.
    """
    # ruamel.yaml warns by printing for some directives; a plain parser does not
    parser = YAML(typ="safe", pure=True)
    reader = _Reader(file, limits, line_offset)
    try:
        for event in parser.parse(text):
            reader.take(event)
    except ReaderError as error:
        line = text.count("\n", 0, error.position)
        col = error.position - (text.rfind("\n", 0, error.position) + 1)
        code = ord(text[error.position]) if error.position < len(text) else 0
        message = f"the character U+{code:04X} is not allowed in YAML"
        raise fault(Mark(file, line + 1 + line_offset, col + 1), (), message) from None
    except MarkedYAMLError as error:
        raise _syntax_fault(error, text, file, line_offset, reader) from None
    except (YAMLError, ValueError, AttributeError, IndexError, TypeError, OverflowError, RecursionError) as error:
        if isinstance(error, ScenarioError):
            raise
        # the parser's own slips on broken input (a bad escape, a bad directive) are faults of the input all the same
        raise fault(reader.last, reader.path(), f"is not YAML: {error}") from None
    if reader.root is None:
        raise fault(Mark(file, 1 + line_offset, 1), (), "the file is empty")
    return reader.root


def _syntax_fault(error: Any, text: str, file: str, line_offset: int, reader: _Reader) -> ScenarioError:
    path = reader.path()
    inner = reader.innermost()
    lines = text.split("\n")
    at = error.problem_mark or error.context_mark
    line, col = (at.line, at.column) if at is not None else (0, 0)
    ended = line >= len(lines) or "stream end" in str(error.problem) or "end of stream" in str(error.problem)
    if ended:
        # point at the last line with something on it, not behind the end of the file
        line = max((n for n, one in enumerate(lines) if one.strip()), default=0)
        col = len(lines[line].rstrip())
        within = "text in quotes" if "quoted" in str(error.context) else ""
        begun = error.context_mark.line + 1 + line_offset if within else 0
        if not within and inner is not None:
            within, begun = ("list" if isinstance(inner, Sequence) else "mapping"), inner.mark.line
        where = f": the {within} that begins on line {begun} is not closed" if within else ""
        message = f"the file ends too early{where}"
    else:
        problem = str(error.problem).replace("but found '<", "but found <").replace(">'", ">")
        message = f"is not YAML: {problem}" + (f" ({error.context})" if error.context else "")
    return fault(Mark(file, line + 1 + line_offset, col + 1), path, message)


class _Open:
    """A list or mapping whose end has not come yet."""

    __slots__ = ("anchor", "key", "key_mark", "merges", "merging", "node")

    def __init__(self, node: Sequence | Mapping, anchor: str | None) -> None:
        self.node = node
        self.anchor = anchor
        self.key: str | None = None
        self.key_mark = node.mark
        self.merging = False
        self.merges: list[Mapping] = []


class _Reader:
    """Builds the tree event by event."""

    def __init__(self, file: str, limits: Limits, line_offset: int) -> None:
        self.file = file
        self.limits = limits
        self.line_offset = line_offset
        self.root: Node | None = None
        self.last = Mark(file, 1 + line_offset, 1)
        self._stack: list[_Open] = []
        self._anchors: dict[str, Node | None] = {}
        self._total = 0
        self._documents = 0

    def path(self) -> Path:
        """Return the path of what is being read."""
        parts: list[str | int] = []
        for level in self._stack:
            if isinstance(level.node, Sequence):
                parts.append(len(level.node.items))
            elif level.key is not None:
                parts.append(level.key)
        return tuple(parts)

    def innermost(self) -> Sequence | Mapping | None:
        """Return the list or mapping that is open."""
        return self._stack[-1].node if self._stack else None

    def take(self, event: Any) -> None:
        """Take the parser's next event."""
        at = event.start_mark
        mark = Mark(self.file, at.line + 1 + self.line_offset, at.column + 1)
        kind = type(event).__name__
        if kind == "DocumentStartEvent":
            self._documents += 1
            if self._documents > 1:
                raise fault(mark, (), "a second YAML document begins here: write one document per file")
            return
        if kind == "DocumentEndEvent":
            # at most one document, so an anchor cannot be used behind it
            return
        if isinstance(event, ScalarEvent):
            self.last = mark
            self._scalar(event, mark)
        elif isinstance(event, AliasEvent):
            self.last = mark
            self._alias(event.anchor, mark)
        elif isinstance(event, SequenceStartEvent | MappingStartEvent):
            self.last = mark
            self._open(event, mark)
        elif kind in ("SequenceEndEvent", "MappingEndEvent"):
            self._close()

    def _refuse(self, mark: Mark, message: str) -> Exception:
        return fault(mark, self.path(), message)

    def _count(self, size: int, mark: Mark) -> None:
        self._total += size
        if self._total > self.limits.nodes:
            raise self._refuse(
                mark,
                f"the document grows beyond {self.limits.nodes} values here (aliases are counted with all they stand for)",
            )

    def _tag(self, event: Any) -> str | None:
        return None if event.tag is None else str(event.tag)

    def _scalar(self, event: Any, mark: Mark) -> None:
        tag = self._tag(event)
        if tag is not None and tag not in _SCALAR_TAGS and tag != "!":
            raise self._refuse(mark, f"the tag {_shown(tag)} is not allowed: write plain values")
        bad = text_fault(event.value)
        if bad is not None:
            raise self._refuse(mark, bad)
        level = self._stack[-1] if self._stack else None
        if level is not None and isinstance(level.node, Mapping) and level.key is None:
            self._key(level, event.value, mark, merge=event.implicit[0] and event.value == "<<")
            if event.anchor is not None:
                self._anchors[event.anchor] = Scalar(event.value, mark)
            return
        plain = event.implicit[0] and tag is None
        if tag in (None, "!", f"{_CORE}str"):
            text = event.value
            try:
                value = resolve_plain(text) if plain else text
            except ValueError as error:
                raise self._refuse(mark, str(error)) from None
        else:
            value = self._tagged(str(tag), event.value, mark)
        self._count(1, mark)
        self._add(Scalar(value, mark), event.anchor, mark)

    def _tagged(self, tag: str, text: str, mark: Mark) -> bool | int | float | str | None:
        kinds: dict[str, type | tuple[type, ...]] = {
            "int": int,
            "float": (int, float),
            "bool": bool,
            "null": type(None),
        }
        name = tag.removeprefix(_CORE)
        try:
            value = resolve_plain(text)
        except ValueError as error:
            raise self._refuse(mark, str(error)) from None
        if not isinstance(value, kinds[name]) or (isinstance(value, bool) and name != "bool"):
            raise self._refuse(mark, f"'{text[:60]}' is not of the type {_shown(tag)}")
        return float(value) if name == "float" and isinstance(value, int) else value

    def _key(self, level: _Open, text: str, mark: Mark, *, merge: bool) -> None:
        assert isinstance(level.node, Mapping)
        if not merge and text in level.node.keys:
            first = level.node.keys[text]
            level.key = text
            raise self._refuse(mark, f"the key '{text[:60]}' stands twice (first on line {first.line})")
        level.key, level.key_mark, level.merging = text, mark, merge

    def _alias(self, name: str, mark: Mark) -> None:
        level = self._stack[-1] if self._stack else None
        if name not in self._anchors:
            raise self._refuse(mark, f"the alias *{name} has no anchor &{name} before it")
        node = self._anchors[name]
        if node is None:
            raise self._refuse(mark, f"the alias *{name} stands inside its own anchor")
        if level is not None and isinstance(level.node, Mapping) and level.key is None:
            if not isinstance(node, Scalar):
                raise self._refuse(mark, "a key must be a text")
            self._key(level, str(node.value), mark, merge=False)
            return
        self._count(node.size, mark)
        self._add(node, None, mark)

    def _open(self, event: Any, mark: Mark) -> None:
        kind = "seq" if isinstance(event, SequenceStartEvent) else "map"
        tag = self._tag(event)
        if tag is not None and tag not in ("!", f"{_CORE}{kind}"):
            raise self._refuse(mark, f"the tag {_shown(tag)} is not allowed: write plain values")
        level = self._stack[-1] if self._stack else None
        if level is not None and isinstance(level.node, Mapping) and level.key is None:
            raise self._refuse(mark, "a key must be a text, not a list or mapping")
        if len(self._stack) >= self.limits.depth:
            raise self._refuse(mark, f"values are nested more than {self.limits.depth} deep")
        self._count(1, mark)
        if event.anchor is not None:
            self._anchors[event.anchor] = None
        node: Sequence | Mapping = Sequence([], mark) if kind == "seq" else Mapping({}, mark)
        self._stack.append(_Open(node, event.anchor))

    def _close(self) -> None:
        level = self._stack.pop()
        node = level.node
        if isinstance(node, Mapping):
            # what is written in the mapping itself wins over what is merged in, and an earlier merge over a later one
            for merged in level.merges:
                for key, value in merged.entries.items():
                    if key not in node.entries:
                        node.entries[key] = value
                        node.keys[key] = merged.keys[key]
            node.size = 1 + sum(v.size for v in node.entries.values())
        else:
            node.size = 1 + sum(v.size for v in node.items)
        self._add(node, level.anchor, node.mark)

    def _add(self, node: Node, anchor: str | None, mark: Mark) -> None:
        if anchor is not None:
            self._anchors[anchor] = node
        if not self._stack:
            self.root = node
            return
        level = self._stack[-1]
        if isinstance(level.node, Sequence):
            level.node.items.append(node)
            return
        assert level.key is not None
        if level.merging:
            self._merge(level, node, mark)
        else:
            level.node.entries[level.key] = node
            level.node.keys[level.key] = level.key_mark
        level.key = None

    def _merge(self, level: _Open, node: Node, mark: Mark) -> None:
        parts = node.items if isinstance(node, Sequence) else [node]
        for part in parts:
            if not isinstance(part, Mapping):
                raise self._refuse(mark, "the merge key << takes a mapping or a list of mappings")
            level.merges.append(part)


def _shown(tag: str) -> str:
    return "!!" + tag.removeprefix(_CORE) if tag.startswith(_CORE) else tag[:80]
