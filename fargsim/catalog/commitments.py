"""Savings Plans and Reserved Instances: what a commitment takes off the on-demand price.

Sources: AWS price list, Compute Savings Plan offer of 2026-09-25 (Fargate, us-east-1); Reserved Instance rates of
three types; typical values are a reading of those, marked ``assumed``.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from types import MappingProxyType

from fargsim.catalog.prices import Price, fargate_price
from fargsim.catalog.store import CatalogError, sources, table, unknown


@cache
def _fargate_plans() -> Mapping[tuple[str, str], Price]:
    found = {}
    for r in table("fargate_savings_plans"):
        s = sources()[r["source"]]
        found[r["plan"], r["item"]] = Price(float(r["usd"]), r["unit"], s.basis, s.reference, s.as_of)
    return found


def fargate_savings_plans() -> tuple[str, ...]:
    """Return the Compute Savings Plans with Fargate rates."""
    return tuple(dict.fromkeys(plan for plan, _ in _fargate_plans()))


def fargate_savings_plan_price(plan: str, item: str, region: str = "us-east-1") -> Price:
    """Return the Fargate rate under a Compute Savings Plan.

    Listed for us-east-1; elsewhere, and for memory rates not listed, the on-demand price less the plan's discount on
    x86 vCPU, ``estimated``.

    >>> fargate_savings_plan_price("1y-no-upfront", "x86_vcpu").value
    0.032384
    >>> round(fargate_savings_plan_price("3y-all-upfront", "x86_memory").value, 9)
    0.0021336
    """
    if plan not in fargate_savings_plans():
        raise unknown("Savings Plan", plan, fargate_savings_plans())
    full = fargate_price(item, region)
    found = _fargate_plans().get((plan, item))
    if found is not None and region == "us-east-1":
        return found
    if not item.startswith(("x86", "arm64")):
        raise CatalogError(f"a Compute Savings Plan does not cover {item} on Fargate")
    reference = _fargate_plans()[plan, "x86_vcpu"]
    share = reference.value / fargate_price("x86_vcpu", "us-east-1").value
    return full.scaled(share, "estimated", f"on-demand price less the discount of {plan} on x86 vCPU in us-east-1")


@cache
def _ec2() -> Mapping[tuple[str, str], tuple[float, str, str]]:
    return MappingProxyType(
        {
            (r["offer"], r["instance_type"]): (float(r["value"]), r["unit"], r["source"])
            for r in table("ec2_commitments")
        }
    )


def ec2_typical_savings_percent(offer: str) -> float:
    """Return the typical saving of a no-upfront plan on EC2 in percent: an assumption, not a published rate.

    Parameters
    ----------
    offer
        ``ec2-instance-plan-1y``, ``ec2-instance-plan-3y``, ``compute-plan-1y`` or ``compute-plan-3y``.

    >>> ec2_typical_savings_percent("compute-plan-1y")
    28.0
    """
    legal = [o for o, name in _ec2() if name == "*"]
    if offer not in legal:
        raise unknown("commitment", offer, legal)
    return _ec2()[offer, "*"][0]


def ec2_reserved_price(name: str, offer: str) -> Price | None:
    """Return the exact no-upfront Reserved Instance rate in us-east-1, where one is known.

    Parameters
    ----------
    offer
        ``standard-1y``, ``standard-3y``, ``convertible-1y`` or ``convertible-3y``.

    >>> ec2_reserved_price("t3.medium", "standard-1y").value
    0.0261
    """
    found = _ec2().get((offer, name))
    if found is None:
        return None
    source = sources()[found[2]]
    return Price(found[0], found[1], source.basis, source.reference, source.as_of)
