"""Rules that need facts: regions, zones, sizes, instance types, quotas, parameters."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from fargsim.load.billing import billing_faults
from fargsim.load.launch import constraint_faults
from fargsim.load.names import unknown
from fargsim.model.base import Issue, Path
from fargsim.model.scenario import Scenario
from fargsim.model.taskdef import TaskDefinition

if TYPE_CHECKING:
    from fargsim.model.capacity import LaunchTemplate


def fact_faults(scenario: Scenario) -> Iterator[Issue]:
    """Yield what a scenario says against the catalogue's facts."""
    from fargsim.catalog import CatalogError, parameter_fault, quotas, regions

    known = scenario.region in regions()
    if not known:
        yield Issue(("region",), unknown("region", scenario.region, regions()))
    for n, definition in enumerate(scenario.task_definitions):
        yield from definition_faults(definition, ("taskDefinitions", n))
    for n, entry in enumerate(scenario.timeline):
        if entry.register_task_definition is not None:
            at = ("timeline", n, "ecs.register_task_definition")
            yield from definition_faults(entry.register_task_definition, at)
    for n, template in enumerate(scenario.launch_templates):
        yield from _template_faults(template, scenario.region if known else None, ("launchTemplates", n))
    if known:
        yield from billing_faults(scenario)
        yield from _zone_faults(scenario)
        for name, value in scenario.quotas.items():
            try:
                quotas(scenario.region, overrides={name: value})
            except CatalogError as error:
                yield Issue(("quotas", name), str(error))
    for name, value in scenario.assumptions.items():
        message = parameter_fault(name, value)
        if message is not None:
            yield Issue(("assumptions", name), message)


def definition_faults(definition: TaskDefinition, path: Path = ()) -> Iterator[Issue]:
    """Yield what AWS refuses about a task definition although its shape is right."""
    from fargsim.catalog.checks import task_definition_faults

    for issue in task_definition_faults(definition):
        yield Issue((*path, *issue.path), issue.message)
    yield from constraint_faults(definition.placement_constraints, (*path, "placementConstraints"))


def fargate_ready(definition: TaskDefinition) -> bool:
    """Return whether Fargate could run a definition: network mode, size and every parameter, whatever it requires."""
    as_if = definition.model_copy(update={"requires_compatibilities": ("FARGATE",)})
    return next(definition_faults(as_if), None) is None


def _template_faults(template: LaunchTemplate, region: str | None, path: Path) -> Iterator[Issue]:
    from fargsim.catalog import CatalogError, ec2_on_demand_price, ec2_spot_price, instance_type

    data = template.launch_template_data
    at = (*path, "LaunchTemplateData", "InstanceType")
    try:
        instance_type(data.instance_type)
        if region is not None:
            ec2_on_demand_price(data.instance_type, region)
            if data.instance_market_options is not None:
                ec2_spot_price(data.instance_type, region)
    except CatalogError as error:
        yield Issue(at, str(error))


def _zone_faults(scenario: Scenario) -> Iterator[Issue]:
    from fargsim.catalog import availability_zones

    zones = availability_zones(scenario.region)
    for n, subnet in enumerate(scenario.network.subnets):
        if subnet.availability_zone not in zones:
            at = ("network", "subnets", n, "AvailabilityZone")
            yield Issue(at, unknown(f"zone of {scenario.region}", subnet.availability_zone, zones))
    for n, group in enumerate(scenario.auto_scaling_groups):
        for m, zone in enumerate(group.availability_zones):
            if zone not in zones:
                yield Issue(
                    ("autoScalingGroups", n, "AvailabilityZones", m), unknown(f"zone of {scenario.region}", zone, zones)
                )
