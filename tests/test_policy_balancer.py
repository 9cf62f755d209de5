"""What a balancer decides: health against checks done one by one, routing, automatic weights."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fargsim.policy.health import Checks, Health, boot_transitions, health_turns, next_transition
from fargsim.policy.routing import Minimum, routed
from fargsim.policy.target_weights import Seen, anomalous, mitigated, slow_start_weight

END = 400


def one_by_one(checks: Checks, first: int, turns: list[int], passing: bool) -> list[tuple[int, str]]:
    """Check after check, as the guide tells it."""
    state, streak, found = "initial", 0, []
    for at in range(first, END, checks.interval_us):
        now = passing ^ (sum(turn <= at for turn in turns) % 2 == 1)
        if now == (state == "healthy") and state != "initial":
            streak = 0
            continue
        if state == "initial" and now:
            state, streak = "healthy", 0
        else:
            streak += 1
            if streak < (checks.healthy_threshold if now else checks.unhealthy_threshold):
                continue
            state, streak = "healthy" if now else "unhealthy", 0
        found.append((at, state))
    return found


def computed(checks: Checks, first: int, turns: list[int], passing: bool) -> list[tuple[int, str]]:
    health, found = Health("initial", first, passing), []
    for turn in (*turns, END):
        while (due := next_transition(health, checks)) is not None and due[0].at_us < turn:
            transition, health = due
            found.append((transition.at_us, transition.state))
        passing = not passing
        health = health_turns(health, checks, turn, passing=passing)
    return found


@given(
    st.integers(1, 40),
    st.integers(2, 5),
    st.integers(2, 5),
    st.integers(0, 60),
    st.lists(st.integers(0, END - 1), max_size=6, unique=True).map(sorted),
    st.booleans(),
)
def test_computed_changes_are_those_of_checks_one_by_one(interval, healthy, unhealthy, first, turns, passing):
    checks = Checks(interval, 1, healthy, unhealthy)
    assert computed(checks, first, turns, passing) == one_by_one(checks, first, turns, passing)


@given(st.integers(1, 40), st.integers(2, 10), st.integers(2, 10), st.integers(0, 60), st.integers(0, 300))
def test_a_boot_is_one_turn(interval, healthy, unhealthy, first, ready):
    health, found = Health("initial", first, ready <= 0), []
    checks = Checks(interval, 1, healthy, unhealthy)
    for until in (ready, 10**6):
        while (due := next_transition(health, checks)) is not None and due[0].at_us < until:
            found.append(due[0])
            health = due[1]
        health = health_turns(health, checks, until, passing=True)
    expected = boot_transitions(first, interval, ready, healthy_threshold=healthy, unhealthy_threshold=unhealthy)
    assert tuple(found) == expected


@pytest.mark.parametrize(
    ("interval_s", "threshold", "expected_s"), [(30, 5, 150), (5, 2, 10)], ids=["defaults", "interval 5, threshold 2"]
)
def test_a_target_that_works_again_right_after_a_check_is_healthy_after_its_threshold_of_intervals(
    interval_s, threshold, expected_s
):
    checks = Checks(interval_s * 10**6, 5 * 10**6, threshold, 2)
    ill = Health("unhealthy", 0, passing=False)
    back = health_turns(ill, checks, 1, passing=True)
    due = next_transition(back, checks)
    assert due is not None
    assert due[0].at_us == expected_s * 10**6


def test_a_minimum_of_healthy_targets_decides_when_the_balancer_fails_open():
    three = [(0, True), (0, False), (0, False)]
    assert routed(three, 1, cross_zone=True).targets == (True, False, False)
    assert routed(three, 1, cross_zone=True, routing=Minimum(2)).targets == (True, True, True)
    assert routed(three, 1, cross_zone=True, routing=Minimum(1, 34)).targets == (True, True, True)
    assert routed(three, 1, cross_zone=True, routing=Minimum(1, 33)).targets == (True, False, False)


def test_without_cross_zone_every_zone_decides_for_itself():
    targets = [(0, True), (0, True), (1, True), (1, False), (2, False)]
    plain = routed(targets, 4, cross_zone=False)
    assert plain.zones == (0, 1)  # no healthy target in 2, none at all in 3
    assert plain.targets == (True, True, True, False, False)
    # two healthy ones wanted: zone 1 leaves DNS; nothing enters there any more
    strict = routed(targets, 4, cross_zone=False, dns=Minimum(2))
    assert (strict.zones, strict.targets) == ((0,), (True, True, False, False, False))
    # the same wanted for routing: zone 1 fails open, by itself
    wide = routed(targets, 4, cross_zone=False, routing=Minimum(2))
    assert (wide.zones, wide.targets) == ((0, 1), (True, True, True, True, False))
    # nobody has enough: everything is in DNS again, and every zone fails open
    open_to_all = routed([(0, False), (1, False)], 2, cross_zone=False)
    assert (open_to_all.zones, open_to_all.targets) == ((0, 1), (True, True))


@given(
    st.lists(st.tuples(st.integers(0, 2), st.sampled_from([True, False, None])), max_size=8),
    st.booleans(),
    st.integers(0, 3),
    st.one_of(st.none(), st.integers(1, 100)),
)
def test_healthy_targets_are_reached_and_the_others_when_it_fails_open(targets, cross_zone, count, percentage):
    minimum = Minimum(count, percentage)
    found = routed(targets, 3, cross_zone=cross_zone, routing=minimum)
    if any(healthy for _, healthy in targets):
        assert all(wanted for (_, healthy), wanted in zip(targets, found.targets, strict=True) if healthy)
    elif count:
        # nobody is healthy: everybody gets requests, checked or not
        assert all(found.targets)
    for zone in range(1) if cross_zone else range(3):
        here = [
            (healthy, wanted)
            for (z, healthy), wanted in zip(targets, found.targets, strict=True)
            if cross_zone or z == zone
        ]
        # all or only the healthy ones, nothing between; unless the zone has left DNS
        if here and any(wanted for _, wanted in here):
            well = sum(healthy is True for healthy, _ in here)
            assert [w for _, w in here] == [h is True or not minimum.met(well, len(here)) for h, _ in here]


def test_who_fails_as_much_as_its_peers_is_not_anomalous():
    assert anomalous([Seen(40, 40)] * 4, 3.0) == (False,) * 4
    assert anomalous([Seen(40, 4)] * 4, 3.0) == (False,) * 4
    # one error in one request says little, forty in forty a lot
    assert anomalous([Seen(1, 1), Seen(2, 0), Seen(2, 0)], 3.0) == (False, False, False)
    assert anomalous([Seen(40, 40), Seen(40, 0), Seen(40, 0)], 3.0) == (True, False, False)


def test_a_weight_sinks_by_the_factor_and_comes_back_by_the_step():
    rule = {"factor": 0.5, "step": 0.25, "least": 0.2}
    weight, bad, good = 1.0, Seen(10, 9), Seen(10, 0)
    path = []
    for seen, wrong in [(bad, True)] * 3 + [(Seen(0, 0), False)] + [(good, False)] * 4:
        weight = mitigated(weight, seen, wrong, **rule)
        path.append(weight)
    assert path == [0.5, 0.25, 0.2, 0.2, 0.45, 0.7, 0.95, 1.0]


def test_slow_start_is_a_straight_line_from_the_least_weight():
    line = [slow_start_weight(t, 40, 0.05) for t in (0, 1, 10, 20, 40, 50)]
    assert line == [0.05, 0.05, 0.25, 0.5, 1.0, 1.0]
