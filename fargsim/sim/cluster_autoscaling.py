"""ECS cluster auto scaling: the reservation metric of each managed capacity provider, and what follows from it, once a minute."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable

from fargsim.catalog.instances import awsvpc_task_limit, instance_type, registered_memory_mib
from fargsim.policy.alarms import AlarmState, evaluate
from fargsim.policy.managed_scaling import (
    GroupMemory,
    GroupView,
    InstanceShape,
    ProviderView,
    Reservation,
    ScaleInPace,
    SetCapacity,
    WaitingGroup,
    reservation,
    reservation_alarms,
    scale_group,
)
from fargsim.policy.metric_data import Point
from fargsim.policy.needs import TaskNeeds
from fargsim.sim.alarm_run import metric_key
from fargsim.sim.cloudwatch import MINUTE_US, CloudWatch
from fargsim.sim.groups import AutoScalingGroupRun
from fargsim.sim.kit import US_PER_S, Kit
from fargsim.sim.metering import Metering
from fargsim.sim.registry import Registry
from fargsim.sim.state import ProviderRun, TaskRun


def shape_of(kit: Kit, group: AutoScalingGroupRun, name: str) -> InstanceShape:
    """Return what an instance type of a group offers to tasks."""
    facts = instance_type(name)
    reserved_mib = group.spec.agent.ecs_reserved_memory_mib
    return InstanceShape(
        facts.vcpu * 1024,
        registered_memory_mib(name, reserved_mib, kit.parameters.number("registered_memory_factor")),
        awsvpc_task_limit(name, trunking=group.spec.awsvpc_trunking),
        facts.gpus,
    )


def _groups(tasks: Iterable[TaskRun]) -> tuple[WaitingGroup, ...]:
    """Group waiting tasks by what they ask of an instance's resources, whatever family they are of.

    Tasks that need instances of their own (``distinctInstance``) do so within their task group.
    """
    found: dict[tuple[TaskNeeds, str | None], int] = {}
    for task in tasks:
        key = (task.revision.needs.resources, task.group if task.distinct else None)
        found[key] = found.get(key, 0) + 1
    return tuple(WaitingGroup(needs, number, group is not None) for (needs, group), number in found.items())


class ManagedProvider:
    """The scaling loop of one capacity provider."""

    def __init__(self, kit: Kit, provider: ProviderRun, cloudwatch: CloudWatch | None = None) -> None:
        self._kit = kit
        self._cloudwatch = cloudwatch
        self._provider = provider
        self._spec = provider.spec.asg.managed_scaling
        parameters = kit.parameters
        self._high, self._low = reservation_alarms(
            self._spec,
            high_datapoints=int(parameters.number("cas_high_datapoints")),
            low_datapoints=int(parameters.number("cas_low_datapoints")),
        )
        self._pace = ScaleInPace(
            wait_s=round(parameters.number("cas_scalein_wait_s")),
            step_interval_s=round(parameters.number("cas_scalein_step_interval_s")),
            share_percent=round(parameters.number("cas_scalein_step_percent")),
        )
        self._published: deque[tuple[int, Reservation]] = deque()
        self._visible: Reservation | None = None
        longest = max(self._high.evaluation_range, self._low.evaluation_range)
        self._values: deque[float | None] = deque(maxlen=longest)
        self._states: dict[str, AlarmState] = {"high": "INSUFFICIENT_DATA", "low": "INSUFFICIENT_DATA"}
        self._memory = GroupMemory()

    def minute(self) -> None:
        """Compute the metric, evaluate its alarms and set the group's capacity."""
        kit, provider, group = self._kit, self._provider, self._provider.group
        waiting = _groups(t for t in group.cluster.waiting.values() if t.capacity_provider == provider.spec.name)
        there = group.in_service
        booting = [i for i in there if i.registered_at is None]
        if not kit.parameters.flag("cas_count_booting"):
            there, booting = [i for i in there if i.registered_at is not None], []
        view = ProviderView(
            instances=len(there),
            empty=sum(1 for i in there if not i.busy),
            booting=len(booting),
            shapes=tuple(shape_of(kit, group, name) for name in group.types),
            waiting=waiting,
        )
        metric = reservation(self._spec, view)
        provider.reservation = metric.percent
        self._publish(metric)
        if self._visible is None:
            return
        metric = self._visible
        values = list(self._values)
        for side, alarm in (("high", self._high), ("low", self._low)):
            self._alarm(side, evaluate(alarm, values, self._states[side]))
        warmup_us = self._spec.instance_warmup_period * US_PER_S
        warming = any(i.launched_at + warmup_us > kit.now and not i.there_before for i in group.in_service)
        decision, self._memory = scale_group(
            self._spec,
            GroupView(
                at_us=kit.now,
                desired=group.desired,
                minimum=group.minimum,
                maximum=group.maximum,
                metric=metric,
                high=self._states["high"],
                low=self._states["low"],
                warming=warming,
            ),
            self._memory,
            pace=self._pace,
        )
        if isinstance(decision, SetCapacity) and decision.capacity != group.desired:
            self._record(metric.percent, view.instances, decision)
            group.set_desired(decision.capacity)

    def _publish(self, metric: Reservation) -> None:
        """Let a datapoint be seen after the publish lag: by CloudWatch, and by the alarms of this loop in the order of time."""
        kit, group = self._kit, self._provider.group
        if self._cloudwatch is not None:
            names = {"CapacityProviderName": self._provider.spec.name, "ClusterName": group.cluster.name}
            key = metric_key("AWS/ECS/ManagedScaling", "CapacityProviderReservation", names)
            self._cloudwatch.publish(key, Point.of(kit.now - MINUTE_US, kit.now, metric.percent))
        self._published.append((kit.now + kit.us("reservation_publish_lag_s"), metric))
        while self._published and self._published[0][0] <= kit.now:
            self._visible = self._published.popleft()[1]
            self._values.append(self._visible.percent)

    def _alarm(self, side: str, after: AlarmState) -> None:
        before = self._states[side]
        if after == before:
            return
        self._states[side] = after
        self._kit.recorder.alarms.append(
            (
                self._kit.now,
                f"TargetTracking-{self._provider.group.name}-Alarm{side.capitalize()}",
                self._provider.spec.name,
                "CapacityProviderReservation",
                before,
                after,
                f"target capacity {self._spec.target_capacity}",
            )
        )

    def _record(self, percent: float, instances: int, decision: SetCapacity) -> None:
        group = self._provider.group
        side = "high" if decision.capacity > group.desired else "low"
        self._kit.recorder.scaling.append(
            (
                self._kit.now,
                f"autoScalingGroup/{group.name}",
                f"ECSManagedAutoScalingPolicy-{self._provider.spec.name}",
                "TargetTrackingScaling",
                f"TargetTracking-{group.name}-Alarm{side.capitalize()}",
                self._states[side],
                "CapacityProviderReservation",
                percent,
                float(self._spec.target_capacity),
                float(instances),
                group.desired,
                decision.capacity,
                decision.because,
            )
        )


class ClusterAutoScaling:
    """Runs the loop of every managed capacity provider at the end of each metric period."""

    def __init__(self, registry: Registry, metering: Metering, cloudwatch: CloudWatch | None = None) -> None:
        self._registry = registry
        self._cloudwatch = cloudwatch
        self._loops: dict[str, ManagedProvider] = {}
        metering.on_period.append(self._period)

    def _period(self) -> None:
        for name, provider in self._registry.providers.items():
            if provider.managed and not provider.managed_instances:
                if name not in self._loops:
                    self._loops[name] = ManagedProvider(self._registry.kit, provider, self._cloudwatch)
                self._loops[name].minute()
