"""Paid for, reserved, used: one block a variant, for the terminal and for the report."""

from __future__ import annotations

from html import escape

from rich.table import Table
from rich.text import Text

from fargsim.report.columns import dollars, tenths
from fargsim.report.compare import Comparison
from fargsim.report.plain_table import plain_table
from fargsim.report.student import Estimate

HEADINGS = ("paid", "reserved", "used", "idle", "used of paid")
MEASURES = (
    ("USD", ("cost_compute_usd", "cost_reserved_usd", "cost_used_usd"), dollars),
    ("vCPU-h", ("vcpu_hours_paid", "vcpu_hours_reserved", "vcpu_hours_used"), tenths),
    ("GiB-h", ("gib_hours_paid", "gib_hours_reserved", "gib_hours_used"), tenths),
)
MEANING = (
    "Compute only. paid: billed; reserved: held by tasks in RUNNING; used: did work; idle: paid, but not reserved, unused "
    "commitments included."
)


def use_rows(comparison: Comparison) -> list[tuple[str, str, tuple[str, ...]]]:
    """Return, for each variant and measure, what was paid for, reserved, used and idle, and the used part in percent.

    Parameters
    ----------
    comparison
        See :func:`fargsim.report.compare.compare`; with replications the figures are means.

    Returns
    -------
    list of tuple
        Variant, measure and the cells under :data:`HEADINGS`; an empty cell where a figure is absent. A variant of
        which nothing was paid has no row.
    """
    rows = []
    for variant in comparison.variants:
        for measure, keys, write in MEASURES:
            paid, reserved, used = (_mean(variant.values.get(key)) for key in keys)
            if not paid:
                continue
            idle = None if reserved is None else paid - reserved
            cells = tuple("" if value is None else write(value, paid) for value in (paid, reserved, used, idle))
            rows.append((variant.name, measure, (*cells, "" if used is None else f"{100 * used / paid:.0f} %")))
    return rows


def _mean(value: Estimate | None) -> float | None:
    return None if value is None else value.mean


def use_table(comparison: Comparison) -> Table | None:
    """Return the table for the terminal; None where nothing was paid."""
    rows = use_rows(comparison)
    if not rows:
        return None
    table = plain_table("Paid for, reserved, used", MEANING)
    table.add_column("variant", overflow="fold")
    table.add_column("")
    for heading in HEADINGS:
        table.add_column(heading, justify="right", no_wrap=True)
    before = ""
    for name, measure, cells in rows:
        shown = [Text(cell) if cell else Text("-", style="dim") for cell in cells]
        table.add_row(Text("" if name == before else name), Text(measure, style="dim"), *shown)
        before = name
    return table


def use_html(comparison: Comparison) -> str:
    """Return the table as a section of the report; empty where nothing was paid."""
    rows = use_rows(comparison)
    if not rows:
        return ""
    heads = "".join(f"<th>{escape(heading)}</th>" for heading in ("", *HEADINGS))
    body, before = [], ""
    for name, measure, cells in rows:
        shown = "".join(f"<td>{escape(cell) or '&ndash;'}</td>" for cell in cells)
        body.append(f"<tr><td>{escape('' if name == before else name)}</td><td>{escape(measure)}</td>{shown}</tr>")
        before = name
    return (
        "<section>\n<h2>Paid for, reserved, used</h2>\n"
        f'<div class="wide"><table>\n<thead><tr><th>variant</th>{heads}</tr></thead>\n'
        f"<tbody>\n{chr(10).join(body)}\n</tbody>\n</table></div>\n"
        f'<p class="muted">{escape(MEANING)}</p>\n</section>'
    )
