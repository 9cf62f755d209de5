"""What the state machine of test_law_machine.py has found, as the shortest stories that tell it."""

from __future__ import annotations

import pytest
from deployment_helpers import AROUND, MISSING
from shift_helpers import front
from shift_helpers import service as shifted
from sim_helpers import behind, exact_region, fleet, messages, network, register, seconds, target_group

from fargsim import Region
from fargsim.model.timeline import AgentDisconnected
from fargsim.sim.agents import cut_off
from fargsim.sim.errors import ValidationException
from fargsim.sim.task_life import crash


def web(region: Region, desired: int = 2, **more: object) -> None:
    launch = {} if "capacityProviderStrategy" in more else {"launchType": "FARGATE"}
    region.ecs.create_service(
        **{
            "serviceName": "web",
            "taskDefinition": "web",
            "desiredCount": desired,
            "networkConfiguration": network(),
            **launch,
            **more,
        }
    )


def test_tasks_of_a_launch_type_give_way_to_those_of_a_strategy_of_several_providers():
    region = exact_region()
    register(region)
    web(region, 3)
    region.run(until="2 min")
    strategy = [{"capacityProvider": "FARGATE", "weight": 1}, {"capacityProvider": "FARGATE_SPOT", "weight": 2}]
    region.ecs.update_service(service="web", capacityProviderStrategy=strategy, forceNewDeployment=True)
    region.run(until="10 min")
    tasks = region.registry.service("default", "web").tasks.values()
    assert sorted(t.capacity_provider for t in tasks) == ["FARGATE", "FARGATE_SPOT", "FARGATE_SPOT"]
    assert region.ecs.describe_services(services=["web"])["services"][0]["runningCount"] == 3


def test_a_deleted_service_cannot_be_scaled():
    region = exact_region()
    register(region)
    web(region, 1)
    region.run(until="2 min")
    region.ecs.delete_service(service="web", force=True)
    with pytest.raises(ValidationException, match="ECS service doesn't exist: service/default/web"):
        region.application_autoscaling.register_scalable_target(
            ResourceId="service/default/web", MinCapacity=1, MaxCapacity=3
        )
    region.run(until="10 min")
    assert not region.registry.cluster("default").tasks


def daemons(region: Region, size: int) -> None:
    fleet(region, size)
    register(region, "agent", cpu=256, memory=256, fargate=False)
    region.ecs.create_service(
        serviceName="agent", taskDefinition="agent", launchType="EC2", schedulingStrategy="DAEMON"
    )


def test_a_daemon_service_can_be_updated_again_and_keeps_the_count_of_its_instances():
    region = exact_region()
    daemons(region, 2)
    region.run(until="2 min")
    for at in (4, 6):
        region.ecs.update_service(service="agent", forceNewDeployment=True)
        [service] = region.ecs.describe_services(services=["agent"])["services"]
        assert service["desiredCount"] == 2
        region.run(until=f"{at} min")
    assert region.registry.service("default", "agent").rollouts.current.status == "SUCCESSFUL"


def test_a_daemon_service_is_no_scalable_target():
    region = exact_region()
    daemons(region, 1)
    with pytest.raises(ValidationException, match="daemon service"):
        region.application_autoscaling.register_scalable_target(
            ResourceId="service/default/agent", MinCapacity=1, MaxCapacity=3
        )


def test_a_daemon_service_is_steady_again_only_when_the_task_on_a_new_instance_is_healthy():
    region = exact_region()
    daemons(region, 1)
    region.run(until="3 min")
    agent = region.registry.service("default", "agent")
    assert agent.actions.steady
    region.autoscaling.set_desired_capacity(AutoScalingGroupName="asg", DesiredCapacity=2)
    while len(agent.tasks) == 1:
        region.run(until=region.now_us + 1_000_000)
    assert not agent.actions.steady
    region.run(until="10 min")
    assert agent.actions.steady
    assert [text for _, text in messages(region, "agent")][-2:] == [
        "has started 1 tasks",
        "has reached a steady state.",
    ]


def test_a_daemon_service_that_another_one_follows_holds_no_places():
    region = exact_region()
    daemons(region, 1)
    region.run(until="1 s")  # its place is held until it is looked at for the first time
    [arn] = region.ecs.list_container_instances()["containerInstanceArns"]

    def free() -> int:
        [instance] = region.ecs.describe_container_instances(containerInstances=[arn])["containerInstances"]
        return next(r["integerValue"] for r in instance["remainingResources"] if r["name"] == "CPU")

    region.ecs.put_attributes(attributes=[{"name": "stack", "value": "prod", "targetId": arn}])
    assert free() == 2048 - 256
    region.ecs.delete_service(service="agent")
    region.ecs.create_service(serviceName="agent", taskDefinition="agent", launchType="EC2")
    region.run(until="1 min")
    assert free() == 2048


def test_requests_count_once_when_a_service_comes_back_with_another_target_group():
    region = exact_region()
    register(region, behaviour={"request": {"cpu": "10 ms"}})
    for name in ("one", "two"):
        target_group(region, name, delay=5)
    for name, at in (("one", 0), ("two", 600), ("one", 1200)):
        region.run(until=f"{at} s")
        if at:
            region.ecs.delete_service(service="web", force=True)
            region.run(until=f"{at + 90} s")
        web(region, 1, loadBalancers=behind(name))
        if at < 1200:
            region.send_traffic("web", {"constant": "2 /s"}, until="30 min")
    region.run(until="40 min")
    planes = [g.bridge.plane.counters() for g in region.registry.target_groups.values() if g.bridge is not None]
    tables = region.finish()
    services = tables.services.frame()
    assert services.requests_arrived.sum() == sum(c.arrived for c in planes)
    assert services.requests_served.sum() == sum(c.served for c in planes) == tables.tasks.frame().requests_served.sum()
    assert tables.latencies.frame().requests.sum() == services.requests_served.sum()
    assert (services.requests_served >= 0).all()


def test_a_deployment_of_a_daemon_service_waits_for_protected_tasks():
    region = exact_region()
    daemons(region, 2)
    region.run(until="2 min")
    region.ecs.update_task_protection(service="agent", count=1, protectionEnabled=True, expiresInMinutes=10)
    region.ecs.update_service(service="agent", forceNewDeployment=True)
    agent = region.registry.service("default", "agent")
    region.run(until="11 min")
    assert [t in agent.protection for t in agent.tasks.values()] == [True, False]
    assert agent.rollouts.current.status == "IN_PROGRESS"
    assert not any("unable to stop or start" in text for _, text in messages(region, "agent"))
    region.run(until="15 min")
    assert agent.rollouts.current.status == "SUCCESSFUL"
    assert {t.deployment_id for t in agent.tasks.values()} == {agent.primary.deployment_id}


def test_a_grace_period_that_is_given_later_ends_later():
    """A task that fails its check within a grace period it was not started with is replaced when that is over."""
    region = exact_region()
    check = {"command": ["CMD", "true"], "interval": 10, "timeout": 2, "retries": 2}
    register(region, behaviour={"boot": "1 h"}, container={"healthCheck": check})
    web(region, 1)
    region.run(until="25 s")
    service = region.registry.service("default", "web")
    [task] = service.tasks.values()
    assert task.last_status == "RUNNING"
    region.ecs.update_service(service="web", healthCheckGracePeriodSeconds=120)
    region.run(until="100 s")
    assert task.health_status == "UNHEALTHY"
    assert [d.counts["undecided"] for d in service.deployments] == [1]
    region.run(until="4 min")
    assert not task.alive or service.deployment_of(task).standing[task] == "unhealthy"
    assert any(t is not task for t in service.tasks.values())


def test_zone_rebalancing_waits_for_the_replacement_of_a_task_that_is_lost_meanwhile():
    region = exact_region()
    register(region)
    region.registry.fargate.capacity.withdraw(["us-east-1b", "us-east-1c"], ["on_demand"], 30_000_000)
    web(region, 4, availabilityZoneRebalancing="ENABLED")
    service = region.registry.service("default", "web")

    def second() -> None:
        assert region.now_us < 1_200_000_000
        region.run(until=region.now_us + 1_000_000)

    while not service.actions.steady:
        second()
    assert {t.zone for t in service.tasks.values()} == {"us-east-1a"}
    while len(service.tasks) == 4:
        second()
    assert len(service.tasks) == 6  # one more in each of the empty zones, healthy in 55 seconds
    region.run(until=region.now_us + 45_000_000)
    crash(region.kit, min(service.tasks.values(), key=lambda t: t.number), 1)
    while service.healthy < 5:
        second()
    while not any("is AZ balanced with" in text for _, text in service.events.newest()):
        second()
        assert service.healthy >= 4
    zones = [t.zone for t in service.tasks.values()]
    assert sorted(zones.count(z) for z in set(zones)) == [1, 1, 2]


def test_a_service_that_is_created_at_the_end_of_a_period_begins_with_the_next():
    region = exact_region()
    register(region)
    region.kit.at(
        120 * 1_000_000,
        lambda: region.ecs.create_service(
            serviceName="late",
            taskDefinition="web",
            desiredCount=1,
            launchType="FARGATE",
            networkConfiguration=network(),
        ),
    )
    region.run("5 min")
    rows = region.finish().services.frame()
    assert [seconds(at) for at in rows.period_start_at] == [120, 180, 240]
    assert rows.running.tolist()[-1] == 1


def test_a_task_that_ended_while_its_agent_was_cut_off_is_not_healthy_any_more_once_that_is_heard():
    region = exact_region()
    fleet(region, 1)
    register(region, fargate=False, memory=512, behaviour={"run": "30 s"})
    region.ecs.create_service(serviceName="web", taskDefinition="web", desiredCount=1, launchType="EC2")
    region.run(until="20 s")
    [task] = region.registry.service("default", "web").tasks.values()
    cut_off(region, AgentDisconnected.model_validate({"auto_scaling_group": "asg", "for": "2 min"}))
    region.run(until="130 s")
    assert task.healthy, "as far as ECS knows it has been RUNNING for more than 40 s; it ended after 30"
    while task.last_status == "RUNNING":
        region.run(until=region.now_us + 100_000)
    assert not task.healthy
    assert region.registry.service("default", "web").healthy == 0


def test_tasks_that_no_traffic_reaches_do_not_hold_up_a_new_deployment_though_nobody_else_is_healthy():
    """The first revision never runs; the second one is superseded while it stands in the other target group, healthy, without traffic."""
    region = exact_region(surroundings=AROUND)
    front(region)
    register(region, **MISSING)
    hook = {"targetType": "PAUSE", "lifecycleStages": ["POST_SCALE_UP"]}
    shifted(region, {"strategy": "BLUE_GREEN", "bakeTimeInMinutes": 0, "lifecycleHooks": [hook]})
    region.run(until="3 min")
    register(region)
    region.ecs.update_service(service="web", taskDefinition="web:2")
    region.run(until="8 min")
    service = region.registry.service("default", "web")
    assert sorted(t.revision.number for t in service.tasks.values() if t.healthy) == [2, 2]
    register(region)
    region.ecs.update_service(
        service="web",
        taskDefinition="web:3",
        deploymentConfiguration={"strategy": "BLUE_GREEN", "bakeTimeInMinutes": 0, "lifecycleHooks": []},
    )
    region.run(until="1 h")
    assert [t.revision.number for t in service.tasks.values()] == [3, 3]
    assert service.rollouts.current.status == "SUCCESSFUL"
