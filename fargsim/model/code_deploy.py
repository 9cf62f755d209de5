"""AWS CodeDeploy for Amazon ECS services: the request shapes.

Sources: AWS CodeDeploy API Reference, API_CreateDeploymentGroup.html, API_CreateDeployment.html, API_StopDeployment.html,
API_TargetGroupPairInfo.html, API_BlueInstanceTerminationOption.html; AWS CodeDeploy User Guide, deployment-configurations.html.
"""

from __future__ import annotations

import json
from typing import Any, Literal, Self

from pydantic import Field, model_validator

from fargsim.model.base import EcsShape, Json

DeploymentConfigName = Literal[
    "CodeDeployDefault.ECSAllAtOnce",
    "CodeDeployDefault.ECSLinear10PercentEvery1Minutes",
    "CodeDeployDefault.ECSLinear10PercentEvery3Minutes",
    "CodeDeployDefault.ECSCanary10Percent5Minutes",
    "CodeDeployDefault.ECSCanary10Percent15Minutes",
]
RollbackEvent = Literal["DEPLOYMENT_FAILURE", "DEPLOYMENT_STOP_ON_ALARM", "DEPLOYMENT_STOP_ON_REQUEST"]


class EcsServiceName(EcsShape):
    """The service of a deployment group."""

    service_name: str
    cluster_name: str = "default"


class TargetGroupName(EcsShape):
    """One target group of a pair."""

    name: str


class TrafficRoute(EcsShape):
    """The listener of production or test traffic."""

    listener_arns: tuple[str, ...] = Field(min_length=1, max_length=1)


class TargetGroupPairInfo(EcsShape):
    """Two target groups that task sets take in turn, and the listeners in front of them."""

    target_groups: tuple[TargetGroupName, ...] = Field(min_length=2, max_length=2)
    prod_traffic_route: TrafficRoute
    test_traffic_route: TrafficRoute | None = None

    @model_validator(mode="after")
    def _two(self) -> Self:
        if len({group.name for group in self.target_groups}) < 2:
            raise ValueError(
                f"targetGroups names {self.target_groups[0].name} twice: task sets take two of them in turn"
            )
        return self


class LoadBalancerInfo(EcsShape):
    """How traffic reaches the service."""

    target_group_pair_info_list: tuple[TargetGroupPairInfo, ...] = Field(min_length=1, max_length=1)


class TerminateBlue(EcsShape):
    """What becomes of the original task set."""

    action: Literal["TERMINATE"] = "TERMINATE"
    termination_wait_time_in_minutes: int = Field(default=0, ge=0, le=2_880)


class DeploymentReadyOption(EcsShape):
    """Whether traffic shifts by itself."""

    action_on_timeout: Literal["CONTINUE_DEPLOYMENT"] = "CONTINUE_DEPLOYMENT"
    wait_time_in_minutes: int = Field(default=0, ge=0)


class BlueGreenDeploymentConfiguration(EcsShape):
    """Of a deployment group."""

    terminate_blue_instances_on_deployment_success: TerminateBlue = TerminateBlue()
    deployment_ready_option: DeploymentReadyOption = DeploymentReadyOption()


class Alarm(EcsShape):
    """A CloudWatch alarm, by name."""

    name: str


class AlarmConfiguration(EcsShape):
    """Alarms that stop a deployment."""

    enabled: bool = False
    ignore_poll_alarm_failure: bool = False
    alarms: tuple[Alarm, ...] = ()


class AutoRollbackConfiguration(EcsShape):
    """When a deployment that ends badly is rolled back."""

    enabled: bool = False
    events: tuple[RollbackEvent, ...] = ()

    def on(self, event: RollbackEvent) -> bool:
        """Whether it is rolled back then."""
        return self.enabled and event in self.events


class CreateDeploymentGroup(EcsShape):
    """CreateDeploymentGroup, as far as Amazon ECS has it."""

    application_name: str = "default"
    deployment_group_name: str = Field(min_length=1, max_length=100)
    ecs_services: tuple[EcsServiceName, ...] = Field(min_length=1, max_length=1)
    load_balancer_info: LoadBalancerInfo
    deployment_config_name: DeploymentConfigName = "CodeDeployDefault.ECSAllAtOnce"
    blue_green_deployment_configuration: BlueGreenDeploymentConfiguration = BlueGreenDeploymentConfiguration()
    alarm_configuration: AlarmConfiguration = AlarmConfiguration()
    auto_rollback_configuration: AutoRollbackConfiguration = AutoRollbackConfiguration()
    # not read by the simulation
    service_role_arn: str | None = None
    deployment_style: Json = None


class AppSpecContent(EcsShape):
    """An AppSpec file as JSON text."""

    content: str
    sha256: str | None = None


class RevisionLocation(EcsShape):
    """Where the AppSpec file is; here only in the request itself."""

    revision_type: Literal["AppSpecContent"] = "AppSpecContent"
    app_spec_content: AppSpecContent


class CreateDeployment(EcsShape):
    """CreateDeployment. `taskDefinition` is short for an AppSpec file that names nothing else."""

    application_name: str = "default"
    deployment_group_name: str
    deployment_config_name: DeploymentConfigName | None = None
    revision: RevisionLocation | None = None
    task_definition: str | None = None
    auto_rollback_configuration: AutoRollbackConfiguration | None = None
    description: str | None = None

    @model_validator(mode="after")
    def _which(self) -> Self:
        if (self.revision is None) == (self.task_definition is None):
            raise ValueError("give either revision or taskDefinition")
        self.rolls_out()
        return self

    def rolls_out(self) -> str:
        """Return the task definition that it rolls out."""
        if self.task_definition is not None:
            return self.task_definition
        assert self.revision is not None
        try:
            spec: Any = json.loads(self.revision.app_spec_content.content)
            [resource] = spec["Resources"]
            [target] = resource.values()
            found = target["Properties"]["TaskDefinition"]
        except (ValueError, KeyError, TypeError, AttributeError):
            raise ValueError(
                "appSpecContent.content must be JSON with Resources[0].TargetService.Properties.TaskDefinition"
            ) from None
        return str(found)


class StopDeployment(EcsShape):
    """StopDeployment. In a timeline a deployment has no identifier yet: `deploymentGroupName` means the one under way.

    Without `autoRollbackEnabled` the event ``DEPLOYMENT_STOP_ON_REQUEST`` of the rollback configuration says whether it is rolled back.
    """

    deployment_id: str | None = None
    auto_rollback_enabled: bool | None = None
    deployment_group_name: str | None = None

    @model_validator(mode="after")
    def _which(self) -> Self:
        if (self.deployment_id is None) == (self.deployment_group_name is None):
            raise ValueError("give either deploymentId or deploymentGroupName")
        return self
