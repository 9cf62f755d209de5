"""Requests that were offered and have not arrived: checked, kept in chunks, handed back."""

from __future__ import annotations

from collections import deque
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from fargsim.kernel.checks import LAST_INSTANT_US, demand, per_request
from fargsim.kernel.layout import NOTHING, Chunk, Flags, Floats, Ints


class Pending(NamedTuple):
    """Requests taken back from a plane: what `Plane.offer` (or `Plane.offer_demands`) takes, in order.

    Examples
    --------
    >>> from fargsim.kernel import Plane
    >>> plane = Plane(compiled=False)
    >>> plane.offer([10, 20, 30], cpu_us=[1.0, 2.0, 3.0])
    >>> plane.advance(15)
    >>> back = plane.withdraw()
    >>> back.arrivals_us.tolist(), plane.pending
    ([20, 30], 0)
    >>> plane.offer(back.arrivals_us, np.stack([back.cpu_us, 2 * back.cpu_us]))  # a second profile costs the double
    """

    arrivals_us: Ints
    """Shape ``(n,)``; of a closed loop, where nobody knows them yet, ``(0,)``."""
    cpu_us: Floats
    """Shape ``(n,)``, or ``(profiles, n)`` where any of the requests was offered so."""
    wait_us: Floats | None
    """As `cpu_us`; None where all came without."""
    fails: Flags | None
    """As `cpu_us`; None where all came without."""
    draw: Floats | None
    """Shape ``(n,)``; None where any came without."""
    entry: Flags | None
    """Shape ``(n,)``; None where any came without."""
    think_us: Ints | None
    """Of a closed loop, shape ``(n,)``, whole microseconds; else None."""


def _profiles(cpu: Any, wait: Any, fails: Any) -> int:
    """Return how many profiles demands are given for; 0: all alike."""
    counts = {np.shape(column)[0] for column in (cpu, wait, fails) if np.ndim(column) == 2}
    if len(counts) > 1:
        raise ValueError(f"cpu_us, wait_us and fails are for {', '.join(map(str, sorted(counts)))} profiles")
    if counts == {0}:
        raise ValueError("demands for no profile")
    return counts.pop() if counts else 0


def _spread(column: npt.ArrayLike | None, profiles: int, n: int) -> Any:
    """Give a column that is the same for all profiles a row for each."""
    if column is None or profiles == 0 or np.ndim(column) != 1:
        return column
    return np.broadcast_to(np.asarray(column), (profiles, np.size(column)))


class Backlog:
    """The requests of one plane that are to come.

    Parameters
    ----------
    closed_loop
        Whether they are demands of users, who make the arrivals.
    weighted, zoned
        Whether each needs a number to be routed by, and a zone to enter by.
    """

    def __init__(self, closed_loop: bool, weighted: bool, zoned: bool) -> None:
        self._closed_loop, self._weighted, self._zoned = closed_loop, weighted, zoned
        self._chunks: deque[Chunk] = deque()
        self._last_arrival = 0
        self.position = 0
        """How far the first chunk has come."""

    @property
    def first(self) -> Chunk | None:
        """The chunk that is being served."""
        return self._chunks[0] if self._chunks else None

    @property
    def chunks(self) -> int:
        """How many chunks there are, the one that is being served included."""
        return len(self._chunks)

    def drop_used(self) -> None:
        """Go on with the next chunk where the first one has been served."""
        while self._chunks and self.position == self._size(self._chunks[0]):
            self.drop_first()

    def drop_first(self) -> None:
        """Go on with the next chunk."""
        self.position = 0
        if self._chunks:
            self._chunks.popleft()

    def __len__(self) -> int:
        return sum(self._size(chunk) for chunk in self._chunks) - self.position

    @property
    def profiles(self) -> int:
        """For how many profiles the requests say what they cost; 0: for any, alike."""
        return max((self._profiles_of(chunk) for chunk in self._chunks), default=0)

    def _size(self, chunk: Chunk) -> int:
        return chunk.think_us.size if self._closed_loop else chunk.arrivals_us.size

    def _profiles_of(self, chunk: Chunk) -> int:
        return chunk.cpu_us.size // chunk.stride if chunk.stride else 0

    def append(
        self,
        times_us: Ints,
        cpu_us: npt.ArrayLike,
        wait_us: npt.ArrayLike | None,
        fails: npt.ArrayLike | None,
        draw: npt.ArrayLike | None,
        entry: npt.ArrayLike | None,
        least_profiles: int,
    ) -> None:
        """Check and append requests; `times_us` are arrivals, or think times in a closed loop."""
        n = times_us.size
        profiles = _profiles(cpu_us, wait_us, fails)
        cpu = demand("cpu_us", _spread(cpu_us, profiles, n), n, profiles)
        wait = NOTHING.wait_us if wait_us is None else demand("wait_us", _spread(wait_us, profiles, n), n, profiles)
        flags = NOTHING.fails if fails is None else per_request("fails", _spread(fails, profiles, n), n, profiles)
        numbers = NOTHING.draw if draw is None else demand("draw", draw, n)
        zones = NOTHING.entry if entry is None else per_request("entry", entry, n)
        if bool(np.any(numbers >= 1.0)):
            raise ValueError("draw must be in [0, 1)")
        if n == 0:
            return
        if self._weighted and draw is None:
            raise ValueError("weighted random routing needs a number in [0, 1) for each request: draw")
        if self._zoned and entry is None:
            raise ValueError("requests that stay in a zone need the zone they enter by: entry")
        if 0 < profiles < least_profiles:
            raise ValueError(f"demands for {profiles} profiles, and an open slot has profile {least_profiles - 1}")
        if profiles and self.profiles not in (0, profiles):
            raise ValueError(f"demands for {profiles} profiles, those pending are for {self.profiles}: withdraw them")
        none = NOTHING.arrivals_us
        arrivals, think = (none, times_us) if self._closed_loop else (times_us, none)
        self._chunks.append(
            Chunk(
                arrivals,
                cpu.reshape(-1),
                wait.reshape(-1),
                flags.reshape(-1),
                think,
                numbers,
                zones,
                n * (profiles > 0),
            )
        )

    def append_arrivals(self, now: int, arrivals_us: npt.ArrayLike, *rest: Any) -> None:
        """Check and append requests that will arrive."""
        if np.asarray(arrivals_us).dtype.kind not in "iu" and np.size(arrivals_us) > 0:
            raise ValueError("arrivals are instants in whole microseconds, integers")
        arrivals = np.require(arrivals_us, np.int64, ["C", "A", "W"])
        if arrivals.ndim != 1:
            raise ValueError(f"arrivals of shape {arrivals.shape}")
        if arrivals.size:
            if arrivals[0] < max(self._last_arrival, now):
                raise ValueError(
                    f"an arrival at {arrivals[0]} us; the plane is at {now} us, "
                    f"the latest arrival offered at {self._last_arrival} us"
                )
            if bool(np.any(arrivals[1:] < arrivals[:-1])):
                raise ValueError("arrivals are not in order")
            if arrivals[-1] > LAST_INSTANT_US:
                raise ValueError(f"an arrival at {arrivals[-1]} us, past {LAST_INSTANT_US}")
        self.append(arrivals, *rest)
        if arrivals.size:
            self._last_arrival = int(arrivals[-1])

    def withdraw(self) -> Pending:
        """Take everything back."""
        profiles = self.profiles
        parts: list[tuple[Any, ...]] = []
        for chunk in self._chunks:
            n, begin = self._size(chunk), self.position if not parts else 0
            shape = (self._profiles_of(chunk), n) if chunk.stride else (n,)

            def cut(column: Any, shape: tuple[int, ...] = shape, n: int = n, begin: int = begin) -> Any:
                """Return what is left of a column of demands, None where there is none."""
                return _spread(column.reshape(shape)[..., begin:], profiles, n) if column.size else None

            parts.append(
                (
                    chunk.arrivals_us[begin:],
                    cut(chunk.cpu_us),
                    cut(chunk.wait_us),
                    cut(chunk.fails),
                    chunk.draw[begin:] if chunk.draw.size else None,
                    chunk.entry[begin:] if chunk.entry.size else None,
                    chunk.think_us[begin:],
                )
            )
        self._chunks.clear()
        self.position = 0
        self._last_arrival = 0  # what has arrived lies before the plane's own instant
        if not parts:
            nothing = NOTHING.think_us if self._closed_loop else None
            return Pending(NOTHING.arrivals_us, NOTHING.cpu_us, None, None, None, None, nothing)
        arrivals, cpu, wait, fails, draw, entry, think = zip(*parts, strict=True)

        def filled(columns: tuple[Any, ...]) -> Any:
            """Join demands; where some of the requests came without, that was 0."""
            if all(column is None for column in columns):
                return None
            kind = next(column.dtype for column in columns if column is not None)
            return _joined([np.zeros(c.shape, kind) if t is None else t for t, c in zip(columns, cpu, strict=True)])

        return Pending(
            _joined(arrivals),
            _joined(cpu),
            filled(wait),
            filled(fails),
            None if any(column is None for column in draw) else _joined(draw),
            None if any(column is None for column in entry) else _joined(entry),
            _joined(think) if self._closed_loop else None,
        )


def _joined(columns: Any) -> Any:
    return columns[0] if len(columns) == 1 else np.concatenate(columns, axis=-1)
