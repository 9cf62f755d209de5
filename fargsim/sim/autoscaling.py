"""The verbs of EC2 launch templates and EC2 Auto Scaling, as boto3 spells them."""

from __future__ import annotations

from typing import Any

from fargsim.catalog.offers import memory_fault, offer_fault, windows_fault
from fargsim.model.capacity import AutoScalingGroup, LaunchTemplate, LaunchTemplateData, warm_pool_fault
from fargsim.model.group_options import StartInstanceRefresh, WarmPoolConfiguration
from fargsim.model.group_verbs import (
    CreateLaunchTemplateVersion,
    PutGroupPolicy,
    PutLifecycleHook,
    PutWarmPool,
    SetInstanceHealth,
    UpdateAutoScalingGroup,
)
from fargsim.policy.scaling_group import TERMINATION_POLICIES
from fargsim.sim.errors import InstanceRefreshInProgress, ScalingActivityInProgress, ValidationError
from fargsim.sim.group_scaling import GroupScaling
from fargsim.sim.groups import AutoScalingGroupRun
from fargsim.sim.instance_refresh import InstanceRefresh
from fargsim.sim.kit import US_PER_S
from fargsim.sim.lifecycle_hooks_asg import Hooks
from fargsim.sim.registry import Registry, tail
from fargsim.sim.shapes import instant, read

HOOKS_MAX = 50


class AutoScaling:
    """Auto Scaling groups of container instances."""

    def __init__(self, registry: Registry, scaling: GroupScaling | None = None) -> None:
        self._registry = registry
        self._kit = registry.kit
        self._scaling = scaling
        self._refreshes: dict[str, list[InstanceRefresh]] = {}

    def create_launch_template(self, **arguments: Any) -> dict[str, Any]:
        """Create a launch template (a verb of EC2, kept beside its only user)."""
        spec = read(LaunchTemplate, arguments, ValidationError)
        self._offered(spec.launch_template_data.instance_type)
        self._registry.launch_templates[spec.launch_template_name] = spec.launch_template_data
        return {"LaunchTemplate": {"LaunchTemplateName": spec.launch_template_name}}

    def create_auto_scaling_group(self, **arguments: Any) -> dict[str, Any]:
        """Create a group and launch its instances; their agents join the cluster named by `cluster`."""
        spec = read(AutoScalingGroup, arguments, ValidationError)
        registry = self._registry
        if spec.auto_scaling_group_name in registry.groups:
            raise ValidationError(f"AutoScalingGroup '{spec.auto_scaling_group_name}' exists already")
        strange = [p for p in spec.termination_policies if p not in TERMINATION_POLICIES]
        if strange:
            legal = ", ".join(TERMINATION_POLICIES)
            raise ValidationError(f"TerminationPolicies: '{strange[0]}' is not one of {legal}")
        template = registry.launch_templates.get(spec.template.launch_template_name)
        if template is None:
            raise ValidationError(f"launch template '{spec.template.launch_template_name}' does not exist")
        for subnet in spec.subnets:
            if subnet not in registry.subnets:
                raise ValidationError(f"The subnet ID '{subnet}' does not exist")
        for zone in spec.availability_zones:
            if zone not in self._kit.zones:
                raise ValidationError(f"The zone '{zone}' is not one of {', '.join(self._kit.zones)}")
        for name in spec.overrides:
            self._offered(name)
        self._check_template(spec, template)
        zones = (
            tuple(dict.fromkeys(registry.subnets[s] for s in spec.subnets))
            or spec.availability_zones
            or self._kit.zones
        )
        cluster = registry.cluster(spec.cluster)
        registry.groups[spec.auto_scaling_group_name] = AutoScalingGroupRun(
            self._kit, spec, template, cluster, zones, registry.ec2
        )
        for policy in spec.policies:
            self._put_policy(registry.groups[spec.auto_scaling_group_name], policy)
        return {}

    def _offered(self, name: str) -> None:
        """Refuse an instance type that there is not, or not in the region."""
        fault = offer_fault(name, self._kit.region)
        if fault is not None:
            raise ValidationError(fault)

    def _check_template(self, spec: AutoScalingGroup, template: LaunchTemplateData) -> None:
        """Refuse a template by which a group cannot launch.

        For the market it names; for a type that does not run the group's system, or whose agents cannot register with the memory they
        are to keep.
        """
        factor = self._kit.parameters.number("registered_memory_factor")
        for name in spec.overrides or (template.instance_type,):
            windows = None if spec.operating_system_family == "LINUX" else windows_fault(name)
            if windows is not None:
                raise ValidationError(f"operating_system_family: {windows}")
            fault = memory_fault(name, spec.agent.ecs_reserved_memory_mib, factor)
            if fault is not None:
                raise ValidationError(f"agent.ECS_RESERVED_MEMORY: {fault}")
        if spec.mixed_instances_policy is not None and template.instance_market_options is not None:
            raise ValidationError(
                "Incompatible launch template: InstanceMarketOptions does not go with MixedInstancesPolicy"
            )
        if spec.warm_pool_configuration is not None:
            self._check_warm_pool(spec, template.instance_market_options is not None, spec.warm_pool_configuration)

    @staticmethod
    def _check_warm_pool(spec: AutoScalingGroup, spot: bool, pool: WarmPoolConfiguration) -> None:
        fault = warm_pool_fault(spec, spot, pool)
        if fault is not None:
            raise ValidationError(fault)

    def _put_policy(self, group: AutoScalingGroupRun, policy: Any) -> str:
        if self._scaling is None:
            raise ValidationError("this region has no CloudWatch to scale by")
        if group.provider is not None and group.provider.managed:
            raise ValidationError(
                f"The capacity provider '{group.provider.spec.name}' manages the scaling of '{group.name}': "
                "a scaling policy of the group's own would work against it"
            )
        return self._scaling.put(group, policy)

    def create_launch_template_version(self, **arguments: Any) -> dict[str, Any]:
        """Create a version of a launch template; its groups launch by it from now on, what runs stays (see `start_instance_refresh`)."""
        spec = read(CreateLaunchTemplateVersion, arguments, ValidationError)
        name = spec.launch_template_name
        if name not in self._registry.launch_templates:
            raise ValidationError(f"launch template '{name}' does not exist")
        self._offered(spec.launch_template_data.instance_type)
        using = [
            g
            for g in self._registry.groups.values()
            if g.asg_name is not None and g.spec.template.launch_template_name == name and g.spec.template.moves
        ]
        for group in using:
            self._check_template(group.spec, spec.launch_template_data)
        self._registry.launch_templates[name] = spec.launch_template_data
        for group in using:
            group.use_template(spec.launch_template_data)
        return {"LaunchTemplateVersion": {"LaunchTemplateName": name}}

    def update_auto_scaling_group(self, **arguments: Any) -> dict[str, Any]:
        """Change the sizes of a group; the desired capacity moves as far as the new bounds ask for."""
        spec = read(UpdateAutoScalingGroup, arguments, ValidationError)
        group = self._registry.group(spec.auto_scaling_group_name)
        least = group.minimum if spec.min_size is None else spec.min_size
        most = group.maximum if spec.max_size is None else spec.max_size
        if most < least:
            raise ValidationError(f"Max bound, {most}, must be greater than or equal to min bound, {least}")
        if spec.desired_capacity is not None and not least <= spec.desired_capacity <= most:
            raise ValidationError(
                f"Desired capacity:{spec.desired_capacity} must be between the specified min size:{least} and max size:{most}"
            )
        group.resize(least, most, spec.desired_capacity)
        return {}

    def put_warm_pool(self, **arguments: Any) -> dict[str, Any]:
        """Give a group a warm pool, which is prepared at once."""
        spec = read(PutWarmPool, arguments, ValidationError)
        group = self._registry.group(spec.auto_scaling_group_name)
        if group.warm_pool is not None:
            raise ValidationError(f"'{group.name}' has a warm pool already")
        self._check_warm_pool(group.spec, group.template.instance_market_options is not None, spec)
        group.spec = group.spec.model_copy(update={"warm_pool_configuration": spec})
        group.put_warm_pool()
        return {}

    def put_lifecycle_hook(self, **arguments: Any) -> dict[str, Any]:
        """Give a group a lifecycle hook, for instances that come or go from now on; one of the same name is replaced."""
        spec = read(PutLifecycleHook, arguments, ValidationError)
        group = self._registry.group(spec.auto_scaling_group_name)
        others = [
            h for h in group.spec.lifecycle_hook_specification_list if h.lifecycle_hook_name != spec.lifecycle_hook_name
        ]
        if len(others) >= HOOKS_MAX:
            raise ValidationError(f"a group may have {HOOKS_MAX} lifecycle hooks")
        group.spec = group.spec.model_copy(update={"lifecycle_hook_specification_list": (*others, spec)})
        group.hooks = Hooks(self._kit, group.spec.lifecycle_hook_specification_list)
        return {}

    def put_scaling_policy(self, **arguments: Any) -> dict[str, Any]:
        """Give a group a target tracking policy on the CPU of its instances."""
        spec = read(PutGroupPolicy, arguments, ValidationError)
        return {"PolicyARN": self._put_policy(self._registry.group(spec.auto_scaling_group_name), spec)}

    def set_instance_health(self, **arguments: Any) -> dict[str, Any]:
        """Call instances unhealthy: their group replaces them at once, drained where ECS manages that."""
        spec = read(SetInstanceHealth, arguments, ValidationError)
        if spec.auto_scaling_group is not None:
            group = self._registry.group(spec.auto_scaling_group)
            found = sorted(group.in_service, key=lambda i: i.number)[: spec.count]
        else:
            found = [
                i for g in self._registry.groups.values() for i in g.in_service if i.instance_id == spec.instance_id
            ]
            if not found:
                raise ValidationError(
                    f"Instance Id not found - No managed instance found for instance ID: {spec.instance_id}"
                )
        for instance in found:
            grace_us = instance.group.spec.health_check_grace_period * US_PER_S
            in_grace = instance.in_service_at is None or self._kit.now < instance.in_service_at + grace_us
            if not (spec.should_respect_grace_period and grace_us and in_grace):
                instance.group.replace(instance, "unhealthy")
        return {}

    def start_instance_refresh(self, **arguments: Any) -> dict[str, Any]:
        """Replace every instance of a group, so many at a time."""
        spec = read(StartInstanceRefresh, arguments, ValidationError)
        group = self._registry.group(spec.auto_scaling_group_name)
        runs = self._refreshes.setdefault(group.name, [])
        if runs and runs[-1].status == "InProgress":
            raise InstanceRefreshInProgress(f"An Instance Refresh is already in progress for '{group.name}'")
        run = InstanceRefresh(self._kit, group, spec.preferences, len(runs))
        runs.append(run)
        return {"InstanceRefreshId": run.refresh_id}

    def describe_instance_refreshes(self, *, AutoScalingGroupName: str) -> dict[str, Any]:
        """Describe the refreshes of a group, newest first."""
        name = self._registry.group(AutoScalingGroupName).name
        start = self._registry.start
        return {
            "InstanceRefreshes": [
                {
                    "InstanceRefreshId": run.refresh_id,
                    "AutoScalingGroupName": name,
                    "Status": run.status,
                    "StatusReason": run.reason,
                    "StartTime": instant(start, run.started_at),
                    "EndTime": instant(start, run.ended_at),
                    "PercentageComplete": run.percentage_complete,
                }
                for run in reversed(self._refreshes.get(name, []))
            ]
        }

    def set_desired_capacity(
        self, *, AutoScalingGroupName: str, DesiredCapacity: int, HonorCooldown: bool = False
    ) -> dict[str, Any]:
        """Change how many instances a group keeps; with `HonorCooldown` not in its cooldown.

        Source: Amazon EC2 Auto Scaling API Reference, API_SetDesiredCapacity.html; Amazon EC2 Auto Scaling User Guide,
        ec2-auto-scaling-scaling-cooldowns.html (the cooldown begins when the activity has ended).
        """
        group = self._registry.group(AutoScalingGroupName)
        if not group.minimum <= DesiredCapacity <= group.maximum:
            raise ValidationError(
                f"New SetDesiredCapacity value {DesiredCapacity} is not between min value {group.minimum} "
                f"and max value {group.maximum} for the AutoScalingGroup."
            )
        rest_us = group.cooldown_us()
        if HonorCooldown and rest_us > 0:
            raise ScalingActivityInProgress(
                f"HonorCooldown: the group {group.name} is in a scaling activity or in its DefaultCooldown of "
                f"{group.spec.default_cooldown} s, for {rest_us / US_PER_S:g} s yet at least."
            )
        group.set_desired(DesiredCapacity)
        return {}

    def describe_auto_scaling_groups(self, *, AutoScalingGroupNames: list[str] | None = None) -> dict[str, Any]:
        """Describe groups and their instances."""
        wanted = None if AutoScalingGroupNames is None else {tail(n) for n in AutoScalingGroupNames}
        return {
            "AutoScalingGroups": [
                {
                    "AutoScalingGroupName": group.name,
                    "MinSize": group.minimum,
                    "MaxSize": group.maximum,
                    "DesiredCapacity": group.desired,
                    "Instances": [
                        {
                            "InstanceId": i.instance_id,
                            "InstanceType": i.instance_type,
                            "AvailabilityZone": i.zone,
                            "LifecycleState": i.lifecycle_state,
                            "HealthStatus": "Healthy",
                            "ProtectedFromScaleIn": group.protected(i),
                        }
                        for i in group.every_instance
                    ],
                }
                for group in self._registry.groups.values()
                if group.asg_name is not None and (wanted is None or group.name in wanted)
            ]
        }
