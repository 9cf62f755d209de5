"""A scalable target: a service, its limits and its policies, and the decision they come to.

Observe (alarms and their newest datapoint), decide (`fargsim.policy`), record the decision with its reason, act.
"""

from __future__ import annotations

from datetime import datetime

from fargsim.model.scaling import ScalableTarget, ScalableTargetAction, ScalingPolicy, ScheduledAction
from fargsim.policy.step_scaling import StepMemory, choose, step
from fargsim.policy.target_tracking import Decision, Limits, NoChange, PolicyMemory, ScalingView, SetDesired, track_all
from fargsim.policy.user_policy import UserPolicy
from fargsim.sim.alarm_run import AlarmRun
from fargsim.sim.cloudwatch import CloudWatch
from fargsim.sim.kit import Kit
from fargsim.sim.predictive_run import PredictiveRun
from fargsim.sim.scaling_policies import StepRun, TrackingRun
from fargsim.sim.scheduled_run import ScheduledRun
from fargsim.sim.service_scheduler import ServiceRun
from fargsim.sim.user_run import UserRun

PolicyRun = TrackingRun | StepRun | PredictiveRun


class TargetRun:
    """A scalable target."""

    def __init__(
        self, kit: Kit, cloudwatch: CloudWatch, spec: ScalableTarget, service: ServiceRun, start: datetime
    ) -> None:
        self.service = service
        self.registered = Limits(spec.min_capacity, spec.max_capacity)
        self.suspended = spec.suspended_state
        self.policies: dict[str, PolicyRun] = {}
        self.actions: dict[str, ScheduledRun] = {}
        self.user: UserRun | None = None
        self._kit = kit
        self._cloudwatch = cloudwatch
        self._start = start
        self._deciding: int | None = None
        self._tracking_called = False

    @property
    def resource(self) -> str:
        """``service/CLUSTER/SERVICE``."""
        return f"service/{self.service.cluster.name}/{self.service.name}"

    @property
    def limits(self) -> Limits:
        """The limits of this instant: as registered, with what a forecast asks for as the least."""
        low, high = self.registered.minimum, self.registered.maximum
        for policy in self.policies.values():
            floor = policy.floor(self.registered, self._kit.now) if isinstance(policy, PredictiveRun) else None
            if floor is not None:
                low, high = max(low, floor.capacity), max(high, floor.maximum)
        return Limits(low, high)

    # what users change

    def register(
        self, limits: Limits, because: str, name: str = "RegisterScalableTarget", kind: str = "Limits"
    ) -> None:
        """Take new limits; the desired count is brought within them at once."""
        self.registered = limits
        wanted = self.limits.clamp(self.service.desired)
        which = "minimum" if wanted > self.service.desired else "maximum"
        self._set(wanted, name, kind, f"{because}: {which} capacity was set to {wanted}")

    def put(self, spec: ScalingPolicy) -> PolicyRun:
        """Add or replace a policy."""
        self.remove(spec.policy_name)
        kit, cloudwatch = self._kit, self._cloudwatch
        run: PolicyRun
        if spec.policy_type == "TargetTrackingScaling":
            run = TrackingRun(kit, cloudwatch, spec, self.service)
        elif spec.policy_type == "StepScaling":
            run = StepRun(kit, spec, self.service, cloudwatch)
        else:
            run = PredictiveRun(kit, cloudwatch, spec, self.service, self._start, self._ahead)
        self.policies[spec.policy_name] = run
        return run

    def remove(self, name: str) -> bool:
        """Delete a policy with its alarms; false where there is none."""
        old = self.policies.pop(name, None)
        if old is not None:
            old.remove()
        return old is not None

    def schedule(self, spec: ScheduledAction) -> None:
        """Add or replace a scheduled action."""
        self.unschedule(spec.scheduled_action_name)
        self.actions[spec.scheduled_action_name] = ScheduledRun(self._kit, spec, self._start, self._scheduled)

    def unschedule(self, name: str) -> bool:
        """Delete a scheduled action; false where there is none."""
        old = self.actions.pop(name, None)
        if old is not None:
            old.remove()
        return old is not None

    def hand_over(self, policy: UserPolicy) -> None:
        """Let a function of the user's own decide in the place of the policies."""
        for name in list(self.policies):
            self.remove(name)
        if self.user is not None:
            self.user.remove()
        self.user = UserRun(self._kit, self._cloudwatch, self, policy)

    def close(self) -> None:
        """Give up everything: the target is deregistered."""
        for name in list(self.policies):
            self.remove(name)
        for name in list(self.actions):
            self.unschedule(name)
        if self.user is not None:
            self.user.remove()

    # what happens

    def _scheduled(self, spec: ScheduledAction) -> None:
        if self.suspended.scheduled_scaling_suspended or self.service.deleted:
            return
        changed = with_action(self.registered, spec.scalable_target_action)
        if changed.minimum > changed.maximum:
            message = f"scheduled action {spec.scheduled_action_name}: MinCapacity {changed.minimum} is above MaxCapacity {changed.maximum}"
            self._kit.event(self.service.cluster.name, self.service.name, message, "SCALING_ACTIVITY_FAILED", "ERROR")
            return
        name = spec.scheduled_action_name
        self.register(changed, f"scheduled action {name} was triggered", name, "ScheduledAction")

    def _ahead(self, policy: PredictiveRun) -> None:
        """Scale out to what a forecast asks for."""
        if self.service.deleted:
            return
        floor = policy.floor(self.registered, self._kit.now)
        if floor is None:
            return
        if floor.maximum > self.registered.maximum:
            self.registered = Limits(self.registered.minimum, floor.maximum)  # for good, as AWS does
        if floor.capacity > self.service.desired:
            because = f"the forecast of the hour asks for {policy.needed(self._kit.now)} tasks"
            self._set(floor.capacity, policy.spec.policy_name, policy.spec.policy_type, because, policy=policy)

    def called(self, policy: PolicyRun, alarm: AlarmRun) -> None:
        """Decide at this instant, when every alarm has been evaluated: an alarm has called for a policy."""
        if isinstance(policy, StepRun):
            policy.called = alarm
        else:
            self._tracking_called = True
        if self._deciding != self._kit.now:
            self._deciding = self._kit.now
            self._kit.at(self._kit.now, self._decide)

    def view(self) -> ScalingView:
        """Return what all policies see."""
        service = self.service
        deploying = service.deploying and len(service.deployments) > 1
        state = self.suspended
        return ScalingView(
            self._kit.now,
            service.desired,
            deploying,
            state.dynamic_scaling_out_suspended,
            state.dynamic_scaling_in_suspended,
        )

    def _decide(self) -> None:
        """Let the policies decide and set the desired count they agree on."""
        self._deciding = None
        service = self.service
        if service.deleted:
            return
        view, limits = self.view(), self.limits
        tracking = [p for p in self.policies.values() if isinstance(p, TrackingRun)]
        views = [p.view() for p in tracking]
        # whom nobody has called says nothing: an alarm of tracking calls once a minute, not whenever that of a step policy does
        called, self._tracking_called = self._tracking_called, False
        seen = [(p.tracking, v, p.memory) for p, v in zip(tracking, views, strict=True)] if called else []
        told, memories = track_all(seen, limits, view)
        steps = [p for p in self.policies.values() if isinstance(p, StepRun) and p.called is not None]
        decisions: list[Decision] = [told]
        remembered: list[StepMemory] = []
        for policy in steps:
            assert policy.called is not None
            decision, memory = step(policy.steps, limits, policy.view(policy.called), view, policy.memory)
            decisions.append(decision)
            remembered.append(memory)
        chosen = choose(decisions, service.desired)
        callers = [p.called for p in steps]
        for policy in steps:
            policy.called = None
        if chosen is None:
            return
        decision = decisions[chosen]
        assert not isinstance(decision, NoChange)
        if chosen == 0:
            for run, kept in zip(tracking, memories, strict=True):
                run.memory = kept
            index = decision.policy or 0
            self._track(tracking[index], views[index].metric, views[index].running_mean, decision)
        else:
            policy, caller = steps[chosen - 1], callers[chosen - 1]
            assert caller is not None
            policy.memory = remembered[chosen - 1]
            self._step(policy, caller, decision)

    def _track(self, policy: TrackingRun, metric: float | None, running: float, decision: SetDesired) -> None:
        out = decision.desired > self.service.desired
        alarm = policy.high if out else policy.low
        if out:
            self._end_scale_in_cooldowns()
        self._set(
            decision.desired,
            policy.spec.policy_name,
            policy.spec.policy_type,
            decision.because,
            alarm=alarm,
            metric=(policy.metric, metric, policy.tracking.target_value, running),
        )

    def _step(self, policy: StepRun, alarm: AlarmRun, decision: SetDesired) -> None:
        if decision.desired > self.service.desired:
            self._end_scale_in_cooldowns()
        view = policy.view(alarm)
        self._set(
            decision.desired,
            policy.spec.policy_name,
            policy.spec.policy_type,
            decision.because,
            alarm=alarm,
            metric=(alarm.label, view.metric, None, None),
        )

    def _end_scale_in_cooldowns(self) -> None:
        now = self._kit.now
        for policy in self.policies.values():
            if isinstance(policy, TrackingRun):
                policy.memory = PolicyMemory(min(policy.memory.scale_in_until_us, now))
            elif isinstance(policy, StepRun):
                old = policy.memory
                policy.memory = StepMemory(old.scale_out_until_us, min(old.scale_in_until_us, now), old.base)

    def _set(
        self,
        desired: int,
        name: str,
        kind: str,
        because: str,
        *,
        alarm: AlarmRun | None = None,
        policy: PredictiveRun | None = None,
        metric: tuple[str | None, float | None, float | None, float | None] = (None, None, None, None),
    ) -> None:
        """Set the desired count and write down why."""
        service = self.service
        if desired == service.desired:
            return
        if policy is not None:
            metric = (policy.label, None, policy.target, None)
        row = (self._kit.now, self.resource, name, kind, alarm.name if alarm else None, alarm.state if alarm else None)
        self._kit.recorder.scaling.append((*row, *metric, service.desired, desired, because))
        service.set_desired(desired)

    def set_by_user(self, desired: int, because: str) -> None:
        """Carry out what a function of the user's own has decided, within the limits."""
        self._set(self.limits.clamp(desired), "policies", "UserPolicy", because)


def with_action(limits: Limits, action: ScalableTargetAction) -> Limits:
    """Return limits after a scheduled action; what it does not name stays."""
    low, high = action.min_capacity, action.max_capacity
    return Limits(limits.minimum if low is None else low, limits.maximum if high is None else high)
