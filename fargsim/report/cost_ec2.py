"""EC2 instance time, split into what tasks had reserved and what stood idle; and the instances' volumes, with IOPS and throughput.

Sources: EC2 on-demand price list (billed per second with a 60-second minimum, pending not billed); EC2 User Guide,
billing-for-interrupted-spot-instances.html (nothing is charged for a Spot instance that EC2 interrupts in its first hour);
https://aws.amazon.com/ebs/pricing/ (gp3, per GB-month, billed per second with a 60-second minimum; IOPS above 3,000 and
throughput above 125 MB/s by the month).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from fargsim.catalog import Price
from fargsim.catalog.instances import instance_type
from fargsim.policy.spot import INTERRUPTED
from fargsim.report.cost_fargate import padding_us, task_end_us
from fargsim.report.cost_ledger import (
    NAT_US,
    Bools,
    Floats,
    Ints,
    Ledger,
    first_known,
    grid_of,
    instants_us,
    on_grid,
    split_hours,
)
from fargsim.report.cost_meter import HOUR_US, MIN_EC2_S
from fargsim.report.cost_terms import BillingTerms

_SHARE_BITS = 30
_FULL = 1 << _SHARE_BITS
_NEARLY_FULL = _FULL + (_FULL >> 20)
_DUST_H = 1e-9


def add_ec2(ledger: Ledger, tasks: pd.DataFrame, instances: pd.DataFrame, terms: BillingTerms) -> None:
    """Add instance time by instance, task and hour, and volumes with their IOPS and throughput by instance and hour."""
    _add_instance_time(ledger, tasks, instances, terms)
    _add_volumes(ledger, instances, terms)
    if terms.around.managed_providers:
        _add_management_fee(ledger, instances, terms)


def life_us(instances: pd.DataFrame, since: str, end_us: int) -> tuple[Ints, Ints, Bools]:
    """Return begin and end of each instance's life since some instant, and whether there is one inside the run."""
    start = instants_us(instances, since)
    never = np.full(len(instances), end_us, dtype=np.int64)
    end = np.minimum(first_known(instants_us(instances, "terminated_at"), never), end_us)
    there = (start != NAT_US) & (start < end_us)
    return start, np.maximum(end, start), there


def _add_instance_time(ledger: Ledger, tasks: pd.DataFrame, instances: pd.DataFrame, terms: BillingTerms) -> None:
    start, end, billed = life_us(instances, "running_at", terms.end_us)
    rows, low, high = start_row(billed), start[billed], end[billed]
    if "stopped_at" in instances:
        start, billed, (rows, low, high) = _around_stops(instances, start, end, billed)
    if len(rows) == 0:
        return
    pieces = split_hours(low, high)
    length = pieces.high_us - pieces.low_us
    length = length + np.where(pieces.last, padding_us(high - low, MIN_EC2_S)[pieces.row], 0)
    hours = length / HOUR_US
    grid = grid_of(float(hours.sum()))
    hours = on_grid(hours, grid)

    use = _reserved(tasks, instances, start, end, billed, terms.end_us)
    used_hours = on_grid(use.us / HOUR_US, grid)
    # both sides by one key: instance and hour
    base = int(pieces.hour.min())
    span = int(pieces.hour.max()) - base + 1
    piece_key = rows[pieces.row] * span + (pieces.hour - base)
    use_key = use.instance_row * span + (use.hour - base)
    order = np.argsort(piece_key, kind="stable")
    at = order[np.searchsorted(piece_key, use_key, sorter=order)]
    idle = hours - np.bincount(at, weights=used_hours, minlength=len(hours))
    _sweep_dust(idle, used_hours, at)

    spot = np.asarray(instances["market"] == "spot", dtype=np.bool_)
    free = spot & _taken_back_in_first_hour(instances, terms)
    windows = windows_of(instances)
    kinds = instances["instance_type"].to_numpy(dtype=object)
    piece_instance = rows[pieces.row]

    def add(name: str, price: Price, which: Bools, size: float = 1.0, kind: str | None = None) -> None:
        mine, rest = which[use.instance_row], which[piece_instance]
        ledger.add(
            f"{name} (used)",
            price,
            use.hour[mine],
            used_hours[mine] * size,
            task_row=use.task_row[mine],
            instance_row=use.instance_row[mine],
            kind=kind,
        )
        ledger.add(
            f"{name} (idle)", price, pieces.hour[rest], idle[rest] * size, instance_row=piece_instance[rest], kind=kind
        )

    for kind in sorted({str(k) for k in kinds[rows]}):
        for at_spot, for_nothing in ((False, False), (True, False), (True, True)):
            alike = (kinds == kind) & (spot == at_spot) & (free == for_nothing)
            for licensed in (False, True):
                which = alike & (windows == licensed)
                if not which[rows].any():
                    continue
                price = terms.ec2(kind, spot=at_spot)
                market = "ec2_windows" if licensed else "ec2"
                name = "ec2 spot instance" if at_spot else "ec2 instance"
                add(name, _free(price) if for_nothing else price, which, kind=None if at_spot else f"{market}:{kind}")
                if licensed:
                    vcpu, licence = _licence(kind, terms)
                    add("ec2 Windows licence", _free(licence) if for_nothing else licence, which, vcpu)


def windows_of(instances: pd.DataFrame) -> Bools:
    """Return which instances run Windows."""
    if "operating_system_family" not in instances:
        return np.zeros(len(instances), dtype=np.bool_)
    return np.asarray(instances["operating_system_family"].astype(str).str.startswith("WINDOWS"), dtype=np.bool_)


def _licence(kind: str, terms: BillingTerms) -> tuple[float, Price]:
    """Return for how many vCPUs a Windows licence is paid, and its price: every vCPU.

    The rate per vCPU is published for types of fixed performance. Burstable types pay less; here for the vCPUs of their baseline, an
    estimate.

    Source: EC2 User Guide, optimize-cpu.html.
    """
    facts, price = instance_type(kind), terms.other("ec2_windows_licence")
    if facts.credits is None:
        return float(facts.vcpu), price
    return facts.credits.credits_per_hour / 60, price.scaled(1.0, "estimated", "for the vCPUs of the baseline")


def _free(price: Price) -> Price:
    """Return the price of what belongs to a Spot instance that EC2 interrupts in its first hour."""
    return price.scaled(0.0, "documented", "EC2 User Guide, billing-for-interrupted-spot-instances.html")


def _taken_back_in_first_hour(instances: pd.DataFrame, terms: BillingTerms) -> Bools:
    """Return which Spot instances EC2 interrupted in their first hour; one that was there before the run is older than that."""
    if "status_reason" not in instances:
        return np.zeros(len(instances), dtype=np.bool_)
    running, gone = instants_us(instances, "running_at"), instants_us(instances, "terminated_at")
    taken = np.asarray((instances["status_reason"] == INTERRUPTED).fillna(False), dtype=np.bool_)
    within = (running > terms.start_us) & (gone != NAT_US) & (gone - running < HOUR_US)
    return np.asarray(taken & within, dtype=np.bool_)


def start_row(which: Bools) -> Ints:
    """Return the numbers of the rows that are meant."""
    return np.flatnonzero(which).astype(np.int64)


def _around_stops(
    instances: pd.DataFrame, start: Ints, end: Ints, billed: Bools
) -> tuple[Ints, Bools, tuple[Ints, Ints, Ints]]:
    """Leave out the time in which an instance was stopped in a warm pool: EC2 bills what is running.

    Returns
    -------
    start, billed
        Of the time in which tasks may be on it: since it was started again, if it was stopped.
    rows, low, high
        Every span that is billed, those before a stop last.

    Source: Amazon EC2 Auto Scaling User Guide, ec2-auto-scaling-warm-pools.html.
    """
    stopped, again = instants_us(instances, "stopped_at"), instants_us(instances, "restarted_at")
    before = billed & (stopped != NAT_US) & (stopped < end)
    back = before & (again != NAT_US) & (again < end)
    since = np.where(back, again, start)
    serving = billed & (~before | back)
    rows = np.concatenate([start_row(serving), start_row(before)])
    low = np.concatenate([since[serving], start[before]])
    high = np.concatenate([end[serving], stopped[before]])
    return since, serving, (rows, low, high)


def _sweep_dust(idle: Floats, used: Floats, at: Ints) -> None:
    """Give rounding dust of a full instance to its last task: used and idle still add up to the instance's time."""
    dust = (idle != 0) & (np.abs(idle) < _DUST_H)
    last = np.full(len(idle), -1, dtype=np.int64)
    last[at] = np.arange(len(at))  # the last assignment wins
    swept = np.flatnonzero(dust & (last >= 0))
    used[last[swept]] += idle[swept]
    idle[swept] = 0.0


@dataclass(frozen=True, slots=True)
class _Use:
    """Instance time by task and hour, in microseconds of the whole instance."""

    task_row: Ints
    instance_row: Ints
    hour: Ints
    us: Floats


def _reserved(tasks: pd.DataFrame, instances: pd.DataFrame, start: Ints, end: Ints, billed: Bools, end_us: int) -> _Use:
    """Return each task's part of its instance.

    The part is the larger of its cpu and memory shares of what the instance registered. Where the parts of the tasks
    on an instance add up to more than the whole (a stopping task beside its successor, or cpu that is full beside
    memory that is full), they are scaled down to the whole.
    """
    task_rows, on, begin, finish = _stays(tasks, instances, start, end, billed, end_us)
    cpu = tasks["cpu_units"].to_numpy(dtype=np.float64)[task_rows]
    memory = tasks["memory_mib"].to_numpy(dtype=np.float64)[task_rows]
    registered_cpu = instances["cpu_units"].to_numpy(dtype=np.float64)[on]
    registered_memory = instances["memory_mib"].to_numpy(dtype=np.float64)[on]
    share = np.minimum(np.maximum(cpu / registered_cpu, memory / registered_memory), 1.0)
    lost = _Oversubscription(on, begin, finish, np.rint(share * _FULL).astype(np.int64))

    pieces = split_hours(begin, finish)
    host = on[pieces.row]
    span = (pieces.high_us - pieces.low_us).astype(np.float64)
    span -= lost.until(host, pieces.high_us) - lost.until(host, pieces.low_us)
    return _Use(task_rows[pieces.row], host, pieces.hour, share[pieces.row] * span)


def _stays(
    tasks: pd.DataFrame, instances: pd.DataFrame, start: Ints, end: Ints, billed: Bools, end_us: int
) -> tuple[Ints, Ints, Ints, Ints]:
    """Return task row, instance row, begin and end of every stay of a task on a billed instance.

    A stay begins when the agent begins work on the task (``pullStartedAt``, else ``startedAt``): a task that still
    waits for an instance reserves none.
    """
    known = pd.Index(instances["instance_id"])
    on = known.get_indexer(pd.Index(tasks["instance_id"])).astype(np.int64)
    placed = np.asarray(tasks["instance_id"].notna(), dtype=np.bool_)
    if (placed & (on < 0)).any():
        lost = tasks["instance_id"][placed & (on < 0)].iloc[0]
        raise ValueError(f"a task ran on instance '{lost}', which is not in the table of instances")
    begin = first_known(instants_us(tasks, "pull_started_at"), instants_us(tasks, "started_at"))
    sits = placed & (begin != NAT_US)
    rows = np.flatnonzero(sits).astype(np.int64)
    host = on[rows]
    low = np.maximum(begin[rows], start[host])
    high = np.minimum(task_end_us(tasks, end_us)[rows], end[host])
    keep = billed[host] & (high > low)
    return rows[keep], host[keep], low[keep], high[keep]


class _Oversubscription:
    """How much instance time is lost to shares that add up to more than one, up to any instant.

    With S the sum of the shares, a task with share s uses s / max(1, S) of the instance; the integral of 1 - 1 /
    max(1, S) is kept here, which is zero as long as nothing is oversubscribed, so that the common case stays exact.
    """

    def __init__(self, on: Ints, begin: Ints, finish: Ints, share: Ints) -> None:
        if len(on) == 0:
            self._keys = np.zeros(0, dtype=np.int64)
            return
        self._origin = int(begin.min())
        self._span = int(finish.max()) - self._origin + 1
        keys = np.concatenate([self._key(on, begin), self._key(on, finish)])
        order = np.argsort(keys, kind="stable")
        self._keys = keys[order]
        # shares are integers, so that an empty instance sums to exactly zero
        total = np.cumsum(np.concatenate([share, -share])[order])
        over = np.maximum(total, _FULL) / _FULL
        self._rate = np.where(total > _NEARLY_FULL, 1 - 1 / over, 0.0)
        self._lost = np.concatenate([[0.0], np.cumsum(self._rate[:-1] * np.diff(self._keys))])

    def _key(self, on: Ints, at: Ints) -> Ints:
        return np.asarray(on * self._span + (at - self._origin), dtype=np.int64)

    def until(self, on: Ints, at: Ints) -> Floats:
        """Return the microseconds lost on an instance up to an instant, up to a constant per instance."""
        if len(on) == 0:
            return np.zeros(0)
        key = self._key(on, at)
        k = np.searchsorted(self._keys, key, side="right") - 1
        return np.asarray(self._lost[k] + self._rate[k] * (key - self._keys[k]), dtype=np.float64)


def _add_volumes(ledger: Ledger, instances: pd.DataFrame, terms: BillingTerms) -> None:
    """Add what all volumes of an instance cost together, from its launch to its end."""
    start, end, billed = life_us(instances, "launched_at", terms.end_us)
    root, more, iops, throughput = (
        instances[c].to_numpy(dtype=np.float64, na_value=0.0) if c in instances else np.zeros(len(instances))
        for c in ("root_volume_gib", "more_volumes_gib", "volume_iops_above", "volume_mib_s_above")
    )
    for item, price_item, amount in (
        ("ebs volume", "ebs_gp3_storage", root + more),
        ("ebs volume IOPS", "ebs_gp3_iops", iops),
        ("ebs volume throughput", "ebs_gp3_throughput", throughput),
    ):
        rows = np.flatnonzero(billed & (amount > 0)).astype(np.int64)
        if len(rows) == 0:
            continue
        pieces = split_hours(start[rows], end[rows])
        length = pieces.high_us - pieces.low_us
        length = length + np.where(pieces.last, padding_us(end[rows] - start[rows], MIN_EC2_S)[pieces.row], 0)
        months = length / (HOUR_US * terms.parameters.number("hours_per_month"))
        quantity = amount[rows][pieces.row] * months
        ledger.add(item, terms.other(price_item), pieces.hour, quantity, instance_row=rows[pieces.row])


def _add_management_fee(ledger: Ledger, instances: pd.DataFrame, terms: BillingTerms) -> None:
    """Add the fee of ECS Managed Instances: a share of the on-demand price, on Spot capacity too (an assumption).

    Source: https://aws.amazon.com/ecs/pricing/ (per second, at least a minute).
    """
    start, end, billed = life_us(instances, "running_at", terms.end_us)
    managed = np.asarray(instances["capacity_provider"].isin(terms.around.managed_providers), dtype=np.bool_)
    kinds = instances["instance_type"].to_numpy(dtype=object)
    for kind in sorted({str(k) for k in kinds[billed & managed]}):
        rows = np.flatnonzero(billed & managed & (kinds == kind)).astype(np.int64)
        pieces = split_hours(start[rows], end[rows])
        length = pieces.high_us - pieces.low_us
        length = length + np.where(pieces.last, padding_us(end[rows] - start[rows], MIN_EC2_S)[pieces.row], 0)
        percent = terms.parameters.number("managed_instances_fee_percent")
        price = terms.ec2(kind).scaled(percent / 100, "assumed", f"{percent:g} % of the on-demand price")
        hours = length / HOUR_US
        ledger.add("managed instances fee", price, pieces.hour, hours, instance_row=rows[pieces.row])
