"""Target tracking of a service: what desired count Application Auto Scaling sets.

Published (Application Auto Scaling User Guide, target-tracking-scaling-policy-overview.html; Amazon ECS Developer Guide,
service-auto-scaling.html): capacity in proportion to the metric, rounded up; the start is the number of running tasks, not the desired
count; no scale-in while a deployment runs; scale-out goes beyond what has been asked for already or not at all; scale-in waits for its
cooldown, a scale-out ends that; with several policies any may scale out and all must agree to scale in, the largest count wins.

A model fills in the rest: the metric is the newest published datapoint and the number of running tasks is its mean over that datapoint's
own period. Today's running count times a metric of minutes ago would run away: tasks started since then would be multiplied by a load
that was measured before they took their share. For the same reason requests per target go with the targets that they were divided
among: a task that runs and is not healthy yet takes no share either.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from fargsim.model.scaling import TargetTracking
from fargsim.policy.alarms import AlarmState

US_PER_S = 1_000_000
_ROUNDING = 1e-9


@dataclass(frozen=True, slots=True)
class Limits:
    """``MinCapacity`` and ``MaxCapacity`` of the scalable target."""

    minimum: int
    maximum: int

    def clamp(self, count: int) -> int:
        """Return the count, within the limits."""
        return min(max(count, self.minimum), self.maximum)


@dataclass(frozen=True, slots=True)
class PolicyView:
    """What one policy sees of its metric.

    Parameters
    ----------
    metric
        Value of the newest published datapoint; None where none has been published.
    running_mean
        Mean number of RUNNING tasks over that datapoint's own period; with requests per target, the targets that had them.
    high, low
        States of the policy's two alarms.
    """

    metric: float | None
    running_mean: float
    high: AlarmState
    low: AlarmState


@dataclass(frozen=True, slots=True)
class ScalingView:
    """What all policies of a service see.

    Parameters
    ----------
    at_us
        Instant of the decision.
    desired
        The desired count.
    deploying
        Whether a deployment is in progress: scale-in is suspended.
    no_out, no_in
        What the user has suspended (``DynamicScalingOutSuspended``, ``DynamicScalingInSuspended``).
    """

    at_us: int
    desired: int
    deploying: bool = False
    no_out: bool = False
    no_in: bool = False


@dataclass(frozen=True, slots=True)
class PolicyMemory:
    """What one policy remembers: when its scale-in cooldown ends, in microseconds.

    A scale-out cooldown needs no memory: what was asked for counts as capacity, inside of it and after it.
    """

    scale_in_until_us: int = 0


@dataclass(frozen=True, slots=True)
class SetDesired:
    """Set the desired count, and why."""

    desired: int
    because: str
    policy: int | None = None
    """Index of the policy whose count it is."""


@dataclass(frozen=True, slots=True)
class NoChange:
    """Leave the desired count, and why."""

    because: str


Decision = SetDesired | NoChange


def wanted_tasks(metric: float, running_mean: float, target: float) -> int:
    """Return how many tasks would bring the metric to its target: rounded up, so a removal is rounded down.

    >>> wanted_tasks(75, 3, 50), wanted_tasks(47.5, 10, 50), wanted_tasks(70, 10, 70)
    (5, 10, 10)
    """
    exact = running_mean * metric / target
    return math.ceil(exact - _ROUNDING * max(1.0, exact))


def track(
    spec: TargetTracking, limits: Limits, view: PolicyView, service: ScalingView, memory: PolicyMemory
) -> tuple[Decision, PolicyMemory]:
    """Decide for one policy alone; see `track_all` for several.

    Called when an alarm goes off and once a minute while it stays so.

    Examples
    --------
    >>> spec = TargetTracking.model_validate({
    ...     "TargetValue": 50, "PredefinedMetricSpecification": {"PredefinedMetricType": "ECSServiceAverageCPUUtilization"}})
    >>> view = PolicyView(metric=75.0, running_mean=3.0, high="ALARM", low="OK")
    >>> track(spec, Limits(1, 10), view, ScalingView(at_us=0, desired=3), PolicyMemory())[0].desired
    5
    """
    decision, memories = track_all([(spec, view, memory)], limits, service)
    return decision, memories[0]


def track_all(
    policies: Sequence[tuple[TargetTracking, PolicyView, PolicyMemory]], limits: Limits, service: ScalingView
) -> tuple[Decision, tuple[PolicyMemory, ...]]:
    """Decide for all policies of a service together.

    Returns
    -------
    decision, memories
        What to do, and what each policy remembers from now on.
    """
    memories = tuple(memory for _, _, memory in policies)
    out = [
        (_wanted(spec, limits, view, service.desired), index)
        for index, (spec, view, _) in enumerate(policies)
        if view.high == "ALARM" and view.metric is not None
    ]
    if out and service.no_out:
        return NoChange("scale-out is suspended by the user"), memories
    if out:
        count, index = max(out, key=lambda pair: (pair[0], -pair[1]))
        if count > service.desired:
            return _scale_out(count, index, policies, service, memories)
        return NoChange("what the metric asks for has been asked for already"), memories
    return _scale_in(policies, limits, service, memories)


def _wanted(spec: TargetTracking, limits: Limits, view: PolicyView, desired: int) -> int:
    assert view.metric is not None
    if view.running_mean == 0:
        # no task gave the metric its value: from zero one step of the smallest size, later from the running count
        return limits.clamp(max(desired, 1))
    return limits.clamp(wanted_tasks(view.metric, view.running_mean, spec.target_value))


def _scale_out(
    count: int,
    index: int,
    policies: Sequence[tuple[TargetTracking, PolicyView, PolicyMemory]],
    service: ScalingView,
    memories: tuple[PolicyMemory, ...],
) -> tuple[Decision, tuple[PolicyMemory, ...]]:
    spec, view, _ = policies[index]
    # a scale-out ends every scale-in cooldown
    changed = [PolicyMemory(min(m.scale_in_until_us, service.at_us)) for m in memories]
    because = (
        f"high alarm: metric {view.metric:g} with {view.running_mean:g} running tasks, target {spec.target_value:g}"
    )
    return SetDesired(count, because, index), tuple(changed)


def _scale_in(
    policies: Sequence[tuple[TargetTracking, PolicyView, PolicyMemory]],
    limits: Limits,
    service: ScalingView,
    memories: tuple[PolicyMemory, ...],
) -> tuple[Decision, tuple[PolicyMemory, ...]]:
    """Scale in where all policies that may agree."""
    able = [(i, spec, view) for i, (spec, view, _) in enumerate(policies) if not spec.disable_scale_in]
    if not any(view.low == "ALARM" for _, view, _ in policies):
        return NoChange("no alarm"), memories
    if not able:
        return NoChange("scale-in is disabled"), memories
    if any(view.low != "ALARM" or view.metric is None for _, _, view in able):
        return NoChange("not every policy wants to scale in"), memories
    if service.no_in:
        return NoChange("scale-in is suspended by the user"), memories
    if service.deploying:
        return NoChange("scale-in is suspended while a deployment is in progress"), memories
    if any(memories[i].scale_in_until_us > service.at_us for i, _, _ in able):
        return NoChange("scale-in cooldown"), memories
    count, index = max(
        ((_wanted(spec, limits, view, service.desired), i) for i, spec, view in able), key=lambda p: (p[0], -p[1])
    )
    if count >= service.desired:
        return NoChange("removing one task would bring the metric above its target"), memories
    spec, view, _ = policies[index]
    because = (
        f"low alarm: metric {view.metric:g} with {view.running_mean:g} running tasks, target {spec.target_value:g}"
    )
    until = service.at_us + spec.scale_in_cooldown * US_PER_S
    changed = list(memories)
    changed[index] = PolicyMemory(until)
    return SetDesired(count, because, index), tuple(changed)
