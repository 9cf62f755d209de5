"""A service that CodeDeploy gives a second revision, and when production traffic was shifted."""

from __future__ import annotations

from typing import Any

from deployment_helpers import AROUND
from shift_helpers import QUICK, service
from sim_helpers import exact_region, register, seconds

from fargsim import Region

PAIR = {
    "targetGroups": [{"name": "blue"}, {"name": "green"}],
    "prodTrafficRoute": {"listenerArns": ["lb:80"]},
    "testTrafficRoute": {"listenerArns": ["lb:8080"]},
}
GROUP: dict[str, Any] = {
    "deploymentGroupName": "web",
    "ecsServices": [{"serviceName": "web", "clusterName": "default"}],
    "loadBalancerInfo": {"targetGroupPairInfoList": [PAIR]},
}


def deployed(
    kind: str = "application", *, bad: dict[str, Any] | None = None, config: str = "ECSAllAtOnce", **group: Any
) -> Region:
    """A service that runs from the begin on; CodeDeploy rolls its second revision out at 200 s."""
    region = exact_region(surroundings=AROUND, assumptions={"reg_delay_s": 0})
    protocol = {"Protocol": "TCP"} if kind == "network" else {}
    for name in ("blue", "green"):
        delay = [{"Key": "deregistration_delay.timeout_seconds", "Value": "10"}]
        region.elbv2.create_target_group(
            Name=name, **protocol, HealthCheckIntervalSeconds=5, HealthCheckTimeoutSeconds=2, Attributes=delay
        )
    listeners = [
        {"Port": port, **protocol, "DefaultActions": [{"Type": "forward", "TargetGroupArn": "blue"}]}
        for port in (80, 8080)
    ]
    region.elbv2.create_load_balancer(Name="lb", Type=kind, Listeners=listeners)
    register(region, behaviour=QUICK)
    balanced = [{"targetGroupArn": "blue", "containerName": "app", "containerPort": 80}]
    service(region, {}, deploymentController={"type": "CODE_DEPLOY"}, loadBalancers=balanced)
    region.registry.service("default", "web").settle()
    region.codedeploy.create_deployment_group(**{**GROUP, **group})
    region.run(until="200 s")
    register(region, **{"behaviour": QUICK, **(bad or {})})
    region.codedeploy.create_deployment(
        deploymentGroupName="web", taskDefinition="web:2", deploymentConfigName=f"CodeDeployDefault.{config}"
    )
    return region


def shifts(region: Region) -> list[tuple[float, float]]:
    """When which share of production traffic was sent to the replacement."""
    frame = region.kit.recorder.deployment_stages.frame()
    frame = frame[(frame.stage == "PRODUCTION_TRAFFIC_SHIFT")].sort_values("began_at", kind="stable")
    return [(seconds(row.began_at), row.production_percent) for row in frame.itertuples()]
