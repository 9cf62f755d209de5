"""The compiled plane's body: arrays, their growth, and calls into the compiled code."""

from __future__ import annotations

import numpy as np

from fargsim.kernel.histogram import BUCKETS
from fargsim.kernel.layout import (
    FIXED,
    FREE,
    LEAST_OUTSTANDING,
    LEVELS,
    NOBODY,
    NOTHING,
    OUTCOMES,
    PLANE,
    REQUEST,
    ROUND_ROBIN,
    ROUND_ROBIN_TOGETHER,
    RUNNING,
    SERVE,
    SHARED,
    SLOT,
    TERMS,
    USER,
    WEIGHTED_RANDOM,
    WHEN_READY,
    ZONE,
    Arrays,
    Chunk,
    Counters,
    Ints,
    Opening,
    Records,
    SlotTable,
)
from fargsim.kernel.operate import CLOSE, RATE, REBUILD, ROUTE, RUN, RUN_USERS, UNROUTE, operate

GAPS = 0.25
"""Width of a calendar bucket, in gaps between arrivals."""

BUCKETS_PER_ROW = 8

NEVER_US = 2**60
"""An idle time-out that no run reaches."""


def grown(old: Records, size: int) -> Records:
    """Return an array of another length with what there was at its beginning."""
    new = np.zeros(size, dtype=old.dtype)
    new[: old.size] = old
    return new


class CompiledBody:
    """State of one plane as `Arrays`; every method leaves them consistent."""

    def __init__(
        self, routing: int, idle_us: int, cancel: bool, sample: int, first_us: Ints, connect_us: int, cross_zone: bool
    ) -> None:
        plane = np.zeros(1, dtype=PLANE)
        plane["weighted"] = int(routing == WEIGHTED_RANDOM)
        plane["zoned"] = int(not cross_zone)
        plane["connect_us"] = connect_us
        if routing == WEIGHTED_RANDOM:
            routing = ROUND_ROBIN  # to all but the router: nobody asks how the slots are
        if routing == WHEN_READY:
            routing = ROUND_ROBIN_TOGETHER  # to all but the router: every arrival asks how they are
            plane["ready"] = 1
        plane["routing"] = routing
        plane["idle_us"] = idle_us
        if first_us.size > 0:
            # so that the paths of the open loop need not ask which loop it is
            plane["routing"] = ROUND_ROBIN_TOGETHER if routing == ROUND_ROBIN else routing
            plane["idle_us"] = idle_us or NEVER_US
        plane["cancel"] = int(cancel)
        plane["sample"] = sample
        plane["inverse_width"] = 1e-3
        plane["free"] = -1
        plane["users"] = plane["thinking"] = first_us.size
        users = np.zeros(first_us.size, dtype=USER)
        users["due_us"] = first_us
        users["heap"] = np.argsort(first_us, kind="stable")  # what is sorted is a heap
        levels = LEVELS if routing == LEAST_OUTSTANDING else 1
        self.arrays = Arrays(
            plane=plane,
            slots=np.zeros(64, dtype=SLOT),
            terms=np.zeros(64, dtype=TERMS),
            requests=np.zeros(0, dtype=REQUEST),
            levels=np.zeros((levels, 1), dtype=np.uint64),
            calendar=np.full(64 * BUCKETS_PER_ROW, -1, dtype=np.int32),
            marks=np.zeros(BUCKETS_PER_ROW, dtype=np.uint64),
            histogram=np.zeros(BUCKETS, dtype=np.int64),
            outcomes=np.zeros(0, dtype=OUTCOMES),
            users=users,
            zones=np.zeros(1, dtype=ZONE),
            masks=np.zeros((1, 1), dtype=np.uint64),
            weights=np.zeros((1, 64), dtype=np.float64),
        )
        self._stale = True  # what the router knows of weights and zones
        self._rows = 0  # rows ever used
        self._unused: list[int] = []  # of these, closed ones
        self._more_requests()
        self._rebuild(0, 1e-3)

    def open(self, now: int, slot: int, opening: Opening) -> int:
        """Open a slot; return its row, the lowest that is free."""
        cores, workers = opening.cores, opening.workers
        if self._unused:
            row = min(self._unused)
            self._unused.remove(row)
        else:
            row = self._rows
            if row == self.arrays.slots.size:
                self._more_rows(now)
            self._rows += 1
        s = np.zeros(1, dtype=SLOT)
        s["slot"], s["cores"], s["speed"] = slot, cores, opening.speed
        s["kind"] = FIXED if workers == 1 or workers <= cores else SHARED
        s["rate"] = opening.speed
        s["next_us"] = np.inf
        s["last_us"] = float(now)
        s["open"] = 1
        for link in ("run_root", "wait_root", "queue_head", "queue_tail", "bucket"):
            s[link] = -1
        self.arrays.slots[row] = s[0]
        t = np.zeros(1, dtype=TERMS)
        t["workers"], t["queue_limit"] = workers, opening.queue_limit
        t["max_concurrency"] = opening.max_concurrency
        t["weight"], t["zone"], t["profile"] = opening.weight, opening.zone, opening.profile
        self.arrays.terms[row] = t[0]
        self.set_mode(now, row, opening.mode)
        if opening.routable:
            self.set_routable(now, row, True)
        return row

    def set_mode(self, now: int, row: int, mode: int) -> None:
        """Let a row serve, or refuse or swallow what comes."""
        term = self.arrays.terms[row]
        term["mode"] = mode
        serves = mode == SERVE
        self.arrays.slots["workers"][row] = term["workers"] if serves else -1
        self.arrays.slots["queue_limit"][row] = term["queue_limit"] if serves else -1

    def set_weight(self, now: int, row: int, weight: float) -> None:
        """Change a row's weight."""
        self.arrays.terms["weight"][row] = weight
        self._stale = True

    def set_routable(self, now: int, row: int, routable: bool) -> None:
        """Let the router use a row, or no longer."""
        self._stale = True
        operate(ROUTE if routable else UNROUTE, self.arrays, NOTHING, row, now, 0.0, 0.0)

    def set_rate(self, now: int, row: int, cores: float, speed: float) -> None:
        """Change a row's cores and speed."""
        operate(RATE, self.arrays, NOTHING, row, now, cores, speed)

    def close(self, now: int, row: int) -> int:
        """Cut off what a row holds and free it; return how many users that hit."""
        self._room_for_outcomes()
        lost = operate(CLOSE, self.arrays, NOTHING, row, now, 0.0, 0.0)
        self._unused.append(row)
        self._stale = True
        return lost

    def run(self, now: int, chunk: Chunk, begin: int, until: int) -> int:
        """Serve a chunk's arrivals from `begin` on and before `until`; return how far it came."""
        if begin == 0:
            self._tune(now, chunk.arrivals_us)
        return self._run(chunk, begin, until, rows=-1)

    def settle(self, until: int) -> None:
        """Let all but arrivals happen, up to and including an instant."""
        self._run(NOTHING, 0, until, rows=self._rows)

    def run_users(self, now: int, chunk: Chunk, begin: int, until: int) -> int:
        """Let everything happen, up to an instant or to an arrival without a demand; return how far the chunk came."""
        before = int(self.arrays.plane["arrived"][0])
        position = self._run(chunk, begin, until, rows=0, op=RUN_USERS)
        due = self.first_due()
        reached = until if due is None or due > until else due
        self._tune_to(reached, reached - now, int(self.arrays.plane["arrived"][0]) - before)
        return position

    def first_due(self) -> int | None:
        """Return the instant of the next request of the users who think; None: there are none."""
        if self.thinking() == 0:
            return None
        return int(self.arrays.users["due_us"][self.arrays.users["heap"][0]])

    def due_before(self, until: int) -> int:
        """Count the users who think and whose request comes before an instant."""
        thinking = self.arrays.users["heap"][: self.thinking()]
        return int(np.sum(self.arrays.users["due_us"][thinking] < until))

    def thinking(self) -> int:
        """Count the users who think."""
        return int(self.arrays.plane["thinking"][0])

    def dismiss_users(self) -> None:
        """Let those who think go, and the others when their requests have ended."""
        self.arrays.plane["users"] = self.arrays.plane["thinking"] = 0

    def _run(self, chunk: Chunk, begin: int, until: int, rows: int, op: int = RUN) -> int:
        self.learn()
        while True:
            position = operate(op, self.arrays, chunk, begin, until, float(rows), 0.0)
            if position >= 0:
                return position
            begin = ~position
            self.make_room()

    def make_room(self) -> None:
        """Let there be room for requests and for their endings."""
        if int(self.arrays.plane["free"][0]) < 0:
            self._more_requests()
        self._room_for_outcomes()

    def counters(self) -> Counters:
        """Count requests by ending."""
        p = {name: int(self.arrays.plane[name][0]) for name in PLANE.names or () if name != "inverse_width"}
        ended = p["served"] + p["refused_full"] + p["no_target"] + p["cut_off"] + p["timed_out"] + p["failed"]
        in_flight = int(np.sum(self.arrays.slots["outstanding"][: self._rows]))
        if ended + in_flight != p["arrived"]:
            raise AssertionError(f"requests lost: {p['arrived']} arrived, {ended} ended, {in_flight} in flight")
        return Counters(
            arrived=p["arrived"],
            served=p["served"],
            refused_full=p["refused_full"],
            no_target=p["no_target"],
            cut_off=p["cut_off"],
            timed_out=p["timed_out"],
            failed=p["failed"],
            in_flight=in_flight,
            orphaned=p["used"] - in_flight,
            latency_sum_us=p["latency_ns"] / 1000.0,
            failed_latency_sum_us=p["failed_latency_ns"] / 1000.0,
            connection_refused=p["connection_refused"],
            connection_timed_out=p["connection_timed_out"],
            misunderstood=p["misunderstood"],
            not_ready=p["not_ready"],
        )

    def histogram(self) -> Ints:
        """Copy the latency histogram."""
        return self.arrays.histogram.copy()

    def slots(self, now: int, rows: Ints) -> SlotTable:
        """Return the columns of some rows, integrals up to `now` included."""
        s, t = self.arrays.slots[rows], self.arrays.terms[rows]
        busy = s["busy_core_us"] + np.minimum(s["busy"], s["cores"]) * (float(now) - s["last_us"])
        fixed = s["kind"] == FIXED
        if bool(np.any(fixed)):
            busy = np.where(fixed, self._fixed_ns(now)[rows] / 1000.0 * np.minimum(1.0, s["cores"]), busy)
        return SlotTable(
            slot=s["slot"],
            routable=s["routable"].astype(np.bool_),
            cores=s["cores"],
            speed=s["speed"],
            outstanding=s["outstanding"],
            in_task=s["in_task"],
            in_worker=s["in_worker"],
            routed=s["routed"],
            refused_full=s["refused_full"],
            started=s["started"],
            served=s["served"],
            failed=s["failed"],
            timed_out=s["timed_out"],
            cut_off=s["cut_off"],
            worked=s["worked"],
            busy_core_us=busy,
            in_system_us=(s["in_system_ns"] + s["in_task"] * (now * 1000)) / 1000.0,
            in_worker_us=(s["in_worker_ns"] + s["in_worker"] * (now * 1000)) / 1000.0,
            connecting=t["connecting"],
            connection_errors=t["connection_errors"],
        )

    def take_outcomes(self) -> Records:
        """Hand over the recorded endings, by number of the request."""
        count = int(self.arrays.plane["recorded"][0])
        taken = self.arrays.outcomes[:count].copy()
        self.arrays.plane["recorded"] = 0
        return taken[np.argsort(taken["request"], kind="stable")]

    def _fixed_ns(self, now: int) -> Ints:
        """Cpu phases of FIXED rows, in request-nanoseconds: those ended, and the elapsed part of the others."""
        total = self.arrays.slots["fixed_ns"].copy()
        q = self.arrays.requests
        running = q[q["phase"] == RUNNING]
        elapsed = now * 1000 - np.rint(running["cpu_start_us"] * 1000.0).astype(np.int64)
        np.add.at(total, running["row"], np.maximum(elapsed, 0))
        return total

    def _more_requests(self) -> None:
        old = self.arrays.requests
        new = grown(old, max(256, 2 * old.size))
        first = max(old.size, NOBODY + 1)
        new["phase"][first:] = FREE
        new["next"][first:] = np.arange(first + 1, new.size + 1)
        new["next"][-1] = self.arrays.plane["free"][0]
        self.arrays.plane["free"] = first
        self.arrays = self.arrays._replace(requests=new)

    def _room_for_outcomes(self) -> None:
        plane, old = self.arrays.plane, self.arrays.outcomes
        if plane["sample"][0] == 0:
            return
        wanted = int(plane["recorded"][0] + plane["used"][0]) + 1
        if old.size < wanted:
            self.arrays = self.arrays._replace(outcomes=grown(old, max(1024, 2 * wanted)))

    def _more_rows(self, now: int) -> None:
        rows = 2 * self.arrays.slots.size
        levels = self.arrays.levels.shape[0]
        self.arrays = self.arrays._replace(
            slots=grown(self.arrays.slots, rows),
            terms=grown(self.arrays.terms, rows),
            levels=np.zeros((levels, rows // 64), dtype=np.uint64),
            calendar=np.full(rows * BUCKETS_PER_ROW, -1, dtype=np.int32),
            marks=np.zeros(rows * BUCKETS_PER_ROW // 64, dtype=np.uint64),
        )
        self._rebuild(now, float(self.arrays.plane["inverse_width"][0]))

    def learn(self) -> None:
        """Work out what the router needs to know of weights and zones after a change; where it needs nothing, do nothing."""
        if not self._stale:
            return
        self._stale = False
        a, rows = self.arrays, self.arrays.slots.size
        routable = a.slots["routable"] == 1
        zoned, weighted = bool(a.plane["zoned"][0]), bool(a.plane["weighted"][0])
        thinned = a.plane["routing"][0] != LEAST_OUTSTANDING and bool(np.any(a.terms["weight"][routable] != 1.0))
        a.plane["special"] = int(zoned or weighted or thinned or a.plane["ready"][0])
        if not a.plane["special"][0]:
            return
        zone = a.terms["zone"] if zoned else np.zeros(rows, np.int64)
        zones = grown(a.zones, max(a.zones.size, int(zone.max()) + 1))
        inside = routable & (zone == np.arange(zones.size)[:, None])
        weight = np.where(inside, a.terms["weight"], 0.0)
        zones["routable"] = inside.sum(axis=1)
        zones["heaviest"] = weight.max(axis=1)
        masks = np.packbits(inside, axis=1, bitorder="little").view("<u8").astype(np.uint64)
        self.arrays = a._replace(zones=zones, masks=masks, weights=np.cumsum(weight, axis=1))

    def _rebuild(self, now: int, inverse_width: float) -> None:
        operate(REBUILD, self.arrays, NOTHING, self._rows, now, inverse_width, 0.0)

    def _tune(self, now: int, arrivals: Ints) -> None:
        """Make a calendar bucket as wide as some gaps between arrivals (speed only, never the answer)."""
        self._tune_to(now, int(arrivals[-1] - arrivals[0]), arrivals.size - 1)

    def _tune_to(self, now: int, span: int, gaps: int) -> None:
        if gaps < 63:
            return
        gap = max(float(span) / gaps * GAPS, 1e-3)
        change = gap * float(self.arrays.plane["inverse_width"][0])
        if not 0.5 < change < 2.0:
            self._rebuild(now, 1.0 / gap)
