"""Laws of capacity, for any history of a group: it comes to rest at what is desired, in balance, and every instance is kept once."""

from __future__ import annotations

from collections import Counter
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from sim_helpers import SUBNETS, associate, exact_region, network, register

from fargsim import Region
from fargsim.model.spot_faults import Ec2SpotReclaim
from fargsim.policy.scaling_group import most_at_once
from fargsim.sim.instances import InstanceRun
from fargsim.sim.spot import reclaim

MIN = 60_000_000
ZONES = list(SUBNETS.values())
MOST = 12

ACTIONS = st.lists(
    st.tuples(
        st.sampled_from(["desire", "lose", "unhealthy", "reclaim", "refresh", "outage", "version", "tasks"]),
        st.integers(0, MOST),
        st.integers(1, 12),
    ),
    min_size=1,
    max_size=10,
)
OPTIONS = st.fixed_dictionaries(
    {
        "rebalance": st.booleans(),
        "protect": st.booleans(),
        "drain": st.booleans(),
        "managed": st.booleans(),
        "hook_s": st.sampled_from([0, 30, 200]),
    }
)


def build(options: dict[str, Any]) -> Region:
    region = exact_region(assumptions={"ec2_spot_hazard_scale": 0})
    register(region, cpu=1024, memory=512, fargate=False)
    region.autoscaling.create_launch_template(LaunchTemplateName="lt", LaunchTemplateData={"InstanceType": "c5.large"})
    hooks = [
        {
            "LifecycleHookName": side,
            "LifecycleTransition": f"autoscaling:EC2_INSTANCE_{side}",
            "answer": {"after": f"{options['hook_s']} s"},
        }
        for side in ("LAUNCHING", "TERMINATING")
        if options["hook_s"]
    ]
    region.autoscaling.create_auto_scaling_group(
        AutoScalingGroupName="asg",
        MinSize=0,
        MaxSize=MOST,
        DesiredCapacity=3,
        AvailabilityZones=ZONES,
        NewInstancesProtectedFromScaleIn=options["protect"],
        CapacityRebalance=options["rebalance"],
        LifecycleHookSpecificationList=hooks,
        registered_at_start=True,
        MixedInstancesPolicy={
            "LaunchTemplate": {
                "LaunchTemplateSpecification": {"LaunchTemplateName": "lt"},
                "Overrides": [{"InstanceType": "c5.large"}, {"InstanceType": "m5.large"}],
            },
            "InstancesDistribution": {"OnDemandBaseCapacity": 1, "OnDemandPercentageAboveBaseCapacity": 50},
        },
    )
    region.ecs.create_capacity_provider(
        name="cp",
        autoScalingGroupProvider={
            "autoScalingGroupArn": "asg",
            "managedScaling": {"status": "ENABLED" if options["managed"] else "DISABLED"},
            "managedTerminationProtection": "ENABLED" if options["protect"] and options["managed"] else "DISABLED",
            "managedDraining": "ENABLED" if options["drain"] else "DISABLED",
        },
    )
    associate(region, "cp")
    region.ecs.create_service(
        serviceName="web",
        taskDefinition="web",
        desiredCount=2,
        capacityProviderStrategy=[{"capacityProvider": "cp", "weight": 1}],
    )
    return region


def act(region: Region, what: str, number: int) -> None:
    group = region.registry.group("asg")
    there: list[InstanceRun] = group.in_service
    if what == "desire":
        group.set_desired(number)
    elif what == "lose" and there:
        group.lose(there[number % len(there)], "fault: instance_loss")
    elif what == "unhealthy" and there:
        group.replace(there[number % len(there)], "unhealthy")
    elif what == "reclaim":
        reclaim(
            region.kit, region.registry.ec2, Ec2SpotReclaim(count=1 + number, rebalance_lead=f"{number} min"), group
        )
    elif what == "refresh":
        started = region.autoscaling.describe_instance_refreshes(AutoScalingGroupName="asg")["InstanceRefreshes"]
        if not started or started[0]["Status"] != "InProgress":
            region.autoscaling.start_instance_refresh(
                AutoScalingGroupName="asg", Preferences={"MaxHealthyPercentage": 100 + 10 * (number % 2)}
            )
    elif what == "outage":
        region.registry.ec2.withdraw([ZONES[number % 3]], number * MIN)
    elif what == "version":
        kind = ("c5.large", "c5.xlarge")[number % 2]
        region.autoscaling.create_launch_template_version(
            LaunchTemplateName="lt", LaunchTemplateData={"InstanceType": kind}
        )
    elif what == "tasks":
        region.ecs.update_service(service="web", desiredCount=number)


@settings(max_examples=40, deadline=None)
@given(OPTIONS, ACTIONS)
def test_a_group_comes_to_rest_at_what_is_desired(options: dict[str, Any], actions: list[tuple[str, int, int]]) -> None:
    region = build(options)
    group = region.registry.group("asg")
    now = 0
    for what, number, minutes in actions:
        act(region, what, number)
        for _ in range(minutes):
            now += MIN
            region.run(now)
            serving = group.in_service
            assert len(serving) <= most_at_once(MOST) + 1
            assert 0 <= group.desired <= MOST
            assert not any(i.gone() for i in group.instances.values())
            counts = Counter(i.zone for i in serving)
            assert {z: n for z, n in group._zone_counts.items() if n} == counts
            for instance in serving:
                assert all(t.instance is instance for t in instance.tasks.values())
    region.run(now + 240 * MIN)
    serving = group.in_service
    if not options["protect"]:
        assert len(serving) == group.desired, "it comes to rest"
        counts = Counter(i.zone for i in serving)
        assert max((counts[z] for z in ZONES), default=0) - min(counts[z] for z in ZONES) <= 1, "and into balance"
    assert len(serving) >= group.desired
    assert all(i.in_service_at is not None and i.registered_at is not None for i in serving)
    frame = region.finish().instances.frame()
    assert frame.instance_id.is_unique
    assert set(frame[frame.terminated_at.isna()].instance_id) == set(group.instances)
    ended = frame[frame.terminated_at.notna()]
    assert (ended.terminated_at >= ended.launched_at).all()


@settings(max_examples=25, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 12), st.integers(1, 20), st.booleans()), min_size=1, max_size=6),
    st.sampled_from([0, 60, 600]),
    st.integers(1, 3),
)
def test_managed_instances_hold_what_is_wanted_and_no_empty_instance_stays(
    changes: list[tuple[int, int, bool]], after: int, zones: int
) -> None:
    region = exact_region()
    register(region, cpu=512, memory=1024)
    subnets = tuple(SUBNETS)[:zones]
    region.ecs.create_capacity_provider(
        name="mi",
        cluster="default",
        managedInstancesProvider={
            "instanceLaunchTemplate": {
                "networkConfiguration": {"subnets": list(subnets)},
                "instanceRequirements": {
                    "vCpuCount": {"min": 2, "max": 8},
                    "memoryMiB": {"min": 0},
                    "allowedInstanceTypes": ["c5.*", "m6i.*"],
                },
            },
            "infrastructureOptimization": {"scaleInAfter": after},
        },
    )
    region.ecs.put_cluster_capacity_providers(
        cluster="default", capacityProviders=["mi"], defaultCapacityProviderStrategy=[]
    )
    region.ecs.create_service(
        serviceName="web",
        taskDefinition="web",
        desiredCount=1,
        capacityProviderStrategy=[{"capacityProvider": "mi", "weight": 1}],
        networkConfiguration=network(*subnets),
    )
    group = region.registry.groups["managed-instances-mi"]
    now = 0
    for desired, minutes, lost in changes:
        region.ecs.update_service(service="web", desiredCount=desired)
        if lost and group.in_service:
            group.lose(group.in_service[0], "fault: instance_loss")
        now += minutes * MIN
        region.run(now)
    region.run(now + 120 * MIN)
    found = region.ecs.describe_services(services=["web"])["services"][0]
    assert found["runningCount"] == changes[-1][0]
    assert all(i.tasks for i in group.in_service), "idle instances are gone"
    assert not region.registry.cluster("default").waiting
