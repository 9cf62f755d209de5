"""Published worked examples of ECS's control plane that pure functions answer: bounds, zones, capacity providers, scaling, alarms."""

from __future__ import annotations

from fargsim.catalog import awsvpc_task_limit, registered_memory_from_bytes
from fargsim.model.capacity import ManagedScaling
from fargsim.model.deployment import CanaryConfiguration, DeploymentConfiguration, LinearConfiguration
from fargsim.model.group_options import GroupTargetTracking, InstancesDistribution
from fargsim.model.predictive_scaling import PredictiveScaling
from fargsim.model.scaling import StepScaling, TargetTracking
from fargsim.policy.alarms import Alarm, evaluate, tracking_alarms
from fargsim.policy.deployment import bounds, breaker_threshold
from fargsim.policy.early_success import required_healthy
from fargsim.policy.fleet import Fleet
from fargsim.policy.group_tracking import GroupLoad, track_group
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
    scale_group,
    target_size,
)
from fargsim.policy.mixed_instances import on_demand_share
from fargsim.policy.needs import TaskNeeds
from fargsim.policy.placement import NoPlacement, Place, compile_placement, place
from fargsim.policy.predictive_scaling import floor_for
from fargsim.policy.rebalancing import balanced, moves
from fargsim.policy.service_metrics import utilization_percent
from fargsim.policy.step_scaling import StepMemory, StepView, choose, round_percent, step, wanted_capacity
from fargsim.policy.target_tracking import Limits, PolicyMemory, PolicyView, ScalingView, SetDesired, track
from fargsim.policy.traffic_shift import EACH_STEP, MINUTE_US, codedeploy_steps, shift_us, steps_of
from fargsim.policy.victims import fargate_fullest_zone, fargate_zone
from fargsim.report.verify_facts import Example
from fargsim.study.verify_examples import first_step, same, split

DEPLOY = "deployment-type-ecs.html"
BREAKER = "deployment-circuit-breaker.html"
EVENTS = "service-event-messages-list.html"
REBALANCE = "service-rebalancing.html"
DEEP_DIVE = "blog: Deep Dive on Amazon ECS Cluster Auto Scaling"
STRATEGY = "API_CapacityProviderStrategyItem.html"
AAS = "target-tracking-scaling-policy-overview.html"
STEPS = "step-scaling-policy-overview.html"


def deployments() -> list[Example]:
    """Bounds, breakers, shifts."""
    early = [(2, 50), (3, 50), (10, 80), (100, 90), (10, 100)]
    linear = DeploymentConfiguration(
        strategy="LINEAR", linear_configuration=LinearConfiguration(step_percent=10, step_bake_time_in_minutes=6)
    )
    canary = DeploymentConfiguration(
        strategy="CANARY", canary_configuration=CanaryConfiguration(canary_percent=5, canary_bake_time_in_minutes=10)
    )
    fifths = DeploymentConfiguration(strategy="LINEAR", linear_configuration=LinearConfiguration(step_percent=20))
    ten, two = steps_of(linear), steps_of(canary)
    three = codedeploy_steps("CodeDeployDefault.ECSLinear10PercentEvery3Minutes")
    at_each = "PRE_PRODUCTION_TRAFFIC_SHIFT" in EACH_STEP
    return [
        same("V1", "4 tasks, at least 50 %: must stay; first step", [2, "stops 2, starts 0"],
             [bounds(4, 50, 100).lower, first_step(4, 50, 100)], DEPLOY),
        same("V2", "2 tasks, at least 75 %: must stay; first step", [2, "stops 0, starts 0, stalls"],
             [bounds(2, 75, 100).lower, first_step(2, 75, 100)], DEPLOY),
        same("V3", "4 tasks, at most 200 %: may be; first step", [8, "stops 0, starts 4"],
             [bounds(4, 100, 200).upper, first_step(4, 100, 200)], DEPLOY),
        same("V4", "3 tasks, at most 125 %: may be; first step", [3, "stops 0, starts 0, stalls"],
             [bounds(3, 100, 125).upper, first_step(3, 100, 125)], DEPLOY),
        same("V5", "100 % and 100 %", "stops 0, starts 0, stalls", first_step(4, 100, 100),
             "container-instance-draining.html"),
        same("V6", "circuit breaker, 1, 25, 400, 800 tasks", [3, 13, 200, 200],
             [breaker_threshold(n) for n in (1, 25, 400, 800)], BREAKER),
        same("V7", "before 2024, 1 and 25 tasks", [10, 13], [breaker_threshold(n, minimum=10) for n in (1, 25)], BREAKER),
        same("V8", "UNBOUNDED_PERCENT 50, 800 tasks", 400,
             breaker_threshold(800, kind="UNBOUNDED_PERCENT", value=50), BREAKER),
        same("V10", "early success, 2/50, 3/50, 10/80, 100/90, 10/100", [1, 2, 8, 90, 10],
             [required_healthy(*pair) for pair in early], "early-success-criteria.html"),
        same("V11", "linear, 10 %, 6 min: steps, bakes, minutes", [10, 9, 54],
             [len(ten), sum(1 for s in ten if s.bake_us), shift_us(ten) // MINUTE_US], "API_LinearConfiguration.html"),
        same("V13", "canary, 5 %, 10 min, bake 15: shares, clean-up after, min", [5.0, 100.0, 25],
             [*(s.green_percent for s in two), shift_us(two) // MINUTE_US + 15], "API_CanaryConfiguration.html"),
        same("V14", "linear in 5 steps with a pause before each shift: pauses", 5,
             len(steps_of(fifths)) if at_each else 1, "pause-lifecycle-hooks.html"),
        same("V15", "ECSLinear10PercentEvery3Minutes, min", 27, shift_us(three) // MINUTE_US,
             "deployment-configurations.html (CodeDeploy)"),
    ]  # fmt: skip


def zones() -> list[Example]:
    """Zones and placement."""
    change = moves({"a": 2, "b": 0}, room=2)
    draws = (None, 0.0, 0.3, 0.6, 0.99)
    return [
        same("Z1", "2 tasks in one of 2 zones: starts, stops", ["b", "a"], [*change.starts, *change.stops], REBALANCE),
        same("Z2", "3 tasks as 1/2 in 2 zones are balanced", True, balanced({"a": 1, "b": 2}), REBALANCE),
        same("Z3", "5 tasks as 2/2/1 in 3 zones are balanced", True, balanced({"a": 2, "b": 2, "c": 1}), REBALANCE),
        same("Z5", "zones with 1, 0, 0 tasks: a new one goes to", ["b", "c"],
             sorted({"abc"[fargate_zone([1, 0, 0], d)] for d in draws}), "API_UpdateService.html"),
        same("Z6", "zones with 1, 2, 2 tasks: one leaves", ["b", "c"],
             sorted({"abc"[fargate_fullest_zone([1, 2, 2], [True] * 3, d) or 0] for d in draws}), "API_UpdateService.html"),
        same("Z7", "host port 80, 3 instances, 4 tasks", [3, "RESOURCE:PORTS"],
             _fill(4, [(2048, 4096)] * 3, TaskNeeds(1, 1, host_ports=((80, "tcp"),))), EVENTS),
        same("Z8", "tasks of 1,000 MiB on 1,024 MiB", [1, "RESOURCE:MEMORY"],
             _fill(2, [(2048, 1024)], TaskNeeds(0, 1000)), EVENTS),
        same("Z9", "c5.large, awsvpc: tasks; with trunking", [2, 10],
             [awsvpc_task_limit("c5.large"), awsvpc_task_limit("c5.large", trunking=True)], "container-instance-eni.html"),
        same("Z11", "m4.large registers, MiB; with 256 reserved", [7985, 7729],
             [registered_memory_from_bytes(8_373_026_816), registered_memory_from_bytes(8_373_026_816, reserved_mib=256)],
             "memory-management.html"),
    ]  # fmt: skip


def _fill(tasks: int, instances: list[tuple[int, int]], needs: TaskNeeds) -> list[int | str]:
    """Return how many of some equal tasks find a place, and why the next one does not."""
    fleet = Fleet()
    for number, (cpu, memory) in enumerate(instances):
        fleet.register(f"i-{number}", cpu_units=cpu, memory_mib=memory, zone="abc"[number % 3])
    plan = compile_placement(needs, service=True)
    for placed in range(tasks):
        found = place(plan, fleet.view(), fleet.group("service:web"))
        if isinstance(found, NoPlacement):
            return [placed, found.reasons[0][0]]
        assert isinstance(found, Place)
        fleet.take(found.row, needs, "service:web")
    return [tasks, ""]


def capacity() -> list[Example]:
    """Capacity providers and cluster auto scaling."""
    shapes = (InstanceShape(2048, 4096),)
    spec = ManagedScaling()
    zero = reservation(spec, ProviderView(0, 0, 0, shapes, (WaitingGroup(TaskNeeds(2048, 1), 7),)))
    third = reservation(spec, ProviderView(3, 1, 0, shapes))
    fewer, _ = scale_group(spec, GroupView(0, 3, 0, 9, third, high="OK", low="ALARM"), GroupMemory())
    five = ManagedScaling(minimum_scaling_step_size=5)
    one_more = reservation(five, ProviderView(4, 0, 0, shapes, (WaitingGroup(TaskNeeds(2048, 1), 1),)))
    two_types = (InstanceShape(2048, 4096), InstanceShape(4096, 8192))
    big = (WaitingGroup(TaskNeeds(4096, 1), 3),)
    target_75 = ManagedScaling(target_capacity=75)
    half = InstancesDistribution(on_demand_base_capacity=10, on_demand_percentage_above_base_capacity=50)
    return [
        same("C1", "base 2 weight 1, weight 3, 10 tasks", [4, 6], split(10, (2, 1), (0, 3)), STRATEGY),
        same("C3", "weights 1 and 4, 5 tasks", [1, 4], split(5, (0, 1), (0, 4)), STRATEGY),
        same("C4", "weights 1 and 1, 100 tasks", [50, 50], split(100, (0, 1), (0, 1)), STRATEGY),
        same("C6", "nothing needed, nothing there", 100.0, reservation(spec, ProviderView(0, 0, 0, shapes)).percent,
             DEEP_DIVE),
        same("C7", "needed from zero: metric, instances", [200.0, 2], [zero.percent, target_size(spec, zero)], DEEP_DIVE),
        same("C8", "2 of 3 needed: metric, instances", [66.7, 2],
             [round(third.percent, 1), fewer.capacity if isinstance(fewer, SetCapacity) else 3], DEEP_DIVE),
        same("C10", "target 50, 10, 20, 40 needed", [20, 40, 80],
             [target_size(ManagedScaling(target_capacity=50), Reservation(m, 5, 20.0 * m, 0)) for m in (10, 20, 40)],
             "worked examples on the deep dive"),
        same("C12", "smallest step 5, 1 needed: adds", 5, target_size(five, one_more) - 4, "API_ManagedScaling.html"),
        same("C13", "tasks larger than the smallest type: metric at its target", 75.0,
             reservation(target_75, ProviderView(4, 0, 0, two_types, big)).percent, "managed-scaling-behavior.html"),
        same("C14", "334 to 34 instances by halves: sizes", [167, 84, 42, 34], _scale_in(334, 34),
             "blog: Faster Scaling-in for Amazon ECS Cluster Auto Scaling"),
        same("C15", "target 80, 8 needed: spare instances, %", 20.0,
             round(100 * (1 - 8 / target_size(ManagedScaling(target_capacity=80), Reservation(8, 8, 100.0, 0))), 6),
             "capacity-cluster-speed-up-ec2.html"),
        same("C16", "base 10, 50 % above; 10, 20, 30, 40: on demand", [10, 15, 20, 25],
             [on_demand_share(n, half) for n in (10, 20, 30, 40)], "ec2-auto-scaling-mixed-instances-groups.html"),
    ]  # fmt: skip


def _scale_in(size: int, needed: int) -> list[int]:
    """Return the sizes that a group goes through while cluster auto scaling shrinks it."""
    sizes, at_s, memory = [], 0, GroupMemory()
    while size > needed:
        metric = Reservation(needed, size, 100 * needed / size, 0)
        view = GroupView(at_s * 1_000_000, size, 0, 999, metric, high="OK", low="ALARM")
        decision, memory = scale_group(ManagedScaling(), view, memory)
        if isinstance(decision, SetCapacity):
            size = decision.capacity
            sizes.append(size)
        at_s += 30
    return sizes


def scaling() -> list[Example]:
    """Service auto scaling, metrics and alarms."""
    alarms = tracking_alarms(30.0)
    high, low = alarms.high, alarms.low
    missing = Alarm(1.0, "GreaterThanThreshold", 3, 3, "missing")
    rows = ("0-X-X", "0----", "-----", "0XX-X", "--X--")
    states = [evaluate(missing, [{"0": 0.0, "X": 2.0, "-": None}[m] for m in row], "OK") for row in rows]
    group = {
        "TargetValue": 50,
        "PredefinedMetricSpecification": {"PredefinedMetricType": "ASGAverageCPUUtilization"},
    }
    four = track_group(GroupTargetTracking.model_validate(group), GroupLoad(31.25, 4, 4, 4, 1, 10, "OK", "ALARM"))
    quarter = _steps("PercentChangeInCapacity", (0, None, 25), MinAdjustmentMagnitude=2)
    metric = {
        "TargetValue": 50,
        "PredefinedMetricPairSpecification": {"PredefinedMetricType": "ECSServiceCPUUtilization"},
    }
    more = {"MaxCapacityBreachBehavior": "IncreaseMaxCapacity", "MaxCapacityBuffer": 10}
    raised = PredictiveScaling.model_validate({"MetricSpecifications": [metric], **more})
    use = [(2048, 512), (512, 1024), (128, 512), (128, 1024)]
    return [
        same("S1", "target 30: alarms above (datapoints), below (datapoints)", [30.0, 3, 27.0, 15],
             [high.threshold, high.datapoints_to_alarm, low.threshold, low.datapoints_to_alarm],
             "alarms of github.com/aws-samples/amazon-ecs-fargate-workshop-dev-ops-data"),
        same("S2", "1.5 tasks more", 2, _tracked(75.0, 3, "ALARM", "OK") - 3, AAS),
        same("S3", "0.5 tasks fewer", 0, 4 - _tracked(44.0, 4, "OK", "ALARM"), AAS),
        same("S4", "an Auto Scaling group, 1.5 instances fewer", 1, 4 - four.capacity if four else 0,
             "as-scaling-target-tracking.html"),
        same("S6", "12.7, 0.67, -0.58, -6.67 are rounded to", [12, 1, -1, -6],
             [round_percent(x) for x in (12.7, 0.67, -0.58, -6.67)], STEPS),
        same("S7", "25 % of 4, at least 2", 2, wanted_capacity(quarter, 4, 25) - 4,
             "API_StepScalingPolicyConfiguration.html"),
        same("S8", "policies +3 and +200 % at 10", 30, _larger(), "Application Auto Scaling API Reference"),
        same("S9", "+2, then +3 inside the cooldown: adds", [2, 1], _inside_cooldown(), STEPS),
        same("S10", "forecast 50, maximum 40, buffer 10 %: maximum", 55, floor_for(raised, Limits(1, 40), 50).maximum,
             "API_PredictiveScalingPolicyConfiguration.html"),
        same("S11", "2,048 of 512 units, 512 of 1,024 MiB; 128 of each: %", [400.0, 50.0, 25.0, 12.5],
             [utilization_percent(used, reserved, 1) for used, reserved in use], "service_utilization.html"),
        same("S13", ", ".join(rows), ["OK", "OK", "INSUFFICIENT_DATA", "ALARM", "ALARM"], states,
             "alarms-and-missing-data.html"),
        same("S17", "a target comes back, 5 x 30 s and 2 x 5 s, s", [150.0, 10.0],
             [recovery_us(30_000_000, 5) / 1e6, recovery_us(5_000_000, 2) / 1e6], "load-balancer-healthcheck.html"),
    ]  # fmt: skip


def _tracked(metric: float, running: int, high: str, low: str) -> int:
    spec = TargetTracking.model_validate(
        {
            "TargetValue": 50,
            "PredefinedMetricSpecification": {"PredefinedMetricType": "ECSServiceAverageCPUUtilization"},
        }
    )
    view = PolicyView(metric=metric, running_mean=float(running), high=high, low=low)  # type: ignore[arg-type]
    decision, _ = track(spec, Limits(1, 10), view, ScalingView(0, running), PolicyMemory())
    return decision.desired if isinstance(decision, SetDesired) else running


def _steps(kind: str, *steps: tuple[float, float | None, int], **more: int) -> StepScaling:
    adjustments = [
        {"MetricIntervalLowerBound": a, "ScalingAdjustment": n} | ({} if b is None else {"MetricIntervalUpperBound": b})
        for a, b, n in steps
    ]
    return StepScaling.model_validate({"AdjustmentType": kind, "StepAdjustments": adjustments, **more})


def _larger() -> int:
    kinds = (("ChangeInCapacity", 3), ("PercentChangeInCapacity", 200))
    view, service = StepView(80.0, 60.0), ScalingView(0, 10)
    found = [step(_steps(kind, (0, None, n)), Limits(1, 100), view, service, StepMemory())[0] for kind, n in kinds]
    winner = found[choose(found, 10) or 0]
    return winner.desired if isinstance(winner, SetDesired) else 10


def _inside_cooldown() -> list[int]:
    spec = _steps("ChangeInCapacity", (0, 10, 2), (10, None, 3))
    memory, desired, added = StepMemory(), 10, []
    for at_us, value in ((0, 65.0), (60_000_000, 75.0)):
        decision, memory = step(spec, Limits(1, 100), StepView(value, 60.0), ScalingView(at_us, desired), memory)
        after = decision.desired if isinstance(decision, SetDesired) else desired
        added.append(after - desired)
        desired = after
    return added


def control_plane_examples() -> list[Example]:
    """Return the examples of the control plane that need no run."""
    return [*deployments(), *zones(), *capacity(), *scaling()]
