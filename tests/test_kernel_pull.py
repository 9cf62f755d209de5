"""The queue that servers take from: hand-computed timelines, laws for any input, and an oracle of SimPy processes."""

from __future__ import annotations

import math
from collections.abc import Generator
from typing import Any

import pytest
import simpy
import stats
from hypothesis import given, settings
from hypothesis import strategies as st
from oracle_simpy import Core

from fargsim.kernel import accumulate
from fargsim.kernel.pull import PullCounts, PullQueue

Demand = tuple[float, float, bool]


def whole(payload: Any, take: int, profile: Any) -> Demand:
    """Payloads that say what they ask: wait, cpu, and up to which take they fail."""
    wait, cpu, fails_up_to = payload
    return wait, cpu, take <= fails_up_to


def conserved(counts: PullCounts) -> bool:
    ended = counts.done + counts.dead + counts.expired
    return counts.sent + counts.moved_in == ended + counts.visible + counts.in_flight


def test_workers_take_in_order_of_arrival_and_share_their_cores() -> None:
    queue = PullQueue(whole)
    queue.open(0, cores=1.0, workers=2)
    queue.send([(0, (0.0, 100.0, 0)), (0, (50.0, 100.0, 0)), (10, (0.0, 10.0, 0))])
    queue.advance(1000)
    # alone to 50, then two share: the first ends at 150; its worker takes the third, which shares with the second (50 left)
    assert queue.take_times() == [150, 160, 210]


def test_what_is_not_deleted_in_time_comes_back_and_the_first_receiver_has_worked_for_nothing() -> None:
    queue = PullQueue(whole, hide_us=60)
    queue.open(0, cores=2.0, workers=2)
    queue.send([(0, (0.0, 100.0, 0))])
    queue.advance(60)
    assert (queue.counts().taken, queue.counts().retaken) == (2, 1)
    queue.advance(100)
    assert (queue.counts().late, queue.counts().done) == (1, 0), "somebody else has it since"
    queue.advance(159)
    queue.advance(160)
    assert queue.counts().done == 0, "the third take at 120 has made the second one late, too"
    assert queue.counts().late == 2


def test_a_receipt_still_deletes_what_nobody_has_taken_since() -> None:
    queue = PullQueue(whole, hide_us=60)
    queue.open(0, cores=1.0, workers=1)
    queue.send([(0, (0.0, 100.0, 0))])
    queue.advance(99)
    assert queue.counts().visible == 1
    queue.advance(100)
    assert (queue.counts().done, queue.counts().visible, queue.counts().late) == (1, 0, 0)


def test_what_a_dead_server_held_comes_back_when_its_time_is_over() -> None:
    queue = PullQueue(whole, hide_us=1000)
    dying = queue.open(0, cores=1.0, workers=1)
    queue.send([(10, (0.0, 500.0, 0))])
    queue.advance(100)
    queue.close(100, dying)
    queue.open(100, cores=1.0, workers=1)
    queue.advance(5000)
    assert queue.take_times() == [1010 + 500 - 10]


def test_beats_keep_an_item_hidden_while_its_server_lives() -> None:
    queue = PullQueue(whole, hide_us=100)
    one = queue.open(0, cores=1.0, workers=1, beat_us=40)
    queue.send([(0, (0.0, 1000.0, 0))])
    queue.advance(500)
    assert (queue.counts().in_flight, queue.counts().taken) == (1, 1)
    queue.close(500, one)
    queue.advance(579)
    assert queue.counts().in_flight == 1, "hidden anew at 480, for 100"
    queue.advance(580)
    assert queue.counts().visible == 1


def test_an_item_that_always_fails_is_given_up_when_it_would_be_taken_once_more() -> None:
    gone: list[tuple[int, int]] = []
    queue = PullQueue(whole, hide_us=100, most_takes=3, on_dead=lambda item, at: gone.append((item.takes, at)))
    queue.open(0, cores=1.0, workers=1)
    queue.send([(0, (0.0, 10.0, 99)), (0, (0.0, 10.0, 1))])
    queue.advance(1000)
    assert gone == [(3, 300)]
    counts = queue.counts()
    assert (counts.failed, counts.done, counts.dead) == (4, 1, 1)


def test_items_expire_wherever_they_are() -> None:
    queue = PullQueue(whole, hide_us=100, keep_us=1000)
    queue.open(0, cores=1.0, workers=1)
    queue.send([(0, (0.0, 5000.0, 0)), (300, (0.0, 10.0, 0))])
    queue.advance(999)
    assert queue.counts().expired == 0
    queue.advance(1300)
    assert (queue.counts().expired, queue.counts().visible, queue.counts().in_flight) == (2, 0, 0)
    queue.advance(6000)
    assert (queue.counts().done, queue.counts().late) == (0, 1)


def test_the_age_is_that_of_the_oldest_which_has_not_been_taken_too_often() -> None:
    queue = PullQueue(whole, hide_us=100)
    queue.open(0, cores=1.0, workers=1)
    queue.send([(0, (0.0, 10.0, 99)), (350, (0.0, 10_000.0, 0))])
    queue.advance(299)
    assert queue.oldest_age_us() == 299
    queue.advance(400)
    assert queue.oldest_age_us() == 50, "the first is at its fourth take"


def test_no_more_than_the_limit_is_in_flight() -> None:
    queue = PullQueue(whole, most_in_flight=3)
    queue.open(0, cores=10.0, workers=10)
    queue.send([(0, (0.0, 100.0, 0))] * 5)
    queue.advance(50)
    assert (queue.counts().in_flight, queue.counts().visible) == (3, 2)
    queue.advance(250)
    assert queue.counts().done == 5


def test_a_server_that_takes_nothing_more_says_when_it_is_done() -> None:
    queue = PullQueue(whole)
    server = queue.open(0, cores=1.0, workers=3)
    queue.send([(0, (0.0, 100.0, 0)), (0, (70.0, 100.0, 0)), (0, (500.0, 1.0, 0)), (1, (0.0, 1.0, 0))])
    queue.stop_taking(20, server)
    assert server.finished_at(20) == 502  # rounded up, so that the end lies before it
    queue.advance(502)
    assert (queue.counts().done, queue.counts().visible) == (3, 1)


def test_bad_input_is_refused() -> None:
    queue = PullQueue(whole, hide_us=100)
    queue.advance(10)
    with pytest.raises(ValueError, match="cannot advance"):
        queue.advance(9)
    with pytest.raises(ValueError, match="comes after"):
        queue.send([(9, (0.0, 1.0, 0))])
    for wrong in ({"cores": 0.0}, {"cores": 1.0, "workers": 0}, {"cores": 1.0, "beat_us": 100}):
        with pytest.raises(ValueError, match=r"server needs|beat"):
            queue.open(10, **wrong)


items = st.lists(
    st.tuples(st.integers(0, 3000), st.tuples(st.integers(0, 300), st.integers(0, 400), st.integers(0, 4))), max_size=25
)
acts = st.lists(st.tuples(st.integers(0, 6000), st.sampled_from(["open", "close", "stop", "rate"])), max_size=8)


def played(sent: list[Any], wanted: list[Any], cuts: list[int], beat: int | None) -> tuple[Any, ...]:
    queue = PullQueue(whole, hide_us=200, keep_us=4000, most_takes=3)
    queue.send(sorted((at, (float(w), float(c), f)) for at, (w, c, f) in sent))
    servers = [queue.open(0, cores=1.5, workers=3, beat_us=beat)]
    marks = sorted([(at, 1, act) for at, act in wanted] + [(at, 0, "look") for at in cuts])
    for at, _, act in marks:
        queue.advance(at)
        counts = queue.counts()
        assert conserved(counts)
        assert min(counts) >= 0
        if act == "open":
            servers.append(queue.open(at, cores=0.7, workers=2, beat_us=beat))
        elif act == "rate" and servers:
            queue.set_rate(at, servers[-1], cores=0.4, speed=2.0)
        elif act == "stop" and servers:
            queue.stop_taking(at, servers[0])
        elif act == "close" and servers:
            queue.close(at, servers.pop(0))
    queue.advance(20_000)
    counts = queue.counts()
    assert conserved(counts)
    assert counts.visible + counts.in_flight == 0, "what nobody works on has expired"
    uses = [x for s in servers for x in s.use(20_000)]
    return counts, sorted(queue.take_times()), [round(x, 6) for x in uses]


@given(items, acts, st.lists(st.integers(0, 6000), max_size=10), st.sampled_from([None, 70]))
@settings(max_examples=150, deadline=None)
def test_nothing_is_lost_and_looking_changes_nothing(
    sent: list[Any], wanted: list[Any], cuts: list[int], beat: int | None
) -> None:
    assert played(sent, wanted, cuts, beat) == played(sent, wanted, [], beat)


class Oracle:
    """One SimPy process a worker: messages in a `Store`, time-outs as processes."""

    def __init__(self, hide: int) -> None:
        self.env = simpy.Environment()
        self.store = simpy.Store(self.env)
        self.hide = hide
        self.times: list[float] = []
        self.takes: dict[int, int] = {}
        self.gone: set[int] = set()

    def send(self, number: int, at: int, ask: Any) -> Generator[simpy.Event, Any, None]:
        yield self.env.timeout(at)
        yield self.store.put((number, at, ask))

    def worker(self, core: Core) -> Generator[simpy.Event, Any, None]:
        while True:
            number, sent, (wait, cpu, fails_up_to) = yield self.store.get()
            if number in self.gone:
                continue  # deleted while it was visible again
            take = self.takes[number] = self.takes.get(number, 0) + 1
            self.env.process(self.back(number, sent, (wait, cpu, fails_up_to), take))
            yield self.env.timeout(wait)
            yield core.work(cpu)
            if take > fails_up_to and self.takes[number] == take and number not in self.gone:
                self.gone.add(number)
                self.times.append(self.env.now - sent)

    def back(self, number: int, sent: int, ask: Any, take: int) -> Generator[simpy.Event, Any, None]:
        yield self.env.timeout(self.hide)
        if number not in self.gone and self.takes[number] == take:
            yield self.store.put((number, sent, ask))


def test_the_same_as_an_oracle_of_processes() -> None:
    """Demands are long and odd enough that no two things happen at one instant."""
    for draw in stats.generators("pull oracle", 5):
        n, hide = 400, 50_000
        at = draw.integers(0, 1_000_000, n).cumsum() // 40
        asks = [
            (float(w) + 0.25, float(c) + 0.125, int(f))
            for w, c, f in zip(
                draw.exponential(3000, n), draw.exponential(9000, n), draw.choice([0, 0, 0, 1], n), strict=True
            )
        ]
        oracle = Oracle(hide)
        queue = PullQueue(whole, hide_us=hide)
        for cores, workers in ((1.0, 1), (0.5, 3), (2.0, 2)):
            core = Core(oracle.env, cores, 1.0)
            for _ in range(workers):
                oracle.env.process(oracle.worker(core))
            queue.open(0, cores=cores, workers=workers)
        for number, (instant, ask) in enumerate(zip(at.tolist(), asks, strict=True)):
            oracle.env.process(oracle.send(number, instant, ask))
        queue.send(list(zip(at.tolist(), asks, strict=True)))
        end = int(at[-1]) + 3_000_000
        oracle.env.run(until=end)
        queue.advance(end)
        assert queue.counts().done == len(oracle.times) > 380
        assert queue.counts().retaken > 50
        mine = sorted(queue.take_times())
        theirs = sorted(math.ceil(t) for t in oracle.times)
        assert sum(abs(a - b) > 1 for a, b in zip(mine, theirs, strict=True)) <= 0.02 * n


def test_a_queue_with_many_servers_is_mmc() -> None:
    """Servers of one worker each that take from one queue are M/M/c: Erlang's C, from the mean time to completion."""
    service, servers, load, n = 10_000.0, 4, 0.6, 30_000

    def one(draw: Any) -> float:
        at = accumulate(0.0, draw.exponential(service / (servers * load), n)).astype(int).tolist()
        queue = PullQueue(whole, hide_us=10**9)
        for _ in range(servers):
            queue.open(0, cores=1.0)
        queue.send([(t, (0.0, c, 0)) for t, c in zip(at, draw.exponential(service, n).tolist(), strict=True)])
        queue.advance(at[n // 10])
        queue.take_times()
        queue.advance(at[-1] + 10**9)
        times = queue.take_times()
        return math.fsum(times) / len(times)

    a = servers * load
    last = a**servers / math.factorial(servers) / (1 - load)
    waits = last / (sum(a**k / math.factorial(k) for k in range(servers)) + last)
    theory = service + waits * service / (servers * (1 - load))
    stats.replicate("pull M/M/4", 20, one, theory)
