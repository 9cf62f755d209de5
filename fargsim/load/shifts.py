"""Rules of deployments that shift traffic between the parts of a scenario: target groups, listener rules, functions, traffic.

Source: Amazon ECS API Reference, API_AdvancedConfiguration.html, API_DeploymentLifecycleHook.html.
"""

from __future__ import annotations

from collections.abc import Iterator

from fargsim.load.names import Names, tail, unknown
from fargsim.model.balancing import forwards_to
from fargsim.model.base import Issue, Path
from fargsim.model.lifecycle import LifecycleHook
from fargsim.model.scenario import Scenario
from fargsim.model.service import CreateService, ServiceLoadBalancer
from fargsim.model.shift_rules import shifts


def rules_of(scenario: Scenario) -> list[str]:
    """Return the names of listeners and their rules, as traffic and services name them."""
    found = []
    for balancer in scenario.load_balancers:
        for listener in balancer.listeners:
            name = f"{balancer.name}:{listener.port}"
            found += [name, *(f"{name}/{rule.priority}" for rule in listener.rules)]
    return found


def reached_groups(scenario: Scenario, names: Names) -> tuple[set[str], bool]:
    """Return the target groups that listeners forward to, and whether all of these are sound.

    Where a listener is at fault itself nobody knows what it was to reach.
    """
    listeners = [listener for balancer in scenario.load_balancers for listener in balancer.listeners]
    reached = {tail(group) for x in listeners for action in x.actions for group in forwards_to(action)}
    return reached, len(scenario.load_balancers) == len(names.load_balancers) and reached <= set(names.target_groups)


def shift_reference_faults(scenario: Scenario, names: Names) -> Iterator[Issue]:
    """Yield names that are not there, and traffic that cannot be shifted."""
    created: list[tuple[Path, CreateService]] = [(("services", n), s) for n, s in enumerate(scenario.services)]
    balanced: list[tuple[Path, tuple[ServiceLoadBalancer, ...]]] = []
    hooks: list[LifecycleHook] = []
    for n, entry in enumerate(scenario.timeline):
        if entry.create_service is not None:
            created.append((("timeline", n, "ecs.create_service"), entry.create_service))
        update = entry.update_service
        if update is not None:
            balanced.append((("timeline", n, "ecs.update_service"), update.load_balancers or ()))
            if update.deployment_configuration is not None:
                hooks += update.deployment_configuration.lifecycle_hooks
    for path, service in created:
        balanced.append((path, service.load_balancers))
        hooks += service.deployment_configuration.lifecycle_hooks
    for path, balancers in balanced:
        for m, balancer in enumerate(balancers):
            yield from _advanced(scenario, names, balancer, (*path, "loadBalancers", m))
    yield from _users(scenario, [service for _, service in created])
    functions = [hook.function for hook in hooks if hook.target_type == "AWS_LAMBDA"]
    for name in scenario.hooks:
        if name not in functions:
            message = unknown("function", name, functions)
            yield Issue(("hooks", name), f"{message}: no lifecycleHooks of a service calls it")
    for name, answers in scenario.hooks.items():
        if not answers:
            yield Issue(("hooks", name), "needs at least one answer")


def _advanced(scenario: Scenario, names: Names, balancer: ServiceLoadBalancer, path: Path) -> Iterator[Issue]:
    advanced = balancer.advanced_configuration
    if advanced is None:
        return
    at = (*path, "advancedConfiguration")
    alternate = advanced.alternate_target_group_arn
    if alternate is not None and tail(alternate) not in names.target_groups:
        fault = unknown("target group", tail(alternate), names.target_groups)
        yield Issue((*at, "alternateTargetGroupArn"), fault)
    rules = rules_of(scenario)
    whole = len(scenario.load_balancers) == len(names.load_balancers)
    for key, rule in (
        ("productionListenerRule", advanced.production_listener_rule),
        ("testListenerRule", advanced.test_listener_rule),
    ):
        if rule is not None and whole and not rule.startswith("arn:") and rule not in rules:
            yield Issue((*at, key), unknown("listener or rule", rule, rules))


def _users(scenario: Scenario, services: list[CreateService]) -> Iterator[Issue]:
    shifting = {(tail(s.cluster), s.service_name): s for s in services if shifts(s)}
    for n, traffic in enumerate(scenario.traffic):
        service = shifting.get((tail(traffic.cluster), traffic.to))
        if traffic.rate.users is not None and service is not None:
            strategy = service.deployment_configuration.strategy
            message = (
                f"users of a closed loop stay with one target group, but {strategy} deployments of {traffic.to} shift "
                "traffic to another one: use a rate"
            )
            yield Issue(("traffic", n, "rate", "users"), message)
