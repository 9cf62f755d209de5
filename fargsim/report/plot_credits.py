"""The plot of CPU credits: what burstable instances hold, owe and may use."""

from __future__ import annotations

import numpy as np

from fargsim.record.result import Result
from fargsim.report.facts import facts_of
from fargsim.report.style import (
    BLUE,
    GREEN,
    VERMILLION,
    Picture,
    no_data,
    picture,
    seconds,
    settings,
    time_axis,
    titled,
)


def plot_credits(result: Result) -> Picture:
    """Draw the mean credit balance and surplus an instance, above, and the vCPUs used and allowed, below.

    Parameters
    ----------
    result
        One run; the table ``cpu_credits`` is read. All burstable instances of the run are drawn together.
    """
    facts = facts_of(result)
    frame = result.tables["cpu_credits"]
    with settings():
        made = picture(9, 5.2, titled("CPU credits", facts))
        upper, lower = made.subplots(2, 1, sharex=True)
        if frame.empty:
            no_data(upper, "No burstable instance ran.")
            return made
        used = frame["used_credits"] / frame["period_s"].where(frame["period_s"] > 0) * 60
        by = frame.assign(used_vcpu=used).groupby("period_start_at", as_index=False)
        columns = ["balance_credits", "surplus_credits", "used_vcpu", "allowed_vcpu"]
        mean = by[columns].mean().merge(by["period_s"].max(), on="period_start_at")
        # a balance stands for the end of its period
        at = seconds(mean["period_start_at"], facts) + mean["period_s"].to_numpy(dtype=np.float64)
        upper.plot(at, mean["balance_credits"], color=GREEN, label="balance")
        upper.plot(at, mean["surplus_credits"], color=VERMILLION, label="surplus, to be paid back")
        upper.set_ylabel("credits per instance")
        lower.step(at, mean["used_vcpu"], where="pre", color=BLUE, label="used")
        lower.step(at, mean["allowed_vcpu"], where="pre", color=VERMILLION, label="allowed")
        lower.set_ylabel("vCPU per instance")
        for axes in (upper, lower):
            axes.set_ylim(bottom=0)
            axes.legend(loc="lower right", bbox_to_anchor=(1, 1), ncols=2, borderaxespad=0.2)
        time_axis(lower, facts, 0.0, facts.duration_s)
    return made
