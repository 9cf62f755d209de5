"""Prices: AWS Fargate, EC2, and what surrounds them. USD, list, before tax; each with unit, basis, source and date.

A price that no source lists for a region is derived by a stated rule and says so in its ``basis``:

* Fargate on ARM: the region's x86 price times ARM / x86 of us-east-1 (within 0.1 % of the listed regions, 0.6 % for
  memory in sa-east-1; never from or for ap-south-1, whose ARM prices are listed and far lower): ``estimated``.
* Fargate Spot on ARM: the Spot x86 price times ARM / x86 of the region: ``estimated``.
* Windows, and ephemeral storage: the us-east-1 price times the region's Fargate x86 price over that of us-east-1:
  ``estimated``.
* EBS, load balancers, NAT, logs and the like: the same ratio, ``assumed``.
* EC2 Spot of a type that the feed lacks: the region's median saving, ``assumed``.

Sources: https://aws.amazon.com/fargate/pricing/, the AWS price list and the other rows of ``sources.csv``.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from types import MappingProxyType

from fargsim.catalog.instances import instance_type, instance_types
from fargsim.catalog.regions import region as region_facts
from fargsim.catalog.store import CatalogError, sources, table, unknown


@dataclass(frozen=True, slots=True)
class Price:
    """One price.

    Parameters
    ----------
    value
        USD per unit.
    unit
        For instance ``vCPU-hour``.
    basis
        ``listed``, ``estimated``, ``assumed``, or ``scenario`` when a scenario set it.
    source
        Where it comes from, or the rule by which it was derived.
    as_of
        ISO date.
    """

    value: float
    unit: str
    basis: str
    source: str
    as_of: str

    def scaled(self, factor: float, basis: str, rule: str, unit: str | None = None) -> Price:
        """Return a price derived from this one."""
        return Price(self.value * factor, unit or self.unit, basis, f"{rule}; from {self.source}", self.as_of)

    def per_hour(self) -> Price:
        """Return the price per hour of one listed per second; any other unchanged.

        >>> fargate_price("x86_vcpu", "us-east-1", table_name="page-us-east-1").per_hour().unit
        'vCPU-hour'
        """
        thing, _, time = self.unit.rpartition("-")
        if time != "second":
            return self
        return Price(self.value * 3600, f"{thing}-hour", self.basis, self.source, self.as_of)


def _price(row: Mapping[str, str], column: str, unit: str) -> Price:
    source = sources()[row["source"]]
    return Price(float(row[column]), unit, source.basis, source.reference, source.as_of)


@cache
def _fargate() -> Mapping[tuple[str, str, str], Price]:
    return {(r["table"], r["region"], r["item"]): _price(r, "usd", r["unit"]) for r in table("fargate_prices")}


FARGATE_ITEMS = (
    "x86_vcpu",
    "x86_memory",
    "arm64_vcpu",
    "arm64_memory",
    "storage",
    "windows_vcpu",
    "windows_memory",
    "windows_os",
)
FARGATE_TABLES = ("price-list", "page-us-east-1", "launch-2018")
SPOT_TABLES = ("latest", "spot-2026-09", "spot-2025-11")


def _must_be(kind: str, name: str, legal: tuple[str, ...]) -> None:
    if name not in legal:
        raise unknown(kind, name, legal)


def fargate_price(item: str, region: str, *, table_name: str = "price-list") -> Price:
    """Return an on-demand Fargate price.

    Parameters
    ----------
    item
        One of :data:`FARGATE_ITEMS`: vCPU and memory for each architecture and for Windows, the Windows licence
        (``windows_os``, per vCPU) and ephemeral storage above 20 GB.
    region
        AWS region.
    table_name
        ``price-list`` (default), ``page-us-east-1`` (the per-second rates that the price page prints, us-east-1
        only) or ``launch-2018`` (before the cut of January 2019).

    Raises
    ------
    CatalogError
        For an unknown item, region or table, or one the table does not hold.

    >>> fargate_price("x86_vcpu", "us-east-1").value, fargate_price("arm64_vcpu", "us-west-2").basis
    (0.04048, 'estimated')
    """
    region_facts(region)
    _must_be("Fargate price", item, FARGATE_ITEMS)
    _must_be("Fargate price table", table_name, FARGATE_TABLES)
    found = _fargate().get((table_name, region, item))
    if found is not None:
        return found
    if table_name != "price-list":
        raise CatalogError(f"the Fargate price table '{table_name}' has no {item} for {region}")
    return _estimated_fargate(item, region)


def _x86_ratio(region: str, item: str = "x86_vcpu") -> float:
    prices = _fargate()
    return prices["price-list", region, item].value / prices["price-list", "us-east-1", item].value


def _estimated_fargate(item: str, region: str) -> Price:
    prices = _fargate()
    reference = prices["price-list", "us-east-1", item]
    if item == "windows_os":
        return reference.scaled(1.0, "estimated", "the Windows licence of us-east-1")
    x86 = "x86_memory" if item.endswith("_memory") else "x86_vcpu"
    rule = f"us-east-1 price times the {x86} price of {region} over that of us-east-1"
    return reference.scaled(_x86_ratio(region, x86), "estimated", rule)


def fargate_spot_price(item: str, region: str, *, table_name: str = "latest") -> Price:
    """Return a Fargate Spot price.

    Parameters
    ----------
    item
        ``x86_vcpu``, ``x86_memory``, ``arm64_vcpu`` or ``arm64_memory``.
    table_name
        A snapshot of the feed: ``spot-2026-09`` (us-east-1, eu-west-1), ``spot-2025-11`` (all regions), or
        ``latest``, the newer one that has the region. Spot prices drift.

    >>> fargate_spot_price("x86_vcpu", "eu-west-2").value
    0.013968
    >>> fargate_spot_price("arm64_vcpu", "eu-west-2").basis
    'estimated'
    """
    region_facts(region)
    legal = tuple(i for i in FARGATE_ITEMS if i.startswith(("x86", "arm64")))
    _must_be("Fargate Spot price", item, legal)
    _must_be("Fargate Spot table", table_name, SPOT_TABLES)
    for name in SPOT_TABLES[1:] if table_name == "latest" else (table_name,):
        found = _fargate().get((name, region, item))
        if found is not None:
            return found
        twin = item.replace("arm64", "x86")
        x86 = _fargate().get((name, region, twin))
        if x86 is not None:
            ratio = fargate_price(item, region).value / fargate_price(twin, region).value
            return x86.scaled(ratio, "estimated", "Spot x86 price times the on-demand ratio ARM / x86 of the region")
    raise CatalogError(f"the Fargate Spot table '{table_name}' has no {item} for {region}")


@cache
def _on_demand() -> Mapping[str, Mapping[str, Mapping[str, str]]]:
    found: dict[str, dict[str, Mapping[str, str]]] = {}
    for r in table("ec2_on_demand"):
        found.setdefault(r["region"], {})[r["instance_type"]] = r
    return found


def ec2_regions() -> tuple[str, ...]:
    """Return the regions with EC2 prices."""
    return tuple(_on_demand())


def ec2_on_demand_price(name: str, region: str) -> Price:
    """Return the hourly on-demand price of an instance type: Linux, shared tenancy.

    Raises
    ------
    CatalogError
        For an unknown type or region, or a type without a price in the region.

    >>> ec2_on_demand_price("m5.large", "us-east-1").value
    0.096
    """
    instance_type(name)
    region_facts(region)
    if region not in _on_demand():
        raise CatalogError(f"the catalogue has no EC2 prices for {region}: it has {', '.join(ec2_regions())}")
    row = _on_demand()[region].get(name)
    if row is None:
        there = [g for g, types in _on_demand().items() if name in types]
        hint = f"it has them for {', '.join(there)}" if there else "no source gives one anywhere"
        raise CatalogError(f"the catalogue has no price of {name} in {region}: {hint}")
    return _price(row, "usd_per_hour", "instance-hour")


@dataclass(frozen=True, slots=True)
class SpotMarket:
    """What the Spot Instance Advisor says of a type in a region.

    Parameters
    ----------
    savings_percent
        Average saving against on-demand over the trailing 30 days.
    interruption_band
        Share of capacity reclaimed in the trailing month, for instance ``5-10%``; None where the feed lacks the type.
    basis
        ``listed`` or ``assumed``.
    """

    savings_percent: float
    interruption_band: str | None
    basis: str
    source: str
    as_of: str


@cache
def _spot(region: str) -> Mapping[str, SpotMarket]:
    return MappingProxyType(
        {
            r["instance_type"]: SpotMarket(
                float(r["savings_percent"]),
                r["interruption_band"],
                sources()[r["source"]].basis,
                sources()[r["source"]].reference,
                sources()[r["source"]].as_of,
            )
            for r in table("ec2_spot")
            if r["region"] == region
        }
    )


def ec2_spot_market(name: str, region: str) -> SpotMarket:
    """Return savings and interruption band of a type; the region's median saving, ``assumed``, where the feed lacks it.

    >>> ec2_spot_market("t3.nano", "us-east-1").interruption_band
    '<5%'
    """
    ec2_on_demand_price(name, region)
    market = _spot(region)
    found = market.get(name)
    if found is not None:
        return found
    some = next(iter(market.values()))
    median = statistics.median(m.savings_percent for m in market.values())
    return SpotMarket(median, None, "assumed", f"median saving of {region}; from {some.source}", some.as_of)


def ec2_spot_price(name: str, region: str) -> Price:
    """Return the hourly Spot price: on-demand less the average saving.

    >>> round(ec2_spot_price("t3.nano", "us-east-1").value, 9)
    0.001092
    """
    market, full = ec2_spot_market(name, region), ec2_on_demand_price(name, region)
    basis = market.basis if full.basis == "listed" else full.basis if market.basis == "listed" else market.basis
    saving = f"on-demand price less {market.savings_percent:g} % ({market.source})"
    return Price(full.value * (1 - market.savings_percent / 100), full.unit, basis, saving, market.as_of)


@cache
def _surrounding() -> Mapping[str, Mapping[str, Price]]:
    found: dict[str, dict[str, Price]] = {}
    for r in table("surrounding_prices"):
        found.setdefault(r["item"], {})[r["region"]] = _price(r, "usd", r["unit"])
    return found


def surrounding_items() -> tuple[str, ...]:
    """Return the names that :func:`surrounding_price` takes."""
    return tuple(_surrounding())


def surrounding_price(item: str, region: str) -> Price:
    """Return the price of something beside compute: EBS, load balancers, NAT, public IPv4, transfer, logs, registry.

    Where no source lists a region, the us-east-1 price times the region's Fargate x86 price over that of us-east-1,
    marked ``assumed``.

    >>> surrounding_price("alb_hour", "us-east-1").value, surrounding_price("alb_hour", "eu-west-2").basis
    (0.0225, 'assumed')
    """
    region_facts(region)
    by_region = _surrounding().get(item)
    if by_region is None:
        raise unknown("price", item, surrounding_items(), show=40)
    found = by_region.get(region) or by_region.get("*")
    if found is not None:
        return found
    rule = f"us-east-1 price times the Fargate x86 price of {region} over that of us-east-1"
    return by_region["us-east-1"].scaled(_x86_ratio(region), "assumed", rule)


def price_names() -> tuple[str, ...]:
    """Return the names under which a scenario may set prices, the instance types aside.

    ``fargate_<item>`` and ``fargate_spot_<item>`` per hour, and the names of :func:`surrounding_items`; beside them
    ``ec2:<instance type>`` and ``ec2_spot:<instance type>`` per hour.
    """
    spot = [f"fargate_spot_{i}" for i in FARGATE_ITEMS if i.startswith(("x86", "arm64"))]
    return (*(f"fargate_{i}" for i in FARGATE_ITEMS), *spot, *surrounding_items())


def price_fault(name: str, usd: float) -> str | None:
    """Say what is wrong with a price that a scenario sets; None when nothing is.

    >>> print(price_fault("alb_hours", 0.04))
    there is no price 'alb_hours' in the catalogue: did you mean alb_hour or nlb_hour?
    """
    market, colon, instance = name.partition(":")
    if colon and market in ("ec2", "ec2_spot"):
        if instance not in instance_types():
            return str(unknown("instance type", instance, instance_types()))
    elif name not in price_names():
        return str(unknown("price", name, price_names()))
    if isinstance(usd, bool) or not isinstance(usd, int | float) or not 0 <= usd < math.inf:
        return f"the price {name} must be a number of at least 0, not {usd!r}"
    return None
