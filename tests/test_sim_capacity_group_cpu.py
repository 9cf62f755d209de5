"""A plain Auto Scaling group that follows the CPU of its instances, by hand: what the comparison to cluster auto scaling does.

An instance is running 23 s after its launch and registered 60 s later (`sim_helpers`).
"""

from __future__ import annotations

from typing import Any

import pytest
from sim_helpers import exact_region, fleet, register

from fargsim import Region
from fargsim.sim.errors import AwsError

MIN = 60_000_000
AVERAGE = {"PredefinedMetricType": "ASGAverageCPUUtilization"}
TRACKING = {"PredefinedMetricSpecification": AVERAGE, "TargetValue": 50}
CPU_50 = {"PolicyName": "cpu50", "PolicyType": "TargetTrackingScaling", "TargetTrackingConfiguration": TRACKING}


def group_of(region: Region, name: str = "asg") -> Any:
    return region.registry.group(name)


def test_work_without_requests_counts_in_the_cpu_of_a_group():
    region = exact_region(assumptions={"metric_publish_lag_s": 0})
    fleet(region, 2, DefaultInstanceWarmup=120, policies=[CPU_50])
    busy = {"utilization": {"cpu": {"steps": [{"at": "0 s", "percent": 80}]}}}
    register(region, cpu=2048, memory=1024, fargate=False, behaviour=busy)
    region.ecs.create_service(serviceName="web", taskDefinition="web", desiredCount=2, launchType="EC2")
    region.run(until="5 min")
    assert group_of(region).desired == 4  # 2 x 80 / 50 = 3.2
    assert region.kit.recorder.scaling.frame().metric_value.iloc[0] == pytest.approx(80, abs=0.1)


def test_a_group_follows_the_cpu_of_its_instances():
    """Two instances of two vCPUs at 75 %: wanted 2 x 75 / 50 = 3. The alarm has three minutes; the lag of metrics is 0 here."""
    region = exact_region(assumptions={"metric_publish_lag_s": 0})
    fleet(region, 2, DefaultInstanceWarmup=120, policies=[CPU_50])
    register(region, cpu=1024, memory=1024, fargate=False, behaviour={"idle_cpu": "1.5 vCPU"})
    region.ecs.create_service(
        serviceName="web",
        taskDefinition="web",
        desiredCount=2,
        launchType="EC2",
        placementConstraints=[{"type": "distinctInstance"}],
    )
    region.run(until="179 s")
    assert group_of(region).desired == 2
    region.run(until="181 s")
    # three minutes above 50 %, the first with 63 % though the tasks started at 9.4 s
    assert group_of(region).desired == 3
    region.run(until="30 min")
    # the third instance is idle: (75 + 75 + 0) / 3 = 50 is not above the target, and not below 70 % of it
    assert group_of(region).desired == 3
    region.ecs.update_service(service="web", desiredCount=0)
    region.run(until="60 min")
    assert group_of(region).desired == 0
    rows = region.finish().scaling.frame()
    assert rows.policy_name.unique().tolist() == ["cpu50"]
    assert rows.desired_after.tolist()[:1] == [3]


@pytest.mark.parametrize(
    ("group", "policy", "warm_up_s"),
    [
        ({}, {}, 300),  # the default cooldown
        ({"DefaultCooldown": 120}, {}, 120),
        ({"DefaultInstanceWarmup": 60}, {}, 60),
        ({"DefaultInstanceWarmup": 60}, {"EstimatedInstanceWarmup": 240}, 240),
    ],
)
def test_an_instance_counts_after_the_warm_up_of_the_policy_the_group_or_the_default_cooldown(
    group: dict[str, int], policy: dict[str, int], warm_up_s: int
):
    """API_PutScalingPolicy.html (EstimatedInstanceWarmup). Two instances at 75 % want a third, which is idle: 50 % when it counts."""
    region = exact_region(assumptions={"metric_publish_lag_s": 0})
    fleet(region, 2, HealthCheckGracePeriod=600, policies=[{**CPU_50, **policy}], **group)
    busy = {"utilization": {"cpu": {"steps": [{"at": "0 s", "percent": 75}]}}}
    register(region, cpu=2048, memory=1024, fargate=False, behaviour=busy)
    region.ecs.create_service(serviceName="web", taskDefinition="web", desiredCount=2, launchType="EC2")
    region.run(until="20 min")
    assert group_of(region).desired == 3
    [_, _, third] = sorted(group_of(region).in_service, key=lambda i: i.in_service_at)
    key = ("AWS/EC2", "CPUUtilization", (("AutoScalingGroupName", "asg"),))
    cpu = region.cloudwatch.windows(key, 20 * MIN, MIN, 20)
    counted = next(point.end_us for point in cpu if point is not None and point.count == 3)
    assert 0 <= counted - (third.in_service_at + warm_up_s * 1_000_000) < MIN


def test_the_minute_before_instances_went_does_not_take_more_of_them():
    """Eight instances at 19 % are four at 38 %: when four have gone, the newest minute is still one of eight."""
    region = exact_region()
    fleet(region, 8, policies=[CPU_50])
    quiet = {"utilization": {"cpu": {"steps": [{"at": "0 s", "percent": 19}]}}}
    register(region, cpu=2048, memory=1024, fargate=False, behaviour=quiet)
    region.ecs.create_service(serviceName="web", taskDefinition="web", desiredCount=8, launchType="EC2")
    region.run(until="20 min")
    rows = region.finish().scaling.frame()
    assert rows[["running_mean", "desired_before", "desired_after"]].to_numpy().tolist() == [[8, 8, 4]]


def test_a_policy_of_its_own_does_not_go_with_managed_scaling():
    region = exact_region()
    fleet(region, 1)
    region.ecs.create_capacity_provider(
        name="cp", autoScalingGroupProvider={"autoScalingGroupArn": "asg", "managedScaling": {"status": "ENABLED"}}
    )
    with pytest.raises(AwsError, match="manages the scaling") as caught:
        region.autoscaling.put_scaling_policy(AutoScalingGroupName="asg", **CPU_50)
    assert caught.value.code == "ValidationError"
