"""Many instants as one short text, so that a stored scenario carries its trace without becoming huge."""

from __future__ import annotations

import base64
import binascii
import itertools
import sys
import zlib
from array import array
from collections.abc import Iterable
from typing import Any

from fargsim.model.quantity import parse_duration_us

PREFIX = "packed:"
MOST = 5_000_000
"""Most instants of one source."""


def pack_instants(instants_us: Iterable[int]) -> str:
    """Write increasing instants as text: differences as 64-bit little-endian integers, deflated, in base64.

    Parameters
    ----------
    instants_us
        Microseconds, in order.

    >>> unpack_instants(pack_instants((0, 5, 5, 1_000_000)))
    (0, 5, 5, 1000000)
    """
    steps, last = array("q"), 0
    for instant in instants_us:
        steps.append(instant - last)
        last = instant
    return PREFIX + base64.b64encode(zlib.compress(_little(steps).tobytes(), 6)).decode("ascii")


def unpack_instants(value: Any) -> tuple[int, ...]:
    """Read instants: durations in order, whole microseconds in order, or the text of :func:`pack_instants`.

    Returns
    -------
    tuple of int
        Microseconds since the start of the run.

    Raises
    ------
    ValueError
        When it is none of these, is out of order or has more than :data:`MOST` instants.
    """
    if isinstance(value, str):
        instants = _unpacked(value)
    elif isinstance(value, list | tuple):
        if len(value) > MOST:
            raise ValueError(f"has {len(value)} instants: at most {MOST} are possible")
        whole = all(type(v) is int for v in value)
        instants = tuple(value) if whole else tuple(parse_duration_us(v) for v in value)
    else:
        raise ValueError("must be a list of durations since the start of the run, like ['0 s', '1.5 s']")
    if instants and instants[0] < 0:
        raise ValueError("an instant lies before the start of the run")
    if any(b < a for a, b in itertools.pairwise(instants)):
        raise ValueError("the instants must not decrease")
    return instants


def _unpacked(text: str) -> tuple[int, ...]:
    if not text.startswith(PREFIX):
        raise ValueError("must be a list of durations since the start of the run, like ['0 s', '1.5 s']")
    inflate = zlib.decompressobj()
    try:
        # bounded, because a few bytes can inflate to gigabytes
        raw = inflate.decompress(base64.b64decode(text[len(PREFIX) :], validate=True), MOST * 8)
    except (binascii.Error, zlib.error, ValueError):
        raise ValueError("the packed instants are damaged") from None
    if not inflate.eof or len(raw) % 8:
        raise ValueError(f"the packed instants are damaged or more than {MOST}")
    steps = array("q")
    steps.frombytes(raw)
    instants, now = [], 0
    for step in _little(steps):
        now += step
        instants.append(now)
    return tuple(instants)


def _little(numbers: array[int]) -> array[int]:
    if sys.byteorder == "big":
        numbers = numbers[:]
        numbers.byteswap()
    return numbers
