"""CloudWatch's metrics of load balancers and target groups: rows of the tables, and datapoints of every minute.

Source: Elastic Load Balancing, Application Load Balancers User Guide, load-balancer-cloudwatch-metrics.html; Network Load Balancers User
Guide, load-balancer-cloudwatch-metrics.html.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from fargsim.kernel import Counters
from fargsim.policy.capacity_units import LCU, NLCU, UnitsUsed, units_used
from fargsim.policy.metric_data import Point
from fargsim.sim.cloudwatch import CloudWatch
from fargsim.sim.kit import US_PER_S, Kit
from fargsim.sim.metering import NO_REQUESTS, Metering, total
from fargsim.sim.registry import Registry
from fargsim.sim.targets import LoadBalancerRun, TargetGroupRun

BYTES_PER_GB = 1024**3
Datapoint = tuple[str, Mapping[str, str], Point]


@dataclass(frozen=True, slots=True)
class Period:
    """What reached a target group, or all those of a balancer, in a period."""

    before: Counters
    after: Counters

    def of(self, name: str) -> int:
        """Return the increase of one counter."""
        return int(getattr(self.after, name) - getattr(self.before, name))

    @property
    def requests(self) -> int:
        """Requests for which a target was chosen."""
        return self.of("arrived") - self.of("no_target")

    @property
    def traffic(self) -> bool:
        """Whether anything arrived, ended or is on its way."""
        return self.of("arrived") > 0 or self.after.in_flight > 0 or self.before.in_flight > 0

    @property
    def target_5xx(self) -> int:
        """Answers of targets that say 5xx."""
        return self.of("failed") + self.of("refused_full")

    @property
    def response_s(self) -> float | None:
        """Mean seconds to the answer; None without answers."""
        answers = self.of("responses")
        return (self.after.response_sum_us - self.before.response_sum_us) / answers / US_PER_S if answers else None


class _Reading:
    """How far the requests of every target group have been told."""

    def __init__(self) -> None:
        self._told: dict[TargetGroupRun, Counters] = {}

    def period(self, group: TargetGroupRun, now_us: int) -> Period:
        """Return what reached a group since the last call."""
        after = NO_REQUESTS
        if group.bridge is not None:
            group.bridge.advance(now_us)
            after = group.bridge.plane.counters()
        before = self._told.get(group, NO_REQUESTS)
        self._told[group] = after
        return Period(before, after)


class BalancerMetrics:
    """Writes the tables ``target_groups`` and ``load_balancers``, and feeds AWS/ApplicationELB and AWS/NetworkELB.

    Connections and bytes are made of requests: ``connections_per_request``, ``connection_lifetime_s`` and ``bytes_per_request``,
    as the bill does.
    """

    def __init__(self, registry: Registry, metering: Metering, cloudwatch: CloudWatch) -> None:
        self._kit: Kit = registry.kit
        self._registry = registry
        self._rows = _Reading()
        self._minutes = _Reading()
        self._histograms: dict[TargetGroupRun, npt.NDArray[np.int64]] = {}
        self._minute: list[tuple[TargetGroupRun, Period]] = []
        metering.on_rows.append(self.record)
        cloudwatch.provide("AWS/ApplicationELB", lambda start, end: self._datapoints(start, end, network=False))
        cloudwatch.provide("AWS/NetworkELB", lambda start, end: self._datapoints(start, end, network=True))

    # tables

    def record(self, start_us: int, end_us: int) -> None:
        """Write the rows of a period."""
        found = [(group, self._rows.period(group, end_us)) for group in self._registry.target_groups.values()]
        span_s = (end_us - start_us) / US_PER_S
        for group, period in found:
            if period.of("refused_full") and group.automatic is not None:
                group.automatic.wake()  # a target that only sheds load is noticed here
            self._kit.recorder.target_groups.append(
                (
                    start_us,
                    span_s,
                    None if group.balancer is None else group.balancer.spec.name,
                    group.spec.name,
                    group.healthy,
                    group.unhealthy,
                    *_counts(group, period),
                    *_anomalies(group),
                )
            )
        for balancer in self._registry.balancers.values():
            period = _together([p for g, p in found if g.balancer is balancer])
            codes: tuple[int | None, ...] = (None,) * 5
            if period.traffic:
                own = _own_codes(period)
                codes = (period.requests, sum(own), *own)
            units, new, active, size = self._units(balancer, period, span_s)
            self._kit.recorder.load_balancers.append(
                (
                    start_us,
                    span_s,
                    balancer.spec.name,
                    balancer.spec.type,
                    *codes,
                    new,
                    active,
                    size,
                    units.new_connections,
                    units.active_connections,
                    units.processed_bytes,
                    units.rule_evaluations,
                    units.consumed,
                )
            )

    def _units(self, balancer: LoadBalancerRun, period: Period, span_s: float) -> tuple[UnitsUsed, float, float, float]:
        """Return capacity units, new connections, active connections and bytes of a period."""
        number = self._kit.parameters.number
        requests = float(period.of("arrived"))
        new, size = requests * number("connections_per_request"), requests * number("bytes_per_request")
        in_flight = (period.before.in_flight + period.after.in_flight) / 2
        # Little's law for connections that idle, and never fewer than requests in flight
        active = max(new / span_s * number("connection_lifetime_s"), in_flight)
        units = units_used(
            NLCU if balancer.spec.type == "network" else LCU,
            new_connections_per_s=new / span_s,
            active_connections=active,
            gb_per_h=size / span_s * 3600 / BYTES_PER_GB,
            requests_per_s=requests / span_s,
            rules=number("rules_per_listener"),
        )
        return units, new, active, size

    # CloudWatch

    def _datapoints(self, start_us: int, end_us: int, *, network: bool) -> Iterator[Datapoint]:
        """Yield the datapoints of a minute of one kind of balancer."""

        def of(value: float) -> Point:
            return Point.of(start_us, end_us, value)

        def count(number: int) -> Point:
            """A count is a value of 1 for each."""
            return Point(start_us, end_us, number, number, 1.0, 1.0) if number else of(0.0)

        groups = [g for g in self._registry.target_groups.values() if g.spec.network == network]
        found = [(group, self._minutes.period(group, end_us)) for group in groups]
        for group, period in found:
            own = {"TargetGroup": group.spec.name}
            both = own if group.balancer is None else {**own, "LoadBalancer": group.balancer.spec.name}
            yield "HealthyHostCount", both, of(group.healthy)
            yield "UnHealthyHostCount", both, of(group.unhealthy)
            if network or not period.traffic:
                continue
            per_target = _per_target(group, period)
            for dimensions in (own, both) if both != own else (own,):
                yield "RequestCount", dimensions, count(period.requests)
                if per_target is not None:
                    yield "RequestCountPerTarget", dimensions, of(per_target)
            yield "HTTPCode_Target_2XX_Count", both, count(period.of("served"))
            yield "HTTPCode_Target_5XX_Count", both, count(period.target_5xx)
            yield "TargetConnectionErrorCount", both, count(period.of("target_connection_errors"))
            if group.automatic is not None:
                yield "AnomalousHostCount", both, of(len(group.automatic.anomalous))
                yield "MitigatedHostCount", both, of(len(group.automatic.weights))
            if period.of("responses"):
                yield "TargetResponseTime", both, self._response_times(group, period, start_us, end_us)
        for balancer in self._registry.balancers.values():
            if (balancer.spec.type == "network") != network:
                continue
            own = {"LoadBalancer": balancer.spec.name}
            period = _together([p for g, p in found if g.balancer is balancer])
            units, new, active, size = self._units(balancer, period, (end_us - start_us) / US_PER_S)
            yield "ConsumedLCUs", own, of(units.consumed)
            if not period.traffic:
                continue
            yield "ProcessedBytes", own, of(size)
            yield ("NewFlowCount" if network else "NewConnectionCount"), own, of(new)
            yield ("ActiveFlowCount" if network else "ActiveConnectionCount"), own, of(active)
            if not network:
                bad_gateway, unavailable, timeout = _own_codes(period)
                yield "RequestCount", own, count(period.requests)
                yield "HTTPCode_ELB_5XX_Count", own, count(bad_gateway + unavailable + timeout)
                yield "HTTPCode_ELB_502_Count", own, count(bad_gateway)
                yield "HTTPCode_ELB_503_Count", own, count(unavailable)
                yield "HTTPCode_ELB_504_Count", own, count(timeout)
                yield "HTTPCode_Target_2XX_Count", own, count(period.of("served"))
                yield "HTTPCode_Target_5XX_Count", own, count(period.target_5xx)

    def _response_times(self, group: TargetGroupRun, period: Period, start_us: int, end_us: int) -> Point:
        assert group.bridge is not None
        histogram = group.bridge.plane.histogram()
        before = self._histograms.get(group)
        self._histograms[group] = histogram
        count, mean = period.of("responses"), period.response_s
        assert mean is not None
        new = histogram if before is None else histogram - before
        return Point(start_us, end_us, count, count * mean, mean, mean, new if new.any() else None)


def _together(periods: list[Period]) -> Period:
    return Period(total(p.before for p in periods), total(p.after for p in periods))


def _own_codes(period: Period) -> tuple[int, int, int]:
    """Return the balancer's 502, 503 and 504."""
    return period.of("cut_off"), period.of("no_target"), period.of("timed_out")


def _per_target(group: TargetGroupRun, period: Period) -> float | None:
    targets = group.healthy or len(group.targets)
    return period.requests / targets if targets and period.requests else None


def _counts(group: TargetGroupRun, period: Period) -> tuple[float | None, ...]:
    """Return the columns from ``request_count`` to ``http_code_elb_504_count``."""
    if not period.traffic:
        return (None,) * 9
    answers = (None, None) if group.spec.network else (period.of("served"), period.target_5xx)
    return (
        period.requests,
        _per_target(group, period),
        period.response_s,
        *answers,
        period.of("target_connection_errors"),
        *((None,) * 3 if group.spec.network else _own_codes(period)),
    )


def _anomalies(group: TargetGroupRun) -> tuple[int | None, int | None]:
    automatic = group.automatic
    return (None, None) if automatic is None else (len(automatic.anomalous), len(automatic.weights))
