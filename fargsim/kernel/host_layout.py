"""Shapes of what the slots of several planes share: hosts and the members that sit on them."""

from __future__ import annotations

from typing import NamedTuple, Protocol

import numpy as np

from fargsim.kernel.body import Body
from fargsim.kernel.layout import Chunk, Records

HOST = np.dtype(
    [
        ("next_us", np.float64),  # the first event of its members; inf: none
        ("cores", np.float64),  # inf: nothing to share
        ("first", np.int32),  # members in order of joining
        ("last", np.int32),
        ("place", np.int32),  # in the heap of hosts by `next_us`
    ]
)

MEMBER = np.dtype(
    [
        ("next_us", np.float64),  # the slot's next event
        ("demand", np.float64),  # cores it could keep busy
        ("most", np.float64),  # cores it may have at most
        ("weight", np.float64),
        ("cores", np.float64),  # what it has been given
        ("claim", np.float64),  # the smaller of demand and most
        ("last_us", np.float64),  # outside: instant of `used_core_us`
        ("used_core_us", np.float64),  # outside: integral of the cores in use
        ("host", np.int32),
        ("lane", np.int32),  # which plane; -1: outside, its demand is told from without
        ("row", np.int32),
        ("next", np.int32),
        ("prev", np.int32),
        ("short", np.int32),  # it wants more than its part
        ("watch", np.int32),  # outside: stop when what it has been given changes
    ]
)

LANE = np.dtype(
    [
        ("position", np.int64),  # how far the chunk has come
        ("more", np.int64),  # there is another chunk behind it
        ("users", np.int64),  # a closed loop
    ]
)

DONE, NEXT_CHUNK, NEEDS_DEMANDS, GRANTED, GROW = range(5)
"""Why a run of planes that go together has ended: the instant is reached; a plane's chunk is used up; its users have no
demands left; a watched member has been given other cores; a plane has no room left (and the run is to be called again)."""


class Stopped(NamedTuple):
    """Why a run has ended, whom it concerns (a lane or a member), and the instant of `GRANTED`."""

    why: int
    whom: int
    at_us: float


class HostsBody(Protocol):
    """What stands behind the border of hosts: a compiled body or its slow twin."""

    def add_lane(self, body: Body) -> int:
        """Take a plane in; return its number."""

    def open_host(self, cores: float) -> int:
        """Open a host; return its number."""

    def close_host(self, host: int) -> None:
        """Close a host without members."""

    def set_cores(self, now: float, host: int, cores: float) -> None:
        """Change how many cores the members of a host share."""

    def seat(self, now: float, host: int, lane: int, row: int, weight: float, most: float) -> int:
        """Let a slot be a member; return its number."""

    def refresh(self, now: float, member: int) -> None:
        """Look at a slot again after something was done to it from outside."""

    def leave(self, now: float, member: int) -> None:
        """Take a member out."""

    def invite(self, now: float, host: int, weight: float, most: float, watch: bool) -> int:
        """Let somebody be a member who works outside of the planes; return the number."""

    def set_demand(self, now: float, member: int, demand: float) -> None:
        """Change how many cores an outside member could keep busy."""

    def granted(self, member: int) -> float:
        """Return how many cores a member has been given."""

    def in_use(self, host: int) -> tuple[float, float]:
        """Return how many of a host's cores are busy now, and how many its members could keep busy."""

    def used_core_us(self, now: float, member: int) -> float:
        """Return the integral of the cores an outside member has used."""

    def run(self, chunks: list[Chunk], lanes: Records, until: float) -> Stopped:
        """Let everything happen in all planes, up to an instant (arrivals before it) or to a reason to stop."""
