"""`fargsim explain`: why a task is where it is, in words; what it says where the steps were not kept; what it refuses."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields
from pathlib import Path

import pytest
from installed import Finished

from fargsim import Result
from fargsim.load import load
from fargsim.model.placement import PlacementConstraint
from fargsim.policy.filters import constraint, filters
from fargsim.policy.needs import TaskNeeds
from fargsim.report.explain import UnknownTask, explain_service, explain_task, find_task
from fargsim.report.explain_words import CHECKS
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
    assert the(lines, "At ") == "At +0:00:00.0 3 container instances were looked at:"
    assert the(lines, "All 3 are ACTIVE") == "All 3 are ACTIVE and have their agents connected."
    assert the(lines, "All 3 have the 512 CPU units that it needs: ").count("(1536 CPU units free)") == 2
    ports = the(lines, "1 of 3 has host port 80/tcp free: ")
    assert ports.count("80/tcp in use") == 2, "two tasks of the service have taken theirs"
    assert "(5 of 100 reserved); not " in ports
    # the one instance left: no rule has anything to choose
    assert the(lines, "Only ").endswith(
        "is left: the strategy has nothing to choose (spread(attribute:ecs.availability-zone) and spread(instanceId))."
    )
    assert the(lines, "placed on ").endswith("out of 1 that would do")


def test_a_fargate_task_is_explained_by_account_provider_and_zone(record: Result) -> None:
    [last] = find_task(record, service="fg", last=True)
    lines = explain_task(record, last)
    # FARGATE has its base of 1 and one of the three others at most: the fourth task is Spot's second or third
    assert the(lines, "It is the turn of").startswith("It is the turn of FARGATE_SPOT (base 0, weight 3, ")
    assert ") by base and weight; not of FARGATE (base 1, weight 1, " in the(lines, "It is the turn of")
    zone = the(lines, "It goes to the zone with the fewest tasks, the first of equals: ")
    assert "; not to us-east-1" in zone
    assert zone.count(" of the group in us-east-1") == 2
    assert the(lines, "Its 0.5 vCPU fit the account's quota of Fargate Spot: ").endswith("of 6 vCPU in use.")
    assert the(lines, "The launch rate allows it: ").endswith(" left of Fargate Spot.")


def test_a_victim_is_told_why_it_was_chosen(record: Result) -> None:
    tasks = record.tables["tasks"]
    stopped = tasks[(tasks["service"] == "web") & (tasks["stop_code"] == "ServiceSchedulerInitiated")]
    [victim] = stopped["task_id"]
    lines = explain_task(record, victim)
    at = lines.index("Why this one was stopped:")
    assert the(lines[at:], "Tasks that are not healthy yet go first; it was healthy; 2 more are left")
    rule = the(lines[at:], "spread(attribute:ecs.availability-zone) takes from where the most are: ")
    assert "2 of the service in the zone" in rule, "zone a has two of the three tasks"
    assert "; it spares " in rule
    assert "(1 of the service in the zone)" in rule


def test_a_victim_is_told_which_turns_before_its_own_spared_it(tmp_path: Path) -> None:
    fg_too = "desiredCount: 2}}\n  - {at: 12 min, ecs.update_service: {service: fg, desiredCount: 1}}"
    many_go = SCENARIO.replace("hostPort: 80", "hostPort: 0").replace("desiredCount: 5", "desiredCount: 6")
    (tmp_path / "go.yaml").write_text(many_go.replace("desiredCount: 2}}", fg_too), encoding="utf-8")
    result = run(load(tmp_path / "go.yaml")).record
    steps = result.tables["placement_steps"]
    steps = steps[steps["kind"] == "stop"]
    tasks = result.tables["tasks"]
    stopped = tasks[tasks["stop_code"] == "ServiceSchedulerInitiated"].set_index("task_id")["service"]
    assert sorted(stopped) == ["fg"] * 3 + ["web"] * 4
    spared = []
    for victim in stopped.index:
        told = explain_task(result, victim)
        told = told[told.index("Why this one was stopped:") + 1 :]
        passed = steps[steps["candidate"] == victim]["passed"]
        assert [not line.startswith("  Another went first: ") for line in told] == list(passed), "a line for each step"
        spared += [line.strip() for line in told if line.startswith("  Another went first: ")]
    of_fargate = "the capacity provider that gave one was not its own (FARGATE: base 1, weight 1, 2 tasks)"
    assert f"Another went first: {of_fargate}." in spared
    assert any("spread(instanceId) spared this one (" in line for line in spared)


def test_every_check_of_a_placement_has_its_words() -> None:
    needs = TaskNeeds(1, 1, ((80, "tcp"),), 1, 1, ("us-east-1a",), (("stack", None),), (("app", 80, "tcp"),))
    assert all(getattr(needs, one.name) for one in fields(needs)), "a task that asks for everything"
    asked = [
        PlacementConstraint(type="distinctInstance"),
        PlacementConstraint(type="memberOf", expression="task:group == a"),
    ]
    checks = (*filters(needs), *map(constraint, asked))
    assert {check.name.partition("(")[0] for check in checks} == set(CHECKS)


def test_a_service_is_told_in_lines_with_its_failed_attempts(record: Result) -> None:
    found = find_task(record, service="web")
    lines = explain_service(record, found, "web")
    assert [line[:8] for line in lines[:3]] == [task[:8] for task in found]
    assert "RESOURCE:PORTS on 3" in lines[3]
    lost = the(lines, "None is left that has host port 80/tcp free: ")
    assert lost.count("(80/tcp in use)") == 3
    assert lost.endswith(". So it found no place: RESOURCE:PORTS")


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


FLEET = """\
schema: 1
name: words
duration: 30 min
record: {placements: full}
network:
  subnets:
    - {SubnetId: subnet-a, AvailabilityZone: us-east-1a}
    - {SubnetId: subnet-b, AvailabilityZone: us-east-1b}
launchTemplates:
  - {LaunchTemplateName: lt, LaunchTemplateData: {InstanceType: m5.large}}
autoScalingGroups:
  - AutoScalingGroupName: asg
    MinSize: 0
    MaxSize: 4
    DesiredCapacity: 3
    LaunchTemplate: {LaunchTemplateName: lt}
    VPCZoneIdentifier: subnet-a,subnet-b
    registered_at_start: true
    agent: {ECS_INSTANCE_ATTRIBUTES: {stack: prod}}
  - AutoScalingGroupName: managed
    MinSize: 0
    MaxSize: 1
    DesiredCapacity: 0
    LaunchTemplate: {LaunchTemplateName: lt}
    VPCZoneIdentifier: subnet-a,subnet-b
capacityProviders:
  - name: cp
    autoScalingGroupProvider:
      autoScalingGroupArn: managed
      managedScaling: {status: ENABLED}
      managedTerminationProtection: DISABLED
clusters:
  - {clusterName: default, capacityProviders: [FARGATE, FARGATE_SPOT, cp]}
taskDefinitions:
  - {family: agent, containerDefinitions: [{name: app, image: a, cpu: 128, memory: 128}]}
  - {family: web, containerDefinitions: [{name: app, image: a, cpu: 256, memory: 512}]}
  - {family: job, containerDefinitions: [{name: app, image: a, cpu: 1024, memory: 4096}]}
  - {family: short, containerDefinitions: [{name: app, image: a, cpu: 128, memory: 128}]}
behaviour:
  job: {run: 10 min}
  short: {run: 2 min}
services:
  - {serviceName: agent, taskDefinition: agent, schedulingStrategy: DAEMON, launchType: EC2}
  - serviceName: web
    taskDefinition: web
    desiredCount: 2
    launchType: EC2
    placementStrategy: [{type: binpack, field: memory}]
    placementConstraints: [{type: memberOf, expression: "attribute:stack == prod and runningTasksCount < 9"}]
  - {serviceName: waits, taskDefinition: job, desiredCount: 2, capacityProviderStrategy: [{capacityProvider: cp, weight: 1}]}
timeline:
  - {at: 5 min, ecs.run_task: {taskDefinition: short, launchType: EC2}}
  - {at: 20 min, ecs.update_container_instances_state: {auto_scaling_group: asg, status: DRAINING}}
"""


@pytest.fixture(scope="module")
def words(tmp_path_factory: pytest.TempPathFactory) -> Result:
    file = tmp_path_factory.mktemp("words") / "words.yaml"
    file.write_text(FLEET, encoding="utf-8")
    return run(load(file)).record


def test_strategy_and_constraint_are_told_in_sentences(words: Result) -> None:
    first, second = (explain_task(words, task) for task in find_task(words, service="web")[:2])
    constraint = "All 3 meet the constraint memberOf(attribute:stack == prod and runningTasksCount < 9): "
    assert the(first, constraint).count("(stack = prod, 0 tasks)") == 3
    assert "By binpack(memory) all 3 are equal: " in "\n".join(first)
    assert "What is equal goes by registration: " in "\n".join(first)
    pack = the(second, "binpack(memory) takes the one with the least left: ")
    assert pack.count("MiB free") == 3
    assert the(second, "Only ").endswith(
        "nothing remains to choose for spread(attribute:ecs.availability-zone) and spread(instanceId)."
    )


def test_a_daemon_task_says_that_its_instance_had_none(words: Result) -> None:
    lines = explain_task(words, find_task(words, service="agent")[0])
    assert the(lines, "A daemon service wants one task on every instance; i-").endswith(" had none.")
    assert "one container instance was looked at:" in the(lines, "At ")


def test_a_waiting_task_says_what_it_waited_for(words: Result) -> None:
    first, second = (explain_task(words, task) for task in find_task(words, service="waits")[:2])
    asked = the(first, "None is left that has what it asks for (Auto Scaling group managed): ")
    assert asked.count("(Auto Scaling group asg)") == 3
    assert asked.endswith("So it found no place: ATTRIBUTE")
    assert "looked at again:" in "\n".join(first)
    # the second one waits for the first to end, as no second instance may come; meanwhile a task of RunTask gives its place back
    idle = the(second, "It was tried again once, at +0:07:")
    assert idle.endswith(", and stayed in PROVISIONING; the last time no instance was left: ATTRIBUTE.")


def test_a_task_of_run_task_is_told_its_lot_and_one_on_a_draining_instance_why_it_went(words: Result) -> None:
    tasks = words.tables["tasks"]
    [job] = tasks[tasks["group"] == "family:short"]["task_id"]
    assert the(explain_task(words, job), "A lot among 4 fell on i-").endswith(".")
    drained = tasks[(tasks["service"] == "web") & (tasks["stop_code"] == "ServiceSchedulerInitiated")]
    assert len(drained)
    lines = explain_task(words, drained["task_id"].iloc[0])
    assert "it was on an instance that is draining" in the(lines, "Tasks that do not count as healthy go first")
