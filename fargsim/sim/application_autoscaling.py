"""Service auto scaling: the verbs of Application Auto Scaling, as boto3 spells them."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta
from typing import Any

from fargsim.model.scaling import (
    HIGH_RESOLUTION,
    ScalableTarget,
    ScalingPolicy,
    ScheduledAction,
    controller_fault,
    out_of_reach,
)
from fargsim.policy.metric_math import MathError
from fargsim.policy.target_tracking import Limits
from fargsim.policy.user_policy import UserPolicy
from fargsim.sim.alarm_run import AlarmRun, Source
from fargsim.sim.cloudwatch import MINUTE_US, CloudWatch
from fargsim.sim.errors import ObjectNotFoundException, ValidationException
from fargsim.sim.predictive_run import PredictiveRun
from fargsim.sim.registry import Registry, tail
from fargsim.sim.scaling_policies import target_group_of
from fargsim.sim.scaling_target import PolicyRun, TargetRun
from fargsim.sim.scheduled_run import first_instant
from fargsim.sim.service_scheduler import ServiceRun
from fargsim.sim.shapes import read

LARGEST_CAPACITY = 5_000


class ApplicationAutoScaling:
    """Scalable targets, scaling policies and scheduled actions of services."""

    def __init__(self, registry: Registry, cloudwatch: CloudWatch) -> None:
        self._registry = registry
        self._kit = registry.kit
        self._cloudwatch = cloudwatch
        self._targets: dict[tuple[str, str], TargetRun] = {}
        cloudwatch.scaling_actions.append(self._carry_out)

    # scalable targets

    def register_scalable_target(self, **arguments: Any) -> dict[str, Any]:
        """Let a service scale between a minimum and a maximum; ResourceId is ``service/CLUSTER/SERVICE``.

        For a target that is registered already, what is left out stays as it is.
        """
        arguments = self._named(arguments)
        known = self._targets.get((tail(str(arguments.get("cluster", "default"))), tail(str(arguments.get("service")))))
        if known is not None:
            limits = known.registered
            arguments = {"MinCapacity": limits.minimum, "MaxCapacity": limits.maximum, **arguments}
        spec = read(ScalableTarget, arguments, ValidationException)
        service = self._registry.service(spec.cluster, spec.service)
        key = (service.cluster.name, service.name)
        if service.deleted:
            raise ValidationException(f"ECS service doesn't exist: service/{'/'.join(key)}")
        if service.spec.scheduling_strategy == "DAEMON":
            raise ValidationException(f"service/{'/'.join(key)} is a daemon service: it has no desired count to scale")
        for policy in spec.policies:
            self._check(policy, service)
        for action in spec.scheduled_actions:
            self._check_action(action)
            others = [*spec.scheduled_actions, *(() if known is None else (run.spec for run in known.actions.values()))]
            self._check_reach(action, Limits(spec.min_capacity, spec.max_capacity), others)
        target = self._targets.get(key)
        if target is None or target.service is not service:
            if target is not None:
                target.close()
            target = self._targets[key] = TargetRun(self._kit, self._cloudwatch, spec, service, self._registry.start)
        elif "SuspendedState" in arguments:
            target.suspended = spec.suspended_state
        for policy in spec.policies:
            target.put(policy)
        for action in spec.scheduled_actions:
            target.schedule(action)
        target.register(Limits(spec.min_capacity, spec.max_capacity), "the scalable target was registered")
        return {}

    def deregister_scalable_target(self, *, ResourceId: str, **_: Any) -> dict[str, Any]:
        """Forget a target with its policies, alarms and scheduled actions."""
        target = self._target(ResourceId)
        target.close()
        del self._targets[target.service.cluster.name, target.service.name]
        return {}

    def describe_scalable_targets(self, *, ResourceIds: list[str] | None = None, **_: Any) -> dict[str, Any]:
        """Describe targets with their limits of now."""
        return {
            "ScalableTargets": [
                {
                    "ServiceNamespace": "ecs",
                    "ResourceId": target.resource,
                    "ScalableDimension": "ecs:service:DesiredCount",
                    "MinCapacity": target.registered.minimum,
                    "MaxCapacity": target.registered.maximum,
                    "SuspendedState": target.suspended.model_dump(by_alias=True),
                }
                for target in self._targets.values()
                if ResourceIds is None or target.resource in ResourceIds
            ]
        }

    # policies

    def put_scaling_policy(self, **arguments: Any) -> dict[str, Any]:
        """Add or replace a policy of a registered service."""
        target = self._target(str(arguments.get("ResourceId", "")))
        spec = read(ScalingPolicy, arguments, ValidationException)
        self._check(spec, target.service)
        run = target.put(spec)
        return {"PolicyARN": run.arn, "Alarms": [self._shown(alarm) for alarm in run.alarms]}

    def delete_scaling_policy(self, *, PolicyName: str, ResourceId: str, **_: Any) -> dict[str, Any]:
        """Delete a policy, and with it the alarms that were made for it."""
        target = self._target(ResourceId)
        if not target.remove(PolicyName):
            known = ", ".join(target.policies) or "none"
            raise ObjectNotFoundException(f"No scaling policy '{PolicyName}' of {ResourceId}. Policies: {known}.")
        return {}

    def describe_scaling_policies(self, *, ResourceId: str | None = None, **_: Any) -> dict[str, Any]:
        """Describe policies with their ARNs and alarms."""
        targets = self._targets.values() if ResourceId is None else [self._target(ResourceId)]
        return {
            "ScalingPolicies": [
                {
                    **run.spec.model_dump(mode="python", by_alias=True, exclude_none=True),
                    "PolicyARN": run.arn,
                    "ResourceId": target.resource,
                    "Alarms": [self._shown(alarm) for alarm in run.alarms],
                }
                for target in targets
                for run in target.policies.values()
            ]
        }

    def get_predictive_scaling_forecast(self, *, ResourceId: str, PolicyName: str, **_: Any) -> dict[str, Any]:
        """Return the newest forecast of a predictive policy."""
        run = self._target(ResourceId).policies.get(PolicyName)
        if not isinstance(run, PredictiveRun):
            raise ObjectNotFoundException(f"No predictive scaling policy '{PolicyName}' of {ResourceId}.")
        return run.describe()

    def _shown(self, alarm: AlarmRun) -> dict[str, str]:
        arn = self._kit.arn("alarm", alarm.name, "cloudwatch").replace("alarm/", "alarm:", 1)
        return {"AlarmName": alarm.name, "AlarmARN": arn}

    # scheduled actions

    def put_scheduled_action(self, **arguments: Any) -> dict[str, Any]:
        """Add or replace a scheduled action of a registered service."""
        target = self._target(str(arguments.get("ResourceId", "")))
        spec = read(ScheduledAction, arguments, ValidationException)
        self._check_action(spec)
        limits, others = target.registered, [run.spec for run in target.actions.values()]
        self._check_reach(spec, limits, others)
        target.schedule(spec)
        return {}

    def delete_scheduled_action(self, *, ScheduledActionName: str, ResourceId: str, **_: Any) -> dict[str, Any]:
        """Delete a scheduled action."""
        if not self._target(ResourceId).unschedule(ScheduledActionName):
            raise ObjectNotFoundException(f"No scheduled action '{ScheduledActionName}' of {ResourceId}.")
        return {}

    def describe_scheduled_actions(self, *, ResourceId: str | None = None, **_: Any) -> dict[str, Any]:
        """Describe scheduled actions."""
        targets = self._targets.values() if ResourceId is None else [self._target(ResourceId)]
        return {
            "ScheduledActions": [
                {**run.spec.model_dump(mode="python", by_alias=True, exclude_none=True), "ResourceId": target.resource}
                for target in targets
                for run in target.actions.values()
            ]
        }

    # not of AWS

    def use(self, service: str, policy: UserPolicy, cluster: str = "default") -> None:
        """Let a function decide about a service once a minute, in the place of its scaling policies; its scheduled actions stay."""
        found = self._registry.service(cluster, service)
        key = (found.cluster.name, found.name)
        if key not in self._targets:
            self.register_scalable_target(service=service, cluster=cluster, MinCapacity=0, MaxCapacity=LARGEST_CAPACITY)
        self._targets[key].hand_over(policy)

    # rules

    def _check(self, spec: ScalingPolicy, service: ServiceRun) -> None:
        tracking, predictive = (
            spec.target_tracking_scaling_policy_configuration,
            spec.predictive_scaling_policy_configuration,
        )
        if predictive is not None:
            pair = predictive.metric_specifications[0].pair
            self._check_balanced(service, pair.predefined_metric_type, pair.resource_label)
        if tracking is None:
            return
        custom, predefined = tracking.customized_metric_specification, tracking.predefined_metric_specification
        if custom is not None:
            try:
                Source(custom.queries(), MINUTE_US)
            except MathError as fault:
                raise ValidationException(f"CustomizedMetricSpecification: {fault}") from None
        if predefined is not None:
            kind = predefined.predefined_metric_type
            self._check_controller(service, kind)
            self._check_balanced(service, kind, predefined.resource_label)
            name = "CPUUtilization" if "CPU" in kind else "MemoryUtilization"
            monitoring = service.spec.monitoring
            if HIGH_RESOLUTION in kind and (monitoring is None or name not in monitoring.high_resolution):
                raise ValidationException(
                    f"{kind} needs {name} at resolutionSeconds 20 in the monitoring of service {service.name}"
                )

    @staticmethod
    def _check_controller(service: ServiceRun, kind: str) -> None:
        fault = controller_fault(kind, service.spec.deployment_controller.type)
        if fault is not None:
            raise ValidationException(f"PredefinedMetricType: {fault}")

    @staticmethod
    def _check_balanced(service: ServiceRun, kind: str, label: str | None) -> None:
        if not kind.startswith("ALBRequestCount"):
            return
        if not service.groups:
            raise ValidationException(f"{kind} needs a target group: service {service.name} has no load balancer")
        group, known = target_group_of(service, label), [g.spec.name for g in service.groups]
        if group not in known:
            raise ValidationException(
                f"ResourceLabel: service {service.name} is not behind {group} but {', '.join(known)}"
            )

    def _check_action(self, spec: ScheduledAction) -> None:
        now = self._registry.start + timedelta(microseconds=self._kit.now)
        if first_instant(spec, now) is None:
            raise ValidationException(f"Schedule '{spec.schedule}' never fires after {now:%Y-%m-%dT%H:%M:%SZ}")

    @staticmethod
    def _check_reach(action: ScheduledAction, limits: Limits, others: Iterable[ScheduledAction]) -> None:
        fault = out_of_reach(action, limits.minimum, limits.maximum, others)
        if fault is not None:
            raise ValidationException(f"ScalableTargetAction: {fault}")

    def _named(self, arguments: dict[str, Any]) -> dict[str, Any]:
        if "service" in arguments or "ResourceId" not in arguments:
            return arguments
        cluster, service = self._resource(str(arguments["ResourceId"]))
        return {**arguments, "cluster": cluster, "service": service}

    @staticmethod
    def _resource(resource: str) -> tuple[str, str]:
        parts = resource.split("/")
        if len(parts) != 3 or parts[0] != "service":
            raise ValidationException(f"ResourceId '{resource}' is not of the form service/CLUSTER/SERVICE")
        return tail(parts[1]), tail(parts[2])

    def _target(self, resource: str) -> TargetRun:
        found = self._targets.get(self._resource(resource))
        if found is None:
            raise ObjectNotFoundException(
                f"No scalable target registered for service namespace: ecs, resource ID: {resource}"
            )
        return found

    def _carry_out(self, action: str, alarm: AlarmRun, really: bool) -> bool:
        """Let the target decide whose policy an alarm names; false where there is no such policy, or several of that name."""
        found: list[tuple[TargetRun, PolicyRun]] = [
            (target, policy)
            for target in self._targets.values()
            for policy in target.policies.values()
            if action in (policy.arn, policy.spec.policy_name)
        ]
        if len(found) != 1:
            return False
        if really:
            target, policy = found[0]
            target.called(policy, alarm)
        return True
