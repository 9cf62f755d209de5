"""Faults of input files, each with the place where it stands."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, NamedTuple

from fargsim.model.base import Issue, Path


def printable(text: str) -> str:
    r"""Return a text on one line, with every character that cannot be printed written as its escape.

    >>> printable("a" + chr(10) + "b")
    'a\\nb'
    """
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text)


class Mark(NamedTuple):
    """A place in a file.

    Parameters
    ----------
    file
        The file's path as it was given, or ``--set`` for an override.
    line, col
        Counted from 1. For an override `line` is its number.
    """

    file: str
    line: int
    col: int


@dataclass(frozen=True, slots=True)
class LocatedIssue:
    """One fault of an input.

    Parameters
    ----------
    file
        The file's path as it was given, or ``--set`` for an override.
    line, col
        Place in the file, counted from 1.
    path
        Keys and list indices from the root of that file's document; empty where the document as a whole is at fault.
    message
        What is wrong and, where there is a closed set, what is legal.
    exception
        AWS's name for the error with which its API refuses the same; empty where no API of AWS is asked.
    """

    file: str
    line: int
    col: int
    path: Path
    message: str
    exception: str = ""

    def __post_init__(self) -> None:
        # what a file holds may be quoted here: it must not break the line or reach the terminal as a control character
        object.__setattr__(self, "message", printable(self.message))

    def dotted(self) -> str:
        """Return the path as a person writes it; ``.`` for the whole document."""
        return printable(Issue(self.path, "").dotted()) or "."

    @property
    def text(self) -> str:
        """The message, after AWS's name for the error where it has one."""
        return f"{self.exception}: {self.message}" if self.exception else self.message

    def __str__(self) -> str:
        return f"{printable(self.file)}:{self.line}:{self.col}: {self.dotted()}: {self.text}"

    def as_json(self) -> dict[str, Any]:
        """Return the fault as ``fargsim validate --json`` prints it."""
        return {
            "file": self.file,
            "path": self.dotted(),
            "message": self.text,
            "line": self.line,
            "column": self.col,
        }


class ScenarioError(ValueError):
    """An input that cannot be used.

    Attributes
    ----------
    issues : tuple of LocatedIssue
        Every fault found, in the order of files and lines; never empty.
    """

    def __init__(self, issues: Iterable[LocatedIssue]) -> None:
        self.issues = in_order(issues)
        super().__init__("\n".join(map(str, self.issues)))

    def __reduce__(self) -> tuple[type[ScenarioError], tuple[tuple[LocatedIssue, ...]]]:
        # an error may have to travel from a worker process
        return ScenarioError, (self.issues,)


def in_order(issues: Iterable[LocatedIssue]) -> tuple[LocatedIssue, ...]:
    """Return the faults by place, each once; files stay in the order in which they were met."""
    once = list(dict.fromkeys(issues))
    files = {name: n for n, name in enumerate(dict.fromkeys(i.file for i in once))}
    return tuple(sorted(once, key=lambda i: (files[i.file], i.line, i.col)))


def fault(mark: Mark, path: Path, message: str) -> ScenarioError:
    """Return the error for a single fault."""
    return ScenarioError([LocatedIssue(mark.file, mark.line, mark.col, path, message)])
