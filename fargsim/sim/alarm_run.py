"""One CloudWatch alarm: what it looks at, its state, and who is told."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from fargsim.model.alarms import MetricAlarm, MetricDataQuery
from fargsim.policy.alarms import Alarm, AlarmState, evaluate
from fargsim.policy.metric_data import Point
from fargsim.policy.metric_math import Expression, MathError, parse
from fargsim.policy.wall_clock import wall_clock_periods
from fargsim.sim.kit import US_PER_S, Kit

if TYPE_CHECKING:
    from fargsim.sim.cloudwatch import CloudWatch

MetricKey = tuple[str, str, tuple[tuple[str, str], ...]]
"""Namespace, name and dimensions in order."""

MINUTE_US = 60 * US_PER_S
DAY_US = 86_400 * US_PER_S
SIGNS = {
    "GreaterThanThreshold": ">",
    "GreaterThanOrEqualToThreshold": ">=",
    "LessThanThreshold": "<",
    "LessThanOrEqualToThreshold": "<=",
}


def metric_key(namespace: str, name: str, dimensions: Mapping[str, str]) -> MetricKey:
    """Return how a metric is found. A balancer or target group may be given by name or as AWS writes it in the dimension.

    >>> metric_key("AWS/ApplicationELB", "RequestCount", {"TargetGroup": "targetgroup/web/0123456789abcdef"})
    ('AWS/ApplicationELB', 'RequestCount', (('TargetGroup', 'web'),))
    """
    return namespace, name, tuple(sorted((k, _plain(k, v)) for k, v in dimensions.items()))


def _plain(dimension: str, value: str) -> str:
    if dimension in ("TargetGroup", "LoadBalancer") and "/" in value:
        return value.split("/")[1]
    return value


class Source:
    """The lines of metric math of an alarm or a policy, ready to be evaluated.

    Raises
    ------
    MathError
        Where an expression cannot be read or leads back to itself.
    """

    def __init__(self, queries: tuple[MetricDataQuery, ...], period_us: int) -> None:
        self.period_us = period_us
        self._stats: dict[str, tuple[MetricKey, str]] = {}
        self._expressions: dict[str, Expression] = {}
        ids = [q.id for q in queries]
        for query in queries:
            if query.metric_stat is not None:
                metric = query.metric_stat.metric
                dimensions = {d.name: d.value for d in metric.dimensions}
                key = metric_key(metric.namespace, metric.metric_name, dimensions)
                self._stats[query.id] = (key, query.metric_stat.stat)
            else:
                try:
                    self._expressions[query.id] = parse(query.expression or "", ids)
                except MathError as fault:
                    raise MathError(f"{query.id}: {fault}") from None
        self._wanted = next(q.id for q in queries if q.return_data)
        for name in self._expressions:
            self._follow(name, ())

    def _follow(self, name: str, on_the_way: tuple[str, ...]) -> None:
        if name in on_the_way:
            raise MathError(f"{name}: the expression leads back to itself")
        if name in self._expressions:
            for inner in sorted(self._expressions[name].names):
                self._follow(inner, (*on_the_way, name))

    @property
    def keys(self) -> tuple[MetricKey, ...]:
        """The metrics that are looked at."""
        return tuple(key for key, _ in self._stats.values())

    @property
    def name(self) -> str:
        """The metric's name, or the expression."""
        if self._wanted in self._stats:
            return self._stats[self._wanted][0][1]
        return self._expressions[self._wanted].text

    def values(self, cloudwatch: CloudWatch, until_us: int, number: int) -> list[float | None]:
        """Return the values of the `number` periods before an instant, oldest first."""
        return self._values(lambda key: cloudwatch.windows(key, until_us, self.period_us, number), number)

    def values_of(self, cloudwatch: CloudWatch, spans: Sequence[tuple[int, int]]) -> list[float | None]:
        """Return the values of periods that need not be of one length, as begins and ends."""
        return self._values(
            lambda key: [cloudwatch.windows(key, end, end - begin, 1)[0] for begin, end in spans], len(spans)
        )

    def _values(self, look: Callable[[MetricKey], list[Point | None]], number: int) -> list[float | None]:
        found: dict[str, list[float | None]] = {}
        points: dict[MetricKey, list[Point | None]] = {}
        for name, (key, stat) in self._stats.items():
            if key not in points:
                points[key] = look(key)
            found[name] = [None if p is None else p.statistic(stat) for p in points[key]]
        return self._resolve(self._wanted, found, number)

    def _resolve(self, name: str, found: dict[str, list[float | None]], number: int) -> list[float | None]:
        if name not in found:
            expression = self._expressions[name]
            operands = {inner: self._resolve(inner, found, number) for inner in expression.names}
            found[name] = [
                expression.value({inner: values[n] for inner, values in operands.items()}) for n in range(number)
            ]
        return found[name]


class Stateful:
    """What every alarm has: a name, a state and those who want to know of it."""

    resource = ""
    label = ""
    """What the table `alarms` calls the thing and the metric that is watched."""

    def __init__(self, cloudwatch: CloudWatch, kit: Kit, name: str, *, actions_enabled: bool) -> None:
        self.name = name
        self.state: AlarmState = "INSUFFICIENT_DATA"
        self.reason = "Unchecked: Initial alarm creation"
        self.changed_at = kit.now
        self.actions_enabled = actions_enabled
        self.subscribers: list[Callable[[AlarmState], None]] = []
        self._kit = kit
        self._cloudwatch = cloudwatch
        self._before: AlarmState = self.state

    def become(self, after: AlarmState, reason: str) -> bool:
        """Take a state; return whether it is another one."""
        before, self.state = self.state, after
        if before == after:
            return False
        self._before = before
        self.reason, self.changed_at = reason, self._kit.now
        self._kit.recorder.alarms.append((self._kit.now, self.name, self.resource, self.label, before, after, reason))
        return True

    def take_over(self, former: Stateful) -> None:
        """Go on in the state of the alarm that this one is an update of, with those who want to know of it."""
        self.state, self.reason, self.changed_at = former.state, former.reason, former.changed_at
        self.subscribers = former.subscribers

    def tell(self) -> None:
        """Tell everyone who has subscribed that the state has changed."""
        for changed in list(self._cloudwatch.on_change):
            changed(self.name, self._before, self.state)
        for act in list(self.subscribers):
            act(self.state)


class AlarmRun(Stateful):
    """A metric alarm."""

    def __init__(
        self,
        cloudwatch: CloudWatch,
        kit: Kit,
        spec: MetricAlarm,
        *,
        resource: str | None = None,
        label: str | None = None,
    ) -> None:
        super().__init__(cloudwatch, kit, spec.alarm_name, actions_enabled=spec.actions_enabled)
        self.spec = spec
        self.value: float | None = None
        self.until_us = 0
        """End of the newest period that was looked at; `value` is its value."""
        self.source = Source(spec.queries, spec.period_s * US_PER_S)
        self._rule = Alarm(
            spec.threshold,
            spec.comparison_operator,
            spec.evaluation_periods,
            spec.datapoints_to_alarm or spec.evaluation_periods,
            spec.treat_missing_data,
            int(kit.parameters.number("alarm_range_extra")),
        )
        self.label = label or self.source.name
        self.resource = resource or ",".join(f"{k}={v}" for key in self.source.keys[:1] for k, v in key[2])
        self._acted_at = kit.now

    @property
    def keys(self) -> tuple[MetricKey, ...]:
        """The metrics it looks at."""
        return self.source.keys

    @property
    def period_us(self) -> int:
        """Length of a period."""
        return self.source.period_us

    @property
    def range_us(self) -> int:
        """How far back it looks."""
        # the newest period that is over by the clock on the wall may have ended nearly a period ago
        return (self._rule.evaluation_range + (self.spec.wall_clock is not None)) * self.period_us

    @property
    def rhythm(self) -> tuple[int, int]:
        """How often it is evaluated, and how long after the end of a period; in microseconds."""
        period = self.period_us
        lag = max(self._cloudwatch.lag_us(key[0], period) for key in self.keys)
        if self.spec.evaluation_periods * period > DAY_US:
            return 3600 * US_PER_S, lag
        if period >= MINUTE_US:
            return MINUTE_US, lag
        # between two datapoints of 20 seconds nothing can change
        return (period if all(key[0] == "AWS/ECS" for key in self.keys) else 10 * US_PER_S), lag

    def evaluate(self, until_us: int) -> bool:
        """Look at the periods up to an instant; return whether the state has changed."""
        rule, wall = self._rule, self.spec.wall_clock
        if wall is None:
            values = self.source.values(self._cloudwatch, until_us, rule.evaluation_range)
        else:
            periods = wall_clock_periods(
                self._cloudwatch.instant(until_us), self.spec.period_s, wall.zone, rule.evaluation_range
            )
            spans = [(self._cloudwatch.micros(begin), self._cloudwatch.micros(end)) for begin, end in periods]
            values, until_us = self.source.values_of(self._cloudwatch, spans), spans[-1][1]
        self.value, self.until_us = values[-1], until_us
        reason = f"{rule.datapoints_to_alarm} of {rule.evaluation_periods} datapoints {SIGNS[rule.comparison]} {rule.threshold:g}"
        return self.become(evaluate(rule, values, self.state), reason)

    def act(self, *, changed: bool) -> None:
        """Carry out the actions of the state: when it has changed, and once a minute while it lasts.

        Source: Amazon CloudWatch User Guide, AlarmThatSendsEmail.html: actions of Auto Scaling repeat every minute.
        """
        actions = {
            "ALARM": self.spec.alarm_actions,
            "OK": self.spec.ok_actions,
            "INSUFFICIENT_DATA": self.spec.insufficient_data_actions,
        }[self.state]
        if not actions or not self.actions_enabled:
            return
        now = self._kit.now
        if changed or now - self._acted_at >= self._kit.us("alarm_action_repeat_s"):
            self._acted_at = now
            for action in actions:
                for carry_out in self._cloudwatch.scaling_actions:
                    if carry_out(action, self, True):
                        break
