"""The timeline: what is done to the region during the run, in the same verbs that build it."""

from __future__ import annotations

from typing import Any, Literal, Self

from pydantic import Field, model_validator

from fargsim.model.account import PutAccountSettingDefault
from fargsim.model.alarms import AlarmNames, CompositeAlarm, MetricAlarm, PutMetricData, SetAlarmState
from fargsim.model.balancer_attributes import ModifyLoadBalancerAttributes, ModifyTargetGroupAttributes
from fargsim.model.balancing import ModifyListener, ModifyRule
from fargsim.model.base import EcsShape, Own, PascalShape
from fargsim.model.code_deploy import CreateDeployment, CreateDeploymentGroup, StopDeployment
from fargsim.model.deployment_verbs import StopServiceDeployment, UpdateTaskProtection
from fargsim.model.faults import AzImpairment, AzOutage, FargatePlatformRevision, InstanceLoss, TaskHang
from fargsim.model.group_options import StartInstanceRefresh
from fargsim.model.group_verbs import CreateLaunchTemplateVersion, SetInstanceHealth, UpdateAutoScalingGroup
from fargsim.model.lifecycle import ContinueServiceDeployment
from fargsim.model.quantity import DurationUs
from fargsim.model.scaling import ScalableTarget, ScalingPolicy, ScheduledAction
from fargsim.model.scaling_verbs import DeleteScalingPolicy, DeleteScheduledAction, DeregisterScalableTarget
from fargsim.model.service import CreateService, RunTask, UpdateService
from fargsim.model.spot_faults import Ec2CapacityUnavailable, Ec2SpotReclaim, FargateSpotReclaim, InstanceImpaired
from fargsim.model.task_verbs import (
    DeregisterContainerInstance,
    PutAttributes,
    StartTask,
    UpdateContainerInstancesState,
)
from fargsim.model.taskdef import TaskDefinition


class StopTask(EcsShape):
    """StopTask. In a timeline a task has no id yet: `service` and `count` say whose tasks, oldest first."""

    task: str | None = None
    cluster: str = "default"
    reason: str | None = None
    service: str | None = None
    count: int = Field(default=1, ge=1)

    @model_validator(mode="after")
    def _which(self) -> Self:
        if (self.task is None) == (self.service is None):
            raise ValueError("give either task or service")
        return self


class SetDesiredCapacity(PascalShape):
    """SetDesiredCapacity of EC2 Auto Scaling."""

    auto_scaling_group_name: str
    desired_capacity: int = Field(ge=0)
    honor_cooldown: bool = False


class TaskCrash(Own):
    """Essential containers of running tasks exit, oldest tasks first."""

    service: str
    cluster: str = "default"
    count: int = Field(default=1, ge=1)
    exit_code: int = Field(default=1, ge=0, le=255)


class AgentDisconnected(Own):
    """Container agents are cut off for a while, oldest instances first: no placements, and nothing they do is known meanwhile."""

    auto_scaling_group: str
    count: int = Field(default=1, ge=1)
    for_: DurationUs = Field(alias="for", gt=0)

    model_config = Own.model_config | {"populate_by_name": True}


class FargateCapacityUnavailable(Own):
    """Fargate launches nothing in some zones for a while; what runs goes on.

    Parameters
    ----------
    zones
        Availability zones; none means all that the scenario uses.
    provider
        ``FARGATE`` or ``FARGATE_SPOT``; ``None``: both.
    """

    zones: tuple[str, ...] = ()
    provider: Literal["FARGATE", "FARGATE_SPOT"] | None = None
    for_: DurationUs = Field(alias="for", gt=0)

    model_config = Own.model_config | {"populate_by_name": True}


class Fault(Own):
    """Something that goes wrong; exactly one."""

    task_crash: TaskCrash | None = None
    task_hang: TaskHang | None = None
    instance_loss: InstanceLoss | None = None
    agent_disconnected: AgentDisconnected | None = None
    fargate_capacity_unavailable: FargateCapacityUnavailable | None = None
    az_outage: AzOutage | None = None
    az_impairment: AzImpairment | None = None
    fargate_platform_revision: FargatePlatformRevision | None = None
    ec2_spot_reclaim: Ec2SpotReclaim | None = None
    fargate_spot_reclaim: FargateSpotReclaim | None = None
    ec2_capacity_unavailable: Ec2CapacityUnavailable | None = None
    instance_impaired: InstanceImpaired | None = None

    @model_validator(mode="after")
    def _one(self) -> Self:
        if sum(getattr(self, name) is not None for name in type(self).model_fields) != 1:
            raise ValueError(f"give exactly one of {', '.join(type(self).model_fields)}")
        return self


VERBS: dict[str, type[Any]] = {
    "ecs.register_task_definition": TaskDefinition,
    "ecs.create_service": CreateService,
    "ecs.update_service": UpdateService,
    "ecs.run_task": RunTask,
    "ecs.start_task": StartTask,
    "ecs.stop_task": StopTask,
    "ecs.update_container_instances_state": UpdateContainerInstancesState,
    "ecs.deregister_container_instance": DeregisterContainerInstance,
    "ecs.put_attributes": PutAttributes,
    "ecs.stop_service_deployment": StopServiceDeployment,
    "ecs.continue_service_deployment": ContinueServiceDeployment,
    "ecs.update_task_protection": UpdateTaskProtection,
    "ecs.put_account_setting_default": PutAccountSettingDefault,
    "elbv2.modify_listener": ModifyListener,
    "elbv2.modify_rule": ModifyRule,
    "elbv2.modify_target_group_attributes": ModifyTargetGroupAttributes,
    "elbv2.modify_load_balancer_attributes": ModifyLoadBalancerAttributes,
    "autoscaling.set_desired_capacity": SetDesiredCapacity,
    "autoscaling.update_auto_scaling_group": UpdateAutoScalingGroup,
    "autoscaling.set_instance_health": SetInstanceHealth,
    "autoscaling.start_instance_refresh": StartInstanceRefresh,
    "autoscaling.create_launch_template_version": CreateLaunchTemplateVersion,
    "application_autoscaling.register_scalable_target": ScalableTarget,
    "application_autoscaling.put_scaling_policy": ScalingPolicy,
    "application_autoscaling.put_scheduled_action": ScheduledAction,
    "codedeploy.create_deployment_group": CreateDeploymentGroup,
    "codedeploy.create_deployment": CreateDeployment,
    "codedeploy.stop_deployment": StopDeployment,
    "application_autoscaling.delete_scaling_policy": DeleteScalingPolicy,
    "application_autoscaling.delete_scheduled_action": DeleteScheduledAction,
    "application_autoscaling.deregister_scalable_target": DeregisterScalableTarget,
    "cloudwatch.put_metric_alarm": MetricAlarm,
    "cloudwatch.put_composite_alarm": CompositeAlarm,
    "cloudwatch.delete_alarms": AlarmNames,
    "cloudwatch.enable_alarm_actions": AlarmNames,
    "cloudwatch.disable_alarm_actions": AlarmNames,
    "cloudwatch.set_alarm_state": SetAlarmState,
    "cloudwatch.put_metric_data": PutMetricData,
}
"""The verbs a timeline may use, with the shape of their argument."""


class TimelineEntry(Own):
    """One thing done at one instant: a verb of AWS's APIs or a fault."""

    at: DurationUs
    register_task_definition: TaskDefinition | None = Field(default=None, alias="ecs.register_task_definition")
    create_service: CreateService | None = Field(default=None, alias="ecs.create_service")
    update_service: UpdateService | None = Field(default=None, alias="ecs.update_service")
    run_task: RunTask | None = Field(default=None, alias="ecs.run_task")
    start_task: StartTask | None = Field(default=None, alias="ecs.start_task")
    stop_task: StopTask | None = Field(default=None, alias="ecs.stop_task")
    update_container_instances_state: UpdateContainerInstancesState | None = Field(
        default=None, alias="ecs.update_container_instances_state"
    )
    deregister_container_instance: DeregisterContainerInstance | None = Field(
        default=None, alias="ecs.deregister_container_instance"
    )
    put_attributes: PutAttributes | None = Field(default=None, alias="ecs.put_attributes")
    stop_service_deployment: StopServiceDeployment | None = Field(default=None, alias="ecs.stop_service_deployment")
    continue_service_deployment: ContinueServiceDeployment | None = Field(
        default=None, alias="ecs.continue_service_deployment"
    )
    update_task_protection: UpdateTaskProtection | None = Field(default=None, alias="ecs.update_task_protection")
    put_account_setting_default: PutAccountSettingDefault | None = Field(
        default=None, alias="ecs.put_account_setting_default"
    )
    modify_listener: ModifyListener | None = Field(default=None, alias="elbv2.modify_listener")
    modify_rule: ModifyRule | None = Field(default=None, alias="elbv2.modify_rule")
    modify_target_group_attributes: ModifyTargetGroupAttributes | None = Field(
        default=None, alias="elbv2.modify_target_group_attributes"
    )
    modify_load_balancer_attributes: ModifyLoadBalancerAttributes | None = Field(
        default=None, alias="elbv2.modify_load_balancer_attributes"
    )
    set_desired_capacity: SetDesiredCapacity | None = Field(default=None, alias="autoscaling.set_desired_capacity")
    update_auto_scaling_group: UpdateAutoScalingGroup | None = Field(
        default=None, alias="autoscaling.update_auto_scaling_group"
    )
    set_instance_health: SetInstanceHealth | None = Field(default=None, alias="autoscaling.set_instance_health")
    start_instance_refresh: StartInstanceRefresh | None = Field(
        default=None, alias="autoscaling.start_instance_refresh"
    )
    create_launch_template_version: CreateLaunchTemplateVersion | None = Field(
        default=None, alias="autoscaling.create_launch_template_version"
    )
    register_scalable_target: ScalableTarget | None = Field(
        default=None, alias="application_autoscaling.register_scalable_target"
    )
    put_scaling_policy: ScalingPolicy | None = Field(default=None, alias="application_autoscaling.put_scaling_policy")
    put_scheduled_action: ScheduledAction | None = Field(
        default=None, alias="application_autoscaling.put_scheduled_action"
    )
    create_deployment_group: CreateDeploymentGroup | None = Field(
        default=None, alias="codedeploy.create_deployment_group"
    )
    create_deployment: CreateDeployment | None = Field(default=None, alias="codedeploy.create_deployment")
    stop_deployment: StopDeployment | None = Field(default=None, alias="codedeploy.stop_deployment")
    delete_scaling_policy: DeleteScalingPolicy | None = Field(
        default=None, alias="application_autoscaling.delete_scaling_policy"
    )
    delete_scheduled_action: DeleteScheduledAction | None = Field(
        default=None, alias="application_autoscaling.delete_scheduled_action"
    )
    deregister_scalable_target: DeregisterScalableTarget | None = Field(
        default=None, alias="application_autoscaling.deregister_scalable_target"
    )
    put_metric_alarm: MetricAlarm | None = Field(default=None, alias="cloudwatch.put_metric_alarm")
    put_composite_alarm: CompositeAlarm | None = Field(default=None, alias="cloudwatch.put_composite_alarm")
    delete_alarms: AlarmNames | None = Field(default=None, alias="cloudwatch.delete_alarms")
    enable_alarm_actions: AlarmNames | None = Field(default=None, alias="cloudwatch.enable_alarm_actions")
    disable_alarm_actions: AlarmNames | None = Field(default=None, alias="cloudwatch.disable_alarm_actions")
    set_alarm_state: SetAlarmState | None = Field(default=None, alias="cloudwatch.set_alarm_state")
    put_metric_data: PutMetricData | None = Field(default=None, alias="cloudwatch.put_metric_data")
    fault: Fault | None = None

    @model_validator(mode="after")
    def _one_action(self) -> Self:
        given = [name for name in type(self).model_fields if name != "at" and getattr(self, name) is not None]
        if len(given) != 1:
            raise ValueError(f"give exactly one of {', '.join(VERBS)}, fault")
        return self

    @property
    def kind(self) -> Literal["verb", "fault"]:
        """Whether it is a verb or a fault."""
        return "verb" if self.fault is None else "fault"

    @property
    def verb(self) -> tuple[str, Any]:
        """The verb's name and its argument."""
        for verb, name in ((f.alias or n, n) for n, f in type(self).model_fields.items() if n not in ("at", "fault")):
            argument = getattr(self, name)
            if argument is not None:
                return verb, argument
        raise ValueError("this entry is a fault")
