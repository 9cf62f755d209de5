"""Rules of deployments between the parts of a scenario: the alarms that they watch, what updates make of them, CodeDeploy.

Source: Amazon ECS API Reference, API_DeploymentAlarms.html, API_UpdateService.html, API_StopServiceDeployment.html; AWS CodeDeploy API
Reference, API_CreateDeploymentGroup.html, API_CreateDeployment.html.
"""

from __future__ import annotations

from collections.abc import Iterator

from pydantic import ValidationError

from fargsim.load.names import Names, tail, unknown
from fargsim.load.shifts import rules_of
from fargsim.model.base import Issue, Path
from fargsim.model.code_deploy import CreateDeploymentGroup
from fargsim.model.deployment import DeploymentChange, DeploymentConfiguration
from fargsim.model.deployment_rules import bounds_faults, updated
from fargsim.model.fault_words import word
from fargsim.model.scenario import Scenario
from fargsim.model.service import CreateService
from fargsim.model.shift_rules import shift_faults
from fargsim.policy.deployment import bounds


def deployment_faults(scenario: Scenario, names: Names) -> Iterator[Issue]:
    """Yield what deployments name and nobody makes, and updates that come to something illegal."""
    asked: list[tuple[Path, DeploymentChange | None]] = [
        (("services", n), service.deployment_configuration) for n, service in enumerate(scenario.services)
    ]
    for n, entry in enumerate(scenario.timeline):
        if entry.create_service is not None:
            asked.append((("timeline", n, "ecs.create_service"), entry.create_service.deployment_configuration))
        if entry.update_service is not None:
            asked.append((("timeline", n, "ecs.update_service"), entry.update_service.deployment_configuration))
        if entry.stop_service_deployment is not None and entry.stop_service_deployment.stop_type == "ABORT":
            path: Path = ("timeline", n, "ecs.stop_service_deployment", "stopType")
            yield Issue(path, "ABORT is not simulated: use ROLLBACK")
    for path, configuration in asked:
        alarms = None if configuration is None else configuration.alarms
        for m, name in enumerate(() if alarms is None else alarms.alarm_names):
            if name not in names.alarms:
                at = (*path, "deploymentConfiguration", "alarms", "alarmNames", m)
                yield Issue(at, unknown("alarm", name, names.alarms))
    yield from _updates(scenario)
    yield from _code_deploy(scenario, names)


def deployment_notes(scenario: Scenario) -> Iterator[str]:
    """Yield a note for every service whose bounds let a rolling update neither start nor stop a task.

    Source: Amazon ECS Developer Guide, container-instance-draining.html, service-event-messages-list.html.
    """
    created = [e.create_service for e in scenario.timeline if e.create_service is not None]
    for service in (*scenario.services, *created):
        configuration, desired = service.deployment_configuration, service.desired_count
        rolls = configuration.strategy == "ROLLING" and service.deployment_controller.type == "ECS"
        if not rolls or service.scheduling_strategy == "DAEMON" or not desired:
            continue
        limits = bounds(desired, configuration.minimum_healthy_percent, configuration.maximum_percent)
        if limits.fixed(desired):
            yield (
                f"a deployment of service {service.service_name} stalls: with desiredCount {desired}, at least {limits.lower} of its tasks "
                f"must be healthy (minimumHealthyPercent) and at most {limits.upper} may exist (maximumPercent)"
            )


def _updates(scenario: Scenario) -> Iterator[Issue]:
    """Follow every service through its updates; one that would be refused changes nothing."""
    services = {(tail(s.cluster), s.service_name): s for s in scenario.services}
    for n, entry in sorted(enumerate(scenario.timeline), key=lambda item: item[1].at):
        if entry.create_service is not None:
            created = entry.create_service
            services.setdefault((tail(created.cluster), created.service_name), created)
        update = entry.update_service
        service = services.get((tail(update.cluster), tail(update.service))) if update is not None else None
        if update is None or service is None:
            continue
        path: Path = ("timeline", n, "ecs.update_service")
        strategy = update.capacity_provider_strategy
        unforced = strategy not in (None, service.capacity_provider_strategy) and not update.force_new_deployment
        if unforced:
            message = "a changed strategy takes effect with a forced deployment only: give forceNewDeployment: true"
            yield Issue((*path, "capacityProviderStrategy"), message)
        try:
            after = updated(service, update)
        except ValidationError as fault:
            for one in fault.errors(include_url=False):
                message = word(dict(one), DeploymentConfiguration)
                yield Issue((*path, "deploymentConfiguration", *one["loc"]), message)
            continue
        before = {*bounds_faults(service), *shift_faults(service)}
        faults = [fault for fault in (*bounds_faults(after), *shift_faults(after)) if fault not in before]
        yield from (Issue((*path, *where), message) for where, message in faults)
        if not faults and not unforced:
            services[tail(update.cluster), tail(update.service)] = after


def _code_deploy(scenario: Scenario, names: Names) -> Iterator[Issue]:
    created = [e.create_service for e in scenario.timeline if e.create_service is not None]
    services = {(tail(s.cluster), s.service_name): s for s in (*created, *scenario.services)}
    groups: list[str] = []
    for n, entry in sorted(enumerate(scenario.timeline), key=lambda item: item[1].at):
        if entry.create_deployment_group is not None:
            groups.append(entry.create_deployment_group.deployment_group_name)
            path: Path = ("timeline", n, "codedeploy.create_deployment_group")
            yield from _group(scenario, names, services, entry.create_deployment_group, path)
        for verb, named in (("create_deployment", entry.create_deployment), ("stop_deployment", entry.stop_deployment)):
            name = None if named is None else named.deployment_group_name
            if name is not None and name not in groups:
                at = ("timeline", n, f"codedeploy.{verb}", "deploymentGroupName")
                yield Issue(at, f"{unknown('deployment group', name, groups)} by then")


def _group(
    scenario: Scenario,
    names: Names,
    services: dict[tuple[str, str], CreateService],
    group: CreateDeploymentGroup,
    path: Path,
) -> Iterator[Issue]:
    [named] = group.ecs_services
    cluster = tail(named.cluster_name)
    at: Path = (*path, "ecsServices", 0, "serviceName")
    service = services.get((cluster, named.service_name))
    known = names.services.get(cluster, [])
    if named.service_name not in known:
        yield Issue(at, unknown("service", named.service_name, known))
    elif service is not None and service.deployment_controller.type != "CODE_DEPLOY":
        found = service.deployment_controller.type
        yield Issue(at, f"service {named.service_name} has the deployment controller {found}: it must be CODE_DEPLOY")
    [pair] = group.load_balancer_info.target_group_pair_info_list
    inside: Path = (*path, "loadBalancerInfo", "targetGroupPairInfoList", 0)
    for n, target_group in enumerate(pair.target_groups):
        if target_group.name not in names.target_groups:
            message = unknown("target group", target_group.name, names.target_groups)
            yield Issue((*inside, "targetGroups", n, "name"), message)
    whole = len(scenario.load_balancers) == len(names.load_balancers)
    for key, route in (("prodTrafficRoute", pair.prod_traffic_route), ("testTrafficRoute", pair.test_traffic_route)):
        for m, arn in enumerate(() if route is None else route.listener_arns):
            if whole and not arn.startswith("arn:") and arn not in rules_of(scenario):
                yield Issue((*inside, key, "listenerArns", m), unknown("listener", arn, rules_of(scenario)))
    for m, alarm in enumerate(group.alarm_configuration.alarms):
        if alarm.name not in names.alarms:
            at = (*path, "alarmConfiguration", "alarms", m, "name")
            yield Issue(at, unknown("alarm", alarm.name, names.alarms))
