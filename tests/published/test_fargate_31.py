"""Published target Fargate 31: which container's exit ends a task.

Source: Amazon ECS API Reference, API_ContainerDefinition.html (essential) and API_Task.html (stopCode).
"""

from __future__ import annotations

import pytest
from sim_helpers import exact_region, fleet, network, register, statuses


def run_two_containers(*, essential_sidecar: bool, exit_code: int, on_ec2: bool):
    region = exact_region()
    register(
        region,
        fargate=not on_ec2,
        memory=2048 if not on_ec2 else 1024,
        others=[{"name": "sidecar", "image": "sidecar:1", "essential": essential_sidecar}],
        behaviour={"containers": {"sidecar": {"run": "60 s", "exit_code": exit_code}}},
    )
    if on_ec2:
        fleet(region)
        [task] = region.ecs.run_task(taskDefinition="web", launchType="EC2")["tasks"]
    else:
        [task] = region.ecs.run_task(taskDefinition="web", launchType="FARGATE", networkConfiguration=network())[
            "tasks"
        ]
    region.run(until="10 min")
    return region, region.ecs.describe_tasks(tasks=[task["taskArn"]])["tasks"][0]


@pytest.mark.parametrize("on_ec2", [False, True], ids=["FARGATE", "EC2"])
def test_fargate_31_a_non_essential_exit_changes_nothing(on_ec2):
    region, task = run_two_containers(essential_sidecar=False, exit_code=1, on_ec2=on_ec2)
    assert (task["lastStatus"], task["desiredStatus"]) == ("RUNNING", "RUNNING")
    assert "stopCode" not in task
    assert statuses(region)[0][-1][1] == "RUNNING"


@pytest.mark.parametrize("on_ec2", [False, True], ids=["FARGATE", "EC2"])
def test_fargate_31_an_essential_exit_ends_the_task(on_ec2):
    _, task = run_two_containers(essential_sidecar=True, exit_code=0, on_ec2=on_ec2)
    assert task["lastStatus"] == "STOPPED"
    assert (task["stopCode"], task["stoppedReason"]) == (
        "EssentialContainerExited",
        "Essential container in task exited",
    )
    assert (task["stoppingAt"] - task["startedAt"]).total_seconds() == 60
