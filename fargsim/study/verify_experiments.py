"""The published experiments, simulated and read like the measured ones.

Sources: https://www.vladionescu.me/posts/scaling-containers-in-aws/ (2020) and
https://www.vladionescu.me/posts/scaling-containers-on-aws-in-2022/ (2022), with their code and data at
github.com/Vlaaaaaaad/blog-scaling-containers-in-aws and github.com/Vlaaaaaaad/blog-scaling-containers-on-aws-in-2022.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from fargsim.report.verify_facts import Basis, Curve, Experiment, Figure, Panel, Role
from fargsim.study.verify_calibration import LEVELS, REPLICATIONS
from fargsim.study.verify_series import Measured, Series, run

SERVICES_2020 = "fargate-2020-services"
SINGLE_2020 = "fargate-2020-single"
FARGATE_2022 = "fargate-2022"

LEVELS_2020 = (500, 1000, 2500, 3000)
LAST_2022 = 3490
"""Ten short of all: the measured curve creeps over its last two percent, and nothing published says why."""
SINGLE_PER_MINUTE = 23
READING_S = 3.0
"""Error of the reading of the digitised picture."""

Tell = Callable[[str], None]


def figure(
    what: str,
    unit: str,
    published: float | None,
    times: tuple[Sequence[float], Sequence[float]],
    basis: Basis,
    allowed: float | None,
) -> Figure:
    """Return a figure from its replications, calibrated and (as far as they were run) uncalibrated."""
    simulated, uncalibrated = times
    bare = float(np.mean(uncalibrated)) if uncalibrated else None
    mean, low, high = float(np.mean(simulated)), min(simulated), max(simulated)
    return Figure(what, unit, published, mean, basis, allowed, low, high, bare)


def curve(label: str, role: Role, series: Series, *, every: float = 1.0) -> Curve:
    """Return a line of a picture; a series of single events is thinned to a point for every step of its x."""
    x, y = series.x, series.y
    if every > 0 and len(x) > 2:
        keep = np.append(np.diff(np.floor(x / every)) > 0, True)
        x, y = x[keep], y[keep]
    return Curve(label, role, tuple(x.tolist()), tuple(y.tolist()))


def fargate_2022(folder: Path, data: Measured, tell: Tell) -> Experiment:
    """ECS on Fargate in April 2022: 5 services of 700 tasks."""
    runs: dict[str, list[Series]] = {}
    for variant in ("calibrated", "uncalibrated"):
        tell(f"2022, ECS on Fargate, {variant}")
        runs[variant] = [run(folder, FARGATE_2022, variant, n).started() for n in range(REPLICATIONS)]
    fitted, bare = runs["calibrated"], runs["uncalibrated"]
    figures = []
    for level, at_s in data.levels_2022.items():
        basis: Basis = "calibrated" if level in LEVELS else "predicted"
        allowed: float | None = READING_S if level in LEVELS else 0.1 * at_s
        if level == LAST_2022:
            basis, allowed = "distance only", None
        times = ([s.reaches(level) for s in fitted], [s.reaches(level) for s in bare])
        figures.append(figure(f"{level:,} applications started", "s", at_s, times, basis, allowed))
    published = data.fargate_2022.slope(75, 225)
    # without calibration all have started before 225 s: its rate is not looked at
    rates = [_rate(s, 75, 225) for s in fitted]
    figures.append(figure("rate from 75 to 225 s", "/s", published, (rates, []), "predicted", 0.1 * published))
    return Experiment(
        FARGATE_2022,
        "2022: ECS on Fargate, 5 services of 700 tasks",
        (
            "us-east-1, Fargate Spot, 1 vCPU and 2 GB; launch bucket of 100 and 20 a second, 500 launches a minute and service.",
            "The clock starts when the services are asked for and stops when an application starts.",
            f"Mean of {REPLICATIONS} replications; the published times are read off a picture, to about {READING_S:g} s and 20 containers.",
        ),
        tuple(figures),
        (
            Panel(
                "Applications that have started",
                "seconds since the services were asked for",
                "applications",
                (
                    curve("published (digitised)", "published", data.fargate_2022, every=0),
                    curve("simulated: calibrated to 100 and 500, predicted above", "calibrated", fitted[0]),
                    curve("simulated, uncalibrated", "uncalibrated", bare[0]),
                ),
            ),
        ),
        notes=(
            "The levels 100 and 500 set scale and spread of the latency; the rate comes from 2020 and the quota of 20 a second. The levels "
            "from 1,000 to 3,400 follow from both.",
            "Which of several services gets the next launch of the account is not published. Here it is the one that looks first, so that "
            "one service after another uses up its 500 a minute; the sum that was measured hardly depends on it.",
            "The last ten of 3,500: the measured curve takes far longer than the simulated one. A lognormal latency that fits the start of "
            "the curve has no tail that long; tasks that failed to start and were started again would have one, but nothing is published "
            "about them, so nothing was added.",
        ),
    )


def _rate(series: Series, first_s: float, last_s: float) -> float:
    """Return the rate of a series of single events, looked at once a second, between two instants."""
    return _each_second(series, first_s, last_s).slope(first_s, last_s)


def _each_second(series: Series, first_s: float, last_s: float) -> Series:
    at = np.arange(first_s, last_s + 1)
    return Series(at, np.searchsorted(series.x, at, side="right").astype(np.float64))


def services_2020(folder: Path, data: Measured, tell: Tell) -> Experiment:
    """ECS on Fargate in April 2020: 4 services of 1,000, 1,000, 1,000 and 500 tasks."""
    tell("2020, several services, calibrated")
    fitted = [run(folder, SERVICES_2020, "calibrated", n).running_by_minute() for n in range(3)]
    tell("2020, several services, uncalibrated")
    bare = [run(folder, SERVICES_2020, "uncalibrated").running_by_minute()]
    published = data.services_2020
    figures = []
    for level in LEVELS_2020:
        at = published.reaches(level)
        times = ([s.reaches(level) for s in fitted], [s.reaches(level) for s in bare])
        figures.append(figure(f"{level:,} running", "min", at, times, "calibrated", max(1.0, 0.05 * at)))
    last = published.x[-1]
    counts = [float(s.y[int(last)]) for s in fitted], [float(s.y[int(last)]) for s in bare]
    rates = [s.slope(0, last) for s in fitted], [s.slope(0, last) for s in bare]
    there, rate = float(published.y[-1]), published.slope(0, last)
    figures += [
        figure(f"running in minute {last:.0f}", "containers", there, counts, "calibrated", 0.08 * there),
        figure(f"rate from minute 0 to {last:.0f}", "/min", rate, rates, "calibrated", 0.08 * rate),
    ]
    return Experiment(
        SERVICES_2020,
        "2020: ECS on Fargate, 4 services, 3,500 tasks",
        (
            "eu-west-1, Fargate Spot, 1 vCPU and 2 GB behind target groups; launch bucket of 10 and 1 a second.",
            f"Each service may launch {SINGLE_PER_MINUTE} a minute, what one alone reached; four together may ask for more than 60.",
            "Container Insights' RunningTaskCount, maximum of each minute; minute 0 is the first with a running container, in both.",
            "Mean of 3 replications; times are read off the line between two minutes.",
        ),
        tuple(figures),
        (
            Panel(
                "Running containers, maximum of each minute",
                "minutes since the first container ran",
                "containers",
                (
                    curve("published", "published", published, every=0),
                    curve("simulated, launch rate calibrated to this slope", "calibrated", fitted[0], every=0),
                    curve("simulated, uncalibrated", "uncalibrated", bare[0], every=0),
                ),
            ),
        ),
        notes=(
            "One number, the slope of this very series, sets the share of the nominal launch rate. That the curve is a straight line "
            "all the way up, with four services that end at different times, is not calibrated.",
        ),
    )


def single_2020(folder: Path, tell: Tell) -> Experiment:
    """ECS on Fargate in April 2020: one service."""
    tell("2020, one service")
    fitted = run(folder, SINGLE_2020, "calibrated").running_by_minute()
    bare = run(folder, SINGLE_2020, "uncalibrated").running_by_minute()
    line = Series(np.arange(0.0, 41), SINGLE_PER_MINUTE * np.arange(0.0, 41))
    return Experiment(
        SINGLE_2020,
        "2020: ECS on Fargate, one service",
        (
            f"The author's {SINGLE_PER_MINUTE} containers a minute are an input of the scenario, so the run cannot confirm them.",
        ),
        (
            figure(
                "rate from minute 1 to 40",
                "/min",
                SINGLE_PER_MINUTE,
                ([fitted.slope(1, 40)], [bare.slope(1, 40)]),
                "by construction",
                None,
            ),
        ),
        (
            Panel(
                "Running containers, maximum of each minute",
                "minutes since the first container ran",
                "containers",
                (
                    curve(f"{SINGLE_PER_MINUTE} a minute (published rate, no series)", "published", line, every=0),
                    curve("simulated, by construction", "calibrated", fitted, every=0),
                    curve("simulated, uncalibrated, by construction", "uncalibrated", bare, every=0),
                ),
            ),
        ),
    )
