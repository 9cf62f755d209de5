"""What a service needs whose deployments shift traffic, as far as its own specification says.

Sources: Amazon ECS API Reference, API_DeploymentConfiguration.html, API_AdvancedConfiguration.html, API_CreateService.html; Amazon ECS
Developer Guide, blue-green-deployment-implementation.html, deployment-type-bluegreen.html.
"""

from __future__ import annotations

from collections.abc import Iterator

from fargsim.model.base import Path
from fargsim.model.service import CreateService, ServiceLoadBalancer

SHIFTING = ("BLUE_GREEN", "LINEAR", "CANARY")
"""Deployment strategies that shift traffic."""


def shifts(spec: CreateService) -> bool:
    """Whether deployments of a service shift traffic from one service revision to the next by ECS itself.

    >>> shifts(CreateService(serviceName="web", taskDefinition="web", deploymentConfiguration={"strategy": "CANARY"}))
    True
    """
    return spec.deployment_controller.type == "ECS" and spec.deployment_configuration.strategy in SHIFTING


def shift_faults(spec: CreateService) -> Iterator[tuple[Path, str]]:
    """Yield what a service lacks, or must not have, for its deployment strategy and its deployment controller.

    Yields
    ------
    tuple
        The path of the field inside the service, and what is wrong with it.
    """
    configuration, controller = spec.deployment_configuration, spec.deployment_controller.type
    if controller != "ECS":
        if configuration.strategy in SHIFTING:
            yield (
                ("deploymentConfiguration", "strategy"),
                f"{configuration.strategy} is for deploymentController ECS, not {controller}",
            )
        for name, key in (("deployment_circuit_breaker", "deploymentCircuitBreaker"), ("alarms", "alarms")):
            if getattr(configuration, name) is not None:
                yield ("deploymentConfiguration", key), f"{key} is for deploymentController ECS, not {controller}"
        if controller == "CODE_DEPLOY" and len(spec.load_balancers) != 1:
            yield ("loadBalancers",), f"CODE_DEPLOY needs one load balancer, not {len(spec.load_balancers)}"
        return
    if configuration.strategy not in SHIFTING or spec.scheduling_strategy == "DAEMON":
        return  # what a daemon service must not have: `fargsim.model.service.daemon_faults`
    if not spec.load_balancers:
        found = " (Service Connect is not simulated)" if spec.service_connect_configuration is not None else ""
        yield ("loadBalancers",), f"{configuration.strategy} needs a load balancer to shift traffic{found}"
    for n, balancer in enumerate(spec.load_balancers):
        for below, message in _advanced_faults(balancer, configuration.strategy):
            yield ("loadBalancers", n, *below), message


def _advanced_faults(balancer: ServiceLoadBalancer, strategy: str) -> Iterator[tuple[Path, str]]:
    advanced = balancer.advanced_configuration
    if advanced is None:
        needed = "alternateTargetGroupArn, productionListenerRule and roleArn"
        yield ("advancedConfiguration",), f"{strategy} needs advancedConfiguration with {needed}"
        return
    for name, key in (
        ("alternate_target_group_arn", "alternateTargetGroupArn"),
        ("production_listener_rule", "productionListenerRule"),
        ("role_arn", "roleArn"),
    ):
        if getattr(advanced, name) is None:
            yield ("advancedConfiguration", key), f"{strategy} needs {key}"
    if advanced.alternate_target_group_arn == balancer.target_group_arn:
        message = "must be another target group than targetGroupArn: both revisions stand side by side"
        yield ("advancedConfiguration", "alternateTargetGroupArn"), message
    production, test = advanced.production_listener_rule, advanced.test_listener_rule
    if test is not None and test == production:
        yield ("advancedConfiguration", "testListenerRule"), "must be another rule than productionListenerRule"
