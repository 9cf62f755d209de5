"""Which instance types a task of a Managed Instances provider may run on, by its placement constraints and what its definition requires.

Source: Amazon ECS Developer Guide, managed-instance-auto-scaling.html, task-placement.html: resources, then constraints, then the
requirements of the launch template.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from fargsim.policy.fleet import Fleet
from fargsim.policy.managed_instances import Offer, alone
from fargsim.policy.needs import TaskNeeds, needs_of
from fargsim.policy.placement import compile_placement, matching
from fargsim.sim.instances import attributes_of
from fargsim.sim.kit import Kit

if TYPE_CHECKING:
    from fargsim.sim.groups import AutoScalingGroupRun
    from fargsim.sim.state import TaskRun

Places = frozenset[tuple[str, str]]
"""Instance types, each with a zone."""


class Eligible:
    """Asks placement itself, of a fleet that has one instance of every type in every zone."""

    def __init__(self, kit: Kit, group: AutoScalingGroupRun, offers: Sequence[Offer]) -> None:
        self._kit = kit
        self._group = group
        self._offers = offers
        self._fleet: Fleet | None = None
        self._rows: list[tuple[str, str]] = []
        self._known: dict[tuple[int, str, str], tuple[object, Places]] = {}

    def of(self, task: TaskRun) -> Places:
        """Return where a task may run, whatever room there is; nowhere where an expression asks for what new instances never have."""
        key = (id(task.spec), task.revision.name, task.group)
        known = self._known.get(key)
        if known is not None and known[0] is task.spec:
            return known[1]
        fleet = self._every()
        plan = compile_placement(
            needs_of(task.revision.definition, self._zones(task)),
            (*task.revision.definition.placement_constraints, *task.spec.placement_constraints),
            service=task.service is not None,
        )
        mask = matching(plan, fleet.view(), fleet.group(task.group, plan.spread_over))
        found = frozenset(place for place, may in zip(self._rows, mask.tolist(), strict=True) if may)
        self._known[key] = (task.spec, found)
        return found

    def _zones(self, task: TaskRun) -> tuple[str, ...] | None:
        network = task.spec.network_configuration
        if network is None:
            return None
        known = self._kit.surroundings.network.subnets
        subnets = network.awsvpc_configuration.subnets
        return tuple(dict.fromkeys(known[s].spec.availability_zone for s in subnets if s in known))

    def _every(self) -> Fleet:
        if self._fleet is None:
            self._fleet = Fleet()
            for offer in self._offers:
                for zone in self._group.zones:
                    self._rows.append((offer.name, zone))
                    self._fleet.register(
                        f"{offer.name}/{zone}",
                        cpu_units=offer.shape.cpu_units,
                        memory_mib=offer.shape.memory_mib,
                        zone=zone,
                        attributes=attributes_of(self._kit, self._group, offer.name, offer.architecture, zone),
                    )
        return self._fleet


def asks(task: TaskRun) -> TaskNeeds:
    """Return what a task asks of an instance, with an instance of its own where it wants one."""
    return alone(task.revision.needs, task.group) if task.distinct else task.revision.needs
