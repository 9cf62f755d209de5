"""What traffic, logs, images and metrics cost: egress, traffic between zones, endpoints, ECR, CloudWatch.

All of it only where the scenario gives the bytes or switches the metrics on. Metrics are charged by the hour in which
they are sent, a metric-month being ``hours_per_month`` of them.

Sources: https://aws.amazon.com/ec2/pricing/on-demand/ (data transfer: the first 100 GB of a month are free, then steps of
10, 40 and 100 TB), https://aws.amazon.com/privatelink/pricing/, https://aws.amazon.com/ecr/pricing/,
https://aws.amazon.com/cloudwatch/pricing/, Amazon ECS Developer Guide, cloudwatch-container-insights.html.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pandas as pd

from fargsim.catalog import Price
from fargsim.report.cost_fargate import task_end_us
from fargsim.report.cost_ledger import NAT_US, Floats, Ints, Ledger, instants_us, split_hours
from fargsim.report.cost_meter import GB, HOUR_US
from fargsim.report.cost_network import traffic_by_hour
from fargsim.report.cost_terms import BillingTerms

FREE_EGRESS_GB = 100.0
TB_GB = 1024.0
EGRESS_STEPS = (
    (10 * TB_GB, "egress_first_10tb"),
    (40 * TB_GB, "egress_next_40tb"),
    (100 * TB_GB, "egress_next_100tb"),
    (np.inf, "egress_over_150tb"),
)
FIRST_METRICS = 10_000
"""Custom metrics at the first price; those beyond are cheaper."""


def add_around(ledger: Ledger, tasks: pd.DataFrame, services: pd.DataFrame, terms: BillingTerms) -> None:
    """Add what is charged for traffic, logs, images and metrics."""
    _add_traffic(ledger, services, terms)
    _add_logs(ledger, tasks, services, terms)
    _add_kept(ledger, terms)
    _add_metrics(ledger, tasks, services, terms)


def run_hours(terms: BillingTerms) -> tuple[Ints, Floats]:
    """Return the hours of a run, since 1970, and how much of each lies inside it."""
    pieces = split_hours(np.array([terms.start_us]), np.array([terms.end_us]))
    return pieces.hour, np.asarray((pieces.high_us - pieces.low_us) / HOUR_US, dtype=np.float64)


def _by_service(services: pd.DataFrame, terms: BillingTerms) -> Iterator[tuple[str, str, Ints, Floats]]:
    """Yield the requests of each service by hour: cluster, service, hours, requests."""
    traffic = traffic_by_hour(services, None, terms)
    for (cluster, service), rows in traffic.groupby(["cluster", "service"], sort=True):
        requests = rows["requests"].to_numpy(dtype=np.float64)
        yield str(cluster), str(service), rows["hour"].to_numpy(dtype=np.int64), requests


def _add_traffic(ledger: Ledger, services: pd.DataFrame, terms: BillingTerms) -> None:
    around = terms.around
    if around.interface_endpoints:
        hours, _ = run_hours(terms)
        amount = np.full(len(hours), float(around.interface_endpoints))
        ledger.add("interface endpoint hours", terms.other("endpoint_hour"), hours, amount)
    per_request = (
        ("interface endpoint data", "endpoint_data", around.endpoint_bytes_per_request),
        # both directions are charged
        ("traffic between zones", "cross_az", 2 * around.cross_zone_bytes_per_request),
    )
    for item, price, size in per_request:
        if size > 0:
            for cluster, service, hour, requests in _by_service(services, terms):
                gb = requests * size / GB
                ledger.add(item, terms.other(price), hour, gb, cluster=cluster, service=service)
    if around.egress_bytes_per_request > 0:
        _add_egress(ledger, services, terms)


def _add_egress(ledger: Ledger, services: pd.DataFrame, terms: BillingTerms) -> None:
    """Add traffic to the internet by the steps of the month; the services of an hour share its steps by their bytes."""
    hours, _ = run_hours(terms)
    sent = [
        (cluster, service, hour, requests * terms.around.egress_bytes_per_request / GB)
        for cluster, service, hour, requests in _by_service(services, terms)
    ]
    total = np.zeros(len(hours))
    for _, _, hour, gb in sent:
        total[hour - hours[0]] += gb
    shares = step_shares(hours, total, terms.around.egress_before_bytes / GB)
    prices = [replace(terms.other(EGRESS_STEPS[0][1]), value=0.0, basis="documented")]
    prices += [terms.other(name) for _, name in EGRESS_STEPS]
    for cluster, service, hour, gb in sent:
        for price, share in zip(prices, shares, strict=True):
            ledger.add("internet egress", price, hour, gb * share[hour - hours[0]], cluster=cluster, service=service)


def step_shares(hours: Ints, gb: Floats, before_gb: float) -> Floats:
    """Return how each hour's egress falls on the free GB and the four steps of its month.

    Parameters
    ----------
    hours
        Hours since 1970, in order.
    gb
        What is sent in each.
    before_gb
        What was sent before, in the month of the first hour; every month (UTC) begins anew.

    Returns
    -------
    ndarray
        Shares by step and hour, adding up to one.

    >>> hour = 24 * 365 * 50
    >>> step_shares(np.array([hour, hour + 1]), np.array([80.0, 40.0]), 0.0)[:2].round(3).tolist()
    [[1.0, 0.5], [0.0, 0.5]]
    """
    month = pd.DatetimeIndex(pd.to_datetime(hours * 3600, unit="s", utc=True))
    number = (month.year * 12 + month.month).to_numpy(dtype=np.int64)
    until = np.cumsum(gb)
    # what earlier months sent does not count
    first_of_month = np.searchsorted(number, number)
    start = (until - gb)[first_of_month]
    before = np.where(number == number[0], before_gb, 0.0)
    high = until - start + before
    low = high - gb
    edges = np.concatenate([[0.0, FREE_EGRESS_GB], FREE_EGRESS_GB + np.cumsum([size for size, _ in EGRESS_STEPS])])
    within = [np.clip(high, a, b) - np.clip(low, a, b) for a, b in pairwise(edges.tolist())]
    with np.errstate(invalid="ignore", divide="ignore"):
        shares = np.where(gb > 0, np.array(within) / gb, 0.0)
    # what rounding leaves belongs to the largest part
    shares[np.argmax(shares, axis=0), np.arange(len(gb))] += np.where(gb > 0, 1.0 - shares.sum(axis=0), 0.0)
    return np.asarray(shares, dtype=np.float64)


def _running(tasks: pd.DataFrame, terms: BillingTerms) -> tuple[Ints, Ints, Floats]:
    """Return task row, hour and the part of the hour in which each task's containers ran."""
    none = np.zeros(0, dtype=np.int64)
    if len(tasks) == 0:
        return none, none, np.zeros(0)
    start, end = instants_us(tasks, "started_at"), task_end_us(tasks, terms.end_us)
    rows = np.flatnonzero((start != NAT_US) & (start < end)).astype(np.int64)
    pieces = split_hours(start[rows], end[rows])
    return rows[pieces.row], pieces.hour, np.asarray((pieces.high_us - pieces.low_us) / HOUR_US, dtype=np.float64)


def _add_logs(ledger: Ledger, tasks: pd.DataFrame, services: pd.DataFrame, terms: BillingTerms) -> None:
    around = terms.around
    if around.log_bytes_per_request > 0:
        for cluster, service, hour, requests in _by_service(services, terms):
            gb = requests * around.log_bytes_per_request / GB
            ledger.add("logs ingested", terms.other("logs_ingest"), hour, gb, cluster=cluster, service=service)
    if around.log_bytes_per_task_h > 0:
        row, hour, part = _running(tasks, terms)
        gb = part * around.log_bytes_per_task_h / GB
        ledger.add("logs ingested", terms.other("logs_ingest"), hour, gb, task_row=row)


def _add_kept(ledger: Ledger, terms: BillingTerms) -> None:
    hours, part = run_hours(terms)
    months = part / terms.parameters.number("hours_per_month")
    for item, price, size in (
        ("logs kept", "logs_storage", terms.around.log_storage_bytes),
        ("ecr storage", "ecr_storage", terms.around.ecr_storage_bytes),
    ):
        if size > 0:
            ledger.add(item, terms.other(price), hours, size / GB * months)


class _Metrics:
    """Metrics sent in each hour, with their owners, until the hour's prices are known."""

    def __init__(self, terms: BillingTerms) -> None:
        self.hours, _ = run_hours(terms)
        self._total = np.zeros(len(self.hours))
        self._lines: list[tuple[str, Ints, Floats, Ints | None, str | None, str | None]] = []

    def send(
        self,
        item: str,
        hour: Ints,
        count: Floats,
        *,
        task_row: Ints | None = None,
        cluster: str | None = None,
        service: str | None = None,
    ) -> None:
        """Take note of so many metrics in each of some hours."""
        self._lines.append((item, hour, count, task_row, cluster, service))
        self._total += np.bincount(hour - self.hours[0], weights=count, minlength=len(self.hours))

    def charge(self, ledger: Ledger, price: Price, beyond: Price | None, hours_per_month: float) -> None:
        """Add the lines: at one price, or at two where more than the first ten thousand are sent in an hour."""
        most = np.maximum(self._total, 1e-300)
        first = np.ones(len(self.hours)) if beyond is None else np.minimum(1.0, FIRST_METRICS / most)
        for item, hour, count, task_row, cluster, service in self._lines:
            share = first[hour - self.hours[0]]
            months = count / hours_per_month
            whose = {"task_row": task_row, "cluster": cluster, "service": service}
            ledger.add(item, price, hour, months * share, **whose)  # type: ignore[arg-type]
            if beyond is not None:
                ledger.add(item, beyond, hour, months * (1 - share), **whose)  # type: ignore[arg-type]


def _add_metrics(ledger: Ledger, tasks: pd.DataFrame, services: pd.DataFrame, terms: BillingTerms) -> None:
    around, p = terms.around, terms.parameters
    if not (around.container_insights or around.high_resolution or around.custom_metrics):
        return
    custom, enhanced = _Metrics(terms), _Metrics(terms)
    if around.custom_metrics:
        custom.send("custom metrics", custom.hours, np.full(len(custom.hours), float(around.custom_metrics)))
    for cluster, service, hour, _ in _by_service(services, terms):
        if (cluster, service) in around.high_resolution:
            count = np.full(len(hour), p.number("high_resolution_metrics_per_service"))
            custom.send("high-resolution metrics", hour, count, cluster=cluster, service=service)
    for cluster, setting in sorted(around.container_insights.items()):
        _send_insights(enhanced if setting == "enhanced" else custom, setting, cluster, tasks, services, terms)
    per_month = p.number("hours_per_month")
    custom.charge(ledger, terms.other("custom_metric_first_10000"), terms.other("custom_metric_beyond"), per_month)
    enhanced.charge(ledger, terms.other("container_insights_enhanced"), None, per_month)


def _send_insights(
    metrics: _Metrics, setting: str, cluster: str, tasks: pd.DataFrame, services: pd.DataFrame, terms: BillingTerms
) -> None:
    """Count the Container Insights metrics of a cluster: by cluster, service and family, enhanced by task and container too."""
    p, item = terms.parameters, "container insights metrics"
    per_cluster = np.full(len(metrics.hours), p.number("container_insights_metrics_per_cluster"))
    metrics.send(item, metrics.hours, per_cluster, cluster=cluster)
    for where, service, hour, _ in _by_service(services, terms):
        if where == cluster:
            count = np.full(len(hour), p.number("container_insights_metrics_per_service"))
            metrics.send(item, hour, count, cluster=cluster, service=service)
    row, hour, _ = _running(tasks, terms)
    mine = np.asarray(tasks["cluster"] == cluster, dtype=np.bool_)[row] if len(row) else np.zeros(0, dtype=np.bool_)
    row, hour = row[mine], hour[mine]
    if len(row) == 0:
        return
    families, names = pd.factorize(tasks["family"], sort=True)
    sending = np.unique(families[row] * (int(hour.max()) + 1) + hour) % (int(hour.max()) + 1)
    at, number = np.unique(sending, return_counts=True)
    per_family = number.astype(np.float64) * p.number("container_insights_metrics_per_family")
    metrics.send(item, at, per_family, cluster=cluster)
    if setting == "enhanced":
        containers = np.array([terms.around.containers.get(str(name), 1) for name in names], dtype=np.float64)
        per_container = p.number("container_insights_metrics_per_container")
        each = p.number("container_insights_metrics_per_task") + containers[families] * per_container
        metrics.send(item, hour, each[row], task_row=row)
