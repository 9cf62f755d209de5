"""Queues in summaries, comparisons, plots and reports."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
from test_sim_queues import scenario

import fargsim
from fargsim.report.compare import compare
from fargsim.report.html import render_report
from fargsim.report.plots import draw_run, plot
from fargsim.report.summary import MESSAGE_KEYS, SUMMARY_KEYS

SCENARIOS = Path(__file__).resolve().parents[1] / "scenarios"


@pytest.fixture(scope="module")
def result() -> fargsim.Result:
    behaviour = {
        "worker": {"message": {"queue": "orders", "cpu": {"exponential": {"mean": "500 ms"}}, "poison_rate": "1 %"}}
    }
    return fargsim.run(scenario(behaviour=behaviour))


def test_a_run_with_queues_says_what_became_of_the_messages(result: fargsim.Result) -> None:
    summary = result.summary
    assert list(summary) == [*SUMMARY_KEYS, *MESSAGE_KEYS]
    table = result.tables["queues"]
    orders = table[table["queue"] == "orders"]
    assert summary["messages_sent"] == orders["sent"].sum() > 2500
    last = orders.iloc[-1]
    assert summary["messages_left"] == last["visible"] + last["in_flight"]
    dead = summary["messages_dead_lettered"]
    assert dead == table[table["queue"] == "x"]["moved_in"].sum() > 5
    assert summary["messages_sent"] == summary["messages_done"] + dead + summary["messages_left"]
    assert summary["message_receives"] == orders["received"].sum() > summary["messages_sent"]
    assert summary["message_oldest_s"] == orders["oldest_age_s"].max()
    mean = (orders["completion_mean_s"] * orders["deleted"]).sum() / orders["deleted"].sum()
    assert summary["message_completion_mean_s"] == pytest.approx(mean)
    rows = result.tables["message_latencies"]
    assert rows["messages"].sum() == summary["messages_done"]
    below = rows.loc[rows["upper_us"] <= summary["message_completion_p95_s"] * 1e6, "messages"].sum()
    assert below < 0.95 * summary["messages_done"] <= below + rows["messages"].max()


def test_they_are_compared_drawn_and_reported(result: fargsim.Result) -> None:
    comparison = compare([result.record])
    assert math.isclose(
        comparison.variants[0].values["messages_done"].mean, float(result.summary["messages_done"] or 0)
    )
    assert "messages_done" in comparison.frame()
    picture = plot(result.record, "queues")
    assert [axes.get_title(loc="left") for axes in picture.axes][::2] == ["orders", "x"]
    assert {axes.get_ylabel() for axes in picture.axes} == {"messages", "s"}
    assert draw_run(result.record)["queues.png"].startswith(b"\x89PNG")
    page = render_report([result.record])
    assert "Messages that wait and are worked on" in page
    assert "dead letters" in page


def test_credits_are_drawn_where_there_are_some() -> None:
    ran = fargsim.run(
        fargsim.load(
            SCENARIOS / "burstable.yaml", variant="t3-standard", overrides=[("duration", "2 h"), ("timeline", "[]")]
        )
    )
    picture = plot(ran.record, "credits")
    balance, used = picture.axes
    assert balance.get_ylabel() == "credits per instance"
    [held, owed] = balance.get_lines()
    table = ran.tables["cpu_credits"]
    assert held.get_ydata()[-1] == pytest.approx(table["balance_credits"].iloc[-2:].mean())
    assert owed.get_ydata().max() == 0
    assert max(used.get_lines()[1].get_ydata()) == 2
    assert "credits.png" in "".join(draw_run(ran.record))
    assert "queues" not in "".join(draw_run(ran.record))
