"""Step scaling of a service: how far beyond an alarm's threshold the metric is says what happens.

Source: Application Auto Scaling User Guide, step-scaling-policy-overview.html; API Reference, API_StepScalingPolicyConfiguration.html.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from fargsim.model.scaling import StepScaling
from fargsim.policy.target_tracking import US_PER_S, Decision, Limits, NoChange, ScalingView, SetDesired

_ROUNDING = 1e-9


@dataclass(frozen=True, slots=True)
class StepView:
    """What a step policy sees of the alarm that calls for it.

    Parameters
    ----------
    metric
        The newest datapoint, aggregated as the policy says; None where there is none.
    threshold
        The alarm's threshold.
    above
        Whether the alarm goes off above its threshold; decides to which side the threshold itself belongs.
    """

    metric: float | None
    threshold: float
    above: bool = True


@dataclass(frozen=True, slots=True)
class StepMemory:
    """When the cooldowns end, in microseconds, and the capacity before the scale-out that began the running one."""

    scale_out_until_us: int = 0
    scale_in_until_us: int = 0
    base: int = 0


def adjustment(spec: StepScaling, view: StepView) -> int | None:
    """Return the `ScalingAdjustment` of the step that a metric falls into; None where there is no such step.

    Above the threshold a step holds its lower bound and not its upper one, below it the upper and not the lower one.

    Examples
    --------
    >>> spec = StepScaling.model_validate({"AdjustmentType": "ChangeInCapacity", "StepAdjustments": [
    ...     {"MetricIntervalLowerBound": 0, "MetricIntervalUpperBound": 10, "ScalingAdjustment": 1},
    ...     {"MetricIntervalLowerBound": 10, "ScalingAdjustment": 3}]})
    >>> [adjustment(spec, StepView(metric, 60.0)) for metric in (59.0, 60.0, 69.9, 70.0, 200.0)]
    [None, 1, 1, 3, 3]
    """
    if view.metric is None:
        return None
    beyond = view.metric - view.threshold
    above = beyond > 0 or (beyond == 0 and view.above)
    for step in spec.step_adjustments:
        if step.low <= beyond < step.high if above else step.low < beyond <= step.high:
            return step.scaling_adjustment
    return None


def round_percent(change: float) -> int:
    """Return a change by percent as whole tasks: above 1 rounded down, between 0 and 1 up to 1, and the same below zero.

    >>> [round_percent(x) for x in (12.7, 0.67, -0.58, -6.67, 0.0)]
    [12, 1, -1, -6, 0]
    """
    # what is whole but for the last bits of the division is whole
    near = round(change)
    if abs(change - near) <= _ROUNDING * max(1.0, abs(change)):
        return near
    return int(math.copysign(max(1, math.floor(abs(change))), change))


def wanted_capacity(spec: StepScaling, capacity: int, amount: int) -> int:
    """Return the capacity that an adjustment makes of another one.

    Parameters
    ----------
    capacity
        Tasks before.
    amount
        The step's `ScalingAdjustment`.

    Examples
    --------
    >>> quarter = StepScaling.model_validate({"AdjustmentType": "PercentChangeInCapacity", "MinAdjustmentMagnitude": 2,
    ...     "StepAdjustments": [{"MetricIntervalLowerBound": 0, "ScalingAdjustment": 25}]})
    >>> wanted_capacity(quarter, 4, 25), wanted_capacity(quarter, 40, 25)
    (6, 50)
    """
    if spec.adjustment_type == "ExactCapacity":
        return amount
    if spec.adjustment_type == "ChangeInCapacity":
        return capacity + amount
    change = round_percent(capacity * amount / 100)
    least = spec.min_adjustment_magnitude or 0
    if amount and abs(change) < least:
        change = least if amount > 0 else -least
    return capacity + change


def step(
    spec: StepScaling, limits: Limits, view: StepView, service: ScalingView, memory: StepMemory
) -> tuple[Decision, StepMemory]:
    """Decide for a policy whose alarm calls for it.

    While the cooldown of a scale-out runs, what it added counts: a more aggressive step adds the difference only. A scale-in waits for the
    cooldown of the last one; a scale-out ends that.
    """
    amount = adjustment(spec, view)
    if amount is None:
        return NoChange("the metric is in none of the steps"), memory
    cooling = service.at_us < memory.scale_out_until_us
    wanted = wanted_capacity(spec, memory.base if cooling else service.desired, amount)
    because = f"metric {view.metric:g}, threshold {view.threshold:g}: {_said(spec, amount)}"
    until = service.at_us + spec.cooldown * US_PER_S
    if wanted > service.desired:
        out = limits.clamp(wanted)
        if out <= service.desired:
            return NoChange("the maximum is reached"), memory
        if service.no_out:
            return NoChange("scale-out is suspended by the user"), memory
        base = memory.base if cooling else service.desired
        return SetDesired(out, because), StepMemory(until, min(memory.scale_in_until_us, service.at_us), base)
    # above the maximum, a scale-in first lowers to it
    less = wanted_capacity(spec, service.desired, amount)
    less = limits.clamp(less) if less < service.desired else less
    if less >= service.desired:
        return NoChange("scale-out cooldown" if cooling and amount > 0 else "nothing to change"), memory
    if service.no_in:
        return NoChange("scale-in is suspended by the user"), memory
    if service.deploying:
        return NoChange("scale-in is suspended while a deployment is in progress"), memory
    if service.at_us < memory.scale_in_until_us:
        return NoChange("scale-in cooldown"), memory
    return SetDesired(less, because), StepMemory(memory.scale_out_until_us, until, memory.base)


def _said(spec: StepScaling, amount: int) -> str:
    if spec.adjustment_type == "ExactCapacity":
        return f"exactly {amount}"
    return f"{amount:+d}{' %' if spec.adjustment_type == 'PercentChangeInCapacity' else ''}"


def choose(decisions: list[Decision], desired: int) -> int | None:
    """Return which of several policies' decisions is carried out; None where none changes anything.

    Any may scale out, and the largest capacity wins; where none does, a scale-in is carried out, again the one that leaves most.

    Examples
    --------
    >>> choose([SetDesired(13, "+3"), SetDesired(30, "+200 %")], 10)
    1
    """
    found = [(d.desired, -n) for n, d in enumerate(decisions) if isinstance(d, SetDesired) and d.desired != desired]
    out = [pair for pair in found if pair[0] > desired]
    return -max(out or found)[1] if found else None
