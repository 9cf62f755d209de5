"""Service auto scaling: what the verbs that take something away are given.

Source: Application Auto Scaling API Reference, API_DeleteScalingPolicy.html, API_DeleteScheduledAction.html,
API_DeregisterScalableTarget.html.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from fargsim.model.base import PascalShape


class DeregisterScalableTarget(PascalShape):
    """DeregisterScalableTarget; `ResourceId` is ``service/CLUSTER/SERVICE``."""

    resource_id: str = Field(min_length=1, max_length=1600)
    service_namespace: Literal["ecs"] = "ecs"
    scalable_dimension: Literal["ecs:service:DesiredCount"] = "ecs:service:DesiredCount"


class DeleteScalingPolicy(DeregisterScalableTarget):
    """DeleteScalingPolicy."""

    policy_name: str = Field(min_length=1, max_length=256)


class DeleteScheduledAction(DeregisterScalableTarget):
    """DeleteScheduledAction."""

    scheduled_action_name: str = Field(min_length=1, max_length=1600)
