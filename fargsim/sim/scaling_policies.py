"""The dynamic policies of a scalable target while they run: target tracking with its alarms, steps with a user's alarm."""

from __future__ import annotations

from fargsim.model.alarms import Dimension, MetricAlarm
from fargsim.model.scaling import HIGH_RESOLUTION, REQUESTS_PER_TARGET, ScalingPolicy
from fargsim.policy.alarms import TrackingAlarms, tracking_alarms
from fargsim.policy.metric_data import Point
from fargsim.policy.step_scaling import StepMemory, StepView
from fargsim.policy.target_tracking import PolicyMemory, PolicyView
from fargsim.sim.alarm_run import AlarmRun, MetricKey, metric_key
from fargsim.sim.cloudwatch import CloudWatch
from fargsim.sim.errors import ValidationException
from fargsim.sim.kit import Kit
from fargsim.sim.service_datapoints import running_key
from fargsim.sim.service_scheduler import ServiceRun


def policy_arn(kit: Kit, resource: str, policy: str) -> str:
    """Return the ARN of a scaling policy of ``service/CLUSTER/SERVICE``."""
    number = kit.streams.identifier(f"scaling policy {resource}/{policy}", 0, 32)
    owner = f"arn:aws:autoscaling:{kit.region}:{kit.account}:scalingPolicy"
    return f"{owner}:{number}:resource/ecs/{resource}:policyName/{policy}"


def target_group_of(service: ServiceRun, label: str | None) -> str:
    """Return the target group that a ResourceLabel (``app/LB/ID/targetgroup/TG/ID``) or the service itself means."""
    if label is None:
        return service.groups[0].spec.name
    parts = label.split("/")
    if "targetgroup" not in parts or parts.index("targetgroup") + 1 >= len(parts):
        raise ValidationException(f"ResourceLabel '{label}' is not of the form app/LB/ID/targetgroup/TG/ID")
    return parts[parts.index("targetgroup") + 1]


def request_count_key(service: ServiceRun, group: str) -> MetricKey:
    """Return the metric of a target group's requests: AWS tells them by target group and load balancer together."""
    found = service.rollouts.registry.target_groups.get(group)
    balancer = None if found is None else found.balancer
    dimensions = {"TargetGroup": group} | ({} if balancer is None else {"LoadBalancer": balancer.spec.name})
    return metric_key("AWS/ApplicationELB", "RequestCount", dimensions)


class TrackingRun:
    """One target tracking policy with its two alarms, which Application Auto Scaling makes and deletes."""

    def __init__(self, kit: Kit, cloudwatch: CloudWatch, spec: ScalingPolicy, service: ServiceRun) -> None:
        tracking = spec.target_tracking_scaling_policy_configuration
        assert tracking is not None
        self.spec, self.tracking = spec, tracking
        self.memory = PolicyMemory()
        self._kit = kit
        self._cloudwatch = cloudwatch
        self._service = service
        self._resource = f"service/{service.cluster.name}/{service.name}"
        self.arn = policy_arn(kit, self._resource, spec.policy_name)
        self._high_resolution = HIGH_RESOLUTION in (tracking.predefined or "")
        rules = self._rules(kit)
        self.high, self.low = self._alarm("High", rules), self._alarm("Low", rules)
        self.metric = self.high.label
        cloudwatch.add(self.high)
        cloudwatch.add(self.low)
        cloudwatch.watch(running_key(service), 2 * self.high.period_us)

    @property
    def alarms(self) -> tuple[AlarmRun, ...]:
        """The alarms it has made."""
        return self.high, self.low

    def _rules(self, kit: Kit) -> TrackingAlarms:
        parameters = kit.parameters
        fine = "_high_resolution" if self._high_resolution else ""
        return tracking_alarms(
            self.tracking.target_value,
            low_factor=parameters.number("low_factor"),
            high_datapoints=int(parameters.number(f"alarm_high_datapoints{fine}")),
            low_datapoints=int(parameters.number(f"alarm_low_datapoints{fine}")),
        )

    def _alarm(self, side: str, rules: TrackingAlarms) -> AlarmRun:
        rule = rules.high if side == "High" else rules.low
        common = {
            "alarm_name": f"TargetTracking-{self._resource}-Alarm{side}-{self.spec.policy_name}",
            "evaluation_periods": rule.evaluation_periods,
            "datapoints_to_alarm": rule.datapoints_to_alarm,
            "threshold": rule.threshold,
            "comparison_operator": rule.comparison,
            "alarm_actions": (self.arn,),
        }
        custom = self.tracking.customized_metric_specification
        if custom is not None:
            spec = MetricAlarm.model_validate({**common, "metrics": custom.queries()})
        else:
            namespace, name, dimensions = self._metric()
            spec = MetricAlarm.model_validate(
                {
                    **common,
                    "namespace": namespace,
                    "metric_name": name,
                    "dimensions": tuple(Dimension(name=k, value=v) for k, v in dimensions.items()),
                    "statistic": "Average",
                    "period": 20 if self._high_resolution else 60,
                }
            )
        return AlarmRun(self._cloudwatch, self._kit, spec, resource=self._resource, label=self.tracking.predefined)

    def _metric(self) -> tuple[str, str, dict[str, str]]:
        service, spec = self._service, self.tracking.predefined_metric_specification
        assert spec is not None
        if spec.predefined_metric_type == REQUESTS_PER_TARGET:
            group = target_group_of(service, spec.resource_label)
            return "AWS/ApplicationELB", "RequestCountPerTarget", {"TargetGroup": group}
        names = {"ClusterName": service.cluster.name, "ServiceName": service.name}
        return "AWS/ECS", "CPUUtilization" if "CPU" in spec.predefined_metric_type else "MemoryUtilization", names

    def view(self) -> PolicyView:
        """Return what the policy sees."""
        alarm = self.high
        return PolicyView(alarm.value, self._tasks_behind(alarm), alarm.state, self.low.state)

    def _tasks_behind(self, alarm: AlarmRun) -> float:
        """Return how many tasks the newest datapoint is a mean over: RUNNING ones, or targets that requests were divided among.

        A task that runs and is not healthy yet gets no request: counted in, it would multiply what the others have, and slow starters
        would call for ever more of their kind.
        """
        if alarm.value is None:
            return 0.0
        if self.tracking.predefined == REQUESTS_PER_TARGET and alarm.value > 0:
            _, _, dimensions = self._metric()
            requests = self._newest(request_count_key(self._service, dimensions["TargetGroup"]), alarm)
            return 0.0 if requests is None else requests.statistic("Sum") / alarm.value
        running = self._newest(running_key(self._service), alarm)
        return 0.0 if running is None else running.statistic("Average")

    def _newest(self, key: MetricKey, alarm: AlarmRun) -> Point | None:
        return self._cloudwatch.windows(key, alarm.until_us, alarm.period_us, 1)[0]

    def remove(self) -> None:
        """Delete the policy's alarms."""
        self._cloudwatch.forget(alarm.name for alarm in self.alarms)


class StepRun:
    """One step policy: waits until an alarm of the user's calls for it."""

    def __init__(self, kit: Kit, spec: ScalingPolicy, service: ServiceRun, cloudwatch: CloudWatch) -> None:
        steps = spec.step_scaling_policy_configuration
        assert steps is not None
        self.spec, self.steps = spec, steps
        self.memory = StepMemory()
        self.arn = policy_arn(kit, f"service/{service.cluster.name}/{service.name}", spec.policy_name)
        self.called: AlarmRun | None = None
        """The alarm that has called for it at this instant."""
        self._cloudwatch = cloudwatch

    alarms: tuple[AlarmRun, ...] = ()

    def view(self, alarm: AlarmRun) -> StepView:
        """Return what the policy sees of an alarm.

        The metric is aggregated as the policy says where the alarm watches an average, minimum or maximum; the alarm's own value counts
        for a sum, a percentile or metric math.
        """
        value = alarm.value
        spec = alarm.spec
        if value is not None and spec.statistic in ("Average", "Minimum", "Maximum"):
            [point] = self._cloudwatch.windows(alarm.keys[0], alarm.until_us, alarm.period_us, 1)
            value = None if point is None else point.statistic(self.steps.metric_aggregation_type)
        return StepView(value, spec.threshold, spec.comparison_operator.startswith("Greater"))

    def remove(self) -> None:
        """Forget who has called."""
        self.called = None
