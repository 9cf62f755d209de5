"""How deployments of a service begin and end: service revisions, service deployments, failure and rollback.

Source: Amazon ECS API Reference, API_ServiceDeployment.html, API_ServiceRevision.html, API_StopServiceDeployment.html; Amazon ECS Developer
Guide, deployment-circuit-breaker.html, ecs_service_deployment_events.html.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from fargsim.sim.deployment_watch import DeploymentWatch, Verdict
from fargsim.sim.deployments import REVISION_KEYS, DeploymentRun, ServiceRevisionRun
from fargsim.sim.kit import Kit
from fargsim.sim.records import record_deployment
from fargsim.sim.state import Revision

if TYPE_CHECKING:
    from fargsim.sim.registry import Registry
    from fargsim.sim.service_scheduler import ServiceRun

STOPPABLE = ("PENDING", "IN_PROGRESS")
"""Statuses of a service deployment that a user can stop."""


@dataclass(slots=True, eq=False)
class ServiceDeploymentRun:
    """What a user asked for in one go: a deployment and, where it was given up, its rollback."""

    arn: str
    target: ServiceRevisionRun
    sources: tuple[ServiceRevisionRun, ...]
    deployment: DeploymentRun
    created_at: int
    started_at: int | None = None
    finished_at: int | None = None
    stopped_at: int | None = None
    status: str = "PENDING"
    reason: str = ""
    rollback: DeploymentRun | None = None
    rollback_reason: str = ""
    changes: list[tuple[int, str]] = field(default_factory=list)

    def become(self, status: str, now_us: int, reason: str = "") -> None:
        """Change the status."""
        self.status = status
        self.reason = reason or self.reason
        self.changes.append((now_us, status))
        if status in ("SUCCESSFUL", "ROLLBACK_SUCCESSFUL", "ROLLBACK_FAILED", "STOPPED"):
            self.finished_at = now_us
        if status in ("STOPPED", "STOP_REQUESTED", "ROLLBACK_REQUESTED", "ROLLBACK_IN_PROGRESS"):
            self.stopped_at = now_us if self.stopped_at is None else self.stopped_at

    @property
    def over(self) -> bool:
        """Whether it has ended."""
        return self.finished_at is not None


class Rollouts:
    """The deployments of one service: begins them, ends them, rolls back."""

    def __init__(self, kit: Kit, registry: Registry, service: ServiceRun) -> None:
        self._kit = kit
        self.registry = registry
        self._service = service
        self.revisions: list[ServiceRevisionRun] = []
        self.all: list[ServiceDeploymentRun] = []
        """Service deployments, the oldest first."""
        self._completed: list[DeploymentRun] = []
        """Deployments that can be gone back to, the oldest first."""

    @property
    def current(self) -> ServiceDeploymentRun:
        """The newest service deployment."""
        return self.all[-1]

    def of(self, deployment: DeploymentRun) -> ServiceDeploymentRun | None:
        """Return the service deployment that a deployment belongs to."""
        return next((d for d in reversed(self.all) if deployment in (d.deployment, d.rollback)), None)

    # begin

    def deploy(self, revision: Revision) -> DeploymentRun:
        """Roll out the service's present specification with a task definition, as a revision of its own."""
        service, now = self._service, self._kit.now
        if self.all and not self.current.over:
            self._supersede(self.current)
        place = f"{service.cluster.name}/{service.name}"
        number = int(self._kit.identifier("service-revision", 16), 16) % 10**19
        groups = service.controller.place(service.spec)
        target = ServiceRevisionRun(
            self._kit.arn("service-revision", f"{place}/{number:019d}"), revision, service.spec, groups, now
        )
        self.revisions.append(target)
        sources = tuple(dict.fromkeys(d.service_revision for d in service.deployments))
        deployment = self._begin(target, None)
        name = self._kit.identifier("service-deployment", 21)
        arn = self._kit.arn("service-deployment", f"{place}/{name}")
        entry = ServiceDeploymentRun(arn, target, sources, deployment, now, started_at=now)
        entry.become("IN_PROGRESS", now)
        self.all.append(entry)
        service.controller.begin(deployment)
        return deployment

    def _begin(self, target: ServiceRevisionRun, rollback_of: DeploymentRun | None) -> DeploymentRun:
        service, kit = self._service, self._kit
        number = int(kit.identifier("deployment", 16), 16) % 10**19
        former = service.deployments[0] if service.deployments else None
        for old in service.deployments:
            old.status = "ACTIVE"
            old.wanted = min(old.wanted, len(old.standing) + old.unnoticed)
            if old.watch is not None:
                old.watch.close()
        deployment = DeploymentRun(f"ecs-svc/{number:019d}", target, service.spec, kit.now)
        deployment.rollout_reason = f"ECS deployment {deployment.deployment_id} in progress."
        deployment.rollback_of = None if rollback_of is None else rollback_of.deployment_id
        service.deployments.insert(0, deployment)
        service.use_groups(target.groups)
        deployment.watch = DeploymentWatch(kit, service, deployment, self.registry.alarms)
        service.events.announce(deployment.rollout_reason, "SERVICE_DEPLOYMENT_IN_PROGRESS")
        service.actions.disturbed()
        if former is not None and former.revision is not target.revision:
            # a new task definition ends the throttle at once; the same one again does not
            service.actions.throttle.reset()
        return deployment

    def _supersede(self, entry: ServiceDeploymentRun) -> None:
        reason = "Superseded by a newer service deployment."
        rolling_back = entry.status in ("ROLLBACK_REQUESTED", "ROLLBACK_IN_PROGRESS")
        entry.become("ROLLBACK_FAILED" if rolling_back else "STOPPED", self._kit.now, reason)

    # end

    def judge(self) -> None:
        """Give the newest deployment up if its watch says so."""
        watch = self._service.primary.watch
        if watch is not None and watch.verdict is not None:
            self.fail(self._service.primary, watch.verdict)

    def fail(self, deployment: DeploymentRun, verdict: Verdict) -> None:
        """Give a deployment up and, where that is wanted and possible, go back to the last completed one."""
        if deployment.rollout_state != "IN_PROGRESS":
            return
        now, events = self._kit.now, self._service.events
        deployment.rollout_state = "FAILED"
        deployment.completed_at = now
        deployment.rollout_reason = verdict.reason
        if deployment.watch is not None:
            deployment.watch.close()
        name = "SERVICE_DEPLOYMENT_FAILED"
        events.say(f"(deployment {deployment.deployment_id}) deployment failed: {verdict.event}.", name, "ERROR")
        self._service.actions.disturbed()
        self._service.controller.failed(deployment)
        entry = self.of(deployment)
        assert entry is not None
        if deployment is entry.rollback:
            entry.become("ROLLBACK_FAILED", now, verdict.reason)
        elif not verdict.rollback:
            entry.become("STOPPED", now, verdict.reason)
        else:
            self._roll_back(entry, deployment, verdict.reason)

    def rollback_target(self) -> DeploymentRun | None:
        """Return the most recent completed deployment that no rollback is under way to."""
        return self._completed[-1] if self._completed else None

    def _roll_back(self, entry: ServiceDeploymentRun, failed: DeploymentRun, reason: str) -> None:
        """Deploy the revision of the last completed deployment again, which takes over what is left of its tasks."""
        service, now = self._service, self._kit.now
        back_to = self.rollback_target()
        entry.rollback_reason = reason
        if back_to is None:
            entry.become("ROLLBACK_FAILED", now, "No completed deployment to roll back to.")
            return
        self._completed.pop()  # in progress again: it can be gone back to only when it has completed once more
        target = back_to.service_revision
        asked = service.spec
        restored = {key: getattr(target.spec, key) for key in REVISION_KEYS}
        service.spec = asked.model_copy(update=restored)
        if service.actions.on_fargate:  # rules of placement that came with a move to EC2 say nothing there
            service.spec = service.spec.model_copy(update={"placement_strategy": (), "placement_constraints": ()})
        deployment = self._begin(target, failed)
        deployment.rollout_reason = (
            f"ECS deployment circuit breaker: rolling back to deploymentId {deployment.deployment_id}."
            if reason.startswith("ECS deployment circuit breaker")
            else f"Rolling back to deploymentId {deployment.deployment_id}: {reason}"
        )
        for old in service.deployments[1:]:
            if old.service_revision is target:
                deployment.adopt(old)
        deployment.wanted = min(deployment.wanted, service.desired)
        if deployment.watch is not None and any(t.started_at is not None for t in deployment.standing):
            deployment.watch.saw("running")
        entry.rollback = deployment
        entry.become("ROLLBACK_IN_PROGRESS", now, reason)
        service.events.say(f"rolling back to deployment {deployment.deployment_id}.")
        service.controller.begin(deployment)
        service.attend(now)

    def complete(self, deployment: DeploymentRun) -> None:
        """Close a deployment that has succeeded; once."""
        if deployment.rollout_state != "IN_PROGRESS":
            return
        now, events = self._kit.now, self._service.events
        deployment.rollout_state = "COMPLETED"
        deployment.completed_at = now
        deployment.rollout_reason = f"ECS deployment {deployment.deployment_id} completed."
        if deployment.watch is not None:
            deployment.watch.close()
        self.succeeded(deployment)
        events.say(f"(deployment {deployment.deployment_id}) deployment completed.", "SERVICE_DEPLOYMENT_COMPLETED")
        entry = self.of(deployment)
        if entry is not None and not entry.over:
            entry.become("ROLLBACK_SUCCESSFUL" if deployment is entry.rollback else "SUCCESSFUL", now)

    def succeeded(self, deployment: DeploymentRun) -> None:
        """Let a deployment be gone back to from now on, though what it replaces may not be gone yet."""
        if deployment not in self._completed:
            self._completed.append(deployment)

    def retire(self) -> None:
        """Let replaced deployments that have no task left go."""
        service = self._service
        for old in service.deployments[1:]:
            if not old.standing and not old.stopping and not old.unnoticed:
                old.status = "INACTIVE"
                record_deployment(self._kit, service, old)
                service.deployments.remove(old)

    def stop(self, entry: ServiceDeploymentRun) -> None:
        """Stop a service deployment that is under way, as a user does: it is rolled back, whatever its configuration says."""
        entry.become("ROLLBACK_REQUESTED", self._kit.now)
        reason = "Service deployment stopped by user."
        watch = entry.deployment.watch
        assert watch is not None
        watch.verdict = watch.verdict or Verdict("stopped by user", reason, rollback=True)
        self._service.react_to_user()
