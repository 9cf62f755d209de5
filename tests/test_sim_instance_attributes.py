"""Attributes of container instances: the subnet that an instance is in, and custom ones that a timeline gives."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from sim_helpers import exact_region, fleet, register

import fargsim
from fargsim import Region
from fargsim.load.issue import ScenarioError
from fargsim.sim.errors import InvalidParameterException


def attributes(region: Region, name: str) -> list[str]:
    return [a["value"] for a in region.ecs.list_attributes(attributeName=name)["attributes"]]


def test_an_instance_is_in_the_subnet_of_its_zone() -> None:
    region = exact_region()
    fleet(region, 3, AvailabilityZones=[], VPCZoneIdentifier="subnet-c,subnet-a,subnet-b")
    found = region.ecs.list_container_instances()["containerInstanceArns"]
    told = region.ecs.describe_container_instances(containerInstances=found)["containerInstances"]
    pairs = {
        (a["ecs.subnet-id"], a["ecs.availability-zone"])
        for a in ({x["name"]: x.get("value") for x in i["attributes"]} for i in told)
    }
    assert pairs == {("subnet-a", "us-east-1a"), ("subnet-b", "us-east-1b"), ("subnet-c", "us-east-1c")}


def test_a_constraint_on_the_subnet_finds_its_instance() -> None:
    region = exact_region()
    fleet(region, 3, AvailabilityZones=[], VPCZoneIdentifier="subnet-c,subnet-a,subnet-b")
    register(region, "job", fargate=False, memory=512)
    constraint = {"type": "memberOf", "expression": "attribute:ecs.subnet-id == subnet-b"}
    [task] = region.ecs.run_task(taskDefinition="job", launchType="EC2", placementConstraints=[constraint])["tasks"]
    assert task["availabilityZone"] == "us-east-1b"


def test_attributes_go_to_the_oldest_instances_of_a_group() -> None:
    region = exact_region()
    fleet(region, 3)
    stack = [{"name": "stack", "value": "blue"}]
    region.ecs.put_attributes(attributes=stack, auto_scaling_group="asg", count=2)
    assert attributes(region, "stack") == ["blue", "blue"]
    region.ecs.put_attributes(attributes=[{"name": "stack", "value": "green"}], auto_scaling_group="asg")
    assert attributes(region, "stack") == ["green"] * 3


@pytest.mark.parametrize(
    "wrong",
    [{}, {"auto_scaling_group": "asg", "target": True}, {"target": True, "count": 2}],
    ids=["neither", "both", "a count of named ones"],
)
def test_either_a_group_or_targets(wrong: dict[str, Any]) -> None:
    region = exact_region()
    fleet(region)
    [arn] = region.ecs.list_container_instances()["containerInstanceArns"]
    target = {"targetId": arn} if wrong.pop("target", False) else {}
    with pytest.raises(InvalidParameterException, match="auto_scaling_group"):
        region.ecs.put_attributes(attributes=[{"name": "stack", "value": "blue", **target}], **wrong)


SCENARIO = """schema: 1
name: attributes
region: us-east-1
duration: 5 min
seed: 1
launchTemplates: [{LaunchTemplateName: lt, LaunchTemplateData: {InstanceType: c5.large}}]
autoScalingGroups:
  - {AutoScalingGroupName: asg, MinSize: 2, MaxSize: 2, LaunchTemplate: {LaunchTemplateName: lt}, registered_at_start: true}
taskDefinitions:
  - {family: web, containerDefinitions: [{name: app, image: 'app:1', cpu: 256, memory: 256}]}
services:
  - serviceName: web
    taskDefinition: web
    desiredCount: 1
    launchType: EC2
    placementConstraints: [{type: memberOf, expression: 'attribute:stack == blue'}]
timeline:
  - {at: 2 min, ecs.put_attributes: {auto_scaling_group: GROUP, count: 1, attributes: [{name: stack, value: blue}]}}
"""


def test_a_timeline_gives_attributes_and_the_service_finds_its_place(tmp_path: Path) -> None:
    file = tmp_path / "scenario.yaml"
    file.write_text(SCENARIO.replace("GROUP", "asg"))
    scenario = fargsim.load(file)
    tasks = fargsim.run(scenario).tables["tasks"]
    assert len(tasks) == 1
    assert (tasks["created_at"][0] - scenario.start).total_seconds() >= 120


def test_a_group_that_is_not_there_is_named_at_its_place(tmp_path: Path) -> None:
    file = tmp_path / "scenario.yaml"
    file.write_text(SCENARIO.replace("GROUP", "other"))
    with pytest.raises(ScenarioError) as caught:
        fargsim.load(file)
    [issue] = caught.value.issues
    assert issue.dotted() == "timeline[0].ecs.put_attributes.auto_scaling_group"
    assert "asg" in issue.message
