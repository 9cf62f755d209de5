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


@pytest.mark.parametrize("runs_s", [100, 10])
def test_where_the_one_that_serves_ends_and_is_not_essential_nothing_listens_any_more(runs_s: int) -> None:
    """RUNNING at 20 s, or at 40 s where app waits for a job; with the proxy gone the target is found out and its task replaced."""
    region = exact_region()
    register(
        region,
        behaviour={
            "request": {"cpu": "1 ms"},
            "containers": {
                "proxy": {"image": {"size": "0 MiB"}, "run": f"{runs_s} s"},
                "job": {"image": {"size": "0 MiB"}, "run": "20 s"},
            },
        },
        container={"portMappings": [], "dependsOn": [{"containerName": "job", "condition": "SUCCESS"}]},
        others=[
            {"name": "proxy", "image": "proxy:1", "essential": False, "portMappings": [{"containerPort": 80}]},
            {"name": "job", "image": "job:1", "essential": False},
        ],
    )
    target_group(region)
    region.ecs.create_service(
        serviceName="web",
        taskDefinition="web",
        desiredCount=1,
        launchType="FARGATE",
        networkConfiguration=network("subnet-a"),
        loadBalancers=[{**behind()[0], "containerName": "proxy"}],
    )
    region.run(until="60 s")
    region.send_traffic("web", {"constant": "10 /s"}, until="300 s")
    region.run(until="310 s")
    tables = region.finish()
    first = tables.tasks.frame().sort_values("created_at").iloc[0]
    assert seconds(first.started_at) == 40.5
    assert first.stopped_reason.startswith("Task failed ELB health checks in (target-group ")
    services = tables.services.frame().sort_values("period_start_at")
    if runs_s == 10:  # it was gone before the task ran
        assert services.requests_served.sum() == 0
        return
    # from 120 s on connections are refused, until its replacement serves
    assert services.requests_cut_502.iloc[:2].tolist() == [0, 0]
    assert services.requests_cut_502.iloc[2] > 0
    assert services.requests_served.iloc[1] > 400
