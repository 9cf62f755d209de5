"""The verbs of Elastic Load Balancing v2, as boto3 spells them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, NoReturn

from fargsim.model import balancing
from fargsim.model.balancer_attributes import (
    Attribute,
    Kind,
    ModifyLoadBalancerAttributes,
    ModifyTargetGroupAttributes,
    merged,
)
from fargsim.model.balancing import Action, LoadBalancer, TargetGroup, forward_weights, too_many
from fargsim.sim.errors import (
    DuplicateListenerException,
    DuplicateLoadBalancerNameException,
    DuplicateTargetGroupNameException,
    InvalidConfigurationRequestException,
    InvalidLoadBalancerActionException,
    PriorityInUseException,
    TargetGroupAssociationLimitException,
    UnsupportedProtocolException,
    ValidationError,
)
from fargsim.sim.listeners import Listener, ListenerRule
from fargsim.sim.registry import Registry
from fargsim.sim.shapes import read
from fargsim.sim.target_reasons import health
from fargsim.sim.targets import LoadBalancerRun, TargetGroupRun

if TYPE_CHECKING:
    from fargsim.sim.service_scheduler import ServiceRun


class ElbV2:
    """Load balancers, listeners, rules and target groups."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self._kit = registry.kit

    def create_load_balancer(self, **arguments: Any) -> dict[str, Any]:
        """Create a load balancer, with listeners and attributes where they are given beside it.

        Raises
        ------
        ValidationError, InvalidConfigurationRequestException, DuplicateLoadBalancerNameException
            A value out of its range; an attribute that this kind does not have; a name that is taken. Or what CreateListener raises.
        """
        spec = read(LoadBalancer, arguments, ValidationError)
        if spec.name in self._registry.balancers:
            raise DuplicateLoadBalancerNameException(f"A load balancer named '{spec.name}' exists already.")
        conflict = spec.conflict()
        if conflict is not None:
            raise InvalidConfigurationRequestException(conflict)
        ports: set[int] = set()
        for listener in spec.listeners:
            self._check_listener(listener, ports, spec.type, None)
            ports.add(listener.port)
        known = self._registry.subnets
        # a scenario that declares no subnets takes any names: they are spread over the zones
        zones = dict.fromkeys(known[name] for name in spec.subnets if name in known)
        balancer = LoadBalancerRun(self._kit, spec, tuple(zones) or self._kit.zones)
        self._registry.balancers[spec.name] = balancer
        for listener in spec.listeners:
            self._listen(balancer, listener)
        return {"LoadBalancers": [{"LoadBalancerName": spec.name, "LoadBalancerArn": balancer.arn, "Type": spec.type}]}

    def create_target_group(self, **arguments: Any) -> dict[str, Any]:
        """Create a target group, with its attributes beside it.

        Raises
        ------
        ValidationError, InvalidConfigurationRequestException, DuplicateTargetGroupNameException
            A value out of its range; attributes that do not go together; a name that is taken.
        """
        spec = read(TargetGroup, arguments, ValidationError)
        if spec.name in self._registry.target_groups:
            raise DuplicateTargetGroupNameException(f"A target group named '{spec.name}' exists already.")
        conflict = spec.conflict()
        if conflict is not None:
            raise InvalidConfigurationRequestException(conflict)
        group = TargetGroupRun(self._kit, spec)
        group.contact = lambda task, group: self._registry.contact(task, group)
        self._registry.target_groups[spec.name] = group
        return {"TargetGroups": [{"TargetGroupName": spec.name, "TargetGroupArn": group.arn}]}

    def modify_target_group_attributes(self, **arguments: Any) -> dict[str, Any]:
        """Change attributes of a target group from now on: a target that drains already keeps its delay.

        Raises
        ------
        TargetGroupNotFoundException, ValidationError, InvalidConfigurationRequestException
            As the API does; also for another algorithm, or for cross-zone load balancing turned on or off, once requests reach the target
            group: that is not simulated.
        """
        spec = read(ModifyTargetGroupAttributes, arguments, ValidationError)
        group = self._registry.target_group(spec.target_group_arn)
        after = group.spec.model_copy(update={"attributes": merged(group.spec.attributes, spec.attributes)})
        conflict = after.conflict()
        if conflict is not None:
            raise InvalidConfigurationRequestException(conflict)
        balancer = None if group.balancer is None else group.balancer.spec
        if group.bridge is not None:
            if after.algorithm != group.spec.algorithm:
                _cannot_change("load_balancing.algorithm.type", group)
            if after.crosses_zones(balancer) != group.cross_zone:
                _cannot_change("load_balancing.cross_zone.enabled", group)
        group.configure(after)
        return {"Attributes": _pairs(after.attributes)}

    def modify_load_balancer_attributes(self, **arguments: Any) -> dict[str, Any]:
        """Change attributes of a load balancer from now on.

        Raises
        ------
        LoadBalancerNotFoundException, ValidationError, InvalidConfigurationRequestException
            As the API does; also for another idle time-out, or for cross-zone load balancing turned on or off, once requests reach its
            target groups: that is not simulated.
        """
        spec = read(ModifyLoadBalancerAttributes, arguments, ValidationError)
        balancer = self._registry.balancer(spec.load_balancer_arn)
        before = balancer.spec
        after = before.model_copy(update={"attributes": merged(before.attributes, spec.attributes)})
        conflict = after.conflict()
        if conflict is not None:
            raise InvalidConfigurationRequestException(conflict)
        for group in self._registry.target_groups.values():
            if group.bridge is None or group.balancer is not balancer:
                continue
            if after.idle_timeout_s != before.idle_timeout_s:
                _cannot_change("idle_timeout.timeout_seconds", group)
            if group.spec.crosses_zones(after) != group.cross_zone:
                _cannot_change("load_balancing.cross_zone.enabled", group)
        balancer.spec = after
        return {"Attributes": _pairs(after.attributes)}

    def create_listener(self, *, LoadBalancerArn: str, **arguments: Any) -> dict[str, Any]:
        """Let a load balancer forward requests to target groups.

        Raises
        ------
        LoadBalancerNotFoundException, DuplicateListenerException, TargetGroupNotFoundException, TargetGroupAssociationLimitException
            As the API does.
        UnsupportedProtocolException, InvalidLoadBalancerActionException, InvalidConfigurationRequestException, ValidationError
            A protocol that this kind of load balancer does not have; more than one forward action; target groups of another kind; a
            value out of its range.
        """
        balancer = self._registry.balancer(LoadBalancerArn)
        spec = read(balancing.Listener, arguments, ValidationError)
        ports = {x.port for x in self._registry.listeners.values() if x.balancer is balancer}
        self._check_listener(spec, ports, balancer.spec.type, balancer)
        return {"Listeners": [self._describe(self._listen(balancer, spec))]}

    def modify_listener(self, **arguments: Any) -> dict[str, Any]:
        """Change where a listener forwards the requests that arrive from now on."""
        spec = read(balancing.ModifyListener, arguments, ValidationError)
        listener = self._registry.listener(spec.listener_arn)
        self._shift(listener.default, spec.default_actions, listener.balancer)
        return {"Listeners": [self._describe(listener)]}

    def create_rule(self, *, ListenerArn: str, **arguments: Any) -> dict[str, Any]:
        """Add a rule to a listener. Its conditions are kept and not evaluated: traffic says which rule it meets.

        Raises
        ------
        ListenerNotFoundException, PriorityInUseException, TargetGroupNotFoundException, TargetGroupAssociationLimitException
            As the API does.
        InvalidLoadBalancerActionException, InvalidConfigurationRequestException, ValidationError
            As `create_listener`.
        """
        listener = self._registry.listener(ListenerArn)
        spec = read(balancing.Rule, arguments, ValidationError)
        if spec.priority in listener.rules:
            raise PriorityInUseException(f"Listener '{listener.name}' has a rule of priority {spec.priority} already.")
        return {"Rules": [_described(self._add_rule(listener, spec))]}

    def modify_rule(self, **arguments: Any) -> dict[str, Any]:
        """Change where a rule forwards the requests that arrive from now on."""
        spec = read(balancing.ModifyRule, arguments, ValidationError)
        rule = self._registry.listener_rule(spec.rule_arn)
        listener = next(x for x in self._registry.listeners.values() if rule in (x.default, *x.rules.values()))
        self._shift(rule, spec.actions, listener.balancer)
        return {"Rules": [_described(rule)]}

    def describe_listeners(self, *, LoadBalancerArn: str) -> dict[str, Any]:
        """Describe the listeners of a load balancer."""
        balancer = self._registry.balancer(LoadBalancerArn)
        return {"Listeners": [self._describe(x) for x in self._registry.listeners.values() if x.balancer is balancer]}

    def describe_rules(self, *, ListenerArn: str) -> dict[str, Any]:
        """Describe the rules of a listener, by priority, the default action last."""
        listener = self._registry.listener(ListenerArn)
        rules = [listener.rules[priority] for priority in sorted(listener.rules)]
        return {"Rules": [_described(rule) for rule in (*rules, listener.default)]}

    def describe_target_health(self, *, TargetGroupArn: str) -> dict[str, Any]:
        """Describe the targets of a group: state, and where they are not healthy the reason."""
        group = self._registry.target_group(TargetGroupArn)
        found = group.targets.items()
        return {
            "TargetHealthDescriptions": [
                {"Target": {"Id": name}, "TargetHealth": health(group, target, self._kit.now)} for name, target in found
            ]
        }

    def rule_of(self, service: ServiceRun, listener: str | None = None) -> ListenerRule:
        """Return the rule that a service's traffic meets.

        The one of that name; else the production listener rule of the service's advanced configuration; else the first rule that forwards
        to its target group with a weight, or at all; a target group that no listener forwards to has a nameless one of its own.
        """
        if listener is not None:
            return self._registry.listener_rule(listener)
        production = _production_rule(service)
        if production is not None:
            return self._registry.listener_rule(production)
        group = service.groups[0]
        for rule in sorted(group.rules, key=lambda rule: not rule.forward[group]):
            return rule
        return ListenerRule(self._kit, f"target group/{group.spec.name}", "", {group: 1})

    def _forward(
        self, actions: Sequence[Action], kind: Kind, balancer: LoadBalancerRun | None
    ) -> dict[TargetGroupRun, float]:
        """Return the weights of actions; raise what the API raises where they lead nowhere, or to what is not this balancer's to reach.

        Parameters
        ----------
        kind, balancer
            Of the load balancer, and itself; None while it is not there yet.
        """
        more = too_many(actions)
        if more is not None:
            raise InvalidLoadBalancerActionException(more)
        forward: dict[TargetGroupRun, float] = {}
        for action in actions:
            weights = forward_weights(action)
            if not weights:
                raise ValidationError("a forward action needs TargetGroupArn, or ForwardConfig with TargetGroups")
            forward |= {self._registry.target_group(name): weight for name, weight in weights.items()}
        for group in forward:
            misplaced = group.spec.misplaced(kind)
            if misplaced is not None:
                raise InvalidConfigurationRequestException(misplaced)
            owner = next((x for x in self._owners(group) if x is not balancer), None)
            if owner is not None:
                raise TargetGroupAssociationLimitException(
                    "The following target groups cannot be associated with more than one load balancer: "
                    f"{group.arn} (it belongs to {owner.spec.name})"
                )
        return forward

    def _owners(self, group: TargetGroupRun) -> Iterator[LoadBalancerRun]:
        """Yield the load balancer that forwards to a target group, if one does: once for each of its listeners that do."""
        for listener in self._registry.listeners.values():
            if any(group in rule.forward for _, rule in listener.every_rule):
                yield listener.balancer

    def _check_listener(
        self, spec: balancing.Listener, ports: set[int], kind: Kind, balancer: LoadBalancerRun | None
    ) -> None:
        misplaced = spec.misplaced(kind)
        if misplaced is not None:
            raise UnsupportedProtocolException(misplaced)
        if spec.lacks_certificate:
            raise ValidationError(f"A certificate must be specified for {spec.protocol} listeners (Certificates)")
        if spec.port in ports:
            raise DuplicateListenerException(f"A listener already exists on port {spec.port} for this load balancer.")
        self._forward(spec.default_actions, kind, balancer)
        priorities: set[int] = set()
        for rule in spec.rules:
            self._forward(rule.actions, kind, balancer)
            if rule.priority in priorities:
                raise PriorityInUseException(
                    f"Two rules of the listener on port {spec.port} have priority {rule.priority}."
                )
            priorities.add(rule.priority)

    def _listen(self, balancer: LoadBalancerRun, spec: balancing.Listener) -> Listener:
        forward = self._forward(spec.default_actions, balancer.spec.type, balancer)
        listener = Listener(self._kit, balancer, spec.port, spec.protocol, forward)
        self._registry.listeners[listener.name] = listener
        self._claim(balancer, listener.default)
        for rule in spec.rules:
            self._add_rule(listener, rule)
        return listener

    def _add_rule(self, listener: Listener, spec: balancing.Rule) -> ListenerRule:
        balancer = listener.balancer
        rule = listener.add_rule(spec.priority, self._forward(spec.actions, balancer.spec.type, balancer))
        self._claim(listener.balancer, rule)
        return rule

    def _shift(self, rule: ListenerRule, actions: Sequence[Action], balancer: LoadBalancerRun) -> None:
        rule.set_weights(self._forward(actions, balancer.spec.type, balancer))
        self._claim(balancer, rule)

    @staticmethod
    def _claim(balancer: LoadBalancerRun, rule: ListenerRule) -> None:
        for group in rule.forward:
            group.balancer = balancer

    @staticmethod
    def _describe(listener: Listener) -> dict[str, Any]:
        return {
            "ListenerArn": listener.arn,
            "LoadBalancerArn": listener.balancer.arn,
            "Port": listener.port,
            "Protocol": listener.protocol,
            "DefaultActions": _actions(listener.default),
        }


def _pairs(attributes: Iterable[Attribute]) -> list[dict[str, str]]:
    return [{"Key": attribute.key, "Value": attribute.value} for attribute in attributes]


def _cannot_change(key: str, group: TargetGroupRun) -> NoReturn:
    raise InvalidConfigurationRequestException(
        f"{key} cannot change once requests reach target group {group.spec.name}: that is not simulated"
    )


def _actions(rule: ListenerRule) -> list[dict[str, Any]]:
    groups = [{"TargetGroupArn": group.arn, "Weight": weight} for group, weight in rule.forward.items()]
    return [{"Type": "forward", "ForwardConfig": {"TargetGroups": groups}}]


def _described(rule: ListenerRule) -> dict[str, Any]:
    default = rule.priority is None
    return {
        "RuleArn": rule.arn,
        "Priority": "default" if default else str(rule.priority),
        "Actions": _actions(rule),
        "IsDefault": default,
    }


def _production_rule(service: ServiceRun) -> str | None:
    for balancer in service.spec.load_balancers[:1]:
        advanced: Any = balancer.advanced_configuration
        if isinstance(advanced, dict):
            advanced = read(balancing.AdvancedConfiguration, advanced)
        if advanced is not None:
            found: str | None = advanced.production_listener_rule
            return found
    return None
