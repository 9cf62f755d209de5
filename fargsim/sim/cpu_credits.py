"""CPU credits of the region's burstable instances: settled at the ends of minutes, and at computed instants where they may run low.

Sources: EC2 User Guide, burstable-performance-instances.html, burstable-performance-instances-monitoring-cpu-credits.html.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from fargsim.catalog.instances import InstanceType
from fargsim.policy.cpu_credits import (
    US_PER_MINUTE,
    CreditFacts,
    CreditMode,
    Credits,
    after,
    allowed_vcpu,
    look_again_us,
    terminated,
)
from fargsim.policy.metric_data import Point
from fargsim.sim.alarm_run import metric_key
from fargsim.sim.host_sharing import left_by_idle, task_cores
from fargsim.sim.kit import US_PER_S, Kit
from fargsim.sim.state import TaskRun

if TYPE_CHECKING:
    from fargsim.sim.cloudwatch import CloudWatch
    from fargsim.sim.instances import InstanceRun
    from fargsim.sim.metering import Metering

METRIC_US = 300 * US_PER_S
"""CPU credit metrics come every five minutes."""


def task_cpu_us(kit: Kit, task: TaskRun) -> float:
    """Return the CPU time that a task has used so far, microseconds."""
    total = task.busy_core_us + kit.work.use(task).busy_core_us
    for group, target in task.targets:
        if group.bridge is not None and target.slot is not None and task.task_id in group.targets:
            group.bridge.advance(kit.now)
            total += group.bridge.plane.slot(target.slot).busy_core_us
    if task.started_at is not None:
        until = kit.now if task.execution_stopped_at is None else task.execution_stopped_at
        total += task.revision.behaviour.idle_cpu * (until - task.started_at)
    return total


class CreditRun:
    """The credits of one instance.

    Attributes
    ----------
    mode
        ``standard`` or ``unlimited``.
    """

    def __init__(self, kit: Kit, instance: InstanceRun, facts: InstanceType, mode: CreditMode) -> None:
        assert facts.credits is not None
        self.mode = mode
        self.facts = CreditFacts(facts.vcpu, facts.credits.credits_per_hour, facts.credits.max_credits)
        self.credits = Credits(kit.parameters.number("cpu_credits_at_launch"))
        self._kit = kit
        self._instance = instance
        self._low_minutes = kit.parameters.number("cpu_credit_low_minutes")
        self._settled_at: int | None = None
        self._seen: dict[str, float] = {}
        self._earned = self._used = self._charged = 0.0
        self._metric_used = self._metric_charged = 0.0
        self._row_at = kit.now
        self._done = False
        self._allowed = float(self.facts.vcpu)
        kit.burstable[instance.instance_id] = self

    @property
    def _running(self) -> bool:
        one = self._instance
        stopped = one.stopped_at is not None and (one.restarted_at is None or one.restarted_at < one.stopped_at)
        return one.running_at is not None and not stopped and one.terminated_at is None

    def begin(self) -> None:
        """Begin with the credits that an instance has which was there before the run."""
        share = self._kit.parameters.number("cpu_credit_share_at_start")
        self.credits = Credits(share * self.facts.max_credits)
        self.settle()

    def settle(self) -> None:
        """Book what was earned and used since the last time."""
        if self._done:
            return
        now, one = self._kit.now, self._instance
        used = self._used_since()
        if self._settled_at is None:
            if one.running_at is None:
                return
            self._settled_at = one.running_at
            if self.mode == "standard":
                self._look()
        span = now - self._settled_at
        self._settled_at = now
        if not self._running and one.terminated_at is None:
            return
        self.credits = after(self.credits, self.facts, self.mode, span, used)
        self._earned += self.facts.baseline_vcpu * span / US_PER_MINUTE
        self._used += used / US_PER_MINUTE
        self._metric_used += used / US_PER_MINUTE

    def _used_since(self) -> float:
        total = 0.0
        seen: dict[str, float] = {}
        for task in self._instance.tasks.values():
            seen[task.task_id] = task_cpu_us(self._kit, task)
            total += seen[task.task_id] - self._seen.get(task.task_id, 0.0)
        self._seen = seen
        return total

    def _look(self) -> None:
        """Allow what the balance allows, and look again when it may be low."""
        if self._done or self._instance.terminated_at is not None:
            return
        self.settle()
        self._allowed = allowed_vcpu(self.credits, self.facts, self.mode, self._low_minutes)
        self._allow(self._allowed)
        step = self._kit.us("cpu_credit_step_s")
        wait = look_again_us(self.credits, self.facts, self._low_minutes, step)
        self._kit.at(self._kit.now + wait, self._look)

    def _allow(self, vcpu: float) -> None:
        """Give tasks what is allowed; what they use while nothing is in them comes first."""
        one, now, factor = self._instance, self._kit.now, 1.0
        if vcpu < self.facts.vcpu:
            factor = left_by_idle(self._kit, one, vcpu) / self.facts.vcpu
        if factor == one.cpu_factor:
            return
        one.cpu_factor = factor
        if self._kit.sharing.review(one):
            return
        for task in one.tasks.values():
            self._kit.work.set_cores(task, task_cores(task))
            for group, target in task.targets:
                if group.bridge is not None and target.slot is not None and task.task_id in group.targets:
                    group.bridge.advance(now)
                    group.bridge.plane.set_rate(now, target.slot, cores=task_cores(task))

    def end(self) -> None:
        """Close the last row of an instance that has been terminated; surplus credits are charged then."""
        if self._done or self._instance.terminated_at is None:
            return
        self.settle()
        self.credits = terminated(self.credits)
        self._kit.burstable.pop(self._instance.instance_id, None)
        self.write(self._row_at)
        self._done = True

    def write(self, began_us: int) -> None:
        """Write the row of a period."""
        now, one = self._kit.now, self._instance
        self.settle()
        began_us = max(began_us, one.running_at or 0)
        told = now > began_us or self.credits.charged > self._charged  # a charge is told, whatever the instant
        if told and self._settled_at is not None:
            self._kit.recorder.cpu_credits.append(
                (
                    began_us,
                    (now - began_us) / US_PER_S,
                    one.cluster.name,
                    one.instance_id,
                    one.instance_type,
                    self.mode,
                    self._earned,
                    self._used,
                    self.credits.balance,
                    self.credits.surplus,
                    self.credits.charged - self._charged,
                    self._allowed,
                )
            )
        self._earned = self._used = 0.0
        self._charged = self.credits.charged
        self._row_at = now

    def publish(self, cloudwatch: CloudWatch, start_us: int, end_us: int) -> None:
        """Publish the metrics of five minutes."""
        if self._settled_at is None:
            return
        charged = self.credits.charged - self._metric_charged
        for name, value in (
            ("CPUCreditUsage", self._metric_used),
            ("CPUCreditBalance", self.credits.balance),
            ("CPUSurplusCreditBalance", self.credits.surplus),
            ("CPUSurplusCreditsCharged", charged),
        ):
            key = metric_key("AWS/EC2", name, {"InstanceId": self._instance.instance_id})
            cloudwatch.publish(key, Point.of(start_us, end_us, value), METRIC_US)
        self._metric_used, self._metric_charged = 0.0, self.credits.charged


class CreditMeter:
    """Settles all burstable instances at the ends of minutes; without any it costs a look at an empty table."""

    def __init__(self, kit: Kit, metering: Metering, cloudwatch: CloudWatch) -> None:
        self._kit = kit
        self._cloudwatch = cloudwatch
        metering.on_period.append(self._minute)
        metering.on_rows.append(self._rows)

    def _minute(self) -> None:
        now = self._kit.now
        for credits in list(self._kit.burstable.values()):
            credits.settle()
            if now % METRIC_US == 0:
                credits.publish(self._cloudwatch, now - METRIC_US, now)

    def _rows(self, began_us: int, now_us: int) -> None:
        for credits in list(self._kit.burstable.values()):
            credits.write(began_us)


def credits_of(kit: Kit, instance: InstanceRun, facts: InstanceType, mode: CreditMode | None) -> CreditRun | None:
    """Return the credits of an instance; None of a type that has none. T3, T3a and T4g are ``unlimited`` where nothing is said."""
    return None if facts.credits is None else CreditRun(kit, instance, facts, mode or "unlimited")
