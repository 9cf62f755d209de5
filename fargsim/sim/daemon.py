"""Daemon services: the controller that keeps one task on every ACTIVE instance that meets the service's constraints.

Source: Amazon ECS Developer Guide, ecs_service-options.html (daemon scheduling strategy: resources reserved ahead of replica tasks, first
to launch, last to stop, constraints evaluated for running tasks), container-instance-draining.html, ecs_service_events.html.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import simpy

from fargsim.model.service import CreateService
from fargsim.policy.daemon import DaemonHost, DaemonStanding, DaemonStep, daemon_step
from fargsim.policy.needs import TaskNeeds
from fargsim.policy.placement import PlacementPlan, matching
from fargsim.policy.views import Mask
from fargsim.sim.kit import Kit
from fargsim.sim.state import Revision, TaskRun
from fargsim.sim.where import Where

if TYPE_CHECKING:
    from fargsim.sim.deployments import DeploymentRun, ServiceRevisionRun
    from fargsim.sim.groups import InstanceRun
    from fargsim.sim.service_scheduler import ServiceRun
    from fargsim.sim.targets import TargetGroupRun

VIOLATED = "SERVICE_DAEMON_PLACEMENT_CONSTRAINT_VIOLATED"
REASONS = {
    "constraint": "Task no longer meets the placement constraints of its daemon service",
    "draining": "Task stopped: its container instance is draining",
}


class DaemonController:
    """Keeps a daemon service's tasks where they belong: `fargsim.policy.daemon.daemon_step`.

    What a new task needs is taken on an instance before anybody else can have it: at once when the instance registers, and from the instant
    at which the task before it gives its place back.
    """

    def __init__(self, kit: Kit, service: ServiceRun) -> None:
        self._kit = kit
        self._service = service
        self._plans: dict[object, PlacementPlan] = {}
        self._there: dict[int, TaskRun] = {}
        """The newest task on each row, alive or not."""
        self._ours: set[TaskRun] = set()
        """Tasks that were stopped from here: the loss of the others takes a while to be noticed."""
        self._held: dict[int, TaskNeeds] = {}
        """Rows on which a place is held for a task that starts later."""
        self._emptying: set[InstanceRun] = set()
        service.cluster.daemons.append(self._capacity_changed)
        service.leaves_last = self.host_draining

    # the protocol of controllers

    def begin(self, deployment: DeploymentRun) -> None:
        """Take a new deployment: the next look at the service finds it."""
        if not self._service.deleted:
            self._want(
                int(np.count_nonzero(self._wanted(deployment.revision))), silent=len(self._service.deployments) == 1
            )

    def failed(self, deployment: DeploymentRun) -> None:
        """Take note that a deployment has been given up: it starts nothing any more."""

    def hand_over(self) -> ServiceRevisionRun | None:
        """Leave off: never, a daemon service stays one."""
        return None

    def take_over(self, holder: ServiceRevisionRun | None) -> None:
        """Go on where another controller has left off: never, a daemon service has been one from its begin on."""

    def place(self, spec: CreateService) -> tuple[TargetGroupRun, ...]:
        """Return the target groups of a new revision: those that its specification names."""
        registry = self._service.rollouts.registry
        return tuple(registry.target_group(b.target_group_arn) for b in spec.load_balancers)

    def finish(self) -> None:
        """Hold no places any more; what is under way are the deployments, which the service writes down."""
        for row in list(self._held):
            self._let_go(row)

    def target_groups(self, task: TaskRun) -> tuple[TargetGroupRun, ...]:
        """Return the target groups of the task's service revision."""
        deployment = self._service.deployment_of(task)
        return self._service.groups if deployment is None else deployment.groups

    def host_draining(self, task: TaskRun) -> None:
        """Let a task be the last to stop on its draining instance; one that has not started is stopped at once."""
        instance = task.instance
        assert instance is not None
        if task.started_at is None:
            self._stop(task, "draining")
        elif instance not in self._emptying:
            self._emptying.add(instance)
            self._kit.env.process(self._when_alone(instance))
        self._service.attend(self._kit.now + self._kit.us("service_reaction_s"))

    def _when_alone(self, instance: InstanceRun) -> Generator[simpy.Event, Any, None]:
        while instance.busy and instance.status == "DRAINING":
            yield instance.when_freed(self._kit.env)
        self._emptying.discard(instance)
        self._service.attend(self._kit.now)

    # what a task needs, and where

    def _plan(self, revision: Revision) -> PlacementPlan:
        spec = self._service.spec
        key = (revision.name, spec.placement_constraints, spec.network_configuration)
        plan = self._plans.get(key)
        if plan is None:
            plan = self._plans[key] = self._service.actions.plan(revision)
        return plan

    def _wanted(self, revision: Revision) -> Mask:
        """Return on which instances of the fleet a task is wanted."""
        fleet = self._service.cluster.fleet
        return matching(self._plan(revision), fleet.view(), fleet.group(self._service.group_name))

    def _fits(self, row: int, revision: Revision) -> bool:
        fleet = self._service.cluster.fleet
        view, group = fleet.view(), fleet.group(self._service.group_name)
        return all(
            bool(check.passes(view, group)[row]) if check.row_passes is None else check.row_passes(view, group, row)
            for check in self._plan(revision).checks
        )

    def _hold(self, row: int, needs: TaskNeeds) -> None:
        self._service.cluster.fleet.take(row, needs, f"held:{self._service.group_name}")
        self._held[row] = needs

    def _let_go(self, row: int) -> None:
        needs = self._held.pop(row, None)
        if needs is not None:
            self._service.cluster.fleet.release(row, needs, f"held:{self._service.group_name}")

    def _capacity_changed(self) -> None:
        """Take the place of a daemon task on every instance that lacks one, before others can; start it there if nothing is in its way."""
        service = self._service
        if service.deleted or not service.deployments:
            return
        fleet, revision = service.cluster.fleet, service.revision
        wanted = self._wanted(revision)
        view, group = fleet.view(), fleet.group(service.group_name)
        if np.any((group.tasks > 0) & view.active & ~wanted) or np.count_nonzero(wanted) != service.desired:
            service.attend(self._kit.now)
        lacking = np.flatnonzero(wanted & (group.tasks == 0) & view.agent_connected)
        free = [row for row in lacking.tolist() if row not in self._held and self._fits(row, revision)]
        for row in free:
            self._hold(row, self._plan(revision).needs)
        if free:
            self._now_or_later([row for row in free if not self._blocked(row)])

    def _now_or_later(self, rows: list[int]) -> None:
        """Start on instances that have just come, unless somebody's change is still to be noticed; the rest at the next look."""
        service, deployment = self._service, self._service.primary
        if rows and service.at_rest and not deployment.resolving and not service.actions.throttle.holds(self._kit.now):
            self._start(deployment, rows[: service.actions.launches()])
            self._want(int(np.count_nonzero(self._wanted(service.revision))))
            service.actions.disturbed()
        service.attend(self._kit.now)

    # the loop

    def step(self) -> None:
        """Look once: observe, decide, act."""
        service, actions, now = self._service, self._service.actions, self._kit.now
        given_back = [row for row in self._held if not self._lacks(row)]
        for row in given_back:
            self._let_go(row)
        if given_back:
            service.cluster.capacity_changed()
        hosts = self._hosts()
        throttled = actions.throttle.holds(now) or actions.placement.waits()
        low = service.spec.deployment_configuration.minimum_healthy_percent
        step = daemon_step(
            hosts,
            minimum_healthy_percent=0 if low is None else low,
            failed=service.primary.rollout_state == "FAILED",
            resolving=service.primary.resolving,
            launches=0 if throttled else actions.launches(),
        )
        if service.desired != step.desired:
            self._want(step.desired)
            actions.disturbed()
        self._act(step)
        if throttled:
            service.attend(max(actions.throttle.not_before, actions.placement.not_before))
        elif actions.launches() == 0 and any(h.standing is None for h in hosts):
            service.attend(now + self._kit.us("scheduler_tick_s"))
        self._close(step)

    def _want(self, number: int, silent: bool = False) -> None:
        """Let the desired count be what the scheduler has found; the count at the creation, and none at the end, are the user's doing."""
        service = self._service
        if number != service.desired and not (silent or service.deleted):
            text = f"updated desiredCount from {service.desired} to {number}."
            service.events.announce(text, "SERVICE_DESIRED_COUNT_UPDATED")
        service.desired = number

    def _lacks(self, row: int) -> bool:
        service = self._service
        if service.deleted or not self._wanted(service.revision)[row]:
            return False
        return not service.cluster.fleet.group(service.group_name).tasks[row]

    def _blocked(self, row: int) -> bool:
        """Whether a task cannot start on an instance yet, because of the one before it or because its agent is away."""
        instance = self._service.cluster.instances_by_row.get(row)
        if instance is None or instance.reconnected is not None:
            return True
        former = self._there.get(row)
        if former is None or former.alive:
            return False
        if former.last_status != "STOPPED" and self._kit.parameters.flag("count_stopping_in_max"):
            return True
        if former in self._ours:
            return False
        # nobody here asked for it: the task was lost, and it takes the scheduler a while to notice
        noticed_at = (former.stopping_at or former.stopped_at or self._kit.now) + self._kit.us("service_reaction_s")
        if self._kit.now < noticed_at:
            self._service.attend(noticed_at)
            return True
        return False

    def _hosts(self) -> list[DaemonHost]:
        service = self._service
        standings: dict[int, tuple[DaemonStanding | None, bool]] = {}
        for deployment in service.deployments:
            for task, standing in deployment.standing.items():
                if task.instance is not None and task.instance.row is not None:
                    standings[task.instance.row] = (standing, deployment is service.primary)
                    self._there[task.instance.row] = task
        wanted = self._wanted(service.revision)
        hosts = []
        nobody: tuple[DaemonStanding | None, bool] = (None, True)
        for row, instance in service.cluster.instances_by_row.items():
            stands, newest = standings.get(row, nobody)
            place: Literal["wanted", "unmet", "draining"] = "draining" if instance.status == "DRAINING" else "unmet"
            if wanted[row] and not service.deleted:
                place = "wanted"
            if stands is None and place != "wanted":
                continue
            blocked = stands is None and self._blocked(row)
            protected = stands is not None and self._there[row] in service.protection
            hosts.append(DaemonHost(row, place, stands, newest, blocked, not instance.busy, protected))
        return hosts

    def _act(self, step: DaemonStep) -> None:
        service, actions = self._service, self._service.actions
        stopped = []
        for row, why in step.stops:
            task = self._there[row]
            if why == "constraint" and not service.deleted:
                text = f"(task {task.task_id}) no longer meets the placement constraints of the service."
                service.events.say(text, VIOLATED, "ERROR")
            self._stop(task, why)
            stopped.append(task)
        actions.tell_stopped(stopped)
        if step.starts:
            # where a place is held it is there; one that finds none ends this round
            self._start(service.primary, sorted(step.starts, key=lambda row: row not in self._held))

    def _start(self, deployment: DeploymentRun, rows: list[int]) -> None:
        for row in rows:
            self._let_go(row)
        for task in self._service.actions.start(deployment, len(rows), [Where(host=row) for row in rows]):
            assert task.instance is not None
            assert task.instance.row is not None
            self._there[task.instance.row] = task

    def _stop(self, task: TaskRun, why: str) -> None:
        actions = self._service.actions
        self._ours.add(task)
        reason = REASONS.get(why) if not self._service.deleted else None
        actions.stop(task, reason or actions.reason_to_stop(task, why == "unhealthy"), "ServiceSchedulerInitiated")

    def _close(self, step: DaemonStep) -> None:
        service = self._service
        deployment = service.primary
        self._ours.intersection_update(self._there.values())
        if step.stalled and not service.protection.blocks_deployment():
            service.events.once(
                "was unable to stop or start tasks during a deployment because of the service deployment configuration. "
                "Update the minimumHealthyPercent or maximumPercent value and try again.",
                "",
                "WARN",
            )
        watch = deployment.watch
        sound = watch is None or (watch.verdict is None and step.complete and watch.baked())
        if step.complete and deployment.rollout_state == "IN_PROGRESS" and sound:
            service.rollouts.complete(deployment)
        if deployment.rollout_state == "COMPLETED":
            service.rollouts.retire()
            if step.complete and len(service.deployments) == 1:
                service.actions.settled()
