"""The comparison as a table for the terminal."""

from __future__ import annotations

from rich.table import Table
from rich.text import Text

from fargsim.report.columns import MESSAGES, RUNNING, Column, columns, judged, notes
from fargsim.report.compare import Comparison, Variant
from fargsim.report.plain_table import plain_table


def comparison_tables(comparison: Comparison, title: str = "") -> list[Table]:
    """Return a comparison as a table that fits 80 columns, or as two, where there are both requests and messages.

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
    shown = columns(comparison)
    of_messages = {key for _, key, _ in MESSAGES}
    apart = [column for column in shown if column.key in of_messages]
    if not apart or not any(column.key == "latency_p50_ms" for column in shown):
        return [_table(comparison, title, shown, "\n".join(notes(comparison)))]
    first = [column for column in shown if column.key not in of_messages]
    return [_table(comparison, title, first, "\n".join(notes(comparison))), _table(comparison, "", apart, "", False)]


def _table(comparison: Comparison, title: str, shown: list[Column], caption: str, verdict: bool = True) -> Table:
    """Return some columns as a table."""
    table = plain_table(title, caption)
    longest = max(len(variant.name) for variant in comparison.variants)
    table.add_column("\nvariant", overflow="fold", no_wrap=longest <= 24)
    running = {key for _, key, _ in RUNNING}
    cells = [_add(table, column) for column in shown if column.key not in running]
    if verdict and judged(comparison):
        table.add_column("\nSLO", justify="center", no_wrap=True)
        cells.append([_met(variant.slo_met) for variant in comparison.variants])
    cells += [_add(table, column) for column in shown if column.key in running]
    for row, variant in enumerate(comparison.variants):
        best = variant.name == comparison.best and len(comparison.variants) > 1
        table.add_row(_name(variant, best), *(column[row] for column in cells), style="bold" if best else None)
    return table


def _add(table: Table, column: Column) -> list[Text]:
    """Add the heading of a column; return its cells."""
    table.add_column(column.heading, justify="right", no_wrap=True)
    return [_cell(*cell) for cell in column.cells]


def _name(variant: Variant, best: bool) -> Text:
    return Text(f"* {variant.name}", style="green") if best else Text(f"  {variant.name}")


def _met(slo_met: bool | None) -> Text:
    if slo_met is None:
        return Text("-", style="dim")
    return Text("yes", style="green") if slo_met else Text("no", style="red")


def _cell(figure: str, half_width: str) -> Text:
    if not figure:
        return Text("-", style="dim")
    text = Text(figure)
    if half_width:
        text.append(f"\n{half_width}", style="dim not bold")
    return text
