"""Measured series, and the same readings taken of a simulated run.

The series of 2020 is Container Insights' RunningTaskCount, the maximum of each minute; that of 2022 counts applications that have started.
A simulated run is read in the same way, so that what the reading does to a curve is done to both.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from fargsim.load import load
from fargsim.model.scenario import Scenario
from fargsim.sim.build import simulate

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Series:
    """Numbers over time."""

    x: Floats
    y: Floats

    def reaches(self, level: float) -> float:
        """Return when the series first reaches a level, on the straight line between its points; infinite if it never does.

        >>> Series(np.array([0.0, 1.0, 2.0]), np.array([0.0, 10.0, 30.0])).reaches(15)
        1.25
        """
        above = np.flatnonzero(self.y >= level)
        if not len(above):
            return float("inf")
        n = int(above[0])
        if n == 0:
            return float(self.x[0])
        x0, x1, y0, y1 = self.x[n - 1], self.x[n], self.y[n - 1], self.y[n]
        return float(x0 + (level - y0) / (y1 - y0) * (x1 - x0))

    def slope(self, first: float, last: float) -> float:
        """Return the least-squares slope between two instants, both included.

        >>> round(Series(np.arange(5.0), 3 * np.arange(5.0)).slope(1, 3), 9)
        3.0
        """
        within = (self.x >= first) & (self.x <= last)
        return float(np.polyfit(self.x[within], self.y[within], 1)[0])


@dataclass(frozen=True, slots=True)
class Measured:
    """The measured series of a folder of published experiments.

    Attributes
    ----------
    services_2020
        2020, several ECS services on Fargate: minute, running tasks (maximum of the minute).
    fargate_2022
        2022, ECS on Fargate: seconds, applications that have started; digitised from a picture.
    levels_2022
        2022: containers, and when they were reached, s.
    """

    services_2020: Series
    fargate_2022: Series
    levels_2022: Mapping[int, float]


def measured(folder: Path) -> Measured:
    """Read the measured series of a folder.

    Raises
    ------
    FileNotFoundError
        If one of the files is not there.
    """
    levels = _columns(folder / "measured-2022-levels.csv")
    return Measured(
        _columns(folder / "measured-2020.csv"),
        _columns(folder / "measured-2022.csv"),
        {int(level): float(at_s) for level, at_s in zip(levels.x, levels.y, strict=True)},
    )


def _columns(path: Path) -> Series:
    with path.open(encoding="utf-8", newline="") as stream:
        rows = list(csv.reader(stream))[1:]
    return Series(*np.array(rows, dtype=np.float64).T)


# simulated runs, read in the same way


@dataclass(frozen=True, slots=True)
class Run:
    """The tables of one simulated run, and the scenario it came from."""

    scenario: Scenario
    tables: Mapping[str, Any]

    def seconds(self, table: str, column: str) -> Floats:
        """Return instants as sorted seconds from the start of the run, those that are missing left out."""
        # instants lose their zone on the way to plain numbers, which are microseconds since 1970
        instants = self.tables[table][column].dropna()
        microseconds = instants.dt.tz_convert(None).astype("datetime64[us]").astype("int64").to_numpy()
        return np.sort((microseconds - round(self.scenario.start.timestamp() * 1e6)) / 1e6)

    def started(self) -> Series:
        """Return how many tasks have started their application so far, over seconds."""
        x = self.seconds("tasks", "started_at")
        return Series(x, np.arange(1, len(x) + 1, dtype=np.float64))

    def running_by_minute(self) -> Series:
        """Return the largest number of running tasks in each minute; minute 0 is the first that has any."""
        up, down = self.seconds("tasks", "started_at"), self.seconds("tasks", "stopping_at")
        at = np.concatenate((up, down))
        order = np.argsort(at, kind="stable")
        at, count = at[order], np.cumsum(np.repeat((1, -1), (len(up), len(down)))[order])
        minutes = int(self.scenario.duration // 60_000_000)
        first = int(at[0] // 60)
        largest = []
        for minute in range(first, minutes):
            begin, end = np.searchsorted(at, (60 * minute, 60 * (minute + 1)))
            before = count[begin - 1] if begin else 0
            largest.append(max(before, *count[begin:end]) if end > begin else before)
        return Series(np.arange(len(largest), dtype=np.float64), np.array(largest, dtype=np.float64))


def run(
    folder: Path,
    name: str,
    variant: str,
    replication: int = 0,
    assumptions: Mapping[str, float] | None = None,
    duration_us: int | None = None,
) -> Run:
    """Run a variant of a scenario of the folder, with other assumptions or for another time if that is wanted."""
    scenario = load(folder / f"{name}.yaml", variant=variant)
    changed: dict[str, Any] = {}
    if assumptions:
        changed["assumptions"] = {**scenario.assumptions, **assumptions}
    if duration_us is not None:
        changed["duration"] = duration_us
    scenario = scenario.model_copy(update=changed)
    return Run(scenario, simulate(scenario, scenario.seed, replication).drain())
