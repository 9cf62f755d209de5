"""Hand timelines of services that CodeDeploy deploys, and what CodeDeploy and ECS refuse of them."""

from __future__ import annotations

import json
from typing import Any

import pytest
from codedeploy_helpers import deployed, shifts
from deployment_helpers import MISSING, history, revisions_alive
from shift_helpers import weights
from sim_helpers import seconds

from fargsim.sim.errors import (
    DeploymentAlreadyCompletedException,
    DeploymentDoesNotExistException,
    DeploymentGroupDoesNotExistException,
    DeploymentLimitExceededException,
    InvalidDeploymentConfigNameException,
    InvalidParameterException,
    InvalidRequestException,
    UnsupportedFeatureException,
)

BACK = {"autoRollbackConfiguration": {"enabled": True, "events": ["DEPLOYMENT_FAILURE", "DEPLOYMENT_STOP_ON_ALARM"]}}


def terminating(minutes: int) -> dict[str, Any]:
    terminate = {"action": "TERMINATE", "terminationWaitTimeInMinutes": minutes}
    return {"blueGreenDeploymentConfiguration": {"terminateBlueInstancesOnDeploymentSuccess": terminate}}


@pytest.mark.parametrize(
    ("config", "steps"),
    [
        ("ECSAllAtOnce", [(0, 100)]),
        ("ECSLinear10PercentEvery1Minutes", [(n, 10 * (n + 1)) for n in range(10)]),
        ("ECSLinear10PercentEvery3Minutes", [(3 * n, 10 * (n + 1)) for n in range(10)]),
        ("ECSCanary10Percent5Minutes", [(0, 10), (5, 100)]),
        ("ECSCanary10Percent15Minutes", [(0, 10), (15, 100)]),
    ],
)
def test_the_presets_shift_when_they_say(config: str, steps: list[tuple[int, int]]) -> None:
    region = deployed(config=config, **terminating(5))
    region.run(until="2 h")
    found = shifts(region)
    t = found[0][0]
    assert 220 <= t <= 225
    assert [((at - t) / 60, share) for at, share in found] == steps
    stages = region.kit.recorder.deployment_stages.frame().set_index("stage")
    assert seconds(stages.loc["CLEAN_UP"].began_at) == t + steps[-1][0] * 60 + 300
    assert revisions_alive(region) == {2: 2}
    assert weights(region) == weights(region, "lb:8080") == {"green": 100}
    answer = region.codedeploy.get_deployment(deploymentId=next(iter(region.codedeploy._deployments)))
    assert answer["deploymentInfo"]["status"] == "Succeeded"


def test_a_replacement_that_never_gets_steady_fails_after_an_hour_and_is_rolled_back_if_asked() -> None:
    region = deployed(bad=MISSING, **BACK)
    region.run(until="2 h")
    stages = region.kit.recorder.deployment_stages.frame()
    [failed] = stages[stages.result == "FAILED"].itertuples()
    assert (failed.stage, seconds(failed.began_at), seconds(failed.ended_at)) == ("SCALE_UP", 205, 205 + 3600)
    assert history(region)[1][0] == "ROLLBACK_SUCCESSFUL"
    assert revisions_alive(region) == {1: 2}
    region = deployed(bad=MISSING)
    region.run(until="2 h")
    assert history(region)[1][0] == "STOPPED"
    assert weights(region) == {"blue": 100}


def test_an_alarm_of_the_deployment_group_sends_traffic_back() -> None:
    alarms = {"alarmConfiguration": {"enabled": True, "alarms": [{"name": "errors"}]}}
    region = deployed(config="ECSCanary10Percent15Minutes", **alarms, **BACK)
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
    region.run(until="400 s")
    assert weights(region) == {"blue": 90, "green": 10}
    region.cloudwatch.set_alarm_state(AlarmName="errors", StateValue="ALARM", StateReason="by hand")
    region.run(until="401 s")
    assert weights(region) == {"blue": 100}
    region.run(until="1 h")
    assert revisions_alive(region) == {1: 2}


@pytest.mark.parametrize(("room", "fails"), [(True, False), (False, True)])
def test_scaling_while_traffic_shifts_must_come_to_rest_in_five_minutes(room: bool, fails: bool) -> None:
    region = deployed(config="ECSCanary10Percent15Minutes", **BACK)
    region.run(until="400 s")
    if not room:
        region.registry.fargate.capacity.withdraw(region.kit.zones, ("on_demand",), 3_600_000_000)
    region.ecs.update_service(service="web", desiredCount=4)
    region.run(until="30 min")
    stages = region.kit.recorder.deployment_stages.frame()
    failed = [(row.stage, seconds(row.ended_at)) for row in stages[stages.result == "FAILED"].itertuples()]
    # noticed at 405
    assert failed == ([("PRODUCTION_TRAFFIC_SHIFT", 705)] if fails else [])


def test_stopping_a_deployment_goes_back_only_if_asked() -> None:
    for back, weight in ((True, {"blue": 100}), (False, {"blue": 90, "green": 10})):
        region = deployed(config="ECSCanary10Percent15Minutes")
        region.run(until="400 s")
        region.codedeploy.stop_deployment(deploymentGroupName="web", autoRollbackEnabled=back)
        region.run(until="1 h")
        assert weights(region) == weight
        [name] = region.codedeploy._deployments
        assert region.codedeploy.get_deployment(deploymentId=name)["deploymentInfo"]["status"] == "Stopped"
        with pytest.raises(DeploymentAlreadyCompletedException):
            region.codedeploy.stop_deployment(deploymentId=name)


@pytest.mark.parametrize(("asked", "back"), [(None, True), (True, True), (False, False)])
def test_the_group_says_whether_a_stop_goes_back_unless_the_stop_does(asked: bool | None, back: bool) -> None:
    on_request = {"enabled": True, "events": ["DEPLOYMENT_STOP_ON_REQUEST"]}
    region = deployed(config="ECSCanary10Percent15Minutes", autoRollbackConfiguration=on_request)
    region.run(until="400 s")
    said = {} if asked is None else {"autoRollbackEnabled": asked}
    region.codedeploy.stop_deployment(deploymentGroupName="web", **said)
    region.run(until="1 h")
    assert weights(region) == ({"blue": 100} if back else {"blue": 90, "green": 10})


def test_the_next_deployment_takes_the_first_target_group_again() -> None:
    region = deployed()
    region.run(until="1 h")
    content = {
        "Resources": [{"TargetService": {"Type": "AWS::ECS::Service", "Properties": {"TaskDefinition": "web:1"}}}]
    }
    region.codedeploy.create_deployment(
        deploymentGroupName="web",
        revision={"revisionType": "AppSpecContent", "appSpecContent": {"content": json.dumps(content)}},
    )
    with pytest.raises(DeploymentLimitExceededException):
        region.codedeploy.create_deployment(deploymentGroupName="web", taskDefinition="web:2")
    region.run(until="2 h")
    assert weights(region) == {"blue": 100}
    assert revisions_alive(region) == {1: 2}


def test_a_network_load_balancer_takes_all_at_once_only() -> None:
    region = deployed("network")
    region.run(until="1 h")
    assert weights(region) == {"green": 100}
    with pytest.raises(InvalidDeploymentConfigNameException, match="ECSAllAtOnce only"):
        region.codedeploy.create_deployment(
            deploymentGroupName="web",
            taskDefinition="web:1",
            deploymentConfigName="CodeDeployDefault.ECSCanary10Percent5Minutes",
        )


def test_update_service_changes_the_count_and_nothing_that_is_deployed() -> None:
    region = deployed()
    region.run(until="1 h")
    for change, match in (
        ({"taskDefinition": "web:1"}, "Unable to update task definition"),
        ({"forceNewDeployment": True}, "Cannot force a new deployment"),
        ({"platformVersion": "1.4.0"}, "platform version"),
        ({"loadBalancers": []}, "load balancers"),
    ):
        with pytest.raises(InvalidParameterException, match=match):
            region.ecs.update_service(service="web", **change)
    region.ecs.update_service(service="web", desiredCount=3)
    region.run(until="2 h")
    assert revisions_alive(region) == {2: 3}
    with pytest.raises(UnsupportedFeatureException, match="CodeDeploy"):
        region.ecs.stop_service_deployment(service="web")


def test_what_codedeploy_refuses() -> None:
    region = deployed()
    codedeploy = region.codedeploy
    for arguments, error, match in (
        ({"deploymentGroupName": "x", "taskDefinition": "web"}, DeploymentGroupDoesNotExistException, "web"),
        ({"deploymentGroupName": "web"}, InvalidRequestException, "revision or taskDefinition"),
        (
            {
                "deploymentGroupName": "web",
                "taskDefinition": "web",
                "deploymentConfigName": "CodeDeployDefault.OneAtATime",
            },
            InvalidRequestException,
            "ECSAllAtOnce",
        ),
        (
            {"deploymentGroupName": "web", "revision": {"appSpecContent": {"content": "{}"}}},
            InvalidRequestException,
            "TargetService",
        ),
    ):
        with pytest.raises(error, match=match):
            codedeploy.create_deployment(**arguments)
    with pytest.raises(DeploymentDoesNotExistException):
        codedeploy.get_deployment(deploymentId="d-1")


def test_the_controller_can_be_changed_between_deployments() -> None:
    region = deployed()
    with pytest.raises(InvalidParameterException, match="deploymentController"):
        region.ecs.update_service(service="web", deploymentController={"type": "ECS"})
    region.run(until="1 h")
    region.ecs.update_service(service="web", deploymentController={"type": "ECS"})
    region.ecs.update_service(service="web", forceNewDeployment=True)
    region.run(until="2 h")
    assert history(region)[-1][0] == "SUCCESSFUL"
    assert region.registry.target_group("green").healthy == 2  # where production traffic is
