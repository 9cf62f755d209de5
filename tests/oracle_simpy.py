"""Third oracle: one SimPy process per request of the same station, with SimPy's own resources and another method.

It shares no code with the plane. First come, first served is `simpy.Resource`; processor sharing keeps what is left of
each request and subtracts at every change, where the plane adds up attained service. So fixed slots agree to the bit,
shared ones to rounding.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from typing import Any

import simpy


class Core:
    """Cores shared equally by the requests of the cpu phase, by remaining work."""

    def __init__(self, env: simpy.Environment, cores: float, speed: float) -> None:
        self.env, self.cores, self.speed = env, cores, speed
        self.left: dict[simpy.Event, float] = {}
        self.since = 0.0
        self.version = 0

    def rate(self) -> float:
        return min(1.0, self.cores / len(self.left)) * self.speed if self.left else 0.0

    def change(self) -> None:
        """Subtract what was done since the last change."""
        done = self.rate() * (self.env.now - self.since)
        for event in self.left:
            self.left[event] -= done
        self.since = self.env.now

    def work(self, cpu: float) -> simpy.Event:
        self.change()
        event = self.env.event()
        self.left[event] = cpu
        self.plan()
        return event

    def plan(self) -> None:
        self.version += 1
        if self.left:
            self.env.process(self.wake(min(self.left.values()) / self.rate(), self.version))

    def wake(self, delay: float, version: int) -> Generator[simpy.Event, Any, None]:
        yield self.env.timeout(max(delay, 0.0))
        if version == self.version:
            self.change()
            first = min(self.left, key=self.left.__getitem__)
            del self.left[first]
            first.succeed()
            self.plan()


class Target:
    """One slot."""

    def __init__(
        self, env: simpy.Environment, cores: float, speed: float, workers: int, queue_limit: int, shared: bool
    ) -> None:
        self.env, self.cores, self.speed, self.shared = env, cores, speed, shared
        self.worker = simpy.Resource(env, capacity=workers)
        self.queue_limit = queue_limit
        self.core = Core(env, cores, speed)
        self.outstanding = 0

    def full(self) -> bool:
        return self.worker.count >= self.worker.capacity and len(self.worker.queue) >= self.queue_limit


class Station:
    """A router in front of targets; endings as (outcome word, slot, start, end), in order of the requests."""

    def __init__(self, routing: str, targets: Sequence[dict[str, Any]]) -> None:
        self.env = simpy.Environment()
        self.least = routing == "least_outstanding_requests"
        self.targets = [Target(self.env, **target) for target in targets]
        self.cursor = 0

    def route(self) -> int:
        n = len(self.targets)
        turn = [(self.cursor + k) % n for k in range(n)]
        chosen = min(turn, key=lambda k: self.targets[k].outstanding) if self.least else turn[0]
        self.cursor = (chosen + 1) % n
        return chosen

    def life(self, number: int, cpu: float, wait: float, idle: float) -> Generator[simpy.Event, Any, None]:
        """One request, from its arrival on."""
        env = self.env
        at = self.route()
        target = self.targets[at]
        if target.full():
            self.endings[number] = ("refused_full", at, -1.0, float(env.now))
            return
        arrival = env.now
        target.outstanding += 1
        user = env.process(self.user(number, at, arrival + idle)) if idle else None
        with target.worker.request() as turn:
            yield turn
            start = env.now
            self.started[number] = start
            if wait > 0.0:
                yield env.timeout(wait)
            if target.shared:
                yield target.core.work(cpu)
            else:
                yield env.timeout(cpu / (min(1.0, target.cores) * target.speed))
        if number not in self.endings:
            if user is not None and user.is_alive:
                user.interrupt()
            target.outstanding -= 1
            self.endings[number] = ("served", at, start, env.now)

    def user(self, number: int, at: int, deadline: float) -> Generator[simpy.Event, Any, None]:
        """Wait for the answer as long as the balancer does."""
        try:
            yield self.env.timeout(deadline - self.env.now)
        except simpy.Interrupt:
            return
        if number not in self.endings:
            self.targets[at].outstanding -= 1
            self.endings[number] = ("timed_out", at, self.started.get(number, -1.0), deadline)

    def source(self, rows: Sequence[tuple[int, float, float]], idle: float) -> Generator[simpy.Event, Any, None]:
        """Let requests arrive."""
        for number, (arrival, cpu, wait) in enumerate(rows):
            yield self.env.timeout(arrival - self.env.now)
            self.env.process(self.life(number, cpu, wait, idle))

    def run(self, rows: Sequence[tuple[int, float, float]], idle: float = 0.0) -> list[tuple[str, int, float, float]]:
        """Serve (arrival, cpu, wait) rows to the last; arrivals at instants of their own."""
        self.endings: dict[int, tuple[str, int, float, float]] = {}
        self.started: dict[int, float] = {}
        self.env.process(self.source(rows, idle))
        self.env.run()
        return [self.endings[number] for number in range(len(rows))]
