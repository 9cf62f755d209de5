"""Laws of deployments: through any sequence of good and bad revisions, counts, stops and protection a good revision arrives at the end."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from deployment_helpers import AROUND, BREAKER, CHECK, MISSING
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sim_helpers import exact_region, network, register

from fargsim import Region
from fargsim.sim.errors import AwsError
from fargsim.sim.service_scheduler import ServiceRun

REVISIONS: dict[str, dict[str, Any]] = {
    "good": {},
    "missing": MISSING,
    "sick": {"behaviour": {"boot": "1 h"}, "container": CHECK},
    "crash": {"behaviour": {"crash": "60 s"}},
}
BOUNDS = ((100, 200), (50, 100), (0, 100), (50, 150), (75, 125))
ACTIONS = st.one_of(
    st.tuples(st.just("deploy"), st.sampled_from(sorted(REVISIONS))),
    st.tuples(st.just("count"), st.integers(0, 8)),
    st.tuples(st.just("stop deployment"), st.none()),
    st.tuples(st.just("protect"), st.integers(1, 4)),
    st.tuples(st.just("unprotect"), st.none()),
    st.tuples(st.just("stop tasks"), st.integers(1, 3)),
    st.tuples(st.just("force"), st.none()),
)


def act(region: Region, action: str, value: Any) -> None:
    ecs = region.ecs
    if action == "deploy":
        register(region, **REVISIONS[value])
        ecs.update_service(service="web", taskDefinition="web")
    elif action == "count":
        ecs.update_service(service="web", desiredCount=value)
    elif action == "stop deployment":
        ecs.stop_service_deployment(service="web")
    elif action == "protect":
        ecs.update_task_protection(service="web", count=value, protectionEnabled=True, expiresInMinutes=5 * value)
    elif action == "unprotect":
        ecs.update_task_protection(service="web", count=8, protectionEnabled=False)
    elif action == "stop tasks":
        for task in ecs.list_tasks(serviceName="web")["taskArns"][:value]:
            ecs.stop_task(task=task)
    else:
        ecs.update_service(service="web", forceNewDeployment=True)


def sound(service: ServiceRun) -> None:
    """The books of every deployment agree with its tasks."""
    assert [d.status for d in service.deployments] == ["PRIMARY"] + ["ACTIVE"] * (len(service.deployments) - 1)
    for deployment in service.deployments:
        standings = list(deployment.standing.values())
        assert deployment.counts == {name: standings.count(name) for name in deployment.counts}
        assert all(task.deployment_id == deployment.deployment_id for task in deployment.standing)
        own = [t for t in service.tasks.values() if t.deployment_id == deployment.deployment_id]
        assert deployment.stopping == len(own) - len(standings)
        assert deployment.unnoticed >= 0
    under_way = [d for d in service.rollouts.all if not d.over]
    assert len(under_way) <= 1
    assert not under_way or under_way[0] is service.rollouts.current


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    desired=st.integers(1, 8),
    bounds=st.sampled_from(BOUNDS),
    breaker=st.booleans(),
    early=st.sampled_from([None, "BLOCKING", "DEFERRED"]),
    digests=st.booleans(),
    steps=st.lists(st.tuples(st.integers(1, 120), ACTIONS), max_size=20),
)
def test_whatever_is_done_a_good_revision_arrives(
    desired: int,
    bounds: tuple[int, int],
    breaker: bool,
    early: str | None,
    digests: bool,
    steps: list[tuple[int, tuple[str, Any]]],
) -> None:
    low, high = bounds
    configuration: dict[str, Any] = {
        "minimumHealthyPercent": low,
        "maximumPercent": high,
        **(BREAKER if breaker else {}),
    }
    if early:
        criteria = {"enable": True, "healthyPercent": max(low, 80), "sourceServiceRevisionCleanup": early}
        configuration["earlySuccessCriteria"] = criteria
    region = exact_region(assumptions={"digest_first_task": digests}, surroundings=AROUND)
    register(region)
    region.ecs.create_service(
        serviceName="web",
        taskDefinition="web",
        desiredCount=desired,
        launchType="FARGATE",
        networkConfiguration=network(),
        deploymentConfiguration=configuration,
    )
    service = region.registry.service("default", "web")
    at = 0
    for wait, (action, value) in steps:
        at += wait
        region.run(until=f"{at} s")
        sound(service)
        with suppress(AwsError):  # a refusal is an answer, too
            act(region, action, value)
        sound(service)
    register(region)
    region.ecs.update_service(
        service="web",
        taskDefinition="web",
        desiredCount=4,
        deploymentConfiguration={
            "minimumHealthyPercent": 50,
            "maximumPercent": 200,
            "deploymentCircuitBreaker": {"enable": False, "rollback": False},
            "earlySuccessCriteria": {"enable": False},
        },
    )
    region.run(until=f"{at + 3 * 3600} s")
    sound(service)
    newest = len(region.registry.revisions["web"])
    assert [t.revision.number for t in service.tasks.values()] == [newest] * 4
    assert service.actions.steady
    assert [d.rollout_state for d in service.deployments] == ["COMPLETED"]
    assert service.rollouts.current.status == "SUCCESSFUL"
    deployments = region.finish().deployments.frame()
    assert len(deployments) == len(deployments.deployment_id.unique())
    assert deployments.rollback_of.dropna().isin(deployments.deployment_id).all()
