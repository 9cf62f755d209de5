"""Tasks that use CPU and memory as a trace says: no requests, no chance, integrals of steps.

A load that is shared is divided anew when a task begins or ends; nothing happens in between.
"""

from __future__ import annotations

from bisect import bisect_right
from itertools import pairwise

from fargsim.model.utilization import PercentTrace, UtilizationBehaviour
from fargsim.sim.host_sharing import Seat
from fargsim.sim.kit import Kit
from fargsim.sim.state import TaskRun
from fargsim.sim.task_work import WorkUse


class Steps:
    """Percentages over time, with their integrals.

    >>> from fargsim.model.utilization import PercentTrace
    >>> steps = Steps(PercentTrace.model_validate({"steps": [{"at": "10 us", "percent": 50}, {"at": "20 us", "percent": 200}]}))
    >>> steps.integral(0, 30, 1.0, 1.0)  # 10 at a half, 10 at no more than the whole
    15.0
    """

    def __init__(self, trace: PercentTrace) -> None:
        steps = trace.steps or ()
        self._at = [0, *(s.at for s in steps)]
        self._level = [0.0, *(s.percent / 100 for s in steps)]

    def integral(self, from_us: int, to_us: int, scale: float, most: float) -> float:
        """Return the integral of the level times `scale`, never above `most`, over a span; microseconds."""
        first, last = bisect_right(self._at, from_us) - 1, bisect_right(self._at, to_us) - 1
        edges = [from_us, *self._at[first + 1 : last + 1], to_us]
        levels = self._level[first : last + 1]
        return sum(min(level * scale, most) * (b - a) for level, (a, b) in zip(levels, pairwise(edges), strict=True))

    def level_at(self, now_us: int) -> tuple[float, int | None]:
        """Return the level at an instant, and when it changes next; None: never."""
        here = bisect_right(self._at, now_us)
        return self._level[here - 1], self._at[here] if here < len(self._at) else None


class _Load:
    """A trace and the tasks of one group that share it, or each follow it."""

    def __init__(self, kit: Kit, does: UtilizationBehaviour) -> None:
        self.kit = self._kit = kit
        self._cpu = Steps(does.cpu)
        self._memory = None if does.memory is None else Steps(does.memory)
        self._tasks = does.tasks
        self.followers: dict[str, _Follower] = {}
        self._settled_at = kit.now
        self._planned_at: int | None = None

    def press(self) -> None:
        """Let those who share an instance want what the trace says, and look again when it says something else."""
        now = self._kit.now
        seated = [one for one in self.followers.values() if one.seat is not None]
        if not seated:
            return
        level, changes_at = self._cpu.level_at(now)
        share = 1.0 if self._tasks is None else self._tasks / len(self.followers)
        for one in seated:
            assert one.seat is not None
            one.seat.want(level * share * one.reserved)
        if changes_at is not None and self._planned_at != changes_at:
            self._planned_at = changes_at
            self._kit.at(changes_at, self.press)

    def settle(self) -> None:
        """Add up what everybody has used since the last time."""
        now, begin = self._kit.now, self._settled_at
        self._settled_at = now
        if now <= begin or not self.followers:
            return
        share = 1.0 if self._tasks is None else self._tasks / len(self.followers)
        used: dict[tuple[float, float], float] = {}
        held = None if self._memory is None else self._memory.integral(begin, now, share, float("inf"))
        for one in self.followers.values():
            kind = (one.reserved, one.cores)
            if one.seat is None:
                if kind not in used:
                    used[kind] = self._cpu.integral(begin, now, share * one.reserved, one.cores)
                one.busy_core_us += used[kind]
            if held is not None:
                one.held_byte_us += held * one.memory_bytes


class _Follower:
    """A task that follows a trace."""

    def __init__(self, load: _Load, task: TaskRun, cores: float) -> None:
        load.settle()
        definition = task.revision.definition
        self.cores = cores
        self.reserved = definition.cpu_units / 1024 if definition.cpu_units else 1.0
        self.memory_bytes = definition.memory_mib * 2**20
        self.busy_core_us = self.held_byte_us = 0.0
        self.seat: Seat | None = None
        self._load = load
        self._kit = load.kit
        self._name = task.task_id
        load.followers[self._name] = self
        load.press()

    def use(self) -> WorkUse:
        self._load.settle()
        shared = 0.0 if self.seat is None else self.seat.used_core_us()
        return WorkUse(self.busy_core_us + shared, 0.0, self.held_byte_us)

    def sit(self, task: TaskRun) -> None:
        if self._name not in self._load.followers:
            return  # it is being stopped, and nothing is left for it
        self._load.settle()
        self.seat = self._kit.sharing.seat(task)
        self._load.press()

    def set_cores(self, cores: float) -> None:
        self._load.settle()
        self.cores = cores

    def take_no_more(self) -> None:
        """Leave the load to the others; nothing is held."""
        self._load.settle()
        if self._load.followers.pop(self._name, None) is None:
            return
        if self.seat is not None:
            self.busy_core_us += self.seat.used_core_us()
            self.seat.leave()
            self.seat = None
        self._load.press()

    def done_in_us(self) -> int:
        return 0

    def leave(self) -> WorkUse:
        self.take_no_more()
        return WorkUse(self.busy_core_us, 0.0, self.held_byte_us)


class UtilizationWork:
    """The loads of the region, by cluster, task group and what is said of it."""

    def __init__(self, kit: Kit) -> None:
        self._kit = kit
        self._loads: dict[tuple[str, str, int], _Load] = {}

    def wanted(self, task: TaskRun) -> bool:
        """Whether a task follows a trace."""
        return task.revision.behaviour.utilization is not None

    def join(self, task: TaskRun, cores: float) -> _Follower:
        """Let a task follow its trace from now on."""
        does = task.revision.behaviour.utilization
        assert does is not None
        # revisions that share a behaviour share the load; another behaviour is another load
        key = (task.cluster.name, task.group, id(does))
        if key not in self._loads:
            self._loads[key] = _Load(self._kit, does)
        return _Follower(self._loads[key], task, cores)
