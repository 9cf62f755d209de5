"""A run told in order: what happened to which task and service, one line each, for the terminal."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd
from rich.table import Table
from rich.text import Text

from fargsim.record.result import Result
from fargsim.report.facts import facts_of


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a story.

    Parameters
    ----------
    at_us
        Microseconds since the start of the run.
    subject
        Whom it concerns, for example ``task 1a2b`` or ``service web``.
    event
        What happened: a change of state, or a word for it.
    detail
        Why, or what it means; may be empty.
    """

    at_us: int
    subject: str
    event: str
    detail: str

    def __str__(self) -> str:
        """Return the line as plain text.

        >>> str(Line(13_200_000, "task 1a2b", "PROVISIONING -> PENDING", "network interface attached"))
        '+0:00:13.2  task 1a2b  PROVISIONING -> PENDING  network interface attached'
        """
        return "  ".join(part for part in (clock(self.at_us), self.subject, self.event, self.detail) if part)


def clock(at_us: int) -> str:
    """Write a time since the start, rounded down to a tenth of a second.

    >>> clock(13_299_999), clock(90_061_000_000)
    ('+0:00:13.2', '+25:01:01.0')
    """
    tenths = at_us // 100_000
    return f"+{tenths // 36_000}:{tenths // 600 % 60:02d}:{tenths // 10 % 60:02d}.{tenths % 10}"


def story(result: Result) -> list[Line]:
    """Tell a run: deployments and their stages, scaling, instances, every state of every task, and the service events in ECS's words.

    Lines are in the order of time. What shares an instant is told causes first: decisions, instances, tasks, then
    the events that report them; within one table, in the order in which it was recorded.

    Parameters
    ----------
    result
        One run, best a small one: a task has about nine lines.
    """
    start = facts_of(result).start
    lines: list[tuple[int, int, int, Line]] = []
    for rank, teller in enumerate(TELLERS):
        for number, (at, subject, event, detail) in enumerate(teller(result.tables)):
            at_us = (at - start) // pd.Timedelta(1, unit="us")
            lines.append((at_us, rank, number, Line(at_us, subject, event, detail)))
    return [line for _, _, _, line in sorted(lines, key=lambda told: told[:3])]


def story_table(result: Result, most: int = 400) -> Table:
    """Return the story as a table for the terminal.

    Parameters
    ----------
    result
        One run.
    most
        Most lines; a last line says how many were left out.
    """
    lines = story(result)
    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(justify="right", no_wrap=True, style="dim")
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for line in lines[:most]:
        said = Text()
        said.append(line.event, style=_style(line.event))
        said.append(("  " if line.event and line.detail else "") + line.detail)
        table.add_row(Text(clock(line.at_us)), Text(line.subject), said)
    if len(lines) > most:
        table.add_row(Text(""), Text("..."), Text(f"{len(lines) - most:,} more lines", style="dim"))
    return table


def _style(event: str) -> str:
    state = event.rpartition(" -> ")[2]
    if state in ("RUNNING", "HEALTHY", "COMPLETED"):
        return "green"
    if state in ("STOPPED", "FAILED") or event.startswith(("ERROR", "not placed")):
        return "red"
    return "yellow" if state in ("DEACTIVATING", "STOPPING", "DEPROVISIONING") or event.startswith("WARN") else "cyan"


TASK_ID = re.compile(r"\b[0-9a-f]{32}\b")
"""A task's identifier in a message; the story shortens it as it does elsewhere."""

Told = Iterator[tuple[pd.Timestamp, str, str, str]]
Tables = Mapping[str, pd.DataFrame]
Row = Mapping[str, Any]


def _rows(frame: pd.DataFrame) -> Iterator[Row]:
    """Yield rows as dictionaries, ``None`` where a value is absent."""
    names = [str(name) for name in frame.columns]
    for values in frame.itertuples(index=False, name=None):
        yield {name: None if pd.isna(value) else value for name, value in zip(names, values, strict=True)}


def _deployments(tables: Tables) -> Told:
    for row in _rows(tables["deployments"]):
        subject = f"service {row['service']}"
        yield row["created_at"], subject, "deployment IN_PROGRESS", str(row["task_definition"])
        if row["completed_at"] is not None:
            reason = row["rollout_reason"] or row["task_definition"]
            yield row["completed_at"], subject, f"deployment IN_PROGRESS -> {row['rollout_state']}", str(reason)


def _stages(tables: Tables) -> Told:
    for row in _rows(tables["deployment_stages"]):
        step = "" if row["step"] is None else f" (step {row['step']})"
        share = f"{row['task_definition']} has {row['production_percent']:g} % of production traffic"
        yield row["began_at"], f"service {row['service']}", f"stage {row['stage']}{step}", share
        if row["ended_at"] is not None and row["result"] != "SUCCEEDED":
            reason = str(row["reason"] or "")
            yield row["ended_at"], f"service {row['service']}", f"stage {row['stage']}{step} -> {row['result']}", reason


def _alarms(tables: Tables) -> Told:
    for row in _rows(tables["alarms"]):
        yield row["at"], f"alarm {row['alarm']}", f"{row['state_before']} -> {row['state_after']}", str(row["reason"])


def _scaling(tables: Tables) -> Told:
    for row in _rows(tables["scaling"]):
        before, after = row["desired_before"], row["desired_after"]
        if before != after:
            subject = str(row["resource_id"]).replace("service/", "service ", 1)
            yield row["at"], subject, f"desired count {before} -> {after}", str(row["reason"])


def _instances(tables: Tables) -> Told:
    for row in _rows(tables["instances"]):
        subject = f"instance {row['instance_id']}"
        kind = f"{row['instance_type']} ({row['market']}) in {row['availability_zone']}"
        yield row["launched_at"], subject, "launched", kind
        for column, event, detail in (
            ("running_at", "running", "billed from here"),
            ("registered_at", "registered", f"{row['cpu_units']:,} CPU units, {row['memory_mib']:,} MiB"),
            ("draining_at", "DRAINING", row["status_reason"] or ""),
            ("terminated_at", "terminated", row["status_reason"] or ""),
        ):
            if row[column] is not None:
                yield row[column], subject, event, str(detail)


def _failures(tables: Tables) -> Told:
    placements = tables["placements"]
    for row in _rows(placements[placements["outcome"] == "failed"]):
        yield row["at"], str(row["group"]).replace(":", " ", 1), "not placed", str(row["reason"] or "")


def _tasks(tables: Tables) -> Told:
    facts = {str(row["task_id"]): row for row in _rows(tables["tasks"])}
    names = short_names(list(facts))
    before: dict[str, str] = {}
    for row in _rows(tables["task_states"]):
        task_id, state = str(row["task_id"]), str(row["last_status"])
        task = facts.get(task_id)
        event = f"{before[task_id]} -> {state}" if task_id in before else state
        before[task_id] = state
        detail = MEANINGS[state](task) if task is not None and state in MEANINGS else ""
        yield row["at"], f"task {names.get(task_id, task_id[:8])}", event, detail


def _health(tables: Tables) -> Told:
    tasks = tables["tasks"]
    names = short_names([str(task_id) for task_id in tasks["task_id"]])
    # A service without a health check counts its tasks as healthy as soon as they run: nothing to tell.
    told = tasks[tasks["healthy_at"].notna() & (tasks["healthy_at"] != tasks["started_at"])]
    for row in _rows(told.sort_values("healthy_at", kind="stable")):
        yield row["healthy_at"], f"task {names[str(row['task_id'])]}", "HEALTHY", "its service counts it as healthy"


def _events(tables: Tables) -> Told:
    names = short_names([str(task_id) for task_id in tables["tasks"]["task_id"]])
    for row in _rows(tables["events"]):
        level = "" if row["event_type"] == "INFO" else str(row["event_type"])
        subject = f"service {row['service']}" if row["service"] else f"cluster {row['cluster']}"
        message = TASK_ID.sub(lambda found: names.get(found[0], found[0]), str(row["message"]))
        yield row["at"], subject, level, message.removeprefix(f"({subject}) ")


TELLERS: tuple[Callable[[Tables], Told], ...] = (
    _deployments,
    _stages,
    _alarms,
    _scaling,
    _instances,
    _failures,
    _tasks,
    _health,
    _events,
)
"""Who tells what, in the order in which things that share an instant are told."""


def short_names(task_ids: list[str]) -> dict[str, str]:
    """Shorten identifiers to the shortest prefix, of four characters or more, that tells all of them apart.

    >>> short_names(["1a2b3c4d5e", "1a2b9f8e7d", "77aa00bb11"])
    {'1a2b3c4d5e': '1a2b3', '1a2b9f8e7d': '1a2b9', '77aa00bb11': '77aa0'}
    """
    longest = max((len(task_id) for task_id in task_ids), default=4)
    for length in range(4, longest):
        if len({task_id[:length] for task_id in task_ids}) == len(set(task_ids)):
            return {task_id: task_id[:length] for task_id in task_ids}
    return {task_id: task_id for task_id in task_ids}


def _provisioning(task: Row) -> str:
    size = f"{task['cpu_units'] / 1024:g} vCPU, {task['memory_mib']:,} MiB"
    return f"{task['family']}:{task['revision']} on {task['launch_type']}, {size}"


def _pending(task: Row) -> str:
    place = " ".join(str(part) for part in (task["instance_id"], task["availability_zone"]) if part)
    attached = "network interface attached" if task["connectivity_at"] is not None else "placed"
    return f"{attached} in {place}" if place else attached


def _activating(task: Row) -> str:
    if task["image_cached"]:
        return "image already on the instance"
    return f"pulling {task['image_mib']:,.0f} MiB of image"


def _running(task: Row) -> str:
    return f"container started, {(task['started_at'] - task['created_at']).total_seconds():.1f} s after creation"


def _stopping(task: Row) -> str:
    return "SIGTERM" if task["execution_stopped_at"] is None or task["stop_code"] != "EssentialContainerExited" else ""


def _stopped(task: Row) -> str:
    code = "" if task["exit_code"] is None else f"exit code {task['exit_code']}"
    return ", ".join(str(part) for part in (task["stop_code"], task["stopped_reason"], code) if part)


MEANINGS: dict[str, Callable[[Row], str]] = {
    "PROVISIONING": _provisioning,
    "PENDING": _pending,
    "ACTIVATING": _activating,
    "RUNNING": _running,
    "DEACTIVATING": lambda task: "leaves its load balancer, if it has one",
    "STOPPING": _stopping,
    "DEPROVISIONING": lambda task: "network interface detached",
    "STOPPED": _stopped,
}
"""What it means to enter a state. Source: Amazon ECS Developer Guide, task-lifecycle-explanation.html."""
