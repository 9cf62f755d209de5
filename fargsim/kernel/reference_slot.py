"""The twin's slot and request: plain objects; the rules stand in `fargsim.kernel.reference`."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from fargsim.kernel.layout import FIXED, SERVE


def nanoseconds(instant_us: float) -> int:
    """Return an instant as whole nanoseconds, half to even."""
    return round(instant_us * 1000.0)


@dataclass(eq=False, slots=True)
class Request:
    """One request inside a slot."""

    number: int
    arrival: int
    cpu: float
    wait: float
    fails: bool
    slot: Slot
    alive: bool = True
    start: float = -1.0
    cpu_start: float = math.inf
    due: float = math.inf  # waiting: when it is over; running: end (fixed) or target (shared)
    user: int = -1  # of a closed loop
    think: int = 0  # how long that user thinks after the end


@dataclass(eq=False, slots=True)
class Slot:
    """One station."""

    slot: int
    row: int
    cores: float
    speed: float
    workers: int
    queue_limit: int
    kind: int
    routable: bool
    last: float
    profile: int
    weight: float
    zone: int
    mode: int
    max_concurrency: int
    credit: int = 0
    attained: float = 0.0
    busy_core_us: float = 0.0
    fixed_ns: int = 0
    in_system_ns: int = 0  # of those who left
    in_worker_ns: int = 0
    queue: list[Request] = field(default_factory=list)
    waiting: list[Request] = field(default_factory=list)
    running: list[Request] = field(default_factory=list)
    dialling: list[Request] = field(default_factory=list)  # nothing answers: outstanding, but not inside
    routed: int = 0
    refused_full: int = 0
    started: int = 0
    served: int = 0
    failed: int = 0
    timed_out: int = 0
    cut_off: int = 0
    worked: int = 0
    connection_errors: int = 0

    def rate(self, busy: int) -> float:
        """Work per microsecond for each of `busy` running requests."""
        return self.speed if busy <= self.cores else self.cores / busy * self.speed

    def inside(self) -> list[Request]:
        """All requests in the slot."""
        return self.queue + self.waiting + self.running

    def is_ready(self) -> bool:
        """Whether it serves and may have another request."""
        return self.mode == SERVE and len(self.inside()) < self.max_concurrency

    def outstanding(self) -> int:
        """Requests whose users still wait."""
        return sum(request.alive for request in self.inside()) + len(self.dialling)

    @property
    def connecting(self) -> int:
        """Requests that wait for a connection."""
        return len(self.dialling)

    def next_end(self) -> tuple[float, Request | None]:
        """When the next running request ends, and which."""
        if not self.running:
            return math.inf, None
        first = min(self.running, key=lambda request: request.due)
        if self.kind == FIXED:
            return first.due, first
        return self.last + max(first.due - self.attained, 0.0) / self.rate(len(self.running)), first

    def next_wait_over(self) -> tuple[float, Request | None]:
        """When the next wait is over, and whose."""
        if not self.waiting:
            return math.inf, None
        first = min(self.waiting, key=lambda request: request.due)
        return first.due, first

    def next_event(self) -> float:
        """When something happens here next."""
        return min(self.next_end()[0], self.next_wait_over()[0], self.next_given_up()[0])

    def next_given_up(self) -> tuple[float, Request | None]:
        """When the next attempt to connect is given up, and whose."""
        if not self.dialling:
            return math.inf, None
        first = min(self.dialling, key=lambda request: request.due)
        return first.due, first

    def attain(self, now: float) -> None:
        """Bring a shared slot's attained service forward."""
        busy = len(self.running)
        if busy > 0:
            self.attained = self.attained + self.rate(busy) * (now - self.last)
            self.busy_core_us = self.busy_core_us + min(float(busy), self.cores) * (now - self.last)
        self.last = now

    def stop_running(self, request: Request) -> None:
        """Take a request out of the cpu phase."""
        self.running.remove(request)
        if not self.running:
            self.attained = 0.0
