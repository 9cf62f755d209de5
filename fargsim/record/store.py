"""Results as files: one Parquet or CSV file a table, ``provenance.json`` beside them.

The same result gives the same bytes, on any day and in any process: no time, no host and no writer's metadata goes
into a file (a Parquet footer names the version of its writer, so bytes are compared among runs with the same pyarrow).
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any, Literal, get_args

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pacsv
import pyarrow.parquet as pq

from fargsim.record.column import Table
from fargsim.record.folder import output_folder
from fargsim.record.frames import arrow_schema, to_arrow, to_frame
from fargsim.record.result import Result
from fargsim.record.schema import SCHEMA_VERSION, TABLES

Format = Literal["parquet", "csv"]
PROVENANCE = "provenance.json"


def write_tables(
    result: Result, directory: str | os.PathLike[str], *, format: Format = "parquet", force: bool = False
) -> Path:
    """Write a result into a folder of its own, completely or not at all.

    Parameters
    ----------
    result
        What to write.
    directory
        The folder to make.
    format
        ``parquet``, or ``csv`` with ISO 8601 instants and nothing between the commas for an absent value.
    force
        Write into a folder that exists, see :func:`fargsim.record.folder.output_folder`.

    Returns
    -------
    pathlib.Path
        The folder.

    Raises
    ------
    FileExistsError
        If the folder exists and ``force`` is not set.
    ValueError
        If the format is unknown or the provenance is not JSON.
    """
    with output_folder(Path(directory), force=force) as folder:
        write_files(result, folder, format=format)
    return Path(directory)


def write_files(result: Result, folder: Path, *, format: Format = "parquet") -> None:
    """Write a result's files into a folder that is there already, for example one of :func:`output_folder`.

    Raises
    ------
    ValueError
        If the format is unknown or the provenance is not JSON.
    """
    if format not in get_args(Format):
        raise ValueError(f"format {format!r}: choose {' or '.join(get_args(Format))}")
    certificate = {"schema_version": SCHEMA_VERSION, **result.provenance}
    try:
        provenance = json.dumps(certificate, indent=2, sort_keys=True, ensure_ascii=False, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise ValueError(f"the provenance cannot be written as JSON: {error}") from None
    for name, table in TABLES.items():
        data = to_arrow(table, result.tables[name])
        if format == "parquet":
            _write_parquet(data, folder / f"{name}.parquet")
        else:
            _write_csv(data, folder / f"{name}.csv")
    (folder / PROVENANCE).write_text(provenance + "\n", encoding="utf-8")


def load_result(directory: str | os.PathLike[str]) -> Result:
    """Read a result that :func:`write_tables` wrote.

    Parameters
    ----------
    directory
        The folder.

    Raises
    ------
    FileNotFoundError
        If the folder holds no result, or lacks one of its tables.
    ValueError
        If a file is damaged, or was written by another version of the schema.
    """
    folder = Path(directory)
    try:
        text = (folder / PROVENANCE).read_text(encoding="utf-8")
    except (FileNotFoundError, NotADirectoryError):
        raise FileNotFoundError(f"{folder} holds no result: there is no {PROVENANCE}") from None
    try:
        provenance = json.loads(text)
        version = provenance["schema_version"]
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{folder / PROVENANCE} is damaged: {error}") from None
    if version != SCHEMA_VERSION:
        raise ValueError(
            f"{folder} holds tables of schema {version}; this version of fargsim reads schema {SCHEMA_VERSION}"
        )
    return Result({name: to_frame(table, _read(table, folder).columns) for name, table in TABLES.items()}, provenance)


def _read(table: Table, folder: Path) -> pa.Table:
    readers = {"parquet": _read_parquet, "csv": _read_csv}
    for suffix, reader in readers.items():
        path = folder / f"{table.name}.{suffix}"
        if path.is_file():
            try:
                data = reader(table, path)
            except (pa.ArrowException, OSError, ValueError) as error:
                raise ValueError(f"{path} is damaged: {error}") from None
            if data.schema.names != list(table.names):
                raise ValueError(f"{path} is damaged: its columns are {', '.join(data.schema.names)}")
            return data.cast(arrow_schema(table))
    raise FileNotFoundError(f"{folder} lacks the table {table.name}")


def _write_parquet(data: pa.Table, path: Path) -> None:
    pq.write_table(data, path, compression="zstd", version="2.6", store_schema=False, row_group_size=1 << 17)


def _read_parquet(table: Table, path: Path) -> pa.Table:
    return pq.ParquetFile(path).read()


def _write_csv(data: pa.Table, path: Path) -> None:
    columns = [_iso(column) if pa.types.is_timestamp(column.type) else column for column in data.columns]
    # "needed" quotes an empty word and leaves an absent one bare, which is how the reader tells them apart.
    options = pacsv.WriteOptions(quoting_style="needed", batch_size=1 << 14)
    pacsv.write_csv(pa.table(columns, names=data.schema.names), path, options)


def _iso(instants: pa.ChunkedArray) -> pa.ChunkedArray:
    """Spell instants as ``2026-03-02T00:00:13.200000Z``."""
    return pc.replace_substring(instants.cast(pa.string()), " ", "T", max_replacements=1)


def _read_csv(table: Table, path: Path) -> pa.Table:
    types: dict[str, Any] = {field.name: field.type for field in arrow_schema(table)}
    return pacsv.read_csv(
        path,
        parse_options=pacsv.ParseOptions(newlines_in_values=True),
        convert_options=pacsv.ConvertOptions(
            column_types=types, null_values=[""], strings_can_be_null=True, quoted_strings_can_be_null=False
        ),
    )
