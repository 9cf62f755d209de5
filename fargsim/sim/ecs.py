"""The verbs of Amazon ECS, as boto3 spells them."""

from __future__ import annotations

from typing import Any

from fargsim.catalog.checks import task_definition_faults
from fargsim.model.base import EcsShape
from fargsim.model.capacity import CapacityProvider, Cluster
from fargsim.model.taskdef import TOLERANT, TaskDefinition
from fargsim.policy.fleet import Fleet
from fargsim.policy.needs import needs_of
from fargsim.sim.api_rates import counted
from fargsim.sim.ecs_deployments import DeploymentVerbs
from fargsim.sim.ecs_services import ServiceVerbs
from fargsim.sim.ecs_settings import SettingVerbs
from fargsim.sim.ecs_tasks import TaskVerbs
from fargsim.sim.errors import (
    ClientException,
    ClusterContainsCapacityProviderException,
    ClusterContainsContainerInstancesException,
    ClusterContainsServicesException,
    ClusterContainsTasksException,
    InvalidParameterException,
    ResourceInUseException,
)
from fargsim.sim.images import images_of
from fargsim.sim.managed_instances import managed_provider
from fargsim.sim.provider_checks import check_group, check_home, check_providers
from fargsim.sim.quota_checks import check_quota
from fargsim.sim.registry import FARGATE_PROVIDERS, tail
from fargsim.sim.service_checks import check_expressions
from fargsim.sim.shapes import read
from fargsim.sim.state import ClusterRun, ProviderRun, Revision


class Ecs(ServiceVerbs, DeploymentVerbs, TaskVerbs, SettingVerbs):
    """Verbs that create, change, stop and describe.

    Arguments are those of the AWS API, in ``camelCase``; answers are dictionaries in its shapes. A name stands wherever the API takes an
    ARN.
    """

    @counted
    def create_cluster(self, **arguments: Any) -> dict[str, Any]:
        """Create a cluster, or return the one that has this name."""
        spec = read(Cluster, arguments)
        registry = self._registry
        found = registry.clusters.get(spec.cluster_name)
        if found is None:
            check_quota(self._kit, "clusters_per_account", len(registry.clusters) + 1, "clusterName")
            check_quota(self._kit, "capacity_providers_per_cluster", len(spec.capacity_providers), "capacityProviders")
            for name in spec.capacity_providers:
                if name not in FARGATE_PROVIDERS and name not in registry.providers:
                    raise InvalidParameterException(f"The specified capacity provider '{name}' was not found.")
            check_providers(registry, spec, spec.default_capacity_provider_strategy)
            found = ClusterRun(spec.cluster_name, spec, Fleet())
            found.fargate_freed = lambda task: registry.fargate.freed(
                registry.fargate.option(task.capacity_provider), task.revision.definition.cpu_units
            )
            found.on_capacity.append(lambda: self._launcher.retry_waiting(found))
            registry.clusters[spec.cluster_name] = found
        return {
            "cluster": {
                "clusterName": found.name,
                "clusterArn": self._kit.arn("cluster", found.name),
                "status": "ACTIVE",
            }
        }

    @counted
    def delete_cluster(self, *, cluster: str) -> dict[str, Any]:
        """Delete a cluster that nothing is left in.

        Source: Amazon ECS API Reference, API_DeleteCluster.html.

        Raises
        ------
        ClusterContainsServicesException, ClusterContainsTasksException, ClusterContainsContainerInstancesException, \
ClusterContainsCapacityProviderException
            Where something is left.
        """
        found = self._registry.cluster(cluster)
        services = [name for name, service in found.services.items() if not service.deleted or service.tasks]
        if services:
            raise ClusterContainsServicesException(
                f"The cluster cannot be deleted while services are active: {', '.join(services)}."
            )
        if found.tasks:
            raise ClusterContainsTasksException(
                f"The cluster cannot be deleted while tasks are active: there are {len(found.tasks)}."
            )
        if found.instances_by_row:
            raise ClusterContainsContainerInstancesException(
                "The cluster cannot be deleted while container instances are active or draining: "
                f"there are {len(found.instances_by_row)}."
            )
        own = [name for name in found.spec.capacity_providers if self._is_managed(name)]
        if own:
            raise ClusterContainsCapacityProviderException(
                f"The cluster cannot be deleted while capacity providers are active: {', '.join(own)}."
            )
        found.deleted = True
        del self._registry.clusters[found.name]
        return {"cluster": {"clusterName": found.name, "status": "INACTIVE"}}

    def _is_managed(self, provider: str) -> bool:
        """Whether a capacity provider is one of Managed Instances, which belongs to one cluster."""
        known = self._registry.providers.get(provider)
        return known is not None and known.managed_instances

    @counted
    def update_cluster_settings(self, *, cluster: str, settings: list[dict[str, str]]) -> dict[str, Any]:
        """Change settings of a cluster: ``containerInsights``.

        Source: Amazon ECS API Reference, API_UpdateClusterSettings.html.
        """
        found = self._registry.cluster(cluster)
        given = read(Cluster, {"clusterName": found.name, "settings": settings}).settings
        found.spec = found.spec.model_copy(update={"settings": given})
        return {"cluster": {"clusterName": found.name, "settings": settings, "status": "ACTIVE"}}

    @counted
    def register_task_definition(self, **arguments: Any) -> dict[str, Any]:
        """Register a task definition as the next revision of its family.

        Raises
        ------
        ClientException
            A size that Fargate does not have, a contradiction inside the definition, an expression that does not parse, an unknown key.
        """
        definition = read(TaskDefinition, arguments, ClientException, TOLERANT)
        faults = [*definition.faults(), *task_definition_faults(definition)]
        if faults:
            said = ((), ("executionRoleArn",))  # in AWS's own words, which need no path
            raise ClientException(
                "; ".join(i.message if i.path in said else f"{i.dotted()}: {i.message}" for i in faults)
            )
        check_expressions(definition.placement_constraints, ClientException)
        known = self._registry.revisions.setdefault(definition.family, [])
        number = len(known) + 1
        check_quota(self._kit, "revisions_per_family", number, "family")
        kib = len(definition.model_dump_json(by_alias=True, exclude_unset=True)) / 1024
        check_quota(self._kit, "task_definition_kib", kib, "containerDefinitions")
        behaviour = self._kit.surroundings.permitted(definition, self._registry.behaviour(definition.family, number))
        revision = Revision(
            number,
            self._kit.arn("task-definition", f"{definition.family}:{number}"),
            definition,
            behaviour,
            images_of(definition, behaviour, self._kit.parameters.number("image_mib")),
            needs_of(definition),
        )
        known.append(revision)
        return {"taskDefinition": self._describe_revision(revision)}

    @counted
    def describe_task_definition(self, *, taskDefinition: str) -> dict[str, Any]:
        """Describe a revision."""
        return {"taskDefinition": self._describe_revision(self._registry.revision(taskDefinition))}

    @counted
    def create_capacity_provider(self, **arguments: Any) -> dict[str, Any]:
        """Create a capacity provider: of an Auto Scaling group, or one whose instances ECS manages."""
        spec = read(CapacityProvider, arguments)
        if spec.name in self._registry.providers:
            raise ClientException(f"A capacity provider '{spec.name}' exists already.")
        if spec.managed_instances_provider is not None:
            provider = managed_provider(self._registry, spec, spec.managed_instances_provider)
        else:
            group = self._registry.group(spec.asg.auto_scaling_group_arn)
            if group.provider is not None:
                raise ClientException(f"The Auto Scaling group '{group.name}' has a capacity provider already.")
            check_group(spec, group)
            provider = ProviderRun(spec, group)
            group.provider = provider
        self._registry.providers[spec.name] = provider
        return {
            "capacityProvider": {
                "name": spec.name,
                "capacityProviderArn": self._kit.arn("capacity-provider", spec.name),
            }
        }

    @counted
    def put_cluster_capacity_providers(
        self, *, cluster: str, capacityProviders: list[str], defaultCapacityProviderStrategy: list[dict[str, Any]]
    ) -> dict[str, Any]:
        """Associate capacity providers with a cluster and set its default strategy; what is not named is not associated any more.

        Source: Amazon ECS API Reference, API_PutClusterCapacityProviders.html.

        Raises
        ------
        ResourceInUseException
            Where a provider that would go has tasks, or a service of the cluster names it.
        """
        found = self._registry.cluster(cluster)
        for name in capacityProviders:
            if name not in FARGATE_PROVIDERS and name not in self._registry.providers:
                raise InvalidParameterException(f"The specified capacity provider '{name}' was not found.")
            check_home(self._registry, found.name, name)
        spec = {
            "clusterName": found.name,
            "capacityProviders": capacityProviders,
            "defaultCapacityProviderStrategy": defaultCapacityProviderStrategy,
        }
        check_quota(self._kit, "capacity_providers_per_cluster", len(capacityProviders), "capacityProviders")
        changed = read(Cluster, spec)
        check_providers(self._registry, changed, changed.default_capacity_provider_strategy)
        gone = set(found.spec.associated) - set(changed.associated)
        named = {
            i.capacity_provider
            for s in found.services.values()
            if not s.deleted
            for i in s.spec.capacity_provider_strategy
        }
        used = gone & (named | {task.capacity_provider for task in found.tasks.values() if task.capacity_provider})
        if used:
            raise ResourceInUseException(
                f"capacityProviders: {', '.join(sorted(used))} cannot be removed from cluster {found.name}: tasks or services use them."
            )
        found.spec = changed
        return {"cluster": {"clusterName": found.name, "capacityProviders": capacityProviders}}

    @counted
    def describe_clusters(self, *, clusters: list[str] | None = None) -> dict[str, Any]:
        """Describe clusters."""
        answer: dict[str, Any] = {"clusters": [], "failures": []}
        for name in clusters or ["default"]:
            found = self._registry.clusters.get(tail(name))
            if found is None:
                answer["failures"].append({"arn": name, "reason": "MISSING"})
                continue
            counts = found.counts
            answer["clusters"].append(
                {
                    "clusterName": found.name,
                    "clusterArn": self._kit.arn("cluster", found.name),
                    "status": "ACTIVE",
                    "registeredContainerInstancesCount": len(found.instances_by_row),
                    "runningTasksCount": counts["RUNNING"],
                    "pendingTasksCount": counts["PENDING"] + counts["ACTIVATING"] + counts["PROVISIONING"],
                    "activeServicesCount": sum(1 for s in found.services.values() if not s.deleted),
                }
            )
        return answer

    def _describe_revision(self, revision: Revision) -> dict[str, Any]:
        shape: EcsShape = revision.definition
        return {
            **shape.model_dump(mode="json", by_alias=True, exclude_defaults=True),
            "taskDefinitionArn": revision.arn,
            "revision": revision.number,
            "status": "ACTIVE",
        }
