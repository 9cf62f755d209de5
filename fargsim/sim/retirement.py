"""Retirement of Fargate tasks: AWS publishes a new platform revision, waits, and ends the tasks that still run on the old one.

Source: Amazon ECS Developer Guide, task-maintenance.html, prepare-task-retirement.html (service tasks are replaced first, standalone ones
are stopped on or after the date); Amazon ECS API Reference, API_PutAccountSetting.html (``fargateTaskRetirementWaitPeriod``: 0, 7 or 14
days). How often revisions come is not published (``retirement_interval_days``).
"""

from __future__ import annotations

from fargsim.model.account import RETIREMENT_WAIT
from fargsim.sim.kit import US_PER_S, Kit
from fargsim.sim.registry import Registry
from fargsim.sim.state import Stop, TaskRun
from fargsim.sim.task_life import stop_task

DAY_US = 86_400 * US_PER_S
MAINTENANCE = "ECS is performing maintenance on the underlying infrastructure hosting the task"
NOTICE = "AWS_ECS_TASK_PATCHING_RETIREMENT"


class Retirement:
    """Publishes platform revisions and retires tasks."""

    def __init__(self, kit: Kit, registry: Registry) -> None:
        self._kit = kit
        self._registry = registry
        self._next()

    @property
    def wait_days(self) -> float:
        """How long AWS waits from its notice to the retirement: as the account is set, else as assumed."""
        setting = self._registry.settings.get(RETIREMENT_WAIT)
        return self._kit.parameters.number("fargate_task_retirement_wait_days") if setting is None else float(setting)

    def _next(self) -> None:
        interval = round(self._kit.parameters.number("retirement_interval_days") * DAY_US)
        self._kit.at(self._kit.now + interval, self._on_time)

    def _on_time(self) -> None:
        self.publish(None)
        self._next()

    def publish(self, wait_us: int | None) -> None:
        """Publish a revision: what runs on Fargate now is on the old one, and is retired after a while."""
        wait_us = round(self.wait_days * DAY_US) if wait_us is None else wait_us
        for cluster in self._registry.clusters.values():
            old = [t for t in cluster.tasks.values() if t.fargate and t.last_status == "RUNNING" and t.alive]
            by_service: dict[str | None, list[TaskRun]] = {}
            for task in old:
                by_service.setdefault(None if task.service is None else task.service.name, []).append(task)
            for service, tasks in by_service.items():
                days = wait_us / DAY_US
                text = f"{len(tasks)} tasks run on a Fargate platform revision that will be retired in {days:g} days."
                self._kit.event(cluster.name, service, text, NOTICE)
            if old:
                self._kit.at(self._kit.now + wait_us, lambda old=old: self._retire(old))  # type: ignore[misc]

    def _retire(self, tasks: list[TaskRun]) -> None:
        for task in tasks:
            if not task.alive or task.last_status != "RUNNING":
                continue
            if task.service is None:
                stop_task(self._kit, task, Stop("TerminationNotice", MAINTENANCE))
            else:
                task.retires = MAINTENANCE
                task.service.host_draining(task)
