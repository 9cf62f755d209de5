"""CloudWatch: metrics, alarms and their states, as boto3 spells the verbs.

Whatever measures hands its datapoints to `publish` at the end of their period. They can be seen a publish lag later, and that is when the
alarms that watch them are evaluated: once a minute, or every 10 to 30 seconds where their period is so short (Amazon CloudWatch User Guide,
alarm-evaluation.html). Nothing is evaluated while nobody watches.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol

import simpy

from fargsim.model.alarms import (
    CompositeAlarm,
    CustomMetric,
    MetricAlarm,
    MetricDatum,
    PutMetricData,
    SetAlarmState,
)
from fargsim.policy.alarms import AlarmState
from fargsim.policy.metric_data import Point, Series
from fargsim.policy.metric_math import MathError
from fargsim.sim.alarm_run import AlarmRun, MetricKey, Stateful, metric_key
from fargsim.sim.composite_alarms import CompositeAlarms, CompositeRun
from fargsim.sim.errors import ResourceNotFound, ValidationError
from fargsim.sim.kit import PERIOD_END, US_PER_S, Kit
from fargsim.sim.shapes import read
from fargsim.sim.step_metric import StepSeries

MINUTE_US = 60 * US_PER_S
KEEP_US = 60 * MINUTE_US
"""How far back a metric is kept that no alarm needs longer."""
DAY_US = 86_400 * US_PER_S


class Provider(Protocol):
    """Gives the datapoints of a namespace for the minute that ended: name, dimensions and statistics."""

    def __call__(self, start_us: int, end_us: int) -> Iterable[tuple[str, Mapping[str, str], Point]]:
        """Return the datapoints of a minute."""


class _Clock:
    """Evaluates the alarms of one rhythm: at the end of every period, a publish lag later."""

    def __init__(self, kit: Kit, base_us: int, lag_us: int) -> None:
        self._kit = kit
        self._base_us, self._lag_us = base_us, lag_us
        self.alarms: dict[str, AlarmRun] = {}
        self._armed = False

    def add(self, alarm: AlarmRun) -> None:
        """Take an alarm; evaluated from the next end of a period on."""
        self.alarms[alarm.name] = alarm
        if not self._armed:
            self._arm()

    def _arm(self) -> None:
        now = self._kit.now
        period = max(0, now - self._lag_us) // self._base_us + 1
        event = simpy.Event(self._kit.env)
        event._ok, event._value = True, None
        event.callbacks = [lambda _: self._tick(period * self._base_us)]
        # what is measured at this very instant is there already
        delay = period * self._base_us + self._lag_us - now
        self._kit.env.schedule(event, priority=PERIOD_END + 1, delay=delay)  # type: ignore[arg-type]
        self._armed = True

    def _tick(self, until_us: int) -> None:
        self._armed = False
        alarms = list(self.alarms.values())
        changed = [alarm for alarm in alarms if alarm.evaluate(until_us)]
        for alarm in changed:
            alarm.tell()
        for alarm in alarms:
            alarm.act(changed=alarm in changed)
        if self.alarms and not self._armed:
            self._arm()


class CloudWatch:
    """Metrics and alarms of the region.

    Attributes
    ----------
    on_change
        Called with the name, the former and the new state of every alarm that changes.
    scaling_actions
        Carries out an action of an alarm that names a scaling policy; false where there is no such policy.
    """

    def __init__(self, kit: Kit, start: datetime) -> None:
        self._kit = kit
        self._start = start
        self._series: dict[MetricKey, dict[int, Series | StepSeries]] = {}
        self._alarms: dict[str, Stateful] = {}
        self._clocks: dict[tuple[int, int], _Clock] = {}
        self._providers: dict[str, Provider] = {}
        self._watched: dict[MetricKey, int] = {}
        self.on_change: list[Callable[[str, AlarmState, AlarmState], None]] = []
        self.scaling_actions: list[Callable[[str, AlarmRun, bool], bool]] = []
        self._composites = CompositeAlarms(self, kit, self._alarms)

    # what measures

    def publish(self, key: MetricKey, point: Point, resolution_us: int = MINUTE_US) -> None:
        """Take the datapoint of a period that has just ended; seen after the publish lag of its namespace."""
        by_resolution = self._series.setdefault(key, {})
        series = by_resolution.get(resolution_us)
        if series is None:
            series = by_resolution[resolution_us] = Series(resolution_us, max(KEEP_US, self._watched.get(key, 0)))
        assert isinstance(series, Series)
        series.add(point)

    def provide(self, namespace: str, provider: Provider) -> None:
        """Have a namespace's datapoints computed at the end of every minute."""
        self._providers[namespace] = provider

    def provides(self, namespace: str) -> bool:
        """Whether somebody has registered for a namespace."""
        return namespace in self._providers

    def collect(self, start_us: int, end_us: int) -> None:
        """Ask every provider for the minute that ended."""
        for namespace, provider in self._providers.items():
            for name, dimensions, point in provider(start_us, end_us):
                self.publish(metric_key(namespace, name, dimensions), point)

    def watched(self, key: MetricKey) -> bool:
        """Whether an alarm looks at a metric."""
        return key in self._watched

    def watch(self, key: MetricKey, keep_us: int) -> None:
        """Keep a metric at least so far back."""
        self._watched[key] = max(keep_us, self._watched.get(key, 0))
        for series in self._series.get(key, {}).values():
            series.keep_us = max(series.keep_us, keep_us)

    def windows(self, key: MetricKey, until_us: int, period_us: int, number: int) -> list[Point | None]:
        """Return the statistics of the `number` periods before an instant, oldest first; None where there are no data."""
        by_resolution = self._series.get(key, {})
        # the coarsest that divides the period: CloudWatch has a minute's datapoint ready where a service sends finer ones, too
        fit = [r for r in by_resolution if period_us % r == 0]
        return by_resolution[max(fit)].windows(until_us, period_us, number) if fit else [None] * number

    def instant(self, at_us: int) -> datetime:
        """Return an instant of the run as a date and time."""
        return (self._start + timedelta(microseconds=at_us)).astimezone(UTC)

    def micros(self, at: datetime) -> int:
        """Return a date and time as microseconds of the run."""
        return round((at - self._start) / timedelta(microseconds=1))

    def lag_us(self, namespace: str, period_us: int) -> int:
        """Return how long after its end a period of a namespace's metrics can be seen."""
        if namespace == "AWS/ECS/ManagedScaling":
            return self._kit.us("reservation_publish_lag_s")
        if not namespace.startswith(("AWS/", "ECS/")):
            return self._kit.us("custom_metric_publish_lag_s")
        return self._kit.us(
            "metric_publish_lag_s" if period_us >= MINUTE_US else "metric_publish_lag_high_resolution_s"
        )

    def define(self, metric: CustomMetric) -> None:
        """Let a metric have the values that a scenario says."""
        key = metric_key(metric.namespace, metric.name, metric.dimensions)
        self._series.setdefault(key, {})[MINUTE_US] = StepSeries([(s.at, s.value) for s in metric.steps])

    # the verbs

    def put_metric_alarm(self, **arguments: Any) -> dict[str, Any]:
        """Create or update an alarm; an updated one keeps its state until it is evaluated.

        An action is the ARN of a scaling policy, or its name where that is the only one; topics and functions are accepted and have no
        effect. Source: Amazon CloudWatch API Reference, API_PutMetricAlarm.html.
        """
        spec = read(MetricAlarm, arguments, ValidationError)
        try:
            alarm = AlarmRun(self, self._kit, spec)
        except MathError as fault:
            raise ValidationError(f"Metrics: {fault}") from None
        for action in (*spec.alarm_actions, *spec.ok_actions, *spec.insufficient_data_actions):
            if not action.startswith("arn:") and not any(act(action, alarm, False) for act in self.scaling_actions):
                raise ValidationError(f"action '{action}' is neither an ARN nor the name of one scaling policy")
        former = self._alarms.get(alarm.name)
        if former is not None:
            alarm.take_over(former)
        self.add(alarm)
        return {}

    def add(self, alarm: AlarmRun) -> None:
        """Watch from now on."""
        old = self._alarms.get(alarm.name)
        if isinstance(old, CompositeRun):
            raise ValidationError(f"AlarmName: '{alarm.name}' is a composite alarm")
        if old is not None:
            self._forget(old)
        self._alarms[alarm.name] = alarm
        self._composites.follow(alarm.name, f"{alarm.name} was created")
        keep_us = alarm.range_us + 2 * MINUTE_US
        for key in alarm.keys:
            self.watch(key, keep_us)
        rhythm = alarm.rhythm
        if rhythm not in self._clocks:
            self._clocks[rhythm] = _Clock(self._kit, *rhythm)
        self._clocks[rhythm].add(alarm)

    def put_composite_alarm(self, **arguments: Any) -> dict[str, Any]:
        """Create or update an alarm whose state follows from those of others; it cannot scale anything."""
        self._composites.put(read(CompositeAlarm, arguments, ValidationError))
        return {}

    def delete_alarms(self, *, AlarmNames: list[str]) -> dict[str, Any]:
        """Delete alarms; one that a composite alarm looks at only together with that."""
        found = [self._alarm(name) for name in AlarmNames]
        gone = [alarm.name for alarm in found]
        for name in gone:
            staying = [d for d in self._composites.dependent(name) if d not in gone]
            if staying:
                raise ValidationError(
                    f"Cannot delete {name} as there are composite alarm(s) depending on it: {', '.join(staying)}"
                )
        self.forget(gone)
        return {}

    def forget(self, names: Iterable[str]) -> None:
        """Drop alarms, whatever looks at them: a composite alarm has insufficient data of one that is gone."""
        gone = [self._alarms.pop(name) for name in names if name in self._alarms]
        for alarm in gone:
            self._forget(alarm)
        for alarm in gone:
            self._composites.follow(alarm.name, f"{alarm.name} was deleted")

    def _forget(self, alarm: Stateful) -> None:
        if isinstance(alarm, AlarmRun):
            self._clocks[alarm.rhythm].alarms.pop(alarm.name, None)

    def set_alarm_state(self, **arguments: Any) -> dict[str, Any]:
        """Put an alarm into a state; its next evaluation says otherwise where the data do."""
        spec = read(SetAlarmState, arguments, ValidationError)
        alarm = self._alarm(spec.alarm_name)
        if alarm.become(spec.state_value, spec.state_reason):
            alarm.tell()
            if isinstance(alarm, AlarmRun):
                alarm.act(changed=True)
        return {}

    def enable_alarm_actions(self, *, AlarmNames: list[str]) -> dict[str, Any]:
        """Let alarms act again."""
        return self._switch(AlarmNames, True)

    def disable_alarm_actions(self, *, AlarmNames: list[str]) -> dict[str, Any]:
        """Let alarms change their states without acting."""
        return self._switch(AlarmNames, False)

    def _switch(self, names: list[str], on: bool) -> dict[str, Any]:
        for alarm in [self._alarm(name) for name in names]:
            alarm.actions_enabled = on
        return {}

    def describe_alarms(
        self,
        *,
        AlarmNames: list[str] | None = None,
        AlarmNamePrefix: str | None = None,
        StateValue: str | None = None,
        AlarmTypes: list[str] | None = None,
    ) -> dict[str, Any]:
        """Describe alarms with their states, in the order in which they were made; composite ones only where `AlarmTypes` asks for them."""
        found = [
            alarm
            for alarm in self._alarms.values()
            if (AlarmNames is None or alarm.name in AlarmNames)
            and (AlarmNamePrefix is None or alarm.name.startswith(AlarmNamePrefix))
            and (StateValue is None or alarm.state == StateValue)
        ]
        answer: dict[str, Any] = {}
        for key, kind in (("MetricAlarms", AlarmRun), ("CompositeAlarms", CompositeRun)):
            if key[:-1] in (AlarmTypes or ("MetricAlarm",)):
                answer[key] = [self._described(alarm) for alarm in found if isinstance(alarm, kind)]
        return answer

    def _described(self, alarm: AlarmRun | CompositeRun) -> dict[str, Any]:
        return {
            **alarm.spec.model_dump(mode="python", by_alias=True, exclude_none=True),
            "AlarmArn": self._kit.arn("alarm", alarm.name, "cloudwatch").replace("alarm/", "alarm:"),
            "ActionsEnabled": alarm.actions_enabled,
            "StateValue": alarm.state,
            "StateReason": alarm.reason,
            "StateUpdatedTimestamp": self.instant(alarm.changed_at),
        }

    def put_metric_data(self, **arguments: Any) -> dict[str, Any]:
        """Take data of a namespace of one's own; several data of a period are summed up in its statistics."""
        spec = read(PutMetricData, arguments, ValidationError)
        for datum in spec.metric_data:
            self._put(spec.namespace, datum)
        return {}

    def _put(self, namespace: str, datum: MetricDatum) -> None:
        now = self._kit.now
        at = now if datum.timestamp is None else self.micros(datum.timestamp)
        if not now - 14 * DAY_US <= at <= now + 2 * 3600 * US_PER_S:
            raise ValidationError("Timestamp must lie within the past two weeks and at most two hours ahead")
        resolution = datum.storage_resolution * US_PER_S
        start = at // resolution * resolution
        if datum.statistic_values is not None:
            told = datum.statistic_values
            figures = (told.sample_count, told.sum, told.minimum, told.maximum)
        else:
            values = datum.values or (datum.value or 0.0,)
            counts = datum.counts or (1.0,) * len(values)
            total = sum(v * n for v, n in zip(values, counts, strict=True))
            figures = (sum(counts), total, min(values), max(values))
        dimensions = {d.name: d.value for d in datum.dimensions}
        key = metric_key(namespace, datum.metric_name, dimensions)
        if isinstance(self._series.get(key, {}).get(resolution), StepSeries):
            raise ValidationError(f"the scenario says the values of {namespace} {datum.metric_name}")
        self.publish(key, Point(start, start + resolution, *figures), resolution)

    # what others ask

    def state(self, name: str) -> AlarmState:
        """Return the state of an alarm; ResourceNotFound if there is none of the name."""
        return self._alarm(name).state

    def subscribe(self, name: str, act: Callable[[AlarmState], None]) -> Callable[[], None]:
        """Call `act` with the new state whenever an alarm changes; returns what ends that."""
        alarm = self._alarm(name)
        alarm.subscribers.append(act)
        return lambda: alarm.subscribers.remove(act) if act in alarm.subscribers else None

    def _alarm(self, name: str) -> Stateful:
        found = self._alarms.get(name.rsplit(":alarm:", 1)[-1])
        if found is None:
            raise ResourceNotFound(f"Unknown alarm '{name}'. Alarms: {', '.join(self._alarms) or 'none'}.")
        return found
