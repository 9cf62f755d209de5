"""Task scale-in protection: tasks that auto scaling, deployments and zone rebalancing leave alone.

Source: Amazon ECS Developer Guide, task-scale-in-protection.html; Amazon ECS API Reference, API_UpdateTaskProtection.html,
API_GetTaskProtection.html. What a failed health check, StopTask, a Spot reclaim or the loss of an instance stops is not protected.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from fargsim.sim.kit import US_PER_S, Kit
from fargsim.sim.state import TaskRun

if TYPE_CHECKING:
    from fargsim.sim.deployments import DeploymentRun
    from fargsim.sim.service_scheduler import ServiceRun

DEFAULT_MINUTES = 120


class Protection:
    """The protected tasks of one service, each until an instant."""

    def __init__(self, kit: Kit, service: ServiceRun) -> None:
        self._kit = kit
        self._service = service
        self._until: dict[TaskRun, int] = {}

    def put(self, task: TaskRun, minutes: int) -> int:
        """Protect a task from now on; once more begins the time anew. Returns when it ends."""
        until = self._kit.now + minutes * 60 * US_PER_S
        self._until[task] = until
        self._kit.at(until, lambda: self._expire(task, until))
        return until

    def lift(self, task: TaskRun) -> None:
        """End a task's protection."""
        if self._until.pop(task, None) is not None:
            self._service.attend(self._kit.now)

    def forget(self, task: TaskRun) -> None:
        """Forget a task that has stopped."""
        self._until.pop(task, None)

    def _expire(self, task: TaskRun, until: int) -> None:
        if self._until.get(task) == until:
            self.lift(task)

    def until(self, task: TaskRun) -> int | None:
        """Return when the protection of a task ends; None without protection."""
        return self._until.get(task)

    def __contains__(self, task: TaskRun) -> bool:
        return task in self._until

    def __len__(self) -> int:
        return sum(task.alive for task in self._until)

    def count(self, deployment: DeploymentRun) -> tuple[int, int]:
        """Return how many of a deployment's healthy tasks are protected, and of those that are not judged yet."""
        healthy = unjudged = 0
        for task in self._until:
            standing = deployment.standing.get(task)
            healthy += standing == "healthy"
            unjudged += standing in ("pending", "undecided")
        return healthy, unjudged

    def blocks_deployment(self) -> bool:
        """Whether a deployment waits for nothing but protected tasks of a revision that it replaces."""
        service = self._service
        if not service.deploying or not self._until:
            return False
        old = [d for d in service.deployments[1:] if d.standing]
        return bool(old) and all(task in self for d in old for task in d.standing)
