"""Scaling and alarms in a scenario file: what runs, and every fault with its path and what is legal."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import fargsim

BASE = """
schema: 1
name: scaled
start: 2026-03-02T00:00:00Z
duration: 40 min
taskDefinitions:
  - family: web
    networkMode: awsvpc
    requiresCompatibilities: [FARGATE]
    cpu: "256"
    memory: "512"
    containerDefinitions: [{name: app, image: "app:1", portMappings: [{containerPort: 80}]}]
services:
  - serviceName: web
    taskDefinition: web
    desiredCount: 1
    launchType: FARGATE
    networkConfiguration: {awsvpcConfiguration: {subnets: [subnet-a]}}
quotas: {fargate_on_demand_vcpu: 100}
assumptions: {spot_interruptions_per_task_hour: 0}
"""

STEPS = """
scaling:
  - service: web
    MinCapacity: 1
    MaxCapacity: 10
    policies:
      - PolicyName: out
        PolicyType: StepScaling
        StepScalingPolicyConfiguration:
          AdjustmentType: ChangeInCapacity
          StepAdjustments:
            - {MetricIntervalLowerBound: 0, MetricIntervalUpperBound: 10, ScalingAdjustment: 1}
            - {MetricIntervalLowerBound: 10, ScalingAdjustment: 3}
    scheduled_actions:
      - ScheduledActionName: later
        Schedule: at(2026-03-02T00:30:00)
        ScalableTargetAction: {MinCapacity: 7}
metrics:
  - {namespace: App, name: Depth, dimensions: {Queue: q}, steps: [{at: 0 s, value: 5}, {at: 10 min, value: 30}, {at: 12 min, value: 5}]}
alarms:
  - AlarmName: deep
    Namespace: App
    MetricName: Depth
    Dimensions: [{Name: Queue, Value: q}]
    Statistic: Maximum
    Period: 60
    EvaluationPeriods: 1
    Threshold: 10
    ComparisonOperator: GreaterThanThreshold
    AlarmActions: [out]
"""

TIMELINE = """
timeline:
  - at: 20 min
    application_autoscaling.register_scalable_target: {service: web, MinCapacity: 5, MaxCapacity: 6}
  - at: 22 min
    cloudwatch.set_alarm_state: {AlarmName: deep, StateValue: ALARM, StateReason: drill}
  - at: 24 min
    cloudwatch.put_metric_data: {Namespace: App, MetricData: [{MetricName: Other, Value: 3}]}
  - at: 25 min
    application_autoscaling.put_scheduled_action:
      ResourceId: service/default/web
      ScheduledActionName: now
      Schedule: at(2026-03-02T00:28:00)
      ScalableTargetAction: {MinCapacity: 2, MaxCapacity: 3}
  - at: 26 min
    cloudwatch.put_metric_alarm:
      AlarmName: other
      Namespace: App
      MetricName: Other
      Statistic: Sum
      Period: 60
      EvaluationPeriods: 1
      Threshold: 2
      ComparisonOperator: GreaterThanThreshold
      AlarmActions: [out]
"""


def load(tmp_path: Path, text: str) -> fargsim.Scenario:
    path = tmp_path / "scenario.yaml"
    path.write_text(text, encoding="utf-8")
    return fargsim.load(path)


def test_alarms_metrics_schedules_and_their_verbs_run(tmp_path: Path) -> None:
    result = fargsim.run(load(tmp_path, BASE + STEPS + TIMELINE))
    changes = result.tables["scaling"]
    found = [
        (
            round((r.at - result.tables["scaling"]["at"].iloc[0].normalize()).total_seconds()),
            r.policy_name,
            r.desired_after,
        )
        for r in changes.itertuples()
    ]
    # 30 in the minute that begins at 10 min, seen 15 s after its end: 20 above the threshold. A target of 5 to 6 at 20 min; at 28 min
    # at most 3; at 30 min the file's own action asks for 7, which is more than that and fails
    assert found == [(675, "out", 4), (1200, "RegisterScalableTarget", 5), (1680, "now", 3)]
    events = result.tables["events"]
    [failed] = events[events.event_name == "SCALING_ACTIVITY_FAILED"].message
    assert "scheduled action later: MinCapacity 7 is above MaxCapacity 3" in failed
    alarms = result.tables["alarms"]
    assert alarms[alarms.alarm == "deep"].state_after.tolist() == ["OK", "ALARM", "OK", "ALARM", "OK"]
    assert alarms[alarms.alarm == "deep"].resource_id.unique().tolist() == ["Queue=q"]
    assert alarms[alarms.alarm == "other"].state_after.tolist() == ["ALARM", "INSUFFICIENT_DATA"]


def test_a_stored_scenario_says_the_same(tmp_path: Path) -> None:
    result = fargsim.run(load(tmp_path, BASE + STEPS + TIMELINE))
    again = fargsim.run(fargsim.Scenario.model_validate(result.provenance["scenario"]))
    assert again.tables["scaling"].equals(result.tables["scaling"])
    assert again.tables["alarms"].equals(result.tables["alarms"])


def test_a_variant_replaces_a_policy_by_its_name(tmp_path: Path) -> None:
    path = tmp_path / "scenario.yaml"
    over = """
variants:
  tracked:
    alarms: [{AlarmName: deep, $remove: true}]
    scaling:
      - service: web
        policies:
          - PolicyName: out
            PolicyType: TargetTrackingScaling
            TargetTrackingScalingPolicyConfiguration:
              TargetValue: 20
              PredefinedMetricSpecification: {PredefinedMetricType: ECSServiceAverageCPUUtilization}
"""
    path.write_text(BASE + STEPS + over, encoding="utf-8")
    scenario = fargsim.load_variants(path)["tracked"]
    assert scenario.alarms == ()
    [policy] = scenario.scaling[0].policies
    assert policy.step_scaling_policy_configuration is None


FAULTS: dict[str, tuple[str, str, str, str]] = {
    "min above max": ("MinCapacity: 1", "MinCapacity: 11", "scaling[0]", "MaxCapacity (10) is below MinCapacity (11)"),
    "gap": (
        "{MetricIntervalLowerBound: 10, S", "{MetricIntervalLowerBound: 12, S",
        "scaling[0].policies[0].StepScalingPolicyConfiguration.StepAdjustments[1]",
        "the step that begins at 12 leaves a gap to the one that ends at 10: bounds must meet",
    ),
    "overlap": (
        "{MetricIntervalLowerBound: 10, S", "{MetricIntervalLowerBound: 8, S",
        "scaling[0].policies[0].StepScalingPolicyConfiguration.StepAdjustments[1]",
        "the step that begins at 8 overlaps the one that ends at 10: bounds must meet",
    ),
    "no such day": (
        "at(2026-03-02T00:30:00)", "cron(0 0 31 2 ? *)", "scaling[0].scheduled_actions[0].Schedule",
        "'cron(0 0 31 2 ? *)' never fires: there is no such day up to the year 2199",
    ),
    "over": (
        "at(2026-03-02T00:30:00)", "at(2026-03-01T00:30:00)", "scaling[0].scheduled_actions[0].Schedule",
        "'at(2026-03-01T00:30:00)' never fires after 2026-03-02T00:00:00Z",
    ),
    "a past year": (
        "at(2026-03-02T00:30:00)", "cron(0 0 1 1 ? 2020)", "scaling[0].scheduled_actions[0].Schedule",
        "'cron(0 0 1 1 ? 2020)' never fires after 2026-03-02T00:00:00Z",
    ),
    "an action that its target has no room for": (
        "ScalableTargetAction: {MinCapacity: 7}", "ScalableTargetAction: {MinCapacity: 11}",
        "scaling[0].scheduled_actions[0].ScalableTargetAction", "MinCapacity (11) would be above MaxCapacity (10)",
    ),
    "cron": (
        "at(2026-03-02T00:30:00)", "cron(0 25 * * ? *)", "scaling[0].scheduled_actions[0].Schedule",
        "'25': hours takes 0 to 23, and , - * /",
    ),
    "zone": (
        "        ScalableTargetAction", "        Timezone: Berlin\n        ScalableTargetAction",
        "scaling[0].scheduled_actions[0].Timezone", "'Berlin' is no time zone: write an IANA name like Europe/Berlin",
    ),
    "action": (
        "AlarmActions: [out]", "AlarmActions: [uot]", "alarms[0].AlarmActions[0]",
        "there is no scaling policy 'uot': did you mean out?",
    ),
    "service of an alarm": (
        "Namespace: App\n    MetricName: Depth\n    Dimensions: [{Name: Queue, Value: q}]",
        "Namespace: AWS/ECS\n    MetricName: CPUUtilization\n    Dimensions: [{Name: ServiceName, Value: wbe}]",
        "alarms[0].Dimensions[0].Value", "there is no service in cluster default 'wbe': did you mean web?",
    ),
    "period": ("Period: 60", "Period: 90", "alarms[0]", "Period must be 10, 20, 30 or a multiple of 60 seconds, not 90"),
    "kind and configuration": (
        "PolicyType: StepScaling", "PolicyType: PredictiveScaling", "scaling[0].policies[0]",
        "StepScalingPolicyConfiguration is not for PolicyType PredictiveScaling",
    ),
    "steps of a metric": (
        "{at: 12 min, value: 5}", "{at: 9 min, value: 5}", "metrics[0].steps[2].at", "the instants of steps must increase",
    ),
    "somebody else's namespace": (
        "namespace: App", "namespace: AWS/ECS", "metrics[0]", "namespaces that begin with AWS/ belong to AWS's own services",
    ),
    "twice": ("AlarmName: deep", "AlarmName: deep", "alarms[1].AlarmName", "'deep' stands twice in alarms"),
}  # fmt: skip


@pytest.mark.parametrize("name", FAULTS)
def test_faults_have_their_path_and_what_is_legal(name: str, tmp_path: Path) -> None:
    old, new, path, message = FAULTS[name]
    text = BASE + STEPS
    assert old in text
    text = text.replace(old, new, 1)
    if name == "twice":
        text += STEPS[STEPS.index("  - AlarmName") :]
    with pytest.raises(fargsim.ScenarioError) as caught:
        load(tmp_path, text)
    found: list[Any] = [(issue.path, issue.message) for issue in caught.value.issues]
    assert (path, message) in [(p if isinstance(p, str) else _dotted(p), m) for p, m in found], found


def _dotted(path: tuple[str | int, ...]) -> str:
    return "".join(f"[{p}]" if isinstance(p, int) else f".{p}" if n else p for n, p in enumerate(path))


TRACKED = """
scaling:
  - service: web
    MinCapacity: 1
    MaxCapacity: 10
    policies:
      - PolicyName: p
        TargetTrackingScalingPolicyConfiguration:
          TargetValue: %s
          %s
"""


@pytest.mark.parametrize(
    ("target", "metric", "message"),
    [
        ("0", "PredefinedMetricSpecification: {PredefinedMetricType: ECSServiceAverageCPUUtilization}", "must be more than 0, not 0"),
        (
            "50", "PredefinedMetricSpecification: {PredefinedMetricType: ECSServiceAverageCPUUtilizationHighResolution}",
            "needs CPUUtilization at resolutionSeconds 20 in the monitoring of service web",
        ),
        (
            "50", "CustomizedMetricSpecification: {Metrics: [{Id: e, Expression: 'a / 2'}]}",
            "column 1: 'a' is no Id: there is e",
        ),
        ("50", "CustomizedMetricSpecification: {Metrics: [{Id: e, Expression: 'e / 2'}]}", "e leads back to itself"),
        ("50", "CustomizedMetricSpecification: {MetricName: x}", "give MetricName, Namespace and Statistic together, or Metrics"),
        ("50", "DisableScaleIn: true", "give either PredefinedMetricSpecification or CustomizedMetricSpecification"),
    ],
)  # fmt: skip
def test_faults_of_tracking(target: str, metric: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(fargsim.ScenarioError, match=message.replace("(", r"\(")):
        load(tmp_path, BASE + TRACKED % (target, metric))


def test_faults_of_tracking_with_codedeploy(tmp_path: Path) -> None:
    text = BASE + TRACKED % ("50", "PredefinedMetricSpecification: {PredefinedMetricType: ALBRequestCountPerTarget}")
    text = text.replace(
        "    launchType: FARGATE\n", "    launchType: FARGATE\n    deploymentController: {type: CODE_DEPLOY}\n"
    )
    with pytest.raises(
        fargsim.ScenarioError, match="ALBRequestCountPerTarget is not supported for services with the CODE_DEPLOY"
    ):
        load(tmp_path, text)


COMPOSED = """
compositeAlarms:
  - {AlarmName: bad, AlarmRule: 'ALARM(deep) AND NOT ALARM("TargetTracking-service/default/web-AlarmHigh-p")'}
  - {AlarmName: worse, AlarmRule: ALARM(bad)}
timeline:
  - at: 5 min
    cloudwatch.disable_alarm_actions: {AlarmNames: [deep]}
  - at: 690 s
    cloudwatch.enable_alarm_actions: {AlarmNames: [deep]}
  - at: 20 min
    cloudwatch.put_composite_alarm: {AlarmName: late, AlarmRule: OK(worse)}
  - at: 21 min
    application_autoscaling.delete_scheduled_action: {ResourceId: service/default/web, ScheduledActionName: later}
  - at: 22 min
    cloudwatch.delete_alarms: {AlarmNames: [late]}
  - at: 25 min
    application_autoscaling.delete_scaling_policy: {ResourceId: service/default/web, PolicyName: out}
  - at: 26 min
    cloudwatch.set_alarm_state: {AlarmName: deep, StateValue: ALARM}
  - at: 35 min
    application_autoscaling.deregister_scalable_target: {ResourceId: service/default/web}
"""


def test_composite_alarms_and_the_verbs_that_take_away_run(tmp_path: Path) -> None:
    # the alarm that p would have is not there: an alarm that is gone has insufficient data, and the run begins without it
    text = (BASE + STEPS + COMPOSED).replace(' AND NOT ALARM("TargetTracking-service/default/web-AlarmHigh-p")', "")
    result = fargsim.run(load(tmp_path, text))
    changes = result.tables["scaling"]
    start = result.tables["alarms"]["at"].iloc[0].normalize()
    # 30 from 10 to 12 min: the actions are off at 675 s and on again for the repetition at 735 s; policy and action are gone by 25 min
    found = [(round((r.at - start).total_seconds()), r.policy_name, r.desired_after) for r in changes.itertuples()]
    assert found == [(735, "out", 4)]
    alarms = result.tables["alarms"]
    assert alarms[alarms.alarm == "worse"].state_after.tolist() == ["OK", "ALARM", "OK", "ALARM", "OK"]
    assert alarms[alarms.alarm == "late"].state_after.tolist() == ["ALARM"]
    assert not (result.tables["events"].event_name == "API_ERROR").any()


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("AlarmRule: ALARM(bad)", "AlarmRule: ALARM(bda)", "there is no alarm 'bda': did you mean bad?"),
        ("AlarmRule: ALARM(bad)", "AlarmRule: bad", "cannot be read at column 1: write ALARM"),
        ("AlarmName: worse", "AlarmName: deep", "there is an alarm 'deep' already"),
        ("AlarmRule: ALARM(bad)", "AlarmRule: ALARM(bad), AlarmActions: [out]", "a composite alarm cannot scale: 'out'"),
        ("scaling_policy: {ResourceId: service/default/web", "scaling_policy: {ResourceId: service/default/wbe", "did you mean"),
        ("disable_alarm_actions: {AlarmNames: [deep]}", "disable_alarm_actions: {AlarmNames: [depe]}", "there is no alarm 'depe'"),
        ("enable_alarm_actions: {AlarmNames: [deep]}", "enable_alarm_actions: {AlarmNames: [deep, depe]}", "there is no alarm 'depe'"),
        ("{AlarmNames: [late]}", "{AlarmNames: [latest]}", "there is no alarm 'latest': did you mean late"),
        ("set_alarm_state: {AlarmName: deep", "set_alarm_state: {AlarmName: depe", "there is no alarm 'depe'"),
        ("{ResourceId: service/default/web}", "{ResourceId: web}", "must say which service: write service/CLUSTER/SERVICE"),
    ],
)  # fmt: skip
def test_faults_of_composite_alarms_and_of_verbs_that_take_away(
    old: str, new: str, message: str, tmp_path: Path
) -> None:
    text = BASE + STEPS + COMPOSED
    assert old in text
    with pytest.raises(fargsim.ScenarioError) as caught:
        load(tmp_path, text.replace(old, new, 1))
    assert any(message in issue.message for issue in caught.value.issues), caught.value.issues


def test_alarms_are_there_from_the_time_at_which_they_are_made_whatever_the_order_in_the_file(tmp_path: Path) -> None:
    text = f"""{BASE}timeline:
  - {{at: 1 min, cloudwatch.put_composite_alarm: {{AlarmName: c, AlarmRule: ALARM(x)}}}}
  - {{at: 1 min, cloudwatch.set_alarm_state: {{AlarmName: 'arn:aws:cloudwatch:us-east-1:1:alarm:x', StateValue: OK}}}}
  - at: 30 s
    cloudwatch.put_metric_alarm:
      AlarmName: x
      Namespace: App
      MetricName: Depth
      Statistic: Maximum
      Period: 60
      EvaluationPeriods: 1
      Threshold: 10
      ComparisonOperator: GreaterThanThreshold
"""
    assert not (fargsim.run(load(tmp_path, text)).tables["events"].event_name == "API_ERROR").any()
    with pytest.raises(fargsim.ScenarioError) as caught:
        load(tmp_path, text.replace("30 s", "2 min"))
    assert [(issue.dotted(), issue.message) for issue in caught.value.issues] == [
        ("timeline[0].cloudwatch.put_composite_alarm.AlarmRule", "there is no alarm 'x': there are none"),
        ("timeline[1].cloudwatch.set_alarm_state.AlarmName", "by then there is no alarm 'x': there is c"),
    ]


def test_what_names_an_alarm_at_fault_is_not_told_that_there_is_none(tmp_path: Path) -> None:
    text = f"""{BASE}{STEPS}compositeAlarms: [{{AlarmName: bad, AlarmRule: ALARM(deep)}}]
timeline:
  - {{at: 1 min, cloudwatch.delete_alarms: {{AlarmNames: [deep]}}}}
"""
    text = text.replace(
        "desiredCount: 1", "deploymentConfiguration: {alarms: {alarmNames: [deep], enable: true, rollback: true}}"
    )
    load(tmp_path, text)
    with pytest.raises(fargsim.ScenarioError) as caught:
        load(tmp_path, text.replace("Threshold:", "Treshold:"))
    assert [issue.dotted() for issue in caught.value.issues] == ["alarms[0].Treshold"]
