"""The verbs of Amazon ECS about services."""

from __future__ import annotations

from typing import Any

from pydantic import ValidationError

from fargsim.model.deployment import DeploymentConfiguration
from fargsim.model.deployment_rules import updated
from fargsim.model.service import CreateService, UpdateService
from fargsim.policy.rebalancing import why_not_rebalanced
from fargsim.sim.api_rates import counted
from fargsim.sim.deployments import REVISION_KEYS
from fargsim.sim.ecs_base import EcsVerbs
from fargsim.sim.errors import (
    InvalidParameterException,
    ServiceNotActiveException,
)
from fargsim.sim.metering import ServiceMeter
from fargsim.sim.provider_checks import fallen_back_to
from fargsim.sim.quota_checks import check_desired_count, check_quota
from fargsim.sim.registry import tail
from fargsim.sim.service_checks import check_rebalancing, check_service, check_update
from fargsim.sim.service_scheduler import ServiceRun
from fargsim.sim.shapes import describe_service, faults_of, read


class ServiceVerbs(EcsVerbs):
    """Verbs that create, change, delete and describe services."""

    @counted
    def create_service(self, **arguments: Any) -> dict[str, Any]:
        """Create a service; its scheduler starts the tasks."""
        spec = read(CreateService, arguments)
        cluster = self._registry.cluster(spec.cluster)
        name = spec.service_name
        former = cluster.services.get(name)
        if former is not None and not former.deleted:
            raise InvalidParameterException(f"Creation of service was not idempotent: service '{name}' exists.")
        if former is not None and former.tasks:
            raise InvalidParameterException("Unable to Start a service that is still Draining.")
        revision = self._registry.revision(spec.task_definition)
        check_service(self._registry, cluster, spec, revision)
        there = sum(1 for service in cluster.services.values() if not service.deleted)
        check_quota(self._kit, "services_per_cluster", there + 1, "serviceName")
        check_desired_count(self._kit, spec)
        check_rebalancing(spec.availability_zone_rebalancing, spec)
        if spec.availability_zone_rebalancing is None:
            default = "ENABLED" if why_not_rebalanced(spec) is None else "DISABLED"
            spec = spec.model_copy(update={"availability_zone_rebalancing": default})
        groups = tuple(self._registry.target_group(b.target_group_arn) for b in spec.load_balancers)
        service = ServiceRun(self._kit, self._registry, self._launcher, cluster, spec, groups)
        service.meter = ServiceMeter(self._registry, service)
        if former is not None:
            former.followed()
            service.meter.go_on_from(former.meter)
        cluster.services[name] = service
        service.deploy(revision)
        return {"service": self._describe_service(service)}

    @counted
    def update_service(self, **arguments: Any) -> dict[str, Any]:
        """Change a service; a new task definition, network or forced deployment starts a deployment."""
        spec = read(UpdateService, arguments)
        service = self._registry.service(spec.cluster, spec.service)
        if service.deleted:
            raise ServiceNotActiveException(f"Service '{spec.service}' was deleted.")
        check_update(service, spec)
        try:
            merged = updated(service.spec, spec)
        except ValidationError as fault:
            raise InvalidParameterException(
                faults_of(fault, DeploymentConfiguration, "deploymentConfiguration")
            ) from None
        if spec.capacity_provider_strategy is not None:
            merged = merged.model_copy(update={"launch_type": fallen_back_to(service, spec)})
        revision = self._registry.revision(spec.task_definition) if spec.task_definition else service.revision
        check_service(self._registry, service.cluster, merged, revision)
        check_desired_count(self._kit, merged)
        check_rebalancing(spec.availability_zone_rebalancing, merged)
        service.update(
            merged,
            revision,
            new_deployment=spec.force_new_deployment
            or revision is not service.revision
            or any(
                getattr(merged, name) != getattr(service.spec, name)
                for name in REVISION_KEYS
                if name != "task_definition"
            ),
        )
        return {"service": self._describe_service(service)}

    @counted
    def delete_service(self, *, service: str, cluster: str = "default", force: bool = False) -> dict[str, Any]:
        """Delete a service: its tasks are stopped."""
        found = self._registry.service(cluster, service)
        if found.desired and not force and found.spec.scheduling_strategy != "DAEMON":
            raise InvalidParameterException(
                "The service cannot be stopped while it is scaled above 0. Set desiredCount to 0 or use force."
            )
        found.delete()
        return {"service": self._describe_service(found)}

    @counted
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

    def _describe_service(self, service: ServiceRun) -> dict[str, Any]:
        return describe_service(self._kit, self._registry.start, service)
