"""The verbs of Elastic Load Balancing v2, as boto3 spells them."""

from __future__ import annotations

from typing import Any

from fargsim.model.balancing import Listener, LoadBalancer, TargetGroup, forwards_to
from fargsim.sim.errors import InvalidParameterException, LoadBalancerNotFoundException
from fargsim.sim.registry import Registry, tail
from fargsim.sim.shapes import read
from fargsim.sim.targets import LoadBalancerRun, TargetGroupRun


class ElbV2:
    """Load balancers, listeners and target groups."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self._kit = registry.kit

    def create_load_balancer(self, **arguments: Any) -> dict[str, Any]:
        """Create a load balancer, with listeners and attributes where they are given beside it."""
        spec = read(LoadBalancer, arguments)
        if spec.name in self._registry.balancers:
            raise InvalidParameterException(f"A load balancer named '{spec.name}' exists already.")
        for listener in spec.listeners:
            self._check(listener)
        balancer = LoadBalancerRun(self._kit, spec)
        self._registry.balancers[spec.name] = balancer
        for listener in spec.listeners:
            self._listen(balancer, listener)
        return {"LoadBalancers": [{"LoadBalancerName": spec.name, "LoadBalancerArn": balancer.arn, "Type": spec.type}]}

    def create_target_group(self, **arguments: Any) -> dict[str, Any]:
        """Create a target group; routing algorithms other than the two that the request plane knows are refused."""
        spec = read(TargetGroup, arguments)
        if spec.name in self._registry.target_groups:
            raise InvalidParameterException(f"A target group named '{spec.name}' exists already.")
        if spec.algorithm not in ("round_robin", "least_outstanding_requests"):
            raise InvalidParameterException(
                f"load_balancing.algorithm.type '{spec.algorithm}' is not simulated: "
                "use round_robin or least_outstanding_requests"
            )
        group = TargetGroupRun(self._kit, spec)
        self._registry.target_groups[spec.name] = group
        return {"TargetGroups": [{"TargetGroupName": spec.name, "TargetGroupArn": group.arn}]}

    def create_listener(self, *, LoadBalancerArn: str, **arguments: Any) -> dict[str, Any]:
        """Let a load balancer forward requests to a target group."""
        balancer = self._registry.balancers.get(tail(LoadBalancerArn))
        if balancer is None:
            raise LoadBalancerNotFoundException(f"Load balancer '{LoadBalancerArn}' not found.")
        self._listen(balancer, read(Listener, arguments))
        return {"Listeners": [{"LoadBalancerArn": balancer.arn}]}

    def describe_target_health(self, *, TargetGroupArn: str) -> dict[str, Any]:
        """Describe the targets of a group."""
        group = self._registry.target_group(TargetGroupArn)
        return {
            "TargetHealthDescriptions": [
                {"Target": {"Id": name}, "TargetHealth": {"State": target.state}}
                for name, target in group.targets.items()
            ]
        }

    def _check(self, listener: Listener) -> None:
        for action in listener.default_actions:
            names = forwards_to(action)
            if not names:
                raise InvalidParameterException(
                    "a forward action needs TargetGroupArn, or ForwardConfig with TargetGroups"
                )
            for name in names:
                self._registry.target_group(name)

    def _listen(self, balancer: LoadBalancerRun, listener: Listener) -> None:
        self._check(listener)
        for action in listener.default_actions:
            for name in forwards_to(action):
                self._registry.target_group(name).balancer = balancer
