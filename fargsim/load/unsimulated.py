"""Keys that are accepted, because AWS takes them, and would change a real run, but do not change the simulated one yet."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from pydantic import BaseModel

from fargsim.load.names import tail
from fargsim.model.balancer_attributes import Attribute
from fargsim.model.scenario import Scenario
from fargsim.model.shift_rules import shifts

SERVICE = {
    "service_registries": "serviceRegistries",
    "service_connect_configuration": "serviceConnectConfiguration",
}
ATTRIBUTES: dict[str, tuple[str, ...]] = {
    "stickiness.enabled": ("false",),
    "dns_record.client_routing_policy": ("any_availability_zone",),
}
"""Attributes that would change a run, with the values that would not."""


def _set_keys(value: BaseModel, keys: dict[str, str]) -> Iterator[str]:
    fields = type(value).model_fields
    for name, key in keys.items():
        found: Any = getattr(value, name)
        if found != fields[name].get_default(call_default_factory=True) and found not in (None, (), [], {}):
            yield key


def _not_simulated(attributes: Iterable[Attribute]) -> Iterator[str]:
    return (a.key for a in attributes if a.key in ATTRIBUTES and a.value not in ATTRIBUTES[a.key])


def _attributes(scenario: Scenario) -> Iterator[tuple[str, tuple[Attribute, ...]]]:
    """Yield all attributes, also those that the timeline sets, each with what they are of."""
    for group in scenario.target_groups:
        yield f"target group {group.name}", group.attributes
    for balancer in scenario.load_balancers:
        yield f"load balancer {balancer.name}", balancer.attributes
    for entry in scenario.timeline:
        of_group, of_balancer = entry.modify_target_group_attributes, entry.modify_load_balancer_attributes
        if of_group is not None:
            yield f"target group {tail(of_group.target_group_arn)}", of_group.attributes
        if of_balancer is not None:
            yield f"load balancer {tail(of_balancer.load_balancer_arn)}", of_balancer.attributes


def unsimulated(scenario: Scenario) -> Iterator[str]:
    """Yield a note for every key that a scenario sets and that changes nothing yet."""
    yet = "is accepted but not simulated yet"
    services = [*scenario.services, *(e.create_service for e in scenario.timeline if e.create_service is not None)]
    for service in services:
        for key in _set_keys(service, SERVICE):
            yield f"{key} of service {service.service_name} {yet}"
        if service.deployment_configuration.lifecycle_hooks and not shifts(service):
            yield f"lifecycleHooks of service {service.service_name} do nothing: its deployments shift no traffic"
    for of, attributes in _attributes(scenario):
        for key in _not_simulated(attributes):
            yield f"{key} of {of} {yet}"
    for balancer in scenario.load_balancers:
        for action in (a for listener in balancer.listeners for a in listener.actions):
            config = action.forward_config and action.forward_config.target_group_stickiness_config
            if isinstance(config, dict) and config.get("Enabled"):
                yield f"TargetGroupStickinessConfig of load balancer {balancer.name} {yet}"
