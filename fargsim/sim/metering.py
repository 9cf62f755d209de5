"""Metrics of services and clusters: sampled every 20 s; rows for the tables, and datapoints for CloudWatch.

``CPUUtilization`` is the CPU units used over the CPU units reserved by the service's tasks, ``MemoryUtilization`` likewise; both are
sampled every 20 seconds, and minimum and maximum are those of single tasks: Amazon ECS Developer Guide, service_utilization.html.
``RequestCountPerTarget`` is the requests for which a target was chosen over the healthy targets, or over the registered ones when none is
healthy: Elastic Load Balancing, load-balancer-cloudwatch-metrics.html.

The rows of the tables have the scenario's own period; metrics have a minute, or 20 seconds where a service asks for it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import simpy

from fargsim.kernel import Counters, Outcome, SlotUse, bucket_edges_us, quantiles_from_histogram
from fargsim.policy.service_metrics import utilization_percent
from fargsim.sim.cloudwatch import MINUTE_US, CloudWatch
from fargsim.sim.kit import PERIOD_END, US_PER_S
from fargsim.sim.registry import Registry
from fargsim.sim.service_datapoints import (
    HIGH_RESOLUTION_US,
    high_resolution,
    publish_cluster,
    publish_service,
)
from fargsim.sim.state import TaskRun
from fargsim.sim.task_life import press
from fargsim.sim.task_use import TaskUse, UseWindow
from fargsim.sim.task_work import WorkUse

if TYPE_CHECKING:
    from fargsim.sim.service_scheduler import ServiceRun
    from fargsim.sim.targets import Target, TargetGroupRun

NO_REQUESTS = Counters(0, 0, 0, 0, 0, 0, 0, 0, 0, 0.0, 0.0)
OUTCOME_NAMES: dict[int, str] = {
    Outcome.SERVED: "served",
    Outcome.REFUSED_FULL: "refused_503",
    Outcome.NO_TARGET: "no_target_503",
    Outcome.CUT_OFF: "cut_502",
    Outcome.TIMED_OUT: "timeout_504",
    Outcome.FAILED: "failed",
    Outcome.CLIENT_CLOSED: "client_closed_460",
}


def total(parts: Iterable[Counters]) -> Counters:
    """Return the counts of several target groups together."""
    return Counters(*(sum(column) for column in zip(NO_REQUESTS, *parts, strict=True)))


def latencies_of(service: ServiceRun) -> npt.NDArray[np.int64] | None:
    """Return the histogram of a service's latencies so far, over all its target groups; None where no traffic reaches it."""
    parts = [group.bridge.plane.histogram() for group in service.groups_with_requests() if group.bridge is not None]
    return np.sum(parts, axis=0) if parts else None


@dataclass(frozen=True, slots=True)
class Closed:
    """What a period said of a service; ``None`` where there are no data."""

    start_us: int
    end_us: int
    running_mean: float
    use: UseWindow
    arrived: int
    """Requests, and those among them that found no target."""
    no_target: int
    before: Counters
    after: Counters
    request_count_per_target: float | None

    @property
    def cpu_utilization(self) -> float | None:
        """``CPUUtilization``, in percent."""
        return utilization_percent(self.use.used_cpu_us, self.use.reserved_cpu_us, 1)

    @property
    def memory_utilization(self) -> float | None:
        """``MemoryUtilization``, in percent."""
        return utilization_percent(self.use.used_memory, self.use.reserved_memory, 1)


@dataclass(slots=True)
class _Window:
    """A period that is open: where the service stood when it began."""

    start_us: int
    running_us: float = 0.0
    counters: Counters = NO_REQUESTS
    use: UseWindow = field(default_factory=UseWindow)


class ServiceMeter:
    """Meters one service."""

    def __init__(self, registry: Registry, service: ServiceRun) -> None:
        kit = registry.kit
        self._kit = kit
        self._kept_every = registry.record_every
        self._service = service
        self._row_us = registry.record.period
        self._counters = NO_REQUESTS
        self._windows = {period: _Window(kit.now) for period in self.periods_us}
        self._use = TaskUse(kit.us("metric_sample_s"), self._open())
        self._histogram: npt.NDArray[np.int64] | None = None

    @property
    def periods_us(self) -> tuple[int, ...]:
        """The periods of its windows; rows of a minute and metrics of a minute share one."""
        high = (HIGH_RESOLUTION_US,) if high_resolution(self._service) else ()
        return tuple(dict.fromkeys((self._row_us, MINUTE_US, *high)))

    def _open(self) -> list[UseWindow]:
        return [window.use for window in self._windows.values()]

    def go_on_from(self, former: ServiceMeter) -> None:
        """Count on where the meter of a deleted service of the same name stands, so that no request is counted twice or never."""
        self._service.count_on(former._service)
        self._counters, self._histogram = former._counters, former._histogram
        for window in self._windows.values():
            window.counters = former._counters

    def left_running(self, task: TaskRun) -> None:
        """Take note that a task is RUNNING no more."""
        self._use.leave(task, self._kit.now, self._slot_of(task))

    def dropped(self, task: TaskRun, use: SlotUse | WorkUse) -> None:
        """Take what a target did since the last sample, when it leaves its target group."""
        self._use.account(task, self._kit.now, use.busy_core_us, use.in_system_us)

    def restarted(self, task: TaskRun) -> None:
        """Take note that the container that serves a task's requests is restarted in place."""
        self._use.restart(task)

    def forget(self, task: TaskRun) -> None:
        """Drop a task that has stopped."""
        self._use.forget(task)

    def _slot_of(self, task: TaskRun) -> SlotUse | WorkUse:
        for group, target in task.targets:
            if group.bridge is not None and target.slot is not None:
                group.bridge.advance(self._kit.now)
                return group.bridge.plane.slot(target.slot)
        return self._kit.work.use(task)

    def sample(self) -> None:
        """Read every task's use since the last sample."""
        service, now = self._service, self._kit.now
        self._follow_resolution()
        done: dict[Target, tuple[float, float, int, int]] = {}
        for group in service.groups_with_requests():
            assert group.bridge is not None
            group.bridge.advance(now)
            table = group.bridge.plane.slots()
            columns = (table.busy_core_us, table.in_system_us, table.in_task, table.worked)
            rows = dict(zip(table.slot.tolist(), zip(*(c.tolist() for c in columns), strict=True), strict=True))
            done |= {t: rows[t.slot] for t in group.targets.values() if t.slot in rows}
        for task in service.tasks.values():
            # a task with several targets is told by the first one that requests reach
            target = next((t for _, t in task.targets if t in done), None)
            if target is not None:
                busy_us, inside_us, held, worked = done[target]
                self._use.account(task, now, busy_us, inside_us)
                request = task.revision.behaviour.request
                if request is not None and (request.memory or request.disk_writes):
                    press(self._kit, task, held, worked)
            elif task.last_status == "RUNNING" and all(t.slot is None for _, t in task.targets):
                self._use.account(task, now, *self._kit.work.use(task))

    def _follow_resolution(self) -> None:
        """Open a window of 20 seconds when a deployment has asked for one, or close it."""
        periods = self.periods_us
        if tuple(self._windows) != periods:
            running_us = self._service.running_integral_us()
            self._windows = {
                p: self._windows.get(p) or _Window(self._kit.now, running_us, self._counted()) for p in periods
            }
            self._use.windows = self._open()

    def _counted(self) -> Counters:
        groups = self._service.groups_with_requests()
        return total(group.bridge.plane.counters() for group in groups if group.bridge is not None)

    def is_open(self, period_us: int) -> bool:
        """Whether a window has lasted at all: that of a service created, or of 20 seconds asked for, now may begin at this very instant."""
        return self._windows[period_us].start_us < self._kit.now

    def close(self, period_us: int) -> Closed:
        """End the period of a window, after a sample, and begin the next."""
        service, now, window = self._service, self._kit.now, self._windows[period_us]
        running_us = service.running_integral_us()
        counters = self._counted()
        groups = service.groups_with_requests()
        before = window.counters
        arrived = counters.arrived - before.arrived
        no_target = counters.no_target - before.no_target
        per_target = None
        if arrived > no_target:
            targets = sum(g.healthy for g in groups) or sum(g.registered for g in groups)
            per_target = (arrived - no_target) / targets if targets else None
        closed = Closed(
            window.start_us,
            now,
            (running_us - window.running_us) / (now - window.start_us),
            window.use,
            arrived,
            no_target,
            before,
            counters,
            per_target,
        )
        self._windows[period_us] = _Window(now, running_us, counters)
        self._use.windows = self._open()
        return closed

    def record(self, closed: Closed) -> None:
        """Write the row of a period."""
        service, use, before, counters = self._service, closed.use, closed.before, closed.after
        self._counters = counters
        latency = self._latency(before, counters)
        for reached in service.groups_with_requests():
            self._keep_requests(reached)
        # of several balancers the one whose traffic reaches the service
        group = service.group_with_requests() or next(iter(service.groups), None)
        span = closed.end_us - closed.start_us
        self._kit.recorder.services.append(
            (
                closed.start_us,
                span / US_PER_S,
                service.cluster.name,
                service.name,
                None if group is None or group.balancer is None else group.balancer.spec.name,
                service.desired,
                service.running,
                service.pending,
                service.healthy,
                closed.running_mean,
                closed.arrived,
                counters.served - before.served,
                counters.failed - before.failed,
                counters.refused_full - before.refused_full,
                closed.no_target,
                counters.cut_off - before.cut_off,
                counters.timed_out - before.timed_out,
                counters.client_closed - before.client_closed,
                counters.in_flight,
                use.inside_us / span,
                *latency,
                closed.cpu_utilization,
                *use.cpu.pair(),
                closed.memory_utilization,
                *use.memory.pair(),
                closed.request_count_per_target,
            )
        )

    def _keep_requests(self, group: TargetGroupRun) -> None:
        """Write the requests that ended since the last period, where the scenario wants them kept."""
        if self._kept_every == 0 or group.bridge is None:
            return
        ended = group.bridge.plane.take_outcomes()
        if not ended.size:
            return
        tasks = group.tasks_by_slot
        self._kit.recorder.requests.extend(
            {
                "service": self._service.name,
                "target_group": group.spec.name,
                "request_id": ended["request"],
                "arrived_at": ended["arrival_us"],
                "started_at": [int(x) if x >= 0 else None for x in ended["start_us"]],
                "ended_at": ended["end_us"],
                "outcome": [OUTCOME_NAMES[int(x)] for x in ended["outcome"]],
                "task_id": [tasks.get(int(slot)) for slot in ended["slot"]],
                "latency_ms": (ended["end_us"] - ended["arrival_us"]) / 1e3,
            }
        )

    def _latency(self, before: Counters, counters: Counters) -> tuple[float | None, ...]:
        histogram = latencies_of(self._service)
        if histogram is None:
            return (None, None, None, None)
        new = histogram if self._histogram is None else histogram - self._histogram
        self._histogram = histogram
        served = counters.served - before.served
        if not served:
            return (None, None, None, None)
        mean = (counters.latency_sum_us - before.latency_sum_us) / served
        quantiles = quantiles_from_histogram(new, (0.5, 0.95, 0.99))
        return (mean / 1e3, *(float(q) / 1e3 for q in quantiles))


class Metering:
    """Closes the periods of the whole region: rows for the tables, datapoints for CloudWatch."""

    def __init__(self, registry: Registry, period_us: int, cloudwatch: CloudWatch) -> None:
        self._kit = registry.kit
        self._registry = registry
        self._cloudwatch = cloudwatch
        self._period_us = period_us
        self._sample_us = registry.kit.us("metric_sample_s")
        self.on_period: list[Callable[[], None]] = []
        """Called at the end of every minute, when its datapoints are there."""
        self.on_rows: list[Callable[[int, int], None]] = []
        """Called with the begin and the end of every period of the tables."""
        self._began = 0
        self._arm()

    def _services(self) -> list[ServiceRun]:
        return [s for cluster in self._registry.clusters.values() for s in cluster.services.values()]

    def _arm(self) -> None:
        env, now = self._kit.env, self._kit.now
        periods = (self._sample_us, self._period_us, MINUTE_US)
        at_us = min((now // period + 1) * period for period in periods)
        event = simpy.Event(env)
        event._ok, event._value = True, None
        event.callbacks = [lambda _: self._tick()]
        env.schedule(event, priority=PERIOD_END, delay=at_us - now)  # type: ignore[arg-type]

    def _tick(self) -> None:
        now = self._kit.now
        self._close([p for p in (HIGH_RESOLUTION_US, MINUTE_US, self._period_us) if now % p == 0])
        self._arm()

    def _close(self, due: list[int], *, publish: bool = True) -> None:
        """Sample every service and end the periods that are due."""
        now = self._kit.now
        for service in self._services():
            meter = service.meter
            meter.sample()
            for period in meter.periods_us:
                if period not in due or not meter.is_open(period):
                    continue
                closed = meter.close(period)
                if publish and period in (MINUTE_US, HIGH_RESOLUTION_US):
                    publish_service(self._cloudwatch, service, closed, period)
                if period == self._period_us:
                    meter.record(closed)
        if publish and MINUTE_US in due:
            for cluster in self._registry.clusters.values():
                publish_cluster(self._cloudwatch, cluster, now)
            self._cloudwatch.collect(now - MINUTE_US, now)
            for act in self.on_period:
                act()
        if self._period_us in due:
            self._cluster_rows(now)
            for write in self.on_rows:
                write(self._began, now)
            self._began = now

    def close(self) -> None:
        """End the period of the tables, now; a part of a minute is no datapoint."""
        if self._kit.now != self._began:
            self._close([self._period_us], publish=False)

    def _cluster_rows(self, now: int) -> None:
        for cluster in self._registry.clusters.values():
            counts = cluster.counts
            reservations = [
                p.reservation for p in self._registry.providers.values() if p.group.cluster is cluster and p.managed
            ]
            known = [r for r in reservations if r is not None]
            cpu, memory = cluster.registered_cpu_units, cluster.registered_memory_mib
            self._kit.recorder.clusters.append(
                (
                    self._began,
                    (now - self._began) / US_PER_S,
                    cluster.name,
                    counts["RUNNING"],
                    counts["PENDING"] + counts["ACTIVATING"],
                    counts["PROVISIONING"],
                    len(cluster.instances_by_row),
                    cpu,
                    memory,
                    cluster.reserved_cpu_units,
                    cluster.reserved_memory_mib,
                    100 * cluster.reserved_cpu_units / cpu if cpu else None,
                    100 * cluster.reserved_memory_mib / memory if memory else None,
                    cluster.fargate_cpu_units / 1024,
                    max(known) if known else None,
                )
            )

    def record_latencies(self) -> None:
        """Write every service's histogram of latencies and the requests that were kept."""
        edges = bucket_edges_us()
        for cluster in self._registry.clusters.values():
            for service in cluster.services.values():
                counts = latencies_of(service)
                if counts is None:
                    continue
                for bucket in np.flatnonzero(counts):
                    row = (service.name, float(edges[bucket]), float(edges[bucket + 1]), int(counts[bucket]))
                    self._kit.recorder.latencies.append(row)
