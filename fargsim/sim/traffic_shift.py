"""A deployment on its way through the lifecycle stages, as one readable process; and the listener rules by which it shifts traffic.

Sources: Amazon ECS Developer Guide, blue-green-deployment-how-it-works.html, deployment-type-linear.html, canary-deployment.html,
nlb-resources-for-blue-green.html, lambda-lifecycle-hooks.html (rollback).
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import simpy

from fargsim.model.service import CreateService
from fargsim.policy.traffic_shift import ShiftStep
from fargsim.sim.kit import US_PER_S, Kit
from fargsim.sim.lifecycle_hooks import HookCalls
from fargsim.sim.registry import Registry
from fargsim.sim.targets import TargetGroupRun

if TYPE_CHECKING:
    from fargsim.sim.blue_green import ShiftController
    from fargsim.sim.deployments import DeploymentRun
    from fargsim.sim.listeners import ListenerRule

DAY_US = 86_400 * US_PER_S
STAGE_US = DAY_US
"""No stage, and no step of the production traffic, may last longer."""
DEPLOYMENT_US = 30 * DAY_US
"""No deployment may last longer."""

Process = Generator[simpy.Event, Any, None]
Groups = tuple[TargetGroupRun, ...]


@dataclass(frozen=True, slots=True)
class Route:
    """How requests reach one pair of target groups.

    Parameters
    ----------
    primary, alternate
        The two target groups that revisions take in turn.
    production, test
        The listener rules of production and, where there is one, test traffic.
    """

    primary: TargetGroupRun
    alternate: TargetGroupRun
    production: tuple[ListenerRule, ...]
    test: tuple[ListenerRule, ...]

    def groups(self) -> Groups:
        """Return both target groups."""
        return self.primary, self.alternate


@dataclass(frozen=True, slots=True)
class Plan:
    """What a deployment does in its stages.

    Parameters
    ----------
    steps
        Of the production traffic.
    bake_us
        Both revisions run on that long after the last step.
    scale_up_us
        How long the new revision may take until all its tasks are healthy.
    """

    steps: tuple[ShiftStep, ...]
    bake_us: int
    scale_up_us: int = STAGE_US


def routes_of(registry: Registry, spec: CreateService) -> dict[int, Route]:
    """Return the routes of a service by the place of their target group in `loadBalancers`."""
    found = {}
    for n, balancer in enumerate(spec.load_balancers):
        advanced = balancer.advanced_configuration
        if advanced is None or advanced.alternate_target_group_arn is None or advanced.production_listener_rule is None:
            continue
        test = advanced.test_listener_rule
        found[n] = Route(
            registry.target_group(balancer.target_group_arn),
            registry.target_group(advanced.alternate_target_group_arn),
            (registry.listener_rule(advanced.production_listener_rule),),
            () if test is None else (registry.listener_rule(test),),
        )
    return found


def send(
    registry: Registry, route: Route, rules: tuple[ListenerRule, ...], group: TargetGroupRun, percent: float
) -> None:
    """Send a share of what meets some rules to one target group of a route, and the rest to the other."""
    [other] = [g for g in route.groups() if g is not group]
    weights = {group: _plain(percent), other: _plain(100 - percent)}
    for rule in rules:
        for listener in registry.listeners.values():
            if rule in (listener.default, *listener.rules.values()):
                group.balancer = other.balancer = listener.balancer
        rule.set_weights(weights)


def _plain(percent: float) -> float:
    return int(percent) if percent == int(percent) else round(percent, 1)


class Shift:
    """One deployment that shifts traffic, or the rollback of one."""

    def __init__(self, kit: Kit, controller: ShiftController, deployment: DeploymentRun, plan: Plan) -> None:
        self.deployment = deployment
        self.stage = ""
        self.over = False
        self.hooks: HookCalls = controller.hook_calls(deployment)
        self.scaled_up = False
        """Whether the new revision's tasks are wanted."""
        self.cleaning = False
        """Whether everything but its own revision goes."""
        self.production = 0.0
        self.test = 0.0
        """The shares that its own revision gets of production and test traffic, in percent."""
        self._kit = kit
        self._controller = controller
        self._plan = plan
        self._step: int | None = None
        self._since = kit.now
        self._entered = 0
        self._waiting: tuple[Callable[[], bool], simpy.Event] | None = None
        self._process: simpy.Process | None = None

    def start(self) -> None:
        """Begin the first stage."""
        kit = self._kit
        if self._process is None:
            self._process = kit.env.process(self._live())
            kit.at(kit.now + DEPLOYMENT_US, self._too_long)

    def look(self) -> None:
        """Go on if what is waited for has come."""
        if self._waiting is not None and not self.over and self._waiting[0]():
            event, self._waiting = self._waiting[1], None
            event.succeed()

    def stop(self, result: str, reason: str) -> None:
        """End it, whatever it is doing."""
        if self.over:
            return
        self.over = True
        self.hooks.close()
        self._leave(result, reason)
        process = self._process
        if process is not None and process.is_alive and process is not self._kit.env.active_process:
            process.interrupt(reason)

    def finish(self) -> None:
        """Write down the stage that is under way when the run ends."""
        if not self.over:
            self._leave("IN_PROGRESS", "")

    # the stages

    def _live(self) -> Process:
        controller, deployment = self._controller, self.deployment
        try:
            if deployment.rollback_of is not None:
                yield from self._roll_back()
            elif controller.nothing_to_shift_from(deployment):
                self.scaled_up = True
                controller.shift(self, production=100.0, test=100.0)
                yield from self._stage("SCALE_UP", self._until(self._whole), hooks=False)
            else:
                controller.to_holder()
                yield from self._roll_out()
            self.over = True
            controller.done(deployment)
        except simpy.Interrupt:
            pass  # `stop` has said why

    def _roll_out(self) -> Process:
        controller, plan = self._controller, self._plan
        if controller.unfinished(self.deployment):
            yield from self._stage("RECONCILE_SERVICE", self._until(lambda: not controller.unfinished(self.deployment)))
        yield from self._stage("PRE_SCALE_UP")
        self.scaled_up = True
        yield from self._stage("SCALE_UP", self._until(self._whole), hooks=False, limit_us=plan.scale_up_us)
        yield from self._stage("POST_SCALE_UP")
        yield from self._halt()
        controller.shift(self, test=100.0)
        yield from self._stage("TEST_TRAFFIC_SHIFT", self._settle())
        yield from self._stage("POST_TEST_TRAFFIC_SHIFT")
        for number, step in enumerate(plan.steps, 1):
            self._step = number
            yield from self._stage("PRE_PRODUCTION_TRAFFIC_SHIFT")
            yield from self._halt()
            controller.shift(self, production=step.green_percent)
            yield from self._stage("PRODUCTION_TRAFFIC_SHIFT", self._settle(step.bake_us))
        self._step = None
        yield from self._stage("POST_PRODUCTION_TRAFFIC_SHIFT")
        yield from self._stage("BAKE_TIME", self._wait(plan.bake_us), hooks=False)
        yield from self._clean_up()

    def _roll_back(self) -> Process:
        """Send traffic back at once, and stop what was rolled out.

        Of the hooks only those of the two stages that shift traffic are called again, as far as the deployment had come to them; whatever
        they say, the rollback goes on.
        """
        self.scaled_up = True
        controller, came = self._controller, self._controller.came_to
        controller.shift(self, production=100.0, test=100.0)
        for stage in ("PRODUCTION_TRAFFIC_SHIFT", "TEST_TRAFFIC_SHIFT"):
            if stage in came:
                yield from self._stage(stage, self._settle())
        yield from self._clean_up()

    def _clean_up(self) -> Process:
        yield from self._halt()
        self.cleaning = True
        self._controller.past_return(self.deployment)
        yield from self._stage(
            "CLEAN_UP", self._until(lambda: self._controller.alone(self.deployment)), hooks=False, limit_us=None
        )

    def _stage(
        self, name: str, work: Process | None = None, *, hooks: bool = True, limit_us: int | None = STAGE_US
    ) -> Process:
        """Go through a stage: its hooks, then its work."""
        yield from self._halt()
        self.stage = self.deployment.stage = name
        self._since = self._kit.now
        self._entered += 1
        if limit_us is not None:
            self._limit(self._entered, self._since + limit_us, limit_us)
        self._controller.entered(self)
        calls = self.hooks.at(name) if hooks else []
        if calls and not all(call.done.triggered for call in calls):
            yield simpy.AllOf(self._kit.env, [call.done for call in calls])
        if work is not None:
            yield from work
        self._leave("SUCCEEDED", "")

    def _halt(self) -> Process:
        """Go no further if the deployment has just failed: the scheduler's next look gives it up."""
        if self._controller.condemned(self.deployment):
            yield self._kit.env.event()

    def _wait(self, us: int) -> Process:
        if us > 0:
            yield self._kit.env.timeout(us)

    def _settle(self, bake_us: int = 0) -> Process:
        """Wait until a Network Load Balancer does what its weights say, then bake."""
        yield from self._wait(self._controller.settle_us())
        yield from self._wait(bake_us)

    def _until(self, true: Callable[[], bool]) -> Process:
        self._controller.attend()
        if not true():
            event = self._kit.env.event()
            self._waiting = (true, event)
            yield event

    def _whole(self) -> bool:
        return self._controller.whole(self.deployment)

    def _limit(self, entered: int, at_us: int, limit_us: int) -> None:
        """Give up if the same stage lasts at an instant still; a pause may last as long as it says."""

        def check() -> None:
            if self.over or self._entered != entered or self.stage == "":
                return
            pause = self.hooks.pauses_until()
            if pause is not None and pause >= self._kit.now:
                self._limit(entered, pause + 1, limit_us)
            else:
                self._controller.give_up(self.deployment, f"{self.stage} lasted longer than {_hours(limit_us)}")

        # what ends at that very instant has not lasted longer: a bake of 24 hours is legal
        self._kit.at(at_us, lambda: self._kit.at(at_us, check))

    def _too_long(self) -> None:
        if not self.over:
            self._controller.give_up(self.deployment, "the deployment lasted longer than 30 days")

    def _leave(self, result: str, reason: str) -> None:
        if self.stage == "":
            return
        deployment, service = self.deployment, self._controller.service
        self._kit.recorder.deployment_stages.append(
            (
                deployment.deployment_id,
                service.cluster.name,
                service.name,
                deployment.revision.name,
                self.stage,
                self._step if self.stage in ("PRE_PRODUCTION_TRAFFIC_SHIFT", "PRODUCTION_TRAFFIC_SHIFT") else None,
                self._since,
                None if result == "IN_PROGRESS" else self._kit.now,
                float(self.production),
                float(self.test),
                result,
                reason or None,
            )
        )
        self.stage = ""


def _hours(us: int) -> str:
    hours = us / 3600 / US_PER_S
    return f"{hours:g} hour{'s' if hours != 1 else ''}"
