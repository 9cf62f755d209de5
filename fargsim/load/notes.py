"""What a user should know about a sound scenario: values that no source gives, and things that are probably not meant."""

from __future__ import annotations

from collections.abc import Iterator

from fargsim.load.capacity import capacity_notes
from fargsim.load.deployments import deployment_notes
from fargsim.load.launch import Launches
from fargsim.load.names import Names, read_names, tail
from fargsim.load.unsimulated import unsimulated
from fargsim.model.balancer_metrics import never_there
from fargsim.model.quantity import format_duration
from fargsim.model.scaling import HIGH_RESOLUTION
from fargsim.model.scenario import Scenario
from fargsim.model.service import CreateService, RunTask
from fargsim.model.target_control import lacks_agent


def load_notes(scenario: Scenario) -> tuple[str, ...]:
    """Return notes on a scenario: not faults, each one sentence.

    An assumed value of the catalogue is named when this scenario uses it and does not set it under ``assumptions``.
    """
    names = read_names(scenario.model_dump(mode="json", by_alias=True))
    launches = Launches(scenario, names)
    return tuple(
        dict.fromkeys(
            (
                *_assumed(scenario, launches),
                *_odd(scenario, launches, names),
                *unsimulated(scenario),
                *capacity_notes(scenario),
                *deployment_notes(scenario),
                *_expressions(scenario),
                *_unseen(scenario),
                *_uncontrolled(scenario, launches),
            )
        )
    )


def _services(scenario: Scenario) -> list[CreateService]:
    return [*scenario.services, *(e.create_service for e in scenario.timeline if e.create_service is not None)]


def used_assumptions(scenario: Scenario, launches: Launches) -> list[str]:
    """Return the names of the parameters without a source that this scenario uses and does not set."""
    specs: list[CreateService | RunTask] = [*_services(scenario)]
    specs += [j.run_task for j in scenario.jobs]
    kinds = {launches.kind(s) for s in specs}
    strategies = [
        *(s.capacity_provider_strategy for s in specs),
        *(c.default_capacity_provider_strategy for c in scenario.clusters),
    ]
    spot = any(i.capacity_provider == "FARGATE_SPOT" for items in strategies for i in items)
    ec2_spot = any(
        t.launch_template_data.instance_market_options is not None for t in scenario.launch_templates
    ) or any(
        g.mixed_instances_policy is not None
        and g.mixed_instances_policy.instances_distribution.on_demand_percentage_above_base_capacity < 100
        for g in scenario.auto_scaling_groups
    )
    warm = any(g.warm_pool_configuration is not None for g in scenario.auto_scaling_groups)
    managed = any(p.managed_instances_provider is not None for p in scenario.capacity_providers)
    used: dict[str, bool] = {
        "bytes_per_request": scenario.billing.bytes_per_request is None and bool(scenario.load_balancers),
        "connections_per_request": scenario.billing.connections_per_request is None and bool(scenario.load_balancers),
        "connection_lifetime_s": bool(scenario.load_balancers),
        "rules_per_listener": bool(scenario.load_balancers),
        "reg_delay_s": bool(scenario.target_groups),
        "root_volume_gib": any(not t.launch_template_data.block_device_mappings for t in scenario.launch_templates),
        "registered_memory_factor": bool(scenario.auto_scaling_groups),
        "running_to_registered_s": bool(scenario.auto_scaling_groups),
        "ec2_pull_rate_mib_per_s": "EC2" in kinds,
        "service_reaction_s": bool(scenario.services),
        "scheduler_tick_s": bool(scenario.services),
        "start_min_s": "FARGATE" in kinds,
        "start_max_s": "FARGATE" in kinds,
        "deprovision_s": "FARGATE" in kinds,
        "spot_interruptions_per_task_hour": spot,
        "spot_capacity_available": spot,
        "ec2_spot_hazard_scale": ec2_spot,
        "spot_rebalance_lead_s": ec2_spot,
        "warm_to_registered_s": warm,
        "mi_scale_in_after_s": managed,
        "mi_launch_delay_s": managed,
        "image_mib": _image_unknown(scenario),
        "default_zones": not scenario.network.subnets,
        "custom_metric_publish_lag_s": bool(scenario.metrics),
        "alarm_high_datapoints_high_resolution": _tracks_finely(scenario),
        "alarm_low_datapoints_high_resolution": _tracks_finely(scenario),
        **_billing_assumptions(scenario),
    }
    return [name for name, true in used.items() if true and name not in scenario.assumptions]


def _billing_assumptions(scenario: Scenario) -> dict[str, bool]:
    """Say which assumed figures the bill of a scenario rests on, its load balancers aside."""
    plans, reserved = scenario.billing.savings_plans, scenario.billing.reserved_instances
    standard = {p.years for p in plans if p.savings_plan_type == "EC2Instance"}
    standard |= {r.years for r in reserved if r.offering_class == "standard"}
    convertible = {r.years for r in reserved if r.offering_class == "convertible"}
    if scenario.auto_scaling_groups:
        convertible |= {p.years for p in plans if p.savings_plan_type == "Compute"}
    payments = {*(p.payment_option for p in plans), *(r.offering_type for r in reserved)}
    insights = {s.value for c in scenario.clusters for s in c.settings if s.name == "containerInsights"}
    some, enhanced = bool(insights - {"disabled"}), "enhanced" in insights
    return {
        **{f"ec2_instance_plan_{years}y_saving_percent": years in standard for years in (1, 3)},
        **{f"compute_plan_{years}y_saving_percent": years in convertible for years in (1, 3)},
        "partial_upfront_share": "Partial Upfront" in payments,
        "managed_instances_fee_percent": any(
            p.managed_instances_provider is not None for p in scenario.capacity_providers
        ),
        "container_insights_metrics_per_cluster": some,
        "container_insights_metrics_per_service": some,
        "container_insights_metrics_per_family": some,
        "container_insights_metrics_per_task": enhanced,
        "container_insights_metrics_per_container": enhanced,
    }


def _tracks_finely(scenario: Scenario) -> bool:
    tracked = [p.target_tracking_scaling_policy_configuration for t in scenario.scaling for p in t.policies]
    return any(HIGH_RESOLUTION in (t.predefined or "") for t in tracked if t is not None)


def _image_unknown(scenario: Scenario) -> bool:
    told = {key.partition(":")[0] for key, b in scenario.behaviour.items() if b.image is not None}
    return any(d.family not in told for d in scenario.task_definitions)


def _assumed(scenario: Scenario, launches: Launches) -> Iterator[str]:
    from fargsim.catalog import parameters

    known = parameters()
    names = [n for n in used_assumptions(scenario, launches) if n in known]
    for note in known.notes(names):
        yield f"no source gives a figure for {note}"
    for name in scenario.behaviour:
        if scenario.behaviour[name].speed != 1.0:
            yield f"behaviour.{name}.speed is {scenario.behaviour[name].speed:g}: an assumption of this scenario"


def _odd(scenario: Scenario, launches: Launches, names: Names) -> Iterator[str]:
    clusters = {tail(g.cluster) for g in scenario.auto_scaling_groups}
    for service in _services(scenario):
        if launches.kind(service) == "EC2" and tail(service.cluster) not in clusters:
            yield f"service {service.service_name} runs on EC2, but no Auto Scaling group joins cluster {tail(service.cluster)}"
    for job in scenario.jobs:
        reference = tail(job.run_task.task_definition)
        behaviour = scenario.behaviour.get(reference) or scenario.behaviour.get(reference.partition(":")[0])
        if behaviour is None or behaviour.run is None:
            yield f"the tasks of jobs {job.name} never end: behaviour.{reference.partition(':')[0]} has no 'run'"
    named = {tail(s.task_definition).partition(":")[0] for s in _services(scenario)}
    named |= {tail(j.run_task.task_definition).partition(":")[0] for j in scenario.jobs}
    for key in names.behaviour:
        if key.partition(":")[0] not in named and not scenario.timeline:
            yield f"behaviour.{key} is used by no service and no jobs"
    sources = [(t.stream, t.rate) for t in scenario.traffic] + [
        (j.name, j.rate) for j in scenario.jobs if j.rate is not None
    ]
    for name, rate in sources:
        ends = rate.counts.at + rate.counts.period * len(rate.counts.values) if rate.counts is not None else None
        if rate.instants:
            ends = rate.instants[-1]
        if ends is not None and ends < scenario.duration:
            yield f"the trace of {name} ends at {format_duration(ends)}, before the run does: nothing arrives after it"


def _uncontrolled(scenario: Scenario, launches: Launches) -> Iterator[str]:
    """Yield a note for every service behind a target optimizer none of whose tasks ever says that it is ready."""
    controlled = {g.name for g in scenario.target_groups if g.target_control_port is not None}
    for service in _services(scenario):
        definition = launches.definition(service.task_definition)
        groups = [tail(b.target_group_arn) for b in service.load_balancers if b.target_group_arn is not None]
        why = None if definition is None else lacks_agent(definition)
        for group in groups:
            if group in controlled and why is not None:
                yield (
                    f"target group {group} has a TargetControlPort, but tasks of service {service.service_name} never say that they are "
                    f"ready, so that every request ends in 503: {why}"
                )


def _unseen(scenario: Scenario) -> Iterator[str]:
    """Yield a note for every alarm on a metric of load balancers that never has data."""
    alarms = [*scenario.alarms, *(e.put_metric_alarm for e in scenario.timeline if e.put_metric_alarm is not None)]
    for alarm in alarms:
        for metric in (q.metric_stat.metric for q in alarm.queries if q.metric_stat is not None):
            why = never_there(metric.namespace, metric.metric_name, [d.name for d in metric.dimensions])
            if why is not None:
                yield f"alarm {alarm.alarm_name} watches {metric.namespace} {metric.metric_name}, which never has data: {why}"


def _expressions(scenario: Scenario) -> Iterator[str]:
    constraints = [c for s in _services(scenario) for c in s.placement_constraints]
    constraints += [c for j in scenario.jobs for c in j.run_task.placement_constraints]
    texts = [c.expression for c in constraints if c.expression is not None]
    texts += [c.expression for d in scenario.task_definitions for c in d.placement_constraints]
    for text in dict.fromkeys(texts):
        from fargsim.policy.cluster_query import parse

        for warning in parse(text).warnings:
            yield f"expression '{text}': {warning}"
