"""Predictive scaling: a forecast of the load by hours, and the capacity that it needs.

AWS publishes what goes in (24 hours of history at least, 14 days at most), what comes out (48 hours, by the hour, anew every six hours)
and what is done with it, but not how it forecasts. The mean of the same hour on the days that are there stands in for it.

Source: Amazon ECS Developer Guide, predictive-auto-scaling.html; Application Auto Scaling API Reference,
API_PredictiveScalingPolicyConfiguration.html.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from fargsim.model.predictive_scaling import PredictiveScaling
from fargsim.policy.target_tracking import Limits

LEAST_HISTORY_H = 24
LONGEST_HISTORY_DAYS = 14
FORECAST_H = 48
REFRESH_H = 6
_ROUNDING = 1e-9


def forecast(history: Mapping[int, float], first_hour: int) -> dict[int, float]:
    """Return the load of the next 48 hours: the mean of the same hour of the day over the days that are there.

    Parameters
    ----------
    history
        Mean load by hour, counted from any midnight.
    first_hour
        The first hour that is forecast; what is later than that in the history is left out.

    Returns
    -------
    dict
        By hour. Empty with less than 24 hours of history; without an hour of which there is no day.

    Examples
    --------
    >>> told = forecast({hour: 10.0 * (hour % 24) for hour in range(36)}, 36)
    >>> len(told), told[36], told[48]
    (48, 120.0, 0.0)
    """
    known = {h: x for h, x in history.items() if first_hour - LONGEST_HISTORY_DAYS * 24 <= h < first_hour}
    if len(known) < LEAST_HISTORY_H:
        return {}
    found = {}
    for hour in range(first_hour, first_hour + FORECAST_H):
        days = [x for h, x in known.items() if h % 24 == hour % 24]
        if days:
            found[hour] = math.fsum(days) / len(days)
    return found


def capacity_for(load: float, target: float) -> int:
    """Return how many tasks keep a load at its target.

    >>> capacity_for(240.0, 60.0), capacity_for(241.0, 60.0)
    (4, 5)
    """
    exact = load / target
    return math.ceil(exact - _ROUNDING * max(1.0, exact))


@dataclass(frozen=True, slots=True)
class Floor:
    """The capacity that a forecast asks for and the maximum that goes with it."""

    capacity: int
    maximum: int


def floor_for(spec: PredictiveScaling, limits: Limits, needed: int) -> Floor:
    """Return what of a forecast capacity is carried out.

    Parameters
    ----------
    needed
        Tasks that the forecast asks for.

    Examples
    --------
    >>> raise_it = PredictiveScaling.model_validate({"MetricSpecifications": [{"TargetValue": 50,
    ...     "PredefinedMetricPairSpecification": {"PredefinedMetricType": "ECSServiceCPUUtilization"}}],
    ...     "MaxCapacityBreachBehavior": "IncreaseMaxCapacity", "MaxCapacityBuffer": 10})
    >>> floor_for(raise_it, Limits(1, 40), 50)
    Floor(capacity=50, maximum=55)
    """
    maximum = limits.maximum
    if spec.max_capacity_breach_behavior == "IncreaseMaxCapacity":
        maximum = max(maximum, math.ceil(needed * (100 + (spec.max_capacity_buffer or 0)) / 100))
    return Floor(min(max(needed, limits.minimum), maximum), maximum)
