"""Hand-computed timelines of what a service spares: grace period, scale-in protection, the digests of its first task."""

from __future__ import annotations

from typing import Any

import pytest
from deployment_helpers import AROUND, BREAKER, CHECK, MISSING, history, revisions_alive, said, service
from shift_helpers import shifting, stages
from sim_helpers import EXACT, SUBNETS, exact_region, network, register, seconds, statuses

from fargsim import Region
from fargsim.sim.containers import set_health

# --- grace period


@pytest.mark.parametrize("grace", [0, 90])
def test_a_grace_period_saves_a_slow_starter(grace: int) -> None:
    region = exact_region()
    register(region, behaviour={"boot": "60 s"}, container=CHECK)
    bounds = {"minimumHealthyPercent": 0, "maximumPercent": 100}
    service(region, 1, bounds, healthCheckGracePeriodSeconds=grace)
    region.run(until="300 s")
    starts = [life[0][0] for life in statuses(region)]
    if grace:
        # RUNNING at 20; unhealthy at 40, which does not count; up at 80, when a check passes
        assert starts == [5]
        assert said(region, 0)[-2:] == [
            (80, "(deployment d0) deployment completed."),
            (80, "has reached a steady state."),
        ]
    else:
        # unhealthy 35 s after each start, gone 8 s later: it never comes up
        assert starts == [5 + 43 * n for n in range(7)]
        assert not [text for _, text in said(region, 0) if "completed" in text]


# --- scale-in protection


def test_a_protected_task_blocks_a_deployment_until_its_protection_ends() -> None:
    region = exact_region()
    register(region)
    service(region, 2)
    region.run(until="100 s")
    first, second = region.ecs.list_tasks(serviceName="web")["taskArns"]
    answer = region.ecs.update_task_protection(tasks=[first], protectionEnabled=True, expiresInMinutes=10)
    assert [seconds(p["expirationDate"]) for p in answer["protectedTasks"]] == [700]
    region.run(until="200 s")
    register(region)
    region.ecs.update_service(service="web", taskDefinition="web:2")
    region.run(until="300 s")
    # the two new ones are healthy at 260; of the old ones only the unprotected one goes
    newest = region.ecs.list_tasks(serviceName="web")["taskArns"][-1]
    blocked = region.ecs.update_task_protection(tasks=[newest, second, "nobody"], protectionEnabled=True)
    assert [f["reason"] for f in blocked["failures"]] == ["DEPLOYMENT_BLOCKED", "MISSING", "MISSING"]
    assert revisions_alive(region) == {1: 1, 2: 2}
    region.run(until="800 s")
    assert [(at, text) for at, text in said(region) if "running tasks" in text or "completed" in text] == [
        (260, "has stopped 1 running tasks"),
        (700, "has stopped 1 running tasks"),
        (708, "(deployment d1) deployment completed."),
    ]


def test_a_deployment_that_waits_for_protected_tasks_says_so() -> None:
    region = exact_region()
    register(region)
    service(region, 2, {"minimumHealthyPercent": 0, "maximumPercent": 100})
    region.run(until="100 s")
    tasks = region.ecs.list_tasks(serviceName="web")["taskArns"]
    region.ecs.update_task_protection(tasks=tasks, protectionEnabled=True, expiresInMinutes=10)
    region.run(until="200 s")
    register(region)
    region.ecs.update_service(service="web", taskDefinition="web:2")
    region.run(until="1 h")
    [first, *rest] = said(region)
    assert first == (
        205,
        "was unable to reach steady state because task set (taskSet d0) was unable to scale in. "
        "Reason: The number of protected tasks are more than the desired count of tasks.",
    )
    assert rest == [
        (700, "has stopped 2 running tasks"),
        (708, "has started 2 tasks"),
        (763, "(deployment d1) deployment completed."),
        (763, "has reached a steady state."),
    ]


def test_a_clean_up_that_waits_for_a_protected_task_says_so() -> None:
    region = shifting({"strategy": "BLUE_GREEN", "bakeTimeInMinutes": 0})
    region.run(until="215 s")
    oldest = next(iter(region.registry.service("default", "web").tasks))
    region.ecs.update_task_protection(tasks=[oldest], protectionEnabled=True, expiresInMinutes=10)
    region.run(until="1 h")
    told = [(at, text.split(".")[0]) for at, text in said(region) if "protected" in text]
    at = next(begin for name, begin, *_ in stages(region) if name == "CLEAN_UP")
    # blue's other task goes first, 10 s of draining and 8 s to stop; then the service looks again
    assert told == [(at + 18, "was unable to reach steady state because task set (taskSet d0) was unable to scale in")]
    assert history(region)[1][0] == "SUCCESSFUL"


def test_more_protected_tasks_than_desired_are_kept_and_told() -> None:
    region = exact_region()
    register(region)
    service(region, 3)
    region.run(until="100 s")
    tasks = region.ecs.list_tasks(serviceName="web")["taskArns"]
    region.ecs.update_task_protection(tasks=tasks, protectionEnabled=True)
    region.ecs.update_service(service="web", desiredCount=1)
    region.run(until="200 s")
    assert len(region.ecs.list_tasks(serviceName="web")["taskArns"]) == 3
    [(at, text)] = [(at, text) for at, text in said(region, 0) if "protected" in text]
    assert at == 105
    assert text.startswith("was unable to reach steady state because task set (taskSet d0) was unable to scale in.")
    region.ecs.update_task_protection(tasks=tasks[:1], protectionEnabled=False)
    region.run(until="210 s")
    left = region.ecs.list_tasks(serviceName="web")["taskArns"]
    assert left == tasks[1:]
    region.run(until=f"{100 + 7200 + 60} s")  # two hours unless said otherwise
    assert len(region.ecs.list_tasks(serviceName="web")["taskArns"]) == 1
    protected = region.ecs.get_task_protection()["protectedTasks"]
    assert [p["protectionEnabled"] for p in protected] == [False]


def test_a_standalone_task_cannot_be_protected() -> None:
    region = exact_region()
    register(region)
    answer = region.ecs.run_task(taskDefinition="web", launchType="FARGATE", networkConfiguration=network("subnet-a"))
    arn = answer["tasks"][0]["taskArn"]
    failures = region.ecs.update_task_protection(tasks=[arn], protectionEnabled=True)["failures"]
    assert [(f["arn"], f["reason"]) for f in failures] == [(arn, "TASK_NOT_VALID")]


# --- image digests


def test_the_first_task_establishes_the_digests() -> None:
    region = exact_region(assumptions={"digest_first_task": True})
    register(region)
    service(region, 3)
    region.run(until="100 s")
    # one at 5; its pull begins at 15, which is when the others start
    assert [life[0][0] for life in statuses(region)] == [5, 15, 15]
    region.ecs.update_service(service="web", desiredCount=5)
    region.run(until="110 s")
    assert [life[0][0] for life in statuses(region)][3:] == [105, 105]  # known already
    region.run(until="200 s")
    region.ecs.update_service(service="web", forceNewDeployment=True)
    region.run(until="300 s")
    assert [life[0][0] for life in statuses(region)][5:] == [205, 215, 215, 215, 215]


@pytest.mark.parametrize(
    "container", [{"versionConsistency": "disabled"}, {"image": "app@sha256:" + "0" * 64}], ids=["disabled", "digest"]
)
def test_images_without_a_tag_to_resolve_start_all_at_once(container: dict[str, Any]) -> None:
    region = exact_region(assumptions={"digest_first_task": True})
    register(region, container=container)
    service(region, 3)
    region.run(until="100 s")
    assert [life[0][0] for life in statuses(region)] == [5, 5, 5]


def test_a_rollback_knows_its_digests() -> None:
    region = exact_region(assumptions={"digest_first_task": True})
    register(region)
    service(region, 3, {"minimumHealthyPercent": 0, "maximumPercent": 100})
    region.run(until="200 s")
    register(region)
    region.ecs.update_service(service="web", taskDefinition="web:2")
    region.run(until="230 s")
    region.ecs.stop_service_deployment(service="web")
    region.run(until="400 s")
    # all three old ones stop at 205; one new one at 213, the others at its pull, 223; at 235 they stop, one of them
    # RUNNING, which takes 8 s, two of them not yet, which takes 7 s
    assert [life[0][0] for life in statuses(region)] == [5, 15, 15, 213, 223, 223, 242, 242, 243]


@pytest.mark.parametrize("breaker", [False, True])
def test_three_attempts_without_digests(breaker: bool) -> None:
    region = exact_region(assumptions={"digest_first_task": True}, surroundings=AROUND)
    register(region, **MISSING)
    service(region, 4, BREAKER if breaker else {})
    region.run(until="5 min")
    # each attempt fails 15 s after its start; the throttle waits 12.66, 25.3 and 50.6 s, up to the next whole second
    firsts = [life[0][0] for life in statuses(region)]
    assert firsts[:3] == [5, 33, 74]
    failed = [at for at, text in said(region, 0) if "deployment failed" in text]
    if breaker:
        assert (firsts[3:], failed) == ([], [89])
    else:  # it goes on without digests: all four at once
        assert (firsts[3:7], failed) == ([140] * 4, [])


def test_protection_does_not_keep_an_unhealthy_task() -> None:
    region = exact_region()
    register(region, container=CHECK)
    service(region, 1)
    region.run(until="100 s")
    [task] = region.registry.service("default", "web").tasks.values()
    region.ecs.update_task_protection(tasks=[task.task_id], protectionEnabled=True)
    set_health(task, "UNHEALTHY")
    region.run(until="200 s")
    # a replacement at once, RUNNING at 115, healthy at its first check, 125; then the sick one goes
    assert [life[0][0] for life in statuses(region)] == [5, 100]
    assert statuses(region)[0][-1] == (133, "STOPPED")


# --- what finds no place


def no_place(**more: Any) -> Region:
    region = Region(
        "us-east-1", subnets=SUBNETS, assumptions={**EXACT, **more}
    )  # six vCPUs: the quota of a new account
    register(region)
    return region


def test_a_task_that_finds_no_place_counts_for_the_breaker() -> None:
    region = no_place()
    breaker = {"enable": True, "rollback": True, "thresholdConfiguration": {"type": "COUNT", "value": 3}}
    service(region, 7, {"deploymentCircuitBreaker": breaker})
    region.run(until="100 s")
    # six start at 5, the seventh is refused at 5, 10 and 15, before any of the six is RUNNING
    assert [(at, text) for at, text in said(region, 0) if "failed" in text] == [
        (15, "(deployment d0) deployment failed: tasks failed to start.")
    ]


@pytest.mark.parametrize(("two_speed", "at"), [(False, 101), (True, 355)])
def test_two_speeds_of_placement(two_speed: bool, at: float) -> None:
    region = no_place(placement_retry_two_speed=two_speed)
    other = region.ecs.run_task(taskDefinition="web", launchType="FARGATE", networkConfiguration=network("subnet-a"))[
        "tasks"
    ][0]["taskArn"]
    service(region, 6)
    region.run(until="100 s")
    # five run, the sixth is tried every 5 s from 5 on. At 101 the other task gives its vCPU back, and the service hears of it; with two
    # speeds the try at 55 s was the last quick one, and the next comes 300 s later, whatever happens meanwhile
    region.ecs.stop_task(task=other)
    region.run(until="500 s")
    assert statuses(region)[-1][0][0] == at
