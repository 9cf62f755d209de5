"""The fault `agent_disconnected`: container agents that cannot be reached for a while."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fargsim.model.timeline import AgentDisconnected
from fargsim.sim.instance_states import disconnect, reconnect

if TYPE_CHECKING:
    from fargsim.sim.groups import InstanceRun
    from fargsim.sim.region import Region


def cut_off(region: Region, fault: AgentDisconnected) -> None:
    """Cut the agents of the oldest registered instances of a group off, and let them come back when the fault ends."""
    kit = region.kit
    group = region.registry.group(fault.auto_scaling_group)
    there = [i for i in group.cluster.instances_by_row.values() if i.group is group and i.reconnected is None]

    def back(instance: InstanceRun) -> None:
        reconnect(kit, instance)

    for instance in there[: fault.count]:
        disconnect(kit, instance)
        kit.at(kit.now + fault.for_, lambda instance=instance: back(instance))  # type: ignore[misc]
