"""From a scenario to a region: what a file says reaches the verbs as it was said."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import BaseModel

import fargsim
from fargsim.sim.build import arguments_of, build

SCENARIOS = Path(__file__).resolve().parents[1] / "scenarios"
NAMES = sorted(path.name for path in SCENARIOS.glob("*.yaml"))

OF_OURS = """schema: 1
name: ours
region: us-east-1
duration: 10 min
launchTemplates:
  - {LaunchTemplateName: t, LaunchTemplateData: {InstanceType: m5.large}}
autoScalingGroups:
  - AutoScalingGroupName: g
    MinSize: 0
    MaxSize: 2
    DesiredCapacity: 1
    LaunchTemplate: {LaunchTemplateName: t}
    AvailabilityZones: [us-east-1a]
    LifecycleHookSpecificationList:
      - LifecycleHookName: h
        LifecycleTransition: autoscaling:EC2_INSTANCE_LAUNCHING
        answer: {after: 100.5 s, heartbeat_every: 50 s}
loadBalancers:
  - {Name: front, client_timeout: 1.5 s}
"""


def shapes(scenario: BaseModel) -> list[BaseModel]:
    """The shapes that a scenario is made of: everything in its lists, and what its timeline does."""
    lists = [value for name in type(scenario).model_fields if isinstance(value := getattr(scenario, name), tuple)]
    found = [item for items in lists for item in items if isinstance(item, BaseModel)]
    inner = [getattr(item, name) for item in found for name in type(item).model_fields]
    return [*found, *(value for value in inner if isinstance(value, BaseModel))]


@pytest.mark.parametrize("name", [*NAMES, "ours"])
def test_the_arguments_of_a_shape_make_the_same_shape(tmp_path: Path, name: str) -> None:
    path = SCENARIOS / name
    if name == "ours":
        path = tmp_path / "ours.yaml"
        path.write_text(OF_OURS, encoding="utf-8")
    for scenario in fargsim.load_variants(path).values():
        found = [shape for shape in shapes(scenario) if hasattr(shape, "model_dump")]
        assert found
        for shape in found:
            assert type(shape).model_validate(arguments_of(shape)) == shape


def test_durations_that_are_not_of_aws_reach_the_verbs(tmp_path: Path) -> None:
    path = tmp_path / "ours.yaml"
    path.write_text(OF_OURS, encoding="utf-8")
    region = build(fargsim.load(path))
    assert region.registry.balancers["front"].spec.client_timeout == 1_500_000
    [hook] = region.registry.group("g").spec.lifecycle_hook_specification_list
    assert hook.answer is not None
    assert (hook.answer.after, hook.answer.heartbeat_every) == (100_500_000, 50_000_000)
