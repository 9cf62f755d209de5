"""Scenario files about capacity: one service on one provider, and what is said of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from fargsim.load import ScenarioError, load

BASE = """\
schema: 1
name: capacity
duration: 1 h
taskDefinitions:
  - family: job
    networkMode: bridge
    cpu: "{cpu}"
    memory: "1024"
    containerDefinitions: [{{name: app, image: "x:1"}}]
behaviour:
  job: {{run: 1 min}}
launchTemplates:
  - {{LaunchTemplateName: lt, LaunchTemplateData: {{InstanceType: {kind}{market}}}}}
autoScalingGroups:
  - AutoScalingGroupName: asg
    MinSize: {least}
    MaxSize: {most}
    {template}
    {group}
capacityProviders:
  - name: cp
    autoScalingGroupProvider: {{autoScalingGroupArn: asg, managedScaling: {{status: ENABLED{scaling}}}}}
  {provider}
clusters:
  - {{clusterName: default, capacityProviders: [cp, FARGATE, FARGATE_SPOT{more}]}}
{clusters}
services:
  - serviceName: job
    taskDefinition: job
    desiredCount: 1
    capacityProviderStrategy: {strategy}
{timeline}
"""
PLAIN = "LaunchTemplate: {LaunchTemplateName: lt}"
MANAGED = """- name: mi
    cluster: default
    managedInstancesProvider: {instanceLaunchTemplate: {networkConfiguration: {subnets: [subnet-a]}}}"""
MIXED = """MixedInstancesPolicy:
      LaunchTemplate:
        LaunchTemplateSpecification: {{LaunchTemplateName: lt}}
        Overrides: {overrides}
      InstancesDistribution: {{{distribution}}}"""


def text(**changes: Any) -> str:
    values = {
        "cpu": 512,
        "kind": "c5.large",
        "market": "",
        "least": 0,
        "most": 4,
        "template": PLAIN,
        "group": "",
        "scaling": "",
        "provider": "",
        "more": "",
        "clusters": "",
        "strategy": "[{capacityProvider: cp, weight: 1}]",
        "timeline": "",
    }
    return BASE.format(**(values | changes))


def mixed(overrides: str = "[{InstanceType: c5.large}]", distribution: str = "") -> str:
    return MIXED.format(overrides=overrides, distribution=distribution)


def place(folder: Path, document: str) -> Path:
    path = folder / "scenario.yaml"
    path.write_text(document)
    return path


def found(folder: Path, document: str) -> list[tuple[str, str]]:
    with pytest.raises(ScenarioError) as caught:
        load(place(folder, document))
    return [(issue.dotted(), issue.message) for issue in caught.value.issues]
