"""Lifecycle hooks of deployments that shift traffic: what a user configures, and what the functions behind them answer.

Sources: Amazon ECS API Reference, API_DeploymentLifecycleHook.html, API_DeploymentLifecycleHookTimeoutConfiguration.html,
API_ContinueServiceDeployment.html; Amazon ECS Developer Guide, deployment-lifecycle-hooks.html, lambda-lifecycle-hooks.html,
pause-lifecycle-hooks.html.
"""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from fargsim.model.base import EcsShape, Json, Own
from fargsim.model.quantity import US_PER_S, DurationUs

HookStage = Literal[
    "RECONCILE_SERVICE",
    "PRE_SCALE_UP",
    "POST_SCALE_UP",
    "TEST_TRAFFIC_SHIFT",
    "POST_TEST_TRAFFIC_SHIFT",
    "PRE_PRODUCTION_TRAFFIC_SHIFT",
    "PRODUCTION_TRAFFIC_SHIFT",
    "POST_PRODUCTION_TRAFFIC_SHIFT",
]
"""The stages at which hooks may be; SCALE_UP, BAKE_TIME and CLEAN_UP have none."""

HookAction = Literal["ROLLBACK", "CONTINUE"]

NO_PAUSE = ("TEST_TRAFFIC_SHIFT", "PRODUCTION_TRAFFIC_SHIFT")
"""Stages that a rollback goes through, too: a pause there would hold the rollback up."""

LAMBDA_MINUTES = 1440
"""A Lambda hook may be waited for a day; a pause hook two weeks."""

MOST_HOOKS = 10
"""Of each type and service."""


class HookTimeout(EcsShape):
    """How long a hook may take, and what happens then."""

    timeout_in_minutes: int = Field(default=1440, ge=1, le=20_160)
    action: HookAction = "ROLLBACK"


class LifecycleHook(EcsShape):
    """A Lambda function that is called, or a pause that somebody ends, at stages of a deployment."""

    target_type: Literal["AWS_LAMBDA", "PAUSE"] = "AWS_LAMBDA"
    hook_target_arn: str | None = None
    role_arn: str | None = None
    lifecycle_stages: tuple[HookStage, ...] = Field(min_length=1)
    hook_details: Json = None
    timeout_configuration: HookTimeout = HookTimeout()

    @model_validator(mode="after")
    def _of_its_type(self) -> Self:
        if self.target_type == "PAUSE":
            for name, key in (("hook_target_arn", "hookTargetArn"), ("role_arn", "roleArn")):
                if getattr(self, name) is not None:
                    raise ValueError(f"{key} is for AWS_LAMBDA hooks: a PAUSE hook has none")
            forbidden = [stage for stage in self.lifecycle_stages if stage in NO_PAUSE]
            if forbidden:
                raise ValueError(f"a PAUSE hook cannot be at {forbidden[0]}: rollbacks go through that stage, too")
        elif self.hook_target_arn is None:
            raise ValueError("an AWS_LAMBDA hook needs hookTargetArn, the function that is called")
        elif self.timeout_configuration.timeout_in_minutes > LAMBDA_MINUTES:
            minutes = self.timeout_configuration.timeout_in_minutes
            raise ValueError(
                f"timeoutConfiguration.timeoutInMinutes is {minutes}: an AWS_LAMBDA hook takes 1 to {LAMBDA_MINUTES}"
            )
        return self

    @property
    def function(self) -> str:
        """The name of its Lambda function.

        >>> LifecycleHook(hookTargetArn="arn:aws:lambda:us-east-1:1:function:approve:3", lifecycleStages=["POST_SCALE_UP"]).function
        'approve'
        """
        arn = self.hook_target_arn or ""
        return arn.split(":")[6] if arn.startswith("arn:") and arn.count(":") >= 6 else arn


def check_hooks(hooks: tuple[LifecycleHook, ...]) -> None:
    """Raise ValueError where a service has more hooks of a type than it may."""
    for kind in ("PAUSE", "AWS_LAMBDA"):
        number = sum(hook.target_type == kind for hook in hooks)
        if number > MOST_HOOKS:
            raise ValueError(f"lifecycleHooks has {number} of type {kind}: at most {MOST_HOOKS} are possible")


class HookAnswer(Own):
    """What a Lambda function answers when it is called.

    Parameters
    ----------
    after
        How long it runs; past 15 minutes it has failed, whatever it would say.
    status
        What it returns as ``hookStatus``.
    call_back_delay
        With ``IN_PROGRESS``: after how long it is called again; 30 s unless it says so.
    """

    after: DurationUs = US_PER_S
    status: Literal["SUCCEEDED", "FAILED", "IN_PROGRESS"] = "SUCCEEDED"
    call_back_delay: DurationUs | None = Field(default=None, gt=0)

    @model_validator(mode="after")
    def _called_back(self) -> Self:
        if self.call_back_delay is not None and self.status != "IN_PROGRESS":
            raise ValueError(f"call_back_delay is for status IN_PROGRESS, not {self.status}")
        return self


class ContinueServiceDeployment(EcsShape):
    """ContinueServiceDeployment. In a timeline nothing has an identifier yet: `service` means its hook that has waited longest."""

    service_deployment_arn: str | None = None
    hook_id: str | None = None
    action: HookAction = "CONTINUE"
    service: str | None = None
    cluster: str = "default"

    @model_validator(mode="after")
    def _which(self) -> Self:
        named = self.service_deployment_arn is not None and self.hook_id is not None
        if named == (self.service is not None) or (self.service is not None and self.hook_id is not None):
            raise ValueError("give either serviceDeploymentArn and hookId, or service")
        return self
