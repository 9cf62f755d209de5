"""Quantities with units, as they stand in a scenario: ``250 ms``, ``2 GB``, ``0.5 vCPU``, ``300 /s``, ``0.1 %``.

Inside the program a duration is an integer number of microseconds, a size an integer number of bytes, a rate a float per second,
a share a float between 0 and 1. Each type turns itself back into a string with its unit, so that a stored scenario reads the same.
"""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Annotated, Any

from pydantic import BeforeValidator, PlainSerializer, WithJsonSchema

US_PER_S = 1_000_000

DURATION_UNITS_US = {
    "us": 1,
    "µs": 1,
    "ms": 1_000,
    "s": US_PER_S,
    "min": 60 * US_PER_S,
    "h": 3_600 * US_PER_S,
    "d": 86_400 * US_PER_S,
}
SIZE_UNITS_BYTES = {
    "B": 1,
    "kB": 10**3,
    "KB": 10**3,
    "MB": 10**6,
    "GB": 10**9,
    "TB": 10**12,
    "KiB": 2**10,
    "MiB": 2**20,
    "GiB": 2**30,
    "TiB": 2**40,
}
RATE_UNITS_PER_S = {"/s": 1.0, "/min": 1.0 / 60.0, "/h": 1.0 / 3_600.0, "/d": 1.0 / 86_400.0}

_QUANTITY = re.compile(r"\s*([+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d{1,3})?)\s*([^\s\d.].*?|1\s*/.*?)\s*")
_LONGEST = 64


def _split(value: object, kind: str, example: str, units: list[str]) -> tuple[Decimal, str]:
    legal = ", ".join(units)
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise ValueError(f"must be {kind} with a unit, like '{example}' (units: {legal})")
    if not isinstance(value, str):
        raise ValueError(f"{value} has no unit: write {kind} like '{example}' (units: {legal})")
    found = _QUANTITY.fullmatch(value) if len(value) <= _LONGEST else None
    if found is None:
        raise ValueError(f"'{value[:_LONGEST]}' is not {kind}: write it like '{example}' (units: {legal})")
    return Decimal(found.group(1)), found.group(2).replace(" ", "")


def _pick(number: Decimal, unit: str, table: dict[str, Any], value: object) -> Any:
    if unit not in table:
        raise ValueError(f"'{value}' has an unknown unit '{unit}': legal units are {', '.join(table)}")
    if number < 0:
        raise ValueError(f"'{value}' is negative")
    return table[unit]


def parse_duration_us(value: object) -> int:
    """Read a duration as whole microseconds.

    >>> parse_duration_us("250 ms"), parse_duration_us("1.5 h")
    (250000, 5400000000)
    """
    number, unit = _split(value, "a duration", "250 ms", list(DURATION_UNITS_US))
    scaled = number * _pick(number, unit, DURATION_UNITS_US, value)
    if scaled > 10**16:
        raise ValueError(f"'{value}' is longer than three hundred years")
    return int(scaled.to_integral_value())


def parse_agent_duration_us(value: str) -> int:
    """Read a duration as the container agent does.

    >>> parse_agent_duration_us("30m"), parse_agent_duration_us("1h30m")
    (1800000000, 5400000000)
    """
    found = re.fullmatch(r"(?:(\d{1,6})h)?(?:(\d{1,6})m)?(?:(\d{1,6})s)?", value)
    if found is None or not value:
        raise ValueError(f"'{value[:_LONGEST]}' is not a duration of the agent: write it like 30m, 1h or 1h30m")
    hours, minutes, seconds = (int(part or 0) for part in found.groups())
    return (hours * 3_600 + minutes * 60 + seconds) * US_PER_S


def parse_bytes(value: object) -> int:
    """Read a size as whole bytes; ``MB`` is 10^6 and ``MiB`` is 2^20.

    >>> parse_bytes("180 MB"), parse_bytes("1 MiB")
    (180000000, 1048576)
    """
    number, unit = _split(value, "a size", "180 MB", list(SIZE_UNITS_BYTES))
    scaled = number * _pick(number, unit, SIZE_UNITS_BYTES, value)
    if scaled > 10**18:
        raise ValueError(f"'{value}' is larger than an exabyte")
    return int(scaled.to_integral_value())


def parse_rate_per_s(value: object) -> float:
    """Read a rate as events per second.

    >>> parse_rate_per_s("300 /s"), parse_rate_per_s("90 /min")
    (300.0, 1.5)
    """
    number, unit = _split(value, "a rate", "300 /s", list(RATE_UNITS_PER_S))
    unit = unit if unit.startswith("/") else f"/{unit.rpartition('/')[2]}" if "/" in unit else unit
    return float(number) * float(_pick(number, unit, RATE_UNITS_PER_S, value))


def parse_share(value: object) -> float:
    """Read a share as a fraction of one: ``0.1 %`` or a plain number from 0 to 1.

    >>> parse_share("0.1 %"), parse_share(0.25)
    (0.001, 0.25)
    """
    if isinstance(value, int | float) and not isinstance(value, bool):
        share = float(value)
    else:
        number, unit = _split(value, "a share", "0.1 %", ["%"])
        if unit != "%":
            raise ValueError(f"'{value}' is not a share: write it like '0.1 %' or 0.001")
        share = float(number / 100)
    if not 0.0 <= share <= 1.0:
        raise ValueError(f"'{value}' is not between 0 % and 100 %")
    return share


def parse_vcpu(value: object) -> float:
    """Read an amount of CPU as vCPUs.

    >>> parse_vcpu("0.5 vCPU")
    0.5
    """
    number, unit = _split(value, "an amount of CPU", "0.5 vCPU", ["vCPU"])
    return float(number) * float(_pick(number, unit, {"vCPU": 1.0}, value))


def format_duration(us: int) -> str:
    """Write a duration with the largest unit that keeps it whole.

    >>> format_duration(5_400_000_000), format_duration(250_000)
    ('90 min', '250 ms')
    """
    for unit in ("d", "h", "min", "s", "ms"):
        if us and us % DURATION_UNITS_US[unit] == 0:
            return f"{us // DURATION_UNITS_US[unit]} {unit}"
    return f"{us} us"


def _text(description: str, example: str) -> WithJsonSchema:
    return WithJsonSchema({"type": "string", "description": description, "examples": [example]})


DurationUs = Annotated[
    int,
    BeforeValidator(parse_duration_us),
    PlainSerializer(format_duration, return_type=str, when_used="json"),
    _text("A duration with its unit: us, ms, s, min, h, d", "250 ms"),
]
Bytes = Annotated[
    int,
    BeforeValidator(parse_bytes),
    PlainSerializer(lambda b: f"{b} B", return_type=str, when_used="json"),
    _text("A size with its unit: B, kB, MB, GB, KiB, MiB, GiB", "180 MB"),
]
RatePerS = Annotated[
    float,
    BeforeValidator(parse_rate_per_s),
    PlainSerializer(lambda r: f"{r!r} /s", return_type=str, when_used="json"),
    _text("A rate with its unit: /s, /min, /h, /d", "300 /s"),
]
Share = Annotated[
    float,
    BeforeValidator(parse_share),
    WithJsonSchema(
        {"anyOf": [{"type": "string", "examples": ["0.1 %"]}, {"type": "number", "minimum": 0, "maximum": 1}]}
    ),
]
VCpu = Annotated[
    float,
    BeforeValidator(parse_vcpu),
    PlainSerializer(lambda v: f"{v!r} vCPU", return_type=str, when_used="json"),
    _text("An amount of CPU", "0.5 vCPU"),
]
