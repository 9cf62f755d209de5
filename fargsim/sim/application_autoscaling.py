"""Service auto scaling: the verbs of Application Auto Scaling, and the loop that evaluates alarms and acts.

Observe (published datapoints), decide (`fargsim.policy.target_tracking.track_all`), record the decision with its reason, act.
"""

from __future__ import annotations

from collections import deque
from typing import Any

from fargsim.model.scaling import ScalableTarget, ScalingPolicy
from fargsim.policy.alarms import Alarm, AlarmState, TrackingAlarms, evaluate, tracking_alarms
from fargsim.policy.target_tracking import (
    Limits,
    PolicyMemory,
    PolicyView,
    ScalingView,
    SetDesired,
    track_all,
)
from fargsim.sim.errors import ObjectNotFoundException, ValidationException
from fargsim.sim.kit import Kit
from fargsim.sim.metering import Datapoint, Metering
from fargsim.sim.registry import Registry, tail
from fargsim.sim.service_scheduler import ServiceRun
from fargsim.sim.shapes import read


class PolicyRun:
    """One target tracking policy with its two alarms."""

    def __init__(self, kit: Kit, spec: ScalingPolicy, service: ServiceRun) -> None:
        tracking = spec.target_tracking_scaling_policy_configuration
        parameters = kit.parameters
        self.spec = spec
        self.tracking = tracking
        self.metric = tracking.predefined_metric_specification.predefined_metric_type
        self.alarms: TrackingAlarms = tracking_alarms(
            tracking.target_value,
            low_factor=parameters.number("low_factor"),
            high_datapoints=int(parameters.number("alarm_high_datapoints")),
            low_datapoints=int(parameters.number("alarm_low_datapoints")),
        )
        self.states: dict[str, AlarmState] = {"high": "INSUFFICIENT_DATA", "low": "INSUFFICIENT_DATA"}
        self.memory = PolicyMemory()
        self._kit = kit
        self._resource = f"service/{service.cluster.name}/{service.name}"
        longest = max(self.alarms.high.evaluation_range, self.alarms.low.evaluation_range)
        self._values: deque[float | None] = deque(maxlen=longest)
        self._newest: tuple[float, float] | None = None

    def publish(self, datapoint: Datapoint) -> None:
        """Take a datapoint that CloudWatch has just published."""
        value = datapoint.value(self.metric)
        self._values.append(value)
        self._newest = None if value is None else (value, datapoint.running_mean)

    def view(self) -> PolicyView:
        """Evaluate both alarms and return what the policy sees."""
        values = list(self._values)
        for side, alarm in (("high", self.alarms.high), ("low", self.alarms.low)):
            self._evaluate(side, alarm, values)
        metric, running = self._newest if self._newest is not None else (None, 0.0)
        return PolicyView(metric, running, self.states["high"], self.states["low"])

    def alarm_name(self, side: str) -> str:
        """Return the name Application Auto Scaling gives the alarm."""
        return f"TargetTracking-{self._resource}-Alarm{side.capitalize()}-{self.spec.policy_name}"

    def _evaluate(self, side: str, alarm: Alarm, values: list[float | None]) -> None:
        before = self.states[side]
        after = evaluate(alarm, values, before)
        if after == before:
            return
        self.states[side] = after
        sign = ">" if side == "high" else "<"
        self._kit.recorder.alarms.append(
            (
                self._kit.now,
                self.alarm_name(side),
                self._resource,
                self.metric,
                before,
                after,
                f"{alarm.datapoints_to_alarm} of {alarm.evaluation_periods} datapoints {sign} {alarm.threshold:g}",
            )
        )


class TargetRun:
    """A scalable target: a service, its limits and its policies."""

    def __init__(self, kit: Kit, spec: ScalableTarget, service: ServiceRun) -> None:
        self.spec = spec
        self.service = service
        self.limits = Limits(spec.min_capacity, spec.max_capacity)
        self.policies: dict[str, PolicyRun] = {}
        self._kit = kit

    def decide(self) -> None:
        """Evaluate every policy and set the desired count they agree on."""
        service, kit = self.service, self._kit
        policies = list(self.policies.values())
        if not policies or service.deleted:
            return
        views = [p.view() for p in policies]
        decision, memories = track_all(
            [(p.tracking, v, p.memory) for p, v in zip(policies, views, strict=True)],
            self.limits,
            ScalingView(kit.now, service.desired, service.deploying and len(service.deployments) > 1),
        )
        for policy, memory in zip(policies, memories, strict=True):
            policy.memory = memory
        if not isinstance(decision, SetDesired):
            return
        index = decision.policy or 0
        policy, view = policies[index], views[index]
        side = "high" if decision.desired > service.desired else "low"
        kit.recorder.scaling.append(
            (
                kit.now,
                f"service/{service.cluster.name}/{service.name}",
                policy.spec.policy_name,
                policy.spec.policy_type,
                policy.alarm_name(side),
                policy.states[side],
                policy.metric,
                view.metric,
                policy.tracking.target_value,
                view.running_mean,
                service.desired,
                decision.desired,
                decision.because,
            )
        )
        service.set_desired(decision.desired)


class ApplicationAutoScaling:
    """Scalable targets and scaling policies of services."""

    def __init__(self, registry: Registry, metering: Metering) -> None:
        self._registry = registry
        self._kit = registry.kit
        self._metering = metering
        self._targets: dict[tuple[str, str], TargetRun] = {}
        metering.on_period.append(self._period)

    def register_scalable_target(self, **arguments: Any) -> dict[str, Any]:
        """Let a service scale between a minimum and a maximum; ResourceId is ``service/CLUSTER/SERVICE``."""
        spec = self._target_spec(arguments)
        service = self._registry.service(spec.cluster, spec.service)
        key = (spec.cluster, spec.service)
        for policy in spec.policies:
            self._check(policy, service)
        target = self._targets.get(key)
        if target is None or target.service is not service:
            target = self._targets[key] = TargetRun(self._kit, spec, service)
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
        target.policies[spec.policy_name] = PolicyRun(self._kit, spec, target.service)

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

    def _period(self) -> None:
        """Publish the period's datapoints after their lag, then let the policies decide."""
        lag = self._kit.us("metric_publish_lag_s")
        for key, target in self._targets.items():
            datapoint = self._metering.datapoints.get(key)
            if datapoint is not None:
                self._kit.at(self._kit.now + lag, lambda t=target, d=datapoint: self._published(t, d))  # type: ignore[misc]

    @staticmethod
    def _published(target: TargetRun, datapoint: Datapoint) -> None:
        for policy in target.policies.values():
            policy.publish(datapoint)
        target.decide()
