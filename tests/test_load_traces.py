"""Traces: counts, rates and instants from CSV, as exports really are."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from load_examples import SCENARIO, changed, place

from fargsim.load import ScenarioError, load, load_notes, read_rate_trace, read_timestamps
from fargsim.model.packed import pack_instants, unpack_instants
from fargsim.model.traffic import TimestampsFile, TraceFile

MINUTE = 60_000_000
TRACES = Path(__file__).resolve().parents[2] / "shared" / "data" / "traces"
needs_traces = pytest.mark.skipif(not TRACES.is_dir(), reason="the optional data folder is not there")


def write(folder: Path, *rows: str, header: str = "timestamp,value", name: str = "t.csv") -> Path:
    path = folder / name
    path.write_text("\n".join((header, *rows)) + "\n", encoding="utf-8")
    return path


def issues_of(folder: Path, trace: TraceFile) -> list[tuple[int, int, str, str]]:
    with pytest.raises(ScenarioError) as caught:
        read_rate_trace(trace, folder)
    return [(i.line, i.col, i.dotted(), i.message) for i in caught.value.issues]


def test_sums_are_rates_over_their_period_and_gaps_are_zero(tmp_path: Path) -> None:
    write(
        tmp_path,
        "2014-04-10 00:04:00,60",
        "2014-04-10 00:05:00,30",
        "2014-04-10 00:06:00,6",
        "2014-04-10 00:09:00,12.0",
    )
    trace = read_rate_trace(TraceFile(file="t.csv"), tmp_path)
    assert trace.breaks_us.tolist() == [n * MINUTE for n in range(7)]
    assert trace.rate_per_s.tolist() == pytest.approx([1.0, 0.5, 0.1, 0.0, 0.0, 0.2])


def test_rows_of_one_period_are_added_up_in_any_order(tmp_path: Path) -> None:
    write(
        tmp_path,
        "2014-04-10 00:02:00,4",
        "2014-04-10 00:00:00,1",
        "2014-04-10 00:01:00,2",
        "2014-04-10 00:01:00,3",
        "2014-04-10 00:01:30,5",
    )
    trace = read_rate_trace(TraceFile(file="t.csv", period="1 min"), tmp_path)  # type: ignore[arg-type]
    assert (trace.rate_per_s * 60).tolist() == pytest.approx([1, 10, 4])


def test_a_start_cuts_off_what_began_before_it(tmp_path: Path) -> None:
    write(tmp_path, *(f"2014-04-10 00:0{n}:00,{n}" for n in range(6)))
    trace = read_rate_trace(TraceFile(file="t.csv", start="2014-04-10 00:01:30"), tmp_path)
    assert trace.breaks_us.tolist() == [MINUTE // 2 + n * MINUTE for n in range(5)]
    assert (trace.rate_per_s * 60).tolist() == pytest.approx([2, 3, 4, 5])


def test_rates_hold_until_the_next_row_and_end_after_the_last_period(tmp_path: Path) -> None:
    write(tmp_path, "0,5", "10,7", "40,1", header="s,v")
    trace = read_rate_trace(TraceFile(file="t.csv", time="s", value="v", kind="rate", start="20"), tmp_path)
    assert trace.breaks_us.tolist() == [0, 20_000_000, 30_000_000]
    assert trace.rate_per_s.tolist() == [7, 1]


def test_the_period_is_the_most_frequent_step(tmp_path: Path) -> None:
    write(tmp_path, *(f"{t},1" for t in (0, 300, 600, 660, 720, 1020)))
    trace = read_rate_trace(TraceFile(file="t.csv"), tmp_path)
    assert set(np.diff(trace.breaks_us).tolist()) == {300_000_000}
    assert trace.rate_per_s.sum() * 300 == pytest.approx(6)


@pytest.mark.parametrize(
    ("rows", "found"),
    [
        (["2014-04-10 00:00:00,-1"], (2, 21, "value", "'-1' is negative")),
        (["2014-04-10 00:00:00,nan"], (2, 21, "value", "'nan' is not a finite number")),
        (["2014-04-10 00:00:00,1_0"], (2, 21, "value", "'1_0' is not a finite number")),
        (["2014-04-10 00:00:00,"], (2, 21, "value", "'' is not a finite number")),
        (
            ["0,1", "yesterday,1"],
            (3, 1, "timestamp", "'yesterday' is neither an instant like 2026-03-02 10:00:00 nor seconds"),
        ),
        (
            ["2014-04-10,1", "2014-04-11T00:00:00Z,1"],
            (3, 1, "timestamp", "'2014-04-11T00:00:00Z' says a time zone, unlike the rows before it"),
        ),
        (["2014-04-10,1,3"], (2, 1, ".", "has 3 cells, the header has 2")),
        (["2014-04-10,1"], (1, 1, ".", "has a single instant: say the period in the scenario")),
        ([], (1, 1, ".", "has no rows")),
        (["0,1", "0.000001,1", "10,1"], (1, 1, ".", "spans 10000001 periods of 1 us, more than 1000000")),
    ],
)
def test_a_fault_of_a_row_is_told_at_its_line(
    rows: list[str], found: tuple[int, int, str, str], tmp_path: Path
) -> None:
    write(tmp_path, *rows)
    assert issues_of(tmp_path, TraceFile(file="t.csv")) == [found]


def test_all_rows_at_fault_are_told_up_to_a_number(tmp_path: Path) -> None:
    write(tmp_path, "0,1", "1,x", "2,2", "3,y")
    assert [i[0] for i in issues_of(tmp_path, TraceFile(file="t.csv"))] == [3, 5]
    write(tmp_path, *(f"{n},x" for n in range(1000)))
    found = issues_of(tmp_path, TraceFile(file="t.csv"))
    assert len(found) == 21
    assert (
        found[-1][3] == "no further rows were read: too many faults"
        or found[-2][3] == "no further rows were read: too many faults"
    )


def test_a_column_that_is_not_there_names_those_that_are(tmp_path: Path) -> None:
    write(tmp_path, "0,1", header="Timestamp,Value")
    assert [i[3] for i in issues_of(tmp_path, TraceFile(file="t.csv"))] == [
        "there is no column 'timestamp': did you mean 'Timestamp'? the file has Timestamp, Value",
        "there is no column 'value': did you mean 'Value'? the file has Timestamp, Value",
    ]


def test_a_rate_twice_at_one_instant_is_a_fault(tmp_path: Path) -> None:
    write(tmp_path, "0,1", "1,2", "1,3")
    [(line, _, _, message)] = issues_of(tmp_path, TraceFile(file="t.csv", kind="rate"))
    assert (line, message) == (4, "the same instant stands twice (first on line 3), which a rate cannot have")


def test_instants_are_ordered_and_cut_to_microseconds(tmp_path: Path) -> None:
    write(
        tmp_path,
        "2023-11-16 18:17:04.0319600",
        "2023-11-16 18:17:03.9799609",
        "2023-11-16 18:17:04.0319600",
        header="TIMESTAMP",
    )
    found = read_timestamps(TimestampsFile(file="t.csv", time="TIMESTAMP"), tmp_path)
    assert found.dtype == np.int64
    assert found.tolist() == [0, 52_000, 52_000]


def test_a_scenario_carries_its_trace(tmp_path: Path) -> None:
    write(tmp_path, "2014-04-10 00:00:00,60", "2014-04-10 00:01:00,30")
    scenario = load(place(tmp_path, changed("{constant: 100 /s}", "{trace: {file: t.csv}, scale: 2}")))
    rate = scenario.traffic[0].rate
    assert rate.trace is None
    assert rate.counts is not None
    assert (rate.counts.period, rate.counts.at, rate.counts.values, rate.scale) == (MINUTE, 0, (60, 30), 2)
    assert type(scenario).model_validate_json(scenario.model_dump_json(by_alias=True)) == scenario
    assert any("ends at 2 min, before the run does" in note for note in load_notes(scenario))


def test_a_rate_trace_becomes_steps_and_instants_travel_packed(tmp_path: Path) -> None:
    write(tmp_path, "0,5", "10,7")
    text = changed("{constant: 100 /s}", "{trace: {file: t.csv, kind: rate}}")
    scenario = load(place(tmp_path, text))
    steps = scenario.traffic[0].rate.steps
    assert steps is not None
    assert [(s.at, s.rate) for s in steps] == [(0, 5), (10_000_000, 7), (20_000_000, 0)]
    assert type(scenario).model_validate_json(scenario.model_dump_json(by_alias=True)) == scenario
    scenario = load(place(tmp_path, changed("{constant: 100 /s}", "{timestamps: {file: t.csv}}")))
    assert scenario.traffic[0].rate.instants == (0, 10_000_000)
    text_form = scenario.model_dump_json(by_alias=True)
    assert '"instants":"packed:' in text_form
    assert type(scenario).model_validate_json(text_form) == scenario


def test_faults_of_a_trace_come_with_its_own_name_and_lines(tmp_path: Path) -> None:
    write(tmp_path, "0,5", "10,x")
    with pytest.raises(ScenarioError) as caught:
        load(place(tmp_path, changed("{constant: 100 /s}", "{trace: {file: t.csv}}")))
    assert str(caught.value) == f"{tmp_path}/t.csv:3:4: value: 'x' is not a finite number"
    text = changed("{constant: 100 /s}", "{trace: {file: u.csv}}")
    with pytest.raises(
        ScenarioError, match=r"scenario\.yaml:\d+:\d+: traffic\[0\]\.rate\.trace\.file: 'u\.csv': there is no such file"
    ):
        load(place(tmp_path, text))


def test_counts_and_instants_may_be_written_by_hand(tmp_path: Path) -> None:
    scenario = load(
        place(tmp_path, changed("{constant: 100 /s}", "{counts: {period: 5 min, at: 1 h, values: [3, 0, 7]}}"))
    )
    assert scenario.traffic[0].rate.counts is not None
    assert scenario.traffic[0].rate.counts.at == 60 * MINUTE
    scenario = load(place(tmp_path, changed("{constant: 100 /s}", "{instants: [0 s, 1.5 s, 1 min]}")))
    assert scenario.traffic[0].rate.instants == (0, 1_500_000, MINUTE)


@given(st.lists(st.integers(0, 10**15), max_size=200).map(sorted))
def test_packing_loses_nothing(instants: list[int]) -> None:
    assert unpack_instants(pack_instants(instants)) == tuple(instants)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("eJw=", "must be a list of durations"),
        ("packed:???", "the packed instants are damaged"),
        ("packed:eJw=", "the packed instants are damaged"),
        ([3, 1], "the instants must not decrease"),
        ([-1, 1], "an instant lies before the start"),
        (["1 s", "1"], "'1' is not a duration"),
        (7, "must be a list of durations"),
    ],
)
def test_instants_that_are_none(value: object, message: str) -> None:
    with pytest.raises(ValueError, match=r".") as caught:
        unpack_instants(value)
    assert str(caught.value).startswith(message)


@needs_traces
def test_the_elb_trace_keeps_every_request() -> None:
    trace = read_rate_trace(TraceFile(file="nab_elb_request_count_8c0756.csv"), TRACES)
    assert round(float(trace.rate_per_s.sum()) * 300) == 249_327
    # 8 periods without requests are missing from the 4,032 rows
    assert (trace.rate_per_s.size, int((trace.rate_per_s == 0).sum())) == (4040, 8)


@needs_traces
def test_the_llm_trace_keeps_its_span() -> None:
    found = read_timestamps(TimestampsFile(file="azure_llm_2023_code.csv", time="TIMESTAMP"), TRACES)
    assert found.size == 8819
    assert int(found[-1] - found[0]) == 3_435_948_056


@needs_traces
def test_a_shared_trace_needs_allow_outside(tmp_path: Path) -> None:
    file = TRACES / "nab_elb_request_count_8c0756.csv"
    path = place(tmp_path, changed("{constant: 100 /s}", f"{{trace: {{file: '{file}'}}}}"))
    with pytest.raises(ScenarioError, match="lies outside the scenario's folder"):
        load(path)
    counts = load(path, allow_outside=True).traffic[0].rate.counts
    assert counts is not None
    assert sum(counts.values) == 249_327


def test_the_example_has_no_trace() -> None:
    assert "trace" not in SCENARIO
