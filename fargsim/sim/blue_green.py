"""Deployments that shift traffic: the controller of blue/green, linear and canary.

The new service revision (green) stands beside the old one (blue), behind a target group of its own; traffic moves from one to the other
by the weights of a listener rule. The next deployment takes the other target group.

Sources: Amazon ECS Developer Guide, deployment-type-blue-green.html, blue-green-deployment-how-it-works.html,
blue-green-deployment-implementation.html; Amazon ECS API Reference, API_AdvancedConfiguration.html.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from fargsim.model.service import CreateService
from fargsim.policy.deployment import bounds
from fargsim.policy.traffic_shift import MINUTE_US, Side, side_by_side, steps_of
from fargsim.sim.deployment_watch import Verdict
from fargsim.sim.kit import Kit
from fargsim.sim.lifecycle_hooks import HookCalls
from fargsim.sim.rolling import RollingController
from fargsim.sim.state import TaskRun
from fargsim.sim.traffic_shift import Plan, Route, Shift, routes_of, send

if TYPE_CHECKING:
    from fargsim.sim.deployments import DeploymentRun, ServiceRevisionRun
    from fargsim.sim.service_scheduler import ServiceRun
    from fargsim.sim.targets import TargetGroupRun


class ShiftController(RollingController):
    """Keeps the revisions of a service side by side and moves production traffic to the newest one."""

    def __init__(self, kit: Kit, service: ServiceRun) -> None:
        super().__init__(kit, service)
        self.service = service
        self._registry = service.rollouts.registry
        self.holder: ServiceRevisionRun | None = None
        """The revision that production traffic belongs to: it is gone back to, and stands until the next one is cleaned up after."""
        self.shift_run: Shift | None = None
        self.came_to: tuple[str, ...] = ()
        """Stages that the deployment had come to that is being rolled back."""
        self._stages: list[str] = []
        self._routes: dict[int, Route] = {}

    # what a service asks of its controller

    def place(self, spec: CreateService) -> tuple[TargetGroupRun, ...]:
        """Return the target groups of a new revision: those that production traffic does not reach."""
        routes = self.find_routes()
        found = []
        for n, balancer in enumerate(spec.load_balancers):
            group = self._registry.target_group(balancer.target_group_arn)
            route = routes.get(n)
            if route is not None and self._taken(route):
                group = route.alternate
            found.append(group)
        return tuple(found)

    def hand_over(self) -> ServiceRevisionRun | None:
        """Leave off: what is under way ends, and all traffic belongs to one revision again."""
        if self.shift_run is not None:
            self.shift_run.stop("STOPPED", "superseded by a newer deployment")
        if self.holder is not None:
            self.to_holder()
        return self.holder

    def take_over(self, holder: ServiceRevisionRun | None) -> None:
        """Go on from the revision that has the production traffic; where all have had it, from the last one that was completed."""
        self.holder = holder

    def find_routes(self) -> dict[int, Route]:
        """Return the target groups and listener rules of the service, by the place of the target group in `loadBalancers`."""
        return routes_of(self._registry, self.service.spec)

    def _taken(self, route: Route) -> bool:
        """Whether the primary target group belongs to the revision with the production traffic."""
        return self.holder is not None and route.primary in self.holder.groups

    def begin(self, deployment: DeploymentRun) -> None:
        """Begin a deployment, or a rollback, which sends traffic back at once."""
        former = self.shift_run
        if former is not None:
            former.stop("STOPPED", "superseded by a newer deployment")
        first = self.holder is None
        self.holder = self.holder or deployment.service_revision
        self._routes = self.find_routes() or self._routes
        # whatever target group traffic has reached counts as the service's
        groups = [g for route in self._routes.values() for g in route.groups()]
        self.service.use_groups(tuple(dict.fromkeys((*deployment.groups, *groups))))
        shift = self.shift_run = Shift(self._kit, self, deployment, self.plan(deployment))
        if deployment.rollback_of is not None:
            self.holder = deployment.service_revision
            shift.start()
        elif first:
            self.to_holder()
        self._stages = [] if deployment.rollback_of is None else self._stages

    def failed(self, deployment: DeploymentRun) -> None:
        """Stop the course of a deployment that has been given up."""
        shift = self.shift_run
        if shift is not None and shift.deployment is deployment:
            self.came_to = tuple(self._stages)
            shift.stop("FAILED", deployment.rollout_reason)

    def target_groups(self, task: TaskRun) -> tuple[TargetGroupRun, ...]:
        """Return the target groups of the task's service revision."""
        deployment = self.service.deployment_of(task)
        return self.service.groups[:1] if deployment is None else deployment.groups

    def step(self) -> None:
        """Look once: every revision is kept by itself; then see whether the deployment can go on."""
        service, actions, shift = self.service, self.service.actions, self.shift_run
        now = self._kit.now
        if shift is not None and not shift.over:
            if service.deleted:
                shift.stop("STOPPED", "the service was deleted")
            else:
                shift.start()
        configuration = service.spec.deployment_configuration
        throttled = actions.throttle.holds(now) or actions.placement.waits()
        launches = 0 if throttled else actions.launches()
        surplus = service.rebalancing.surplus()
        step = side_by_side(
            [self._side(d, surplus if d is service.primary else 0) for d in service.deployments],
            minimum_healthy_percent=configuration.minimum_healthy_percent,
            maximum_percent=configuration.maximum_percent,
            count_stopping=self._kit.parameters.flag("count_stopping_in_max"),
            launches=launches,
        )
        for deployment in service.deployments:
            deployment.wanted = step.wanted[deployment.deployment_id]
        self._act(step)
        if throttled:
            service.attend(max(actions.throttle.not_before, actions.placement.not_before))
        elif launches == 0:
            service.attend(now + self._kit.us("scheduler_tick_s"))
        if shift is not None:
            shift.look()
        if (shift is None or shift.over or shift.cleaning) and not step.starts and not step.stops:
            self._tell_protected()
        service.rebalancing.step()
        if service.primary.rollout_state == "COMPLETED":
            service.rollouts.retire()
            if step.complete and len(service.deployments) == 1:
                actions.settled()

    def _side(self, deployment: DeploymentRun, surplus: int) -> Side:
        """Return a deployment as it should be kept now; one that is superseded gets no new task."""
        wanted, view = self._desired(deployment), self._view(deployment)
        if self._superseded(deployment):
            view = replace(view, failed=True)
        return Side(view, wanted + surplus)

    def _superseded(self, deployment: DeploymentRun) -> bool:
        """Whether it is neither what is rolled out or back nor what the production traffic belongs to."""
        shift = self.shift_run
        assert shift is not None
        kept = (self.holder, shift.deployment.service_revision)
        return deployment.service_revision not in kept and deployment.deployment_id != shift.deployment.rollback_of

    def _desired(self, deployment: DeploymentRun) -> int:
        """Return how many tasks of a deployment should live now."""
        service, shift = self.service, self.shift_run
        own = deployment.service_revision
        assert shift is not None
        if deployment.successor is not None:
            return 0  # another deployment of the same revision has taken over its tasks
        if shift.deployment is deployment:
            # one that has failed keeps what it has; it starts nothing any more
            return service.desired if shift.scaled_up or own is self.holder else 0
        if shift.cleaning or own is shift.deployment.service_revision:
            return 0
        if not self._superseded(deployment):
            return service.desired  # what is rolled back stands until traffic has gone back
        served = set() if self.holder is None else set(self.holder.groups)
        if served and not served & set(deployment.groups):
            return 0  # no traffic goes there, so that no bound speaks for it
        # a rolling update that was broken off has left the holder short of tasks: what it has started serves until the holder is whole
        low = service.spec.deployment_configuration.minimum_healthy_percent
        lower = bounds(service.desired, low, None).lower
        healthy = sum(d.counts["healthy"] for d in service.deployments if d.service_revision is self.holder)
        return min(len(deployment.standing), max(0, lower - healthy))

    def finish(self) -> None:
        """Write down the stage that is under way when the run ends."""
        if self.shift_run is not None:
            self.shift_run.finish()

    # what a course asks of its controller

    def plan(self, deployment: DeploymentRun) -> Plan:
        """Return what a deployment does in its stages."""
        configuration = self.service.spec.deployment_configuration
        minutes = configuration.bake_time_in_minutes
        if minutes is None:
            minutes = self._kit.parameters.number("blue_green_bake_min")  # type: ignore[assignment]
        assert minutes is not None
        return Plan(steps_of(configuration), round(minutes * MINUTE_US))

    def hook_calls(self, deployment: DeploymentRun) -> HookCalls:
        """Return the hooks of a deployment; those of a rollback cannot stop it."""
        give_up = self.give_up if deployment.rollback_of is None else self._go_on
        return HookCalls(
            self._kit,
            self.service.events,
            self.service.spec.deployment_configuration.lifecycle_hooks,
            self._registry.hooks,
            lambda reason: give_up(deployment, reason),
        )

    def _go_on(self, deployment: DeploymentRun, reason: str) -> None:
        """Let a rollback go on though a hook has failed."""
        shift = self.shift_run
        assert shift is not None
        for run in shift.hooks.runs:
            if not run.open and not run.done.triggered:
                run.done.succeed()

    def nothing_to_shift_from(self, deployment: DeploymentRun) -> bool:
        """Whether it is the first deployment of the service."""
        return self.holder is deployment.service_revision

    def unfinished(self, deployment: DeploymentRun) -> bool:
        """Whether tasks of other revisions are there than its own and the one with the production traffic."""
        kept = (deployment.service_revision, self.holder)
        return any(_present(d) for d in self.service.deployments if d.service_revision not in kept)

    def whole(self, deployment: DeploymentRun) -> bool:
        """Whether all the desired tasks of a deployment are healthy."""
        return deployment.counts["healthy"] >= self.service.desired

    def alone(self, deployment: DeploymentRun) -> bool:
        """Whether no task of another deployment is left."""
        return not any(_present(d) for d in self.service.deployments if d is not deployment)

    def attend(self) -> None:
        """Have the scheduler look."""
        self.service.attend(self._kit.now)

    def entered(self, shift: Shift) -> None:
        """Take note of the stage that a deployment has come to."""
        if shift.deployment.rollback_of is None:
            self._stages.append(shift.stage)

    def settle_us(self) -> int:
        """Return how long ECS waits after a shift for a Network Load Balancer to do what its weights say."""
        network = any(group.spec.network for route in self._routes.values() for group in route.groups())
        return self._kit.us("nlb_shift_delay_s") if network else 0

    def shift(self, shift: Shift, *, production: float | None = None, test: float | None = None) -> None:
        """Send a share of the production traffic, or of the test traffic, to a deployment's revision."""
        revision = shift.deployment.service_revision
        for n, route in self._routes.items():
            group = _of(revision, n, route)
            if production is not None:
                shift.production = production
                send(self._registry, route, route.production, group, production)
            if test is not None and route.test:
                shift.test = test
                send(self._registry, route, route.test, group, test)

    def to_holder(self) -> None:
        """Let all traffic belong to the revision that production traffic belongs to."""
        holder = self.holder
        assert holder is not None
        for n, route in self._routes.items():
            for rules in (route.production, route.test):
                send(self._registry, route, rules, _of(holder, n, route), 100.0)

    def condemned(self, deployment: DeploymentRun) -> bool:
        """Whether a deployment is about to be given up."""
        return deployment.watch is not None and deployment.watch.verdict is not None

    def past_return(self, deployment: DeploymentRun) -> None:
        """Let the production traffic belong to a deployment's revision for good: the others are cleaned up."""
        self.holder = deployment.service_revision
        self.service.rollouts.succeeded(deployment)
        if deployment.watch is not None:
            deployment.watch.close()

    def done(self, deployment: DeploymentRun) -> None:
        """Complete a deployment that has gone through all its stages."""
        self.service.rollouts.complete(deployment)
        self.attend()

    def give_up(self, deployment: DeploymentRun, reason: str) -> None:
        """Have a deployment rolled back."""
        if deployment.watch is not None:
            deployment.watch.fail(Verdict(reason, f"ECS deployment failed: {reason}.", rollback=True))


def _of(revision: ServiceRevisionRun, place: int, route: Route) -> TargetGroupRun:
    """Return which target group of a route a revision has."""
    groups = revision.groups[place : place + 1]
    return groups[0] if groups and groups[0] in route.groups() else route.primary


def _present(deployment: DeploymentRun) -> bool:
    return bool(deployment.standing or deployment.stopping or deployment.unnoticed)
