"""Rules between scaling, alarms and the services they are about.

Sources: Application Auto Scaling API Reference, API_PutScalingPolicy.html, API_PutScheduledAction.html; Amazon CloudWatch API Reference,
API_PutMetricAlarm.html; Amazon ECS Developer Guide, target-tracking-faster-auto-scaling.html.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import timedelta

from fargsim.load.names import Names, tail, unknown
from fargsim.model.alarms import CompositeAlarm, MetricAlarm, MetricDataQuery
from fargsim.model.balancer_metrics import METRICS
from fargsim.model.base import Issue, Path
from fargsim.model.scaling import (
    HIGH_RESOLUTION,
    ScalableTarget,
    ScalingPolicy,
    ScheduledAction,
    controller_fault,
    out_of_reach,
)
from fargsim.model.scaling_verbs import DeregisterScalableTarget
from fargsim.model.scenario import Scenario
from fargsim.model.service import CreateService
from fargsim.model.timeline import TimelineEntry

Services = Mapping[tuple[str, str], CreateService]


def scaling_faults(scenario: Scenario, names: Names, services: Services) -> Iterator[Issue]:
    """Yield the faults of scalable targets and alarms that do not lie in their shapes.

    Parameters
    ----------
    services
        Every service, also those that the timeline creates, by cluster and name.
    """
    for n, target in enumerate(scenario.scaling):
        yield from _target(scenario, target, services, ("scaling", n))
    for n, alarm in enumerate(scenario.alarms):
        path: Path = ("alarms", n)
        if alarm.alarm_name in [a.alarm_name for a in scenario.alarms[:n]]:
            yield Issue((*path, "AlarmName"), f"'{alarm.alarm_name}' stands twice in alarms")
        yield from _alarm(scenario, alarm, services, path)
    sound = set(_sound_alarms(scenario))
    made = [name for name in names.alarms if name not in sound]  # what is at fault is told by itself
    made += [alarm.alarm_name for alarm in scenario.alarms]
    for n, composite in enumerate(scenario.composite_alarms):
        path = ("compositeAlarms", n)
        if composite.alarm_name in made:
            yield Issue((*path, "AlarmName"), f"there is an alarm '{composite.alarm_name}' already")
        yield from _composite(composite, made, path)
        made.append(composite.alarm_name)
    for n, entry in sorted(enumerate(scenario.timeline), key=lambda item: item[1].at):
        put = entry.put_metric_alarm
        if put is not None:
            made.append(put.alarm_name)
            yield from _alarm(scenario, put, services, ("timeline", n, "cloudwatch.put_metric_alarm"))
        if entry.put_composite_alarm is not None:
            yield from _composite(entry.put_composite_alarm, made, ("timeline", n, "cloudwatch.put_composite_alarm"))
            made.append(entry.put_composite_alarm.alarm_name)
        for where, name in _alarms_meant(entry):
            message = _no_alarm(name.rsplit(":alarm:", 1)[-1], made)
            if message is not None:
                yield Issue(("timeline", n, *where), f"by then {message}")
        registered = entry.register_scalable_target
        if registered is not None:
            at: Path = ("timeline", n, "application_autoscaling.register_scalable_target")
            yield from _target(scenario, registered, services, at, entry.at)
        for verb, spec in (
            ("put_scaling_policy", entry.put_scaling_policy),
            ("put_scheduled_action", entry.put_scheduled_action),
            ("delete_scaling_policy", entry.delete_scaling_policy),
            ("delete_scheduled_action", entry.delete_scheduled_action),
            ("deregister_scalable_target", entry.deregister_scalable_target),
        ):
            if spec is not None:
                yield from _later(
                    scenario, spec, services, ("timeline", n, f"application_autoscaling.{verb}"), entry.at
                )


def _later(
    scenario: Scenario,
    spec: ScalingPolicy | ScheduledAction | DeregisterScalableTarget,
    services: Services,
    path: Path,
    at_us: int,
) -> Iterator[Issue]:
    """Yield the faults of a policy or an action that the timeline adds or takes away."""
    parts = (spec.resource_id or "").split("/")
    if len(parts) != 3 or parts[0] != "service":
        yield Issue((*path, "ResourceId"), "must say which service: write service/CLUSTER/SERVICE")
        return
    service = services.get((tail(parts[1]), parts[2]))
    if service is None:
        known = [f"service/{c}/{s}" for c, s in services]
        yield Issue((*path, "ResourceId"), unknown("scalable target", spec.resource_id or "", known))
    elif isinstance(spec, ScalingPolicy):
        yield from _policy(spec, service, path)
    elif isinstance(spec, ScheduledAction):
        yield from _action(scenario, spec, path, at_us)


def _target(
    scenario: Scenario, target: ScalableTarget, services: Services, path: Path, at_us: int = 0
) -> Iterator[Issue]:
    service = services.get((tail(target.cluster), tail(target.service)))
    if service is not None and service.scheduling_strategy == "DAEMON":
        message = f"service {target.service} is a DAEMON, which has no desired count to scale"
        yield Issue((*path, "service"), message)
    for n, policy in enumerate(target.policies):
        if service is not None:
            yield from _policy(policy, service, (*path, "policies", n))
    for n, action in enumerate(target.scheduled_actions):
        at: Path = (*path, "scheduled_actions", n)
        yield from _action(scenario, action, at, at_us)
        if at_us:  # what was scheduled before stays, and may make room for it
            continue
        fault = out_of_reach(action, target.min_capacity, target.max_capacity, target.scheduled_actions)
        if fault is not None:
            yield Issue((*at, "ScalableTargetAction"), fault)


def _policy(policy: ScalingPolicy, service: CreateService, path: Path) -> Iterator[Issue]:
    tracking = policy.target_tracking_scaling_policy_configuration
    if tracking is not None:
        at: Path = (*path, "TargetTrackingScalingPolicyConfiguration")
        predefined, custom = tracking.predefined_metric_specification, tracking.customized_metric_specification
        if predefined is not None:
            here: Path = (*at, "PredefinedMetricSpecification", "PredefinedMetricType")
            yield from _metric(predefined.predefined_metric_type, service, here)
        if custom is not None and custom.metrics:
            yield from _expressions(custom.queries(), (*at, "CustomizedMetricSpecification", "Metrics"))
    predictive = policy.predictive_scaling_policy_configuration
    if predictive is not None:
        for n, metric in enumerate(predictive.metric_specifications):
            here = (*path, "PredictiveScalingPolicyConfiguration", "MetricSpecifications", n)
            if metric.predefined_metric_pair_specification is not None:
                here = (*here, "PredefinedMetricPairSpecification", "PredefinedMetricType")
            else:
                here = (*here, "PredefinedLoadMetricSpecification", "PredefinedMetricType")
            yield from _metric(metric.pair.predefined_metric_type, service, here)


def _metric(kind: str, service: CreateService, path: Path) -> Iterator[Issue]:
    controller = controller_fault(kind, service.deployment_controller.type)
    if controller is not None:
        yield Issue(path, controller)
    if kind.startswith("ALBRequestCount") and not service.load_balancers:
        yield Issue(path, f"{kind} needs a load balancer, which service {service.service_name} has not")
    if HIGH_RESOLUTION in kind:
        name = "CPUUtilization" if "CPU" in kind else "MemoryUtilization"
        if service.monitoring is None or name not in service.monitoring.high_resolution:
            message = f"{kind} needs {name} at resolutionSeconds 20 in the monitoring of service {service.service_name}"
            yield Issue(path, message)


def _action(scenario: Scenario, action: ScheduledAction, path: Path, at_us: int) -> Iterator[Issue]:
    now = scenario.start + timedelta(microseconds=at_us)
    begin = action.start_time
    first = next(action.when().after(max(now, begin or now), begin), None)
    if begin is not None and begin >= now and action.when().at is None:
        first = begin
    if first is None or (action.end_time is not None and first > action.end_time):
        yield Issue((*path, "Schedule"), f"'{action.schedule}' never fires after {now:%Y-%m-%dT%H:%M:%SZ}")


def _alarm(scenario: Scenario, alarm: MetricAlarm, services: Services, path: Path) -> Iterator[Issue]:
    if alarm.metrics:
        yield from _expressions(alarm.metrics, (*path, "Metrics"))
    else:
        named = {d.name: (n, d.value) for n, d in enumerate(alarm.dimensions)}
        if alarm.namespace == "AWS/ECS" and "ServiceName" in named:
            n, name = named["ServiceName"]
            cluster = tail(named.get("ClusterName", (0, "default"))[1])
            if (cluster, name) not in services:
                known = [s for c, s in services if c == cluster]
                yield Issue((*path, "Dimensions", n, "Value"), unknown(f"service in cluster {cluster}", name, known))
        if alarm.namespace in METRICS:
            for key, what, known in (
                ("TargetGroup", "target group", [g.name for g in scenario.target_groups]),
                ("LoadBalancer", "load balancer", [b.name for b in scenario.load_balancers]),
            ):
                n, name = named.get(key, (0, ""))
                if name and (name.split("/")[1] if "/" in name else name) not in known:
                    yield Issue((*path, "Dimensions", n, "Value"), unknown(what, name, known))
    policies = [p.policy_name for t in scenario.scaling for p in t.policies]
    for key, actions in (
        ("AlarmActions", alarm.alarm_actions),
        ("OKActions", alarm.ok_actions),
        ("InsufficientDataActions", alarm.insufficient_data_actions),
    ):
        for n, action in enumerate(actions):
            if not action.startswith("arn:") and policies.count(action) != 1:
                several = action in policies
                message = (
                    f"several policies are called '{action}': give each a name of its own"
                    if several
                    else unknown("scaling policy", action, policies)
                )
                yield Issue((*path, key, n), message)


def _sound_alarms(scenario: Scenario) -> Iterator[str]:
    yield from (alarm.alarm_name for alarm in scenario.alarms)
    yield from (alarm.alarm_name for alarm in scenario.composite_alarms)
    for entry in scenario.timeline:
        if entry.put_metric_alarm is not None:
            yield entry.put_metric_alarm.alarm_name
        if entry.put_composite_alarm is not None:
            yield entry.put_composite_alarm.alarm_name


def _composite(alarm: CompositeAlarm, made: list[str], path: Path) -> Iterator[Issue]:
    from fargsim.policy.alarm_rule import RuleError, parse_rule

    at: Path = (*path, "AlarmRule")
    try:
        names = parse_rule(alarm.alarm_rule).names
    except RuleError as fault:
        yield Issue(at, str(fault))
        return
    for name in names:
        message = _no_alarm(name, made)
        if message is not None:
            yield Issue(at, message)


def _no_alarm(name: str, made: list[str]) -> str | None:
    """Say that there is no such alarm; None when there is, or may be: those of a target tracking policy are made for it."""
    return None if name in made or name.startswith("TargetTracking-") else unknown("alarm", name, made)


def _alarms_meant(entry: TimelineEntry) -> Iterator[tuple[Path, str]]:
    """Yield the alarms that an entry takes away, switches or puts into a state, and where it names them."""
    for verb in ("delete_alarms", "enable_alarm_actions", "disable_alarm_actions"):
        named = getattr(entry, verb)
        for m, name in enumerate(() if named is None else named.alarm_names):
            yield (f"cloudwatch.{verb}", "AlarmNames", m), name
    if entry.set_alarm_state is not None:
        yield ("cloudwatch.set_alarm_state", "AlarmName"), entry.set_alarm_state.alarm_name


def _expressions(queries: tuple[MetricDataQuery, ...], path: Path) -> Iterator[Issue]:
    from fargsim.policy.metric_math import MathError, parse

    ids = [q.id for q in queries]
    uses: dict[str, frozenset[str]] = {}
    for n, query in enumerate(queries):
        if query.expression is None:
            continue
        try:
            uses[query.id] = parse(query.expression, ids).names
        except MathError as fault:
            yield Issue((*path, n, "Expression"), str(fault))
    for n, query in enumerate(queries):
        if _leads_to(query.id, uses, uses.get(query.id, frozenset())):
            yield Issue((*path, n, "Expression"), f"{query.id} leads back to itself")


def _leads_to(name: str, uses: Mapping[str, frozenset[str]], found: frozenset[str]) -> bool:
    """Whether expressions that use each other come back to one of them."""
    reached = set(found)
    while True:
        more = reached | {inner for outer in reached for inner in uses.get(outer, ())}
        if name in more:
            return True
        if more == reached:
            return False
        reached = more
