"""Alarms and target tracking: decision tables, and the law against runaway."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fargsim.model.scaling import TargetTracking
from fargsim.policy.alarms import Alarm, AlarmState, TreatMissingData, evaluate, tracking_alarms
from fargsim.policy.target_tracking import (
    Limits,
    NoChange,
    PolicyMemory,
    PolicyView,
    ScalingView,
    SetDesired,
    track,
    track_all,
    wanted_tasks,
)

MINUTE_US = 60_000_000


def tracking(
    target: float = 50, *, disable: bool = False, scale_in_s: int = 300, scale_out_s: int = 300
) -> TargetTracking:
    return TargetTracking(
        target_value=target,
        predefined_metric_specification={"PredefinedMetricType": "ECSServiceAverageCPUUtilization"},  # type: ignore[arg-type]
        disable_scale_in=disable,
        scale_in_cooldown=scale_in_s,
        scale_out_cooldown=scale_out_s,
    )


def high(metric: float | None, running: float) -> PolicyView:
    return PolicyView(metric, running, "ALARM", "OK")


def low(metric: float | None, running: float) -> PolicyView:
    return PolicyView(metric, running, "OK", "ALARM")


def calm(metric: float | None, running: float) -> PolicyView:
    return PolicyView(metric, running, "OK", "OK")


@pytest.mark.parametrize(
    ("view", "desired", "limits", "expected"),
    [
        (high(75, 3), 3, (1, 10), 5),
        (high(75, 3), 4, (1, 10), 5),  # part of it asked for already
        (high(75, 3), 5, (1, 10), None),  # all of it
        (high(75, 3), 8, (1, 10), None),  # and more: a scale-out never takes away
        (high(500, 3), 3, (1, 10), 10),
        (high(75, 3), 3, (8, 10), 8),  # below the minimum: lifted to it first
        (high(75, 3), 12, (1, 10), None),
        (high(None, 3), 3, (1, 10), None),
        (high(80, 0), 0, (0, 10), 1),  # from zero: one of the smallest step
        (high(80, 0), 4, (0, 10), None),  # tasks are on their way, none gave the metric
        (low(20, 10), 10, (1, 10), 4),
        (low(44, 10), 10, (1, 10), 9),
        (low(44.9, 3), 3, (1, 10), None),  # 2.7 tasks: removing one would go above the target
        (low(20, 10), 10, (6, 10), 6),
        (low(20, 10), 3, (1, 10), None),  # desired is lower already
        (low(20, 2), 2, (5, 10), None),  # scale-in does not lift to the minimum
        (low(45, 12), 12, (1, 10), 10),  # above the maximum: lowered to it
        (low(None, 10), 10, (1, 10), None),
        (low(0, 10), 10, (0, 10), 0),
        (calm(90, 10), 10, (1, 20), None),
    ],
)
def test_decision_table(view: PolicyView, desired: int, limits: tuple[int, int], expected: int | None) -> None:
    decision, _ = track(tracking(), Limits(*limits), view, ScalingView(0, desired), PolicyMemory())
    assert (decision.desired if isinstance(decision, SetDesired) else None) == expected


@pytest.mark.parametrize("cooldown_s", [0, 300, 86_400])
def test_the_length_of_a_scale_out_cooldown_changes_nothing(cooldown_s: int) -> None:
    spec, limits = tracking(scale_out_s=cooldown_s), Limits(1, 10)
    first, memory = track(spec, limits, high(75, 3), ScalingView(0, 3), PolicyMemory())
    same, memory = track(spec, limits, high(75, 3), ScalingView(60_000_000, 5), memory)
    more, _ = track(spec, limits, high(100, 3), ScalingView(120_000_000, 5), memory)
    assert [d.desired if isinstance(d, SetDesired) else None for d in (first, same, more)] == [5, None, 6]


def test_rounding_is_not_fooled_by_binary_fractions() -> None:
    assert all(wanted_tasks(t, n, t) == n for n in range(1, 500) for t in (70.0, 33.3, 0.1, 1e3 / 7))


def test_scale_in_cooldown_holds_and_a_scale_out_ends_it() -> None:
    spec, limits = tracking(), Limits(1, 20)
    decision, memory = track(spec, limits, low(20, 10), ScalingView(0, 10), PolicyMemory())
    assert isinstance(decision, SetDesired)
    assert memory == PolicyMemory(scale_in_until_us=300_000_000)
    held, same = track(spec, limits, low(20, 4), ScalingView(299_999_999, 4), memory)
    assert held == NoChange("scale-in cooldown")
    assert same == memory
    after, _ = track(spec, limits, low(20, 4), ScalingView(300_000_000, 4), memory)
    assert isinstance(after, SetDesired)
    out, memory = track(spec, limits, high(100, 4), ScalingView(60_000_000, 4), memory)
    assert isinstance(out, SetDesired)
    assert out.desired == 8
    again, _ = track(spec, limits, low(20, 8), ScalingView(60_000_001, 8), memory)
    assert isinstance(again, SetDesired)


def test_scale_in_waits_for_deployments_and_for_leave() -> None:
    view = low(20, 10)
    held, _ = track(tracking(), Limits(1, 20), view, ScalingView(0, 10, deploying=True), PolicyMemory())
    assert held == NoChange("scale-in is suspended while a deployment is in progress")
    held, _ = track(tracking(disable=True), Limits(1, 20), view, ScalingView(0, 10), PolicyMemory())
    assert held == NoChange("scale-in is disabled")
    out, _ = track(tracking(), Limits(1, 20), high(100, 5), ScalingView(0, 5, deploying=True), PolicyMemory())
    assert isinstance(out, SetDesired)


@pytest.mark.parametrize(
    ("views", "disabled", "expected"),
    [
        ((high(75, 10), high(100, 10)), (False, False), (20, 1)),  # the largest wins
        ((high(75, 10), low(10, 10)), (False, False), (15, 0)),  # any may scale out
        ((low(20, 10), low(30, 10)), (False, False), (6, 1)),  # all agree: the largest wins
        ((low(20, 10), calm(47, 10)), (False, False), None),
        ((low(20, 10), calm(47, 10)), (False, True), (4, 0)),  # the other has no say
        ((calm(47, 10), low(20, 10)), (False, True), None),
        ((low(20, 10), low(None, 10)), (False, False), None),  # no data, no scale-in
        ((low(20, 10), high(None, 10)), (False, False), None),
        ((low(20, 10), high(40, 10)), (False, False), None),  # a high alarm that wants no more blocks the other
    ],
)
def test_several_policies(
    views: tuple[PolicyView, ...], disabled: tuple[bool, ...], expected: tuple[int, int] | None
) -> None:
    policies = [(tracking(disable=d), view, PolicyMemory()) for view, d in zip(views, disabled, strict=True)]
    decision, memories = track_all(policies, Limits(1, 20), ScalingView(0, 10))
    got = (decision.desired, decision.policy) if isinstance(decision, SetDesired) else None
    assert got == expected
    assert len(memories) == len(policies)
    if expected is None:
        assert memories == tuple(PolicyMemory() for _ in policies)


# --- alarms


def points(text: str) -> list[float | None]:
    """Read a row of AWS's tables: X breaches, 0 does not, - is missing."""
    return [{"X": 2.0, "0": 0.0, "-": None}[mark] for mark in text.replace(" ", "")]


KEEP = "keep"
TREATMENTS: tuple[TreatMissingData, ...] = ("missing", "ignore", "breaching", "notBreaching")


@pytest.mark.parametrize(
    ("m", "row", "expected"),
    [
        # both tables of alarms-and-missing-data.html: N = 3, evaluation range 5
        (3, "0 - X - X", ("OK", "OK", "OK", "OK")),
        (3, "0 - - - -", ("OK", "OK", "OK", "OK")),
        (3, "- - - - -", ("INSUFFICIENT_DATA", KEEP, "ALARM", "OK")),
        (3, "0 X X - X", ("ALARM", "ALARM", "ALARM", "ALARM")),
        (3, "- - X - -", ("ALARM", KEEP, "ALARM", "OK")),
        (2, "0 - X - X", ("ALARM", "ALARM", "ALARM", "ALARM")),
        (2, "0 0 X 0 X", ("ALARM", "ALARM", "ALARM", "ALARM")),
        (2, "0 - X - -", ("OK", "OK", "ALARM", "OK")),
        (2, "- - - - 0", ("OK", "OK", "ALARM", "OK")),
        (2, "- - - X -", ("ALARM", KEEP, "ALARM", "OK")),
    ],
)
def test_alarm_tables_of_aws(m: int, row: str, expected: tuple[str, ...]) -> None:
    for treatment, state in zip(TREATMENTS, expected, strict=True):
        alarm = Alarm(1.0, "GreaterThanThreshold", 3, m, treatment)
        assert alarm.evaluation_range == 5
        before: tuple[AlarmState, ...] = ("OK", "ALARM", "INSUFFICIENT_DATA")
        for old in before:
            assert evaluate(alarm, points(row), old) == (old if state == KEEP else state), (treatment, old)


def test_only_the_evaluation_range_counts_and_thresholds_are_exact() -> None:
    alarms = tracking_alarms(50.0)
    assert evaluate(alarms.high, [60.0] * 3, "OK") == "ALARM"
    assert evaluate(alarms.high, [60.0] * 9 + [50.0], "ALARM") == "OK"
    assert evaluate(alarms.high, [60.0, 60.0], "INSUFFICIENT_DATA") == "OK"  # the oldest is two periods old, not three
    assert evaluate(alarms.low, [44.9] * 15, "OK") == "ALARM"
    assert evaluate(alarms.low, [45.0] + [44.9] * 14, "OK") == "OK"
    assert evaluate(alarms.low, [10.0] + [None] * 17, "OK") == "INSUFFICIENT_DATA"
    assert Alarm(1.0, "GreaterThanOrEqualToThreshold", 1, 1).breaches(1.0)
    assert Alarm(1.0, "LessThanOrEqualToThreshold", 1, 1).breaches(1.0)


@given(
    values=st.lists(st.none() | st.sampled_from([0.0, 2.0]), max_size=20),
    n=st.integers(1, 5),
    data=st.data(),
    treatment=st.sampled_from(TREATMENTS),
)
def test_alarm_laws(values: list[float | None], n: int, data: st.DataObject, treatment: TreatMissingData) -> None:
    m = data.draw(st.integers(1, n))
    alarm = Alarm(1.0, "GreaterThanThreshold", n, m, treatment)
    state = evaluate(alarm, values, "OK")
    fetched = values[-(n + 2) :]
    real = [v for v in fetched if v is not None]
    if state == "ALARM" and treatment != "breaching":
        assert any(v == 2.0 for v in real)
    if len(real) >= n:  # enough real data: the treatment does not matter
        assert state == ("ALARM" if sum(v == 2.0 for v in real[-n:]) >= m else "OK")
    if real and all(v == 0.0 for v in real) and treatment != "breaching":
        assert state == "OK"
    assert evaluate(alarm, [None, None, None, *values], "OK") == state or len(fetched) < n + 2


# --- the law against runaway


@dataclass
class Loop:
    """A service under a load, in whole minutes: tasks start after a delay, datapoints are published after a lag."""

    load: list[float]
    target: float
    lag_min: int
    start_min: int
    tasks: int
    cap: float | None = None
    limits: Limits = field(default_factory=lambda: Limits(1, 10_000))

    def run(self) -> list[int]:
        """Return the desired count at the end of every minute."""
        spec, alarms = tracking(self.target), tracking_alarms(self.target)
        desired, memory = self.tasks, PolicyMemory()
        running = [float(self.tasks)]
        asked = [self.tasks]
        values: list[float | None] = []
        state_high: AlarmState = "INSUFFICIENT_DATA"
        state_low: AlarmState = "INSUFFICIENT_DATA"
        for minute, load in enumerate(self.load):
            before = asked[max(0, len(asked) - 1 - self.start_min)]
            running.append(float(min(before, desired)))
            value = load / max(running[-1], 1.0)
            values.append(value if self.cap is None else min(self.cap, value))
            newest = len(values) - 1 - self.lag_min
            if newest >= 0:
                published = values[: newest + 1]
                state_high = evaluate(alarms.high, published, state_high)
                state_low = evaluate(alarms.low, published, state_low)
                view = PolicyView(published[-1], running[newest + 1], state_high, state_low)
                decision, memory = track(spec, self.limits, view, ScalingView(minute * MINUTE_US, desired), memory)
                if isinstance(decision, SetDesired):
                    desired = decision.desired
            asked.append(desired)
        return asked


@given(
    before=st.floats(10, 2000),
    after=st.floats(10, 20_000),
    straddle=st.floats(0, 1),
    target=st.floats(5, 90),
    lag_min=st.integers(0, 10),
    start_min=st.integers(0, 6),
    cap=st.none() | st.just(100.0),
)
def test_a_step_never_drives_desired_past_the_load(
    before: float, after: float, straddle: float, target: float, lag_min: int, start_min: int, cap: float | None
) -> None:
    """Whatever the publish lag: never beyond ceil(load / target), the one straddling datapoint included."""
    tasks = max(1, math.ceil(before / target))
    load = [before] * 5 + [before + straddle * (after - before)] + [after] * 90
    counts = Loop(load, target, lag_min, start_min, tasks, cap).run()
    ceiling = max(tasks, math.ceil(max(before, after) / target)) + 1
    assert max(counts) <= ceiling
    # and it gets there: at rest the load is served at its target or the low alarm's tolerance above what is needed
    if after > before and cap is None:
        assert counts[-1] >= math.ceil(after / target - 1e-6)


def test_the_naive_rule_would_run_away_where_this_one_does_not() -> None:
    """The running count of now times a metric of minutes ago grows without end; the means of one period do not."""
    load, target = 1000.0, 50.0
    assert max(Loop([100.0] * 5 + [load] * 60, target, 3, 1, 2).run()) == 20
    desired = running = 2
    history = [running]
    for _ in range(12):
        history.append(running)
        stale = load / history[max(0, len(history) - 4)]
        desired = max(desired, wanted_tasks(stale, running, target))
        running = desired
    assert desired > 10 * 20
