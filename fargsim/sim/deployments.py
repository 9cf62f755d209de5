"""A deployment of a service and the standing of its tasks.

Source: Amazon ECS API Reference, API_Deployment.html, API_ServiceRevision.html.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from fargsim.model.service import CreateService
from fargsim.policy.deployment import RevisionView
from fargsim.sim.state import Revision, TaskRun

if TYPE_CHECKING:
    from fargsim.sim.deployment_watch import DeploymentWatch
    from fargsim.sim.targets import TargetGroupRun

Standing = Literal["pending", "undecided", "healthy", "unhealthy"]

REVISION_KEYS = (
    "task_definition",
    "launch_type",
    "capacity_provider_strategy",
    "network_configuration",
    "platform_version",
    "load_balancers",
    "service_registries",
    "service_connect_configuration",
    "volume_configurations",
    "vpc_lattice_configurations",
    "monitoring",
)
"""What of a service belongs to its revision: a change of it starts a deployment, and a rollback brings it back (Amazon ECS API
Reference, API_UpdateService.html, API_ServiceRevision.html)."""


@dataclass(frozen=True, slots=True, eq=False)
class ServiceRevisionRun:
    """What a deployment rolls out; it never changes.

    Parameters
    ----------
    spec
        The service as it was asked for when the revision was made.
    """

    arn: str
    revision: Revision
    spec: CreateService
    groups: tuple[TargetGroupRun, ...]
    created_at: int


@dataclass(slots=True, eq=False)
class DeploymentRun:
    """One deployment; the newest of a service is PRIMARY, those it replaces are ACTIVE.

    `standing` holds its living tasks in the order of their start. `counts` is kept beside it, so that a step costs the same whatever the
    number of tasks.
    """

    deployment_id: str
    service_revision: ServiceRevisionRun
    spec: CreateService
    """The service's specification with what belongs to this revision."""
    created_at: int
    wanted: int = 0
    status: str = "PRIMARY"
    rollout_state: str = "IN_PROGRESS"
    rollout_reason: str = ""
    completed_at: int | None = None
    failed_tasks: int = 0
    """Tasks that could not be launched, never reached RUNNING or were replaced because a health check failed, in all."""
    rollback_of: str | None = None
    """The deployment that this one rolls back."""
    resolving: bool = False
    """Whether its first task has yet to establish the digests of the images: no other one starts before."""
    digest_failures: int = 0
    watch: DeploymentWatch | None = None
    stage: str = ""
    """The lifecycle stage it is in, where it shifts traffic."""
    successor: DeploymentRun | None = None
    """The deployment that has taken over its tasks."""
    unnoticed: int = 0
    """Tasks that were lost so recently that the scheduler still believes in them."""
    stopping: int = 0
    """Tasks that are being stopped and have not stopped yet."""
    unserved: bool = False
    """Whether it stands behind a target group that traffic will not reach any more: a shift of traffic was broken off."""
    standing: dict[TaskRun, Standing] = field(default_factory=dict)
    counts: dict[Standing, int] = field(
        default_factory=lambda: {"pending": 0, "undecided": 0, "healthy": 0, "unhealthy": 0}
    )

    @property
    def revision(self) -> Revision:
        """The task definition that it rolls out."""
        return self.service_revision.revision

    @property
    def groups(self) -> tuple[TargetGroupRun, ...]:
        """The target groups of its service revision."""
        return self.service_revision.groups

    def put(self, task: TaskRun, standing: Standing) -> None:
        """Give a task a standing."""
        before = self.standing.get(task)
        if before is not None:
            self.counts[before] -= 1
        self.standing[task] = standing
        self.counts[standing] += 1

    def leave(self, task: TaskRun) -> bool:
        """Take a task out because it is being stopped; false if it was out already."""
        before = self.standing.pop(task, None)
        if before is None:
            return False
        self.counts[before] -= 1
        self.stopping += 1
        return True

    def adopt(self, other: DeploymentRun) -> None:
        """Take over the living tasks of a deployment of the same service revision."""
        for task, standing in other.standing.items():
            task.deployment_id = self.deployment_id
            self.put(task, standing)
        other.standing.clear()
        for standing in other.counts:
            other.counts[standing] = 0
        self.unnoticed += other.unnoticed
        self.wanted += other.wanted
        other.unnoticed = other.wanted = 0
        other.successor = self

    def of(self, standing: Standing) -> list[TaskRun]:
        """Return the tasks of a standing, oldest first."""
        return [task for task, now in self.standing.items() if now == standing]

    def view(self, protected: tuple[int, int] = (0, 0)) -> RevisionView:
        """Return what the policy sees; `protected`: of its healthy tasks and of those that are not judged yet."""
        return RevisionView(
            self.deployment_id,
            self.wanted,
            self.counts["pending"] + self.unnoticed,
            self.counts["undecided"],
            self.counts["healthy"],
            self.counts["unhealthy"],
            protected=protected[0],
            protected_unjudged=protected[1],
            failed=self.rollout_state == "FAILED",
            stopping=self.stopping,
            resolving=self.resolving,
            draining=sum(1 for t, s in self.standing.items() if s == "unhealthy" and t.serves)
            if self.counts["unhealthy"]
            else 0,
        )
