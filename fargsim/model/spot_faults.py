"""Faults of capacity: Spot that is taken back, EC2 capacity that is missing, instances whose status checks fail."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from fargsim.model.base import Own
from fargsim.model.quantity import DurationUs, Share


class _HowMany(Own):
    """So many of them: a number or a share; all by default."""

    count: int | None = Field(default=None, ge=1)
    share: Share | None = Field(default=None, gt=0, le=1)

    @model_validator(mode="after")
    def _one_of_them(self) -> Self:
        if self.count is not None and self.share is not None:
            raise ValueError("give count or share, not both")
        return self

    def number(self, there: int) -> int:
        """Return how many of so many are meant.

        >>> _HowMany(share=0.5).number(5), _HowMany(count=9).number(5), _HowMany().number(5)
        (3, 5, 5)
        """
        if self.share is not None:
            return min(there, -int(-self.share * there // 1))
        return there if self.count is None else min(there, self.count)


class Ec2SpotReclaim(_HowMany):
    """EC2 takes Spot instances back, chosen by lot; those pools have no capacity for a while.

    Parameters
    ----------
    auto_scaling_group, zones, instance_types
        Whose instances; all by default.
    rebalance_lead
        So long before the two-minute notice comes the rebalance recommendation.
    no_capacity_for
        How long after the fault nothing can be launched on Spot in the pools (type and zone) that were hit.
    """

    auto_scaling_group: str | None = None
    zones: tuple[str, ...] = ()
    instance_types: tuple[str, ...] = ()
    rebalance_lead: DurationUs = Field(default=0, ge=0)
    no_capacity_for: DurationUs = Field(default=0, ge=0)


class FargateSpotReclaim(_HowMany):
    """Fargate takes Spot tasks back, chosen by lot; their zones have no Spot capacity for a while.

    Parameters
    ----------
    service, zones, cpu_architecture
        Whose tasks; all by default.
    no_capacity_for
        How long nothing can be launched on Fargate Spot in `zones`.
    """

    service: str | None = None
    cluster: str = "default"
    zones: tuple[str, ...] = ()
    cpu_architecture: Literal["X86_64", "ARM64"] | None = None
    no_capacity_for: DurationUs = Field(default=0, ge=0)


class Ec2CapacityUnavailable(Own):
    """EC2 launches nothing in some zones for a while; what runs goes on.

    Parameters
    ----------
    zones, instance_types
        Where and what; all by default.
    market
        ``on-demand`` or ``spot``; both by default.
    """

    zones: tuple[str, ...] = ()
    instance_types: tuple[str, ...] = ()
    market: Literal["on-demand", "spot"] | None = None
    for_: DurationUs = Field(alias="for", gt=0)

    model_config = Own.model_config | {"populate_by_name": True}


class InstanceImpaired(Own):
    """Instances whose status checks fail, oldest first, though their agents still answer: the group replaces them after a few minutes."""

    auto_scaling_group: str
    count: int = Field(default=1, ge=1)
