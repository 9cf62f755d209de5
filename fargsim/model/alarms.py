"""CloudWatch: request shapes of alarms and of metric data, and metrics that a scenario makes up.

Source: Amazon CloudWatch API Reference, API_PutMetricAlarm.html, API_MetricDataQuery.html, API_PutMetricData.html.
"""

from __future__ import annotations

import re
from datetime import datetime, timedelta, timezone, tzinfo
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from fargsim.model.base import Issue, Own, PascalShape, raise_faults
from fargsim.model.quantity import DurationUs
from fargsim.model.schedule import zone_of

Comparison = Literal[
    "GreaterThanThreshold", "GreaterThanOrEqualToThreshold", "LessThanThreshold", "LessThanOrEqualToThreshold"
]
TreatMissingData = Literal["missing", "ignore", "breaching", "notBreaching"]
Statistic = Literal["SampleCount", "Average", "Sum", "Minimum", "Maximum"]

SUB_MINUTE_PERIODS_S = (10, 20, 30)
DAY_S = 86_400
WEEK_S = 604_800
WALL_CLOCK_PERIODS_S = (60, 300, 3600, DAY_S, WEEK_S)
_OFFSET = re.compile(r"(?:UTC|GMT)?([+-])(\d{2}):(\d{2})")
_EXTENDED = re.compile(r"p(\d{1,2}(?:\.\d{1,10})?|100)")


def percentile(statistic: str) -> float | None:
    """Return the share of an extended statistic (``p99`` is 0.99); None for any other text.

    >>> percentile("p99.9"), percentile("Average")
    (0.9990000000000001, None)
    """
    found = _EXTENDED.fullmatch(statistic)
    return None if found is None else float(found.group(1)) / 100


class Dimension(PascalShape):
    """One name and value that tell metrics of one name apart."""

    name: str = Field(min_length=1, max_length=255)
    value: str = Field(min_length=1, max_length=1024)


class Metric(PascalShape):
    """A metric: namespace, name and dimensions."""

    namespace: str = Field(min_length=1, max_length=255)
    metric_name: str = Field(min_length=1, max_length=255)
    dimensions: tuple[Dimension, ...] = Field(default=(), max_length=30)


def _check_period(period: int) -> None:
    if period not in SUB_MINUTE_PERIODS_S and (period <= 0 or period % 60):
        raise ValueError(f"Period must be 10, 20, 30 or a multiple of 60 seconds, not {period}")


def _check_statistic(statistic: str) -> None:
    if statistic not in ("SampleCount", "Average", "Sum", "Minimum", "Maximum") and percentile(statistic) is None:
        raise ValueError(
            f"'{statistic}' is no statistic: use SampleCount, Average, Sum, Minimum, Maximum or p0 to p100"
        )


class MetricStat(PascalShape):
    """A statistic of a metric over periods, in seconds."""

    metric: Metric
    period: int = 60
    stat: str
    unit: str | None = None

    @model_validator(mode="after")
    def _sound(self) -> Self:
        _check_period(self.period)
        _check_statistic(self.stat)
        return self


class MetricDataQuery(PascalShape):
    """One line of metric math: a metric, or an expression over other lines."""

    id: str = Field(pattern=r"^[a-z][a-zA-Z0-9_]*$", max_length=255)
    expression: str | None = Field(default=None, min_length=1, max_length=2048)
    metric_stat: MetricStat | None = None
    label: str | None = None
    period: int | None = None
    return_data: bool = True
    account_id: str | None = None

    @model_validator(mode="after")
    def _one(self) -> Self:
        if (self.expression is None) == (self.metric_stat is None):
            raise ValueError("give either Expression or MetricStat")
        return self


def check_queries(queries: tuple[MetricDataQuery, ...], key: str = "Metrics") -> None:
    """Raise Faults unless exactly one line returns data and every Id stands once."""
    ids = [q.id for q in queries]
    faults = [Issue((key, n, "Id"), f"'{name}' stands twice") for n, name in enumerate(ids) if name in ids[:n]]
    returned = [n for n, q in enumerate(queries) if q.return_data]
    if len(returned) != 1:
        faults.append(Issue((key,), f"exactly one line may have ReturnData: true, not {len(returned)}"))
    raise_faults(faults)


class SlidingWindow(PascalShape):
    """Periods end when they are looked at."""


class WallClockWindow(PascalShape):
    """Periods begin and end where the clock on the wall says, in a time zone: an IANA name, or an offset like ``+05:30``."""

    timezone: str | None = Field(default=None, min_length=1, max_length=50)

    @model_validator(mode="after")
    def _known(self) -> Self:
        _ = self.zone
        return self

    @property
    def zone(self) -> tzinfo:
        """The time zone."""
        found = _OFFSET.fullmatch(self.timezone or "UTC")
        if found is None:
            return zone_of(self.timezone or "UTC")
        sign, hours, minutes = found.groups()
        offset = timedelta(hours=int(hours), minutes=int(minutes))
        if offset >= timedelta(days=1) or int(minutes) % 5:
            raise ValueError(f"Timezone: the offset '{self.timezone}' must be a multiple of 5 minutes below 24 hours")
        return timezone(-offset if sign == "-" else offset)


class EvaluationWindow(PascalShape):
    """Which periods an alarm looks at; exactly one."""

    sliding_window: SlidingWindow | None = None
    wall_clock_window: WallClockWindow | None = None

    @model_validator(mode="after")
    def _one(self) -> Self:
        if (self.sliding_window is None) == (self.wall_clock_window is None):
            raise ValueError("give either SlidingWindow or WallClockWindow")
        return self


class MetricAlarm(PascalShape):
    """PutMetricAlarm: one metric or one expression against a threshold."""

    alarm_name: str = Field(min_length=1, max_length=255)
    metric_name: str | None = Field(default=None, min_length=1, max_length=255)
    namespace: str | None = Field(default=None, min_length=1, max_length=255)
    dimensions: tuple[Dimension, ...] = Field(default=(), max_length=30)
    statistic: Statistic | None = None
    extended_statistic: str | None = None
    period: int | None = None
    metrics: tuple[MetricDataQuery, ...] = Field(default=(), max_length=20)
    evaluation_periods: int = Field(ge=1)
    datapoints_to_alarm: int | None = Field(default=None, ge=1)
    threshold: float
    comparison_operator: Comparison
    treat_missing_data: TreatMissingData = "missing"
    evaluation_window: EvaluationWindow | None = None
    actions_enabled: bool = True
    alarm_actions: tuple[str, ...] = Field(default=(), max_length=5)
    ok_actions: tuple[str, ...] = Field(default=(), max_length=5, alias="OKActions")
    insufficient_data_actions: tuple[str, ...] = Field(default=(), max_length=5)
    # not read by the simulation
    alarm_description: str | None = None
    unit: str | None = None
    evaluate_low_sample_count_percentile: Literal["evaluate", "ignore"] | None = None
    tags: tuple[Annotated[dict[str, str], Field()], ...] = ()

    @model_validator(mode="after")
    def _sound(self) -> Self:
        self._one_source()
        if self.datapoints_to_alarm is not None and self.datapoints_to_alarm > self.evaluation_periods:
            raise ValueError(
                f"DatapointsToAlarm ({self.datapoints_to_alarm}) must not exceed "
                f"EvaluationPeriods ({self.evaluation_periods})"
            )
        if self.wall_clock is not None and self.period_s not in WALL_CLOCK_PERIODS_S:
            legal = ", ".join(str(p) for p in WALL_CLOCK_PERIODS_S)
            raise ValueError(f"with a WallClockWindow, Period must be one of {legal} seconds, not {self.period_s}")
        window = self.evaluation_periods * self.period_s
        longest = WEEK_S if self.period_s >= 3600 else DAY_S
        if window > longest:
            raise ValueError(f"EvaluationPeriods x Period is {window} s: at most {longest} s with this Period")
        return self

    def _one_source(self) -> None:
        single = self.metric_name is not None or self.namespace is not None
        if single == bool(self.metrics):
            raise ValueError("give either MetricName with Namespace, or Metrics")
        if self.metrics:
            check_queries(self.metrics)
            if self.statistic or self.extended_statistic or self.period or self.dimensions:
                raise ValueError("with Metrics, the statistic, the period and the dimensions stand in each MetricStat")
            if len({q.metric_stat.period for q in self.metrics if q.metric_stat}) != 1:
                raise ValueError("Metrics needs MetricStat lines, all of one Period")
            return
        if self.metric_name is None or self.namespace is None:
            raise ValueError("MetricName and Namespace belong together")
        if (self.statistic is None) == (self.extended_statistic is None):
            raise ValueError("give either Statistic or ExtendedStatistic")
        if self.extended_statistic is not None and percentile(self.extended_statistic) is None:
            raise ValueError(f"ExtendedStatistic must be p0 to p100, like p99.9, not {self.extended_statistic}")
        if self.period is None:
            raise ValueError("Period is missing: 10, 20, 30 or a multiple of 60 seconds")
        _check_period(self.period)

    @property
    def wall_clock(self) -> WallClockWindow | None:
        """The window by the clock on the wall, if it is one."""
        return None if self.evaluation_window is None else self.evaluation_window.wall_clock_window

    @property
    def period_s(self) -> int:
        """Length of a period, in seconds."""
        if self.period is not None:
            return self.period
        return next(q.metric_stat.period for q in self.metrics if q.metric_stat)

    @property
    def queries(self) -> tuple[MetricDataQuery, ...]:
        """What is evaluated, as lines of metric math."""
        if self.metrics:
            return self.metrics
        assert self.metric_name is not None
        assert self.namespace is not None
        metric = Metric(namespace=self.namespace, metric_name=self.metric_name, dimensions=self.dimensions)
        stat = self.statistic or self.extended_statistic or ""
        return (MetricDataQuery(id="m1", metric_stat=MetricStat(metric=metric, period=self.period_s, stat=stat)),)


class CompositeAlarm(PascalShape):
    """PutCompositeAlarm: a rule over the states of other alarms. Its actions cannot scale anything."""

    alarm_name: str = Field(min_length=1, max_length=255)
    alarm_rule: str = Field(min_length=1, max_length=10_240)
    actions_enabled: bool = True
    alarm_actions: tuple[str, ...] = Field(default=(), max_length=5)
    ok_actions: tuple[str, ...] = Field(default=(), max_length=5, alias="OKActions")
    insufficient_data_actions: tuple[str, ...] = Field(default=(), max_length=5)
    # not read by the simulation: nothing that an action of a composite alarm may do is simulated
    alarm_description: str | None = None
    actions_suppressor: str | None = None
    actions_suppressor_wait_period: int | None = None
    actions_suppressor_extension_period: int | None = None
    tags: tuple[Annotated[dict[str, str], Field()], ...] = ()

    @model_validator(mode="after")
    def _no_scaling(self) -> Self:
        lists = {
            "AlarmActions": self.alarm_actions,
            "OKActions": self.ok_actions,
            "InsufficientDataActions": self.insufficient_data_actions,
        }
        raise_faults(
            Issue(
                (key, n),
                f"a composite alarm cannot scale: '{action}' is not the ARN of a topic, a function or an incident",
            )
            for key, actions in lists.items()
            for n, action in enumerate(actions)
            if not action.startswith("arn:") or ":autoscaling:" in action
        )
        return self


class AlarmNames(PascalShape):
    """DeleteAlarms, EnableAlarmActions and DisableAlarmActions."""

    alarm_names: tuple[Annotated[str, Field(min_length=1, max_length=255)], ...] = Field(min_length=1, max_length=100)


class StatisticSet(PascalShape):
    """A summary of several values."""

    sample_count: float = Field(gt=0)
    sum: float
    minimum: float
    maximum: float


class MetricDatum(PascalShape):
    """One datum of PutMetricData; without Timestamp it is of now."""

    metric_name: str = Field(min_length=1, max_length=255)
    dimensions: tuple[Dimension, ...] = Field(default=(), max_length=30)
    timestamp: datetime | None = None
    value: float | None = None
    statistic_values: StatisticSet | None = None
    values: tuple[float, ...] = Field(default=(), max_length=150)
    counts: tuple[float, ...] = Field(default=(), max_length=150)
    unit: str | None = None
    storage_resolution: Literal[1, 60] = 60

    @model_validator(mode="after")
    def _one(self) -> Self:
        if (self.value is not None) + (self.statistic_values is not None) + bool(self.values) != 1:
            raise ValueError("give exactly one of Value, Values, StatisticValues")
        if self.counts and len(self.counts) != len(self.values):
            raise ValueError(f"Counts has {len(self.counts)} figures for {len(self.values)} of Values")
        if self.timestamp is not None and self.timestamp.tzinfo is None:
            raise ValueError("Timestamp says no time zone: write it like 2026-03-02T00:00:00Z")
        return self


class PutMetricData(PascalShape):
    """PutMetricData."""

    namespace: str = Field(min_length=1, max_length=255, pattern=r"^[^:]")
    metric_data: tuple[MetricDatum, ...] = Field(min_length=1, max_length=1000)

    @model_validator(mode="after")
    def _not_aws(self) -> Self:
        if self.namespace.startswith("AWS/"):
            raise ValueError("namespaces that begin with AWS/ belong to AWS's own services")
        return self


class SetAlarmState(PascalShape):
    """SetAlarmState: put an alarm into a state until it is evaluated again."""

    alarm_name: str
    state_value: Literal["OK", "ALARM", "INSUFFICIENT_DATA"]
    state_reason: str = "set by the user"


class ValueFrom(Own):
    """A value that holds from an instant on; ``null`` for no data."""

    at: DurationUs
    value: float | None


class CustomMetric(Own):
    """A metric of the scenario's own: what an application would send with PutMetricData, once a minute.

    Parameters
    ----------
    steps
        Values, each from an instant of the run on.
    """

    namespace: str = Field(min_length=1, max_length=255)
    name: str = Field(min_length=1, max_length=255)
    dimensions: dict[str, str] = Field(default_factory=dict)
    steps: tuple[ValueFrom, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _sound(self) -> Self:
        if self.namespace.startswith("AWS/"):
            raise ValueError("namespaces that begin with AWS/ belong to AWS's own services")
        raise_faults(
            Issue(("steps", n, "at"), "the instants of steps must increase")
            for n in range(1, len(self.steps))
            if self.steps[n].at <= self.steps[n - 1].at
        )
        return self
