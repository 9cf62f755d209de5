"""What a run leaves behind: its tables and where they come from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

import pandas as pd

from fargsim.record.frames import empty, frame, pandas_dtype
from fargsim.record.schema import TABLES


@dataclass(frozen=True, eq=False, slots=True)
class Result:
    """The tables of one run and their provenance, and nothing else.

    Every table of the schema is there, empty where nothing was kept, with exactly the declared columns and dtypes: a
    reader never asks whether a table exists.

    Parameters
    ----------
    tables
        DataFrames by table name; a table that is not given is empty.
    provenance
        The birth certificate: resolved scenario, seed, versions, catalogue date, schema version. Anything that JSON
        can hold.

    Raises
    ------
    ValueError
        If a table is unknown or does not hold what the schema declares.

    Examples
    --------
    >>> result = Result({}, {"seed": 7})
    >>> len(result.tables["tasks"]), result.provenance["seed"]
    (0, 7)
    """

    tables: Mapping[str, pd.DataFrame] = field(repr=False)
    provenance: Mapping[str, Any]

    def __post_init__(self) -> None:
        if unknown := sorted(set(self.tables) - set(TABLES)):
            raise ValueError(f"no table is called {', '.join(unknown)}; the tables are {', '.join(TABLES)}")
        given = self.tables
        tables = {name: _conform(name, given[name]) if name in given else empty(TABLES[name]) for name in TABLES}
        object.__setattr__(self, "tables", MappingProxyType(tables))
        object.__setattr__(self, "provenance", MappingProxyType(dict(self.provenance)))

    def __reduce__(self) -> tuple[Any, ...]:
        """Travel between processes as plain dictionaries."""
        return (Result, (dict(self.tables), dict(self.provenance)))


def _conform(name: str, given: pd.DataFrame) -> pd.DataFrame:
    table = TABLES[name]
    columns = [str(column) for column in given.columns]
    if columns == list(table.names) and all(given[c.name].dtype == pandas_dtype(c) for c in table.columns):
        return given
    return frame(table, {column: given[column] for column in columns})


def replace(result: Result, **tables: pd.DataFrame) -> Result:
    """Return a result with some tables replaced, for example by a bill at other prices.

    Parameters
    ----------
    result
        The result to start from; it stays as it is.
    tables
        DataFrames by table name.

    Raises
    ------
    ValueError
        As :class:`Result`.
    """
    return Result({**result.tables, **tables}, result.provenance)
