"""Files with deployments that shift traffic: what is at fault is told with its path and what is legal."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import fargsim
from fargsim.load import ScenarioError

SCENARIOS = Path(__file__).resolve().parents[1] / "scenarios"
TEXT = (
    (SCENARIOS / "deployment-strategies.yaml")
    .read_text(encoding="utf-8")
    .replace("duration: 50 min", "duration: 25 min")
)


def faults(tmp_path: Path, *changes: tuple[str, str], variant: str = "smoke-test") -> list[tuple[str, str]]:
    text = TEXT
    for old, new in changes:
        assert text.count(old) >= 1, old
        text = text.replace(old, new)
    path = tmp_path / "scenario.yaml"
    path.write_text(text)
    (tmp_path / "web.taskdef.json").write_text((SCENARIOS / "web.taskdef.json").read_text())
    with pytest.raises(ScenarioError) as caught:
        fargsim.load(path, variant=variant)
    return [(issue.dotted(), issue.message) for issue in caught.value.issues]


@pytest.mark.parametrize(
    ("old", "new", "path", "words"),
    [
        ("alternateTargetGroupArn: green", "alternateTargetGroupArn: gren", "alternateTargetGroupArn", "green"),
        ("alternateTargetGroupArn: green", "alternateTargetGroupArn: blue", "alternateTargetGroupArn", "another"),
        (
            "productionListenerRule: front:80\n",
            "productionListenerRule: front:81\n",
            "productionListenerRule",
            "front:80",
        ),
        ("testListenerRule: front:80/10", "testListenerRule: front:80/11", "testListenerRule", "front:80/10"),
        ("testListenerRule: front:80/10", "testListenerRule: front:80", "testListenerRule", "another rule"),
        (
            "lifecycleStages: [POST_TEST_TRAFFIC_SHIFT]",
            "lifecycleStages: [BAKE_TIME]",
            "lifecycleStages[0]",
            "PRE_SCALE_UP",
        ),
        ("smoke-test: [{", "smoke: [{", "hooks.smoke", "smoke-test"),
        ("smoke-test: [{after: 30 s, status: FAILED}]", "smoke-test: []", "hooks.smoke-test", "at least one answer"),
        ("status: FAILED}", "status: FAILED, call_back_delay: 9 s}", "hooks.smoke-test[0]", "IN_PROGRESS"),
        ("rate: {constant: 100 /s}", "rate: {users: {count: 9, think: 1 s}}", "traffic[0].rate.users", "use a rate"),
    ],
)
def test_what_is_at_fault_is_told(tmp_path: Path, old: str, new: str, path: str, words: str) -> None:
    found = faults(tmp_path, (old, new))
    assert [message for at, message in found if at.endswith(path) and words in message], found


def test_what_a_canary_lacks(tmp_path: Path) -> None:
    shorter = (
        "        loadBalancers: *both\n        deploymentConfiguration:\n          strategy: CANARY",
        "        deploymentConfiguration:\n          strategy: CANARY",
    )
    [(path, message)] = faults(tmp_path, shorter, variant="canary")
    assert path == "services[0].loadBalancers[0].advancedConfiguration"
    assert (
        message == "CANARY needs advancedConfiguration with alternateTargetGroupArn, productionListenerRule and roleArn"
    )


def test_a_note_says_that_hooks_of_a_rolling_update_do_nothing() -> None:
    found: Any = fargsim.load(SCENARIOS / "deployment-strategies.yaml", variant="rolling")
    hooks = {"lifecycle_hooks": ({"targetType": "PAUSE", "lifecycleStages": ["PRE_SCALE_UP"]},)}
    from fargsim.load import unsimulated
    from fargsim.model.deployment import DeploymentConfiguration

    service = found.services[0].model_copy(update={"deployment_configuration": DeploymentConfiguration(**hooks)})
    scenario = found.model_copy(update={"services": (service,)})
    assert list(unsimulated.unsimulated(scenario)) == [
        "lifecycleHooks of service web do nothing: its deployments shift no traffic"
    ]
