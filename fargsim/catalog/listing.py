"""The catalogue as rows to print: what ``fargsim catalog`` shows."""

from __future__ import annotations

from collections.abc import Mapping

from fargsim.catalog.prices import (
    FARGATE_ITEMS,
    ec2_on_demand_price,
    ec2_regions,
    ec2_spot_price,
    fargate_price,
    surrounding_items,
    surrounding_price,
)
from fargsim.catalog.prices import fargate_spot_price as spot_price
from fargsim.catalog.quotas import api_buckets, quotas
from fargsim.catalog.regions import region as region_facts
from fargsim.catalog.store import AS_OF, CatalogError, sources, table, unknown

TABLES = ("sizes", "instances", "prices", "quotas", "assumptions")

Row = Mapping[str, str]


def rows(name: str, *, region: str = "us-east-1") -> tuple[Row, ...]:
    """Return one table of the catalogue as text, each row with unit, basis, source and date.

    Parameters
    ----------
    name
        ``sizes``, ``instances``, ``prices``, ``quotas`` or ``assumptions``.
    region
        Region of prices and quotas.

    Raises
    ------
    CatalogError
        For an unknown table or region.

    >>> len(rows("sizes")), rows("quotas")[0]["basis"]
    (77, 'documented')
    """
    if name not in TABLES:
        raise unknown("table", name, TABLES)
    region_facts(region)
    if name == "prices":
        return _prices(region)
    if name == "quotas":
        return _quotas(region)
    if name == "assumptions":
        return tuple(
            {k: r[k] for k in ("name", "value", "unit", "basis", "as_of", "source", "meaning")} for r in table(name)
        )
    data = table("fargate_sizes" if name == "sizes" else "instance_types")
    return tuple(_sourced(r) for r in data)


def _sourced(row: Row) -> Row:
    source = sources()[row["source"]]
    facts = {k: v for k, v in row.items() if k != "source"}
    return {**facts, "basis": source.basis, "as_of": source.as_of, "source": source.reference}


def _prices(region: str) -> tuple[Row, ...]:
    found = [(f"fargate {i}", fargate_price(i, region)) for i in FARGATE_ITEMS]
    found += [(f"fargate spot {i}", spot_price(i, region)) for i in FARGATE_ITEMS if i.startswith(("x86", "arm64"))]
    found += [(i, surrounding_price(i, region)) for i in surrounding_items()]
    if region in ec2_regions():
        for r in table("ec2_on_demand"):
            if r["region"] == region:
                kind = r["instance_type"]
                found.append((f"ec2 {kind}", ec2_on_demand_price(kind, region)))
                found.append((f"ec2 spot {kind}", ec2_spot_price(kind, region)))
    return tuple(
        {
            "item": item,
            "region": region,
            "usd": f"{p.value:.10g}",
            "unit": p.unit,
            "basis": p.basis,
            "as_of": p.as_of,
            "source": p.source,
        }
        for item, p in found
    )


def _quotas(region: str) -> tuple[Row, ...]:
    facts = quotas(region)
    found: list[Row] = []
    for name in facts:
        q = facts.quota(name)
        if q.value is not None:
            found.append(_quota_row(name, q.value, q.unit, q.adjustable, q.source.key))
    for group, bucket in api_buckets().items():
        found.append(_quota_row(f"api_{group}_burst", bucket.burst, "call", True, "request_throttling"))
        found.append(_quota_row(f"api_{group}_per_s", bucket.refill_per_s, "call/s", True, "request_throttling"))
    return tuple(found)


def _quota_row(name: str, value: float, unit: str, adjustable: bool, source_key: str) -> Row:
    source = sources()[source_key]
    return {
        "name": name,
        "value": f"{value:g}",
        "unit": unit,
        "adjustable": "yes" if adjustable else "no",
        "basis": source.basis,
        "as_of": source.as_of,
        "source": source.reference,
    }


__all__ = ["AS_OF", "TABLES", "CatalogError", "rows"]
