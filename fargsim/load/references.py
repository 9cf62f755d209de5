"""Rules between the parts of a scenario: every name that is used exists, and what is put together fits.

These are the rules by which the AWS APIs refuse a request, told before anything runs.

Sources: Amazon ECS API Reference, API_CreateService.html, API_RunTask.html; Amazon ECS Developer Guide, fargate-tasks-services.html;
Elastic Load Balancing API Reference, API_CreateTargetGroup.html.
"""

from __future__ import annotations

from collections.abc import Iterator

from fargsim.load.capacity import capacity_faults
from fargsim.load.deployments import deployment_faults
from fargsim.load.launch import Launches
from fargsim.load.names import FARGATE_PROVIDERS, Names, tail, unknown
from fargsim.load.scaling import scaling_faults
from fargsim.load.shifts import reached_groups, rules_of, shift_reference_faults
from fargsim.load.surroundings import surroundings_faults
from fargsim.load.work import credit_faults, work_faults
from fargsim.model.balancer_attributes import Kind
from fargsim.model.balancing import Action, Listener, forwards_to, too_many
from fargsim.model.base import Issue, Path
from fargsim.model.scenario import Scenario
from fargsim.model.service import CreateService
from fargsim.model.timeline import TimelineEntry


def reference_faults(scenario: Scenario, names: Names) -> Iterator[Issue]:
    """Yield every dangling name and every combination that AWS refuses.

    Parameters
    ----------
    scenario
        The parts that are sound by themselves.
    names
        The names of all parts.
    """
    launches = Launches(scenario, names)
    yield from _twice(scenario)
    yield from _behaviour(scenario, names, launches)
    yield from _network(scenario, names)
    yield from surroundings_faults(scenario)
    yield from _capacity(scenario, names)
    yield from capacity_faults(scenario, names)
    for n, service in enumerate(scenario.services):
        yield from launches.service_faults(service, ("services", n))
    yield from deployment_faults(scenario, names)
    yield from shift_reference_faults(scenario, names)
    yield from _scaling(scenario, names)
    yield from _traffic(scenario, names, launches)
    yield from work_faults(scenario, names)
    yield from credit_faults(scenario)
    for n, job in enumerate(scenario.jobs):
        yield from launches.launch_faults(job.run_task, ("jobs", n, "run_task"))
    yield from _timeline(scenario, names, launches)


def _twice(scenario: Scenario) -> Iterator[Issue]:
    named: list[tuple[str, str, list[str]]] = [
        ("clusters", "clusterName", [c.cluster_name for c in scenario.clusters]),
        ("loadBalancers", "Name", [b.name for b in scenario.load_balancers]),
        ("targetGroups", "Name", [g.name for g in scenario.target_groups]),
        ("launchTemplates", "LaunchTemplateName", [t.launch_template_name for t in scenario.launch_templates]),
        (
            "autoScalingGroups",
            "AutoScalingGroupName",
            [g.auto_scaling_group_name for g in scenario.auto_scaling_groups],
        ),
        ("capacityProviders", "name", [p.name for p in scenario.capacity_providers]),
        ("services", "serviceName", [f"{tail(s.cluster)}/{s.service_name}" for s in scenario.services]),
        ("scaling", "service", [f"{tail(s.cluster)}/{s.service}" for s in scenario.scaling]),
        ("traffic", "name" if any(t.name for t in scenario.traffic) else "to", [t.stream for t in scenario.traffic]),
        ("jobs", "name", [j.name for j in scenario.jobs]),
    ]
    for section, key, found in named:
        for n, name in enumerate(found):
            if name in found[:n]:
                shown = name.removeprefix("default/")
                hint = ": give each a name of its own" if section == "traffic" else ""
                yield Issue((section, n, key), f"'{shown}' stands twice in {section}{hint}")


def _behaviour(scenario: Scenario, names: Names, launches: Launches) -> Iterator[Issue]:
    for key, behaviour in scenario.behaviour.items():
        message = launches.revision_fault(key)
        if message is not None:
            yield Issue(("behaviour", key), message)
            continue
        definition = launches.definition(key)
        if definition is None:
            continue
        containers = [c.name for c in definition.container_definitions]
        for name in behaviour.containers:
            if name not in containers:
                yield Issue(("behaviour", key, "containers", name), unknown("container", name, containers))


def _subnet_faults(subnets: tuple[str, ...], names: Names, path: Path, *, each: bool = True) -> Iterator[Issue]:
    # a scenario that declares no subnets takes any names: they are spread over the zones
    for n, subnet in enumerate(subnets):
        if names.subnets and subnet not in names.subnets:
            yield Issue((*path, n) if each else path, unknown("subnet", subnet, names.subnets))


def _repeated(values: list[int], n: int, path: Path, where: str) -> Iterator[Issue]:
    if values[n] in values[:n]:
        yield Issue(path, f"{values[n]} stands twice in {where}")


def _network(scenario: Scenario, names: Names) -> Iterator[Issue]:
    for n, name in enumerate(names.subnets):
        if name in names.subnets[:n]:
            yield Issue(("network", "subnets", n, "SubnetId"), f"'{name}' stands twice in subnets")
    for n, target_group in enumerate(scenario.target_groups):
        conflict = target_group.conflict()
        if conflict is not None:
            yield Issue(("targetGroups", n, "Attributes"), conflict)
    kinds = {group.name: group for group in scenario.target_groups}
    owners: dict[str, str] = {}
    for n, balancer in enumerate(scenario.load_balancers):
        yield from _subnet_faults(balancer.subnets, names, ("loadBalancers", n, "Subnets"))
        conflict = balancer.conflict()
        if conflict is not None:
            yield Issue(("loadBalancers", n, "Attributes"), conflict)
        for m, listener in enumerate(balancer.listeners):
            at: Path = ("loadBalancers", n, "Listeners", m)
            lists = [((*at, "DefaultActions"), listener.default_actions)]
            lists += [((*at, "Rules", r, "Actions"), rule.actions) for r, rule in enumerate(listener.rules)]
            yield from (Issue(path, more) for path, found in lists if (more := too_many(found)) is not None)
            yield from _protocol_faults(listener, balancer.type, at)
            actions = [((*path, k), action) for path, found in lists for k, action in enumerate(found)]
            yield from _repeated([x.port for x in balancer.listeners], m, (*at, "Port"), "Listeners")
            for r in range(len(listener.rules)):
                yield from _repeated([x.priority for x in listener.rules], r, (*at, "Rules", r, "Priority"), "Rules")
            for path, action in actions:
                if not forwards_to(action):
                    yield Issue(path, "a forward action needs TargetGroupArn, or ForwardConfig with TargetGroups")
                key = "ForwardConfig" if action.forward_config is not None else "TargetGroupArn"
                for group in map(tail, forwards_to(action)):
                    if group not in names.target_groups:
                        yield Issue((*path, key), unknown("target group", group, names.target_groups))
                    misplaced = kinds[group].misplaced(balancer.type) if group in kinds else None
                    if misplaced is not None:
                        yield Issue((*path, key), misplaced)
                    if owners.setdefault(group, balancer.name) != balancer.name:
                        text = f"target group {group} belongs to load balancer {owners[group]}: to one only"
                        yield Issue((*path, key), text)


def _protocol_faults(listener: Listener, kind: Kind, path: Path) -> Iterator[Issue]:
    misplaced = listener.misplaced(kind)
    if misplaced is not None:
        yield Issue((*path, "Protocol"), misplaced)
    elif listener.lacks_certificate:
        yield Issue((*path, "Certificates"), f"a certificate must be specified for {listener.protocol} listeners")


def _capacity(scenario: Scenario, names: Names) -> Iterator[Issue]:
    groups = {g.auto_scaling_group_name: g for g in scenario.auto_scaling_groups}
    taken: dict[str, str] = {}
    for n, group in enumerate(scenario.auto_scaling_groups):
        path: Path = ("autoScalingGroups", n)
        template = group.template.launch_template_name
        if template not in names.launch_templates:
            at = (*path, *group.template_path, "LaunchTemplateName")
            yield Issue(at, unknown("launch template", template, names.launch_templates))
        if tail(group.cluster) not in names.clusters:
            yield Issue((*path, "cluster"), unknown("cluster", tail(group.cluster), names.clusters))
        yield from _subnet_faults(group.subnets, names, (*path, "VPCZoneIdentifier"), each=False)
    for n, provider in enumerate(scenario.capacity_providers):
        path = ("capacityProviders", n)
        settings = provider.asg
        name = tail(settings.auto_scaling_group_arn)
        managed = provider.managed_instances_provider
        if managed is not None:
            at = (*path, "managedInstancesProvider", "instanceLaunchTemplate", "networkConfiguration", "subnets")
            subnets = managed.instance_launch_template.network_configuration.subnets
            yield from _subnet_faults(subnets, names, at)
        elif name not in names.auto_scaling_groups:
            at = (*path, "autoScalingGroupProvider", "autoScalingGroupArn")
            yield Issue(at, unknown("Auto Scaling group", name, names.auto_scaling_groups))
        if provider.cluster is not None and tail(provider.cluster) not in names.clusters:
            yield Issue((*path, "cluster"), unknown("cluster", tail(provider.cluster), names.clusters))
        protected = name not in groups or groups[name].new_instances_protected_from_scale_in
        protection = settings.managed_termination_protection == "ENABLED"
        at = (*path, "autoScalingGroupProvider")
        if protection and not protected:
            message = f"ENABLED needs NewInstancesProtectedFromScaleIn: true in the Auto Scaling group {name}"
            yield Issue((*at, "managedTerminationProtection"), message)
        scales = settings.managed_scaling.status == "ENABLED"
        if protection and not scales:
            message = "ENABLED needs managedScaling with status ENABLED: without it the protection does not work"
            yield Issue((*at, "managedTerminationProtection"), message)
        if scales and name in groups and not groups[name].max_size:
            message = f"managed scaling needs a MaxSize above 0, and the Auto Scaling group {name} has 0: ECS does not change it"
            yield Issue((*at, "managedScaling"), message)
        if managed is None and name in taken:
            yield Issue((*at, "autoScalingGroupArn"), f"{name} has the capacity provider {taken[name]} already")
        taken.setdefault(name, provider.name)
    legal = [*FARGATE_PROVIDERS, *names.capacity_providers]
    for n, cluster in enumerate(scenario.clusters):
        for m, provider_name in enumerate(cluster.capacity_providers):
            if provider_name not in legal:
                yield Issue(("clusters", n, "capacityProviders", m), unknown("capacity provider", provider_name, legal))
        for m, item in enumerate(cluster.default_capacity_provider_strategy):
            at = ("clusters", n, "defaultCapacityProviderStrategy", m, "capacityProvider")
            if item.capacity_provider not in legal:
                yield Issue(at, unknown("capacity provider", item.capacity_provider, legal))
            elif item.capacity_provider not in cluster.associated:
                message = f"{item.capacity_provider} is not among the capacityProviders of the cluster: "
                yield Issue(at, message + ", ".join(cluster.associated))


def _service_fault(service: str, cluster: str, names: Names, path: Path, key: str = "service") -> Iterator[Issue]:
    cluster = tail(cluster)
    if cluster not in names.clusters:
        yield Issue((*path, "cluster"), unknown("cluster", cluster, names.clusters))
        return
    known = names.services.get(cluster, [])
    if tail(service) in known:
        return
    owners = [c for c, services in names.services.items() if tail(service) in services]
    if owners and all(owner in names.clusters for owner in owners):
        yield Issue(
            (*path, key), f"service {tail(service)} is in cluster {owners[0]}, not in {cluster}: say which cluster"
        )
    elif not owners:
        where = "" if cluster == "default" else f" in cluster {cluster}"
        yield Issue((*path, key), unknown(f"service{where}", tail(service), known))


def _services_now_and_later(scenario: Scenario) -> dict[tuple[str, str], CreateService]:
    created = [e.create_service for e in scenario.timeline if e.create_service is not None]
    # of two services of one name, which is a fault of its own, the first is meant
    return {(tail(s.cluster), s.service_name): s for s in (*reversed(created), *reversed(scenario.services))}


def _scaling(scenario: Scenario, names: Names) -> Iterator[Issue]:
    for n, target in enumerate(scenario.scaling):
        yield from _service_fault(target.service, target.cluster, names, ("scaling", n))
    yield from scaling_faults(scenario, names, _services_now_and_later(scenario))


def _traffic(scenario: Scenario, names: Names, launches: Launches) -> Iterator[Issue]:
    services = _services_now_and_later(scenario)
    _, sound = reached_groups(scenario, names)
    for n, traffic in enumerate(scenario.traffic):
        path: Path = ("traffic", n)
        yield from _service_fault(traffic.to, traffic.cluster, names, path, "to")
        if traffic.listener is not None and sound and traffic.listener not in rules_of(scenario):
            yield Issue((*path, "listener"), unknown("listener or rule", traffic.listener, rules_of(scenario)))
        service = services.get((tail(traffic.cluster), traffic.to))
        if service is None:
            continue
        if not service.load_balancers:
            message = f"service {traffic.to} has no loadBalancers, so no request can reach it"
            yield Issue((*path, "to"), message)
        unsaid = launches.request_fault(service)
        if unsaid is not None:
            yield Issue((*path, "to"), unsaid)
    yield from _company_of_users(scenario, services)


def _company_of_users(scenario: Scenario, services: dict[tuple[str, str], CreateService]) -> Iterator[Issue]:
    """Tell of users whose target group other traffic reaches, too: the simulator lets them have it alone."""
    found = [services.get((tail(t.cluster), t.to)) for t in scenario.traffic]
    reached = [tail(s.load_balancers[0].target_group_arn) if s and s.load_balancers else None for s in found]
    for n, traffic in enumerate(scenario.traffic):
        others = [m for m, group in enumerate(reached) if group is not None and group == reached[n] and m != n]
        if traffic.rate.users is not None and others:
            message = f"users are the only traffic of a target group: traffic[{others[0]}] reaches {reached[n]}, too"
            yield Issue(("traffic", n, "rate", "users"), message)


def _shifts(entry: TimelineEntry) -> Iterator[tuple[str, str, str, tuple[Action, ...]]]:
    """Yield the verbs that change where a listener or rule forwards: verb, key of its name, its name, actions."""
    if entry.modify_listener is not None:
        shift = entry.modify_listener
        yield "elbv2.modify_listener", "ListenerArn", shift.listener_arn, shift.default_actions
    if entry.modify_rule is not None:
        yield "elbv2.modify_rule", "RuleArn", entry.modify_rule.rule_arn, entry.modify_rule.actions


def _forwarded_since(scenario: Scenario) -> dict[str, tuple[int, int]]:
    """Return the target groups that the timeline forwards to, and since when: the instant and the place of the first such entry."""
    found: dict[str, tuple[int, int]] = {}
    for n, entry in sorted(enumerate(scenario.timeline), key=lambda item: item[1].at):
        for *_, actions in _shifts(entry):
            for group in (g for action in actions for g in forwards_to(action)):
                found.setdefault(tail(group), (entry.at, n))
    return found


def _attributes(scenario: Scenario, entry: TimelineEntry, names: Names, path: Path) -> Iterator[Issue]:
    """Yield dangling names of the verbs that change attributes of target groups and load balancers."""
    of_group, of_balancer = entry.modify_target_group_attributes, entry.modify_load_balancer_attributes
    if of_group is not None and tail(of_group.target_group_arn) not in names.target_groups:
        at = (*path, "elbv2.modify_target_group_attributes", "TargetGroupArn")
        yield Issue(at, unknown("target group", tail(of_group.target_group_arn), names.target_groups))
    known = [balancer.name for balancer in scenario.load_balancers]
    if of_balancer is not None and tail(of_balancer.load_balancer_arn) not in known:
        at = (*path, "elbv2.modify_load_balancer_attributes", "LoadBalancerArn")
        yield Issue(at, unknown("load balancer", tail(of_balancer.load_balancer_arn), known))


def _timeline(scenario: Scenario, names: Names, launches: Launches) -> Iterator[Issue]:
    forwarded = _forwarded_since(scenario)
    for n, entry in enumerate(scenario.timeline):
        path: Path = ("timeline", n)
        if entry.create_service is not None:
            by_then = {group for group, since in forwarded.items() if since < (entry.at, n)}
            yield from launches.service_faults(entry.create_service, (*path, "ecs.create_service"), by_then)
        if entry.run_task is not None:
            yield from launches.launch_faults(entry.run_task, (*path, "ecs.run_task"))
        update = entry.update_service
        if update is not None:
            at = (*path, "ecs.update_service")
            yield from _service_fault(update.service, update.cluster, names, at)
            yield from launches.update_faults(update, at)
        stop = entry.stop_task
        if stop is not None and stop.service is not None:
            yield from _service_fault(stop.service, stop.cluster, names, (*path, "ecs.stop_task"))
        for key, about in (
            ("ecs.stop_service_deployment", entry.stop_service_deployment),
            ("ecs.continue_service_deployment", entry.continue_service_deployment),
            ("ecs.update_task_protection", entry.update_task_protection),
        ):
            if about is not None and about.service is not None:
                yield from _service_fault(about.service, about.cluster, names, (*path, key))
        for key, field, name, actions in _shifts(entry):
            at = (*path, key)
            if name not in rules_of(scenario) and not name.startswith("arn:") and scenario.load_balancers:
                yield Issue((*at, field), unknown("listener or rule", name, rules_of(scenario)))
            for group in (g for action in actions for g in map(tail, forwards_to(action))):
                if group not in names.target_groups:
                    yield Issue(at, unknown("target group", group, names.target_groups))
        yield from _attributes(scenario, entry, names, path)
        resize = entry.set_desired_capacity
        if resize is not None and tail(resize.auto_scaling_group_name) not in names.auto_scaling_groups:
            at = (*path, "autoscaling.set_desired_capacity", "AutoScalingGroupName")
            yield Issue(
                at, unknown("Auto Scaling group", tail(resize.auto_scaling_group_name), names.auto_scaling_groups)
            )
        for fault in ("task_crash", "task_hang"):
            found = getattr(entry.fault, fault) if entry.fault is not None else None
            if found is not None:
                yield from _service_fault(found.service, found.cluster, names, (*path, "fault", fault))
        for of, group in _named_groups(entry):
            if tail(group) not in names.auto_scaling_groups:
                at = (*path, *of, "auto_scaling_group")
                yield Issue(at, unknown("Auto Scaling group", tail(group), names.auto_scaling_groups))
        start = entry.start_task
        if start is not None:
            message = launches.revision_fault(start.task_definition)
            if message is not None:
                yield Issue((*path, "ecs.start_task", "taskDefinition"), message)


def _named_groups(entry: TimelineEntry) -> Iterator[tuple[Path, str]]:
    """Yield the Auto Scaling groups whose instances an entry means, and where it names them."""
    if entry.fault is not None:
        for fault in ("instance_loss", "agent_disconnected"):
            found = getattr(entry.fault, fault)
            if found is not None and found.auto_scaling_group is not None:
                yield ("fault", fault), found.auto_scaling_group
    for verb in ("start_task", "update_container_instances_state", "deregister_container_instance", "put_attributes"):
        some = getattr(entry, verb)
        if some is not None and some.auto_scaling_group is not None:
            yield (f"ecs.{verb}",), some.auto_scaling_group
