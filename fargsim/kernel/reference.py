"""The slow twin: what a plane does, in plain Python, written to be read. The compiled plane equals it bit for bit.

**A slot** holds requests in three places. *Queue*: first come, first served, at most `queue_limit` long. *Waiting*:
holding a worker, off-CPU, for `wait_us`. *Running*: holding the same worker, until the demand of `cpu` core-us is
done. A request that finds a free worker starts at once, else it queues, else it is refused. Whoever leaves hands
the worker to the head of the queue at that instant.

**Rate.** Each of `busy` running requests gets ``speed`` while ``busy <= cores``, else ``cores / busy * speed``.
Instants are doubles in microseconds, and the operations below are done in the order they are written in.

* A slot with one worker, or no more workers than cores, is *fixed*: its rate never changes, so a request that
  starts at x runs from ``x + wait`` and ends at ``(x + wait) + cpu / rate``.
* Any other slot is *shared*. It keeps the service `attained` by every running request since its cpu phase was last
  empty (then 0.0), brought forward at the slot's own events only, by ``attained + rate * (now - last)``. A request that
  begins to run has the target ``attained + cpu``; the least target ends at
  ``last + max(target - attained, 0) / rate``, and `attained` then takes the target's value exactly. With
  no wait a request runs in the instant it starts. Busy time grows by ``min(busy, cores) * (now - last)``.
* A slot whose cores or speed change becomes shared: what is left of a running request is ``(end - now) * rate``.

* **Modes.** A slot that refuses ends a request as it arrives. One that is a black hole holds it for the time-out of
  connecting (or the idle one, if shorter), beside the three places, and then ends it; that end is an event of the slot.
* **Profiles.** The slot's profile picks the row of demands, where there is more than one.

Which slot gets a request stands in `fargsim.kernel.reference_router`.

**One instant.** Ends of work before ends of waits in a slot; both before time-outs; these by order of arrival. Slots
touch each other only through the router, so it does not matter which of two slots goes first.

**Closed loop.** A user who thinks has an instant, a whole microsecond, at which the next request arrives; of users with
the same instant the lowest number goes first. The n-th arrival takes the n-th row of demands, and with it how long its
user will think after it: ``ceil(end) + think``, where `end` is the end for the user, whichever it is. What ends at an
instant does so before what arrives at it.

**Integrals** of the number in the slot and in its workers (and of running requests of a fixed slot) are sums of
whole nanoseconds, each instant rounded half to even: exact in any order.
"""

from __future__ import annotations

import bisect
import math
from typing import Any

import numpy as np

from fargsim.kernel.histogram import BUCKETS, bucket_edges_us
from fargsim.kernel.layout import (
    BLACKHOLE,
    FIXED,
    GARBLE,
    OUTCOMES,
    REFUSE,
    SHARED,
    Chunk,
    Counters,
    Ints,
    Opening,
    Outcome,
    Records,
    SlotTable,
)
from fargsim.kernel.reference_router import Router
from fargsim.kernel.reference_slot import Request, Slot, nanoseconds


class ReferenceBody:
    """State of one plane as objects; the whole plane is searched for the next event each time."""

    def __init__(
        self, routing: int, idle_us: int, cancel: bool, sample: int, first_us: Ints, connect_us: int, cross_zone: bool
    ) -> None:
        self.idle_us, self.cancel, self.sample = idle_us, cancel, sample
        self.patience_us = min(connect_us, idle_us or connect_us)
        self.router = Router(routing, cross_zone)
        self.rows: list[Slot | None] = []
        self.closed: Slot  # the last one
        names = (
            "arrived",
            *(outcome.name.lower() for outcome in Outcome),
            "connection_refused",
            "connection_timed_out",
            "misunderstood",
            "not_ready",
        )
        self.count = dict.fromkeys(names, 0)
        self.latency_ns = {Outcome.SERVED: 0, Outcome.FAILED: 0}
        self.edges = bucket_edges_us().tolist()
        self.counts = np.zeros(BUCKETS, dtype=np.int64)
        self.due = dict(enumerate(first_us.tolist()))  # of the users who think
        self.closed_loop = first_us.size > 0
        self.endings: list[tuple[int, int, int, int, int, int]] = []

    def live(self) -> list[Slot]:
        """Open slots by row."""
        return [slot for slot in self.rows if slot is not None]

    def at(self, row: int) -> Slot:
        """Return the slot of a row, open or just closed."""
        return self.rows[row] or self.closed

    def open(self, now: int, slot: int, opening: Opening) -> int:
        """Open a slot; return its row, the lowest that is free."""
        row = self.rows.index(None) if None in self.rows else len(self.rows)
        kind = FIXED if opening.workers == 1 or opening.workers <= opening.cores else SHARED
        self.rows[row : row + 1] = [Slot(slot=slot, row=row, kind=kind, last=float(now), **opening._asdict())]
        return row

    def set_routable(self, now: int, row: int, routable: bool) -> None:
        """Let the router use a row, or no longer."""
        self.at(row).routable = routable

    def set_weight(self, now: int, row: int, weight: float) -> None:
        """Change a row's weight."""
        self.at(row).weight = weight

    def set_mode(self, now: int, row: int, mode: int) -> None:
        """Let a row serve, or refuse or swallow what comes."""
        self.at(row).mode = mode

    def set_rate(self, now: int, row: int, cores: float, speed: float) -> None:
        """Change a row's cores and speed."""
        slot = self.at(row)
        if slot.kind == SHARED:
            slot.attain(float(now))
        else:
            for request in list(slot.running):
                if request.cpu_start > now:
                    request.due = request.cpu_start
                    slot.running.remove(request)
                    slot.waiting.append(request)
                else:
                    slot.fixed_ns += now * 1000 - nanoseconds(request.cpu_start)
                    request.due = (request.due - now) * slot.rate(1)
            slot.kind, slot.last, slot.attained = SHARED, float(now), 0.0
            slot.busy_core_us = slot.fixed_ns / 1000.0 * min(1.0, slot.cores)
        slot.cores, slot.speed = cores, speed

    def close(self, now: int, row: int) -> int:
        """Cut off what a row holds and free it; return how many users that hit."""
        slot = self.at(row)
        lost = 0
        if slot.kind == SHARED:
            slot.attain(float(now))
        for request in slot.inside():
            if request.alive:
                lost += 1
                self.end(request, Outcome.CUT_OFF, float(now))
            if slot.kind == FIXED and request.cpu_start < now:
                slot.fixed_ns += now * 1000 - nanoseconds(request.cpu_start)
            self.book(slot, request, float(now))
        for request in slot.dialling:
            lost += 1
            self.end(request, Outcome.CUT_OFF, float(now))
        slot.cut_off += lost
        slot.queue, slot.waiting, slot.running, slot.dialling = [], [], [], []
        slot.routable = False
        self.rows[row], self.closed = None, slot
        return lost

    def run(self, now: int, chunk: Chunk, begin: int, until: int) -> int:
        """Serve a chunk's arrivals from `begin` on and before `until`; return how far it came."""
        for i in range(begin, len(chunk.arrivals_us)):
            arrival = int(chunk.arrivals_us[i])
            if arrival >= until:
                return i
            self.settle(arrival)
            self.admit(arrival, chunk, i)
        return len(chunk.arrivals_us)

    def settle(self, until: int) -> None:
        """Let ends of work, ends of waits and time-outs up to and including an instant happen."""
        while self.settle_one(until):
            pass

    def settle_one(self, until: int) -> bool:
        """Let the first of these happen; return whether there was one."""
        slot = min(self.live(), key=Slot.next_event, default=None)
        users = [request for slot in self.live() for request in slot.inside() if request.alive]
        oldest = min(users, key=lambda request: request.number, default=None)
        event = slot.next_event() if slot else math.inf
        deadline = oldest.arrival + self.idle_us if oldest and self.idle_us else math.inf
        if min(event, deadline) > until:
            return False
        if slot is not None and event <= deadline:
            self.happen(slot)
        elif oldest is not None:
            self.time_out(oldest, float(deadline))
        return True

    def run_users(self, now: int, chunk: Chunk, begin: int, until: int) -> int:
        """Let everything happen, up to an instant or to an arrival without a demand; return how far the chunk came."""
        i = begin
        while True:
            instant, user = min(((due, user) for user, due in self.due.items()), default=(until, -1))
            if self.settle_one(min(instant, until)):
                continue
            if instant >= until or i == len(chunk.think_us):
                return i
            del self.due[user]
            self.admit(instant, chunk, i, user, int(chunk.think_us[i]))
            i += 1

    def first_due(self) -> int | None:
        """Return the instant of the next request of the users who think; None: there are none."""
        return min(self.due.values(), default=None)

    def due_before(self, until: int) -> int:
        """Count the users who think and whose request comes before an instant."""
        return sum(due < until for due in self.due.values())

    def thinking(self) -> int:
        """Count the users who think."""
        return len(self.due)

    def dismiss_users(self) -> None:
        """Let those who think go, and the others when their requests have ended."""
        self.due = {}
        self.closed_loop = False

    def think(self, user: int, end: float, think: int) -> None:
        """Let a user, whose request has just ended, think."""
        if self.closed_loop:
            self.due[user] = math.ceil(end) + think

    def happen(self, slot: Slot) -> None:
        """Let a slot's next event happen."""
        end, running = slot.next_end()
        over, waiting = slot.next_wait_over()
        given_up, dialling = slot.next_given_up()
        if dialling is not None and given_up < min(end, over):
            slot.dialling.remove(dialling)
            slot.timed_out += 1
            slot.connection_errors += 1
            self.count["connection_timed_out"] += 1
            self.end(dialling, Outcome.TIMED_OUT, given_up)
        elif waiting is not None and over < end:
            slot.waiting.remove(waiting)
            self.run_cpu(slot, waiting, over)
        elif running is not None:
            if slot.kind == FIXED:
                slot.fixed_ns += nanoseconds(end) - nanoseconds(running.cpu_start)
            else:
                slot.attain(end)
                slot.attained = running.due
            slot.stop_running(running)
            slot.worked += 1
            if running.alive:
                self.end(running, Outcome.FAILED if running.fails else Outcome.SERVED, end)
            self.leave(slot, running, end)

    def admit(self, arrival: int, chunk: Chunk, i: int, user: int = -1, think: int = 0) -> None:
        """Route one request and let it in, or refuse it."""
        number = self.count["arrived"]
        self.count["arrived"] += 1
        draw = float(chunk.draw[i]) if len(chunk.draw) else 0.0
        entry = int(chunk.entry[i]) if len(chunk.entry) else 0
        slot = self.router.route(self.live(), draw, entry)
        if slot is None:
            self.count["no_target"] += 1
            self.count["not_ready"] += int(any(s.routable for s in self.live()))
            self.record(number, -1, Outcome.NO_TARGET, arrival, -1.0, float(arrival))
            self.think(user, float(arrival), think)
            return
        slot.routed += 1
        k = i + slot.profile * chunk.stride
        wait = float(chunk.wait_us[k]) if len(chunk.wait_us) else 0.0
        fails = bool(chunk.fails[k]) if len(chunk.fails) else False
        request = Request(number, arrival, float(chunk.cpu_us[k]), wait, fails, slot, user=user, think=think)
        if slot.mode in (REFUSE, GARBLE):
            slot.cut_off += 1
            slot.connection_errors += 1
            self.count["connection_refused" if slot.mode == REFUSE else "misunderstood"] += 1
            self.end(request, Outcome.CUT_OFF, float(arrival))
        elif slot.mode == BLACKHOLE:
            request.due = float(arrival + self.patience_us)
            slot.dialling.append(request)
        elif len(slot.waiting) + len(slot.running) < slot.workers:
            self.start(slot, request, float(arrival))
        elif len(slot.queue) < slot.queue_limit:
            slot.queue.append(request)
        else:
            slot.refused_full += 1
            self.end(request, Outcome.REFUSED_FULL, float(arrival))

    def start(self, slot: Slot, request: Request, now: float) -> None:
        """Give a request a free worker."""
        request.start = now
        slot.started += 1
        if slot.kind == FIXED:
            request.cpu_start = now + request.wait
            request.due = request.cpu_start + request.cpu / slot.rate(1)
            slot.running.append(request)
        elif request.wait > 0.0:
            request.due = now + request.wait
            slot.waiting.append(request)
        else:
            self.run_cpu(slot, request, now)

    def run_cpu(self, slot: Slot, request: Request, now: float) -> None:
        """Begin the cpu phase in a shared slot."""
        slot.attain(now)
        request.due = slot.attained + request.cpu
        slot.running.append(request)

    def leave(self, slot: Slot, request: Request, now: float) -> None:
        """Let a request go that held a worker, and hand the worker on."""
        self.book(slot, request, now)
        if slot.queue:
            self.start(slot, slot.queue.pop(0), now)

    def book(self, slot: Slot, request: Request, now: float) -> None:
        """Add a request's stay to the slot's integrals."""
        slot.in_system_ns += nanoseconds(now) - request.arrival * 1000
        if request.start >= 0.0:
            slot.in_worker_ns += nanoseconds(now) - nanoseconds(request.start)

    def time_out(self, request: Request, now: float) -> None:
        """Answer 504; the slot works on, or drops the request."""
        slot = request.slot
        slot.timed_out += 1
        self.end(request, Outcome.TIMED_OUT, now)
        if not self.cancel:
            return
        if request in slot.queue:
            slot.queue.remove(request)
            self.book(slot, request, now)
            return
        if request in slot.waiting:
            slot.waiting.remove(request)
        elif slot.kind == FIXED:
            slot.fixed_ns += max(nanoseconds(now) - nanoseconds(request.cpu_start), 0)
            slot.running.remove(request)
        else:
            slot.attain(now)
            slot.stop_running(request)
        self.leave(slot, request, now)

    def end(self, request: Request, outcome: Outcome, now: float) -> None:
        """End a request for its user."""
        request.alive = False
        self.count[outcome.name.lower()] += 1
        if outcome in self.latency_ns:
            self.latency_ns[outcome] += nanoseconds(now) - request.arrival * 1000
        if outcome is Outcome.SERVED:
            request.slot.served += 1
            bucket = bisect.bisect_right(self.edges, now - request.arrival) - 1
            self.counts[min(bucket, BUCKETS - 1)] += 1
        if outcome is Outcome.FAILED:
            request.slot.failed += 1
        self.think(request.user, now, request.think)
        self.record(request.number, request.slot.slot, outcome, request.arrival, request.start, now)

    def record(self, number: int, slot: int, outcome: Outcome, arrival: int, start: float, end: float) -> None:
        """Keep an ending, where it is one of the sample."""
        if self.sample and number % self.sample == 0:
            self.endings.append((number, slot, outcome, arrival, math.ceil(start), math.ceil(end)))

    def counters(self) -> Counters:
        """Count requests by ending."""
        inside = [request for slot in self.live() for request in slot.inside() + slot.dialling]
        in_flight = sum(request.alive for request in inside)
        return Counters(
            **self.count,
            in_flight=in_flight,
            orphaned=len(inside) - in_flight,
            latency_sum_us=self.latency_ns[Outcome.SERVED] / 1000.0,
            failed_latency_sum_us=self.latency_ns[Outcome.FAILED] / 1000.0,
        )

    def histogram(self) -> Ints:
        """Copy the latency histogram."""
        return self.counts.copy()

    def slots(self, now: int, rows: Ints) -> SlotTable:
        """Return the columns of some rows, integrals up to `now` included."""
        slots = [self.at(int(row)) for row in rows]
        columns: dict[str, list[float]] = {name: [] for name in SlotTable.__dataclass_fields__}
        for s in slots:
            inside, held = s.inside(), s.waiting + s.running
            busy = s.busy_core_us + min(float(len(s.running)), s.cores) * (float(now) - s.last)
            if s.kind == FIXED:
                part = sum(max(now * 1000 - nanoseconds(q.cpu_start), 0) for q in s.running)
                busy = (s.fixed_ns + part) / 1000.0 * min(1.0, s.cores)
            system_ns = s.in_system_ns + sum((now - q.arrival) * 1000 for q in inside)
            worker_ns = s.in_worker_ns + sum(now * 1000 - nanoseconds(q.start) for q in held)
            values = {
                "outstanding": s.outstanding(),
                "in_task": len(inside),
                "in_worker": len(held),
                "busy_core_us": busy,
                "in_system_us": system_ns / 1000.0,
                "in_worker_us": worker_ns / 1000.0,
            }
            for name, column in columns.items():
                column.append(values[name] if name in values else getattr(s, name))
        reals = {"cores", "speed", "busy_core_us", "in_system_us", "in_worker_us"}
        kinds: dict[str, Any] = {name: np.float64 if name in reals else np.int64 for name in columns}
        kinds["routable"] = np.bool_
        table: dict[str, Any] = {name: np.array(column, kinds[name]) for name, column in columns.items()}
        return SlotTable(**table)

    def take_outcomes(self) -> Records:
        """Hand over the recorded endings, by number of the request."""
        taken = np.array(sorted(self.endings), dtype=OUTCOMES)
        self.endings = []
        return taken
