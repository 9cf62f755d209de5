"""Capacity providers, managed scaling and Auto Scaling groups."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fargsim.model.capacity import ManagedScaling
from fargsim.model.group_options import GroupTargetTracking, InstancesDistribution
from fargsim.model.placement import CapacityProviderStrategyItem
from fargsim.policy.alarms import AlarmState, evaluate
from fargsim.policy.capacity_provider import next_provider, provider_to_shrink
from fargsim.policy.group_tracking import GroupLoad, track_group
from fargsim.policy.managed_scaling import (
    GroupMemory,
    GroupView,
    InstanceShape,
    KeepCapacity,
    ProviderView,
    Reservation,
    SetCapacity,
    WaitingGroup,
    instances_for,
    reservation,
    reservation_alarms,
    scale_group,
    target_size,
    tasks_per_instance,
)
from fargsim.policy.mixed_instances import next_market, on_demand_share, surplus_market
from fargsim.policy.needs import TaskNeeds
from fargsim.policy.scaling_group import HOUR_US, GroupInstance, launch_zone, refresh_batch, terminations
from fargsim.policy.spot import BANDS, band_rank, hazard_per_hour


def items(*pairs: tuple[int, int]) -> list[CapacityProviderStrategyItem]:
    """Return a strategy from bases and weights."""
    return [
        CapacityProviderStrategyItem(capacity_provider=f"p{i}", base=base, weight=weight)
        for i, (base, weight) in enumerate(pairs)
    ]


def split(strategy: list[CapacityProviderStrategyItem], tasks: int) -> list[int]:
    placed = [0] * len(strategy)
    for _ in range(tasks):
        placed[next_provider(strategy, placed)] += 1
    return placed


@pytest.mark.parametrize(
    ("strategy", "tasks", "expected"),
    [
        ([(0, 1)], 5, [5]),
        ([(0, 0)], 5, [5]),  # a provider that stands alone needs no weight
        ([(3, 0), (0, 1)], 10, [3, 7]),  # a base without a weight
        ([(0, 0), (0, 1)], 4, [0, 4]),  # weight 0 never receives
        ([(0, 1), (0, 1), (0, 1)], 4, [2, 1, 1]),  # ties in the order of the strategy
        ([(0, 3), (2, 1)], 6, [3, 3]),
        ([(5, 1), (0, 1)], 3, [3, 0]),
    ],
)
def test_split_table(strategy: list[tuple[int, int]], tasks: int, expected: list[int]) -> None:
    assert split(items(*strategy), tasks) == expected


STRATEGIES = st.lists(st.integers(0, 5), min_size=1, max_size=4).flatmap(
    lambda weights: st.tuples(st.just(weights), st.integers(0, len(weights) - 1), st.integers(0, 4))
)


@given(STRATEGIES, st.integers(0, 60))
def test_split_stays_within_one_task_of_its_share_and_giving_back_retraces_it(
    made: tuple[list[int], int, int], tasks: int
) -> None:
    weights, based, base = made
    if len(weights) > 1 and not any(weights):
        weights = [1, *weights[1:]]
    strategy = items(*((base if i == based else 0, w) for i, w in enumerate(weights)))
    history = [split(strategy, n) for n in range(tasks + 1)]
    placed = history[-1]
    assert placed[based] >= min(base, tasks)
    beyond = tasks - min(base, tasks)
    if sum(weights):
        for i, weight in enumerate(weights):
            share = beyond * weight / sum(weights)
            assert abs(placed[i] - (min(base, tasks) if i == based else 0) - share) < len(weights)
    current = list(placed)
    for n in range(tasks, 0, -1):
        gives = provider_to_shrink(strategy, current)
        assert gives is not None
        assert current[gives] > 0
        current[gives] -= 1
        assert sum(current) == n - 1
        assert current[based] >= min(base, sum(current))
    assert provider_to_shrink(strategy, current) is None


def test_a_provider_whose_tasks_are_protected_gives_nothing() -> None:
    strategy = items((0, 1), (0, 1))
    assert provider_to_shrink(strategy, [4, 2], [False, True]) == 1
    assert provider_to_shrink(strategy, [4, 2], [False, False]) is None
    assert provider_to_shrink(items((2, 1), (0, 1)), [2, 0]) == 0


# --- managed scaling

SMALL, LARGE = InstanceShape(2048, 3768, enis=2), InstanceShape(8192, 15000, enis=3, gpus=1)


@pytest.mark.parametrize(
    ("needs", "distinct", "expected"),
    [
        (TaskNeeds(512, 100), False, 4),
        (TaskNeeds(512, 1000), False, 3),
        (TaskNeeds(512, 1000, enis=1), False, 2),
        (TaskNeeds(512, 1000, host_ports=((80, "tcp"),)), False, 1),
        (TaskNeeds(512, 1000), True, 1),
        (TaskNeeds(512, 1000, gpus=1), False, 0),
        (TaskNeeds(4096, 1000), True, 0),
        (TaskNeeds(0, 0), False, None),
        (TaskNeeds(0, 0), True, 1),
    ],
)
def test_tasks_per_instance(needs: TaskNeeds, distinct: bool, expected: int | None) -> None:
    assert tasks_per_instance(needs, SMALL, distinct=distinct) == expected


def test_the_largest_type_counts_and_the_smallest_guards() -> None:
    assert instances_for(WaitingGroup(TaskNeeds(1024, 1000), 16), (SMALL, LARGE)) == 2
    assert instances_for(WaitingGroup(TaskNeeds(4096, 1000), 16), (SMALL, LARGE)) is None
    assert instances_for(WaitingGroup(TaskNeeds(0, 0), 16), (SMALL,)) == 1
    assert instances_for(WaitingGroup(TaskNeeds(1, 1), 1), ()) is None


def provider(n: int, empty: int = 0, booting: int = 0, *waiting: WaitingGroup) -> ProviderView:
    return ProviderView(n, empty, booting, (SMALL,), waiting)


QUARTER = TaskNeeds(512, 100)


@pytest.mark.parametrize(
    ("spec", "view", "needed", "percent"),
    [
        ({}, provider(0), 0, 100.0),
        ({}, provider(0, 0, 0, WaitingGroup(QUARTER, 9)), 3, 200.0),
        ({}, provider(4), 4, 100.0),
        ({}, provider(4, 1), 3, 75.0),
        ({}, provider(4, 0, 0, WaitingGroup(QUARTER, 9)), 7, 175.0),
        # the maximum over the groups, not their sum
        ({}, provider(4, 0, 0, WaitingGroup(QUARTER, 9), WaitingGroup(TaskNeeds(1024, 1), 2)), 7, 175.0),
        # instances on their way serve what waits already
        ({}, provider(7, 3, 3, WaitingGroup(QUARTER, 9)), 7, 100.0),
        ({}, provider(6, 2, 2, WaitingGroup(QUARTER, 9)), 7, 700 / 6),
        ({"minimum_scaling_step_size": 5}, provider(4, 0, 0, WaitingGroup(QUARTER, 1)), 9, 225.0),
        ({"maximum_scaling_step_size": 2}, provider(4, 0, 0, WaitingGroup(QUARTER, 400)), 6, 150.0),
        # what fits no type does not count; alone it leaves the metric at its target
        ({"target_capacity": 80}, provider(4, 1, 0, WaitingGroup(TaskNeeds(9999, 1), 3)), 4, 80.0),
        ({}, provider(4, 0, 0, WaitingGroup(TaskNeeds(9999, 1), 3), WaitingGroup(QUARTER, 1)), 5, 125.0),
    ],
)
def test_reservation_metric(spec: dict[str, int], view: ProviderView, needed: int, percent: float) -> None:
    metric = reservation(ManagedScaling(**spec), view)  # type: ignore[arg-type]
    assert (metric.needed, metric.percent) == (needed, pytest.approx(percent))


def group(desired: int, needed: int, running: int, high: AlarmState, low: AlarmState, **more: int) -> GroupView:
    return GroupView(
        at_us=more.get("at_us", 0),
        desired=desired,
        minimum=more.get("minimum", 0),
        maximum=more.get("maximum", 1000),
        metric=Reservation(needed, running, 100 * needed / max(running, 1), 0),
        high=high,
        low=low,
        warming=bool(more.get("warming", 0)),
    )


@pytest.mark.parametrize(
    ("target", "view", "expected"),
    [
        (100, group(3, 5, 3, "ALARM", "OK"), 5),
        (50, group(3, 2, 3, "ALARM", "OK"), 4),
        (100, group(3, 5, 3, "ALARM", "OK", warming=1), None),
        (100, group(5, 5, 5, "ALARM", "OK"), None),
        (100, group(3, 50, 3, "ALARM", "OK", maximum=10), 10),
        (100, group(10, 50, 10, "ALARM", "OK", maximum=10), None),
        (100, group(10, 8, 10, "OK", "ALARM"), 8),
        (100, group(10, 1, 10, "OK", "ALARM"), 5),  # half at most
        (100, group(1, 0, 1, "OK", "ALARM"), 0),  # one at least
        (100, group(10, 1, 10, "OK", "ALARM", minimum=7), 7),
        (100, group(10, 1, 10, "OK", "OK"), None),
        (100, group(10, 1, 10, "OK", "INSUFFICIENT_DATA"), None),
    ],
)
def test_group_size(target: int, view: GroupView, expected: int | None) -> None:
    decision, _ = scale_group(ManagedScaling(target_capacity=target), view, GroupMemory())
    assert (decision.capacity if isinstance(decision, SetCapacity) else None) == expected


def test_scale_in_waits_fifteen_minutes_after_a_scale_out_or_a_blocked_one() -> None:
    spec = ManagedScaling()
    _, memory = scale_group(spec, group(3, 5, 3, "ALARM", "OK", warming=1), GroupMemory())
    assert memory.scale_in_from_us == 900_000_000
    held, _ = scale_group(spec, group(5, 1, 5, "OK", "ALARM", at_us=899_999_999), memory)
    assert held == KeepCapacity("scale-in waits")
    done, memory = scale_group(spec, group(5, 1, 5, "OK", "ALARM", at_us=900_000_000), memory)
    assert isinstance(done, SetCapacity)
    held, _ = scale_group(spec, group(3, 1, 3, "OK", "ALARM", at_us=1_000_000_000), memory)
    assert held == KeepCapacity("scale-in waits")


def test_no_datapoint_no_action() -> None:
    view = GroupView(0, 3, 0, 9, None, "INSUFFICIENT_DATA", "INSUFFICIENT_DATA")
    assert scale_group(ManagedScaling(), view, GroupMemory())[0] == KeepCapacity("no datapoint")


def test_reservation_alarms_need_one_datapoint_above_and_fifteen_below() -> None:
    high, low = reservation_alarms(ManagedScaling(target_capacity=80))
    assert evaluate(high, [80.1], "OK") == "ALARM"
    assert evaluate(high, [80.0], "OK") == "OK"
    assert evaluate(low, [79.9] * 15, "OK") == "ALARM"
    assert evaluate(low, [80.0] + [79.9] * 14, "OK") == "OK"


@given(st.integers(1, 100), st.integers(0, 300), st.integers(1, 60), st.integers(1, 5), st.integers(1, 30))
def test_the_size_asked_for_never_exceeds_the_need_over_the_target(
    target: int, tasks: int, n: int, least: int, most: int
) -> None:
    spec = ManagedScaling(
        target_capacity=target, minimum_scaling_step_size=least, maximum_scaling_step_size=max(least, most)
    )
    metric = reservation(spec, provider(n, 0, 0, WaitingGroup(QUARTER, tasks)))
    added = metric.needed - n
    assert added <= max(least, most)
    assert added == 0 if tasks == 0 else added >= min(least, max(least, most))
    if tasks:
        assert added <= max(least, -(-tasks // 4))
    size = target_size(spec, metric)
    assert (size - 1) * target < metric.needed * 100 <= size * target


# --- the Auto Scaling group


def test_launches_go_to_the_zone_with_the_fewest() -> None:
    counts = [0, 0, 0]
    for _ in range(7):
        counts[launch_zone(counts)] += 1
    assert counts == [3, 2, 2]
    with pytest.raises(ValueError, match="zone"):
        launch_zone([])


NOW = 10 * HOUR_US


@pytest.mark.parametrize(
    ("policies", "expected"),
    [
        (("Default",), 1),  # zone 0, oldest template: 1 and 2; 1 is at 59 minutes of its hour
        (("OldestInstance",), 0),
        (("NewestInstance",), 3),
        (("ClosestToNextInstanceHour",), 1),
        (("OldestLaunchTemplate", "NewestInstance"), 2),
    ],
)
def test_termination_policies(policies: tuple[str, ...], expected: int) -> None:
    instances = [
        GroupInstance(0, NOW - 9 * HOUR_US, template_version=2),
        GroupInstance(0, NOW - 59 * HOUR_US // 60, template_version=1),
        GroupInstance(0, NOW - 5 * HOUR_US // 60, template_version=1),
        GroupInstance(0, NOW - 1, template_version=2),
        GroupInstance(1, NOW - 99 * HOUR_US, template_version=0),
    ]
    assert terminations(instances, 1, NOW, [0.0], policies) == (expected,)


def test_termination_balances_zones_leaves_the_protected_and_draws_lots() -> None:
    instances = [GroupInstance(zone, 0, protected=zone == 0) for zone in (0, 0, 0, 1, 1, 2)]
    assert terminations(instances, 6, NOW, [0.9] * 6) == (4, 5, 3)
    equal = [GroupInstance(0, 0) for _ in range(4)]
    assert [terminations(equal, 1, NOW, [d])[0] for d in (0.0, 0.3, 0.5, 0.99)] == [0, 1, 2, 3]
    with pytest.raises(ValueError, match="legal are Default"):
        terminations(equal, 1, NOW, [0.0], ("Lambda",))


# --- mixed groups, Spot, refresh, CPU tracking


@given(st.integers(0, 60), st.integers(0, 20), st.integers(0, 100))
def test_a_mixed_group_that_grows_and_shrinks_one_by_one_keeps_its_plan(size: int, base: int, percent: int) -> None:
    plan = InstancesDistribution(on_demand_base_capacity=base, on_demand_percentage_above_base_capacity=percent)
    on_demand = spot = 0
    for n in range(1, size + 1):
        if next_market(on_demand, spot, plan) == "on-demand":
            on_demand += 1
        else:
            spot += 1
        assert on_demand == on_demand_share(n, plan)
    for n in range(size - 1, -1, -1):
        if surplus_market(on_demand, spot, plan) == "on-demand":
            on_demand -= 1
        else:
            spot -= 1
        assert min(on_demand, spot) >= 0
        assert on_demand == on_demand_share(n, plan)


@given(st.integers(1, 40), st.integers(0, 100), st.integers(100, 200), st.integers(0, 40), st.integers(0, 40))
def test_a_refresh_never_goes_below_its_least_nor_above_its_most_by_more_than_one(
    desired: int, least: int, most: int, healthy: int, launching: int
) -> None:
    ahead, away = refresh_batch(desired, healthy, launching, least, most)
    assert ahead == 0 or ahead + healthy + launching <= max(desired + 1, desired * most // 100)
    assert away == 0 or healthy - away >= min(-(-desired * least // 100), desired - 1)
    assert healthy < desired or launching or ahead or away, "it always goes on"


def test_hazards_follow_the_bands_and_an_unknown_type_stands_behind_all() -> None:
    hazards = [hazard_per_hour(band) for band in BANDS]
    assert hazards == sorted(hazards)
    assert [band_rank(b) for b in (*BANDS, None)] == list(range(6))
    # a month of 730 hours loses the middle of the band
    assert 1 - math.exp(-730 * hazard_per_hour("5-10%")) == pytest.approx(0.075)
    assert 1 - math.exp(-730 * hazard_per_hour(None, unknown_percent=40)) == pytest.approx(0.4)


def tracked(
    metric: float | None,
    warm: int,
    desired: int,
    high: AlarmState,
    low: AlarmState,
    *,
    measured: int | None = None,
    fixed: bool = False,
) -> int | None:
    spec = GroupTargetTracking.model_validate(
        {
            "PredefinedMetricSpecification": {"PredefinedMetricType": "ASGAverageCPUUtilization"},
            "TargetValue": 50,
            "DisableScaleIn": fixed,
        }
    )
    found = track_group(
        spec, GroupLoad(metric, warm if measured is None else measured, warm, desired, 1, 10, high, low)
    )
    return None if found is None else found.capacity


def test_a_group_on_cpu_adds_rounded_up_and_removes_rounded_down() -> None:
    assert tracked(60, 3, 3, "ALARM", "OK") == 4
    assert tracked(60, 3, 5, "ALARM", "OK") is None, "what warms up counts as there"
    assert tracked(100, 9, 9, "ALARM", "OK") == 10
    assert tracked(20, 4, 4, "OK", "ALARM") == 2
    assert tracked(20, 3, 4, "OK", "ALARM") is None, "nothing goes while something warms up"
    assert tracked(20, 4, 4, "OK", "ALARM", fixed=True) is None
    assert tracked(0, 4, 4, "OK", "ALARM") == 1
    assert tracked(None, 4, 4, "ALARM", "OK") is None
    assert tracked(19, 4, 4, "OK", "ALARM", measured=8) is None, (
        "the minute before half of them went: 8 at 19 % are 4 at 38 %"
    )
    assert tracked(80, 5, 7, "ALARM", "OK", measured=4) is None, "the minute before the fifth had warmed up"
