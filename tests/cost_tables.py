"""Record tables for tests of the bill, with defaults for the columns a test does not care about."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pandas as pd

from fargsim.report.cost import BillingTerms

START = datetime(2026, 3, 2, tzinfo=UTC)
TASK_INSTANTS = (
    "created_at",
    "pull_started_at",
    "pull_stopped_at",
    "started_at",
    "stopping_at",
    "execution_stopped_at",
    "stopped_at",
)
INSTANCE_INSTANTS = ("launched_at", "running_at", "stopped_at", "restarted_at", "registered_at", "terminated_at")


def at(seconds: float) -> datetime:
    return START + timedelta(microseconds=round(seconds * 1e6))


def task(task_id: str = "t1", begin: float | None = 0.0, end: float | None = None, **columns: Any) -> dict[str, Any]:
    """A task that begins its pull at ``begin`` and ends at ``end`` (None: alive); instants in seconds of the run."""
    row: dict[str, Any] = {
        "task_id": task_id,
        "cluster": "default",
        "service": "web",
        "group": "service:web",
        "family": "web",
        "revision": 1,
        "launch_type": "FARGATE",
        "capacity_provider": None,
        "operating_system_family": "LINUX",
        "cpu_architecture": "X86_64",
        "cpu_units": 1024,
        "memory_mib": 2048,
        "ephemeral_storage_gib": 20,
        "availability_zone": "us-east-1a",
        "instance_id": None,
        "public_ip": False,
        "created_at": begin,
        "pull_started_at": begin,
        "pull_stopped_at": begin,
        "started_at": begin,
        "stopping_at": end,
        "execution_stopped_at": end,
        "stopped_at": end,
        "last_status": "RUNNING" if end is None else "STOPPED",
    }
    return row | columns


def instance(instance_id: str = "i-1", begin: float = 0.0, end: float | None = None, **columns: Any) -> dict[str, Any]:
    row: dict[str, Any] = {
        "instance_id": instance_id,
        "cluster": "default",
        "auto_scaling_group": None,
        "capacity_provider": None,
        "instance_type": "m5.large",
        "availability_zone": "us-east-1a",
        "market": "on-demand",
        "cpu_units": 2048,
        "memory_mib": 8192,
        "public_ip": False,
        "root_volume_gib": 0,
        "launched_at": begin,
        "running_at": begin,
        "registered_at": begin,
        "terminated_at": end,
    }
    return row | columns


def period(begin: float, requests: float, **columns: Any) -> dict[str, Any]:
    row: dict[str, Any] = {
        "period_start_at": begin,
        "period_s": 60.0,
        "cluster": "default",
        "service": "web",
        "load_balancer": "lb",
        "requests_arrived": requests,
        "requests_active_mean": 0.0,
    }
    return row | columns


def _frame(rows: list[dict[str, Any]], instants: tuple[str, ...]) -> pd.DataFrame:
    frame = pd.DataFrame(rows)
    for column in instants:
        if column in frame:
            values = [
                None if v is None else at(v) for v in frame[column].astype(object).where(frame[column].notna(), None)
            ]
            frame[column] = pd.DatetimeIndex(pd.to_datetime(pd.Series(values, dtype=object), utc=True)).as_unit("us")
    return frame


def tables(
    tasks: list[dict[str, Any]] | None = None,
    instances: list[dict[str, Any]] | None = None,
    services: list[dict[str, Any]] | None = None,
) -> dict[str, pd.DataFrame]:
    return {
        "tasks": _frame(tasks or [], TASK_INSTANTS),
        "instances": _frame(instances or [], INSTANCE_INSTANTS),
        "services": _frame(services or [], ("period_start_at",)),
    }


def terms(hours: float = 24.0, **columns: Any) -> BillingTerms:
    return BillingTerms(**({"region": "us-east-1", "start_at": START, "end_at": at(hours * 3600)} | columns))
