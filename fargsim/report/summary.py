"""The summary of a run: one number for each question, each defined in ``docs/metrics.md``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeVar

import numpy as np
import numpy.typing as npt
import pandas as pd

from fargsim.record.result import Result
from fargsim.report.cost import COMPUTE_ITEMS
from fargsim.report.facts import LATENCY_PROMISES, Facts, facts_of

Summary = dict[str, int | float | bool | None]
"""Values by summary key; ``None`` where a question does not apply (no requests, no SLO, no instances registered)."""

SUMMARY_KEYS = (
    "requests",
    "failed_requests",
    "error_rate",
    "latency_mean_ms",
    "latency_p50_ms",
    "latency_p95_ms",
    "latency_p99_ms",
    "slo_met",
    "tasks_started",
    "tasks_stopped",
    "task_hours",
    "running_tasks_mean",
    "running_tasks_max",
    "instance_hours",
    "cpu_utilization_mean",
    "memory_utilization_mean",
    "placement_failures",
    "scaling_actions",
    "cost_usd",
    "cost_compute_usd",
    "cost_per_million_requests_usd",
    "cost_reserved_usd",
    "cost_used_usd",
    "cost_idle_usd",
    "vcpu_hours_paid",
    "vcpu_hours_reserved",
    "vcpu_hours_used",
    "gib_hours_paid",
    "gib_hours_reserved",
    "gib_hours_used",
)
MESSAGE_KEYS = (
    "messages_sent",
    "messages_done",
    "messages_dead_lettered",
    "messages_left",
    "message_receives",
    "message_completion_mean_s",
    "message_completion_p50_s",
    "message_completion_p95_s",
    "message_completion_p99_s",
    "message_oldest_s",
)
"""Keys of a run with queues, behind the others."""
COUNTS = frozenset(
    {
        "requests",
        "tasks_started",
        "tasks_stopped",
        "running_tasks_max",
        "placement_failures",
        "scaling_actions",
        "messages_sent",
        "messages_done",
        "messages_dead_lettered",
        "messages_left",
        "message_receives",
    }
)
"""Keys whose values are whole numbers."""
ERRORS = (
    "requests_failed",
    "requests_refused_503",
    "requests_no_target_503",
    "requests_cut_502",
    "requests_timeout_504",
    "requests_client_closed_460",
)
"""Columns of ``services`` that count requests which ended badly."""
Ints = npt.NDArray[np.int64]
Number = TypeVar("Number", int, float)


def summarize(result: Result) -> Summary:
    """Return the summary of a run, its keys in the order of :data:`SUMMARY_KEYS`; with queues those of :data:`MESSAGE_KEYS` follow.

    Parameters
    ----------
    result
        Tables and provenance. The table ``costs`` must hold the bill for the costs to be known.

    Returns
    -------
    dict
        Counts as ``int``, ``slo_met`` as ``bool``, the rest as ``float``: latencies in milliseconds, utilisation in
        percent, ``error_rate`` as a fraction, costs in USD, ``None`` where a figure does not apply. The formulas are in
        ``docs/metrics.md``.

    Raises
    ------
    ValueError
        If the provenance does not say when the run starts and how long it is.
    """
    facts = facts_of(result)
    tables = result.tables
    services, tasks = tables["services"], tables["tasks"]
    values: Summary = {**_requests(services), **_latency(services, tables["latencies"])}
    values["slo_met"] = slo_met(values, facts.slo)
    values.update(_tasks(tasks, facts))
    instances = tables["instances"]
    hours = _hours(instances, "running_at", ("terminated_at",), facts)
    if "stopped_at" in instances:  # in a warm pool
        hours -= _hours(instances, "stopped_at", ("restarted_at", "terminated_at"), facts)
    values["instance_hours"] = hours
    values["cpu_utilization_mean"] = _cpu_utilization(tasks, facts)
    values["memory_utilization_mean"] = _memory_utilization(services)
    values["placement_failures"] = int((tables["placements"]["outcome"] == "failed").sum())
    values["scaling_actions"] = int((tables["scaling"]["desired_after"] != tables["scaling"]["desired_before"]).sum())
    values.update(_costs(tables, values))
    found = {key: values[key] for key in SUMMARY_KEYS}
    return found if tables["queues"].empty else {**found, **_messages(tables["queues"], tables["message_latencies"])}


def slo_met(summary: Mapping[str, int | float | bool | None], slo: Mapping[str, float]) -> bool | None:
    """Say whether a summary keeps a promise.

    Parameters
    ----------
    summary
        Error rate and latencies as :func:`summarize` gives them.
    slo
        Latencies in microseconds and ``error_rate``, as :class:`fargsim.report.facts.Facts` holds them.

    Returns
    -------
    bool or None
        ``None`` if nothing was promised or nothing was asked for (no request). No promise is kept if requests came
        and none was served.

    Examples
    --------
    >>> slo_met({"requests": 10, "error_rate": 0.0, "latency_p99_ms": 410.0}, {"latency_p99": 400_000.0})
    False
    """
    if not slo or not summary["requests"]:
        return None
    for promise in LATENCY_PROMISES:
        if promise in slo:
            latency_ms = summary[f"{promise}_ms"]
            if latency_ms is None or latency_ms * 1000 > slo[promise]:
                return False
    if "error_rate" in slo:
        error_rate = summary["error_rate"]
        return error_rate is not None and error_rate <= slo["error_rate"]
    return True


def latency_quantiles_ms(latencies: pd.DataFrame, shares: Sequence[float]) -> list[float | None]:
    """Return quantiles of served requests' latency from the histograms of all services together.

    The value is the middle of the bucket that holds the request of rank ``ceil(share x n)``: with the kernel's
    buckets at most 0.8 % from that request's latency.

    Parameters
    ----------
    latencies
        Rows of the table ``latencies``.
    shares
        Probabilities between 0 and 1.

    Returns
    -------
    list of float or None
        Milliseconds; ``None`` for all if the histogram is empty.
    """
    buckets = latencies.sort_values(["lower_us", "upper_us"], kind="stable")
    reached = buckets["requests"].cumsum().to_numpy(dtype=np.int64)
    if not len(reached) or not reached[-1]:
        return [None] * len(shares)
    middles_ms = (buckets["lower_us"] + buckets["upper_us"]).to_numpy(dtype=np.float64) / 2000
    # Rounded first: 0.07 x 100 is 7.000000000000001 in binary, and its ceiling the wrong request.
    ranks = [min(max(int(np.ceil(round(share * int(reached[-1]), 6))), 1), int(reached[-1])) for share in shares]
    return [float(middles_ms[np.searchsorted(reached, rank)]) for rank in ranks]


def running_spans_us(tasks: pd.DataFrame, facts: Facts) -> tuple[Ints, Ints]:
    """Return when each task that ran was in RUNNING, in microseconds since 1970.

    A task leaves RUNNING when ECS begins to stop it, when its essential container ends or at the end of the run,
    whichever comes first.

    Returns
    -------
    tuple of ndarray
        Starts and ends, one pair for every task that reached RUNNING.
    """
    return _spans_us(tasks, "started_at", ("stopping_at", "execution_stopped_at", "stopped_at"), facts)


def _requests(services: pd.DataFrame) -> Summary:
    errors = int(services[list(ERRORS)].to_numpy().sum())
    ended = errors + int(services["requests_served"].sum())
    return {
        "requests": int(services["requests_arrived"].sum()),
        "failed_requests": errors,
        "error_rate": errors / ended if ended else None,
    }


def _latency(services: pd.DataFrame, latencies: pd.DataFrame) -> Summary:
    some = services[services["requests_served"] > 0]
    served = int(some["requests_served"].sum())
    mean = float((some["latency_mean_ms"] * some["requests_served"]).sum()) / served if served else None
    p50, p95, p99 = latency_quantiles_ms(latencies, [0.5, 0.95, 0.99])
    return {"latency_mean_ms": mean, "latency_p50_ms": p50, "latency_p95_ms": p95, "latency_p99_ms": p99}


def _messages(queues: pd.DataFrame, latencies: pd.DataFrame) -> Summary:
    done = queues[queues["deleted"] > 0]
    number = int(done["deleted"].sum())
    # a dead-letter queue keeps what is moved there
    own = queues[queues["queue"].isin(queues.loc[queues["sent"] > 0, "queue"])]
    last = own.sort_values("period_start_at", kind="stable").groupby("queue").tail(1)
    times = latency_quantiles_ms(latencies.rename(columns={"messages": "requests"}), [0.5, 0.95, 0.99])
    p50, p95, p99 = (None if x is None else x / 1000 for x in times)
    values: Summary = {
        "messages_sent": int(queues["sent"].sum()),
        "messages_done": number,
        "messages_dead_lettered": int(queues["dead_lettered"].sum()),
        "messages_left": int((last["visible"] + last["in_flight"]).sum()),
        "message_receives": int(queues["received"].sum()),
        "message_completion_mean_s": float((done["completion_mean_s"] * done["deleted"]).sum()) / number
        if number
        else None,
        "message_completion_p50_s": p50,
        "message_completion_p95_s": p95,
        "message_completion_p99_s": p99,
        "message_oldest_s": float(own["oldest_age_s"].max()) if len(own) else None,
    }
    return {key: values[key] for key in MESSAGE_KEYS}


def _tasks(tasks: pd.DataFrame, facts: Facts) -> Summary:
    starts, ends = running_spans_us(tasks, facts)
    hours = int((ends - starts).sum()) / 3.6e9
    return {
        "tasks_started": int(tasks["started_at"].notna().sum()),
        "tasks_stopped": int(tasks["stopped_at"].notna().sum()),
        "task_hours": hours,
        "running_tasks_mean": hours * 3600 / facts.duration_s,
        "running_tasks_max": _most_at_once(starts, ends),
    }


def _most_at_once(starts: Ints, ends: Ints) -> int:
    """Count the most spans open together; one that ends as another starts does not overlap it."""
    if not len(starts):
        return 0
    some = starts < ends
    instants = np.concatenate([ends[some], starts[some]])
    steps = np.repeat(np.array([-1, 1]), int(some.sum()))
    order = np.argsort(instants, kind="stable")
    return int(np.cumsum(steps[order]).max(initial=0))


def _hours(frame: pd.DataFrame, start: str, stops: Sequence[str], facts: Facts) -> float:
    starts, ends = _spans_us(frame, start, stops, facts)
    return int((ends - starts).sum()) / 3.6e9


def _spans_us(frame: pd.DataFrame, start: str, stops: Sequence[str], facts: Facts) -> tuple[Ints, Ints]:
    some = frame[frame[start].notna()]
    starts = _microseconds(some[start])
    ends = np.full(len(some), int(_microseconds(pd.Series([facts.end]))[0]))
    for stop in stops:
        at = _microseconds(some[stop])
        ends = np.where(some[stop].isna(), ends, np.minimum(ends, at))
    return starts, np.maximum(ends, starts)


def _microseconds(instants: pd.Series) -> Ints:
    values: Ints = pd.DatetimeIndex(instants).as_unit("us").asi8.astype(np.int64)
    return values


def _cpu_utilization(tasks: pd.DataFrame, facts: Facts) -> float | None:
    some = tasks[tasks["started_at"].notna() & (tasks["cpu_units"] > 0)]
    starts, ends = running_spans_us(some, facts)
    reserved_core_s = float((some["cpu_units"].to_numpy(dtype=np.float64) / 1024 * (ends - starts) / 1e6).sum())
    return 100 * float(some["cpu_core_s"].sum()) / reserved_core_s if reserved_core_s else None


def _memory_utilization(services: pd.DataFrame) -> float | None:
    some = services[services["memory_utilization"].notna()]
    weight = some["running_mean"] * some["period_s"]
    total = float(weight.sum())
    return float((some["memory_utilization"] * weight).sum()) / total if total else None


def _costs(tables: Mapping[str, pd.DataFrame], values: Summary) -> Summary:
    costs = tables["costs"]
    if costs.empty and not (tables["tasks"].empty and tables["instances"].empty):
        return dict.fromkeys(SUMMARY_KEYS[SUMMARY_KEYS.index("cost_usd") :])
    total = float(costs["usd"].sum())
    compute = float(costs.loc[costs["item"].str.startswith(COMPUTE_ITEMS), "usd"].sum())
    requests = values["requests"]
    return {
        "cost_usd": total,
        "cost_compute_usd": compute,
        "cost_per_million_requests_usd": total / requests * 1e6 if requests else None,
        **_capacity(tables["capacity_use"], compute),
    }


def _capacity(use: pd.DataFrame, compute_usd: float) -> Summary:
    """Return what was paid for, reserved and used; absent where a part of it is not metered."""

    def total(column: str) -> float | None:
        values = use[column].to_numpy(dtype=np.float64, na_value=np.nan)
        return None if np.isnan(values).any() else float(values.sum())

    reserved = total("reserved_usd")
    found: Summary = {"cost_reserved_usd": reserved, "cost_used_usd": total("used_usd")}
    found["cost_idle_usd"] = None if reserved is None else compute_usd - reserved
    for unit in ("vcpu", "gib"):
        for what in ("paid", "reserved", "used"):
            found[f"{unit}_hours_{what}"] = total(f"{what}_{unit}_h")
    return found
