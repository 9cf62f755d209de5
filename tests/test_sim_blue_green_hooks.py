"""Lifecycle hooks by hand: Lambda functions, pauses, time-outs, rollbacks; and what AWS refuses of deployments that shift traffic."""

from __future__ import annotations

from typing import Any

import pytest
from deployment_helpers import history
from shift_helpers import ADVANCED, behind_both, front, hook_events, service, shifting, stages, weights
from sim_helpers import exact_region, register, seconds

from fargsim import Region
from fargsim.sim.errors import (
    InvalidParameterException,
    RuleNotFoundException,
    ServiceDeploymentNotFoundException,
    TargetGroupNotFoundException,
)

ARN = "arn:aws:lambda:us-east-1:123456789012:function:approve"


def hooked(hook: dict[str, Any], *more: dict[str, Any], strategy: str = "BLUE_GREEN", **others: Any) -> Region:
    configuration = {"strategy": strategy, "bakeTimeInMinutes": 0, "lifecycleHooks": [hook, *more]}
    return shifting(configuration, **others)


def function(*at: str, name: str = "approve", **more: Any) -> dict[str, Any]:
    return {"hookTargetArn": ARN.replace("approve", name), "lifecycleStages": list(at), **more}


def pause(*at: str, **timeout: Any) -> dict[str, Any]:
    found: dict[str, Any] = {"targetType": "PAUSE", "lifecycleStages": list(at)}
    return {**found, "timeoutConfiguration": timeout} if timeout else found


def spans(region: Region) -> dict[str, tuple[float, float | None, str]]:
    return {name: (begin, end, result) for name, begin, end, _, result in stages(region)}


def test_a_function_holds_its_stage_until_it_has_answered() -> None:
    answers = [{"after": "10 s", "status": "IN_PROGRESS"}, {"after": "5 s", "status": "SUCCEEDED"}]
    region = hooked(function("PRE_SCALE_UP"), hooks={"approve": answers})
    region.run(until="1 h")
    # asked at 205, IN_PROGRESS at 215, asked again 30 s later, SUCCEEDED at 250
    assert spans(region)["PRE_SCALE_UP"] == (205, 250, "SUCCEEDED")
    assert hook_events(region) == [(205, "IN_PROGRESS"), (250, "SUCCEEDED")]


def test_a_function_says_when_it_wants_to_be_called_again_and_its_last_answer_stays() -> None:
    answers = [{"after": "10 s", "status": "IN_PROGRESS", "call_back_delay": "50 s"}]
    hook = function("PRE_SCALE_UP", timeoutConfiguration={"timeoutInMinutes": 10, "action": "CONTINUE"})
    region = hooked(hook, hooks={"approve": answers})
    region.run(until="1 h")
    assert spans(region)["PRE_SCALE_UP"] == (205, 805, "SUCCEEDED")
    assert hook_events(region) == [(205, "IN_PROGRESS"), (805, "TIMED_OUT")]


def test_a_function_that_says_failed_rolls_back() -> None:
    region = hooked(function("POST_TEST_TRAFFIC_SHIFT"), hooks={"approve": [{"after": "20 s", "status": "FAILED"}]})
    region.run(until="1 h")
    begin, end, result = spans(region)["POST_TEST_TRAFFIC_SHIFT"]
    assert (end - begin, result) == (20, "FAILED")
    assert "PRODUCTION_TRAFFIC_SHIFT 1" not in spans(region)
    status, reason = history(region)[1]
    assert status == "ROLLBACK_SUCCESSFUL"
    assert weights(region) == weights(region, "lb:80/10") == {"blue": 100}
    assert [name for _, name in hook_events(region)] == ["IN_PROGRESS", "FAILED"]
    assert reason == "ECS deployment failed: function approve at POST_TEST_TRAFFIC_SHIFT answered FAILED."


def test_a_function_that_runs_longer_than_15_minutes_has_failed() -> None:
    region = hooked(function("PRE_SCALE_UP"), hooks={"approve": [{"after": "16 min"}]})
    region.run(until="1 h")
    assert spans(region)["PRE_SCALE_UP"] == (205, 205 + 900, "FAILED")
    assert hook_events(region)[-1] == (205 + 900, "TIMED_OUT")
    region = hooked(function("PRE_SCALE_UP"), hooks={"approve": [{"after": "15 min"}]})
    region.run(until="1 h")
    assert spans(region)["PRE_SCALE_UP"] == (205, 205 + 900, "SUCCEEDED")


def test_hooks_of_a_stage_run_in_parallel_and_all_must_finish() -> None:
    hooks = [function("PRE_SCALE_UP", name=name) for name in ("slow", "quick")]
    answers = {"slow": [{"after": "40 s"}], "quick": [{"after": "3 s"}]}
    region = hooked(*hooks, pause("PRE_SCALE_UP"), hooks=answers)
    region.run(until="220 s")
    region.ecs.continue_service_deployment(service="web")
    region.run(until="1 h")
    assert spans(region)["PRE_SCALE_UP"] == (205, 245, "SUCCEEDED")
    names = [(at, name) for at, name in hook_events(region) if name == "SUCCEEDED"]
    assert names == [(208, "SUCCEEDED"), (220, "SUCCEEDED"), (245, "SUCCEEDED")]


def test_functions_are_called_at_every_step_and_again_on_the_way_back() -> None:
    linear = {"linearConfiguration": {"stepPercent": 25.0, "stepBakeTimeInMinutes": 1}}
    answers = [{"after": "2 s"}] * 2 + [{"after": "2 s", "status": "FAILED"}] + [{"after": "4 s"}]
    configuration = {
        "strategy": "LINEAR",
        "bakeTimeInMinutes": 0,
        **linear,
        "lifecycleHooks": [function("PRODUCTION_TRAFFIC_SHIFT")],
    }
    region = shifting(configuration, hooks={"approve": answers})
    region.run(until="1 h")
    rows = [row for row in stages(region) if row[0].startswith("PRODUCTION")]
    t = rows[0][1]
    # a step is shifted, its function asked, then it bakes; the third one fails while 75 % are with green
    assert [(row[0], row[1] - t, row[2] - t, row[3], row[4]) for row in rows] == [
        ("PRODUCTION_TRAFFIC_SHIFT 1", 0, 62, 25, "SUCCEEDED"),
        ("PRODUCTION_TRAFFIC_SHIFT 2", 62, 124, 50, "SUCCEEDED"),
        ("PRODUCTION_TRAFFIC_SHIFT 3", 124, 126, 75, "FAILED"),
        ("PRODUCTION_TRAFFIC_SHIFT", 126, 128, 100, "SUCCEEDED"),
    ]
    assert history(region)[1][0] == "ROLLBACK_SUCCESSFUL"


def test_a_pause_waits_for_somebody() -> None:
    region = hooked(pause("POST_SCALE_UP"))
    region.run(until="600 s")
    [deployment] = region.ecs.describe_service_deployments(
        serviceDeploymentArns=[
            region.ecs.list_service_deployments(service="web")["serviceDeployments"][0]["serviceDeploymentArn"]
        ]
    )["serviceDeployments"]
    assert deployment["lifecycleStage"] == "POST_SCALE_UP"
    [hook] = deployment["lifecycleHookDetails"]
    began = hook_events(region)[0][0]
    assert (hook["targetType"], hook["status"], hook["timeoutAction"]) == ("PAUSE", "AWAITING_ACTION", "ROLLBACK")
    assert seconds(hook["expiresAt"]) == began + 86_400
    region.ecs.continue_service_deployment(
        serviceDeploymentArn=deployment["serviceDeploymentArn"], hookId=hook["hookId"], action="CONTINUE"
    )
    region.run(until="1 h")
    assert spans(region)["POST_SCALE_UP"] == (began, 600, "SUCCEEDED")
    assert hook_events(region) == [(began, "AWAITING_ACTION"), (600, "SUCCEEDED")]
    assert history(region)[1][0] == "SUCCESSFUL"


@pytest.mark.parametrize(("action", "ends"), [("ROLLBACK", "ROLLBACK_SUCCESSFUL"), ("CONTINUE", "SUCCESSFUL")])
def test_a_pause_ends_by_itself_as_it_is_told(action: str, ends: str) -> None:
    region = hooked(pause("PRE_SCALE_UP", timeoutInMinutes=3, action=action))
    region.run(until="1 h")
    assert spans(region)["PRE_SCALE_UP"][:2] == (205, 385)
    assert hook_events(region) == [(205, "AWAITING_ACTION"), (385, "TIMED_OUT")]
    assert history(region)[1][0] == ends


def test_a_pause_may_outlast_the_day_of_a_stage_and_be_rolled_back_by_hand() -> None:
    region = hooked(pause("POST_PRODUCTION_TRAFFIC_SHIFT", timeoutInMinutes=2 * 1440))
    region.run(until="30 h")
    assert history(region)[1][0] == "IN_PROGRESS"
    assert weights(region) == {"green": 100}
    region.ecs.continue_service_deployment(service="web", action="ROLLBACK")
    region.run(until="31 h")
    assert weights(region) == {"blue": 100}
    assert hook_events(region)[-1] == (30 * 3600, "FAILED")
    assert history(region)[1][0] == "ROLLBACK_SUCCESSFUL"


# --- what is refused


def refused(configuration: dict[str, Any], match: str, **more: Any) -> None:
    region = exact_region()
    front(region)
    register(region)
    with pytest.raises(InvalidParameterException, match=match):
        service(region, configuration, **more)


@pytest.mark.parametrize(
    ("configuration", "match"),
    [
        (
            {"strategy": "LINEAR", "linearConfiguration": {"stepPercent": 2.9}},
            "stepPercent: must be at least 3, not 2.9",
        ),
        ({"strategy": "LINEAR", "linearConfiguration": {"stepPercent": 10.05}}, "stepPercent.*multiple of 0.1"),
        (
            {"strategy": "CANARY", "canaryConfiguration": {"canaryPercent": 0}},
            "canaryPercent: must be at least 0.1",
        ),
        (
            {"strategy": "CANARY", "canaryConfiguration": {"canaryBakeTimeInMinutes": 1441}},
            "canaryBakeTimeInMinutes: must be at most 1440",
        ),
        ({"strategy": "BLUE_GREEN", "bakeTimeInMinutes": 1441}, "bakeTimeInMinutes: must be at most 1440"),
        ({"strategy": "BLUE_GREEN", "canaryConfiguration": {}}, "canaryConfiguration is for strategy CANARY"),
        ({"lifecycleHooks": [function("BAKE_TIME")]}, "lifecycleStages.*one of RECONCILE_SERVICE"),
        ({"lifecycleHooks": [function()]}, "lifecycleStages"),
        ({"lifecycleHooks": [pause("PRODUCTION_TRAFFIC_SHIFT")]}, "PAUSE hook cannot be at PRODUCTION_TRAFFIC_SHIFT"),
        ({"lifecycleHooks": [pause("TEST_TRAFFIC_SHIFT")]}, "PAUSE hook cannot be at TEST_TRAFFIC_SHIFT"),
        ({"lifecycleHooks": [pause("PRE_SCALE_UP", timeoutInMinutes=20_161)]}, "legal: 1 to 20160"),
        ({"lifecycleHooks": [{**pause("PRE_SCALE_UP"), "hookTargetArn": ARN}]}, "hookTargetArn is for AWS_LAMBDA"),
        ({"lifecycleHooks": [{"lifecycleStages": ["PRE_SCALE_UP"]}]}, "needs hookTargetArn"),
        (
            {"lifecycleHooks": [function("PRE_SCALE_UP", timeoutConfiguration={"timeoutInMinutes": 1441})]},
            "AWS_LAMBDA hook takes 1 to 1440",
        ),
        ({"lifecycleHooks": [pause("PRE_SCALE_UP")] * 11}, "11 of type PAUSE: at most 10"),
    ],
)
def test_configurations_that_aws_refuses(configuration: dict[str, Any], match: str) -> None:
    refused({"strategy": "BLUE_GREEN", **configuration}, match)


def test_ten_hooks_of_each_type_are_possible() -> None:
    region = exact_region()
    front(region)
    register(region)
    hooks = [pause("PRE_SCALE_UP")] * 10 + [function("PRE_SCALE_UP")] * 10
    service(region, {"strategy": "BLUE_GREEN", "lifecycleHooks": hooks})


@pytest.mark.parametrize(
    ("advanced", "match"),
    [
        (None, r"loadBalancers\[0\].advancedConfiguration: BLUE_GREEN needs advancedConfiguration"),
        ({"productionListenerRule": "lb:80", "roleArn": "r"}, "needs alternateTargetGroupArn"),
        ({"alternateTargetGroupArn": "green", "roleArn": "r"}, "needs productionListenerRule"),
        ({"alternateTargetGroupArn": "green", "productionListenerRule": "lb:80"}, "needs roleArn"),
        ({**ADVANCED, "alternateTargetGroupArn": "blue"}, "another target group"),
        ({**ADVANCED, "testListenerRule": "lb:80"}, "another rule"),
    ],
)
def test_what_a_load_balancer_must_say(advanced: dict[str, Any] | None, match: str) -> None:
    balanced = (
        behind_both(advanced)
        if advanced
        else [{k: v for k, v in behind_both()[0].items() if k != "advancedConfiguration"}]
    )
    refused({"strategy": "BLUE_GREEN"}, match, loadBalancers=balanced)


@pytest.mark.parametrize("strategy", ["BLUE_GREEN", "LINEAR", "CANARY"])
def test_without_a_load_balancer_there_is_nothing_to_shift(strategy: str) -> None:
    refused({"strategy": strategy}, f"loadBalancers: {strategy} needs a load balancer", loadBalancers=[])


def test_target_groups_and_rules_must_be_there() -> None:
    region = exact_region()
    front(region)
    register(region)
    for advanced, error in (
        ({**ADVANCED, "alternateTargetGroupArn": "gren"}, TargetGroupNotFoundException),
        ({**ADVANCED, "productionListenerRule": "lb:81"}, RuleNotFoundException),
        ({**ADVANCED, "testListenerRule": "lb:80/11"}, RuleNotFoundException),
    ):
        with pytest.raises(error):
            service(region, {"strategy": "BLUE_GREEN"}, loadBalancers=behind_both(advanced))
    region.elbv2.create_target_group(Name="other", TargetType="instance")
    with pytest.raises(InvalidParameterException, match="alternate target group other"):
        service(
            region,
            {"strategy": "BLUE_GREEN"},
            loadBalancers=behind_both({**ADVANCED, "alternateTargetGroupArn": "other"}),
        )


def test_a_hook_that_does_not_wait_cannot_be_continued() -> None:
    region = hooked(pause("POST_SCALE_UP"))
    with pytest.raises(InvalidParameterException, match="Hooks that wait: none"):
        region.ecs.continue_service_deployment(service="web")
    region.run(until="300 s")
    arn = region.ecs.list_service_deployments(service="web")["serviceDeployments"][0]["serviceDeploymentArn"]
    with pytest.raises(InvalidParameterException, match="ecs-pause-1"):
        region.ecs.continue_service_deployment(serviceDeploymentArn=arn, hookId="ecs-pause-1")
    with pytest.raises(ServiceDeploymentNotFoundException):
        region.ecs.continue_service_deployment(serviceDeploymentArn="no", hookId="x")
    with pytest.raises(InvalidParameterException, match="either serviceDeploymentArn and hookId, or service"):
        region.ecs.continue_service_deployment(hookId="x")


def test_users_of_a_closed_loop_cannot_be_shifted() -> None:
    region = shifting({"strategy": "BLUE_GREEN", "bakeTimeInMinutes": 0})
    region.run(until="1 h")
    region.send_traffic("web", {"users": {"count": 2, "think": "1 s"}}, until="2 h")
    with pytest.raises(InvalidParameterException, match="users of a closed loop"):
        region.ecs.update_service(service="web", forceNewDeployment=True)
