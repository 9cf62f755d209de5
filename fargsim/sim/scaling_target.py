"""A scalable target: a service, its limits and its policies, and the decision they come to.

Observe (alarms and their newest datapoint), decide (`fargsim.policy.target_tracking`), record the decision with its reason, act.
"""

from __future__ import annotations

from fargsim.model.alarms import Dimension, MetricAlarm
from fargsim.model.scaling import ScalableTarget, ScalingPolicy
from fargsim.policy.alarms import TrackingAlarms, tracking_alarms
from fargsim.policy.target_tracking import (
    Limits,
    PolicyMemory,
    PolicyView,
    ScalingView,
    SetDesired,
    track_all,
)
from fargsim.sim.alarm_run import AlarmRun
from fargsim.sim.cloudwatch import CloudWatch
from fargsim.sim.kit import Kit
from fargsim.sim.service_datapoints import running_key
from fargsim.sim.service_scheduler import ServiceRun


class TrackingRun:
    """One target tracking policy with its two alarms, which Application Auto Scaling makes and deletes."""

    def __init__(self, kit: Kit, cloudwatch: CloudWatch, spec: ScalingPolicy, service: ServiceRun) -> None:
        tracking = spec.target_tracking_scaling_policy_configuration
        assert tracking is not None
        self.spec, self.tracking = spec, tracking
        self.memory = PolicyMemory()
        self._cloudwatch = cloudwatch
        self._service = service
        self._resource = f"service/{service.cluster.name}/{service.name}"
        self.arn = policy_arn(kit, self._resource, spec.policy_name)
        self.metric = tracking.predefined_metric_specification.predefined_metric_type
        rules = self._rules(kit)
        self.high, self.low = self._alarm(kit, "High", rules), self._alarm(kit, "Low", rules)
        cloudwatch.add(self.high)
        cloudwatch.add(self.low)
        cloudwatch.watch(running_key(service), 2 * self.high.period_us)

    def _rules(self, kit: Kit) -> TrackingAlarms:
        parameters = kit.parameters
        return tracking_alarms(
            self.tracking.target_value,
            low_factor=parameters.number("low_factor"),
            high_datapoints=int(parameters.number("alarm_high_datapoints")),
            low_datapoints=int(parameters.number("alarm_low_datapoints")),
        )

    def _alarm(self, kit: Kit, side: str, rules: TrackingAlarms) -> AlarmRun:
        rule = rules.high if side == "High" else rules.low
        namespace, name, dimensions = self._metric()
        spec = MetricAlarm(
            alarm_name=f"TargetTracking-{self._resource}-Alarm{side}-{self.spec.policy_name}",
            namespace=namespace,
            metric_name=name,
            dimensions=tuple(Dimension(name=k, value=v) for k, v in dimensions.items()),
            statistic="Average",
            period=60,
            evaluation_periods=rule.evaluation_periods,
            datapoints_to_alarm=rule.datapoints_to_alarm,
            threshold=rule.threshold,
            comparison_operator=rule.comparison,
            alarm_actions=(self.arn,),
        )
        return AlarmRun(self._cloudwatch, kit, spec, resource=self._resource, label=self.metric)

    def _metric(self) -> tuple[str, str, dict[str, str]]:
        service = self._service
        if self.metric == "ALBRequestCountPerTarget":
            label = self.tracking.predefined_metric_specification.resource_label
            group = label.split("/targetgroup/")[1].split("/")[0] if label and "/targetgroup/" in label else None
            return "AWS/ApplicationELB", "RequestCountPerTarget", {"TargetGroup": group or service.groups[0].spec.name}
        names = {"ClusterName": service.cluster.name, "ServiceName": service.name}
        return "AWS/ECS", "CPUUtilization" if "CPU" in self.metric else "MemoryUtilization", names

    def view(self) -> PolicyView:
        """Return what the policy sees."""
        alarm = self.high
        running = 0.0
        if alarm.value is not None:
            [point] = self._cloudwatch.windows(running_key(self._service), alarm.until_us, alarm.period_us, 1)
            running = 0.0 if point is None else point.statistic("Average")
        return PolicyView(alarm.value, running, alarm.state, self.low.state)

    def remove(self) -> None:
        """Delete the policy's alarms."""
        self._cloudwatch.delete_alarms(AlarmNames=[self.high.name, self.low.name])


def policy_arn(kit: Kit, resource: str, policy: str) -> str:
    """Return the ARN of a scaling policy."""
    number = kit.streams.identifier(f"scaling policy {resource}/{policy}", 0, 32)
    owner = f"arn:aws:autoscaling:{kit.region}:{kit.account}:scalingPolicy"
    return f"{owner}:{number}:resource/ecs/{resource}:policyName/{policy}"


class TargetRun:
    """A scalable target."""

    def __init__(self, kit: Kit, cloudwatch: CloudWatch, spec: ScalableTarget, service: ServiceRun) -> None:
        self.spec = spec
        self.service = service
        self.limits = Limits(spec.min_capacity, spec.max_capacity)
        self.policies: dict[str, TrackingRun] = {}
        self._kit = kit
        self._cloudwatch = cloudwatch
        self._deciding: int | None = None

    @property
    def resource(self) -> str:
        """``service/CLUSTER/SERVICE``."""
        return f"service/{self.service.cluster.name}/{self.service.name}"

    def put(self, spec: ScalingPolicy) -> TrackingRun:
        """Add or replace a policy."""
        old = self.policies.get(spec.policy_name)
        if old is not None:
            old.remove()
        run = self.policies[spec.policy_name] = TrackingRun(self._kit, self._cloudwatch, spec, self.service)
        return run

    def decide_soon(self) -> None:
        """Decide at this instant, when every alarm has been evaluated."""
        if self._deciding != self._kit.now:
            self._deciding = self._kit.now
            self._kit.at(self._kit.now, self.decide)

    def decide(self) -> None:
        """Let the policies decide and set the desired count they agree on."""
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
        alarm = policy.high if decision.desired > service.desired else policy.low
        kit.recorder.scaling.append(
            (
                kit.now,
                self.resource,
                policy.spec.policy_name,
                policy.spec.policy_type,
                alarm.name,
                alarm.state,
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
