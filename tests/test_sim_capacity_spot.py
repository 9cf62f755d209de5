"""Spot by hand: the two-minute notice with and without draining, rebalancing, schedules and bursts, on EC2 and on Fargate.

A service acts 5 s after it has lost something; an instance is running 23 s after its launch and registered 60 s later (`sim_helpers`).
"""

from __future__ import annotations

from typing import Any

import pytest
from sim_helpers import exact_region, fleet, network, register, seconds, statuses

from fargsim import Region
from fargsim.model.spot_faults import Ec2SpotReclaim, FargateSpotReclaim
from fargsim.model.timeline import Fault
from fargsim.sim.capacity_faults import break_capacity

NO_HAZARD = {"ec2_spot_hazard_scale": 0}
SPOT = {"InstanceMarketOptions": {"MarketType": "spot"}}


def spot_fleet(region: Region, size: int, name: str = "asg", **more: Any) -> None:
    region.autoscaling.create_launch_template(
        LaunchTemplateName=name, LaunchTemplateData={"InstanceType": "c5.large", **SPOT}
    )
    region.autoscaling.create_auto_scaling_group(
        **{
            "AutoScalingGroupName": name,
            "MinSize": 0,
            "MaxSize": 20,
            "DesiredCapacity": size,
            "LaunchTemplate": {"LaunchTemplateName": name},
            "AvailabilityZones": ["us-east-1a"],
            "registered_at_start": True,
            **more,
        }
    )


def reclaim(region: Region, **fault: Any) -> None:
    break_capacity(region, Fault(ec2_spot_reclaim=Ec2SpotReclaim(**fault)))


def service(region: Region, desired: int, **more: Any) -> None:
    region.ecs.create_service(
        **{
            "serviceName": "web",
            "taskDefinition": "web",
            "desiredCount": desired,
            "launchType": "EC2",
            "availabilityZoneRebalancing": "DISABLED",
            **more,
        }
    )


def two_instances(drain_by: str | None, minimum_healthy: int) -> tuple[Region, Any]:
    """Two instances with one task each, and notice for the older one at 100 s."""
    region = exact_region(assumptions=NO_HAZARD)
    agent = {"agent": {"ECS_ENABLE_SPOT_INSTANCE_DRAINING": True}} if drain_by == "agent" else {}
    spot_fleet(region, 2, **agent)
    if drain_by is not None:
        draining = "ENABLED" if drain_by == "provider" else "DISABLED"
        region.ecs.create_capacity_provider(
            name="cp", autoScalingGroupProvider={"autoScalingGroupArn": "asg", "managedDraining": draining}
        )
    register(region, cpu=1024, memory=1024, fargate=False)
    service(
        region,
        2,
        placementConstraints=[{"type": "distinctInstance"}],
        deploymentConfiguration={"minimumHealthyPercent": minimum_healthy, "maximumPercent": 200},
    )
    region.run(until="100 s")
    reclaim(region, count=1)
    [hit] = [i for i in region.registry.group("asg").instances.values() if i.interrupted_at is not None]
    return region, hit


@pytest.mark.parametrize("drain_by", ["provider", "agent"])
def test_with_draining_the_task_is_stopped_in_time_where_the_bounds_let_it(drain_by: str):
    region, hit = two_instances(drain_by, minimum_healthy=50)
    assert (hit.status, hit.interrupted_at) == ("DRAINING", 100_000_000)
    region.run(until="400 s")
    began = [(5, "PROVISIONING"), (5, "PENDING"), (5, "ACTIVATING"), (9.4, "RUNNING")]
    lost, kept, replacement = _by_end(statuses(region))
    # one of two may be missing: SIGTERM with the notice, gone long before the instance
    assert lost == [*began, (100, "STOPPING"), (101, "STOPPED")]
    assert kept == began
    # the instance goes at 220 s, the group launches another at 225, registered at 308; the service tries every 5 s and at once then
    assert replacement[-1] == (312.4, "RUNNING")
    frame = region.finish().instances.frame()
    [gone] = [r for r in frame.itertuples() if r.terminated_at == r.terminated_at and r.status == "INACTIVE"]
    assert seconds(gone.terminated_at) == 220
    assert gone.status_reason == "Server.SpotInstanceTermination: Spot instance interruption"
    assert sorted(seconds(r.launched_at) for r in frame.itertuples()) == [0, 0, 225]


def _by_end(lives: list[list[tuple[float, str]]]) -> tuple[list[tuple[float, str]], ...]:
    """The life that ended, the one that went on, the one that began last."""
    ended = next(x for x in lives if x[-1][1] == "STOPPED")
    others = sorted((x for x in lives if x is not ended), key=lambda x: x[0][0])
    return ended, others[0], others[-1]


def test_without_draining_the_task_runs_to_the_end_and_dies_with_its_instance():
    region, hit = two_instances(None, minimum_healthy=50)
    assert hit.status == "ACTIVE"
    region.run(until="400 s")
    lost, _, replacement = _by_end(statuses(region))
    assert lost[-1] == (220, "STOPPED")
    assert lost[-2] == (9.4, "RUNNING"), "no signal reaches it"
    assert replacement[-1] == (312.4, "RUNNING")
    tasks = region.finish().tasks.frame()
    [row] = [r for r in tasks.itertuples() if r.last_status == "STOPPED"]
    assert (row.stop_code, row.stopped_reason) == (
        "SpotInterruption",
        f"Host EC2 (instance {hit.instance_id}) terminated.",
    )


def test_with_draining_and_no_task_to_spare_two_minutes_are_not_enough():
    """Amazon ECS Developer Guide, container-instance-draining.html: with a minimum of 100 % the replacement cannot come in time."""
    region, _ = two_instances("provider", minimum_healthy=100)
    region.run(until="400 s")
    lost, _, _ = _by_end(statuses(region))
    assert lost[-1] == (220, "STOPPED")


def test_capacity_rebalance_launches_before_the_notice_and_the_old_one_is_gone_before_it():
    region = exact_region(assumptions=NO_HAZARD)
    spot_fleet(region, 1, CapacityRebalance=True)
    region.run(until="100 s")
    reclaim(region, rebalance_lead="5 min")
    region.run(until="700 s")
    frame = region.finish().instances.frame().sort_values("launched_at")
    assert [(seconds(r.launched_at), seconds(r.terminated_at)) for r in frame.itertuples()] == [(0, 123), (100, None)]
    assert frame.status_reason.tolist()[0] == "rebalance recommendation"


def test_a_storm_takes_a_zone_and_its_capacity_for_a_while():
    region = exact_region(assumptions=NO_HAZARD)
    spot_fleet(region, 6, AvailabilityZones=["us-east-1a", "us-east-1b"])
    group = region.registry.group("asg")
    region.run(until="100 s")
    reclaim(region, zones=("us-east-1a",), no_capacity_for="30 min")
    assert sum(i.interrupted_at is not None for i in group.instances.values()) == 3
    region.run(until="10 min")
    assert [i.zone for i in group.in_service] == ["us-east-1b"] * 6, (
        "the replacements are launched where there is capacity"
    )
    region.run(until="40 min")
    assert sorted(i.zone for i in group.in_service) == ["us-east-1a"] * 3 + ["us-east-1b"] * 3


def test_the_hazard_of_the_band_takes_about_as_many_as_it_says():
    """200 instances for a year at scale 20 of c5.large's band: compared to the exponential law at four standard errors."""
    from math import exp, log1p, sqrt

    from fargsim.catalog import ec2_spot_market

    region = exact_region(assumptions={"ec2_spot_hazard_scale": 20}, seed=3)
    band = ec2_spot_market("c5.large", "us-east-1").interruption_band
    share = {"<5%": 0.025, "5-10%": 0.075, "10-15%": 0.125, "15-20%": 0.175, ">20%": 0.25}[band or ""]
    spot_fleet(region, 200, MaxSize=200)
    region.registry.ec2.withdraw(["us-east-1a"], 10**15)  # none is replaced
    region.run(until="2 d")
    left = len(region.registry.group("asg").instances)
    p = exp(20 * log1p(-share) * 48 / 730)
    assert abs(left - 200 * p) <= 4 * sqrt(200 * p * (1 - p)) + 1


def test_bursts_take_a_share_of_a_pool_at_once():
    region = exact_region(assumptions={**NO_HAZARD, "spot_bursts_per_day": 24, "spot_burst_share_percent": 100})
    spot_fleet(region, 4)
    region.run(until="1 d")
    events = region.finish().events.frame()
    notices = events[events.event_name == "EC2_SPOT_INTERRUPTION_WARNING"]
    per_instant = notices.groupby("at").size()
    assert len(per_instant) > 3
    assert (per_instant == 4).all(), "all of the pool or nobody"


# Fargate


def on_fargate_spot(region: Region, desired: int) -> None:
    register(region)
    service(
        region,
        desired,
        launchType=None,
        capacityProviderStrategy=[{"capacityProvider": "FARGATE_SPOT", "weight": 1}],
        networkConfiguration=network("subnet-a"),
    )


def test_a_reclaim_on_fargate_signals_at_once_and_the_service_waits_for_capacity():
    region = exact_region()
    on_fargate_spot(region, 1)
    region.run(until="100 s")
    break_capacity(region, Fault(fargate_spot_reclaim=FargateSpotReclaim(no_capacity_for="10 min")))
    region.run(until="800 s")
    lost, back = statuses(region)
    assert lost[-3:] == [(100, "STOPPING"), (101, "DEPROVISIONING"), (108, "STOPPED")]
    assert back[0][1] == "PROVISIONING"
    assert 700 <= back[0][0] <= 705, "as soon as there is capacity again"
    assert {t.capacity_provider for t in region.registry.service("default", "web").tasks.values()} == {"FARGATE_SPOT"}
    events = region.finish().events.frame()
    assert events.message.str.contains("Capacity is unavailable at this time").any()


def test_a_reclaim_of_one_processor_leaves_the_other_its_tasks_and_its_capacity():
    region = exact_region()
    spot = {"capacityProviderStrategy": [{"capacityProvider": "FARGATE_SPOT", "weight": 1}], "launchType": None}
    for family, processor in (("web", "X86_64"), ("arm", "ARM64")):
        region.ecs.register_task_definition(
            family=family,
            cpu="1024",
            memory="2048",
            networkMode="awsvpc",
            requiresCompatibilities=["FARGATE"],
            runtimePlatform={"cpuArchitecture": processor},
            containerDefinitions=[{"name": "app", "image": "app:1"}],
        )
        service(region, 2, serviceName=family, taskDefinition=family, networkConfiguration=network(), **spot)
    region.run(until="100 s")
    fault = FargateSpotReclaim(cpu_architecture="ARM64", no_capacity_for="10 min")
    break_capacity(region, Fault(fargate_spot_reclaim=fault))
    for name in ("web", "arm"):
        region.ecs.update_service(service=name, desiredCount=3)
    region.run(until="600 s")
    there = {name: len(region.registry.service("default", name).tasks) for name in ("web", "arm")}
    assert there == {"web": 3, "arm": 0}
    region.run(until="900 s")
    assert len(region.registry.service("default", "arm").tasks) == 3
    region.finish()
    frame = region.kit.recorder.tasks.frame()
    assert set(frame[frame.stop_code == "SpotInterruption"].family) == {"arm"}


def test_spot_capacity_comes_and_goes_in_two_states():
    region = exact_region(
        assumptions={"spot_capacity_available": False, "spot_unavailable_mean_h": 1, "spot_available_mean_h": 0}
    )
    on_fargate_spot(region, 1)
    region.run(until="10 s")
    assert not region.registry.service("default", "web").tasks
    region.run(until="1 d")
    [task] = region.registry.service("default", "web").tasks.values()
    assert task.created_at > 10_000_000, "there was none at first; with no mean time between outages it stays"
    assert task.last_status == "RUNNING"
    on_demand = exact_region(assumptions={"spot_capacity_available": False})
    register(on_demand)
    service(on_demand, 1, launchType="FARGATE", networkConfiguration=network("subnet-a"))
    on_demand.run(until="60 s")
    assert len(on_demand.registry.service("default", "web").tasks) == 1


def test_a_share_is_rounded_up_and_never_more_than_there_are():
    region = exact_region(assumptions=NO_HAZARD)
    spot_fleet(region, 3)
    reclaim(region, share=0.5)
    assert sum(i.interrupted_at is not None for i in region.registry.group("asg").instances.values()) == 2
    fleet(region, 1, name="other")
    reclaim(region, count=9)
    assert sum(i.interrupted_at is not None for i in region.registry.group("asg").instances.values()) == 3
