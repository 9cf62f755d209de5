"""Load balancers, listeners and target groups: request shapes of the Elastic Load Balancing v2 API.

Names stand wherever the API wants an ARN: a scenario has one account and one region.

Source: Elastic Load Balancing API Reference 2015-12-01, API_CreateLoadBalancer.html, API_CreateTargetGroup.html,
API_CreateListener.html, API_CreateRule.html, API_ForwardActionConfig.html, API_ModifyTargetGroupAttributes.html,
API_TargetGroupAttribute.html, API_LoadBalancerAttribute.html.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Literal, Self

from pydantic import Field, model_validator

from fargsim.model.balancer_attributes import (
    LOAD_BALANCER_ATTRIBUTES,
    TARGET_GROUP_ATTRIBUTES,
    Attribute,
    Kind,
    attribute_faults,
    unsupported,
)
from fargsim.model.base import EcsShape, Issue, Json, PascalShape, raise_faults
from fargsim.model.quantity import DurationUs


class Matcher(PascalShape):
    """The answers that pass a health check: a code, several (``200,202``), or a range (``200-299``)."""

    http_code: str | None = "200"
    grpc_code: str | None = None

    def fault(self, network: bool) -> Issue | None:
        """Say what is wrong with it in a target group; None when it is sound.

        Source: API_Matcher.html.
        """
        most = 599 if network else 499
        if self.http_code is not None and not _codes_within(self.http_code, 200, most):
            text = f"must be codes from 200 to {most}, like 200, 200,202 or 200-299, not '{self.http_code}'"
            return Issue(("Matcher", "HttpCode"), text)
        if self.grpc_code is not None and not _codes_within(self.grpc_code, 0, 99):
            text = f"must be codes from 0 to 99, like 12, 0,1 or 0-5, not '{self.grpc_code}'"
            return Issue(("Matcher", "GrpcCode"), text)
        return None


def _codes_within(text: str, low: int, high: int) -> bool:
    for part in text.split(","):
        ends = part.strip().split("-")
        if len(ends) > 2 or not all(end.isascii() and end.isdigit() and low <= int(end) <= high for end in ends):
            return False
        if int(ends[0]) > int(ends[-1]):
            return False
    return True


_UNHEALTHY = "target_health_state.unhealthy"
_NAME = r"^[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?$"
"""Letters, digits and hyphens, not a hyphen first or last."""


class TargetGroup(PascalShape):
    """CreateTargetGroup, with the attributes of ModifyTargetGroupAttributes beside it."""

    name: str = Field(min_length=1, max_length=32, pattern=_NAME)
    protocol: Literal["HTTP", "HTTPS", "TCP", "TLS", "UDP", "TCP_UDP"] = "HTTP"
    protocol_version: Literal["HTTP1", "HTTP2", "GRPC"] | None = None
    port: int = Field(default=80, ge=1, le=65535)
    target_type: Literal["instance", "ip", "lambda", "alb"] = "ip"
    vpc_id: str | None = None
    health_check_enabled: bool = True
    health_check_protocol: Literal["HTTP", "HTTPS", "TCP"] | None = None
    health_check_port: str | None = None
    health_check_path: str | None = None
    health_check_interval_seconds: int = Field(default=30, ge=5, le=300)
    health_check_timeout_seconds: int = Field(default=5, ge=2, le=120)
    healthy_threshold_count: int = Field(default=5, ge=2, le=10)
    unhealthy_threshold_count: int = Field(default=2, ge=2, le=10)
    matcher: Matcher | None = None
    ip_address_type: str | None = None
    tags: tuple[Json, ...] = ()
    target_control_port: int | None = Field(default=None, ge=1, le=65535)
    """The port of the agents that tell the balancer when their target is ready (target optimizer)."""
    attributes: tuple[Attribute, ...] = ()

    @model_validator(mode="after")
    def _sound(self) -> Self:
        raise_faults(
            (*attribute_faults(self.attributes, TARGET_GROUP_ATTRIBUTES, "Target group"), *self._check_faults())
        )
        return self

    def _check_faults(self) -> Iterator[Issue]:
        """Yield what is wrong with the health check settings.

        Source: API_CreateTargetGroup.html; that the time-out must be the shorter one is the API's own answer (``Health check interval must
        be greater than the timeout``), github.com/hashicorp/terraform-provider-aws issue 48070. A Network Load Balancer takes equal ones.
        """
        interval, timeout = self.health_check_interval_seconds, self.health_check_timeout_seconds
        stated = "health_check_timeout_seconds" in self.model_fields_set
        key = "HealthCheckTimeoutSeconds" if stated else "HealthCheckIntervalSeconds"
        text = f"Health check interval ({interval} s) must be greater than the timeout ({timeout} s)"
        if self.network:
            if stated and timeout > interval:
                yield Issue((key,), text.replace("greater than", "at least"))
        elif timeout >= interval:
            yield Issue((key,), text)
        if not self.health_check_enabled and self.target_type in ("instance", "ip"):
            yield Issue(
                ("HealthCheckEnabled",), f"health checks of targets of type {self.target_type} are always enabled"
            )
        if self.health_check_path is not None and not self.health_check_path.startswith("/"):
            yield Issue(("HealthCheckPath",), f"must begin with a '/' character, not '{self.health_check_path}'")
        if self.health_check_protocol == "TCP" and not self.network:
            yield Issue(("HealthCheckProtocol",), f"must be HTTP or HTTPS for protocol {self.protocol}, not TCP")
        port = self.health_check_port
        if port not in (None, "traffic-port") and not (port.isascii() and port.isdigit() and 1 <= int(port) <= 65535):
            yield Issue(("HealthCheckPort",), f"must be traffic-port or from 1 to 65535, not '{port}'")
        fault = None if self.matcher is None else self.matcher.fault(self.network)
        if fault is not None:
            yield fault

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

    def misplaced(self, kind: Kind) -> str | None:
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

        Source: Application Load Balancers User Guide, edit-target-group-attributes.html, target-group-register-targets.html.
        """
        if self.target_control_port is not None:
            if self.network:
                return f"TargetControlPort is for target groups of protocol HTTP or HTTPS, not of {self.protocol}"
            if self.algorithm != "round_robin":
                return f"TargetControlPort is for round_robin, not for {self.algorithm}"
            if self.attribute("stickiness.enabled", "false") == "true":
                return "TargetControlPort does not go with stickiness"
        if self.slow_start_s and self.algorithm != "round_robin":
            return f"slow_start.duration_seconds is for round_robin, not for {self.algorithm}"
        if self.anomaly_mitigation and self.algorithm != "weighted_random":
            return "load_balancing.algorithm.anomaly_mitigation is for weighted_random"
        if self.anomaly_mitigation and self.attribute("stickiness.enabled", "false") == "true":
            return "load_balancing.algorithm.anomaly_mitigation does not go with stickiness"
        for key in unsupported(self.attributes, TARGET_GROUP_ATTRIBUTES, "network" if self.network else "application"):
            legal = "HTTP or HTTPS" if self.network else "TCP, TLS, UDP or TCP_UDP"
            return f"{key} is for target groups of protocol {legal}, not of {self.protocol}"
        sticky = self.attribute("stickiness.type", "")
        if sticky and (sticky == "source_ip") != self.network:
            legal = "source_ip" if self.network else "lb_cookie or app_cookie"
            return f"stickiness.type of a target group of protocol {self.protocol} is {legal}, not {sticky}"
        if self.terminates_unhealthy and self.unhealthy_draining_s:
            return f"{_UNHEALTHY}.draining_interval_seconds needs {_UNHEALTHY}.connection_termination.enabled: false"
        return None

    @property
    def terminates_unhealthy(self) -> bool:
        """Whether connections to a target end when it becomes unhealthy: those of a Network Load Balancer do, unless it is of UDP."""
        default = "false" if "UDP" in self.protocol else "true"
        return self.network and self.attribute(f"{_UNHEALTHY}.connection_termination.enabled", default) == "true"

    @property
    def unhealthy_draining_s(self) -> int:
        """Seconds for which a target that has become unhealthy is shown as ``unhealthy.draining`` first."""
        return int(self.attribute(f"{_UNHEALTHY}.draining_interval_seconds", "0"))


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

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        if self.target_group_arn is not None and self.forward_config is not None:
            named = [group.target_group_arn for group in self.forward_config.target_groups]
            if named != [self.target_group_arn]:
                raise ValueError("TargetGroupArn beside ForwardConfig must be the one target group of TargetGroups")
        return self


def too_many(actions: Sequence[Action]) -> str | None:
    """Say that a rule has more than one forward action; None when it has not.

    Source: API_CreateRule.html: each rule must include exactly one of forward, redirect and fixed-response.
    """
    if len(actions) < 2:
        return None
    return f"a rule has exactly one forward action, not {len(actions)}: give its target groups in one ForwardConfig"


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

    def misplaced(self, kind: Kind) -> str | None:
        """Say that a load balancer of a kind has no listeners of its protocol; None when it has."""
        legal = ("HTTP", "HTTPS") if kind == "application" else ("TCP", "TLS", "UDP", "TCP_UDP")
        if self.protocol in legal:
            return None
        return f"a listener of a load balancer of type {kind} has protocol {' or '.join(legal)}, not {self.protocol}"

    @property
    def lacks_certificate(self) -> bool:
        """Whether its protocol needs a certificate and it names none."""
        return self.protocol in ("HTTPS", "TLS") and not self.certificates

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

    name: str = Field(min_length=1, max_length=32, pattern=_NAME)
    type: Literal["application", "network"] = "application"
    scheme: Literal["internet-facing", "internal"] = "internet-facing"
    subnets: tuple[str, ...] = ()
    security_groups: tuple[str, ...] = ()
    ip_address_type: str | None = None
    tags: tuple[Json, ...] = ()
    listeners: tuple[Listener, ...] = ()
    attributes: tuple[Attribute, ...] = ()
    client_timeout: DurationUs | None = Field(default=None, gt=0, alias="client_timeout")
    """How long its clients wait for an answer before they close the connection; None: for ever."""

    @model_validator(mode="after")
    def _sound(self) -> Self:
        found = [*attribute_faults(self.attributes, LOAD_BALANCER_ATTRIBUTES, "Load balancer")]
        if self.name.startswith("internal-"):
            found.append(Issue(("Name",), f"must not begin with 'internal-', like '{self.name}'"))
        raise_faults(found)
        return self

    def conflict(self) -> str | None:
        """Say which settings do not go together; None when all do.

        Source: API_LoadBalancerAttribute.html.
        """
        if self.type == "application":
            cross = next((a for a in self.attributes if a.key == "load_balancing.cross_zone.enabled"), None)
            if cross is not None and cross.value == "false":
                return (
                    f"{cross.key} of a load balancer of type application is true and cannot be changed: turn cross-zone load "
                    "balancing off in its target groups"
                )
        for key in unsupported(self.attributes, LOAD_BALANCER_ATTRIBUTES, self.type):
            return f"Load balancer attribute key '{key}' is not supported on load balancers with type '{self.type}'"
        return None

    @property
    def idle_timeout_s(self) -> int:
        """Seconds without an answer after which the balancer answers 504; AWS's default is 60."""
        value = next((a.value for a in self.attributes if a.key == "idle_timeout.timeout_seconds"), "60")
        return int(value)
