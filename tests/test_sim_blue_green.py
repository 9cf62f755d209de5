"""Hand timelines of deployments that shift traffic: stages, steps, bakes, rollbacks, what a user does in mid-deployment."""

from __future__ import annotations

import pytest
from deployment_helpers import BREAKER, MISSING, history, revisions_alive, said
from shift_helpers import QUICK, behind_both, shifting, stages, weights
from sim_helpers import messages, seconds

from fargsim import Region
from fargsim.model.scenario import Record
from fargsim.sim.errors import ConflictException

FIVE = {"bakeTimeInMinutes": 5}
LINEAR = {"strategy": "LINEAR", "linearConfiguration": {"stepPercent": 40.0, "stepBakeTimeInMinutes": 2}, **FIVE}
CANARY = {"strategy": "CANARY", "canaryConfiguration": {"canaryPercent": 2.5, "canaryBakeTimeInMinutes": 4}, **FIVE}
BLUE_GREEN = {"strategy": "BLUE_GREEN", **FIVE}
ALARM = {"alarms": {"alarmNames": ["errors"], "enable": True, "rollback": True}}


def scaled_up(region: Region) -> float:
    """When green was whole: started at 205, RUNNING at 220, healthy after its first check within five seconds."""
    at = next(end for name, _, end, _, _ in stages(region) if name == "SCALE_UP")
    assert 220 <= at <= 225
    return at


def alarm(region: Region, state: str) -> None:
    region.cloudwatch.set_alarm_state(AlarmName="errors", StateValue=state, StateReason="by hand")


def with_alarm(configuration: dict) -> Region:
    region = shifting(configuration)
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
    return region


# --- whole timelines


def test_blue_green_goes_through_every_stage_and_cleans_blue_up() -> None:
    region = shifting(BLUE_GREEN)
    region.run(until="400 s")
    t = scaled_up(region)
    assert revisions_alive(region) == {1: 2, 2: 2}  # twice the desired count until CLEAN_UP
    assert weights(region) == weights(region, "lb:80/10") == {"green": 100}
    region.run(until="1 h")
    assert stages(region) == [
        ("PRE_SCALE_UP", 205, 205, 0, "SUCCEEDED"),
        ("SCALE_UP", 205, t, 0, "SUCCEEDED"),
        ("POST_SCALE_UP", t, t, 0, "SUCCEEDED"),
        ("TEST_TRAFFIC_SHIFT", t, t, 0, "SUCCEEDED"),
        ("POST_TEST_TRAFFIC_SHIFT", t, t, 0, "SUCCEEDED"),
        ("PRE_PRODUCTION_TRAFFIC_SHIFT 1", t, t, 0, "SUCCEEDED"),
        ("PRODUCTION_TRAFFIC_SHIFT 1", t, t, 100, "SUCCEEDED"),
        ("POST_PRODUCTION_TRAFFIC_SHIFT", t, t, 100, "SUCCEEDED"),
        ("BAKE_TIME", t, t + 300, 100, "SUCCEEDED"),
        # 10 s of deregistration, 1 s to stop, 7 s to detach the interface
        ("CLEAN_UP", t + 300, t + 318, 100, "SUCCEEDED"),
    ]
    assert revisions_alive(region) == {2: 2}
    assert said(region)[-2:] == [
        (t + 318, "(deployment d1) deployment completed."),
        (t + 318, "has reached a steady state."),
    ]
    assert history(region) == [("SUCCESSFUL", ""), ("SUCCESSFUL", "")]


def test_linear_steps_bake_between_them_and_the_last_one_does_not() -> None:
    region = shifting(LINEAR)
    region.run(until="1 h")
    t = scaled_up(region)
    shifts = [row for row in stages(region) if "PRODUCTION_TRAFFIC" in row[0] or "BAKE" in row[0]]
    assert shifts == [
        ("PRE_PRODUCTION_TRAFFIC_SHIFT 1", t, t, 0, "SUCCEEDED"),
        ("PRODUCTION_TRAFFIC_SHIFT 1", t, t + 120, 40, "SUCCEEDED"),
        ("PRE_PRODUCTION_TRAFFIC_SHIFT 2", t + 120, t + 120, 40, "SUCCEEDED"),
        ("PRODUCTION_TRAFFIC_SHIFT 2", t + 120, t + 240, 80, "SUCCEEDED"),
        ("PRE_PRODUCTION_TRAFFIC_SHIFT 3", t + 240, t + 240, 80, "SUCCEEDED"),
        ("PRODUCTION_TRAFFIC_SHIFT 3", t + 240, t + 240, 100, "SUCCEEDED"),
        ("POST_PRODUCTION_TRAFFIC_SHIFT", t + 240, t + 240, 100, "SUCCEEDED"),
        ("BAKE_TIME", t + 240, t + 540, 100, "SUCCEEDED"),
    ]


def test_canary_sends_its_share_of_the_requests_to_green_and_then_all() -> None:
    region = shifting(CANARY, record=Record(requests="full"))
    region.send_traffic("web", {"constant": "50 /s", "process": "regular"}, until="1 h")
    region.run(until="1 h")
    t = scaled_up(region)
    recorder = region.finish()
    frame = recorder.requests.frame()
    at = [seconds(x) for x in frame.arrived_at]
    green = frame.target_group == "green"

    def share(begin: float, end: float) -> float:
        return float(green[[begin <= x < end for x in at]].mean())

    assert share(200, t) == 0
    # 12,000 requests of which 300 are expected, with a standard deviation of 17
    assert share(t, t + 240) == pytest.approx(0.025, abs=4 * 0.0015)
    assert share(t + 241, 3600) == 1
    assert set(frame.outcome) == {"served"}
    services = recorder.services.frame()
    assert services.requests_arrived.sum() == len(frame) == (3600 - 200) * 50


def test_the_next_deployment_takes_the_other_target_group() -> None:
    region = shifting(BLUE_GREEN)
    region.run(until="1 h")
    region.ecs.update_service(service="web", forceNewDeployment=True)
    region.run(until="2 h")
    assert weights(region) == weights(region, "lb:80/10") == {"blue": 100}
    assert region.registry.target_group("green").targets == {}
    assert region.registry.target_group("blue").healthy == 2


# --- rollbacks


@pytest.mark.parametrize("configuration", [BLUE_GREEN, LINEAR, CANARY], ids=lambda c: c["strategy"])
def test_an_alarm_sends_traffic_back_at_once_and_cleans_green_up(configuration: dict) -> None:
    region = with_alarm({**configuration, **ALARM})
    region.run(until="300 s")
    t = scaled_up(region)
    assert weights(region)["green"] > 0
    alarm(region, "ALARM")
    region.run(until="301 s")
    assert weights(region) == weights(region, "lb:80/10") == {"blue": 100}
    region.run(until="1 h")
    rows = stages(region)
    under_way = {
        "BLUE_GREEN": "BAKE_TIME",
        "LINEAR": "PRODUCTION_TRAFFIC_SHIFT 1",
        "CANARY": "PRODUCTION_TRAFFIC_SHIFT 1",
    }
    share = {"BLUE_GREEN": 100, "LINEAR": 40, "CANARY": 2.5}[configuration["strategy"]]
    assert rows[-4:] == [
        (under_way[configuration["strategy"]], t, 300, share, "FAILED"),
        ("PRODUCTION_TRAFFIC_SHIFT", 300, 300, 100, "SUCCEEDED"),
        ("TEST_TRAFFIC_SHIFT", 300, 300, 100, "SUCCEEDED"),
        ("CLEAN_UP", 300, 318, 100, "SUCCEEDED"),
    ]
    assert revisions_alive(region) == {1: 2}
    assert history(region)[1][0] == "ROLLBACK_SUCCESSFUL"
    assert said(region)[-1] == (318, "has reached a steady state.")


def test_the_breaker_rolls_a_revision_back_that_never_runs_and_no_request_notices() -> None:
    region = shifting({**BLUE_GREEN, **BREAKER}, bad=MISSING)
    region.send_traffic("web", {"constant": "20 /s"}, until="1 h")
    region.run(until="1 h")
    # a failed pull every time; the third failure opens the breaker of two desired tasks
    failed = next(at for at, text in said(region) if "deployment failed" in text)
    rows = stages(region)
    assert rows[1] == ("SCALE_UP", 205, failed, 0, "FAILED")
    assert rows[2:] == [("CLEAN_UP", failed, rows[-1][2], 100, "SUCCEEDED")]
    assert history(region)[1][0] == "ROLLBACK_SUCCESSFUL"
    services = region.finish().services.frame()
    assert services.requests_served.sum() == services.requests_arrived.sum() > 60_000


@pytest.mark.parametrize(("strategy", "acts"), [("CANARY", False), ("LINEAR", False), ("BLUE_GREEN", True)])
def test_the_breaker_is_for_blue_green_unless_assumed_otherwise(strategy: str, acts: bool) -> None:
    region = shifting({"strategy": strategy, **FIVE, **BREAKER}, bad=MISSING)
    region.run(until="30 min")
    assert history(region)[1][0] == ("ROLLBACK_SUCCESSFUL" if acts else "IN_PROGRESS")
    if strategy == "CANARY":
        region = shifting(
            {"strategy": strategy, **BREAKER}, bad=MISSING, assumptions={"breaker_of_linear_and_canary": True}
        )
        region.run(until="30 min")
        assert history(region)[1][0] == "ROLLBACK_SUCCESSFUL"


def test_a_stage_lasts_a_day_at_most() -> None:
    region = shifting(CANARY, bad=MISSING)
    region.run(until=f"{86_400 + 600} s")
    scale_up = next(row for row in stages(region) if row[0] == "SCALE_UP")
    assert scale_up == ("SCALE_UP", 205, 205 + 86_400, 0, "FAILED")
    assert history(region)[1][0] == "ROLLBACK_SUCCESSFUL"
    assert revisions_alive(region) == {1: 2}


def test_a_failed_deployment_without_rollback_stays_as_it_is() -> None:
    region = with_alarm({**LINEAR, "alarms": {**ALARM["alarms"], "rollback": False}})
    region.run(until="300 s")
    alarm(region, "ALARM")
    region.run(until="2 h")
    assert weights(region) == {"blue": 60, "green": 40}
    assert revisions_alive(region) == {1: 2, 2: 2}
    assert history(region)[1][0] == "STOPPED"


# --- what a user does in mid-deployment


def test_stopping_a_service_deployment_rolls_it_back_until_clean_up() -> None:
    region = shifting(BLUE_GREEN)
    region.run(until="300 s")
    region.ecs.stop_service_deployment(service="web")
    region.run(until="306 s")
    assert weights(region) == {"blue": 100}
    region.run(until="1 h")
    assert history(region)[1][0] == "ROLLBACK_SUCCESSFUL"
    region = shifting({"strategy": "BLUE_GREEN", "bakeTimeInMinutes": 0})
    region.run(until="230 s")
    with pytest.raises(ConflictException, match="CLEAN_UP"):
        region.ecs.stop_service_deployment(service="web")
    region.run(until="1 h")
    assert history(region)[1][0] == "SUCCESSFUL"


def test_a_new_deployment_in_the_bake_time_reconciles_first() -> None:
    region = shifting(BLUE_GREEN)
    region.run(until="300 s")
    region.ecs.update_service(service="web", forceNewDeployment=True)
    region.run(until="306 s")
    assert weights(region) == {"blue": 100}
    region.run(until="1 h")
    rows = stages(region)
    assert [row for row in rows if row[-1] == "STOPPED"] == [("BAKE_TIME", scaled_up(region), 300, 100, "STOPPED")]
    # the tasks of the superseded revision go before the new one is scaled up in their target group
    assert ("RECONCILE_SERVICE", 305, 323, 0, "SUCCEEDED") in rows
    assert [row[:2] for row in rows if row[0] == "SCALE_UP"][1] == ("SCALE_UP", 323)
    assert weights(region) == {"green": 100}
    assert [status for status, _ in history(region)] == ["SUCCESSFUL", "STOPPED", "SUCCESSFUL"]
    assert revisions_alive(region) == {2: 2}


def test_a_new_deployment_in_clean_up_goes_on_from_green() -> None:
    region = shifting({"strategy": "BLUE_GREEN", "bakeTimeInMinutes": 0})
    region.run(until="228 s")
    region.ecs.update_service(service="web", forceNewDeployment=True)
    region.run(until="1 h")
    assert weights(region) == {"blue": 100}
    assert [status for status, _ in history(region)] == ["SUCCESSFUL", "STOPPED", "SUCCESSFUL"]


def test_a_desired_count_that_changes_reaches_both_revisions() -> None:
    region = shifting(BLUE_GREEN)
    region.run(until="300 s")
    region.ecs.update_service(service="web", desiredCount=4)
    region.run(until="306 s")
    assert revisions_alive(region) == {1: 4, 2: 4}
    region.ecs.update_service(service="web", desiredCount=3)
    region.run(until="400 s")
    assert revisions_alive(region) == {1: 3, 2: 3}
    region.run(until="1 h")
    assert revisions_alive(region) == {2: 3}
    assert len(history(region)) == 2


def test_a_lost_task_of_either_revision_is_replaced_by_its_own() -> None:
    region = shifting(BLUE_GREEN)
    region.run(until="300 s")
    tasks = region.registry.service("default", "web").tasks.values()
    for number in (1, 2):
        name = next(t.task_id for t in tasks if t.revision.number == number and t.alive)
        region.ecs.stop_task(task=name)
    region.run(until="320 s")
    assert revisions_alive(region) == {1: 2, 2: 2}


def test_a_service_that_is_created_serves_from_its_first_target_group_without_stages_to_shift() -> None:
    region = shifting(BLUE_GREEN)
    frame = region.kit.recorder.deployment_stages.frame()
    assert frame.stage.tolist() == ["SCALE_UP"]
    assert weights(region) == {"blue": 100}
    assert [text.split(") ")[-1] for _, text in messages(region) if "steady" in text or "completed" in text] == [
        "deployment completed.",
        "has reached a steady state.",
    ]


def test_a_network_load_balancer_takes_ten_minutes_at_each_shift() -> None:
    advanced = {"alternateTargetGroupArn": "green", "productionListenerRule": "lb:80", "roleArn": "role"}
    balanced = [
        {"targetGroupArn": "blue", "containerName": "app", "containerPort": 80, "advancedConfiguration": advanced}
    ]
    region = shifting(BLUE_GREEN, kind="network", loadBalancers=balanced, good=QUICK)
    region.run(until="2 h")
    rows = {name: end - begin for name, begin, end, _, _ in stages(region)}
    assert rows["TEST_TRAFFIC_SHIFT"] == rows["PRODUCTION_TRAFFIC_SHIFT 1"] == 600
    assert rows["BAKE_TIME"] == 300


def test_a_service_that_is_deleted_shifts_nothing_any_more() -> None:
    region = shifting(CANARY)
    region.run(until="300 s")
    region.ecs.delete_service(service="web", force=True)
    region.run(until="1 h")
    assert weights(region) == {"blue": 97.5, "green": 2.5}
    assert stages(region)[-1][-1] == "STOPPED"
    assert revisions_alive(region) == {}


def test_the_stage_under_way_is_written_down_when_the_run_ends() -> None:
    region = shifting(CANARY)
    region.run(until="300 s")
    frame = region.finish().deployment_stages.frame()
    last = frame.iloc[-1]
    assert (last.stage, last.result, last.production_percent) == ("PRODUCTION_TRAFFIC_SHIFT", "IN_PROGRESS", 2.5)
    assert frame.ended_at.isna().tolist() == [False] * (len(frame) - 1) + [True]


def test_alarms_of_the_clean_up_come_too_late() -> None:
    region = with_alarm({"strategy": "BLUE_GREEN", "bakeTimeInMinutes": 0, **ALARM})
    t = 228.0
    region.run(until=f"{t} s")
    assert region.registry.service("default", "web").primary.stage == "CLEAN_UP"
    alarm(region, "ALARM")
    region.run(until="1 h")
    assert history(region)[1][0] == "SUCCESSFUL"
    assert weights(region) == {"green": 100}


def test_an_alarm_that_the_scheduler_sees_as_the_bake_time_ends_rolls_back() -> None:
    region = with_alarm({**BLUE_GREEN, **ALARM})
    region.run(until="230 s")
    t = scaled_up(region)
    region.kit.at(round((t + 299.5) * 1_000_000), lambda: alarm(region, "ALARM"))
    region.run(until="1 h")
    assert history(region)[1][0] == "ROLLBACK_SUCCESSFUL"
    assert weights(region) == {"blue": 100}
    assert revisions_alive(region) == {1: 2}


def test_a_service_that_rolled_can_shift_from_its_next_deployment_on() -> None:
    balanced = [{"targetGroupArn": "blue", "containerName": "app", "containerPort": 80}]
    region = shifting({}, loadBalancers=balanced)
    region.run(until="1 h")
    assert weights(region) == {"blue": 1}
    region.ecs.update_service(service="web", deploymentConfiguration=BLUE_GREEN, loadBalancers=behind_both())
    region.run(until="2 h")
    assert history(region)[-1] == ("SUCCESSFUL", "")
    assert weights(region) == {"green": 100}
    assert region.registry.target_group("green").healthy == 2
