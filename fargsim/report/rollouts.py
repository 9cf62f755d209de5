"""How deployments ended that users began while the run went on: one row a deployment, with its rollback."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import pandas as pd
from rich.table import Table
from rich.text import Text

from fargsim.record.result import Result
from fargsim.report.facts import facts_of
from fargsim.report.plain_table import plain_table, words_html
from fargsim.report.story import clock

TITLE = "How deployments ended"
COLUMNS = ("service", "task_definition", "began", "ended", "status", "failed_tasks", "reason")
MOST = 40
OVER = ("SUCCESSFUL", "STOPPED", "ROLLBACK_SUCCESSFUL", "ROLLBACK_FAILED")


def rollouts(result: Result) -> pd.DataFrame:
    """Return how deployments ended that were not a service's first ones.

    Returns
    -------
    pandas.DataFrame
        Columns `service`, `task_definition`, `began`, `ended` (instants; the end of the rollback where there was one), `status` (of the
        service deployment), `failed_tasks`, `reason` (why it was given up). In the order of their beginnings.
    """
    table = result.tables["deployments"].sort_values("created_at", kind="stable")
    backs = {str(row["rollback_of"]): row for row in table.to_dict("records") if not pd.isna(row["rollback_of"])}
    seen: set[tuple[str, str]] = set()
    rows: list[tuple[Any, ...]] = []
    for row in table.to_dict("records"):
        where = (str(row["cluster"]), str(row["service"]))
        first = where not in seen
        seen.add(where)
        if first or not pd.isna(row["rollback_of"]):
            continue
        back = backs.get(str(row["deployment_id"]))
        status = str(row["service_deployment_status"])
        ended = (row if back is None else back)["completed_at"] if status in OVER else pd.NaT
        reason = str(row["rollout_reason"]) if row["rollout_state"] == "FAILED" else ""
        rows.append(
            (row["service"], row["task_definition"], row["created_at"], ended, status, row["failed_tasks"], reason)
        )
    return pd.DataFrame(rows, columns=list(COLUMNS))


def _cells(result: Result) -> Iterator[tuple[str, ...]]:
    start = facts_of(result).start
    unit = pd.Timedelta(1, unit="us")
    for row in rollouts(result).to_dict("records"):
        began, ended = ("" if pd.isna(at) else clock((at - start) // unit) for at in (row["began"], row["ended"]))
        yield (
            facts_of(result).variant,
            str(row["service"]),
            str(row["task_definition"]),
            began,
            ended,
            str(row["status"]),
            f"{row['failed_tasks']:,}",
            str(row["reason"]),
        )


def _rows(results: Iterable[Result]) -> tuple[list[str], list[tuple[str, ...]]]:
    """Return headings and rows of all variants; without the variant where there is only one."""
    rows = [cells for result in results for cells in _cells(result)]
    heads = ["variant", "service", "to", "began", "ended", "status", "failed tasks", "why"]
    if not any(row[0] for row in rows):
        return heads[1:], [row[1:] for row in rows]
    return heads, rows


def rollouts_table(results: Iterable[Result]) -> Table | None:
    """Return the table for the terminal, all variants in one; None where nothing was deployed in mid-run."""
    heads, rows = _rows(results)
    if not rows:
        return None
    table = plain_table(TITLE)
    for head in heads:
        right = head in ("began", "ended", "failed tasks")
        table.add_column(
            head, justify="right" if right else "left", overflow="fold", no_wrap=head in ("began", "ended")
        )
    for row in rows[:MOST]:
        table.add_row(*(Text(cell) for cell in row))
    if len(rows) > MOST:
        table.add_row(*[""] * (len(heads) - 1), Text(f"{len(rows) - MOST:,} more rows", style="dim"))
    return table


def rollouts_html(results: Iterable[Result]) -> str:
    """Return the table as a section of the report; empty where nothing was deployed in mid-run."""
    heads, rows = _rows(results)
    if not rows:
        return ""
    return f"<section>\n<h2>{TITLE}</h2>\n{words_html('ends', heads, rows)}\n</section>"
