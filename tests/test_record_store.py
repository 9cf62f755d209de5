"""A result on disk: complete or not there, the same bytes every time, and read back as it was."""

from __future__ import annotations

import json
import os
import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from fargsim.record import store
from fargsim.record.buffer import Recorder
from fargsim.record.folder import LISTING, output_folder
from fargsim.record.frames import pandas_dtype
from fargsim.record.result import Result, replace
from fargsim.record.schema import SCHEMA_VERSION, TABLES
from fargsim.record.store import load_result, write_tables

WORDS = ["web", "", 'a "b",\nc', " N/A", "été", "null"]


def make_result() -> Result:
    """Two rows of everything: one with every gap there may be, one without a gap and with awkward values."""
    recorder = Recorder(start_us=1_772_409_600_000_000)
    for table in TABLES.values():
        for full in (False, True):
            row = {}
            for k, column in enumerate(table.columns):
                if full or not column.nullable:
                    row[column.name] = {
                        "instant": k * 1_000_001,
                        "int64": 2**53 + k,
                        "float64": 0.1 * k + 1e-7,
                        "bool": bool(k % 2),
                        "string": WORDS[k % len(WORDS)],
                    }[column.dtype]
            recorder[table.name].add(**row)
    return Result(recorder.tables(), {"scenario": {"name": "tëst", "duration_us": 1}, "seed": 7, "rates": [0.1, None]})


def contents(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def same(one: Result, other: Result) -> None:
    assert list(one.tables) == list(other.tables) == list(TABLES)
    for name in TABLES:
        pd.testing.assert_frame_equal(one.tables[name], other.tables[name], check_exact=True)


@pytest.mark.parametrize("format", ["parquet", "csv"])
def test_a_result_comes_back_as_it_was_written(tmp_path: Path, format: store.Format):
    result = make_result()
    assert write_tables(result, tmp_path / "out", format=format) == tmp_path / "out"
    back = load_result(tmp_path / "out")
    same(back, result)
    assert dict(back.provenance) == {**result.provenance, "schema_version": SCHEMA_VERSION}
    files = {f"{name}.{format}" for name in TABLES} | {"provenance.json", LISTING}
    assert set(contents(tmp_path / "out")) == files


@pytest.mark.parametrize("format", ["parquet", "csv"])
def test_a_result_without_rows_comes_back_with_its_dtypes(tmp_path: Path, format: store.Format):
    write_tables(Result({}, {}), tmp_path / "out", format=format)
    back = load_result(tmp_path / "out")
    for name, table in TABLES.items():
        assert [back.tables[name][c.name].dtype for c in table.columns] == [pandas_dtype(c) for c in table.columns]
        assert back.tables[name].empty


def test_csv_spells_instants_in_iso_8601_and_leaves_gaps_empty(tmp_path: Path):
    write_tables(make_result(), tmp_path / "out", format="csv")
    text = (tmp_path / "out" / "deployments.csv").read_text(encoding="utf-8")
    assert text.splitlines()[0].split(",")[4:6] == ['"created_at"', '"completed_at"']
    assert text.count('"2026-03-02T00:00:04.000004Z",,') == 1
    assert text.count('"2026-03-02T00:00:04.000004Z","2026-03-02T00:00:05.000005Z",') == 1


def test_parquet_is_readable_by_pandas_alone_and_carries_no_metadata(tmp_path: Path):
    result = make_result()
    write_tables(result, tmp_path / "out")
    path = tmp_path / "out" / "events.parquet"
    assert pd.read_parquet(path)["at"].tolist() == result.tables["events"]["at"].tolist()
    for word in (b"pandas", b"ARROW:schema"):
        assert word not in path.read_bytes()


@pytest.mark.parametrize("format", ["parquet", "csv"])
def test_the_same_tables_give_the_same_bytes_in_another_process_too(tmp_path: Path, format: store.Format):
    for name in ("one", "two"):
        write_tables(make_result(), tmp_path / name, format=format)
    code = (
        f"import sys; sys.path.insert(0, {str(Path(__file__).parent)!r}); from test_record_store import *;"
        f"write_tables(make_result(), {str(tmp_path / 'three')!r}, format={format!r})"
    )
    env = {**os.environ, "PYTHONHASHSEED": "12345", "TZ": "Asia/Tokyo", "LC_ALL": "C"}
    subprocess.run([sys.executable, "-c", code], check=True, env=env, cwd=tmp_path)
    assert contents(tmp_path / "one") == contents(tmp_path / "two") == contents(tmp_path / "three")


def test_an_existing_folder_is_refused_and_untouched(tmp_path: Path):
    out = tmp_path / "out"
    out.mkdir()
    (out / "mine.txt").write_text("mine", encoding="utf-8")
    with pytest.raises(FileExistsError, match="out exists; --force writes into it"):
        write_tables(make_result(), out)
    assert contents(tmp_path) == {"out/mine.txt": b"mine"}


def test_a_file_in_the_way_is_refused_even_with_force(tmp_path: Path):
    (tmp_path / "out").write_text("mine", encoding="utf-8")
    with pytest.raises(FileExistsError, match="out is a file"):
        write_tables(make_result(), tmp_path / "out", force=True)
    assert contents(tmp_path) == {"out": b"mine"}


def test_force_replaces_what_fargsim_wrote_and_keeps_the_rest(tmp_path: Path):
    out = tmp_path / "out"
    write_tables(make_result(), out, format="csv")
    (out / "mine.txt").write_text("mine", encoding="utf-8")
    (out / "notes").mkdir()
    (out / "notes" / "n.txt").write_text("n", encoding="utf-8")
    write_tables(Result({}, {"seed": 8}), out, force=True)
    files = {f"{name}.parquet" for name in TABLES} | {"provenance.json", LISTING, "mine.txt", "notes/n.txt"}
    assert set(contents(out)) == files
    assert load_result(out).provenance["seed"] == 8
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


class Stop(BaseException):
    """Stands for Ctrl-C: not an Exception."""


@pytest.mark.parametrize("error", [OSError("disk full"), Stop()])
def test_an_interrupted_write_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: BaseException):
    written: list[Path] = []

    def break_down(data: object, path: Path) -> None:
        if len(written) == 5:
            raise error
        written.append(path)
        path.write_bytes(b"half")

    monkeypatch.setattr(store, "_write_parquet", break_down)
    with pytest.raises(type(error)):
        write_tables(make_result(), tmp_path / "deep" / "er" / "out")
    assert len(written) == 5
    assert list(tmp_path.iterdir()) == []


def test_an_interrupted_forced_write_leaves_the_old_result(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    out = tmp_path / "out"
    write_tables(make_result(), out)
    before = contents(tmp_path)

    def break_down(data: object, path: Path) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(store, "_write_parquet", break_down)
    with pytest.raises(OSError, match="disk full"):
        write_tables(Result({}, {}), out, force=True)
    assert contents(tmp_path) == before


def test_a_folder_that_appears_meanwhile_is_not_overwritten(tmp_path: Path):
    out = tmp_path / "out"

    def write_slowly() -> None:
        with output_folder(out) as folder:
            (folder / "new.txt").write_text("new", encoding="utf-8")
            out.mkdir()
            (out / "mine.txt").write_text("mine", encoding="utf-8")

    with pytest.raises(FileExistsError):
        write_slowly()
    assert contents(tmp_path) == {"out/mine.txt": b"mine"}


def test_folders_inside_an_output_folder_are_replaced_too(tmp_path: Path):
    out = tmp_path / "out"
    with output_folder(out) as folder:
        (folder / "fargate" / "plots").mkdir(parents=True)
        (folder / "fargate" / "plots" / "cost.png").write_bytes(b"1")
        (folder / "ec2").mkdir()
        (folder / "ec2" / "a.csv").write_bytes(b"2")
    (out / "ec2" / "mine.txt").write_text("mine", encoding="utf-8")
    with output_folder(out, force=True) as folder:
        (folder / "report.html").write_bytes(b"3")
    assert set(contents(out)) == {LISTING, "report.html", "ec2/mine.txt"}
    assert not (out / "fargate").exists()


def test_a_listing_cannot_reach_outside_its_folder(tmp_path: Path):
    victim = tmp_path / "victim.txt"
    victim.write_text("mine", encoding="utf-8")
    out = tmp_path / "out"
    out.mkdir()
    (out / LISTING).write_text("../victim.txt\n", encoding="utf-8")
    with output_folder(out, force=True) as folder:
        (folder / "new.txt").write_text("new", encoding="utf-8")
    assert victim.read_text(encoding="utf-8") == "mine"
    assert set(contents(out)) == {LISTING, "new.txt"}


def test_a_folder_has_the_permissions_that_the_umask_grants(tmp_path: Path):
    write_tables(Result({}, {}), tmp_path / "out")
    plain = tmp_path / "plain"
    plain.mkdir()
    assert (tmp_path / "out").stat().st_mode == plain.stat().st_mode


def test_an_unknown_format_is_named(tmp_path: Path):
    with pytest.raises(ValueError, match="format 'xlsx': choose parquet or csv"):
        write_tables(Result({}, {}), tmp_path / "out", format="xlsx")  # type: ignore[arg-type]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("value", [float("nan"), {1, 2}, object()])
def test_a_provenance_that_is_not_json_is_refused(tmp_path: Path, value: object):
    with pytest.raises(ValueError, match="the provenance cannot be written as JSON"):
        write_tables(Result({}, {"seed": value}), tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


def test_reading_says_what_is_missing_or_damaged(tmp_path: Path):
    with pytest.raises(FileNotFoundError, match="nowhere holds no result"):
        load_result(tmp_path / "nowhere")
    out = write_tables(make_result(), tmp_path / "out")
    whole = (out / "events.parquet").read_bytes()
    (out / "events.parquet").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ValueError, match=r"events\.parquet is damaged"):
        load_result(out)
    (out / "events.parquet").write_bytes((out / "tasks.parquet").read_bytes())
    with pytest.raises(ValueError, match=r"events\.parquet is damaged: its columns are task_id"):
        load_result(out)
    (out / "events.parquet").unlink()
    with pytest.raises(FileNotFoundError, match="out lacks the table events"):
        load_result(out)
    (out / "provenance.json").write_text("{", encoding="utf-8")
    with pytest.raises(ValueError, match=r"provenance\.json is damaged"):
        load_result(out)


def test_a_damaged_csv_is_named(tmp_path: Path):
    out = write_tables(make_result(), tmp_path / "out", format="csv")
    text = (out / "latencies.csv").read_text(encoding="utf-8")
    (out / "latencies.csv").write_text(text.replace("9007199254740995", "many"), encoding="utf-8")
    with pytest.raises(ValueError, match=r"latencies\.csv is damaged"):
        load_result(out)


def test_another_schema_version_is_refused(tmp_path: Path):
    out = write_tables(make_result(), tmp_path / "out")
    provenance = json.loads((out / "provenance.json").read_text(encoding="utf-8"))
    provenance["schema_version"] = SCHEMA_VERSION + 1
    (out / "provenance.json").write_text(json.dumps(provenance), encoding="utf-8")
    with pytest.raises(ValueError, match=f"schema {SCHEMA_VERSION + 1}"):
        load_result(out)


def test_a_result_checks_its_tables():
    with pytest.raises(ValueError, match="no table is called hosts"):
        Result({"hosts": pd.DataFrame()}, {})
    with pytest.raises(ValueError, match="table latencies needs the column lower_us"):
        Result({"latencies": pd.DataFrame({"service": ["web"]})}, {})
    loose = pd.DataFrame({"requests": [1.0], "upper_us": [3], "lower_us": [2], "service": ["web"]})
    tidy = Result({"latencies": loose}, {}).tables["latencies"]
    assert tidy.columns.tolist() == list(TABLES["latencies"].names)
    assert tidy["requests"].dtype == np.int64


def test_a_result_cannot_be_changed_but_replaced():
    result = make_result()
    with pytest.raises(TypeError):
        result.tables["tasks"] = pd.DataFrame()  # type: ignore[index]
    with pytest.raises(AttributeError):
        result.tables = {}  # type: ignore[misc]
    billed = replace(result, costs=result.tables["costs"].iloc[:1])
    assert (len(billed.tables["costs"]), len(result.tables["costs"])) == (1, 2)
    assert billed.provenance == result.provenance


def test_a_result_travels_between_processes():
    result = make_result()
    back = pickle.loads(pickle.dumps(result))
    same(back, result)
    assert back.provenance == result.provenance
