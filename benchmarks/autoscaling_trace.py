"""The cheapest scaling policy that holds an SLO on a real series.

``python benchmarks/autoscaling_trace.py TRACE.csv [TRACE.csv ...]`` runs a service under a series of numenta/NAB
(``data/realAWSCloudwatch``) with a fixed count and with five kinds of policies (four for a series of CPU, which
has no requests to track), each at several settings, and prints for every kind the cheapest setting that holds the SLO.

A series of requests (``elb_request_count_8c0756.csv``: sums of five minutes, times twenty) drives a service behind a balancer; its SLO is
about latency and errors. A series of CPU utilisation (``ec2_cpu_utilization_77c1ca.csv`` and its like) is the mean over ten tasks: what
they do together is shared by however many run; its SLO is about the time without headroom.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import fargsim

SLO_P99_MS = 1_000.0
SLO_ERRORS = 0.001
SLO_BUSY_PERCENT = 90.0
SLO_BUSY_SHARE = 0.01
"""At most one minute in a hundred may be above nine tenths of the CPU that is there."""

SERVICE = """
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
services:
  - serviceName: web
    taskDefinition: web
    desiredCount: 2
    launchType: FARGATE
    networkConfiguration: {awsvpcConfiguration: {subnets: [subnet-a, subnet-b]}}
    monitoring: {metricConfigurations: [{metricNames: [CPUUtilization], resolutionSeconds: 20}]}
scaling: [{service: web, MinCapacity: 1, MaxCapacity: 30}]
"""
REQUESTS = (
    SERVICE.replace(
        "    monitoring:",
        "    loadBalancers: [{targetGroupArn: web, containerName: app, containerPort: 80}]\n    monitoring:",
    )
    + """
behaviour:
  web: {image: {size: 60 MB}, boot: 4 s, request: {cpu: {lognormal: {mean: 20 ms, p99: 90 ms}}, workers: 32}}
targetGroups:
  - Name: web
    HealthCheckIntervalSeconds: 10
    Attributes: [{Key: deregistration_delay.timeout_seconds, Value: "30"}]
loadBalancers:
  - {Name: alb, Listeners: [{DefaultActions: [{Type: forward, TargetGroupArn: web}]}]}
traffic:
  - {to: web, rate: {trace: {file: "%s", kind: sum, period: 5 min}, scale: 20}}
"""
)
CPU = (
    SERVICE
    + """
behaviour:
  web: {image: {size: 60 MB}, boot: 4 s, utilization: {tasks: 10, cpu: {trace: {file: "%s"}}}}
"""
)
DIMENSIONS = [{"Name": "ClusterName", "Value": "default"}, {"Name": "ServiceName", "Value": "web"}]
Overlay = dict[str, Any]


def tracking(metric: str, target: float) -> Overlay:
    """Return the overlay of a target tracking policy."""
    return _scaled([_tracked(metric, target)])


def _tracked(metric: str, target: float) -> dict[str, Any]:
    spec = {
        "TargetValue": target,
        "PredefinedMetricSpecification": {"PredefinedMetricType": metric},
        "ScaleOutCooldown": 60,
    }
    return {"PolicyName": "track", "TargetTrackingScalingPolicyConfiguration": spec}


def _scaled(policies: list[dict[str, Any]]) -> Overlay:
    return {"scaling": [{"service": "web", "MinCapacity": 1, "MaxCapacity": 30, "policies": policies}]}


def steps(threshold: float) -> Overlay:
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
        "Dimensions": DIMENSIONS,
        "Statistic": "Average",
        "Period": 60,
    }
    high = {"AlarmName": "high", "EvaluationPeriods": 1, "Threshold": threshold, "AlarmActions": ["out"]}
    low = {"AlarmName": "low", "EvaluationPeriods": 10, "Threshold": threshold / 2, "AlarmActions": ["in"]}
    return {
        **_scaled(policies),
        "alarms": [
            {**common, **high, "ComparisonOperator": "GreaterThanOrEqualToThreshold"},
            {**common, **low, "ComparisonOperator": "LessThanThreshold"},
        ],
    }


def predictive(pair: str, target: float) -> Overlay:
    """Return the overlay of a forecast from the second day on, with target tracking of CPU at 60 s for what it does not foresee."""
    metric = {"TargetValue": target, "PredefinedMetricPairSpecification": {"PredefinedMetricType": pair}}
    ahead = {
        "PolicyName": "ahead",
        "PolicyType": "PredictiveScaling",
        "PredictiveScalingPolicyConfiguration": {"MetricSpecifications": [metric], "Mode": "ForecastAndScale"},
    }
    percent = target / 7.5 if pair == "ALBRequestCount" else target
    return _scaled([ahead, _tracked("ECSServiceAverageCPUUtilization", percent)])


def fixed(count: int) -> Overlay:
    """Return the overlay of a count that never changes."""
    return {"scaling": [{"service": "web", "MinCapacity": count, "MaxCapacity": count}]}


HIGH_RESOLUTION = "ECSServiceAverageCPUUtilizationHighResolution"
# a quarter of a vCPU works off 750 requests of 20 ms a minute: 75 of them are 10 %
POLICIES: dict[str, dict[str, Overlay]] = {
    "fixed count": {f"{n} tasks": fixed(n) for n in (2, 3, 4, 5, 6, 8)},
    "tracking, CPU at 60 s": {f"{t} %": tracking("ECSServiceAverageCPUUtilization", t) for t in (10, 15, 20, 30, 45)},
    "tracking, CPU at 20 s": {f"{t} %": tracking(HIGH_RESOLUTION, t) for t in (10, 15, 20, 30, 45)},
    "tracking, requests per target": {
        f"{n} a minute": tracking("ALBRequestCountPerTarget", n) for n in (75, 110, 150, 225, 340)
    },
    "steps, CPU at 60 s": {f"from {t} %": steps(t) for t in (15, 25, 35, 50)},
    "predictive, with tracking at 60 s": {
        f"{n} a minute": predictive("ALBRequestCount", n) for n in (75, 110, 150, 225, 340)
    },
}
CPU_POLICIES: dict[str, dict[str, Overlay]] = {
    "fixed count": {f"{n} tasks": fixed(n) for n in (6, 7, 8)},
    "tracking, CPU at 60 s": {f"{t} %": tracking("ECSServiceAverageCPUUtilization", t) for t in (55, 70, 80)},
    "tracking, CPU at 20 s": {f"{t} %": tracking(HIGH_RESOLUTION, t) for t in (55, 70, 80)},
    "steps, CPU at 60 s": {f"from {t} %": steps(t) for t in (50, 65, 80)},
    "predictive, with tracking at 60 s": {f"{t} %": predictive("ECSServiceCPUUtilization", t) for t in (55, 70, 80)},
}


def table(trace: Path, duration: str = "4 d") -> list[dict[str, Any]]:
    """Return one row for every kind and setting of a series of requests: cost, latency, errors and whether the SLO holds."""
    rows = []
    for row, result in _runs(REQUESTS % (duration, trace), POLICIES):
        latency, errors = result.summary["latency_p99_ms"], result.summary["error_rate"]
        assert latency is not None
        assert errors is not None
        slo = latency <= SLO_P99_MS and errors <= SLO_ERRORS
        rows.append(
            {**row, "requests": result.summary["requests"], "p99_ms": latency, "error_rate": errors, "slo": slo}
        )
    return rows


def cpu_table(trace: Path, duration: str = "4 d") -> list[dict[str, Any]]:
    """Return one row for every kind and setting of a series of CPU utilisation: cost, minutes without headroom, whether the SLO holds."""
    rows = []
    for row, result in _runs(CPU % (duration, trace), CPU_POLICIES):
        busy = result.tables["services"].cpu_utilization
        share = float((busy > SLO_BUSY_PERCENT).mean())
        rows.append({**row, "minutes": len(busy), "busy_share": share, "slo": share <= SLO_BUSY_SHARE})
    return rows


def _runs(scenario: str, policies: Mapping[str, Mapping[str, Overlay]]) -> list[tuple[dict[str, Any], fargsim.Result]]:
    """Run a scenario under every policy: the same load for all of them."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "scenario.yaml"
        path.write_text(scenario, encoding="utf-8")
        base = fargsim.load(path, allow_outside=True).model_dump(mode="json", by_alias=True, exclude_none=True)
    found = []
    for kind, settings in policies.items():
        for setting, over in settings.items():
            result = fargsim.run(fargsim.Scenario.model_validate({**base, **over}))
            row = {
                "kind": kind,
                "setting": setting,
                "tasks": result.summary["running_tasks_mean"],
                "actions": result.summary["scaling_actions"],
                "compute_usd": result.summary["cost_compute_usd"],
            }
            found.append((row, result))
    return found


def cheapest(rows: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Return for every kind its cheapest setting that holds the SLO."""
    found: dict[str, dict[str, Any]] = {}
    for row in sorted(rows, key=lambda r: r["compute_usd"]):
        if row["slo"]:
            found.setdefault(row["kind"], row)
    return found


def figures(row: Mapping[str, Any]) -> tuple[str, str]:
    """Return what the SLO is about, as text."""
    if "p99_ms" in row:
        return f"{row['p99_ms']:.0f} ms", f"{row['error_rate']:.2e}"
    return f"{100 * row['busy_share']:.2f} %", ""


def main() -> None:
    """Print a table for every series."""
    line = "{:34s} {:>13s} {:>10s} {:>10s} {:>8s} {:>8s} {:>10s}  {}\n"
    for name in sys.argv[1:]:
        trace = Path(name).resolve()
        requests = "request_count" in trace.name
        rows = table(trace) if requests else cpu_table(trace)
        best = cheapest(rows)
        heads = ("p99", "errors") if requests else ("busy", "")
        sys.stdout.write(f"{trace.name}\n")
        sys.stdout.write(line.format("policy", "setting", *heads, "tasks", "actions", "USD", ""))
        for row in rows:
            mark = "cheapest of its kind" if best.get(row["kind"]) is row else "" if row["slo"] else "misses the SLO"
            told = (*figures(row), f"{row['tasks']:.2f}", f"{row['actions']}", f"{row['compute_usd']:.2f}")
            sys.stdout.write(line.format(row["kind"], row["setting"], *told, mark))


if __name__ == "__main__":
    main()
