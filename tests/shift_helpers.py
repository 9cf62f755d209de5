"""A service behind two target groups and one listener, and what its deployments did stage by stage."""

from __future__ import annotations

from typing import Any

import pandas as pd
from deployment_helpers import AROUND, by_begin
from sim_helpers import exact_region, network, register, seconds

from fargsim import Region

ADVANCED = {
    "alternateTargetGroupArn": "green",
    "productionListenerRule": "lb:80",
    "testListenerRule": "lb:80/10",
    "roleArn": "arn:aws:iam::123456789012:role/ecsInfrastructureRole",
}
QUICK = {"request": {"cpu": "1 ms"}}
Configuration = dict[str, Any]


def front(region: Region, kind: str = "application", delay: int = 10) -> None:
    """Target groups blue and green; a listener on port 80 that forwards to blue, and a rule for tests."""
    network_balancer = kind == "network"
    for name in ("blue", "green"):
        region.elbv2.create_target_group(
            Name=name,
            **({"Protocol": "TCP"} if network_balancer else {}),
            HealthCheckIntervalSeconds=5,
            HealthCheckTimeoutSeconds=2,
            Attributes=[{"Key": "deregistration_delay.timeout_seconds", "Value": str(delay)}],
        )
    to_blue = [{"Type": "forward", "TargetGroupArn": "blue"}]
    listener: dict[str, Any] = {"Port": 80, "DefaultActions": to_blue}
    if network_balancer:
        listener["Protocol"] = "TCP"
    else:
        listener["Rules"] = [{"Priority": 10, "Actions": to_blue}]
    region.elbv2.create_load_balancer(Name="lb", Type=kind, Listeners=[listener])


def behind_both(advanced: dict[str, Any] = ADVANCED) -> list[dict[str, Any]]:
    return [{"targetGroupArn": "blue", "containerName": "app", "containerPort": 80, "advancedConfiguration": advanced}]


def service(region: Region, configuration: Configuration, desired: int = 2, **more: Any) -> None:
    region.ecs.create_service(
        **{
            "serviceName": "web",
            "taskDefinition": "web",
            "desiredCount": desired,
            "launchType": "FARGATE",
            "networkConfiguration": network("subnet-a"),
            "loadBalancers": behind_both(),
            "deploymentConfiguration": configuration,
            **more,
        }
    )


def shifting(configuration: Configuration, desired: int = 2, *, good: dict[str, Any] = QUICK, **more: Any) -> Region:
    """A service that has run before the run begins and is given a second revision at 200 s.

    A task is RUNNING 15 s after its start and registered with its target group 5 s later: a check every 5 s, with a phase of its own.
    """
    more_region = {key: more.pop(key) for key in ("assumptions", "seed", "record") if key in more}
    hooks = more.pop("hooks", {})
    bad = more.pop("bad", {})
    kind = more.pop("kind", "application")
    region = exact_region(
        surroundings=AROUND, **{**more_region, "assumptions": {"reg_delay_s": 0, **more_region.get("assumptions", {})}}
    )
    for name, answers in hooks.items():
        region.answer_hook(name, answers)
    front(region, kind)
    register(region, behaviour=good)
    service(region, configuration, desired, **more)
    region.registry.service("default", "web").settle()
    region.run(until="200 s")
    register(region, **{"behaviour": good, **bad})
    region.ecs.update_service(service="web", taskDefinition="web:2")
    return region


def stages(region: Region) -> list[tuple[str, float, float | None, float, str]]:
    """Stages in order: name (with the step), begin, end in seconds, share of production traffic, result."""
    frame = region.kit.recorder.deployment_stages.frame()
    frame = frame.sort_values("began_at", kind="stable")
    return [
        (
            row.stage if pd.isna(row.step) else f"{row.stage} {int(row.step)}",
            seconds(row.began_at),
            seconds(row.ended_at),
            row.production_percent,
            row.result,
        )
        for row in frame.itertuples()
        if row.deployment_id != by_begin(region)[0]
    ]


def weights(region: Region, rule: str = "lb:80") -> dict[str, float]:
    """What a rule sends to which target group."""
    return {group.spec.name: weight for group, weight in region.registry.listener_rule(rule).forward.items() if weight}


def hook_events(region: Region) -> list[tuple[float, str]]:
    events = region.kit.recorder.events.frame()
    events = events[events.event_name.str.startswith("HOOK_")]
    return [(seconds(row.at), row.event_name.removeprefix("HOOK_")) for row in events.itertuples()]
