"""Rules of CreateService, UpdateService and RunTask: launch type, network, placement, load balancers.

Sources: Amazon ECS API Reference, API_CreateService.html, API_RunTask.html, API_LoadBalancer.html, API_AwsVpcConfiguration.html; Amazon ECS
Developer Guide, fargate-tasks-services.html, service_definition_parameters.html.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator

from fargsim.load.names import FARGATE_PROVIDERS, Names, pick, revision_fault, tail, unknown
from fargsim.load.shifts import reached_groups
from fargsim.model.base import Issue, Path
from fargsim.model.deployment_rules import bounds_faults
from fargsim.model.placement import CapacityProviderStrategyItem, PlacementConstraint
from fargsim.model.scenario import Scenario
from fargsim.model.service import CreateService, NetworkConfiguration, RunTask, UpdateService, daemon_faults
from fargsim.model.shift_rules import shift_faults
from fargsim.model.taskdef import MemberOf, TaskDefinition
from fargsim.policy.rebalancing import why_not_rebalanced

_NETWORK = ("networkConfiguration", "awsvpcConfiguration")


def query_fault(expression: str) -> str | None:
    """Say what is wrong with a cluster query expression; None when nothing is."""
    # the grammar is built only for scenarios that have an expression
    from fargsim.policy.cluster_query import QueryError, parse

    try:
        parse(expression)
    except QueryError as error:
        return str(error)
    return None


def constraint_faults(constraints: tuple[PlacementConstraint | MemberOf, ...], path: Path) -> Iterator[Issue]:
    """Yield the faults of the expressions of placement constraints."""
    for n, constraint in enumerate(constraints):
        if constraint.expression is not None:
            message = query_fault(constraint.expression)
            if message is not None:
                yield Issue((*path, n, "expression"), message)


class Launches:
    """Checks what starts tasks against the rest of a scenario."""

    def __init__(self, scenario: Scenario, names: Names) -> None:
        self._scenario = scenario
        self._names = names
        self._associated = {c.cluster_name: c.associated for c in scenario.clusters}
        self._defaults = {c.cluster_name: c.default_capacity_provider_strategy for c in scenario.clusters}
        self._target_types = {g.name: g.target_type for g in scenario.target_groups}
        reached, sound = reached_groups(scenario, names)
        self._reached = reached if sound else set(names.target_groups)
        self._by_family: dict[str, list[TaskDefinition]] = {}
        later = sorted((e.at, n) for n, e in enumerate(scenario.timeline) if e.register_task_definition is not None)
        registered = [scenario.timeline[n].register_task_definition for _, n in later]
        for definition in (*scenario.task_definitions, *registered):
            assert definition is not None
            self._by_family.setdefault(definition.family, []).append(definition)

    def revision_fault(self, reference: str) -> str | None:
        """Say what is wrong with a reference to a task definition; None when nothing is."""
        return revision_fault(reference, self._names)

    def definition(self, reference: str) -> TaskDefinition | None:
        """Return the definition a reference means, as far as it is sound."""
        return pick(reference, self._by_family, self._names)

    def kind(self, spec: CreateService | RunTask) -> str:
        """Return ``FARGATE``, ``EC2`` or ``EXTERNAL``: by launch type, by strategy, or by the cluster's default strategy.

        ``unknown`` where the strategy names a provider that is not there.
        """
        if spec.launch_type is not None:
            return spec.launch_type
        strategy = spec.capacity_provider_strategy or self._defaults.get(tail(spec.cluster), ())
        if any(i.capacity_provider not in (*FARGATE_PROVIDERS, *self._names.capacity_providers) for i in strategy):
            return "unknown"
        fargate = bool(strategy) and all(i.capacity_provider in FARGATE_PROVIDERS for i in strategy)
        return "FARGATE" if fargate else "EC2"

    def _on_managed_instances(self, spec: CreateService | RunTask) -> bool:
        if spec.launch_type is not None:
            return False
        strategy = spec.capacity_provider_strategy or self._defaults.get(tail(spec.cluster), ())
        managed = {p.name for p in self._scenario.capacity_providers if p.managed_instances_provider is not None}
        return any(item.capacity_provider in managed for item in strategy)

    def request_fault(self, service: CreateService) -> str | None:
        """Say that the tasks of a service with traffic are not told how to serve a request."""
        reference = tail(service.task_definition)
        if self.revision_fault(reference) is not None:
            return None
        family, _, number = reference.partition(":")
        revision = number or str(self._names.revisions.get(family, 0))
        keys = [k for k in (f"{family}:{revision}", family) if k in self._names.behaviour]
        if not keys:
            return (
                f"service {service.service_name} gets requests: 'behaviour' must say in {family}.request what one costs"
            )
        behaviour = self._scenario.behaviour.get(keys[0])
        if behaviour is not None and behaviour.request is None:
            return f"service {service.service_name} gets requests, but behaviour.{keys[0]} has no 'request'"
        return None

    def launch_faults(self, spec: CreateService | RunTask, path: Path) -> Iterator[Issue]:
        """Yield what RunTask and CreateService have in common."""
        names = self._names
        if tail(spec.cluster) not in names.clusters:
            yield Issue((*path, "cluster"), unknown("cluster", tail(spec.cluster), names.clusters))
        message = self.revision_fault(spec.task_definition)
        if message is not None:
            yield Issue((*path, "taskDefinition"), message)
        yield from self._strategy(spec.capacity_provider_strategy, spec.cluster, path)
        kind = self.kind(spec)
        if kind == "EXTERNAL":
            yield Issue((*path, "launchType"), "EXTERNAL instances are not simulated: use EC2 or FARGATE")
        if kind == "FARGATE":
            if spec.placement_strategy:
                yield Issue(
                    (*path, "placementStrategy"), "Fargate takes no placement strategy: it spreads tasks over zones"
                )
            if spec.placement_constraints:
                yield Issue((*path, "placementConstraints"), "Fargate takes no placement constraints")
        if spec.placement_strategy and self._on_managed_instances(spec):
            message = "Managed Instances take no placement strategy: ECS spreads tasks over zones, then packs them"
            yield Issue((*path, "placementStrategy"), message)
        yield from constraint_faults(spec.placement_constraints, (*path, "placementConstraints"))
        definition = self.definition(spec.task_definition)
        if definition is not None:
            yield from self._definition_fits(spec, definition, kind, path)
            strategy = spec.capacity_provider_strategy or self._defaults.get(tail(spec.cluster), ())
            yield from _platform(spec, definition, kind, strategy, path)
        yield from self._network(spec.network_configuration, path)
        network = spec.network_configuration
        if kind == "EC2" and network is not None and network.awsvpc_configuration.assign_public_ip == "ENABLED":
            yield Issue(
                (*path, *_NETWORK, "assignPublicIp"), "ENABLED is for Fargate: the EC2 launch type does not support it"
            )

    def _definition_fits(
        self, spec: CreateService | RunTask, definition: TaskDefinition, kind: str, path: Path
    ) -> Iterator[Issue]:
        mode = definition.effective_network_mode
        if kind == "FARGATE" and "FARGATE" not in definition.requires_compatibilities:
            message = f"{definition.family} cannot run on Fargate: its requiresCompatibilities must include FARGATE"
            yield Issue((*path, "taskDefinition"), message)
        if (mode == "awsvpc" or kind == "FARGATE") and spec.network_configuration is None:
            yield Issue(path, f"tasks of {definition.family} have networkMode awsvpc: networkConfiguration is missing")
        if mode != "awsvpc" and kind != "FARGATE" and spec.network_configuration is not None:
            message = f"networkConfiguration is for networkMode awsvpc, but {definition.family} has {mode}"
            yield Issue((*path, "networkConfiguration"), message)

    def _strategy(
        self, strategy: tuple[CapacityProviderStrategyItem, ...], cluster: str, path: Path
    ) -> Iterator[Issue]:
        legal = [*FARGATE_PROVIDERS, *self._names.capacity_providers]
        for n, item in enumerate(strategy):
            if item.capacity_provider not in legal:
                at = (*path, "capacityProviderStrategy", n, "capacityProvider")
                yield Issue(at, unknown("capacity provider", item.capacity_provider, legal))
                continue
            associated = self._associated.get(tail(cluster))
            if associated is not None and item.capacity_provider not in associated:
                at = (*path, "capacityProviderStrategy", n, "capacityProvider")
                message = f"{item.capacity_provider} is not associated with cluster {tail(cluster)}: its capacityProviders are "
                yield Issue(at, message + ", ".join(associated))

    def _network(self, network: NetworkConfiguration | None, path: Path) -> Iterator[Issue]:
        known = self._names.subnets
        for n, subnet in enumerate(network.awsvpc_configuration.subnets if network is not None else ()):
            if known and subnet not in known:
                yield Issue((*path, *_NETWORK, "subnets", n), unknown("subnet", subnet, known))

    def service_faults(self, service: CreateService, path: Path, later: Collection[str] = ()) -> Iterator[Issue]:
        """Yield the faults of a service.

        Parameters
        ----------
        later
            Target groups that a listener forwards to by then, not from the beginning.
        """
        yield from self.launch_faults(service, path)
        if service.scheduling_strategy == "DAEMON" and self.kind(service) == "FARGATE":
            yield Issue((*path, "schedulingStrategy"), "DAEMON is not possible on Fargate: use REPLICA")
        elif service.scheduling_strategy == "DAEMON":
            if service.capacity_provider_strategy or (
                service.launch_type is None and self._defaults.get(tail(service.cluster))
            ):
                message = "a daemon service takes no capacity provider strategy, not even the cluster's default one: give launchType EC2"
                yield Issue((*path, "schedulingStrategy"), message)
            for field, what in daemon_faults(service):
                yield Issue((*path, *field.split(".")), f"the daemon scheduling strategy does not support {what}")
        why_not = why_not_rebalanced(service) if service.availability_zone_rebalancing == "ENABLED" else None
        if why_not is not None and service.scheduling_strategy != "DAEMON":
            yield Issue((*path, "availabilityZoneRebalancing"), f"ENABLED is not supported: {why_not}")
        if service.deployment_controller.type == "EXTERNAL":
            at = (*path, "deploymentController", "type")
            yield Issue(at, "EXTERNAL is not simulated: use ECS or CODE_DEPLOY")
        for where, message in (*bounds_faults(service), *shift_faults(service)):
            yield Issue((*path, *where), message)
        definition = self.definition(service.task_definition)
        for n, balancer in enumerate(service.load_balancers):
            at = (*path, "loadBalancers", n)
            group = tail(balancer.target_group_arn)
            if group not in self._names.target_groups:
                yield Issue((*at, "targetGroupArn"), unknown("target group", group, self._names.target_groups))
            elif group not in self._reached and group not in later:
                message = f"target group {group} does not have an associated load balancer: no listener forwards to it"
                yield Issue((*at, "targetGroupArn"), message)
            if definition is None:
                continue
            yield from _container_fits(balancer.container_name, balancer.container_port, definition, at)
            awsvpc = definition.effective_network_mode == "awsvpc"
            target_type = self._target_types.get(group)
            wanted = "ip" if awsvpc else "instance"
            if target_type is not None and target_type != wanted:
                message = (
                    f"target group {group} has TargetType {target_type}, but tasks with networkMode "
                    f"{definition.effective_network_mode} need {wanted}"
                )
                yield Issue((*at, "targetGroupArn"), message)

    def update_faults(self, update: UpdateService, path: Path) -> Iterator[Issue]:
        """Yield the faults of an update, as far as they do not depend on the service's state by then."""
        if update.task_definition is not None:
            message = self.revision_fault(update.task_definition)
            if message is not None:
                yield Issue((*path, "taskDefinition"), message)
        yield from self._strategy(update.capacity_provider_strategy or (), update.cluster, path)
        yield from constraint_faults(update.placement_constraints or (), (*path, "placementConstraints"))
        yield from self._network(update.network_configuration, path)


def _platform(
    spec: CreateService | RunTask,
    definition: TaskDefinition,
    kind: str,
    strategy: tuple[CapacityProviderStrategyItem, ...],
    path: Path,
) -> Iterator[Issue]:
    from fargsim.catalog.platforms import platform_fault, platform_unknown, spot_fault

    system, architecture = definition.operating_system_family, definition.cpu_architecture
    for n, item in enumerate(strategy if spec.launch_type is None else ()):
        spot = item.capacity_provider == "FARGATE_SPOT"
        not_on_spot = spot_fault(system, architecture, spec.platform_version) if spot else None
        if not_on_spot is not None:
            own = (n, "capacityProvider") if spec.capacity_provider_strategy else ()
            yield Issue((*path, "capacityProviderStrategy", *own), not_on_spot)
    version = spec.platform_version
    if version is None:
        return
    path = (*path, "platformVersion")
    if kind == "EC2":
        yield Issue(path, "The platform version must be null when specifying an EC2 launch type.")
        return
    windows = definition.operating_system_family != "LINUX"
    storage = None if definition.ephemeral_storage is None else definition.ephemeral_storage.size_in_gi_b
    fault = platform_unknown(version, windows=windows)
    fault = fault or platform_fault(version, definition.cpu_units, storage_gib=storage, windows=windows)
    if kind == "FARGATE" and fault is not None:
        yield Issue(path, fault)


def _container_fits(name: str, port: int, definition: TaskDefinition, path: Path) -> Iterator[Issue]:
    container = next((c for c in definition.container_definitions if c.name == name), None)
    if container is None:
        known = [c.name for c in definition.container_definitions]
        yield Issue((*path, "containerName"), unknown(f"container of {definition.family}", name, known))
        return
    ports = [p.container_port for p in container.port_mappings if p.container_port is not None]
    ranged = any(p.container_port_range for p in container.port_mappings)
    if port not in ports and not ranged:
        legal = ", ".join(map(str, ports)) or "none"
        yield Issue(
            (*path, "containerPort"), f"container {name} has no port {port} in its portMappings: it has {legal}"
        )
