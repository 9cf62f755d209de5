"""Hand-computed deployments that fail, are given up, bake or succeed early: circuit breaker, alarms, stops by a user."""

from __future__ import annotations

from typing import Any

import pytest
from deployment_helpers import AROUND, BREAKER, CHECK, MISSING, history, revisions_alive, said, service, updated
from sim_helpers import behind, exact_region, register, seconds, statuses, target_group

from fargsim import Region
from fargsim.sim.errors import ConflictException, ServiceDeploymentNotFoundException, UnsupportedFeatureException

# --- the circuit breaker


def test_tasks_that_never_run_open_the_breaker_and_the_old_tasks_stay() -> None:
    region = updated(BREAKER, **MISSING)
    region.run(until="400 s")
    # started at 205, pull at 215, failed at 220: four failures of three; the old tasks are the rollback's; the others are gone at 227
    assert said(region) == [
        (205, "has started 4 tasks"),
        (220, "(deployment d1) deployment failed: tasks failed to start."),
        (220, "rolling back to deployment d2."),
        (227, "(deployment d2) deployment completed."),
        (227, "has reached a steady state."),
    ]
    assert history(region)[1][0] == "ROLLBACK_SUCCESSFUL"
    assert revisions_alive(region) == {1: 4}
    names = region.kit.recorder.events.frame().event_name.tolist()
    assert [n for n in names if n.startswith("SERVICE_DEPLOYMENT")] == [
        "SERVICE_DEPLOYMENT_IN_PROGRESS",
        "SERVICE_DEPLOYMENT_COMPLETED",
        "SERVICE_DEPLOYMENT_IN_PROGRESS",
        "SERVICE_DEPLOYMENT_FAILED",
        "SERVICE_DEPLOYMENT_IN_PROGRESS",
        "SERVICE_DEPLOYMENT_COMPLETED",
    ]
    table = region.finish().deployments.frame().sort_values("created_at", kind="stable")
    assert table.rollout_state.tolist() == ["COMPLETED", "FAILED", "COMPLETED"]
    assert table.failed_tasks.tolist() == [0, 4, 0]
    assert table.rollback_of.tolist()[2] == table.deployment_id.tolist()[1]
    assert table.rollout_reason.tolist()[1] == "ECS deployment circuit breaker: tasks failed to start."
    assert [seconds(t) for t in table.completed_at] == [60, 220, 227]


def test_without_rollback_a_failed_deployment_starts_nothing_more() -> None:
    region = updated({"deploymentCircuitBreaker": {"enable": True, "rollback": False}}, **MISSING)
    region.run(until="2 h")
    assert said(region)[-1] == (220, "(deployment d1) deployment failed: tasks failed to start.")
    described = region.ecs.describe_services(services=["web"])["services"][0]["deployments"]
    assert [(d["status"], d["rolloutState"], d["runningCount"]) for d in described] == [
        ("PRIMARY", "FAILED", 0),
        ("ACTIVE", "COMPLETED", 4),
    ]
    assert history(region)[1][0] == "STOPPED"


def test_a_first_deployment_has_nothing_to_go_back_to_and_stalls() -> None:
    region = exact_region(surroundings=AROUND)
    register(region, **MISSING)
    service(region, 2, BREAKER)
    region.run(until="2 h")
    # two at 5, failed at 20; the throttle holds 12.66 s back; two at 33, failed at 48: four failures of three
    assert [life[0][0] for life in statuses(region)] == [5, 5, 33, 33]
    assert said(region, 0)[-1] == (48, "(deployment d0) deployment failed: tasks failed to start.")
    assert history(region) == [("ROLLBACK_FAILED", "No completed deployment to roll back to.")]


def test_tasks_that_fail_their_health_checks_open_the_breaker_in_its_second_stage() -> None:
    region = exact_region()
    register(region)
    service(region, 1, BREAKER)
    region.run(until="200 s")
    register(region, behaviour={"boot": "1 h"}, container=CHECK)
    region.ecs.update_service(service="web", taskDefinition="web:2")
    region.run(until="500 s")
    # RUNNING 15 s after its start, two failed checks 20 s later; no room for a replacement: stopped, 8 s later the next
    starts = [life[0][0] for life in statuses(region)]
    assert starts == [5, 205, 248, 291]
    assert [(at, text) for at, text in said(region) if "deployment" in text] == [
        (326, "(deployment d1) deployment failed: tasks failed to start."),
        (326, "rolling back to deployment d2."),
        (334, "(deployment d2) deployment completed."),
    ]
    assert revisions_alive(region) == {1: 1}


def test_tasks_that_a_balancer_finds_unhealthy_open_the_breaker_and_no_request_notices() -> None:
    region = exact_region()
    register(region, behaviour={"request": {"cpu": "1 ms"}})
    target_group(region, delay=20)
    service(region, 4, BREAKER, loadBalancers=behind())
    region.run(until="200 s")
    region.send_traffic("web", {"constant": "20 /s"}, until="500 s")
    register(region, behaviour={"request": {"cpu": "1 ms"}, "boot": "1 h"})
    region.ecs.update_service(service="web", taskDefinition="web:2")
    region.run(until="500 s")
    # four RUNNING at 220, registered 5 s later, two failed checks 5 s apart: all are unhealthy before 236, and none of the eight places is
    # left for a replacement. One makes room: 20 s of draining, 8 s to stop; the next one is RUNNING 15 s later, and so on; the third counts
    starts = [life[0][0] for life in statuses(region)]
    assert starts == [5] * 4 + [205] * 4 + [263, 320]
    stops = [at for life in statuses(region) for at, status in life if status == "DEACTIVATING"]
    assert sorted(stops) == [235, 292, 350, 350, 350, 350]
    assert [(at, text) for at, text in said(region) if "deployment" in text] == [
        (350, "(deployment d1) deployment failed: tasks failed to start."),
        (350, "rolling back to deployment d2."),
        (378, "(deployment d2) deployment completed."),
    ]
    assert revisions_alive(region) == {1: 4}
    services = region.finish().services.frame()
    assert services.requests_arrived.sum() - services.requests_served.sum() <= 1 < services.requests_served.sum()


@pytest.mark.parametrize(("reset", "failed"), [(True, False), (False, True)])
def test_a_healthy_task_sets_the_count_back_unless_it_is_cumulative(reset: bool, failed: bool) -> None:
    breaker = {"enable": True, "rollback": False, "resetOnHealthyTask": reset}
    region = updated({"deploymentCircuitBreaker": {**breaker, "thresholdConfiguration": {"type": "COUNT", "value": 2}}})
    watch = region.registry.service("default", "web").primary.watch
    for event in ("running", "replaced_unhealthy", "healthy", "replaced_unhealthy"):
        watch.saw(event)
    assert (watch.verdict is not None) == failed
    assert watch.failed_in_a_row.failures == 1


def test_the_threshold_follows_the_desired_count() -> None:
    region = updated({**BREAKER, "maximumPercent": 130}, desired=10, **MISSING)
    region.run(until="230 s")
    assert said(region)[-1][1].startswith("has started 3 tasks")  # three of the threshold of five have failed
    region.ecs.update_service(service="web", desiredCount=4)
    region.run(until="400 s")
    assert (235, "(deployment d1) deployment failed: tasks failed to start.") in said(region)


def test_a_deployment_that_is_being_gone_back_to_cannot_be_gone_back_to() -> None:
    region = updated({**BREAKER, "minimumHealthyPercent": 0, "maximumPercent": 100})
    region.run(until="210 s")
    region.ecs.stop_service_deployment(service="web")
    region.run(until="220 s")  # the first revision is being deployed again
    register(region, **MISSING)
    region.ecs.update_service(service="web", taskDefinition="web:3")
    region.run(until="1 h")
    assert [status for status, _ in history(region)] == ["SUCCESSFUL", "ROLLBACK_FAILED", "ROLLBACK_FAILED"]
    assert history(region)[2][1] == "No completed deployment to roll back to."


# --- alarms and bake time


def alarmed(**more: Any) -> dict[str, Any]:
    return {"alarms": {"alarmNames": ["errors"], "enable": True, "rollback": True}, **more}


def alarm(region: Region, state: str | None = None) -> None:
    if state is None:
        region.cloudwatch.put_metric_alarm(
            AlarmName="errors",
            Namespace="App",
            MetricName="Errors",
            Statistic="Sum",
            Period=60,
            EvaluationPeriods=1,
            Threshold=1,
            ComparisonOperator="GreaterThanThreshold",
            TreatMissingData="ignore",
        )
    else:
        region.cloudwatch.set_alarm_state(AlarmName="errors", StateValue=state, StateReason="test")


def baking(state: str, **more: Any) -> Region:
    region = exact_region()
    register(region)
    alarm(region)
    service(region, 4, alarmed(**more))
    region.run(until="400 s")
    alarm(region, state)
    register(region)
    region.ecs.update_service(service="web", taskDefinition="web:2")
    return region


def test_an_alarm_during_the_bake_time_brings_the_old_revision_back() -> None:
    region = baking("OK")
    # started at 405, healthy at 460, the old ones have gone at 468: it bakes until 708
    region.run(until="500 s")
    assert history(region)[1][0] == "IN_PROGRESS"
    alarm(region, "ALARM")
    region.run(until="1000 s")
    # four of the old revision start at once, are healthy 55 s later, the others have gone 8 s after that; it bakes, too
    assert [(at, text) for at, text in said(region, 405) if "register" not in text] == [
        (405, "has started 4 tasks"),
        (460, "has stopped 4 running tasks"),
        (500, "(deployment d1) deployment failed: alarm detected."),
        (500, "rolling back to deployment d2."),
        (500, "has started 4 tasks"),
        (555, "has stopped 4 running tasks"),
        (563 + 240, "(deployment d2) deployment completed."),
        (563 + 240, "has reached a steady state."),
    ]
    assert history(region)[1][0] == "ROLLBACK_SUCCESSFUL"
    arn = region.ecs.list_service_deployments(service="web")["serviceDeployments"][0]["serviceDeploymentArn"]
    [described] = region.ecs.describe_service_deployments(serviceDeploymentArns=[arn])["serviceDeployments"]
    assert described["alarms"]["triggeredAlarmNames"] == ["errors"]
    assert seconds(described["rollback"]["startedAt"]) == 500


def test_an_alarm_that_was_on_before_does_not_count() -> None:
    region = baking("ALARM")
    region.run(until="500 s")
    alarm(region, "OK")
    alarm(region, "ALARM")
    region.run(until="1000 s")
    assert (468 + 240, "(deployment d1) deployment completed.") in said(region, 400)


def test_a_bake_time_of_ones_own() -> None:
    region = baking("OK", bakeTimeInMinutes=10)
    region.run(until="2000 s")
    assert (468 + 600, "(deployment d1) deployment completed.") in said(region, 400)


# --- early success


@pytest.mark.parametrize(
    ("early", "done"),
    [
        # two old ones stop at 205, two new ones start in their places at 213 and are healthy at 268; then the other two
        (None, 276 + 55),
        ("BLOCKING", 276),  # the last old one has stopped
        ("DEFERRED", 268),
    ],
)
def test_early_success(early: str | None, done: int) -> None:
    configuration: dict[str, Any] = {"minimumHealthyPercent": 50, "maximumPercent": 100}
    if early:
        configuration["earlySuccessCriteria"] = {
            "enable": True,
            "healthyPercent": 50,
            "sourceServiceRevisionCleanup": early,
        }
    region = updated(configuration)
    region.run(until="600 s")
    assert [at for at, text in said(region) if "deployment completed" in text] == [done]
    assert revisions_alive(region) == {2: 4}
    assert [at for at, text in said(region) if text == "has reached a steady state."] == [276 + 55]


def early_with_alarm(cleanup: str) -> Region:
    """Half of four tasks are enough; the source's last task is protected until 660 s."""
    early = {"enable": True, "healthyPercent": 50, "sourceServiceRevisionCleanup": cleanup}
    region = exact_region()
    register(region)
    alarm(region)
    alarm(region, "OK")
    configuration = alarmed(minimumHealthyPercent=50, maximumPercent=100, earlySuccessCriteria=early)
    service(region, 4, configuration)
    region.run(until="60 s")
    oldest = next(iter(region.registry.service("default", "web").tasks))
    region.ecs.update_task_protection(tasks=[oldest], protectionEnabled=True, expiresInMinutes=10)
    region.run(until="400 s")
    register(region)
    region.ecs.update_service(service="web", taskDefinition="web:2")
    return region


@pytest.mark.parametrize(("cleanup", "done"), [("DEFERRED", 468 + 240), ("BLOCKING", 468 + 240)])
def test_early_success_bakes_before_it_is_done(cleanup: str, done: int) -> None:
    region = early_with_alarm(cleanup)
    # two old ones stop at 405, two new ones start at 413 and are healthy at 468, which is half of four; the source is gone at 668
    region.run(until="1 h")
    assert [at for at, text in said(region, 405) if "deployment completed" in text] == [done]
    assert revisions_alive(region) == {2: 4}


def test_early_success_with_blocking_clean_up_waits_for_the_source_after_the_bake() -> None:
    region = early_with_alarm("BLOCKING")
    region.run(until="600 s")
    oldest = next(iter(region.registry.service("default", "web").tasks))
    region.ecs.update_task_protection(tasks=[oldest], protectionEnabled=True, expiresInMinutes=10)
    region.run(until="1 h")
    assert [at for at, text in said(region, 405) if "deployment completed" in text] == [1200 + 8]
    region = early_with_alarm("DEFERRED")
    region.run(until="600 s")
    oldest = next(iter(region.registry.service("default", "web").tasks))
    region.ecs.update_task_protection(tasks=[oldest], protectionEnabled=True, expiresInMinutes=10)
    region.run(until="1 h")
    assert [at for at, text in said(region, 405) if "deployment completed" in text] == [468 + 240]


@pytest.mark.parametrize(("at", "back"), [(600, True), (720, False)], ids=["in the bake time", "after it"])
def test_early_success_is_watched_by_the_alarm_until_it_is_done(at: int, back: bool) -> None:
    region = early_with_alarm("DEFERRED")
    region.run(until=f"{at} s")
    alarm(region, "ALARM")
    region.run(until="1 h")
    assert history(region)[1][0] == ("ROLLBACK_SUCCESSFUL" if back else "SUCCESSFUL")
    assert revisions_alive(region) == ({1: 4} if back else {2: 4})


def test_deferred_clean_up_ends_after_two_weeks() -> None:
    early = {"enable": True, "healthyPercent": 100, "sourceServiceRevisionCleanup": "DEFERRED"}
    region = updated({"earlySuccessCriteria": early}, desired=1)
    service_run = region.registry.service("default", "web")
    [old] = service_run.tasks.values()
    for days in range(0, 16):
        region.ecs.update_task_protection(tasks=[old.task_id], protectionEnabled=True, expiresInMinutes=2880)
        region.run(until=f"{200 + (days + 1) * 86_400} s")
    assert (260, "(deployment d1) deployment completed.") in said(region)
    region.run(until=f"{30 * 86_400} s")
    assert old.alive  # its protection has ended, but nobody cleans up any more
    assert revisions_alive(region) == {1: 1, 2: 1}


# --- stopped by a user


def test_a_user_stops_a_deployment_and_the_old_tasks_stay() -> None:
    region = updated()
    region.run(until="230 s")
    newest = region.ecs.list_service_deployments(service="web", status=["IN_PROGRESS"])["serviceDeployments"]
    arn = newest[0]["serviceDeploymentArn"]
    region.ecs.stop_service_deployment(serviceDeploymentArn=arn)
    assert history(region)[1][0] == "ROLLBACK_REQUESTED"
    with pytest.raises(ConflictException, match="ROLLBACK_REQUESTED"):
        region.ecs.stop_service_deployment(serviceDeploymentArn=arn)
    region.run(until="400 s")
    # 5 s of reaction; the new tasks, RUNNING since 220, go at once
    assert said(region, 206) == [
        (235, "(deployment d1) deployment failed: stopped by user."),
        (235, "rolling back to deployment d2."),
        (235, "has stopped 4 running tasks"),
        (243, "(deployment d2) deployment completed."),
        (243, "has reached a steady state."),
    ]
    assert history(region)[1][0] == "ROLLBACK_SUCCESSFUL"
    assert [life[0][0] for life in statuses(region)] == [5] * 4 + [205] * 4
    described = region.ecs.describe_services(services=["web"])["services"][0]
    assert described["taskDefinition"].endswith("web:1")


def test_stopping_what_cannot_be_stopped() -> None:
    region = exact_region()
    register(region)
    service(region, 1)
    with pytest.raises(ConflictException, match="no completed deployment"):
        region.ecs.stop_service_deployment(service="web")
    region.run(until="100 s")
    with pytest.raises(ConflictException, match="SUCCESSFUL"):
        region.ecs.stop_service_deployment(service="web")
    with pytest.raises(ServiceDeploymentNotFoundException):
        region.ecs.stop_service_deployment(serviceDeploymentArn="arn:aws:ecs:nothing")
    with pytest.raises(UnsupportedFeatureException, match="ABORT"):
        region.ecs.stop_service_deployment(service="web", stopType="ABORT")


def test_a_newer_deployment_supersedes_one_under_way() -> None:
    region = updated()
    region.run(until="230 s")
    register(region)
    region.ecs.update_service(service="web", taskDefinition="web:3")
    region.run(until="800 s")
    assert [status for status, _ in history(region)] == ["SUCCESSFUL", "STOPPED", "SUCCESSFUL"]
    assert revisions_alive(region) == {3: 4}


def test_service_revisions_keep_what_was_deployed() -> None:
    region = updated()
    region.run(until="400 s")
    arns = [
        d["targetServiceRevisionArn"]
        for d in reversed(region.ecs.list_service_deployments(service="web")["serviceDeployments"])
    ]
    region.ecs.update_service(service="web", desiredCount=2)
    described = region.ecs.describe_service_revisions(serviceRevisionArns=[*arns, "arn:aws:ecs:none"])
    assert [r["taskDefinition"].rsplit("/")[-1] for r in described["serviceRevisions"]] == ["web:1", "web:2"]
    assert [r["launchType"] for r in described["serviceRevisions"]] == ["FARGATE", "FARGATE"]
    assert described["failures"] == [{"arn": "arn:aws:ecs:none", "reason": "MISSING"}]
    assert len(region.ecs.list_service_deployments(service="web")["serviceDeployments"]) == 2
