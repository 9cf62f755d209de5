"""The bridge between the two planes: requests on their way from a listener to the targets of a group, up to *now*."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import numpy.typing as npt

from fargsim.kernel import DemandsNeeded, Plane
from fargsim.model.behaviour import RequestBehaviour
from fargsim.model.traffic import Users
from fargsim.sim.draws import BLOCK, Block, Draws, work_of
from fargsim.sim.sources import Source
from fargsim.sim.streams import Streams, sampler

if TYPE_CHECKING:
    from fargsim.sim.listeners import ListenerRule

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]


class _Live:
    """Blocks of requests that are drawn and have not all gone by."""

    def __init__(self) -> None:
        self.blocks: deque[Block] = deque()

    def give_back(self, count: int) -> None:
        """Take back the last `count` requests that had gone on to a plane."""
        for block in reversed(self.blocks):
            back = min(count, block.taken)
            block.taken -= back
            count -= back
            if count == 0:
                return
        if count:
            raise ValueError(f"{count} requests more are given back than are remembered")


class Feed(_Live):
    """Requests of one kind in an open loop: arrivals of a source with their numbers."""

    def __init__(self, source: Source, streams: Streams, name: str) -> None:
        super().__init__()
        self._source = source
        self._draws = Draws(streams, name)
        self._forgotten = 0
        self.done = False

    def ahead(self) -> Block | None:
        """Return the next block with requests that have not gone on; None when there are no more."""
        found = next((b for b in self.blocks if b.taken < b.size), None)
        while found is None and not self.done:
            arrivals = self._source.block()
            if arrivals is None:
                self.done = True
            elif arrivals.size:
                found = self._draws.block(arrivals, arrivals.size)
                self.blocks.append(found)
        return found

    def take_before(self, until_us: int) -> Iterator[tuple[Block, slice]]:
        """Take the requests that arrive before an instant, block by block."""
        while (block := self.ahead()) is not None:
            upto = int(np.searchsorted(block.arrivals, until_us, side="left"))
            if upto > block.taken:
                first, block.taken = block.taken, upto
                yield block, slice(first, upto)
            if upto < block.size:
                return
            self.forget_before(until_us)

    def forget_before(self, now_us: int) -> None:
        """Forget blocks whose requests have all arrived before an instant."""
        while self.blocks and self.blocks[0].taken == self.blocks[0].size and self.blocks[0].arrivals[-1] < now_us:
            self._forgotten += self.blocks.popleft().size

    def arrived_before(self, now_us: int) -> int:
        """Return how many requests have arrived before an instant up to which they have been drawn."""
        found = self._forgotten
        for block in self.blocks:
            found += int(np.searchsorted(block.arrivals, now_us, side="left"))
        return found


class UserLoop(_Live):
    """Requests of users in a closed loop: think times and demands, drawn by request index.

    Every user thinks before the first request too. The plane turns ends into arrivals, a microsecond later at least; how long a user
    thinks after a request is drawn with that request, so that the numbers do not depend on the order in which requests end.

    Parameters
    ----------
    users, streams, name
        How many and how long they think, and the name of their streams.
    begin_us, end_us
        The users come at the one instant, thinking, and send nothing from the other on.
    """

    def __init__(self, users: Users, streams: Streams, name: str, begin_us: int, end_us: int) -> None:
        super().__init__()
        self._think = (sampler(users.think), streams[f"think/{name}"])
        self._draws = Draws(streams, name)
        # a block is a few requests of each user, but no more than the processor's cache holds
        self._size = int(min(BLOCK, max(1024, 4 * users.count)))
        self.end_us = max(begin_us, end_us)
        self.gone = False
        thoughts = np.maximum(np.rint(self._think[0](self._think[1], users.count)), 1.0)
        self.first_requests_us: Ints = begin_us + thoughts.astype(np.int64)

    def ahead(self, least: int) -> Block:
        """Return the next block with requests that have not gone on, of `least` requests where it is new."""
        while self.blocks and self.blocks[0].taken == self.blocks[0].size and len(self.blocks) > 1:
            self.blocks.popleft()
        found = next((b for b in self.blocks if b.taken < b.size), None)
        if found is None:
            n = max(self._size, least)
            found = self._draws.block(None, n, self._think[0](self._think[1], n))
            self.blocks.append(found)
        return found


class Share(NamedTuple):
    """Some requests of a block, on their way to one target group."""

    block: Block
    pick: slice | Ints


class Bridge:
    """A target group's plane, and the listener rules whose requests reach it, or the users of a closed loop who do, alone.

    `advance` brings the plane to an instant of the control plane. Requests that can go nowhere else are offered a block at a time,
    before they arrive; where a rule splits them, or several reach the plane, only as far as time has come.

    Parameters
    ----------
    plane
        The targets.
    request
        What a request costs where no target says otherwise: the first profile.
    users
        The closed loop.
    draws
        Whether chance picks the target of each request, from the stream ``route/TRAFFIC``.
    zones
        The zones by which requests enter, evenly by the stream ``entry/TRAFFIC``; None where they cross zones.
    together
        Advances the plane and those it goes together with, once its targets share instances with others' (`fargsim.sim.host_sharing`).
    """

    def __init__(
        self,
        plane: Plane,
        request: RequestBehaviour,
        users: UserLoop | None = None,
        *,
        draws: bool = False,
        zones: tuple[int, ...] | None = None,
        together: Callable[[int], None] | None = None,
    ) -> None:
        self.plane = plane
        self.together = together or plane.advance
        self.users = users
        self.zones = zones
        self._draws = draws
        self.profiles: tuple[RequestBehaviour, ...] = (request,)
        self.rules: list[ListenerRule] = []
        self._inbox: list[Share] = []
        self._alone: Feed | None = None
        self._offered_to = -1

    def advance(self, until_us: int) -> None:
        """Let everything happen to the requests up to an instant."""
        if self.plane.hosts is not None:
            self.together(until_us)
        elif self.users is not None:
            self._advance_users(self.users, until_us)
        elif self._alone is not None:
            self._offer_ahead(self._alone, until_us)
        else:
            self._offer_delivered(until_us)
        if self.plane.hosts is None:
            self.plane.advance(until_us)

    def offer(self, until_us: int) -> int:
        """Offer what the plane needs to go on towards an instant, together with others; return how far it can go."""
        if self.users is not None:
            return until_us if self.users.gone else max(min(until_us, self.users.end_us), self.plane.now_us)
        if self._alone is None:
            self._offer_delivered(until_us)
            return until_us
        while self._offered_to <= self.plane.now_us < until_us:
            if not self._offer_block(self._alone):
                return until_us
        return min(until_us, self._offered_to)

    def bring_demands(self, count: int) -> None:
        """Offer what the users' next requests ask for, `count` at least."""
        assert self.users is not None
        block = self.users.ahead(count)
        pick = slice(block.taken, block.size)
        block.taken = block.size
        cpu, wait, fails = work_of(block, self.profiles, pick)
        self.plane.offer_demands(cpu, block.think_us[pick], wait, fails, *self._chances(block, pick))

    def dismiss_users(self) -> None:
        """Let the users of a closed loop go when their time has come."""
        users = self.users
        if users is not None and not users.gone and self.plane.now_us >= users.end_us:
            users.gone = True
            self.plane.dismiss_users(self.plane.now_us)

    def _offer_delivered(self, until_us: int) -> None:
        for rule in self.rules:
            rule.deliver(until_us)
        self._offer_inbox()

    def profile(self, request: RequestBehaviour | None, now_us: int) -> int:
        """Return the number of the profile that asks what a behaviour asks; the first one for a behaviour without requests."""
        if request is None:
            return 0
        for number, known in enumerate(self.profiles):
            if (request.cpu, request.wait, request.error_rate) == (known.cpu, known.wait, known.error_rate):
                return number
        self.hold(now_us)
        self.profiles = (*self.profiles, request)
        return len(self.profiles) - 1

    def take(self, share: Share) -> None:
        """Take requests that a rule sends here; they have all arrived by the instant of the next `advance`."""
        self._inbox.append(share)

    def hold(self, now_us: int) -> None:
        """Bring the plane to an instant and take back what was offered ahead of it."""
        if self.plane.now_us < now_us:
            self.advance(now_us)
        if self.plane.pending:
            source: _Live | None = self.users if self.users is not None else self._alone
            assert source is not None, "only what is offered ahead of time can wait"
            source.give_back(self.plane.pending)
            self.plane.withdraw()
        self._offered_to = -1

    def reconsider(self) -> None:
        """Look again whether requests can be offered ahead of time; after `hold`, when rules or weights have changed."""
        sources = [(rule, feed) for rule in self.rules for feed in rule.feeds]
        self._alone = sources[0][1] if len(sources) == 1 and sources[0][0].alone else None

    def _advance_users(self, users: UserLoop, until_us: int) -> None:
        stop = min(until_us, users.end_us)
        while self.plane.now_us < stop:
            try:
                self.plane.advance(stop)
            except DemandsNeeded as needed:
                self.bring_demands(needed.count)
        self.dismiss_users()

    def _offer_ahead(self, feed: Feed, until_us: int) -> None:
        while self._offered_to < until_us:
            # what is offered is let in at once, so that no more than one block waits
            if self._offered_to > self.plane.now_us:
                self.plane.advance(min(self._offered_to, until_us))
            if not self._offer_block(feed):
                return

    def _offer_block(self, feed: Feed) -> bool:
        """Offer the next block of requests; return whether there was one."""
        feed.forget_before(self.plane.now_us)
        block = feed.ahead()
        if block is None:
            return False
        pick = slice(block.taken, block.size)
        block.taken = block.size
        self._offered_to = int(block.arrivals[-1])
        self.plane.offer(block.arrivals[pick], *work_of(block, self.profiles, pick), *self._chances(block, pick))
        return True

    def _offer_inbox(self) -> None:
        shares, self._inbox = self._inbox, []
        if not shares:
            return
        arrivals = [share.block.arrivals[share.pick] for share in shares]
        work = [work_of(share.block, self.profiles, share.pick) for share in shares]
        chances = [self._chances(share.block, share.pick) for share in shares]
        if len(shares) == 1:
            self.plane.offer(arrivals[0], *work[0], *chances[0])
            return
        merged = np.concatenate(arrivals)
        order = np.argsort(merged, kind="stable")
        cpu = np.concatenate([w[0] for w in work], axis=-1)
        wait = np.concatenate([np.zeros_like(w[0]) if w[1] is None else w[1] for w in work], axis=-1)
        fails = np.concatenate([np.zeros(w[0].shape, np.uint8) if w[2] is None else w[2] for w in work], axis=-1)
        draw, entry = (
            np.concatenate(column)[order] if column[0] is not None else None for column in zip(*chances, strict=True)
        )
        self.plane.offer(merged[order], cpu[..., order], wait[..., order], fails[..., order], draw, entry)

    def _chances(self, block: Block, pick: slice | Ints) -> tuple[Floats | None, Ints | None]:
        """Return the numbers that pick targets, and the zones of entry, where they are needed."""
        draw = block.uniform("route")[pick] if self._draws else None
        if self.zones is None:
            return draw, None
        number = (block.uniform("entry")[pick] * len(self.zones)).astype(np.int64)
        return draw, np.asarray(self.zones, dtype=np.int64)[number]
