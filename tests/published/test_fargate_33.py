"""Published targets Fargate 33 to 36: rolling updates, bounds, the circuit breaker and the launch throttle.

Sources: Amazon ECS API Reference, API_DeploymentConfiguration.html, API_DeploymentCircuitBreaker.html; Amazon ECS Developer Guide,
deployment-type-ecs.html, deployment-circuit-breaker.html, service-throttle-logic.html.
"""

from __future__ import annotations

import itertools
from typing import Any

import pytest
from sim_helpers import exact_region, network, register, seconds, statuses

from fargsim import Region
from fargsim.model.access import Surroundings
from fargsim.policy.deployment import RevisionView, ServiceView, bounds, breaker_threshold, rolling_step


def service(region: Region, desired: int, **more: Any) -> None:
    region.ecs.create_service(
        serviceName="web",
        taskDefinition="web",
        desiredCount=desired,
        launchType="FARGATE",
        networkConfiguration=network("subnet-a"),
        **more,
    )


def test_fargate_33_old_tasks_stop_40_seconds_after_the_new_ones_run() -> None:
    region = exact_region()
    register(region)
    service(region, 4)
    region.run(until="200 s")
    register(region)
    region.ecs.update_service(service="web", taskDefinition="web:2")
    region.run(until="400 s")
    tasks = region.finish().tasks.frame()
    old, new = tasks[tasks.revision == 1], tasks[tasks.revision == 2]
    assert len(new) == 4
    assert (old.stopping_at.min() - new.started_at.max()).total_seconds() == 40


@pytest.mark.parametrize(
    ("desired", "low", "high", "stops", "starts"), [(4, 50, 100, 2, 0), (2, 75, 100, 0, 0), (3, 100, 125, 0, 0)]
)
def test_fargate_34_what_may_stop_and_start_first(desired: int, low: int, high: int, stops: int, starts: int) -> None:
    old, new = RevisionView("old", desired, healthy=desired), RevisionView("new", 0)
    step = rolling_step(ServiceView(desired, bounds(desired, low, high), (new, old)))
    assert (sum(s.number for s in step.stops), sum(s.number for s in step.starts)) == (stops, starts)


@pytest.mark.parametrize(
    ("minimum", "published"),
    [(3, {1: 3, 4: 3, 25: 13, 400: 200, 800: 200}), (10, {1: 10, 25: 13, 400: 200, 800: 200})],
    ids=["now", "2023"],
)
def test_fargate_35_circuit_breaker_thresholds(minimum: int, published: dict[int, int]) -> None:
    assert {d: breaker_threshold(d, minimum=minimum) for d in published} == published


@pytest.mark.parametrize(("cap_s", "edition"), [(27 * 60, "now"), (15 * 60, "2023")])
def test_fargate_36_the_gaps_grow_to_the_cap_and_a_new_task_definition_resets_them(cap_s: int, edition: str) -> None:
    # the repository exists and has no image of the tag "1"
    around = Surroundings.model_validate({"images": {"app": {"tags": ["2"]}}})
    region = exact_region(assumptions={"throttle_cap_s": cap_s}, surroundings=around)
    register(region)
    service(region, 1)
    region.run(until="12 h")
    starts = [life[0][0] for life in statuses(region)]
    gaps = [after - before for before, after in itertools.pairwise(starts)]
    assert gaps == sorted(gaps)
    # from the failure 15 s after a start to the next start: at most the cap, and the tick of a second
    assert gaps[-5:] == pytest.approx([cap_s + 15] * 5, abs=1)
    assert all(after <= 2 * before for before, after in itertools.pairwise(gaps))
    at = seconds(region.ecs.describe_services(services=["web"])["services"][0]["deployments"][0]["createdAt"])
    assert at == 0
    register(region, container={"image": "app:2"})
    region.ecs.update_service(service="web", taskDefinition="web:2")
    region.run(until=f"{12 * 3600 + 60} s")
    assert [life[0][0] for life in statuses(region)][-1] == 12 * 3600 + 5  # the throttle would have waited much longer
    assert region.ecs.describe_services(services=["web"])["services"][0]["runningCount"] == 1
