"""Listeners and their rules: what traffic reaches, and how it is split over target groups.

Source: Elastic Load Balancing, Application Load Balancers User Guide, load-balancer-listeners.html, listener-rules.html.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from fargsim.model.behaviour import RequestBehaviour
from fargsim.sim.errors import InvalidParameterException
from fargsim.sim.kit import Kit
from fargsim.sim.sources import Source
from fargsim.sim.traffic import Feed, Share, UserLoop

if TYPE_CHECKING:
    from fargsim.sim.targets import LoadBalancerRun, TargetGroupRun

MOST_WEIGHT = 999
MOST_GROUPS = 5


class ListenerRule:
    """A rule of a listener, or its default action: it forwards requests to target groups, by weight.

    Each request's target group is drawn with the weights in force at its arrival, from the stream ``split/NAME/TRAFFIC``: the n-th
    request has the same number in every run of a seed, so that a group whose share grows keeps the requests it had. When a chosen group
    has no target the request ends in 503; the balancer does not try another group.

    Parameters
    ----------
    kit
        The region's equipment.
    name
        ``BALANCER:PORT`` for a default action, ``BALANCER:PORT/PRIORITY`` for a rule.
    arn
        Of the listener for its default action, else of the rule.
    forward
        Weights from 0 to 999 by target group, not all of them 0.
    priority
        Of the rule; None for the default action.
    """

    def __init__(
        self, kit: Kit, name: str, arn: str, forward: Mapping[TargetGroupRun, float], priority: int | None = None
    ) -> None:
        self.name = name
        self.arn = arn
        self.priority = priority
        self.feeds: list[Feed] = []
        self.users: UserLoop | None = None
        self.forward: dict[TargetGroupRun, float] = {}
        self._kit = kit
        self._request: RequestBehaviour | None = None
        self._record_every = 0
        self._delivered_to = -1
        self.set_weights(forward)

    @property
    def alone(self) -> bool:
        """Whether all requests go to one target group."""
        return sum(weight > 0 for weight in self.forward.values()) == 1

    @property
    def busy(self) -> bool:
        """Whether traffic reaches it."""
        return bool(self.feeds) or self.users is not None

    def arrived(self, now_us: int) -> int:
        """Return how many requests have arrived before an instant to which its target groups have been brought."""
        found = sum(feed.arrived_before(now_us) for feed in self.feeds)
        if self.users is not None:
            (group,) = _reached(self.forward)
            assert group.bridge is not None, "users have connected their target group"
            found += group.bridge.plane.counters().arrived
        return found

    def set_weights(self, weights: Mapping[TargetGroupRun, float]) -> None:
        """Split the requests that arrive from now on by these weights, and by no others.

        Raises
        ------
        InvalidParameterException
            A weight out of its range, more than five groups, all weights 0, or users of a closed loop who would have to be split or moved.
        """
        self._check(weights)
        touched = dict.fromkeys((*self.forward, *weights))
        self._hold(touched)
        for group in self.forward:
            if group not in weights:
                group.rules.remove(self)
        for group in weights:
            if group not in self.forward:
                group.rules.append(self)
        self.forward = dict(weights)
        self._reach(touched)

    def _check(self, weights: Mapping[TargetGroupRun, float]) -> None:
        if not 1 <= len(weights) <= MOST_GROUPS:
            raise InvalidParameterException(f"A rule forwards to 1 to {MOST_GROUPS} target groups, not {len(weights)}.")
        for group, weight in weights.items():
            if not 0 <= weight <= MOST_WEIGHT:
                raise InvalidParameterException(
                    f"The weight of target group '{group.spec.name}' must be from 0 to {MOST_WEIGHT}, not {weight:g}."
                )
        if not any(weights.values()):
            raise InvalidParameterException(f"All weights of rule '{self.name}' are 0: give one that is not.")
        if self.users is not None and _reached(weights) != _reached(self.forward):
            raise InvalidParameterException(
                f"The users of a closed loop reach one target group by '{self.name}' and stay there: "
                "a split or shift of traffic needs an open loop (a rate)."
            )

    def attach(self, source: Source, request: RequestBehaviour, name: str, record_every: int) -> None:
        """Send requests to the rule, from now on.

        Parameters
        ----------
        request
            What a request costs on a target that does not say otherwise.
        name
            Of the traffic: of its streams.
        """
        self._open_for(request, record_every, None)
        self.feeds.append(Feed(source, self._kit.streams, name))
        self._reach(self.forward)

    def attach_users(self, users: UserLoop, request: RequestBehaviour, record_every: int) -> None:
        """Let the users of a closed loop send requests to the rule; nothing else may reach its target group.

        Raises
        ------
        InvalidParameterException
            The rule splits its traffic, or something else reaches the target group.
        """
        reached = _reached(self.forward)
        if len(reached) > 1:
            raise InvalidParameterException(f"users reach one target group, but '{self.name}' splits its traffic")
        self.check_company(users=True)
        self._open_for(request, record_every, users)
        self.users = users
        self._reach(self.forward)

    def check_company(self, users: bool) -> None:
        """Raise InvalidParameterException where users of a closed loop and other traffic would share a target group."""
        for group in self.forward:
            others = [rule for rule in group.rules if rule.busy]
            company = bool(others) or group.bridge is not None
            if company and (users or any(rule.users is not None for rule in others)):
                raise InvalidParameterException(
                    f"users are the only traffic of a target group: something else reaches {group.spec.name}"
                )

    def _open_for(self, request: RequestBehaviour, record_every: int, users: UserLoop | None) -> None:
        if users is None:
            self.check_company(users=False)
        self._request, self._record_every = self._request or request, record_every
        self._hold(self.forward)
        for group in self.forward:
            if group.bridge is None:
                group.connect(request, record_every, users if self.forward[group] > 0 else None)

    def _hold(self, groups: Mapping[TargetGroupRun, object]) -> None:
        """Bring everything to now, and take back what was offered ahead of now."""
        for group in groups:
            if group.bridge is not None:
                group.bridge.hold(self._kit.now)

    def _reach(self, groups: Mapping[TargetGroupRun, object]) -> None:
        for group in groups:
            if self.busy and group in self.forward and group.bridge is None:
                assert self._request is not None
                group.connect(self._request, self._record_every, None)
            if group.bridge is not None:
                group.bridge.rules = [rule for rule in group.rules if rule.busy and rule.forward[group] > 0]
        # what a group gets ahead of time depends on the rules of the others, too
        for group in groups:
            if group.bridge is not None:
                group.bridge.reconsider()

    def deliver(self, until_us: int) -> None:
        """Send every group its share of the requests that arrive before an instant."""
        if until_us <= self._delivered_to:
            return
        self._delivered_to = until_us
        groups = [group for group, weight in self.forward.items() if weight > 0]
        edges = np.cumsum([float(self.forward[group]) for group in groups])
        edges /= edges[-1]
        for feed in self.feeds:
            for block, pick in feed.take_before(until_us):
                if len(groups) == 1:
                    self._send(groups[0], Share(block, pick))
                    continue
                drawn = np.searchsorted(edges, block.uniform(f"split/{self.name}")[pick], side="right")
                for number, group in enumerate(groups):
                    chosen = pick.start + np.flatnonzero(drawn == number)
                    if chosen.size:
                        self._send(group, Share(block, chosen))

    @staticmethod
    def _send(group: TargetGroupRun, share: Share) -> None:
        assert group.bridge is not None, "a rule with traffic has connected its groups"
        group.bridge.take(share)


def _reached(weights: Mapping[TargetGroupRun, float]) -> list[TargetGroupRun]:
    return [group for group, weight in weights.items() if weight > 0]


class Listener:
    """A port of a load balancer: its default action, and rules by priority.

    Traffic of the simulator says which rule it meets: the conditions of rules are kept and not evaluated.
    """

    def __init__(
        self, kit: Kit, balancer: LoadBalancerRun, port: int, protocol: str, forward: Mapping[TargetGroupRun, float]
    ) -> None:
        self.balancer = balancer
        self.port = port
        self.protocol = protocol
        self.name = f"{balancer.spec.name}:{port}"
        self.arn = f"{balancer.arn.replace(':loadbalancer/', ':listener/')}/{kit.identifier('listener', 16)}"
        self.default = ListenerRule(kit, self.name, self.arn, forward)
        self.rules: dict[int, ListenerRule] = {}
        self._kit = kit

    @property
    def forward(self) -> dict[TargetGroupRun, float]:
        """The weights of the default action."""
        return self.default.forward

    @property
    def every_rule(self) -> list[tuple[int, ListenerRule]]:
        """All rules by priority, the default action last, each with the number of rules that a request has met when it matches.

        The default action is no rule of its own: a request that gets there has met all others.
        """
        ranked = [(n + 1, self.rules[priority]) for n, priority in enumerate(sorted(self.rules))]
        return [*ranked, (len(self.rules), self.default)]

    def set_weights(self, weights: Mapping[TargetGroupRun, float]) -> None:
        """Change the weights of the default action."""
        self.default.set_weights(weights)

    def add_rule(self, priority: int, forward: Mapping[TargetGroupRun, float]) -> ListenerRule:
        """Add a rule."""
        arn = self.arn.replace(":listener/", ":listener-rule/") + "/" + self._kit.identifier("listener rule", 16)
        rule = ListenerRule(self._kit, f"{self.name}/{priority}", arn, forward, priority)
        self.rules[priority] = rule
        return rule
