"""Plots over time: traffic and running tasks, latency percentiles, CPU utilisation."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import LogLocator, MaxNLocator, NullLocator

from fargsim.record.result import Result
from fargsim.report.facts import LATENCY_PROMISES, Facts, facts_of
from fargsim.report.style import (
    BLUE,
    GREEN,
    MUTED,
    ORANGE,
    SERIES,
    SKY,
    VERMILLION,
    Floats,
    Picture,
    no_data,
    picture,
    seconds,
    settings,
    time_axis,
    titled,
)
from fargsim.report.summary import ERRORS

CALM_PERIODS = 96
"""Running medians over a run have about this many different values: every 15 minutes of a day."""
MOST_SERVICES = 6
"""Panels, or lines, for services; of more, those with the most requests are shown and the title says so."""


def plot_traffic(result: Result) -> Picture:
    """Draw requests and errors per second above running and desired tasks.

    Both panels show all services, a line each. A run without a service shows its clusters' tasks by state instead.

    Parameters
    ----------
    result
        One run; the tables ``services`` and ``clusters`` are read.
    """
    facts = facts_of(result)
    services = result.tables["services"]
    with settings():
        if services["requests_arrived"].sum() == 0:
            made = picture(9, 3.4, titled("Tasks", facts))
            (panel,) = made.subplots(1, 1, squeeze=False)[0]
            _tasks(panel, result, facts)
        else:
            made = picture(9, 5.2, titled("Traffic and running tasks", facts))
            upper, panel = made.subplots(2, 1, sharex=True, height_ratios=[3, 2])
            _requests(upper, services, facts)
            _tasks(panel, result, facts)
        time_axis(panel, facts, 0.0, facts.duration_s)
    return made


def plot_latency(result: Result) -> Picture:
    """Draw the median, the 95th and the 99th percentile of latency per period, one panel a service, with the
    promised limits.

    The scale is logarithmic where the percentiles span more than a factor of twenty. A period in which nothing was
    served is a gap.

    Parameters
    ----------
    result
        One run; the table ``services`` is read.
    """
    return _panels(result, "Latency percentiles", "latency_p99_ms", "No request was served.", _latency)


def plot_cpu(result: Result) -> Picture:
    """Draw CPU utilisation per period, one panel a service: the mean over its tasks and the band from lowest to
    highest.

    Parameters
    ----------
    result
        One run; the table ``services`` is read, and ``scaling`` for the target that CPU was held to.
    """

    def panel(axes: Axes, rows: pd.DataFrame, facts: Facts) -> None:
        _cpu(axes, rows, facts, result.tables["scaling"])

    return _panels(result, "CPU utilisation of services", "cpu_utilization", "No service had a running task.", panel)


def _panels(
    result: Result, what: str, column: str, nothing: str, draw: Callable[[Axes, pd.DataFrame, Facts], None]
) -> Picture:
    facts = facts_of(result)
    services = result.tables["services"]
    known = services[services[column].notna()]
    at_work = known[known[column] > 0]  # a service that never does anything would be an empty panel
    names = _busiest(known if at_work.empty else at_work)
    shown = names[:MOST_SERVICES]
    note = f" (the {len(shown)} busiest of {len(names)} services)" if len(names) > len(shown) else ""
    with settings():
        made = picture(9, 1.0 + 2.6 * max(len(shown), 1), titled(what + note, facts))
        panels = made.subplots(max(len(shown), 1), 1, sharex=True, squeeze=False)[:, 0]
        if not shown:
            no_data(panels[0], nothing)
            return made
        for axes, (cluster, service) in zip(panels, shown, strict=True):
            rows = services[(services["cluster"] == cluster) & (services["service"] == service)]
            draw(axes, rows.sort_values("period_start_at", kind="stable"), facts)
            if len(shown) > 1:
                axes.set_title(service)
        panels[0].legend(loc="lower right", bbox_to_anchor=(1, 1), ncols=6, borderaxespad=0.2)
        time_axis(panels[-1], facts, 0.0, facts.duration_s)
    return made


def _busiest(services: pd.DataFrame) -> list[tuple[str, str]]:
    """Return (cluster, service), the one with the most requests first, ties by name."""
    totals = services.groupby(["cluster", "service"], sort=True)["requests_arrived"].sum()
    return [(str(c), str(s)) for c, s in totals.sort_values(ascending=False, kind="stable").index]


def _steps(rows: pd.DataFrame, facts: Facts, *columns: str) -> list[Floats]:
    """Return edges in seconds and columns as steps: each period's value from its start to its end."""
    starts = seconds(rows["period_start_at"], facts)
    lengths = rows["period_s"].to_numpy(dtype=np.float64)
    made = [np.append(starts, starts[-1] + lengths[-1])]
    for column in columns:
        values = rows[column].to_numpy(dtype=np.float64, na_value=np.nan)
        made.append(np.append(values, values[-1]))
    return made


def _by_period(services: pd.DataFrame, *columns: str) -> pd.DataFrame:
    return services.groupby(["period_start_at", "period_s"], as_index=False)[list(columns)].sum()


def _requests(axes: Axes, services: pd.DataFrame, facts: Facts) -> None:
    names = _busiest(services[services["requests_arrived"] > 0])
    shown = names[:MOST_SERVICES]
    for (cluster, service), colour in zip(shown, SERIES, strict=False):
        rows = services[(services["cluster"] == cluster) & (services["service"] == service)]
        at, arrived, period = _steps(
            rows.sort_values("period_start_at", kind="stable"), facts, "requests_arrived", "period_s"
        )
        label = "requests" if len(shown) == 1 else service
        axes.step(at, arrived / period, where="post", color=colour, label=label)
        if len(shown) == 1:
            axes.fill_between(at, arrived / period, step="post", color=colour, alpha=0.12, linewidth=0)
    every = _by_period(services, *ERRORS)
    every["errors"] = every[list(ERRORS)].sum(axis=1)
    at, errors, period = _steps(every, facts, "errors", "period_s")
    if errors.any():
        axes.fill_between(at, errors / period, step="post", color=VERMILLION, linewidth=0.6, label="errors")
    more = f", {len(shown)} busiest of {len(names)} services" if len(names) > len(shown) else ""
    axes.set_ylabel(f"requests per second{more}")
    axes.set_ylim(bottom=0)
    axes.legend(loc="lower right", bbox_to_anchor=(1, 1), ncols=7, borderaxespad=0.2)


def _tasks(axes: Axes, result: Result, facts: Facts) -> None:
    services, clusters = result.tables["services"], result.tables["clusters"]
    if len(services):
        every = _by_period(services, "running", "desired")
        at, running, desired = _steps(every, facts, "running", "desired")
        # A count stands for the end of its period, so its step begins there.
        later = np.append(at[1:], at[-1])
        axes.step(later, running, where="post", color=GREEN, label="running")
        axes.fill_between(later, running, step="post", color=GREEN, alpha=0.12, linewidth=0)
        axes.step(later, desired, where="post", color=MUTED, linestyle=(0, (3, 2)), linewidth=1.1, label="desired")
    elif len(clusters):
        states = ("running_tasks", "pending_tasks", "provisioning_tasks")
        every = clusters.groupby(["period_start_at", "period_s"], as_index=False)[list(states)].sum()
        at, *counts = _steps(every, facts, *states)
        later = np.append(at[1:], at[-1])
        labels, colours = ("running", "pending", "provisioning"), (GREEN, ORANGE, SKY)
        floor = np.zeros_like(later)
        for count, label, colour in zip(counts, labels, colours, strict=True):
            axes.fill_between(later, floor, floor + count, step="post", color=colour, linewidth=0, label=label)
            floor = floor + count
    else:
        no_data(axes, "No period was recorded.")
        return
    axes.set_ylabel("tasks")
    axes.set_ylim(bottom=0)
    axes.yaxis.set_major_locator(MaxNLocator(integer=True))
    axes.legend(loc="lower right", bbox_to_anchor=(1, 1), ncols=3, borderaxespad=0.2)


def _latency(axes: Axes, rows: pd.DataFrame, facts: Facts) -> None:
    columns = ("latency_p99_ms", "latency_p95_ms", "latency_p50_ms")
    at, *lines = _steps(rows, facts, *columns)
    # Percentiles of single minutes are noisy: over a long run they are shown faintly, with a running median on top.
    width = -(-len(rows) // CALM_PERIODS) if len(rows) > 4 * CALM_PERIODS else 1
    for column, values, colour in zip(columns, lines, (VERMILLION, ORANGE, BLUE), strict=True):
        if width > 1:
            axes.step(at, values, where="post", color=colour, linewidth=0.7, alpha=0.45)
        calm = pd.Series(values).rolling(width, center=True, min_periods=1).median().where(np.isfinite(values))
        axes.step(at, calm.to_numpy(), where="post", color=colour, linewidth=1.4, label=column[8:11])
    if width > 1:
        minutes = width * float(rows["period_s"].iloc[0]) / 60
        axes.plot([], [], color="none", label=f"(bold: running median of {minutes:g} min)")
    limits = [(key, facts.slo[key] / 1000) for key in LATENCY_PROMISES if key in facts.slo]
    for key, limit in limits:
        _limit(axes, limit, f"SLO: {key.removeprefix('latency_')} of the run at most {limit:,.6g} ms")
    every = np.concatenate([*lines, np.array([limit for _, limit in limits])])
    known = every[np.isfinite(every) & (every > 0)]
    if len(known) and known.max() > 20 * known.min():
        axes.set_yscale("log")
        axes.set_ylim(known.min() / 1.3, known.max() * 1.5)
        axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.yaxis.set_minor_locator(NullLocator())
        axes.yaxis.set_major_formatter(lambda value, _: f"{value:,g}")
    else:
        axes.set_ylim(0, known.max() * 1.08 if len(known) else 1)
    axes.set_ylabel("latency (ms)")


def _cpu(axes: Axes, rows: pd.DataFrame, facts: Facts, scaling: pd.DataFrame) -> None:
    at, mean, low, high = _steps(rows, facts, "cpu_utilization", "cpu_utilization_min", "cpu_utilization_max")
    axes.fill_between(at, low, high, step="post", color=BLUE, alpha=0.18, linewidth=0, label="lowest to highest task")
    axes.step(at, mean, where="post", color=BLUE, label="mean")
    resource = f"service/{rows['cluster'].iloc[0]}/{rows['service'].iloc[0]}"
    held = scaling[(scaling["resource_id"] == resource) & scaling["metric_name"].str.contains("CPU", na=False)]
    for target in sorted(set(held["target_value"].dropna())):
        _limit(axes, target, f"scaling target {target:g} %")
    # Tasks on EC2 may burst above what they reserve.
    axes.set_ylim(0, max(100.0, float(np.nanmax(np.append(high, mean))) * 1.05))
    axes.set_ylabel("CPU used of reserved (%)")


def _limit(axes: Axes, value: float, words: str) -> None:
    """Draw a dashed line across the panel and say above it what it stands for."""
    axes.axhline(value, color=MUTED, linestyle=(0, (4, 2)), linewidth=1)
    at = ("axes fraction", "data")
    axes.annotate(words, (0.004, value), (0, 2), xycoords=at, textcoords="offset points", color=MUTED, fontsize=8)
