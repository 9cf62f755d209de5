"""`fargsim explain`: why a task is where it is, in words; what it says where the steps were not kept; what it refuses."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from installed import Finished

from fargsim import Result
from fargsim.load import load
from fargsim.report.explain import UnknownTask, explain_service, explain_task, find_task
from fargsim.study.run import run

SCENARIO = """\
schema: 1
name: told
duration: 20 min
record: {placements: full}
initial_state: running
network:
  subnets:
    - {SubnetId: subnet-a, AvailabilityZone: us-east-1a}
    - {SubnetId: subnet-b, AvailabilityZone: us-east-1b}
launchTemplates:
  - {LaunchTemplateName: lt, LaunchTemplateData: {InstanceType: m5.large}}
autoScalingGroups:
  - AutoScalingGroupName: asg
    MinSize: 0
    MaxSize: 3
    DesiredCapacity: 3
    LaunchTemplate: {LaunchTemplateName: lt}
    AvailabilityZones: [us-east-1a, us-east-1b]
    registered_at_start: true
clusters:
  - {clusterName: default, capacityProviders: [FARGATE, FARGATE_SPOT]}
taskDefinitions:
  - family: web
    networkMode: bridge
    requiresCompatibilities: [EC2]
    cpu: "512"
    memory: "1024"
    containerDefinitions: [{name: app, image: a, portMappings: [{containerPort: 80, hostPort: 80}]}]
  - family: fg
    networkMode: awsvpc
    requiresCompatibilities: [FARGATE]
    cpu: "512"
    memory: "1024"
    containerDefinitions: [{name: app, image: a}]
services:
  - {serviceName: web, taskDefinition: web, desiredCount: 5, launchType: EC2}
  - serviceName: fg
    taskDefinition: fg
    desiredCount: 4
    capacityProviderStrategy:
      - {capacityProvider: FARGATE, base: 1, weight: 1}
      - {capacityProvider: FARGATE_SPOT, weight: 3}
    networkConfiguration: {awsvpcConfiguration: {subnets: [subnet-a, subnet-b]}}
timeline:
  - {at: 10 min, ecs.update_service: {service: web, desiredCount: 2}}
assumptions: {spot_interruptions_per_task_hour: 0}
"""


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("told")
    (folder / "told.yaml").write_text(SCENARIO, encoding="utf-8")
    result = run(load(folder / "told.yaml"))
    result.save(folder / "result")
    return folder / "result"


@pytest.fixture(scope="module")
def record(told: Path) -> Result:
    return Result.read(told).record


def the(lines: list[str], begins: str) -> str:
    [found] = [line.strip() for line in lines if line.strip().startswith(begins)]
    return found


def test_a_task_on_an_instance_is_explained_step_by_step(record: Result) -> None:
    third = find_task(record, service="web")[2]
    lines = explain_task(record, third)
    assert lines[0].startswith(f"task {third}: web:1 of service web, created at +0:00:00.0")
    ports = the(lines, "ports (80/tcp)")
    assert ports.count("80/tcp in use") == 2, "two tasks of the service have taken theirs"
    assert "(5 of 100 reserved) let through" in ports
    # the one instance left: every rule lets it through
    assert "is let through" in the(lines, "spread(attribute:ecs.availability-zone) (the fewest)")
    assert the(lines, "placed on ").endswith("out of 1 that would do")


def test_a_fargate_task_is_explained_by_account_provider_and_zone(record: Result) -> None:
    [last] = find_task(record, service="fg", last=True)
    lines = explain_task(record, last)
    # FARGATE has its base of 1 and one of the three others at most: the fourth task is Spot's second or third
    assert the(lines, "base and weight").startswith(
        "base and weight (base first, then the largest lack): FARGATE_SPOT ("
    )
    assert "1 of the group in" in the(lines, "spread over zones") or "0 of the group in" in the(
        lines, "spread over zones"
    )
    assert "of 6 vCPU in use" in the(lines, "vCPU quota (0.5 vCPU)")


def test_a_victim_is_told_why_it_was_chosen(record: Result) -> None:
    tasks = record.tables["tasks"]
    stopped = tasks[(tasks["service"] == "web") & (tasks["stop_code"] == "ServiceSchedulerInitiated")]
    [victim] = stopped["task_id"]
    lines = explain_task(record, victim)
    at = lines.index("Why this one was stopped:")
    rule = the(lines[at:], "spread(attribute:ecs.availability-zone) (the most)")
    assert "2 of the service in the zone" in rule, "zone a has two of the three tasks"
    assert "spared: " in rule
    assert "(1 of the service in the zone)" in rule


def test_a_service_is_told_in_lines_with_its_failed_attempts(record: Result) -> None:
    found = find_task(record, service="web")
    lines = explain_service(record, found, "web")
    assert [line[:8] for line in lines[:3]] == [task[:8] for task in found]
    assert "RESOURCE:PORTS on 3" in lines[3]
    assert the(lines, "ports (80/tcp)").endswith("nothing is left: RESOURCE:PORTS")


def test_the_beginning_of_an_id_is_enough_and_an_arn_is_one(record: Result) -> None:
    tasks = record.tables["tasks"]
    one = tasks.iloc[0]
    assert find_task(record, task=one["task_id"][:10]) == [one["task_id"]]
    assert find_task(record, task=one["task_arn"]) == [one["task_id"]]
    with pytest.raises(UnknownTask, match="begin with ''"):
        find_task(record, task="")
    with pytest.raises(UnknownTask, match="no task's id begins with 'zz'"):
        find_task(record, task="zz")
    with pytest.raises(UnknownTask, match="services with tasks are fg, web"):
        find_task(record, service="api")


def test_the_command(fargsim_command: Callable[..., Finished], told: Path, record: Result) -> None:
    one = record.tables["tasks"]["task_id"].iloc[0]
    done = fargsim_command("explain", told, "--task", one[:12])
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines() == explain_task(record, one)
    done = fargsim_command("explain", told, "--task", "zz")
    assert (done.returncode, done.stdout) == (2, "")
    assert "no task's id begins with 'zz'" in done.stderr
    done = fargsim_command("explain", told)
    assert done.returncode == 2
    assert "--task ID, --service NAME or --last" in done.stderr
    done = fargsim_command("explain", told, "--last", "--run", "spot")
    assert done.returncode == 2
    assert "there is no run 'spot': there is default" in done.stderr


def test_without_full_records_it_says_what_is_known_and_how_to_know_more(tmp_path: Path) -> None:
    plain = tmp_path / "told.yaml"
    plain.write_text(SCENARIO.replace("record: {placements: full}\n", ""), encoding="utf-8")
    result = run(load(plain)).record
    assert len(result.tables["placement_steps"]) == 0
    [last] = find_task(result, service="web", last=True)
    lines = explain_task(result, last)
    assert the(lines, "placed on ").endswith("out of 1 that would do")
    assert "record.placements=full" in lines[-1]
