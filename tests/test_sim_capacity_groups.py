"""Auto Scaling groups by hand: zones, hooks, warm pools, health, refreshes, several types, CPU tracking.

An instance is running 23 s after its launch and registered 60 s later (`sim_helpers`).
"""

from __future__ import annotations

from collections import Counter
from datetime import timedelta
from typing import Any

import pytest
from sim_helpers import START, SUBNETS, exact_region, fleet, seconds

from fargsim import Region
from fargsim.catalog import ec2_spot_market, ec2_spot_price
from fargsim.policy.spot import band_rank
from fargsim.report.cost import BillingTerms, bill
from fargsim.sim.errors import AwsError

MIN = 60_000_000
ZONES = list(SUBNETS.values())
LAUNCHING, TERMINATING = "autoscaling:EC2_INSTANCE_LAUNCHING", "autoscaling:EC2_INSTANCE_TERMINATING"


def hook(transition: str, name: str = "hook", **more: Any) -> dict[str, Any]:
    return {"LifecycleHookName": name, "LifecycleTransition": transition, **more}


def group_of(region: Region, name: str = "asg") -> Any:
    return region.registry.group(name)


def states(region: Region, name: str = "asg") -> list[str]:
    [found] = region.autoscaling.describe_auto_scaling_groups(AutoScalingGroupNames=[name])["AutoScalingGroups"]
    return [i["LifecycleState"] for i in found["Instances"]]


def times(region: Region, *columns: str) -> list[tuple[float | None, ...]]:
    """Columns of the instances table in seconds, in the order of launch; call once, at the end."""
    frame = region.finish().instances.frame().sort_values(["launched_at", "instance_id"])
    return [tuple(seconds(getattr(row, c)) for c in columns) for row in frame.itertuples()]


# lifecycle hooks


def test_a_launch_hook_holds_an_instance_but_not_its_agent():
    region = exact_region()
    held = hook(LAUNCHING, answer={"after": "100 s"})
    fleet(region, 1, registered_at_start=False, LifecycleHookSpecificationList=[held])
    region.run(until="22 s")
    assert states(region) == ["Pending"]
    region.run(until="122 s")
    assert states(region) == ["Pending:Wait"]
    [instance] = group_of(region).in_service
    assert instance.registered_at == 83_000_000
    region.run(until="123 s")
    assert states(region) == ["InService"]


def test_nobody_answers_and_the_time_out_abandons_the_instance():
    region = exact_region()
    fleet(region, 1, registered_at_start=False, LifecycleHookSpecificationList=[hook(LAUNCHING, HeartbeatTimeout=30)])
    region.run(until="100 s")
    # 23 s to running, 30 s of waiting, terminated, the next one at once: the same again
    assert times(region, "launched_at", "running_at", "terminated_at") == [(0, 23, 53), (53, 76, None)]


@pytest.mark.parametrize(
    ("more", "gone_at"), [({}, 90), ({"DefaultResult": "CONTINUE"}, 90), ({"answer": {"after": "10 s"}}, 70)]
)
def test_a_termination_hook_holds_an_empty_instance(more: dict[str, Any], gone_at: int):
    region = exact_region()
    fleet(region, 1, LifecycleHookSpecificationList=[hook(TERMINATING, HeartbeatTimeout=30, **more)])
    region.run(until="60 s")
    region.autoscaling.set_desired_capacity(AutoScalingGroupName="asg", DesiredCapacity=0)
    assert states(region) == ["Terminating:Wait"]
    region.run(until="200 s")
    assert times(region, "terminated_at") == [(gone_at,)]


def test_hooks_of_a_termination_run_side_by_side_and_an_abandon_ends_the_others():
    region = exact_region()
    hooks = [
        hook(TERMINATING, "slow", answer={"after": "300 s"}),
        hook(TERMINATING, "quick", answer={"after": "20 s", "result": "ABANDON"}),
    ]
    fleet(region, 1, LifecycleHookSpecificationList=hooks)
    region.autoscaling.set_desired_capacity(AutoScalingGroupName="asg", DesiredCapacity=0)
    region.run(until="400 s")
    assert times(region, "terminated_at") == [(20,)]


def test_put_lifecycle_hook_counts_for_instances_that_come_later():
    region = exact_region()
    fleet(region, 1)
    region.autoscaling.put_lifecycle_hook(AutoScalingGroupName="asg", **hook(LAUNCHING, answer={"after": "40 s"}))
    region.autoscaling.set_desired_capacity(AutoScalingGroupName="asg", DesiredCapacity=2)
    region.run(until="60 s")
    assert states(region) == ["InService", "Pending:Wait"]
    region.run(until="63 s")
    assert states(region) == ["InService", "InService"]


# warm pools


WARM_AGENT = {"agent": {"ECS_WARM_POOLS_CHECK": True}}


@pytest.mark.parametrize(
    ("state", "running_after"), [("Running", 0), ("Stopped", 15), ("Hibernated", 20)], ids=lambda v: str(v)
)
def test_an_instance_of_a_warm_pool_is_there_sooner_than_a_cold_one(state: str, running_after: int):
    region = exact_region()
    pool = {"PoolState": state, "MaxGroupPreparedCapacity": 2}
    fleet(region, 1, MaxSize=4, WarmPoolConfiguration=pool, **WARM_AGENT)
    region.run(until="600 s")
    # prepared: 23 s to running, 60 s of start-up, then in the pool's state, and not in the cluster
    assert states(region) == ["InService", f"Warmed:{state}"]
    assert len(region.registry.cluster("default").instances_by_row) == 1
    region.autoscaling.set_desired_capacity(AutoScalingGroupName="asg", DesiredCapacity=3)
    region.run(until="800 s")
    launched = [(i.launched_at, i.in_service_at, i.registered_at) for i in group_of(region).in_service]
    in_service = 600 + running_after
    assert launched[1] == (0, in_service * 1_000_000, (in_service + 10) * 1_000_000)
    assert launched[2] == (600_000_000, 623_000_000, 683_000_000)  # the pool was used up


def test_a_warm_pool_is_filled_up_again_and_shrinks_with_the_desired_capacity():
    region = exact_region()
    fleet(region, 1, MaxSize=4, WarmPoolConfiguration={"MinSize": 1}, **WARM_AGENT)
    group = group_of(region)
    assert len(group.warm_pool.instances) == 3
    region.run(until="200 s")
    region.autoscaling.set_desired_capacity(AutoScalingGroupName="asg", DesiredCapacity=4)
    assert len(group.warm_pool.instances) == 1, "MinSize is prepared even for a group at its maximum"
    region.autoscaling.set_desired_capacity(AutoScalingGroupName="asg", DesiredCapacity=2)
    assert len(group.warm_pool.instances) == 2
    assert all(i.stopped_at is None for i in group.warm_pool.instances.values()), "nobody comes back from the group"


def test_a_stopped_instance_of_a_warm_pool_is_not_billed_while_it_is_stopped():
    hours = {}
    for state in ("Stopped", "Running"):
        region = exact_region()
        fleet(region, 0, MaxSize=1, WarmPoolConfiguration={"PoolState": state}, **WARM_AGENT)
        region.run(until="1 h")
        region.autoscaling.set_desired_capacity(AutoScalingGroupName="asg", DesiredCapacity=1)
        region.run(until="2 h")
        kept = region.finish()
        tables = {name: getattr(kept, name).frame() for name in ("tasks", "instances", "services")}
        items = bill(tables, BillingTerms("us-east-1", START, START + timedelta(hours=2)))
        hours[state] = items[items["item"] == "ec2 instance (idle)"].quantity.sum() * 3600
        assert items[items["item"] == "ebs volume"].quantity.sum() > 0
    # running from 23 s on; stopped from 83 s to 3615 s
    assert hours == pytest.approx({"Running": 7200 - 23, "Stopped": 60 + 3600 - 15})


def test_agents_of_a_warm_pool_do_not_all_register_after_the_same_time():
    region = exact_region(assumptions={"running_to_registered_p95_factor": 1.5})
    pool = {"PoolState": "Running", "MaxGroupPreparedCapacity": 40}
    fleet(region, 0, WarmPoolConfiguration=pool, **WARM_AGENT)
    region.run(until="10 min")
    region.autoscaling.set_desired_capacity(AutoScalingGroupName="asg", DesiredCapacity=40)
    region.run(until="12 min")
    took = sorted(i.registered_at / 1e6 - 600 for i in group_of(region).in_service)
    assert len(set(took)) == 40
    assert 8 < took[20] < 12
    assert took[0] < 9 < 11 < took[-1]


def test_a_warm_pool_waits_for_capacity():
    region = exact_region()
    region.registry.ec2.withdraw(ZONES[:2], 10 * MIN)
    fleet(region, 0, MaxSize=3, zones=2, WarmPoolConfiguration={}, **WARM_AGENT)
    group = group_of(region)
    assert not group.warm_pool.instances
    region.run(until="601 s")
    assert Counter(i.zone for i in group.warm_pool.instances.values()) == {ZONES[0]: 2, ZONES[1]: 1}


# the cooldown


def test_honor_cooldown_waits_for_the_end_of_the_activity_and_then_for_the_cooldown():
    """Amazon EC2 Auto Scaling API Reference, API_SetDesiredCapacity.html."""
    region = exact_region()
    fleet(region, 1, DefaultCooldown=100)

    def ask(size: int, honor: bool = True) -> None:
        region.autoscaling.set_desired_capacity(AutoScalingGroupName="asg", DesiredCapacity=size, HonorCooldown=honor)

    ask(2)
    for until in ("10 s", "122 s"):  # launching until 23 s, then 100 s
        region.run(until=until)
        with pytest.raises(AwsError, match=r"HonorCooldown: the group asg .* DefaultCooldown of 100 s") as caught:
            ask(3)
        assert caught.value.code == "ScalingActivityInProgress"
        assert group_of(region).desired == 2
    ask(3, honor=False)
    region.run(until="244 s")
    with pytest.raises(AwsError):
        ask(4)
    region.run(until="246 s")
    ask(4)
    assert group_of(region).desired == 4


# health, lifetime, refresh


def test_an_unhealthy_instance_is_replaced_and_drained_where_ecs_manages_that():
    region = exact_region()
    fleet(region, 2)
    region.run(until="60 s")
    region.autoscaling.set_instance_health(auto_scaling_group="asg", HealthStatus="Unhealthy")
    region.run(until="200 s")
    assert times(region, "launched_at", "terminated_at") == [(0, 60), (0, None), (60, None)]


def test_a_grace_period_forgives_unless_told_not_to():
    region = exact_region()
    fleet(region, 1, HealthCheckGracePeriod=300)
    region.run(until="60 s")
    region.autoscaling.set_instance_health(auto_scaling_group="asg", HealthStatus="Unhealthy")
    assert states(region) == ["InService"]
    region.autoscaling.set_instance_health(
        auto_scaling_group="asg", HealthStatus="Unhealthy", ShouldRespectGracePeriod=False
    )
    assert states(region) == ["Pending"]


def test_the_longest_life_of_an_instance():
    region = exact_region()
    fleet(region, 1, registered_at_start=False, MaxInstanceLifetime=86_400)
    region.run(until="2 d")
    day = 86_400
    assert times(region, "launched_at", "terminated_at") == [(0, day), (day, 2 * day), (2 * day, None)]


def test_a_refresh_with_its_defaults_goes_one_by_one():
    region = exact_region()
    fleet(region, 3)
    region.run(until="60 s")
    region.autoscaling.start_instance_refresh(AutoScalingGroupName="asg", Preferences={"InstanceWarmup": 60})
    with pytest.raises(AwsError) as caught:
        region.autoscaling.start_instance_refresh(AutoScalingGroupName="asg")
    assert caught.value.code == "InstanceRefreshInProgress"
    region.run(until="600 s")
    region.finish()
    # 90 % of three is three: nothing could be replaced, so one is. In service after 23 s, warm 60 s later, then the next.
    old, new = [(0, 60), (0, 143), (0, 226)], [(60, None), (143, None), (226, None)]
    assert sorted(times_of(region)) == [*old, *new]


def times_of(region: Region) -> list[tuple[float | None, ...]]:
    frame = region.kit.recorder.instances.frame()
    return [(seconds(r.launched_at), seconds(r.terminated_at)) for r in frame.itertuples()]


def test_a_refresh_above_a_hundred_percent_launches_first():
    region = exact_region()
    fleet(region, 2)
    region.run(until="60 s")
    region.autoscaling.start_instance_refresh(
        AutoScalingGroupName="asg", Preferences={"MinHealthyPercentage": 100, "MaxHealthyPercentage": 150}
    )
    region.run(until="600 s")
    [told] = region.autoscaling.describe_instance_refreshes(AutoScalingGroupName="asg")["InstanceRefreshes"]
    assert (told["Status"], told["PercentageComplete"]) == ("Successful", 100)
    region.finish()
    # one more at 60, in service at 83: the first goes, and the next one comes
    assert sorted(times_of(region), key=str) == sorted([(0, 83), (0, 106), (60, None), (83, None)], key=str)


def test_a_refresh_that_skips_what_matches_replaces_what_an_older_template_has_launched():
    region = exact_region()
    fleet(region, 2)
    region.autoscaling.start_instance_refresh(AutoScalingGroupName="asg", Preferences={"SkipMatching": True})
    [first] = region.autoscaling.describe_instance_refreshes(AutoScalingGroupName="asg")["InstanceRefreshes"]
    assert first["Status"] == "Successful"
    region.autoscaling.create_launch_template_version(
        LaunchTemplateName="asg", LaunchTemplateData={"InstanceType": "c5.xlarge"}
    )
    region.autoscaling.start_instance_refresh(AutoScalingGroupName="asg", Preferences={"SkipMatching": True})
    region.run(until="600 s")
    assert [i.instance_type for i in group_of(region).in_service] == ["c5.xlarge", "c5.xlarge"]


# zones


def test_a_group_comes_back_into_balance_when_a_zone_does():
    region = exact_region()
    region.registry.ec2.withdraw([ZONES[0]], 10 * MIN)
    fleet(region, 4, zones=2, registered_at_start=False)
    group = group_of(region)
    assert Counter(i.zone for i in group.in_service) == {ZONES[1]: 4}
    region.run(until="599 s")
    assert Counter(i.zone for i in group.in_service) == {ZONES[1]: 4}
    most = 4
    for second in range(600, 900, 5):
        region.run(second * 1_000_000)
        most = max(most, len(group.instances))
    assert Counter(i.zone for i in group.in_service) == {ZONES[0]: 2, ZONES[1]: 2}
    assert most == 5, "one is launched before one is terminated"


def test_a_group_that_is_to_stay_balanced_waits_for_its_zone():
    region = exact_region()
    region.registry.ec2.withdraw([ZONES[0]], 10 * MIN)
    balanced = {"CapacityDistributionStrategy": "balanced-only"}
    fleet(region, 4, zones=2, registered_at_start=False, AvailabilityZoneDistribution=balanced)
    group = group_of(region)
    region.run(until="599 s")
    assert Counter(i.zone for i in group.in_service) == {ZONES[1]: 1}, "the next one belongs into the other zone"
    region.run(until="601 s")
    assert Counter(i.zone for i in group.in_service) == {ZONES[0]: 2, ZONES[1]: 2}


# several types


def mixed(region: Region, size: int, *types: str, **distribution: Any) -> Any:
    region.autoscaling.create_launch_template(LaunchTemplateName="lt", LaunchTemplateData={"InstanceType": types[0]})
    region.autoscaling.create_auto_scaling_group(
        AutoScalingGroupName="mixed",
        MinSize=0,
        MaxSize=100,
        DesiredCapacity=size,
        AvailabilityZones=ZONES,
        MixedInstancesPolicy={
            "LaunchTemplate": {
                "LaunchTemplateSpecification": {"LaunchTemplateName": "lt"},
                "Overrides": [{"InstanceType": name} for name in types],
            },
            "InstancesDistribution": distribution,
        },
    )
    return group_of(region, "mixed")


def test_mixed_groups_follow_their_plan_up_and_down():
    region = exact_region(assumptions={"ec2_spot_hazard_scale": 0})
    group = mixed(region, 4, "m5.large", OnDemandBaseCapacity=2, OnDemandPercentageAboveBaseCapacity=25)
    for size, on_demand in ((4, 3), (6, 3), (10, 4), (6, 3), (2, 2), (1, 1)):
        group.set_desired(size)
        assert Counter(i.market for i in group.in_service)["on-demand"] == on_demand, size
        assert len(group.in_service) == size


def test_the_strategies_choose_what_they_are_for():
    found = {}
    for strategy in (
        "lowest-price",
        "capacity-optimized",
        "capacity-optimized-prioritized",
        "price-capacity-optimized",
    ):
        region = exact_region()
        more = {"SpotInstancePools": 1} if strategy == "lowest-price" else {}
        group = mixed(
            region,
            3,
            "m5.large",
            "m5a.large",
            "m6i.large",
            "c5.large",
            OnDemandPercentageAboveBaseCapacity=0,
            SpotAllocationStrategy=strategy,
            **more,
        )
        assert {i.market for i in group.in_service} == {"spot"}
        (found[strategy],) = {i.instance_type for i in group.in_service}
    types = ("m5.large", "m5a.large", "m6i.large", "c5.large")
    assert found["lowest-price"] == min(types, key=lambda t: ec2_spot_price(t, "us-east-1").value)
    band = {t: band_rank(ec2_spot_market(t, "us-east-1").interruption_band) for t in types}
    best = [t for t in types if band[t] == min(band.values())]
    assert found["capacity-optimized"] == found["capacity-optimized-prioritized"] == best[0]
    assert found["price-capacity-optimized"] == min(best, key=lambda t: ec2_spot_price(t, "us-east-1").value)


def test_spot_capacity_that_is_missing_is_not_made_up_for_on_demand():
    region = exact_region()
    region.registry.ec2.withdraw(ZONES, 5 * MIN, markets=["spot"])
    group = mixed(region, 4, "m5.large", "c5.large", OnDemandPercentageAboveBaseCapacity=50)
    region.run(until="299 s")
    assert Counter(i.market for i in group.in_service) == {"on-demand": 1}, "the second was to be a Spot instance"
    region.run(until="301 s")
    assert Counter(i.market for i in group.in_service) == {"on-demand": 2, "spot": 2}
