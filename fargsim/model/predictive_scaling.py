"""Service auto scaling ahead of a forecast: request shapes of Application Auto Scaling.

Source: Application Auto Scaling API Reference, API_PredictiveScalingPolicyConfiguration.html,
API_PredictiveScalingMetricSpecification.html.
"""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from fargsim.model.base import PascalShape

PredictivePair = Literal["ECSServiceCPUUtilization", "ECSServiceMemoryUtilization", "ALBRequestCount"]


class PredictivePairSpecification(PascalShape):
    """A load metric to forecast and the scaling metric that goes with it."""

    predefined_metric_type: PredictivePair
    resource_label: str | None = None


class PredictiveScalingMetric(PascalShape):
    """The metric to keep at the target, named apart from the load."""

    predefined_metric_type: Literal[
        "ECSServiceAverageCPUUtilization", "ECSServiceAverageMemoryUtilization", "ALBRequestCountPerTarget"
    ]
    resource_label: str | None = None


class PredictiveLoadMetric(PascalShape):
    """The load to forecast, named apart from the metric to keep."""

    predefined_metric_type: Literal[
        "ECSServiceTotalCPUUtilization", "ECSServiceTotalMemoryUtilization", "TotalALBRequestCount"
    ]
    resource_label: str | None = None


_PAIRS: dict[tuple[str, str], PredictivePair] = {
    ("ECSServiceAverageCPUUtilization", "ECSServiceTotalCPUUtilization"): "ECSServiceCPUUtilization",
    ("ECSServiceAverageMemoryUtilization", "ECSServiceTotalMemoryUtilization"): "ECSServiceMemoryUtilization",
    ("ALBRequestCountPerTarget", "TotalALBRequestCount"): "ALBRequestCount",
}


class PredictiveMetricSpecification(PascalShape):
    """What is forecast, and the value to keep: a pair of metrics, or the two of them."""

    target_value: float = Field(gt=0)
    predefined_metric_pair_specification: PredictivePairSpecification | None = None
    predefined_scaling_metric_specification: PredictiveScalingMetric | None = None
    predefined_load_metric_specification: PredictiveLoadMetric | None = None

    @model_validator(mode="after")
    def _one_pair(self) -> Self:
        _ = self.pair
        return self

    @property
    def pair(self) -> PredictivePairSpecification:
        """The pair of metrics."""
        pair = self.predefined_metric_pair_specification
        scaling, load = self.predefined_scaling_metric_specification, self.predefined_load_metric_specification
        if pair is not None and scaling is None and load is None:
            return pair
        if pair is not None or scaling is None or load is None:
            raise ValueError(
                "give either PredefinedMetricPairSpecification, or PredefinedScalingMetricSpecification and "
                "PredefinedLoadMetricSpecification"
            )
        kind = _PAIRS.get((scaling.predefined_metric_type, load.predefined_metric_type))
        if kind is None:
            [other] = [metric for metric, of in _PAIRS if of == load.predefined_metric_type]
            raise ValueError(
                f"{load.predefined_metric_type} goes with {other} here, not with {scaling.predefined_metric_type}: how AWS "
                "relates the two is not published"
            )
        return PredictivePairSpecification(
            predefined_metric_type=kind, resource_label=load.resource_label or scaling.resource_label
        )


class PredictiveScaling(PascalShape):
    """Scale ahead of a load that is forecast."""

    metric_specifications: tuple[PredictiveMetricSpecification, ...] = Field(min_length=1, max_length=1)
    mode: Literal["ForecastOnly", "ForecastAndScale"] = "ForecastOnly"
    scheduling_buffer_time: int = Field(default=300, ge=0, le=3600)
    max_capacity_breach_behavior: Literal["HonorMaxCapacity", "IncreaseMaxCapacity"] = "HonorMaxCapacity"
    max_capacity_buffer: int | None = Field(default=None, ge=0, le=100)

    @model_validator(mode="after")
    def _buffer(self) -> Self:
        if (self.max_capacity_buffer is None) == (self.max_capacity_breach_behavior == "IncreaseMaxCapacity"):
            raise ValueError("MaxCapacityBuffer (0 to 100) goes with IncreaseMaxCapacity, and only with it")
        return self
