"""The border of the data plane: checks, slot ids, chunks; behind it a compiled body or its slow twin."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from fargsim.kernel.body import Body, new_body
from fargsim.kernel.checks import (
    LAST_INSTANT_US,
    demand,
    first_requests,
)
from fargsim.kernel.layout import (
    NOTHING,
    ROUTINGS,
    WEIGHTED_RANDOM,
    Counters,
    Ints,
    Outcome,
    Records,
)
from fargsim.kernel.pending import Backlog, Pending
from fargsim.kernel.slots import Slots


class DemandsNeeded(ValueError):
    """A closed loop cannot go on: users are about to send requests whose demands have not been offered yet.

    The plane stands at the first of these arrivals, which has not happened; what lies before it has. Offer more and
    advance again: the answer is the same as if they had been there at once.

    Parameters
    ----------
    count
        At least so many: users whose next request is known to come before the instant asked for.
    plane
        Whose users they are.
    """

    def __init__(self, count: int, at_us: int, plane: Plane) -> None:
        super().__init__(f"at {at_us} us the users need the demands of {count} requests or more: offer them first")
        self.count = count
        self.plane = plane


class Plane(Slots):
    """One router in front of any number of slots: the targets of one target group.

    Parameters
    ----------
    routing
        ``"round_robin"``, ``"least_outstanding_requests"``, ``"weighted_random"`` or ``"when_ready"``. The first two keep a cursor over
        the rows of slots (an opened slot takes the lowest row that is free). Round robin sends a request to the first
        routable row from the cursor on, least outstanding requests to the first one of those with the fewest
        outstanding requests; the cursor then stands behind the chosen row. AWS does not publish how it breaks ties: the
        cursor is ours. Weighted random takes each routable slot with probability weight / sum of the weights, by
        the number that comes with the request: the first row up to which the weights exceed that part of their sum.
        When ready is round robin among the slots that serve and have less than their `max_concurrency` of requests, those whose
        users are gone included; where none is, the request finds no target (`Counters.not_ready`).
    idle_timeout_us
        The balancer's idle time-out in microseconds from arrival, after which the user gets 504; 0: none.
    client_timeout_us
        How long clients wait, microseconds from arrival; 0: for ever. Where that is shorter than the idle time-out they close their
        connection then, which is 460.
    cancel_on_timeout
        Whether the slot drops a request whose user has timed out or gone. Otherwise it works on to the end.
    first_requests_us
        Makes a closed loop of as many users: the instants of their first requests, whole microseconds, shape
        ``(users,)``, in any order. A user whose request has ended, in whichever way, thinks and sends the next one.
    connect_timeout_us
        How long the balancer tries to connect to a slot of mode ``"blackhole"``; the idle time-out where that is shorter.
    cross_zone
        False: a request enters by a zone and is routed in it, each zone with a cursor of its own; where the zone has no
        routable slot, in the next zone, cyclic, that has one.
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
    algorithms), application-load-balancers.html (idle time-out), load-balancer-troubleshooting.html (460, 502, 503, 504, 10 s to
    connect), disable-cross-zone.html (requests stay in their zone).
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
        client_timeout_us: int = 0,
        first_requests_us: npt.ArrayLike | None = None,
        connect_timeout_us: int = 10_000_000,
        cross_zone: bool = True,
        compiled: bool = True,
        record_every: int = 0,
    ) -> None:
        if routing not in ROUTINGS:
            raise ValueError(f"routing '{routing}' is not one of {', '.join(ROUTINGS)}")
        if idle_timeout_us < 0:
            raise ValueError(f"an idle time-out of {idle_timeout_us} us is before the arrival")
        if client_timeout_us < 0:
            raise ValueError(f"clients who wait {client_timeout_us} us leave before they arrive")
        if connect_timeout_us < 1:
            raise ValueError(f"an attempt to connect cannot last {connect_timeout_us} us")
        if record_every < 0:
            raise ValueError(f"cannot record every {record_every}th request")
        first = NOTHING.arrivals_us if first_requests_us is None else first_requests(first_requests_us)
        self.closed_loop = first_requests_us is not None
        leave = 0 < client_timeout_us < (idle_timeout_us or LAST_INSTANT_US)
        self._client_us = client_timeout_us if leave else 0
        self._connect_us = int(connect_timeout_us)
        body = new_body(compiled)(
            ROUTINGS[routing],
            client_timeout_us if leave else idle_timeout_us,
            cancel_on_timeout,
            record_every,
            first,
            self._connect_us,
            cross_zone,
        )
        super().__init__(body, Backlog(self.closed_loop, ROUTINGS[routing] == WEIGHTED_RANDOM, not cross_zone))

    @property
    def pending(self) -> int:
        """Requests offered and not yet arrived."""
        return len(self._backlog)

    @property
    def thinking(self) -> int:
        """Users of a closed loop who are between two requests; the others' requests are in flight."""
        return self._body.thinking()

    def offer(
        self,
        arrivals_us: npt.ArrayLike,
        cpu_us: npt.ArrayLike,
        wait_us: npt.ArrayLike | None = None,
        fails: npt.ArrayLike | None = None,
        draw: npt.ArrayLike | None = None,
        entry: npt.ArrayLike | None = None,
    ) -> None:
        """Append requests that will arrive.

        Parameters
        ----------
        arrivals_us
            Instants, int64, in order, shape ``(n,)``; none before `now_us` or before one offered earlier.
        cpu_us
            Demands in core-microseconds at speed 1, finite, none negative, shape ``(n,)`` or, where they differ by the
            slot's profile, ``(profiles, n)``.
        wait_us
            Off-CPU microseconds that each holds its worker for first, shaped as `cpu_us` may be; None: 0.
        fails
            Which end as failed, after the same work, shaped as `cpu_us` may be; None: none.
        draw
            Numbers in [0, 1), shape ``(n,)``: which slot weighted random takes; needed then.
        entry
            The zones by which they enter, 0 to 255, shape ``(n,)``; needed where requests do not cross zones.

        Notes
        -----
        Arrays of the right type are used as they are, not copied: leave them alone until the requests have arrived.

        Raises
        ------
        ValueError
            A shape, order or value that does not fit; nothing is appended then.
        """
        if self.closed_loop:
            raise ValueError("the users of a closed loop make the arrivals: offer demands")
        rest = (cpu_us, wait_us, fails, draw, entry, self._least_profiles())
        self._backlog.append_arrivals(self._now, arrivals_us, *rest)

    def offer_demands(
        self,
        cpu_us: npt.ArrayLike,
        think_us: npt.ArrayLike,
        wait_us: npt.ArrayLike | None = None,
        fails: npt.ArrayLike | None = None,
        draw: npt.ArrayLike | None = None,
        entry: npt.ArrayLike | None = None,
    ) -> None:
        """Append the demands of a closed loop's coming requests: the n-th to arrive takes the n-th, whoever sends it.

        Parameters
        ----------
        cpu_us, wait_us, fails, draw, entry
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
        if not self.closed_loop:
            raise ValueError("an open loop: offer arrivals")
        think = demand("think_us", np.asarray(think_us, np.float64), np.size(think_us))
        if bool(np.any(think > LAST_INSTANT_US)):
            raise ValueError(f"think_us has {think.max()} us, past {LAST_INSTANT_US}")
        whole = np.maximum(np.rint(think), 1.0).astype(np.int64)
        self._backlog.append(whole, cpu_us, wait_us, fails, draw, entry, self._least_profiles())

    def withdraw(self) -> Pending:
        """Take back what was offered and has not arrived (of a closed loop: the demands that nobody has taken).

        Offered again as it is, the answer is the same as if it had stayed; so a caller can give it more profiles
        or split it otherwise in between.
        """
        return self._backlog.withdraw()

    def dismiss_users(self, now_us: int) -> None:
        """End a closed loop: those who think send nothing more, the others neither once their requests have ended."""
        if not self.closed_loop:
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
        if self.hosts is not None:
            self.hosts.advance(until)
            return
        if self.closed_loop:
            self._advance_users(until)
            return
        backlog = self._backlog
        while (chunk := backlog.first) is not None:
            backlog.position = self._body.run(self._now, chunk, backlog.position, until)
            if backlog.position < chunk.arrivals_us.size:
                break
            backlog.drop_first()
            self._now = max(self._now, int(chunk.arrivals_us[-1]))
        self._body.settle(until)
        self._now = until

    @property
    def body(self) -> Body:
        """What does the work: for the hosts that the plane has joined."""
        return self._body

    @property
    def backlog(self) -> Backlog:
        """What was offered and has not arrived: for the hosts that the plane has joined."""
        return self._backlog

    def reached(self, now_us: int) -> None:
        """Take note that the hosts which the plane has joined have come to an instant."""
        self._now = now_us

    def due_before(self, until_us: int) -> int:
        """Count the users of a closed loop who think and whose request comes before an instant."""
        return self._body.due_before(until_us)

    def _advance_users(self, until: int) -> None:
        backlog = self._backlog
        while True:
            chunk = backlog.first or NOTHING
            backlog.position = self._body.run_users(self._now, chunk, backlog.position, until)
            due = self._body.first_due()
            self._now = until if due is None else min(due, until)
            if backlog.position == chunk.think_us.size:
                backlog.drop_first()
            if self._now == until:
                return
            if backlog.first is None:
                raise DemandsNeeded(self._body.due_before(until), self._now, self)

    def counters(self) -> Counters:
        """Return the requests' counts since the plane was made."""
        found = self._body.counters()
        if not self._client_us:
            return found
        # to the body all who outlast a plane's one limit are alike; only the balancer's attempts to connect can end before it
        late = found.connection_timed_out if self._connect_us < self._client_us else 0
        return found._replace(timed_out=late, connection_timed_out=late, client_closed=found.timed_out - late)

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
        found = self._body.take_outcomes()
        if self._client_us:
            waited = found["end_us"] - found["arrival_us"]
            left = (found["outcome"] == Outcome.TIMED_OUT) & (waited >= self._client_us)
            found["outcome"][left] = Outcome.CLIENT_CLOSED
        return found
