"""What the control plane does to the slots of a plane, and sees of them; ids at the border, rows behind it."""

from __future__ import annotations

from dataclasses import fields
from typing import TYPE_CHECKING, cast

import numpy as np

from fargsim.kernel.body import Body
from fargsim.kernel.checks import check_opening, check_rate, check_weight, mode_of
from fargsim.kernel.layout import UNLIMITED, Opening, SlotTable, SlotUse
from fargsim.kernel.pending import Backlog

if TYPE_CHECKING:
    from fargsim.kernel.hosts import Hosts
    from fargsim.kernel.plane import Plane


class Slots:
    """The slots of a plane; every change is at an instant, to which the plane first advances."""

    def __init__(self, body: Body, backlog: Backlog) -> None:
        self._body = body
        self._backlog = backlog
        self.hosts: Hosts | None = None
        """The hosts its slots may sit on, together with those of other planes."""
        self._now = 0
        self._rows: dict[int, int] = {}  # open slots, in order of opening
        self._profiles: dict[int, int] = {}  # of the open slots
        self._closed: dict[int, SlotUse] = {}
        self._next_slot = 0

    def advance(self, until_us: int) -> None:
        """Let everything happen up to an instant."""
        raise NotImplementedError

    @property
    def now_us(self) -> int:
        """The instant up to which everything has happened."""
        return self._now

    @property
    def open_slots(self) -> tuple[int, ...]:
        """Ids of the open slots, in order of opening."""
        return tuple(self._rows)

    @property
    def profiles(self) -> int:
        """For how many profiles the pending requests say what they cost; 0: for any, alike."""
        return self._backlog.profiles

    def open_slot(
        self,
        now_us: int,
        *,
        cores: float,
        speed: float = 1.0,
        workers: int = UNLIMITED,
        queue_limit: int = UNLIMITED,
        routable: bool = True,
        profile: int = 0,
        weight: float = 1.0,
        zone: int = 0,
        mode: str = "serve",
        max_concurrency: int = UNLIMITED,
    ) -> int:
        """Open a slot and return its id; ids count up from 0 and are never used again.

        Parameters
        ----------
        now_us
            Instant; the plane first advances to it.
        cores
            Cores the slot's requests share, for example 0.25.
        speed
            Core-microseconds of demand done by one core in a microsecond.
        workers
            Requests served at once.
        queue_limit
            Requests that may wait beyond them; 0: none.
        profile
            Which row of the demands counts here, where requests are offered with one for each profile.
        weight
            Above 0, at most 1: see `set_weight`.
        zone
            0 to 255; without meaning where requests cross zones.
        mode
            See `set_mode`.
        max_concurrency
            Requests, in a worker or waiting for one, from which on it is not ready, 0: never; without meaning but where the router asks.

        Raises
        ------
        ValueError
            `cores` or `speed` not positive and finite, `workers` below 1, `queue_limit` or `max_concurrency` below 0, `now_us` in the past,
            a profile that the pending requests do not have; a weight, zone or mode that there is not.
        """
        opening = Opening(
            float(cores),
            float(speed),
            int(workers),
            int(queue_limit),
            routable,
            int(profile),
            float(weight),
            int(zone),
            mode_of(mode),
            int(max_concurrency),
        )
        check_opening(opening)
        self._reach(now_us)
        if self.profiles and profile >= self.profiles:
            raise ValueError(f"the pending requests have {self.profiles} profiles, none is {profile}: withdraw them")
        slot = self._next_slot
        self._rows[slot] = self._body.open(self._now, slot, opening)
        self._profiles[slot] = opening.profile
        self._next_slot += 1
        if self.hosts is not None:
            self.hosts.opened(cast("Plane", self), slot)
        return slot

    def set_routable(self, now_us: int, slot: int, routable: bool) -> None:
        """Let the router send requests to a slot, or no longer; what the slot holds goes on."""
        row = self._row(slot)
        self._reach(now_us)
        self._body.set_routable(self._now, row, routable)

    def set_rate(self, now_us: int, slot: int, *, cores: float | None = None, speed: float | None = None) -> None:
        """Change a slot's cores or speed, also for what it holds."""
        row = self._row(slot)
        self._reach(now_us)
        table = self._body.slots(self._now, np.array([row]))
        new_cores = float(table.cores[0]) if cores is None else float(cores)
        new_speed = float(table.speed[0]) if speed is None else float(speed)
        check_rate(new_cores, new_speed)
        self._body.set_rate(self._now, row, new_cores, new_speed)
        if self.hosts is not None:
            self.hosts.changed(cast("Plane", self), slot)

    def set_weight(self, now_us: int, slot: int, weight: float) -> None:
        """Change a slot's weight.

        Parameters
        ----------
        weight
            Above 0, at most 1. Weighted random takes the slot with that probability over the sum of the routable
            ones'. In round robin the heaviest get a request each turn and another one as often as its weight goes into
            theirs: it saves up that part of a request each time it is passed over (slow start). Least outstanding
            requests does not look at weights.

        Raises
        ------
        ValueError
            A weight that is none, `now_us` in the past.
        """
        row = self._row(slot)
        check_weight(weight)
        self._reach(now_us)
        self._body.set_weight(self._now, row, float(weight))

    def set_mode(self, now_us: int, slot: int, mode: str) -> None:
        """Change what becomes of the requests that are routed to a slot from now on; what it holds goes on.

        Parameters
        ----------
        mode
            ``"serve"``; ``"refuse"``: nothing listens, the user gets 502 at once (`Outcome.CUT_OFF`); ``"blackhole"``:
            nothing answers, the user gets 504 when the balancer gives up connecting (`Outcome.TIMED_OUT`), and
            until then the request is outstanding, but not in the task; ``"garble"``: it speaks another protocol, the user gets 502
            at once.

        Raises
        ------
        ValueError
            Another mode, `now_us` in the past.
        """
        row = self._row(slot)
        number = mode_of(mode)
        self._reach(now_us)
        self._body.set_mode(self._now, row, number)

    def close_slot(self, now_us: int, slot: int) -> int:
        """Close a slot, cut off what it holds (502), and return how many users that hit."""
        row = self._row(slot)
        self._reach(now_us)
        lost = self._body.close(self._now, row)
        self._closed[slot] = self._use(row)
        del self._rows[slot], self._profiles[slot]
        if self.hosts is not None:
            self.hosts.closed(cast("Plane", self), slot)
        return lost

    def slots(self) -> SlotTable:
        """Return all open slots as they are now, in order of slot id."""
        return self._body.slots(self._now, np.fromiter(self._rows.values(), np.int64, len(self._rows)))

    def slot(self, slot: int) -> SlotUse:
        """Return one slot, open or closed (then as it was when it closed).

        Raises
        ------
        KeyError
            There has never been such a slot.
        """
        return self._closed[slot] if slot in self._closed else self._use(self._row(slot))

    def row_of(self, slot: int) -> int:
        """Return the row of an open slot in the body."""
        return self._row(slot)

    def _reach(self, now_us: int) -> None:
        if now_us != self._now:
            self.advance(now_us)

    def _least_profiles(self) -> int:
        return max(self._profiles.values(), default=-1) + 1

    def _row(self, slot: int) -> int:
        if slot not in self._rows:
            raise KeyError(f"slot {slot} is not open")
        return self._rows[slot]

    def _use(self, row: int) -> SlotUse:
        table = self._body.slots(self._now, np.array([row]))
        return SlotUse(**{f.name: getattr(table, f.name)[0].item() for f in fields(SlotUse)})
