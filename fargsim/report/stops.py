"""Why tasks stopped that nobody wanted to stop, and why others were never launched: one row a service and reason."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from html import escape
from typing import Any

import pandas as pd
from rich.table import Table
from rich.text import Text

from fargsim.record.result import Result
from fargsim.report.facts import facts_of
from fargsim.report.plain_table import plain_table, words_html
from fargsim.report.story import clock

TITLE = "Why tasks stopped"
COLUMNS = ("service", "times", "first", "last", "reached", "stop_code", "reason")
IDENTIFIER = re.compile(r"\b(?:[0-9a-f]{32}|i-[0-9a-f]{17})\b")
CHECK_REASON = re.compile(r"\(task ([0-9a-f]{32})\) is unhealthy in .* due to \(reason (.*)\)\.$")
REFUSED = re.compile(r"was unable to (?:place (?:a task|tasks)\b|reach steady state\. Reason: No Container)")
NOT_TAKEN_ON = re.compile(r"failed to launch a task with \(error (.*)\)\.$")
UNASKED = ("TaskFailedToStart", "SpotInterruption", "TerminationNotice")
"""Stop codes of what nobody asked for, whatever the reason: what a task ran on went away, or it never ran."""
NOT_LAUNCHED = "not launched"
STARTING = ("PROVISIONING", "PENDING", "ACTIVATING")
MOST = 30
"""Rows in the terminal; in the report there are all."""
FEWEST = 5
"""Rows that a variant may have however many variants there are."""
ARN = re.compile(r"arn:aws:[a-z0-9-]+:[a-z0-9-]*:\d{12}:")
"""What is the same in every ARN of a service."""
MEANING = (
    "reached: the last state of a task before it was stopped; tasks that were stopped on purpose are left out. "
    "not launched: told once for all attempts until it is solved, as in the service's events."
)


def stops(result: Result) -> pd.DataFrame:
    """Return why tasks stopped that nobody wanted to stop.

    Counted are tasks that failed to start, whose essential container ended with another code than 0, that failed their health checks, or
    that were lost with what they ran on (Spot, an instance, a zone, maintenance); and, once each, the placements a service said it could
    not make.

    Returns
    -------
    pandas.DataFrame
        Columns `service` (or group), `times`, `first` and `last` (instants), `reached`, `stop_code`, `reason`; identifiers of tasks
        and instances are left out of reasons. Ordered by how far the tasks came, then by service.
    """
    tasks = result.tables["tasks"]
    reached = _reached(result)
    checks = _checks(result)
    ends = _ends(result)
    rows = []
    for task in tasks.to_dict("records"):
        if not _unwanted(task):
            continue
        reason = IDENTIFIER.sub("...", str(task["stopped_reason"]))
        check = checks.get(str(task["task_id"]))
        if check is not None and reason.startswith("Task failed ELB"):
            reason = f"{reason} due to (reason {check})"
        if task["stop_code"] == "EssentialContainerExited":
            said = ends.get(str(task["task_id"]))
            reason = f"{reason} (exit code {task['exit_code']}{f': {said}' if said else ''})"
        at = next(task[key] for key in ("stopping_at", "execution_stopped_at", "stopped_at") if not pd.isna(task[key]))
        who = task["group"] if pd.isna(task["service"]) else task["service"]
        rows.append((str(who), at, reached[str(task["task_id"])], str(task["stop_code"]), reason))
    rows += _refused(result)
    frame = pd.DataFrame(rows, columns=["service", "at", "reached", "stop_code", "reason"])
    if frame.empty:
        return pd.DataFrame(columns=list(COLUMNS))
    grouped = frame.groupby(["service", "reached", "stop_code", "reason"], sort=False)["at"]
    found = grouped.agg(times="size", first="min", last="max").reset_index()
    order = {state: at for at, state in enumerate((NOT_LAUNCHED, *STARTING, "RUNNING"))}
    found = found.sort_values(
        ["reached", "service", "reason"], key=lambda c: c.map(order) if c.name == "reached" else c
    )
    return found[list(COLUMNS)].reset_index(drop=True)


def _unwanted(task: dict[Any, Any]) -> bool:
    code, reason = task["stop_code"], task["stopped_reason"]
    if pd.isna(code):
        return False
    if code == "EssentialContainerExited":
        return not pd.isna(task["exit_code"]) and task["exit_code"] != 0
    return bool(code in UNASKED or str(reason).startswith("Task failed"))


def _reached(result: Result) -> dict[str, str]:
    """Return the last state of each task on its way up."""
    states = result.tables["task_states"]
    up = states[states["last_status"].isin([*STARTING, "RUNNING"])]
    return {str(task): str(state) for task, state in zip(up["task_id"], up["last_status"], strict=True)}


def _checks(result: Result) -> dict[str, str]:
    """Return what the balancer said of each task whose checks failed."""
    found = (CHECK_REASON.search(str(message)) for message in result.tables["events"]["message"])
    return {one.group(1): one.group(2) for one in found if one is not None}


def _ends(result: Result) -> dict[str, str]:
    """Return why a container ended that took its task with it, as far as ECS or the container's log says so."""
    containers = result.tables["containers"]
    failed = containers[containers["essential"] & (containers["exit_code"].fillna(0) != 0)]
    found: dict[str, str] = {}
    for task, reason, words in zip(failed["task_id"], failed["reason"], failed["last_words"], strict=True):
        said = words if pd.isna(reason) else reason
        if not pd.isna(said):
            found.setdefault(str(task), str(said))
    return found


def _refused(result: Result) -> Iterator[tuple[str, Any, str, str, str]]:
    events = result.tables["events"]
    names = ("SERVICE_TASK_PLACEMENT_FAILURE", "SERVICE_TASK_CONFIGURATION_FAILURE")
    said = events[events["event_name"].isin(names)]
    for at, service, name, message in zip(
        said["at"], said["service"], said["event_name"], said["message"], strict=True
    ):
        text = IDENTIFIER.sub("...", str(message).partition(") ")[2])
        role = NOT_TAKEN_ON.match(text)
        if role is not None:
            yield str(service), at, NOT_LAUNCHED, "", role.group(1)
        elif name == names[0] and REFUSED.match(text):
            yield str(service), at, NOT_LAUNCHED, "", text.partition("Reason: ")[2] or text


def _cells(result: Result) -> list[tuple[str, ...]]:
    start = facts_of(result).start
    unit = pd.Timedelta(1, unit="us")
    found: list[tuple[str, ...]] = []
    for row in stops(result).to_dict("records"):
        first, last = (clock((row[key] - start) // unit) for key in ("first", "last"))
        found.append((row["service"], str(row["times"]), first, last, row["reached"], row["stop_code"], row["reason"]))
    return found


def stops_table(results: Sequence[Result]) -> Table | None:
    """Return the table for the terminal, of all variants together; None where nothing stopped unwanted.

    Parameters
    ----------
    results
        One run of each variant. ARNs are shortened where there are several.
    """
    rows = [(facts_of(result).variant, _cells(result)) for result in results]
    number = sum(len(of_variant) for _, of_variant in rows)
    if not number:
        return None
    each = _rows_each([len(of_variant) for _, of_variant in rows])
    found = [(variant, row) for variant, of_variant in rows for row in of_variant[:each]]
    several = len(results) > 1
    table = plain_table(TITLE, MEANING)
    if several:
        table.add_column("variant", overflow="fold")
    table.add_column("service", overflow="fold")
    table.add_column("times", justify="right", no_wrap=True)
    table.add_column("last", justify="right", no_wrap=True)
    table.add_column("reached", no_wrap=True)
    table.add_column("why", overflow="fold")
    for variant, (service, times, _, last, reached, code, reason) in found:
        why = Text()
        if code:
            why.append(f"{code}  ", style="yellow")
        why.append(ARN.sub("arn:...:", reason) if several else reason)
        cells = (Text(service), Text(times), Text(last), Text(reached), why)
        table.add_row(*((Text(variant), *cells) if several else cells))
    if number > len(found):
        table.add_row(*[""] * (len(table.columns) - 1), Text(f"{number - len(found):,} more rows", style="dim"))
    return table


def _rows_each(numbers: Sequence[int]) -> int:
    """Return how many rows a variant may have at most, so that all have their share of the room.

    >>> _rows_each([40]), _rows_each([16, 16]), _rows_each([40, 2, 3]), _rows_each([40] * 10)
    (30, 15, 25, 5)
    """
    return max(FEWEST, *(n for n in range(MOST + 1) if sum(min(n, number) for number in numbers) <= MOST))


def stops_html(result: Result) -> str:
    """Return the table as a part of the report; empty where nothing stopped unwanted."""
    rows = _cells(result)
    if not rows:
        return ""
    table = words_html("words", (name.replace("_", " ") for name in COLUMNS), rows)
    return f'<h3>{TITLE}</h3>\n{table}\n<p class="muted">{escape(MEANING)}</p>'
