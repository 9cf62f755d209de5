"""Variants side by side: the interval, the choice, the sentence and the table."""

from __future__ import annotations

import dataclasses
import io
import itertools

import numpy as np
import pandas as pd
import pytest
from report_factory import Story, add_task, day
from rich.console import Console
from scipy import stats

from fargsim.report.compare import Comparison, Run, compare, compare_runs
from fargsim.report.student import Estimate, estimate, t_quantile, within
from fargsim.report.summary import SUMMARY_KEYS, summarize
from fargsim.report.terminal import comparison_tables

SLO = {"latency_p99": 400_000.0, "error_rate": 0.001}
SLO_WORDS = "the SLO (p99 latency at most 400 ms, at most 0.1 % errors)"


def run(variant: str, cost: float | None, met: bool | None = True, replication: int = 0, **changes: object) -> Run:
    summary = dict.fromkeys(SUMMARY_KEYS, 1)
    summary.update(
        requests=1_000_000, error_rate=0.0001, latency_p50_ms=40.0, latency_p95_ms=120.0, latency_p99_ms=300.0
    )
    summary.update(cost_usd=cost, cost_per_million_requests_usd=cost, slo_met=met, running_tasks_mean=9.5)
    return Run(variant, replication, 7, {**summary, **changes})  # type: ignore[dict-item]


def draw(comparison: Comparison, width: int = 80, **options: object) -> list[str]:
    console = Console(width=width, record=True, file=io.StringIO(), **options)  # type: ignore[arg-type]
    console.print(*comparison_tables(comparison), sep="\n")
    return [line.rstrip() for line in console.export_text().splitlines()]


# -- Student's t ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("df", [1, 2, 3, 4, 5, 9, 10, 29, 30, 99, 1000])
def test_the_quantile_is_students(df: int):
    for p in (0.5, 0.6, 0.9, 0.975, 0.995, 0.99995):
        assert t_quantile(p, df) == pytest.approx(stats.t.ppf(p, df), rel=1e-10, abs=1e-15)
    for t in (0.0, 0.3, 2.0, 50.0):
        assert within(t, df) == pytest.approx(2 * stats.t.cdf(t, df) - 1, abs=1e-13)


def test_the_quantile_is_the_one_in_printed_tables():
    assert [round(t_quantile(0.975, df), 3) for df in (1, 2, 4, 9, 30)] == [12.706, 4.303, 2.776, 2.262, 2.042]


@pytest.mark.parametrize(("p", "df"), [(0.4, 3), (1.0, 3), (0.9, 0)])
def test_the_quantile_refuses_what_it_cannot_mean(p: float, df: int):
    with pytest.raises(ValueError, match="must be at least"):
        t_quantile(p, df)


def test_an_estimate_is_mean_and_half_width():
    values = [12.1, 11.4, 12.9, 12.2]
    low, high = stats.t.interval(0.95, 3, loc=np.mean(values), scale=stats.sem(values))
    made = estimate(values)
    assert (made.mean - made.half_width, made.mean + made.half_width) == pytest.approx((low, high), rel=1e-12)
    assert estimate([3.0]) == Estimate(3.0, None, 1)


def test_the_interval_covers_the_mean_as_often_as_it_says():
    """2,000 intervals of 5 normal values: 95 % cover, give or take 4 standard errors (a chance of 6 in 10^5 to fail)."""
    sample = np.random.default_rng(2026).normal(10.0, 3.0, size=(2000, 5))
    made = [estimate(list(row)) for row in sample]
    covered = sum(abs(e.mean - 10.0) <= e.half_width for e in made)
    assert abs(covered - 1900) <= 4 * (2000 * 0.95 * 0.05) ** 0.5


# -- the choice -------------------------------------------------------------------------------------------------------


def test_the_cheapest_that_keeps_the_promise_is_best_not_the_cheapest():
    made = compare_runs([run("a", 9.0), run("b", 1.0, met=False), run("c", 6.0)], SLO)
    assert made.best == "c"
    assert made.verdict == (f"2 of 3 variants meet {SLO_WORDS}. The cheapest of them is c: 6.00 USD, 33 % less than a.")


@pytest.mark.parametrize(
    ("runs", "slo", "best", "verdict"),
    [
        ([run("a", 2.0)], SLO, "a", f"a meets {SLO_WORDS} and costs 2.00 USD."),
        ([run("a", 2.0, met=False)], SLO, None, f"a does not meet {SLO_WORDS}."),
        ([run("a", 0.5, met=None)], {}, "a", "a costs 0.5000 USD."),
        ([run("a", 2.0, met=False), run("b", 1.0, met=False)], SLO, None, f"None of the 2 variants meets {SLO_WORDS}."),
        ([run("a", 2.0), run("b", 1.0, met=False)], SLO, "a", f"a alone of 2 variants meets {SLO_WORDS}: 2.00 USD."),
        (
            [run("a", 2.0, None), run("b", 1.0, None)],
            {},
            "b",
            "b is the cheapest of 2 variants: 1.00 USD, 50 % less than a.",
        ),
        (
            [run("a", 2.0, None), run("b", 2.0, None)],
            {},
            "a",
            "a is the cheapest of 2 variants: 2.00 USD, as much as b.",
        ),
        ([run("a", None, None), run("b", None, None)], {}, None, "The runs were not billed, so none is the cheapest."),
        (
            [run("a", None), run("b", None, False)],
            SLO,
            None,
            f"The runs were not billed, so none is the cheapest; a met {SLO_WORDS}.",
        ),
        # an SLO that nothing was measured against is not mentioned
        ([run("a", 2.0, None)], SLO, "a", "a costs 2.00 USD."),
    ],
)
def test_the_verdict(runs: list[Run], slo: dict[str, float], best: str | None, verdict: str):
    made = compare_runs(runs, slo)
    assert (made.best, made.verdict) == (best, verdict)


def test_a_promise_must_be_kept_in_every_replication():
    made = compare_runs(
        [run("a", 1.0, True, 0), run("a", 1.0, False, 1), run("b", 2.0, True, 0), run("b", 2.0, True, 1)], SLO
    )
    assert [(v.name, v.slo_met) for v in made.variants] == [("a", False), ("b", True)]
    assert made.best == "b"


def test_replications_give_mean_and_half_width():
    costs = [10.0, 12.0, 11.0]
    made = compare_runs([run("a", cost, replication=k) for k, cost in enumerate(costs)], SLO)
    assert made.variants[0].values["cost_usd"] == estimate(costs)
    assert made.variants[0].values["latency_p99_ms"] == Estimate(300.0, 0.0, 3)


def test_a_figure_missing_in_one_replication_is_missing():
    made = compare_runs([run("a", 1.0), run("a", 1.0, replication=1, latency_p99_ms=None)], SLO)
    assert "latency_p99_ms" not in made.variants[0].values
    assert "latency_p95_ms" in made.variants[0].values


def test_replications_are_compared_in_pairs():
    """Same traffic per replication: a difference far smaller than the spread between replications is still seen."""
    base = [10.0, 20.0, 30.0]
    near = [run("a", cost, replication=k) for k, cost in enumerate(base)]
    near += [run("b", cost + 0.1 + 0.01 * k, replication=k) for k, cost in enumerate(base)]
    assert compare_runs(near, SLO).verdict.endswith("a: 20.00 USD, 0.55 % less than b.")
    noisy = near[:3] + [run("b", cost, replication=k) for k, cost in enumerate([9.0, 23.0, 29.0])]
    assert compare_runs(noisy, SLO).verdict.endswith(
        "1.6 % less than b, a difference within the noise of 3 replications."
    )


def test_there_must_be_something_to_compare():
    for nothing in (compare, lambda none: compare_runs(none, {})):
        with pytest.raises(ValueError, match="nothing to compare"):
            nothing([])


def test_the_frame_has_a_row_a_run_and_the_summary_keys():
    made = compare_runs([run("a", 1.0), run("b", None, None, latency_p99_ms=None)], SLO)
    frame = made.frame()
    assert list(frame.columns) == ["variant", "replication", "seed", *SUMMARY_KEYS]
    assert frame["variant"].tolist() == ["a", "b"]
    assert frame["slo_met"].tolist() == [True, pd.NA]
    assert frame["requests"].dtype == "Int64"
    assert np.isnan(frame["latency_p99_ms"][1])
    assert np.isnan(frame["cost_usd"][1])
    pd.testing.assert_frame_equal(made.frame(), frame)


def test_results_are_compared_by_their_own_names_and_promise():
    made = compare([day("fargate"), day("ec2", price=0.02)])
    assert [v.name for v in made.variants] == ["fargate", "ec2"]
    assert made.slo == SLO
    assert made.runs[1].summary == summarize(day("ec2", price=0.02))


# -- the table --------------------------------------------------------------------------------------------------------

FIVE = ["fargate", "fargate-arm", "fargate-spot", "ec2-on-demand", "ec2-asg"]


def test_the_table_of_five_variants_is_whole_at_80_columns():
    costs = [14.66, 12.25, 6.37, 17.62, 12.23]
    runs = [run(name, cost, name != "fargate-spot") for name, cost in zip(FIVE, costs, strict=True)]
    lines = draw(compare_runs(runs, SLO))
    assert [line.replace("─", "") for line in lines] == [
        "                  cost  USD per   p50  p95  p99  errors       tasks  tasks",
        "variant            USD  million    ms   ms   ms       %  SLO   mean    max",
        "",
        "  fargate        14.66    14.66  40.0  120  300    0.01  yes    9.5      1",
        "  fargate-arm    12.25    12.25  40.0  120  300    0.01  yes    9.5      1",
        "  fargate-spot    6.37     6.37  40.0  120  300    0.01  no     9.5      1",
        "  ec2-on-demand  17.62    17.62  40.0  120  300    0.01  yes    9.5      1",
        "* ec2-asg        12.23    12.23  40.0  120  300    0.01  yes    9.5      1",
        "* cheapest variant that meets the SLO",
    ]


@pytest.mark.parametrize("width", [80, 100, 120])
def test_nothing_is_cut_off_with_replications(width: int):
    runs = [
        run(name, 1234.5 + k, replication=k, latency_p99_ms=1300.0 + 10 * k, error_rate=0.0123 + 0.001 * k)
        for name, k in itertools.product(FIVE, range(5))
    ]
    lines = draw(compare_runs(runs, SLO), width)
    assert max(map(len, lines)) <= width
    assert not any("…" in line for line in lines)
    text = "\n".join(lines)
    assert "1,236.50" in text
    assert "±1.96" in text
    assert "±: half-width of the 95 % confidence interval, 5 replications" in text


def test_a_run_without_requests_shows_work_instead_of_latency():
    runs = []
    for name in ("binpack", "spread"):
        story = Story(variant=name)
        add_task(story, "a", [0, 0, 0, 0])
        story.add("placements", outcome="failed")
        story.add("instances", running_at=0)
        story.add("costs", item="ec2 instance (used)", usd=2.0)
        runs.append(story.result())
    lines = draw(compare(runs))
    assert lines[1].split() == ["variant", "USD", "USD", "started", "hours", "hours", "placed", "mean", "max"]
    assert lines[3].split() == ["*", "binpack", "2.00", "2.00", "1", "1.0", "1.0", "1", "1.0", "1"]
    assert "SLO" not in "".join(lines)


def test_names_are_shown_as_they_are_not_as_markup():
    lines = draw(compare_runs([run("[red]x[/red]", 1.0), run("[/bold]", 2.0)], SLO))
    assert "[red]x[/red]" in lines[3]
    assert "[/bold]" in lines[4]


def test_the_best_variant_stands_out_by_more_than_colour():
    made = compare_runs([run("a", 2.0), run("b", 1.0)], SLO)
    assert [line[:3] for line in draw(made, no_color=True)[3:5]] == ["  a", "* b"]
    alone = dataclasses.replace(made, variants=made.variants[:1])
    assert not any(line.startswith("*") for line in draw(alone))


def test_costs_that_differ_by_rounding_alone_are_the_same() -> None:
    runs = [run("first", 1.3 + 1e-15, None), run("second", 1.3, None)]
    comparison = compare_runs(runs, {})
    assert comparison.best == "first"
    assert "as much as second" in comparison.verdict
