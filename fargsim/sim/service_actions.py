"""What the controllers of a service do to its tasks: start, stop, complete; and the gates of a start.

Sources: Amazon ECS Developer Guide, service-throttle-logic.html (launch throttle), service-event-messages-list.html (events);
https://docs.aws.amazon.com/general/latest/gr/ecs-service.html (launches per service and minute).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from fargsim.policy.deployment import throttle_delay_s
from fargsim.sim.account import Window
from fargsim.sim.kit import US_PER_S, Kit
from fargsim.sim.records import record_deployment
from fargsim.sim.state import Stop, TaskRun
from fargsim.sim.task_life import stop_task

if TYPE_CHECKING:
    from fargsim.sim.deployments import DeploymentRun
    from fargsim.sim.launching import Launcher
    from fargsim.sim.service_scheduler import ServiceRun


class LaunchThrottle:
    """Growing delays between the starts of a service whose tasks never reach RUNNING."""

    def __init__(self, kit: Kit) -> None:
        self.not_before = 0
        self._kit = kit
        self._failures = 0

    def failed(self) -> None:
        """Count a task that stopped without having reached RUNNING."""
        self._failures += 1
        parameters = self._kit.parameters
        delay = throttle_delay_s(
            self._failures,
            base_s=parameters.number("throttle_base_s"),
            factor=parameters.number("throttle_factor"),
            cap_s=parameters.number("throttle_cap_s"),
        )
        self.not_before = self._kit.now + round(delay * US_PER_S)

    def reset(self) -> None:
        """Forget the failures."""
        self._failures = self.not_before = 0

    def holds(self, now_us: int) -> bool:
        """Whether no task may be started yet."""
        return now_us < self.not_before


class ServiceActions:
    """Starts and stops a service's tasks, and says so in its events."""

    def __init__(self, kit: Kit, launcher: Launcher, service: ServiceRun) -> None:
        self.throttle = LaunchThrottle(kit)
        self.refused = False
        """Whether the last start found no place."""
        self._kit = kit
        self._launcher = launcher
        self._service = service
        self._steady = False
        self._steady_since = 0
        fargate = launcher.fargate(service.cluster, service.spec)
        self._window = Window(
            kit.quotas["fargate_service_launches_per_min" if fargate else "ec2_service_launches_per_min"]
        )

    def launches(self) -> int:
        """Return how many launches the minute still allows."""
        return self._window.available(self._kit.now)

    def start(self, deployment: DeploymentRun, number: int) -> list[TaskRun]:
        """Start tasks of a deployment; those that find no place are tried again later."""
        now, service = self._kit.now, self._service
        started: list[TaskRun] = []
        self.refused = False
        for _ in range(number):
            outcome = self._launcher.launch_for_service(service, deployment)
            if not isinstance(outcome, TaskRun):
                self.refused = True
                if outcome.event:
                    service.events.once(outcome.event, outcome.event_name, "ERROR")
                wait = self._kit.us("placement_retry_s") if outcome.event else self._kit.us("scheduler_tick_s")
                service.attend(now + wait)
                break
            service.tasks[outcome.task_id] = outcome
            deployment.put(outcome, "pending")
            if not started:
                service.events.solved()  # before the next one may be refused
            started.append(outcome)
        self._window.take(now, len(started))
        if started:
            service.events.name_tasks("has started", "tasks", started)
        return started

    def choose(self, deployment: DeploymentRun, number: int, unhealthy: bool) -> list[TaskRun]:
        """Choose whom to stop: the unhealthy ones, or those not healthy yet and then by the scale-in rule."""
        return self._launcher.victims(self._service, deployment, number, unhealthy)

    def reason_to_stop(self, task: TaskRun, unhealthy: bool) -> str:
        """Return the ``stoppedReason`` of a task that the scheduler stops."""
        if unhealthy and not task.host_drains:
            group = next((g for g, t in task.targets if t.state == "unhealthy"), None)
            if group is None:
                return "Task failed container health checks"
            return f"Task failed ELB health checks in (target-group {group.arn})"
        return f"Scaling activity initiated by (deployment {self._service.primary.deployment_id})"

    def stop(self, task: TaskRun, reason: str, code: str) -> None:
        """Stop a task; it leaves its deployment at once."""
        deployment = self._service.deployment_of(task)
        if deployment is not None:
            deployment.leave(task)
        stop_task(self._kit, task, Stop(code, reason))

    def tell_stopped(self, stopped: Sequence[TaskRun]) -> None:
        """Write which tasks were stopped."""
        if not stopped:
            return
        events = self._service.events
        events.name_tasks("has stopped", "running tasks", stopped)
        drained = [t for t in stopped if t.targets]
        if drained:
            events.say(f"has begun draining connections on {len(drained)} tasks.")

    def failed_to_start(self, task: TaskRun) -> None:
        """Take note of a task that stopped without having reached RUNNING."""
        self.throttle.failed()
        self._service.primary.failed_tasks += 1
        self._service.events.once(
            "is unable to consistently start tasks successfully.", "SERVICE_TASK_START_IMPAIRED", "WARN"
        )

    def complete(self) -> None:
        """Close the newest deployment: it has all its tasks, and no other is left."""
        service, now = self._service, self._kit.now
        primary = service.primary
        if primary.rollout_state == "IN_PROGRESS":
            primary.rollout_state = "COMPLETED"
            primary.completed_at = now
            primary.rollout_reason = f"ECS deployment {primary.deployment_id} completed."
            service.events.say(
                f"(deployment {primary.deployment_id}) deployment completed.", "SERVICE_DEPLOYMENT_COMPLETED"
            )
        for old in service.deployments[1:]:
            old.status = "INACTIVE"
            record_deployment(self._kit, service, old)
        del service.deployments[1:]
        if not self._steady and len(service.tasks) == service.desired:
            self._steady = True
            self._say_steady(now)

    @property
    def steady(self) -> bool:
        """Whether the service is in a steady state."""
        return self._steady

    def disturbed(self) -> None:
        """Take note that the service is not in a steady state any more."""
        self._steady = False

    def _say_steady(self, since: int) -> None:
        """Say so now, and again every six hours while it lasts."""
        self._steady_since = since
        self._service.events.say("has reached a steady state.", "SERVICE_STEADY_STATE")

        def again() -> None:
            if self._steady and self._steady_since == since:
                self._say_steady(since)

        self._kit.at(self._kit.now + self._kit.us("steady_state_event_period_s"), again)
