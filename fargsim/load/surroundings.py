"""Rules between a scenario's network, roles, images, secrets and log groups and what uses them.

Sources: Amazon EC2 API Reference, API_CreateVpcEndpoint.html, API_IpPermission.html; Amazon ECS API Reference,
API_ContainerDefinition.html.
"""

from __future__ import annotations

from collections.abc import Iterator

from fargsim.catalog.regions import availability_zones, regions
from fargsim.load.names import unknown
from fargsim.model.access import ImageName
from fargsim.model.base import Issue, Path
from fargsim.model.network import DEFAULT_GROUP
from fargsim.model.scenario import Scenario
from fargsim.model.taskdef import TaskDefinition


def surroundings_faults(scenario: Scenario) -> Iterator[Issue]:
    """Yield what contradicts itself in the surroundings, and entries that nothing uses, which are misspelt as a rule."""
    yield from _routes(scenario)
    yield from _groups(scenario)
    yield from _images(scenario)
    yield from _roles(scenario)
    yield from _outages(scenario)


def _routes(scenario: Scenario) -> Iterator[Issue]:
    network = scenario.network
    for n, subnet in enumerate(network.subnets):
        if subnet.route == "nat" and not network.nat_gateways:
            message = "a route to a NAT gateway needs one: set nat_gateways of the network"
            yield Issue(("network", "subnets", n, "route"), message)
    known = [subnet.subnet_id for subnet in network.subnets]
    named = {subnet.availability_zone for subnet in network.subnets}
    if network.zones_without_fargate and (named or scenario.region in regions()):  # an unknown region is told by itself
        zones = sorted(named or availability_zones(scenario.region))
        for n, zone in enumerate(network.zones_without_fargate):
            if zone not in zones:
                yield Issue(("network", "zones_without_fargate", n), unknown("zone", zone, zones))
    services: list[str] = []
    for n, endpoint in enumerate(network.endpoints):
        path: Path = ("network", "endpoints", n)
        if endpoint.service in services:
            yield Issue((*path, "ServiceName"), f"'{endpoint.service}' stands twice in endpoints")
        services.append(endpoint.service)
        parts = endpoint.service_name.split(".")
        if parts[:2] == ["com", "amazonaws"] and len(parts) > 3 and parts[2] != scenario.region:
            message = f"'{endpoint.service_name}' is a service of {parts[2]}, not of {scenario.region}"
            yield Issue((*path, "ServiceName"), message)
        for m, name in enumerate(endpoint.subnet_ids):
            if known and name not in known:
                yield Issue((*path, "SubnetIds", m), unknown("subnet", name, known))


def _groups(scenario: Scenario) -> Iterator[Issue]:
    named: list[str] = []
    for n, group in enumerate(scenario.network.security_groups):
        path: Path = ("network", "security_groups", n)
        if group.group_id in named:
            yield Issue((*path, "GroupId"), f"'{group.group_id}' stands twice in security_groups")
        named.append(group.group_id)
    used = set(_used_groups(scenario)) | {DEFAULT_GROUP}
    for n, group in enumerate(scenario.network.security_groups):
        if not used & {group.group_id, group.group_name}:
            message = f"no service, job, balancer, launch template, endpoint or rule uses the security group '{group.group_id}'"
            yield Issue(("network", "security_groups", n, "GroupId"), message)


def _used_groups(scenario: Scenario) -> Iterator[str]:
    created = [e.create_service for e in scenario.timeline if e.create_service is not None]
    updated = [e.update_service for e in scenario.timeline if e.update_service is not None]
    run = [e.run_task for e in scenario.timeline if e.run_task is not None]
    networks = [s.network_configuration for s in (*scenario.services, *created)]
    networks += [u.network_configuration for u in updated]
    networks += [r.network_configuration for r in (*(j.run_task for j in scenario.jobs), *run)]
    for network in networks:
        if network is not None:
            yield from network.awsvpc_configuration.security_groups
    for balancer in scenario.load_balancers:
        yield from balancer.security_groups
    for template in scenario.launch_templates:
        yield from template.launch_template_data.security_group_ids
    for endpoint in scenario.network.endpoints:
        yield from endpoint.security_group_ids
    for group in scenario.network.security_groups:
        for rule in (*group.ip_permissions, *(group.ip_permissions_egress or ())):
            for pair in rule.user_id_group_pairs:
                yield from filter(None, (pair.group_id, pair.group_name))


def _definitions(scenario: Scenario) -> list[TaskDefinition]:
    later = [e.register_task_definition for e in scenario.timeline if e.register_task_definition is not None]
    return [*scenario.task_definitions, *later]


def _images(scenario: Scenario) -> Iterator[Issue]:
    names = [ImageName.of(c.image) for d in _definitions(scenario) for c in d.container_definitions]
    used = {name.repository for name in names}
    seen: dict[str, str] = {}
    for key in scenario.images:
        repository = ImageName.of(key).repository
        if ":" in key.rpartition("/")[2] or "@" in key:
            yield Issue(("images", key), f"'{key}' names a tag: give the repository, and its tags under 'tags'")
        elif repository in seen:
            yield Issue(("images", key), f"'{key}' and '{seen[repository]}' are the same repository, {repository}")
        elif names and repository not in used:
            yield Issue(("images", key), unknown("repository used by a container", repository, used))
        seen[repository] = key
    hosts = {name.host for name in names}
    for host in scenario.registries:
        if names and host not in hosts:
            yield Issue(("registries", host), unknown("registry used by a container", host, hosts))


def _roles(scenario: Scenario) -> Iterator[Issue]:
    arns = [arn for d in _definitions(scenario) for arn in (d.task_role_arn, d.execution_role_arn) if arn is not None]
    used = {arn.rsplit("/", 1)[-1] for arn in arns}
    for template in scenario.launch_templates:
        profile = template.launch_template_data.iam_instance_profile
        named = (profile.get("Name") or profile.get("Arn")) if isinstance(profile, dict) else profile
        used.add(str(named or "ecsInstanceRole").rsplit("/", 1)[-1])
    for name in scenario.roles:
        if name not in used:
            yield Issue(("roles", name), unknown("role used by a task definition or an instance", name, used))


def _outages(scenario: Scenario) -> Iterator[Issue]:
    if scenario.region not in regions():
        return  # told by itself
    zones = availability_zones(scenario.region)
    for n, entry in enumerate(scenario.timeline):
        outage = entry.fault.fargate_capacity_unavailable if entry.fault is not None else None
        for m, zone in enumerate(outage.zones if outage is not None else ()):
            if zone not in zones:
                at = ("timeline", n, "fault", "fargate_capacity_unavailable", "zones", m)
                yield Issue(at, unknown(f"zone of {scenario.region}", zone, zones))
        for fault in ("az_outage", "az_impairment", "instance_loss"):
            found = getattr(entry.fault, fault) if entry.fault is not None else None
            if found is not None and found.zone is not None and found.zone not in zones:
                where = ("timeline", n, "fault", fault, "zone")
                yield Issue(where, unknown(f"zone of {scenario.region}", found.zone, zones))
