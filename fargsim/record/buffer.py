"""Append-only buffers: rows go in as tuples, columns come out.

A row costs one ``list.append`` while it is fresh; every :data:`BLOCK_ROWS` rows the list is turned into Arrow
arrays, in which a repeated word is stored once a block. No pandas on this path: DataFrames are made once, at
the end, by :meth:`Recorder.tables`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from operator import itemgetter
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from fargsim.record.column import Column, Table
from fargsim.record.frames import Values, arrow_column, arrow_type, to_frame
from fargsim.record.schema import TABLES

BLOCK_ROWS = 8192
"""Rows kept as tuples before they are turned into columns; a block of ``tasks`` takes about 8 MB as tuples."""


class Buffer:
    """The rows of one table, in the order in which they were appended.

    Parameters
    ----------
    table
        Declaration of the table.
    start_us
        Added to every instant: microseconds since 1970 of the simulation clock's zero.

    Examples
    --------
    >>> from fargsim.record.schema import TASK_STATES
    >>> states = Buffer(TASK_STATES)
    >>> states.append(("1a2b", 13_200_000, "PENDING", "RUNNING"))
    >>> states.add(task_id="1a2b", at=15_000_000, last_status="RUNNING", desired_status="RUNNING")
    >>> states.frame()["last_status"].tolist()
    ['PENDING', 'RUNNING']
    """

    __slots__ = ("_absent", "_blocks", "_fresh", "_names", "_pick", "_start_us", "_stored", "_width", "table")

    def __init__(self, table: Table, start_us: int = 0) -> None:
        self.table = table
        self._start_us = start_us
        self._names = table.names
        self._width = len(self._names)
        self._pick = itemgetter(*self._names)
        self._absent: dict[str, Any] = {column.name: None for column in table.columns if column.nullable}
        self._fresh: list[tuple[Any, ...]] = []
        # One list of blocks per column, so that drain() can let go of a column as soon as it is converted.
        self._blocks: list[list[pa.Array]] = [[] for _ in table.columns]
        self._stored = 0

    def __len__(self) -> int:
        """Return the number of rows."""
        return self._stored + len(self._fresh)

    def append(self, row: tuple[Any, ...]) -> None:
        """Append one row, its values in the order of the declaration.

        Instants are integer microseconds of the simulation clock; ``None`` stands for an absent value. Types
        are checked when a block is full or read, where it costs a hundredth of what it would here.

        Raises
        ------
        ValueError
            If the row has another number of values than the table has columns, or (when a block is full) if a
            value is of another type than declared.
        """
        if len(row) != self._width:
            raise ValueError(f"table {self.table.name}: {len(row)} values for {self._width} columns")
        fresh = self._fresh
        fresh.append(row)
        if len(fresh) >= BLOCK_ROWS:
            self.flush()

    def add(self, **values: Any) -> None:
        """Append one row by column names; a nullable column may be left out.

        Raises
        ------
        ValueError
            If a column is unknown or a required one is missing; else as :meth:`append`.
        """
        merged = {**self._absent, **values}
        try:
            row = self._pick(merged)
        except KeyError as missing:
            raise ValueError(f"table {self.table.name} needs the column {missing.args[0]}") from None
        if len(merged) != self._width:
            unknown = ", ".join(sorted(set(merged) - set(self._names)))
            raise ValueError(f"table {self.table.name} has no column {unknown}")
        self.append(row)

    def extend(self, columns: Mapping[str, Values]) -> None:
        """Append many rows as columns, for example the arrays that the request kernel returns.

        Parameters
        ----------
        columns
            Values by column name, each an array or list of one length, or one plain value for all rows; a
            nullable column may be left out. Instants are integer microseconds of the simulation clock; in an
            int64 array every value is present, so an absent instant needs a masked list or an Arrow array.

        Raises
        ------
        ValueError
            If a column is unknown, missing, of another length or of another type.
        """
        table = self.table
        if unknown := sorted(set(columns) - set(self._names)):
            raise ValueError(f"table {table.name} has no column {', '.join(unknown)}")
        if missing := [c.name for c in table.columns if not c.nullable and c.name not in columns]:
            raise ValueError(f"table {table.name} needs the column {', '.join(missing)}")
        scalars = {n for n, value in columns.items() if isinstance(value, str) or not hasattr(value, "__len__")}
        lengths = {name: len(columns[name]) for name in columns if name not in scalars}
        if len(set(lengths.values())) != 1:
            raise ValueError(f"table {table.name}: columns of different lengths: {lengths}")
        rows = next(iter(lengths.values()))
        self.flush()
        arrays = []
        for column in table.columns:
            if column.name not in columns:
                array = pa.nulls(rows, arrow_type(column))
            elif column.name in scalars:
                array = pa.repeat(arrow_column(table, column, [columns[column.name]])[0], rows)
            else:
                array = arrow_column(table, column, columns[column.name])
            arrays.append(self._stored_form(column, array))
        self._store(arrays)

    def flush(self) -> None:
        """Turn the fresh rows into columns.

        Raises
        ------
        ValueError
            If a value is of another type than declared, or absent where it must not be.
        """
        if not self._fresh:
            return
        columns = zip(*self._fresh, strict=True)
        self._store(
            [
                self._stored_form(column, arrow_column(self.table, column, values))
                for column, values in zip(self.table.columns, columns, strict=True)
            ]
        )
        self._fresh.clear()

    def _stored_form(self, column: Column, array: pa.Array) -> pa.Array:
        if column.dtype == "string":
            return array.dictionary_encode()
        if column.dtype == "instant" and self._start_us:
            return pc.add(array.cast(pa.int64()), self._start_us).cast(array.type)
        return array

    def _store(self, arrays: list[pa.Array]) -> None:
        rows = len(arrays[0])
        if rows:
            for blocks, array in zip(self._blocks, arrays, strict=True):
                blocks.append(array)
            self._stored += rows

    def frame(self) -> pd.DataFrame:
        """Return all rows as a DataFrame with the declared dtypes."""
        self.flush()
        return to_frame(self.table, map(self._whole, self.table.columns, self._blocks))

    def drain(self) -> pd.DataFrame:
        """Return all rows as :meth:`frame` does and forget them, column by column, so that nothing is held twice."""
        self.flush()
        columns = list(zip(self.table.columns, self._blocks, strict=True))
        self._blocks = [[] for _ in columns]
        self._stored = 0

        def let_go() -> Iterator[pa.ChunkedArray]:
            for column, blocks in columns:
                yield self._whole(column, blocks)
                blocks.clear()

        return to_frame(self.table, let_go())

    @staticmethod
    def _whole(column: Column, blocks: list[pa.Array]) -> pa.ChunkedArray:
        kind = arrow_type(column)
        return pa.chunked_array([block.cast(kind) for block in blocks], type=kind)


class Recorder:
    """One buffer per table of the schema.

    Parameters
    ----------
    start_us
        Microseconds since 1970-01-01T00:00Z of the simulation clock's zero; 0 if the clock already counts
        from there.

    Examples
    --------
    >>> recorder = Recorder(start_us=1_000_000)
    >>> recorder.events.append(("e1", 500_000, "default", "web", "INFO", "SERVICE_STEADY_STATE", "steady"))
    >>> recorder.tables()["events"]["at"][0]
    Timestamp('1970-01-01 00:00:01.500000+0000', tz='UTC')
    """

    def __init__(self, start_us: int = 0) -> None:
        self.start_us = start_us
        self._buffers = {name: Buffer(table, start_us) for name, table in TABLES.items()}
        # One line a table, so that an editor and the type checker know them all.
        self.tasks = self._buffers["tasks"]
        self.task_states = self._buffers["task_states"]
        self.containers = self._buffers["containers"]
        self.instances = self._buffers["instances"]
        self.cpu_credits = self._buffers["cpu_credits"]
        self.services = self._buffers["services"]
        self.clusters = self._buffers["clusters"]
        self.target_groups = self._buffers["target_groups"]
        self.load_balancers = self._buffers["load_balancers"]
        self.queues = self._buffers["queues"]
        self.message_latencies = self._buffers["message_latencies"]
        self.events = self._buffers["events"]
        self.placements = self._buffers["placements"]
        self.placement_steps = self._buffers["placement_steps"]
        self.scaling = self._buffers["scaling"]
        self.alarms = self._buffers["alarms"]
        self.deployments = self._buffers["deployments"]
        self.deployment_stages = self._buffers["deployment_stages"]
        self.latencies = self._buffers["latencies"]
        self.costs = self._buffers["costs"]
        self.capacity_use = self._buffers["capacity_use"]
        self.requests = self._buffers["requests"]

    def __getitem__(self, name: str) -> Buffer:
        """Return the buffer of a table by its name."""
        return self._buffers[name]

    def tables(self) -> dict[str, pd.DataFrame]:
        """Return every table as a DataFrame, in the order of the schema, empty ones included."""
        return {name: buffer.frame() for name, buffer in self._buffers.items()}

    def drain(self) -> dict[str, pd.DataFrame]:
        """Return every table as :meth:`tables` does and forget the rows: the end of a large run."""
        return {name: buffer.drain() for name, buffer in self._buffers.items()}
