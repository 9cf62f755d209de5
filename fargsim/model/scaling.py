"""Service auto scaling: request shapes of Application Auto Scaling.

Source: Application Auto Scaling API Reference, API_RegisterScalableTarget.html, API_PutScalingPolicy.html,
API_TargetTrackingScalingPolicyConfiguration.html.
"""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from fargsim.model.base import Json, Own, PascalShape
from fargsim.model.quantity import DurationUs, Share

PredefinedMetric = Literal[
    "ECSServiceAverageCPUUtilization", "ECSServiceAverageMemoryUtilization", "ALBRequestCountPerTarget"
]


class PredefinedMetricSpecification(PascalShape):
    """One of AWS's own metrics of a service."""

    predefined_metric_type: PredefinedMetric
    resource_label: str | None = None


class TargetTracking(PascalShape):
    """Keep a metric at a value. Cooldowns in seconds; AWS's default for ECS is 300 both ways."""

    target_value: float = Field(gt=0)
    predefined_metric_specification: PredefinedMetricSpecification
    scale_in_cooldown: int = Field(default=300, ge=0)
    scale_out_cooldown: int = Field(default=300, ge=0)
    disable_scale_in: bool = False


class ScalingPolicy(PascalShape):
    """PutScalingPolicy. The service is named by the scalable target around it."""

    policy_name: str = Field(min_length=1, max_length=256)
    policy_type: Literal["TargetTrackingScaling"] = "TargetTrackingScaling"
    target_tracking_scaling_policy_configuration: TargetTracking
    service_namespace: Literal["ecs"] = "ecs"
    resource_id: str | None = None
    scalable_dimension: Literal["ecs:service:DesiredCount"] = "ecs:service:DesiredCount"


class ScalableTarget(PascalShape):
    """RegisterScalableTarget with its policies; `service` is a key of our own and stands for ResourceId."""

    service: str = Field(alias="service")
    cluster: str = Field(default="default", alias="cluster")
    min_capacity: int = Field(ge=0, le=5_000)
    max_capacity: int = Field(ge=0, le=5_000)
    policies: tuple[ScalingPolicy, ...] = Field(default=(), alias="policies")
    service_namespace: Literal["ecs"] = "ecs"
    resource_id: str | None = None
    scalable_dimension: Literal["ecs:service:DesiredCount"] = "ecs:service:DesiredCount"
    suspended_state: Json = None

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.max_capacity < self.min_capacity:
            raise ValueError(f"MaxCapacity ({self.max_capacity}) is below MinCapacity ({self.min_capacity})")
        names = [p.policy_name for p in self.policies]
        if len(set(names)) < len(names):
            raise ValueError("a PolicyName stands twice")
        return self


class Slo(Own):
    """What the users were promised. Latencies are durations, as in ``latency_p99: 400 ms``."""

    latency_mean: DurationUs | None = None
    latency_p50: DurationUs | None = None
    latency_p95: DurationUs | None = None
    latency_p99: DurationUs | None = None
    error_rate: Share | None = None
