"""CloudWatch's metrics of load balancers and target groups: rows of the tables, and datapoints of every minute.

Source: Elastic Load Balancing, Application Load Balancers User Guide, load-balancer-cloudwatch-metrics.html; Network Load Balancers User
Guide, load-balancer-cloudwatch-metrics.html.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from fargsim.kernel import quantiles_from_histogram
from fargsim.policy.capacity_units import LCU, NLCU, UnitsUsed, units_used
from fargsim.policy.metric_data import Point, merge
from fargsim.sim.balancer_reading import Period, Reading, together
from fargsim.sim.cloudwatch import CloudWatch
from fargsim.sim.kit import US_PER_S, Kit
from fargsim.sim.metering import Metering
from fargsim.sim.registry import Registry
from fargsim.sim.targets import LoadBalancerRun, TargetGroupRun

BYTES_PER_GB = 1024**3
Datapoint = tuple[str, Mapping[str, str], Point]


class _Used(NamedTuple):
    """Capacity units, new connections, active connections, bytes and rules met of a period."""

    units: UnitsUsed
    new: float
    active: float
    size: float
    rules: float


class BalancerMetrics:
    """Writes the tables ``target_groups`` and ``load_balancers``, and feeds AWS/ApplicationELB and AWS/NetworkELB.

    Connections and bytes are made of requests: ``connections_per_request``, ``connection_lifetime_s`` and ``bytes_per_request``,
    as the bill does.
    """

    def __init__(self, registry: Registry, metering: Metering, cloudwatch: CloudWatch) -> None:
        self._kit: Kit = registry.kit
        self._registry = registry
        self._rows = Reading()
        self._minutes = Reading()
        self._histograms: dict[TargetGroupRun, npt.NDArray[np.int64]] = {}
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
            period = together(p for g, p in found if g.balancer is balancer)
            codes: tuple[int | None, ...] = (None,) * 6
            if period.traffic:
                own = period.own_codes.values()
                codes = (period.requests, sum(own), *own, period.of("client_closed"))
            used = self._used(self._rows, balancer, period, end_us, span_s)
            units = used.units
            self._kit.recorder.load_balancers.append(
                (
                    start_us,
                    span_s,
                    balancer.spec.name,
                    balancer.spec.type,
                    *codes,
                    used.new,
                    used.active,
                    used.size,
                    None if units.rule_evaluations is None else round(used.rules),
                    units.new_connections,
                    units.active_connections,
                    units.processed_bytes,
                    units.rule_evaluations,
                    units.consumed,
                )
            )

    def _used(self, reading: Reading, balancer: LoadBalancerRun, period: Period, end_us: int, span_s: float) -> _Used:
        """Return what is billed of a period."""
        number = self._kit.parameters.number
        network = balancer.spec.type == "network"
        requests = float(period.of("arrived"))
        new, size = requests * number("connections_per_request"), requests * number("bytes_per_request")
        in_flight = (period.before.in_flight + period.after.in_flight) / 2
        # Little's law for connections that idle, and never fewer than requests in flight
        active = max(new / span_s * number("connection_lifetime_s"), in_flight)
        listeners = [] if network else [x for x in self._registry.listeners.values() if x.balancer is balancer]
        rules, billed = reading.evaluations(listeners, end_us, number("rules_per_listener"))
        units = units_used(
            NLCU if network else LCU,
            new_connections_per_s=new / span_s,
            active_connections=active,
            gb_per_h=size / span_s * 3600 / BYTES_PER_GB,
            evaluations_per_s=billed / span_s,
        )
        return _Used(units, new, active, size, rules)

    # CloudWatch

    def _datapoints(self, start_us: int, end_us: int, *, network: bool) -> Iterator[Datapoint]:
        """Yield the datapoints of a minute of one kind of balancer, each by its own criterion.

        Of counts of errors and of connections there are only those that are not 0; of requests and answers only while requests flow and
        targets are registered; of hosts while there are any registered; of capacity units, anomalous and mitigated hosts always.
        """
        minute = _Minute(start_us, end_us)
        groups = [g for g in self._registry.target_groups.values() if g.spec.network == network]
        found = [(group, self._minutes.period(group, end_us)) for group in groups]
        times: dict[TargetGroupRun, Point] = {}
        for group, period in found:
            if group.automatic is not None:
                group.automatic.look()
            own = {"TargetGroup": group.spec.name}
            both = own if group.balancer is None else {**own, "LoadBalancer": group.balancer.spec.name}
            yield from _hosts(group, both, minute)
            if network or not period.traffic:
                continue
            per_target = _per_target(group, period)
            if per_target is not None:
                for dimensions in (own, both) if both != own else (own,):
                    yield "RequestCountPerTarget", dimensions, minute.of(per_target)
            if period.of("responses"):
                times[group] = self._response_times(group, period, start_us, end_us)
            registered = group.registered > 0 or period.requests > 0
            yield from _answers(period, both, minute, registered, times.get(group))
            if group.spec.target_control_port is not None:
                yield from _controlled(period, both, minute)
            if group.spec.protocol == "HTTPS":
                yield from _garbled(period, both, minute)
        for balancer in self._registry.balancers.values():
            if (balancer.spec.type == "network") != network:
                continue
            own = {"LoadBalancer": balancer.spec.name}
            behind = [(g, p) for g, p in found if g.balancer is balancer]
            period = together(p for _, p in behind)
            used = self._used(self._minutes, balancer, period, end_us, (end_us - start_us) / US_PER_S)
            yield "ConsumedLCUs", own, minute.of(used.units.consumed)
            if not period.traffic:
                continue
            connections = "Flow" if network else "Connection"
            for name, value in (
                ("ProcessedBytes", used.size),
                (f"New{connections}Count", used.new),
                (f"Active{connections}Count", used.active),
                ("RuleEvaluations", used.rules),
            ):
                if value:
                    yield name, own, minute.of(value)
            if not network:
                registered = period.requests > 0 or any(g.registered for g, _ in behind)
                time = merge(times[g] for g, _ in behind if g in times)
                yield from _answers(period, own, minute, registered, time)
                controlled = [p for g, p in behind if g.spec.target_control_port is not None]
                yield from _controlled(together(controlled), own, minute)
                yield from _garbled(together(p for g, p in behind if g.spec.protocol == "HTTPS"), own, minute)
                codes = period.own_codes
                totals = (("4XX", period.of("client_closed")), ("5XX", sum(codes.values())))
                for name, number in (*totals, *codes.items()):
                    if number:
                        yield f"HTTPCode_ELB_{name}_Count", own, minute.counted(number)

    def _response_times(self, group: TargetGroupRun, period: Period, start_us: int, end_us: int) -> Point:
        assert group.bridge is not None
        histogram = group.bridge.plane.histogram()
        before = self._histograms.get(group)
        self._histograms[group] = histogram
        count, mean = period.of("responses"), period.response_s
        assert mean is not None
        new = histogram if before is None else histogram - before
        if not new.any():
            return Point(start_us, end_us, count, count * mean, mean, mean)
        low, high = (quantiles_from_histogram(new, (0.0, 1.0)) / US_PER_S).tolist()
        return Point(start_us, end_us, count, count * mean, min(low, mean), max(high, mean), new)


class _Minute(NamedTuple):
    """A minute of which datapoints are made."""

    start_us: int
    end_us: int

    def of(self, value: float) -> Point:
        """One value."""
        return Point.of(self.start_us, self.end_us, value)

    def counted(self, number: int) -> Point:
        """A count is a value of 1 for each."""
        return Point(self.start_us, self.end_us, number, number, 1.0, 1.0) if number else self.of(0.0)


def _hosts(group: TargetGroupRun, dimensions: dict[str, str], minute: _Minute) -> Iterator[Datapoint]:
    """Yield the numbers of targets: of all zones together and of each."""
    zones: dict[int | None, list[str]] = {}
    for target in group.targets.values():
        if target.state != "draining":
            zones.setdefault(target.zone, []).append(target.state)
    every = [state for states in zones.values() for state in states]
    places = [(dimensions, every)] if every else []
    for number, name in enumerate(group.zones):
        if number in zones:
            places.append(({**dimensions, "AvailabilityZone": name}, zones[number]))
    for where, states in places:
        yield "HealthyHostCount", where, minute.of(states.count("healthy"))
        yield "UnHealthyHostCount", where, minute.of(states.count("unhealthy"))
    if group.automatic is not None:
        yield "AnomalousHostCount", dimensions, minute.of(len(group.automatic.anomalous))
        yield "MitigatedHostCount", dimensions, minute.of(len(group.automatic.weights))


def _answers(
    period: Period, dimensions: dict[str, str], minute: _Minute, registered: bool, time: Point | None
) -> Iterator[Datapoint]:
    """Yield the metrics that a target group and a balancer have both."""
    if registered:
        yield "RequestCount", dimensions, minute.counted(period.requests)
        for name, number in period.target_codes.items():
            yield f"HTTPCode_Target_{name}_Count", dimensions, minute.counted(number)
    if errors := period.of("target_connection_errors"):
        yield "TargetConnectionErrorCount", dimensions, minute.counted(errors)
    if time is not None:
        yield "TargetResponseTime", dimensions, time


def _controlled(period: Period, dimensions: dict[str, str], minute: _Minute) -> Iterator[Datapoint]:
    """Yield what agents got, and what was refused because none of them was ready."""
    for name, number in (("Request", period.requests), ("RequestReject", period.of("not_ready"))):
        if number:
            yield f"TargetControl{name}Count", dimensions, minute.counted(number)


def _garbled(period: Period, dimensions: dict[str, str], minute: _Minute) -> Iterator[Datapoint]:
    """Yield the connections on which no TLS session came about, where targets are asked for one."""
    if errors := period.of("misunderstood"):
        yield "TargetTLSNegotiationErrorCount", dimensions, minute.counted(errors)


def _per_target(group: TargetGroupRun, period: Period) -> float | None:
    targets = group.healthy or group.registered
    return period.requests / targets if targets else None


def _counts(group: TargetGroupRun, period: Period) -> tuple[float | None, ...]:
    """Return the columns from ``request_count`` to ``http_code_elb_460_count``."""
    if not period.traffic:
        return (None,) * 12
    network = group.spec.network
    return (
        period.requests,
        _per_target(group, period),
        period.response_s,
        *((None,) * 4 if network else period.target_codes.values()),
        period.of("target_connection_errors"),
        *((None,) * 4 if network else (*period.own_codes.values(), period.of("client_closed"))),
    )


def _anomalies(group: TargetGroupRun) -> tuple[int | None, int | None]:
    automatic = group.automatic
    return (None, None) if automatic is None else (len(automatic.anomalous), len(automatic.weights))
