"""Messages on their way to a queue, with random numbers by message: the n-th message costs the same whoever receives it, however often.

What a receive costs is made of the message's numbers when it is received, because it hangs on the revision of the task that does. Whether a
receive fails by chance is drawn anew for each number of receives.
"""

from __future__ import annotations

import weakref
from collections import deque
from typing import NamedTuple

import numpy as np

from fargsim.model.behaviour import MessageBehaviour
from fargsim.model.distribution import Distribution
from fargsim.sim.draws import Floats, Ints, Kind, Numbers, made_of
from fargsim.sim.sources import Source
from fargsim.sim.streams import Streams


class MessageBlock:
    """Messages that stand one behind the other; lives as long as one of them is in a queue."""

    __slots__ = ("__weakref__", "_values", "arrivals", "columns", "feed", "start")

    def __init__(self, feed: MessageFeed, start: int, arrivals: Ints) -> None:
        self.feed = feed
        self.start = start
        self.arrivals = arrivals
        self.columns: dict[tuple[str, Kind], Floats] = {}
        self._values: dict[tuple[str, object], list[float]] = {}

    def durations_us(self, what: str, distribution: Distribution) -> list[float]:
        """Return durations of a distribution by message."""
        found = self._values.get((what, distribution))
        if found is None:
            kind, make = made_of(distribution)
            found = self._values[what, distribution] = make(self.feed.column(self, what, kind)).tolist()
        return found

    def chances(self, what: str) -> list[float]:
        """Return numbers in [0, 1) by message."""
        found = self._values.get((what, None))
        if found is None:
            found = self._values[what, None] = self.feed.column(self, what, "uniform").tolist()
        return found


class Message(NamedTuple):
    """One message."""

    block: MessageBlock
    number: int

    def work(self, take: int, does: MessageBehaviour) -> tuple[float, float, bool]:
        """Return wait and CPU time in microseconds and whether this receive fails.

        Parameters
        ----------
        take
            Number of the receive, from 1.
        """
        block, n = self
        wait = 0.0 if does.wait is None else block.durations_us("wait", does.wait)[n]
        fails = does.poison_rate > 0 and block.chances("poison")[n] < does.poison_rate
        if not fails and does.error_rate > 0:
            fails = block.chances(f"failure/{take}")[n] < does.error_rate
        return wait, block.durations_us("cpu", does.cpu)[n], fails


class MessageFeed:
    """The messages of one sender.

    Parameters
    ----------
    source
        When they are sent.
    streams, name
        Their streams are ``message/NAME/cpu``, ``message/NAME/wait``, ``message/NAME/poison`` and ``message/NAME/failure/RECEIVE``.
    """

    def __init__(self, source: Source, streams: Streams, name: str) -> None:
        self._source: Source | None = source
        self._streams = streams
        self._name = name
        self._numbers: dict[str, Numbers] = {}
        self._live: deque[weakref.ref[MessageBlock]] = deque()
        self._block: MessageBlock | None = None
        self._taken = 0
        self._at = 0

    def before(self, until_us: int) -> list[tuple[int, Message]]:
        """Take the messages that are sent before an instant: when, and which."""
        found: list[tuple[int, Message]] = []
        while self._ahead():
            block = self._block
            assert block is not None
            upto = int(np.searchsorted(block.arrivals, until_us, side="left"))
            at = block.arrivals[self._taken : upto].tolist()
            found += zip(at, (Message(block, n) for n in range(self._taken, upto)), strict=True)
            self._taken = max(self._taken, upto)
            if upto < block.arrivals.size:
                break
        return found

    def _ahead(self) -> bool:
        """Draw the next block when the present one is used up; false when there are no more."""
        while self._block is None or self._taken == self._block.arrivals.size:
            self._block = None
            arrivals = None if self._source is None else self._source.block()
            if arrivals is None:
                self._source = None
                return False
            if arrivals.size:
                self._block, self._taken = MessageBlock(self, self._at, arrivals), 0
                self._at += arrivals.size
                self._live.append(weakref.ref(self._block))
        return True

    def column(self, block: MessageBlock, what: str, kind: Kind) -> Floats:
        """Return numbers of a block; those of the blocks before it are drawn first, since numbers come in order."""
        if (what, kind) not in block.columns:
            while self._live and self._live[0]() is None:
                self._live.popleft()
            if what not in self._numbers:
                self._numbers[what] = Numbers(self._streams[f"message/{self._name}/{what}"])
            for reference in self._live:
                one = reference()
                if one is not None and (what, kind) not in one.columns:
                    one.columns[what, kind] = self._numbers[what].take(kind, one.start, one.arrivals.size)
        return block.columns[what, kind]
