"""ECS cluster auto scaling: the reservation metric of each managed capacity provider, and what follows from it, once a minute."""

from __future__ import annotations

from collections import deque

from fargsim.catalog.instances import awsvpc_task_limit, instance_type, registered_memory_mib
from fargsim.policy.alarms import AlarmState, evaluate
from fargsim.policy.managed_scaling import (
    GroupMemory,
    GroupView,
    InstanceShape,
    ProviderView,
    SetCapacity,
    WaitingGroup,
    reservation,
    reservation_alarms,
    scale_group,
)
from fargsim.sim.groups import AutoScalingGroupRun
from fargsim.sim.kit import US_PER_S, Kit
from fargsim.sim.metering import Metering
from fargsim.sim.registry import Registry
from fargsim.sim.state import ProviderRun


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


class ManagedProvider:
    """The scaling loop of one capacity provider."""

    def __init__(self, kit: Kit, provider: ProviderRun) -> None:
        self._kit = kit
        self._provider = provider
        self._spec = provider.spec.asg.managed_scaling
        self._high, self._low = reservation_alarms(self._spec)
        longest = max(self._high.evaluation_range, self._low.evaluation_range)
        self._values: deque[float | None] = deque(maxlen=longest)
        self._states: dict[str, AlarmState] = {"high": "INSUFFICIENT_DATA", "low": "INSUFFICIENT_DATA"}
        self._memory = GroupMemory()
        group = provider.group
        self._shapes = tuple(shape_of(kit, group, name) for name in group.types)

    def minute(self) -> None:
        """Compute the metric, evaluate its alarms and set the group's capacity."""
        kit, provider, group = self._kit, self._provider, self._provider.group
        waiting: dict[tuple[str, bool], int] = {}
        needs = {}
        for task in group.cluster.waiting.values():
            if task.capacity_provider != provider.spec.name:
                continue
            distinct = any(c.type == "distinctInstance" for c in task.spec.placement_constraints)
            key = (task.revision.name, distinct)
            waiting[key] = waiting.get(key, 0) + 1
            needs[key] = task.revision.needs
        there = group.in_service
        view = ProviderView(
            instances=len(there),
            empty=sum(1 for i in there if not i.busy),
            booting=sum(1 for i in there if i.registered_at is None),
            shapes=self._shapes,
            waiting=tuple(WaitingGroup(needs[key], number, key[1]) for key, number in waiting.items()),
        )
        metric = reservation(self._spec, view)
        provider.reservation = metric.percent
        self._values.append(metric.percent)
        values = list(self._values)
        for side, alarm in (("high", self._high), ("low", self._low)):
            self._alarm(side, evaluate(alarm, values, self._states[side]))
        warmup_us = self._spec.instance_warmup_period * US_PER_S
        warming = any(i.launched_at + warmup_us > kit.now and not i.there_before for i in there)
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
            step_interval_s=round(kit.parameters.number("cas_scalein_step_interval_s")),
        )
        if isinstance(decision, SetCapacity) and decision.capacity != group.desired:
            self._record(metric.percent, view.instances, decision)
            group.set_desired(decision.capacity)

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

    def __init__(self, registry: Registry, metering: Metering) -> None:
        self._registry = registry
        self._loops: dict[str, ManagedProvider] = {}
        metering.on_period.append(self._period)

    def _period(self) -> None:
        for name, provider in self._registry.providers.items():
            if provider.managed:
                if name not in self._loops:
                    self._loops[name] = ManagedProvider(self._registry.kit, provider)
                self._loops[name].minute()
