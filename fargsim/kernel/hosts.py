"""The border of hosts: machines whose cores the slots of several planes share, and who else works there."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from fargsim.kernel.checks import LAST_INSTANT_US
from fargsim.kernel.host_layout import DONE, GRANTED, LANE, NEEDS_DEMANDS, HostsBody
from fargsim.kernel.layout import NOTHING
from fargsim.kernel.plane import DemandsNeeded, Plane

EVERYWHERE = math.inf
"""Cores of a host on which nothing is shared."""


def _new_body(compiled: bool) -> HostsBody:
    """Return the compiled body or the slow twin; only the former imports Numba."""
    if compiled:
        from fargsim.kernel.compiled_hosts import CompiledHosts

        return CompiledHosts()
    from fargsim.kernel.reference_hosts import ReferenceHosts

    return ReferenceHosts()


class Hosts:
    """Machines whose cores are shared by slots of any planes; planes that have joined go together, whichever is advanced.

    Cores are shared by weight among those who are busy, nothing is left idle while somebody wants it, and nobody has more than his own
    most (weighted max-min). A slot that sits on no host has its cores to itself, as ever.

    Parameters
    ----------
    compiled
        As that of the planes that will join.

    Notes
    -----
    Requests must have been offered to *every* plane up to an instant before *any* of them is advanced to it. The rules and their order
    stand in `fargsim.kernel.reference_hosts`; compiled code and twin agree to the last bit, and cutting an interval changes nothing.

    Examples
    --------
    >>> hosts = Hosts(compiled=False)
    >>> plane = Plane("round_robin", compiled=False, record_every=1)
    >>> one, other = (plane.open_slot(0, cores=2.0) for _ in range(2))
    >>> hosts.join(plane)
    >>> machine = hosts.open_host(0, cores=2.0)
    >>> hosts.seat(0, plane, one, machine, weight=3.0, most=2.0)
    >>> hosts.seat(0, plane, other, machine, weight=1.0, most=2.0)
    >>> plane.offer(np.zeros(6, int), cpu_us=np.full(6, 3000.0))  # three requests each
    >>> plane.advance(20_000)
    >>> plane.take_outcomes()["end_us"].tolist()  # 1.5 cores against 0.5; then the others have both
    [6000, 9000, 6000, 9000, 6000, 9000]
    """

    def __init__(self, compiled: bool = True) -> None:
        self._body = _new_body(compiled)
        self._planes: list[Plane] = []
        self._now = 0
        self._lanes = np.zeros(0, LANE)
        self._alone: dict[tuple[int, int], int] = {}
        """The host of its own that a slot sits on, by lane and slot."""
        self._seats: dict[tuple[int, int], int] = {}
        """Members by lane and slot."""
        self._host_of: dict[int, int] = {}
        """The host of each member."""
        self._granted: dict[int, dict[int, float]] = {}
        """What watched members have been given, as far as has been told, by host."""
        self.on_grant: Callable[[int, float, float], None] | None = None
        """Told of a watched member that has been given other cores: the member, the cores, and since when."""

    @property
    def now_us(self) -> int:
        """The instant up to which everything has happened in all planes."""
        return self._now

    def join(self, plane: Plane) -> None:
        """Let a plane's slots sit on hosts: from now on it goes together with the others.

        Raises
        ------
        ValueError
            It has joined already, or it is not at the same instant as those that have.
        """
        if plane.hosts is not None:
            raise ValueError("the plane has joined hosts already")
        if self._planes and plane.now_us != self._now:
            raise ValueError(f"a plane at {plane.now_us} us cannot join others at {self._now} us")
        self._now = plane.now_us
        self._body.add_lane(plane.body)
        self._planes.append(plane)
        self._lanes = np.concatenate([self._lanes, np.zeros(1, LANE)])
        self._lanes["users"][-1] = int(plane.closed_loop)
        plane.hosts = self
        for slot in plane.open_slots:
            self.opened(plane, slot)

    def open_host(self, now_us: int, cores: float) -> int:
        """Open a host and return its number.

        Raises
        ------
        ValueError
            Cores that nothing can be done with, or an instant in the past.
        """
        if not cores > 0.0:
            raise ValueError(f"a host needs cores, not {cores}")
        self.advance(now_us)
        return self._body.open_host(float(cores))

    def close_host(self, now_us: int, host: int) -> None:
        """Close a host that nobody sits on."""
        self.advance(now_us)
        self._body.close_host(host)

    def set_cores(self, now_us: int, host: int, cores: float) -> None:
        """Change how many cores a host's members share."""
        if not cores > 0.0:
            raise ValueError(f"a host needs cores, not {cores}")
        self.advance(now_us)
        self._body.set_cores(float(now_us), host, float(cores))
        self._tell(host, float(now_us))

    def seat(self, now_us: int, plane: Plane, slot: int, host: int, *, weight: float, most: float) -> None:
        """Let a slot share the cores of a host, for what it holds too.

        Parameters
        ----------
        weight
            Its part against the others', above 0: for example CPU units.
        most
            Cores that it can have at most.

        Raises
        ------
        ValueError
            A weight or a most that is none; an instant in the past.
        """
        if not (0.0 < weight < math.inf and 0.0 < most < math.inf):
            raise ValueError(f"weight and most must be positive and finite, not {weight} and {most}")
        self.advance(now_us)
        lane = self._planes.index(plane)
        plane.set_rate(now_us, slot, cores=most)  # which makes it a slot whose rate may change
        self._leave(lane, slot)
        self._seats[lane, slot] = member = self._body.seat(
            float(now_us), host, lane, plane.row_of(slot), float(weight), float(most)
        )
        self._host_of[member] = host
        self._tell(host, float(now_us))

    def invite(self, now_us: int, host: int, *, weight: float, most: float, watch: bool = False) -> int:
        """Let somebody who works outside of the planes share the cores of a host; return the member's number.

        Parameters
        ----------
        watch
            Whether `on_grant` is told when the member's cores change.
        """
        if not (0.0 < weight < math.inf and 0.0 < most < math.inf):
            raise ValueError(f"weight and most must be positive and finite, not {weight} and {most}")
        self.advance(now_us)
        member = self._body.invite(float(now_us), host, float(weight), float(most), watch)
        self._host_of[member] = host
        if watch:
            self._granted.setdefault(host, {})[member] = self._body.granted(member)
        return member

    def set_demand(self, at_us: float, member: int, demand: float) -> None:
        """Change how many cores an outside member could keep busy, from an instant on up to which everything has happened."""
        if not 0.0 <= demand < math.inf:
            raise ValueError(f"a demand must be finite and not negative, not {demand}")
        self._body.set_demand(float(at_us), member, float(demand))
        self._tell(self._host_of[member], float(at_us))

    def in_use(self, host: int) -> tuple[float, float]:
        """Return how many of a host's cores are busy now, and how many its members could keep busy."""
        return self._body.in_use(host)

    def used_core_us(self, at_us: float, member: int) -> float:
        """Return the core-time that an outside member has used, microseconds."""
        return self._body.used_core_us(float(at_us), member)

    def dismiss(self, at_us: float, member: int) -> None:
        """Take an outside member out."""
        host = self._host_of.pop(member)
        self._granted.get(host, {}).pop(member, None)
        self._body.leave(float(at_us), member)
        self._tell(host, float(at_us))

    def advance(self, until_us: int) -> None:
        """Let everything happen in all planes up to an instant: arrivals before it, all else including it.

        Raises
        ------
        ValueError
            `until_us` is in the past.
        DemandsNeeded
            A closed loop has used up the demands offered; `now_us` is where all planes stand.
        """
        until = int(until_us)
        if until < self._now or until > LAST_INSTANT_US:
            raise ValueError(f"cannot advance to {until} us from {self._now} us")
        if until > self._now:
            while not self.run_to(float(until)):
                pass
            self._reached(until)

    def run_to(self, until_us: float) -> bool:
        """Let everything happen up to an instant that need not be a whole microsecond; `now_us` stays.

        Returns
        -------
        bool
            False: it went up to the instant only at which `on_grant` has been told something.
        """
        while True:
            chunks = [plane.backlog.first or NOTHING for plane in self._planes]
            for lane, plane in zip(self._lanes, self._planes, strict=True):
                lane["position"], lane["more"] = plane.backlog.position, plane.backlog.chunks > 1
            stopped = self._body.run(chunks, self._lanes, until_us)
            for lane, plane in zip(self._lanes, self._planes, strict=True):
                plane.backlog.position = int(lane["position"])
                plane.backlog.drop_used()
            if stopped.why == DONE:
                return True
            if stopped.why == NEEDS_DEMANDS:
                self._reached(int(stopped.at_us))
                plane = self._planes[stopped.whom]
                raise DemandsNeeded(plane.due_before(math.ceil(until_us)), self._now, plane)
            if stopped.why == GRANTED:
                self._tell(self._host_of[stopped.whom], stopped.at_us)
                return False

    def opened(self, plane: Plane, slot: int) -> None:
        """Take note of a slot that has been opened: it sits alone."""
        lane = self._planes.index(plane)
        alone = self._body.open_host(EVERYWHERE)
        self._alone[lane, slot] = alone
        self._seats[lane, slot] = member = self._body.seat(float(self._now), alone, lane, plane.row_of(slot), 1.0, 1.0)
        self._host_of[member] = alone

    def changed(self, plane: Plane, slot: int) -> None:
        """Take note that a slot's cores or speed have been changed."""
        member = self._seats[self._planes.index(plane), slot]
        self._body.refresh(float(self._now), member)
        self._tell(self._host_of[member], float(self._now))

    def closed(self, plane: Plane, slot: int) -> None:
        """Take note that a slot has been closed."""
        self._tell(self._leave(self._planes.index(plane), slot), float(self._now))

    def _leave(self, lane: int, slot: int) -> int:
        """Take a slot from its host, and return that."""
        member = self._seats.pop((lane, slot))
        self._body.leave(float(self._now), member)
        alone = self._alone.pop((lane, slot), None)
        if alone is not None:
            self._body.close_host(alone)
        return self._host_of.pop(member)

    def _reached(self, now_us: int) -> None:
        self._now = now_us
        for plane in self._planes:
            plane.reached(now_us)

    def _tell(self, host: int, at_us: float) -> None:
        """Tell of watched members of a host whose cores have changed; telling may change them again."""
        told = self._granted.get(host)
        if not told:
            return
        changed = [(member, cores) for member in told if (cores := self._body.granted(member)) != told[member]]
        told.update(changed)
        if self.on_grant is not None:
            for member, cores in changed:
                self.on_grant(member, cores, at_us)
