"""Published targets of the control plane that a pure decision settles, one test an id.

Sources are named at each test: pages of the Amazon ECS Developer Guide unless another guide is named.
"""

from __future__ import annotations

import pytest

from fargsim.model.capacity import ManagedScaling
from fargsim.model.group_options import InstancesDistribution
from fargsim.model.placement import CapacityProviderStrategyItem
from fargsim.model.scaling import TargetTracking
from fargsim.policy.alarms import Alarm, AlarmState, evaluate, tracking_alarms
from fargsim.policy.capacity_provider import next_provider
from fargsim.policy.deployment import (
    Bounds,
    RevisionView,
    ServiceView,
    StartTasks,
    StopTasks,
    bounds,
    breaker_threshold,
    rolling_step,
)
from fargsim.policy.fleet import Fleet
from fargsim.policy.health import recovery_us
from fargsim.policy.managed_scaling import (
    GroupMemory,
    GroupView,
    InstanceShape,
    ProviderView,
    Reservation,
    SetCapacity,
    WaitingGroup,
    reservation,
    reservation_alarms,
    scale_group,
    target_size,
)
from fargsim.policy.mixed_instances import next_market
from fargsim.policy.needs import TaskNeeds
from fargsim.policy.placement import NoPlacement, Place, compile_placement, place, service_event
from fargsim.policy.service_metrics import utilization_percent
from fargsim.policy.target_tracking import Limits, PolicyMemory, PolicyView, ScalingView, SetDesired, track
from fargsim.policy.victims import fargate_fullest_zone, fargate_zone


def first_step(desired: int, low: int, high: int) -> tuple[int, int, bool]:
    """Return how many tasks the first step of a deployment starts and stops, and whether it stalls."""
    old, new = RevisionView("old", desired, healthy=desired), RevisionView("new", 0)
    step = rolling_step(ServiceView(desired, bounds(desired, low, high), (new, old)))
    return sum(s.number for s in step.starts), sum(s.number for s in step.stops), step.stalled


# --- bounds and deployments


def test_v1_half_of_four_may_stop_first() -> None:
    """deployment-type-ecs.html."""
    assert bounds(4, 50, 100).lower == 2
    assert first_step(4, 50, 100) == (0, 2, False)


def test_v2_three_quarters_of_two_is_two() -> None:
    """deployment-type-ecs.html."""
    assert bounds(2, 75, 200).lower == 2
    assert first_step(2, 75, 200)[1] == 0


def test_v3_four_may_start_first() -> None:
    """deployment-type-ecs.html."""
    assert bounds(4, 100, 200).upper == 8
    assert first_step(4, 100, 200) == (4, 0, False)


def test_v4_a_quarter_more_than_three_is_three() -> None:
    """deployment-type-ecs.html."""
    assert bounds(3, 100, 125).upper == 3
    assert first_step(3, 100, 125)[0] == 0


def test_v5_neither_start_nor_stop_stalls() -> None:
    """container-instance-draining.html."""
    assert bounds(4, 100, 100) == Bounds(4, 4)
    assert first_step(4, 100, 100) == (0, 0, True)


@pytest.mark.parametrize(("desired", "threshold"), [(1, 3), (25, 13), (400, 200), (800, 200)])
def test_v6_circuit_breaker_thresholds(desired: int, threshold: int) -> None:
    """deployment-circuit-breaker.html."""
    assert breaker_threshold(desired) == threshold


@pytest.mark.parametrize(("desired", "threshold"), [(1, 10), (25, 13)])
def test_v7_circuit_breaker_thresholds_before_2024(desired: int, threshold: int) -> None:
    """deployment-circuit-breaker.html, edition of April 2023."""
    assert breaker_threshold(desired, minimum=10) == threshold


def test_v8_unbounded_percent() -> None:
    """deployment-circuit-breaker.html."""
    assert breaker_threshold(800, kind="UNBOUNDED_PERCENT", value=50) == 400


# --- zones and placement


def test_z5_a_task_goes_to_a_zone_with_the_fewest() -> None:
    """Amazon ECS API Reference, API_UpdateService.html."""
    assert {fargate_zone([1, 0, 0], draw) for draw in (None, 0.0, 0.3, 0.6, 0.99)} == {1, 2}
    fleet = Fleet()
    for zone in "abc":
        fleet.register(f"i-{zone}", cpu_units=1024, memory_mib=1024, zone=zone)
    needs = TaskNeeds(cpu_units=1, memory_mib=1)
    fleet.take(0, needs, "service:web")
    found = place(compile_placement(needs, service=True), fleet.view(), fleet.group("service:web"))
    assert isinstance(found, Place)
    assert found.row in (1, 2)


def test_z6_a_task_leaves_a_zone_with_the_most() -> None:
    """Amazon ECS API Reference, API_UpdateService.html."""
    zones = {fargate_fullest_zone([1, 2, 2], [True] * 3, draw) for draw in (None, 0.0, 0.3, 0.6, 0.99)}
    assert zones == {1, 2}


def test_z7_a_fixed_host_port_holds_one_task_an_instance() -> None:
    """service-event-messages-list.html."""
    fleet = Fleet()
    for number in range(3):
        fleet.register(f"i-{number}", cpu_units=2048, memory_mib=4096, zone="abc"[number])
    needs = TaskNeeds(cpu_units=1, memory_mib=1, host_ports=((80, "tcp"),))
    plan = compile_placement(needs, service=True)
    for _ in range(3):
        found = place(plan, fleet.view(), fleet.group("service:web"))
        assert isinstance(found, Place)
        fleet.take(found.row, needs, "service:web")
    fourth = place(plan, fleet.view(), fleet.group("service:web"))
    assert isinstance(fourth, NoPlacement)
    assert fourth.reasons == (("RESOURCE:PORTS", 3),)
    assert service_event(fourth, "i-0").endswith(
        "The closest matching container-instance i-0 is already using a port required by your task."
    )


def test_z8_one_task_of_1000_mib_fits_1024_mib() -> None:
    """service-event-messages-list.html."""
    fleet = Fleet()
    row = fleet.register("i-0", cpu_units=2048, memory_mib=1024, zone="a")
    needs = TaskNeeds(cpu_units=0, memory_mib=1000)
    plan = compile_placement(needs, service=True)
    assert place(plan, fleet.view(), fleet.group("service:web")) == Place(row, 1)
    fleet.take(row, needs, "service:web")
    second = place(plan, fleet.view(), fleet.group("service:web"))
    assert isinstance(second, NoPlacement)
    assert second.reasons == (("RESOURCE:MEMORY", 1),)


# --- capacity providers and cluster auto scaling


def split(tasks: int, *pairs: tuple[int, int]) -> list[int]:
    items = [
        CapacityProviderStrategyItem(capacity_provider=f"p{i}", base=base, weight=weight)
        for i, (base, weight) in enumerate(pairs)
    ]
    placed = [0] * len(items)
    for _ in range(tasks):
        placed[next_provider(items, placed)] += 1
    return placed


def test_c1_base_two_then_one_to_three() -> None:
    """github.com/awslabs/ec2-spot-workshops, content/ecs-spot-capacity-providers."""
    assert split(10, (2, 1), (0, 3)) == [4, 6]


def test_c3_one_to_four() -> None:
    """Amazon ECS API Reference, API_CapacityProviderStrategyItem.html."""
    assert split(5, (0, 1), (0, 4)) == [1, 4]


def test_c4_one_to_one() -> None:
    """Amazon ECS API Reference, API_CapacityProviderStrategyItem.html."""
    assert split(2, (0, 1), (0, 1)) == [1, 1]
    assert split(100, (0, 1), (0, 1)) == [50, 50]


def waiting(tasks: int, cpu: int = 2048) -> tuple[WaitingGroup, ...]:
    return (WaitingGroup(TaskNeeds(cpu_units=cpu, memory_mib=1), tasks),)


SHAPES = (InstanceShape(2048, 4096),)


def test_c6_nothing_needed_nothing_running_is_100() -> None:
    """https://aws.amazon.com/blogs/containers/deep-dive-on-amazon-ecs-cluster-auto-scaling/."""
    assert reservation(ManagedScaling(), ProviderView(0, 0, 0, SHAPES)).percent == 100


def test_c7_from_zero_the_metric_is_200_and_two_instances_start() -> None:
    """https://aws.amazon.com/blogs/containers/deep-dive-on-amazon-ecs-cluster-auto-scaling/; cluster-auto-scaling.html."""
    metric = reservation(ManagedScaling(), ProviderView(0, 0, 0, SHAPES, waiting(7)))
    assert metric.percent == 200
    assert target_size(ManagedScaling(), metric) == 2
    assert after_a_minute(ManagedScaling(), metric, desired=0, maximum=50) == 2


def after_minutes(spec: ManagedScaling, metric: Reservation, minutes: int, desired: int, maximum: int = 9) -> int:
    """Return the group's size after so many datapoints of one value, each with its two alarms and its decision."""
    high, low = reservation_alarms(spec)
    states: dict[Alarm, AlarmState] = {high: "OK", low: "OK"}
    memory, values = GroupMemory(), []
    for minute in range(minutes):
        values.append(metric.percent)
        states = {alarm: evaluate(alarm, [None] * 15 + values, state) for alarm, state in states.items()}
        view = GroupView(minute * 60_000_000, desired, 0, maximum, metric, high=states[high], low=states[low])
        decision, memory = scale_group(spec, view, memory)
        if isinstance(decision, SetCapacity):
            return decision.capacity
    return desired


def after_a_minute(spec: ManagedScaling, metric: Reservation, desired: int, maximum: int) -> int:
    return after_minutes(spec, metric, 1, desired, maximum)


def test_c8_two_of_three_needed_removes_one() -> None:
    """Public notes on the deep dive: N = 3, M = 2, target 100."""
    metric = reservation(ManagedScaling(), ProviderView(3, 1, 0, SHAPES))
    assert metric.percent == pytest.approx(66.7, abs=0.05)
    assert after_minutes(ManagedScaling(), metric, 14, desired=3) == 3
    assert after_minutes(ManagedScaling(), metric, 15, desired=3) == 2


@pytest.mark.parametrize(("needed", "size"), [(10, 20), (20, 40), (40, 80)])
def test_c10_target_50_keeps_twice_what_is_needed(needed: int, size: int) -> None:
    """Worked examples on the deep dive (third party)."""
    assert target_size(ManagedScaling(target_capacity=50), Reservation(needed, 5, 20.0 * needed, 0)) == size


def test_c12_the_smallest_step() -> None:
    """Amazon ECS API Reference, API_ManagedScaling.html."""
    spec = ManagedScaling(minimum_scaling_step_size=5)
    metric = reservation(spec, ProviderView(4, 0, 0, SHAPES, waiting(1)))
    assert target_size(spec, metric) - 4 == 5


def test_c13_tasks_larger_than_the_smallest_type_leave_the_metric_at_its_target() -> None:
    """managed-scaling-behavior.html."""
    spec = ManagedScaling(target_capacity=75)
    shapes = (InstanceShape(2048, 4096), InstanceShape(4096, 8192))
    metric = reservation(spec, ProviderView(4, 0, 0, shapes, waiting(3, cpu=4096)))
    assert (metric.percent, metric.ignored) == (75, 3)
    assert after_minutes(spec, metric, 60, desired=4) == 4, "neither out nor in"


def test_c14_334_to_34_instances_takes_about_ten_minutes() -> None:
    """https://aws.amazon.com/blogs/containers/faster-scaling-in-for-amazon-ecs-cluster-auto-scaling/; the step interval is derived
    from this figure, so it holds by construction; the four steps by halves do not.
    """
    size, at_s, memory, steps = 334, 0, GroupMemory(), []
    while size > 34:
        metric = Reservation(34, size, 3400 / size, 0)
        decision, memory = scale_group(
            ManagedScaling(), GroupView(at_s * 1_000_000, size, 0, 999, metric, high="OK", low="ALARM"), memory
        )
        if isinstance(decision, SetCapacity):
            size = decision.capacity
            steps.append((at_s, size))
        at_s += 30
    assert steps == [(0, 167), (150, 84), (300, 42), (450, 34)]


def test_c15_target_80_keeps_a_fifth_to_spare() -> None:
    """capacity-cluster-speed-up-ec2.html."""
    for needed in (8, 40, 400):
        size = target_size(ManagedScaling(target_capacity=80), Reservation(needed, needed, 100.0, 0))
        assert (size - needed) / size == pytest.approx(0.2)


@pytest.mark.parametrize(("size", "on_demand", "spot"), [(10, 10, 0), (20, 15, 5), (30, 20, 10), (40, 25, 15)])
def test_c16_a_mixed_group_with_a_base_of_ten_and_half_above(size: int, on_demand: int, spot: int) -> None:
    """Amazon EC2 Auto Scaling User Guide, ec2-auto-scaling-mixed-instances-groups.html."""
    plan = InstancesDistribution(on_demand_base_capacity=10, on_demand_percentage_above_base_capacity=50)
    bought: list[str] = []
    for _ in range(size):
        bought.append(next_market(bought.count("on-demand"), bought.count("spot"), plan))
    assert (bought.count("on-demand"), bought.count("spot")) == (on_demand, spot)


# --- auto scaling and metrics


def tracking(target: float) -> TargetTracking:
    return TargetTracking.model_validate(
        {
            "TargetValue": target,
            "PredefinedMetricSpecification": {"PredefinedMetricType": "ECSServiceAverageCPUUtilization"},
        }
    )


def test_s1_alarms_of_a_target_of_30_percent() -> None:
    """github.com/aws-samples/amazon-ecs-fargate-workshop-dev-ops-data, scaling lab."""
    alarms = tracking_alarms(30.0)
    assert (alarms.high.threshold, alarms.high.datapoints_to_alarm, alarms.high.evaluation_periods) == (30, 3, 3)
    assert (alarms.low.threshold, alarms.low.datapoints_to_alarm, alarms.low.evaluation_periods) == (27, 15, 15)
    assert evaluate(alarms.high, [30.1, 30.1, 30.1], "OK") == "ALARM"
    assert evaluate(alarms.high, [30.1, 30.0, 30.1], "OK") == "OK"
    assert evaluate(alarms.low, [26.9] * 15, "OK") == "ALARM"
    assert evaluate(alarms.low, [26.9] * 14 + [27.0], "OK") == "OK"


def test_s2_one_and_a_half_tasks_more_are_two() -> None:
    """Application Auto Scaling User Guide, target-tracking-scaling-policy-overview.html."""
    view = PolicyView(metric=75.0, running_mean=3.0, high="ALARM", low="OK")  # 3 x 75 / 50 = 4.5
    decision, _ = track(tracking(50), Limits(1, 10), view, ScalingView(0, 3), PolicyMemory())
    assert isinstance(decision, SetDesired)
    assert decision.desired == 3 + 2


def test_s3_half_a_task_less_is_none() -> None:
    """Application Auto Scaling User Guide, target-tracking-scaling-policy-overview.html."""
    view = PolicyView(metric=44.0, running_mean=4.0, high="OK", low="ALARM")  # 4 x 44 / 50 = 3.52
    decision, _ = track(tracking(50), Limits(1, 10), view, ScalingView(0, 4), PolicyMemory())
    assert not isinstance(decision, SetDesired)


def test_s11_utilization_of_a_task_that_bursts() -> None:
    """service_utilization.html."""
    assert utilization_percent(2048, 512, 1) == 400
    assert utilization_percent(512, 1024, 1) == 50
    assert utilization_percent(128, 512, 1) == 25
    assert utilization_percent(128, 1024, 1) == 12.5


def test_s13_alarms_with_missing_data() -> None:
    """Amazon CloudWatch User Guide, alarms-and-missing-data.html: N = M = 3, evaluation range 5, missing data treated as missing."""
    alarm = Alarm(1.0, "GreaterThanThreshold", 3, 3, "missing")
    rows = {"0-X-X": "OK", "0----": "OK", "-----": "INSUFFICIENT_DATA", "0XX-X": "ALARM", "--X--": "ALARM"}
    for row, state in rows.items():
        assert evaluate(alarm, [{"0": 0.0, "X": 2.0, "-": None}[mark] for mark in row], "OK") == state


def test_s17_a_target_comes_back_after_its_threshold_of_intervals() -> None:
    """load-balancer-healthcheck.html."""
    assert recovery_us(30_000_000, 5) == 150_000_000
    assert recovery_us(5_000_000, 2) == 10_000_000


def test_the_steps_of_v1_and_v3_name_their_revisions() -> None:
    """The newest revision starts, the old one stops."""
    old, new = RevisionView("old", 4, healthy=4), RevisionView("new", 0)
    assert rolling_step(ServiceView(4, bounds(4, 100, 200), (new, old))).starts == (StartTasks("new", 4),)
    assert rolling_step(ServiceView(4, bounds(4, 50, 100), (new, old))).stops == (StopTasks("old", 2),)
