"""What tests of balancers share: a target group of any settings, a settled service behind it, what happened to requests and targets."""

from __future__ import annotations

from typing import Any

from sim_helpers import behind, network

from fargsim import Region

US = 1_000_000
SEED = 3
QUICK: dict[str, Any] = {"cpu": "1 ms"}


def group(region: Region, name: str = "tg", *, balancer: dict[str, Any] | None = None, **more: Any) -> Any:
    """A target group and a balancer before it; attributes by their keys with ``__`` for the dot."""
    attributes = [{"Key": k.replace("__", "."), "Value": str(v)} for k, v in more.pop("attributes", {}).items()]
    shape = {"HealthCheckIntervalSeconds": 5, "HealthCheckTimeoutSeconds": 2, **more}
    region.elbv2.create_target_group(Name=name, Attributes=attributes, **shape)
    protocol = shape.get("Protocol", "HTTP")
    region.elbv2.create_load_balancer(
        Name=f"lb-{name}",
        Listeners=[{"Protocol": protocol, "DefaultActions": [{"Type": "forward", "TargetGroupArn": name}]}],
        **(balancer or {}),
    )
    return region.registry.target_groups[name]


def service(region: Region, name: str, count: int, *, revision: str = "web", to: str = "tg", subnets: Any = ()) -> Any:
    """A service whose tasks are there and healthy."""
    region.ecs.create_service(
        serviceName=name,
        taskDefinition=revision,
        desiredCount=count,
        launchType="FARGATE",
        networkConfiguration=network(*subnets),
        loadBalancers=behind(to),
        healthCheckGracePeriodSeconds=1_000_000,
    )
    found = region.registry.service("default", name)
    found.settle()
    region.run(until=region.now_us)  # they are registered
    return found


def kept(region: Region) -> Any:
    frame = region.finish().requests.frame().sort_values("request_id", ignore_index=True)
    start = region.registry.start
    for column in ("arrived_at", "ended_at"):
        frame[column] = ((frame[column] - start).dt.total_seconds() * US).round()
    return frame


def states(target_group: Any, region: Region) -> list[tuple[int, str]]:
    """Record every change of a target's health from now on: microseconds and state."""
    found: list[tuple[int, str]] = []
    inner = target_group.on_health

    def on_health(task: Any) -> None:
        found.append((region.now_us, target_group.targets[task.task_id].state))
        inner(task)

    target_group.on_health = on_health
    return found
