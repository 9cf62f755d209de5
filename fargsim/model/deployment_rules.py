"""Rules of deployment configurations: what an update makes of one, and bounds that no deployment can keep.

Sources: Amazon ECS API Reference, API_UpdateService.html, API_DeploymentConfiguration.html; that UpdateService leaves alone what it is not
told, the circuit breaker for one: https://github.com/aws/aws-cdk/pull/28611.
"""

from __future__ import annotations

from collections.abc import Iterator

from fargsim.model.base import Path
from fargsim.model.deployment import DeploymentChange, DeploymentConfiguration
from fargsim.model.service import CreateService, UpdateService

OF_A_STRATEGY = ("linearConfiguration", "canaryConfiguration", "earlySuccessCriteria")
"""What belongs to one strategy, and goes when another one is asked for."""


def configured(before: DeploymentConfiguration, change: DeploymentChange) -> DeploymentConfiguration:
    """Return what an update makes of a deployment configuration.

    Raises
    ------
    pydantic.ValidationError
        What comes out is not legal.

    Examples
    --------
    >>> before = DeploymentConfiguration(strategy="LINEAR", linearConfiguration={"stepPercent": 20}, maximumPercent=150)
    >>> configured(before, DeploymentChange(strategy="CANARY")).model_dump(by_alias=True, exclude_unset=True)
    {'maximumPercent': 150, 'strategy': 'CANARY'}
    """
    kept = before.model_dump(by_alias=True, exclude_unset=True)
    asked = change.model_dump(by_alias=True, exclude_unset=True, exclude_none=True)
    if asked.get("strategy", before.strategy) != before.strategy:
        kept = {key: value for key, value in kept.items() if key not in OF_A_STRATEGY}
    return DeploymentConfiguration.model_validate({**kept, **asked})


def updated(before: CreateService, change: UpdateService) -> CreateService:
    """Return what an update makes of a service, except its launch type, which depends on how the service came about.

    Raises
    ------
    pydantic.ValidationError
        The deployment configuration that comes out is not legal.
    """
    changes = {
        name: getattr(change, name)
        for name in CreateService.model_fields
        if name in UpdateService.model_fields
        and name in change.model_fields_set
        and getattr(change, name) is not None
        and name not in ("cluster", "deployment_configuration")
    }
    if change.deployment_configuration is not None:
        changes["deployment_configuration"] = configured(
            before.deployment_configuration, change.deployment_configuration
        )
    return before.model_copy(update=changes)


def bounds_faults(spec: CreateService) -> Iterator[tuple[Path, str]]:
    """Yield a bound of a service that no deployment can keep beside the default of the other one.

    Yields
    ------
    tuple
        The path of the field inside the service, and what is wrong with it.
    """
    configuration = spec.deployment_configuration
    low, high = configuration.minimum_healthy_percent, configuration.maximum_percent
    if spec.scheduling_strategy == "DAEMON" or (low is None) == (high is None):
        return
    if high is not None and high < 100:
        message = f"is {high}: it must be at least minimumHealthyPercent, which is 100 where it is not given"
        yield ("deploymentConfiguration", "maximumPercent"), message
    if low is not None and low > 200:
        message = f"is {low}: it must be at most maximumPercent, which is 200 where it is not given"
        yield ("deploymentConfiguration", "minimumHealthyPercent"), message
