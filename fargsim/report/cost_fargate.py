"""Fargate usage by task and hour.

Source: https://aws.amazon.com/fargate/pricing/: from the start of the image pull until the task terminates, rounded
up to the next second, at least one minute (Windows: five); requested vCPU, memory, Windows licence, ephemeral
storage above 20 GB.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from fargsim.report.cost_ledger import NAT_US, Bools, Floats, Ints, Ledger, first_known, instants_us, split_hours
from fargsim.report.cost_meter import FREE_STORAGE_GB, HOUR_US, MIN_LINUX_S, MIN_WINDOWS_S, SECOND_US
from fargsim.report.cost_terms import BillingTerms


def task_end_us(tasks: pd.DataFrame, end_us: int) -> Ints:
    """Return when each task stopped using anything: its containers' end, else its stop, else the end of the run."""
    never = np.full(len(tasks), end_us, dtype=np.int64)
    ended = first_known(instants_us(tasks, "execution_stopped_at"), instants_us(tasks, "stopped_at"), never)
    return np.minimum(ended, end_us)


def add_fargate(ledger: Ledger, tasks: pd.DataFrame, terms: BillingTerms) -> None:
    """Add what the Fargate tasks cost, by task and hour; the rounding up is booked in the hour in which a task ends."""
    start = instants_us(tasks, "pull_started_at")
    billed = np.asarray(tasks["launch_type"] == "FARGATE") & (start != NAT_US) & (start < terms.end_us)
    rows = np.flatnonzero(billed).astype(np.int64)
    if len(rows) == 0:
        return
    used = tasks.iloc[rows]
    start = start[rows]
    end = np.maximum(task_end_us(used, terms.end_us), start)
    family = used["operating_system_family"].astype(str).str.upper()
    windows = np.asarray(family.str.startswith("WINDOWS"), dtype=np.bool_)
    pieces = split_hours(start, end)
    length = (pieces.high_us - pieces.low_us).astype(np.int64)
    length += np.where(
        pieces.last, padding_us(end - start, np.where(windows, MIN_WINDOWS_S, MIN_LINUX_S))[pieces.row], 0
    )
    hours = length / HOUR_US

    vcpu = used["cpu_units"].to_numpy(dtype=np.float64) / 1024
    memory_gb = used["memory_mib"].to_numpy(dtype=np.float64) / 1024
    storage = used["ephemeral_storage_gib"].to_numpy(dtype=np.float64, na_value=FREE_STORAGE_GB)
    extra_gb = np.maximum(storage - FREE_STORAGE_GB, 0.0)
    spot = np.asarray(used["capacity_provider"] == "FARGATE_SPOT", dtype=np.bool_)
    arm = np.asarray(used["cpu_architecture"] == "ARM64", dtype=np.bool_)

    def add(item: str, price_item: str, which: Bools, amount: Floats, *, at_spot: bool = False) -> None:
        chosen = (which & (amount > 0))[pieces.row]
        if chosen.any():
            row = pieces.row[chosen]
            price = terms.fargate(price_item, spot=at_spot)
            kind = None if at_spot else f"fargate:{price_item}"
            ledger.add(item, price, pieces.hour[chosen], hours[chosen] * amount[row], task_row=rows[row], kind=kind)

    for architecture, which in (("x86", ~arm & ~windows), ("arm64", arm & ~windows)):
        for name, amount in (("vCPU", vcpu), ("memory", memory_gb)):
            price_item = f"{architecture}_{name.lower()}"
            add(f"fargate {name}", price_item, which & ~spot, amount)
            add(f"fargate spot {name}", price_item, which & spot, amount, at_spot=True)
    add("fargate vCPU", "windows_vcpu", windows, vcpu)
    add("fargate memory", "windows_memory", windows, memory_gb)
    add("fargate Windows licence", "windows_os", windows, vcpu)
    add("fargate ephemeral storage", "storage", np.ones(len(rows), dtype=np.bool_), extra_gb)


def padding_us(used_us: Ints, least_s: Ints | int) -> Ints:
    """Return what the rounding up to whole seconds and the minimum charge add to each run, in microseconds."""
    seconds = np.maximum(-(-used_us // SECOND_US), least_s)
    return np.asarray(seconds * SECOND_US - used_us, dtype=np.int64)
