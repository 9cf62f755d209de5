"""Options of Auto Scaling groups: several instance types, lifecycle hooks, warm pools, target tracking, instance refresh.

Source: Amazon EC2 Auto Scaling API Reference, API_MixedInstancesPolicy.html, API_InstancesDistribution.html,
API_LifecycleHookSpecification.html, API_PutWarmPool.html, API_TargetTrackingConfiguration.html, API_RefreshPreferences.html.
"""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from fargsim.model.base import Json, Own, PascalShape
from fargsim.model.quantity import DurationUs

Result = Literal["CONTINUE", "ABANDON"]


class LaunchTemplateSpecification(PascalShape):
    """A reference to a launch template."""

    launch_template_name: str
    version: str | None = None

    @property
    def moves(self) -> bool:
        """Whether it means the newest version rather than a certain one."""
        return self.version in (None, "$Latest", "$Default")


class InstanceOverride(PascalShape):
    """One instance type of a mixed group; its place in the list is its priority."""

    instance_type: str
    weighted_capacity: Literal["1"] | None = None
    """Only ``"1"``: weights do not go with ECS capacity providers."""
    launch_template_specification: Json = None


class MixedLaunchTemplate(PascalShape):
    """The launch template of a mixed group and the types that take the place of the template's own."""

    launch_template_specification: LaunchTemplateSpecification
    overrides: tuple[InstanceOverride, ...] = Field(default=(), max_length=40)

    @model_validator(mode="after")
    def _each_once(self) -> Self:
        types = [o.instance_type for o in self.overrides]
        twice = [t for n, t in enumerate(types) if t in types[:n]]
        if twice:
            raise ValueError(f"{twice[0]} stands twice in Overrides")
        return self


class InstancesDistribution(PascalShape):
    """How a mixed group divides its instances between on-demand and Spot, and chooses among its types."""

    on_demand_allocation_strategy: Literal["prioritized", "lowest-price"] = "prioritized"
    on_demand_base_capacity: int = Field(default=0, ge=0)
    on_demand_percentage_above_base_capacity: int = Field(default=100, ge=0, le=100)
    spot_allocation_strategy: Literal[
        "lowest-price", "capacity-optimized", "capacity-optimized-prioritized", "price-capacity-optimized"
    ] = "lowest-price"
    spot_instance_pools: int | None = Field(default=None, ge=1, le=20)
    spot_max_price: str | None = None

    @model_validator(mode="after")
    def _pools_fit(self) -> Self:
        if self.spot_instance_pools is not None and self.spot_allocation_strategy != "lowest-price":
            raise ValueError("SpotInstancePools goes with SpotAllocationStrategy lowest-price only")
        if self.spot_max_price:
            raise ValueError("SpotMaxPrice is not simulated: leave it out, which means the on-demand price")
        return self


class MixedInstancesPolicy(PascalShape):
    """Several instance types and two ways to buy them in one group."""

    launch_template: MixedLaunchTemplate
    instances_distribution: InstancesDistribution = InstancesDistribution()


class HookWork(Own):
    """What somebody says at the end of a hook's work: CompleteLifecycleAction.

    Parameters
    ----------
    after
        How long the work takes.
    result
        What is said then.
    heartbeat_every
        While it works it sends RecordLifecycleActionHeartbeat so often; never by default.
    """

    after: DurationUs = Field(ge=0)
    result: Result = "CONTINUE"
    heartbeat_every: DurationUs | None = Field(default=None, gt=0)


class LifecycleHook(PascalShape):
    """PutLifecycleHook; `answer` is ours: who answers, and when. Without it nobody does, and the time-out decides."""

    lifecycle_hook_name: str = Field(min_length=1, max_length=255)
    lifecycle_transition: Literal["autoscaling:EC2_INSTANCE_LAUNCHING", "autoscaling:EC2_INSTANCE_TERMINATING"]
    heartbeat_timeout: int = Field(default=3600, ge=30, le=7200)
    default_result: Result = "ABANDON"
    notification_target_arn: str | None = Field(default=None, alias="NotificationTargetARN")
    notification_metadata: str | None = None
    role_arn: str | None = Field(default=None, alias="RoleARN")
    answer: HookWork | None = Field(default=None, alias="answer")

    @property
    def launching(self) -> bool:
        """Whether it holds instances on their way in."""
        return self.lifecycle_transition == "autoscaling:EC2_INSTANCE_LAUNCHING"


class InstanceReusePolicy(PascalShape):
    """Whether instances go back to the warm pool on scale-in."""

    reuse_on_scale_in: bool = False


class WarmPoolConfiguration(PascalShape):
    """PutWarmPool: instances that are prepared beside a group."""

    max_group_prepared_capacity: int | None = Field(default=None, ge=-1)
    min_size: int = Field(default=0, ge=0)
    pool_state: Literal["Stopped", "Running", "Hibernated"] = "Stopped"
    instance_reuse_policy: InstanceReusePolicy = InstanceReusePolicy()

    def size(self, desired: int, max_size: int) -> int:
        """Return how many instances the pool holds: what the prepared capacity has beyond the desired capacity.

        >>> WarmPoolConfiguration().size(4, 10), WarmPoolConfiguration(max_group_prepared_capacity=6).size(4, 10)
        (6, 2)
        >>> WarmPoolConfiguration(min_size=3).size(10, 10)
        3
        """
        prepared = self.max_group_prepared_capacity
        prepared = max_size if prepared is None or prepared == -1 else prepared
        return max(self.min_size, prepared - desired, 0)


class GroupMetric(PascalShape):
    """The predefined metric of a group's target tracking policy."""

    predefined_metric_type: Literal["ASGAverageCPUUtilization"]
    resource_label: str | None = None


class GroupTargetTracking(PascalShape):
    """The target of a group's policy."""

    predefined_metric_specification: GroupMetric
    target_value: float = Field(gt=0, le=100)
    disable_scale_in: bool = False


class GroupPolicy(PascalShape):
    """PutScalingPolicy of EC2 Auto Scaling; target tracking only."""

    policy_name: str = Field(min_length=1, max_length=255)
    policy_type: Literal["TargetTrackingScaling"]
    target_tracking_configuration: GroupTargetTracking
    estimated_instance_warmup: int | None = Field(default=None, ge=0)
    enabled: bool = True


Percent = Annotated[int, Field(ge=0, le=100)]


class RefreshPreferences(PascalShape):
    """How an instance refresh goes about it."""

    min_healthy_percentage: Percent = 90
    max_healthy_percentage: int = Field(default=100, ge=100, le=200)
    instance_warmup: int | None = Field(default=None, ge=0)
    skip_matching: bool = False
    scale_in_protected_instances: Literal["Refresh", "Ignore", "Wait"] = "Wait"

    @model_validator(mode="after")
    def _apart(self) -> Self:
        if self.max_healthy_percentage - self.min_healthy_percentage > 100:
            raise ValueError("MaxHealthyPercentage may be at most 100 above MinHealthyPercentage")
        return self


class StartInstanceRefresh(PascalShape):
    """StartInstanceRefresh."""

    auto_scaling_group_name: str
    strategy: Literal["Rolling"] = "Rolling"
    preferences: RefreshPreferences = RefreshPreferences()


class AvailabilityZoneDistribution(PascalShape):
    """What a group does where a zone has no capacity."""

    capacity_distribution_strategy: Literal["balanced-best-effort", "balanced-only"] = "balanced-best-effort"
