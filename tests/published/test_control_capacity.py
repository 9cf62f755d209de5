"""Published targets C1 to C16, seen through the verbs of a region (as pure decisions: `test_control_plane_policies`).

Sources: Amazon ECS API Reference, API_CapacityProviderStrategyItem.html, API_ManagedScaling.html; Amazon ECS Developer Guide,
managed-scaling-behavior.html, capacity-cluster-speed-up-ec2.html; the AWS blogs on cluster auto scaling named at the pure decisions;
Amazon EC2 Auto Scaling User Guide, ec2-auto-scaling-mixed-instances-groups.html.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
from sim_helpers import SUBNETS, associate, exact_region, fleet, network, register, seconds

from fargsim import Region


def provider(region: Region, name: str = "cp", size: int = 0, kind: str = "c5.large", **scaling: Any) -> None:
    """A group of instances that are registered, and its provider; a c5.large has 2,048 CPU units."""
    fleet(region, size, kind, name=f"asg-{name}", MaxSize=400)
    region.ecs.create_capacity_provider(
        name=name,
        autoScalingGroupProvider={
            "autoScalingGroupArn": f"asg-{name}",
            "managedScaling": {"status": "ENABLED", "instanceWarmupPeriod": 60, **scaling},
        },
    )


def service(region: Region, desired: int, *strategy: dict[str, Any], **more: Any) -> None:
    region.ecs.create_service(
        serviceName="web",
        taskDefinition="web",
        desiredCount=desired,
        capacityProviderStrategy=list(strategy) or [{"capacityProvider": "cp", "weight": 1}],
        **more,
    )


def sizes(region: Region) -> list[tuple[float | None, int]]:
    """Instants and sizes that cluster auto scaling set."""
    return [(seconds(r.at), r.desired_after) for r in region.kit.recorder.scaling.frame().itertuples()]


@pytest.mark.parametrize(
    ("tasks", "base", "weights", "split"),
    [(10, 2, (1, 3), (4, 6)), (5, 0, (1, 4), (1, 4)), (100, 0, (1, 1), (50, 50))],
    ids=["C1", "C3", "C4"],
)
def test_c1_c3_c4_a_service_over_two_providers(tasks: int, base: int, weights: tuple[int, int], split: tuple[int, int]):
    region = exact_region()
    register(region, cpu=128, memory=128, fargate=False)
    for name in ("a", "b"):
        provider(region, name, 1, "c5.4xlarge")
    associate(region, "a", "b")
    first, second = ({"capacityProvider": n, "weight": w} for n, w in zip("ab", weights, strict=True))
    service(region, tasks, {**first, "base": base}, second)
    region.run(until="3 min")
    found = region.registry.service("default", "web").tasks.values()
    assert Counter(t.capacity_provider for t in found) == dict(zip("ab", split, strict=True))
    assert {t.last_status for t in found} == {"RUNNING"}
    assert all(t.instance.group.provider.spec.name == t.capacity_provider for t in found)


def test_c6_c7_from_zero_the_group_gets_two_instances_whatever_is_needed():
    region = exact_region()
    register(region, cpu=2048, memory=512, fargate=False)
    provider(region)
    associate(region, "cp")
    region.run(until="61 s")
    assert region.registry.providers["cp"].reservation == 100
    service(region, 7)
    region.run(until="121 s")
    assert region.registry.providers["cp"].reservation == 200
    assert sizes(region) == [(120, 2)]


def test_c8_a_third_instance_too_many_goes_after_fifteen_low_datapoints():
    region = exact_region()
    register(region, cpu=2048, memory=512, fargate=False)
    provider(region, size=3)
    associate(region, "cp")
    service(region, 2)
    region.run(until="899 s")
    assert region.registry.providers["cp"].reservation == pytest.approx(66.7, abs=0.05)
    assert sizes(region) == []
    region.run(until="1 h")
    assert sizes(region) == [(900, 2)]


@pytest.mark.parametrize(
    ("target", "needed", "size"), [(50, 10, 20), (50, 20, 40), (50, 40, 80), (80, 8, 10)], ids=lambda v: str(v)
)
def test_c10_c15_the_target_keeps_instances_to_spare(target: int, needed: int, size: int):
    region = exact_region()
    register(region, cpu=2048, memory=512, fargate=False)
    provider(region, size=needed, targetCapacity=target)
    associate(region, "cp")
    service(region, needed)
    region.run(until="10 min")
    group = region.registry.group("asg-cp")
    assert len(group.in_service) == size
    assert sum(i.busy for i in group.in_service) == needed


def test_c12_the_smallest_step_adds_five_for_one():
    region = exact_region()
    register(region, cpu=2048, memory=512, fargate=False)
    provider(region, size=4, minimumScalingStepSize=5)
    associate(region, "cp")
    service(region, 5)
    region.run(until="61 s")
    assert sizes(region) == [(60, 9)]


def test_c13_tasks_larger_than_the_smallest_type_move_nothing():
    region = exact_region()
    register(region, cpu=4096, memory=512, fargate=False)
    region.autoscaling.create_launch_template(LaunchTemplateName="lt", LaunchTemplateData={"InstanceType": "c5.large"})
    region.autoscaling.create_auto_scaling_group(
        AutoScalingGroupName="mixed",
        MinSize=0,
        MaxSize=20,
        DesiredCapacity=2,
        AvailabilityZones=list(SUBNETS.values()),
        registered_at_start=True,
        MixedInstancesPolicy={
            "LaunchTemplate": {
                "LaunchTemplateSpecification": {"LaunchTemplateName": "lt"},
                "Overrides": [{"InstanceType": "c5.large"}, {"InstanceType": "c5.xlarge"}],
            }
        },
    )
    region.ecs.create_capacity_provider(
        name="cp",
        autoScalingGroupProvider={
            "autoScalingGroupArn": "mixed",
            "managedScaling": {"status": "ENABLED", "targetCapacity": 75},
        },
    )
    associate(region, "cp")
    service(region, 3)
    region.run(until="25 min")
    assert sizes(region) == []
    assert set(region.kit.recorder.clusters.frame().capacity_provider_reservation.dropna()) == {75}


def test_c14_from_334_to_34_instances_in_about_ten_minutes_of_steps():
    """1,000 tasks become 100. The step interval is derived from this very figure; the steps by halves are not."""
    region = exact_region()
    register(region, cpu=1300, memory=512, fargate=False)  # three on a c5.xlarge
    provider(region, size=334, kind="c5.xlarge")
    associate(region, "cp")
    service(region, 1000, placementStrategy=[{"type": "binpack", "field": "cpu"}])
    region.run(until="10 min")
    group = region.registry.group("asg-cp")
    assert (len(group.in_service), sum(i.busy for i in group.in_service)) == (334, 334)
    region.ecs.update_service(service="web", desiredCount=100)
    region.run(until="60 min")
    found = sizes(region)
    assert [size for _, size in found] == [167, 84, 42, 34]
    assert found[-1][0] - found[0][0] == 540, "four steps at the minutes that are not less than 150 s apart"
    assert sum(i.busy for i in group.in_service) == len(group.in_service) == 34


@pytest.mark.parametrize(("size", "on_demand", "spot"), [(10, 10, 0), (20, 15, 5), (30, 20, 10), (40, 25, 15)])
def test_c16_a_mixed_group(size: int, on_demand: int, spot: int):
    region = exact_region(assumptions={"ec2_spot_hazard_scale": 0})
    region.autoscaling.create_launch_template(LaunchTemplateName="lt", LaunchTemplateData={"InstanceType": "m5.large"})
    region.autoscaling.create_auto_scaling_group(
        AutoScalingGroupName="mixed",
        MinSize=0,
        MaxSize=40,
        DesiredCapacity=10,
        AvailabilityZones=list(SUBNETS.values()),
        MixedInstancesPolicy={
            "LaunchTemplate": {"LaunchTemplateSpecification": {"LaunchTemplateName": "lt"}},
            "InstancesDistribution": {"OnDemandBaseCapacity": 10, "OnDemandPercentageAboveBaseCapacity": 50},
        },
    )
    region.autoscaling.set_desired_capacity(AutoScalingGroupName="mixed", DesiredCapacity=size)
    found = Counter(i.market for i in region.registry.group("mixed").in_service)
    assert (found["on-demand"], found["spot"]) == (on_demand, spot)


def test_c1_also_on_fargate():
    region = exact_region()
    register(region)
    first, second = (
        {"capacityProvider": "FARGATE", "base": 2, "weight": 1},
        {"capacityProvider": "FARGATE_SPOT", "weight": 3},
    )
    service(region, 10, first, second, networkConfiguration=network())
    region.run(until="5 min")
    found = region.registry.service("default", "web").tasks.values()
    assert Counter(t.capacity_provider for t in found) == {"FARGATE": 4, "FARGATE_SPOT": 6}
