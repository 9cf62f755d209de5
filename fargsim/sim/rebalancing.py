"""Availability Zone rebalancing of one service: start in the zones with the fewest tasks, then stop in those with the most.

Source: Amazon ECS Developer Guide, service-rebalancing.html, track-service-rebalancing.html, service-rebalancing-event-messages-list.html
(the words of the events). How long after the steady state it begins is an assumption (``az_rebalance_delay_s``).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from fargsim.policy.deployment import bounds
from fargsim.policy.placement import Place, matching, place
from fargsim.policy.rebalancing import balanced, moves, why_not_rebalanced
from fargsim.policy.views import ZONE
from fargsim.sim.kit import Kit
from fargsim.sim.state import TaskRun
from fargsim.sim.where import Where

if TYPE_CHECKING:
    from fargsim.sim.deployments import DeploymentRun
    from fargsim.sim.registry import Registry
    from fargsim.sim.service_scheduler import ServiceRun

Pool = str | None
"""What is balanced on its own: the tasks of one Fargate capacity provider; None: all tasks of the service."""


class Rebalancer:
    """Looks at the zones of a service when it has reached a steady state or capacity has come, and otherwise sleeps."""

    def __init__(self, kit: Kit, registry: Registry, service: ServiceRun) -> None:
        self._kit = kit
        self._registry = registry
        self._service = service
        self._deployment: DeploymentRun | None = None
        """The deployment whose tasks are being rebalanced."""
        self._desired = 0
        self._extras: list[TaskRun] = []
        """Tasks that have been started and not stood in for others yet."""
        self._stops: list[tuple[Pool, str, int]] = []
        """How many tasks stop where when the extras are healthy."""
        self._due: int | None = None
        self._blocked: Where | None = None
        """Where a task found no place: nothing is tried before it would find one."""
        self._instances = 0
        self._protected: int | None = None
        """How many tasks were protected when too many of them were for anything to be done; None: that is not so."""
        self._looked_at: object = None

    @property
    def enabled(self) -> bool:
        """Whether the service wants it and can have it."""
        spec = self._service.spec
        return spec.availability_zone_rebalancing == "ENABLED" and why_not_rebalanced(spec) is None

    # when to look

    def steady(self) -> None:
        """Begin a while after the service has become steady, if its zones are out of balance then and now."""
        service = self._service
        self._instances = len(service.cluster.instances_by_row)
        self._looked_at = service.spec
        self._due = self._protected = None
        if not self.enabled or service.deleted or all(map(balanced, self._counts().values())):
            return
        if self._blocked is not None and not self._would_fit(self._blocked):
            return
        due = self._due = self._kit.now + self._kit.us("az_rebalance_delay_s")
        self._kit.at(due, lambda: self._on_time(due))

    def capacity_changed(self) -> None:
        """Look again at a steady service: an instance has come, or a place may have become free where one was missing."""
        if self._deployment is not None or self._due is not None or not self._service.actions.steady:
            return
        if self._blocked is not None or len(self._service.cluster.instances_by_row) != self._instances:
            self.steady()

    def _on_time(self, due: int) -> None:
        if self._due == due:
            self._due = None
            if self._service.actions.steady and self.enabled:
                self._begin()

    # what the controller asks and tells

    def surplus(self) -> int:
        """Return how many tasks are there beside the desired ones; whatever has come between stops the rebalancing."""
        deployment, service = self._deployment, self._service
        if deployment is None:
            return 0
        undisturbed = (
            service.deployments == [deployment]
            and service.desired == self._desired
            and self.enabled
            and not deployment.unnoticed
            and not deployment.counts["unhealthy"]
            and all(task in deployment.standing for task in self._extras)
        )
        if not undisturbed:
            self._stopped()
        return len(self._extras)

    def step(self) -> None:
        """Go on: stop tasks when those in their place are healthy; finish, or go one round further, when they are gone."""
        deployment, service = self._deployment, self._service
        if deployment is None:
            released = self._protected is not None and len(service.protection) != self._protected
            if service.actions.steady and (released or self._looked_at is not service.spec):
                self.steady()  # a protection has ended, or somebody has changed the setting
        elif self._extras:
            if all(deployment.standing.get(task) == "healthy" for task in self._extras) and self._enough():
                self._stop_others(deployment)
        elif len(service.tasks) == service.desired:
            counts = self._counts()
            if all(map(balanced, counts.values())):
                self._deployment, self._blocked = None, None
                service.events.say(f"is AZ balanced with {self._told(counts)}.", "SERVICE_REBALANCING_COMPLETED")
            elif not self._start(deployment):
                self._stopped()

    def _enough(self) -> bool:
        """Whether enough healthy tasks remain when the others stop: one may have been lost meanwhile."""
        service = self._service
        low = service.spec.deployment_configuration.minimum_healthy_percent
        lower = bounds(service.desired, low, None).lower
        return service.healthy - sum(number for *_, number in self._stops) >= lower

    # acting

    def _begin(self) -> None:
        service = self._service
        counts = self._counts()
        if all(map(balanced, counts.values())) or self._room() <= 0:
            return
        kept = self._kept(counts)
        if kept:
            self._protected = len(service.protection)
            self._tell_protected(service.primary, kept)
            return
        self._deployment, self._desired = service.primary, service.desired
        service.events.say(
            f"is not AZ balanced with {self._told(counts)}. AZ Rebalancing in progress.", "SERVICE_REBALANCING_STARTED"
        )
        if self._start(service.primary):
            service.actions.disturbed()
        else:
            self._stopped()

    def _start(self, deployment: DeploymentRun) -> bool:
        """Start tasks in the emptiest zones, as many as there is room for; false if none could be."""
        service = self._service
        room = min(self._room(), service.actions.launches())
        self._blocked = None
        for pool, counts in self._counts().items():
            wanted = moves(counts, room)
            fit: list[TaskRun] = []
            for zone, number in wanted.starts.items():
                started = self._start_in(deployment, Where(zone=zone, provider=pool), number)
                if started:
                    names = " ".join(f"(task {task.task_id})" for task in started)
                    text = f"has started {len(started)} tasks in {zone} to AZ Rebalance: {names}."
                    service.events.say(text, "TASKS_STARTED")
                fit += started
            room -= len(fit)
            left = len(fit)
            for zone, number in wanted.stops.items():
                if left:
                    self._stops.append((pool, zone, min(left, number)))
                    left -= min(left, number)
            self._extras += fit
        deployment.wanted += len(self._extras)
        service.attend(self._kit.now)
        return bool(self._extras)

    def _start_in(self, deployment: DeploymentRun, where: Where, number: int) -> list[TaskRun]:
        started: list[TaskRun] = []
        for _ in range(number):
            outcome = self._service.actions.launch(deployment, where)
            if not isinstance(outcome, TaskRun):
                self._blocked = where
                if outcome.event:
                    why = "" if self._fargate else " because no container instance met all of its requirements"
                    text = f"is unable to place a task in {where.zone}{why}."
                    self._service.events.once(text, "SERVICE_TASK_PLACEMENT_FAILURE", "ERROR")
                break
            started.append(outcome)
        return started

    def _stop_others(self, deployment: DeploymentRun) -> None:
        service = self._service
        reason = f"Availability-zone rebalancing initiated by (deployment {deployment.deployment_id})"
        protected = 0
        gone: list[TaskRun] = []
        for pool, zone, number in self._stops:
            there = [t for t in self._of(deployment, pool, zone) if t not in service.protection]
            victims = self._victims(there, number)
            protected += number - len(victims)
            for task in victims:
                service.actions.stop(task, reason, "ServiceSchedulerInitiated")
            if victims:
                names = " ".join(f"(task {task.task_id})" for task in victims)
                text = f"has stopped {len(victims)} running tasks in {zone} due to AZ rebalancing: {names}."
                service.events.say(text, "TASKS_STOPPED")
            gone += victims
        service.actions.tell_drained(gone)
        if protected:
            self._tell_protected(deployment, protected)
            self._stopped()
        self._extras, self._stops = [], []

    def _kept(self, counts: dict[Pool, dict[str, int]]) -> int:
        """Return how many of the tasks that should stop in the first round scale-in protection keeps."""
        service = self._service
        kept = 0
        for pool, by_zone in counts.items():
            for zone, number in moves(by_zone, self._room()).stops.items():
                there = [t for t in self._of(service.primary, pool, zone) if t not in service.protection]
                kept += max(0, number - len(there))
        return kept

    @staticmethod
    def _of(deployment: DeploymentRun, pool: Pool, zone: str) -> list[TaskRun]:
        return [t for t in deployment.standing if t.zone == zone and pool in (None, t.capacity_provider)]

    def _tell_protected(self, deployment: DeploymentRun, number: int) -> None:
        self._service.events.once(
            f"was unable to AZ Rebalance because (taskSet {deployment.deployment_id}) was unable to scale in due to "
            f"(reason {number} tasks under protection).",
            "TASKSET_SCALE_IN_FAILURE_BY_TASK_PROTECTION",
            "INFO",
        )

    def _victims(self, tasks: Sequence[TaskRun], number: int) -> list[TaskRun]:
        """Choose in one zone: on the instance with the most tasks of the service, there and on Fargate the newest."""
        left, chosen = sorted(tasks, key=lambda t: t.number), []
        for _ in range(min(number, len(left))):
            on = {id(t.instance): sum(o.instance is t.instance for o in left) for t in left}
            pick = max(left, key=lambda t: (on[id(t.instance)], t.number))
            self._service.actions.told_moved(left, pick, [on[id(t.instance)] for t in left])
            left.remove(pick)
            chosen.append(pick)
        return chosen

    def _stopped(self) -> None:
        """Give it up: what is there beside the desired tasks goes as surplus does."""
        self._deployment = None
        self._extras, self._stops = [], []
        self._service.events.say("stopped AZ Rebalancing.", "SERVICE_REBALANCING_STOPPED")
        self._service.attend(self._kit.now)

    # what there is

    @property
    def _fargate(self) -> bool:
        return self._service.actions.on_fargate

    def _room(self) -> int:
        service = self._service
        most = service.spec.deployment_configuration.maximum_percent
        return bounds(service.desired, None, most).upper - len(service.tasks)

    def _counts(self) -> dict[Pool, dict[str, int]]:
        """Return the tasks by zone of every pool, the zones without any included."""
        service = self._service
        zones = self._zones()
        found: dict[Pool, dict[str, int]] = {}
        for task in service.primary.standing:
            pool = task.capacity_provider if self._fargate else None
            counts = found.setdefault(pool, dict.fromkeys(zones, 0))
            if task.zone is not None:
                counts[task.zone] = counts.get(task.zone, 0) + 1
        return found

    def _zones(self) -> Sequence[str]:
        """Return the zones to balance over: on Fargate those of the subnets, on EC2 those with an instance for the service."""
        service = self._service
        if self._fargate:
            return self._registry.fargate_zones(service.spec.network_configuration)
        fleet = service.cluster.fleet
        column = fleet.view().attributes.get(ZONE)
        if column is None:
            return ()
        mask = matching(service.actions.plan(service.revision), fleet.view(), fleet.group(service.group_name))
        return [column.values[code] for code in np.unique(column.codes[mask]).tolist()]

    def _would_fit(self, where: Where) -> bool:
        """Whether a task would find a place in a zone now."""
        service = self._service
        assert where.zone is not None
        if self._fargate:
            account = self._registry.fargate
            option = account.option(where.provider)
            architecture = service.revision.definition.cpu_architecture
            return bool(account.capacity.open(option, [where.zone], architecture))
        fleet = service.cluster.fleet
        plan = service.actions.plan(service.revision, where.zone)
        return isinstance(place(plan, fleet.view(), fleet.group(service.group_name, plan.spread_over)), Place)

    @staticmethod
    def _told(counts: dict[Pool, dict[str, int]]) -> str:
        """Say how many tasks are where, all pools together."""
        sums: dict[str, int] = {}
        for by_zone in counts.values():
            for zone, number in by_zone.items():
                sums[zone] = sums.get(zone, 0) + number
        return ", ".join(f"{number} tasks in {zone}" for zone, number in sums.items())
