"""What the ECS API refuses about capacity providers and strategies.

Source: Amazon ECS API Reference, API_CapacityProviderStrategyItem.html, API_CreateCapacityProvider.html,
API_AutoScalingGroupProvider.html, API_UpdateService.html; Amazon ECS Developer Guide, managed-termination-protection.html.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from fargsim.model.capacity import CapacityProvider, Cluster
from fargsim.model.placement import CapacityProviderStrategyItem
from fargsim.model.service import LaunchType, UpdateService
from fargsim.sim.errors import InvalidParameterException
from fargsim.sim.groups import AutoScalingGroupRun
from fargsim.sim.registry import FARGATE_PROVIDERS, Registry, tail

if TYPE_CHECKING:
    from fargsim.sim.service_scheduler import ServiceRun

FORCE_NEEDED = (
    "When switching from launch type to capacity provider strategy on an existing service, or making a change to a capacity provider "
    "strategy on a service that is already using one, you must force a new deployment."
)
"""The API's own words (github.com/kayac/ecspresso/pull/481)."""
PROTECTION_INVALID = (
    "The managed termination protection setting for the capacity provider is invalid. "
    "To enable managed termination protection for a capacity provider, "
)
"""The API's own words (github.com/aws/containers-roadmap/issues/653)."""


def check_group(spec: CapacityProvider, group: AutoScalingGroupRun) -> None:
    """Check that an Auto Scaling group has what the settings of its capacity provider need.

    Raises
    ------
    InvalidParameterException
        Where it has not.
    """
    settings = spec.asg
    scales = settings.managed_scaling.status == "ENABLED"
    if settings.managed_termination_protection == "ENABLED":
        if not group.spec.new_instances_protected_from_scale_in:
            raise InvalidParameterException(
                f"{PROTECTION_INVALID}the Auto Scaling group must have instance protection from scale in enabled. "
                f"(managedTerminationProtection; NewInstancesProtectedFromScaleIn: true of {group.name})"
            )
        if not scales:
            raise InvalidParameterException(
                f"{PROTECTION_INVALID}managed scaling must be enabled. (managedTerminationProtection; managedScaling.status: ENABLED)"
            )
    if scales and not group.maximum:
        raise InvalidParameterException(
            f"managedScaling: the Auto Scaling group {group.name} must have a MaxSize above 0, not 0: ECS does not change it."
        )


def check_home(registry: Registry, cluster: str, name: str) -> None:
    """Check that a provider of Managed Instances is used in its own cluster only.

    Raises
    ------
    InvalidParameterException
        Where it is not.
    """
    provider = registry.providers.get(name)
    if provider is not None and provider.managed_instances and provider.group.cluster.name != tail(cluster):
        home = provider.group.cluster.name
        raise InvalidParameterException(
            f"capacityProvider: the Managed Instances provider {name} belongs to cluster {home}, not to {tail(cluster)}."
        )


def check_providers(registry: Registry, cluster: Cluster, items: tuple[CapacityProviderStrategyItem, ...]) -> None:
    """Check that a strategy names only providers that exist and are associated with the cluster.

    Source: Amazon ECS API Reference, API_CapacityProviderStrategyItem.html.

    Raises
    ------
    InvalidParameterException
        Where it does not.
    """
    kinds: dict[bool, str] = {}
    for item in items:
        if item.capacity_provider in registry.providers:
            kinds.setdefault(registry.providers[item.capacity_provider].managed_instances, item.capacity_provider)
    if len(kinds) > 1:
        raise InvalidParameterException(
            "capacityProviderStrategy: a strategy cannot mix Managed Instances providers with Auto Scaling group providers, and it "
            f"has {kinds[True]} and {kinds[False]}."
        )
    for item in items:
        name = item.capacity_provider
        check_home(registry, cluster.cluster_name, name)
        if name not in FARGATE_PROVIDERS and name not in registry.providers:
            raise InvalidParameterException(f"The specified capacity provider '{name}' was not found.")
        if name not in cluster.associated:
            raise InvalidParameterException(
                "The specified capacity provider strategy cannot contain a capacity provider that is not associated with the "
                f"cluster. Associate the capacity provider with the cluster and try again: {name} is not among "
                f"{', '.join(cluster.associated)} of cluster {cluster.cluster_name}."
            )


def fallen_back_to(service: ServiceRun, spec: UpdateService) -> LaunchType | None:
    """Return the launch type of a service whose strategy UpdateService changes: none beside one, without one that of its creation.

    Source: AWS CloudFormation User Guide, aws-resource-ecs-service.html (an empty strategy removes the capacity providers).

    Raises
    ------
    InvalidParameterException
        Where an empty strategy leaves nothing to launch on.
    """
    if spec.capacity_provider_strategy:
        return None
    first = service.rollouts.revisions[0].spec.launch_type
    if first is None and not service.cluster.spec.default_capacity_provider_strategy:
        raise InvalidParameterException(
            "capacityProviderStrategy: No launch type to fall back to for empty capacity provider strategy. Your service was not "
            "created with a launch type."
        )
    return first


def check_forced(service: ServiceRun, spec: UpdateService) -> None:
    """Check that a changed strategy comes with a forced deployment.

    Raises
    ------
    InvalidParameterException
        Where it does not.
    """
    strategy = spec.capacity_provider_strategy
    changed = strategy is not None and strategy != service.spec.capacity_provider_strategy
    if changed and not spec.force_new_deployment:
        raise InvalidParameterException(f"{FORCE_NEEDED} (capacityProviderStrategy; forceNewDeployment: true)")
