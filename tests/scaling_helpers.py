"""A service behind a balancer whose every duration is known, and its policies and decisions."""

from __future__ import annotations

from typing import Any

from sim_helpers import behind, exact_region, network, register, seconds, target_group

from fargsim import Region

WEB = "service/default/web"
SERVICE = [{"Name": "ClusterName", "Value": "default"}, {"Name": "ServiceName", "Value": "web"}]
H = 3600


def service(
    load: dict[float, float],
    *,
    tasks: int = 2,
    low: int = 1,
    high: int = 20,
    cpu: str = "100 ms",
    boot: str = "0 s",
    assumptions: dict[str, Any] | None = None,
    **more: Any,
) -> Region:
    """A service of 1-vCPU tasks whose requests take CPU alone, evenly spaced; `load`: requests a second from a minute on."""
    region = exact_region(assumptions=assumptions or {})
    register(region, behaviour={"boot": boot, "request": {"cpu": cpu, "workers": 1, "queue": 4}})
    target_group(region, interval=5, delay=30)
    region.ecs.create_service(
        serviceName="web", taskDefinition="web", desiredCount=tasks, launchType="FARGATE",
        networkConfiguration=network(), loadBalancers=behind(), **more,
    )  # fmt: skip
    region.application_autoscaling.register_scalable_target(ResourceId=WEB, MinCapacity=low, MaxCapacity=high)
    steps = [{"at": f"{minute} min", "rate": f"{per_s} /s"} for minute, per_s in load.items()]
    region.send_traffic("web", {"steps": steps, "process": "regular"}, until="60 h")
    return region


def put(region: Region, name: str, kind: str, **configuration: Any) -> dict[str, Any]:
    return region.application_autoscaling.put_scaling_policy(
        ResourceId=WEB, PolicyName=name, PolicyType=kind, **{f"{kind}PolicyConfiguration": configuration}
    )


def track(region: Region, metric: str = "ECSServiceAverageCPUUtilization", target: float = 50, **more: Any) -> None:
    spec = {"PredefinedMetricType": metric}
    put(region, "track", "TargetTrackingScaling", TargetValue=target, PredefinedMetricSpecification=spec, **more)


def steps(region: Region, name: str, *adjustments: tuple[float | None, float | None, int], **more: Any) -> str:
    table = [
        {"MetricIntervalLowerBound": low, "MetricIntervalUpperBound": high, "ScalingAdjustment": n}
        for low, high, n in adjustments
    ]
    answer = put(
        region, name, "StepScaling", **{"AdjustmentType": "ChangeInCapacity", "StepAdjustments": table, **more}
    )
    return str(answer["PolicyARN"])


def cpu_alarm(region: Region, name: str, sign: str, threshold: float, action: str, periods: int = 1) -> None:
    region.cloudwatch.put_metric_alarm(
        AlarmName=name, Namespace="AWS/ECS", MetricName="CPUUtilization", Dimensions=SERVICE, Statistic="Average",
        Period=60, EvaluationPeriods=periods, Threshold=threshold, ComparisonOperator=f"{sign}ThanThreshold",
        AlarmActions=[action],
    )  # fmt: skip


def decisions(region: Region) -> list[tuple[float | None, str, int, int]]:
    table = region.kit.recorder.scaling.frame()
    return [(seconds(r.at), r.policy_name, r.desired_before, r.desired_after) for r in table.itertuples()]
