"""Quotas of the account on how many things there may be.

Source: AWS General Reference, ecs-service.html (the figures); Amazon ECS API Reference, the errors of each action: none of these names
LimitExceededException.
"""

from __future__ import annotations

from fargsim.model.service import CreateService
from fargsim.sim.errors import AwsError, ClientException, InvalidParameterException
from fargsim.sim.kit import Kit


def check_quota(kit: Kit, quota: str, number: float, field: str, error: type[AwsError] = ClientException) -> None:
    """Check that there would not be more of something than a quota of the account allows.

    Parameters
    ----------
    quota
        Its name in ``quotas`` of a scenario.
    number
        How many there would be.
    field
        What the caller asked with.

    Raises
    ------
    AwsError
        Of the class `error`.
    """
    facts = kit.quotas.quota(quota)
    if facts.value is not None and number > facts.value:
        raise error(
            f"{field}: the account's quota {quota} is {facts.value:g} {facts.unit}{'' if facts.value == 1 else 's'}, "
            f"and this would make it {number:g}."
        )


def check_desired_count(kit: Kit, spec: CreateService) -> None:
    """Check a desired count: fewer tasks where service discovery or Service Connect names them.

    Raises
    ------
    InvalidParameterException
        Where it is above the quota.
    """
    connect = spec.service_connect_configuration
    named = bool(spec.service_registries) or (isinstance(connect, dict) and bool(connect.get("enabled")))
    quota = "tasks_per_service_with_discovery" if named else "tasks_per_service"
    check_quota(kit, quota, spec.desired_count, "desiredCount", InvalidParameterException)
