"""What is done to a service's deployments and tasks by hand: the request shapes.

Source: Amazon ECS API Reference, API_UpdateTaskProtection.html, API_GetTaskProtection.html, API_StopServiceDeployment.html,
API_ListServiceDeployments.html.
"""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from fargsim.model.base import EcsShape

ServiceDeploymentStatus = Literal[
    "PENDING",
    "SUCCESSFUL",
    "STOPPED",
    "STOP_REQUESTED",
    "IN_PROGRESS",
    "ROLLBACK_REQUESTED",
    "ROLLBACK_IN_PROGRESS",
    "ROLLBACK_SUCCESSFUL",
    "ROLLBACK_FAILED",
]


class UpdateTaskProtection(EcsShape):
    """UpdateTaskProtection. In a timeline a task has no id yet: `service` and `count` say whose tasks, oldest first."""

    cluster: str = "default"
    tasks: tuple[str, ...] = Field(default=(), max_length=10)
    protection_enabled: bool
    expires_in_minutes: int | None = Field(default=None, ge=1, le=2_880)
    service: str | None = None
    count: int = Field(default=1, ge=1)

    @model_validator(mode="after")
    def _which(self) -> Self:
        if bool(self.tasks) == (self.service is not None):
            raise ValueError("give either tasks or service")
        return self


class StopServiceDeployment(EcsShape):
    """StopServiceDeployment. In a timeline a deployment has no ARN yet: `service` means the one under way."""

    service_deployment_arn: str | None = None
    stop_type: Literal["ROLLBACK", "ABORT"] = "ROLLBACK"
    service: str | None = None
    cluster: str = "default"

    @model_validator(mode="after")
    def _which(self) -> Self:
        if (self.service_deployment_arn is None) == (self.service is None):
            raise ValueError("give either serviceDeploymentArn or service")
        return self


class ListServiceDeployments(EcsShape):
    """ListServiceDeployments; the newest first."""

    service: str
    cluster: str = "default"
    status: tuple[ServiceDeploymentStatus, ...] = ()
    max_results: int | None = Field(default=None, ge=1, le=100)
