"""One declaration: what it says is what the page says and what a DataFrame holds."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from fargsim.record.column import Column, Table, flag, text
from fargsim.record.frames import empty, frame, pandas_dtype, to_arrow
from fargsim.record.page import tables_page
from fargsim.record.schema import DEPLOYMENTS, LATENCIES, SERVICES, TABLES, TASK_STATES

PAGE = Path(__file__).resolve().parents[1] / "docs" / "tables.md"


def test_the_page_is_current():
    assert PAGE.read_text(encoding="utf-8") == tables_page(), "run: python -m fargsim.record.page > docs/tables.md"


def test_the_page_names_every_column_of_every_table():
    page = tables_page()
    for table in TABLES.values():
        section = page.split(f"\n## {table.name}\n")[1].split("\n## ")[0]
        documented = [line.split("`")[1] for line in section.splitlines() if line.startswith("| `")]
        assert documented == list(table.names)


@pytest.mark.parametrize("table", TABLES.values(), ids=TABLES)
def test_every_column_says_what_it_means_in_a_sentence(table: Table):
    for column in table.columns:
        assert column.meaning.endswith("."), column.name
        assert "|" not in column.meaning + column.unit


@pytest.mark.parametrize("table", TABLES.values(), ids=TABLES)
def test_quantities_carry_their_unit(table: Table):
    for column in table.columns:
        suffixes = {"_ms": "ms", "_us": "us", "_s": "s", "_mib": "MiB", "_gib": "GiB", "_units": "CPU units"}
        for suffix, unit in suffixes.items():
            if column.name.endswith(suffix) and not column.name.endswith("core_s"):
                assert column.unit == unit, column.name


@pytest.mark.parametrize("table", TABLES.values(), ids=TABLES)
def test_an_empty_table_has_the_declared_dtypes(table: Table):
    made = empty(table)
    assert list(made.columns) == list(table.names)
    assert [made[c.name].dtype for c in table.columns] == [pandas_dtype(c) for c in table.columns]
    assert len(made) == 0


def test_an_instant_must_be_named_as_one():
    with pytest.raises(ValueError, match="column started: instants"):
        Column("started", "instant", "UTC", "A start.")
    with pytest.raises(ValueError, match="column started_at: instants"):
        Column("started_at", "int64", "us", "A start.")


def test_a_table_refuses_a_column_twice_and_a_key_that_is_not_there():
    with pytest.raises(ValueError, match="declared twice"):
        Table("t", "T.", ("a",), (text("a", "A."), text("a", "A.")))
    with pytest.raises(ValueError, match=r"key columns \['b'\]"):
        Table("t", "T.", ("b",), (text("a", "A."),))


def states(**changes: object) -> dict[str, object]:
    columns: dict[str, object] = {
        "task_id": ["a", "b"],
        "at": [0, 1_500_000],
        "last_status": ["PENDING", "RUNNING"],
        "desired_status": ["RUNNING", "RUNNING"],
    }
    return {**columns, **changes}


def test_instants_are_microseconds_or_datetimes():
    by_number = frame(TASK_STATES, states())
    by_datetime = frame(TASK_STATES, states(at=by_number["at"]))
    elsewhere = frame(TASK_STATES, states(at=by_number["at"].dt.tz_convert("Europe/Berlin")))
    assert by_number["at"].tolist() == [pd.Timestamp(0, tz="UTC"), pd.Timestamp("1970-01-01T00:00:01.5Z")]
    pd.testing.assert_frame_equal(by_number, by_datetime)
    pd.testing.assert_frame_equal(by_number, elsewhere)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"att": [1, 2]}, "table task_states has no column att"),
        ({"at": [1, 2, 3]}, "columns of different lengths"),
        ({"at": [1, None]}, "column at: row 1 has no value"),
        ({"at": ["yesterday", "today"]}, "column at: "),
        ({"task_id": ["a", 7]}, "column task_id: "),
    ],
)
def test_a_column_that_does_not_fit_is_named(changes: dict[str, object], message: str):
    with pytest.raises(ValueError, match=message):
        frame(TASK_STATES, states(**changes))


def test_a_missing_required_column_is_named():
    columns = states()
    del columns["at"]
    with pytest.raises(ValueError, match="table task_states needs the column at"):
        frame(TASK_STATES, columns)


@pytest.mark.parametrize("requests", [[2.5], np.array([2.5]), [np.float64(2.5)], pd.Series([2.5])])
def test_a_whole_number_is_not_rounded_silently(requests: object):
    columns = {"service": ["web"], "lower_us": [1], "upper_us": [2], "requests": requests}
    with pytest.raises(ValueError, match=r"column requests: .*2.5"):
        frame(LATENCIES, columns)


@pytest.mark.parametrize("at", [[1.5, 2.5], np.array([1.5, 2.5])])
def test_an_instant_is_not_rounded_silently(at: object):
    with pytest.raises(ValueError, match=r"column at: .*1.5"):
        frame(TASK_STATES, states(at=at))


@pytest.mark.parametrize("at", [np.array([0, 1_500_000]), [np.int64(0), 1_500_000], np.array([0, 1_500_000], "M8[us]")])
def test_an_instant_may_come_from_numpy(at: object):
    assert frame(TASK_STATES, states(at=at)).equals(frame(TASK_STATES, states()))


def test_a_truth_value_is_not_a_number():
    flags = Table("t", "T.", ("cached",), (flag("cached", "A."),))
    assert frame(flags, {"cached": np.array([True, False])})["cached"].tolist() == [True, False]
    for numbers in ([1.0, 0.0], np.array([1.0, 0.0]), np.array([1, 2])):
        with pytest.raises(ValueError, match="column cached: "):
            frame(flags, {"cached": numbers})


def test_nullable_columns_may_be_left_out():
    made = frame(
        DEPLOYMENTS,
        {
            "deployment_id": ["ecs-svc/1"],
            "cluster": ["default"],
            "service": ["web"],
            "task_definition": ["web:1"],
            "created_at": [0],
            "status": ["PRIMARY"],
            "rollout_state": ["IN_PROGRESS"],
            "desired": [2],
            "failed_tasks": [0],
        },
    )
    assert made["completed_at"].isna().all()
    assert made["rollout_reason"].isna().all()
    assert to_arrow(DEPLOYMENTS, made).column("completed_at").null_count == 1


def test_a_float_may_be_absent_only_where_declared():
    columns = {c.name: [0] if c.dtype in ("int64", "float64", "instant") else ["x"] for c in SERVICES.columns}
    columns["latency_p99_ms"] = [np.nan]
    assert np.isnan(frame(SERVICES, columns)["latency_p99_ms"][0])
    columns["running_mean"] = [np.nan]
    with pytest.raises(ValueError, match="column running_mean: row 0 has no value"):
        frame(SERVICES, columns)
