"""Paid for, reserved, used: how much of the capacity on the bill was held by running tasks, and how much of that did work.

* **paid**: what the bill charges: the size of a Fargate task times its billed seconds; what an instance registered times
  its billed seconds.
* **reserved**: the size of a task times its time in RUNNING. The rest was start-up, shut-down, minimum charge or, on
  instances, room for tasks that were not there.
* **used**: CPU time, and memory held, by the utilisation of the task's service (``MemoryUtilization``: Amazon ECS
  Developer Guide, service_utilization.html). Memory of tasks without a service is not metered.

Dollars follow: reserved dollars are a task's lines times the part of their time that it was RUNNING; used dollars are the
dollars of vCPU and of memory times the used part of each on Fargate, and on an instance the larger of the two parts,
as the bill's own split of an instance goes by the larger share.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd

from fargsim.record.frames import empty
from fargsim.record.schema import CAPACITY_USE
from fargsim.report.cost import COMPUTE_ITEMS
from fargsim.report.cost_fargate import task_end_us
from fargsim.report.cost_ledger import NAT_US, Floats, first_known, instants_us
from fargsim.report.cost_terms import BillingTerms

UNUSED = "unused commitment"
_KEYS = ["cluster", "launch_type", "instance_type", "market"]
_HOUR_US = 3.6e9


def capacity_use(tables: Mapping[str, pd.DataFrame], terms: BillingTerms) -> pd.DataFrame:
    """Return what was paid for, reserved and used, by cluster and kind of capacity: the table ``capacity_use``.

    Parameters
    ----------
    tables
        Billed tables of a run: ``tasks``, ``instances``, ``services`` and ``costs``.
    terms
        The terms of the bill.

    Returns
    -------
    DataFrame
        One row per cluster, launch type, instance type and market, and one for unused commitments, which buy nothing.
        ``paid_usd`` adds up to what compute costs.
    """
    tasks, instances, costs = tables["tasks"], tables["instances"], tables["costs"]
    lines = costs[costs["item"].str.startswith(COMPUTE_ITEMS)]
    if lines.empty:
        return empty(CAPACITY_USE)
    of_task = _task_facts(tasks, tables["services"], instances, terms)
    parts = [_fargate(lines, of_task), _ec2(lines, of_task, instances), _lost(lines)]
    frame = pd.concat([part for part in parts if not part.empty], ignore_index=True)
    columns = list(CAPACITY_USE.names)
    return frame[columns].sort_values(_KEYS, kind="stable", na_position="first").reset_index(drop=True)


def _task_facts(
    tasks: pd.DataFrame, services: pd.DataFrame, instances: pd.DataFrame, terms: BillingTerms
) -> pd.DataFrame:
    """Return, by task: what it reserved and used, and the part of its billed time that it was RUNNING."""
    end = task_end_us(tasks, terms.end_us)
    started, stopping = instants_us(tasks, "started_at"), first_known(instants_us(tasks, "stopping_at"), end)
    ran = started != NAT_US
    leaves = np.minimum(stopping, end)
    running = np.where(ran, np.maximum(leaves - started, 0), 0)
    begin = first_known(instants_us(tasks, "pull_started_at"), started)
    stays = np.where(begin != NAT_US, np.maximum(end - begin, 0), 0)
    hours = running / _HOUR_US
    vcpu = tasks["cpu_units"].to_numpy(dtype=np.float64) / 1024
    gib = tasks["memory_mib"].to_numpy(dtype=np.float64) / 1024
    return pd.DataFrame(
        {
            "task_id": tasks["task_id"].astype(object),
            "cluster": tasks["cluster"].astype(object),
            "instance_id": tasks["instance_id"].astype(object),
            "fargate": np.asarray(tasks["launch_type"] == "FARGATE", dtype=np.bool_),
            "market": np.where(tasks["capacity_provider"] == "FARGATE_SPOT", "spot", "on-demand"),
            "reserved_vcpu_h": vcpu * hours,
            "reserved_gib_h": gib * hours,
            "used_vcpu_h": tasks["cpu_core_s"].to_numpy(dtype=np.float64) / 3600,
            "used_gib_h": gib * hours * _memory_part(tasks, services),
            "running_us": running,
            "stay_us": stays,
        }
    )


def _memory_part(tasks: pd.DataFrame, services: pd.DataFrame) -> Floats:
    """Return, by task, the part of its memory that tasks of its service held on average; NaN where none is known."""
    known = services[services["memory_utilization"].notna()]
    weight = known["running_mean"] * known["period_s"]
    by = [known["cluster"].astype(object), known["service"].astype(object)]
    held = (known["memory_utilization"] * weight).groupby(by).sum()
    total = weight.groupby(by).sum()
    part = (held / total.where(total > 0) / 100).to_dict()
    pairs = zip(tasks["cluster"].astype(object), tasks["service"].astype(object), strict=True)
    return np.array(
        [part.get(pair, np.nan) if isinstance(pair[1], str) else np.nan for pair in pairs], dtype=np.float64
    )


def _memory_sum(facts: pd.DataFrame) -> float:
    """Return the memory-hours used; NaN where some of the tasks that ran are not metered."""
    ran = facts[facts["reserved_gib_h"] > 0]
    return float(ran["used_gib_h"].sum(skipna=False)) if len(ran) else 0.0


def _divided(part: float, whole: float) -> float:
    return part / whole if whole > 0 else 0.0


def _weighted(lines: pd.DataFrame, part: pd.Series) -> float:
    """Return the dollars of some lines, each times the part of its task."""
    of_line = lines["task_id"].astype(object).map(part).astype(np.float64).fillna(0.0)
    return float((lines["usd"] * of_line).sum())


def _fargate(lines: pd.DataFrame, facts: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of Fargate, by cluster and market."""
    mine = lines[lines["item"].str.startswith("fargate ")].merge(
        facts, on="task_id", how="left", suffixes=("_of_line", "")
    )
    rows = []
    for (cluster, market), of_kind in mine.groupby(["cluster", "market"], sort=True):
        cpu, memory = of_kind["item"].str.contains("vCPU"), of_kind["item"].str.contains("memory")
        held = facts[facts["fargate"] & (facts["cluster"] == cluster) & (facts["market"] == market)]
        paid_vcpu, paid_gib = (float(of_kind.loc[which, "quantity"].sum()) for which in (cpu, memory))
        billed_h = of_kind[cpu].groupby("task_id")["quantity"].sum()
        size = held.set_index("task_id")["reserved_vcpu_h"]
        part = (size / billed_h.where(billed_h > 0)).clip(upper=1.0).fillna(0.0)
        reserved_usd = _weighted(of_kind, part)
        used_vcpu, used_gib = float(held["used_vcpu_h"].sum()), _memory_sum(held)
        licence = of_kind["item"].str.contains("licence")
        rest = of_kind[~cpu & ~memory & ~licence]
        used_usd = float(of_kind.loc[cpu | licence, "usd"].sum()) * _divided(used_vcpu, paid_vcpu)
        used_usd += float(of_kind.loc[memory, "usd"].sum()) * _divided(used_gib, paid_gib)
        used_usd += _weighted(rest, part)
        rows.append(
            {
                "cluster": cluster,
                "launch_type": "FARGATE",
                "instance_type": None,
                "market": market,
                "paid_vcpu_h": paid_vcpu,
                "reserved_vcpu_h": float(held["reserved_vcpu_h"].sum()),
                "used_vcpu_h": used_vcpu,
                "paid_gib_h": paid_gib,
                "reserved_gib_h": float(held["reserved_gib_h"].sum()),
                "used_gib_h": used_gib,
                "paid_usd": float(of_kind["usd"].sum()),
                "reserved_usd": reserved_usd,
                "used_usd": used_usd,
            }
        )
    return pd.DataFrame(rows)


def _ec2(lines: pd.DataFrame, facts: pd.DataFrame, instances: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of instances, by cluster, type and market."""
    mine = lines[lines["instance_id"].notna()]
    if mine.empty:
        return pd.DataFrame()
    hosts = instances[["instance_id", "cluster", "instance_type", "market", "cpu_units", "memory_mib"]]
    hosts = hosts.astype(dict.fromkeys(("instance_id", "cluster", "instance_type", "market"), object))
    priced = mine.drop(columns="cluster").merge(hosts, on="instance_id", how="left")
    time = priced["item"].str.startswith(("ec2 instance", "ec2 spot instance"))
    task = facts.set_index("task_id")
    part = (task["running_us"] / task["stay_us"].where(task["stay_us"] > 0)).clip(upper=1.0).fillna(0.0)
    stays = facts.merge(hosts, on="instance_id", how="inner", suffixes=("_of_task", ""))
    rows = []
    for (cluster, kind, market), of_kind in priced.groupby(["cluster", "instance_type", "market"], sort=True):
        hours = of_kind[time[of_kind.index]]
        held = stays[(stays["cluster"] == cluster) & (stays["instance_type"] == kind) & (stays["market"] == market)]
        paid_vcpu = float((hours["quantity"] * hours["cpu_units"]).sum()) / 1024
        paid_gib = float((hours["quantity"] * hours["memory_mib"]).sum()) / 1024
        paid_usd = float(of_kind["usd"].sum())
        used_vcpu, used_gib = float(held["used_vcpu_h"].sum()), _memory_sum(held)
        tied = of_kind[of_kind["task_id"].notna()]
        rows.append(
            {
                "cluster": cluster,
                "launch_type": "EC2",
                "instance_type": kind,
                "market": market,
                "paid_vcpu_h": paid_vcpu,
                "reserved_vcpu_h": float(held["reserved_vcpu_h"].sum()),
                "used_vcpu_h": used_vcpu,
                "paid_gib_h": paid_gib,
                "reserved_gib_h": float(held["reserved_gib_h"].sum()),
                "used_gib_h": used_gib,
                "paid_usd": paid_usd,
                "reserved_usd": _weighted(tied, part),
                "used_usd": paid_usd * float(np.maximum(_divided(used_vcpu, paid_vcpu), _divided(used_gib, paid_gib)))
                if not np.isnan(used_gib)
                else np.nan,
            }
        )
    return pd.DataFrame(rows)


def _lost(lines: pd.DataFrame) -> pd.DataFrame:
    """Return the row of what was committed and not used."""
    lost = lines[lines["item"].str.endswith("(unused)")]
    if lost.empty:
        return pd.DataFrame()
    zero = {name: 0.0 for name in CAPACITY_USE.names if name.startswith(("paid", "reserved", "used"))}
    row = {"cluster": None, "launch_type": UNUSED, "instance_type": None, "market": None}
    return pd.DataFrame([{**row, **zero, "paid_usd": float(lost["usd"].sum())}])


__all__ = ["UNUSED", "capacity_use"]
