"""From a scenario to the terms of its bill."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from fargsim.catalog.parameters import Parameters, parameters
from fargsim.model.balancing import forwards_to
from fargsim.model.scenario import Scenario
from fargsim.model.service import CreateService
from fargsim.report.cost_terms import (
    BillingTerms,
    LoadBalancer,
    NatGateway,
    ReservedInstances,
    SavingsPlan,
    Surroundings,
)
from fargsim.sim.registry import tail


def billing_terms(scenario: Scenario) -> BillingTerms:
    """Return what the bill of a scenario depends on beside its tables."""
    overrides = {
        name: value
        for name, value in (
            ("bytes_per_request", scenario.billing.bytes_per_request),
            ("connections_per_request", scenario.billing.connections_per_request),
        )
        if value is not None
    }
    known = parameters({**scenario.assumptions, **overrides})
    zones = {s.availability_zone for s in scenario.network.subnets}
    return BillingTerms(
        region=scenario.region,
        start_at=scenario.start,
        end_at=scenario.start + timedelta(microseconds=scenario.duration),
        fargate_table=scenario.billing.price_tables.fargate,
        windows_table=scenario.billing.price_tables.fargate_windows,
        spot_table=scenario.billing.price_tables.fargate_spot,
        price_overrides=scenario.billing.prices,
        load_balancers=tuple(
            LoadBalancer(
                balancer.name,
                balancer.type,
                scenario.start,
                None,
                _services_behind(scenario, balancer.name),
                (len(balancer.subnets) or len(zones) or 3) if balancer.scheme == "internet-facing" else 0,
            )
            for balancer in scenario.load_balancers
        ),
        nat_gateways=tuple(
            NatGateway(f"nat-{number + 1}", scenario.start) for number in range(scenario.network.nat_gateways)
        ),
        around=_around(scenario, len(zones), known),
        commitments=_commitments(scenario),
        parameters=known,
    )


def _commitments(scenario: Scenario) -> tuple[SavingsPlan | ReservedInstances, ...]:
    plans = [
        SavingsPlan(plan.commitment, plan.years, plan.payment_option, plan.ec2_instance_family)
        for plan in scenario.billing.savings_plans
    ]
    reserved = [
        ReservedInstances(some.instance_type, some.instance_count, some.offering_class, some.years, some.offering_type)
        for some in scenario.billing.reserved_instances
    ]
    return (*plans, *reserved)


def _around(scenario: Scenario, zones: int, known: Parameters) -> Surroundings:
    billing = scenario.billing
    everywhere = zones or int(known.number("default_zones"))
    definitions = [*scenario.task_definitions]
    definitions += [e.register_task_definition for e in scenario.timeline if e.register_task_definition is not None]
    return Surroundings(
        nat_bytes_per_request=billing.nat_bytes_per_request,
        images_through_nat=billing.images_through_nat,
        interface_endpoints=billing.interface_endpoints * everywhere + _endpoint_zones(scenario, everywhere),
        endpoint_bytes_per_request=billing.endpoint_bytes_per_request,
        cross_zone_bytes_per_request=billing.cross_zone_bytes_per_request,
        egress_bytes_per_request=billing.egress_bytes_per_request,
        egress_before_bytes=billing.egress_before,
        log_bytes_per_request=billing.log_bytes_per_request,
        log_bytes_per_task_h=billing.log_bytes_per_task_h,
        log_storage_bytes=billing.log_storage,
        ecr_storage_bytes=billing.ecr_storage,
        custom_metrics=billing.custom_metrics + _own_metrics(scenario),
        container_insights={
            cluster.cluster_name: setting.value
            for cluster in scenario.clusters
            for setting in cluster.settings
            if setting.name == "containerInsights" and setting.value != "disabled"
        },
        high_resolution=tuple(
            (tail(s.cluster), s.service_name) for s in _services(scenario) if _is_high_resolution(_plain(s.monitoring))
        ),
        containers={d.family: len(d.container_definitions) for d in definitions},
        managed_providers=frozenset(
            p.name for p in scenario.capacity_providers if p.managed_instances_provider is not None
        ),
    )


def _endpoint_zones(scenario: Scenario, everywhere: int) -> int:
    """Return in how many zones the interface endpoints of the network are, all together: each costs by the hour and zone."""
    zone_of = {s.subnet_id: s.availability_zone for s in scenario.network.subnets}
    return sum(
        len({zone_of.get(subnet, subnet) for subnet in endpoint.subnet_ids}) or everywhere
        for endpoint in scenario.network.endpoints
        if not endpoint.gateway
    )


def _own_metrics(scenario: Scenario) -> int:
    """Return how many custom metrics a scenario sends from its start on: those it makes up, and backlogs per task."""
    made_up = {(m.namespace, m.name, *sorted(m.dimensions.items())) for m in scenario.metrics}
    backlogs = {
        (b.namespace, b.metric, tail(b.cluster), b.service)
        for queue in scenario.queues
        if (b := queue.backlog_per_task) is not None
    }
    return len(made_up) + len(backlogs)


def _plain(shape: Any) -> Any:
    """Return an AWS shape as plain data, whether or not the model reads it."""
    return shape.model_dump(mode="json", by_alias=True) if hasattr(shape, "model_dump") else shape


def _is_high_resolution(monitoring: Any) -> bool:
    """Say whether a service's metrics come every 20 s (``monitoring.metricConfigurations[].resolutionSeconds``)."""
    configurations = monitoring.get("metricConfigurations") if isinstance(monitoring, Mapping) else None
    return isinstance(configurations, list | tuple) and any(
        isinstance(one, Mapping) and one.get("resolutionSeconds") == 20 for one in configurations
    )


def _services_behind(scenario: Scenario, name: str) -> tuple[tuple[str, str], ...]:
    """Return the services whose target groups a balancer forwards to, by any rule; those that the timeline creates, too."""
    balancer = next(b for b in scenario.load_balancers if b.name == name)
    groups = {g for listener in balancer.listeners for a in listener.actions for g in map(tail, forwards_to(a))}
    return tuple(
        dict.fromkeys(
            (tail(service.cluster), service.service_name)
            for service in _services(scenario)
            if any(tail(b.target_group_arn) in groups for b in service.load_balancers)
        )
    )


def _services(scenario: Scenario) -> list[CreateService]:
    """Return the services of a scenario, those of its timeline last."""
    return [*scenario.services, *(e.create_service for e in scenario.timeline if e.create_service is not None)]
