"""CloudWatch alarms: M breaching datapoints out of N, missing data, and the alarms of a target tracking policy.

Source: Amazon CloudWatch User Guide, alarm-evaluation.html and alarms-and-missing-data.html (whose two tables of examples hold here row
by row). How many datapoints the evaluation range has beyond N is published for one example only (5 for N = 3).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from fargsim.model.alarms import Comparison as Comparison
from fargsim.model.alarms import TreatMissingData as TreatMissingData

AlarmState = Literal["OK", "ALARM", "INSUFFICIENT_DATA"]

RANGE_BEYOND_PERIODS = 2
"""Datapoints of the evaluation range beyond the evaluation periods; from the published example."""


@dataclass(frozen=True, slots=True)
class Alarm:
    """A metric alarm.

    Parameters
    ----------
    threshold, comparison
        What breaches.
    evaluation_periods
        N: how many datapoints are looked at.
    datapoints_to_alarm
        M: how many of them must breach.
    treat_missing_data
        What stands for datapoints that are not there.
    range_extra
        Datapoints that are fetched beyond N.
    """

    threshold: float
    comparison: Comparison
    evaluation_periods: int
    datapoints_to_alarm: int
    treat_missing_data: TreatMissingData = "missing"
    range_extra: int = RANGE_BEYOND_PERIODS

    @property
    def evaluation_range(self) -> int:
        """How many of the newest datapoints are fetched."""
        return self.evaluation_periods + self.range_extra

    def breaches(self, value: float) -> bool:
        """Return whether a value is on the wrong side of the threshold."""
        if self.comparison == "GreaterThanThreshold":
            return value > self.threshold
        if self.comparison == "GreaterThanOrEqualToThreshold":
            return value >= self.threshold
        if self.comparison == "LessThanThreshold":
            return value < self.threshold
        return value <= self.threshold


def evaluate(alarm: Alarm, datapoints: Sequence[float | None], state: AlarmState) -> AlarmState:
    """Return the state an alarm goes to.

    Parameters
    ----------
    datapoints
        Published values, one a period, the newest last; None where there is none. Of more than the evaluation range only the newest count.
    state
        The state the alarm is in; kept where the data decide nothing and missing data are ignored.

    Notes
    -----
    Real datapoints of the evaluation range are used first, the newest N of them; only what is short of N is filled by the treatment of
    missing data. With ``missing`` an alarm also goes off where the oldest real datapoint is at least M periods old and all real
    datapoints breach (the rule against premature transitions; that a good datapoint anywhere switches the rule off follows from the
    published table).

    Examples
    --------
    >>> high = Alarm(50.0, "GreaterThanThreshold", evaluation_periods=3, datapoints_to_alarm=3)
    >>> evaluate(high, [40, 60, 60, None, 60], "OK"), evaluate(high, [None] * 5, "OK")
    ('ALARM', 'INSUFFICIENT_DATA')
    """
    fetched = datapoints[-alarm.evaluation_range :]
    real = [(age, alarm.breaches(v)) for age, v in enumerate(reversed(fetched), start=1) if v is not None]
    used = real[: alarm.evaluation_periods]
    short = alarm.evaluation_periods - len(used)
    breaching = sum(breach for _, breach in used)
    treatment = alarm.treat_missing_data
    if short and treatment == "breaching":
        breaching += short
    if breaching >= alarm.datapoints_to_alarm:
        return "ALARM"
    if not short or treatment in ("breaching", "notBreaching"):
        return "OK"
    if not all(breach for _, breach in used):
        return "OK"
    if treatment == "ignore":
        return state
    if not used:
        return "INSUFFICIENT_DATA"
    oldest = used[-1][0]
    return "ALARM" if oldest >= alarm.datapoints_to_alarm else "OK"


@dataclass(frozen=True, slots=True)
class TrackingAlarms:
    """The two alarms Application Auto Scaling makes for a target tracking policy."""

    high: Alarm
    low: Alarm


def tracking_alarms(
    target: float, *, low_factor: float = 0.9, high_datapoints: int = 3, low_datapoints: int = 15
) -> TrackingAlarms:
    """Return the alarms of a target tracking policy.

    Parameters
    ----------
    target
        The value to keep.
    low_factor
        What the low alarm's threshold is of the target: 0.9 as observed on ECS services, 0.7 on recent Auto Scaling groups.
    high_datapoints, low_datapoints
        Datapoints of one period each: 3 and 15 with one-minute metrics, 3 and 45 with 20-second metrics.

    Notes
    -----
    Source: Application Auto Scaling User Guide, target-tracking-scaling-policy-overview.html (the low threshold is below the target);
    the figures as observed in github.com/aws-samples/amazon-ecs-fargate-workshop-dev-ops-data.

    Examples
    --------
    >>> alarms = tracking_alarms(30.0)
    >>> alarms.high.threshold, alarms.low.threshold, alarms.high.evaluation_periods, alarms.low.evaluation_periods
    (30.0, 27.0, 3, 15)
    """
    return TrackingAlarms(
        high=Alarm(target, "GreaterThanThreshold", high_datapoints, high_datapoints),
        low=Alarm(target * low_factor, "LessThanThreshold", low_datapoints, low_datapoints),
    )
