"""What the tasks of a service use and reserve, task by task.

Only RUNNING tasks count, in what is used as in what is reserved: the metric times the running tasks is then the load, which is what target
tracking takes it for. A task that drains still works on what it holds; that work belongs to nobody's utilisation.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from fargsim.kernel import SlotUse
from fargsim.sim.state import TaskRun
from fargsim.sim.task_work import WorkUse

BYTES_PER_MIB = 2**20


@dataclass(slots=True)
class Extremes:
    """The lowest and highest value seen."""

    low: float = float("inf")
    high: float = float("-inf")

    def see(self, value: float) -> None:
        """Take a value."""
        self.low = min(self.low, value)
        self.high = max(self.high, value)

    def pair(self) -> tuple[float | None, float | None]:
        """Return both, or ``None`` twice where nothing was seen."""
        return (None, None) if self.high < self.low else (self.low, self.high)


class UseWindow:
    """Use and reservation of a service's tasks in one period."""

    __slots__ = (
        "cpu",
        "inside_us",
        "memory",
        "reserved_cpu_us",
        "reserved_memory",
        "samples",
        "used_cpu_us",
        "used_memory",
    )

    def __init__(self) -> None:
        self.begin()

    def begin(self) -> None:
        """Begin a period."""
        self.cpu, self.memory = Extremes(), Extremes()
        self.used_cpu_us = self.reserved_cpu_us = 0.0
        self.used_memory = self.reserved_memory = 0.0
        self.inside_us = 0.0
        self.samples = 0


@dataclass(slots=True)
class _Seen:
    """How far a task has been accounted."""

    at_us: int
    busy_us: float = 0.0
    inside_us: float = 0.0
    held_byte_us: float = 0.0
    work_byte_us: float = 0.0
    over: bool = False


class TaskUse:
    """Use and reservation of a service's tasks, added to every window that is open.

    Parameters
    ----------
    sample_us
        Length of a sample; minimum and maximum are those of tasks that were there for half of one at least.
    windows
        The windows; may be changed from outside.
    """

    def __init__(self, sample_us: int, windows: Sequence[UseWindow]) -> None:
        self.windows = windows
        self._sample_us = sample_us
        self._seen: dict[str, _Seen] = {}

    def account(
        self, task: TaskRun, now_us: int, busy_us: float = 0.0, inside_us: float = 0.0, held_byte_us: float = 0.0
    ) -> None:
        """Take what a task has done since it was accounted last.

        Parameters
        ----------
        busy_us, inside_us
            Its core-time and its requests' time so far, since it started.
        held_byte_us
            Memory it has held so far beside what its behaviour says, byte-microseconds.
        """
        if task.started_at is None:
            return
        seen = self._seen.get(task.task_id)
        if seen is None:
            seen = self._seen[task.task_id] = _Seen(task.started_at)
            if task.machine is not None:
                seen.held_byte_us = task.machine.memory.held_before_running
        there, busy, inside = now_us - seen.at_us, busy_us - seen.busy_us, inside_us - seen.inside_us
        of_work = held_byte_us - seen.work_byte_us
        seen.at_us, seen.busy_us, seen.inside_us, seen.work_byte_us = now_us, busy_us, inside_us, held_byte_us
        for window in self.windows:
            window.inside_us += inside
        if seen.over:
            return
        behaviour, definition = task.revision.behaviour, task.revision.definition
        does = behaviour.request or behaviour.message
        per_request = does.memory if does else 0
        used, reserved = busy + behaviour.idle_cpu * there, definition.cpu_units / 1024 * there
        held, limit = float(behaviour.memory * there), definition.memory_mib * BYTES_PER_MIB * there
        if task.machine is not None:  # each container holds its own, and some leak
            total = task.machine.memory.byte_us()
            held, seen.held_byte_us = total - seen.held_byte_us, total
        held += per_request * inside + of_work
        counts = 2 * there >= self._sample_us
        for window in self.windows:
            window.used_cpu_us += used
            window.reserved_cpu_us += reserved
            window.used_memory += held
            window.reserved_memory += limit
            if counts:
                window.samples += 1
                if reserved:
                    window.cpu.see(100 * used / reserved)
                if limit:
                    window.memory.see(100 * held / limit)

    def leave(self, task: TaskRun, now_us: int, use: SlotUse | WorkUse) -> None:
        """Account a task that has just left RUNNING for the last time that counts."""
        held = use.held_byte_us if isinstance(use, WorkUse) else 0.0
        self.account(task, now_us, use.busy_core_us, use.in_system_us, held)
        seen = self._seen.get(task.task_id)
        if seen is not None:
            seen.over = True

    def restart(self, task: TaskRun) -> None:
        """Count the requests of a task whose container is restarted in place from nothing again."""
        seen = self._seen.get(task.task_id)
        if seen is not None:
            seen.busy_us = seen.inside_us = seen.work_byte_us = 0.0

    def forget(self, task: TaskRun) -> None:
        """Drop a task that has stopped."""
        self._seen.pop(task.task_id, None)
