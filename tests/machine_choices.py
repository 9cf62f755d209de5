"""What is chosen at random: waits, deployment configurations, placement, capacity providers."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import rule
from machine_world import FAMILIES, FLEETS, NAMES, S
from sim_helpers import SUBNETS

ZONES = tuple(SUBNETS.values())
names = st.sampled_from(NAMES)
families = st.sampled_from(sorted(FAMILIES))
fleets = st.sampled_from(sorted(FLEETS))
counts = st.integers(0, 5)
WAITS = st.one_of(
    st.integers(1, 3 * S),
    st.integers(1, 40 * S),
    st.sampled_from([1, S, 5 * S, 60 * S, 61 * S, 120 * S]),
    st.integers(1, 900 * S),
)
THEN = st.one_of(
    st.sampled_from([0, 1, S, 5 * S, 60 * S, 61 * S]),
    st.builds(lambda whole, part: whole * S + part, st.integers(0, 20), st.integers(0, S)),
    st.builds(lambda whole, part: whole * S + part, st.integers(10, 150), st.integers(0, S)),
)
"""How long it takes until somebody does something again."""


def step(**given: Any) -> Callable[[Callable[..., None]], Any]:
    """Make a rule after which time passes.

    A sequence may leave rules out for good, and with a rule of its own for time it would mostly stand still.
    """

    def made(act: Callable[..., None]) -> Any:
        @functools.wraps(act)
        def both(machine: Any, then: int, **more: Any) -> None:
            act(machine, **more)
            machine.let_pass(then)

        return rule(then=THEN, **given)(both)

    return made


BOUNDS = st.sampled_from([(100, 200), (50, 100), (0, 100), (50, 150), (75, 125), (100, 150), (100, 100), (0, 200)])
STRATEGIES: tuple[list[dict[str, str]], ...] = (
    [],
    [{"type": "random"}],
    [{"type": "binpack", "field": "memory"}],
    [{"type": "spread", "field": "attribute:ecs.availability-zone"}, {"type": "binpack", "field": "cpu"}],
    [{"type": "spread", "field": "attribute:stack"}],
)
CONSTRAINTS: tuple[list[dict[str, str]], ...] = (
    [],
    [{"type": "distinctInstance"}],
    [{"type": "memberOf", "expression": "attribute:stack == prod"}],
    [{"type": "memberOf", "expression": "attribute:ecs.instance-type == m5.large"}],
)
PROVIDER_STRATEGIES: dict[str, tuple[list[dict[str, Any]], ...]] = {
    "FARGATE": (
        [{"capacityProvider": "FARGATE", "weight": 1, "base": 1}, {"capacityProvider": "FARGATE_SPOT", "weight": 2}],
        [{"capacityProvider": "FARGATE_SPOT", "weight": 1}],
    ),
    "BOTH": (
        [{"capacityProvider": "FARGATE", "weight": 1}, {"capacityProvider": "FARGATE_SPOT", "weight": 1}],
        [{"capacityProvider": "cp-m", "weight": 1}],
        [{"capacityProvider": "FARGATE", "weight": 1}],
    ),
    "EC2": (
        [{"capacityProvider": "cp-m", "weight": 1}],
        [{"capacityProvider": "cp-m", "weight": 1}, {"capacityProvider": "cp-g", "weight": 1}],
        [{"capacityProvider": "cp-g", "weight": 1}],
    ),
}


@st.composite
def configurations(draw: st.DrawFn) -> dict[str, Any]:
    """A DeploymentConfiguration."""
    low, high = draw(BOUNDS)
    found: dict[str, Any] = {"minimumHealthyPercent": low, "maximumPercent": high}
    if draw(st.booleans()):
        breaker: dict[str, Any] = {"enable": True, "rollback": draw(st.booleans())}
        if draw(st.booleans()):
            breaker["thresholdConfiguration"] = {"type": "COUNT", "value": draw(st.integers(1, 4))}
            breaker["resetOnHealthyTask"] = draw(st.booleans())
        found["deploymentCircuitBreaker"] = breaker
    if draw(st.booleans()):
        found["alarms"] = {"alarmNames": ["high"], "enable": True, "rollback": draw(st.booleans())}
    if draw(st.booleans()):
        found["bakeTimeInMinutes"] = draw(st.integers(0, 3))
    if draw(st.sampled_from([True, False, False])):
        cleanup = draw(st.sampled_from(["BLOCKING", "DEFERRED"]))
        criteria = {"enable": True, "healthyPercent": max(low, 60), "sourceServiceRevisionCleanup": cleanup}
        found["earlySuccessCriteria"] = criteria
    return found


PAUSES = ("PRE_SCALE_UP", "POST_SCALE_UP", "PRE_PRODUCTION_TRAFFIC_SHIFT", "POST_PRODUCTION_TRAFFIC_SHIFT")


@st.composite
def shifting(draw: st.DrawFn) -> dict[str, Any]:
    """A DeploymentConfiguration that shifts traffic."""
    found = draw(configurations())
    found.pop("earlySuccessCriteria", None)
    found["strategy"] = draw(st.sampled_from(["BLUE_GREEN", "LINEAR", "CANARY"]))
    found.setdefault("bakeTimeInMinutes", 1)
    minutes = draw(st.integers(0, 2))
    if found["strategy"] == "LINEAR":
        percent = draw(st.sampled_from([20.0, 34.5, 100.0]))
        found["linearConfiguration"] = {"stepPercent": percent, "stepBakeTimeInMinutes": minutes}
    if found["strategy"] == "CANARY":
        percent = draw(st.sampled_from([0.1, 25.0]))
        found["canaryConfiguration"] = {"canaryPercent": percent, "canaryBakeTimeInMinutes": minutes}
    hook = draw(st.sampled_from([None, None, "PAUSE", "approve", "refuse"]))
    if hook is not None:
        stages = draw(st.lists(st.sampled_from(PAUSES), min_size=1, max_size=2, unique=True))
        more: dict[str, Any] = {"targetType": "PAUSE", "timeoutConfiguration": {"timeoutInMinutes": 15}}
        if hook != "PAUSE":
            more = {
                "targetType": "AWS_LAMBDA",
                "hookTargetArn": f"arn:aws:lambda:us-east-1:123456789012:function:{hook}",
                "roleArn": "arn:aws:iam::123456789012:role/hooks",
            }
        found["lifecycleHooks"] = [{"lifecycleStages": stages, **more}]
    return found
