"""Published target Fargate 32: when a container health check says UNHEALTHY.

Source: Amazon ECS API Reference, API_HealthCheck.html: interval 30, timeout 5, retries 3; the next check starts one interval after the one
before has completed. A container that hangs at t is UNHEALTHY between t + 75 and t + 105 s, one whose check fails at once between
t + 60 and t + 90 s.
"""

from __future__ import annotations

import pytest
from sim_helpers import exact_region, network, register, seconds

from fargsim.policy.health import container_unhealthy_us

SECOND = 1_000_000


@pytest.mark.parametrize(("hangs", "earliest", "latest"), [(True, 75, 105), (False, 60, 90)])
def test_fargate_32_for_every_phase_of_the_checks(hangs, earliest, latest):
    after = [
        container_unhealthy_us(broken, 0, interval_us=30 * SECOND, timeout_us=5 * SECOND, retries=3, hangs=hangs)
        - broken
        for broken in range(1, 30 * SECOND + 1, 12_345)
    ]
    assert earliest * SECOND <= min(after) < earliest * SECOND + 12_345
    assert latest * SECOND - 12_345 < max(after) <= latest * SECOND


def test_fargate_32_a_container_that_never_answers():
    """In the simulation: RUNNING at 20 s, checks fail at once at 50, 80 and 110 s; the service replaces the task."""
    region = exact_region()
    check = {"command": ["CMD", "true"], "interval": 30, "timeout": 5, "retries": 3}
    register(region, behaviour={"boot": "1 h"}, container={"healthCheck": check})
    region.ecs.create_service(
        serviceName="web", taskDefinition="web", desiredCount=1, launchType="FARGATE", networkConfiguration=network()
    )
    region.run(until="109 s")
    [arn] = region.ecs.list_tasks()["taskArns"]
    assert region.ecs.describe_tasks(tasks=[arn])["tasks"][0]["healthStatus"] == "UNKNOWN"
    region.run(until="110 s")
    assert region.ecs.describe_tasks(tasks=[arn])["tasks"][0]["healthStatus"] == "UNHEALTHY"
    region.run(until="300 s")
    created = [seconds(t) for t in region.finish().tasks.frame().created_at.sort_values()]
    assert created[:2] == [5, 110]  # 200 % leaves room: its replacement starts first


@pytest.mark.parametrize(("hangs", "earliest", "latest"), [(True, 75, 105), (False, 60, 90)])
@pytest.mark.parametrize("breaks_after", [100, 104.999, 105, 111, 118.5, 129])
def test_fargate_32_a_running_container_that_breaks(breaks_after, hangs, earliest, latest):
    """In the simulation, for several phases of the checks: RUNNING at 20 s, broken some time later, replaced by its service."""
    region = exact_region()
    check = {"command": ["CMD", "true"], "interval": 30, "timeout": 5, "retries": 3}
    health = {"fails_after": f"{breaks_after} s", "hangs": hangs}
    register(region, behaviour={"health": health}, container={"healthCheck": check})
    region.ecs.create_service(
        serviceName="web", taskDefinition="web", desiredCount=1, launchType="FARGATE", networkConfiguration=network()
    )
    region.run(until=f"{20 + breaks_after + earliest - 1} s")
    [arn] = region.ecs.list_tasks()["taskArns"]
    assert region.ecs.describe_tasks(tasks=[arn])["tasks"][0]["healthStatus"] == "HEALTHY"
    region.run(until=f"{20 + breaks_after + latest} s")
    [task] = region.ecs.describe_tasks(tasks=[arn])["tasks"]
    assert task["healthStatus"] == "UNHEALTHY"
    region.run(until="300 s")
    stopped = region.finish().tasks.frame().set_index("task_arn").loc[arn]
    assert stopped.stopped_reason == "Task failed container health checks"
