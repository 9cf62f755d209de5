"""Traces: CSV files of counts, rates or arrival instants.

Time stamps may lack a zone and be out of order; periods may be missing and rows may stand twice: exports of metrics are like that.
"""

from __future__ import annotations

import csv
import difflib
import io
import math
from array import array
from collections import Counter
from collections.abc import Sequence as Row
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path as FilePath
from typing import TYPE_CHECKING, Any

from fargsim.load.document import read_text, within
from fargsim.load.issue import LocatedIssue, Mark, ScenarioError, fault
from fargsim.model.packed import MOST
from fargsim.model.quantity import US_PER_S, format_duration
from fargsim.model.traffic import Counts, Step, TimestampsFile, TraceFile

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

LARGEST_BYTES = 300_000_000
MOST_PERIODS = 1_000_000
MOST_STEPS = 100_000
_SHOWN = 20
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True)
class RateTrace:
    """A rate that is constant between breaks and zero outside.

    Parameters
    ----------
    breaks_us
        Shape (n + 1,), int64, increasing: microseconds since the start of the run.
    rate_per_s
        Shape (n,), float64: requests per second from one break to the next.
    """

    breaks_us: npt.NDArray[np.int64]
    rate_per_s: npt.NDArray[np.float64]


def read_rate_trace(trace: TraceFile, base_dir: FilePath, allow_outside: bool = False) -> RateTrace:
    """Read a trace of counts or rates as a piecewise constant rate.

    Raises
    ------
    ScenarioError
        With every row at fault, or the file when it cannot be read or lies outside `base_dir`.
    """
    import numpy as np  # only runs with traces need it here, and it is slow to import

    resolved = read_counts_or_steps(trace, _path(trace.file, base_dir, allow_outside))
    if isinstance(resolved, Counts):
        edges = np.arange(len(resolved.values) + 1, dtype=np.int64) * resolved.period + resolved.at
        return RateTrace(edges, np.asarray(resolved.values, dtype=np.float64) * (US_PER_S / resolved.period))
    breaks = np.asarray([step.at for step in resolved], dtype=np.int64)
    return RateTrace(breaks, np.asarray([step.rate for step in resolved[:-1]], dtype=np.float64))


def read_timestamps(trace: TimestampsFile, base_dir: FilePath, allow_outside: bool = False) -> npt.NDArray[np.int64]:
    """Read a trace of arrival instants.

    Returns
    -------
    ndarray
        Shape (n,), int64, not decreasing: microseconds since the start of the run.

    Raises
    ------
    ScenarioError
        With every row at fault, or the file when it cannot be read or lies outside `base_dir`.
    """
    import numpy as np

    return np.asarray(read_instants(trace, _path(trace.file, base_dir, allow_outside)), dtype=np.int64)


def _path(name: str, base_dir: FilePath, allow_outside: bool) -> FilePath:
    try:
        return within(base_dir, name, allow_outside=allow_outside)
    except ValueError as error:
        raise fault(Mark(name, 1, 1), (), str(error)) from None


def read_counts_or_steps(trace: TraceFile, path: FilePath) -> Counts | tuple[Step, ...]:
    """Read a trace of sums as counts per period, one of rates as steps that end with zero.

    Sums: a period without a row has no requests, rows of the same period are added up, and periods that began before `start` are left
    out. Rates: each holds until the next row, the last for one period.

    Raises
    ------
    ScenarioError
        With every row at fault.
    """
    table = _Table(path, trace.time, trace.value)
    rows = sorted(zip(table.times_us, table.values, table.lines, strict=True))
    if not rows:
        raise fault(Mark(str(path), 1, 1), (), "has no rows")
    start = rows[0][0] if trace.start is None else table.instant(trace.start)
    if rows[-1][0] < start:
        raise fault(Mark(str(path), 1, 1), (), f"has no row from {trace.start} on")
    period = trace.period or _usual_step([t for t, _, _ in rows], path)
    if trace.kind == "sum":
        return _counts([(t - start, v) for t, v, _ in rows], period, path)
    return _steps([(t - start, v, line) for t, v, line in rows], period, path)


def _usual_step(times_us: list[int], path: FilePath) -> int:
    steps = Counter(b - a for a, b in pairwise(times_us) if b > a)
    if not steps:
        raise fault(Mark(str(path), 1, 1), (), "has a single instant: say the period in the scenario")
    most = max(steps.values())
    return min(step for step, times in steps.items() if times == most)


def _counts(rows: list[tuple[int, float]], period: int, path: FilePath) -> Counts:
    first = next(t for t, _ in rows if t >= 0)
    offset = first % period
    last = (rows[-1][0] - offset) // period
    if last >= MOST_PERIODS:
        message = f"spans {last + 1} periods of {format_duration(period)}, more than {MOST_PERIODS}"
        raise fault(Mark(str(path), 1, 1), (), message)
    values = [0.0] * (last + 1)
    for t, value in rows:
        if t >= offset:
            values[(t - offset) // period] += value
    return Counts.model_construct(period=period, at=offset, values=tuple(values))


def _steps(rows: list[tuple[int, float, int]], period: int, path: FilePath) -> tuple[Step, ...]:
    issues = []
    for (a, _, first), (b, _, line) in pairwise(rows):
        if a == b:
            message = f"the same instant stands twice (first on line {first}), which a rate cannot have"
            issues.append(LocatedIssue(str(path), line, 1, (), message))
    if issues:
        raise ScenarioError(issues[:_SHOWN])
    before = [row for row in rows if row[0] <= 0]
    kept = [(0, before[-1][1])] if before else []
    kept += [(t, value) for t, value, _ in rows if t > 0]
    if len(kept) > MOST_STEPS:
        raise fault(Mark(str(path), 1, 1), (), f"has {len(kept)} rates, more than {MOST_STEPS}: give sums per period")
    kept.append((max(rows[-1][0] + period, kept[-1][0] + 1), 0.0))
    return tuple(Step.model_construct(at=t, rate=value) for t, value in kept)


def read_instants(trace: TimestampsFile, path: FilePath) -> tuple[int, ...]:
    """Read a trace of arrival instants, in order, as microseconds since the start of the run.

    Digits beyond the microsecond are cut off; rows before `start` are left out.

    Raises
    ------
    ScenarioError
        With every row at fault.
    """
    table = _Table(path, trace.time, None)
    times = sorted(table.times_us)
    if not times:
        raise fault(Mark(str(path), 1, 1), (), "has no rows")
    start = times[0] if trace.start is None else table.instant(trace.start)
    return tuple(t - start for t in times if t >= start)


class _Table:
    """The columns of a trace: instants, values and the lines where they stand."""

    def __init__(self, path: FilePath, time: str, value: str | None) -> None:
        self.times_us = array("q")
        self.values = array("d")
        self.lines = array("q")
        self._file = str(path)
        self._issues: list[LocatedIssue] = []
        self._zoned: bool | None = None
        rows = csv.reader(io.StringIO(read_text(path, LARGEST_BYTES), newline=""))
        try:
            header = [name.strip() for name in next(rows, [])]
            columns = [self._column(header, time), None if value is None else self._column(header, value)]
            if not self._issues:
                self._read(rows, header, columns)
        except csv.Error as error:
            self._refuse(rows.line_num, 1, "", f"is not CSV: {error}")
        if self._issues:
            raise ScenarioError(self._issues)

    def _column(self, header: list[str], name: str) -> int:
        if name in header:
            return header.index(name)
        close = difflib.get_close_matches(name, header, n=1) or [h for h in header if h.lower() == name.lower()]
        hint = f"did you mean '{close[0]}'? " if close else ""
        self._refuse(1, 1, name, f"there is no column '{name}': {hint}the file has {', '.join(header[:20]) or 'none'}")
        return -1

    def _read(self, rows: Any, header: list[str], columns: list[int | None]) -> None:
        time, value = columns
        assert time is not None
        for row in rows:
            line = rows.line_num
            if not row:
                continue
            if len(row) != len(header):
                self._refuse(line, 1, "", f"has {len(row)} cells, the header has {len(header)}")
            else:
                try:
                    self.times_us.append(self._instant(row[time].strip()))
                except ValueError as error:
                    self._refuse(line, _column_of(row, time), header[time], str(error))
                if value is not None:
                    self._value(row, value, header[value], line)
                self.lines.append(line)
            if len(self._issues) >= _SHOWN:
                self._refuse(line, 1, "", "no further rows were read: too many faults")
                return
            if len(self.lines) > MOST:
                self._refuse(line, 1, "", f"has more than {MOST} rows")
                return

    def _value(self, row: Row[str], at: int, name: str, line: int) -> None:
        cell = row[at].strip()
        try:
            number = float(cell) if "_" not in cell else math.nan
        except ValueError:
            number = math.nan
        if not math.isfinite(number) or number < 0:
            what = "is negative" if number < 0 else "is not a finite number"
            self._refuse(line, _column_of(row, at), name, f"'{cell[:40]}' {what}")
        self.values.append(number)

    def instant(self, text: str) -> int:
        """Read an instant that the scenario names, in the trace's own terms."""
        try:
            return self._instant(text)
        except ValueError as error:
            raise fault(Mark(self._file, 1, 1), (), f"start: {error}") from None

    def _instant(self, text: str) -> int:
        """Return microseconds; the origin cancels out, since only differences are used."""
        try:
            moment = datetime.fromisoformat(text)
        except ValueError:
            try:
                seconds = float(text)
            except ValueError:
                seconds = math.nan
            if not math.isfinite(seconds) or abs(seconds) > 1e11 or "_" in text:
                raise ValueError(f"'{text[:40]}' is neither an instant like 2026-03-02 10:00:00 nor seconds") from None
            return round(seconds * US_PER_S)
        zoned = moment.tzinfo is not None
        if self._zoned is None:
            self._zoned = zoned
        if zoned != self._zoned:
            raise ValueError(f"'{text[:40]}' {'says' if zoned else 'lacks'} a time zone, unlike the rows before it")
        return ((moment if zoned else moment.replace(tzinfo=UTC)) - _EPOCH) // _MICROSECOND

    def _refuse(self, line: int, col: int, column: str, message: str) -> None:
        self._issues.append(LocatedIssue(self._file, max(line, 1), col, (column,) if column else (), message))


def _column_of(row: Row[str], at: int) -> int:
    return 1 + sum(len(cell) + 1 for cell in row[:at])
