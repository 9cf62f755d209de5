"""Capacity: launch templates, Auto Scaling groups, capacity providers and clusters.

Source: Amazon ECS API Reference, API_CreateCapacityProvider.html, API_ManagedScaling.html; Amazon EC2 Auto Scaling API Reference,
API_CreateAutoScalingGroup.html; Amazon EC2 API Reference, API_RequestLaunchTemplateData.html.
"""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import BeforeValidator, Field, ValidationInfo, field_validator, model_validator

from fargsim.model.base import EcsShape, Issue, Json, Own, PascalShape, raise_faults
from fargsim.model.group_options import (
    AvailabilityZoneDistribution,
    GroupPolicy,
    LaunchTemplateSpecification,
    LifecycleHook,
    MixedInstancesPolicy,
    WarmPoolConfiguration,
)
from fargsim.model.managed_instances import ManagedInstancesProvider
from fargsim.model.placement import CapacityProviderStrategyItem, check_strategy
from fargsim.model.quantity import format_duration, parse_agent_duration_us
from fargsim.model.taskdef import OperatingSystemFamily

GP3_IOPS, GP3_MIB_S = 3_000, 125
"""What a gp3 volume has without being asked, and without a charge of its own."""


class Ebs(PascalShape):
    """A volume of a block device mapping.

    Source: Amazon EBS User Guide, general-purpose.html (3,000 to 80,000 IOPS, at most 500 per GiB above 3,000; 125 to 2,000 MiB/s, at most
    0.25 per IOPS).
    """

    volume_size: int = Field(ge=1, le=65_536)
    volume_type: Literal["gp3"] = "gp3"
    delete_on_termination: bool = True
    encrypted: bool | None = None
    iops: int | None = Field(default=None, ge=GP3_IOPS, le=80_000)
    throughput: int | None = Field(default=None, ge=GP3_MIB_S, le=2_000)

    @model_validator(mode="after")
    def _in_proportion(self) -> Self:
        iops, most = self.iops or GP3_IOPS, max(GP3_IOPS, 500 * self.volume_size)
        faults = []
        if iops > most:
            message = f"a gp3 volume of {self.volume_size} GiB has at most {most} IOPS (500 per GiB), not {iops}"
            faults.append(Issue(("Iops",), message))
        if (self.throughput or GP3_MIB_S) > iops / 4:
            message = (
                f"a gp3 volume of {iops} IOPS has at most {iops // 4} MiB/s (0.25 per IOPS), not {self.throughput}"
            )
            faults.append(Issue(("Throughput",), message))
        raise_faults(faults)
        return self


class BlockDeviceMapping(PascalShape):
    """A volume of an instance; the first one is the root volume."""

    device_name: str = "/dev/xvda"
    ebs: Ebs


class InstanceMarketOptions(PascalShape):
    """Whether an instance is bought on the Spot market."""

    market_type: Literal["spot"]
    spot_options: Json = None


class CreditSpecification(PascalShape):
    """What a burstable instance does when it has spent its CPU credits; T3, T3a and T4g are ``unlimited`` by default."""

    cpu_credits: Literal["standard", "unlimited"]


class LaunchTemplateData(PascalShape):
    """What an instance is launched with."""

    instance_type: str
    block_device_mappings: tuple[BlockDeviceMapping, ...] = ()
    instance_market_options: InstanceMarketOptions | None = None
    credit_specification: CreditSpecification | None = None
    image_id: str | None = None
    user_data: str | None = None
    security_group_ids: tuple[str, ...] = ()
    iam_instance_profile: Json = None
    monitoring: Json = None
    metadata_options: Json = None
    network_interfaces: tuple[Json, ...] = ()
    key_name: str | None = None
    tag_specifications: tuple[Json, ...] = ()


class LaunchTemplate(PascalShape):
    """CreateLaunchTemplate."""

    launch_template_name: str
    launch_template_data: LaunchTemplateData
    version_description: str | None = None


Port = Annotated[int, Field(ge=1, le=65535)]


def _agent_seconds(value: object) -> object:
    """Read a setting of the agent in seconds: as it writes durations (``2m``), or as a number."""
    return parse_agent_duration_us(value) // 1_000_000 if isinstance(value, str) and not value.isdigit() else value


AgentSeconds = Annotated[int, BeforeValidator(_agent_seconds, json_schema_input_type=int | str), Field(ge=1)]


class ContainerAgent(Own):
    """Settings of the container agent on the instances of a group (``/etc/ecs/ecs.config``).

    Starting and creating a container takes less here than the agent's least time-outs of 45 s and 1 min, so these change nothing.

    Source: github.com/aws/amazon-ecs-agent, README.md.
    """

    ecs_reserved_memory_mib: int = Field(default=0, ge=0, alias="ECS_RESERVED_MEMORY")
    ecs_instance_attributes: dict[str, str] = Field(
        default_factory=dict, max_length=10, alias="ECS_INSTANCE_ATTRIBUTES"
    )
    ecs_image_pull_behavior: Literal["default", "always", "once", "prefer-cached"] = Field(
        default="default", alias="ECS_IMAGE_PULL_BEHAVIOR"
    )
    ecs_container_stop_timeout_s: AgentSeconds = Field(default=30, alias="ECS_CONTAINER_STOP_TIMEOUT")
    ecs_image_pull_timeout_s: AgentSeconds | None = Field(default=None, alias="ECS_IMAGE_PULL_TIMEOUT")
    ecs_image_pull_inactivity_timeout_s: AgentSeconds | None = Field(
        default=None, alias="ECS_IMAGE_PULL_INACTIVITY_TIMEOUT"
    )
    ecs_available_logging_drivers: tuple[str, ...] = Field(
        default=("json-file", "syslog", "awslogs", "fluentd", "none"), alias="ECS_AVAILABLE_LOGGING_DRIVERS"
    )
    ecs_enable_task_eni: bool = Field(default=True, alias="ECS_ENABLE_TASK_ENI")
    ecs_enable_task_iam_role: bool = Field(default=True, alias="ECS_ENABLE_TASK_IAM_ROLE")
    ecs_reserved_ports: tuple[Port, ...] = Field(default=(22, 2375, 2376, 51678, 51679), alias="ECS_RESERVED_PORTS")
    ecs_reserved_ports_udp: tuple[Port, ...] = Field(default=(), alias="ECS_RESERVED_PORTS_UDP")
    ecs_image_cleanup_interval: str | None = Field(default=None, alias="ECS_IMAGE_CLEANUP_INTERVAL")
    ecs_image_minimum_cleanup_age: str | None = Field(default=None, alias="ECS_IMAGE_MINIMUM_CLEANUP_AGE")
    ecs_num_images_delete_per_cycle: int | None = Field(default=None, ge=1, alias="ECS_NUM_IMAGES_DELETE_PER_CYCLE")
    ecs_engine_task_cleanup_wait_duration: str | None = Field(
        default=None, alias="ECS_ENGINE_TASK_CLEANUP_WAIT_DURATION"
    )
    ecs_disable_image_cleanup: bool = Field(default=False, alias="ECS_DISABLE_IMAGE_CLEANUP")
    ecs_enable_spot_instance_draining: bool = Field(default=False, alias="ECS_ENABLE_SPOT_INSTANCE_DRAINING")
    ecs_warm_pools_check: bool = Field(default=False, alias="ECS_WARM_POOLS_CHECK")
    # not read by the simulation
    ecs_container_start_timeout_s: AgentSeconds | None = Field(default=None, alias="ECS_CONTAINER_START_TIMEOUT")
    ecs_container_create_timeout_s: AgentSeconds | None = Field(default=None, alias="ECS_CONTAINER_CREATE_TIMEOUT")
    ecs_polling_metrics_wait_duration_s: AgentSeconds | None = Field(
        default=None, alias="ECS_POLLING_METRICS_WAIT_DURATION"
    )

    @field_validator(
        "ecs_image_cleanup_interval", "ecs_image_minimum_cleanup_age", "ecs_engine_task_cleanup_wait_duration"
    )
    @classmethod
    def _long_enough(cls, value: str | None, info: ValidationInfo) -> str | None:
        least = {"ecs_image_cleanup_interval": 600, "ecs_engine_task_cleanup_wait_duration": 60}
        shortest = least.get(info.field_name or "", 0) * 1_000_000
        if value is not None and parse_agent_duration_us(value) < shortest:
            raise ValueError(f"{value} is too short: the agent takes {format_duration(shortest)} or more")
        return value

    @property
    def reserved_ports(self) -> tuple[tuple[int, str], ...]:
        """Ports the agent reserves for the instance itself, with their protocols."""
        tcp = tuple((port, "tcp") for port in self.ecs_reserved_ports)
        return tcp + tuple((port, "udp") for port in self.ecs_reserved_ports_udp)


class AutoScalingGroup(PascalShape):
    """CreateAutoScalingGroup, with the cluster its instances join and its agents' settings as keys of our own."""

    auto_scaling_group_name: str = Field(min_length=1, max_length=255)
    min_size: int = Field(ge=0)
    max_size: int = Field(ge=0)
    desired_capacity: int | None = Field(default=None, ge=0)
    launch_template: LaunchTemplateSpecification | None = None
    mixed_instances_policy: MixedInstancesPolicy | None = None
    vpc_zone_identifier: str | None = Field(default=None, alias="VPCZoneIdentifier")
    availability_zones: tuple[str, ...] = ()
    new_instances_protected_from_scale_in: bool = False
    default_instance_warmup: int | None = Field(default=None, ge=-1)
    default_cooldown: int = Field(default=300, ge=0)
    """Seconds after a scaling activity in which SetDesiredCapacity with HonorCooldown is refused; target tracking knows none, but takes
    it for the warm-up of an instance where nothing else says how long that is."""
    health_check_type: str | None = None
    health_check_grace_period: int = Field(default=0, ge=0)
    termination_policies: tuple[str, ...] = ()
    capacity_rebalance: bool | None = None
    max_instance_lifetime: int | None = Field(default=None, ge=0)
    availability_zone_distribution: AvailabilityZoneDistribution = AvailabilityZoneDistribution()
    lifecycle_hook_specification_list: tuple[LifecycleHook, ...] = Field(default=(), max_length=50)
    warm_pool_configuration: WarmPoolConfiguration | None = None
    tags: tuple[Json, ...] = ()
    cluster: str = Field(default="default", alias="cluster")
    registered: bool = Field(default=False, alias="registered_at_start")
    """Whether the first instances are already registered when the run begins (a fleet that was there before)."""
    awsvpc_trunking: bool = Field(default=False, alias="awsvpc_trunking")
    public_ip: bool = Field(default=False, alias="public_ip")
    operating_system_family: OperatingSystemFamily = Field(default="LINUX", alias="operating_system_family")
    """What its ``ImageId`` runs: Windows instances take Windows tasks, and their licence is on the bill."""
    agent: ContainerAgent = Field(default=ContainerAgent(), alias="agent")
    policies: tuple[GroupPolicy, ...] = Field(default=(), alias="policies")
    """PutScalingPolicy for this group: a plain group that EC2 Auto Scaling scales on its CPU."""

    @model_validator(mode="after")
    def _sizes_ordered(self) -> Self:
        if self.max_size < self.min_size:
            raise ValueError(f"MaxSize ({self.max_size}) is below MinSize ({self.min_size})")
        desired = self.desired_capacity
        if desired is not None and not self.min_size <= desired <= self.max_size:
            raise ValueError(f"DesiredCapacity ({desired}) is not between MinSize and MaxSize")
        return self

    @model_validator(mode="after")
    def _one_template(self) -> Self:
        if (self.launch_template is None) == (self.mixed_instances_policy is None):
            raise ValueError("give exactly one of LaunchTemplate and MixedInstancesPolicy")
        if self.max_instance_lifetime and self.max_instance_lifetime < 86_400:
            raise_faults([Issue(("MaxInstanceLifetime",), "must be 0 or at least 86400 seconds (a day)")])
        pool = self.warm_pool_configuration
        if pool is not None and self.mixed_instances_policy is not None:
            # Amazon EC2 Auto Scaling User Guide, ec2-auto-scaling-warm-pools.html
            raise ValueError("a group with a mixed instances policy cannot have a warm pool")
        names = [hook.lifecycle_hook_name for hook in self.lifecycle_hook_specification_list]
        twice = [(n, name) for n, name in enumerate(names) if name in names[:n]]
        raise_faults(
            Issue(("LifecycleHookSpecificationList", n, "LifecycleHookName"), f"'{name}' stands twice")
            for n, name in twice
        )
        return self

    @property
    def template(self) -> LaunchTemplateSpecification:
        """The launch template it uses."""
        mixed = self.mixed_instances_policy
        found = self.launch_template if mixed is None else mixed.launch_template.launch_template_specification
        assert found is not None
        return found

    @property
    def overrides(self) -> tuple[str, ...]:
        """The instance types that replace that of its launch template, in their order; empty where none do."""
        mixed = self.mixed_instances_policy
        return () if mixed is None else tuple(o.instance_type for o in mixed.launch_template.overrides)

    @property
    def template_path(self) -> tuple[str, ...]:
        """Where it names its launch template."""
        if self.mixed_instances_policy is None:
            return ("LaunchTemplate",)
        return "MixedInstancesPolicy", "LaunchTemplate", "LaunchTemplateSpecification"

    @property
    def subnets(self) -> tuple[str, ...]:
        """The subnets of ``VPCZoneIdentifier``, in order."""
        return tuple(s.strip() for s in (self.vpc_zone_identifier or "").split(",") if s.strip())


def warm_pool_fault(spec: AutoScalingGroup, spot: bool, pool: WarmPoolConfiguration) -> str | None:
    """Say why a group cannot have a warm pool; None where it can.

    Source: Amazon EC2 Auto Scaling User Guide, ec2-auto-scaling-warm-pools.html; Amazon ECS Developer Guide, using-warm-pool.html.
    """
    if spec.mixed_instances_policy is not None or spot:
        return "a warm pool does not go with Spot Instances or a mixed instances policy"
    if not spec.agent.ecs_warm_pools_check:
        return "the agents of a group with a warm pool need ECS_WARM_POOLS_CHECK: true, or they register before their instance is used"
    if pool.instance_reuse_policy.reuse_on_scale_in:
        return "ReuseOnScaleIn must be false: ECS capacity providers do not support instances that return to the pool"
    return None


class ManagedScaling(EcsShape):
    """ECS cluster auto scaling of a provider's Auto Scaling group."""

    status: Literal["ENABLED", "DISABLED"] = "DISABLED"
    target_capacity: int = Field(default=100, ge=1, le=100)
    minimum_scaling_step_size: int = Field(default=1, ge=1, le=10_000)
    maximum_scaling_step_size: int = Field(default=10_000, ge=1, le=10_000)
    instance_warmup_period: int = Field(default=300, ge=0, le=10_000)

    @model_validator(mode="after")
    def _steps_ordered(self) -> Self:
        least, most = self.minimum_scaling_step_size, self.maximum_scaling_step_size
        if least > most:
            raise ValueError(f"minimumScalingStepSize ({least}) is above maximumScalingStepSize ({most})")
        return self


class AutoScalingGroupProvider(EcsShape):
    """The group behind a capacity provider; a name or an ARN."""

    auto_scaling_group_arn: str
    managed_scaling: ManagedScaling = ManagedScaling()
    managed_termination_protection: Literal["ENABLED", "DISABLED"] = "DISABLED"
    managed_draining: Literal["ENABLED", "DISABLED"] = "ENABLED"


_NO_GROUP = AutoScalingGroupProvider(auto_scaling_group_arn="")


class CapacityProvider(EcsShape):
    """CreateCapacityProvider."""

    name: str = Field(min_length=1, max_length=255)
    auto_scaling_group_provider: AutoScalingGroupProvider | None = None
    cluster: str | None = None
    managed_instances_provider: ManagedInstancesProvider | None = None
    tags: tuple[Json, ...] = ()

    @model_validator(mode="after")
    def _name_free(self) -> Self:
        if self.name.lower().startswith(("aws", "ecs", "fargate")):
            raise ValueError("a capacity provider's name may not begin with aws, ecs or fargate")
        return self

    @model_validator(mode="after")
    def _one_kind(self) -> Self:
        if (self.auto_scaling_group_provider is None) == (self.managed_instances_provider is None):
            raise ValueError("give exactly one of autoScalingGroupProvider and managedInstancesProvider")
        if self.managed_instances_provider is not None and self.cluster is None:
            raise ValueError("a Managed Instances provider belongs to a cluster: give cluster")
        return self

    @property
    def asg(self) -> AutoScalingGroupProvider:
        """The settings of a provider of an Auto Scaling group; those that change nothing for Managed Instances."""
        return self.auto_scaling_group_provider or _NO_GROUP


class ClusterSetting(EcsShape):
    """A setting of a cluster."""

    name: Literal["containerInsights"]
    value: Literal["enabled", "disabled", "enhanced"]


class Cluster(EcsShape):
    """CreateCluster."""

    cluster_name: str = Field(default="default", min_length=1, max_length=255, pattern=r"^[A-Za-z0-9_-]+$")
    capacity_providers: tuple[str, ...] = Field(default=(), max_length=20)
    default_capacity_provider_strategy: tuple[CapacityProviderStrategyItem, ...] = Field(default=(), max_length=20)
    settings: tuple[ClusterSetting, ...] = ()
    configuration: Json = None
    service_connect_defaults: Json = None
    tags: tuple[Json, ...] = ()

    @model_validator(mode="after")
    def _strategy_legal(self) -> Self:
        check_strategy(self.default_capacity_provider_strategy, "defaultCapacityProviderStrategy")
        return self

    @property
    def associated(self) -> tuple[str, ...]:
        """The providers a strategy in this cluster may name: those stated, else Fargate's, as for a cluster made in the console."""
        return self.capacity_providers or ("FARGATE", "FARGATE_SPOT")
