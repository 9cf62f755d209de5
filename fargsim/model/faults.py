"""Faults of zones, instances, tasks and platforms: what goes wrong at an instant of the timeline."""

from __future__ import annotations

from typing import Self

from pydantic import Field, model_validator

from fargsim.model.base import Own
from fargsim.model.quantity import DurationUs, Share


class AzOutage(Own):
    """An availability zone goes dark: what runs there is lost and nothing can be launched there until it is back.

    Parameters
    ----------
    zone
        The availability zone.
    for_
        How long.
    """

    zone: str
    for_: DurationUs = Field(alias="for", gt=0)

    model_config = Own.model_config | {"populate_by_name": True}


class AzImpairment(Own):
    """Part of a zone cannot be reached: a share of its tasks gets no packets, and nothing can be launched there; what runs goes on.

    Parameters
    ----------
    zone
        The availability zone.
    share
        The share of its tasks, each by lot, that balancers do not reach.
    for_
        How long.
    """

    zone: str
    share: Share = Field(default=1.0, gt=0, le=1)
    for_: DurationUs = Field(alias="for", gt=0)

    model_config = Own.model_config | {"populate_by_name": True}


class InstanceLoss(Own):
    """Container instances vanish with all their tasks, oldest first.

    Parameters
    ----------
    auto_scaling_group, zone
        Of which group, and in which zone; one of them at least, unless the instance is named.
    instance_id
        A certain one: its id is the same in every run of a scenario with the same seed.
    count
        How many of them.
    """

    auto_scaling_group: str | None = None
    zone: str | None = None
    instance_id: str | None = None
    count: int = Field(default=1, ge=1)

    @model_validator(mode="after")
    def _which(self) -> Self:
        if (self.instance_id is None) == (self.auto_scaling_group is None and self.zone is None):
            raise ValueError("give auto_scaling_group, zone or both, or instance_id alone")
        return self


class TaskHang(Own):
    """Applications stop answering while their containers run on, oldest tasks first.

    Parameters
    ----------
    for_
        How long; for ever by default.
    """

    service: str
    cluster: str = "default"
    count: int = Field(default=1, ge=1)
    for_: DurationUs | None = Field(default=None, alias="for", gt=0)

    model_config = Own.model_config | {"populate_by_name": True}


class FargatePlatformRevision(Own):
    """AWS publishes a new revision of the Fargate platform: tasks that run on the old one will be retired.

    Parameters
    ----------
    wait
        How long AWS waits until it retires them; by default as the account is set (`fargateTaskRetirementWaitPeriod`).
    """

    wait: DurationUs | None = Field(default=None, ge=0)
