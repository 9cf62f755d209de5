"""How a service's deployments go: the shapes of DeploymentConfiguration.

Source: Amazon ECS API Reference, API_DeploymentConfiguration.html, API_DeploymentCircuitBreaker.html, API_DeploymentAlarms.html,
API_LinearConfiguration.html, API_CanaryConfiguration.html; Amazon ECS Developer Guide, deployment-circuit-breaker.html,
early-success-criteria.html.
"""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from fargsim.model.base import EcsShape
from fargsim.model.lifecycle import LifecycleHook, check_hooks


def _tenths(value: float) -> float:
    if abs(value * 10 - round(value * 10)) > 1e-9:
        raise ValueError(f"{value:g} is not a multiple of 0.1")
    return value


Tenths = Annotated[float, AfterValidator(_tenths)]
"""A percentage in steps of 0.1."""

Minutes = Annotated[int, Field(ge=0, le=1440)]
"""At most a day: no stage of a deployment may last longer."""


class ThresholdConfiguration(EcsShape):
    """How many failed tasks make a deployment fail."""

    type: Literal["BOUNDED_PERCENT", "UNBOUNDED_PERCENT", "COUNT"] = "BOUNDED_PERCENT"
    value: int = Field(default=50, ge=1)

    @model_validator(mode="after")
    def _percent(self) -> Self:
        if self.type != "COUNT" and self.value > 100:
            raise ValueError(f"a value of {self.value} is no percentage: {self.type} takes 1 to 100")
        return self


class DeploymentCircuitBreaker(EcsShape):
    """When a deployment is given up."""

    enable: bool
    rollback: bool
    reset_on_healthy_task: bool = True
    threshold_configuration: ThresholdConfiguration = ThresholdConfiguration()


class DeploymentAlarms(EcsShape):
    """CloudWatch alarms that make a deployment fail."""

    alarm_names: tuple[str, ...]
    enable: bool
    rollback: bool


class EarlySuccessCriteria(EcsShape):
    """When a rolling deployment counts as done before all its tasks are healthy."""

    enable: bool
    healthy_percent: int = Field(default=100, ge=0, le=100)
    source_service_revision_cleanup: Literal["BLOCKING", "DEFERRED"] = "BLOCKING"


class LinearConfiguration(EcsShape):
    """Equal steps of production traffic."""

    step_percent: Tenths = Field(default=10.0, ge=3.0, le=100.0)
    step_bake_time_in_minutes: Minutes = 6


class CanaryConfiguration(EcsShape):
    """A small share of production traffic first, then the rest."""

    canary_percent: Tenths = Field(default=5.0, ge=0.1, le=100.0)
    canary_bake_time_in_minutes: Minutes = 10


class DeploymentConfiguration(EcsShape):
    """Bounds and course of a deployment. ``None`` stands for AWS's default of the scheduling strategy."""

    maximum_percent: int | None = Field(default=None, ge=0, le=10_000)
    minimum_healthy_percent: int | None = Field(default=None, ge=0, le=10_000)
    deployment_circuit_breaker: DeploymentCircuitBreaker | None = None
    alarms: DeploymentAlarms | None = None
    early_success_criteria: EarlySuccessCriteria | None = None
    strategy: Literal["ROLLING", "BLUE_GREEN", "LINEAR", "CANARY"] = "ROLLING"
    bake_time_in_minutes: Minutes | None = None
    lifecycle_hooks: tuple[LifecycleHook, ...] = ()
    linear_configuration: LinearConfiguration | None = None
    canary_configuration: CanaryConfiguration | None = None

    @model_validator(mode="after")
    def _of_the_strategy(self) -> Self:
        check_hooks(self.lifecycle_hooks)
        for name, strategy in (("linear_configuration", "LINEAR"), ("canary_configuration", "CANARY")):
            if getattr(self, name) is not None and self.strategy != strategy:
                key = name.replace("_c", "C")
                raise ValueError(f"{key} is for strategy {strategy}, not {self.strategy}")
        low, high = self.minimum_healthy_percent, self.maximum_percent
        if low is not None and high is not None and low > high:
            raise ValueError(f"minimumHealthyPercent is {low}: it must be at most maximumPercent, {high}")
        early = self.early_success_criteria
        if early is not None and early.enable:
            if self.strategy != "ROLLING":
                raise ValueError(f"earlySuccessCriteria is for strategy ROLLING, not {self.strategy}")
            least = 100 if self.minimum_healthy_percent is None else self.minimum_healthy_percent
            if early.healthy_percent < least:
                raise ValueError(
                    f"earlySuccessCriteria.healthyPercent is {early.healthy_percent}: "
                    f"it must be at least minimumHealthyPercent, {least}"
                )
        return self
