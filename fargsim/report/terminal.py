"""The comparison as a table for the terminal."""

from __future__ import annotations

from collections.abc import Callable

from rich import box
from rich.table import Table
from rich.text import Text

from fargsim.report.compare import Comparison, Variant
from fargsim.report.student import Estimate

Write = Callable[[float, float], str]
"""Writes a figure; the second argument is the largest in its column, which decides the decimals of all."""


def _money(value: float, largest: float) -> str:
    return f"{value:,.2f}" if largest >= 1 or not largest else f"{value:.4f}"


def _milliseconds(value: float, largest: float) -> str:
    return f"{value:,.{2 if largest < 10 else 1 if largest < 100 else 0}f}"


def _percent(fraction: float, largest: float) -> str:
    """Write a small fraction in percent, in two figures of its own: errors span many powers of ten."""
    if 0 < fraction < 1e-5:
        return "<0.001"
    return f"{100 * fraction:.2g}" if fraction < 0.995 else "100"


def _one(value: float, largest: float) -> str:
    return f"{value:,.1f}"


def _count(value: float, largest: float) -> str:
    return f"{value:,.0f}" if value == round(value) else f"{value:,.1f}"


COST: list[tuple[str, str, Write]] = [("cost\nUSD", "cost_usd", _money)]
SERVED: list[tuple[str, str, Write]] = [
    ("USD per\nmillion", "cost_per_million_requests_usd", _money),
    ("p50\nms", "latency_p50_ms", _milliseconds),
    ("p95\nms", "latency_p95_ms", _milliseconds),
    ("p99\nms", "latency_p99_ms", _milliseconds),
    ("errors\n%", "error_rate", _percent),
]
WORKED: list[tuple[str, str, Write]] = [
    ("compute\nUSD", "cost_compute_usd", _money),
    ("tasks\nstarted", "tasks_started", _count),
    ("task\nhours", "task_hours", _one),
    ("instance\nhours", "instance_hours", _one),
    ("not\nplaced", "placement_failures", _count),
]
RUNNING: list[tuple[str, str, Write]] = [
    ("tasks\nmean", "running_tasks_mean", _one),
    ("\nmax", "running_tasks_max", _count),
]


def comparison_table(comparison: Comparison, title: str = "") -> Table:
    """Return a comparison as a table that fits 80 columns.

    One line a variant: cost, latency, errors, whether it keeps the promise, running tasks; or, where no variant had
    a request, the tasks started and the hours used. The best variant is marked. With replications every figure is a
    mean and the line below it the half-width of its 95 % confidence interval.

    Parameters
    ----------
    comparison
        See :func:`fargsim.report.compare.compare`.
    title
        Line above the table.
    """
    requests = any(variant.values["requests"].mean > 0 for variant in comparison.variants)
    judged = any(variant.slo_met is not None for variant in comparison.variants)
    figures = [*COST, *(SERVED if requests else WORKED)]
    table = Table(
        title=Text(title) if title else None,
        title_justify="left",
        title_style="bold",
        caption=Text(_caption(comparison, judged)),
        caption_justify="left",
        box=box.SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
        pad_edge=False,
        show_edge=True,
    )
    longest = max(len(variant.name) for variant in comparison.variants)
    table.add_column("\nvariant", overflow="fold", no_wrap=longest <= 24)
    for header, _, _ in figures:
        table.add_column(header, justify="right", no_wrap=True)
    if judged:
        table.add_column("\nSLO", justify="center", no_wrap=True)
    for header, _, _ in RUNNING:
        table.add_column(header, justify="right", no_wrap=True)
    columns = [_column(comparison, key, write) for _, key, write in figures]
    columns += [[_met(variant.slo_met) for variant in comparison.variants]] if judged else []
    columns += [_column(comparison, key, write) for _, key, write in RUNNING]
    for row, variant in enumerate(comparison.variants):
        best = variant.name == comparison.best and len(comparison.variants) > 1
        table.add_row(_name(variant, best), *(column[row] for column in columns), style="bold" if best else None)
    return table


def _name(variant: Variant, best: bool) -> Text:
    return Text(f"* {variant.name}", style="green") if best else Text(f"  {variant.name}")


def _met(slo_met: bool | None) -> Text:
    if slo_met is None:
        return Text("-", style="dim")
    return Text("yes", style="green") if slo_met else Text("no", style="red")


def _column(comparison: Comparison, key: str, write: Write) -> list[Text]:
    values = [variant.values.get(key) for variant in comparison.variants]
    largest = max((abs(value.mean) for value in values if value is not None), default=0.0)
    return [_cell(value, write, largest) for value in values]


def _cell(value: Estimate | None, write: Write, largest: float) -> Text:
    if value is None:
        return Text("-", style="dim")
    text = Text(write(value.mean, largest))
    if value.half_width is not None:
        text.append(f"\n±{write(value.half_width, largest)}", style="dim not bold")
    return text


def _caption(comparison: Comparison, judged: bool) -> str:
    notes = []
    if comparison.best is not None and len(comparison.variants) > 1:
        notes.append("* cheapest variant" + (" that meets the SLO" if judged else ""))
    replications = {variant.values["requests"].n for variant in comparison.variants}
    if max(replications) > 1:
        notes.append(f"±: half-width of the 95 % confidence interval, {max(replications)} replications")
    return "\n".join(notes)
