"""How a service's deployments go: the shapes of DeploymentConfiguration.

Source: Amazon ECS API Reference, API_DeploymentConfiguration.html, API_DeploymentCircuitBreaker.html, API_DeploymentAlarms.html,
API_LinearConfiguration.html, API_CanaryConfiguration.html; Amazon ECS Developer Guide, deployment-circuit-breaker.html,
early-success-criteria.html.
"""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, ValidationInfo, field_validator, model_validator

from fargsim.model.base import EcsShape
from fargsim.model.lifecycle import LifecycleHook, check_hooks


def _tenths(value: float, least: float) -> float:
    if abs(value * 10 - round(value * 10)) > 1e-9:
        raise ValueError(f"{value:g} is not a multiple of 0.1 (legal: {least:g} to 100 in steps of 0.1)")
    return value


Minutes = Annotated[int, Field(ge=0, le=1440)]
"""At most a day: no stage of a deployment may last longer."""


class ThresholdConfiguration(EcsShape):
    """How many failed tasks make a deployment fail."""

    type: Literal["BOUNDED_PERCENT", "UNBOUNDED_PERCENT", "COUNT"] = "BOUNDED_PERCENT"
    value: int = 50

    @field_validator("value")
    @classmethod
    def _in_range(cls, value: int, info: ValidationInfo) -> int:
        kind = info.data.get("type")
        if value < 1 or (kind in ("BOUNDED_PERCENT", "UNBOUNDED_PERCENT") and value > 100):
            legal = "1 or more" if kind == "COUNT" else "1 to 100"
            raise ValueError(f"is {value}: {kind or 'a percentage'} takes {legal}")
        return value


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

    @model_validator(mode="after")
    def _named(self) -> Self:
        if self.enable and not self.alarm_names:
            raise ValueError("alarmNames is empty: with enable true it must name at least 1 alarm")
        return self


class EarlySuccessCriteria(EcsShape):
    """When a rolling deployment counts as done before all its tasks are healthy."""

    enable: bool
    healthy_percent: int = Field(default=100, ge=0, le=100)
    source_service_revision_cleanup: Literal["BLOCKING", "DEFERRED"] = "BLOCKING"


class LinearConfiguration(EcsShape):
    """Equal steps of production traffic."""

    step_percent: float = Field(default=10.0, ge=3.0, le=100.0)
    step_bake_time_in_minutes: Minutes = 6

    @field_validator("step_percent")
    @classmethod
    def _in_tenths(cls, value: float) -> float:
        return _tenths(value, 3.0)


class CanaryConfiguration(EcsShape):
    """A small share of production traffic first, then the rest."""

    canary_percent: float = Field(default=5.0, ge=0.1, le=100.0)
    canary_bake_time_in_minutes: Minutes = 10

    @field_validator("canary_percent")
    @classmethod
    def _in_tenths(cls, value: float) -> float:
        return _tenths(value, 0.1)


class DeploymentChange(EcsShape):
    """What UpdateService says of bounds and course of a deployment: what it leaves out stays as it is."""

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
    def _number_of_hooks(self) -> Self:
        check_hooks(self.lifecycle_hooks)
        return self


class DeploymentConfiguration(DeploymentChange):
    """Bounds and course of a deployment. ``None`` stands for AWS's default of the scheduling strategy."""

    @model_validator(mode="after")
    def _of_the_strategy(self) -> Self:
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
