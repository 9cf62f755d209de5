"""A sound scenario and its task definition, to be spoilt in tests."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from fargsim.load import ScenarioError, load, load_variants

TASK_DEFINITION: dict[str, Any] = {
    "family": "web",
    "networkMode": "awsvpc",
    "requiresCompatibilities": ["FARGATE", "EC2"],
    "cpu": "1024",
    "memory": "2048",
    "containerDefinitions": [
        {
            "name": "app",
            "image": "example/web:1",
            "cpu": 1024,
            "memory": 2048,
            "essential": True,
            "portMappings": [{"containerPort": 80, "hostPort": 80, "protocol": "tcp"}],
        }
    ],
}

SCENARIO = """\
schema: 1
name: example
region: us-east-1
start: 2026-03-02T00:00:00Z
duration: 24 h
network:
  subnets:
    - {SubnetId: subnet-a, AvailabilityZone: us-east-1a}
    - {SubnetId: subnet-b, AvailabilityZone: us-east-1b}
taskDefinitions:
  - file: web.taskdef.json
behaviour:
  web:
    image: {size: 180 MB}
    boot: {lognormal: {mean: 6 s, p95: 10 s}}
    request: {cpu: {lognormal: {mean: 40 ms, p99: 250 ms}}, wait: {exponential: {mean: 15 ms}}, workers: 32}
targetGroups:
  - {Name: web-targets, TargetType: ip}
loadBalancers:
  - Name: front
    Listeners:
      - DefaultActions: [{Type: forward, TargetGroupArn: web-targets}]
services:
  - serviceName: web
    taskDefinition: web
    desiredCount: 4
    launchType: FARGATE
    networkConfiguration: {awsvpcConfiguration: {subnets: [subnet-a, subnet-b], assignPublicIp: ENABLED}}
    loadBalancers: [{targetGroupArn: web-targets, containerName: app, containerPort: 80}]
scaling:
  - service: web
    MinCapacity: 2
    MaxCapacity: 60
    policies:
      - PolicyName: cpu
        TargetTrackingScalingPolicyConfiguration:
          TargetValue: 60
          PredefinedMetricSpecification: {PredefinedMetricType: ECSServiceAverageCPUUtilization}
traffic:
  - {to: web, rate: {constant: 100 /s}}
timeline:
  - {at: 10 h, ecs.update_service: {service: web, desiredCount: 6}}
slo: {latency_p99: 400 ms, error_rate: 0.1 %}
quotas: {fargate_on_demand_vcpu: 200}
assumptions: {service_reaction_s: 4}
"""

EC2 = """\
launchTemplates:
  - {LaunchTemplateName: large, LaunchTemplateData: {InstanceType: m5.xlarge}}
autoScalingGroups:
  - AutoScalingGroupName: fleet
    MinSize: 3
    MaxSize: 3
    LaunchTemplate: {LaunchTemplateName: large}
    VPCZoneIdentifier: subnet-a,subnet-b
capacityProviders:
  - {name: on-fleet, autoScalingGroupProvider: {autoScalingGroupArn: fleet}}
"""


def place(folder: Path, text: str = SCENARIO, definition: Any = TASK_DEFINITION, name: str = "scenario.yaml") -> Path:
    """Write a scenario and its task definition; return the scenario's path."""
    definition_text = definition if isinstance(definition, str) else json.dumps(definition, indent=2)
    (folder / "web.taskdef.json").write_text(definition_text, encoding="utf-8")
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def changed(old: str, new: str, text: str = SCENARIO) -> str:
    """Return the scenario with one piece of text replaced."""
    assert text.count(old) == 1, f"{old!r} stands {text.count(old)} times"
    return text.replace(old, new)


def faults(path: Path, **options: Any) -> list[tuple[str, int, int, str, str]]:
    """Return every fault of a scenario file as (file name, line, column, path, message)."""
    try:
        load(path, **options)
    except ScenarioError as error:
        return [(Path(i.file).name, i.line, i.col, i.dotted(), i.message) for i in error.issues]
    return []


def variant_faults(path: Path) -> list[tuple[str, int, int, str, str]]:
    """Return every fault of all variants."""
    try:
        load_variants(path)
    except ScenarioError as error:
        return [(Path(i.file).name, i.line, i.col, i.dotted(), i.message) for i in error.issues]
    return []


def line_of(needle: str, text: str = SCENARIO) -> tuple[int, int]:
    """Return line and column of a piece of text that stands once."""
    assert text.count(needle) == 1, f"{needle!r} stands {text.count(needle)} times"
    at = text.index(needle)
    return text.count("\n", 0, at) + 1, at - text.rfind("\n", 0, at)
