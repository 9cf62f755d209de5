"""How production traffic moves from the blue service revision to the green one: lifecycle stages, steps and bakes.

Sources: Amazon ECS Developer Guide, blue-green-deployment-how-it-works.html, deployment-type-linear.html, canary-deployment.html; Amazon
ECS API Reference, API_LinearConfiguration.html, API_CanaryConfiguration.html; AWS CodeDeploy User Guide, deployment-configurations.html.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Literal

from fargsim.model.deployment import CanaryConfiguration, DeploymentConfiguration, LinearConfiguration
from fargsim.policy.deployment import RevisionView, ServiceView, StartTasks, Step, StopTasks, bounds, rolling_step

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


def steps_of(configuration: DeploymentConfiguration) -> tuple[ShiftStep, ...]:
    """Return the steps of a deployment configuration; what it leaves out has AWS's defaults.

    >>> len(steps_of(DeploymentConfiguration(strategy="LINEAR"))), len(steps_of(DeploymentConfiguration(strategy="CANARY")))
    (10, 2)
    """
    if configuration.strategy == "LINEAR":
        linear = configuration.linear_configuration or LinearConfiguration()
        return linear_steps(linear.step_percent, linear.step_bake_time_in_minutes * MINUTE_US)
    if configuration.strategy == "CANARY":
        canary = configuration.canary_configuration or CanaryConfiguration()
        return canary_steps(canary.canary_percent, canary.canary_bake_time_in_minutes * MINUTE_US)
    return all_at_once()


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


PRESETS = (
    "CodeDeployDefault.ECSAllAtOnce",
    "CodeDeployDefault.ECSLinear10PercentEvery1Minutes",
    "CodeDeployDefault.ECSLinear10PercentEvery3Minutes",
    "CodeDeployDefault.ECSCanary10Percent5Minutes",
    "CodeDeployDefault.ECSCanary10Percent15Minutes",
)
"""The predefined deployment configurations of CodeDeploy for Amazon ECS."""


@dataclass(frozen=True, slots=True)
class Side:
    """One of the revisions that stand side by side.

    Parameters
    ----------
    revision
        Its tasks.
    desired
        How many of its tasks should live: the service's desired count, or 0 before it is scaled up and when it is cleaned up.
    """

    revision: RevisionView
    desired: int


def side_by_side(
    sides: Iterable[Side],
    *,
    minimum_healthy_percent: int | None = None,
    maximum_percent: int | None = None,
    count_stopping: bool = True,
    launches: int = 1 << 30,
) -> Step:
    """Decide what to start and stop of revisions that do not make room for one another, each within bounds of its own.

    Each is kept as a service with one revision is kept: what is lost or unhealthy is replaced by the same revision. Together they may
    have twice the desired count, whatever ``maximumPercent`` says: it bounds replacements.

    Parameters
    ----------
    sides
        The newest revision first.
    launches
        How many launches the rate limits allow now, in all.

    Examples
    --------
    >>> blue = RevisionView("blue", wanted=4, healthy=4)
    >>> side_by_side([Side(RevisionView("green", wanted=0), 4), Side(blue, 4)]).starts
    (StartTasks(deployment='green', number=4),)
    >>> side_by_side([Side(RevisionView("green", wanted=4, healthy=4), 4), Side(blue, 0)]).stops
    (StopTasks(deployment='blue', number=4, unhealthy=False),)
    """
    starts: list[StartTasks] = []
    stops: list[StopTasks] = []
    wanted: dict[str, int] = {}
    complete = True
    for side in sides:
        revision = replace(side.revision, wanted=min(side.revision.wanted, side.desired))
        limits = bounds(side.desired, minimum_healthy_percent, maximum_percent)
        step = rolling_step(ServiceView(side.desired, limits, (revision,), revision.stopping, count_stopping, launches))
        starts += step.starts
        stops += step.stops
        launches -= sum(start.number for start in step.starts)
        wanted[revision.deployment] = step.wanted[revision.deployment]
        complete = complete and step.complete
    return Step(tuple(starts), tuple(stops), wanted, complete)
