"""Which instance types a region offers.

Source: EC2 DescribeInstanceTypeOfferings, as far as the catalogue's prices follow it.
"""

from __future__ import annotations

from fargsim.catalog.instances import instance_type, instance_types
from fargsim.catalog.prices import ec2_on_demand_price, ec2_regions
from fargsim.catalog.store import CatalogError


def windows_fault(name: str) -> str | None:
    """Say that an instance type runs no Windows: there is none for Graviton. None where it does, or is not known.

    >>> print(windows_fault("m7g.large"))
    Windows runs on x86_64 only, and m7g.large is arm64
    """
    facts = instance_types().get(name)
    if facts is None or facts.architecture == "x86_64":
        return None
    return f"Windows runs on x86_64 only, and {name} is {facts.architecture}"


def offer_fault(name: str, region: str) -> str | None:
    """Say that there is no such instance type, or that it is not offered in a region; None where it is.

    The catalogue has a price where EC2 offers a type, a few metal and inf2 sizes aside; a region without any EC2 prices refuses none.

    >>> offer_fault("m5.large", "us-east-1") is None, offer_fault("m5.lagre", "us-east-1")[:29]
    (True, "there is no instance type 'm5")
    """
    try:
        instance_type(name)
    except CatalogError as fault:
        return str(fault)
    if region not in ec2_regions():
        return None
    try:
        ec2_on_demand_price(name, region)
    except CatalogError as fault:
        return f"{name} is not offered in {region}: {fault}"
    return None
