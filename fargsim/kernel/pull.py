"""One queue from which servers take work by themselves: what a plane's router does not do.

An item that is taken is hidden for a while. Whoever ends it in time deletes it; one that is not deleted comes back, as often as the queue
allows. Plain Python, event by event: a few microseconds an item.

Notes
-----
Order at one instant: ends of work, ends of waits, items that come back or expire, changes from outside, arrivals. As in a plane,
``advance(t)`` does arrivals before t and everything else up to and including t, and cutting an interval anywhere changes nothing.
"""

from __future__ import annotations

import heapq
import math
from collections import deque
from collections.abc import Callable, Iterable
from itertools import count
from typing import Any, NamedTuple

from fargsim.kernel.pull_server import GONE, IN_FLIGHT, VISIBLE, Item, Job, PullServer

END, BEGIN, BACK, EXPIRE, EXPIRE_ONE, PUT = 0, 1, 2, 3, 4, 5
AGE_TAKES = 3
"""Items taken more often than this do not count for the age of the oldest."""


class PullCounts(NamedTuple):
    """Items since the queue was made; ``sent + moved_in = done + dead + expired + visible + in_flight``, always."""

    sent: int
    moved_in: int
    taken: int
    """Takes, repeated ones included."""
    retaken: int
    """Takes of items that had been taken before."""
    done: int
    dead: int
    """Items taken as often as the queue allows and given up."""
    expired: int
    failed: int
    """Takes that ended in a failure: the item comes back."""
    late: int
    """Takes that ended after the item had come back and been taken again: their work was for nothing."""
    visible: int
    in_flight: int


class PullQueue:
    """A queue and the servers that take from it.

    Parameters
    ----------
    work
        What a take asks of a worker: called with payload, number of the take from 1 and the server's profile, returns wait and cpu time in
        microseconds and whether it fails.
    hide_us
        How long an item is hidden when it is taken.
    keep_us
        How long an item is kept since it was sent.
    most_takes
        An item taken so often is given up when it would be taken again; None: never.
    most_in_flight
        No more items are hidden at once.
    on_dead
        Told of an item that is given up, and when.

    Examples
    --------
    >>> queue = PullQueue(lambda payload, take, profile: (0.0, payload, False), hide_us=1000)
    >>> server = queue.open(0, cores=1.0, workers=1)
    >>> queue.send([(0, 300.0), (100, 300.0)])
    >>> queue.advance(500)
    >>> queue.counts().done, queue.counts().in_flight, queue.take_times()
    (1, 1, [300])
    >>> queue.close(500, server)
    >>> queue.advance(1300)
    >>> queue.counts().visible
    1
    """

    def __init__(
        self,
        work: Callable[[Any, int, Any], tuple[float, float, bool]],
        *,
        hide_us: int = 30_000_000,
        keep_us: int = 345_600_000_000,
        most_takes: int | None = None,
        most_in_flight: int = 120_000,
        on_dead: Callable[[Item, int], None] | None = None,
    ) -> None:
        self._work = work
        self.hide_us, self.keep_us, self.most_takes = hide_us, keep_us, most_takes
        self._most_in_flight = most_in_flight
        self._on_dead = on_dead
        self._now = 0
        self._arrivals: deque[tuple[int, Any]] = deque()
        self._events: list[tuple[float, int, int, Any, int]] = []
        self._order = count()
        self._visible: deque[Item] = deque()
        self._idle: deque[PullServer] = deque()
        self._by_age: deque[Item] = deque()
        self._beats: dict[PullServer, int] = {}
        self._expiring = False
        self._sent = self._moved = self._taken = self._retaken = self._done = 0
        self._dead = self._expired = self._failed = self._late = 0
        self._seen = self._flying = 0
        self._times: list[int] = []
        self._visible_us = 0.0
        self._visible_at = 0.0

    @property
    def now_us(self) -> int:
        """The instant up to which everything has happened."""
        return self._now

    # what comes in

    def send(self, arrivals: Iterable[tuple[int, Any]]) -> None:
        """Append items that will be sent: instants in order, not before what has happened, and payloads.

        Raises
        ------
        ValueError
            An instant in the past or before one offered earlier.
        """
        last = self._arrivals[-1][0] if self._arrivals else self._now
        for at, payload in arrivals:
            if at < last:
                raise ValueError(f"an item at {at} us comes after {last} us")
            last = at
            self._arrivals.append((at, payload))

    def put(self, now_us: int, sent_us: int, payload: Any) -> None:
        """Take over an item that another queue has given up; it expires when it would have there."""
        self._take_over(now_us, (sent_us, payload))

    def put_at(self, at_us: int, sent_us: int, payload: Any) -> None:
        """Take one over at an instant to which the queue has not advanced yet."""
        self._plan(float(at_us), PUT, (sent_us, payload))

    def _take_over(self, now_us: int, what: tuple[int, Any]) -> None:
        sent_us, payload = what
        item = Item(sent_us, now_us, payload)
        self._moved += 1
        self._show(float(now_us), item)
        self._by_age.append(item)
        self._plan(float(max(now_us, sent_us + self.keep_us)), EXPIRE_ONE, item)

    # servers

    def open(
        self,
        now_us: int,
        *,
        cores: float,
        speed: float = 1.0,
        workers: int = 1,
        profile: Any = None,
        beat_us: int | None = None,
    ) -> PullServer:
        """Let a server take from now on, a worker an item.

        Parameters
        ----------
        profile
            Handed to `work`.
        beat_us
            How often it hides what it holds anew, while it lives; None: never.

        Raises
        ------
        ValueError
            No cores, speed or workers, or a beat that is not shorter than the time for which an item is hidden.
        """
        if beat_us is not None and not 0 < beat_us < self.hide_us:
            raise ValueError(f"a beat of {beat_us} us does not keep hidden what is hidden for {self.hide_us} us")
        self.advance(now_us)
        server = PullServer(now_us, cores, speed, workers, profile)
        if beat_us is not None:
            self._beats[server] = beat_us
        self._idle.extend([server] * workers)
        self._serve(float(now_us))
        return server

    def set_rate(self, now_us: int, server: PullServer, *, cores: float, speed: float) -> None:
        """Change a server's cores and speed, also for what it holds."""
        self.advance(now_us)
        server.set_rate(float(now_us), cores, speed)
        self._plan_end(server)

    def stop_taking(self, now_us: int, server: PullServer) -> None:
        """Let a server take nothing more; what it holds goes on."""
        self.advance(now_us)
        server.taking = False

    def close(self, now_us: int, server: PullServer) -> None:
        """End a server with what it holds; those items come back when their time is over."""
        self.advance(now_us)
        server.settle(float(now_us))
        server.taking = False
        server.version += 1
        for job in server.jobs.values():
            self._let_lapse(float(now_us), server, job)
        server.drop_all()
        self._beats.pop(server, None)

    # time

    def advance(self, until_us: int) -> None:
        """Let everything happen up to an instant.

        Raises
        ------
        ValueError
            The instant is in the past.
        """
        if until_us < self._now:
            raise ValueError(f"cannot advance to {until_us} us from {self._now} us")
        arrivals, events = self._arrivals, self._events
        while arrivals and arrivals[0][0] < until_us:
            at, payload = arrivals.popleft()
            while events and events[0][0] <= at:
                self._happen()
            self._arrive(at, payload)
        while events and events[0][0] <= until_us:
            self._happen()
        self._now = until_us

    def next_before(self, until_us: float) -> float:
        """Return the instant of the first thing that happens up to an instant (arrivals: before it); inf: nothing does."""
        arrival = self._arrivals[0][0] if self._arrivals and self._arrivals[0][0] < until_us else math.inf
        event = self._events[0][0] if self._events and self._events[0][0] <= until_us else math.inf
        return min(arrival, event)

    def do_next(self) -> None:
        """Let the first thing happen: for whoever takes the queue forward together with others, step by step."""
        if self._events and (not self._arrivals or self._events[0][0] <= self._arrivals[0][0]):
            self._happen()
        else:
            self._arrive(*self._arrivals.popleft())

    def give_cores(self, at_us: float, server: PullServer, cores: float) -> None:
        """Change a server's cores at an instant up to which everything has happened."""
        server.set_rate(at_us, cores, server.speed)
        self._plan_end(server)

    def _arrive(self, at: int, payload: Any) -> None:
        item = Item(at, at, payload)
        self._sent += 1
        self._by_age.append(item)
        if not self._expiring:
            self._expiring = True
            self._plan(float(at + self.keep_us), EXPIRE, None)
        self._show(float(at), item)

    def _plan(self, at: float, kind: int, what: Any, version: int = 0) -> None:
        heapq.heappush(self._events, (at, kind, next(self._order), what, version))

    def _plan_end(self, server: PullServer) -> None:
        at = server.next_end()
        if at is not None:
            self._plan(at, END, server, server.version)

    def _happen(self) -> None:
        now, kind, _, what, version = heapq.heappop(self._events)
        if kind == END:
            if what.version == version:
                job = what.end_next(now)
                self._end(now, what, job)
                self._plan_end(what)
                self._serve(now)
        elif kind == BEGIN:
            server, job = what
            if server.jobs.get(job.number) is job:
                server.settle(now)
                server.run(job)
                self._plan_end(server)
        elif kind == BACK:
            if what.state == IN_FLIGHT and what.takes == version:
                self._flying -= 1
                self._show(now, what)
        elif kind == EXPIRE_ONE:
            self._expire(now, what)
        elif kind == PUT:
            self._take_over(int(now), what)
        else:
            self._expire_oldest(now)

    def _end(self, now: float, server: PullServer, job: Job) -> None:
        if server.taking:
            self._idle.append(server)
        item = job.item
        if job.fails:
            self._failed += 1
            self._let_lapse(now, server, job)
        elif item.state == GONE or item.takes != job.take:
            self._late += 1
        else:
            self._leave(now, item)
            self._done += 1
            self._times.append(math.ceil(now) - item.sent_us)

    def _let_lapse(self, now: float, server: PullServer, job: Job) -> None:
        """Plan the return of an item that nobody hides anew any more; without beats it has been planned at its take."""
        beat = self._beats.get(server)
        if beat is not None:
            last = job.since_us + (now - job.since_us) // beat * beat
            self._plan(last + self.hide_us, BACK, job.item, job.take)

    def _leave(self, now: float, item: Item) -> None:
        if item.state == IN_FLIGHT:
            self._flying -= 1
        elif item.state == VISIBLE:
            self._count_visible(now, -1)
        item.state = GONE

    def _count_visible(self, now: float, change: int) -> None:
        self._visible_us += self._seen * (now - self._visible_at)
        self._visible_at = now
        self._seen += change

    def _show(self, now: float, item: Item) -> None:
        item.state = VISIBLE
        self._count_visible(now, 1)
        self._visible.append(item)
        self._serve(now)

    def _serve(self, now: float) -> None:
        """Give what is visible to whoever has waited longest for it."""
        idle, visible = self._idle, self._visible
        while idle and visible and self._flying < self._most_in_flight:
            if not idle[0].taking:
                idle.popleft()
                continue
            item = visible.popleft()
            if item.state != VISIBLE:
                continue
            if self.most_takes is not None and item.takes >= self.most_takes:
                self._leave(now, item)
                self._dead += 1
                if self._on_dead is not None:
                    self._on_dead(item, math.ceil(now))
                continue
            self._take(now, idle.popleft(), item)

    def _take(self, now: float, server: PullServer, item: Item) -> None:
        self._count_visible(now, -1)
        item.state = IN_FLIGHT
        item.takes += 1
        self._flying += 1
        self._taken += 1
        self._retaken += item.takes > 1
        wait, cpu, fails = self._work(item.payload, item.takes, server.profile)
        job = Job(item, now, cpu, now + wait, fails)
        if server not in self._beats:
            self._plan(now + self.hide_us, BACK, item, item.takes)
        server.settle(now)
        server.add(job, next(self._order))
        if wait > 0:
            self._plan(now + wait, BEGIN, (server, job))
        else:
            server.run(job)
            self._plan_end(server)

    # the end of keeping

    def _expire(self, now: float, item: Item) -> None:
        if item.state != GONE:
            self._leave(now, item)
            self._expired += 1

    def _expire_oldest(self, now: float) -> None:
        """Expire what is due and wait for the next that may be; items of `put` have their own instants."""
        kept = self._by_age
        while kept and (kept[0].state == GONE or kept[0].sent_us + self.keep_us <= now):
            self._expire(now, kept.popleft())
        self._expiring = bool(kept)
        if kept:
            self._plan(float(kept[0].sent_us + self.keep_us), EXPIRE, None)

    # what others read

    def counts(self) -> PullCounts:
        """Return the counts as they are now."""
        return PullCounts(
            self._sent,
            self._moved,
            self._taken,
            self._retaken,
            self._done,
            self._dead,
            self._expired,
            self._failed,
            self._late,
            self._seen,
            self._flying,
        )

    def oldest_age_us(self) -> int:
        """Return how long the oldest item has been here, among those taken three times at most; 0 without any."""
        kept = self._by_age
        while kept and kept[0].state == GONE:
            kept.popleft()
        oldest = next((i for i in kept if i.state != GONE and i.takes <= AGE_TAKES), None)
        return 0 if oldest is None else self._now - oldest.since_us

    def visible_integral_us(self) -> float:
        """Return the time integral of the visible items so far."""
        self._count_visible(float(self._now), 0)
        return self._visible_us

    def take_times(self) -> list[int]:
        """Return and forget how long the items deleted since the last call had been there, microseconds since they were sent."""
        found, self._times = self._times, []
        return found
