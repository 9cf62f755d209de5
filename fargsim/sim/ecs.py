"""The verbs of Amazon ECS, as boto3 spells them."""

from __future__ import annotations

from typing import Any

from fargsim.catalog.checks import task_definition_faults
from fargsim.model.base import EcsShape
from fargsim.model.capacity import CapacityProvider, Cluster
from fargsim.model.service import CreateService, RunTask, UpdateService
from fargsim.model.taskdef import TaskDefinition
from fargsim.policy.fleet import Fleet
from fargsim.policy.needs import needs_of
from fargsim.sim.errors import (
    ClientException,
    InvalidParameterException,
    ServiceNotActiveException,
)
from fargsim.sim.launching import Launcher, Refusal
from fargsim.sim.metering import ServiceMeter
from fargsim.sim.registry import FARGATE_PROVIDERS, Registry, tail
from fargsim.sim.service_checks import check_network, check_service
from fargsim.sim.service_scheduler import ServiceRun
from fargsim.sim.shapes import describe_service, describe_task, instant, read
from fargsim.sim.state import ClusterRun, ProviderRun, Revision, Stop, TaskRun
from fargsim.sim.task_life import stop_task

BYTES_PER_MIB = 2**20


class Ecs:
    """Verbs that create, change, stop and describe.

    Arguments are those of the AWS API, in ``camelCase``; answers are dictionaries in its shapes. A name stands wherever the API takes an
    ARN.
    """

    def __init__(self, registry: Registry, launcher: Launcher) -> None:
        self._registry = registry
        self._kit = registry.kit
        self._launcher = launcher

    def create_cluster(self, **arguments: Any) -> dict[str, Any]:
        """Create a cluster, or return the one that has this name."""
        spec = read(Cluster, arguments)
        registry = self._registry
        found = registry.clusters.get(spec.cluster_name)
        if found is None:
            for name in spec.capacity_providers:
                if name not in FARGATE_PROVIDERS and name not in registry.providers:
                    raise InvalidParameterException(f"The specified capacity provider '{name}' was not found.")
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

    def register_task_definition(self, **arguments: Any) -> dict[str, Any]:
        """Register a task definition as the next revision of its family.

        Raises
        ------
        ClientException
            A size that Fargate does not have, a contradiction inside the definition, an unknown key.
        """
        definition = read(TaskDefinition, arguments, ClientException)
        faults = task_definition_faults(definition)
        if faults:
            raise ClientException("; ".join(issue.message for issue in faults))
        known = self._registry.revisions.setdefault(definition.family, [])
        number = len(known) + 1
        behaviour = self._registry.behaviour(definition.family, number)
        images = [
            (behaviour.containers.get(c.name) or behaviour).image
            or (behaviour.image if len(definition.container_definitions) == 1 else None)
            for c in definition.container_definitions
        ]
        default = self._kit.parameters.number("image_mib")
        mib = sum(default if image is None else image.size / BYTES_PER_MIB for image in images)
        revision = Revision(
            number,
            self._kit.arn("task-definition", f"{definition.family}:{number}"),
            definition,
            behaviour,
            mib,
            all(image is not None and image.zstd for image in images),
            all(image is not None and image.soci for image in images),
            needs_of(definition),
        )
        known.append(revision)
        return {"taskDefinition": self._describe_revision(revision)}

    def describe_task_definition(self, *, taskDefinition: str) -> dict[str, Any]:
        """Describe a revision."""
        return {"taskDefinition": self._describe_revision(self._registry.revision(taskDefinition))}

    def create_capacity_provider(self, **arguments: Any) -> dict[str, Any]:
        """Create a capacity provider for an Auto Scaling group."""
        spec = read(CapacityProvider, arguments)
        if spec.name in self._registry.providers:
            raise ClientException(f"A capacity provider '{spec.name}' exists already.")
        group = self._registry.group(spec.auto_scaling_group_provider.auto_scaling_group_arn)
        if group.provider is not None:
            raise ClientException(f"The Auto Scaling group '{group.name}' has a capacity provider already.")
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
        spec = {
            "clusterName": found.name,
            "capacityProviders": capacityProviders,
            "defaultCapacityProviderStrategy": defaultCapacityProviderStrategy,
        }
        found.spec = read(Cluster, spec)
        return {"cluster": {"clusterName": found.name, "capacityProviders": capacityProviders}}

    def create_service(self, **arguments: Any) -> dict[str, Any]:
        """Create a service; its scheduler starts the tasks."""
        return self.create(read(CreateService, arguments))

    def create(self, spec: CreateService) -> dict[str, Any]:
        """Create a service from a value."""
        cluster = self._registry.cluster(spec.cluster)
        name = spec.service_name
        former = cluster.services.get(name)
        if former is not None and not former.deleted:
            raise InvalidParameterException(f"Creation of service was not idempotent: service '{name}' exists.")
        if former is not None and former.tasks:
            raise InvalidParameterException("Unable to Start a service that is still Draining.")
        revision = self._registry.revision(spec.task_definition)
        check_service(self._registry, cluster, spec, revision)
        groups = tuple(self._registry.target_group(b.target_group_arn) for b in spec.load_balancers)
        service = ServiceRun(self._kit, self._registry, self._launcher, cluster, spec, groups)
        service.meter = ServiceMeter(self._kit, service, self._registry.record_every)
        if former is not None:
            former.finish()
            service.meter.go_on_from(former.meter)
        for group in groups:
            group.on_health = service.target_health_changed
        cluster.services[name] = service
        service.deploy(revision)
        return {"service": self._describe_service(service)}

    def update_service(self, **arguments: Any) -> dict[str, Any]:
        """Change a service; a new task definition, network or forced deployment starts a deployment."""
        return self.update(read(UpdateService, arguments))

    def update(self, spec: UpdateService) -> dict[str, Any]:
        """Change a service from a value."""
        service = self._registry.service(spec.cluster, spec.service)
        if service.deleted:
            raise ServiceNotActiveException(f"Service '{spec.service}' was deleted.")
        if spec.load_balancers is not None and spec.load_balancers != service.spec.load_balancers:
            raise ClientException("changing loadBalancers of a service is not simulated yet: create another service")
        changes = {
            name: getattr(spec, name)
            for name in CreateService.model_fields
            if name in UpdateService.model_fields
            and name in spec.model_fields_set
            and getattr(spec, name) is not None
            and name not in ("cluster",)
        }
        merged = service.spec.model_copy(update=changes)
        if spec.capacity_provider_strategy:
            merged = merged.model_copy(update={"launch_type": None})
        revision = self._registry.revision(spec.task_definition) if spec.task_definition else service.revision
        check_service(self._registry, service.cluster, merged, revision)
        service.update(
            merged,
            revision,
            new_deployment=spec.force_new_deployment
            or any(
                getattr(spec, name) is not None
                for name in ("task_definition", "network_configuration", "platform_version", "load_balancers")
            ),
        )
        return {"service": self._describe_service(service)}

    def delete_service(self, *, service: str, cluster: str = "default", force: bool = False) -> dict[str, Any]:
        """Delete a service: its tasks are stopped."""
        found = self._registry.service(cluster, service)
        if found.desired and not force:
            raise InvalidParameterException(
                "The service cannot be stopped while it is scaled above 0. Set desiredCount to 0 or use force."
            )
        found.delete()
        return {"service": self._describe_service(found)}

    def run_task(self, **arguments: Any) -> dict[str, Any]:
        """Start standalone tasks; what finds no place is in `failures`."""
        return self.run(read(RunTask, arguments))

    def run(self, spec: RunTask) -> dict[str, Any]:
        """Start standalone tasks from a value."""
        cluster = self._registry.cluster(spec.cluster)
        revision = self._registry.revision(spec.task_definition)
        check_network(self._registry, cluster, spec, revision)
        tasks, failures = [], []
        for outcome in self._launcher.run_task(cluster, spec, revision):
            if isinstance(outcome, Refusal):
                failures.append({"arn": outcome.arn, "reason": outcome.reason, "detail": outcome.detail})
            else:
                tasks.append(self._describe_task(outcome))
        return {"tasks": tasks, "failures": failures}

    def stop_task(self, *, task: str, cluster: str = "default", reason: str = "Task stopped by user") -> dict[str, Any]:
        """Stop a task: deregister it, SIGTERM, SIGKILL after the stop time-out."""
        found = self._registry.find_task(self._registry.cluster(cluster), task)
        if found is None:
            raise InvalidParameterException(f"The referenced task was not found: '{task}'.")
        stop_task(self._kit, found, Stop("UserInitiated", reason))
        return {"task": self._describe_task(found)}

    def list_tasks(
        self,
        *,
        cluster: str = "default",
        serviceName: str | None = None,
        family: str | None = None,
        desiredStatus: str = "RUNNING",
    ) -> dict[str, Any]:
        """List the ARNs of a cluster's tasks, those that stopped within the last hour included."""
        found = self._registry.cluster(cluster)
        known = found.tasks.values() if desiredStatus == "RUNNING" else [*found.tasks.values(), *found.stopped.values()]
        return {
            "taskArns": [
                self._kit.arn("task", f"{found.name}/{task.task_id}")
                for task in known
                if task.desired_status == desiredStatus
                and (serviceName is None or (task.service is not None and task.service.name == tail(serviceName)))
                and (family is None or task.revision.definition.family == family)
            ]
        }

    def describe_tasks(self, *, tasks: list[str], cluster: str = "default") -> dict[str, Any]:
        """Describe tasks; one that is not known any more is in `failures`."""
        found = self._registry.cluster(cluster)
        answer: dict[str, Any] = {"tasks": [], "failures": []}
        for name in tasks:
            task = self._registry.find_task(found, name)
            if task is None:
                answer["failures"].append({"arn": name, "reason": "MISSING"})
            else:
                answer["tasks"].append(self._describe_task(task))
        return answer

    def describe_services(self, *, services: list[str], cluster: str = "default") -> dict[str, Any]:
        """Describe services; an unknown one is in `failures`."""
        found = self._registry.cluster(cluster)
        answer: dict[str, Any] = {"services": [], "failures": []}
        for name in services:
            service = found.services.get(tail(name))
            if service is None:
                answer["failures"].append({"arn": name, "reason": "MISSING"})
            else:
                answer["services"].append(self._describe_service(service))
        return answer

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

    def list_container_instances(self, *, cluster: str = "default") -> dict[str, Any]:
        """List the ARNs of a cluster's container instances."""
        found = self._registry.cluster(cluster)
        return {
            "containerInstanceArns": [
                self._kit.arn("container-instance", f"{found.name}/{i.instance_id}")
                for i in found.instances_by_row.values()
            ]
        }

    def describe_container_instances(
        self, *, containerInstances: list[str], cluster: str = "default"
    ) -> dict[str, Any]:
        """Describe container instances: registered and remaining resources."""
        found = self._registry.cluster(cluster)
        by_id = {i.instance_id: i for i in found.instances_by_row.values()}
        view = found.fleet.view()
        answer: dict[str, Any] = {"containerInstances": [], "failures": []}
        for name in containerInstances:
            instance = by_id.get(tail(name))
            if instance is None or instance.row is None:
                answer["failures"].append({"arn": name, "reason": "MISSING"})
                continue
            row = instance.row
            answer["containerInstances"].append(
                {
                    "containerInstanceArn": self._kit.arn("container-instance", f"{found.name}/{instance.instance_id}"),
                    "ec2InstanceId": instance.instance_id,
                    "status": instance.status,
                    "agentConnected": bool(view.agent_connected[row]),
                    "runningTasksCount": sum(1 for t in instance.tasks.values() if t.last_status == "RUNNING"),
                    "pendingTasksCount": sum(1 for t in instance.tasks.values() if t.started_at is None),
                    "registeredAt": instant(self._registry.start, instance.registered_at),
                    "registeredResources": _resources(instance.cpu_units, instance.memory_mib),
                    "remainingResources": _resources(int(view.free_cpu_units[row]), int(view.free_memory_mib[row])),
                    "attributes": [{"name": "ecs.availability-zone", "value": instance.zone}],
                }
            )
        return answer

    def _describe_task(self, task: TaskRun) -> dict[str, Any]:
        return describe_task(self._kit, self._registry.start, task)

    def _describe_revision(self, revision: Revision) -> dict[str, Any]:
        shape: EcsShape = revision.definition
        return {
            **shape.model_dump(mode="json", by_alias=True, exclude_defaults=True),
            "taskDefinitionArn": revision.arn,
            "revision": revision.number,
            "status": "ACTIVE",
        }

    def _describe_service(self, service: ServiceRun) -> dict[str, Any]:
        return describe_service(self._kit, self._registry.start, service)


def _resources(cpu_units: int, memory_mib: int) -> list[dict[str, Any]]:
    return [
        {"name": "CPU", "type": "INTEGER", "integerValue": cpu_units},
        {"name": "MEMORY", "type": "INTEGER", "integerValue": memory_mib},
    ]
