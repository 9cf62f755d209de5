"""The order of causes that share one instant, as docs/decisions/0001-one-vertical-path.md writes it down."""

from __future__ import annotations

from typing import Any

from fargsim.sim.region import Region

DEFINITION: dict[str, Any] = {
    "family": "web",
    "networkMode": "awsvpc",
    "requiresCompatibilities": ["FARGATE"],
    "cpu": "256",
    "memory": "512",
    "containerDefinitions": [{"name": "app", "image": "app:1", "portMappings": [{"containerPort": 80}]}],
}
NETWORK = {"awsvpcConfiguration": {"subnets": ["subnet-a"]}}
MINUTE_US = 60_000_000


def region_with_service(**behaviour: Any) -> Region:
    region = Region(seed=3)
    region.behave("web", {"request": {"cpu": "10 ms"}, **behaviour})
    region.ecs.register_task_definition(**DEFINITION)
    region.elbv2.create_target_group(Name="web")
    region.elbv2.create_load_balancer(
        Name="alb", Listeners=[{"DefaultActions": [{"Type": "forward", "TargetGroupArn": "web"}]}]
    )
    region.ecs.create_service(
        serviceName="web",
        taskDefinition="web",
        desiredCount=1,
        launchType="FARGATE",
        networkConfiguration=NETWORK,
        loadBalancers=[{"targetGroupArn": "web", "containerName": "app", "containerPort": 80}],
    )
    region.registry.service("default", "web").settle()
    return region


def test_a_metric_period_closes_after_everything_else_at_its_boundary() -> None:
    region = region_with_service()

    def stop() -> None:
        for arn in region.ecs.list_tasks()["taskArns"]:
            region.ecs.stop_task(task=arn)

    region.kit.at(MINUTE_US, stop)
    region.run(MINUTE_US)
    rows = region.finish().tables()["services"]
    assert rows["running"].tolist() == [0], "the stop at the boundary belongs to the period that ends there"
    assert rows["running_mean"].tolist() == [1.0]


def test_a_change_of_targets_comes_before_the_arrivals_of_its_instant() -> None:
    region = region_with_service()
    # one request every second: the one that arrives with the deregistration finds no target
    region.send_traffic("web", {"constant": "1 /s", "process": "regular"}, until=10_000_000)

    def stop() -> None:
        for arn in region.ecs.list_tasks()["taskArns"]:
            region.ecs.stop_task(task=arn)

    region.kit.at(5_000_000, stop)
    region.run(MINUTE_US)
    row = region.finish().tables()["services"].iloc[0]
    assert (row["requests_served"], row["requests_no_target_503"]) == (4, 5)


def test_completions_come_before_the_change_of_their_instant() -> None:
    region = region_with_service(request={"cpu": "1 s"})
    region.send_traffic("web", {"constant": "1 /s", "process": "regular"}, until=2_000_000)

    def lose() -> None:
        # arrived at 1 s, needs 1 core-second of a quarter core: done at 5 s, the instant its target goes
        (group,) = region.registry.target_groups.values()
        (target,) = group.targets.values()
        group.drop(target)

    region.kit.at(5_000_000, lose)
    region.run(MINUTE_US)
    row = region.finish().tables()["services"].iloc[0]
    assert (row["requests_served"], row["requests_cut_502"]) == (1, 0)
