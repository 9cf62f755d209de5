"""What is charged around the tasks: load balancers, NAT gateways, public IPv4 addresses.

Sources: https://aws.amazon.com/elasticloadbalancing/pricing/ (a partial hour counts as an hour; capacity units by
the largest dimension of the hour), https://aws.amazon.com/vpc/pricing/ (a partial NAT gateway hour counts as an
hour; public IPv4 addresses by the hour, billed here by the second, an assumption).
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

import numpy as np
import pandas as pd

from fargsim.report.cost_ec2 import life_us
from fargsim.report.cost_ledger import NAT_US, Bools, Floats, Ints, Ledger, first_known, instants_us, split_hours
from fargsim.report.cost_meter import GB, HOUR_S, HOUR_US, LCU, MIB, NLCU, SECOND_US, capacity_units, whole_hours
from fargsim.report.cost_terms import BillingTerms, LoadBalancer, NatGateway, to_us


def add_network(
    ledger: Ledger,
    tasks: pd.DataFrame,
    instances: pd.DataFrame,
    services: pd.DataFrame,
    balancers: pd.DataFrame,
    terms: BillingTerms,
) -> None:
    """Add load balancers, NAT gateways and public addresses."""
    for balancer in terms.load_balancers:
        _add_balancer(ledger, balancer, services, rule_units_by_hour(balancers, balancer.name, terms), terms)
    for gateway in terms.nat_gateways:
        hours = _hours_charged(gateway.created_at, gateway.deleted_at, terms)
        ledger.add("nat gateway hours", terms.other("nat_hour"), hours, np.ones(len(hours)))
    if terms.nat_gateways:
        _add_nat_data(ledger, tasks, services, terms)
    _add_addresses(ledger, tasks, instances, terms)


def _hours_charged(created_at: datetime, deleted_at: datetime | None, terms: BillingTerms) -> Ints:
    """Return the hours in which each charge of a started hour is booked: the hour it starts in."""
    start = to_us(created_at)
    end = terms.end_us if deleted_at is None else min(to_us(deleted_at), terms.end_us)
    if start >= terms.end_us:
        return np.zeros(0, dtype=np.int64)
    count = whole_hours(max(0, end - start))
    return np.asarray((start + np.arange(count, dtype=np.int64) * HOUR_US) // HOUR_US, dtype=np.int64)


def _only(services: tuple[tuple[str, str], ...]) -> tuple[str | None, str | None]:
    """Return the one service behind a balancer, to which its charges then belong; nobody's when several share it."""
    clusters = {c for c, _ in services}
    cluster = clusters.pop() if len(clusters) == 1 else None
    return cluster, services[0][1] if len(services) == 1 else None


def rule_units_by_hour(balancers: pd.DataFrame, name: str, terms: BillingTerms) -> dict[Any, float]:
    """Return the capacity units of a balancer's rule evaluations by hour (since 1970); a period belongs to the hour it starts in.

    Parameters
    ----------
    balancers
        The record table ``load_balancers``, one row a period and balancer.
    """
    of_balancer = balancers[balancers["load_balancer"] == name]
    if len(of_balancer) == 0:
        return {}
    at = instants_us(of_balancer, "period_start_at")
    rate = of_balancer["lcu_rule_evaluations"].to_numpy(dtype=np.float64, na_value=0.0)
    units = rate * of_balancer["period_s"].to_numpy(dtype=np.float64) / HOUR_S
    keep = (at >= terms.start_us) & (at < terms.end_us)
    found: dict[Any, float] = {}
    for hour, part in zip((at // HOUR_US)[keep].tolist(), units[keep].tolist(), strict=True):
        found[hour] = found.get(hour, 0.0) + part
    return found


def _add_balancer(
    ledger: Ledger, balancer: LoadBalancer, services: pd.DataFrame, by_rules: dict[Any, float], terms: BillingTerms
) -> None:
    short = "alb" if balancer.kind == "application" else "nlb"
    cluster, service = _only(balancer.services)
    hours = _hours_charged(balancer.created_at, balancer.deleted_at, terms)
    price = terms.other(f"{short}_hour")
    ledger.add("load balancer hours", price, hours, np.ones(len(hours)), cluster=cluster, service=service)

    p = terms.parameters
    unit = LCU if short == "alb" else NLCU
    traffic = traffic_by_hour(services, balancer.name, terms)
    for hour, of_hour in traffic.groupby("hour", sort=True):
        requests = float(of_hour["requests"].sum())
        new_per_s = requests * p.number("connections_per_request") / HOUR_S
        in_flight = float(of_hour["in_flight"].sum())
        units = capacity_units(
            unit,
            new_connections_per_s=new_per_s,
            # Little's law for connections that idle, and never fewer than requests in flight
            active_connections=max(new_per_s * p.number("connection_lifetime_s"), in_flight),
            gb_per_h=requests * p.number("bytes_per_request") / GB,
            requests_per_s=requests / HOUR_S,
            rules=p.number("rules_per_listener"),
        )
        # what the rules of the listeners come to, request by request, where the run has told
        units = max(units, by_rules.get(hour, 0.0))
        weight = of_hour["requests"] if requests > 0 else of_hour["in_flight"]
        for row, part in zip(of_hour.itertuples(), weight / max(float(weight.sum()), 1e-300), strict=True):
            ledger.add(
                "load balancer LCU",
                terms.other(f"{short}_lcu"),
                np.array([hour], dtype=np.int64),
                np.array([units * float(part)]),
                cluster=str(row.cluster),
                service=str(row.service),
            )


def traffic_by_hour(services: pd.DataFrame, balancer: str | None, terms: BillingTerms) -> pd.DataFrame:
    """Return requests and mean requests in flight per hour and service; a period belongs to the hour it starts in.

    Parameters
    ----------
    services
        The record table, one row a period and service.
    balancer
        Only what a service got while it was behind this balancer; None for all. What reaches a service through
        several at once is not told apart: all of it counts for the first of them.

    Returns
    -------
    DataFrame
        ``hour`` (since 1970), ``cluster``, ``service``, ``requests`` (count), ``in_flight`` (mean over the whole hour).
    """
    columns = ["hour", "cluster", "service", "requests", "in_flight"]
    if len(services) == 0:
        return pd.DataFrame(columns=columns)
    at = instants_us(services, "period_start_at")
    frame = pd.DataFrame(
        {
            "hour": at // HOUR_US,
            "cluster": services["cluster"].to_numpy(dtype=object),
            "service": services["service"].to_numpy(dtype=object),
            "requests": services["requests_arrived"].to_numpy(dtype=np.float64, na_value=0.0),
            "in_flight": services["requests_active_mean"].to_numpy(dtype=np.float64, na_value=0.0)
            * services["period_s"].to_numpy(dtype=np.float64)
            / HOUR_S,
        }
    )
    keep = (at >= terms.start_us) & (at < terms.end_us)
    if balancer is not None:
        keep &= np.asarray(services["load_balancer"] == balancer, dtype=np.bool_)
    return frame[keep].groupby(columns[:3], sort=True, as_index=False).sum()


def _add_nat_data(ledger: Ledger, tasks: pd.DataFrame, services: pd.DataFrame, terms: BillingTerms) -> None:
    price, around = terms.other("nat_data"), terms.around
    if around.nat_bytes_per_request > 0:
        traffic = traffic_by_hour(services, None, terms)
        for (cluster, service), of_service in traffic.groupby(["cluster", "service"], sort=True):
            hour = of_service["hour"].to_numpy(dtype=np.int64)
            gb = of_service["requests"].to_numpy(dtype=np.float64) * around.nat_bytes_per_request / GB
            ledger.add("nat gateway data", price, hour, gb, cluster=str(cluster), service=str(service))
    if (around.nat_bytes_per_pull > 0 or around.images_through_nat) and len(tasks):
        begun, ended = instants_us(tasks, "pull_started_at"), instants_us(tasks, "pull_stopped_at")
        pulled = (begun != NAT_US) & (ended > begun) & (begun < terms.end_us)
        rows = np.flatnonzero(pulled).astype(np.int64)
        size = np.full(len(rows), around.nat_bytes_per_pull)
        if around.images_through_nat:
            size = size + tasks["image_mib"].to_numpy(dtype=np.float64)[rows] * MIB
        ledger.add("nat gateway data", price, begun[rows] // HOUR_US, size / GB, task_row=rows)


def _add_addresses(ledger: Ledger, tasks: pd.DataFrame, instances: pd.DataFrame, terms: BillingTerms) -> None:
    price = terms.other("public_ipv4")
    if len(tasks):
        # the address comes with the network interface, which outlives the containers
        start = instants_us(tasks, "created_at")
        never = np.full(len(tasks), terms.end_us, dtype=np.int64)
        end = np.minimum(first_known(instants_us(tasks, "stopped_at"), never), terms.end_us)
        held = np.asarray(tasks["public_ip"], dtype=np.bool_) & (start != NAT_US) & (start < terms.end_us)
        rows, hour, hours = _address_hours(start, np.maximum(end, start), held, terms)
        ledger.add("public IPv4", price, hour, hours, task_row=rows)
    if len(instances):
        start, end, there = life_us(instances, "running_at", terms.end_us)
        held = np.asarray(instances["public_ip"], dtype=np.bool_) & there
        rows, hour, hours = _address_hours(start, end, held, terms)
        ledger.add("public IPv4", price, hour, hours, instance_row=rows)
    holders: list[tuple[LoadBalancer | NatGateway, tuple[str | None, str | None]]] = []
    holders += [(balancer, _only(balancer.services)) for balancer in terms.load_balancers]
    holders += [(gateway, (None, None)) for gateway in terms.nat_gateways]
    for holder, (cluster, service) in holders:
        begin = to_us(holder.created_at)
        finish = terms.end_us if holder.deleted_at is None else min(to_us(holder.deleted_at), terms.end_us)
        if begin < terms.end_us and holder.public_ipv4_addresses:
            life = (np.array([begin], dtype=np.int64), np.array([max(finish, begin)], dtype=np.int64))
            _, hour, hours = _address_hours(*life, np.array([True]), terms)
            amount = hours * holder.public_ipv4_addresses
            ledger.add("public IPv4", price, hour, amount, cluster=cluster, service=service)


def _address_hours(start: Ints, end: Ints, held: Bools, terms: BillingTerms) -> tuple[Ints, Ints, Floats]:
    """Return row, hour and address-hours; the rounding up to the billing step is booked in the last hour."""
    rows = np.flatnonzero(held).astype(np.int64)
    pieces = split_hours(start[rows], end[rows])
    step = max(1, round(terms.parameters.number("ipv4_billing_granularity_s") * SECOND_US))
    used = end[rows] - start[rows]
    padding = -(-used // step) * step - used
    length = pieces.high_us - pieces.low_us + np.where(pieces.last, padding[pieces.row], 0)
    return rows[pieces.row], pieces.hour, length / HOUR_US
