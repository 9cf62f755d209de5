"""Published target Fargate 15: a container that ignores SIGTERM is killed 30 s after the warning by default, 120 s at most.

Source: Amazon ECS Developer Guide, fargate-capacity-providers.html: the warning and SIGTERM come together, two minutes
before the capacity is gone; SIGKILL follows after `stopTimeout`.
"""

from __future__ import annotations

from typing import Any

import pytest
from sim_helpers import exact_region, network, register

HOUR_US = 3_600_000_000


@pytest.mark.parametrize(("container", "seconds"), [({}, 30), ({"stopTimeout": 120}, 120), ({"stopTimeout": 45}, 45)])
def test_fargate_15_sigkill_after_the_stop_timeout_of_a_reclaimed_task(container: dict[str, Any], seconds: int) -> None:
    region = exact_region(assumptions={"spot_interruptions_per_task_hour": 2.0})
    register(region, behaviour={"stop": "10 min"}, container=container)
    region.ecs.create_service(
        serviceName="web",
        taskDefinition="web",
        desiredCount=3,
        capacityProviderStrategy=[{"capacityProvider": "FARGATE_SPOT", "weight": 1}],
        networkConfiguration=network(),
    )
    region.run(HOUR_US)
    arns = region.ecs.list_tasks(desiredStatus="STOPPED")["taskArns"]
    ended = [task for task in region.ecs.describe_tasks(tasks=arns)["tasks"] if "executionStoppedAt" in task]
    assert ended
    for task in ended:
        assert task["stopCode"] == "SpotInterruption"
        assert (task["executionStoppedAt"] - task["stoppingAt"]).total_seconds() == seconds
        assert [c["exitCode"] for c in task["containers"]] == [137]
