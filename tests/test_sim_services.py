"""What a service does by itself: it judges its tasks, replaces them within its bounds and says so in ECS's words."""

from __future__ import annotations

from typing import Any

import pytest
from sim_helpers import behind, exact_region, fleet, network, register, statuses, target_group

from fargsim import Region
from fargsim.sim.containers import set_health

MIN, HOUR = 60_000_000, 3_600_000_000


def service(region: Region, *, desired: int = 2, name: str = "web", **more: Any) -> None:
    region.ecs.create_service(
        **{
            "serviceName": name,
            "taskDefinition": "web",
            "desiredCount": desired,
            "launchType": "FARGATE",
            "networkConfiguration": network(),
            **more,
        }
    )


def messages(region: Region, name: str = "web") -> list[str]:
    """The service's events, oldest first, without the service's name."""
    found = region.ecs.describe_services(services=[name])["services"][0]
    return [event["message"].removeprefix(f"(service {name}) ") for event in reversed(found["events"])]


def stopped(region: Region) -> list[dict[str, Any]]:
    arns = region.ecs.list_tasks(desiredStatus="STOPPED")["taskArns"]
    return region.ecs.describe_tasks(tasks=arns)["tasks"]


def test_steady_state_is_said_once_and_again_every_six_hours():
    region = exact_region()
    register(region)
    service(region)
    region.run(13 * HOUR)
    said = [m for m in messages(region) if m == "has reached a steady state."]
    assert len(said) == 3


def test_a_placement_that_fails_is_said_once_until_it_is_solved():
    region = exact_region()
    register(region, fargate=False, cpu=2048, memory=1024)
    fleet(region, 1)
    service(region, launchType="EC2", networkConfiguration=None)
    region.run(10 * MIN)
    failures = [
        m for m in messages(region) if m.startswith("was unable to place a task because no container instance met")
    ]
    assert len(failures) == 1
    assert "insufficient CPU units" in failures[0]
    region.autoscaling.set_desired_capacity(AutoScalingGroupName="asg", DesiredCapacity=2)
    region.run(20 * MIN)
    assert messages(region)[-1] == "has reached a steady state."
    assert region.ecs.describe_services(services=["web"])["services"][0]["runningCount"] == 2


@pytest.mark.parametrize("grace", [0, 120])
def test_a_slow_starter_fails_its_checks_unless_a_grace_period_saves_it(grace: int):
    region = exact_region()
    register(region, behaviour={"boot": "60 s"})
    target_group(region)  # a check every 5 s, unhealthy after two
    service(region, desired=1, loadBalancers=behind(), healthCheckGracePeriodSeconds=grace)
    region.run(5 * MIN)
    reasons = {task["stoppedReason"] for task in stopped(region)}
    if grace:
        assert not reasons
        assert messages(region)[-1] == "has reached a steady state."
    else:
        # Unhealthy long before it is ready: a replacement starts first, fares no better and is stopped. What is left
        # comes up meanwhile, so a third that has been started has become too many.
        failed = [
            r for r in reasons if r.startswith("Task failed ELB health checks in (target-group arn:aws:elasticload")
        ]
        assert len(failed) == 1
        assert all(r in failed or r.startswith("Scaling activity initiated by (deployment ecs-svc/") for r in reasons)
        assert any("is unhealthy in (target-group" in m for m in messages(region))


def test_a_replacement_of_an_unhealthy_task_starts_before_it_is_stopped():
    region = exact_region()
    health = {"command": ["CMD-SHELL", "true"], "interval": 5, "timeout": 2, "retries": 1}
    register(region, behaviour={"boot": "2 s"}, container={"healthCheck": health})
    service(region, desired=2)
    region.run(2 * MIN)
    sick = next(iter(region.registry.service("default", "web").tasks.values()))

    set_health(sick, "UNHEALTHY")
    seen = []
    for second in range(1, 60):
        region.run(2 * MIN + second * 1_000_000)
        tasks = region.registry.service("default", "web").tasks.values()
        seen.append((sum(t.alive for t in tasks), sick.alive))
    assert (3, True) in seen, "the replacement is there while the unhealthy task still runs"
    assert seen[-1] == (2, False)
    assert sick.stop_wanted is not None
    assert sick.stop_wanted.reason == "Task failed container health checks"


def test_fargate_spot_reclaims_with_a_signal_and_the_service_tries_spot_again():
    region = exact_region(assumptions={"spot_interruptions_per_task_hour": 2.0})
    register(region, behaviour={"stop": "50 s"}, container={"stopTimeout": 120})
    spot = [{"capacityProvider": "FARGATE_SPOT", "weight": 1}]
    service(region, desired=3, launchType=None, capacityProviderStrategy=spot)
    region.run(HOUR)
    tasks = stopped(region)
    assert tasks
    for task in tasks:
        assert (task["stopCode"], task["stoppedReason"]) == ("SpotInterruption", "Your Spot Task was interrupted.")
        assert task["capacityProviderName"] == "FARGATE_SPOT"
        if "executionStoppedAt" in task:
            assert (task["executionStoppedAt"] - task["stoppingAt"]).total_seconds() == 50
    assert all(t.capacity_provider == "FARGATE_SPOT" for t in region.registry.service("default", "web").tasks.values())


def test_a_draining_instance_takes_no_task_and_gives_its_own_away():
    region = exact_region()
    register(region, fargate=False, cpu=512, memory=512)
    fleet(region, 2)
    # draining before a termination is what a capacity provider does (managed-instance-draining.html); a group alone kills
    region.ecs.create_capacity_provider(name="cp", autoScalingGroupProvider={"autoScalingGroupArn": "asg"})
    service(region, desired=2, launchType="EC2", networkConfiguration=None)
    region.run(3 * MIN)
    group = region.registry.group("asg")
    region.autoscaling.set_desired_capacity(AutoScalingGroupName="asg", DesiredCapacity=1)
    (draining,) = [i for i in group.instances.values() if i.draining_at is not None]
    assert draining.status == "DRAINING"
    assert draining.tasks
    least = 2
    for second in range(1, 300):
        region.run(3 * MIN + second * 1_000_000)
        tasks = region.registry.service("default", "web").tasks.values()
        least = min(least, sum(t.last_status == "RUNNING" for t in tasks))
    assert least == 2, "replacements run before the drained tasks are stopped"
    assert draining.status == "INACTIVE"
    assert draining.terminated_at is not None
    assert {t.instance for t in tasks} == set(group.instances.values())


def test_what_ran_before_runs_from_the_first_instant():
    region = exact_region()
    register(region, behaviour={"request": {"cpu": "10 ms"}, "boot": "30 s"})
    target_group(region)
    service(region, desired=2, loadBalancers=behind())
    region.registry.service("default", "web").settle()
    region.send_traffic("web", {"constant": "50 /s"}, until=MIN)
    region.run(MIN)
    tables = region.finish().tables()
    row = tables["services"].iloc[0]
    assert row["requests_no_target_503"] == 0
    assert row["running_mean"] == 2
    assert (tables["tasks"]["started_at"] == tables["tasks"]["created_at"]).all()


def test_a_service_ends_where_it_is_told_although_it_is_asked_twice():
    region = exact_region()
    register(region)
    service(region, desired=3)
    region.ecs.update_service(service="web", desiredCount=5)
    region.run(1_000_000)
    region.ecs.update_service(service="web", desiredCount=4)
    region.run(5 * MIN)
    assert region.ecs.describe_services(services=["web"])["services"][0]["runningCount"] == 4


def test_a_change_by_the_user_is_not_seen_earlier_because_something_else_wakes_the_scheduler():
    region = exact_region()
    register(region)
    service(region, desired=1)
    region.run(18_000_000)  # started at 5 s, RUNNING at 20 s: that wakes the scheduler two seconds after the change
    region.ecs.update_service(service="web", desiredCount=2)
    region.run(22_999_999)
    assert len(region.ecs.list_tasks()["taskArns"]) == 1
    region.run(23_000_000)
    assert len(region.ecs.list_tasks()["taskArns"]) == 2


def test_draining_tasks_do_not_dilute_the_utilisation():
    region = exact_region()
    register(region, behaviour={"request": {"cpu": "100 ms"}})
    target_group(region, delay=300)
    service(region, desired=4, loadBalancers=behind())
    region.registry.service("default", "web").settle()
    region.send_traffic("web", {"constant": "16 /s", "process": "regular"}, until=HOUR)
    region.kit.at(10 * MIN, lambda: region.ecs.update_service(service="web", desiredCount=2))
    region.run(14 * MIN)
    rows = region.finish().tables()["services"]
    # 1.6 cores of work: on four tasks of one core 40 %, on two 80 %, from the first whole minute on
    assert rows["cpu_utilization"].iloc[8] == pytest.approx(40, abs=0.5)
    assert rows["cpu_utilization"].iloc[11] == pytest.approx(80, abs=0.5)
    assert rows["running"].iloc[11] == 2


def test_changing_the_load_balancer_is_a_deployment_whose_tasks_register_with_the_new_target_group():
    region = exact_region()
    register(region)
    target_group(region, "old", delay=20)
    target_group(region, "new")
    service(region, loadBalancers=behind("old"))
    region.run(2 * MIN)
    region.ecs.update_service(service="web", loadBalancers=behind("new"))
    region.run(5 * MIN)
    described = region.ecs.describe_services(services=["web"])["services"][0]
    assert [d["rolloutState"] for d in described["deployments"]] == ["COMPLETED"]
    groups = region.registry.target_groups
    assert (len(groups["old"].targets), len(groups["new"].targets)) == (0, 2)


def test_a_service_that_moves_to_fargate_has_the_launch_rate_of_fargate_from_then_on() -> None:
    region = exact_region(quotas={"fargate_service_launches_per_min": 2, "ec2_service_launches_per_min": 4})
    region.behave("web", {"image": {"size": "120 MiB"}})
    region.ecs.register_task_definition(
        family="web",
        cpu="256",
        memory="512",
        networkMode="awsvpc",
        requiresCompatibilities=["EC2", "FARGATE"],
        containerDefinitions=[{"name": "app", "image": "app:1"}],
    )
    fleet(region, 6)
    region.ecs.create_service(
        serviceName="web",
        taskDefinition="web",
        desiredCount=6,
        launchType="EC2",
        networkConfiguration=network(),
        deploymentConfiguration={"minimumHealthyPercent": 0, "maximumPercent": 200},
    )
    region.run(until="5 min")
    strategy = [{"capacityProvider": "FARGATE", "weight": 1}]
    region.ecs.update_service(service="web", capacityProviderStrategy=strategy, forceNewDeployment=True)
    region.run(until="15 min")
    created = sorted(life[0][0] for life in statuses(region))
    assert created == [5] * 4 + [65] * 2 + [305] * 2 + [365] * 2 + [425] * 2
