"""A plain Auto Scaling group that is scaled on the CPU of its instances: the comparison to ECS cluster auto scaling.

Source: Amazon EC2 Auto Scaling User Guide, as-scaling-target-tracking.html; the alarms as observed on such groups (3 datapoints of a
minute above the target, 15 below 70 % of it). Metrics come every minute, as with detailed monitoring.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from fargsim.model.alarms import Dimension, MetricAlarm
from fargsim.model.group_options import GroupPolicy
from fargsim.policy.alarms import tracking_alarms
from fargsim.policy.group_tracking import GroupLoad, track_group
from fargsim.policy.metric_data import Point
from fargsim.sim.alarm_run import AlarmRun
from fargsim.sim.cloudwatch import CloudWatch
from fargsim.sim.groups import AutoScalingGroupRun
from fargsim.sim.instances import InstanceRun
from fargsim.sim.kit import Kit
from fargsim.sim.state import TaskRun

METRIC = "CPUUtilization"
NAMESPACE = "AWS/EC2"


class GroupPolicyRun:
    """One target tracking policy of a group, with its two alarms."""

    def __init__(self, kit: Kit, cloudwatch: CloudWatch, group: AutoScalingGroupRun, spec: GroupPolicy) -> None:
        self.spec = spec
        self.group = group
        self._kit = kit
        self._cloudwatch = cloudwatch
        owner = f"arn:aws:autoscaling:{kit.region}:{kit.account}:scalingPolicy"
        number = kit.streams.identifier(f"scaling policy {group.name}/{spec.policy_name}", 0, 32)
        self.arn = f"{owner}:{number}:autoScalingGroupName/{group.name}:policyName/{spec.policy_name}"
        parameters = kit.parameters
        target = spec.target_tracking_configuration.target_value
        rules = tracking_alarms(
            target,
            low_factor=parameters.number("low_factor_asg"),
            high_datapoints=int(parameters.number("alarm_high_datapoints")),
            low_datapoints=int(parameters.number("alarm_low_datapoints")),
        )
        self.high, self.low = (
            AlarmRun(
                cloudwatch,
                kit,
                MetricAlarm(
                    alarm_name=f"TargetTracking-{group.name}-Alarm{side}-{spec.policy_name}",
                    namespace=NAMESPACE,
                    metric_name=METRIC,
                    dimensions=(Dimension(name="AutoScalingGroupName", value=group.name),),
                    statistic="Average",
                    period=60,
                    evaluation_periods=rule.evaluation_periods,
                    datapoints_to_alarm=rule.datapoints_to_alarm,
                    threshold=rule.threshold,
                    comparison_operator=rule.comparison,
                    alarm_actions=(self.arn,),
                ),
                resource=f"autoScalingGroup/{group.name}",
            )
            for side, rule in (("High", rules.high), ("Low", rules.low))
        )
        cloudwatch.add(self.high)
        cloudwatch.add(self.low)

    @property
    def warmup_us(self) -> int:
        """How long an instance does not count in the metric after it went into service.

        What the policy says, else the group's default instance warm-up, else its default cooldown: Amazon EC2 Auto Scaling API
        Reference, API_PutScalingPolicy.html (EstimatedInstanceWarmup).
        """
        return self.group.warmup_us(self.spec.estimated_instance_warmup, self.group.spec.default_cooldown)

    def decide(self, alarm: AlarmRun) -> None:
        """Observe, decide, record, act."""
        group, now = self.group, self._kit.now
        [point] = self._cloudwatch.windows(alarm.keys[0], alarm.until_us, alarm.period_us, 1)
        load = GroupLoad(
            metric=alarm.value,
            measured=0 if point is None else round(point.count),
            warm=sum(1 for i in group.in_service if counts(i, now, self.warmup_us)),
            desired=group.desired,
            minimum=group.minimum,
            maximum=group.maximum,
            high=self.high.state,
            low=self.low.state,
        )
        tracking = self.spec.target_tracking_configuration
        decision = track_group(tracking, load)
        if decision is None or not self.spec.enabled:
            return
        self._kit.recorder.scaling.append(
            (
                now,
                f"autoScalingGroup/{group.name}",
                self.spec.policy_name,
                "TargetTrackingScaling",
                alarm.name,
                alarm.state,
                METRIC,
                load.metric,
                tracking.target_value,
                float(load.measured),
                group.desired,
                decision.capacity,
                decision.because,
            )
        )
        group.set_desired(decision.capacity)


def counts(instance: InstanceRun, now_us: int, warmup_us: int) -> bool:
    """Whether an instance counts in its group's metric: in service, and warmed up."""
    at = instance.in_service_at
    return at is not None and (instance.there_before or now_us >= at + warmup_us)


class GroupScaling:
    """The policies of all groups, and the CPU metric they follow."""

    def __init__(self, kit: Kit, cloudwatch: CloudWatch) -> None:
        self._kit = kit
        self._cloudwatch = cloudwatch
        self._policies: dict[str, GroupPolicyRun] = {}
        self._busy_us: dict[str, float] = {}

    def put(self, group: AutoScalingGroupRun, spec: GroupPolicy) -> str:
        """Add or replace a policy of a group and return its ARN."""
        if not self._policies:
            self._cloudwatch.provide(NAMESPACE, self._metric)
            self._cloudwatch.scaling_actions.append(self._act)
        run = GroupPolicyRun(self._kit, self._cloudwatch, group, spec)
        self._policies[run.arn] = run
        return run.arn

    def _act(self, action: str, alarm: AlarmRun, now: bool) -> bool:
        policy = self._policies.get(action)
        if policy is not None and now:
            policy.decide(alarm)
        return policy is not None

    def _metric(self, start_us: int, end_us: int) -> Iterator[tuple[str, Mapping[str, str], Point]]:
        """Return the CPU utilisation of every group that has a policy: the mean over its instances that count."""
        seen: set[str] = set()
        for policy in self._policies.values():
            group = policy.group
            if group.name in seen:
                continue
            seen.add(group.name)
            shares = []
            for instance in group.instances.values():
                used = sum(self._used_us(task, start_us, end_us) for task in instance.tasks.values())
                if counts(instance, end_us, policy.warmup_us) and instance.instance_id in group.serving_ids:
                    shares.append(min(100.0, 100 * used / (instance.cpu_units / 1024 * (end_us - start_us))))
            if shares:
                point = Point(start_us, end_us, float(len(shares)), sum(shares), min(shares), max(shares))
                yield METRIC, {"AutoScalingGroupName": group.name}, point

    def _used_us(self, task: TaskRun, start_us: int, end_us: int) -> float:
        """Return the core-time of a task since the last minute: of its requests or its other work, and its idle share."""
        if task.started_at is None or task.last_status != "RUNNING":
            return 0.0
        idle = task.revision.behaviour.idle_cpu * (end_us - max(start_us, task.started_at))
        busy = self._kit.work.use(task).busy_core_us
        for group, target in task.targets:
            if group.bridge is not None and target.slot is not None:
                group.bridge.advance(end_us)
                busy = group.bridge.plane.slot(target.slot).busy_core_us
                break
        before, self._busy_us[task.task_id] = self._busy_us.get(task.task_id, 0.0), busy
        return idle + max(0.0, busy - before)
