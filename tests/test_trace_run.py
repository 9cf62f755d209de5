"""A real request count of an Elastic Load Balancer drives a service, minute by minute, for a day."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

import fargsim

TRACE = Path(__file__).resolve().parents[2] / "shared" / "data" / "traces" / "nab_elb_request_count_8c0756.csv"
pytestmark = pytest.mark.skipif(not TRACE.is_file(), reason="the trace is not part of the project")

SCENARIO = """
schema: 1
name: elb-trace
duration: 14 d
seed: 4
initial_state: running
taskDefinitions:
  - family: web
    networkMode: awsvpc
    requiresCompatibilities: [FARGATE]
    cpu: "256"
    memory: "512"
    containerDefinitions: [{name: app, image: "app:1", portMappings: [{containerPort: 80}]}]
behaviour:
  web: {request: {cpu: {lognormal: {mean: 30 ms, p99: 200 ms}}, workers: 8}}
targetGroups: [{Name: web}]
loadBalancers:
  - {Name: alb, Listeners: [{DefaultActions: [{Type: forward, TargetGroupArn: web}]}]}
services:
  - serviceName: web
    taskDefinition: web
    desiredCount: 2
    launchType: FARGATE
    networkConfiguration: {awsvpcConfiguration: {subnets: [subnet-a, subnet-b]}}
    loadBalancers: [{targetGroupArn: web, containerName: app, containerPort: 80}]
traffic:
  - {to: web, rate: {trace: {file: "%s", kind: sum, period: 5 min}}}
"""


def test_a_real_trace_is_reproduced_period_by_period(tmp_path: Path) -> None:
    path = tmp_path / "scenario.yaml"
    path.write_text(SCENARIO % TRACE, encoding="utf-8")
    result = fargsim.run(fargsim.load(path, allow_outside=True))
    with TRACE.open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    services = result.tables["services"].set_index("period_start_at")
    per_period = services["requests_arrived"].resample("5min").sum()
    counts = {row["timestamp"]: 0.0 for row in rows}
    for row in rows:
        counts[row["timestamp"]] += float(row["value"])
    # the trace begins at 00:04 and the run with it: period k of the run is the k-th five minutes of the trace
    assert result.summary["requests"] == per_period.sum()
    in_run = [c for t, c in counts.items() if t < "2014-04-24 00:04:00"]
    assert result.summary["requests"] == sum(in_run)
    assert per_period.iloc[:3].tolist() == [94, 56, 187]
    assert result.summary["error_rate"] == 0.0


def test_a_trace_outside_the_folder_needs_permission(tmp_path: Path) -> None:
    path = tmp_path / "scenario.yaml"
    path.write_text(SCENARIO % TRACE, encoding="utf-8")
    with pytest.raises(fargsim.ScenarioError, match="--allow-outside"):
        fargsim.load(path)
