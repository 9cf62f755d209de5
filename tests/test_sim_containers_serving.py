"""Which container of a task serves: the one that the service's load balancer names, otherwise the first essential one."""

from __future__ import annotations

from typing import Any

import pytest
from sim_helpers import behind, exact_region, network, register, seconds, target_group


def ends(named: str | None) -> list[tuple[str, float | None, float | None]]:
    """Run a task of a proxy and an application, in this order, whose behaviour is to crash 60 s after its start."""
    region = exact_region()
    register(
        region,
        behaviour={"crash": "60 s", "boot_exit_code": None},
        container={"name": "proxy", "restartPolicy": {"enabled": True, "restartAttemptPeriod": 60}},
        others=[
            {
                "name": "app",
                "image": "app:1",
                "portMappings": [{"containerPort": 80}],
                "restartPolicy": {"enabled": True, "restartAttemptPeriod": 60},
            }
        ],
    )
    more: dict[str, Any] = {}
    if named is not None:
        target_group(region)
        more = {"loadBalancers": [{**behind()[0], "containerName": named}]}
    region.ecs.create_service(
        serviceName="web",
        taskDefinition="web",
        desiredCount=1,
        launchType="FARGATE",
        networkConfiguration=network("subnet-a"),
        **more,
    )
    region.run(until="100 s")
    frame = region.finish().containers.frame()
    return [(row.container, seconds(row.started_at), row.run) for row in frame.sort_values("run").itertuples()]


@pytest.mark.parametrize(("named", "crashes"), [("app", "app"), ("proxy", "proxy"), (None, "proxy")])
def test_what_the_balancer_names_behaves_as_the_task_does(named: str | None, crashes: str) -> None:
    second = [container for container, _, run in ends(named) if run == 1]
    assert second == [crashes]
