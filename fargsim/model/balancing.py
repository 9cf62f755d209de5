"""Load balancers, listeners and target groups: request shapes of the Elastic Load Balancing v2 API.

Names stand wherever the API wants an ARN: a scenario has one account and one region.

Source: Elastic Load Balancing API Reference 2015-12-01, API_CreateLoadBalancer.html, API_CreateTargetGroup.html,
API_CreateListener.html, API_CreateRule.html, API_ForwardActionConfig.html, API_ModifyTargetGroupAttributes.html,
API_TargetGroupAttribute.html, API_LoadBalancerAttribute.html.
"""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from fargsim.model.base import EcsShape, Json, PascalShape


class Attribute(PascalShape):
    """One key and value of ModifyTargetGroupAttributes or ModifyLoadBalancerAttributes."""

    key: str
    value: str


class Matcher(PascalShape):
    """The answers that pass a health check."""

    http_code: str | None = "200"
    grpc_code: str | None = None


TARGET_GROUP_ATTRIBUTES: dict[str, tuple[float, float] | tuple[str, ...]] = {
    "deregistration_delay.timeout_seconds": (0.0, 3600.0),
    "slow_start.duration_seconds": (0.0, 900.0),
    "load_balancing.algorithm.type": ("round_robin", "least_outstanding_requests", "weighted_random"),
    "load_balancing.algorithm.anomaly_mitigation": ("on", "off"),
    "load_balancing.cross_zone.enabled": ("true", "false", "use_load_balancer_configuration"),
    "target_group_health.dns_failover.minimum_healthy_targets.count": (1.0, 1000.0),
    "target_group_health.dns_failover.minimum_healthy_targets.percentage": (1.0, 100.0),
    "target_group_health.unhealthy_state_routing.minimum_healthy_targets.count": (1.0, 1000.0),
    "target_group_health.unhealthy_state_routing.minimum_healthy_targets.percentage": (1.0, 100.0),
    "stickiness.enabled": ("true", "false"),
    "stickiness.type": ("lb_cookie", "app_cookie", "source_ip"),
    "stickiness.lb_cookie.duration_seconds": (1.0, 604800.0),
}
MAY_BE_OFF = (
    "target_group_health.dns_failover.minimum_healthy_targets.count",
    "target_group_health.dns_failover.minimum_healthy_targets.percentage",
    "target_group_health.unhealthy_state_routing.minimum_healthy_targets.percentage",
)
LOAD_BALANCER_ATTRIBUTES: dict[str, tuple[float, float] | tuple[str, ...]] = {
    "idle_timeout.timeout_seconds": (1.0, 4000.0),
    "client_keep_alive.seconds": (60.0, 604800.0),
    "deletion_protection.enabled": ("true", "false"),
    "load_balancing.cross_zone.enabled": ("true", "false"),
    "routing.http2.enabled": ("true", "false"),
    "access_logs.s3.enabled": ("true", "false"),
}


def check_attributes(
    attributes: tuple[Attribute, ...], legal: dict[str, tuple[float, float] | tuple[str, ...]]
) -> None:
    """Raise ValueError for an unknown attribute or a value out of its range, naming what is legal."""
    for attribute in attributes:
        bounds = legal.get(attribute.key)
        if bounds is None:
            raise ValueError(f"unknown attribute '{attribute.key}': legal are {', '.join(legal)}")
        if isinstance(bounds[0], str):
            if attribute.value not in bounds:
                raise ValueError(
                    f"{attribute.key} must be one of {', '.join(map(str, bounds))}, not '{attribute.value}'"
                )
            continue
        if attribute.value == "off" and attribute.key in MAY_BE_OFF:
            continue
        low, high = float(bounds[0]), float(bounds[1])
        if attribute.key == "slow_start.duration_seconds" and attribute.value != "0":
            low = 30.0
        try:
            number = float(attribute.value)
        except ValueError:
            number = low - 1
        if not low <= number <= high:
            off = "0 or " if attribute.key == "slow_start.duration_seconds" else ""
            off = "off or " if attribute.key in MAY_BE_OFF else off
            raise ValueError(f"{attribute.key} must be {off}from {low:g} to {high:g}, not '{attribute.value}'")


class TargetGroup(PascalShape):
    """CreateTargetGroup, with the attributes of ModifyTargetGroupAttributes beside it."""

    name: str = Field(min_length=1, max_length=32, pattern=r"^[A-Za-z0-9-]+$")
    protocol: Literal["HTTP", "HTTPS", "TCP", "TLS", "UDP", "TCP_UDP"] = "HTTP"
    protocol_version: Literal["HTTP1", "HTTP2", "GRPC"] | None = None
    port: int = Field(default=80, ge=1, le=65535)
    target_type: Literal["instance", "ip", "lambda", "alb"] = "ip"
    vpc_id: str | None = None
    health_check_enabled: bool = True
    health_check_protocol: str | None = None
    health_check_port: str | None = None
    health_check_path: str | None = None
    health_check_interval_seconds: int = Field(default=30, ge=5, le=300)
    health_check_timeout_seconds: int = Field(default=5, ge=2, le=120)
    healthy_threshold_count: int = Field(default=5, ge=2, le=10)
    unhealthy_threshold_count: int = Field(default=2, ge=2, le=10)
    matcher: Matcher | None = None
    ip_address_type: str | None = None
    tags: tuple[Json, ...] = ()
    attributes: tuple[Attribute, ...] = ()

    @model_validator(mode="after")
    def _attributes_legal(self) -> Self:
        check_attributes(self.attributes, TARGET_GROUP_ATTRIBUTES)
        if self.health_check_timeout_seconds > self.health_check_interval_seconds:
            raise ValueError("HealthCheckTimeoutSeconds must not be above HealthCheckIntervalSeconds")
        return self

    def attribute(self, key: str, default: str) -> str:
        """Return the attribute's value, or AWS's default."""
        return next((a.value for a in self.attributes if a.key == key), default)

    @property
    def deregistration_delay_s(self) -> int:
        """Seconds a target stays draining; AWS's default is 300."""
        return int(self.attribute("deregistration_delay.timeout_seconds", "300"))

    @property
    def algorithm(self) -> str:
        """The routing algorithm; AWS's default is round robin."""
        return self.attribute("load_balancing.algorithm.type", "round_robin")

    @property
    def network(self) -> bool:
        """Whether it belongs to a Network Load Balancer."""
        return self.protocol in ("TCP", "TLS", "UDP", "TCP_UDP")

    def misplaced(self, kind: Literal["application", "network"]) -> str | None:
        """Say that a load balancer of a kind cannot forward to it; None when it can."""
        if self.network == (kind == "network"):
            return None
        legal = "TCP, TLS, UDP or TCP_UDP" if kind == "network" else "HTTP or HTTPS"
        return f"a load balancer of type {kind} needs target groups of protocol {legal}, but {self.name} has {self.protocol}"

    @property
    def slow_start_s(self) -> int:
        """Seconds in which a target that has become healthy comes to its full share; 0: at once."""
        return int(self.attribute("slow_start.duration_seconds", "0"))

    @property
    def anomaly_mitigation(self) -> bool:
        """Whether targets that fail more than their peers get fewer requests."""
        return self.attribute("load_balancing.algorithm.anomaly_mitigation", "off") == "on"

    def crosses_zones(self, balancer: LoadBalancer | None) -> bool:
        """Whether requests cross zones: an Application Load Balancer's do unless the target group says otherwise."""
        own = self.attribute("load_balancing.cross_zone.enabled", "use_load_balancer_configuration")
        if own != "use_load_balancer_configuration":
            return own == "true"
        if not self.network:
            return True
        inherited = () if balancer is None else balancer.attributes
        return any(a.key == "load_balancing.cross_zone.enabled" and a.value == "true" for a in inherited)

    def minimum_healthy(self, action: Literal["dns_failover", "unhealthy_state_routing"]) -> tuple[int, float | None]:
        """Return the count and the percentage of healthy targets below which the balancer acts; None: off."""
        count = self.attribute(f"target_group_health.{action}.minimum_healthy_targets.count", "1")
        percentage = self.attribute(f"target_group_health.{action}.minimum_healthy_targets.percentage", "off")
        return 0 if count == "off" else int(count), None if percentage == "off" else float(percentage)

    def conflict(self) -> str | None:
        """Say which settings do not go together; None when all do.

        Source: Application Load Balancers User Guide, edit-target-group-attributes.html.
        """
        if self.slow_start_s and self.algorithm != "round_robin":
            return f"slow_start.duration_seconds is for round_robin, not for {self.algorithm}"
        if self.anomaly_mitigation and self.algorithm != "weighted_random":
            return "load_balancing.algorithm.anomaly_mitigation is for weighted_random"
        if self.anomaly_mitigation and self.attribute("stickiness.enabled", "false") == "true":
            return "load_balancing.algorithm.anomaly_mitigation does not go with stickiness"
        if self.network and self.attribute("load_balancing.algorithm.type", "") != "":
            return "load_balancing.algorithm.type is for HTTP and HTTPS target groups"
        if self.network and self.slow_start_s:
            return "slow_start.duration_seconds is for HTTP and HTTPS target groups"
        return None


class TargetGroupTuple(PascalShape):
    """A target group that an action forwards to, and its weight."""

    target_group_arn: str
    weight: int = Field(default=1, ge=0, le=999)


class ForwardConfig(PascalShape):
    """The target groups of a weighted forward action."""

    target_groups: tuple[TargetGroupTuple, ...] = Field(min_length=1, max_length=5)
    target_group_stickiness_config: Json = None

    @model_validator(mode="after")
    def _some_weight(self) -> Self:
        names = [group.target_group_arn for group in self.target_groups]
        for name in names:
            if names.count(name) > 1:
                raise ValueError(f"'{name}' stands twice in TargetGroups")
        if not any(group.weight for group in self.target_groups):
            raise ValueError("all weights of TargetGroups are 0: give one that is not")
        return self


class Action(PascalShape):
    """What a listener does with a request."""

    type: Literal["forward"]
    target_group_arn: str | None = None
    forward_config: ForwardConfig | None = None
    order: int | None = None


def forwards_to(action: Action) -> list[str]:
    """Return the target groups that an action forwards to, as they are named: by name or by ARN."""
    return list(forward_weights(action))


def forward_weights(action: Action) -> dict[str, int]:
    """Return the weights of the target groups that an action forwards to; a target group alone has weight 1.

    >>> groups = [{"TargetGroupArn": "blue", "Weight": 95}, {"TargetGroupArn": "green", "Weight": 5}]
    >>> forward_weights(Action.model_validate({"Type": "forward", "ForwardConfig": {"TargetGroups": groups}}))
    {'blue': 95, 'green': 5}
    """
    if action.forward_config is not None:
        return {group.target_group_arn: group.weight for group in action.forward_config.target_groups}
    return {} if action.target_group_arn is None else {action.target_group_arn: 1}


class Rule(PascalShape):
    """CreateRule, written inside its listener. Conditions are kept and not evaluated: traffic says which rule it meets."""

    priority: int = Field(ge=1, le=50_000)
    conditions: tuple[Json, ...] = ()
    actions: tuple[Action, ...] = Field(min_length=1)
    tags: tuple[Json, ...] = ()


class Listener(PascalShape):
    """CreateListener, written inside its load balancer, with its rules beside it."""

    protocol: Literal["HTTP", "HTTPS", "TCP", "TLS", "UDP", "TCP_UDP"] = "HTTP"
    port: int = Field(default=80, ge=1, le=65535)
    default_actions: tuple[Action, ...] = Field(min_length=1)
    rules: tuple[Rule, ...] = ()
    certificates: tuple[Json, ...] = ()
    ssl_policy: str | None = None

    @property
    def actions(self) -> tuple[Action, ...]:
        """All actions, of the rules too."""
        return (*self.default_actions, *(action for rule in self.rules for action in rule.actions))


class ModifyListener(PascalShape):
    """ModifyListener: the listener by its ARN or ``BALANCER:PORT``, and where it forwards from now on."""

    listener_arn: str
    default_actions: tuple[Action, ...] = Field(min_length=1)


class ModifyRule(PascalShape):
    """ModifyRule: the rule by its ARN or ``BALANCER:PORT/PRIORITY``, and where it forwards from now on."""

    rule_arn: str
    actions: tuple[Action, ...] = Field(min_length=1)


class AdvancedConfiguration(EcsShape):
    """What a service deployed by traffic shift says of its load balancer: the second target group and the rules to shift.

    A rule is named by its ARN, or ``BALANCER:PORT/PRIORITY``; a listener's default action by the listener's ARN, or ``BALANCER:PORT``.

    Source: Amazon ECS API Reference, API_AdvancedConfiguration.html.
    """

    alternate_target_group_arn: str | None = None
    production_listener_rule: str | None = None
    test_listener_rule: str | None = None
    role_arn: str | None = None


class LoadBalancer(PascalShape):
    """CreateLoadBalancer, with its listeners and attributes beside it."""

    name: str = Field(min_length=1, max_length=32, pattern=r"^[A-Za-z0-9-]+$")
    type: Literal["application", "network"] = "application"
    scheme: Literal["internet-facing", "internal"] = "internet-facing"
    subnets: tuple[str, ...] = ()
    security_groups: tuple[str, ...] = ()
    ip_address_type: str | None = None
    tags: tuple[Json, ...] = ()
    listeners: tuple[Listener, ...] = ()
    attributes: tuple[Attribute, ...] = ()

    @model_validator(mode="after")
    def _attributes_legal(self) -> Self:
        check_attributes(self.attributes, LOAD_BALANCER_ATTRIBUTES)
        return self

    @property
    def idle_timeout_s(self) -> int:
        """Seconds without an answer after which the balancer answers 504; AWS's default is 60."""
        value = next((a.value for a in self.attributes if a.key == "idle_timeout.timeout_seconds"), "60")
        return int(value)
