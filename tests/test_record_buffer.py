"""Buffers: what goes in row by row comes out column by column, unchanged."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fargsim.record import buffer
from fargsim.record.buffer import Buffer, Recorder
from fargsim.record.column import Column, Table, flag, instant, real, text, whole
from fargsim.record.frames import pandas_dtype
from fargsim.record.schema import LATENCIES, REQUESTS, TABLES, TASK_STATES, TASKS

START_US = 1_772_409_600_000_000
"""2026-03-02T00:00:00Z."""

EVERY_KIND = Table(
    "every_kind",
    "Every dtype, with and without gaps.",
    ("at",),
    (
        instant("at", "A."),
        instant("later_at", "A.", nullable=True),
        whole("count", "", "A."),
        whole("code", "", "A.", nullable=True),
        real("share", "", "A."),
        real("mean", "", "A.", nullable=True),
        flag("cached", "A."),
        flag("healthy", "A.", nullable=True),
        text("name", "A."),
        text("reason", "A.", nullable=True),
    ),
)


def test_every_dtype_and_every_gap():
    rows = Buffer(EVERY_KIND, START_US)
    rows.append((0, None, 2**53 + 1, None, 0.5, None, True, None, "web", None))
    rows.append((1_500_000, 2_000_000, -1, 137, 1, 2.5, False, True, 'wéb, "2"\n', ""))
    made = rows.frame()
    assert [made[c.name].dtype for c in EVERY_KIND.columns] == [pandas_dtype(c) for c in EVERY_KIND.columns]
    assert made["at"].tolist() == [pd.Timestamp("2026-03-02T00:00:00Z"), pd.Timestamp("2026-03-02T00:00:01.5Z")]
    assert made["later_at"].tolist() == [pd.NaT, pd.Timestamp("2026-03-02T00:00:02Z")]
    assert made["count"].tolist() == [2**53 + 1, -1]
    assert made["code"].tolist() == [pd.NA, 137]
    assert made["share"].tolist() == [0.5, 1.0]
    assert np.isnan(made["mean"][0])
    assert made["mean"][1] == 2.5
    assert made["cached"].tolist() == [True, False]
    assert made["healthy"].tolist() == [pd.NA, True]
    assert made["name"].tolist() == ["web", 'wéb, "2"\n']
    assert made["reason"].isna().tolist() == [True, False]
    assert made["reason"][1] == ""


def test_blocks_grow_and_keep_the_order(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(buffer, "BLOCK_ROWS", 3)
    rows = Buffer(TASK_STATES)
    for k in range(10):
        rows.append((f"t{k}", k, "PENDING", "RUNNING"))
        assert len(rows) == k + 1
    assert rows.frame()["task_id"].tolist() == [f"t{k}" for k in range(10)]
    rows.append(("t10", 10, "RUNNING", "RUNNING"))  # reading does not close the buffer
    assert rows.frame()["task_id"].tolist() == [f"t{k}" for k in range(11)]


def test_a_fault_in_a_full_block_names_column_and_row(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(buffer, "BLOCK_ROWS", 2)
    rows = Buffer(TASK_STATES)
    rows.append(("t0", 0, "PENDING", "RUNNING"))
    with pytest.raises(ValueError, match="table task_states, column last_status: row 1 has no value"):
        rows.append(("t1", 1, None, "RUNNING"))


def test_a_row_of_another_width_is_refused_at_once():
    with pytest.raises(ValueError, match="table task_states: 3 values for 4 columns"):
        Buffer(TASK_STATES).append(("t0", 0, "PENDING"))


def test_add_takes_names_in_any_order_and_fills_the_gaps():
    rows = Buffer(EVERY_KIND)
    rows.add(name="web", at=1, share=0.5, cached=False, count=3)
    made = rows.frame()
    assert made[["at", "count", "name"]].iloc[0].tolist() == [pd.Timestamp(1, unit="us", tz="UTC"), 3, "web"]
    assert made.drop(columns=["at", "count", "name", "share", "cached"]).isna().all(axis=None)


def test_add_refuses_what_is_unknown_and_misses_what_is_required():
    rows = Buffer(TASK_STATES)
    with pytest.raises(ValueError, match="table task_states needs the column desired_status"):
        rows.add(task_id="a", at=0, last_status="PENDING")
    with pytest.raises(ValueError, match="table task_states has no column desired"):
        rows.add(task_id="a", at=0, last_status="PENDING", desired_status="RUNNING", desired="RUNNING")
    assert len(rows) == 0


def test_extend_takes_arrays_and_single_values_in_turn_with_rows():
    rows = Buffer(LATENCIES)
    rows.append(("api", 1, 2, 3))
    edges = np.array([100, 101, 103], dtype=np.int64)
    rows.extend({"service": "web", "lower_us": edges[:-1], "upper_us": edges[1:], "requests": [7, 8]})
    rows.extend({"service": "web", "lower_us": edges[:0], "upper_us": edges[:0], "requests": []})
    rows.append(("web", 103, 104, 1))
    assert len(rows) == 4
    assert rows.frame().to_numpy().tolist() == [
        ["api", 1, 2, 3],
        ["web", 100, 101, 7],
        ["web", 101, 103, 8],
        ["web", 103, 104, 1],
    ]


def test_extend_moves_instants_to_the_start_and_keeps_gaps():
    rows = Buffer(REQUESTS, START_US)
    rows.extend(
        {
            "service": "web",
            "target_group": "web",
            "request_id": np.arange(2),
            "arrived_at": np.array([0, 1_000_000]),
            "ended_at": pa.array([250_000, None], pa.int64()),
            "outcome": ["served", "in_flight"],
            "latency_ms": np.array([250.0, np.nan]),
        }
    )
    made = rows.frame()
    assert made["ended_at"].tolist() == [pd.Timestamp("2026-03-02T00:00:00.25Z"), pd.NaT]
    assert made["latency_ms"].isna().tolist() == [False, True]
    assert made["task_id"].isna().all()


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"service": "web", "lower_us": [1], "upper_us": [2]}, "needs the column requests"),
        ({"service": "web", "lower_us": [1], "upper_us": [2], "requests": [1], "n": 1}, "has no column n"),
        ({"service": "web", "lower_us": [1], "upper_us": [2, 3], "requests": [1]}, "different lengths"),
        ({"service": "web", "lower_us": 1, "upper_us": 2, "requests": 1}, "different lengths"),
        ({"service": 5, "lower_us": [1], "upper_us": [2], "requests": [1]}, "column service: "),
    ],
)
def test_extend_names_what_does_not_fit(columns: dict[str, object], message: str):
    with pytest.raises(ValueError, match=message):
        Buffer(LATENCIES).extend(columns)


def test_drain_gives_the_same_and_forgets_it():
    rows = Buffer(TASK_STATES, START_US)
    rows.append(("t0", 0, "PENDING", "RUNNING"))
    kept = rows.frame()
    pd.testing.assert_frame_equal(rows.drain(), kept)
    assert len(rows) == 0
    assert rows.frame().empty
    rows.append(("t1", 0, "PENDING", "RUNNING"))
    assert rows.frame()["task_id"].tolist() == ["t1"]


def test_the_recorder_has_a_buffer_for_every_table_and_gives_them_all():
    recorder = Recorder(START_US)
    for name in TABLES:
        assert getattr(recorder, name) is recorder[name]
        assert recorder[name].table is TABLES[name]
    recorder.task_states.append(("t0", 60_000_000, "PENDING", "RUNNING"))
    tables = recorder.tables()
    assert list(tables) == list(TABLES)
    assert tables["task_states"]["at"].tolist() == [pd.Timestamp("2026-03-02T00:01:00Z")]
    drained = recorder.drain()
    for name in TABLES:
        pd.testing.assert_frame_equal(drained[name], tables[name])
    assert not any(len(recorder[name]) for name in TABLES)


def test_two_recorders_share_nothing():
    one, other = Recorder(), Recorder()
    one.task_states.append(("t0", 0, "PENDING", "RUNNING"))
    assert len(other.task_states) == 0


def test_a_block_of_tasks_stores_a_repeated_word_once():
    rows = Buffer(TASKS)
    row = tuple(
        {"instant": 1, "int64": 1, "float64": 1.0, "bool": True, "string": "w" * 1000}[c.dtype] for c in TASKS.columns
    )
    for _ in range(2000):
        rows.append(row)
    rows.flush()
    held = sum(block.nbytes for blocks in rows._blocks for block in blocks)
    assert (
        held < 2000 * len(TASKS.columns) * 9
    )  # 8 bytes a number, 4 an index; the words alone would be 1000 bytes each


VALUES: dict[str, st.SearchStrategy[object]] = {
    "instant": st.integers(0, 10**15),
    "int64": st.integers(-(2**63), 2**63 - 1),
    "float64": st.floats(allow_nan=False),
    "bool": st.booleans(),
    "string": st.text(st.characters(codec="utf-8"), max_size=5),
}


def cell(column: Column) -> st.SearchStrategy[object]:
    values = VALUES[column.dtype]
    return st.none() | values if column.nullable else values


@given(st.lists(st.tuples(*map(cell, EVERY_KIND.columns)), max_size=12), st.integers(0, 12))
def test_any_rows_come_out_as_they_went_in(rows: list[tuple[object, ...]], cut: int):
    made = Buffer(EVERY_KIND)
    for k, row in enumerate(rows):
        made.append(row)
        if k == cut:
            made.flush()
    frame = made.frame()
    for i, column in enumerate(EVERY_KIND.columns):
        series = frame[column.name]
        back = [None if absent else value for value, absent in zip(series, series.isna(), strict=True)]
        if column.dtype == "instant":
            back = [None if at is None else at.value // 1000 for at in back]
        assert back == [row[i] for row in rows]
