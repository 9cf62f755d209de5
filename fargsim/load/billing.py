"""Rules of the key ``billing`` that need facts: families, types, regions, names of prices."""

from __future__ import annotations

from collections.abc import Iterator

from fargsim.load.names import unknown
from fargsim.model.base import Issue
from fargsim.model.scenario import Scenario


def billing_faults(scenario: Scenario) -> Iterator[Issue]:
    """Yield what ``billing`` says against the catalogue, in a region that is known."""
    from fargsim.catalog import CatalogError, ec2_on_demand_price, ec2_regions, instance_families, price_fault, regions

    billing, region = scenario.billing, scenario.region
    for n, plan in enumerate(billing.savings_plans):
        at = ("billing", "savingsPlans", n)
        if plan.ec2_instance_family is not None and plan.ec2_instance_family not in instance_families():
            message = unknown("instance family", plan.ec2_instance_family, instance_families())
            yield Issue((*at, "ec2InstanceFamily"), message)
        if plan.region is not None and plan.region not in regions():
            yield Issue((*at, "region"), unknown("region", plan.region, regions()))
        elif plan.region not in (None, region):
            message = f"a plan of {plan.region} covers nothing of a run in {region}: leave it out, or write {region}"
            yield Issue((*at, "region"), message)
        elif plan.savings_plan_type == "EC2Instance" and region not in ec2_regions():
            message = f"there are no EC2 rates for {region}: there are for {', '.join(ec2_regions())}"
            yield Issue((*at, "savingsPlanType"), message)
    for n, reserved in enumerate(billing.reserved_instances):
        try:
            ec2_on_demand_price(reserved.instance_type, region)
        except CatalogError as error:
            yield Issue(("billing", "reservedInstances", n, "InstanceType"), str(error))
    for name, usd in billing.prices.items():
        fault = price_fault(name, usd)
        if fault is not None:
            yield Issue(("billing", "prices", name), fault)
