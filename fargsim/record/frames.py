"""From plain values to Arrow columns to DataFrames and back, with the types that the schema promises."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from fargsim.record.column import Column, Table

STRING = pd.StringDtype("pyarrow", na_value=np.nan)
"""The dtype of every column of names and words: pandas' own ``str``, backed by Arrow."""

_ARROW: dict[str, pa.DataType] = {
    "instant": pa.timestamp("us", tz="UTC"),
    "int64": pa.int64(),
    "float64": pa.float64(),
    "bool": pa.bool_(),
    "string": pa.string(),
}

Values = Sequence[Any] | np.ndarray[Any, Any] | pd.Series
"""What a column can be built from."""


def arrow_type(column: Column) -> pa.DataType:
    """Return the Arrow type of a column."""
    return _ARROW[column.dtype]


def pandas_dtype(column: Column) -> Any:
    """Return the dtype that a DataFrame holds a column in.

    >>> from fargsim.record.schema import TASKS
    >>> pandas_dtype(TASKS.column("exit_code")), pandas_dtype(TASKS.column("stopped_at"))
    (Int64Dtype(), datetime64[us, UTC])
    """
    match column.dtype:
        case "instant":
            return pd.DatetimeTZDtype("us", "UTC")
        case "int64":
            return pd.Int64Dtype() if column.nullable else np.dtype("int64")
        case "float64":
            return np.dtype("float64")
        case "bool":
            return pd.BooleanDtype() if column.nullable else np.dtype("bool")
        case "string":
            return STRING


def arrow_schema(table: Table) -> pa.Schema:
    """Return the Arrow schema of a table, free of metadata."""
    return pa.schema([pa.field(column.name, arrow_type(column)) for column in table.columns])


def arrow_column(table: Table, column: Column, values: Values) -> pa.Array:
    """Return values as an Arrow array of the declared type; ``None``, ``NaN`` and ``NaT`` become null.

    Parameters
    ----------
    table, column
        Declarations.
    values
        The values. Integers in a column of instants are microseconds since 1970-01-01T00:00Z.

    Raises
    ------
    ValueError
        If a value is of another type, or absent where the declaration does not allow it. The message names
        table, column and row.
    """
    place = f"table {table.name}, column {column.name}"
    try:
        array = _whole_array(column, values) if column.dtype in ("int64", "instant") else _array(column, values)
    except (pa.ArrowException, TypeError, ValueError, OverflowError) as error:
        raise ValueError(f"{place}: {error}") from None
    if array.null_count and not column.nullable:
        row = int(np.argmax(array.is_null().to_numpy(zero_copy_only=False)))
        raise ValueError(f"{place}: row {row} has no value")
    return array


def _whole_array(column: Column, values: Values) -> pa.Array:
    """Build a column of whole numbers or instants; Arrow alone would cut 2.5 to 2 without a word."""
    dtype = getattr(values, "dtype", None)
    if dtype is None:
        kinds = set(map(type, values))
        if any(issubclass(kind, (float, np.floating)) for kind in kinds) and (
            broken := [value for value in values if isinstance(value, (float, np.floating)) and value == value]
        ):
            raise ValueError(f"{broken[0]} where a whole number is expected")
        counted = all(kind is type(None) or issubclass(kind, (int, float, np.number)) for kind in kinds)
    else:
        counted = getattr(dtype, "kind", "") in "iuf"
    if column.dtype == "instant" and counted:
        return _flat(pa.array(values, type=pa.int64(), from_pandas=True)).cast(arrow_type(column))
    return _flat(pa.array(values, type=arrow_type(column), from_pandas=True))


def _array(column: Column, values: Values) -> pa.Array:
    if column.dtype == "bool" and (kind := getattr(getattr(values, "dtype", None), "kind", "b")) not in "bO":
        raise ValueError(f"values of kind {kind!r} where truth values are expected")
    return _flat(pa.array(values, type=arrow_type(column), from_pandas=True))


def _flat(array: pa.Array | pa.ChunkedArray) -> pa.Array:
    return array.combine_chunks() if isinstance(array, pa.ChunkedArray) else array


def to_frame(table: Table, columns: Iterable[pa.ChunkedArray]) -> pd.DataFrame:
    """Return Arrow columns as a DataFrame with the declared dtypes.

    Parameters
    ----------
    table
        Declaration of the table.
    columns
        Its columns in the declared order, of the declared Arrow types. Taken one at a time.
    """
    made = {c.name: _series(c, values) for c, values in zip(table.columns, columns, strict=True)}
    return pd.DataFrame(made, copy=False)


def _series(column: Column, values: pa.ChunkedArray) -> Any:
    dtype = pandas_dtype(column)
    if isinstance(dtype, pd.api.extensions.ExtensionDtype) and column.dtype != "instant":
        return dtype.__from_arrow__(values)  # type: ignore[attr-defined]
    return pd.Series(values.to_pandas(), dtype=dtype, copy=False)


def to_arrow(table: Table, frame: pd.DataFrame) -> pa.Table:
    """Return a DataFrame as an Arrow table of the declared types; ``NaN`` and ``NaT`` become null.

    Raises
    ------
    ValueError
        As :func:`arrow_column`, and if a column is unknown or missing.
    """
    return _arrow_table(table, {str(name): frame[name] for name in frame.columns})


def frame(table: Table, columns: Mapping[str, Values]) -> pd.DataFrame:
    """Build a DataFrame of a declared table from columns.

    Parameters
    ----------
    table
        Declaration of the table.
    columns
        Values by column name, of one length; a nullable column may be left out. Instants are datetimes, or
        integers in microseconds since 1970.

    Raises
    ------
    ValueError
        If a column is unknown, missing, of another length or type, or has gaps that the declaration does not
        allow.

    Examples
    --------
    >>> from fargsim.record.schema import LATENCIES
    >>> made = frame(LATENCIES, {"service": ["web"], "lower_us": [100], "upper_us": [101], "requests": [7]})
    >>> int(made.at[0, "requests"])
    7
    """
    return to_frame(table, _arrow_table(table, columns).columns)


def empty(table: Table) -> pd.DataFrame:
    """Return a declared table without rows."""
    return to_frame(table, arrow_schema(table).empty_table().columns)


def _arrow_table(table: Table, columns: Mapping[str, Values]) -> pa.Table:
    if unknown := sorted(set(columns) - set(table.names)):
        raise ValueError(f"table {table.name} has no column {', '.join(unknown)}")
    if missing := [c.name for c in table.columns if not c.nullable and c.name not in columns]:
        raise ValueError(f"table {table.name} needs the column {', '.join(missing)}")
    lengths = {name: len(values) for name, values in columns.items()}
    if len(set(lengths.values())) > 1:
        raise ValueError(f"table {table.name}: columns of different lengths: {lengths}")
    rows = next(iter(lengths.values()), 0)
    arrays = [
        arrow_column(table, column, columns[column.name])
        if column.name in columns
        else pa.nulls(rows, arrow_type(column))
        for column in table.columns
    ]
    return pa.table(arrays, schema=arrow_schema(table))
