"""Published worked examples and limits of Fargate that pure functions answer: sizes, prices, rates, bounds.

Every number is that of the list of published targets which the tests use, too (``tests/published``). The sources are AWS's pages.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import pandas as pd
from pydantic import ValidationError

from fargsim.catalog import PodRequest, eks_pod_size, fargate_size_fault, fargate_sizes
from fargsim.catalog.sizes import ephemeral_storage_gib
from fargsim.catalog.store import CatalogError
from fargsim.model.placement import CapacityProviderStrategyItem
from fargsim.model.taskdef import TaskDefinition
from fargsim.policy.capacity_provider import next_provider
from fargsim.policy.deployment import RevisionView, ServiceView, bounds, breaker_threshold, rolling_step
from fargsim.policy.health import container_unhealthy_us
from fargsim.report.cost import (
    BillingTerms,
    LoadBalancer,
    NatGateway,
    bill,
    billed_seconds,
    fargate_charge,
    total_usd,
    usd_by,
)
from fargsim.report.verify_facts import Basis, Example
from fargsim.sim.account import TokenBucket

SECOND = 1_000_000
PRICES = "aws.amazon.com/fargate/pricing"
SPOT = "fargate-capacity-providers.html"


def same(number: str, what: str, published: object, found: object, source: str, basis: Basis = "predicted") -> Example:
    """Return an example that holds where both answers are equal."""
    return Example(number, what, words(published), words(found), source, published == found, basis)


def words(value: object) -> str:
    """Write an answer briefly.

    >>> words([1, 2.50, "x"]), words({256: 3}), words(True)
    ('1, 2.5, x', '256: 3', 'yes')
    """
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.8g}"
    if isinstance(value, Mapping):
        return ", ".join(f"{words(k)}: {words(v)}" for k, v in value.items())
    if isinstance(value, Iterable) and not isinstance(value, str):
        return ", ".join(words(part) for part in value)
    return str(value)


def split(tasks: int, *pairs: tuple[int, int]) -> list[int]:
    """Return how a strategy of providers with base and weight shares tasks out."""
    items = [
        CapacityProviderStrategyItem(capacity_provider=f"p{i}", base=base, weight=weight)
        for i, (base, weight) in enumerate(pairs)
    ]
    placed = [0] * len(items)
    for _ in range(tasks):
        placed[next_provider(items, placed)] += 1
    return placed


def first_step(desired: int, low: int, high: int) -> str:
    """Return what the first step of a rolling update may stop and start."""
    old, new = RevisionView("old", desired, healthy=desired), RevisionView("new", 0)
    step = rolling_step(ServiceView(desired, bounds(desired, low, high), (new, old)))
    stops, starts = sum(s.number for s in step.stops), sum(s.number for s in step.starts)
    return f"stops {stops}, starts {starts}" + (", stalls" if step.stalled else "")


def sizes() -> list[Example]:
    """Sizes of tasks."""
    page = "task-cpu-memory-error.html"
    pairs = [(256, 512), (256, 4096), (512, 512), (1024, 1024), (4096, 31744), (8192, 18432), (16384, 40000)]
    legal = [fargate_size_fault(cpu, memory) is None for cpu, memory in pairs]
    linux = Counter(s.cpu_units for s in fargate_sizes())
    windows = Counter(s.cpu_units for s in fargate_sizes(windows=True))
    pods = [eks_pod_size([PodRequest(vcpu, mib)]) for vcpu, mib in ((1, 8192), (0, 0), (0.25, 512))]
    return [
        same("Fargate 1", "the first of seven pairs of CPU and memory is legal", [True] + [False] * 6, legal, page),
        same("Fargate 2", "legal pairs by vCPU, Linux", [3, 4, 7, 13, 23, 12, 12, 3], list(linux.values()), page),
        same("Fargate 2", "legal pairs, Windows", [7, 13, 23], list(windows.values()), page),
        same(
            "Fargate 3",
            "ephemeral storage: none stated, 21, 200, 201 GiB",
            [20, 21, 200, "refused"],
            [_storage(gib) for gib in (None, 21, 200, 201)],
            "API_EphemeralStorage.html",
        ),
        same(
            "Fargate 4",
            "pods of 1 vCPU / 8 GB, of nothing, of 0.25 / 0.5: vCPU and GB",
            [2.0, 9.0, 0.25, 0.5, 0.25, 1.0],
            [float(part) for pod in pods for part in (pod.vcpu, pod.memory_gib)],
            "fargate-pod-configuration.html",
        ),
        same(
            "Fargate 5",
            "containers of 512 and 513 MiB in a task of 1,024",
            "refused",
            _containers(512, 513),
            "API_ContainerDefinition.html",
        ),
    ]


def _storage(gib: int | None) -> int | str:
    try:
        return ephemeral_storage_gib(gib)
    except CatalogError:
        return "refused"


def _containers(*memory_mib: int) -> str:
    containers = [{"name": f"c{k}", "image": "httpd:2.4", "memory": m} for k, m in enumerate(memory_mib)]
    size = {"cpu": "256", "memory": "1024", "networkMode": "awsvpc"}
    try:
        TaskDefinition.model_validate({"family": "web", **size, "containerDefinitions": containers})
    except ValidationError:
        return "refused"
    return "accepted"


def prices() -> list[Example]:
    """Worked examples of the price pages."""
    page: Any = {"table_name": "page-us-east-1"}
    half_day, ten_hours = 5 * 600 * 30, 10 * 3600 * 30
    windows = "WINDOWS_SERVER_2019_CORE"
    charges = {
        "example 1": (fargate_charge(half_day, 1, 2, storage_gb=30, **page), 1.26198),
        "example 2": (fargate_charge(half_day, 1, 2, storage_gb=30, architecture="ARM64", **page), 1.015218),
        "example 3": (fargate_charge(ten_hours, 0.25, 1, **page), 4.36968),
        "example 4": (fargate_charge(ten_hours, 1, 2, operating_system_family=windows, **page), 47.250108),
    }
    found = [
        same("Fargate 6", f"{name} of the price page, USD", usd, round(charge.total_usd, 9), PRICES)
        for name, (charge, usd) in charges.items()
    ]
    short = [billed_seconds(20 * SECOND), billed_seconds(20 * SECOND, windows)]
    charge = fargate_charge(short[0], 1, 2, **page).total_usd
    found += [
        same("Fargate 7", "20 s are billed as, Linux and Windows, s", [60, 300], short, PRICES),
        same("Fargate 7", "20 s of 1 vCPU and 2 GB, USD", 0.00082284, round(charge, 10), PRICES),
        same("Fargate 8", "61.2 s are billed as, s", 62, billed_seconds(61_200_000), PRICES),
    ]
    start = datetime(2026, 3, 1, tzinfo=UTC)
    end = start + timedelta(hours=730)
    gateway = (NatGateway("nat", start, public_ipv4_addresses=0),)
    balancer = (LoadBalancer("lb", "application", start, None, (), 0),)
    usd = [
        total_usd(bill({}, BillingTerms("us-east-1", start, end, nat_gateways=gateway))),
        total_usd(bill({}, BillingTerms("eu-west-1", start, end, nat_gateways=gateway))),
        total_usd(bill({}, BillingTerms("us-east-1", start, end, load_balancers=balancer))),
        _address_usd(start, end),
    ]
    what = "730 h of NAT gateway (us-east-1, eu-west-1), ALB, IPv4 address, USD"
    listed = "AWS price list"
    return [*found, same("Fargate 14", what, [32.85, 35.04, 16.425, 3.65], [round(x, 6) for x in usd], listed)]


def _address_usd(start: datetime, end: datetime) -> float:
    row = {
        "instance_id": "i-1",
        "cluster": "default",
        "instance_type": "m5.large",
        "market": "on-demand",
        "cpu_units": 2048,
        "memory_mib": 7987,
        "public_ip": True,
        "root_volume_gib": 0,
        "launched_at": start,
        "running_at": start,
        "terminated_at": pd.NaT,
    }
    costs = bill({"instances": pd.DataFrame([row])}, BillingTerms("us-east-1", start, end))
    return usd_by(costs, "item")["public IPv4"]


def rates_and_life() -> list[Example]:
    """Launch rates, health checks, deployments: what needs no run."""
    bucket = TokenBucket(burst=100, per_s=20)
    at_once, at_us = bucket.take(0, 1000), 0
    left = 1000 - at_once
    while left:
        at_us += 50_000
        left -= bucket.take(at_us, left)
    unhealthy = []
    for hangs in (True, False):
        after = [
            container_unhealthy_us(broken, 0, interval_us=30 * SECOND, timeout_us=5 * SECOND, retries=3, hangs=hangs)
            - broken
            for broken in range(1, 30 * SECOND + 1, 12_345)
        ]
        unhealthy += [round(min(after) / SECOND), round(max(after) / SECOND)]
    breaker = "deployment-circuit-breaker.html"
    sizes_now, sizes_then = (1, 4, 25, 400, 800), (1, 25, 400, 800)
    return [
        same("Fargate 16", "bucket of 100 and 20/s: granted of 1,000 at once; the last one, s", [100, 45.0],
             [at_once, at_us / SECOND], "throttling.html"),
        same("Fargate 32", "a check that hangs, one that fails: UNHEALTHY after, s", [75, 105, 60, 90], unhealthy,
             "API_HealthCheck.html"),
        same("Fargate 34", "4 tasks at 50/100 %, 2 at 75/100 %, 3 at 100/125 %",
             ["stops 2, starts 0", "stops 0, starts 0, stalls", "stops 0, starts 0, stalls"],
             [first_step(4, 50, 100), first_step(2, 75, 100), first_step(3, 100, 125)],
             "service-event-messages-list.html"),
        same("Fargate 35", "circuit breaker, 1, 4, 25, 400, 800 tasks", [3, 3, 13, 200, 200],
             [breaker_threshold(n) for n in sizes_now], breaker),
        same("Fargate 35", "the same in 2023, 1, 25, 400, 800 tasks", [10, 13, 200, 200],
             [breaker_threshold(n, minimum=10) for n in sizes_then], breaker),
        same("Fargate 37", "base 2, weights 1 and 3, 6 tasks", [3, 3], split(6, (2, 1), (0, 3)), SPOT),
    ]  # fmt: skip


def pure_examples() -> list[Example]:
    """Return the examples of Fargate that need no run."""
    return [*sizes(), *prices(), *rates_and_life()]
