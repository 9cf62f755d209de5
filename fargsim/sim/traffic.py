"""The bridge between the two planes: draws requests, feeds them to a target group's plane and brings it up to *now*."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from fargsim.kernel import Plane
from fargsim.model.behaviour import RequestBehaviour
from fargsim.sim.sources import Source
from fargsim.sim.streams import Streams, sampler

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]


class Feed:
    """Requests of one kind: arrivals of a source with the demands of a behaviour, drawn by request index.

    Because every demand has a stream of its own and is drawn in order of arrival, two variants of a scenario serve the same requests.
    """

    def __init__(self, source: Source, request: RequestBehaviour, streams: Streams, name: str) -> None:
        self._source = source
        self._cpu = (sampler(request.cpu), streams[f"demand/{name}/cpu"])
        self._wait = None if request.wait is None else (sampler(request.wait), streams[f"demand/{name}/wait"])
        self._error_rate = request.error_rate
        self._failures = streams[f"failure/{name}"]
        self.done = False

    def block(self) -> tuple[Ints, Floats, Floats | None, npt.NDArray[np.uint8] | None]:
        """Draw the next block: arrivals, CPU demands, waits and failures."""
        arrivals = self._source.block()
        if arrivals is None:
            self.done = True
            arrivals = np.empty(0, dtype=np.int64)
        n = arrivals.size
        cpu = self._cpu[0](self._cpu[1], n)
        wait = None if self._wait is None else self._wait[0](self._wait[1], n)
        fails = None if self._error_rate == 0 else (self._failures.random(n) < self._error_rate).astype(np.uint8)
        return arrivals, cpu, wait, fails


class Bridge:
    """A plane and the feeds that reach it.

    The plane runs ahead of nothing: `advance` brings it to an instant of the control plane, and requests are drawn a block at a time
    before they are needed.
    """

    def __init__(self, plane: Plane) -> None:
        self.plane = plane
        self._feeds: list[Feed] = []
        self._drawn: list[list[tuple[Ints, Floats, Floats, npt.NDArray[np.uint8]]]] = []
        self._offered_to = -1

    def attach(self, feed: Feed) -> None:
        """Add requests of another kind; before the first of them arrives."""
        self._feeds.append(feed)
        self._drawn.append([])

    def advance(self, until_us: int) -> None:
        """Let everything happen to the requests up to an instant."""
        if self._feeds:
            if len(self._feeds) == 1:
                self._offer_from_one(self._feeds[0], until_us)
            else:
                self._offer_merged(until_us)
        self.plane.advance(until_us)

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
