"""The border of the data plane: checks, slot ids, chunks; behind it a compiled body or its slow twin."""

from __future__ import annotations

from collections import deque
from dataclasses import fields

import numpy as np
import numpy.typing as npt

from fargsim.kernel.body import new_body
from fargsim.kernel.checks import LAST_INSTANT_US, check_rate, demand, first_requests, work
from fargsim.kernel.layout import (
    NOTHING,
    ROUTINGS,
    UNLIMITED,
    Chunk,
    Counters,
    Ints,
    Records,
    SlotTable,
    SlotUse,
)


class DemandsNeeded(ValueError):
    """A closed loop cannot go on: users are about to send requests whose demands have not been offered yet.

    The plane stands at the first of these arrivals, which has not happened; what lies before it has. Offer more and
    advance again: the answer is the same as if they had been there at once.

    Parameters
    ----------
    count
        At least so many: users whose next request is known to come before the instant asked for.
    """

    def __init__(self, count: int, at_us: int) -> None:
        super().__init__(f"at {at_us} us the users need the demands of {count} requests or more: offer them first")
        self.count = count


class Plane:
    """One router in front of any number of slots: the targets of one target group.

    Parameters
    ----------
    routing
        ``"round_robin"`` or ``"least_outstanding_requests"``. Both keep a cursor over the rows of slots (an opened
        slot takes the lowest row that is free). Round robin sends a request to the first routable row from the
        cursor on, least outstanding requests to the first one of those with the fewest outstanding requests; the
        cursor then stands behind the chosen row. AWS does not publish how it breaks ties: the cursor is ours.
    idle_timeout_us
        The balancer's idle time-out in microseconds from arrival, after which the user gets 504; 0: none.
    cancel_on_timeout
        Whether the slot drops a request whose user has timed out. Otherwise it works on to the end.
    first_requests_us
        Makes a closed loop of as many users: the instants of their first requests, whole microseconds, shape
        ``(users,)``, in any order. A user whose request has ended, in whichever way, thinks and sends the next one.
    compiled
        False runs the slow twin of `fargsim.kernel.reference`, with the same answer to the last bit.
    record_every
        Keep the ending of every n-th request (1: of all) for `take_outcomes`; 0: of none.

    Notes
    -----
    Order at one instant: ends of work and of waits, time-outs, changes by the control plane, arrivals. So
    ``advance(t)`` runs the first two up to and including t and arrivals before t, and cutting an interval anywhere
    changes nothing. Instants inside a slot are doubles in microseconds; one that leaves is rounded up to a whole
    microsecond, the first at which the thing has happened.

    Source: Elastic Load Balancing, Application Load Balancers User Guide, edit-target-group-attributes.html (routing
    algorithms), application-load-balancers.html (idle time-out), load-balancer-troubleshooting.html (502, 503, 504).
    What a slot does is an assumption of ours: limited processor sharing, described in `fargsim.kernel.reference`.

    Examples
    --------
    >>> import numpy as np
    >>> plane = Plane("round_robin", compiled=False, record_every=1)
    >>> slot = plane.open_slot(0, cores=1.0, workers=8)
    >>> plane.offer(np.array([0, 1000]), cpu_us=np.array([3000.0, 1000.0]))
    >>> plane.advance(10_000)
    >>> plane.take_outcomes()["end_us"].tolist()  # the second shares the core from 1000 to 3000
    [4000, 3000]
    >>> plane.slot(slot).busy_core_us
    4000.0
    """

    def __init__(
        self,
        routing: str = "round_robin",
        idle_timeout_us: int = 0,
        cancel_on_timeout: bool = False,
        *,
        first_requests_us: npt.ArrayLike | None = None,
        compiled: bool = True,
        record_every: int = 0,
    ) -> None:
        if routing not in ROUTINGS:
            raise ValueError(f"routing '{routing}' is not one of {', '.join(ROUTINGS)}")
        if idle_timeout_us < 0:
            raise ValueError(f"an idle time-out of {idle_timeout_us} us is before the arrival")
        if record_every < 0:
            raise ValueError(f"cannot record every {record_every}th request")
        first = NOTHING.arrivals_us if first_requests_us is None else first_requests(first_requests_us)
        self._closed_loop = first_requests_us is not None
        self._body = new_body(compiled)(ROUTINGS[routing], idle_timeout_us, cancel_on_timeout, record_every, first)
        self._now = 0
        self._last_arrival = 0
        self._chunks: deque[Chunk] = deque()
        self._position = 0  # in the first chunk
        self._rows: dict[int, int] = {}  # open slots, in order of opening
        self._closed: dict[int, SlotUse] = {}
        self._next_slot = 0

    @property
    def now_us(self) -> int:
        """The instant up to which everything has happened."""
        return self._now

    @property
    def pending(self) -> int:
        """Requests offered and not yet arrived."""
        return sum(chunk.cpu_us.size for chunk in self._chunks) - self._position

    @property
    def thinking(self) -> int:
        """Users of a closed loop who are between two requests; the others' requests are in flight."""
        return self._body.thinking()

    @property
    def open_slots(self) -> tuple[int, ...]:
        """Ids of the open slots, in order of opening."""
        return tuple(self._rows)

    def open_slot(
        self,
        now_us: int,
        *,
        cores: float,
        speed: float = 1.0,
        workers: int = UNLIMITED,
        queue_limit: int = UNLIMITED,
        routable: bool = True,
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

        Raises
        ------
        ValueError
            `cores` or `speed` not positive and finite, `workers` below 1, `queue_limit` below 0, `now_us` in the past.
        """
        check_rate(cores, speed)
        if workers < 1:
            raise ValueError(f"a slot needs a worker, not {workers}")
        if queue_limit < 0:
            raise ValueError(f"a queue cannot hold {queue_limit} requests")
        self._reach(now_us)
        slot = self._next_slot
        self._rows[slot] = self._body.open(
            self._now, slot, float(cores), float(speed), int(workers), int(queue_limit), routable
        )
        self._next_slot += 1
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

    def close_slot(self, now_us: int, slot: int) -> int:
        """Close a slot, cut off what it holds (502), and return how many users that hit."""
        row = self._row(slot)
        self._reach(now_us)
        lost = self._body.close(self._now, row)
        self._closed[slot] = self._use(row)
        del self._rows[slot]
        return lost

    def offer(
        self,
        arrivals_us: npt.ArrayLike,
        cpu_us: npt.ArrayLike,
        wait_us: npt.ArrayLike | None = None,
        fails: npt.ArrayLike | None = None,
    ) -> None:
        """Append requests that will arrive.

        Parameters
        ----------
        arrivals_us
            Instants, int64, in order, shape ``(n,)``; none before `now_us` or before one offered earlier.
        cpu_us
            Demands in core-microseconds at speed 1, finite, none negative, shape ``(n,)``.
        wait_us
            Off-CPU microseconds that each holds its worker for first; None: 0.
        fails
            Which end as failed, after the same work; None: none.

        Notes
        -----
        Arrays of the right type are used as they are, not copied: leave them alone until the requests have arrived.

        Raises
        ------
        ValueError
            A shape, order or value that does not fit; nothing is appended then.
        """
        if self._closed_loop:
            raise ValueError("the users of a closed loop make the arrivals: offer demands")
        if np.asarray(arrivals_us).dtype.kind not in "iu" and np.size(arrivals_us) > 0:
            raise ValueError("arrivals are instants in whole microseconds, integers")
        arrivals = np.require(arrivals_us, np.int64, ["C", "A", "W"])
        if arrivals.ndim != 1:
            raise ValueError(f"arrivals of shape {arrivals.shape}")
        n = arrivals.size
        cpu, wait, flags = work(n, cpu_us, wait_us, fails)
        if n == 0:
            return
        if arrivals[0] < max(self._last_arrival, self._now):
            raise ValueError(
                f"an arrival at {arrivals[0]} us; the plane is at {self._now} us, "
                f"the latest arrival offered at {self._last_arrival} us"
            )
        if bool(np.any(arrivals[1:] < arrivals[:-1])):
            raise ValueError("arrivals are not in order")
        if arrivals[-1] > LAST_INSTANT_US:
            raise ValueError(f"an arrival at {arrivals[-1]} us, past {LAST_INSTANT_US}")
        self._last_arrival = int(arrivals[-1])
        self._chunks.append(Chunk(arrivals, cpu, wait, flags, NOTHING.think_us))

    def offer_demands(
        self,
        cpu_us: npt.ArrayLike,
        think_us: npt.ArrayLike,
        wait_us: npt.ArrayLike | None = None,
        fails: npt.ArrayLike | None = None,
    ) -> None:
        """Append the demands of a closed loop's coming requests: the n-th to arrive takes the n-th, whoever sends it.

        Parameters
        ----------
        cpu_us, wait_us, fails
            As for `offer`.
        think_us
            How long the user of that request thinks after its end, microseconds, finite, none negative, shape ``(n,)``;
            rounded to whole microseconds, and to one where it is less: a next request never arrives at the instant
            (rounded up to a whole microsecond, as everywhere) at which the last one has ended.

        Raises
        ------
        ValueError
            A shape or value that does not fit, or the plane is not a closed loop; nothing is appended then.
        """
        if not self._closed_loop:
            raise ValueError("an open loop: offer arrivals")
        think = np.asarray(think_us, np.float64)
        n = think.size
        think = demand("think_us", think, n)
        cpu, wait, flags = work(n, cpu_us, wait_us, fails)
        if bool(np.any(think > LAST_INSTANT_US)):
            raise ValueError(f"think_us has {think.max()} us, past {LAST_INSTANT_US}")
        if n > 0:
            whole = np.maximum(np.rint(think), 1.0).astype(np.int64)
            self._chunks.append(Chunk(NOTHING.arrivals_us, cpu, wait, flags, whole))

    def dismiss_users(self, now_us: int) -> None:
        """End a closed loop: those who think send nothing more, the others neither once their requests have ended."""
        if not self._closed_loop:
            raise ValueError("an open loop has no users")
        self._reach(now_us)
        self._body.dismiss_users()

    def advance(self, until_us: int) -> None:
        """Let everything happen up to an instant: arrivals before it, all else including it.

        Raises
        ------
        ValueError
            `until_us` is in the past.
        DemandsNeeded
            A closed loop has used up the demands offered; `now_us` is where it stands.
        """
        until = int(until_us)
        if until < self._now or until > LAST_INSTANT_US:
            raise ValueError(f"cannot advance to {until} us from {self._now} us")
        if self._closed_loop:
            self._advance_users(until)
            return
        while self._chunks:
            chunk = self._chunks[0]
            self._position = self._body.run(self._now, chunk, self._position, until)
            if self._position < chunk.arrivals_us.size:
                break
            self._chunks.popleft()
            self._position = 0
            self._now = max(self._now, int(chunk.arrivals_us[-1]))
        self._body.settle(until)
        self._now = until

    def _advance_users(self, until: int) -> None:
        while True:
            chunk = self._chunks[0] if self._chunks else NOTHING
            self._position = self._body.run_users(self._now, chunk, self._position, until)
            due = self._body.first_due()
            self._now = until if due is None else min(due, until)
            if self._position == chunk.cpu_us.size:
                self._position = 0
                if self._chunks:
                    self._chunks.popleft()
            if self._now == until:
                return
            if not self._chunks:
                raise DemandsNeeded(self._body.due_before(until), self._now)

    def counters(self) -> Counters:
        """Return the requests' counts since the plane was made."""
        return self._body.counters()

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

    def histogram(self) -> Ints:
        """Return counts of served requests by latency, shape ``(BUCKETS,)``: a copy, cumulative."""
        return self._body.histogram()

    def take_outcomes(self) -> Records:
        """Return and forget the endings recorded since the last call.

        Returns
        -------
        Records
            Structured, shape ``(n,)``, by running number of the request: ``request``, ``slot`` (-1: none),
            ``outcome`` (`Outcome`), ``arrival_us``, ``start_us`` (-1: never given a worker), ``end_us``.
        """
        return self._body.take_outcomes()

    def _reach(self, now_us: int) -> None:
        if now_us != self._now:
            self.advance(now_us)

    def _row(self, slot: int) -> int:
        if slot not in self._rows:
            raise KeyError(f"slot {slot} is not open")
        return self._rows[slot]

    def _use(self, row: int) -> SlotUse:
        table = self._body.slots(self._now, np.array([row]))
        return SlotUse(**{f.name: getattr(table, f.name)[0].item() for f in fields(SlotUse)})
