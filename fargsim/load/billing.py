"""Rules of the key ``billing`` that need facts: families, types, regions, names of prices."""

from __future__ import annotations

from collections.abc import Iterator

from fargsim.load.capacity import strategies
from fargsim.load.names import unknown
from fargsim.model.base import Issue, Path
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
    yield from _table_faults(scenario)
    for name, usd in billing.prices.items():
        fault = price_fault(name, usd)
        if fault is not None:
            yield Issue(("billing", "prices", name), fault)


def _table_faults(scenario: Scenario) -> Iterator[Issue]:
    """Yield the price tables that lack what the scenario's tasks on Fargate would be billed by."""
    from fargsim.catalog import CatalogError, fargate_price, fargate_spot_price

    chosen, at = scenario.billing.price_tables, ("billing", "price_tables")
    definitions = [*scenario.task_definitions]
    definitions += [e.register_task_definition for e in scenario.timeline if e.register_task_definition is not None]
    linux, other = {"x86_vcpu", "x86_memory"}, set()
    for definition in definitions:
        if "FARGATE" in definition.requires_compatibilities:
            if definition.operating_system_family != "LINUX":
                other |= {"windows_vcpu", "windows_memory", "windows_os"}
            elif definition.cpu_architecture == "ARM64":
                linux |= {"arm64_vcpu", "arm64_memory"}
    stored = any(d.ephemeral_storage is not None for d in definitions)
    spot = any(i.capacity_provider == "FARGATE_SPOT" for *_, strategy in strategies(scenario) for i in strategy)
    tables: tuple[tuple[str, str, set[str]], ...] = (
        ("fargate", chosen.fargate, linux | ({"storage"} if stored else set())),
        ("fargate_windows", chosen.fargate_windows, other),
        ("fargate_spot", chosen.fargate_spot, linux if spot else set()),
    )
    for key, name, items in tables:
        price = fargate_spot_price if key == "fargate_spot" else fargate_price
        path: Path = (*at, key)
        try:
            for item in sorted(items):
                price(item, scenario.region, table_name=name)
        except CatalogError as error:
            yield Issue(path, str(error))
