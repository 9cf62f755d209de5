"""Weights of targets that change by themselves: slow start, and automatic target weights."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from fargsim.policy.target_weights import Seen, anomalous, mitigated, slow_start_weight
from fargsim.sim.kit import Kit

if TYPE_CHECKING:
    from fargsim.sim.targets import Target, TargetGroupRun


class SlowStart:
    """Raises the weight of targets that have become healthy, in small steps, while there are any.

    Parameters
    ----------
    duration_us
        The slow start duration.
    weigh
        Sets a target's weight.
    """

    def __init__(self, kit: Kit, duration_us: int, weigh: Callable[[Target, float], None]) -> None:
        self._kit = kit
        self._duration_us = duration_us
        self._weigh = weigh
        self._since: dict[Target, int] = {}
        self._due: int | None = None

    def __contains__(self, target: Target) -> bool:
        """Whether a target is in slow start."""
        return target in self._since

    def begin(self, target: Target) -> None:
        """Put a target that has just become healthy into slow start."""
        self._since[target] = self._kit.now
        self._set(target)
        self._arm()

    def end(self, target: Target) -> None:
        """Take a target out of slow start, whether it has lasted or the target is not healthy any more."""
        if self._since.pop(target, None) is not None:
            self._weigh(target, 1.0)

    def end_all(self) -> None:
        """Take every target out of slow start."""
        for target in list(self._since):
            self.end(target)

    def _set(self, target: Target) -> None:
        # the weight of a step is the line's in the middle of it
        step_us = self._kit.us("slow_start_step_s")
        since_us = self._kit.now - self._since[target] + step_us // 2
        least = self._kit.parameters.number("slow_start_min_weight")
        self._weigh(target, slow_start_weight(since_us, self._duration_us, least))

    def _arm(self) -> None:
        if self._since and (self._due is None or self._due <= self._kit.now):
            self._due = self._kit.now + self._kit.us("slow_start_step_s")
            self._kit.at(self._due, self._step)

    def _step(self) -> None:
        for target, since in list(self._since.items()):
            if self._kit.now - since >= self._duration_us:
                self.end(target)
            else:
                self._set(target)
        self._arm()


class AutomaticWeights:
    """Looks for targets that fail more than their peers and, with anomaly mitigation, sends them less.

    Anomaly detection is on in every HTTP and HTTPS target group; mitigation is for weighted random. With weighted random it looks every 5
    seconds, otherwise once a minute, when the metric has its datapoint: nothing else depends on it.

    It looks only while something can fail: while a target's application has an error rate, does not listen or cannot be reached, while a
    weight is not 1, or after the last look found an error.

    Parameters
    ----------
    mitigate
        Whether anomaly mitigation is on; otherwise anomalous targets are counted and no more.
    often
        Whether it looks every 5 seconds by itself; otherwise when `look` is called.
    """

    def __init__(self, kit: Kit, group: TargetGroupRun, mitigate: bool, often: bool) -> None:
        self.anomalous: set[Target] = set()
        self.weights: dict[Target, float] = {}
        """Of targets whose weight is not 1."""
        self._kit = kit
        self._group = group
        self._mitigate = mitigate
        self._often = often
        self._before: dict[int, Seen] = {}
        self._awake = False

    def wake(self) -> None:
        """Begin to look: something may fail from now on."""
        if not self._awake and self._group.bridge is not None:
            self._awake = True
            self._before = self._totals()
            self._arm()

    def look(self) -> None:
        """Look now, unless it looks often by itself or nothing can fail."""
        if self._awake and not self._often:
            self._look()

    def set_mitigation(self, on: bool) -> None:
        """Turn mitigation on or off from now on; without it every target has its whole weight."""
        self._mitigate = on
        for target in () if on else list(self.weights):
            self._group.weigh(target, 1.0)
            self.weights.pop(target)

    def forget(self, target: Target) -> None:
        """Drop a target that leaves."""
        self.anomalous.discard(target)
        self.weights.pop(target, None)

    def _arm(self) -> None:
        if self._often:
            self._kit.at(self._kit.now + self._kit.us("atw_interval_s"), self._look)

    def _totals(self) -> dict[int, Seen]:
        assert self._group.bridge is not None
        self._group.bridge.advance(self._kit.now)
        table = self._group.bridge.plane.slots()
        errors = table.failed + table.refused_full + table.connection_errors
        return {
            slot: Seen(answers, wrong)
            for slot, answers, wrong in zip(
                table.slot.tolist(), (table.served + errors).tolist(), errors.tolist(), strict=True
            )
        }

    def _look(self) -> None:
        number = self._kit.parameters.number
        totals, before = self._totals(), self._before
        self._before = totals
        healthy = [t for t in self._group.targets.values() if t.state == "healthy" and t.slot is not None]
        seen = []
        for target in healthy:
            assert target.slot is not None
            now, then = totals[target.slot], before.get(target.slot, Seen(0, 0))
            seen.append(Seen(now.answers - then.answers, now.errors - then.errors))
        found = anomalous(seen, number("atw_sigma"))
        for target, one, wrong in zip(healthy, seen, found, strict=True):
            if wrong:
                self.anomalous.add(target)
            elif one.answers:
                self.anomalous.discard(target)
            if self._mitigate:
                self._weigh(target, one, wrong)
        self._awake = bool(self.weights or self.anomalous or any(s.errors for s in seen) or self._group.can_fail)
        if self._awake:
            self._arm()

    def _weigh(self, target: Target, seen: Seen, wrong: bool) -> None:
        number = self._kit.parameters.number
        weight = self.weights.get(target, 1.0)
        new = mitigated(
            weight,
            seen,
            wrong,
            factor=number("atw_decrease_factor"),
            step=number("atw_recovery_step"),
            least=number("atw_min_weight"),
        )
        if new != weight:
            self._group.weigh(target, new)
            if new < 1.0:
                self.weights[target] = new
            else:
                self.weights.pop(target, None)
