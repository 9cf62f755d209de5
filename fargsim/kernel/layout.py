"""Shapes of the plane's state and of what leaves it: no code that runs per request.

The state of a compiled plane is a handful of plain NumPy arrays (structured where fields of one thing are used
together), so that it can be pickled, inspected and handed to another compiled language.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]
Flags = npt.NDArray[np.uint8]
Records = np.ndarray[Any, Any]

UNLIMITED = 2**31 - 1
"""More workers or waiting room than any slot can fill."""

NS = 1000.0
"""Nanoseconds in a microsecond: integrals over time are summed as whole nanoseconds, exact in any order."""

ROUND_ROBIN, LEAST_OUTSTANDING = 0, 1
ROUND_ROBIN_TOGETHER = 2
"""Round robin in a closed loop: slots cannot wait for their next arrival, which may depend on them."""

WEIGHTED_RANDOM = 3
WHEN_READY = 4

ROUTINGS = {
    "round_robin": ROUND_ROBIN,
    "least_outstanding_requests": LEAST_OUTSTANDING,
    "weighted_random": WEIGHTED_RANDOM,
    "when_ready": WHEN_READY,
}

SERVE, REFUSE, BLACKHOLE, GARBLE = 0, 1, 2, 3
MODES = {"serve": SERVE, "refuse": REFUSE, "blackhole": BLACKHOLE, "garble": GARBLE}

FIXED, SHARED = 0, 1
FREE, QUEUED, WAITING, RUNNING, CONNECTING = 0, 1, 2, 3, 4

TURN = 10**9
"""What a slot must have saved up for a request when round robin is thinned by weights: whole numbers do not drift."""

NOBODY = 0
"""The request record that is never used: the beginning and the end of the ring of waiting users."""

LEVELS = 1024
"""Slots with this many outstanding requests or more (less one) share the top level of the router's table."""


class Outcome(IntEnum):
    """How a request ended, for its user."""

    SERVED = 1
    REFUSED_FULL = 2
    NO_TARGET = 3
    CUT_OFF = 4
    TIMED_OUT = 5
    FAILED = 6
    CLIENT_CLOSED = 7


class Counters(NamedTuple):
    """Requests since the plane was made.

    ``arrived = served + refused_full + no_target + cut_off + timed_out + client_closed + failed + in_flight``, always.
    """

    arrived: int
    served: int
    """Answered by a target."""
    refused_full: int
    """503 of a target: its workers busy and its queue full."""
    no_target: int
    """503 of the balancer: no routable slot."""
    cut_off: int
    """502: the slot was closed under the request, or refused the connection."""
    timed_out: int
    """504: the idle time-out passed before the answer, or the one for connecting before the connection stood."""
    failed: int
    """Worked to the end, answered with an application error."""
    in_flight: int
    """Their users still wait."""
    orphaned: int
    """Timed out, or their client gone, yet their slot still works on them (not in flight, not an ending of its own)."""
    latency_sum_us: float
    """Sum of end - arrival over served requests."""
    failed_latency_sum_us: float
    """Sum of end - arrival over failed requests."""
    connection_refused: int = 0
    """Of the cut off ones: nothing listened."""
    connection_timed_out: int = 0
    """Of the timed out ones: nothing answered the attempt to connect."""
    client_closed: int = 0
    """460: the client closed its connection before there was an answer, and before the idle time-out."""
    misunderstood: int = 0
    """Of the cut off ones: the connection stood, and what came back was no answer."""
    not_ready: int = 0
    """Of those without a target: there were routable slots, and none of them was ready."""

    @property
    def target_connection_errors(self) -> int:
        """Connections that were not established."""
        return self.connection_refused + self.connection_timed_out

    @property
    def responses(self) -> int:
        """Answers of targets that did the work, well or not: what a response time is the mean over."""
        return self.served + self.failed

    @property
    def response_sum_us(self) -> float:
        """Sum of end - arrival over `responses`."""
        return self.latency_sum_us + self.failed_latency_sum_us


@dataclass(frozen=True, slots=True)
class SlotUse:
    """One slot: what it is, holds now, and has done since it was opened (cumulative)."""

    slot: int
    routable: bool
    cores: float
    speed: float
    outstanding: int
    """Requests whose users still wait for this slot."""
    in_task: int
    """Requests in the slot, queue included, orphaned work included."""
    in_worker: int
    """Of these, holding a worker."""
    routed: int
    """Requests the router sent here, refused ones included."""
    refused_full: int
    started: int
    """Requests that were given a worker."""
    served: int
    failed: int
    timed_out: int
    cut_off: int
    worked: int
    """Requests worked to the end, orphaned ones included."""
    busy_core_us: float
    """Integral of cores in use (0 to `cores`), core-microseconds."""
    in_system_us: float
    """Integral of `in_task`, microseconds."""
    in_worker_us: float
    """Integral of `in_worker`, microseconds."""
    connecting: int = 0
    """Requests that wait for a connection which nothing will answer: outstanding, but not in the task."""
    connection_errors: int = 0
    """Requests whose connection was refused, never answered or not understood (also in `cut_off` or `timed_out`)."""


@dataclass(frozen=True, slots=True)
class SlotTable:
    """All open slots at one instant; the columns of `SlotUse`, each of shape ``(slots,)``, by slot id."""

    slot: Ints
    routable: Bools
    cores: Floats
    speed: Floats
    outstanding: Ints
    in_task: Ints
    in_worker: Ints
    routed: Ints
    refused_full: Ints
    started: Ints
    served: Ints
    failed: Ints
    timed_out: Ints
    cut_off: Ints
    worked: Ints
    busy_core_us: Floats
    in_system_us: Floats
    in_worker_us: Floats
    connecting: Ints
    connection_errors: Ints


class Opening(NamedTuple):
    """What a slot is opened with, checked."""

    cores: float
    speed: float
    workers: int
    queue_limit: int
    routable: bool
    profile: int
    weight: float
    zone: int
    mode: int
    max_concurrency: int


OUTCOMES = np.dtype(
    [
        ("request", np.int64),  # running number of the arrival, from 0
        ("slot", np.int64),  # -1: none
        ("outcome", np.int64),
        ("arrival_us", np.int64),
        ("start_us", np.int64),  # given a worker; -1: never
        ("end_us", np.int64),  # the user's end
    ]
)

PLANE = np.dtype(
    [
        ("routing", np.int64),
        ("idle_us", np.int64),  # 0: no time-out
        ("cancel", np.int64),
        ("sample", np.int64),  # every how many requests one is recorded; 0: none
        ("inverse_width", np.float64),  # calendar buckets per microsecond
        ("bucket", np.int64),  # the calendar has been looked at up to this bucket
        ("cursor", np.int64),  # the router looks for a slot from this row on
        ("lowest", np.int64),  # no routable slot is on a level below
        ("routable", np.int64),
        ("free", np.int64),  # head of the list of unused request records
        ("used", np.int64),
        ("recorded", np.int64),
        ("arrived", np.int64),
        ("served", np.int64),
        ("refused_full", np.int64),
        ("no_target", np.int64),
        ("cut_off", np.int64),
        ("timed_out", np.int64),
        ("failed", np.int64),
        ("latency_ns", np.int64),
        ("failed_latency_ns", np.int64),
        ("users", np.int64),  # of a closed loop; 0: an open loop
        ("thinking", np.int64),  # of these, the ones between two requests
        ("special", np.int64),  # the router asks for weights or zones, not for the table alone
        ("weighted", np.int64),  # weighted random
        ("zoned", np.int64),  # a request stays in the zone it entered by
        ("ready", np.int64),  # only rows that are ready get requests
        ("not_ready", np.int64),  # of those without a target: there were routable rows, and none was ready
        ("connect_us", np.int64),  # how long an attempt to connect lasts
        ("connection_refused", np.int64),
        ("connection_timed_out", np.int64),
        ("misunderstood", np.int64),
    ]
)

SLOT = np.dtype(
    [
        ("next_us", np.float64),  # the slot's next event; inf: none
        ("attained", np.float64),  # SHARED: work done for each request of the cpu phase since the phase was empty
        ("last_us", np.float64),  # SHARED: instant of `attained`
        ("rate", np.float64),  # SHARED: work per microsecond for each request of the cpu phase
        ("cores", np.float64),
        ("speed", np.float64),
        ("busy_core_us", np.float64),
        ("fixed_ns", np.int64),  # FIXED: cpu phases ended, in request-nanoseconds
        ("in_system_ns", np.int64),  # exits - entries; the integral is this plus in_task x now
        ("in_worker_ns", np.int64),
        ("workers", np.int64),
        ("queue_limit", np.int64),
        ("outstanding", np.int64),
        ("in_task", np.int64),
        ("in_worker", np.int64),
        ("busy", np.int64),  # SHARED: requests in the cpu phase
        ("queued", np.int64),
        ("bucket", np.int64),  # where the calendar holds this row; -1: nowhere
        ("calendar_next", np.int32),
        ("calendar_prev", np.int32),
        ("run_root", np.int32),  # heap by key: FIXED by end, SHARED by attained service at the end
        ("wait_root", np.int32),  # SHARED: heap by the end of the wait
        ("queue_head", np.int32),
        ("queue_tail", np.int32),
        ("kind", np.int32),
        ("wait_next", np.int32),  # SHARED: the next event is the end of a wait
        ("routable", np.int32),
        ("open", np.int32),
        ("slot", np.int64),
        ("routed", np.int64),
        ("refused_full", np.int64),
        ("started", np.int64),
        ("served", np.int64),
        ("failed", np.int64),
        ("timed_out", np.int64),
        ("cut_off", np.int64),
        ("worked", np.int64),
    ]
)

TERMS = np.dtype(
    [
        ("weight", np.float64),
        ("credit", np.int64),  # saved up, in parts of a TURN
        ("zone", np.int64),
        ("profile", np.int64),  # which row of the demands counts here
        ("mode", np.int64),
        ("workers", np.int64),  # those of mode SERVE: in another the slot has none and no room, so that all end there
        ("queue_limit", np.int64),
        ("max_concurrency", np.int64),  # it is ready while it has fewer requests
        ("connecting", np.int64),
        ("connection_errors", np.int64),
        ("member", np.int64),  # who it is on its host, where the plane has joined hosts
    ]
)
"""What a row has beside SLOT: what no run needs that serves every request alike (SLOT is four cache lines)."""

ZONE = np.dtype(
    [
        ("routable", np.int64),
        ("cursor", np.int64),
        ("heaviest", np.float64),  # the largest weight of its routable rows
    ]
)

REQUEST = np.dtype(
    [
        ("key", np.float64),  # what orders it in its slot's heap
        ("cpu", np.float64),
        ("wait_us", np.float64),
        ("start_us", np.float64),  # -1: not yet
        ("cpu_start_us", np.float64),
        ("arrival_us", np.int64),
        ("number", np.int64),
        ("child", np.int32),  # heap: first child
        ("next", np.int32),  # heap: right sibling; queue: the one behind; free list
        ("prev", np.int32),  # heap: left sibling or parent; queue: the one before
        ("younger", np.int32),  # the ring of waiting users, in order of arrival, through NOBODY
        ("older", np.int32),
        ("row", np.int32),
        ("phase", np.int32),
        ("fails", np.int32),
        ("alive", np.int32),  # its user still waits
        ("user", np.int32),  # of a closed loop
    ],
    align=True,
)


USER = np.dtype(
    [
        ("due_us", np.int64),  # thinking: the next request
        ("think_us", np.int64),  # in flight: how long the user thinks after the end
        ("heap", np.int32),  # of the i-th row: the i-th user of a binary heap by `due_us` and number
    ],
    align=True,
)


class Arrays(NamedTuple):
    """The whole state of a compiled plane."""

    plane: Records
    """PLANE, shape (1,)."""
    slots: Records
    """SLOT, one row per open slot; a closed slot's row is used again."""
    terms: Records
    """TERMS, of the same rows."""
    requests: Records
    """REQUEST, a pool as large as the most that were ever in the plane at once."""
    levels: npt.NDArray[np.uint64]
    """Shape (levels, words): which routable rows have this many outstanding requests, a bit each."""
    calendar: npt.NDArray[np.int32]
    """First row of each bucket of slots' next events, a ring over time, a power of two; -1: none."""
    marks: npt.NDArray[np.uint64]
    """Which buckets hold a row, a bit each."""
    histogram: Ints
    outcomes: Records
    users: Records
    """USER, one row per user of a closed loop; shape (0,) in an open one."""
    zones: Records
    """ZONE; one where requests cross zones."""
    masks: npt.NDArray[np.uint64]
    """Shape (zones, words): which routable rows each zone has, a bit each."""
    weights: Floats
    """Shape (zones, rows): sums of the weights of a zone's routable rows, up to and including each row."""


class Chunk(NamedTuple):
    """Requests in order of arrival; `wait_us`, `fails`, `draw` and `entry` may be empty.

    In a closed loop the users make the arrivals, and each request brings how long its user thinks after its end: then
    `arrivals_us` is empty, else `think_us`. What a request costs stands at its position plus `stride` times the profile.
    """

    arrivals_us: Ints
    cpu_us: Floats
    wait_us: Floats
    fails: Flags
    think_us: Ints
    draw: Floats
    entry: Flags
    stride: int
    """Requests in the chunk, where they cost differently by profile; 0: they do not."""


NOTHING = Chunk(
    np.empty(0, np.int64),
    np.empty(0, np.float64),
    np.empty(0, np.float64),
    np.empty(0, np.uint8),
    np.empty(0, np.int64),
    np.empty(0, np.float64),
    np.empty(0, np.uint8),
    0,
)
"""A chunk without a request."""
