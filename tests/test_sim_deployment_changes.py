"""By hand: what becomes of a deployment whose strategy changes under way, of limits that are just kept, and of what is past return."""

from __future__ import annotations

from typing import Any

import pytest
from deployment_helpers import BREAKER, MISSING, history, revisions_alive, said
from shift_helpers import behind_both, service, shifting, stages, weights
from sim_helpers import exact_region, network, register, statuses

from fargsim import Region

FIVE = {"bakeTimeInMinutes": 5}
CANARY = {"strategy": "CANARY", "canaryConfiguration": {"canaryPercent": 5, "canaryBakeTimeInMinutes": 10}, **FIVE}
BLUE_GREEN = {"strategy": "BLUE_GREEN", **FIVE}
ROLLING = {"strategy": "ROLLING", "bakeTimeInMinutes": 0}
ONE_GROUP = [{"targetGroupArn": "blue", "containerName": "app", "containerPort": 80}]


def asked(region: Region) -> Region:
    """Let users ask all the time; `unanswered` says how many of them in vain."""
    region.send_traffic("web", {"constant": "20 /s"}, until="1 h")
    return region


def unanswered(region: Region) -> int:
    services = region.finish().services.frame()
    assert services.requests_arrived.sum() > 60_000
    return int(services.requests_arrived.sum() - services.requests_served.sum())


# --- another strategy under way


def test_a_rolling_update_that_supersedes_a_canary_rolls_where_the_traffic_is() -> None:
    region = asked(shifting(CANARY))
    region.run(until="300 s")
    assert weights(region) == {"blue": 95, "green": 5}
    region.ecs.update_service(service="web", deploymentConfiguration=ROLLING, forceNewDeployment=True)
    assert weights(region) == weights(region, "lb:80/10") == {"blue": 100}
    region.run(until="1 h")
    rows = stages(region)
    assert rows[-1][0::4] == ("PRODUCTION_TRAFFIC_SHIFT 1", "STOPPED")
    assert rows[-1][2] == 300
    # the canary's two go at 305, and the new two have to wait for their places until 323; blue's own serve until those are healthy
    assert [(at, text) for at, text in said(region, 300) if "register" not in text and "draining" not in text] == [
        (305, "has stopped 2 running tasks"),
        (323, "has started 2 tasks"),
        (339, "has stopped 1 running tasks"),
        (341, "has stopped 1 running tasks"),
        (359, "(deployment d2) deployment completed."),
        (359, "has reached a steady state."),
    ]
    tasks = region.registry.service("default", "web").tasks.values()
    assert [group.spec.name for task in tasks for group, _ in task.targets] == ["blue", "blue"]
    assert [status for status, _ in history(region)] == ["SUCCESSFUL", "STOPPED", "SUCCESSFUL"]
    assert unanswered(region) == 0


def test_a_canary_that_supersedes_a_blue_green_begins_from_blue() -> None:
    region = asked(shifting(BLUE_GREEN))
    region.run(until="300 s")
    assert weights(region) == {"green": 100}
    region.ecs.update_service(service="web", deploymentConfiguration=CANARY, forceNewDeployment=True)
    region.run(until="1 h")
    rows = stages(region)
    assert [(row[0], row[2]) for row in rows if row[-1] == "STOPPED"] == [("BAKE_TIME", 300)]
    assert ("RECONCILE_SERVICE", 305, 323, 0, "SUCCEEDED") in rows
    shifts = [row for row in rows if row[0].startswith("PRODUCTION") and row[1] > 323]
    assert [(end - begin, share) for _, begin, end, share, _ in shifts] == [(600, 5), (0, 100)]
    assert weights(region) == {"green": 100}
    assert unanswered(region) == 0


@pytest.mark.parametrize("at", [210, 223, 240])
def test_blue_green_that_supersedes_a_rolling_update_keeps_what_serves(at: int) -> None:
    """Before the new tasks run, when they are just healthy and the old ones drain, and when it has just completed."""
    region = asked(shifting({}, loadBalancers=ONE_GROUP))
    region.run(until=f"{at} s")
    region.ecs.update_service(service="web", deploymentConfiguration=BLUE_GREEN, loadBalancers=behind_both())
    region.run(until="1 h")
    assert weights(region) == {"green": 100}
    assert revisions_alive(region) == {2: 2}
    assert history(region)[-1] == ("SUCCESSFUL", "")
    assert unanswered(region) == 0


def test_a_rolling_update_after_a_canary_that_failed_and_stayed() -> None:
    region = shifting({**CANARY, "alarms": {"alarmNames": ["errors"], "enable": True, "rollback": False}})
    asked(region)
    region.cloudwatch.put_metric_alarm(
        AlarmName="errors",
        Namespace="ours",
        MetricName="errors",
        Statistic="Sum",
        Period=60,
        EvaluationPeriods=1,
        Threshold=1,
        ComparisonOperator="GreaterThanThreshold",
    )
    region.run(until="300 s")
    region.cloudwatch.set_alarm_state(AlarmName="errors", StateValue="ALARM", StateReason="by hand")
    region.run(until="400 s")
    assert weights(region) == {"blue": 95, "green": 5}
    region.ecs.update_service(service="web", deploymentConfiguration=ROLLING, forceNewDeployment=True)
    region.run(until="1 h")
    assert weights(region) == {"blue": 100}
    assert region.registry.target_group("blue").healthy == 2
    assert unanswered(region) == 0


def test_protected_tasks_of_a_shift_that_was_broken_off_stay_and_do_not_count() -> None:
    region = asked(shifting(CANARY))
    region.run(until="300 s")
    green = [t.task_id for t in region.registry.service("default", "web").tasks.values() if t.revision.number == 2]
    region.ecs.update_task_protection(tasks=green[:1], protectionEnabled=True, expiresInMinutes=20)
    region.ecs.update_service(service="web", deploymentConfiguration=ROLLING, forceNewDeployment=True)
    region.run(until="1400 s")
    run = region.registry.service("default", "web")
    assert sorted(group.spec.name for t in run.tasks.values() for group, _ in t.targets) == ["blue", "blue", "green"]
    assert history(region)[-1][0] == "IN_PROGRESS"
    region.run(until="1 h")
    assert (1518, "(deployment d2) deployment completed.") in said(region, 300)
    assert unanswered(region) == 0


# --- limits that are just kept


def test_a_bake_of_a_day_does_not_last_longer_than_a_day() -> None:
    day = 1440
    configuration = {
        "strategy": "CANARY",
        "canaryConfiguration": {"canaryPercent": 5, "canaryBakeTimeInMinutes": day},
        "bakeTimeInMinutes": day,
    }
    region = shifting(configuration)
    region.run(until="60 h")
    rows = {name: (begin, end, result) for name, begin, end, _, result in stages(region)}
    begin = rows["SCALE_UP"][1]
    assert rows["PRODUCTION_TRAFFIC_SHIFT 1"] == (begin, begin + day * 60, "SUCCEEDED")
    assert rows["BAKE_TIME"] == (begin + day * 60, begin + 2 * day * 60, "SUCCEEDED")
    assert history(region)[1] == ("SUCCESSFUL", "")


def test_a_deployment_lasts_thirty_days_at_most() -> None:
    weeks = {"timeoutInMinutes": 20_160, "action": "CONTINUE"}
    at = ["PRE_SCALE_UP", "POST_SCALE_UP", "POST_PRODUCTION_TRAFFIC_SHIFT"]
    pauses = [{"targetType": "PAUSE", "lifecycleStages": at, "timeoutConfiguration": weeks}]
    region = shifting({**BLUE_GREEN, "lifecycleHooks": pauses})
    region.run(until="45 d")
    days = 86_400
    rows = {name: (begin, end, result) for name, begin, end, _, result in stages(region)}
    begin, end, result = rows["POST_PRODUCTION_TRAFFIC_SHIFT"]
    # two pauses of two weeks each, and 30 days after the scheduler took the deployment up at 205 s the third one is cut short
    assert 28 * days + 205 < begin < 28 * days + 230
    assert (end, result) == (30 * days + 205, "FAILED")
    assert history(region)[1] == (
        "ROLLBACK_SUCCESSFUL",
        "ECS deployment failed: the deployment lasted longer than 30 days.",
    )
    assert weights(region) == {"blue": 100}


# --- past return


def cleaning(**more: Any) -> Region:
    """A blue/green deployment that cannot clean up, because a task of blue is protected."""
    region = shifting({"strategy": "BLUE_GREEN", "bakeTimeInMinutes": 0, **more})
    region.run(until="215 s")
    oldest = next(iter(region.registry.service("default", "web").tasks))
    region.ecs.update_task_protection(tasks=[oldest], protectionEnabled=True, expiresInMinutes=60)
    region.run(until="300 s")
    assert region.registry.service("default", "web").primary.stage == "CLEAN_UP"
    return region


def test_the_breaker_does_not_act_in_clean_up() -> None:
    region = cleaning(**BREAKER)
    watch = region.registry.service("default", "web").primary.watch
    for _ in range(9):
        watch.saw("replaced_unhealthy")
    region.run(until="2 h")
    assert stages(region)[-1] == ("CLEAN_UP", 222, 215 + 3600 + 18, 100, "SUCCEEDED")
    assert history(region)[1] == ("SUCCESSFUL", "")
    assert weights(region) == {"green": 100}


def test_nothing_is_gone_back_to_after_thirty_days_of_clean_up() -> None:
    region = cleaning()
    oldest = next(iter(region.registry.service("default", "web").tasks))
    for day in range(0, 32, 2):
        region.ecs.update_task_protection(tasks=[oldest], protectionEnabled=True, expiresInMinutes=2880)
        region.run(until=f"{300 + (day + 2) * 86_400} s")
    region.run(until="33 d")
    assert history(region)[1] == ("SUCCESSFUL", "")
    assert revisions_alive(region) == {2: 2}


# --- what a rollback brings back


def test_a_rollback_brings_the_capacity_of_its_revision_back() -> None:
    region = exact_region(surroundings={"images": {"app": {"tags": ["1"]}}})
    register(region)
    where = {"launchType": None, "networkConfiguration": network("subnet-a"), "loadBalancers": []}
    on_demand = [{"capacityProvider": "FARGATE", "weight": 1}]
    service(
        region,
        {**BREAKER, "minimumHealthyPercent": 0, "maximumPercent": 100},
        **where,
        capacityProviderStrategy=on_demand,
    )
    region.run(until="200 s")
    register(region, **MISSING)
    spot = [{"capacityProvider": "FARGATE_SPOT", "weight": 1}]
    region.ecs.update_service(
        service="web", taskDefinition="web:2", capacityProviderStrategy=spot, forceNewDeployment=True
    )
    region.run(until="1 h")
    assert history(region)[1] == ("ROLLBACK_SUCCESSFUL", "ECS deployment circuit breaker: tasks failed to start.")
    described = region.ecs.describe_services(services=["web"])["services"][0]
    assert [item["capacityProvider"] for item in described["capacityProviderStrategy"]] == ["FARGATE"]
    tasks = region.registry.service("default", "web").tasks.values()
    assert [t.capacity_provider for t in tasks if t.alive] == ["FARGATE", "FARGATE"]
    assert len(statuses(region)) > 4
