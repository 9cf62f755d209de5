"""Service auto scaling: request shapes of Application Auto Scaling.

Source: Application Auto Scaling API Reference, API_RegisterScalableTarget.html, API_PutScalingPolicy.html, API_PutScheduledAction.html,
API_TargetTrackingScalingPolicyConfiguration.html, API_StepScalingPolicyConfiguration.html.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from datetime import datetime
from itertools import pairwise
from typing import Literal, Self

from pydantic import Field, model_validator

from fargsim.model.alarms import Dimension, MetricDataQuery, MetricStat, check_queries
from fargsim.model.base import Issue, Own, PascalShape, raise_faults
from fargsim.model.predictive_scaling import PredictiveScaling
from fargsim.model.quantity import DurationUs, Share
from fargsim.model.schedule import Schedule

PredefinedMetric = Literal[
    "ECSServiceAverageCPUUtilization",
    "ECSServiceAverageMemoryUtilization",
    "ECSServiceAverageCPUUtilizationHighResolution",
    "ECSServiceAverageMemoryUtilizationHighResolution",
    "ALBRequestCountPerTarget",
]
HIGH_RESOLUTION = "HighResolution"
REQUESTS_PER_TARGET = "ALBRequestCountPerTarget"


def controller_fault(kind: str, controller: str) -> str | None:
    """Return why a predefined metric cannot scale a service with a deployment controller; None where it can.

    Source: Application Auto Scaling API Reference, API_PredefinedMetricSpecification.html; Amazon ECS Developer Guide,
    target-tracking-faster-auto-scaling.html.

    >>> controller_fault("ALBRequestCountPerTarget", "ECS") is None
    True
    """
    if controller == "ECS" or not (kind == REQUESTS_PER_TARGET or HIGH_RESOLUTION in kind):
        return None
    return f"{kind} is not supported for services with the {controller} deployment controller: it needs ECS"


class PredefinedMetricSpecification(PascalShape):
    """One of AWS's own metrics of a service."""

    predefined_metric_type: PredefinedMetric
    resource_label: str | None = None

    @model_validator(mode="after")
    def _label(self) -> Self:
        if self.resource_label is not None and self.predefined_metric_type != REQUESTS_PER_TARGET:
            raise ValueError(
                f"ResourceLabel goes with {REQUESTS_PER_TARGET} only, not with {self.predefined_metric_type}"
            )
        return self


class TrackingMetric(PascalShape):
    """A metric in a line of metric math."""

    metric_name: str = Field(min_length=1, max_length=255)
    namespace: str = Field(min_length=1, max_length=255)
    dimensions: tuple[Dimension, ...] = Field(default=(), max_length=10)


class TrackingMetricStat(PascalShape):
    """A statistic of a metric; periods of a minute."""

    metric: TrackingMetric
    stat: str
    unit: str | None = None


class TargetTrackingQuery(PascalShape):
    """A line of metric math of a target tracking policy."""

    id: str = Field(pattern=r"^[a-z][a-zA-Z0-9_]*$", max_length=255)
    expression: str | None = Field(default=None, min_length=1, max_length=2048)
    metric_stat: TrackingMetricStat | None = None
    label: str | None = None
    return_data: bool = True

    @model_validator(mode="after")
    def _sound(self) -> Self:
        self.query()
        return self

    def query(self) -> MetricDataQuery:
        """Return the line as CloudWatch has it."""
        stat = self.metric_stat
        return MetricDataQuery(
            id=self.id,
            expression=self.expression,
            return_data=self.return_data,
            metric_stat=None
            if stat is None
            else MetricStat.model_validate(
                {"Metric": stat.metric.model_dump(by_alias=True), "Period": 60, "Stat": stat.stat}
            ),
        )


class CustomizedMetricSpecification(PascalShape):
    """A metric of one's own, or metric math over several: backlog per task, for example."""

    metric_name: str | None = Field(default=None, min_length=1, max_length=255)
    namespace: str | None = Field(default=None, min_length=1, max_length=255)
    dimensions: tuple[Dimension, ...] = Field(default=(), max_length=30)
    statistic: Literal["Average", "Minimum", "Maximum", "SampleCount", "Sum"] | None = None
    unit: str | None = None
    metrics: tuple[TargetTrackingQuery, ...] = Field(default=(), max_length=10)

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        single = (self.metric_name, self.namespace, self.statistic)
        if self.metrics:
            if any(x is not None for x in single) or self.dimensions:
                raise ValueError("give either Metrics, or MetricName, Namespace and Statistic")
            check_queries(tuple(q.query() for q in self.metrics))
        elif any(x is None for x in single):
            raise ValueError("give MetricName, Namespace and Statistic together, or Metrics")
        return self

    def queries(self) -> tuple[MetricDataQuery, ...]:
        """Return the metric as lines of metric math, in periods of a minute."""
        if self.metrics:
            return tuple(q.query() for q in self.metrics)
        metric = {"Namespace": self.namespace, "MetricName": self.metric_name, "Dimensions": self.dimensions}
        return (
            MetricDataQuery(
                id="m1", metric_stat=MetricStat.model_validate({"Metric": metric, "Period": 60, "Stat": self.statistic})
            ),
        )


class TargetTracking(PascalShape):
    """Keep a metric at a value. Cooldowns in seconds; AWS's default for ECS is 300 both ways."""

    target_value: float = Field(gt=0)
    predefined_metric_specification: PredefinedMetricSpecification | None = None
    customized_metric_specification: CustomizedMetricSpecification | None = None
    scale_in_cooldown: int = Field(default=300, ge=0)
    scale_out_cooldown: int = Field(default=300, ge=0)
    disable_scale_in: bool = False

    @model_validator(mode="after")
    def _one_metric(self) -> Self:
        if (self.predefined_metric_specification is None) == (self.customized_metric_specification is None):
            raise ValueError("give either PredefinedMetricSpecification or CustomizedMetricSpecification")
        return self

    @property
    def predefined(self) -> str | None:
        """The predefined metric, if it is one."""
        spec = self.predefined_metric_specification
        return None if spec is None else spec.predefined_metric_type


class StepAdjustment(PascalShape):
    """What to do where the metric is so far from the alarm's threshold; a bound that is absent is infinite."""

    metric_interval_lower_bound: float | None = None
    metric_interval_upper_bound: float | None = None
    scaling_adjustment: int

    @property
    def low(self) -> float:
        """The lower bound."""
        return -math.inf if self.metric_interval_lower_bound is None else self.metric_interval_lower_bound

    @property
    def high(self) -> float:
        """The upper bound."""
        return math.inf if self.metric_interval_upper_bound is None else self.metric_interval_upper_bound


class StepScaling(PascalShape):
    """Steps by how far an alarm's metric is from its threshold."""

    adjustment_type: Literal["ChangeInCapacity", "PercentChangeInCapacity", "ExactCapacity"]
    step_adjustments: tuple[StepAdjustment, ...] = Field(min_length=1, max_length=20)
    min_adjustment_magnitude: int | None = Field(default=None, ge=1)
    cooldown: int = Field(default=300, ge=0)
    metric_aggregation_type: Literal["Average", "Minimum", "Maximum"] = "Average"

    @model_validator(mode="after")
    def _table(self) -> Self:
        raise_faults(_step_faults(self.step_adjustments))
        if self.adjustment_type == "ExactCapacity" and any(s.scaling_adjustment < 0 for s in self.step_adjustments):
            raise ValueError("ExactCapacity takes a ScalingAdjustment of 0 or more")
        if self.min_adjustment_magnitude is not None and self.adjustment_type != "PercentChangeInCapacity":
            raise ValueError("MinAdjustmentMagnitude is for PercentChangeInCapacity only")
        return self


def _step_faults(steps: tuple[StepAdjustment, ...]) -> list[Issue]:
    faults = []
    for n, step in enumerate(steps):
        at = ("StepAdjustments", n)
        if step.low == -math.inf and step.high == math.inf:
            faults.append(Issue(at, "give MetricIntervalLowerBound or MetricIntervalUpperBound"))
        elif step.low >= step.high:
            faults.append(Issue(at, f"the lower bound {step.low:g} must be below the upper bound {step.high:g}"))
    if faults:
        return faults
    order = sorted(range(len(steps)), key=lambda n: (steps[n].low, steps[n].high))
    for one, other in pairwise(order):
        above, below = steps[other].low, steps[one].high
        if above != below:
            word = "overlaps" if above < below else "leaves a gap to"
            told = "-inf" if above == -math.inf else f"{above:g}"
            message = f"the step that begins at {told} {word} the one that ends at {below:g}: bounds must meet"
            faults.append(Issue(("StepAdjustments", other), message))
    if not faults:
        # what is far away must have a step, too
        lowest, highest = steps[order[0]], steps[order[-1]]
        if lowest.low < 0 and lowest.low != -math.inf:
            message = "a negative lower bound needs a step without MetricIntervalLowerBound below it"
            faults.append(Issue(("StepAdjustments", order[0]), message))
        if highest.high > 0 and highest.high != math.inf:
            message = "a positive upper bound needs a step without MetricIntervalUpperBound above it"
            faults.append(Issue(("StepAdjustments", order[-1]), message))
    return faults


_CONFIGURATIONS = {
    "TargetTrackingScaling": "target_tracking_scaling_policy_configuration",
    "StepScaling": "step_scaling_policy_configuration",
    "PredictiveScaling": "predictive_scaling_policy_configuration",
}


class ScalingPolicy(PascalShape):
    """PutScalingPolicy. The service is named by the scalable target around it."""

    policy_name: str = Field(min_length=1, max_length=256)
    policy_type: Literal["TargetTrackingScaling", "StepScaling", "PredictiveScaling"] = "TargetTrackingScaling"
    target_tracking_scaling_policy_configuration: TargetTracking | None = None
    step_scaling_policy_configuration: StepScaling | None = None
    predictive_scaling_policy_configuration: PredictiveScaling | None = None
    service_namespace: Literal["ecs"] = "ecs"
    resource_id: str | None = None
    scalable_dimension: Literal["ecs:service:DesiredCount"] = "ecs:service:DesiredCount"

    @model_validator(mode="after")
    def _one_configuration(self) -> Self:
        for kind, name in _CONFIGURATIONS.items():
            if (getattr(self, name) is not None) != (kind == self.policy_type):
                key = f"{kind}PolicyConfiguration"
                said = "missing" if kind == self.policy_type else f"not for PolicyType {self.policy_type}"
                raise ValueError(f"{key} is {said}")
        return self


class ScalableTargetAction(PascalShape):
    """What a scheduled action sets; what is absent stays."""

    min_capacity: int | None = Field(default=None, ge=0, le=5_000)
    max_capacity: int | None = Field(default=None, ge=0, le=5_000)

    @model_validator(mode="after")
    def _something(self) -> Self:
        if self.min_capacity is None and self.max_capacity is None:
            raise ValueError("give MinCapacity, MaxCapacity or both")
        if self.min_capacity is not None and self.max_capacity is not None and self.max_capacity < self.min_capacity:
            raise ValueError(f"MaxCapacity ({self.max_capacity}) is below MinCapacity ({self.min_capacity})")
        return self


class ScheduledAction(PascalShape):
    """PutScheduledAction. The service is named by the scalable target around it."""

    scheduled_action_name: str = Field(min_length=1, max_length=256, pattern=r"^[^|:/]+$")
    schedule: str = Field(min_length=1, max_length=1600)
    timezone: str = "UTC"
    start_time: datetime | None = None
    end_time: datetime | None = None
    scalable_target_action: ScalableTargetAction
    service_namespace: Literal["ecs"] = "ecs"
    resource_id: str | None = None
    scalable_dimension: Literal["ecs:service:DesiredCount"] = "ecs:service:DesiredCount"

    @model_validator(mode="after")
    def _can_be_read(self) -> Self:
        try:
            self.when()
        except ValueError as fault:
            key = "Timezone" if "time zone" in str(fault) else "Schedule"
            raise_faults([Issue((key,), str(fault))])
        for key, at in (("StartTime", self.start_time), ("EndTime", self.end_time)):
            if at is not None and at.tzinfo is None:
                raise_faults([Issue((key,), "says no time zone: write it like 2026-03-02T00:00:00Z")])
        if self.start_time is not None and self.end_time is not None and self.end_time <= self.start_time:
            raise_faults([Issue(("EndTime",), "must come after StartTime")])
        return self

    def when(self) -> Schedule:
        """Return the schedule, read."""
        return Schedule.parse(self.schedule, self.timezone)


def out_of_reach(action: ScheduledAction, least: int, most: int, others: Iterable[ScheduledAction]) -> str | None:
    """Return why an action can never be carried out: its limit is beyond the other one, whichever other action has set that.

    Parameters
    ----------
    least, most
        ``MinCapacity`` and ``MaxCapacity`` of the scalable target.
    others
        The target's other scheduled actions.
    """
    wanted = action.scalable_target_action
    known = [o.scalable_target_action for o in others if o.scheduled_action_name != action.scheduled_action_name]
    low, high = wanted.min_capacity, wanted.max_capacity
    if low is not None and high is None:
        highest = max([most, *(a.max_capacity for a in known if a.max_capacity is not None)])
        if low > highest:
            return f"MinCapacity ({low}) would be above MaxCapacity ({highest})"
    if high is not None and low is None:
        lowest = min([least, *(a.min_capacity for a in known if a.min_capacity is not None)])
        if high < lowest:
            return f"MaxCapacity ({high}) would be below MinCapacity ({lowest})"
    return None


class SuspendedState(PascalShape):
    """What Application Auto Scaling must not do."""

    dynamic_scaling_in_suspended: bool = False
    dynamic_scaling_out_suspended: bool = False
    scheduled_scaling_suspended: bool = False


class ScalableTarget(PascalShape):
    """RegisterScalableTarget with its policies; `service` is a key of our own and stands for ResourceId."""

    service: str = Field(alias="service")
    cluster: str = Field(default="default", alias="cluster")
    min_capacity: int = Field(ge=0, le=5_000)
    max_capacity: int = Field(ge=0, le=5_000)
    policies: tuple[ScalingPolicy, ...] = Field(default=(), alias="policies")
    scheduled_actions: tuple[ScheduledAction, ...] = Field(default=(), alias="scheduled_actions")
    service_namespace: Literal["ecs"] = "ecs"
    resource_id: str | None = None
    scalable_dimension: Literal["ecs:service:DesiredCount"] = "ecs:service:DesiredCount"
    suspended_state: SuspendedState = SuspendedState()

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.max_capacity < self.min_capacity:
            raise ValueError(f"MaxCapacity ({self.max_capacity}) is below MinCapacity ({self.min_capacity})")
        for what, names in (
            ("PolicyName", [p.policy_name for p in self.policies]),
            ("ScheduledActionName", [a.scheduled_action_name for a in self.scheduled_actions]),
        ):
            if len(set(names)) < len(names):
                raise ValueError(f"a {what} stands twice")
        return self


class Slo(Own):
    """What the users were promised. Latencies are durations, as in ``latency_p99: 400 ms``."""

    latency_mean: DurationUs | None = None
    latency_p50: DurationUs | None = None
    latency_p95: DurationUs | None = None
    latency_p99: DurationUs | None = None
    error_rate: Share | None = None
