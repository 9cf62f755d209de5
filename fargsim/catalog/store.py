"""The data files: read when first asked for, kept for the life of the process, never changed.

Every table is a CSV file in ``fargsim/catalog/data``; its column ``source`` names a row of ``sources.csv``, which
carries the reference, its date and its basis:

``documented``
    AWS documentation or API model.
``listed``
    AWS price list or price page, or a dated transcription of one.
``estimated``
    derived from listed prices by a stated rule.
``measured``
    a third party measured it.
``model``
    an algorithm's constant chosen so that published figures come out.
``assumed``
    no source gives a figure; the value is fargsim's own.
"""

from __future__ import annotations

import csv
import difflib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from types import MappingProxyType

AS_OF = "2026-11-01"
"""The date of the catalogue: no fact in it is newer."""

BASES = ("documented", "listed", "estimated", "measured", "model", "assumed")


class CatalogError(ValueError):
    """A name the catalogue does not hold, or a value its rules forbid; the message names what is legal."""


@dataclass(frozen=True, slots=True)
class Source:
    """Where a fact comes from.

    Parameters
    ----------
    key
        Name of the row in ``sources.csv``.
    basis
        One of :data:`BASES`.
    as_of
        ISO date of the text or listing.
    reference
        Address or description.
    """

    key: str
    basis: str
    as_of: str
    reference: str


@cache
def table(name: str) -> tuple[Mapping[str, str], ...]:
    """Return the rows of one data file, as text by column name.

    >>> table("cpu_credits")[0]["size"]
    'nano'
    """
    text = files("fargsim.catalog").joinpath(f"data/{name}.csv").read_text(encoding="utf-8")
    lines = csv.reader(text.splitlines())
    header = next(lines)
    return tuple(MappingProxyType(dict(zip(header, line, strict=True))) for line in lines)


@cache
def sources() -> Mapping[str, Source]:
    """Return every source by its key."""
    return MappingProxyType(
        {r["source"]: Source(r["source"], r["basis"], r["as_of"], r["reference"]) for r in table("sources")}
    )


def unknown(kind: str, name: object, legal: Iterable[str], show: int = 12) -> CatalogError:
    """Return the error for a name that is not there, with close matches or the legal names.

    >>> print(unknown("instance type", "m5.lrge", ["m5.large", "c5.large"]))
    there is no instance type 'm5.lrge' in the catalogue: did you mean m5.large or c5.large?
    """
    names = list(legal)
    close = difflib.get_close_matches(str(name), names, n=3, cutoff=0.75)
    if close:
        hint = f"did you mean {' or '.join(close)}?"
    elif len(names) <= show:
        hint = f"it has {', '.join(names)}"
    else:
        hint = f"it has {len(names)}, among them {', '.join(names[:show])}"
    return CatalogError(f"there is no {kind} '{name}' in the catalogue: {hint}")
