"""How many things an account may have, and when a cluster or its capacity providers can go."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from sim_helpers import SUBNETS, associate, exact_region, fleet, network, register

from fargsim import Region
from fargsim.catalog.quotas import API_GROUPS
from fargsim.sim.errors import AwsError


def fargate(**more: Any) -> dict[str, Any]:
    return {"taskDefinition": "web", "launchType": "FARGATE", "networkConfiguration": network(), **more}


QUOTAS: dict[str, tuple[dict[str, float], Callable[[Region], Any], str, tuple[str, ...]]] = {
    "clusters": (
        {"clusters_per_account": 1},
        lambda r: r.ecs.create_cluster(clusterName="more"),
        "ClientException",
        ("clusterName", "clusters_per_account is 1 cluster,"),
    ),
    "services": (
        {"services_per_cluster": 1},
        lambda r: r.ecs.create_service(serviceName="more", **fargate()),
        "ClientException",
        ("serviceName", "services_per_cluster is 1 service,", "make it 2"),
    ),
    "tasks of a service": (
        {"tasks_per_service": 100},
        lambda r: r.ecs.update_service(service="there", desiredCount=101),
        "InvalidParameterException",
        ("desiredCount", "tasks_per_service is 100 tasks", "make it 101"),
    ),
    "tasks of a service with Service Connect": (
        {},
        lambda r: r.ecs.create_service(
            serviceName="named", **fargate(desiredCount=1001, serviceConnectConfiguration={"enabled": True})
        ),
        "InvalidParameterException",
        ("desiredCount", "tasks_per_service_with_discovery is 1000 tasks"),
    ),
    "revisions of a family": (
        {"revisions_per_family": 1},
        lambda r: register(r),
        "ClientException",
        ("family", "revisions_per_family is 1 revision,"),
    ),
    "size of a task definition": (
        {},
        lambda r: register(r, "long", container={"environment": [{"name": "X", "value": "x" * 66_000}]}),
        "ClientException",
        ("containerDefinitions", "task_definition_kib is 64 KiB"),
    ),
    "capacity providers of a cluster": (
        {"capacity_providers_per_cluster": 1},
        lambda r: associate(r),
        "ClientException",
        ("capacityProviders", "capacity_providers_per_cluster is 1 provider,"),
    ),
}


@pytest.mark.parametrize("name", QUOTAS)
def test_quotas_on_how_many_there_may_be(name: str) -> None:
    quotas, verb, code, words = QUOTAS[name]
    region = exact_region(quotas=quotas)
    register(region)
    region.ecs.create_service(serviceName="there", **fargate(desiredCount=1))
    with pytest.raises(AwsError) as caught:
        verb(region)
    assert caught.value.code == code
    for word in words:
        assert word in str(caught.value)


def test_a_cluster_that_is_full_takes_no_more_instances() -> None:
    region = exact_region(quotas={"instances_per_cluster": 2})
    fleet(region, 2)
    region.autoscaling.set_desired_capacity(AutoScalingGroupName="asg", DesiredCapacity=3)
    region.run(until="5 min")
    assert len(region.ecs.list_container_instances()["containerInstanceArns"]) == 2
    events = region.kit.recorder.events.frame()
    [said] = events[events.event_name == "REGISTRATION_FAILED"].message
    assert "cannot register: the quota instances_per_cluster is 2" in said


def test_a_cluster_is_deleted_when_nothing_is_left_in_it() -> None:
    region = exact_region()
    region.ecs.create_cluster(clusterName="small")
    register(region)
    fleet(region, 1, cluster="small")
    region.ecs.create_service(serviceName="web", cluster="small", **fargate(desiredCount=1))
    [task] = region.ecs.run_task(cluster="small", **fargate())["tasks"]
    region.run(until="1 min")

    def refused() -> str:
        with pytest.raises(AwsError) as caught:
            region.ecs.delete_cluster(cluster="small")
        return caught.value.code

    assert refused() == "ClusterContainsServicesException"
    region.ecs.delete_service(service="web", cluster="small", force=True)
    assert refused() == "ClusterContainsServicesException", "it drains"
    region.run(until="2 min")
    assert refused() == "ClusterContainsTasksException"
    region.ecs.stop_task(task=task["taskArn"], cluster="small")
    region.run(until="3 min")
    assert refused() == "ClusterContainsContainerInstancesException"
    region.autoscaling.set_desired_capacity(AutoScalingGroupName="asg", DesiredCapacity=0)
    region.run(until="5 min")
    assert region.ecs.delete_cluster(cluster="small")["cluster"]["status"] == "INACTIVE"
    with pytest.raises(AwsError, match="Cluster not found"):
        region.ecs.delete_cluster(cluster="small")
    # a provider of Managed Instances belongs to its cluster
    region.ecs.create_cluster(clusterName="managed")
    launch = {"networkConfiguration": {"subnets": list(SUBNETS)}}
    region.ecs.create_capacity_provider(
        name="mi", cluster="managed", managedInstancesProvider={"instanceLaunchTemplate": launch}
    )
    region.ecs.put_cluster_capacity_providers(
        cluster="managed", capacityProviders=["mi"], defaultCapacityProviderStrategy=[]
    )
    with pytest.raises(AwsError, match="capacity providers are active: mi") as caught:
        region.ecs.delete_cluster(cluster="managed")
    assert caught.value.code == "ClusterContainsCapacityProviderException"
    # its group is still there, but its instances have nowhere to register
    region.autoscaling.set_desired_capacity(AutoScalingGroupName="asg", DesiredCapacity=1)
    region.run(until="10 min")
    assert "the cluster has been deleted" in region.kit.recorder.events.frame().message.iloc[-1]


def test_a_capacity_provider_in_use_stays_with_its_cluster() -> None:
    region = exact_region()
    register(region)
    spot = [{"capacityProvider": "FARGATE_SPOT", "weight": 1}]
    call = fargate(desiredCount=1, capacityProviderStrategy=spot)
    del call["launchType"]
    region.ecs.create_service(serviceName="web", **call)
    only = {"cluster": "default", "capacityProviders": ["FARGATE"], "defaultCapacityProviderStrategy": []}
    with pytest.raises(AwsError, match="FARGATE_SPOT cannot be removed") as caught:
        region.ecs.put_cluster_capacity_providers(**only)
    assert caught.value.code == "ResourceInUseException"
    region.run(until="1 min")
    region.ecs.delete_service(service="web", force=True)
    with pytest.raises(AwsError):
        region.ecs.put_cluster_capacity_providers(**only)
    region.run(until="3 min")
    region.ecs.put_cluster_capacity_providers(**only)


def test_run_task_beyond_the_launch_rate_is_throttled():
    region = exact_region(quotas={"fargate_on_demand_launch_burst": 12, "fargate_on_demand_launches_per_s": 1})
    register(region)
    assert len(region.ecs.run_task(**fargate(count=10))["tasks"]) == 10
    part = region.ecs.run_task(**fargate(count=10))
    assert len(part["tasks"]) == 2
    assert len(part["failures"]) == 8
    with pytest.raises(AwsError) as caught:
        region.ecs.run_task(**fargate(count=1))
    assert caught.value.code == "ThrottlingException"


def test_run_task_beyond_the_provisioning_limit():
    region = exact_region(quotas={"provisioning_tasks_per_cluster": 12})
    register(region, fargate=False, memory=1024)
    fleet(region, 0)
    region.ecs.create_capacity_provider(
        name="cp",
        autoScalingGroupProvider={"autoScalingGroupArn": "asg", "managedScaling": {"status": "ENABLED"}},
    )
    associate(region, "cp")
    call = {
        "taskDefinition": "web",
        "count": 10,
        "capacityProviderStrategy": [{"capacityProvider": "cp", "weight": 1}],
    }
    assert len(region.ecs.run_task(**call)["tasks"]) == 10
    part = region.ecs.run_task(**call)
    assert (len(part["tasks"]), len(part["failures"])) == (2, 8)
    with pytest.raises(AwsError) as caught:
        region.ecs.run_task(**call)
    assert caught.value.code == "ClientException"
    assert "provisioning" in str(caught.value)
    assert len(region.ecs.list_tasks()["taskArns"]) == 12


def test_nothing_public_of_ecs_goes_past_its_rates():
    """Every verb is `counted`, but one for which no bucket is known."""
    ecs = type(exact_region().ecs)
    public = {name for name in dir(ecs) if not name.startswith("_") and callable(getattr(ecs, name))}
    past = {name for name in public if not hasattr(getattr(ecs, name), "__wrapped__")}
    assert past == {"put_account_setting_default"}
    assert not past & set(API_GROUPS)
