"""What happens to a container instance short of its end: draining, an agent that is cut off, deregistration.

Source: Amazon ECS Developer Guide, container-instance-draining.html; Amazon ECS API Reference, API_ContainerInstance.html
(agentConnected), API_DeregisterContainerInstance.html.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from fargsim.sim.kit import Kit
from fargsim.sim.state import Stop
from fargsim.sim.task_life import stop_task

if TYPE_CHECKING:
    from fargsim.sim.groups import InstanceRun

DEREGISTERED = "Container instance deregistration forced by user"


def drain(kit: Kit, instance: InstanceRun) -> None:
    """Set an instance to DRAINING: no new tasks, pending service tasks stop at once, running ones are replaced within the bounds.

    Standalone tasks are left alone.
    """
    if instance.row is None or instance.status != "ACTIVE":
        return
    instance.status = "DRAINING"
    instance.draining_at = kit.now
    instance.cluster.fleet.set_active(instance.row, False)
    for task in list(instance.tasks.values()):
        if task.service is not None and task.alive:
            task.service.host_draining(task)


def activate(kit: Kit, instance: InstanceRun) -> None:
    """Set a draining instance to ACTIVE again: what has not been replaced yet may stay."""
    if instance.row is None or instance.status != "DRAINING":
        return
    instance.status = "ACTIVE"
    instance.draining_at = None
    instance.cluster.fleet.set_active(instance.row, True)
    for task in list(instance.tasks.values()):
        task.host_drains = task.serves = False
        if task.service is not None and task.alive:
            task.service.health_changed(task)
    instance.cluster.capacity_changed()


def disconnect(kit: Kit, instance: InstanceRun) -> None:
    """Cut an agent off: no placements; its tasks and their health stay as they were last known."""
    if instance.row is None or instance.reconnected is not None:
        return
    instance.reconnected = kit.env.event()
    instance.cluster.fleet.set_agent_connected(instance.row, False)


def reconnect(kit: Kit, instance: InstanceRun) -> None:
    """Let an agent report again: what happened meanwhile becomes known, and the instance takes tasks."""
    event, instance.reconnected = instance.reconnected, None
    if event is None or instance.row is None:
        return
    instance.cluster.fleet.set_agent_connected(instance.row, True)
    if instance.terminated_at is None:
        event.succeed()
        instance.cluster.capacity_changed()


def deregister(kit: Kit, instance: InstanceRun) -> None:
    """Take an instance out of its cluster; ECS forgets the tasks on it, which their services replace. The instance itself runs on."""
    cluster = instance.cluster
    if instance.row is None or instance.row not in cluster.instances_by_row:
        return
    cluster.fleet.set_active(instance.row, False)
    del cluster.instances_by_row[instance.row]
    cluster.registered_cpu_units -= instance.cpu_units
    cluster.registered_memory_mib -= instance.memory_mib
    instance.status = "INACTIVE"
    for task in list(instance.tasks.values()):
        stop_task(kit, task, Stop("UserInitiated", DEREGISTERED, kill=True))
