"""The plot of queues over time: how many messages wait and are worked on, and how old the oldest is."""

from __future__ import annotations

import numpy as np

from fargsim.record.result import Result
from fargsim.report.facts import facts_of
from fargsim.report.style import (
    BLUE,
    MUTED,
    ORANGE,
    VERMILLION,
    Picture,
    no_data,
    picture,
    seconds,
    settings,
    time_axis,
    titled,
)

MOST_QUEUES = 4
"""Queues drawn; of more, those to which most messages were sent."""


def plot_queues(result: Result) -> Picture:
    """Draw each queue's depth, above, and the age of its oldest message, below.

    Parameters
    ----------
    result
        One run; the table ``queues`` is read. Queues through which no message went are left out.
    """
    facts = facts_of(result)
    frame = result.tables["queues"]
    total = (
        (frame["sent"] + frame["moved_in"]).groupby(frame["queue"]).sum().sort_values(ascending=False, kind="stable")
    )
    names = [str(name) for name, messages in total.items() if messages]
    shown = names[:MOST_QUEUES]
    note = f" (the {len(shown)} busiest of {len(names)})" if len(names) > len(shown) else ""
    with settings():
        made = picture(9, 1.0 + 3.2 * max(1, len(shown)), titled("Queues" + note, facts))
        panels = made.subplots(2 * max(1, len(shown)), 1, sharex=True, squeeze=False)[:, 0]
        if not shown:
            no_data(panels[0], "No message was sent.")
            return made
        for k, name in enumerate(shown):
            rows = frame[frame["queue"] == name].sort_values("period_start_at", kind="stable")
            # a count stands for the end of its period
            at = seconds(rows["period_start_at"], facts) + rows["period_s"].to_numpy(dtype=np.float64)
            depth, age = panels[2 * k], panels[2 * k + 1]
            waiting = rows["visible_mean"].to_numpy(dtype=np.float64)
            depth.step(at, waiting, where="pre", color=BLUE, label="waiting (mean of the period)")
            depth.fill_between(at, waiting, step="pre", color=BLUE, alpha=0.12, linewidth=0)
            depth.step(at, rows["in_flight"], where="pre", color=ORANGE, label="in flight")
            depth.set_ylabel("messages")
            depth.set_title(name)
            age.step(at, rows["oldest_age_s"], where="pre", color=VERMILLION, label="age of the oldest")
            late = rows["completion_p95_s"].to_numpy(dtype=np.float64, na_value=np.nan)
            age.step(at, late, where="pre", color=MUTED, label="95 % deleted within")
            age.set_ylabel("s")
            for axes in (depth, age):
                axes.set_ylim(bottom=0)
                axes.legend(loc="lower right", bbox_to_anchor=(1, 1), ncols=2, borderaxespad=0.2)
        time_axis(panels[-1], facts, 0.0, facts.duration_s)
    return made
