"""A service that is given a second revision, and what became of it."""

from __future__ import annotations

from typing import Any

from sim_helpers import exact_region, messages, network, register

from fargsim import Region

BREAKER = {"deploymentCircuitBreaker": {"enable": True, "rollback": True}}
CHECK = {"healthCheck": {"command": ["CMD", "true"], "interval": 10, "timeout": 2, "retries": 2}}
AROUND = {"images": {"app": {"tags": ["1"]}}}
MISSING: dict[str, Any] = {"container": {"image": "app:missing"}}
"""A revision whose tasks fail five seconds after they have begun to pull."""


def service(region: Region, desired: int = 4, configuration: dict[str, Any] | None = None, **more: Any) -> None:
    region.ecs.create_service(
        serviceName="web",
        taskDefinition="web",
        desiredCount=desired,
        launchType="FARGATE",
        networkConfiguration=network("subnet-a"),
        deploymentConfiguration=configuration or {},
        **more,
    )


def updated(configuration: dict[str, Any] | None = None, desired: int = 4, **bad: Any) -> Region:
    """A service that runs from 60 s on and is given a second revision at 200 s."""
    region = exact_region(surroundings=AROUND)
    register(region)
    service(region, desired, configuration)
    region.run(until="200 s")
    register(region, **bad)
    region.ecs.update_service(service="web", taskDefinition="web:2")
    return region


def said(region: Region, since: float = 200) -> list[tuple[float, str]]:
    """Events since an instant but why an image could not be pulled; deployments by their place in the history."""
    names = {d: f"d{n}" for n, d in enumerate(by_begin(region))}
    found = []
    for at, text in messages(region):
        if at >= since and "CannotPullContainerError" not in text:
            for name, short in names.items():
                text = text.replace(name, short)
            found.append((at, text))
    return found


def by_begin(region: Region) -> list[str]:
    events = region.kit.recorder.events.frame()
    begun = events[events.event_name == "SERVICE_DEPLOYMENT_IN_PROGRESS"].message
    return [text.split("ECS deployment ")[1].split(" ")[0] for text in begun]


def history(region: Region) -> list[tuple[str, str]]:
    """Statuses of the service deployments, oldest first, and what was said of them."""
    found = region.ecs.list_service_deployments(service="web")["serviceDeployments"]
    return [(d["status"], d.get("statusReason", "")) for d in reversed(found)]


def revisions_alive(region: Region) -> dict[int, int]:
    tasks = region.registry.service("default", "web").tasks.values()
    numbers = [t.revision.number for t in tasks if t.alive]
    return {n: numbers.count(n) for n in sorted(set(numbers))}


def breaker_opens(
    desired: int, maximum: int, threshold: dict[str, Any] | None = None, **assumptions: float
) -> tuple[int, int]:
    """After how many failed tasks a deployment is given up whose tasks never run, and what threshold the API tells.

    `maximum`: a ``maximumPercent`` that lets only so few start at a time that their number divides the threshold.
    """
    breaker = {"enable": True, "rollback": False, **({"thresholdConfiguration": threshold} if threshold else {})}
    region = exact_region(surroundings=AROUND, assumptions={"throttle_cap_s": 1, "throttle_base_s": 1, **assumptions})
    register(region)
    service(region, desired, {"deploymentCircuitBreaker": breaker, "maximumPercent": maximum})
    region.registry.service("default", "web").settle()
    region.run(until="100 s")
    register(region, **MISSING)
    region.ecs.update_service(service="web", taskDefinition="web:2")
    region.run(until="2 h")
    assert history(region)[-1] == ("STOPPED", "ECS deployment circuit breaker: tasks failed to start.")
    arn = region.ecs.list_service_deployments(service="web")["serviceDeployments"][0]["serviceDeploymentArn"]
    [told] = region.ecs.describe_service_deployments(serviceDeploymentArns=[arn])["serviceDeployments"]
    assert told["deploymentCircuitBreaker"]["status"] == "TRIGGERED"
    tasks = region.registry.clusters["default"].stopped.values()
    failed = [task for task in tasks if task.revision.number == 2]
    assert all(task.started_at is None for task in failed)
    assert told["deploymentCircuitBreaker"]["failureCount"] == len(failed)
    return len(failed), told["deploymentCircuitBreaker"]["threshold"]
