"""The bill of a run, computed from its tables: line items whose sums by task, service, hour and item agree.

A line names the task it is for, or none (idle instance time, balancers, gateways). Instance time is split into used
(by reserved share) and idle. A charge by whole hours is booked in the hour it starts, the rounding up of seconds in the
hour in which a use ends. Every ``usd`` is rounded to the last bit the total can hold, so that sums agree exactly, in
any order.

Sources: https://aws.amazon.com/fargate/pricing/, https://aws.amazon.com/ecs/pricing/ (no charge for ECS itself on
Fargate and EC2), https://aws.amazon.com/elasticloadbalancing/pricing/, https://aws.amazon.com/ebs/pricing/.
"""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

from fargsim.report.cost_around import add_around
from fargsim.report.cost_commitments import apply_commitments
from fargsim.report.cost_credits import add_credits
from fargsim.report.cost_ec2 import add_ec2
from fargsim.report.cost_fargate import add_fargate
from fargsim.report.cost_ledger import COST_COLUMNS, Ledger
from fargsim.report.cost_meter import billed_seconds, capacity_units, fargate_charge
from fargsim.report.cost_network import add_network
from fargsim.report.cost_terms import (
    BillingTerms,
    LoadBalancer,
    NatGateway,
    ReservedInstances,
    SavingsPlan,
    Surroundings,
)

__all__ = [
    "COST_COLUMNS",
    "BillingTerms",
    "LoadBalancer",
    "NatGateway",
    "ReservedInstances",
    "SavingsPlan",
    "Surroundings",
    "bill",
    "billed_seconds",
    "capacity_units",
    "compute_usd",
    "fargate_charge",
    "total_usd",
    "usd_by",
]

COMPUTE_ITEMS = (
    "fargate ",
    "ec2 instance",
    "ec2 spot instance",
    "managed instances fee",
    "ec2 Windows licence",
    "cpu credits",
    "savings plan",
    "reserved instance",
)
"""How the line items of compute begin: whatever Fargate bills, EC2 instances, used or idle, with their
licences, CPU credits and the fee for managing them, and unused commitments."""

_NEEDED = {
    "tasks": (
        "task_id",
        "cluster",
        "service",
        "launch_type",
        "capacity_provider",
        "operating_system_family",
        "cpu_architecture",
        "cpu_units",
        "memory_mib",
        "ephemeral_storage_gib",
        "instance_id",
        "public_ip",
        "created_at",
        "pull_started_at",
        "pull_stopped_at",
        "started_at",
        "execution_stopped_at",
        "stopped_at",
    ),
    "instances": (
        "instance_id",
        "cluster",
        "instance_type",
        "market",
        "cpu_units",
        "memory_mib",
        "public_ip",
        "root_volume_gib",
        "launched_at",
        "running_at",
        "terminated_at",
    ),
    "cpu_credits": ("period_start_at", "instance_id", "instance_type", "charged_credits"),
    "services": (
        "period_start_at",
        "period_s",
        "cluster",
        "service",
        "load_balancer",
        "requests_arrived",
        "requests_active_mean",
    ),
    "load_balancers": ("period_start_at", "period_s", "load_balancer", "lcu_rule_evaluations"),
}


def bill(tables: Mapping[str, pd.DataFrame], terms: BillingTerms) -> pd.DataFrame:
    """Return the line items of a run, the table ``costs``.

    Parameters
    ----------
    tables
        ``tasks``, ``instances``, ``cpu_credits``, ``services`` and ``load_balancers`` of a result; one that is missing counts as empty.
    terms
        Region, prices, balancers, gateways, assumptions.

    Returns
    -------
    DataFrame
        One row an hour, item and task or instance: ``hour_at`` (the hour it is booked in), ``item``, ``cluster``,
        ``service``, ``task_id``, ``instance_id`` (None where it is nobody's), ``quantity`` in ``unit``,
        ``usd_per_unit``, ``usd``, ``price_basis``.

    Raises
    ------
    ValueError
        For a table without a column that is needed, or a task on an unknown instance.
    CatalogError
        For a price that the catalogue does not hold.
    """
    tasks, instances, credits, services, balancers = (_table(tables, name) for name in _NEEDED)
    ledger = Ledger(tasks, instances)
    if len(tasks):
        add_fargate(ledger, tasks, terms)
    if len(instances):
        add_ec2(ledger, tasks, instances, terms)
        add_credits(ledger, credits, instances, terms)
    add_network(ledger, tasks, instances, services, balancers, terms)
    add_around(ledger, tasks, services, terms)
    apply_commitments(ledger, terms)
    return ledger.table()


def _table(tables: Mapping[str, pd.DataFrame], name: str) -> pd.DataFrame:
    frame = tables.get(name)
    if frame is None or len(frame) == 0:
        return pd.DataFrame(columns=list(_NEEDED[name]))
    missing = [c for c in _NEEDED[name] if c not in frame]
    if missing:
        raise ValueError(f"the table '{name}' lacks {', '.join(missing)}, which the bill needs")
    return frame


def total_usd(costs: pd.DataFrame) -> float:
    """Return the total of a bill in USD."""
    return float(costs["usd"].sum())


def compute_usd(costs: pd.DataFrame) -> float:
    """Return what Fargate and EC2 instances cost, unused commitments included, without volumes, balancers and the like."""
    return float(costs.loc[costs["item"].str.startswith(COMPUTE_ITEMS), "usd"].sum())


def usd_by(costs: pd.DataFrame, *columns: str) -> pd.Series[float]:
    """Return the bill grouped by some columns; what is nobody's has a row of its own (NaN).

    >>> lines = pd.DataFrame({"item": ["a", "b", "a"], "service": ["web", None, None], "usd": [1.0, 2.0, 4.0]})
    >>> usd_by(lines, "item").to_dict()
    {'a': 5.0, 'b': 2.0}
    """
    return costs.groupby(list(columns), dropna=False, sort=True)["usd"].sum()
