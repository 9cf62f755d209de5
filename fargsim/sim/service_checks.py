"""What CreateService, UpdateService and RunTask refuse."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from fargsim.catalog.platforms import platform_fault, platform_unknown, spot_fault
from fargsim.model.base import Issue
from fargsim.model.deployment_rules import bounds_faults
from fargsim.model.placement import PlacementConstraint
from fargsim.model.service import CreateService, RunTask, UpdateService, daemon_faults
from fargsim.model.shift_rules import shift_faults, shifts
from fargsim.model.taskdef import MemberOf, TaskDefinition
from fargsim.policy.cluster_query import QueryError, parse
from fargsim.policy.rebalancing import why_not_rebalanced
from fargsim.sim.errors import (
    AwsError,
    ClientException,
    InvalidParameterException,
    PlatformTaskDefinitionIncompatibilityException,
    PlatformUnknownException,
)
from fargsim.sim.provider_checks import check_forced, check_providers
from fargsim.sim.registry import FARGATE_PROVIDERS, Registry
from fargsim.sim.state import ClusterRun, Revision
from fargsim.sim.traffic_shift import routes_of

if TYPE_CHECKING:
    from fargsim.sim.service_scheduler import ServiceRun

MANAGED_MODES = ("awsvpc", "host")
"""Network modes of tasks on ECS Managed Instances: Amazon ECS Developer Guide, ManagedInstances.html."""

CONSTRAINTS_MAX = 10
"""Placement constraints of one task: Amazon ECS API Reference, API_RunTask.html."""


def uses_fargate(cluster: ClusterRun, spec: CreateService | RunTask) -> bool:
    """Whether tasks of this request run on Fargate: by launch type, by strategy, or by the cluster's default strategy."""
    if spec.launch_type is not None:
        return spec.launch_type == "FARGATE"
    strategy = spec.capacity_provider_strategy or cluster.spec.default_capacity_provider_strategy
    return bool(strategy) and all(item.capacity_provider in FARGATE_PROVIDERS for item in strategy)


def check_network(registry: Registry, cluster: ClusterRun, spec: CreateService | RunTask, revision: Revision) -> None:
    """Check launch type, network and placement of a request.

    Raises
    ------
    InvalidParameterException, ClientException, PlatformUnknownException, PlatformTaskDefinitionIncompatibilityException
        As the ECS API does.
    """
    if spec.launch_type == "EXTERNAL":
        raise ClientException("launchType: EXTERNAL instances are not simulated: use EC2 or FARGATE.")
    fargate = uses_fargate(cluster, spec)
    definition = revision.definition
    if fargate and "FARGATE" not in definition.requires_compatibilities:
        raise InvalidParameterException(
            f"Task definition {revision.name} does not support the FARGATE launch type: "
            "its requiresCompatibilities must include FARGATE."
        )
    given = [
        name
        for name, value in (
            ("placementStrategy", spec.placement_strategy),
            ("placementConstraints", spec.placement_constraints),
        )
        if value
    ]
    if fargate and given:
        raise InvalidParameterException(
            f"Placement strategies and constraints are not supported with FARGATE launch type ({', '.join(given)})."
        )
    if definition.effective_network_mode == "awsvpc" and spec.network_configuration is None:
        raise InvalidParameterException(
            "Network Configuration must be provided when networkMode 'awsvpc' is specified."
        )
    if definition.effective_network_mode != "awsvpc" and spec.network_configuration is not None:
        raise InvalidParameterException(
            "Network Configuration is not valid for the given networkMode of this task definition."
        )
    if spec.platform_version is not None:
        check_platform(spec.platform_version, definition, fargate)
    registry.zones_of_subnets(spec.network_configuration)
    check_providers(registry, cluster.spec, spec.capacity_provider_strategy)
    strategy = () if spec.launch_type is not None else spec.capacity_provider_strategy
    strategy = strategy or (() if spec.launch_type is not None else cluster.spec.default_capacity_provider_strategy)
    known = [registry.providers.get(item.capacity_provider) for item in strategy]
    mode = definition.effective_network_mode
    managed = any(p is not None and p.managed_instances for p in known)
    if managed and spec.placement_strategy:
        raise InvalidParameterException(
            "Placement strategies are not supported with Managed Instances capacity providers (placementStrategy): "
            "tasks are spread over zones, then packed."
        )
    if managed and mode not in MANAGED_MODES:
        raise InvalidParameterException(
            f"Managed Instances run tasks with networkMode {' or '.join(MANAGED_MODES)}, but {revision.name} has {mode}."
        )
    on_spot = any(item.capacity_provider == "FARGATE_SPOT" for item in strategy)
    system, architecture = definition.operating_system_family, definition.cpu_architecture
    fault = spot_fault(system, architecture, spec.platform_version) if on_spot else None
    if fault is not None:
        raise InvalidParameterException(f"capacityProviderStrategy: {fault}.")
    number = len(spec.placement_constraints) + len(definition.placement_constraints)
    if number > CONSTRAINTS_MAX:
        raise InvalidParameterException(
            f"placementConstraints: a task may have {CONSTRAINTS_MAX}, those of its task definition included, not {number}."
        )
    check_expressions(spec.placement_constraints)


def check_platform(version: str, definition: TaskDefinition, fargate: bool) -> None:
    """Check a platform version of Fargate.

    Raises
    ------
    InvalidParameterException, PlatformUnknownException, PlatformTaskDefinitionIncompatibilityException
        As CreateService and RunTask do.
    """
    if not fargate:
        raise InvalidParameterException("The platform version must be null when specifying an EC2 launch type.")
    windows = definition.operating_system_family != "LINUX"
    unknown = platform_unknown(version, windows=windows)
    if unknown is not None:
        raise PlatformUnknownException(f"platformVersion: {unknown}.")
    storage = definition.ephemeral_storage
    fault = platform_fault(
        version, definition.cpu_units, storage_gib=None if storage is None else storage.size_in_gi_b, windows=windows
    )
    if fault is not None:
        raise PlatformTaskDefinitionIncompatibilityException(f"platformVersion: {fault}.")


def check_expressions(
    constraints: Sequence[PlacementConstraint | MemberOf], error: type[AwsError] = InvalidParameterException
) -> None:
    """Check that the expressions of placement constraints are of the cluster query language.

    Raises
    ------
    AwsError
        Of the class `error`, with the column of the fault.
    """
    for n, constraint in enumerate(constraints):
        if constraint.expression is not None:
            try:
                parse(constraint.expression)
            except QueryError as fault:
                raise error(f"placementConstraints[{n}].expression: Invalid expression: {fault}") from None


def check_daemon(cluster: ClusterRun, spec: CreateService) -> None:
    """Check what a daemon service must not have.

    Raises
    ------
    InvalidParameterException
        As CreateService and UpdateService do.
    """
    if uses_fargate(cluster, spec):
        raise InvalidParameterException(
            "The daemon scheduling strategy is not supported with FARGATE launch type (schedulingStrategy): use REPLICA."
        )
    default = spec.launch_type is None and cluster.spec.default_capacity_provider_strategy
    if spec.capacity_provider_strategy or default:
        raise InvalidParameterException(
            "Specifying a capacity provider strategy is not supported when you create a service using the DAEMON scheduling strategy"
            + (": the cluster has a default one, so give launchType EC2." if default else ".")
        )
    for field, what in daemon_faults(spec):
        raise InvalidParameterException(f"The daemon scheduling strategy does not support {what} ({field})")


CODE_DEPLOYED = {
    "task_definition": "task definition",
    "network_configuration": "network parameters",
    "platform_version": "platform version",
    "load_balancers": "load balancers",
}


def check_update(service: ServiceRun, spec: UpdateService) -> None:
    """Check what UpdateService cannot change: a strategy without force, and much of a service that CodeDeploy deploys.

    Source: Amazon ECS API Reference, API_UpdateService.html.

    Raises
    ------
    InvalidParameterException
        As UpdateService does.
    """
    if spec.deployment_controller is not None and service.deploying:
        raise InvalidParameterException("deploymentController cannot be changed while a deployment is in progress.")
    check_forced(service, spec)
    if service.spec.deployment_controller.type != "CODE_DEPLOY":
        return
    tail = "on services with a CODE_DEPLOY deployment controller. Use AWS CodeDeploy to trigger a new deployment."
    for field, what in CODE_DEPLOYED.items():
        if getattr(spec, field) is not None:
            raise InvalidParameterException(f"Unable to update {what} {tail}")
    if spec.force_new_deployment:
        raise InvalidParameterException(f"Cannot force a new deployment {tail}")


def check_routes(registry: Registry, spec: CreateService) -> None:
    """Check the target groups and listener rules of a service whose deployments shift traffic.

    Raises
    ------
    TargetGroupNotFoundException, RuleNotFoundException, InvalidParameterException
        As CreateService and UpdateService do.
    """
    for route in routes_of(registry, spec).values():
        primary, alternate = (group.spec for group in route.groups())
        if (primary.target_type, primary.protocol) != (alternate.target_type, alternate.protocol):
            raise InvalidParameterException(
                f"The alternate target group {alternate.name} ({alternate.target_type}, {alternate.protocol}) must be of the kind "
                f"of {primary.name} ({primary.target_type}, {primary.protocol})."
            )
        for rule in (*route.production, *route.test):
            if rule.users is not None:
                raise InvalidParameterException(
                    f"The users of a closed loop reach {rule.name} and stay with one target group: "
                    "deployments that shift traffic need an open loop (a rate)."
                )


def check_rebalancing(asked: str | None, spec: CreateService) -> None:
    """Check that a service for which zone rebalancing is asked can have it; one that loses it by another change just has none meanwhile.

    Raises
    ------
    InvalidParameterException
        Where it cannot.
    """
    why_not = why_not_rebalanced(spec) if asked == "ENABLED" else None
    if why_not is not None:
        raise InvalidParameterException(
            f"availabilityZoneRebalancing ENABLED is not supported for service {spec.service_name}: {why_not}."
        )


def check_service(registry: Registry, cluster: ClusterRun, spec: CreateService, revision: Revision) -> None:
    """Check what a service adds: balancers, scheduling strategy, controller, deployment configuration."""
    check_network(registry, cluster, spec, revision)
    if spec.scheduling_strategy == "DAEMON":
        check_daemon(cluster, spec)
    if spec.deployment_controller.type == "EXTERNAL":
        raise ClientException("deploymentController EXTERNAL is not simulated: use ECS or CODE_DEPLOY")
    for path, message in (*bounds_faults(spec), *shift_faults(spec)):
        raise InvalidParameterException(Issue(path, message).dotted() + f": {message}")
    if shifts(spec):
        check_routes(registry, spec)
    for balancer in spec.load_balancers:
        registry.target_group(balancer.target_group_arn)
        container = next(
            (c for c in revision.definition.container_definitions if c.name == balancer.container_name), None
        )
        if container is None:
            raise InvalidParameterException(
                f"The container {balancer.container_name} does not exist in the task definition {revision.name}."
            )
        if balancer.container_port not in {p.container_port for p in container.port_mappings}:
            raise InvalidParameterException(
                f"The container {balancer.container_name} did not have a container port {balancer.container_port} defined."
            )
        found = registry.target_group(balancer.target_group_arn)
        group, mode = found.spec, revision.definition.effective_network_mode
        wanted = "ip" if mode == "awsvpc" else "instance"
        if group.target_type != wanted:
            raise InvalidParameterException(
                f"The provided target group {group.name} has target type {group.target_type}, "
                f"which is incompatible with the {mode} network mode: use {wanted}."
            )
        if found.balancer is None:
            raise InvalidParameterException(
                f"The target group with targetGroupArn {found.arn} does not have an associated load balancer."
            )
