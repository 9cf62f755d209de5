"""What a table and a column are: the words in which :mod:`fargsim.record.schema` declares everything that is
kept.

The recorder, the Parquet and CSV writers, ``docs/tables.md`` and the tests all read the same declaration, so
a column cannot mean one thing on the page and another in the file.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Dtype = Literal["instant", "int64", "float64", "bool", "string"]
"""Kinds of column.

``instant`` is integer microseconds in the buffers and ``datetime64[us, UTC]`` in a DataFrame. Where a value
may be absent, a DataFrame holds ``NaT``, ``NaN``, ``<NA>`` (``Int64``, ``boolean``) or a missing ``str``.
"""


@dataclass(frozen=True, slots=True)
class Column:
    """One column: its name, type, unit and meaning.

    Parameters
    ----------
    name
        Instants end in ``_at`` (or are ``at``); other quantities carry their unit.
    dtype
        See :data:`Dtype`.
    unit
        Unit of the values, empty for names and words.
    meaning
        One sentence for the reader of a table.
    nullable
        Whether a row may have no value here.
    """

    name: str
    dtype: Dtype
    unit: str
    meaning: str
    nullable: bool = False

    def __post_init__(self) -> None:
        if (self.dtype == "instant") != (self.name == "at" or self.name.endswith("_at")):
            raise ValueError(f"column {self.name}: instants, and only instants, are named 'at' or '..._at'")


@dataclass(frozen=True, slots=True)
class Table:
    """One table: what a row is, which columns tell rows apart, and the columns in order.

    Parameters
    ----------
    name
        Name of the table and of its file.
    meaning
        What one row stands for.
    key
        Columns whose values together are unique, or the natural order of reading where no such set exists.
    columns
        The columns, in the order of the DataFrame and of a row tuple.
    """

    name: str
    meaning: str
    key: tuple[str, ...]
    columns: tuple[Column, ...]

    def __post_init__(self) -> None:
        names = self.names
        if len(set(names)) != len(names):
            raise ValueError(f"table {self.name}: a column is declared twice")
        if unknown := [name for name in self.key if name not in names]:
            raise ValueError(f"table {self.name}: key columns {unknown} are not declared")

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the columns, in order."""
        return tuple(column.name for column in self.columns)

    def column(self, name: str) -> Column:
        """Return the column of that name.

        Raises
        ------
        KeyError
            If the table has no such column.
        """
        for column in self.columns:
            if column.name == name:
                return column
        raise KeyError(f"table {self.name} has no column {name!r}")


def instant(name: str, meaning: str, *, nullable: bool = False) -> Column:
    """Declare a point in time."""
    return Column(name, "instant", "UTC", meaning, nullable)


def whole(name: str, unit: str, meaning: str, *, nullable: bool = False) -> Column:
    """Declare a column of whole numbers."""
    return Column(name, "int64", unit, meaning, nullable)


def real(name: str, unit: str, meaning: str, *, nullable: bool = False) -> Column:
    """Declare a column of floating-point numbers."""
    return Column(name, "float64", unit, meaning, nullable)


def flag(name: str, meaning: str, *, nullable: bool = False) -> Column:
    """Declare a column of truth values."""
    return Column(name, "bool", "", meaning, nullable)


def text(name: str, meaning: str, *, nullable: bool = False) -> Column:
    """Declare a column of names or words."""
    return Column(name, "string", "", meaning, nullable)
