"""Published targets V11, V13, V14, V15: when linear, canary and CodeDeploy deployments shift traffic, and how often they pause.

Sources: Amazon ECS API Reference, API_LinearConfiguration.html, API_CanaryConfiguration.html; Amazon ECS Developer Guide,
pause-lifecycle-hooks.html; AWS CodeDeploy User Guide, deployment-configurations.html.
"""

from __future__ import annotations

from codedeploy_helpers import deployed, shifts
from shift_helpers import hook_events, shifting, stages

from fargsim.model.deployment import DeploymentConfiguration
from fargsim.policy.traffic_shift import MINUTE_US, codedeploy_steps, shift_us, steps_of


def test_v11_linear_by_ten_percent_every_six_minutes() -> None:
    configuration = {
        "strategy": "LINEAR",
        "linearConfiguration": {"stepPercent": 10, "stepBakeTimeInMinutes": 6},
        "bakeTimeInMinutes": 0,
    }
    steps = steps_of(DeploymentConfiguration.model_validate(configuration))
    assert [step.green_percent for step in steps] == [10 * n for n in range(1, 11)]
    assert sum(step.bake_us > 0 for step in steps) == 9
    assert shift_us(steps) == 54 * MINUTE_US
    region = shifting(configuration)
    region.run(until="2 h")
    rows = [row for row in stages(region) if row[0].startswith("PRODUCTION")]
    begin = rows[0][1]
    assert [((at - begin) / 60, share) for _, at, _, share, _ in rows] == [(6 * n, 10 * (n + 1)) for n in range(10)]
    assert next(at for name, at, *_ in stages(region) if name == "CLEAN_UP") == begin + 54 * 60


def test_v13_canary_of_five_percent_for_ten_minutes_and_fifteen_of_bake() -> None:
    configuration = {
        "strategy": "CANARY",
        "canaryConfiguration": {"canaryPercent": 5, "canaryBakeTimeInMinutes": 10},
        "bakeTimeInMinutes": 15,
    }
    region = shifting(configuration)
    region.run(until="2 h")
    rows = [row for row in stages(region) if row[0].startswith("PRODUCTION") or row[0] == "CLEAN_UP"]
    begin = rows[0][1]
    assert [((at - begin) / 60, share) for _, at, _, share, _ in rows] == [(0, 5), (10, 100), (25, 100)]


def test_v14_a_pause_before_production_traffic_pauses_at_each_of_five_steps() -> None:
    pause = {"targetType": "PAUSE", "lifecycleStages": ["PRE_PRODUCTION_TRAFFIC_SHIFT"]}
    configuration = {
        "strategy": "LINEAR",
        "linearConfiguration": {"stepPercent": 20, "stepBakeTimeInMinutes": 1},
        "bakeTimeInMinutes": 0,
        "lifecycleHooks": [pause],
    }
    region = shifting(configuration)
    for minute in range(10, 60, 10):
        region.run(until=f"{minute} min")
        region.ecs.continue_service_deployment(service="web")
    region.run(until="2 h")
    events = hook_events(region)
    assert [name for _, name in events] == ["AWAITING_ACTION", "SUCCEEDED"] * 5
    assert [at / 60 for at, name in events if name == "SUCCEEDED"] == [10, 20, 30, 40, 50]
    shares = [share for name, _, _, share, _ in stages(region) if name.startswith("PRODUCTION")]
    assert shares == [20, 40, 60, 80, 100]
    hooks = region.registry.service("default", "web").controller.shift_run.hooks.runs
    assert len({run.hook_id for run in hooks}) == 5


def test_v15_codedeploy_linear_ten_percent_every_three_minutes() -> None:
    steps = codedeploy_steps("CodeDeployDefault.ECSLinear10PercentEvery3Minutes")
    assert len(steps) == 10
    assert shift_us(steps) == 27 * MINUTE_US
    region = deployed(config="ECSLinear10PercentEvery3Minutes")
    region.run(until="2 h")
    found = shifts(region)
    begin = found[0][0]
    assert [((at - begin) / 60, share) for at, share in found] == [(3 * n, 10 * (n + 1)) for n in range(10)]
