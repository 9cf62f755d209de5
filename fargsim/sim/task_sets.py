"""What ECS says of the task sets of a service that CodeDeploy deploys: their steady states, and the desired counts that it computes.

Source: Amazon ECS Developer Guide, ecs_service_events.html (``TASKSET_STEADY_STATE``, and ``SERVICE_DESIRED_COUNT_UPDATED``, which is not
sent for a count that a user has set); Amazon ECS API Reference, API_TaskSet.html (``computedDesiredCount``). The words are those of service
event logs.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fargsim.sim.deployments import DeploymentRun
    from fargsim.sim.service_events import ServiceEvents


class TaskSets:
    """Looks at the task sets of one service whenever its scheduler does.

    Parameters
    ----------
    desired
        How many tasks a task set should have now.
    """

    def __init__(self, events: ServiceEvents, desired: Callable[[DeploymentRun], int]) -> None:
        self._events = events
        self._desired = desired
        self._scaled: dict[str, bool] = {}
        """Whether a task set stands at its full scale, as far as is known."""
        self._steady: set[str] = set()

    def look(self, deployments: list[DeploymentRun], service_desired: int) -> None:
        """Say what has changed since the last look."""
        if not service_desired:
            return  # a user's doing, whatever the scale of a task set
        first, before = not self._scaled, self._scaled
        self._scaled = {}
        for deployment in deployments:
            name, desired = deployment.deployment_id, self._desired(deployment)
            scaled = self._scaled[name] = desired > 0
            if scaled != before.get(name, first):
                text = f"updated computedDesiredCount for taskSet {name} to {desired}."
                self._events.say(text, "SERVICE_DESIRED_COUNT_UPDATED")
            steady = scaled and deployment.counts["healthy"] == len(deployment.standing) == desired
            if not steady or deployment.stopping or deployment.unnoticed:
                self._steady.discard(name)
            elif name not in self._steady:
                self._steady.add(name)
                self._events.say("has reached a steady state.", "TASKSET_STEADY_STATE", task_set=name)
