"""Rolling updates as laws: a tiny loop drives the step through lost tasks, bad revisions and changed counts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fargsim.policy.breaker import BreakerMemory, TaskEvent, breaker_open, breaker_step
from fargsim.policy.deployment import (
    RevisionView,
    ServiceView,
    StartTasks,
    Step,
    StopTasks,
    bounds,
    breaker_threshold,
    rolling_step,
    throttle_delay_s,
)

Nature = Literal["good", "fails_checks", "crashes"]
BOOT, JUDGE, STOP = 2, 1, 3


@dataclass
class Task:
    """A task: pending, undecided, healthy or unhealthy, and how many rounds it has been so."""

    state: str = "pending"
    age: int = 0
    protected: bool = False


@dataclass
class World:
    """A service whose tasks take two rounds to boot, one to be judged and three to stop."""

    desired: int
    low: int
    high: int
    natures: dict[str, Nature]
    order: list[str]
    tasks: dict[str, list[Task]] = field(default_factory=dict)
    wanted: dict[str, int] = field(default_factory=dict)
    stopping: list[int] = field(default_factory=list)
    launches: int = 1 << 30

    def view(self) -> ServiceView:
        revisions = tuple(
            RevisionView(
                name,
                self.wanted.get(name, 0),
                **{state: sum(t.state == state for t in self.tasks[name]) for state in ("pending", "undecided")},
                **{state: sum(t.state == state for t in self.tasks[name]) for state in ("healthy", "unhealthy")},
                protected=sum(t.protected and t.state in ("healthy", "undecided") for t in self.tasks[name]),
            )
            for name in self.order
        )
        return ServiceView(
            self.desired,
            bounds(self.desired, self.low, self.high),
            revisions,
            len(self.stopping),
            launches=self.launches,
        )

    @property
    def alive(self) -> int:
        return sum(map(len, self.tasks.values()))

    def healthy(self) -> int:
        return sum(t.state == "healthy" for tasks in self.tasks.values() for t in tasks)

    def act(self) -> Step:
        """Let the step decide, check the laws of one step, and do it."""
        view = self.view()
        step = rolling_step(view)
        assert rolling_step(view) == step
        starts = sum(s.number for s in step.starts)
        assert all(s.number > 0 for s in step.starts)
        assert starts <= self.launches
        if starts:
            assert self.alive + len(self.stopping) + starts <= view.bounds.upper
        healthy_before = self.healthy()
        for stop in step.stops:
            assert stop.number > 0
            self._stop(stop)
        if self.healthy() < healthy_before:
            assert self.healthy() >= view.bounds.lower
        for start in step.starts:
            self.tasks[start.deployment] += [Task() for _ in range(start.number)]
        self.wanted = dict(step.wanted)
        if step.complete:
            primary = self.order[0]
            assert self.alive == self.desired == sum(t.state == "healthy" for t in self.tasks[primary])
        assert not (step.complete and step.stalled)
        self.order = [n for n in self.order if n == self.order[0] or self.tasks[n]]
        return step

    def _stop(self, stop: StopTasks) -> None:
        order = ("unhealthy",) if stop.unhealthy else ("pending", "undecided", "healthy")
        tasks = self.tasks[stop.deployment]
        able = [t for state in order for t in tasks if t.state == state and (stop.unhealthy or not t.protected)]
        assert len(able) >= stop.number, "a step may not stop tasks that are not there or are protected"
        for task in able[: stop.number]:
            tasks.remove(task)
            self.stopping.append(STOP)

    def pass_time(self) -> None:
        self.stopping = [left - 1 for left in self.stopping if left > 1]
        for name, tasks in self.tasks.items():
            for task in list(tasks):
                task.age += 1
                if task.state == "pending" and task.age >= BOOT:
                    if self.natures[name] == "crashes":
                        tasks.remove(task)
                    task.state, task.age = "undecided", 0
                elif task.state == "undecided" and task.age >= JUDGE:
                    task.state = "healthy" if self.natures[name] == "good" else "unhealthy"

    def deploy(self, name: str, nature: Nature) -> None:
        self.natures[name] = nature
        self.tasks[name] = []
        self.order.insert(0, name)

    def settle(self, rounds: int) -> Step:
        step = Step()
        for _ in range(rounds):
            step = self.act()
            if step.complete:
                break
            self.pass_time()
        return step


def running(desired: int, low: int, high: int, nature: Nature = "good") -> World:
    """A service whose first revision runs, judged already."""
    state = "healthy" if nature == "good" else "unhealthy"
    tasks = [] if nature == "crashes" else [Task(state) for _ in range(desired)]
    return World(desired, low, high, {"v1": nature}, ["v1"], {"v1": tasks}, {"v1": desired})


LEGAL_BOUNDS = st.tuples(st.integers(0, 100), st.integers(100, 300))


@given(
    desired=st.integers(0, 12),
    limits=LEGAL_BOUNDS,
    launches=st.sampled_from([1, 2, 1 << 30]),
    data=st.data(),
)
def test_bounds_are_kept_through_faults_and_a_good_revision_arrives(
    desired: int, limits: tuple[int, int], launches: int, data: st.DataObject
) -> None:
    world = running(desired, *limits)
    world.launches = launches
    world.deploy("v2", "good")
    for round_ in range(12):
        world.act()
        world.pass_time()
        event = data.draw(st.sampled_from(["nothing", "lost", "sick", "count", "deploy"]))
        everyone = [(n, t) for n in world.order for t in world.tasks[n]]
        if event in ("lost", "sick") and everyone:
            name, task = data.draw(st.sampled_from(everyone))
            if event == "lost":
                world.tasks[name].remove(task)
            elif task.state == "healthy":
                task.state = "unhealthy"
        elif event == "count":
            world.desired = data.draw(st.integers(0, 12))
        elif event == "deploy" and round_ < 6:
            world.deploy(f"v{round_ + 3}", "good")
    step = world.settle(200)
    now = bounds(world.desired, *limits)
    if now.lower < world.desired or now.upper > world.desired or step.complete:
        assert step.complete
    else:  # neither room above nor leave below: it stalls, and says so
        assert step.stalled


DEPLOYABLE = [
    (desired, limits)
    for desired in (1, 4, 10)
    for limits in ((100, 200), (50, 100), (50, 200), (75, 125), (0, 100))
    if bounds(desired, *limits).lower < bounds(desired, *limits).upper
]


@pytest.mark.parametrize("bad", ["fails_checks", "crashes"])
@pytest.mark.parametrize(("desired", "limits"), DEPLOYABLE)
def test_a_good_revision_replaces_one_of_which_no_task_is_ever_healthy(
    bad: Nature, limits: tuple[int, int], desired: int
) -> None:
    world = running(desired, *limits, nature=bad)
    for _ in range(5):
        world.act()
        world.pass_time()
    world.deploy("v2", "good")
    assert world.settle(100).complete


@pytest.mark.parametrize("bad", ["fails_checks", "crashes"])
@pytest.mark.parametrize("limits", [(100, 200), (50, 100), (50, 200)])
def test_a_bad_revision_never_takes_the_healthy_below_the_lower_bound(bad: Nature, limits: tuple[int, int]) -> None:
    world = running(8, *limits)
    world.deploy("v2", bad)
    for _ in range(40):
        step = world.act()
        assert not step.complete
        assert world.healthy() >= bounds(8, *limits).lower
        world.pass_time()


def test_an_old_task_that_dies_in_mid_deployment_is_replaced_by_its_own_revision() -> None:
    world = running(4, 100, 200)
    world.deploy("v2", "crashes")
    world.act()
    world.pass_time()
    world.tasks["v1"].pop()
    for _ in range(3):
        world.act()
        world.pass_time()
    assert sum(t.state != "unhealthy" for t in world.tasks["v1"]) == 4


def test_an_unhealthy_old_task_in_mid_deployment_is_replaced_by_its_own_revision_where_the_new_one_has_its_place() -> (
    None
):
    world = running(4, 100, 200)
    world.deploy("v2", "fails_checks")
    for _ in range(2):
        world.act()
        world.pass_time()
    world.tasks["v1"][0].state = "unhealthy"
    for _ in range(30):
        world.act()
        world.pass_time()
    assert [t.state for t in world.tasks["v1"]].count("healthy") == 4


def test_the_oldest_of_several_revisions_drains_first() -> None:
    view = ServiceView(
        4,
        bounds(4, 50, 200),
        (RevisionView("v3", 0), RevisionView("v2", 2, healthy=2), RevisionView("v1", 2, healthy=2)),
    )
    step = rolling_step(view)
    assert step.starts == (StartTasks("v3", 4),)
    assert step.stops == (StopTasks("v1", 2),)


@pytest.mark.parametrize(
    ("view", "starts", "stops"),
    [
        # replacement first: one more than desired until it is judged
        (RevisionView("v1", 4, healthy=3, unhealthy=1), 1, None),
        (RevisionView("v1", 4, healthy=3, unhealthy=1, pending=1), 0, None),
        (RevisionView("v1", 4, healthy=3, unhealthy=1, undecided=1), 0, None),
        (RevisionView("v1", 4, healthy=4, unhealthy=1), 0, StopTasks("v1", 1, unhealthy=True)),
        # the replacement is unhealthy itself: either goes
        (RevisionView("v1", 4, healthy=3, unhealthy=2), 1, StopTasks("v1", 1, unhealthy=True)),
        (RevisionView("v1", 4, healthy=6), 0, StopTasks("v1", 2)),
        (RevisionView("v1", 4, healthy=6, protected=5), 0, StopTasks("v1", 1)),
        (RevisionView("v1", 4, healthy=4), 0, None),
        (RevisionView("v1", 4, healthy=1), 3, None),
    ],
)
def test_maintenance_outside_deployments(view: RevisionView, starts: int, stops: StopTasks | None) -> None:
    step = rolling_step(ServiceView(4, bounds(4, 100, 200), (view,)))
    assert sum(s.number for s in step.starts) == starts
    assert step.stops == (() if stops is None else (stops,))


def test_without_room_one_unhealthy_task_goes_and_its_replacement_follows() -> None:
    full = bounds(4, 100, 100)
    sick = RevisionView("v1", 4, healthy=2, unhealthy=2)
    assert rolling_step(ServiceView(4, full, (sick,))).stops == (StopTasks("v1", 1, unhealthy=True),)
    one_stops = RevisionView("v1", 4, healthy=2, unhealthy=1)
    waiting = rolling_step(ServiceView(4, full, (one_stops,), stopping=1))
    assert waiting.starts == waiting.stops == ()
    assert rolling_step(ServiceView(4, full, (one_stops,))).starts == (StartTasks("v1", 1),)


@pytest.mark.parametrize(
    ("failures", "seconds"),
    [(0, 0.0), (1, 12.65625), (2, 25.3125), (3, 50.625), (4, 101.25), (5, 202.5), (6, 405.0), (7, 810.0), (8, 1620.0)],
)
def test_launch_throttle_doubles_up_to_27_minutes(failures: int, seconds: float) -> None:
    assert throttle_delay_s(failures) == seconds
    assert throttle_delay_s(failures + 1000) == 27 * 60


def test_breaker_counts_in_two_stages() -> None:
    def count(events: list[TaskEvent], reset: bool = True) -> BreakerMemory:
        memory = BreakerMemory()
        for event in events:
            memory = breaker_step(memory, event, reset_on_healthy_task=reset)
        return memory

    assert count(["never_ran"] * 3) == BreakerMemory(1, 3)
    assert count(["replaced_unhealthy"] * 3) == BreakerMemory(1, 0)
    assert count(["never_ran", "never_ran", "running"]) == BreakerMemory(2, 0)
    assert count(["running", "never_ran", "replaced_unhealthy"]) == BreakerMemory(2, 1)
    up_and_down: list[TaskEvent] = ["running", "replaced_unhealthy", "healthy", "replaced_unhealthy", "running"]
    assert count(up_and_down) == BreakerMemory(2, 1)
    assert count(up_and_down, reset=False) == BreakerMemory(2, 2)
    assert not breaker_open(BreakerMemory(1, 2), breaker_threshold(4))
    assert breaker_open(BreakerMemory(1, 3), breaker_threshold(4))


@pytest.mark.parametrize(
    ("kind", "value", "desired", "expected"),
    [
        ("BOUNDED_PERCENT", 50, 7, 4),
        ("BOUNDED_PERCENT", 10, 1000, 100),
        ("BOUNDED_PERCENT", 100, 1000, 200),
        ("UNBOUNDED_PERCENT", 1, 5, 1),
        ("COUNT", 7, 1000, 7),
    ],
)
def test_breaker_thresholds(kind: str, value: float, desired: int, expected: int) -> None:
    assert breaker_threshold(desired, kind=kind, value=value) == expected


LAWS: list[Callable[[int, int, int], bool]] = [
    lambda d, low, high: bounds(d, low, high).lower * 100 >= d * low > (bounds(d, low, high).lower - 1) * 100,
    lambda d, low, high: bounds(d, low, high).upper * 100 <= d * high < (bounds(d, low, high).upper + 1) * 100,
]


@given(st.integers(0, 5000), st.integers(0, 100), st.integers(100, 400))
def test_bounds_round_the_lower_up_and_the_upper_down(desired: int, low: int, high: int) -> None:
    assert all(law(desired, low, high) for law in LAWS)


@pytest.mark.parametrize(
    ("low", "high", "stops", "starts"),
    [(100, 100, 0, 0), (100, 150, 0, 2), (100, 200, 0, 2), (50, 100, 2, 0), (75, 100, 1, 0), (75, 125, 1, 1)],
)
def test_tasks_on_draining_instances_go_within_the_bounds(low: int, high: int, stops: int, starts: int) -> None:
    """Two of four tasks stand on draining instances and serve; at 100 and 100 % neither a stop nor a start is possible."""
    view = RevisionView("web", wanted=4, healthy=2, unhealthy=2, draining=2)
    step = rolling_step(ServiceView(4, bounds(4, low, high), (view,)))
    assert (sum(s.number for s in step.stops), sum(s.number for s in step.starts)) == (stops, starts)


def test_a_sick_task_on_a_draining_instance_is_no_task_that_serves() -> None:
    view = RevisionView("web", wanted=4, healthy=2, unhealthy=2, draining=1)
    step = rolling_step(ServiceView(4, bounds(4, 100, 100), (view,)))
    assert step.stops == (StopTasks("web", 1, unhealthy=True),)
    assert step.starts == ()
