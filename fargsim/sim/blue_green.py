"""Deployments that shift traffic: the controller of blue/green, linear and canary.

The new service revision (green) stands beside the old one (blue), behind a target group of its own; traffic moves from one to the other
by the weights of a listener rule. The next deployment takes the other target group.

Sources: Amazon ECS Developer Guide, deployment-type-blue-green.html, blue-green-deployment-how-it-works.html,
blue-green-deployment-implementation.html; Amazon ECS API Reference, API_AdvancedConfiguration.html.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from fargsim.model.service import CreateService
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
        self.holder: ServiceRevisionRun | None = service.primary.service_revision if service.deployments else None
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
        low, high = configuration.minimum_healthy_percent, configuration.maximum_percent
        throttled = actions.throttle.holds(now) or actions.placement.waits()
        launches = 0 if throttled else actions.launches()
        surplus = service.rebalancing.surplus()
        step = side_by_side(
            [
                Side(self._view(d), self._desired(d) + (surplus if d is service.primary else 0))
                for d in service.deployments
            ],
            minimum_healthy_percent=100 if low is None else low,
            maximum_percent=200 if high is None else high,
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
        service.rebalancing.step()
        if service.primary.rollout_state == "COMPLETED":
            service.rollouts.retire()
            if step.complete and len(service.deployments) == 1:
                actions.settled()

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
        # what is rolled back stands until traffic has gone back
        return service.desired if own is self.holder or deployment.deployment_id == shift.deployment.rollback_of else 0

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
