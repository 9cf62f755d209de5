"""Whose requests failed, and how: one row a service, where a run has several services with requests.

A mistake of an application's own role, or an overloaded service, stops no task: it shows here only.
"""

from __future__ import annotations

from html import escape

import pandas as pd
from rich.table import Table
from rich.text import Text

from fargsim.record.result import Result
from fargsim.report.plain_table import plain_table, words_html

TITLE = "Requests that failed"
KINDS = {
    "requests_failed": "application",
    "requests_cut_502": "502",
    "requests_refused_503": "503 full",
    "requests_no_target_503": "503 no target",
    "requests_timeout_504": "504",
    "requests_client_closed_460": "460",
}
"""Columns of the table `services`, and how they are headed."""
MEANING = "application: a 5xx of its own; the others are the load balancer's answers."


def failed_requests(result: Result) -> pd.DataFrame:
    """Return the services with requests that failed, the worst first.

    Returns
    -------
    pandas.DataFrame
        Columns `service` (with its cluster before it, `cluster/service`, where there are requests in several), `requests` (arrived),
        `failed`, `share` (of those that arrived), and one for each kind of failure. Empty where fewer than two services had requests:
        then the comparison says it all.
    """
    services = result.tables["services"]
    sums = services.groupby(["cluster", "service"], sort=False)[["requests_arrived", *KINDS]].sum()
    sums = sums[sums["requests_arrived"] > 0]
    several = len({cluster for cluster, _ in sums.index}) > 1
    sums.index = pd.Index([f"{c}/{s}" if several else s for c, s in sums.index], dtype=object, name="service")
    found = sums.rename(columns={"requests_arrived": "requests", **KINDS})
    failed = found[list(KINDS.values())].sum(axis=1)
    found.insert(1, "failed", failed)
    found.insert(2, "share", failed / found["requests"])
    if len(sums) < 2:
        return found.iloc[:0].reset_index()
    return found[found["failed"] > 0].sort_values("share", ascending=False, kind="stable").reset_index()


def _cells(result: Result) -> list[list[str]]:
    return [
        [str(row["service"]), f"{row['requests']:,}", f"{row['failed']:,}", f"{row['share']:.1%}".replace("%", " %")]
        + [f"{row[kind]:,}" if row[kind] else "" for kind in KINDS.values()]
        for row in failed_requests(result).to_dict("records")
    ]


def failed_requests_table(result: Result) -> Table | None:
    """Return the table for the terminal; None where there is nothing to tell apart."""
    rows = _cells(result)
    if not rows:
        return None
    table = plain_table(TITLE, MEANING)
    table.add_column("service", overflow="fold")
    for heading in ("requests", "failed", "share", *KINDS.values()):
        table.add_column(heading, justify="right", no_wrap=True)
    for row in rows:
        table.add_row(*map(Text, row))
    return table


def failed_requests_html(result: Result) -> str:
    """Return the table as a part of the report; empty where there is nothing to tell apart."""
    rows = _cells(result)
    if not rows:
        return ""
    table = words_html("counts", ("service", "requests", "failed", "share", *KINDS.values()), rows)
    return f'<h3>{TITLE}</h3>\n{table}\n<p class="muted">{escape(MEANING)}</p>'
