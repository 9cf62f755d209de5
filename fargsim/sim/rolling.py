"""Rolling deployments: the controller that `CreateService` gives a replica service unless told otherwise."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fargsim.model.service import CreateService
from fargsim.policy.deployment import RevisionView, ServiceView, Step, bounds, rolling_step
from fargsim.policy.early_success import EarlySuccess, progress
from fargsim.sim.kit import US_PER_S, Kit
from fargsim.sim.state import TaskRun

if TYPE_CHECKING:
    from fargsim.sim.deployments import DeploymentRun, ServiceRevisionRun
    from fargsim.sim.service_scheduler import ServiceRun
    from fargsim.sim.targets import TargetGroupRun

CLEANUP_US = 14 * 86_400 * US_PER_S
"""How long the clean-up of a source revision goes on after an early success (Amazon ECS Developer Guide, early-success-criteria.html)."""


class RollingController:
    """Moves a service toward its desired count and its newest revision: `fargsim.policy.deployment.rolling_step`."""

    def __init__(self, kit: Kit, service: ServiceRun) -> None:
        self._kit = kit
        self._service = service
        self._holder: ServiceRevisionRun | None = None
        """The revision with the production traffic when another controller left off; None when this one has deployed since."""

    def begin(self, deployment: DeploymentRun) -> None:
        """Take a new deployment: the next look at the service finds it."""

    def failed(self, deployment: DeploymentRun) -> None:
        """Take note that a deployment has been given up: it starts nothing any more."""

    def place(self, spec: CreateService) -> tuple[TargetGroupRun, ...]:
        """Return the target groups of a new revision: those that its specification names.

        Where they are named as before, the revision stays where its service is: a deployment that shifted traffic may have left it behind
        the alternate target group.
        """
        service = self._service
        if service.deployments:
            before = self._holder or service.primary.service_revision
            self._holder = None
            if [b.target_group_arn for b in spec.load_balancers] == [
                b.target_group_arn for b in before.spec.load_balancers
            ]:
                return before.groups
        registry = self._service.rollouts.registry
        return tuple(registry.target_group(b.target_group_arn) for b in spec.load_balancers)

    def hand_over(self) -> ServiceRevisionRun | None:
        """Leave off: all revisions have been reached by the same traffic. The last one that was completed is the one to go on from."""
        service = self._service
        target = service.rollouts.rollback_target()
        living = [d.service_revision for d in service.deployments]
        return living[0] if target is None or target.service_revision not in living else target.service_revision

    def take_over(self, holder: ServiceRevisionRun | None) -> None:
        """Go on from the revision with the production traffic: tasks that stand where no traffic goes make room."""
        self._holder = holder
        groups = set() if holder is None else set(holder.groups)
        for deployment in self._service.deployments if groups else ():
            deployment.unserved = not groups & set(deployment.groups)

    def finish(self) -> None:
        """Write down what is under way when the run ends: nothing but the deployments, which the service writes down."""

    def target_groups(self, task: TaskRun) -> tuple[TargetGroupRun, ...]:
        """Return the target groups of the task's service revision."""
        deployment = self._service.deployment_of(task)
        return self._service.groups if deployment is None else deployment.groups

    def step(self) -> None:
        """Look once: observe, decide, act."""
        service, actions = self._service, self._service.actions
        now = self._kit.now
        configuration = service.spec.deployment_configuration
        throttled = actions.throttle.holds(now) or actions.placement.waits()
        self._stop_unserved()
        view = ServiceView(
            service.desired + service.rebalancing.surplus(),
            bounds(service.desired, configuration.minimum_healthy_percent, configuration.maximum_percent),
            tuple(self._view(d) for d in service.deployments),
            stopping=max(0, len(service.tasks) - sum(len(d.standing) + d.unnoticed for d in service.deployments)),
            count_stopping=self._kit.parameters.flag("count_stopping_in_max"),
            launches=0 if throttled else actions.launches(),
        )
        step = rolling_step(view)
        for deployment in service.deployments:
            deployment.wanted = step.wanted[deployment.deployment_id]
        self._act(step)
        if throttled:
            service.attend(max(actions.throttle.not_before, actions.placement.not_before))
        elif view.launches == 0 or (step.stops and not view.count_stopping):
            # the minute of launches moves on, or what is stopping has made room already
            service.attend(now + self._kit.us("scheduler_tick_s"))
        self._tell(view, step)
        service.rebalancing.step()
        self._close(view, step)

    def _stop_unserved(self) -> None:
        """Stop what was rolled out by a shift of traffic that was broken off: no request reaches it, so no bound speaks for it."""
        actions, protection = self._service.actions, self._service.protection
        for deployment in self._service.deployments:
            if not deployment.unserved:
                continue
            stopped = [task for task in deployment.standing if task not in protection]
            for task in stopped:
                actions.stop(task, actions.reason_to_stop(task, False), "ServiceSchedulerInitiated")
            actions.tell_stopped(stopped)

    def _view(self, deployment: DeploymentRun) -> RevisionView:
        service = self._service
        if deployment.unserved:
            # protected tasks are left: they count for the upper bound, and never as healthy
            kept = len(deployment.standing) + deployment.unnoticed
            return RevisionView(
                deployment.deployment_id, 0, kept, protected_unjudged=kept, failed=True, stopping=deployment.stopping
            )
        primary = service.primary
        if (
            deployment is not primary
            and primary.completed_at is not None
            and primary.rollout_state == "COMPLETED"
            and self._kit.now > primary.completed_at + CLEANUP_US
        ):
            # nobody cleans up any more: what is left of the source stays
            return deployment.view(
                (deployment.counts["healthy"], deployment.counts["pending"] + deployment.counts["undecided"])
            )
        return deployment.view(service.protection.count(deployment))

    def _act(self, step: Step) -> None:
        actions = self._service.actions
        by_id = {d.deployment_id: d for d in self._service.deployments}
        stopped: list[TaskRun] = []
        for order in step.stops:
            deployment = by_id[order.deployment]
            # tasks that were lost unnoticed count as pending, and of what is surplus those go first: nobody stops in their place
            number = order.number if order.unhealthy else max(0, order.number - deployment.unnoticed)
            for task in actions.choose(deployment, number, order.unhealthy):
                actions.stop(task, actions.reason_to_stop(task, order.unhealthy), "ServiceSchedulerInitiated")
                stopped.append(task)
        actions.tell_stopped(stopped)
        for begin in step.starts:
            actions.start(by_id[begin.deployment], begin.number)

    def _tell(self, view: ServiceView, step: Step) -> None:
        """Say what keeps the service from getting where it should be."""
        service = self._service
        if not step.starts and not step.stops and self._tell_protected():
            return
        if step.stalled and not any(r.failed for r in view.revisions) and not service.protection.blocks_deployment():
            service.events.once(
                "was unable to stop or start tasks during a deployment because of the service deployment configuration. "
                "Update the minimumHealthyPercent or maximumPercent value and try again.",
                "",
                "WARN",
            )

    def _tell_protected(self) -> bool:
        """Say that nothing but protected tasks keeps a task set from scaling in, if that is so."""
        service = self._service
        alive = sum(len(d.standing) + d.unnoticed for d in service.deployments)
        if alive > service.desired and len(service.protection) > service.desired:
            kept = service.primary
        elif service.protection.blocks_deployment() and not any(
            d.counts["pending"] or d.counts["undecided"] for d in service.deployments
        ):
            kept = next(d for d in service.deployments[1:] if d.standing)
        else:
            return False
        service.events.once(
            f"was unable to reach steady state because task set (taskSet {kept.deployment_id}) was unable to scale in. "
            "Reason: The number of protected tasks are more than the desired count of tasks.",
            "TASKSET_SCALE_IN_FAILURE_BY_TASK_PROTECTION",
            "WARN",
        )
        return True

    def _close(self, view: ServiceView, step: Step) -> None:
        """Complete the newest deployment when it has come so far, and let those that are empty go."""
        service, rollouts, deployment = self._service, self._service.rollouts, self._service.primary
        watch = deployment.watch
        if deployment.rollout_state == "IN_PROGRESS" and (watch is None or watch.verdict is None):
            criteria = service.spec.deployment_configuration.early_success_criteria
            early = None
            if criteria is not None and criteria.enable:
                early = EarlySuccess(criteria.healthy_percent, criteria.source_service_revision_cleanup == "DEFERRED")
            began = watch is not None and watch.baking_since is not None
            reached = progress(view, step, early, watch.baked() if watch is not None and began else None)
            if reached == "baking" and watch is not None and not began and watch.baked():
                reached = progress(view, step, early, True)
            if reached == "done":
                rollouts.complete(deployment)
        if deployment.rollout_state == "COMPLETED":
            rollouts.retire()
        if step.complete and deployment.rollout_state == "COMPLETED":
            service.actions.settled()
