"""ECS Managed Instances by hand: what is launched for waiting tasks, when instances go, how long they live."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
from sim_helpers import SUBNETS, exact_region, network, register, seconds, statuses

from fargsim import Region
from fargsim.catalog import ec2_on_demand_price
from fargsim.model.spot_faults import Ec2SpotReclaim
from fargsim.policy.managed_instances import Offer, Room, choose_type, fill, underutilised
from fargsim.policy.managed_scaling import InstanceShape
from fargsim.policy.needs import TaskNeeds
from fargsim.sim.errors import AwsError
from fargsim.sim.spot import reclaim

C5: dict[str, Any] = {
    "vCpuCount": {"min": 1},
    "memoryMiB": {"min": 0},
    "allowedInstanceTypes": ["c5.large", "c5.xlarge", "c5.2xlarge"],
}


def managed(
    region: Region,
    requirements: dict[str, Any] | None = C5,
    *,
    subnets: tuple[str, ...] = ("subnet-a",),
    after: int | None = None,
    **template: Any,
) -> Any:
    launch = {"networkConfiguration": {"subnets": list(subnets)}, "instanceRequirements": requirements, **template}
    region.ecs.create_capacity_provider(
        name="mi",
        cluster="default",
        managedInstancesProvider={
            "instanceLaunchTemplate": {k: v for k, v in launch.items() if v is not None},
            "infrastructureOptimization": {"scaleInAfter": after},
        },
    )
    region.ecs.put_cluster_capacity_providers(
        cluster="default", capacityProviders=["mi"], defaultCapacityProviderStrategy=[]
    )
    return region.registry.groups["managed-instances-mi"]


def service(region: Region, desired: int, *subnets: str, **more: Any) -> None:
    region.ecs.create_service(
        **{
            "serviceName": "web",
            "taskDefinition": "web",
            "desiredCount": desired,
            "capacityProviderStrategy": [{"capacityProvider": "mi", "weight": 1}],
            "networkConfiguration": network(*(subnets or ("subnet-a",))),
            **more,
        }
    )


def test_waiting_tasks_get_the_cheapest_instances_that_hold_them():
    region = exact_region()
    register(region, cpu=1024, memory=2048)
    group = managed(region)
    service(region, 3)
    region.run(until="200 s")
    # in one subnet all are packed. A c5.large registers 3,993 MiB and holds one of 2,048, for 0.085; a c5.xlarge holds the three for
    # 0.17, a c5.2xlarge for 0.34
    assert [i.instance_type for i in group.in_service] == ["c5.xlarge"]
    price = {name: ec2_on_demand_price(name, "us-east-1").value for name in C5["allowedInstanceTypes"]}
    assert price["c5.xlarge"] / 3 < price["c5.large"] < price["c5.2xlarge"] / 3
    # tasks at 5 s, launched 5 s later, running at 33 s, registered at 93 s; interface 5 s, pull 2.4 s, start 2 s
    lives = statuses(region)
    assert [life[0] for life in lives] == [(5, "PROVISIONING")] * 3
    assert [life[-1] for life in lives] == [(102.4, "RUNNING")] * 3
    region.finish()
    frame = region.kit.recorder.instances.frame()
    assert frame.launched_at.map(seconds).tolist() == [10]
    assert frame.auto_scaling_group.isna().all()
    assert set(frame.capacity_provider) == {"mi"}
    assert frame.root_volume_gib.tolist() == [80]


def test_three_instances_in_three_zones_come_before_packing():
    region = exact_region()
    register(region, cpu=256, memory=512)
    group = managed(region, subnets=tuple(SUBNETS))
    service(region, 6, *SUBNETS)
    region.run(until="300 s")
    assert Counter(i.zone for i in group.in_service) == dict.fromkeys(SUBNETS.values(), 1)
    assert all(life[-1][1] == "RUNNING" for life in statuses(region))


def test_an_idle_instance_goes_after_its_time_unless_that_is_switched_off():
    for after, gone_at in ((120, True), (-1, False)):
        region = exact_region()
        register(region, cpu=1024, memory=2048, behaviour={"run": "60 s"})
        managed(region, after=after)
        region.ecs.run_task(
            taskDefinition="web",
            capacityProviderStrategy=[{"capacityProvider": "mi", "weight": 1}],
            networkConfiguration=network("subnet-a"),
        )
        region.run(until="20 min")
        frame = region.finish().instances.frame()
        assert frame.terminated_at.notna().tolist() == [gone_at]
        if gone_at:
            # launched at 5, registered at 88, RUNNING at 97.4, ends at 157.4 and 1 s for its interface's agent; 120 s later
            assert 277 <= seconds(frame.terminated_at[0]) <= 290
            assert frame.status_reason[0] == "idle"


def test_an_underutilised_instance_is_emptied_start_before_stop():
    region = exact_region()
    register(region, cpu=512, memory=1024)
    group = managed(region, after=60)
    service(region, 4)
    region.run(until="5 min")
    assert [len(i.tasks) for i in group.in_service] == [2, 2]
    region.ecs.update_service(service="web", desiredCount=2)
    least = 4
    for second in range(300, 1200, 5):
        region.run(second * 1_000_000)
        tasks = region.registry.service("default", "web").tasks.values()
        least = min(least, sum(t.last_status == "RUNNING" and t.alive for t in tasks))
    assert least == 2
    assert [len(i.tasks) for i in group.in_service] == [2]


def test_a_standalone_task_keeps_its_instance():
    region = exact_region()
    register(region, cpu=512, memory=1024)
    group = managed(region, after=60)
    for _ in range(2):
        region.ecs.run_task(
            taskDefinition="web",
            count=2,
            capacityProviderStrategy=[{"capacityProvider": "mi", "weight": 1}],
            networkConfiguration=network("subnet-a"),
        )
    region.run(until="5 min")
    stopped = [next(iter(i.tasks)) for i in group.in_service]
    for task in stopped:
        region.ecs.stop_task(task=task)
    region.run(until="30 min")
    assert [len(i.tasks) for i in group.in_service] == [1, 1]


def test_an_instance_drains_at_day_14_and_is_gone_by_day_21():
    region = exact_region()
    register(region, cpu=512, memory=1024)
    group = managed(region, after=-1)
    service(region, 1)
    region.ecs.run_task(
        taskDefinition="web",
        capacityProviderStrategy=[{"capacityProvider": "mi", "weight": 1}],
        networkConfiguration=network("subnet-a"),
    )
    region.run(until="10 min")
    [first] = group.in_service
    region.run(until="15 d")
    assert first.status == "DRAINING"
    assert {t.service for t in first.tasks.values()} == {None}, "the service's task has moved, the standalone one stays"
    region.run(until="22 d")
    assert seconds(region.finish().instances.frame().terminated_at.dropna().iloc[0]) == 21 * 86_400 + 5


def launches(region: Region) -> int:
    """How many instances have ever been launched."""
    there = region.registry.groups["managed-instances-mi"].instances
    return len(there) + len(region.kit.recorder.instances.frame())


@pytest.mark.parametrize(
    ("definition", "more"),
    [
        ({}, {"placementConstraints": [{"type": "distinctInstance"}]}),
        ({"fargate": False, "mode": "host"}, {"networkConfiguration": None}),  # all on port 80 of their instance
    ],
    ids=["distinctInstance", "host port"],
)
def test_tasks_that_cannot_share_an_instance_get_one_each_at_once_and_keep_it(
    definition: dict[str, Any], more: dict[str, Any]
):
    region = exact_region()
    register(region, cpu=256, memory=512, **definition)
    group = managed(region, after=60)
    service(region, 3, **more)
    region.run(until="2 min")
    assert [life[-1][1] for life in statuses(region)] == ["RUNNING"] * 3
    region.run(until="2 h")
    assert (launches(region), len(group.in_service)) == (3, 3), "they do not fit beside each other: nothing is emptied"


def test_tasks_of_different_groups_may_share_what_each_has_for_itself():
    region = exact_region()
    register(region, cpu=256, memory=512)
    group = managed(region)
    for name in ("a", "b"):
        service(region, 2, serviceName=name, placementConstraints=[{"type": "distinctInstance"}])
    region.run(until="5 min")
    assert [len(i.tasks) for i in group.in_service] == [2, 2]


def test_constraints_choose_the_type_before_the_price_does():
    region = exact_region()
    register(region, cpu=256, memory=512)
    group = managed(region, after=60)
    wanted = "attribute:ecs.instance-type == c5.2xlarge"
    service(region, 3, placementConstraints=[{"type": "memberOf", "expression": wanted}])
    service(region, 1, serviceName="other")
    region.run(until="1 h")
    assert Counter(i.instance_type for i in group.in_service)["c5.2xlarge"] == 1
    on = {t.service.name: i.instance_type for i in group.in_service for t in i.tasks.values()}
    assert on["web"] == "c5.2xlarge"
    assert launches(region) <= 2


def test_nothing_is_launched_for_what_no_new_instance_will_have():
    region = exact_region()
    register(region, cpu=256, memory=512)
    managed(region)
    wanted = "attribute:stack == prod"
    service(region, 3, placementConstraints=[{"type": "memberOf", "expression": wanted}])
    service(region, 1, serviceName="other")  # behind them in the line
    region.run(until="29 min")
    assert launches(region) == 1
    running = {t.service.name for t in region.registry.cluster("default").tasks.values() if t.started_at is not None}
    assert running == {"other"}


def test_spot_capacity_and_its_reclaims():
    region = exact_region(assumptions={"ec2_spot_hazard_scale": 0})
    register(region, cpu=512, memory=1024)
    group = managed(region, capacityOptionType="SPOT")
    service(region, 1, deploymentConfiguration={"minimumHealthyPercent": 100, "maximumPercent": 200})
    region.run(until="5 min")
    [instance] = group.in_service
    assert instance.market == "spot"
    reclaim(region.kit, region.registry.ec2, Ec2SpotReclaim(), group)
    assert instance.status == "DRAINING", "the notice drains: ECS manages that"
    region.run(until="7 min")
    assert instance.gone()
    region.run(until="12 min")
    [another] = group.in_service
    assert (another.market, [t.last_status for t in another.tasks.values()]) == ("spot", ["RUNNING"])
    markets = region.finish().instances.frame().market.unique().tolist()
    assert markets == ["spot"]


@pytest.mark.parametrize(
    ("requirements", "subnets", "message"),
    [
        ({"vCpuCount": {"min": 5000}, "memoryMiB": {"min": 0}}, ("subnet-a",), "no instance type of us-east-1"),
        (C5, ("subnet-x",), "subnet-x"),
        ({"vCpuCount": {"min": 4, "max": 2}, "memoryMiB": {"min": 0}}, ("subnet-a",), "max .2. is below min .4."),
    ],
)
def test_what_the_verb_refuses(requirements: dict[str, Any], subnets: tuple[str, ...], message: str):
    region = exact_region()
    with pytest.raises(AwsError, match=message):
        managed(region, requirements, subnets=subnets)
    assert not region.registry.providers


def test_no_strategy_mixes_families():
    region = exact_region()
    register(region, cpu=512, memory=1024)
    managed(region)
    region.autoscaling.create_launch_template(LaunchTemplateName="t", LaunchTemplateData={"InstanceType": "c5.large"})
    region.autoscaling.create_auto_scaling_group(
        AutoScalingGroupName="asg", MinSize=0, MaxSize=1, LaunchTemplate={"LaunchTemplateName": "t"}
    )
    region.ecs.create_capacity_provider(name="cp", autoScalingGroupProvider={"autoScalingGroupArn": "asg"})
    region.ecs.put_cluster_capacity_providers(
        cluster="default", capacityProviders=["mi", "cp"], defaultCapacityProviderStrategy=[]
    )
    both = [{"capacityProvider": "mi", "weight": 1}, {"capacityProvider": "cp", "weight": 1}]
    with pytest.raises(AwsError, match="mix Managed Instances") as caught:
        service(region, 1, capacityProviderStrategy=both)
    assert caught.value.code == "InvalidParameterException"
    groups = region.autoscaling.describe_auto_scaling_groups()["AutoScalingGroups"]
    assert [g["AutoScalingGroupName"] for g in groups] == ["asg"], "what ECS manages is no group of the user's"


def test_tasks_in_bridge_mode_are_refused():
    region = exact_region()
    register(region, cpu=512, memory=1024, fargate=False)
    managed(region)
    with pytest.raises(AwsError, match="networkMode awsvpc or host, but web:1 has bridge") as caught:
        service(region, 1, networkConfiguration=None)
    assert caught.value.code == "InvalidParameterException"


def test_packing_and_emptying_as_decisions():
    small, big = (Offer(n, "x86_64", InstanceShape(c, 9999, 9), p) for n, c, p in (("s", 1024, 1.0), ("b", 4096, 3.5)))
    task = TaskNeeds(512, 100)
    assert choose_type([small, big], []) is None
    assert choose_type([small, big], [TaskNeeds(9000, 1)]) is None
    chosen = choose_type([small, big], [task] * 8)
    assert chosen is not None
    assert (chosen[0].name, chosen[1]) == ("b", tuple(range(8)))
    assert fill([Room(512, 99)], [task]) == [0]
    assert fill([], [task]) == [0]
    assert underutilised([[task]], [Room(0, 0)]) is None
    assert underutilised([[task], []], [Room(0, 0), Room(512, 100)]) == 0
    assert underutilised([[task], []], [Room(0, 0), Room(511, 100)]) is None


@pytest.mark.parametrize(
    ("needs", "left"),
    [
        (TaskNeeds(1024, 2048, ((443, "tcp"),), 2, 1), Room(0, 0, 0, 0, frozenset({(80, "tcp"), (443, "tcp")}))),
        (TaskNeeds(1024, 2048), Room(0, 0, 2, 1, frozenset({(80, "tcp")}))),
        (TaskNeeds(1025, 1), None),
        (TaskNeeds(1, 2049), None),
        (TaskNeeds(1, 1, enis=3), None),
        (TaskNeeds(1, 1, gpus=2), None),
        (TaskNeeds(1, 1, ((443, "tcp"), (80, "tcp"))), None),
    ],
)
def test_what_a_task_leaves_of_a_room(needs: TaskNeeds, left: Room | None) -> None:
    assert Room(1024, 2048, 2, 1, frozenset({(80, "tcp")})).less(needs) == left


def test_a_room_without_interfaces_takes_who_asks_for_none() -> None:
    assert Room(1, 1, enis=-1).less(TaskNeeds(1, 1)) == Room(0, 0, enis=-1)
    assert Room(1, 1, enis=0).less(TaskNeeds(1, 1, enis=1)) is None


def test_tasks_on_managed_instances_are_packed_and_no_strategy_is_taken():
    region = exact_region()
    register(region, "whole", cpu=4096, memory=8192, behaviour={"run": "10 min"})
    register(region, cpu=512, memory=1024)
    managed(region, {"vCpuCount": {"min": 1}, "memoryMiB": {"min": 0}, "allowedInstanceTypes": ["m5.xlarge"]}, after=-1)
    run = {
        "capacityProviderStrategy": [{"capacityProvider": "mi", "weight": 1}],
        "networkConfiguration": network("subnet-a"),
    }
    region.ecs.run_task(taskDefinition="whole", **run)
    region.run(until="3 min")
    region.ecs.run_task(taskDefinition="web", **run)
    region.run(until="20 min")
    empty, begun = region.registry.cluster("default").instances_by_row.values()
    assert (len(empty.tasks), len(begun.tasks)) == (0, 1)
    # by the default rule of services the instance without a task of the service would come first
    service(region, 2)
    region.run(until="25 min")
    assert (len(empty.tasks), len(begun.tasks)) == (0, 3)
    with pytest.raises(AwsError, match=r"Managed Instances.*\(placementStrategy\)") as refused:
        service(region, 1, serviceName="other", placementStrategy=[{"type": "random"}])
    assert type(refused.value).__name__ == "InvalidParameterException"
