"""Says of a task that begins to wait in PROVISIONING that no instance of its provider will ever hold it, and which type would.

ECS itself says nothing until the task stops. Source: Amazon ECS Developer Guide, managed-scaling-behavior.html.
"""

from __future__ import annotations

from fargsim.catalog.instances import instance_types
from fargsim.catalog.offers import offer_fault, offered
from fargsim.policy.fitting import never_held
from fargsim.policy.managed_instances import Offer
from fargsim.policy.managed_scaling import InstanceShape
from fargsim.policy.needs import TaskNeeds
from fargsim.sim.groups import AutoScalingGroupRun
from fargsim.sim.kit import Kit
from fargsim.sim.state import ProviderRun, TaskRun

EVENT = "TASK_FITS_NO_INSTANCE"


class Hopeless:
    """Looks once at every revision that waits for a provider, and again with other overrides or another launch template of its group."""

    def __init__(self, kit: Kit) -> None:
        self._kit = kit
        self._seen: set[tuple[str, TaskNeeds, str, int]] = set()

    def look(self, task: TaskRun, provider: ProviderRun) -> None:
        """Say so where a task can never be placed."""
        group = provider.group
        key = (task.revision.name, task.revision.needs, provider.spec.name, group.template_version)
        if key in self._seen:
            return
        self._seen.add(key)
        picks = provider.managed_instances
        own = [self._offer(group, name) for name in group.types]
        every = (self._offer(group, n) for n in instance_types() if offer_fault(n, self._kit.region) is None)
        why = never_held(task.revision.needs, own, every, waits=True, picks=picks)
        if why is not None:
            service = None if task.service is None else task.service.name
            text = f"tasks of {task.revision.name} on capacity provider {provider.spec.name}: {why}."
            self._kit.event(task.cluster.name, service, text, EVENT, "WARN")

    def _offer(self, group: AutoScalingGroupRun, name: str) -> Offer:
        kind, size, price = offered(
            name,
            self._kit.region,
            reserved_mib=group.spec.agent.ecs_reserved_memory_mib,
            factor=self._kit.parameters.number("registered_memory_factor"),
            trunking=group.spec.awsvpc_trunking,
        )
        return Offer(name, kind, InstanceShape(*size), price)
