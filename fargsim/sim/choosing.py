"""Whom a service stops when it shrinks.

Source: Amazon ECS Developer Guide, update-service-parameters.html, task-placement-strategies.html.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from fargsim.model.placement import CapacityProviderStrategyItem
from fargsim.policy.capacity_provider import provider_to_shrink
from fargsim.policy.victims import ServiceTasksView, VictimStep, fargate_fullest_zone, victims
from fargsim.sim.kit import Kit
from fargsim.sim.placement_records import PlacementRecords, counted
from fargsim.sim.state import TaskRun

if TYPE_CHECKING:
    from fargsim.sim.deployments import DeploymentRun
    from fargsim.sim.service_scheduler import ServiceRun

NOT_HEALTHY_YET = {
    "pending": "on its way to RUNNING",
    "undecided": "RUNNING, not known to be healthy",
    "healthy": "healthy",
}


class Chooser:
    """Chooses which tasks a service stops."""

    def __init__(self, kit: Kit, records: PlacementRecords) -> None:
        self._kit = kit
        self._records = records

    def victims(
        self,
        service: ServiceRun,
        deployment: DeploymentRun,
        items: Sequence[CapacityProviderStrategyItem],
        number: int,
        unhealthy: bool,
    ) -> list[TaskRun]:
        """Choose the tasks that a service stops: the unhealthy ones, or those not healthy yet and then by the scale-in rule."""
        draws = self._kit.streams[f"scale-in/{service.name}"]
        if unhealthy:
            candidates = deployment.of("unhealthy")
            order = draws.permutation(len(candidates)) if len(candidates) > number else range(len(candidates))
            # what is on a draining instance still serves
            picked = sorted((candidates[i] for i in order), key=lambda task: task.serves)[:number]
            if self._records.full and picked:
                chosen = set(picked)
                self._records.stop((t, "health", t in chosen, "unhealthy", _why_unhealthy(t)) for t in candidates)
            return picked
        found: list[TaskRun] = []
        for standing in ("pending", "undecided", "healthy"):
            missing = number - len(found)
            candidates = deployment.of(standing)
            if missing <= 0 or not candidates:
                continue
            if len(service.protection):
                rows = [
                    (t, "scale-in protection", t not in service.protection, "protected ones stay", "")
                    for t in candidates
                ]
                if self._records.full:
                    self._records.stop(rows)
                candidates = [t for t in candidates if t not in service.protection]
            if self._records.full:
                words = NOT_HEALTHY_YET[standing]
                self._records.stop((t, "standing", True, "not healthy yet first", words) for t in candidates)
            if len(candidates) <= missing:
                found += candidates
            else:
                found += self._by_rule(service, candidates, items, missing)
        return found

    def _by_rule(
        self,
        service: ServiceRun,
        candidates: list[TaskRun],
        items: Sequence[CapacityProviderStrategyItem],
        number: int,
    ) -> list[TaskRun]:
        """Choose by provider, then by zone on Fargate or by the placement rule on EC2; all living tasks count in the balance."""
        draws = self._kit.streams[f"scale-in/{service.name}"]
        alive = [task for deployment in service.deployments for task in deployment.standing]
        alive.sort(key=lambda task: task.number)
        able = set(candidates)
        chosen: list[TaskRun] = []
        while len(chosen) < number and able:
            pool = alive
            if len(items) > 1:
                pool = self._of_one_provider(alive, able, items)
            # a service that has changed from one to the other may still have tasks on both
            fargate = next(task for task in pool if task in able).fargate
            pool = [task for task in pool if task.fargate == fargate]
            if fargate:
                pick = self._on_fargate(pool, able, float(draws.random()))
            else:
                draw = (float(draws.random()),) if service.spec.placement_strategy else ()
                pick = self._on_instances(service, pool, able, draw)
            chosen.append(pick)
            able.discard(pick)
            alive.remove(pick)
        return chosen

    def _of_one_provider(
        self, alive: list[TaskRun], able: set[TaskRun], items: Sequence[CapacityProviderStrategyItem]
    ) -> list[TaskRun]:
        may = [any(t.capacity_provider == i.capacity_provider for t in able) for i in items]
        counts = by_provider(items, alive)
        index = provider_to_shrink(items, counts, may)
        if index is None:
            # all that may stop came through providers, or a launch type, that the strategy does not name any more
            named = {item.capacity_provider for item in items}
            return [t for t in alive if t.capacity_provider not in named]
        name = items[index].capacity_provider
        if self._records.full:
            has = {
                item.capacity_provider: f"{item.capacity_provider}: base {item.base}, weight {item.weight}, {counted(count, 'task')}"
                for item, count in zip(items, counts, strict=True)
            }
            self._records.stop(
                (t, "capacity provider", t.capacity_provider == name, "the largest surplus", has[t.capacity_provider])
                for t in sorted(able, key=lambda task: task.number)
                if t.capacity_provider in has
            )
        return [t for t in alive if t.capacity_provider == name]

    def _on_fargate(self, pool: list[TaskRun], able: set[TaskRun], draw: float) -> TaskRun:
        """Return the newest task that may stop in the fullest zone."""
        zones = sorted({task.zone or "" for task in pool})
        counts = [sum(1 for t in pool if t.zone == zone) for zone in zones]
        may = [any(t.zone == zone and t in able for t in pool) for zone in zones]
        index = fargate_fullest_zone(counts, may, draw)
        assert index is not None
        pick = [t for t in pool if t.zone == zones[index] and t in able][-1]
        if self._records.full:
            there = [t for t in pool if t in able]
            has = {zone: f"{count} of the service in {zone}" for zone, count in zip(zones, counts, strict=True)}
            rows = [(t, "fullest zone", t.zone == pick.zone, "the most", has[t.zone or ""]) for t in there]
            rows += [(t, "the newest", t is pick, "", "") for t in there if t.zone == pick.zone]
            self._records.stop(rows)
        return pick

    def _on_instances(
        self, service: ServiceRun, pool: list[TaskRun], able: set[TaskRun], draw: tuple[float, ...]
    ) -> TaskRun:
        fleet = service.cluster.fleet.view()
        steps: list[VictimStep] | None = [] if self._records.full else None
        view = _tasks_view(pool, able, fleet.zone)
        pick = pool[victims(view, 1, service.spec.placement_strategy, fleet, draw, steps)[0]]
        if steps is not None:
            self._records.stop_by_rule(pool, steps)
        return pick


def _why_unhealthy(task: TaskRun) -> str:
    """Say why a task does not count as healthy any more."""
    if task.host_drains:
        return "on an instance that is draining"
    return "about to be retired by Fargate" if task.retires else "unhealthy"


def by_provider(items: Sequence[CapacityProviderStrategyItem], tasks: Iterable[TaskRun]) -> list[int]:
    """Return the number of tasks of each provider of a strategy."""
    counts = {item.capacity_provider: 0 for item in items}
    for task in tasks:
        if task.capacity_provider in counts:
            counts[task.capacity_provider] += 1
    return list(counts.values())


def _tasks_view(pool: list[TaskRun], able: set[TaskRun], zone_codes: npt.NDArray[np.int32]) -> ServiceTasksView:
    rows = [-1 if t.instance is None or t.instance.row is None else t.instance.row for t in pool]
    return ServiceTasksView(
        zone=np.array([zone_codes[row] if row >= 0 else -1 for row in rows], dtype=np.int32),
        row=np.array(rows, dtype=np.int64),
        may_stop=np.array([t in able for t in pool], dtype=np.bool_),
        cpu_units=np.array([t.revision.definition.cpu_units for t in pool], dtype=np.int64),
        memory_mib=np.array([t.revision.definition.memory_mib for t in pool], dtype=np.int64),
    )
