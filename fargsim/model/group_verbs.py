"""Verbs about Auto Scaling groups and their launch templates.

Source: Amazon EC2 Auto Scaling API Reference, API_UpdateAutoScalingGroup.html, API_PutWarmPool.html, API_PutLifecycleHook.html,
API_SetInstanceHealth.html, API_PutScalingPolicy.html; Amazon EC2 API Reference, API_CreateLaunchTemplateVersion.html.
"""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from fargsim.model.base import PascalShape
from fargsim.model.capacity import LaunchTemplateData
from fargsim.model.group_options import GroupPolicy, LifecycleHook, WarmPoolConfiguration


class UpdateAutoScalingGroup(PascalShape):
    """UpdateAutoScalingGroup: sizes."""

    auto_scaling_group_name: str
    min_size: int | None = Field(default=None, ge=0)
    max_size: int | None = Field(default=None, ge=0)
    desired_capacity: int | None = Field(default=None, ge=0)

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        least, most = self.min_size, self.max_size
        if least is not None and most is not None and most < least:
            raise ValueError(f"MaxSize ({most}) is below MinSize ({least})")
        return self


class PutWarmPool(WarmPoolConfiguration):
    """PutWarmPool."""

    auto_scaling_group_name: str


class PutLifecycleHook(LifecycleHook):
    """PutLifecycleHook."""

    auto_scaling_group_name: str


class PutGroupPolicy(GroupPolicy):
    """PutScalingPolicy of EC2 Auto Scaling."""

    auto_scaling_group_name: str


class SetInstanceHealth(PascalShape):
    """SetInstanceHealth. In a timeline an instance has no id yet: `auto_scaling_group` and `count` say whose, oldest first."""

    instance_id: str | None = None
    health_status: Literal["Unhealthy"]
    should_respect_grace_period: bool = True
    auto_scaling_group: str | None = Field(default=None, alias="auto_scaling_group")
    count: int = Field(default=1, ge=1, alias="count")

    @model_validator(mode="after")
    def _which(self) -> Self:
        if (self.instance_id is None) == (self.auto_scaling_group is None):
            raise ValueError("give either InstanceId or auto_scaling_group")
        return self


class CreateLaunchTemplateVersion(PascalShape):
    """CreateLaunchTemplateVersion; groups that name ``$Latest`` or no version launch by it from now on."""

    launch_template_name: str
    launch_template_data: LaunchTemplateData
    source_version: str | None = None
    version_description: str | None = None
