"""What a parsed expression of the cluster query language is made of; ``str`` of a node is an expression that parses to it."""

from __future__ import annotations

import re
from dataclasses import dataclass

_BARE = re.compile(r"(?:(?!&&|\|\|)[^\s()\[\],'\"])+")
_BARE_PATTERN = re.compile(r"[^\s()'\"]+")


@dataclass(frozen=True, slots=True)
class Comparison:
    """A single expression: subject, operator and what it is compared with."""

    subject: str
    """As written: ``attribute:stack``, ``runningTasksCount``, ..."""
    operator: str
    arguments: tuple[str, ...] = ()

    def __str__(self) -> str:
        bare = _BARE_PATTERN if self.operator in ("=~", "!~") else _BARE
        words = [a if bare.fullmatch(a) else f'"{a}"' if "'" in a else f"'{a}'" for a in self.arguments]
        tail = f"[{', '.join(words)}]" if self.operator in ("in", "!in") else "".join(words)
        return f"{self.subject} {self.operator} {tail}".rstrip()


@dataclass(frozen=True, slots=True)
class Not:
    """What the part does not select."""

    part: Node

    def __str__(self) -> str:
        return f"not ({self.part})"


@dataclass(frozen=True, slots=True)
class And:
    """What all parts select."""

    parts: tuple[Node, ...]

    def __str__(self) -> str:
        return " and ".join(f"({p})" if isinstance(p, And | Or) else str(p) for p in self.parts)


@dataclass(frozen=True, slots=True)
class Or:
    """What any part selects."""

    parts: tuple[Node, ...]

    def __str__(self) -> str:
        return " or ".join(f"({p})" if isinstance(p, And | Or) else str(p) for p in self.parts)


Node = Comparison | Not | And | Or
