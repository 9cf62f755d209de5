"""The cheapest scaling policy that holds an SLO on a real series of requests.

``python benchmarks/autoscaling_trace.py TRACE.csv`` runs a service under the request counts of a load balancer
(``elb_request_count_8c0756.csv`` of numenta/NAB, ``data/realAWSCloudwatch``, times twenty) with four kinds of policies, each at several
settings, and prints for every kind the cheapest setting that holds the SLO.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import Any

import fargsim

SLO_P99_MS = 1_000.0
SLO_ERRORS = 0.001

SCENARIO = """
schema: 1
name: autoscaling-trace
duration: %s
seed: 11
initial_state: running
taskDefinitions:
  - family: web
    networkMode: awsvpc
    requiresCompatibilities: [FARGATE]
    cpu: "256"
    memory: "512"
    containerDefinitions: [{name: app, image: "app:1", portMappings: [{containerPort: 80}]}]
behaviour:
  web: {image: {size: 60 MB}, boot: 4 s, request: {cpu: {lognormal: {mean: 20 ms, p99: 90 ms}}, workers: 32}}
targetGroups:
  - Name: web
    HealthCheckIntervalSeconds: 10
    Attributes: [{Key: deregistration_delay.timeout_seconds, Value: "30"}]
loadBalancers:
  - {Name: alb, Listeners: [{DefaultActions: [{Type: forward, TargetGroupArn: web}]}]}
services:
  - serviceName: web
    taskDefinition: web
    desiredCount: 2
    launchType: FARGATE
    networkConfiguration: {awsvpcConfiguration: {subnets: [subnet-a, subnet-b]}}
    loadBalancers: [{targetGroupArn: web, containerName: app, containerPort: 80}]
    monitoring: {metricConfigurations: [{metricNames: [CPUUtilization], resolutionSeconds: 20}]}
scaling: [{service: web, MinCapacity: 1, MaxCapacity: 30}]
traffic:
  - {to: web, rate: {trace: {file: "%s", kind: sum, period: 5 min}, scale: 20}}
"""
WEB = "service/default/web"
CPU = [{"Name": "ClusterName", "Value": "default"}, {"Name": "ServiceName", "Value": "web"}]


def tracking(metric: str, target: float) -> dict[str, Any]:
    """Return the overlay of a target tracking policy."""
    spec = {
        "TargetValue": target,
        "PredefinedMetricSpecification": {"PredefinedMetricType": metric},
        "ScaleOutCooldown": 60,
    }
    policy = {"PolicyName": "track", "TargetTrackingScalingPolicyConfiguration": spec}
    return {"scaling": [{"service": "web", "MinCapacity": 1, "MaxCapacity": 30, "policies": [policy]}]}


def steps(threshold: float) -> dict[str, Any]:
    """Return the overlay of two step policies with their alarms: out above a threshold, in below half of it."""
    table = {
        "out": ("PercentChangeInCapacity", [(0, 20, 30), (20, None, 100)], 120),
        "in": ("ChangeInCapacity", [(None, 0, -1)], 300),
    }
    policies = [
        {
            "PolicyName": name,
            "PolicyType": "StepScaling",
            "StepScalingPolicyConfiguration": {
                "AdjustmentType": kind,
                "Cooldown": cooldown,
                "StepAdjustments": [
                    {"MetricIntervalLowerBound": low, "MetricIntervalUpperBound": high, "ScalingAdjustment": n}
                    for low, high, n in adjustments
                ],
            },
        }
        for name, (kind, adjustments, cooldown) in table.items()
    ]
    common = {
        "Namespace": "AWS/ECS",
        "MetricName": "CPUUtilization",
        "Dimensions": CPU,
        "Statistic": "Average",
        "Period": 60,
    }
    high = {"AlarmName": "high", "EvaluationPeriods": 1, "Threshold": threshold, "AlarmActions": ["out"]}
    low = {"AlarmName": "low", "EvaluationPeriods": 10, "Threshold": threshold / 2, "AlarmActions": ["in"]}
    return {
        "scaling": [{"service": "web", "MinCapacity": 1, "MaxCapacity": 30, "policies": policies}],
        "alarms": [
            {**common, **high, "ComparisonOperator": "GreaterThanOrEqualToThreshold"},
            {**common, **low, "ComparisonOperator": "LessThanThreshold"},
        ],
    }


def fixed(count: int) -> dict[str, Any]:
    """Return the overlay of a count that never changes."""
    return {"scaling": [{"service": "web", "MinCapacity": count, "MaxCapacity": count}]}


POLICIES: dict[str, dict[str, dict[str, Any]]] = {
    "fixed count": {f"{n} tasks": fixed(n) for n in (2, 3, 4, 5, 6, 8)},
    "tracking, CPU at 60 s": {f"{t} %": tracking("ECSServiceAverageCPUUtilization", t) for t in (10, 15, 20, 30, 45)},
    "tracking, CPU at 20 s": {
        f"{t} %": tracking("ECSServiceAverageCPUUtilizationHighResolution", t) for t in (10, 15, 20, 30, 45)
    },
    "steps, CPU at 60 s": {f"from {t} %": steps(t) for t in (15, 25, 35, 50)},
}


def table(trace: Path, duration: str = "4 d") -> list[dict[str, Any]]:
    """Return one row for every kind and setting: cost, latency, errors and whether the SLO holds."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "scenario.yaml"
        path.write_text(SCENARIO % (duration, trace), encoding="utf-8")
        base = fargsim.load(path, allow_outside=True).model_dump(mode="json", by_alias=True, exclude_none=True)
    rows = []
    for kind, settings in POLICIES.items():
        for setting, over in settings.items():
            summary = fargsim.run(fargsim.Scenario.model_validate({**base, **over})).summary
            latency, errors = summary["latency_p99_ms"], summary["error_rate"]
            assert latency is not None
            assert errors is not None
            rows.append(
                {
                    "kind": kind,
                    "setting": setting,
                    "requests": summary["requests"],
                    "p99_ms": latency,
                    "error_rate": errors,
                    "tasks": summary["running_tasks_mean"],
                    "actions": summary["scaling_actions"],
                    "compute_usd": summary["cost_compute_usd"],
                    "slo": latency <= SLO_P99_MS and errors <= SLO_ERRORS,
                }
            )
    return rows


def cheapest(rows: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Return for every kind its cheapest setting that holds the SLO."""
    found: dict[str, dict[str, Any]] = {}
    for row in sorted(rows, key=lambda r: r["compute_usd"]):
        if row["slo"]:
            found.setdefault(row["kind"], row)
    return found


def main() -> None:
    """Print the table."""
    rows = table(Path(sys.argv[1]).resolve())
    best = cheapest(rows)
    line = "{:24s} {:>10s} {:>10s} {:>10s} {:>8s} {:>8s} {:>10s}  {}\n"
    sys.stdout.write(line.format("policy", "setting", "p99 (ms)", "errors", "tasks", "actions", "USD", ""))
    for row in rows:
        mark = "cheapest of its kind" if best.get(row["kind"]) is row else "" if row["slo"] else "misses the SLO"
        figures = (f"{row['p99_ms']:.0f}", f"{row['error_rate']:.2e}", f"{row['tasks']:.2f}", f"{row['actions']}")
        sys.stdout.write(line.format(row["kind"], row["setting"], *figures, f"{row['compute_usd']:.2f}", mark))


if __name__ == "__main__":
    main()
