"""What stands behind the border of the data plane: a compiled body or its slow twin."""

from __future__ import annotations

from typing import Protocol, cast

from fargsim.kernel.layout import Chunk, Counters, Ints, Opening, Records, SlotTable


class Body(Protocol):
    """What a plane needs of the thing that does the work; instants never go back."""

    def open(self, now: int, slot: int, opening: Opening) -> int:
        """Open a slot; return its row, the lowest that is free."""

    def set_routable(self, now: int, row: int, routable: bool) -> None:
        """Let the router use a row, or no longer."""

    def set_weight(self, now: int, row: int, weight: float) -> None:
        """Change a row's weight."""

    def set_mode(self, now: int, row: int, mode: int) -> None:
        """Let a row serve, or refuse or swallow what comes."""

    def set_rate(self, now: int, row: int, cores: float, speed: float) -> None:
        """Change a row's cores and speed."""

    def close(self, now: int, row: int) -> int:
        """Cut off what a row holds and free it; return how many users that hit."""

    def run(self, now: int, chunk: Chunk, begin: int, until: int) -> int:
        """Serve a chunk's arrivals from `begin` on and before `until`; return how far it came."""

    def settle(self, until: int) -> None:
        """Let all but arrivals happen, up to and including an instant."""

    def run_users(self, now: int, chunk: Chunk, begin: int, until: int) -> int:
        """Let everything happen, up to an instant or to an arrival without a demand; return how far the chunk came."""

    def first_due(self) -> int | None:
        """Return the instant of the next request of the users who think; None: there are none."""

    def due_before(self, until: int) -> int:
        """Count the users who think and whose request comes before an instant."""

    def thinking(self) -> int:
        """Count the users who think."""

    def dismiss_users(self) -> None:
        """Let those who think go, and the others when their requests have ended."""

    def counters(self) -> Counters:
        """Count requests by ending."""

    def histogram(self) -> Ints:
        """Copy the latency histogram."""

    def slots(self, now: int, rows: Ints) -> SlotTable:
        """Return the columns of some rows, integrals up to `now` included."""

    def take_outcomes(self) -> Records:
        """Hand over the recorded endings, by number of the request."""


class NewBody(Protocol):
    """Makes a body."""

    def __call__(
        self, routing: int, idle_us: int, cancel: bool, sample: int, first_us: Ints, connect_us: int, cross_zone: bool
    ) -> Body:
        """Make one; `first_us` holds the first requests of a closed loop's users."""


def new_body(compiled: bool) -> NewBody:
    """Return the maker of the compiled body or of the slow twin; only the former imports Numba."""
    if compiled:
        from fargsim.kernel.compiled import CompiledBody

        return cast(NewBody, CompiledBody)
    from fargsim.kernel.reference import ReferenceBody

    return cast(NewBody, ReferenceBody)
