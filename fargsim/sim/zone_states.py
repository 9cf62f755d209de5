"""What is wrong with availability zones at this instant, as balancers meet it at their targets."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from fargsim.sim.kit import Kit
from fargsim.sim.target_health import Contact

if TYPE_CHECKING:
    from fargsim.sim.state import TaskRun
    from fargsim.sim.targets import TargetGroupRun

UNREACHABLE = Contact(reachable=False, passes=False, reason="Request timed out")


class ZoneStates:
    """Dark zones, impaired zones and tasks that hang.

    Parameters
    ----------
    sound
        What a balancer meets at a task when nothing of the kind is wrong.
    """

    def __init__(self, kit: Kit, sound: Callable[[TaskRun, TargetGroupRun], Contact]) -> None:
        self._kit = kit
        self._sound = sound
        self.dark: dict[str, int] = {}
        """Until when a zone is dark."""
        self._shares: dict[str, tuple[float, int]] = {}
        self._drawn: dict[TaskRun, float] = {}
        self.hung: set[TaskRun] = set()

    def contact(self, task: TaskRun, group: TargetGroupRun) -> Contact:
        """Return what the balancer of a target group meets at a task now."""
        if (self.dark or self.hung or self._shares) and (
            self.is_dark(task.zone) or task in self.hung or self._cut_off(task)
        ):
            return UNREACHABLE
        return self._sound(task, group)

    def is_dark(self, zone: str | None) -> bool:
        """Whether a zone is dark."""
        return zone is not None and self.dark.get(zone, 0) > self._kit.now

    def impair(self, zone: str, share: float, until_us: int) -> None:
        """Let a share of a zone's tasks be out of reach until an instant."""
        self._shares[zone] = (share, until_us)

    def recover(self, zone: str) -> None:
        """End a zone's impairment if its time is over."""
        if zone in self._shares and self._shares[zone][1] <= self._kit.now:
            del self._shares[zone]
            self._drawn = {task: draw for task, draw in self._drawn.items() if task.zone != zone}

    def _cut_off(self, task: TaskRun) -> bool:
        if task.zone not in self._shares:
            return False
        if task not in self._drawn:
            self._drawn[task] = float(self._kit.streams[f"impairment/{task.zone}"].random())
        return self._drawn[task] < self._shares[task.zone][0]
