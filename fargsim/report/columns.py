"""The columns of a comparison: which figures are shown, under which heading, in how many decimals."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from fargsim.report.compare import Comparison
from fargsim.report.student import Estimate

Write = Callable[[float, float], str]
"""Writes a figure; the second argument is the largest in its column, which decides the decimals of all."""


def dollars(value: float, largest: float) -> str:
    """Write USD: to the cent, or in four decimals where the whole column is below a dollar.

    >>> dollars(0.5, 12.0), dollars(0.5, 0.7), dollars(0.0, 0.0)
    ('0.50', '0.5000', '0.00')
    """
    return f"{value:,.2f}" if largest >= 1 or not largest else f"{value:.4f}"


def milliseconds(value: float, largest: float) -> str:
    """Write a latency in ms, in three figures or so.

    >>> milliseconds(3.14159, 9.0), milliseconds(31.4159, 99.0), milliseconds(31.4159, 31415.9)
    ('3.14', '31.4', '31')
    """
    return f"{value:,.{2 if largest < 10 else 1 if largest < 100 else 0}f}"


def percent(fraction: float, largest: float) -> str:
    """Write a fraction in percent, in two figures of its own: errors span many powers of ten.

    >>> [percent(fraction, 1.0) for fraction in (0.0, 1e-9, 0.000123, 0.0123, 0.4567)]
    ['0', '<0.001', '0.012', '1.2', '45.7']
    """
    if 0 < fraction < 1e-5:
        return "<0.001"
    return f"{100 * fraction:.2g}" if fraction < 0.1 else f"{100 * fraction:.1f}"


def tenths(value: float, largest: float) -> str:
    """Write a figure with one decimal."""
    return f"{value:,.1f}"


def count(value: float, largest: float) -> str:
    """Write a count, with a decimal only where it is a mean of several."""
    return f"{value:,.0f}" if value == round(value) else f"{value:,.1f}"


COST: list[tuple[str, str, Write]] = [("cost\nUSD", "cost_usd", dollars)]
SERVED: list[tuple[str, str, Write]] = [
    ("USD per\nmillion", "cost_per_million_requests_usd", dollars),
    ("p50\nms", "latency_p50_ms", milliseconds),
    ("p95\nms", "latency_p95_ms", milliseconds),
    ("p99\nms", "latency_p99_ms", milliseconds),
    ("errors\n%", "error_rate", percent),
]
MANY_ERRORS = 0.01
"""From this share of failed requests on in any variant, their number is worth more than the price of a million."""
FAILED: tuple[str, str, Write] = ("failed\nrequests", "failed_requests", count)
WORKED: list[tuple[str, str, Write]] = [
    ("compute\nUSD", "cost_compute_usd", dollars),
    ("tasks\nstarted", "tasks_started", count),
    ("task\nhours", "task_hours", tenths),
    ("instance\nhours", "instance_hours", tenths),
    ("not\nplaced", "placement_failures", count),
]
MESSAGES: list[tuple[str, str, Write]] = [
    ("messages\ndone", "messages_done", count),
    ("p50\ns", "message_completion_p50_s", milliseconds),
    ("p95\ns", "message_completion_p95_s", milliseconds),
    ("oldest\ns", "message_oldest_s", milliseconds),
    ("dead\nletters", "messages_dead_lettered", count),
    ("messages\nleft", "messages_left", count),
]
RARE = ("messages_dead_lettered", "messages_left")
"""Not worth a column where there are none."""
RUNNING: list[tuple[str, str, Write]] = [
    ("tasks\nmean", "running_tasks_mean", tenths),
    ("tasks\nmax", "running_tasks_max", count),
]


@dataclass(frozen=True, slots=True)
class Column:
    """One column of a comparison.

    Parameters
    ----------
    heading
        Two short lines, the second with the unit.
    key
        Summary key.
    cells
        For each variant the figure and the half-width of its interval; empty where there is none.
    """

    heading: str
    key: str
    cells: tuple[tuple[str, str], ...]


def columns(comparison: Comparison) -> list[Column]:
    """Return the columns that a comparison has something to say in.

    Cost, latency and errors where any variant had a request; cost, tasks and hours where none had; messages where there were queues,
    those that were given up or are left where there are any.
    Where a variant fails many requests, their number stands in the place of the price of a million.
    Running tasks always.
    """
    messages = any("messages_sent" in variant.values for variant in comparison.variants)
    requests = any(variant.values["requests"].mean > 0 for variant in comparison.variants)
    rates = [variant.values.get("error_rate") for variant in comparison.variants]
    failing = any(rate is not None and rate.mean >= MANY_ERRORS for rate in rates)
    served = [*SERVED[1:], FAILED] if failing else SERVED
    told = [figure for figure in MESSAGES if figure[1] not in RARE or _any(comparison, figure[1])]
    work = [*(served if requests else [] if messages else WORKED), *(told if messages else [])]
    return [_column(comparison, *figure) for figure in (*COST, *work, *RUNNING)]


def judged(comparison: Comparison) -> bool:
    """Say whether there is a verdict on any variant."""
    return any(variant.slo_met is not None for variant in comparison.variants)


def notes(comparison: Comparison) -> list[str]:
    """Return the explanations that belong below the table."""
    made = []
    if comparison.best is not None and len(comparison.variants) > 1:
        made.append("* cheapest variant" + (" that meets the SLO" if judged(comparison) else ""))
    replications = max(variant.values["requests"].n for variant in comparison.variants)
    if replications > 1:
        made.append(f"±: half-width of the 95 % confidence interval, {replications} replications")
    return made


def _any(comparison: Comparison, key: str) -> bool:
    return any(value is not None and value.mean > 0 for value in (v.values.get(key) for v in comparison.variants))


def _column(comparison: Comparison, heading: str, key: str, write: Write) -> Column:
    values = [variant.values.get(key) for variant in comparison.variants]
    largest = max((abs(value.mean) for value in values if value is not None), default=0.0)
    return Column(heading, key, tuple(_cell(value, write, largest) for value in values))


def _cell(value: Estimate | None, write: Write, largest: float) -> tuple[str, str]:
    if value is None:
        return "", ""
    return write(value.mean, largest), "" if value.half_width is None else f"±{write(value.half_width, largest)}"
