"""The bridge between the two planes: draws requests, feeds them to a target group's plane and brings it up to *now*."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from fargsim.kernel import DemandsNeeded, Plane
from fargsim.model.behaviour import RequestBehaviour
from fargsim.model.traffic import Users
from fargsim.sim.sources import BLOCK, Source
from fargsim.sim.streams import Streams, sampler

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]


class Demands:
    """What requests of one kind cost, drawn by request index.

    Because every demand has a stream of its own and is drawn in order of arrival, two variants of a scenario serve the same requests.
    """

    def __init__(self, request: RequestBehaviour, streams: Streams, name: str) -> None:
        self._cpu = (sampler(request.cpu), streams[f"demand/{name}/cpu"])
        self._wait = None if request.wait is None else (sampler(request.wait), streams[f"demand/{name}/wait"])
        self._error_rate = request.error_rate
        self._failures = streams[f"failure/{name}"]

    def draw(self, n: int) -> tuple[Floats, Floats | None, npt.NDArray[np.uint8] | None]:
        """Draw CPU demands, waits and failures of the next `n` requests."""
        cpu = self._cpu[0](self._cpu[1], n)
        wait = None if self._wait is None else self._wait[0](self._wait[1], n)
        fails = None if self._error_rate == 0 else (self._failures.random(n) < self._error_rate).astype(np.uint8)
        return cpu, wait, fails


class Feed:
    """Requests of one kind in an open loop: arrivals of a source with their demands."""

    def __init__(self, source: Source, request: RequestBehaviour, streams: Streams, name: str) -> None:
        self._source = source
        self._demands = Demands(request, streams, name)
        self.done = False

    def block(self) -> tuple[Ints, Floats, Floats | None, npt.NDArray[np.uint8] | None]:
        """Draw the next block: arrivals, CPU demands, waits and failures."""
        arrivals = self._source.block()
        if arrivals is None:
            self.done = True
            arrivals = np.empty(0, dtype=np.int64)
        return arrivals, *self._demands.draw(arrivals.size)


class UserLoop:
    """Requests of users in a closed loop: think times and demands, drawn by request index.

    Every user thinks before the first request too. The plane turns ends into arrivals, a microsecond later at least; how long a user
    thinks after a request is drawn with that request, so that the numbers do not depend on the order in which requests end.

    Parameters
    ----------
    users, request, streams, name
        How many and how long they think, what a request costs, and the name of their streams.
    begin_us, end_us
        The users come at the one instant, thinking, and send nothing from the other on.
    """

    def __init__(
        self, users: Users, request: RequestBehaviour, streams: Streams, name: str, begin_us: int, end_us: int
    ) -> None:
        self._think = (sampler(users.think), streams[f"think/{name}"])
        self._demands = Demands(request, streams, name)
        # a block is a few requests of each user, but no more than the processor's cache holds
        self._size = int(min(BLOCK, max(1024, 4 * users.count)))
        self.end_us = max(begin_us, end_us)
        self.gone = False
        thoughts = np.maximum(np.rint(self._think[0](self._think[1], users.count)), 1.0)
        self.first_requests_us: Ints = begin_us + thoughts.astype(np.int64)

    def offer(self, plane: Plane, least: int) -> None:
        """Offer a plane the demands of its next requests."""
        n = max(self._size, least)
        cpu, wait, fails = self._demands.draw(n)
        plane.offer_demands(cpu, self._think[0](self._think[1], n), wait, fails)


class Bridge:
    """A plane and the feeds that reach it, or the users of a closed loop who do, alone.

    The plane runs ahead of nothing: `advance` brings it to an instant of the control plane, and requests are drawn a block at a time
    before they are needed.
    """

    def __init__(self, plane: Plane, users: UserLoop | None = None) -> None:
        self.plane = plane
        self.users = users
        self._feeds: list[Feed] = []
        self._drawn: list[list[tuple[Ints, Floats, Floats, npt.NDArray[np.uint8]]]] = []
        self._offered_to = -1

    def attach(self, feed: Feed) -> None:
        """Add requests of another kind; before the first of them arrives."""
        self._feeds.append(feed)
        self._drawn.append([])

    def advance(self, until_us: int) -> None:
        """Let everything happen to the requests up to an instant."""
        if self.users is not None:
            self._advance_users(self.users, until_us)
        if self._feeds:
            if len(self._feeds) == 1:
                self._offer_from_one(self._feeds[0], until_us)
            else:
                self._offer_merged(until_us)
        self.plane.advance(until_us)

    def _advance_users(self, users: UserLoop, until_us: int) -> None:
        stop = min(until_us, users.end_us)
        while self.plane.now_us < stop:
            try:
                self.plane.advance(stop)
            except DemandsNeeded as needed:
                users.offer(self.plane, needed.count)
        if until_us >= users.end_us and not users.gone:
            users.gone = True
            self.plane.dismiss_users(self.plane.now_us)

    def _offer_from_one(self, feed: Feed, until_us: int) -> None:
        while self._offered_to < until_us and not feed.done:
            # what is offered is let in at once, so that no more than one block waits
            if self._offered_to > self.plane.now_us:
                self.plane.advance(min(self._offered_to, until_us))
            arrivals, cpu, wait, fails = feed.block()
            if arrivals.size:
                self._offered_to = int(arrivals[-1])
                self.plane.offer(arrivals, cpu, wait, fails)

    def _offer_merged(self, until_us: int) -> None:
        if self._offered_to >= until_us:
            return
        parts = []
        for feed, drawn in zip(self._feeds, self._drawn, strict=True):
            while not feed.done and (not drawn or int(drawn[-1][0][-1]) < until_us):
                arrivals, cpu, wait, fails = feed.block()
                if arrivals.size:
                    drawn.append(
                        (
                            arrivals,
                            cpu,
                            np.zeros(arrivals.size) if wait is None else wait,
                            np.zeros(arrivals.size, np.uint8) if fails is None else fails,
                        )
                    )
            rest = []
            for block in drawn:
                cut = int(np.searchsorted(block[0], until_us, side="left"))
                if cut:
                    parts.append(tuple(column[:cut] for column in block))
                if cut < block[0].size:
                    rest.append(tuple(column[cut:] for column in block))
            drawn[:] = rest  # type: ignore[assignment]
        self._offered_to = until_us
        if parts:
            columns = [np.concatenate(column) for column in zip(*parts, strict=True)]
            order = np.argsort(columns[0], kind="stable")
            self.plane.offer(*(np.ascontiguousarray(column[order]) for column in columns))
