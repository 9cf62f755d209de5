"""Literals of the cluster query language: versions, dates, and Java patterns as far as Python's ``re`` can stand for them."""

from __future__ import annotations

import re
from datetime import UTC, datetime

PATTERN_LENGTH_MAX = 256
REPETITIONS_MAX = 4

_DATE = re.compile(r"(\d{4}-\d{2}-\d{2})(?:T(\d{2}:\d{2}:\d{2})(Z|[+-]\d{2}:\d{2})?)?", re.ASCII)
_VERSION = re.compile(r"\d{1,9}(?:\.\d{1,9}){0,7}", re.ASCII)
_DATE_FORMS = "2018-06-18T22:28:28+00:00, 2018-06-18T22:28:28Z, 2018-06-18T22:28:28, 2018-06-18"


def version(text: str) -> tuple[int, ...]:
    """Return a version as a comparable value; missing parts count as zero.

    >>> version("1.14.5") < version("1.105.1"), version("1.2") == version("1.2.0")
    (True, True)
    """
    if not _VERSION.fullmatch(text):
        raise ValueError(f"'{text}' is not a version: write numbers with dots between them, like 1.14.5")
    parts = [int(p) for p in text.split(".")]
    while parts and not parts[-1]:
        parts.pop()
    return tuple(parts)


def instant_s(text: str) -> int:
    """Return a date as whole seconds since 1970-01-01T00:00:00Z; without a zone it is UTC, without a time it is midnight.

    >>> instant_s("2018-06-18T22:28:28+02:00") == instant_s("2018-06-18T20:28:28Z")
    True
    """
    found = _DATE.fullmatch(text)
    if found is None:
        raise ValueError(f"'{text}' is not a date: the forms are {_DATE_FORMS}")
    day, time, zone = found.groups()
    try:
        stamp = datetime.fromisoformat(f"{day}T{time or '00:00:00'}{(zone or 'Z').replace('Z', '+00:00')}")
        return int(stamp.astimezone(UTC).timestamp())
    except (ValueError, OverflowError) as fault:
        raise ValueError(f"'{text}' is not a date: {fault}") from None


def count(text: str) -> int:
    """Return a number of tasks."""
    if not re.fullmatch(r"\d{1,9}", text, re.ASCII):
        raise ValueError(f"'{text}' is not a number of tasks")
    return int(text)


def truth(text: str) -> bool:
    """Return a truth value."""
    if text not in ("true", "false"):
        raise ValueError(f"'{text}' must be true or false")
    return text == "true"


def java_pattern(text: str) -> re.Pattern[str]:
    r"""Compile a pattern of ``java.util.regex`` for matching whole values.

    Raises
    ------
    ValueError
        For an invalid pattern, for what Java has and Python has not (``\p{..}``, ``\Q..\E``, ``\h``, ``\R``, ``(?<name>..)``, ``&&`` in
        a class), and for a pattern that could take very long: more than 256 characters, more than four repetitions, or a repetition
        of a group that holds a repetition or an alternative.

    Notes
    -----
    Differences that remain: ``\d``, ``\w`` and ``\s`` are ASCII as in Java; ``\Z``, ``\X`` and Unicode case folding are not translated.

    Examples
    --------
    >>> bool(java_pattern("g2.*").fullmatch("g2.2xlarge")), bool(java_pattern("2").fullmatch("g2.2xlarge"))
    (True, False)
    """
    if len(text) > PATTERN_LENGTH_MAX:
        raise ValueError(f"the pattern is longer than {PATTERN_LENGTH_MAX} characters")
    _refuse(text)
    try:
        return re.compile(text, re.ASCII)
    except (re.error, OverflowError, RecursionError) as fault:
        raise ValueError(f"'{text}' is not a valid pattern: {fault}") from None


def _refuse(text: str) -> None:
    """Raise ValueError for what cannot be translated and for repetitions that could blow up."""
    groups = [False]  # per open group: whether it holds a repetition or an alternative
    repetitions = 0
    closed = False  # whether the part before is a closed group that holds one
    i = 0
    while i < len(text):
        char = text[i]
        step, part = 1, char
        if char == "\\":
            step, part = 2, text[i : i + 2]
            if part[1:] in ("p", "P", "Q", "E", "h", "H", "R", "G", "X", "Z", "z", "k", "N") or part[1:].isdigit():
                raise ValueError(f"'{part}' of Java's patterns is not supported")
        elif char == "[":
            step = _class_length(text, i)
        elif text.startswith("(?", i) and not text.startswith("(?:", i):
            raise ValueError("of the groups with '(?' only '(?:' is supported")
        if part == "(":
            groups.append(False)
            if text.startswith("(?:", i):
                step = 3
        elif part == ")":
            inside = groups.pop() if len(groups) > 1 else False
            groups[-1] = groups[-1] or inside
            closed = inside
            i += 1
            continue
        elif part == "|":
            groups[-1] = True
        elif part in ("*", "+", "?", "{"):
            if closed and part != "?":
                raise ValueError("a repetition of a group that holds a repetition or an alternative is not supported")
            if part != "?":
                repetitions += 1
                groups[-1] = True
                if text[i + 1 : i + 2] in ("?", "+"):
                    step = 2  # reluctant and possessive forms
        closed = False
        i += step
    if repetitions > REPETITIONS_MAX:
        raise ValueError(f"the pattern has {repetitions} repetitions, more than {REPETITIONS_MAX}")


def _class_length(text: str, start: int) -> int:
    """Return the length of a character class; Java's nested classes and intersections are refused."""
    i = start + 1
    if text.startswith("^", i):
        i += 1
    if text.startswith("]", i):
        raise ValueError("a ']' that opens a class must be written as '\\]'")
    while i < len(text) and text[i] != "]":
        if text[i] == "[" or text.startswith("&&", i):
            raise ValueError("classes inside classes and '&&' of Java's patterns are not supported")
        if text[i] == "\\":
            if text[i + 1 : i + 2] in ("p", "P", "Q", "h", "H"):
                raise ValueError(f"'{text[i : i + 2]}' of Java's patterns is not supported")
            i += 1
        i += 1
    return i + 1 - start
