"""Capacity providers through the verbs: what is refused, with field and legal range, and services that move from one to another."""

from __future__ import annotations

from collections import Counter
from itertools import permutations
from typing import Any

import pytest
from sim_helpers import SUBNETS, associate, exact_region, fleet, messages, network, register

from fargsim import Region
from fargsim.sim.errors import AwsError

SPLIT = "FARGATE", "FARGATE_SPOT"
TWO_BASES = [{"capacityProvider": name, "base": 1, "weight": 1} for name in SPLIT]
NO_WEIGHT = [{"capacityProvider": name, "weight": 0} for name in SPLIT]
FAMILIES = [{"capacityProvider": name, "weight": 1} for name in ("FARGATE", "cp")]
MANAGED_TOO = [{"capacityProvider": name, "weight": 1} for name in ("cp", "mi")]


def region_with_providers() -> Region:
    region = exact_region()
    register(region, cpu=256, memory=512)
    fleet(region, 2, kind="c5.xlarge")
    region.ecs.create_capacity_provider(
        name="cp", autoScalingGroupProvider={"autoScalingGroupArn": "asg", "managedScaling": {"status": "ENABLED"}}
    )
    launch = {"networkConfiguration": {"subnets": ["subnet-a", "subnet-b", "subnet-c"]}}
    region.ecs.create_capacity_provider(
        name="mi", cluster="default", managedInstancesProvider={"instanceLaunchTemplate": launch}
    )
    region.ecs.put_cluster_capacity_providers(
        cluster="default", capacityProviders=[*SPLIT, "cp", "mi"], defaultCapacityProviderStrategy=[]
    )
    return region


def create(region: Region, **launch: Any) -> None:
    region.ecs.create_service(
        serviceName="web", taskDefinition="web", desiredCount=2, networkConfiguration=network(), **launch
    )


@pytest.mark.parametrize(
    ("strategy", "message"),
    [
        (TWO_BASES, r"\[1\]\.base: only one capacity provider of a strategy may have a base, and FARGATE has one"),
        (NO_WEIGHT, r": with several .* at least one weight must be above zero \(legal: 0 to 1000\)"),
        (FAMILIES, r": a strategy may not mix Fargate providers with .* and it has FARGATE and cp"),
        (MANAGED_TOO, r": a strategy cannot mix Managed Instances providers .* and it has mi and cp"),
        ([{"capacityProvider": "FARGATE", "weight": 1001}], r"\[0\]\.weight: must be at most 1000, not 1001"),
        ([{"capacityProvider": "FARGATE", "base": 100_001}], r"\[0\]\.base: must be at most 100000, not 100001"),
        ([{"capacityProvider": f"p{n}"} for n in range(21)], ": must have at most 20 elements, not 21"),
    ],
    ids=["bases", "weights", "families", "managed instances", "weight", "base", "many"],
)
def test_a_strategy_is_refused_by_every_verb_that_takes_one(strategy: list[dict[str, Any]], message: str):
    region = region_with_providers()
    create(region, launchType="FARGATE")
    before = region.registry.service("default", "web").spec
    calls = {
        "create_service": {"serviceName": "b", "taskDefinition": "web", "networkConfiguration": network()},
        "run_task": {"taskDefinition": "web", "networkConfiguration": network()},
        "update_service": {"service": "web", "forceNewDeployment": True},
    }
    for verb, arguments in calls.items():
        with pytest.raises(AwsError, match=f"capacityProviderStrategy{message}") as caught:
            getattr(region.ecs, verb)(capacityProviderStrategy=strategy, **arguments)
        assert caught.value.code == "InvalidParameterException"
    assert region.registry.service("default", "web").spec is before


def test_the_default_strategy_of_a_cluster_is_held_to_the_same():
    region = region_with_providers()
    for strategy, message in (
        (TWO_BASES, r"\[1\]\.base"),
        (NO_WEIGHT, ": with several"),
        (FAMILIES, ": a strategy may"),
    ):
        with pytest.raises(AwsError, match=f"defaultCapacityProviderStrategy{message}"):
            region.ecs.put_cluster_capacity_providers(
                cluster="default", capacityProviders=[*SPLIT, "cp"], defaultCapacityProviderStrategy=strategy
            )


@pytest.mark.parametrize(
    ("group", "settings", "message"),
    [
        ({}, {"managedTerminationProtection": "ENABLED"}, "instance protection from scale in enabled.*of asg"),
        (
            {"NewInstancesProtectedFromScaleIn": True},
            {"managedTerminationProtection": "ENABLED", "managedScaling": {"status": "DISABLED"}},
            r"managed scaling must be enabled.*managedScaling\.status",
        ),
        ({"MaxSize": 0}, {}, "managedScaling: the Auto Scaling group asg must have a MaxSize above 0"),
        ({}, {"managedScaling": {"targetCapacity": 101}}, r"targetCapacity: must be at most 100.*\(legal: 1 to 100\)"),
        ({}, {"managedScaling": {"instanceWarmupPeriod": 10_001}}, r"\(legal: 0 to 10000\)"),
        ({}, {"managedScaling": {"minimumScalingStepSize": 0}}, r"\(legal: 1 to 10000\)"),
    ],
)
def test_what_a_provider_needs_of_its_group(group: dict[str, Any], settings: dict[str, Any], message: str):
    region = exact_region()
    fleet(region, 0, **group)
    provider = {"autoScalingGroupArn": "asg", "managedScaling": {"status": "ENABLED"}, **settings}
    with pytest.raises(AwsError, match=message) as caught:
        region.ecs.create_capacity_provider(name="cp", autoScalingGroupProvider=provider)
    assert caught.value.code == "InvalidParameterException"
    assert not region.registry.providers
    assert region.registry.group("asg").provider is None


def test_managed_instances_belong_to_their_cluster():
    region = region_with_providers()
    region.ecs.create_cluster(clusterName="other")
    with pytest.raises(AwsError, match="mi belongs to cluster default, not to other") as caught:
        region.ecs.put_cluster_capacity_providers(
            cluster="other", capacityProviders=["mi"], defaultCapacityProviderStrategy=[]
        )
    assert caught.value.code == "InvalidParameterException"


@pytest.mark.parametrize(
    ("platform", "version", "message"),
    [
        ({"operatingSystemFamily": "WINDOWS_SERVER_2022_CORE"}, None, "Linux tasks only, not WINDOWS_SERVER_2022_CORE"),
        ({"cpuArchitecture": "ARM64"}, "1.3.0", r"ARM64 tasks from platform version 1\.4\.0 on, not on 1\.3\.0"),
        ({"cpuArchitecture": "ARM64"}, None, None),
    ],
)
def test_fargate_spot_runs_linux_and_on_arm_from_version_1_4_on(
    platform: dict[str, str], version: str | None, message: str | None
):
    region = exact_region()
    region.ecs.register_task_definition(
        family="web",
        cpu="1024",
        memory="2048",
        networkMode="awsvpc",
        requiresCompatibilities=["FARGATE"],
        runtimePlatform=platform,
        containerDefinitions=[{"name": "app", "image": "app:1"}],
    )
    spot = {"capacityProviderStrategy": [{"capacityProvider": "FARGATE_SPOT", "weight": 1}]}
    more = {} if version is None else {"platformVersion": version}
    if message is None:
        create(region, **spot, **more)
        return
    with pytest.raises(AwsError, match=f"capacityProviderStrategy: FARGATE_SPOT runs {message}") as caught:
        create(region, **spot, **more)
    assert caught.value.code == "InvalidParameterException"


# services that move


KINDS = {"fargate": "FARGATE_SPOT", "group": "cp", "managed": "mi"}


@pytest.mark.parametrize(("before", "after"), list(permutations(KINDS, 2)))
def test_a_service_moves_between_any_two_kinds_of_provider(before: str, after: str):
    region = region_with_providers()
    create(region, capacityProviderStrategy=[{"capacityProvider": KINDS[before], "weight": 1}])
    region.run(until="10 min")
    service = region.registry.service("default", "web")
    assert Counter(t.capacity_provider for t in service.tasks.values()) == {KINDS[before]: 2}
    strategy = [{"capacityProvider": KINDS[after], "weight": 1}]
    with pytest.raises(AwsError, match="you must force a new deployment") as caught:
        region.ecs.update_service(service="web", capacityProviderStrategy=strategy)
    assert caught.value.code == "InvalidParameterException"
    region.ecs.update_service(service="web", capacityProviderStrategy=strategy, forceNewDeployment=True)
    least = 2
    for second in range(600, 1800, 10):
        region.run(second * 1_000_000)
        least = min(least, service.running)
    assert Counter(t.capacity_provider for t in service.tasks.values()) == {KINDS[after]: 2}
    assert least == 2, "a rolling update as any other: the minimum of 100 percent is kept"


def test_a_strategy_that_stays_as_it_is_needs_no_force():
    region = region_with_providers()
    spot = [{"capacityProvider": "FARGATE_SPOT", "weight": 1}]
    create(region, capacityProviderStrategy=spot)
    region.ecs.update_service(service="web", capacityProviderStrategy=spot, desiredCount=3)
    assert len(region.registry.service("default", "web").deployments) == 1


def test_an_empty_strategy_takes_the_service_back_to_its_launch_type_or_to_the_clusters_default():
    region = region_with_providers()
    spot = [{"capacityProvider": "FARGATE_SPOT", "weight": 1}]
    create(region, launchType="FARGATE")
    region.ecs.update_service(service="web", capacityProviderStrategy=spot, forceNewDeployment=True)
    assert region.registry.service("default", "web").spec.launch_type is None
    region.ecs.update_service(service="web", capacityProviderStrategy=[], forceNewDeployment=True)
    assert region.registry.service("default", "web").spec.launch_type == "FARGATE"

    region = region_with_providers()
    create(region, capacityProviderStrategy=spot)
    with pytest.raises(AwsError, match="No launch type to fall back to for empty capacity provider strategy"):
        region.ecs.update_service(service="web", capacityProviderStrategy=[], forceNewDeployment=True)
    region.ecs.put_cluster_capacity_providers(
        cluster="default",
        capacityProviders=list(SPLIT),
        defaultCapacityProviderStrategy=[{"capacityProvider": "FARGATE", "weight": 1}],
    )
    region.ecs.update_service(service="web", capacityProviderStrategy=[], forceNewDeployment=True)
    region.run(until="10 min")
    tasks = region.registry.service("default", "web").tasks.values()
    assert Counter(t.capacity_provider for t in tasks) == {"FARGATE": 2}


def test_tasks_of_the_old_revision_are_replaced_where_it_ran():
    """A strategy belongs to the service's revision (API_ServiceRevision.html): a task lost in the middle of a move comes back there."""
    region = region_with_providers()
    create(region, launchType="FARGATE", deploymentConfiguration={"maximumPercent": 150})
    region.run(until="5 min")
    spot = [{"capacityProvider": "FARGATE_SPOT", "weight": 1}]
    region.ecs.update_service(service="web", capacityProviderStrategy=spot, forceNewDeployment=True)
    old, new = reversed(region.registry.service("default", "web").deployments)
    assert (old.spec.launch_type, old.spec.capacity_provider_strategy) == ("FARGATE", ())
    assert (new.spec.launch_type, new.spec.capacity_provider_strategy[0].capacity_provider) == (None, "FARGATE_SPOT")
    region.registry.fargate.capacity.withdraw(SUBNETS.values(), ["spot"], 3_600_000_000)
    lost = {t.task_id for t in region.registry.service("default", "web").tasks.values() if t.launch_type == "FARGATE"}
    region.run(until="6 min")
    for task in lost:
        region.ecs.stop_task(task=task)
    region.run(until="10 min")
    found = region.registry.service("default", "web").tasks
    assert [(t.launch_type, t.capacity_provider, t.last_status) for t in found.values()] == [
        ("FARGATE", None, "RUNNING")
    ] * 2
    assert not lost & set(found)


def test_a_move_that_is_given_up_takes_the_service_back_to_where_it_was():
    region = region_with_providers()
    create(region, launchType="FARGATE")
    region.run(until="5 min")
    register(region, cpu=256, memory=512)
    region.ecs.update_service(
        service="web",
        taskDefinition="web:2",
        capacityProviderStrategy=[{"capacityProvider": "cp", "weight": 1}],
        placementStrategy=[{"type": "spread", "field": "instanceId"}],
        forceNewDeployment=True,
    )
    region.run(until="330 s")
    region.ecs.stop_service_deployment(service="web")
    region.run(until="30 min")
    service = region.registry.service("default", "web")
    assert service.rollouts.current.status == "ROLLBACK_SUCCESSFUL"
    assert {(t.launch_type, t.revision.number) for t in service.tasks.values()} == {("FARGATE", 1)}
    assert (service.spec.launch_type, service.spec.placement_strategy) == ("FARGATE", ())
    region.ecs.update_service(service="web", desiredCount=3)  # not refused for rules of placement on EC2
    region.run(until="40 min")
    assert service.running == 3


def test_a_service_that_has_moved_launches_at_the_rate_of_its_new_kind():
    region = exact_region(quotas={"ec2_service_launches_per_min": 1, "fargate_service_launches_per_min": 100})
    register(region, cpu=256, memory=512)
    fleet(region, 1, kind="c5.4xlarge", awsvpc_trunking=True)
    region.ecs.create_service(
        serviceName="web", taskDefinition="web", desiredCount=1, launchType="EC2", networkConfiguration=network()
    )
    region.run(until="2 min")
    region.ecs.update_service(
        service="web",
        desiredCount=8,
        capacityProviderStrategy=[{"capacityProvider": "FARGATE", "weight": 1}],
        forceNewDeployment=True,
    )
    region.run(until="3 min")
    tasks = region.registry.service("default", "web").tasks.values()
    assert sum(t.fargate for t in tasks) == 8


# a provider that refuses


BASE_AND_SPOT = [
    {"capacityProvider": "FARGATE", "base": 2, "weight": 1},
    {"capacityProvider": "FARGATE_SPOT", "weight": 3},
]


def by_provider(region: Region) -> Counter[str]:
    tasks = region.registry.service("default", "web").tasks.values()
    return Counter(t.capacity_provider for t in tasks if t.alive)


def test_without_spot_capacity_the_on_demand_share_runs_and_no_more():
    """github.com/aws/containers-roadmap/issues/852: the Spot tasks are not launched, the on-demand count is kept."""
    region = exact_region()
    register(region)
    region.registry.fargate.capacity.withdraw(SUBNETS.values(), ["spot"], 1_200_000_000)
    create(region, capacityProviderStrategy=BASE_AND_SPOT)
    region.ecs.update_service(service="web", desiredCount=10)
    region.run(until="15 min")
    assert by_provider(region) == {"FARGATE": 4}, "as of ten tasks with Spot: 4 and 6"
    region.ecs.update_service(service="web", desiredCount=18)
    region.run(until="19 min")
    assert by_provider(region) == {"FARGATE": 6}
    region.run(until="25 min")
    assert by_provider(region) == {"FARGATE": 6, "FARGATE_SPOT": 12}
    told = [text for _, text in messages(region) if "unable to place" in text]
    assert len(told) == 1, "the same event is not repeated, though tasks on demand were started meanwhile"


def test_run_task_without_spot_capacity_fails_the_spot_share_only():
    region = exact_region()
    register(region)
    region.registry.fargate.capacity.withdraw(SUBNETS.values(), ["spot"], 1_200_000_000)
    answer = region.ecs.run_task(
        taskDefinition="web", count=10, networkConfiguration=network(), capacityProviderStrategy=BASE_AND_SPOT
    )
    assert [t["capacityProviderName"] for t in answer["tasks"]] == ["FARGATE"] * 4
    assert [f["detail"] for f in answer["failures"]] == ["RESOURCE:FARGATE"] * 6


def test_a_full_group_without_managed_scaling_does_not_hold_up_the_other():
    region = exact_region()
    register(region, cpu=1024, memory=512, fargate=False)
    for name, size in (("a", 1), ("b", 4)):
        fleet(region, size, name=f"asg-{name}")
        region.ecs.create_capacity_provider(name=name, autoScalingGroupProvider={"autoScalingGroupArn": f"asg-{name}"})
    associate(region, "a", "b")
    region.ecs.create_service(
        serviceName="web",
        taskDefinition="web",
        desiredCount=8,
        capacityProviderStrategy=[{"capacityProvider": name, "weight": 1} for name in "ab"],
    )
    region.run(until="5 min")
    assert by_provider(region) == {"a": 2, "b": 4}
