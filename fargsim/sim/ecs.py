"""The verbs of Amazon ECS, as boto3 spells them."""

from __future__ import annotations

from typing import Any

from fargsim.catalog.checks import task_definition_faults
from fargsim.model.base import EcsShape
from fargsim.model.capacity import CapacityProvider, Cluster
from fargsim.model.taskdef import TaskDefinition
from fargsim.policy.fleet import Fleet
from fargsim.policy.needs import needs_of
from fargsim.sim.ecs_deployments import DeploymentVerbs
from fargsim.sim.ecs_services import ServiceVerbs
from fargsim.sim.ecs_settings import SettingVerbs
from fargsim.sim.ecs_tasks import TaskVerbs
from fargsim.sim.errors import ClientException, InvalidParameterException
from fargsim.sim.images import images_of
from fargsim.sim.managed_instances import managed_provider
from fargsim.sim.provider_checks import check_group, check_home, check_providers
from fargsim.sim.registry import FARGATE_PROVIDERS, tail
from fargsim.sim.service_checks import check_expressions
from fargsim.sim.shapes import read
from fargsim.sim.state import ClusterRun, ProviderRun, Revision


class Ecs(ServiceVerbs, DeploymentVerbs, TaskVerbs, SettingVerbs):
    """Verbs that create, change, stop and describe.

    Arguments are those of the AWS API, in ``camelCase``; answers are dictionaries in its shapes. A name stands wherever the API takes an
    ARN.
    """

    def create_cluster(self, **arguments: Any) -> dict[str, Any]:
        """Create a cluster, or return the one that has this name."""
        spec = read(Cluster, arguments)
        registry = self._registry
        found = registry.clusters.get(spec.cluster_name)
        if found is None:
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

    def update_cluster_settings(self, *, cluster: str, settings: list[dict[str, str]]) -> dict[str, Any]:
        """Change settings of a cluster: ``containerInsights``.

        Source: Amazon ECS API Reference, API_UpdateClusterSettings.html.
        """
        found = self._registry.cluster(cluster)
        given = read(Cluster, {"clusterName": found.name, "settings": settings}).settings
        found.spec = found.spec.model_copy(update={"settings": given})
        return {"cluster": {"clusterName": found.name, "settings": settings, "status": "ACTIVE"}}

    def register_task_definition(self, **arguments: Any) -> dict[str, Any]:
        """Register a task definition as the next revision of its family.

        Raises
        ------
        ClientException
            A size that Fargate does not have, a contradiction inside the definition, an expression that does not parse, an unknown key.
        """
        definition = read(TaskDefinition, arguments, ClientException)
        faults = task_definition_faults(definition)
        if faults:
            said = ((), ("executionRoleArn",))  # in AWS's own words, which need no path
            raise ClientException(
                "; ".join(i.message if i.path in said else f"{i.dotted()}: {i.message}" for i in faults)
            )
        check_expressions(definition.placement_constraints, ClientException)
        known = self._registry.revisions.setdefault(definition.family, [])
        number = len(known) + 1
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

    def describe_task_definition(self, *, taskDefinition: str) -> dict[str, Any]:
        """Describe a revision."""
        return {"taskDefinition": self._describe_revision(self._registry.revision(taskDefinition))}

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

    def put_cluster_capacity_providers(
        self, *, cluster: str, capacityProviders: list[str], defaultCapacityProviderStrategy: list[dict[str, Any]]
    ) -> dict[str, Any]:
        """Associate capacity providers with a cluster and set its default strategy."""
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
        changed = read(Cluster, spec)
        check_providers(self._registry, changed, changed.default_capacity_provider_strategy)
        found.spec = changed
        return {"cluster": {"clusterName": found.name, "capacityProviders": capacityProviders}}

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
