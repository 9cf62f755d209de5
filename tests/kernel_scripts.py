"""Generated runs of a plane for the Hypothesis tests: what is asked of it, when, and everything it answers."""

from __future__ import annotations

from dataclasses import dataclass, field, fields, replace
from typing import Any

import numpy as np
from hypothesis import strategies as st

from fargsim.kernel import UNLIMITED, Counters, DemandsNeeded, Plane, SlotTable

HORIZON_US = 4000

# whole numbers and halves make ties, the others make rounding
demands = st.one_of(
    st.sampled_from([0.0, 1.0, 50.0, 100.0, 100.0, 250.0]), st.floats(0.0, 900.0, allow_subnormal=False)
)
cores_of_a_slot = st.one_of(st.sampled_from([0.25, 0.5, 1.0, 2.0, 4.0]), st.floats(0.1, 5.0))


@dataclass(frozen=True)
class Opening:
    at: int
    cores: float
    speed: float
    workers: int
    queue_limit: int
    routable: bool
    profile: int = 0  # counts round the script's profiles
    weight: float = 1.0
    zone: int = 0
    mode: str = "serve"
    max_concurrency: int = UNLIMITED


@dataclass(frozen=True)
class Change:
    at: int
    what: str  # close, routable, unroutable, rate, weight, mode
    which: int  # counts round the slots opened so far
    cores: float
    speed: float
    weight: float = 1.0
    mode: str = "serve"


@dataclass(frozen=True)
class Script:
    routing: str
    idle_timeout_us: int
    cancel: bool
    openings: tuple[Opening, ...]
    changes: tuple[Change, ...]
    requests: tuple[
        tuple[int, float, float, bool], ...
    ]  # arrival, cpu, wait, fails; of a closed loop the last three, over and over
    users: tuple[int, ...] = ()  # their first requests; none: an open loop
    thinks: tuple[float, ...] = ()  # over and over
    connect_timeout_us: int = 10_000_000
    cross_zone: bool = True
    profiles: int = 0  # 0: requests cost the same everywhere
    draws: tuple[float, ...] = ()  # over and over; none: none are offered
    entries: tuple[int, ...] = ()

    def actions(self) -> list[Opening | Change]:
        """All of the control plane's actions in order; at one instant openings go first."""
        return sorted((*self.openings, *self.changes), key=lambda action: action.at)


def openings(fixed_only: bool = False) -> st.SearchStrategy[Opening]:
    small = st.integers(1, 4)
    workers = st.just(1) if fixed_only else st.one_of(small, st.just(UNLIMITED))
    return st.builds(
        Opening,
        at=st.one_of(st.just(0), st.integers(0, HORIZON_US)),
        cores=cores_of_a_slot,
        speed=st.sampled_from([1.0, 1.0, 0.5, 1.3]),
        workers=workers,
        queue_limit=st.one_of(st.integers(0, 4), st.just(UNLIMITED)),
        routable=st.sampled_from([True, True, True, False]),
    )


def many(one: st.SearchStrategy[Any], least: int, most: int) -> st.SearchStrategy[tuple[Any, ...]]:
    """Tuples of every length alike: Hypothesis's own lists are mostly short, too short to crowd a station."""
    return st.integers(least, most).flatmap(lambda n: st.lists(one, min_size=n, max_size=n)).map(tuple)


def scripts(changes: tuple[str, ...] = ("close", "routable", "unroutable", "rate")) -> st.SearchStrategy[Script]:
    change = st.builds(
        Change,
        at=st.integers(0, HORIZON_US),
        what=st.sampled_from(changes),
        which=st.integers(0, 5),
        cores=cores_of_a_slot,
        speed=st.sampled_from([1.0, 0.7, 2.0]),
    )
    request = st.tuples(
        st.one_of(st.integers(0, 40).map(lambda i: 100 * i), st.integers(0, HORIZON_US - 1)),
        demands,
        st.one_of(st.just(0.0), demands),
        st.sampled_from([False, False, False, True]),
    )
    return st.builds(
        Script,
        routing=st.sampled_from(["round_robin", "least_outstanding_requests"]),
        idle_timeout_us=st.sampled_from([0, 0, 100, 350, 1000]),
        cancel=st.booleans(),
        openings=many(st.one_of(openings(), openings(fixed_only=True)), 1, 5),
        changes=many(change, 0, 8),
        requests=many(request, 1, 60).map(lambda rows: tuple(sorted(rows))),
    )


def closed_scripts(changes: tuple[str, ...] = ("close", "routable", "unroutable", "rate")) -> st.SearchStrategy[Script]:
    """Scripts of a few users; now and then one thinks no time at all, which is a microsecond."""
    think = st.one_of(
        st.sampled_from([0.0, 0.5, 1.0, 50.0, 100.0, 250.0]), st.floats(0.0, 900.0, allow_subnormal=False)
    )
    first = st.one_of(st.integers(0, 5).map(lambda i: 100 * i), st.integers(0, HORIZON_US))
    return st.builds(
        lambda script, users, thinks: replace(script, users=users, thinks=(*thinks, 300.0)),
        scripts(changes),
        many(first, 1, 8),
        many(think, 0, 8),
    )


weights = st.one_of(st.sampled_from([1.0, 1.0, 0.5, 0.1, 1e-3]), st.floats(1e-6, 1.0))
modes = st.sampled_from(["serve", "serve", "serve", "refuse", "blackhole", "garble"])
ALL_CHANGES = ("close", "routable", "unroutable", "rate", "weight", "mode", "mode")


@st.composite
def full_scripts(draw: st.DrawFn, closed: bool | None = None) -> Script:
    """Scripts in which anything may happen: weights, zones, profiles, targets that refuse or swallow; open or closed."""
    kinds = {None: st.one_of(scripts(ALL_CHANGES), closed_scripts(ALL_CHANGES)), True: closed_scripts(ALL_CHANGES)}
    script = draw(kinds.get(closed, scripts(ALL_CHANGES)))
    return replace(
        script,
        routing=draw(st.sampled_from(["round_robin", "least_outstanding_requests", "weighted_random", "when_ready"])),
        openings=tuple(
            replace(
                opening,
                profile=draw(st.integers(0, 2)),
                weight=draw(weights),
                zone=draw(st.integers(0, 2)),
                mode=draw(modes),
                max_concurrency=draw(st.one_of(st.integers(0, 3), st.just(UNLIMITED))),
            )
            for opening in script.openings
        ),
        changes=tuple(replace(c, weight=draw(weights), mode=draw(modes)) for c in script.changes),
        connect_timeout_us=draw(st.sampled_from([1, 100, 350, 5000])),
        cross_zone=draw(st.booleans()),
        profiles=draw(st.integers(0, 3)),
        draws=draw(many(st.floats(0.0, 1.0, exclude_max=True), 1, 7)),
        entries=draw(many(st.integers(0, 4), 1, 5)),
    )


@dataclass
class Answer:
    counters: Counters
    slots: SlotTable
    closed: list[Any]
    histogram: np.ndarray[Any, Any]
    outcomes: np.ndarray[Any, Any]
    on_the_way: list[Any] = field(default_factory=list)
    thinking: int = 0


def bits(value: Any) -> Any:
    """Everything an answer holds, as bytes and numbers that compare exactly."""
    if isinstance(value, np.ndarray):
        return (str(value.dtype), value.shape, value.tobytes())
    if isinstance(value, SlotTable):
        return tuple((f.name, bits(getattr(value, f.name))) for f in fields(value))
    if isinstance(value, Answer):
        return tuple(bits(getattr(value, f.name)) for f in fields(value))
    if isinstance(value, list):
        return tuple(bits(v) for v in value)
    return repr(value)


def needs(plane: Plane, until: int) -> int:
    """Advance a plane as far as it goes; return how many demands it asks for, 0 when it is there."""
    try:
        plane.advance(until)
    except DemandsNeeded as short:
        return short.count
    return 0


Work = tuple[np.ndarray[Any, Any], np.ndarray[Any, Any], np.ndarray[Any, Any]]


def work_of(script: Script, numbers: range) -> Work:
    """What requests cost, by profile where the script has some: each next one is dearer, and every other one fails."""
    rows = script.requests
    _, *columns = zip(*(rows[k % len(rows)] for k in numbers), strict=True)
    cpu, wait, fails = (np.array(column) for column in columns)
    if script.profiles == 0:
        return cpu, wait, fails
    step = np.arange(script.profiles)[:, None]
    return cpu * (1 + step), wait + 10 * step, fails ^ (step % 2 == 1)


def routing_of(script: Script, numbers: range) -> tuple[Any, Any]:
    """Numbers to be routed by and zones to enter by, or None where the script has none."""
    draws, entries = script.draws, script.entries
    draw = np.array([draws[k % len(draws)] for k in numbers]) if draws else None
    entry = np.array([entries[k % len(entries)] for k in numbers], np.uint8) if entries else None
    return draw, entry


def play(
    script: Script,
    *,
    withdraw: bool = False,
    compiled: bool,
    cuts: tuple[int, ...] = (),
    chunk: int = 1000,
    until: int = 2 * HORIZON_US,
    look: bool = False,
) -> Answer:
    """Run a script, cut at some more instants, its requests offered in chunks.

    `look` keeps what is seen on the way; `withdraw` takes back what is pending at every stop and offers it again.
    """
    plane = Plane(
        script.routing,
        script.idle_timeout_us,
        script.cancel,
        first_requests_us=np.array(script.users) if script.users else None,
        connect_timeout_us=script.connect_timeout_us,
        cross_zone=script.cross_zone,
        compiled=compiled,
        record_every=1,
    )
    rows = script.requests
    offered = 0
    for begin in range(0, 0 if script.users else len(rows), chunk):
        numbers = range(begin, min(begin + chunk, len(rows)))
        arrivals = np.array([rows[k][0] for k in numbers])
        plane.offer(arrivals, *work_of(script, numbers), *routing_of(script, numbers))

    def advance(stop: int) -> None:
        nonlocal offered
        if withdraw:
            back = plane.withdraw()
            assert plane.pending == 0
            if script.users:
                assert back.think_us is not None
                plane.offer_demands(back.cpu_us, back.think_us, *back[2:6])
            else:
                plane.offer(*back[:6])
        while True:
            needed = needs(plane, stop)
            if needed == 0:
                return
            assert 1 <= needed <= len(script.users)
            assert plane.now_us < stop
            assert plane.pending == 0
            numbers = range(offered, offered + chunk)
            cpu, *others = work_of(script, numbers)
            thinks = [script.thinks[k % len(script.thinks)] for k in numbers]
            plane.offer_demands(cpu, np.array(thinks), *others, *routing_of(script, numbers))
            offered += chunk

    seen: list[Any] = []
    closed: list[Any] = []
    actions = script.actions()
    stops = sorted({action.at for action in actions} | set(cuts))
    opened: list[int] = []
    for stop in stops:
        if stop > until:
            break
        advance(stop)
        for action in actions:
            if action.at != stop:
                continue
            if isinstance(action, Opening):
                opened.append(
                    plane.open_slot(
                        stop,
                        cores=action.cores,
                        speed=action.speed,
                        workers=action.workers,
                        queue_limit=action.queue_limit,
                        routable=action.routable,
                        profile=action.profile % max(script.profiles, 1),
                        weight=action.weight,
                        zone=action.zone,
                        mode=action.mode,
                        max_concurrency=action.max_concurrency,
                    )
                )
                continue
            if not opened or opened[action.which % len(opened)] not in plane.open_slots:
                continue
            slot = opened[action.which % len(opened)]
            if action.what == "close":
                closed.append((plane.close_slot(stop, slot), plane.slot(slot)))
            elif action.what == "rate":
                plane.set_rate(stop, slot, cores=action.cores, speed=action.speed)
            elif action.what == "weight":
                plane.set_weight(stop, slot, action.weight)
            elif action.what == "mode":
                plane.set_mode(stop, slot, action.mode)
            else:
                plane.set_routable(stop, slot, action.what == "routable")
        if look:
            seen += [plane.counters(), plane.slots(), plane.histogram(), plane.thinking]
    advance(until)
    return Answer(
        plane.counters(), plane.slots(), closed, plane.histogram(), plane.take_outcomes(), seen, plane.thinking
    )
