"""Daemon services on exact regions: one task on every matching instance, first to start, last to stop, renewed instance by instance."""

from __future__ import annotations

from typing import Any

import pytest
from sim_helpers import EXACT, exact_region, fleet, messages, network, register, seconds, statuses

from fargsim import Region
from fargsim.sim.errors import AwsError

LINUX = {"type": "memberOf", "expression": "attribute:stack == prod"}


def daemon(region: Region, **more: Any) -> None:
    region.ecs.create_service(
        **{
            "serviceName": "agent",
            "taskDefinition": "agent",
            "launchType": "EC2",
            "schedulingStrategy": "DAEMON",
            **more,
        }
    )


def web(region: Region, desired: int, **more: Any) -> None:
    region.ecs.create_service(
        **{"serviceName": "web", "taskDefinition": "web", "desiredCount": desired, "launchType": "EC2", **more}
    )


def instances(region: Region) -> list[str]:
    return region.ecs.list_container_instances()["containerInstanceArns"]


def hosts(region: Region, service: str = "agent") -> list[str]:
    """Instances on which a task of a service is alive, in order of registration."""
    tasks = region.registry.service("default", service).tasks.values()
    return sorted(t.instance.instance_id for t in tasks if t.alive and t.instance is not None)


def described(region: Region, service: str = "agent") -> dict[str, Any]:
    return region.ecs.describe_services(services=[service])["services"][0]


def drain(region: Region, arn: str, status: str = "DRAINING") -> None:
    region.ecs.update_container_instances_state(containerInstances=[arn], status=status)


def small(assumptions: dict[str, Any] | None = None) -> Region:
    """Room for a daemon of 256 units and web tasks of 512 on instances of 2,048 units."""
    region = exact_region(assumptions={**EXACT, **(assumptions or {})})
    register(region, "agent", cpu=256, memory=256, fargate=False)
    register(region, "web", cpu=512, memory=512, fargate=False)
    return region


def test_one_task_on_every_instance_and_the_desired_count_follows_the_fleet() -> None:
    region = small()
    fleet(region, 3)
    daemon(region)
    region.run(until="60 s")
    assert len(hosts(region)) == len(set(hosts(region))) == 3
    assert (described(region)["desiredCount"], described(region)["runningCount"]) == (3, 3)
    region.autoscaling.set_desired_capacity(AutoScalingGroupName="asg", DesiredCapacity=5)
    region.run(until="5 min")
    assert len(set(hosts(region))) == described(region)["runningCount"] == described(region)["desiredCount"] == 5
    region.autoscaling.set_desired_capacity(AutoScalingGroupName="asg", DesiredCapacity=2)
    region.run(until="10 min")
    assert len(set(hosts(region))) == described(region)["desiredCount"] == 2
    assert messages(region, "agent")[-1][1] == "has reached a steady state."


def test_on_a_new_instance_the_daemon_comes_before_everybody_who_waits() -> None:
    """An instance of 2,048 units: four web tasks would fill it. The daemon's 256 units are taken first, in the same instant."""
    region = small()
    fleet(region, 0)
    daemon(region)
    web(region, 4)
    region.run(until="60 s")
    region.autoscaling.set_desired_capacity(AutoScalingGroupName="asg", DesiredCapacity=1)
    region.run(until="4 min")
    assert len(hosts(region)) == 1
    assert len(hosts(region, "web")) == 3
    tasks = region.registry.cluster("default").tasks.values()
    [registered] = {i.registered_at for i in region.registry.group("asg").in_service}
    assert [t.created_at for t in tasks if t.daemon] == [registered]
    assert min(t.created_at for t in tasks if not t.daemon) >= registered
    assert [t.daemon for t in sorted(tasks, key=lambda t: t.number)] == [True, False, False, False]


def test_a_place_that_frees_goes_to_the_daemon_that_lacks_one() -> None:
    region = small()
    fleet(region, 1)
    web(region, 6)
    region.run(until="60 s")
    assert len(hosts(region, "web")) == 4
    daemon(region)
    region.run(until="120 s")
    assert hosts(region) == []
    assert "insufficient CPU units" in messages(region, "agent")[-1][1]
    [task, *_] = region.ecs.list_tasks(serviceName="web")["taskArns"]
    region.ecs.stop_task(task=task)
    region.run(until="180 s")
    assert len(hosts(region)) == 1
    assert len(hosts(region, "web")) == 3


def test_a_drained_instance_stops_its_daemon_last() -> None:
    """A daemon drain by hand. Two instances, each with the daemon and one web task.

    100 s: the first instance is set to DRAINING, and the web service starts a task on the second one; it runs at 102 s (the image is
    there) and counts as healthy at 142 s. Then the old one gets SIGTERM and is gone at 143 s, and only now does the daemon get its own.
    """
    region = small()
    fleet(region, 2)
    daemon(region)
    web(region, 2)
    region.run(until="100 s")
    assert described(region)["desiredCount"] == 2
    [first, second] = instances(region)
    drain(region, first)
    region.run(until="180 s")
    rows = region.kit.recorder.tasks.frame()
    stopped = [
        (row.group, seconds(row.stopping_at), seconds(row.stopped_at), row.stopped_reason)
        for row in rows[rows.stopped_at.notna()].itertuples()
    ]
    [web_run] = region.registry.service("default", "web").deployments
    assert stopped == [
        ("service:web", 142, 143, f"Scaling activity initiated by (deployment {web_run.deployment_id})"),
        ("service:agent", 143, 144, "Task stopped: its container instance is draining"),
    ]
    assert hosts(region) == [second.rsplit("/", 1)[-1]]
    assert set(hosts(region, "web")) == {second.rsplit("/", 1)[-1]}
    assert described(region)["desiredCount"] == 1
    drain(region, first, "ACTIVE")
    region.run(until="240 s")
    assert len(hosts(region)) == described(region)["desiredCount"] == 2


def test_a_standalone_task_keeps_the_daemon_on_a_draining_instance() -> None:
    region = small()
    fleet(region, 1)
    daemon(region)
    region.run(until="60 s")
    task = region.ecs.run_task(taskDefinition="web", launchType="EC2")["tasks"][0]["taskArn"]
    region.run(until="80 s")
    drain(region, instances(region)[0])
    region.run(until="10 min")
    assert len(hosts(region)) == 1
    region.ecs.stop_task(task=task)
    region.run(until="11 min")
    assert hosts(region) == []


def test_a_daemon_that_has_not_started_stops_at_once_on_a_draining_instance() -> None:
    region = small()
    fleet(region, 1)
    daemon(region)
    region.run(until="6 s")
    drain(region, instances(region)[0])
    region.run(until="30 s")
    assert [status for _, status in statuses(region)[0]][-1] == "STOPPED"
    assert "RUNNING" not in [status for _, status in statuses(region)[0]]


def test_constraints_are_looked_at_again_for_running_tasks() -> None:
    region = small()
    fleet(region, 2, agent={"ECS_INSTANCE_ATTRIBUTES": {"stack": "prod"}})
    daemon(region, placementConstraints=[LINUX])
    region.run(until="60 s")
    assert described(region)["desiredCount"] == 2
    [first, _] = instances(region)
    attribute = {"name": "stack", "value": "test", "targetType": "container-instance", "targetId": first}
    region.ecs.put_attributes(attributes=[attribute])
    region.run(until="90 s")
    assert hosts(region) == [instances(region)[1].rsplit("/", 1)[-1]]
    assert described(region)["desiredCount"] == 1
    events = region.kit.recorder.events.frame()
    [violated] = events[events.event_name == "SERVICE_DAEMON_PLACEMENT_CONSTRAINT_VIOLATED"].itertuples()
    assert violated.event_type == "ERROR"
    region.ecs.put_attributes(attributes=[attribute | {"value": "prod"}])
    region.run(until="120 s")
    assert len(hosts(region)) == 2


@pytest.mark.parametrize(("percent", "together"), [(0, 4), (50, 2), (75, 1)])
def test_a_deployment_stops_the_old_task_first_on_as_many_instances_as_the_minimum_allows(
    percent: int, together: int
) -> None:
    """Stopping takes 1 s, the next look starts the new one, which runs 2 s later and counts as healthy after 40 s."""
    region = small()
    fleet(region, 4)
    daemon(region, deploymentConfiguration={"minimumHealthyPercent": percent, "maximumPercent": 100})
    region.run(until="100 s")
    region.ecs.update_service(service="agent", forceNewDeployment=True)
    service = region.registry.service("default", "agent")
    fewest = 4
    for second in range(100, 400):
        region.run(until=f"{second} s")
        fewest = min(fewest, service.running)
        by_host = [t.instance.instance_id for t in service.tasks.values() if t.instance is not None and t.alive]
        assert len(by_host) == len(set(by_host)), "never two on one instance"
    assert fewest == 4 - together
    assert described(region)["deployments"][0]["rolloutState"] == "COMPLETED"
    assert len(described(region)["deployments"]) == 1
    rows = region.kit.recorder.tasks.frame()
    begins = sorted({seconds(at) for at in rows[rows.stopped_at.notna()].stopping_at})
    assert len(begins) == 4 // together
    assert begins[0] == 105


def test_bounds_of_100_and_100_stall_and_say_so() -> None:
    region = small()
    fleet(region, 2)
    daemon(region, deploymentConfiguration={"minimumHealthyPercent": 100, "maximumPercent": 100})
    region.run(until="100 s")
    region.ecs.update_service(service="agent", forceNewDeployment=True)
    region.run(until="10 min")
    assert messages(region, "agent")[-1][1].startswith(
        "was unable to stop or start tasks during a deployment because of"
    )
    assert described(region)["runningCount"] == 2


def test_one_task_first_learns_the_digests() -> None:
    """The first one begins to pull when its interface is attached, 5 s after it was started."""
    region = exact_region(assumptions={**EXACT, "digest_first_task": True})
    register(region, "agent", cpu=256, memory=256, fargate=False, mode="awsvpc")
    fleet(region, 3)
    daemon(region, networkConfiguration=network())
    region.run(until="60 s")
    begun = sorted(t.created_at for t in region.registry.service("default", "agent").tasks.values())
    assert begun == [5_000_000, 10_000_000, 10_000_000]


def test_a_lost_daemon_is_replaced_on_its_instance_when_the_loss_is_noticed() -> None:
    region = small()
    fleet(region, 2)
    daemon(region)
    region.run(until="100 s")
    [task, *_] = region.ecs.list_tasks(serviceName="agent")["taskArns"]
    host = region.ecs.describe_tasks(tasks=[task])["tasks"][0]["containerInstanceArn"]
    region.ecs.stop_task(task=task)
    region.run(until="160 s")
    life = statuses(region)[-1]
    assert life[0] == (105, "PROVISIONING")
    assert life[-1] == (107, "RUNNING")
    assert sorted(hosts(region)) == sorted(arn.rsplit("/", 1)[-1] for arn in instances(region))
    assert host.rsplit("/", 1)[-1] in hosts(region)


def test_an_instance_with_nothing_but_daemons_is_empty_for_cluster_auto_scaling() -> None:
    region = small()
    fleet(region, 3, NewInstancesProtectedFromScaleIn=True)
    region.ecs.create_capacity_provider(
        name="cp",
        autoScalingGroupProvider={
            "autoScalingGroupArn": "asg",
            "managedScaling": {"status": "ENABLED", "targetCapacity": 100},
            "managedTerminationProtection": "ENABLED",
        },
    )
    region.ecs.put_cluster_capacity_providers(
        cluster="default", capacityProviders=["cp"], defaultCapacityProviderStrategy=[]
    )
    daemon(region)
    web(region, 1, launchType=None, capacityProviderStrategy=[{"capacityProvider": "cp", "weight": 1}])
    region.run(until="2 min")
    assert region.registry.providers["cp"].reservation == pytest.approx(100 / 3)
    region.run(until="40 min")
    assert len(instances(region)) == 1
    assert hosts(region) == hosts(region, "web")


def test_deleting_a_daemon_service_stops_its_tasks_without_force() -> None:
    region = small()
    fleet(region, 2)
    daemon(region)
    region.run(until="60 s")
    region.ecs.delete_service(service="agent")
    region.run(until="100 s")
    assert hosts(region) == []
    assert described(region)["status"] == "INACTIVE"
    region.autoscaling.set_desired_capacity(AutoScalingGroupName="asg", DesiredCapacity=3)
    region.run(until="5 min")
    assert hosts(region) == []


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"desiredCount": 2}, "does not support a desired count for services. Remove the desired count value"),
        ({"placementStrategy": [{"type": "random"}]}, "does not support placement strategies"),
        ({"deploymentConfiguration": {"maximumPercent": 200}}, "does not support values above 100 for maximumPercent"),
        ({"deploymentController": {"type": "CODE_DEPLOY"}}, "CODE_DEPLOY"),
        ({"deploymentController": {"type": "EXTERNAL"}}, "EXTERNAL"),
        ({"deploymentConfiguration": {"strategy": "CANARY"}}, "CANARY"),
        ({"availabilityZoneRebalancing": "ENABLED"}, "availabilityZoneRebalancing"),
        (
            {"launchType": None, "capacityProviderStrategy": [{"capacityProvider": "cp", "weight": 1}]},
            "capacity provider",
        ),
    ],
)
def test_what_a_daemon_service_must_not_have(more: dict[str, Any], words: str) -> None:
    region = small()
    with pytest.raises(AwsError, match=words) as refusal:
        daemon(region, **more)
    assert refusal.value.code == "InvalidParameterException"


def test_an_update_cannot_give_a_daemon_service_a_desired_count() -> None:
    region = small()
    daemon(region)
    with pytest.raises(AwsError, match="desired count"):
        region.ecs.update_service(service="agent", desiredCount=3)


def test_tasks_with_interfaces_need_a_subnet_in_the_instances_zone() -> None:
    region = exact_region()
    register(region, "agent", cpu=256, memory=256, fargate=False, mode="awsvpc")
    fleet(region, 3)
    daemon(region, networkConfiguration=network("subnet-b"))
    region.run(until="60 s")
    assert described(region)["desiredCount"] == len(hosts(region)) == 1
