"""A deployment of a service and the standing of its tasks."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from fargsim.policy.deployment import RevisionView
from fargsim.sim.state import Revision, TaskRun

Standing = Literal["pending", "undecided", "healthy", "unhealthy"]


@dataclass(slots=True, eq=False)
class DeploymentRun:
    """One deployment; the newest of a service is PRIMARY, those it replaces are ACTIVE.

    `standing` holds its living tasks in the order of their start. `counts` is kept beside it, so that a step costs the same whatever the
    number of tasks.
    """

    deployment_id: str
    revision: Revision
    created_at: int
    wanted: int = 0
    status: str = "PRIMARY"
    rollout_state: str = "IN_PROGRESS"
    rollout_reason: str = ""
    completed_at: int | None = None
    failed_tasks: int = 0
    unnoticed: int = 0
    """Tasks that were lost so recently that the scheduler still believes in them."""
    standing: dict[TaskRun, Standing] = field(default_factory=dict)
    counts: dict[Standing, int] = field(
        default_factory=lambda: {"pending": 0, "undecided": 0, "healthy": 0, "unhealthy": 0}
    )

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
        return True

    def of(self, standing: Standing) -> list[TaskRun]:
        """Return the tasks of a standing, oldest first."""
        return [task for task, now in self.standing.items() if now == standing]

    def view(self) -> RevisionView:
        """Return what the policy sees."""
        return RevisionView(
            self.deployment_id,
            self.wanted,
            self.counts["pending"] + self.unnoticed,
            self.counts["undecided"],
            self.counts["healthy"],
            self.counts["unhealthy"],
            failed=self.rollout_state == "FAILED",
        )
