"""Services: the request shapes of CreateService, UpdateService and RunTask.

Source: Amazon ECS API Reference, API_CreateService.html, API_UpdateService.html, API_RunTask.html,
API_DeploymentConfiguration.html, API_AwsVpcConfiguration.html.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal, Self

from pydantic import Field, model_validator

from fargsim.model.balancing import AdvancedConfiguration
from fargsim.model.base import EcsShape, Json
from fargsim.model.deployment import DeploymentChange, DeploymentConfiguration
from fargsim.model.monitoring import Monitoring
from fargsim.model.placement import (
    CapacityProviderStrategyItem,
    PlacementConstraint,
    PlacementStrategy,
    check_strategy,
)
from fargsim.model.task_verbs import TaskOverride

LaunchType = Literal["EC2", "FARGATE", "EXTERNAL"]


class AwsVpcConfiguration(EcsShape):
    """Subnets and security groups of tasks in ``awsvpc`` mode."""

    subnets: tuple[str, ...] = Field(min_length=1, max_length=16)
    security_groups: tuple[str, ...] = Field(default=(), max_length=5)
    assign_public_ip: Literal["ENABLED", "DISABLED"] = "DISABLED"


class NetworkConfiguration(EcsShape):
    """The network of a service's tasks."""

    awsvpc_configuration: AwsVpcConfiguration


class ServiceLoadBalancer(EcsShape):
    """The target group a container of the service registers with; a name or an ARN."""

    target_group_arn: str
    container_name: str
    container_port: int = Field(ge=1, le=65535)
    load_balancer_name: str | None = None
    advanced_configuration: AdvancedConfiguration | None = None


class DeploymentController(EcsShape):
    """Who deploys."""

    type: Literal["ECS", "CODE_DEPLOY", "EXTERNAL"] = "ECS"


class CreateService(EcsShape):
    """What ``aws ecs create-service --cli-input-json`` takes."""

    service_name: str = Field(min_length=1, max_length=255, pattern=r"^[A-Za-z0-9_-]+$")
    task_definition: str
    cluster: str = "default"
    desired_count: int = Field(default=0, ge=0, le=5_000)
    launch_type: LaunchType | None = None
    capacity_provider_strategy: tuple[CapacityProviderStrategyItem, ...] = Field(default=(), max_length=20)
    platform_version: str | None = None
    network_configuration: NetworkConfiguration | None = None
    load_balancers: tuple[ServiceLoadBalancer, ...] = Field(default=(), max_length=5)
    deployment_configuration: DeploymentConfiguration = DeploymentConfiguration()
    placement_constraints: tuple[PlacementConstraint, ...] = Field(default=(), max_length=10)
    placement_strategy: tuple[PlacementStrategy, ...] = Field(default=(), max_length=5)
    health_check_grace_period_seconds: int = Field(default=0, ge=0, le=2_147_483_647)
    scheduling_strategy: Literal["REPLICA", "DAEMON"] = "REPLICA"
    deployment_controller: DeploymentController = DeploymentController()
    availability_zone_rebalancing: Literal["ENABLED", "DISABLED"] | None = None
    # not read by the simulation
    client_token: str | None = None
    role: str | None = None
    service_registries: tuple[Json, ...] = ()
    tags: tuple[Json, ...] = ()
    enable_ecs_managed_tags: bool = Field(default=False, alias="enableECSManagedTags")
    propagate_tags: Literal["TASK_DEFINITION", "SERVICE", "NONE"] | None = None
    enable_execute_command: bool = False
    service_connect_configuration: Json = None
    volume_configurations: tuple[Json, ...] = ()
    vpc_lattice_configurations: tuple[Json, ...] = ()
    monitoring: Monitoring | None = None

    @model_validator(mode="after")
    def _one_way_to_launch(self) -> Self:
        if self.launch_type is not None and self.capacity_provider_strategy:
            raise ValueError("launchType and capacityProviderStrategy exclude each other")
        check_strategy(self.capacity_provider_strategy)
        return self


def daemon_faults(spec: CreateService) -> Iterator[tuple[str, str]]:
    """Yield the keys of a service that a daemon service must not have, each with what is not supported and what to do.

    Source: Amazon ECS API Reference, API_CreateService.html, API_DeploymentConfiguration.html; the words are those of the API.
    """
    if "desired_count" in spec.model_fields_set:
        yield "desiredCount", "a desired count for services. Remove the desired count value and try again"
    if spec.placement_strategy:
        yield "placementStrategy", "placement strategies. Remove the placement strategy and try again"
    most = spec.deployment_configuration.maximum_percent
    if most is not None and most != 100:
        yield (
            "deploymentConfiguration.maximumPercent",
            f"values {'above' if most > 100 else 'below'} 100 for maximumPercent on a deployment configuration. "
            "Change the maximumPercent value to 100, and try again",
        )
    if spec.deployment_controller.type != "ECS":
        yield "deploymentController.type", f"the deployment controller {spec.deployment_controller.type}: use ECS"
    if spec.deployment_configuration.strategy != "ROLLING":
        strategy = spec.deployment_configuration.strategy
        yield "deploymentConfiguration.strategy", f"the deployment strategy {strategy}: use ROLLING"
    if spec.availability_zone_rebalancing == "ENABLED":
        yield "availabilityZoneRebalancing", "Availability Zone rebalancing: it has one task on every instance"


class UpdateService(EcsShape):
    """What ``aws ecs update-service --cli-input-json`` takes. ``None`` leaves a setting as it is."""

    service: str
    cluster: str = "default"
    desired_count: int | None = Field(default=None, ge=0, le=5_000)
    task_definition: str | None = None
    capacity_provider_strategy: tuple[CapacityProviderStrategyItem, ...] | None = Field(default=None, max_length=20)
    deployment_configuration: DeploymentChange | None = None
    availability_zone_rebalancing: Literal["ENABLED", "DISABLED"] | None = None
    network_configuration: NetworkConfiguration | None = None
    placement_constraints: tuple[PlacementConstraint, ...] | None = Field(default=None, max_length=10)
    placement_strategy: tuple[PlacementStrategy, ...] | None = Field(default=None, max_length=5)
    platform_version: str | None = None
    force_new_deployment: bool = False
    health_check_grace_period_seconds: int | None = Field(default=None, ge=0, le=2_147_483_647)
    load_balancers: tuple[ServiceLoadBalancer, ...] | None = None
    # not read by the simulation
    enable_execute_command: bool | None = None
    enable_ecs_managed_tags: bool | None = Field(default=None, alias="enableECSManagedTags")
    propagate_tags: str | None = None
    service_registries: tuple[Json, ...] | None = None
    service_connect_configuration: Json = None
    volume_configurations: tuple[Json, ...] | None = None
    vpc_lattice_configurations: tuple[Json, ...] | None = None
    deployment_controller: DeploymentController | None = None
    monitoring: Monitoring | None = None

    @model_validator(mode="after")
    def _strategy_legal(self) -> Self:
        check_strategy(self.capacity_provider_strategy or ())
        return self


class RunTask(EcsShape):
    """What ``aws ecs run-task --cli-input-json`` takes."""

    task_definition: str
    cluster: str = "default"
    count: int = Field(default=1, ge=1, le=10)
    launch_type: LaunchType | None = None
    capacity_provider_strategy: tuple[CapacityProviderStrategyItem, ...] = Field(default=(), max_length=20)
    group: str | None = Field(default=None, max_length=255)
    network_configuration: NetworkConfiguration | None = None
    placement_constraints: tuple[PlacementConstraint, ...] = Field(default=(), max_length=10)
    placement_strategy: tuple[PlacementStrategy, ...] = Field(default=(), max_length=5)
    platform_version: str | None = None
    started_by: str | None = Field(default=None, max_length=128)
    client_token: str | None = Field(default=None, max_length=64)
    overrides: TaskOverride | None = None
    # not read by the simulation
    tags: tuple[Json, ...] = ()
    reference_id: str | None = None
    enable_ecs_managed_tags: bool = Field(default=False, alias="enableECSManagedTags")
    enable_execute_command: bool = False
    propagate_tags: str | None = None
    volume_configurations: tuple[Json, ...] = ()

    @model_validator(mode="after")
    def _one_way_to_launch(self) -> Self:
        if self.launch_type is not None and self.capacity_provider_strategy:
            raise ValueError("launchType and capacityProviderStrategy exclude each other")
        check_strategy(self.capacity_provider_strategy)
        return self
