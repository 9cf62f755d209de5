"""Taking places and giving them back: in the task's group, in the scheduler's ledger, on the host.

A task leaves its group when its desired status becomes STOPPED, while its target may still drain; the scheduler's ledger when it enters
STOPPING; its host when it has stopped.

Source: Amazon ECS Developer Guide, task-placement-constraints.html (``distinctInstance`` looks at the desired status);
github.com/aws/amazon-ecs-agent, agent/engine/host_resource_manager.go (the two ledgers).
"""

from __future__ import annotations

from fargsim.sim.kit import Kit
from fargsim.sim.state import TaskRun


def reserve(task: TaskRun) -> None:
    """Reserve a placed task's resources in the scheduler's ledger."""
    cluster = task.cluster
    needs = task.revision.needs
    if task.instance is not None:
        assert task.instance.row is not None
        cluster.fleet.take(task.instance.row, needs, task.group)
        if needs.dynamic_ports:
            taken = cluster.fleet.ports_of(task.instance.row)
            ports = task.instance.dynamic_ports
            task.dynamic_ports = tuple(ports.take(protocol, taken) for _, _, protocol in needs.dynamic_ports)
        task.instance.tasks[task.task_id] = task
        cluster.reserved_cpu_units += needs.cpu_units
        cluster.reserved_memory_mib += needs.memory_mib
    else:
        cluster.fargate_cpu_units += needs.cpu_units
        zones = cluster.zones_of(task)
        assert task.zone is not None
        zones[task.zone] = zones.get(task.zone, 0) + 1
    task.reserved = task.in_group = True


def leave_group(task: TaskRun) -> None:
    """Count a task that is told to stop in its group, and in its zone on Fargate, no more; the second call does nothing.

    The task of a daemon service stays until it enters STOPPING: the next one of its instance comes after it, never beside it.
    """
    if not task.in_group or task.daemon:
        return
    task.in_group = False
    if task.instance is not None:
        assert task.instance.row is not None
        task.cluster.fleet.leave(task.instance.row, task.group)
    elif task.zone is not None:
        task.cluster.zones_of(task)[task.zone] -= 1


def release_reservation(kit: Kit, task: TaskRun) -> None:
    """Give a task's resources back to the scheduler; the second call does nothing."""
    if not task.reserved:
        return
    task.reserved = False
    cluster = task.cluster
    needs = task.revision.needs
    if task.instance is not None:
        assert task.instance.row is not None
        cluster.fleet.release(task.instance.row, needs, task.group if task.in_group else None)
        cluster.reserved_cpu_units -= needs.cpu_units
        cluster.reserved_memory_mib -= needs.memory_mib
    elif task.zone is not None and task.in_group:
        cluster.zones_of(task)[task.zone] -= 1
    task.in_group = False
    if not task.fargate:
        cluster.capacity_changed()


def free_place(kit: Kit, task: TaskRun) -> None:
    """Give a stopped task's resources back to its host, or its vCPUs to the account."""
    if task.instance is not None:
        if task.instance.credits is not None:
            task.instance.credits.settle()
        del task.instance.tasks[task.task_id]
        if task.dynamic_ports:
            for port, (_, _, protocol) in zip(task.dynamic_ports, task.revision.needs.dynamic_ports, strict=False):
                if port is not None:
                    task.instance.dynamic_ports.give_back((port, protocol))
        task.instance.host_free(task)
    elif task.zone is not None:
        task.cluster.fargate_cpu_units -= task.revision.needs.cpu_units
        task.cluster.fargate_freed(task)
