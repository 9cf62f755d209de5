"""Where a task goes: a zone on Fargate, an instance on EC2.

Source: Amazon ECS Developer Guide, task-placement.html, task-placement-strategies.html, fargate-capacity-providers.html.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from fargsim.model.placement import PlacementConstraint, PlacementStrategy
from fargsim.model.service import CreateService, RunTask
from fargsim.model.taskdef import MemberOf
from fargsim.policy.explain import explain_row
from fargsim.policy.needs import needs_of
from fargsim.policy.placement import (
    NoPlacement,
    Place,
    PlacementPlan,
    compile_placement,
    place,
    service_event,
    why_not,
)
from fargsim.policy.strategies import MANAGED_INSTANCES
from fargsim.policy.victims import fargate_zone
from fargsim.policy.views import GROUP_ATTRIBUTE
from fargsim.sim.placement_records import PlacementRecords
from fargsim.sim.places import reserve
from fargsim.sim.refusal import Refusal
from fargsim.sim.registry import Registry
from fargsim.sim.state import ProviderRun, Revision, TaskRun
from fargsim.sim.where import ANYWHERE, Where

RECENT_MAX = 256

Constraints = tuple[PlacementConstraint | MemberOf, ...]


class Placer:
    """Finds a place for one task and lets the task take it."""

    def __init__(self, registry: Registry, records: PlacementRecords) -> None:
        self._registry = registry
        self._kit = registry.kit
        self._records = records
        self._plans: dict[tuple[object, ...], PlacementPlan] = {}
        self._recent: dict[tuple[object, ...], tuple[object, PlacementPlan]] = {}

    # Fargate

    def fargate_zones(self, spec: CreateService | RunTask) -> Sequence[str]:
        """Return the zones of a request's subnets that have Fargate at all, whether there is capacity or not."""
        return self._registry.fargate_zones(spec.network_configuration)

    def zones(
        self, spec: CreateService | RunTask, option: str, architecture: str, only: str | None = None
    ) -> Sequence[str]:
        """Return the zones of a request's subnets, or the only one that is wanted, as far as they have Fargate capacity."""
        zones = self.fargate_zones(spec) if only is None else (only,)
        return self._registry.fargate.capacity.open(option, zones, architecture)

    def to_zone(self, task: TaskRun, wanted: str | None = None) -> None:
        """Choose the zone with the fewest tasks of the group and provider; a standalone task takes any zone with capacity."""
        architecture = task.revision.definition.cpu_architecture
        zones = self.zones(task.spec, self._registry.fargate.option(task.capacity_provider), architecture)
        counts: list[int] | None = None
        if wanted is not None:
            zones = (wanted,)
        if task.service is None:
            draw = float(self._kit.streams[f"zone/{task.group}"].random())
            task.zone = zones[min(int(draw * len(zones)), len(zones) - 1)]
        else:
            spread = task.cluster.zones_of(task)
            counts = [spread.get(zone, 0) for zone in zones]
            task.zone = zones[fargate_zone(counts)]
        if self._records.full:
            self._records.zones(task, zones, counts, task.zone)
        self._to_subnet(task)
        reserve(task)

    def _to_subnet(self, task: TaskRun) -> None:
        network = task.spec.network_configuration
        if network is not None:
            subnets = network.awsvpc_configuration.subnets
            task.subnet = next((s for s in subnets if self._registry.subnets[s] == task.zone), None)

    # EC2

    def find(
        self, task: TaskRun, provider: ProviderRun | None, kind: str = "place", where: Where = ANYWHERE
    ) -> Place | NoPlacement:
        """Look for an instance; `kind` is ``wait`` for a task that has been looked at before."""
        fleet = task.cluster.fleet
        plan = self.plan(task, provider, where.zone)
        if where.host is not None:
            why = self._looked_at(task, plan, where.host, "daemon")
            return Place(where.host, 1) if why is None else NoPlacement(((why, 1),), where.host, why)
        draw = float(self._kit.streams[f"placement/{task.group}"].random()) if plan.draws else 0.0
        group = fleet.group(task.group, plan.spread_over)
        if self._records.full:
            waits = provider is not None and provider.managed
            self._records.instances(task, plan, group, draw, kind, created=waits)
        return place(plan, fleet.view(), group, draw)

    def why_never(self, task: TaskRun, provider: ProviderRun) -> str:
        """Say why a task has waited for an instance of a provider in vain, in the words of ``stoppedReason``.

        Source: Amazon ECS Developer Guide, api_failures_messages.html (``TaskFailedToStart``).
        """
        mine = [row for row, i in task.cluster.instances_by_row.items() if i.group is provider.group]
        if not mine:
            return "EMPTY CAPACITY PROVIDER"
        fleet = task.cluster.fleet
        view = fleet.view()
        among = np.zeros(view.size, dtype=np.bool_)
        among[mine] = True
        plan = self.plan(task, provider)
        closest = why_not(plan, view, fleet.group(task.group, plan.spread_over), among).closest_reason
        return "NO ACTIVE INSTANCES" if closest is None else closest.rstrip(".")

    def cannot(self, task: TaskRun, row: int) -> str | None:
        """Say why a task cannot go to an instance that was chosen for it, whatever constraints say; None where it can."""
        zones = self._registry.zones_of_subnets(task.spec.network_configuration) or None
        return self._looked_at(
            task, compile_placement(needs_of(task.revision.definition, zones), service=False), row, "StartTask"
        )

    def _looked_at(self, task: TaskRun, plan: PlacementPlan, row: int, who: str) -> str | None:
        """Say why a task cannot go to the only instance that was looked at, and keep what was said of it."""
        fleet = task.cluster.fleet
        steps = explain_row(plan, fleet.view(), fleet.group(task.group), row)
        if self._records.full:
            self._records.one_instance(task, steps, who)
        return steps[-1].reason

    def plan(self, task: TaskRun, provider: ProviderRun | None, zone: str | None = None) -> PlacementPlan:
        """Return the compiled request of a task, in one zone if that is wanted; equal requests share one."""
        spec = task.spec
        groups = len(self._registry.groups)
        # the same request object comes again and again: no need to compare what is in it
        recent = (id(spec), id(task.revision), task.group, None if provider is None else id(provider), groups, zone)
        known = self._recent.get(recent)
        if known is not None and known[0] is spec:
            return known[1]
        # a provider's tasks run on its own group's instances; that is no question where the cluster has no other group
        elsewhere = provider is not None and any(
            g.cluster is task.cluster and g is not provider.group for g in self._registry.groups.values()
        )
        only = provider.group.name if provider is not None and elsewhere else None
        rules = (spec.placement_strategy, spec.placement_constraints, spec.network_configuration)
        by_ecs = provider is not None and provider.managed_instances
        key = (id(task.revision), task.group, rules, only, zone, by_ecs)
        plan = self._plans.get(key)
        if plan is None:
            strategies = MANAGED_INSTANCES if by_ecs else spec.placement_strategy
            plan = self._plans[key] = self._compile(task, spec, strategies, only, zone)
        if len(self._recent) >= RECENT_MAX:
            self._recent.clear()
        self._recent[recent] = (spec, plan)
        return plan

    def request(self, spec: CreateService, revision: Revision, zone: str | None = None) -> PlacementPlan:
        """Return what a task of a service asks of an instance, in one zone if that is wanted; compiled anew."""
        zones = self._registry.zones_of_subnets(spec.network_configuration) or None
        needs = needs_of(revision.definition, zones)
        if zone is not None:
            needs = replace(needs, zones=(zone,))
        constraints: Constraints = (*revision.definition.placement_constraints, *spec.placement_constraints)
        return compile_placement(needs, constraints, spec.placement_strategy, service=True)

    def _compile(
        self,
        task: TaskRun,
        spec: CreateService | RunTask,
        strategies: tuple[PlacementStrategy, ...],
        only: str | None,
        zone: str | None,
    ) -> PlacementPlan:
        zones = self._registry.zones_of_subnets(spec.network_configuration) or None
        needs = needs_of(task.revision.definition, zones)
        if zone is not None:
            needs = replace(needs, zones=(zone,))
        constraints: Constraints = (*task.revision.definition.placement_constraints, *spec.placement_constraints)
        if task.daemon:
            constraints = (*constraints, PlacementConstraint(type="distinctInstance"))
        if only is not None:
            needs = replace(needs, attributes=(*needs.attributes, (GROUP_ATTRIBUTE, only)))
        return compile_placement(
            needs,
            constraints,
            strategies,
            service=task.service is not None,
        )

    def to_instance(self, task: TaskRun, found: Place) -> None:
        """Let a task take the instance that was found for it."""
        instance = task.cluster.instances_by_row[found.row]
        task.instance, task.zone = instance, instance.zone
        self._to_subnet(task)
        reserve(task)
        self._records.placed(task, instance, found.candidates)

    def refuse(self, task: TaskRun, why: NoPlacement) -> Refusal:
        """Say that no instance will do, and which comes closest."""
        closest = None if why.closest is None else task.cluster.instances_by_row.get(why.closest)
        closest_id = None if closest is None else closest.instance_id
        text = "; ".join(f"{reason} on {number}" for reason, number in why.reasons) or "NO ACTIVE INSTANCES"
        self._records.failed(task, text)
        reason = why.closest_reason or "NO ACTIVE INSTANCES"
        arn = "" if closest_id is None else self._kit.arn("container-instance", f"{task.cluster.name}/{closest_id}")
        event = service_event(why, closest_id, provider=task.capacity_provider is not None)
        return Refusal(reason, event, detail=text, arn=arn)
