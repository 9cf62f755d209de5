"""Hand-computed lives of tasks, compared whole: every row of `task_states` and every timestamp of DescribeTasks."""

from __future__ import annotations

import pytest
from sim_helpers import (
    behind,
    exact_region,
    fleet,
    lives,
    lose_oldest_instance,
    network,
    register,
    stamps,
    statuses,
    target_group,
)


def test_one_fargate_task_run_and_stopped():
    region = exact_region()
    register(region, behaviour={"stop": "3 s"})
    [task] = region.ecs.run_task(taskDefinition="web", launchType="FARGATE", networkConfiguration=network())["tasks"]
    region.run(until="100 s")
    region.ecs.stop_task(task=task["taskArn"], reason="enough")
    region.run(until="200 s")
    assert lives(region) == [
        [
            (0, "PROVISIONING", "RUNNING"),
            (4, "PENDING", "RUNNING"),  # 0.4 of 10 s: the interface
            (10, "ACTIVATING", "RUNNING"),  # the rest of provisioning
            (15, "RUNNING", "RUNNING"),  # 120 MiB at 40 MiB/s, then 2 s
            (100, "STOPPING", "STOPPED"),
            (103, "DEPROVISIONING", "STOPPED"),
            (110, "STOPPED", "STOPPED"),
        ]
    ]
    assert stamps(region, task["taskArn"]) == {
        "createdAt": 0,
        "connectivityAt": 4,
        "pullStartedAt": 10,
        "pullStoppedAt": 13,
        "startedAt": 15,
        "stoppingAt": 100,
        "executionStoppedAt": 103,
        "stoppedAt": 110,
    }
    [told] = region.ecs.describe_tasks(tasks=[task["taskArn"]])["tasks"]
    assert (told["stopCode"], told["stoppedReason"]) == ("UserInitiated", "enough")
    assert told["containers"][0]["exitCode"] == 0


@pytest.mark.parametrize(
    ("stop_at", "expected"),
    [
        (0, [(0, "PROVISIONING"), (0, "DEPROVISIONING"), (7, "STOPPED")]),
        (2, [(0, "PROVISIONING"), (2, "DEPROVISIONING"), (9, "STOPPED")]),
        (6, [(0, "PROVISIONING"), (4, "PENDING"), (6, "DEPROVISIONING"), (13, "STOPPED")]),
        (
            12,
            [(0, "PROVISIONING"), (4, "PENDING"), (10, "ACTIVATING"), (12, "DEPROVISIONING"), (19, "STOPPED")],
        ),
    ],
    ids=["at once", "provisioning", "pending", "activating"],
)
def test_a_fargate_task_stopped_before_it_runs(stop_at, expected):
    region = exact_region()
    register(region)
    [task] = region.ecs.run_task(taskDefinition="web", launchType="FARGATE", networkConfiguration=network())["tasks"]
    region.run(until=f"{stop_at} s")
    region.ecs.stop_task(task=task["taskArn"])
    region.run(until="60 s")
    assert statuses(region) == [expected]
    assert "startedAt" not in stamps(region, task["taskArn"])


def test_sigkill_after_the_stop_timeout():
    region = exact_region()
    register(region, behaviour={"stop": "60 s"}, container={"stopTimeout": 20})
    [task] = region.ecs.run_task(taskDefinition="web", launchType="FARGATE", networkConfiguration=network())["tasks"]
    region.run(until="100 s")
    region.ecs.stop_task(task=task["taskArn"])
    region.run(until="200 s")
    assert statuses(region)[0][4:] == [(100, "STOPPING"), (120, "DEPROVISIONING"), (127, "STOPPED")]
    [told] = region.ecs.describe_tasks(tasks=[task["taskArn"]])["tasks"]
    assert told["containers"][0]["exitCode"] == 137
    assert stamps(region, task["taskArn"])["executionStoppedAt"] == 120


def test_without_a_stop_timeout_the_agent_waits_thirty_seconds():
    region = exact_region()
    register(region, behaviour={"stop": "60 s"})
    fleet(region)
    register(region, "ec2", fargate=False, behaviour={"stop": "60 s"})
    on_fargate = region.ecs.run_task(taskDefinition="web", launchType="FARGATE", networkConfiguration=network())
    on_ec2 = region.ecs.run_task(taskDefinition="ec2", launchType="EC2")
    region.run(until="100 s")
    for answer in (on_fargate, on_ec2):
        region.ecs.stop_task(task=answer["tasks"][0]["taskArn"])
    region.run(until="200 s")
    for answer in (on_fargate, on_ec2):
        told = stamps(region, answer["tasks"][0]["taskArn"])
        assert (told["stoppingAt"], told["executionStoppedAt"]) == (100, 130)


def test_an_essential_container_that_exits_by_itself():
    region = exact_region()
    register(region, behaviour={"run": "30 s", "exit_code": 3})
    [task] = region.ecs.run_task(taskDefinition="web", launchType="FARGATE", networkConfiguration=network())["tasks"]
    region.run(until="200 s")
    # RUNNING at 15 s, the container ends at 45 s, the agent takes 1 s
    assert statuses(region)[0][3:] == [(15, "RUNNING"), (45, "STOPPING"), (46, "DEPROVISIONING"), (53, "STOPPED")]
    [told] = region.ecs.describe_tasks(tasks=[task["taskArn"]])["tasks"]
    assert (told["stopCode"], told["stoppedReason"]) == (
        "EssentialContainerExited",
        "Essential container in task exited",
    )
    assert told["containers"][0]["exitCode"] == 3


def test_two_tasks_on_ec2_the_second_finds_the_image():
    region = exact_region()
    fleet(region)
    register(region, cpu=512, memory=512, fargate=False)
    [first] = region.ecs.run_task(taskDefinition="web", launchType="EC2")["tasks"]
    region.run(until="50 s")
    [second] = region.ecs.run_task(taskDefinition="web", launchType="EC2")["tasks"]
    region.run(until="100 s")
    region.ecs.stop_task(task=first["taskArn"])
    region.run(until="200 s")
    assert statuses(region) == [
        [
            (0, "PROVISIONING"),  # bridge mode: no interface
            (0, "PENDING"),
            (0, "ACTIVATING"),
            (4.4, "RUNNING"),  # 120 MiB at 50 MiB/s, then 2 s
            (100, "STOPPING"),
            (101, "STOPPED"),  # and nothing to detach
        ],
        [(50, "PROVISIONING"), (50, "PENDING"), (50, "ACTIVATING"), (52, "RUNNING")],
    ]
    assert stamps(region, first["taskArn"]) == {
        "createdAt": 0,
        "pullStartedAt": 0,
        "pullStoppedAt": 2.4,
        "startedAt": 4.4,
        "stoppingAt": 100,
        "executionStoppedAt": 101,
        "stoppedAt": 101,
    }
    assert stamps(region, second["taskArn"]) == {
        "createdAt": 50,
        "pullStartedAt": 50,
        "pullStoppedAt": 50,
        "startedAt": 52,
    }
    cached = region.finish().tasks.frame().set_index("task_id").image_cached
    assert [bool(cached[t["taskArn"].rsplit("/", 1)[1]]) for t in (first, second)] == [False, True]


def test_an_awsvpc_task_on_ec2_waits_for_its_interface():
    region = exact_region()
    fleet(region)
    register(region, cpu=512, memory=512, fargate=False, mode="awsvpc")
    [task] = region.ecs.run_task(taskDefinition="web", launchType="EC2", networkConfiguration=network())["tasks"]
    region.run(until="60 s")
    region.ecs.stop_task(task=task["taskArn"])
    region.run(until="100 s")
    assert statuses(region) == [
        [
            (0, "PROVISIONING"),
            (5, "PENDING"),
            (5, "ACTIVATING"),
            (9.4, "RUNNING"),
            (60, "STOPPING"),
            (61, "DEPROVISIONING"),
            (68, "STOPPED"),
        ]
    ]
    assert stamps(region, task["taskArn"])["connectivityAt"] == 5


def test_always_pulling_agents_find_no_image():
    region = exact_region()
    fleet(region, agent={"ECS_IMAGE_PULL_BEHAVIOR": "always"})
    register(region, cpu=512, memory=512, fargate=False)
    region.ecs.run_task(taskDefinition="web", launchType="EC2")
    region.run(until="50 s")
    region.ecs.run_task(taskDefinition="web", launchType="EC2")
    region.run(until="100 s")
    assert statuses(region)[1][-1] == (54.4, "RUNNING")


def test_a_task_placed_where_another_is_still_stopping_waits_in_pending():
    region = exact_region()
    fleet(region)
    register(region, cpu=1024, memory=1024, fargate=False, behaviour={"stop": "20 s"})
    first, _ = region.ecs.run_task(taskDefinition="web", launchType="EC2", count=2)["tasks"]
    region.run(until="100 s")
    refused = region.ecs.run_task(taskDefinition="web", launchType="EC2")
    assert [f["reason"] for f in refused["failures"]] == ["RESOURCE:CPU"]
    region.ecs.stop_task(task=first["taskArn"])
    region.run(until="101 s")
    [third] = region.ecs.run_task(taskDefinition="web", launchType="EC2")["tasks"]  # the scheduler's ledger is free
    region.run(until="200 s")
    assert statuses(region)[2] == [
        (101, "PROVISIONING"),
        (101, "PENDING"),
        (120, "ACTIVATING"),  # only now has the host what it needs
        (122, "RUNNING"),
    ]
    assert stamps(region, third["taskArn"])["pullStartedAt"] == 120


def service_of(region, desired, **more):
    region.ecs.create_service(
        **{
            "serviceName": "web",
            "taskDefinition": "web",
            "desiredCount": desired,
            "launchType": "FARGATE",
            "networkConfiguration": network("subnet-a"),
            **more,
        }
    )


def test_a_lost_instance_and_the_replacement_of_its_task():
    region = exact_region()
    fleet(region, 2, MinSize=2)
    register(region, memory=1024, fargate=False)
    service_of(region, 2, launchType="EC2", networkConfiguration=None, availabilityZoneRebalancing="DISABLED")
    region.run(until="100 s")
    lost = lose_oldest_instance(region)
    region.run(until="300 s")
    began = [(5, "PROVISIONING"), (5, "PENDING"), (5, "ACTIVATING"), (9.4, "RUNNING")]
    assert statuses(region) == [
        [*began, (100, "STOPPED")],
        began,
        # noticed after 5 s; the instance that is left has the image
        [(105, "PROVISIONING"), (105, "PENDING"), (105, "ACTIVATING"), (107, "RUNNING")],
    ]
    tasks = region.finish().tasks.frame()
    dead = tasks[tasks.instance_id == lost.instance_id]
    assert dead.stop_code.tolist() == ["TerminationNotice"]
    assert tasks[tasks.last_status == "RUNNING"].instance_id.nunique() == 1
    # the group launches another: requested at 105, running 23 s later, registered after 60 s more
    instances = region.kit.recorder.instances.frame()
    [row] = [r for r in instances.itertuples() if r.launched_at != instances.launched_at.min()]
    start = instances.launched_at.min()
    assert [(t - start).total_seconds() for t in (row.launched_at, row.running_at, row.registered_at)] == [
        105,
        128,
        188,
    ]


def test_scale_in_behind_a_target_group_drains_for_the_whole_delay():
    region = exact_region()
    register(region)
    target_group(region, delay=30)
    service_of(region, 2, loadBalancers=behind())
    region.run(until="100 s")
    assert {
        d["TargetHealth"]["State"]
        for d in region.elbv2.describe_target_health(TargetGroupArn="tg")["TargetHealthDescriptions"]
    } == {"healthy"}
    region.ecs.update_service(service="web", desiredCount=1)
    region.run(until="120 s")
    health = region.elbv2.describe_target_health(TargetGroupArn="tg")["TargetHealthDescriptions"]
    assert sorted(d["TargetHealth"]["State"] for d in health) == ["draining", "healthy"]
    region.run(until="200 s")
    began = [(5, "PROVISIONING"), (9, "PENDING"), (15, "ACTIVATING"), (20, "RUNNING")]
    assert statuses(region) == [
        began,
        # one zone: the newest task goes. 5 s until the scheduler acts, 30 s of draining though nothing is in flight
        [*began, (105, "DEACTIVATING"), (135, "STOPPING"), (136, "DEPROVISIONING"), (143, "STOPPED")],
    ]
    stopped = region.finish().tasks.frame()
    assert stopped.stop_code.dropna().tolist() == ["ServiceSchedulerInitiated"]
    assert stopped.stopped_reason.dropna().str.startswith("Scaling activity initiated by (deployment ecs-svc/").all()


@pytest.mark.parametrize("seed", range(8))
def test_a_new_target_is_healthy_after_one_check(seed):
    region = exact_region(seed=seed)
    register(region)
    target_group(region, interval=5)
    service_of(region, 1, loadBalancers=behind())
    region.run(until="60 s")
    [at] = region.finish().tasks.frame().healthy_at
    healthy = (at - region.registry.start).total_seconds()
    assert 20 + 5 <= healthy <= 20 + 5 + 5  # RUNNING, registration, the phase of the checks


def test_a_target_that_boots_longer_is_healthy_at_its_first_passed_check():
    region = exact_region(assumptions={"reg_delay_s": 0})
    register(region, behaviour={"boot": "8 s"})
    target_group(region, interval=10)
    service_of(region, 1, loadBalancers=behind())
    region.run(until="100 s")
    [at] = region.finish().tasks.frame().healthy_at
    assert 28 <= (at - region.registry.start).total_seconds() <= 38


def test_a_stopped_task_is_shown_for_an_hour():
    region = exact_region()
    register(region, behaviour={"run": "30 s"})
    [task] = region.ecs.run_task(taskDefinition="web", launchType="FARGATE", networkConfiguration=network())["tasks"]
    arn = task["taskArn"]
    region.run(until="100 s")  # it stopped at 53 s
    assert region.ecs.list_tasks(desiredStatus="RUNNING")["taskArns"] == []
    assert region.ecs.list_tasks(desiredStatus="STOPPED")["taskArns"] == [arn]
    region.run(until="3600 s")
    other = region.ecs.run_task(taskDefinition="web", launchType="FARGATE", networkConfiguration=network())["tasks"][0]
    region.run(until="3652 s")
    assert stamps(region, arn)["stoppedAt"] == 53
    region.run(until="3700 s")  # the other one stopped at 3653 s: the first is older than an hour
    assert stamps(region, other["taskArn"])["stoppedAt"] == 3653
    region.run(until="7300 s")
    region.ecs.run_task(taskDefinition="web", launchType="FARGATE", networkConfiguration=network())
    region.run(until="7400 s")
    assert region.ecs.describe_tasks(tasks=[arn]) == {"tasks": [], "failures": [{"arn": arn, "reason": "MISSING"}]}


def test_progress_is_told_each_instant_once():
    region = exact_region()
    register(region)
    region.ecs.run_task(taskDefinition="web", launchType="FARGATE", networkConfiguration=network())
    seen: list[int] = []
    region.run("30 s", seen.append)
    assert seen == sorted(set(seen))
    assert {4_000_000, 10_000_000, 13_000_000, 15_000_000} <= set(seen)
