"""The verbs of EC2 launch templates and EC2 Auto Scaling, as boto3 spells them."""

from __future__ import annotations

from typing import Any

from fargsim.catalog.instances import instance_type
from fargsim.catalog.store import CatalogError
from fargsim.model.capacity import AutoScalingGroup, LaunchTemplate
from fargsim.policy.scaling_group import TERMINATION_POLICIES
from fargsim.sim.errors import ValidationError
from fargsim.sim.groups import AutoScalingGroupRun
from fargsim.sim.registry import Registry, tail
from fargsim.sim.shapes import read


class AutoScaling:
    """Auto Scaling groups of container instances."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self._kit = registry.kit

    def create_launch_template(self, **arguments: Any) -> dict[str, Any]:
        """Create a launch template (a verb of EC2, kept beside its only user)."""
        spec = read(LaunchTemplate, arguments, ValidationError)
        try:
            instance_type(spec.launch_template_data.instance_type)
        except CatalogError as fault:
            raise ValidationError(str(fault)) from None
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
        zones = (
            tuple(dict.fromkeys(registry.subnets[s] for s in spec.subnets))
            or spec.availability_zones
            or self._kit.zones
        )
        cluster = registry.cluster(spec.cluster)
        registry.groups[spec.auto_scaling_group_name] = AutoScalingGroupRun(
            self._kit, spec, template, cluster, zones, registry.ec2
        )
        return {}

    def set_desired_capacity(
        self, *, AutoScalingGroupName: str, DesiredCapacity: int, HonorCooldown: bool = False
    ) -> dict[str, Any]:
        """Change how many instances a group keeps."""
        group = self._registry.group(AutoScalingGroupName)
        if not group.minimum <= DesiredCapacity <= group.maximum:
            raise ValidationError(
                f"New SetDesiredCapacity value {DesiredCapacity} is not between min value {group.minimum} "
                f"and max value {group.maximum} for the AutoScalingGroup."
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
                if wanted is None or group.name in wanted
            ]
        }
