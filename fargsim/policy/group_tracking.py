"""Target tracking of a plain Auto Scaling group on the CPU of its instances.

Source: Amazon EC2 Auto Scaling User Guide, as-scaling-target-tracking.html: instances count once they have warmed up,
capacity that still warms up counts as there when more is asked for, and nothing is taken away meanwhile. What is added is rounded up,
what is removed rounded down: of 1.5 instances to remove, one goes. A metric is multiplied by the instances that it is the mean of, not by
those that are there by now, which is what keeps two alarms about the same minute from being taken for two: a model, as of services.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from fargsim.model.group_options import GroupTargetTracking
from fargsim.policy.alarms import AlarmState

_ROUNDING = 1e-9


@dataclass(frozen=True, slots=True)
class GroupLoad:
    """What the policy of a group sees.

    Parameters
    ----------
    metric
        Average CPU utilisation of the instances that count, percent; None where there is no datapoint.
    measured
        Instances whose mean the metric is; 0 where there is no datapoint.
    warm
        Instances that would count now.
    desired, minimum, maximum
        The group's sizes.
    high, low
        States of the policy's two alarms.
    """

    metric: float | None
    measured: int
    warm: int
    desired: int
    minimum: int
    maximum: int
    high: AlarmState
    low: AlarmState


@dataclass(frozen=True, slots=True)
class Resize:
    """Set the group's desired capacity, and why."""

    capacity: int
    because: str


def track_group(spec: GroupTargetTracking, load: GroupLoad) -> Resize | None:
    """Return the size that the policy asks for; None to leave the group as it is. Called once a minute while an alarm lasts.

    Examples
    --------
    >>> spec = GroupTargetTracking.model_validate({
    ...     "PredefinedMetricSpecification": {"PredefinedMetricType": "ASGAverageCPUUtilization"}, "TargetValue": 50})
    >>> track_group(spec, GroupLoad(75.0, 3, 3, 3, 1, 10, "ALARM", "OK")).capacity
    5

    2.5 instances would do for what four do at 31.25 %: 1.5 are too many, and one goes.

    >>> track_group(spec, GroupLoad(31.25, 4, 4, 4, 1, 10, "OK", "ALARM")).capacity
    3
    """
    if load.metric is None:
        return None
    exact = load.measured * load.metric / spec.target_value
    wanted = math.ceil(exact - _ROUNDING * max(1.0, exact))
    wanted = min(max(wanted, load.minimum), load.maximum)
    figures = f"average CPU {load.metric:g} % of {load.measured} instances, target {spec.target_value:g}"
    if load.high == "ALARM":
        return Resize(wanted, f"high alarm: {figures}") if wanted > load.desired else None
    if load.low == "ALARM" and not spec.disable_scale_in and load.warm >= load.desired and wanted < load.desired:
        return Resize(wanted, f"low alarm: {figures}")
    return None
