"""A task's change of status: counted, recorded, told to its service."""

from __future__ import annotations

from fargsim.sim.kit import Kit
from fargsim.sim.records import record_state
from fargsim.sim.state import TaskRun


def enter(kit: Kit, task: TaskRun, status: str) -> None:
    """Change the last status."""
    counts = task.cluster.counts
    before = task.last_status
    counts[before] -= 1
    counts[status] += 1
    task.last_status = status
    record_state(kit, task)
    if task.instance is not None and task.revision.behaviour.idle_cpu and "RUNNING" in (before, status):
        # what it uses while nothing is in it leaves less for its neighbours, or no longer
        kit.sharing.review(task.instance)
    if task.service is not None:
        task.service.task_moved(task)
