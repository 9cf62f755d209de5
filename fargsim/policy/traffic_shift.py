"""How production traffic moves from the blue service revision to the green one: lifecycle stages, steps and bakes.

Sources: Amazon ECS Developer Guide, blue-green-deployment-how-it-works.html, deployment-type-linear.html, canary-deployment.html; Amazon
ECS API Reference, API_LinearConfiguration.html, API_CanaryConfiguration.html; AWS CodeDeploy User Guide, deployment-configurations.html.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction
from typing import Literal

MINUTE_US = 60_000_000

Stage = Literal[
    "RECONCILE_SERVICE",
    "PRE_SCALE_UP",
    "SCALE_UP",
    "POST_SCALE_UP",
    "TEST_TRAFFIC_SHIFT",
    "POST_TEST_TRAFFIC_SHIFT",
    "PRE_PRODUCTION_TRAFFIC_SHIFT",
    "PRODUCTION_TRAFFIC_SHIFT",
    "POST_PRODUCTION_TRAFFIC_SHIFT",
    "BAKE_TIME",
    "CLEAN_UP",
]

STAGES: tuple[Stage, ...] = (
    "RECONCILE_SERVICE",
    "PRE_SCALE_UP",
    "SCALE_UP",
    "POST_SCALE_UP",
    "TEST_TRAFFIC_SHIFT",
    "POST_TEST_TRAFFIC_SHIFT",
    "PRE_PRODUCTION_TRAFFIC_SHIFT",
    "PRODUCTION_TRAFFIC_SHIFT",
    "POST_PRODUCTION_TRAFFIC_SHIFT",
    "BAKE_TIME",
    "CLEAN_UP",
)
"""The lifecycle stages of a deployment that shifts traffic, in order."""

EACH_STEP: tuple[Stage, Stage] = ("PRE_PRODUCTION_TRAFFIC_SHIFT", "PRODUCTION_TRAFFIC_SHIFT")
"""The stages whose hooks are called at every step of a linear or canary deployment."""


@dataclass(frozen=True, slots=True)
class ShiftStep:
    """One step of the production traffic.

    Parameters
    ----------
    green_percent
        Share of the requests that the green revision gets from this step on.
    bake_us
        How long the step lasts before the next one; 0 for the one that reaches 100 %: the deployment's bake time follows it.
    """

    green_percent: float
    bake_us: int


def all_at_once() -> tuple[ShiftStep, ...]:
    """Return the single step of a blue/green deployment."""
    return (ShiftStep(100.0, 0),)


def linear_steps(step_percent: float, step_bake_us: int) -> tuple[ShiftStep, ...]:
    """Return the steps of a linear deployment; the last one may be smaller, and has no bake.

    >>> [step.green_percent for step in linear_steps(30.0, MINUTE_US)]
    [30.0, 60.0, 90.0, 100.0]
    """
    share = Fraction(str(step_percent))
    number = math.ceil(Fraction(100) / share)
    steps = [ShiftStep(float(share * k), step_bake_us) for k in range(1, number)]
    return (*steps, ShiftStep(100.0, 0))


def canary_steps(canary_percent: float, canary_bake_us: int) -> tuple[ShiftStep, ...]:
    """Return the steps of a canary deployment: a small share, then all.

    >>> canary_steps(5.0, 10 * MINUTE_US)
    (ShiftStep(green_percent=5.0, bake_us=600000000), ShiftStep(green_percent=100.0, bake_us=0))
    """
    if canary_percent >= 100:
        return all_at_once()
    return ShiftStep(canary_percent, canary_bake_us), ShiftStep(100.0, 0)


def shift_us(steps: tuple[ShiftStep, ...]) -> int:
    """Return how long the traffic takes from the first step to the last, when no hook holds it up."""
    return sum(step.bake_us for step in steps)


def codedeploy_steps(name: str) -> tuple[ShiftStep, ...]:
    """Return the steps of a predefined deployment configuration of CodeDeploy for Amazon ECS.

    Raises
    ------
    KeyError
        There is no configuration of this name.

    >>> shift_us(codedeploy_steps("CodeDeployDefault.ECSLinear10PercentEvery3Minutes")) // MINUTE_US
    27
    """
    return {
        "CodeDeployDefault.ECSAllAtOnce": all_at_once(),
        "CodeDeployDefault.ECSLinear10PercentEvery1Minutes": linear_steps(10.0, MINUTE_US),
        "CodeDeployDefault.ECSLinear10PercentEvery3Minutes": linear_steps(10.0, 3 * MINUTE_US),
        "CodeDeployDefault.ECSCanary10Percent5Minutes": canary_steps(10.0, 5 * MINUTE_US),
        "CodeDeployDefault.ECSCanary10Percent15Minutes": canary_steps(10.0, 15 * MINUTE_US),
    }[name]
