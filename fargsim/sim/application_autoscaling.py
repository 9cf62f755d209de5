"""Service auto scaling: the verbs of Application Auto Scaling, as boto3 spells them."""

from __future__ import annotations

from typing import Any

from fargsim.model.scaling import ScalableTarget, ScalingPolicy
from fargsim.policy.target_tracking import Limits
from fargsim.sim.alarm_run import AlarmRun
from fargsim.sim.cloudwatch import CloudWatch
from fargsim.sim.errors import ObjectNotFoundException, ValidationException
from fargsim.sim.registry import Registry, tail
from fargsim.sim.scaling_target import TargetRun
from fargsim.sim.service_scheduler import ServiceRun
from fargsim.sim.shapes import read


class ApplicationAutoScaling:
    """Scalable targets and scaling policies of services."""

    def __init__(self, registry: Registry, cloudwatch: CloudWatch) -> None:
        self._registry = registry
        self._kit = registry.kit
        self._cloudwatch = cloudwatch
        self._targets: dict[tuple[str, str], TargetRun] = {}
        cloudwatch.scaling_actions.append(self._carry_out)

    def register_scalable_target(self, **arguments: Any) -> dict[str, Any]:
        """Let a service scale between a minimum and a maximum; ResourceId is ``service/CLUSTER/SERVICE``."""
        spec = self._target_spec(arguments)
        service = self._registry.service(spec.cluster, spec.service)
        key = (spec.cluster, spec.service)
        for policy in spec.policies:
            self._check(policy, service)
        target = self._targets.get(key)
        if target is None or target.service is not service:
            target = self._targets[key] = TargetRun(self._kit, self._cloudwatch, spec, service)
        target.limits = Limits(spec.min_capacity, spec.max_capacity)
        for policy in spec.policies:
            self._put(target, policy)
        clamped = target.limits.clamp(service.desired)
        if clamped != service.desired:
            service.set_desired(clamped)
        return {}

    def put_scaling_policy(self, **arguments: Any) -> dict[str, Any]:
        """Add or replace a policy of a registered service."""
        resource = str(arguments.get("ResourceId", ""))
        cluster, service = self._resource(resource)
        target = self._targets.get((cluster, service))
        if target is None:
            raise ObjectNotFoundException(
                f"No scalable target registered for service namespace: ecs, resource ID: {resource}"
            )
        self._put(target, read(ScalingPolicy, arguments, ValidationException))
        return {"Alarms": []}

    @staticmethod
    def _check(spec: ScalingPolicy, service: ServiceRun) -> None:
        metric = (
            spec.target_tracking_scaling_policy_configuration.predefined_metric_specification.predefined_metric_type
        )
        if metric == "ALBRequestCountPerTarget" and not service.groups:
            raise ValidationException(
                f"ALBRequestCountPerTarget needs a target group: service {service.name} has no load balancer"
            )

    def _put(self, target: TargetRun, spec: ScalingPolicy) -> None:
        self._check(spec, target.service)
        target.put(spec)

    def _target_spec(self, arguments: dict[str, Any]) -> ScalableTarget:
        if "service" not in arguments and "ResourceId" in arguments:
            cluster, service = self._resource(str(arguments["ResourceId"]))
            arguments = {**arguments, "cluster": cluster, "service": service}
        return read(ScalableTarget, arguments, ValidationException)

    @staticmethod
    def _resource(resource: str) -> tuple[str, str]:
        parts = resource.split("/")
        if len(parts) != 3 or parts[0] != "service":
            raise ValidationException(f"ResourceId '{resource}' is not of the form service/CLUSTER/SERVICE")
        return tail(parts[1]), tail(parts[2])

    def _carry_out(self, action: str, alarm: AlarmRun, really: bool) -> bool:
        """Let the target decide whose policy an alarm names; false where there is no such policy."""
        found = [
            t for t in self._targets.values() for p in t.policies.values() if action in (p.arn, p.spec.policy_name)
        ]
        if len(found) != 1:
            return False
        if really:
            found[0].decide_soon()
        return True
