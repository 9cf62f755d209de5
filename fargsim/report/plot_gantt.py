"""Task lives as coloured segments, one row a task."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.collections import PolyCollection
from matplotlib.patches import Patch

from fargsim.record.result import Result
from fargsim.report.facts import Facts, facts_of
from fargsim.report.style import INK, MUTED, Picture, no_data, picture, seconds, settings, time_axis, titled

# Start-up in yellow to orange, RUNNING in blue, the way down in purple to grey: hue and lightness both change at each step.
STATES: dict[str, str] = {
    "PROVISIONING": "#fbe6a2",
    "PENDING": "#f3b74a",
    "ACTIVATING": "#d9772b",
    "RUNNING": "#3d8ec9",
    "DEACTIVATING": "#4b2672",
    "STOPPING": "#a06cc4",
    "DEPROVISIONING": "#c3c8ce",
}
"""Colour of each state in which a task spends time, in the order of its life."""
MOST_TASKS = 200
MOST_NAMED = 48
"""With more rows than this, groups of tasks are named instead of tasks."""
MOST_GROUPS = 24
"""With more groups than this, rows are numbered."""


def plot_gantt(result: Result) -> Picture:
    """Draw each task's life as a row of coloured segments, one colour a state.

    Tasks are grouped by service or family, in the order of creation. Of more than :data:`MOST_TASKS` tasks the first
    are drawn, and the title says so.

    Parameters
    ----------
    result
        One run; the tables ``tasks`` and ``task_states`` are read.
    """
    facts = facts_of(result)
    tasks = result.tables["tasks"].sort_values(["created_at", "group", "task_id"], kind="stable")
    every = len(tasks)
    tasks = tasks.head(MOST_TASKS).sort_values("group", kind="stable").reset_index(drop=True)
    note = f" (the first {MOST_TASKS} of {every:,})" if every > MOST_TASKS else ""
    with settings():
        made = picture(9, float(np.clip(1.5 + 0.24 * len(tasks), 2.4, 10.0)), titled(f"Task states{note}", facts))
        axes = made.subplots()
        if tasks.empty:
            no_data(axes, "No task was created.")
            return made
        spans = _spans(tasks, result.tables["task_states"], facts)
        _segments(axes, spans, len(tasks))
        _rows(axes, tasks)
        # A little room shows that a task ended; a task alive at the end of the run touches the edge.
        last_s = float(spans["to_s"].max()) * 1.02 if len(spans) else facts.duration_s
        time_axis(axes, facts, 0.0, min(last_s, facts.duration_s))
        made.legend(
            handles=[Patch(color=colour, label=state) for state, colour in STATES.items()],
            loc="outside lower left",
            ncols=7,
            handlelength=1.0,
            handleheight=1.0,
            columnspacing=1.1,
            handletextpad=0.4,
        )
    return made


def _spans(tasks: pd.DataFrame, states: pd.DataFrame, facts: Facts) -> pd.DataFrame:
    """Return one row per visit of a state: ``row`` of the task, ``state``, ``from_s``, ``to_s``."""
    rows = pd.Series(tasks.index.to_numpy(), index=tasks["task_id"])
    some = states[states["task_id"].isin(rows.index)].copy()
    some["row"] = some["task_id"].map(rows)
    some["from_s"] = seconds(some["at"], facts)
    # Changes at one instant keep the order in which they happened.
    some = some.sort_values(["row", "from_s"], kind="stable")
    following = some.groupby("row")["from_s"].shift(-1)
    some["to_s"] = following.fillna(facts.duration_s)
    visits = some[some["last_status"].isin(STATES) & (some["to_s"] > some["from_s"])]
    return visits.rename(columns={"last_status": "state"})[["row", "state", "from_s", "to_s"]]


def _segments(axes: Axes, spans: pd.DataFrame, rows: int) -> None:
    half = 0.36 if rows <= MOST_NAMED else 0.46
    for state, colour in STATES.items():
        some = spans[spans["state"] == state]
        left, right = some["from_s"].to_numpy(), some["to_s"].to_numpy()
        low, high = some["row"].to_numpy() - half, some["row"].to_numpy() + half
        corners = np.stack(
            [np.stack(xy, axis=-1) for xy in ((left, low), (right, low), (right, high), (left, high))], axis=1
        )
        axes.add_collection(PolyCollection(list(corners), facecolors=colour, linewidths=0, label=state))
    axes.set_ylim(rows - 0.4, -0.6)
    axes.grid(False, axis="y")


def _rows(axes: Axes, tasks: pd.DataFrame) -> None:
    """Name the rows: tasks if they are few, else groups at their middle, else numbers."""
    groups = [str(group).rpartition(":")[2] for group in tasks["group"]]
    firsts = [i for i in range(len(tasks)) if i == 0 or tasks["group"][i] != tasks["group"][i - 1]]
    for first in firsts[1:]:
        axes.axhline(first - 0.5, color=MUTED, linewidth=0.6)
    if len(tasks) <= MOST_NAMED:
        ids = [str(task_id)[:8] for task_id in tasks["task_id"]]
        names = [f"{group} {task_id}" for group, task_id in zip(groups, ids, strict=True)] if len(firsts) > 1 else ids
        axes.set_yticks(range(len(tasks)), names, fontfamily="DejaVu Sans Mono", fontsize=8, color=INK)
    elif 1 < len(firsts) <= MOST_GROUPS:
        ends = [*firsts[1:], len(tasks)]
        middles = [(first + end - 1) / 2 for first, end in zip(firsts, ends, strict=True)]
        names = [f"{groups[first]}\n{end - first} tasks" for first, end in zip(firsts, ends, strict=True)]
        axes.set_yticks(middles, names, color=INK)
    else:
        numbers = [1, *range(25, len(tasks) + 1, 25)]
        axes.set_yticks([number - 1 for number in numbers], [str(number) for number in numbers])
        axes.set_ylabel("task, by group and creation" if len(firsts) > 1 else "task, in the order of creation")
        return
    axes.tick_params(axis="y", length=0)
