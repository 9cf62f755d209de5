"""Rules of Auto Scaling groups and capacity providers that span several parts, and notes on tasks that no instance will ever take.

Sources: Amazon EC2 Auto Scaling API Reference, API_CreateAutoScalingGroup.html; Amazon ECS API Reference,
API_CapacityProviderStrategyItem.html; Amazon ECS Developer Guide, managed-scaling-behavior.html, using-warm-pool.html.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from fargsim.load.names import Names, tail, unknown
from fargsim.model.base import Issue, Path
from fargsim.model.capacity import AutoScalingGroup, CapacityProvider, warm_pool_fault
from fargsim.model.group_verbs import CreateLaunchTemplateVersion
from fargsim.model.placement import CapacityProviderStrategyItem
from fargsim.model.scenario import Scenario
from fargsim.model.service import CreateService, RunTask
from fargsim.model.taskdef import TaskDefinition

if TYPE_CHECKING:
    from fargsim.policy.managed_instances import Offer

Strategy = tuple[CapacityProviderStrategyItem, ...]


def capacity_faults(scenario: Scenario, names: Names) -> Iterator[Issue]:
    """Yield what the verbs of Auto Scaling and ECS would refuse in groups, providers and strategies."""
    # the catalogue is read only for scenarios with instances
    from fargsim.catalog.offers import offer_fault, windows_fault

    templates = {t.launch_template_name: t.launch_template_data for t in scenario.launch_templates}
    managed = {
        tail(p.asg.auto_scaling_group_arn): p.name
        for p in scenario.capacity_providers
        if p.asg.managed_scaling.status == "ENABLED"
    }
    for n, group in enumerate(scenario.auto_scaling_groups):
        path: Path = ("autoScalingGroups", n)
        template = templates.get(group.template.launch_template_name)
        spot = template is not None and template.instance_market_options is not None
        mixed = group.mixed_instances_policy
        for m, override in enumerate(() if mixed is None else mixed.launch_template.overrides):
            message = offer_fault(override.instance_type, scenario.region)
            if message is not None:
                yield Issue((*path, "MixedInstancesPolicy", "LaunchTemplate", "Overrides", m, "InstanceType"), message)
        if group.operating_system_family != "LINUX":
            message = next(filter(None, map(windows_fault, _types(scenario, group))), None)
            if message is not None:
                yield Issue((*path, "operating_system_family"), message)
        if mixed is not None and spot:
            message = "goes with a launch template without InstanceMarketOptions: it divides the markets itself"
            yield Issue((*path, "MixedInstancesPolicy"), message)
        pool = group.warm_pool_configuration
        fault = None if pool is None else warm_pool_fault(group, spot, pool)
        if fault is not None:
            yield Issue((*path, "WarmPoolConfiguration"), fault)
        if group.policies and group.auto_scaling_group_name in managed:
            provider = managed[group.auto_scaling_group_name]
            yield Issue((*path, "policies"), f"the capacity provider {provider} manages the scaling of this group")
        yield from _termination(group, path)
        for name in _types(scenario, group):
            fault = None if offer_fault(name, scenario.region) else _memory_fault(scenario, group, name)
            if fault is not None:
                yield Issue((*path, "agent", "ECS_RESERVED_MEMORY"), fault)
    yield from _requirements(scenario)
    yield from _timeline(scenario, names)
    yield from _families(scenario)
    yield from _modes(scenario)


def _requirements(scenario: Scenario) -> Iterator[Issue]:
    """Tell of Managed Instances that no instance type of the region can be."""
    from fargsim.catalog.offers import requirement_faults

    for n, provider in enumerate(scenario.capacity_providers):
        managed = provider.managed_instances_provider
        if managed is not None:
            path: Path = ("capacityProviders", n, "managedInstancesProvider", "instanceLaunchTemplate")
            for issue in requirement_faults(managed.instance_launch_template.instance_requirements, scenario.region):
                yield Issue((*path, "instanceRequirements", *issue.path), issue.message)


def _memory_fault(scenario: Scenario, group: AutoScalingGroup, name: str) -> str | None:
    reserved = group.agent.ecs_reserved_memory_mib
    if not reserved:
        return None
    from fargsim.catalog.offers import memory_fault
    from fargsim.catalog.parameters import parameters
    from fargsim.catalog.store import CatalogError

    try:
        factor = parameters(scenario.assumptions).number("registered_memory_factor")
    except CatalogError:
        return None  # an assumption at fault is told by itself
    return memory_fault(name, reserved, factor)


def _termination(group: AutoScalingGroup, path: Path) -> Iterator[Issue]:
    from fargsim.policy.scaling_group import TERMINATION_POLICIES

    for m, policy in enumerate(group.termination_policies):
        if policy not in TERMINATION_POLICIES:
            yield Issue((*path, "TerminationPolicies", m), unknown("termination policy", policy, TERMINATION_POLICIES))


def _timeline(scenario: Scenario, names: Names) -> Iterator[Issue]:
    from fargsim.catalog.offers import offer_fault

    for n, entry in enumerate(scenario.timeline):
        for verb in ("update_auto_scaling_group", "start_instance_refresh"):
            spec = getattr(entry, verb)
            if spec is not None and tail(spec.auto_scaling_group_name) not in names.auto_scaling_groups:
                at: Path = ("timeline", n, f"autoscaling.{verb}", "AutoScalingGroupName")
                name = tail(spec.auto_scaling_group_name)
                yield Issue(at, unknown("Auto Scaling group", name, names.auto_scaling_groups))
        version = entry.create_launch_template_version
        if version is not None:
            at = ("timeline", n, "autoscaling.create_launch_template_version")
            if version.launch_template_name not in names.launch_templates:
                message = unknown("launch template", version.launch_template_name, names.launch_templates)
                yield Issue((*at, "LaunchTemplateName"), message)
            fault = offer_fault(version.launch_template_data.instance_type, scenario.region)
            for key, message in _refusals(scenario, version) if fault is None else (("InstanceType", fault),):
                yield Issue((*at, "LaunchTemplateData", key), message)
        for path, group in _groups_meant(scenario, n):
            if tail(group) not in names.auto_scaling_groups:
                message = unknown("Auto Scaling group", tail(group), names.auto_scaling_groups)
                yield Issue((*path, "auto_scaling_group"), message)


def _refusals(scenario: Scenario, version: CreateLaunchTemplateVersion) -> Iterator[tuple[str, str]]:
    """Yield why groups that would launch by a version of their template cannot, by its key; who overrides the type does not look at it."""
    from fargsim.catalog.offers import windows_fault

    data = version.launch_template_data
    kind, spot = data.instance_type, data.instance_market_options is not None
    for group in scenario.auto_scaling_groups:
        used, name = group.template, f"Auto Scaling group {group.auto_scaling_group_name}"
        if used.launch_template_name != version.launch_template_name or not used.moves:
            continue
        if not group.overrides:
            windows = None if group.operating_system_family == "LINUX" else windows_fault(kind)
            fault = windows or _memory_fault(scenario, group, kind)
            if fault is not None:
                yield "InstanceType", f"{name}: {fault}"
        if spot and group.mixed_instances_policy is not None:
            yield "InstanceMarketOptions", f"{name}: its MixedInstancesPolicy divides the markets itself"
        elif spot and group.warm_pool_configuration is not None:
            yield "InstanceMarketOptions", f"{name}: a warm pool does not go with Spot Instances"


def _groups_meant(scenario: Scenario, n: int) -> Iterator[tuple[Path, str]]:
    entry = scenario.timeline[n]
    health = entry.set_instance_health
    if health is not None and health.auto_scaling_group is not None:
        yield ("timeline", n, "autoscaling.set_instance_health"), health.auto_scaling_group
    for kind in ("ec2_spot_reclaim", "instance_impaired"):
        fault = None if entry.fault is None else getattr(entry.fault, kind)
        if fault is not None and fault.auto_scaling_group is not None:
            yield ("timeline", n, "fault", kind), fault.auto_scaling_group


def _launches(scenario: Scenario) -> Iterator[tuple[Path, CreateService | RunTask]]:
    """Yield everything that starts tasks, with its path."""
    for n, service in enumerate(scenario.services):
        yield ("services", n), service
    for n, job in enumerate(scenario.jobs):
        yield ("jobs", n, "run_task"), job.run_task
    for n, entry in enumerate(scenario.timeline):
        if entry.create_service is not None:
            yield ("timeline", n, "ecs.create_service"), entry.create_service
        if entry.run_task is not None:
            yield ("timeline", n, "ecs.run_task"), entry.run_task


def strategies(scenario: Scenario) -> Iterator[tuple[Path, str, Strategy]]:
    """Yield every capacity provider strategy, with its path and its cluster."""
    for n, cluster in enumerate(scenario.clusters):
        path: Path = ("clusters", n, "defaultCapacityProviderStrategy")
        yield path, cluster.cluster_name, cluster.default_capacity_provider_strategy
    for path, spec in _launches(scenario):
        yield (*path, "capacityProviderStrategy"), spec.cluster, spec.capacity_provider_strategy
    for n, entry in enumerate(scenario.timeline):
        update = entry.update_service
        if update is not None and update.capacity_provider_strategy:
            path = ("timeline", n, "ecs.update_service", "capacityProviderStrategy")
            yield path, update.cluster, update.capacity_provider_strategy


def _families(scenario: Scenario) -> Iterator[Issue]:
    """Tell of strategies that mix providers of Auto Scaling groups with Managed Instances, or take those of another cluster."""
    managed = {p.name: p for p in scenario.capacity_providers if p.managed_instances_provider is not None}
    known = {p.name for p in scenario.capacity_providers}
    for path, cluster, strategy in strategies(scenario):
        named = [i.capacity_provider for i in strategy if i.capacity_provider in known]
        if len({name in managed for name in named}) > 1:
            yield Issue(path, "a strategy may not mix Managed Instances providers with Auto Scaling group providers")
        for n, item in enumerate(strategy):
            provider = managed.get(item.capacity_provider)
            if provider is not None and tail(provider.cluster or "") != tail(cluster):
                message = (
                    f"the Managed Instances provider {provider.name} belongs to cluster {tail(provider.cluster or '')}"
                )
                yield Issue((*path, n, "capacityProvider"), f"{message}, not to {tail(cluster)}")


def _modes(scenario: Scenario) -> Iterator[Issue]:
    """Tell of tasks whose network mode Managed Instances do not have (Amazon ECS Developer Guide, ManagedInstances.html)."""
    managed = {p.name for p in scenario.capacity_providers if p.managed_instances_provider is not None}
    defaults = {c.cluster_name: c.default_capacity_provider_strategy for c in scenario.clusters}
    for path, spec in _launches(scenario):
        strategy = spec.capacity_provider_strategy or defaults.get(tail(spec.cluster), ())
        definition = _definition(scenario, spec.task_definition)
        if definition is None or spec.launch_type is not None or not managed & {i.capacity_provider for i in strategy}:
            continue
        mode = definition.effective_network_mode
        if mode not in ("awsvpc", "host"):
            message = f"Managed Instances run tasks with networkMode awsvpc or host, but {definition.family} has {mode}"
            yield Issue((*path, "taskDefinition"), message)


def capacity_notes(scenario: Scenario) -> Iterator[str]:
    """Yield a note on every task definition that fits no instance of a provider it is sent to: ECS leaves it in PROVISIONING."""
    for group in scenario.auto_scaling_groups:
        if group.health_check_type not in (None, "EC2"):
            name = group.auto_scaling_group_name
            yield f"HealthCheckType {group.health_check_type} of Auto Scaling group {name} is not simulated: EC2 checks only"
    providers = {p.name: p for p in scenario.capacity_providers}
    defaults = {c.cluster_name: c.default_capacity_provider_strategy for c in scenario.clusters}
    for _, spec in _launches(scenario):
        strategy = spec.capacity_provider_strategy or defaults.get(tail(spec.cluster), ())
        definition = _definition(scenario, spec.task_definition)
        for item in () if spec.launch_type is not None else strategy:
            provider = providers.get(item.capacity_provider)
            note = None if provider is None or definition is None else _never_held(scenario, definition, provider)
            if note is not None and definition is not None:
                yield f"tasks of {definition.family} on capacity provider {item.capacity_provider}: {note}"


def _definition(scenario: Scenario, reference: str) -> TaskDefinition | None:
    family, _, number = tail(reference).partition(":")
    known = [d for d in scenario.task_definitions if d.family == family]
    sound = not number or (number.isascii() and number.isdigit() and 1 <= int(number[:9]) <= len(known))
    if not known or not sound:
        return None
    return known[int(number) - 1] if number else known[-1]


def _never_held(scenario: Scenario, definition: TaskDefinition, provider: CapacityProvider) -> str | None:
    from fargsim.catalog import instance_types
    from fargsim.catalog.offers import meets, offer_fault
    from fargsim.policy.fitting import never_held
    from fargsim.policy.needs import needs_of

    managed = provider.managed_instances_provider
    groups = {g.auto_scaling_group_name: g for g in scenario.auto_scaling_groups}
    group = groups.get(tail(provider.asg.auto_scaling_group_arn))
    here = (name for name in instance_types() if offer_fault(name, scenario.region) is None)
    if managed is not None:
        requirements = managed.instance_launch_template.instance_requirements
        kinds = instance_types()
        own = [n for n in kinds if meets(kinds[n], requirements) and offer_fault(n, scenario.region) is None]
    elif group is not None:
        own = [name for name in _types(scenario, group) if name in instance_types()]
    else:
        return None
    return never_held(
        needs_of(definition),
        [_offer(scenario, name, group) for name in own],
        (_offer(scenario, name, group) for name in here),
        waits=managed is not None or provider.asg.managed_scaling.status == "ENABLED",
        picks=managed is not None,
    )


def _types(scenario: Scenario, group: AutoScalingGroup) -> list[str]:
    mixed = group.mixed_instances_policy
    if mixed is not None and mixed.launch_template.overrides:
        return [o.instance_type for o in mixed.launch_template.overrides]
    name = group.template.launch_template_name
    return [t.launch_template_data.instance_type for t in scenario.launch_templates if t.launch_template_name == name]


def _offer(scenario: Scenario, name: str, group: AutoScalingGroup | None) -> Offer:
    from fargsim.catalog.offers import offered
    from fargsim.catalog.parameters import parameters
    from fargsim.policy.managed_instances import Offer
    from fargsim.policy.managed_scaling import InstanceShape

    factor = parameters(scenario.assumptions).number("registered_memory_factor")
    reserved = 0 if group is None else group.agent.ecs_reserved_memory_mib
    trunking = group is not None and group.awsvpc_trunking
    kind, size, price = offered(name, scenario.region, reserved_mib=reserved, factor=factor, trunking=trunking)
    return Offer(name, kind, InstanceShape(*size), price)
