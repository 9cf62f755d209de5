"""A server that takes work by itself: limited processor sharing, as in a slot of the plane.

What it does is brought forward at its own events only, so that looking at it in between changes nothing.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Callable
from typing import Any

VISIBLE, IN_FLIGHT, GONE = 0, 1, 2
ROUNDING_US = 1e-3
"""The same end may be computed in another order of additions: nobody is sent away that much too early."""


class Item:
    """A piece of work in the common queue.

    Attributes
    ----------
    sent_us, since_us
        When it was sent first, and when it came to this queue.
    payload
        What the caller knows it by.
    takes
        How often it has been taken.
    """

    __slots__ = ("payload", "sent_us", "since_us", "state", "takes")

    def __init__(self, sent_us: int, since_us: int, payload: Any) -> None:
        self.sent_us = sent_us
        self.since_us = since_us
        self.payload = payload
        self.state = VISIBLE
        self.takes = 0


class Job:
    """One take of an item by a worker of a server."""

    __slots__ = ("cpu_us", "fails", "item", "number", "since_us", "take", "waits_until")

    def __init__(self, item: Item, since_us: float, cpu_us: float, waits_until: float, fails: bool) -> None:
        self.item = item
        self.take = item.takes
        self.since_us = since_us
        self.cpu_us = cpu_us
        self.waits_until = waits_until
        self.fails = fails
        self.number = -1


class PullServer:
    """Some workers that share cores: a job holds its worker for its wait, then needs its cpu time.

    Attributes
    ----------
    taking
        Whether it takes new work.
    jobs
        What its workers are at, by number, in the order in which they were taken.
    on_busy
        Told of the number of jobs in their cpu phase when it changes, and the instant.
    """

    def __init__(self, now_us: int, cores: float, speed: float, workers: int, profile: Any) -> None:
        if not (0 < cores < math.inf and 0 < speed < math.inf):
            raise ValueError(f"a server needs cores and a speed above 0, not {cores} and {speed}")
        if workers < 1:
            raise ValueError(f"a server needs a worker, not {workers}")
        self.cores, self.speed, self.workers, self.profile = float(cores), float(speed), workers, profile
        self.taking = True
        self.on_busy: Callable[[int, float], None] | None = None
        self.jobs: dict[int, Job] = {}
        self.version = 0
        """Raised whenever the next end of work may have changed."""
        self.worked = 0
        self._running: list[tuple[float, int]] = []
        self._attained = 0.0
        self._last = float(now_us)
        self._busy_core_us = 0.0
        self._in_system_us = 0.0

    def _rate(self) -> float:
        return min(1.0, self.cores / len(self._running)) * self.speed

    def settle(self, now: float) -> None:
        """Bring it forward to an instant at which something of it changes."""
        span = now - self._last
        if span <= 0:
            return
        self._in_system_us += span * len(self.jobs)
        busy = len(self._running)
        if busy:
            self._attained += span * self._rate()
            self._busy_core_us += span * min(float(busy), self.cores)
        self._last = now

    def use(self, now_us: int) -> tuple[float, float]:
        """Return core-time and jobs' time up to an instant, microseconds; changes nothing."""
        span, busy = now_us - self._last, len(self._running)
        return self._busy_core_us + span * min(float(busy), self.cores), self._in_system_us + span * len(self.jobs)

    def add(self, job: Job, number: int) -> None:
        """Give a worker a job; settled before."""
        job.number = number
        self.jobs[number] = job

    def run(self, job: Job) -> None:
        """Let a job enter its cpu phase; settled before."""
        if not self._running:
            self._attained = 0.0
        heapq.heappush(self._running, (self._attained + job.cpu_us, job.number))
        self.version += 1
        self._tell(self._last)

    def _tell(self, now: float) -> None:
        if self.on_busy is not None:
            self.on_busy(self.busy, now)

    @property
    def busy(self) -> int:
        """How many jobs are in their cpu phase."""
        return len(self._running)

    def drop_all(self) -> None:
        """Let go of what it holds; settled before."""
        self.jobs.clear()
        self._running.clear()
        self._tell(self._last)

    def next_end(self) -> float | None:
        """Return when the next job ends if nothing changes; None: no job is in its cpu phase."""
        if not self._running:
            return None
        return self._last + max(0.0, self._running[0][0] - self._attained) / self._rate()

    def end_next(self, now: float) -> Job:
        """End the job that is due."""
        self.settle(now)
        self._attained, number = heapq.heappop(self._running)
        self.version += 1
        self.worked += 1
        self._tell(now)
        return self.jobs.pop(number)

    def set_rate(self, now: float, cores: float, speed: float) -> None:
        """Change cores and speed from an instant on."""
        self.settle(now)
        self.cores, self.speed = cores, speed
        self.version += 1

    def finished_at(self, now_us: int) -> int:
        """Return when it will have ended all it holds if it takes nothing more; the first whole microsecond."""
        at, attained, last = float(now_us), self._attained, self._last
        if self._running:
            attained += (at - last) * self._rate()
        running = [(target, number) for target, number in self._running]
        there = {number for _, number in running}
        waiting = sorted((j.waits_until, j.number, j.cpu_us) for j in self.jobs.values() if j.number not in there)
        while running or waiting:
            rate = min(1.0, self.cores / len(running)) * self.speed if running else 1.0
            ends = at + max(0.0, running[0][0] - attained) / rate if running else math.inf
            if waiting and waiting[0][0] <= ends:
                begins, number, cpu = waiting.pop(0)
                attained += max(0.0, begins - at) * rate if running else 0.0
                at = max(at, begins)
                heapq.heappush(running, (attained + cpu, number))
            else:
                attained, _ = heapq.heappop(running)
                at = ends
        return math.ceil(at + ROUNDING_US)
