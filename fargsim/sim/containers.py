"""The containers of a task in its life: the only one of most tasks here, those with lives of their own through their machine.

A task of one plain container costs what it costs: one boot, one end, one stop. Everything else is `fargsim.sim.container_machine`.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

import simpy

from fargsim.model.quantity import US_PER_S
from fargsim.policy.containers import health_changes
from fargsim.sim.container_limits import stop_limit_us
from fargsim.sim.container_machine import ContainerMachine
from fargsim.sim.kit import Kit
from fargsim.sim.state import Stop, TaskRun

Process = Generator[simpy.Event, Any, None]


def start_containers(kit: Kit, task: TaskRun) -> Process:
    """Start containers with lives of their own, each in its turn, until all have started or the task ends before.

    The task is RUNNING when the last of its containers has started: github.com/aws/amazon-ecs-agent, agent/api/task/task.go.
    """
    machine = task.machine = ContainerMachine(kit, task)
    machine.on_health = lambda status: set_health(task, status)
    machine.begin()
    yield machine.all_started | machine.ended
    if machine.stop is not None:
        take_end(task, machine.stop)


def take_end(task: TaskRun, stop: Stop) -> None:
    """Let a task stop because of its containers."""
    task.desired_status = "STOPPED"
    task.stop_wanted = stop


def cannot_execute(kit: Kit, task: TaskRun) -> bool:
    """Whether a container of a task was built for another processor: it exits, and its log says why."""
    return any(kit.surroundings.cannot_execute(task, c) for c in task.revision.definition.container_definitions)


def essential_exit(kit: Kit, task: TaskRun) -> tuple[int, int] | None:
    """Return after how long a task's only container exits by itself, and its exit code; ``None`` if it does not."""
    definition, does = task.revision.definition, task.revision.behaviour
    [container] = definition.container_definitions
    exits: list[tuple[int, int]] = []
    if does.run is not None:
        exits.append((kit.streams.duration_us(f"run/{definition.family}/{container.name}", does.run), does.exit_code))
    if does.crash is not None:
        exits.append((kit.streams.duration_us(f"crash/{definition.family}", does.crash), 1))
    return min(exits) if exits else None


def watch_health(kit: Kit, task: TaskRun) -> None:
    """Compute when the health check of a task's only container changes its mind and when the task starts to count as healthy."""
    [container] = task.revision.definition.container_definitions
    check = container.health_check
    assert task.started_at is not None
    assert task.boot_done_at is not None
    if check is not None:
        for at, status in health_changes(
            task.started_at,
            task.boot_done_at,
            interval_us=check.interval * US_PER_S,
            timeout_us=check.timeout * US_PER_S,
            retries=check.retries,
            start_period_us=check.start_period * US_PER_S,
        ):
            kit.at(at, lambda status=status: set_health(task, status))  # type: ignore[misc]
    if task.service is not None:
        task.service.task_started(task, check is not None)


def set_health(task: TaskRun, status: str) -> None:
    """Set the task's health status and tell its service; what an agent that is cut off would say is heard when it is back."""
    if task.instance is not None and task.instance.reconnected is not None:
        back = task.instance.reconnected.callbacks
        assert back is not None
        back.append(lambda _: set_health(task, status))
        return
    if task.last_status == "RUNNING" and task.health_status != status:
        task.health_status = status
        if task.service is not None:
            task.service.health_changed(task)


def stop_containers(kit: Kit, task: TaskRun) -> Process:
    """Send SIGTERM and, when the stop time-out passes first, SIGKILL."""
    if task.machine is not None:
        yield from task.machine.stop_all()
        task.execution_stopped_at = kit.now
        return
    if task.exit_code is not None:
        # an essential container ended by itself: the others are stopped, which takes the agent a moment
        yield kit.env.timeout(kit.us("stopping_overhead_s"))
        task.execution_stopped_at = kit.now
        return
    definition, does = task.revision.definition, task.revision.behaviour
    [container] = definition.container_definitions
    wanted = (
        kit.us("stopping_overhead_s")
        if does.stop is None
        else kit.streams.duration_us(f"stop/{definition.family}/{container.name}", does.stop)
    )
    wanted = max(wanted, kit.work.done_in_us(task))
    left, killed = stop_limit_us(task, container), False
    while wanted and not killed:
        killed = wanted > left
        yield kit.env.timeout(left if killed else wanted)
        left -= wanted
        wanted = kit.work.done_in_us(task)  # neighbours on the instance may have slowed it down meanwhile
    task.exit_code = 137 if killed else 0
    task.execution_stopped_at = kit.now
