"""Metrics of services and clusters: sampled every 20 s, one datapoint a period.

``CPUUtilization`` is the CPU units used over the CPU units reserved by the service's tasks, ``MemoryUtilization`` likewise; both are
sampled every 20 seconds, and minimum and maximum are those of single tasks: Amazon ECS Developer Guide, service_utilization.html.
``RequestCountPerTarget`` is the requests for which a target was chosen over the healthy targets, or over the registered ones when none is
healthy: Elastic Load Balancing, load-balancer-cloudwatch-metrics.html.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import simpy

from fargsim.kernel import Counters, Outcome, SlotUse, bucket_edges_us, quantiles_from_histogram
from fargsim.policy.service_metrics import utilization_percent
from fargsim.sim.kit import PERIOD_END, US_PER_S, Kit
from fargsim.sim.registry import Registry
from fargsim.sim.state import TaskRun
from fargsim.sim.task_use import TaskUse

if TYPE_CHECKING:
    from fargsim.sim.service_scheduler import ServiceRun
    from fargsim.sim.targets import TargetGroupRun

NO_REQUESTS = Counters(0, 0, 0, 0, 0, 0, 0, 0, 0, 0.0, 0.0)
OUTCOME_NAMES: dict[int, str] = {
    Outcome.SERVED: "served",
    Outcome.REFUSED_FULL: "refused_503",
    Outcome.NO_TARGET: "no_target_503",
    Outcome.CUT_OFF: "cut_502",
    Outcome.TIMED_OUT: "timeout_504",
    Outcome.FAILED: "failed",
}


@dataclass(frozen=True, slots=True)
class Datapoint:
    """What the period that ended said of a service; ``None`` where there is no data."""

    start_us: int
    end_us: int
    running_mean: float
    cpu_utilization: float | None
    memory_utilization: float | None
    request_count_per_target: float | None

    def value(self, metric: str) -> float | None:
        """Return the value of a predefined metric."""
        if metric == "ECSServiceAverageCPUUtilization":
            return self.cpu_utilization
        if metric == "ECSServiceAverageMemoryUtilization":
            return self.memory_utilization
        return self.request_count_per_target


class ServiceMeter:
    """Meters one service."""

    def __init__(self, kit: Kit, service: ServiceRun, keep_every: int = 0) -> None:
        self._kit = kit
        self._kept_every = keep_every
        self._service = service
        self._start = kit.now
        self._running_us = 0.0
        self._use = TaskUse(kit.us("metric_sample_s"))
        self._counters = NO_REQUESTS
        self._histogram: npt.NDArray[np.int64] | None = None

    def go_on_from(self, former: ServiceMeter) -> None:
        """Count on where the meter of a deleted service of the same name stands, so that no request is counted twice or never."""
        group = self._service.group_with_requests()
        if group is not None and group is former._service.group_with_requests():
            self._counters, self._histogram = former._counters, former._histogram

    def left_running(self, task: TaskRun) -> None:
        """Take note that a task is RUNNING no more."""
        self._use.leave(task, self._kit.now, self._slot_of(task))

    def dropped(self, task: TaskRun, use: SlotUse) -> None:
        """Take what a target did since the last sample, when it leaves its target group."""
        self._use.account(task, self._kit.now, use.busy_core_us, use.in_system_us)

    def forget(self, task: TaskRun) -> None:
        """Drop a task that has stopped."""
        self._use.forget(task)

    def _slot_of(self, task: TaskRun) -> SlotUse | None:
        group = self._service.group_with_requests()
        target = next((t for g, t in task.targets if g is group), None)
        if group is None or group.bridge is None or target is None or target.slot is None:
            return None
        group.bridge.advance(self._kit.now)
        return group.bridge.plane.slot(target.slot)

    def sample(self) -> None:
        """Read every task's use since the last sample."""
        service, now = self._service, self._kit.now
        group = service.group_with_requests()
        done: dict[int, tuple[float, float]] = {}
        if group is not None and group.bridge is not None:
            group.bridge.advance(now)
            table = group.bridge.plane.slots()
            totals = zip(table.busy_core_us.tolist(), table.in_system_us.tolist(), strict=True)
            done = dict(zip(table.slot.tolist(), totals, strict=True))
        for task in service.tasks.values():
            target = next((t for g, t in task.targets if g is group), None)
            if target is not None and target.slot in done:
                self._use.account(task, now, *done[target.slot])
            elif task.last_status == "RUNNING" and (target is None or target.slot is None):
                self._use.account(task, now)

    def close(self) -> Datapoint:
        """End the period: write its row and return its datapoint."""
        self.sample()
        service, now, use = self._service, self._kit.now, self._use
        span = now - self._start
        running_us = service.running_integral_us()
        running_mean = (running_us - self._running_us) / span
        self._running_us = running_us
        group = service.group_with_requests()
        counters = NO_REQUESTS
        latency: tuple[float | None, ...] = (None, None, None, None)
        if group is not None and group.bridge is not None:
            counters = group.bridge.plane.counters()
            latency = self._latency(group, counters)
            self._keep_requests(group)
        before, self._counters = self._counters, counters
        arrived = counters.arrived - before.arrived
        no_target = counters.no_target - before.no_target
        cpu_utilization = utilization_percent(use.used_cpu_us, use.reserved_cpu_us, 1)
        memory_utilization = utilization_percent(use.used_memory, use.reserved_memory, 1)
        per_target = None
        if group is not None and arrived > no_target:
            targets = group.healthy or len(group.targets)
            per_target = (arrived - no_target) / targets if targets else None
        low_cpu, high_cpu = use.cpu.pair()
        low_memory, high_memory = use.memory.pair()
        first = next(iter(service.groups), None)
        balancer = None if first is None or first.balancer is None else first.balancer.spec.name
        self._kit.recorder.services.append(
            (
                self._start,
                span / US_PER_S,
                service.cluster.name,
                service.name,
                balancer,
                service.desired,
                service.running,
                service.pending,
                service.healthy,
                running_mean,
                arrived,
                counters.served - before.served,
                counters.failed - before.failed,
                counters.refused_full - before.refused_full,
                no_target,
                counters.cut_off - before.cut_off,
                counters.timed_out - before.timed_out,
                counters.in_flight,
                use.inside_us / span,
                *latency,
                cpu_utilization,
                low_cpu,
                high_cpu,
                memory_utilization,
                low_memory,
                high_memory,
                per_target,
            )
        )
        start, self._start = self._start, now
        use.begin()
        return Datapoint(start, now, running_mean, cpu_utilization, memory_utilization, per_target)

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
                "request_id": ended["request"],
                "arrived_at": ended["arrival_us"],
                "started_at": [int(x) if x >= 0 else None for x in ended["start_us"]],
                "ended_at": ended["end_us"],
                "outcome": [OUTCOME_NAMES[int(x)] for x in ended["outcome"]],
                "task_id": [tasks.get(int(slot)) for slot in ended["slot"]],
                "latency_ms": (ended["end_us"] - ended["arrival_us"]) / 1e3,
            }
        )

    def _latency(self, group: TargetGroupRun, counters: Counters) -> tuple[float | None, ...]:
        assert group.bridge is not None
        histogram = group.bridge.plane.histogram()
        new = histogram if self._histogram is None else histogram - self._histogram
        self._histogram = histogram
        served = counters.served - self._counters.served
        if not served:
            return (None, None, None, None)
        mean = (counters.latency_sum_us - self._counters.latency_sum_us) / served
        quantiles = quantiles_from_histogram(new, (0.5, 0.95, 0.99))
        return (mean / 1e3, *(float(q) / 1e3 for q in quantiles))


class Metering:
    """Closes the periods of the whole region and hands every service's datapoint to whoever asked."""

    def __init__(self, registry: Registry, period_us: int) -> None:
        self._kit = registry.kit
        self._registry = registry
        self._period_us = period_us
        self._sample_us = min(period_us, registry.kit.us("metric_sample_s"))
        self.on_period: list[Callable[[], None]] = []
        self.datapoints: dict[tuple[str, str], Datapoint] = {}
        self._began = 0
        self._arm(self._sample_us)

    def _arm(self, at_us: int) -> None:
        env = self._kit.env
        event = simpy.Event(env)
        event._ok, event._value = True, None
        event.callbacks = [lambda _: self._tick()]
        env.schedule(event, priority=PERIOD_END, delay=at_us - self._kit.now)  # type: ignore[arg-type]

    def _tick(self) -> None:
        now = self._kit.now
        if now % self._period_us == 0:
            self.close()
        else:
            for cluster in self._registry.clusters.values():
                for service in cluster.services.values():
                    service.meter.sample()
        next_sample = (now // self._sample_us + 1) * self._sample_us
        self._arm(min(next_sample, (now // self._period_us + 1) * self._period_us))

    def close(self) -> None:
        """End the period of every service and cluster, now."""
        now = self._kit.now
        if now == self._began:
            return
        for cluster in self._registry.clusters.values():
            for service in cluster.services.values():
                self.datapoints[cluster.name, service.name] = service.meter.close()
        for act in self.on_period:
            act()
        self._cluster_rows(now)
        self._began = now

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
                group = service.group_with_requests()
                if group is None or group.bridge is None:
                    continue
                counts = group.bridge.plane.histogram()
                for bucket in np.flatnonzero(counts):
                    row = (service.name, float(edges[bucket]), float(edges[bucket + 1]), int(counts[bucket]))
                    self._kit.recorder.latencies.append(row)
