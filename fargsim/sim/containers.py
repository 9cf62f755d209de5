"""The containers of a task in its life: the only one of most tasks here, those with lives of their own through their machine.

A task of one plain container costs what it costs: one boot, one end, one stop. Everything else is `fargsim.sim.container_machine`.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

import simpy

from fargsim.model.quantity import US_PER_S
from fargsim.policy.containers import health_changes
from fargsim.sim.container_machine import ContainerMachine
from fargsim.sim.container_run import container_behaviour
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


def essential_exit(kit: Kit, task: TaskRun) -> tuple[int, int] | None:
    """Return after how long the first essential container exits by itself, and its exit code; ``None`` if none does.

    A container that is not essential may exit without effect on the task: Amazon ECS API Reference, API_ContainerDefinition.html.
    """
    family = task.revision.definition.family
    exits: list[tuple[int, int]] = []
    for container in task.revision.definition.container_definitions:
        does = container_behaviour(task, container)
        if container.essential and kit.surroundings.cannot_execute(task, container):
            exits.append((kit.us("exec_failure_s"), 1))
        elif container.essential and does is not None and does.run is not None:
            exits.append((kit.streams.duration_us(f"run/{family}/{container.name}", does.run), does.exit_code))
    crash = task.revision.behaviour.crash
    if crash is not None:
        exits.append((kit.streams.duration_us(f"crash/{family}", crash), 1))
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
    longest, code = 0, 0
    for container in task.revision.definition.container_definitions:
        does = container_behaviour(task, container)
        wish = None if does is None or does.stop is None else does.stop
        wanted = (
            kit.us("stopping_overhead_s")
            if wish is None
            else kit.streams.duration_us(f"stop/{task.revision.definition.family}/{container.name}", wish)
        )
        limit = container.stop_timeout
        if limit is None:
            limit = 30 if task.instance is None else task.instance.stop_timeout_s
        if wanted > limit * US_PER_S:
            wanted = limit * US_PER_S
            code = 137 if container.essential else code
        longest = max(longest, wanted)
    if longest:
        yield kit.env.timeout(longest)
    task.exit_code = code if code else 0
    task.execution_stopped_at = kit.now
