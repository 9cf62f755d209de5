"""ECS cluster auto scaling: how many instances the tasks of a capacity provider need, and what size its group gets.

Source: Amazon ECS Developer Guide, managed-scaling-behavior.html and cluster-auto-scaling.html; Amazon ECS API Reference,
API_ManagedScaling.html; https://aws.amazon.com/blogs/containers/deep-dive-on-amazon-ecs-cluster-auto-scaling/ and
https://aws.amazon.com/blogs/containers/faster-scaling-in-for-amazon-ecs-cluster-auto-scaling/.

Whether instances that still boot count as running is not published. They count here, and what they will offer is taken off what is
missing: otherwise every minute of their boot would ask for the same instances again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from fargsim.model.capacity import ManagedScaling
from fargsim.policy.alarms import Alarm, AlarmState
from fargsim.policy.needs import TaskNeeds

US_PER_S = 1_000_000
HIGH_DATAPOINTS = 1
LOW_DATAPOINTS = 15
FROM_ZERO = 2
"""Instances launched first when a group has none: the metric is 200 then, and the capacity counts as 1."""


@dataclass(frozen=True, slots=True)
class InstanceShape:
    """What an instance type offers to tasks."""

    cpu_units: int
    memory_mib: int
    enis: int = 0
    gpus: int = 0


@dataclass(frozen=True, slots=True)
class WaitingGroup:
    """Tasks in PROVISIONING with identical needs.

    Parameters
    ----------
    distinct
        Whether each needs an instance of its own (``distinctInstance``).
    """

    needs: TaskNeeds
    tasks: int
    distinct: bool = False


@dataclass(frozen=True, slots=True)
class ProviderView:
    """What the metric of a capacity provider is computed from.

    Parameters
    ----------
    instances
        N: instances of the group, those that still boot included.
    empty
        How many of them have no task except of daemon services.
    booting
        How many of them have not registered yet.
    shapes
        The instance types the group may launch.
    waiting
        Tasks in PROVISIONING at this provider, by needs.
    """

    instances: int
    empty: int
    booting: int
    shapes: tuple[InstanceShape, ...]
    waiting: tuple[WaitingGroup, ...] = ()


@dataclass(frozen=True, slots=True)
class Reservation:
    """One datapoint of ``CapacityProviderReservation``.

    Attributes
    ----------
    needed
        M: instances needed.
    running
        N: instances there.
    percent
        The metric, 100 M / N with its special cases.
    ignored
        Tasks in PROVISIONING that do not fit the smallest type and count for nothing.
    """

    needed: int
    running: int
    percent: float
    ignored: int


def tasks_per_instance(needs: TaskNeeds, shape: InstanceShape, *, distinct: bool = False) -> int | None:
    """Return how many identical tasks fit on an empty instance; None where nothing limits them.

    >>> tasks_per_instance(TaskNeeds(512, 1000, enis=1), InstanceShape(2048, 3768, enis=2))
    2
    """
    fits = [
        offered // asked
        for asked, offered in (
            (needs.cpu_units, shape.cpu_units),
            (needs.memory_mib, shape.memory_mib),
            (needs.enis, shape.enis),
            (needs.gpus, shape.gpus),
        )
        if asked
    ]
    if fits and (needs.host_ports or distinct):
        return min(1, *fits)
    return min(fits) if fits else 1 if needs.host_ports or distinct else None


def instances_for(group: WaitingGroup, shapes: Sequence[InstanceShape]) -> int | None:
    """Return how many new instances a group of waiting tasks needs; None where it does not fit the smallest type.

    With several types the largest of each dimension gives the number and the smallest is a guard.
    """
    if not shapes:
        return None
    smallest, largest = (
        InstanceShape(*(pick(values) for values in zip(*(_tuple(s) for s in shapes), strict=True)))
        for pick in (min, max)
    )
    if tasks_per_instance(group.needs, smallest, distinct=group.distinct) == 0:
        return None
    each = tasks_per_instance(group.needs, largest, distinct=group.distinct)
    return -(-group.tasks // each) if each else min(1, group.tasks)


def _tuple(shape: InstanceShape) -> tuple[int, int, int, int]:
    return shape.cpu_units, shape.memory_mib, shape.enis, shape.gpus


def reservation(spec: ManagedScaling, view: ProviderView) -> Reservation:
    """Return the metric of a capacity provider.

    Nothing waits: M = N - empty. Otherwise M = N + the largest of the groups' needs beyond the instances that boot already, at least
    ``minimumScalingStepSize`` and at most ``maximumScalingStepSize`` more than N. Tasks that fit no type leave the metric at its target.

    Examples
    --------
    >>> reservation(ManagedScaling(), ProviderView(instances=3, empty=1, booting=0, shapes=())).percent
    66.66666666666667
    >>> waiting = (WaitingGroup(TaskNeeds(1024, 1024), tasks=3),)
    >>> reservation(ManagedScaling(), ProviderView(0, 0, 0, (InstanceShape(2048, 4096),), waiting)).percent
    200.0
    """
    n = view.instances
    needs = [(group, instances_for(group, view.shapes)) for group in view.waiting if group.tasks > 0]
    ignored = sum(group.tasks for group, number in needs if number is None)
    numbers = [number for _, number in needs if number is not None]
    if not numbers:
        if ignored:
            return Reservation(n, n, float(spec.target_capacity), ignored)
        m = n - view.empty
        return Reservation(m, n, 100.0 if n == 0 else 100.0 * m / n, 0)
    more = max(numbers) - view.booting
    if more > 0:
        more = min(max(more, spec.minimum_scaling_step_size), spec.maximum_scaling_step_size)
    m = n + max(0, more)
    return Reservation(m, n, 200.0 if n == 0 else 100.0 * m / n, ignored)


def reservation_alarms(
    spec: ManagedScaling, high_datapoints: int = HIGH_DATAPOINTS, low_datapoints: int = LOW_DATAPOINTS
) -> tuple[Alarm, Alarm]:
    """Return the high and the low alarm on the metric: one datapoint above the target, fifteen below."""
    target = float(spec.target_capacity)
    return (
        Alarm(target, "GreaterThanThreshold", high_datapoints, high_datapoints),
        Alarm(target, "LessThanThreshold", low_datapoints, low_datapoints),
    )


@dataclass(frozen=True, slots=True)
class GroupView:
    """What the scaling policy of the group sees.

    Parameters
    ----------
    at_us
        Instant of the decision.
    desired, minimum, maximum
        The group's sizes.
    metric
        The newest published datapoint; None where there is none.
    high, low
        States of the two alarms.
    warming
        Whether any instance is younger than ``instanceWarmupPeriod``.
    """

    at_us: int
    desired: int
    minimum: int
    maximum: int
    metric: Reservation | None
    high: AlarmState
    low: AlarmState
    warming: bool = False


@dataclass(frozen=True, slots=True)
class ScaleInPace:
    """How fast scale-in goes.

    Parameters
    ----------
    wait_s
        How long it waits after a scale-out.
    step_interval_s
        Time between two of its steps; derived from AWS's benchmark (334 to 34 instances in ten minutes).
    share_percent
        How much of the group goes in one step at most, one instance at least.
    """

    wait_s: int = 900
    step_interval_s: int = 150
    share_percent: int = 50


@dataclass(frozen=True, slots=True)
class GroupMemory:
    """When scale-in may happen again, microseconds."""

    scale_in_from_us: int = 0


@dataclass(frozen=True, slots=True)
class SetCapacity:
    """Set the group's desired capacity, and why."""

    capacity: int
    because: str


@dataclass(frozen=True, slots=True)
class KeepCapacity:
    """Leave the group as it is, and why."""

    because: str


def target_size(spec: ManagedScaling, metric: Reservation) -> int:
    """Return the size that brings the metric to its target: M x 100 / target, rounded up; two from zero.

    >>> [target_size(ManagedScaling(target_capacity=50), Reservation(m, 1, 100.0 * m, 0)) for m in (10, 20, 40)]
    [20, 40, 80]
    """
    if metric.running == 0:
        return FROM_ZERO if metric.needed > 0 else 0
    return -(-metric.needed * 100 // spec.target_capacity)


_PACE = ScaleInPace()


def scale_group(
    spec: ManagedScaling, view: GroupView, memory: GroupMemory, *, pace: ScaleInPace = _PACE
) -> tuple[SetCapacity | KeepCapacity, GroupMemory]:
    """Decide the group's capacity; called once a minute.

    Scale-out is blocked while an instance warms up. After a scale-out, or one that was asked for, scale-in waits 15 minutes; it takes at
    most half of the group at once, at least one instance.

    Examples
    --------
    >>> view = GroupView(0, 3, 0, 9, Reservation(2, 3, 66.7, 0), high="OK", low="ALARM")
    >>> scale_group(ManagedScaling(), view, GroupMemory())[0].capacity
    2
    """
    if view.metric is None:
        return KeepCapacity("no datapoint"), memory
    want = min(max(target_size(spec, view.metric), view.minimum), view.maximum)
    figures = f"reservation {view.metric.percent:g} ({view.metric.needed} of {view.metric.running}), target {spec.target_capacity}"
    if view.high == "ALARM":
        waiting = replace(memory, scale_in_from_us=view.at_us + pace.wait_s * US_PER_S)
        if want <= view.desired:
            at_maximum = view.desired >= view.maximum
            return KeepCapacity("the group is at its maximum" if at_maximum else "asked for already"), waiting
        if view.warming:
            return KeepCapacity("an instance is still warming up"), waiting
        return SetCapacity(want, f"high alarm: {figures}"), waiting
    if view.low == "ALARM" and want < view.desired:
        if view.at_us < memory.scale_in_from_us:
            return KeepCapacity("scale-in waits"), memory
        step = max(1, view.desired * pace.share_percent // 100)
        until = view.at_us + pace.step_interval_s * US_PER_S
        return (
            SetCapacity(max(want, view.desired - step), f"low alarm: {figures}"),
            replace(memory, scale_in_from_us=until),
        )
    return KeepCapacity("no alarm"), memory
