"""What the controllers of a service do to its tasks: start and stop them; steady state; and the gates of a start.

Sources: Amazon ECS Developer Guide, service-throttle-logic.html (launch throttle), service-event-messages-list.html (events);
https://docs.aws.amazon.com/general/latest/gr/ecs-service.html (launches per service and minute).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING

from fargsim.sim.account import Window
from fargsim.sim.kit import Kit
from fargsim.sim.launch_throttle import LaunchThrottle, PlacementRetry
from fargsim.sim.refusal import Refusal, RefusedShares
from fargsim.sim.state import Revision, Stop, TaskRun
from fargsim.sim.task_life import stop_task
from fargsim.sim.where import ANYWHERE, Where

if TYPE_CHECKING:
    from fargsim.policy.placement import PlacementPlan
    from fargsim.sim.deployments import DeploymentRun
    from fargsim.sim.launching import Launcher
    from fargsim.sim.service_scheduler import ServiceRun


class ServiceActions:
    """Starts and stops a service's tasks, and says so in its events."""

    def __init__(self, kit: Kit, launcher: Launcher, service: ServiceRun) -> None:
        self.throttle = LaunchThrottle(kit)
        self.placement = PlacementRetry(kit)
        self.refused = False
        """Whether the last start found no place."""
        self._kit = kit
        self._launcher = launcher
        self._service = service
        self._steady = False
        self._steady_since = 0
        self._window = Window()

    def launches(self) -> int:
        """Return how many launches the minute still allows."""
        quota = "fargate_service_launches_per_min" if self.on_fargate else "ec2_service_launches_per_min"
        return self._window.available(self._kit.now, self._kit.quotas[quota])

    def plan(self, revision: Revision, zone: str | None = None) -> PlacementPlan:
        """Return what a task of the service asks of an instance, in one zone if that is wanted."""
        return self._launcher.placer.request(self._service.spec, revision, zone)

    def start(self, deployment: DeploymentRun, number: int, places: Sequence[Where] = ()) -> list[TaskRun]:
        """Start tasks of a deployment, at certain places where these are given; those that find no place are tried again later."""
        now, service, watch = self._kit.now, self._service, deployment.watch
        started: list[TaskRun] = []
        self.refused = False
        refused = RefusedShares()
        others = len(self._launcher.strategy(service.cluster, deployment.spec)) > 1
        if deployment.rollout_state == "FAILED" or (watch is not None and watch.verdict is not None):
            return started
        for turn in range(number):
            where = places[turn] if places else ANYWHERE
            said = len(refused.why)
            outcome = self._launcher.launch_for_service(service, deployment, where=where, refused=refused)
            if not isinstance(outcome, TaskRun):
                self.refused = True
                if others and len(refused.why) == said:
                    continue  # its provider has refused another one at this instant
                wait = self._kit.us("scheduler_tick_s")
                if outcome.passes:
                    service.events.throttled()
                else:
                    service.events.once(outcome.event, outcome.event_name, "ERROR")
                    full = outcome.reason == "PROVISIONING"
                    wait = self.placement.queue_full() if full else self.placement.failed()
                    if watch is not None:
                        watch.saw("never_ran")
                service.attend(now + wait)
                if others and where is ANYWHERE:
                    continue  # the other providers of the strategy still get their shares
                break
            if not self.refused:
                self.placement.found()
            service.tasks[outcome.task_id] = outcome
            deployment.put(outcome, "pending")
            if not started and not self.refused:
                service.events.solved()  # before the next one may be refused
            started.append(outcome)
        self._window.take(now, len(started))
        if started:
            service.events.name_tasks("has started", "tasks", started)
        return started

    def launch(self, deployment: DeploymentRun, where: Where) -> TaskRun | Refusal:
        """Start one task at a certain place, or say why not."""
        outcome = self._launcher.launch_for_service(self._service, deployment, where=where)
        if isinstance(outcome, TaskRun):
            self._service.tasks[outcome.task_id] = outcome
            deployment.put(outcome, "pending")
            self._window.take(self._kit.now, 1)
        return outcome

    @property
    def on_fargate(self) -> bool:
        """Whether the service's tasks run on Fargate."""
        return self._launcher.fargate(self._service.cluster, self._service.spec)

    def choose(self, deployment: DeploymentRun, number: int, unhealthy: bool) -> list[TaskRun]:
        """Choose whom to stop: the unhealthy ones, or those not healthy yet and then by the scale-in rule."""
        return self._launcher.victims(self._service, deployment, number, unhealthy)

    def told_moved(self, tasks: Sequence[TaskRun], pick: TaskRun, on_its_instance: Sequence[int]) -> None:
        """Keep which task of a zone with too many goes to balance the zones, where records are full."""
        self._launcher.told_moved(tasks, pick, on_its_instance)

    def reason_to_stop(self, task: TaskRun, unhealthy: bool) -> str:
        """Return the ``stoppedReason`` of a task that the scheduler stops."""
        if task.retires:
            return task.retires
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
            if deployment.standing.get(task) == "unhealthy" and not task.host_drains and deployment.watch is not None:
                deployment.watch.saw("replaced_unhealthy")
            deployment.leave(task)
        stop_task(self._kit, task, Stop(code, reason))

    def tell_stopped(self, stopped: Sequence[TaskRun]) -> None:
        """Write which tasks were stopped."""
        if not stopped:
            return
        self._service.events.name_tasks("has stopped", "running tasks", stopped)
        self.tell_drained(stopped)

    def tell_drained(self, stopped: Sequence[TaskRun]) -> None:
        """Write which targets begin to drain."""
        events = self._service.events
        drained = [t for t in stopped if t.targets]
        if drained:
            events.say(f"has begun draining connections on {len(drained)} tasks.")
        groups = Counter(group.arn for task in drained for group, _ in task.targets)
        for arn, number in groups.items():
            events.say(f"deregistered {number} targets in (target-group {arn})")

    def failed_to_start(self, task: TaskRun) -> None:
        """Take note of a task that stopped without having reached RUNNING."""
        service = self._service
        deployment = service.deployment_of(task)
        if deployment is None:
            return
        if deployment.watch is not None:
            deployment.watch.saw("never_ran")
        if task.start_failure:
            said = f"was unable to place a task. Reason: {task.start_failure}."
            service.events.once(said, "SERVICE_TASK_CONFIGURATION_FAILURE", "ERROR")
        if self.throttle.failed(task.created_at) > 1:
            service.events.once(
                "is unable to consistently start tasks successfully.", "SERVICE_TASK_START_IMPAIRED", "WARN"
            )

    def settled(self) -> None:
        """Say that the service has reached a steady state, unless it is in one: it has its tasks and no other one is stopping."""
        if not self._steady and len(self._service.tasks) == self._service.desired:
            self._steady = True
            self._say_steady(self._kit.now)
            self._service.rebalancing.steady()

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
        service = self._service
        service.events.say("has reached a steady state.", "SERVICE_STEADY_STATE")
        for item in self._launcher.strategy(service.cluster, service.spec):
            text = f"(capacity provider {item.capacity_provider}) has reached a steady state."
            service.events.announce(text, "CAPACITY_PROVIDER_STEADY_STATE")

        def again() -> None:
            if self._steady and self._steady_since == since:
                self._say_steady(since)

        self._kit.at(self._kit.now + self._kit.us("steady_state_event_period_s"), again)
