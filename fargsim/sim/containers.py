"""The containers of a running task: how they behave, their health checks, their ends."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

import simpy

from fargsim.model.behaviour import ContainerBehaviour
from fargsim.model.quantity import US_PER_S
from fargsim.model.taskdef import ContainerDefinition
from fargsim.policy.health import boot_transitions
from fargsim.sim.kit import Kit
from fargsim.sim.state import TaskRun

Process = Generator[simpy.Event, Any, None]


def essential_exit(kit: Kit, task: TaskRun) -> tuple[int, int] | None:
    """Return after how long the first essential container exits by itself, and its exit code; ``None`` if none does.

    A container that is not essential may exit without effect on the task: Amazon ECS API Reference, API_ContainerDefinition.html.
    """
    family = task.revision.definition.family
    exits: list[tuple[int, int]] = []
    for container in task.revision.definition.container_definitions:
        does = container_behaviour(task, container)
        if container.essential and does is not None and does.run is not None:
            exits.append((kit.streams.duration_us(f"run/{family}/{container.name}", does.run), does.exit_code))
    crash = task.revision.behaviour.crash
    if crash is not None:
        exits.append((kit.streams.duration_us(f"crash/{family}", crash), 1))
    return min(exits) if exits else None


def container_behaviour(task: TaskRun, container: ContainerDefinition) -> ContainerBehaviour | None:
    """Return how a container behaves: its own entry, or the task's for the first essential container."""
    behaviour = task.revision.behaviour
    own = behaviour.containers.get(container.name)
    if own is not None:
        return own
    first = next(c for c in task.revision.definition.container_definitions if c.essential)
    return behaviour if container.name == first.name else None


def watch_health(kit: Kit, task: TaskRun) -> None:
    """Compute when the task's container health checks change and when it starts to count as healthy."""
    checked = [c for c in task.revision.definition.container_definitions if c.essential and c.health_check]
    assert task.started_at is not None
    assert task.boot_done_at is not None
    for container in checked:
        check = container.health_check
        assert check is not None
        # failures inside startPeriod do not count, so the first that counts is the first check after it
        interval = check.interval * US_PER_S
        skipped = max(0, -(-check.start_period // check.interval) - 1) if check.start_period else 0
        first = task.started_at + interval
        counted = first + skipped * interval
        if task.boot_done_at <= counted:
            counted = first
        for transition in boot_transitions(
            counted, interval, task.boot_done_at, healthy_threshold=1, unhealthy_threshold=check.retries
        ):
            status = transition.state.upper()
            kit.at(transition.at_us, lambda status=status: set_health(task, status))  # type: ignore[misc]
    if task.service is not None:
        task.service.task_started(task, bool(checked))


def set_health(task: TaskRun, status: str) -> None:
    """Set the task's health status and tell its service."""
    if task.last_status == "RUNNING" and task.health_status != status:
        task.health_status = status
        if task.service is not None:
            task.service.health_changed(task)


def stop_containers(kit: Kit, task: TaskRun) -> Process:
    """Send SIGTERM and, when the stop time-out passes first, SIGKILL."""
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
