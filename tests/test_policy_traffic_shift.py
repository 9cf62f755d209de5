"""Steps, bakes and stages as pure functions, and revisions that stand side by side."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fargsim.model.deployment import DeploymentConfiguration
from fargsim.policy.deployment import RevisionView, ServiceView, StartTasks, StopTasks, bounds, rolling_step
from fargsim.policy.traffic_shift import (
    MINUTE_US,
    PRESETS,
    STAGES,
    ShiftStep,
    Side,
    all_at_once,
    canary_steps,
    codedeploy_steps,
    linear_steps,
    shift_us,
    side_by_side,
    steps_of,
)


def test_the_stages_stand_in_the_order_of_the_page() -> None:
    assert STAGES[0] == "RECONCILE_SERVICE"
    assert STAGES[-3:] == ("POST_PRODUCTION_TRAFFIC_SHIFT", "BAKE_TIME", "CLEAN_UP")
    assert len(set(STAGES)) == 11


@pytest.mark.parametrize(
    ("percent", "shares"),
    [(100, [100]), (50, [50, 100]), (40, [40, 80, 100]), (33.4, [33.4, 66.8, 100]), (99.9, [99.9, 100])],
)
def test_linear_steps(percent: float, shares: list[float]) -> None:
    steps = linear_steps(percent, MINUTE_US)
    assert [step.green_percent for step in steps] == shares
    assert [step.bake_us for step in steps] == [MINUTE_US] * (len(shares) - 1) + [0]


@given(st.integers(30, 1000), st.integers(0, 1440))
def test_whatever_the_step_every_share_grows_to_a_hundred(tenths: int, minutes: int) -> None:
    steps = linear_steps(tenths / 10, minutes * MINUTE_US)
    shares = [step.green_percent for step in steps]
    assert shares == sorted(set(shares))
    assert shares[-1] == 100
    assert len(steps) == -(-1000 // tenths)
    assert all(a + tenths / 10 >= b - 1e-9 for a, b in zip([0.0, *shares], shares, strict=False))
    assert shift_us(steps) == (len(steps) - 1) * minutes * MINUTE_US


def test_a_canary_of_everything_is_all_at_once() -> None:
    assert canary_steps(100.0, MINUTE_US) == all_at_once() == (ShiftStep(100.0, 0),)


def test_what_a_configuration_leaves_out_has_aws_s_defaults() -> None:
    linear = steps_of(DeploymentConfiguration(strategy="LINEAR"))
    assert [step.green_percent for step in linear] == [10.0 * n for n in range(1, 11)]
    assert {step.bake_us for step in linear[:-1]} == {6 * MINUTE_US}
    assert steps_of(DeploymentConfiguration(strategy="CANARY")) == canary_steps(5.0, 10 * MINUTE_US)
    assert steps_of(DeploymentConfiguration(strategy="BLUE_GREEN")) == all_at_once()


def test_every_preset_ends_with_everything_shifted() -> None:
    assert [len(codedeploy_steps(name)) for name in PRESETS] == [1, 10, 10, 2, 2]
    assert all(codedeploy_steps(name)[-1] == ShiftStep(100.0, 0) for name in PRESETS)
    with pytest.raises(KeyError):
        codedeploy_steps("CodeDeployDefault.OneAtATime")


def test_each_side_replaces_what_it_lost_and_neither_makes_room_for_the_other() -> None:
    green = RevisionView("green", wanted=4, healthy=3)
    blue = RevisionView("blue", wanted=4, healthy=2, unhealthy=1)
    step = side_by_side([Side(green, 4), Side(blue, 4)], maximum_percent=150)
    # blue has lost one and has one unhealthy: both are replaced first
    assert step.starts == (StartTasks("green", 1), StartTasks("blue", 2))
    assert step.stops == ()
    assert step.wanted == {"green": 4, "blue": 4}


def test_the_rate_of_launches_is_shared_the_newest_first() -> None:
    views = [Side(RevisionView("green", wanted=0), 4), Side(RevisionView("blue", wanted=4, healthy=2), 4)]
    assert side_by_side(views, launches=5).starts == (StartTasks("green", 4), StartTasks("blue", 1))


def test_a_side_that_is_cleaned_up_stops_all_but_its_protected_tasks() -> None:
    blue = RevisionView("blue", wanted=4, healthy=3, pending=1, protected=1)
    step = side_by_side([Side(RevisionView("green", wanted=4, healthy=4), 4), Side(blue, 0)])
    assert step.stops == (StopTasks("blue", 3),)  # the pending one and two of the healthy ones
    assert not step.complete


@given(
    st.integers(0, 6),
    st.tuples(*[st.integers(0, 6)] * 4),
    st.tuples(*[st.integers(0, 6)] * 4),
    st.integers(0, 12),
)
def test_sides_never_pass_their_own_bounds(
    desired: int, green: tuple[int, ...], blue: tuple[int, ...], launches: int
) -> None:
    views = [RevisionView(name, sum(counts), *counts) for name, counts in (("green", green), ("blue", blue))]
    step = side_by_side([Side(view, desired) for view in views], launches=launches)
    limits = bounds(desired, 100, 200)
    assert sum(start.number for start in step.starts) <= launches
    for view in views:
        started = sum(s.number for s in step.starts if s.deployment == view.deployment)
        stopped = sum(s.number for s in step.stops if s.deployment == view.deployment and not s.unhealthy)
        assert not started or view.alive + started <= limits.upper
        taken = max(0, stopped - view.pending - view.undecided)  # those that are not healthy yet go first
        assert not taken or view.healthy - taken >= limits.lower


def test_unhealthy_tasks_of_a_revision_that_has_failed_make_room_for_its_rollback() -> None:
    # eight wanted, ten possible: three healthy ones of the rollback, seven unhealthy ones nobody replaces any more
    rollback = RevisionView("rollback", wanted=3, healthy=3)
    failed = RevisionView("failed", wanted=7, unhealthy=7, failed=True)
    view = ServiceView(8, bounds(8, 100, 125), (rollback, failed))
    step = rolling_step(view)
    assert step.starts == ()
    assert step.stops == (StopTasks("failed", 5, unhealthy=True),)
    # while those stop no more go; when they are gone their places are taken
    left = RevisionView("failed", wanted=7, unhealthy=2, failed=True, stopping=5)
    assert rolling_step(ServiceView(8, bounds(8, 100, 125), (rollback, left), stopping=5)).stops == ()
    assert rolling_step(ServiceView(8, bounds(8, 100, 125), (rollback, left))).starts == (StartTasks("rollback", 5),)
