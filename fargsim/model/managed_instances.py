"""Capacity providers of ECS Managed Instances.

Source: Amazon ECS API Reference, API_CreateManagedInstancesProviderConfiguration.html, API_InstanceRequirementsRequest.html,
API_InfrastructureOptimization.html; Amazon ECS Developer Guide, ManagedInstances.html.
"""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import Literal, Self

from pydantic import Field, model_validator

from fargsim.model.base import EcsShape, Json


class Range(EcsShape):
    """A range; both ends belong to it."""

    min: int = Field(default=0, ge=0)
    max: int | None = Field(default=None, ge=0)

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.max is not None and self.max < self.min:
            raise ValueError(f"max ({self.max}) is below min ({self.min})")
        return self

    def holds(self, value: int) -> bool:
        """Whether a value lies in it."""
        return value >= self.min and (self.max is None or value <= self.max)


class InstanceRequirements(EcsShape):
    """What an instance type must have. Types may hold ``*``, for instance ``m7g.*``."""

    v_cpu_count: Range
    memory_mi_b: Range
    allowed_instance_types: tuple[str, ...] = ()
    excluded_instance_types: tuple[str, ...] = ()
    burstable_performance: Literal["included", "required", "excluded"] = "excluded"
    bare_metal: Literal["included", "required", "excluded"] = "excluded"
    accelerator_count: Range | None = None

    @model_validator(mode="after")
    def _allowed_or_excluded(self) -> Self:
        if self.allowed_instance_types and self.excluded_instance_types:
            raise ValueError("give allowedInstanceTypes or excludedInstanceTypes, not both")
        return self

    def names(self, instance_type: str) -> bool:
        """Whether the lists of types let a type through."""
        if self.allowed_instance_types:
            return any(fnmatchcase(instance_type, pattern) for pattern in self.allowed_instance_types)
        return not any(fnmatchcase(instance_type, pattern) for pattern in self.excluded_instance_types)


class ManagedNetwork(EcsShape):
    """Where the instances are."""

    subnets: tuple[str, ...] = Field(min_length=1, max_length=16)
    security_groups: tuple[str, ...] = Field(default=(), max_length=5)


class ManagedStorage(EcsShape):
    """The data volume of an instance."""

    storage_size_gi_b: int = Field(default=80, ge=30, le=16_384)


class InstanceLaunchTemplate(EcsShape):
    """What the instances are launched with."""

    ec2_instance_profile_arn: str | None = None
    network_configuration: ManagedNetwork
    storage_configuration: ManagedStorage = ManagedStorage()
    capacity_option_type: Literal["ON_DEMAND", "SPOT"] = "ON_DEMAND"
    instance_requirements: InstanceRequirements | None = None
    monitoring: Json = None


class InfrastructureOptimization(EcsShape):
    """When instances that are idle or badly used go: after so many seconds; -1 never; AWS's own default where nothing is said."""

    scale_in_after: int | None = Field(default=None, ge=-1, le=3600)


class ManagedInstancesProvider(EcsShape):
    """``managedInstancesProvider`` of CreateCapacityProvider."""

    infrastructure_role_arn: str | None = None
    instance_launch_template: InstanceLaunchTemplate
    propagate_tags: str | None = None
    infrastructure_optimization: InfrastructureOptimization = InfrastructureOptimization()
