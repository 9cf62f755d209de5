"""What reached target groups and load balancers since somebody last asked."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from fargsim.kernel import Counters
from fargsim.policy.capacity_units import billed_evaluations
from fargsim.sim.answer_codes import Codes
from fargsim.sim.kit import US_PER_S
from fargsim.sim.listeners import Listener, ListenerRule
from fargsim.sim.metering import NO_REQUESTS, total
from fargsim.sim.targets import TargetGroupRun


@dataclass(frozen=True, slots=True)
class Period:
    """What reached a target group, or all those of a balancer, in a period."""

    before: Counters
    after: Counters
    redirects: int = 0
    client_errors: int = 0

    def of(self, name: str) -> int:
        """Return the increase of one counter."""
        return int(getattr(self.after, name) - getattr(self.before, name))

    @property
    def requests(self) -> int:
        """Requests for which a target was chosen."""
        return self.of("arrived") - self.of("no_target")

    @property
    def traffic(self) -> bool:
        """Whether anything arrived, ended or is on its way."""
        return self.of("arrived") > 0 or self.after.in_flight > 0 or self.before.in_flight > 0

    @property
    def target_codes(self) -> dict[str, int]:
        """Answers of targets by the class of their code, ``2XX`` to ``5XX``."""
        return {
            "2XX": self.of("served") - self.redirects - self.client_errors,
            "3XX": self.redirects,
            "4XX": self.client_errors,
            "5XX": self.of("failed") + self.of("refused_full"),
        }

    @property
    def own_codes(self) -> dict[str, int]:
        """Errors of the balancer by code: ``502``, ``503`` and ``504``; what clients did is apart (`client_closed`)."""
        return {"502": self.of("cut_off"), "503": self.of("no_target"), "504": self.of("timed_out")}

    @property
    def response_s(self) -> float | None:
        """Mean seconds to the answer; None without answers."""
        answers = self.of("responses")
        return (self.after.response_sum_us - self.before.response_sum_us) / answers / US_PER_S if answers else None


def together(periods: Iterable[Period]) -> Period:
    """Return what reached several target groups."""
    found = list(periods)
    return Period(
        total(p.before for p in found),
        total(p.after for p in found),
        sum(p.redirects for p in found),
        sum(p.client_errors for p in found),
    )


class Reading:
    """How far the requests of every target group and listener rule have been told."""

    def __init__(self) -> None:
        self._told: dict[TargetGroupRun, tuple[Counters, Codes]] = {}
        self._arrived: dict[ListenerRule, int] = {}

    def period(self, group: TargetGroupRun, now_us: int) -> Period:
        """Return what reached a group since the last call."""
        after, codes = NO_REQUESTS, Codes()
        if group.bridge is not None:
            group.bridge.advance(now_us)
            after, codes = group.bridge.plane.counters(), group.codes()
        before, known = self._told.get(group, (NO_REQUESTS, Codes()))
        self._told[group] = (after, codes)
        return Period(before, after, codes.redirects - known.redirects, codes.client_errors - known.client_errors)

    def evaluations(self, listeners: Iterable[Listener], now_us: int, least: float) -> tuple[float, float]:
        """Return how many rules the requests of some listeners have met since the last call, all and those that are billed.

        The target groups behind them have been brought to now. A request meets the rules of its listener by priority, up to the one that
        it matches; it has met all of them when it gets to the default action, which does not count.

        Parameters
        ----------
        least
            Rules that a request meets at least.

        Source: Elastic Load Balancing, Application Load Balancers User Guide, load-balancer-cloudwatch-metrics.html (RuleEvaluations);
        https://aws.amazon.com/elasticloadbalancing/pricing/ (ten free rules for each request).
        """
        every = billed = 0.0
        for listener in listeners:
            for rank, rule in listener.every_rule:
                if not rule.busy:
                    continue
                arrived = rule.arrived(now_us)
                new = arrived - self._arrived.get(rule, 0)
                self._arrived[rule] = arrived
                met = max(float(rank), least)
                every += new * met
                billed += new * billed_evaluations(met)
        return every, billed
