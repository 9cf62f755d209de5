"""Work that tasks find by themselves, beside the requests that a balancer sends them.

A task's life tells when it may begin, when it must not take anything more and when it is over; metering asks what it has done. A task whose
behaviour names no such work costs a look at a field.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple, Protocol

from fargsim.sim.host_sharing import task_cores
from fargsim.sim.kit import Kit
from fargsim.sim.state import TaskRun


class WorkUse(NamedTuple):
    """What a task has done since its container that works was started.

    Core-time, time of the messages it held (microseconds), and memory it held beside them (byte-microseconds).
    """

    busy_core_us: float = 0.0
    in_system_us: float = 0.0
    held_byte_us: float = 0.0


NOTHING_DONE = WorkUse()


class Station(Protocol):
    """Where one task works."""

    def use(self) -> WorkUse:
        """Return what it has done so far."""

    def set_cores(self, cores: float) -> None:
        """Change how many cores it has."""

    def sit(self, task: TaskRun) -> None:
        """Share the cores of the task's instance with its neighbours from now on, where that is shared."""

    def take_no_more(self) -> None:
        """Take nothing new; go on with what is held."""

    def done_in_us(self) -> int:
        """Return how long it needs for what it holds and will not leave."""

    def leave(self) -> WorkUse:
        """End, with what is held; return what was done."""


class Workplace(Protocol):
    """A kind of work."""

    def wanted(self, task: TaskRun) -> bool:
        """Whether a task's behaviour asks for it."""

    def join(self, task: TaskRun, cores: float) -> Station:
        """Let a task begin."""


class TaskWork:
    """The work of all tasks.

    Attributes
    ----------
    places
        Kinds of work by name.
    """

    def __init__(self, kit: Kit) -> None:
        from fargsim.sim.utilization_work import UtilizationWork

        self._kit = kit
        self.places: dict[str, Workplace] = {"utilization": UtilizationWork(kit)}
        self._stations: dict[str, Station] = {}
        self._lives: dict[str, int] = {}

    @property
    def stations(self) -> Mapping[str, Station]:
        """Where tasks work, by task."""
        return self._stations

    def _place(self, task: TaskRun) -> Workplace | None:
        return next((place for place in self.places.values() if place.wanted(task)), None)

    def started(self, task: TaskRun, ready_at: int) -> None:
        """Let a task's container begin to work when it is ready."""
        if self._place(task) is None:
            return
        life = self._lives[task.task_id] = self._lives.get(task.task_id, 0) + 1

        def begin() -> None:
            place = self._place(task)
            if self._lives.get(task.task_id) == life and task.alive and place is not None:
                self._stations[task.task_id] = place.join(task, task_cores(task))
                self.seat(task)

        if ready_at <= self._kit.now:
            begin()
        else:
            self._kit.at(ready_at, begin)

    def restarted(self, task: TaskRun, ready_at: int | None) -> None:
        """Take note that a task's container has ended in place (None), or when its next run will be ready."""
        if ready_at is not None:
            self.started(task, ready_at)
        elif self._end(task) and task.service is not None:
            task.service.meter.restarted(task)

    def seat(self, task: TaskRun) -> None:
        """Let what a task works on share the cores of its instance, where that is shared."""
        station = self._stations.get(task.task_id)
        if station is not None and self._kit.sharing.machine(task) is not None:
            station.sit(task)

    def set_cores(self, task: TaskRun, cores: float) -> None:
        """Change how many cores a task has."""
        if task.task_id in self._stations:
            self._stations[task.task_id].set_cores(cores)

    def stopping(self, task: TaskRun) -> None:
        """Let a task that is told to stop take nothing new."""
        self._lives.pop(task.task_id, None)
        if task.task_id in self._stations:
            self._stations[task.task_id].take_no_more()

    def done_in_us(self, task: TaskRun) -> int:
        """Return how long a task that is told to stop works on what it holds before it exits."""
        station = self._stations.get(task.task_id)
        return 0 if station is None else station.done_in_us()

    def leave(self, task: TaskRun) -> None:
        """End a task's work, with what it holds."""
        self._lives.pop(task.task_id, None)
        self._end(task)

    def _end(self, task: TaskRun) -> bool:
        station = self._stations.pop(task.task_id, None)
        if station is None:
            return False
        use = station.leave()
        task.busy_core_us += use.busy_core_us
        if task.service is not None:
            task.service.meter.dropped(task, use)
        return True

    def use(self, task: TaskRun) -> WorkUse:
        """Return what a task has done since its container was started."""
        station = self._stations.get(task.task_id)
        return NOTHING_DONE if station is None else station.use()

    def finish(self, task: TaskRun) -> None:
        """Book what a task that is still alive has done, at the end of the run."""
        task.busy_core_us += self.use(task).busy_core_us
