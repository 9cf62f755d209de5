"""The service scheduler: keeps a service's tasks alive and moves it from one revision to the next.

One control loop: observe (counts per deployment), decide (a pure function of `fargsim.policy`), act. The loop runs at ticks of the
scheduler's grid at which something may have changed; a settled service costs nothing. What a look decides is the controller's business
(`fargsim.sim.controllers`; `fargsim.sim.rolling` for replica services), what it does is `fargsim.sim.service_actions`, how deployments
begin and end is `fargsim.sim.service_deployments`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from fargsim.model.service import CreateService
from fargsim.policy.deployment import bounds, scaled_wanted
from fargsim.policy.health import standing_of
from fargsim.sim.controllers import Controller, controller_of, kind_of, maker_of
from fargsim.sim.deployments import REVISION_KEYS, DeploymentRun
from fargsim.sim.image_digests import needs_digests, resolution_failed, resolved
from fargsim.sim.kit import US_PER_S, Kit
from fargsim.sim.rebalancing import Rebalancer
from fargsim.sim.records import record_deployment
from fargsim.sim.scale_in_protection import Protection
from fargsim.sim.service_actions import ServiceActions
from fargsim.sim.service_deployments import Rollouts
from fargsim.sim.service_events import ServiceEvents
from fargsim.sim.state import ClusterRun, Revision, TaskRun

if TYPE_CHECKING:
    from fargsim.sim.launching import Launcher
    from fargsim.sim.metering import ServiceMeter
    from fargsim.sim.registry import Registry
    from fargsim.sim.targets import TargetGroupRun

FAILED_BEFORE_RUNNING = ("TaskFailedToStart", "EssentialContainerExited")


class ServiceRun:
    """One service."""

    meter: ServiceMeter

    def __init__(
        self,
        kit: Kit,
        registry: Registry,
        launcher: Launcher,
        cluster: ClusterRun,
        spec: CreateService,
        groups: tuple[TargetGroupRun, ...],
    ) -> None:
        self.name = spec.service_name
        self.cluster = cluster
        self.spec = spec
        self.groups = groups
        self._groups_so_far = dict.fromkeys(groups)
        self.desired = spec.desired_count
        self.tasks: dict[str, TaskRun] = {}
        self.deployments: list[DeploymentRun] = []
        self.deleted = False
        self.running = 0
        self.events = ServiceEvents(kit, cluster.name, self.name)
        self._kit = kit
        self._launcher = launcher
        self._due: int | None = None
        self._followed = False
        self._quiet_until = 0
        self._running_us = 0.0
        self._running_at = kit.now
        self.actions = ServiceActions(kit, launcher, self)
        self.rollouts = Rollouts(kit, registry, self)
        self.protection = Protection(kit, self)
        self.rebalancing = Rebalancer(kit, registry, self)
        self.leaves_last: Callable[[TaskRun], None] | None = None
        """Who sees to it that a task is the last to stop on a draining instance; None where it is replaced."""
        self._kind = kind_of(spec)
        self.controller: Controller = controller_of(kit, self)
        self.created_at = kit.now
        self._listens_to = (cluster.on_capacity, registry.fargate.on_freed)
        for tell in self._listens_to:
            tell.append(self._capacity_changed)

    # what others read

    @property
    def group_name(self) -> str:
        """The task group of the service."""
        return f"service:{self.name}"

    @property
    def primary(self) -> DeploymentRun:
        """The newest deployment."""
        return self.deployments[0]

    @property
    def revision(self) -> Revision:
        """The revision of the newest deployment."""
        return self.primary.revision

    @property
    def pending(self) -> int:
        """Tasks on the way to RUNNING."""
        return sum(d.counts["pending"] for d in self.deployments)

    @property
    def healthy(self) -> int:
        """Tasks that count as healthy."""
        return sum(d.counts["healthy"] for d in self.deployments)

    @property
    def deploying(self) -> bool:
        """Whether a deployment is in progress."""
        return self.primary.rollout_state == "IN_PROGRESS"

    def target_groups(self, task: TaskRun) -> tuple[TargetGroupRun, ...]:
        """Return the target groups a task registers with."""
        return self.controller.target_groups(task)

    def use_groups(self, groups: tuple[TargetGroupRun, ...]) -> None:
        """Let the newest deployment's target groups be the service's."""
        self.groups = groups
        self._groups_so_far |= dict.fromkeys(groups)

    def count_on(self, former: ServiceRun) -> None:
        """Count the requests of the target groups, too, that a deleted service of the same name has had."""
        self._groups_so_far = former._groups_so_far | self._groups_so_far

    @property
    def at_rest(self) -> bool:
        """Whether no change of a user's is still to be noticed."""
        return self._kit.now >= self._quiet_until

    def group_with_requests(self) -> TargetGroupRun | None:
        """Return the newest deployment's target group that traffic reaches, if any."""
        return next((g for g in self.groups if g.bridge is not None), None)

    def groups_with_requests(self) -> tuple[TargetGroupRun, ...]:
        """Return the target groups that traffic reaches, of all that the service has had, so that counts never go back."""
        return tuple(group for group in self._groups_so_far if group.bridge is not None)

    def running_integral_us(self) -> float:
        """Return the time integral of the RUNNING tasks so far, in task-microseconds."""
        now = self._kit.now
        self._running_us += self.running * (now - self._running_at)
        self._running_at = now
        return self._running_us

    # what users change

    def deploy(self, revision: Revision) -> None:
        """Start a deployment of the present specification."""
        self.choose_controller()
        deployment = self.rollouts.deploy(revision)
        deployment.resolving = needs_digests(self._kit, revision)
        self.react_to_user()

    def choose_controller(self) -> None:
        """Let whom the present specification asks for deploy from now on."""
        former, kind = self._kind, kind_of(self.spec)
        self._kind = kind
        if maker_of(kind) is not maker_of(former):
            holder = self.controller.hand_over()
            self.controller = controller_of(self._kit, self)
            self.controller.take_over(holder)

    def settle(self) -> None:
        """Let the desired tasks be there already, as a service that has run before the simulation begins."""
        deployment = self.primary
        deployment.wanted = self.desired
        deployment.resolving = False
        if deployment.watch is not None:
            deployment.watch.skip_bake()
        for _ in range(self.desired):
            outcome = self._launcher.launch_for_service(self, deployment, settled=True)
            if not isinstance(outcome, TaskRun):
                break
            self.tasks[outcome.task_id] = outcome
            deployment.put(outcome, "pending")

    def update(self, spec: CreateService, revision: Revision, new_deployment: bool) -> None:
        """Take a changed specification."""
        other_grace = spec.health_check_grace_period_seconds != self.spec.health_check_grace_period_seconds
        self.spec = spec
        for task in list(self.tasks.values()) if other_grace else ():
            self._judge_after_grace(task)
        for deployment in self.deployments:
            # what does not belong to a revision holds for all of them at once
            own = {key: getattr(deployment.spec, key) for key in REVISION_KEYS}
            deployment.spec = spec.model_copy(update=own)
        if spec.scheduling_strategy != "DAEMON" and spec.desired_count != self.desired:
            self.set_desired(spec.desired_count)
        if new_deployment:
            self.deploy(revision)
        else:
            self.react_to_user()

    def set_desired(self, desired: int) -> None:
        """Change the desired count, as UpdateService and Application Auto Scaling do."""
        if desired == self.desired:
            return
        for old in self.deployments[1:]:
            old.wanted = scaled_wanted(old.wanted, self.desired, desired)
        self.desired = desired
        self.spec = self.spec.model_copy(update={"desired_count": desired})
        self.actions.disturbed()
        if self.primary.watch is not None:
            self.primary.watch.recheck()
        self.react_to_user()

    def delete(self) -> None:
        """Drain and delete the service; protection from scale-in does not outlive it."""
        self.deleted = True
        for task in self.tasks.values():
            self.protection.forget(task)
        self.set_desired(0)

    def react_to_user(self) -> None:
        """Look a while after a user's change, and not before."""
        low, high = self._kit.us("scheduler_delay_min_s"), self._kit.us("scheduler_delay_max_s")
        if self._kit.now >= self._quiet_until:
            # whatever else wakes the scheduler meanwhile, it does not see the change before
            self._quiet_until = self._kit.now + round(self._kit.streams[f"scheduler/{self.name}"].uniform(low, high))
        self.attend(self._quiet_until)

    # what tasks tell

    def task_moved(self, task: TaskRun) -> None:
        """Take note of a task's new status."""
        if task.last_status == "RUNNING":
            self.running_integral_us()
            self.running += 1
            self.actions.throttle.reset()
        elif task.started_at is not None and task.last_status in (
            "DEACTIVATING",
            "STOPPING",
            "DEPROVISIONING",
            "STOPPED",
        ):
            self._count_out(task)
        if not task.alive:
            self._gone(task)

    def _count_out(self, task: TaskRun) -> None:
        if task.counted_running:
            self.running_integral_us()
            self.running -= 1
            task.counted_running = False
            self.meter.left_running(task)

    def digests_known(self, task: TaskRun) -> None:
        """Take note that a task's agent has read the manifests of its images and begins to pull."""
        resolved(self._kit, self, task)

    def task_started(self, task: TaskRun, health_checked: bool) -> None:
        """Watch a task that has just reached RUNNING until it counts as healthy."""
        task.counted_running = True
        task.health_checked = health_checked
        deployment = self.deployment_of(task)
        if deployment is not None and task in deployment.standing:
            deployment.put(task, "undecided")
            if deployment.watch is not None:
                deployment.watch.saw("running")
        if task.settled:
            self._judge(task)
        elif not self.groups and not health_checked:
            wait = self._kit.us("no_health_check_wait_s")
            self._kit.at(self._kit.now + wait, lambda: self._judge(task))
        if self.spec.health_check_grace_period_seconds:
            self._judge_after_grace(task)
        for group, _ in task.targets:
            self.events.say(f"registered 1 targets in (target-group {group.arn})")
        self.attend(self._kit.now)

    def target_health_changed(self, task: TaskRun) -> None:
        """Judge a task whose target changed its health."""
        self._judge(task)

    def health_changed(self, task: TaskRun) -> None:
        """Judge a task whose container health changed."""
        self._judge(task)

    def host_draining(self, task: TaskRun) -> None:
        """Replace a task because its instance drains; one that has not started is stopped at once."""
        if self.leaves_last is not None:
            self.leaves_last(task)
            return
        if task.started_at is None:
            self.actions.stop(task, "Task stopped: its container instance is draining", "ServiceSchedulerInitiated")
        else:
            task.host_drains = True
            self._judge(task)
        self.attend(self._kit.now + self._kit.us("service_reaction_s"))

    def task_stopped(self, task: TaskRun) -> None:
        """Forget a task that has stopped."""
        self._count_out(task)
        self.tasks.pop(task.task_id, None)
        self.protection.forget(task)
        self.meter.forget(task)
        deployment = self.deployment_of(task)
        if deployment is not None:
            deployment.stopping -= 1
        self.attend(self._kit.now)

    def _gone(self, task: TaskRun) -> None:
        # it may have been judged healthy while its agent was cut off and nobody heard that it had ended
        task.healthy = False
        deployment = self.deployment_of(task)
        if deployment is None or not deployment.leave(task):
            return
        stop = task.stop_wanted
        # an essential container may end while others of its task still wait for their turn
        if task.started_at is None and stop is not None and stop.code in FAILED_BEFORE_RUNNING:
            self.actions.failed_to_start(task)
            if deployment.resolving:
                resolution_failed(self._kit, deployment)
        if task.started_at is None and deployment is not self.primary:
            # a revision that is being replaced keeps what it has; what never ran is not tried again
            deployment.wanted = max(0, deployment.wanted - 1)
        # nobody here asked for it: the task was lost, and it takes the scheduler a while to notice
        self.actions.disturbed()
        while deployment.successor is not None:
            deployment = deployment.successor  # who will notice
        deployment.unnoticed += 1
        notice_at = self._kit.now + self._kit.us("service_reaction_s")
        self._kit.at(notice_at, lambda: self._notice(deployment))

    def _notice(self, deployment: DeploymentRun) -> None:
        while deployment.successor is not None:
            deployment = deployment.successor
        deployment.unnoticed -= 1
        self.attend(self._kit.now)

    def _judge(self, task: TaskRun) -> None:
        """Decide whether a running task counts as healthy, must be replaced, or neither yet."""
        deployment = self.deployment_of(task)
        if deployment is None or task not in deployment.standing or task.started_at is None:
            return
        kit = self._kit
        since_us = kit.now - task.started_at
        standing = standing_of(
            tuple(target.state for _, target in task.targets),
            task.health_status if task.health_checked and not task.settled else None,
            waited=task.settled or since_us >= kit.us("no_health_check_wait_s"),
            in_grace=since_us < self.spec.health_check_grace_period_seconds * US_PER_S,
        )
        if task.host_drains:
            # what Fargate retires goes even where the bounds let nothing go
            serves = standing == "healthy" and not (task.retires and self._fixed())
            if task.serves != serves:
                task.serves = serves
                self.attend(kit.now)
            standing = "unhealthy"  # it must be replaced in any case
        if standing == deployment.standing[task]:
            return
        deployment.put(task, standing)
        task.healthy = standing == "healthy"
        if task.healthy and deployment.watch is not None:
            deployment.watch.saw("healthy")
        if task.healthy and task.healthy_at is None:
            task.healthy_at = kit.now
        if standing == "unhealthy" and not task.host_drains:
            failed = next(((g, t) for g, t in task.targets if t.state == "unhealthy"), None)
            where = "container" if failed is None else f"(target-group {failed[0].arn})"
            why = "Health checks failed" if failed is None else failed[1].contact.reason
            self.events.say(f"(task {task.task_id}) is unhealthy in {where} due to (reason {why}).", kind="WARN")
        self.actions.disturbed()
        self.attend(kit.now)

    def _fixed(self) -> bool:
        """Whether the bounds let nobody start and nobody stop."""
        configuration = self.spec.deployment_configuration
        found = bounds(self.desired, configuration.minimum_healthy_percent, configuration.maximum_percent)
        return found.fixed(self.desired)

    def _judge_after_grace(self, task: TaskRun) -> None:
        if task.started_at is not None:
            ends = task.started_at + self.spec.health_check_grace_period_seconds * US_PER_S
            self._kit.at(ends, lambda: self._judge(task))

    def deployment_of(self, task: TaskRun) -> DeploymentRun | None:
        """Return the deployment a task belongs to, while it is there."""
        return next((d for d in self.deployments if d.deployment_id == task.deployment_id), None)

    def _capacity_changed(self) -> None:
        if self.actions.refused:
            self.attend(self._kit.now)
        self.rebalancing.capacity_changed()

    # the loop

    def attend(self, at_us: int) -> None:
        """Have the scheduler look at the service at the first tick not before an instant."""
        due = self._kit.grid(max(at_us, self._kit.now, self._quiet_until))
        if self._due is not None and self._due <= due:
            return
        self._due = due
        self._kit.at(due, lambda: self._look(due))

    def _look(self, due: int) -> None:
        if self._due != due or self._followed:
            return
        self._due = None
        if self._kit.now < self._quiet_until:
            self.attend(self._quiet_until)
        else:
            self.rollouts.judge()
            self.controller.step()

    # what is written down

    def finish(self) -> None:
        """Record the deployments that are still there at the end of the run."""
        self.controller.finish()
        for deployment in self.deployments:
            record_deployment(self._kit, self, deployment)

    def followed(self) -> None:
        """Say and do nothing any more: another service has taken the name of this deleted one."""
        self.finish()
        self._followed = True
        self.actions.disturbed()
        for tell in self._listens_to:
            tell.remove(self._capacity_changed)
        self.cluster.capacity_changed()  # a daemon service has held places
