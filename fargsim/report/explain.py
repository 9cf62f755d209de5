"""Why a task is where it is, and why it was stopped: placement decisions as a person would tell them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from fargsim.record.result import Result
from fargsim.report.explain_words import SHOWN, more, told_decisions, told_stop
from fargsim.report.facts import facts_of
from fargsim.report.story import clock

HOW_TO = "to have every step kept, write 'record: {placements: full}' into the scenario, or run it with --set record.placements=full"


Row = Mapping[str, Any]


class UnknownTask(LookupError):
    """No task, or more than one, is meant by what was asked for."""


def find_task(result: Result, *, task: str | None = None, service: str | None = None, last: bool = False) -> list[str]:
    """Return the ids of the tasks that are meant, in the order of creation.

    Parameters
    ----------
    task
        Identifier or ARN of a task, or the beginning of an identifier.
    service
        Only tasks of this service.
    last
        Only the last of them that was created.

    Raises
    ------
    UnknownTask
        If there is none, or the beginning fits several tasks; the message names some that are there.
    """
    tasks = _in_order(result)
    if service is not None:
        known = sorted(set(tasks["service"].dropna()))
        tasks = tasks[tasks["service"] == service]
        if not len(tasks):
            raise UnknownTask(f"no task of a service '{service}': services with tasks are {', '.join(known) or 'none'}")
    if task is not None:
        wanted = task.rpartition("/")[2]
        found = tasks[tasks["task_id"].str.startswith(wanted)]
        if not len(found):
            some = ", ".join(t[:8] for t in tasks["task_id"].head(SHOWN))
            raise UnknownTask(f"no task's id begins with '{wanted}': tasks are {some or 'none'}{more(len(tasks))}")
        if len(found) > 1 and wanted not in set(found["task_id"]):
            some = ", ".join(found["task_id"].head(SHOWN).str.slice(0, len(wanted) + 6))
            raise UnknownTask(f"the ids of {len(found)} tasks begin with '{wanted}': {some}{more(len(found))}")
        tasks = found if len(found) == 1 else found[found["task_id"] == wanted]
    if not len(tasks):
        raise UnknownTask("the run has no task")
    return [str(one) for one in (tasks["task_id"].tail(1) if last else tasks["task_id"])]


def explain_task(result: Result, task_id: str) -> list[str]:
    """Tell why a task is where it is and, where a service chose to stop it, why this one: lines of plain text.

    Without records in full it says what the summary knows, and how to have the steps kept.
    """
    tables = result.tables
    start = facts_of(result).start
    row = _row(result, task_id)
    steps = tables["placement_steps"]
    lines = [f"task {task_id}: {_whose(row)}, created at {_clock(row['created_at'], start)}"]
    mine = steps[(steps["task_id"] == task_id).fillna(False)]
    lines += told_decisions([rows for _, rows in mine.groupby("decision", sort=True)], lambda at: _clock(at, start))
    lines += ["", _outcome(result, row, start)]
    stops = steps[(steps["kind"] == "stop") & (steps["candidate"] == task_id)]
    if not _absent(row["stop_code"]):
        lines.append(f"stopped at {_clock(_stop_at(row), start)}: {row['stop_code']}: {row['stopped_reason']}")
    chosen = _chosen(steps, stops)
    if chosen is not None:
        lines += ["", "Why this one was stopped:"]
        for number in chosen:
            lines += told_stop(steps[steps["decision"] == number], task_id)
    if not len(mine) and not len(stops):
        lines.append(f"The steps of the placement were not recorded: {HOW_TO}.")
    return lines


def explain_service(result: Result, task_ids: Sequence[str], service: str | None) -> list[str]:
    """Tell in one line each where some tasks are, and which attempts of their service found no place."""
    start = facts_of(result).start
    lines = [f"{task_id[:8]}  {_outcome(result, _row(result, task_id), start)}" for task_id in task_ids]
    placements = result.tables["placements"]
    group = None if service is None else f"service:{service}"
    failed = placements[(placements["outcome"] == "failed") & ((placements["group"] == group) | (group is None))]
    for reason, rows in failed.groupby("reason", sort=False):
        first, last = (_clock(rows["at"].iloc[at], start) for at in (0, -1))
        when = f"at {first}" if len(rows) == 1 else f"{len(rows)} times from {first} to {last}"
        lines.append(f"no place {when}: {reason}")
    steps = result.tables["placement_steps"]
    lost = steps[steps["task_id"].isna() & (steps["kind"] == "place") & ((steps["group"] == group) | (group is None))]
    if len(lost):
        _, newest = list(lost.groupby("decision", sort=True))[-1]
        lines += [
            "",
            "The last attempt that found no place:",
            *told_decisions([newest], lambda at: _clock(at, start))[1:],
        ]
    return lines


def _in_order(result: Result) -> pd.DataFrame:
    """Return the tasks in the order of their creation; the table has them in the order of their end."""
    states = result.tables["task_states"]
    order = {task: at for at, task in enumerate(dict.fromkeys(states["task_id"]))}
    tasks = result.tables["tasks"]
    return tasks.iloc[sorted(range(len(tasks)), key=lambda at: order.get(tasks["task_id"].iloc[at], len(order)))]


def _absent(value: Any) -> bool:
    return bool(pd.isna(value))


def _row(result: Result, task_id: str) -> Row:
    tasks = result.tables["tasks"]
    row: dict[Any, Any] = tasks[tasks["task_id"] == task_id].iloc[0].to_dict()
    return row


def _clock(at: pd.Timestamp, start: pd.Timestamp) -> str:
    return clock((at - start) // pd.Timedelta(1, unit="us"))


def _whose(row: Row) -> str:
    definition = f"{row['family']}:{row['revision']}"
    if not _absent(row["service"]):
        return f"{definition} of service {row['service']}"
    return f"{definition}, standalone, group {row['group']}"


def _stop_at(row: Row) -> pd.Timestamp:
    times: list[pd.Timestamp] = [
        row[name] for name in ("stopping_at", "execution_stopped_at", "stopped_at", "created_at")
    ]
    return next(at for at in times if not _absent(at))


def _outcome(result: Result, row: Row, start: pd.Timestamp) -> str:
    """Say in one sentence where a task went."""
    if row["launch_type"] == "FARGATE":
        how = "" if _absent(row["capacity_provider"]) else f" through {row['capacity_provider']}"
        return f"put on Fargate{how} in {row['availability_zone']}, at {_clock(row['created_at'], start)}"
    if _absent(row["instance_id"]):
        if row["last_status"] == "STOPPED":
            return "found no instance: it waited in PROVISIONING until it was stopped"
        return "has found no instance: it waits in PROVISIONING"
    placements = result.tables["placements"]
    mine = placements[(placements["task_id"] == row["task_id"]) & (placements["outcome"] == "placed")]
    where = f"{row['instance_id']} in {row['availability_zone']}"
    if not len(mine):
        return f"put on {where}"
    one = mine.iloc[-1]
    return f"placed on {where} at {_clock(one['at'], start)}, out of {one['candidates']} that would do"


def _chosen(steps: pd.DataFrame, stops: pd.DataFrame) -> list[int] | None:
    """Return the decisions that led to the end of a task: the last run of stop decisions it came through to the end."""
    if not len(stops) or not bool(stops["passed"].iloc[-1]):
        return None
    at = stops["at"].iloc[-1]
    return [int(n) for n in dict.fromkeys(stops[stops["at"] == at]["decision"])]
