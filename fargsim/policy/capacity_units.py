"""Load balancer capacity units: what balancers are billed by.

Source: https://aws.amazon.com/elasticloadbalancing/pricing/.
"""

from __future__ import annotations

from dataclasses import dataclass

FREE_RULES = 10


@dataclass(frozen=True, slots=True)
class CapacityUnit:
    """What one load balancer capacity unit holds, per dimension.

    Parameters
    ----------
    new_connections_per_s, active_connections, gb_per_h, rule_evaluations_per_s
        Amount of each dimension in one unit; None where the balancer has no such dimension.
    """

    new_connections_per_s: float
    active_connections: float
    gb_per_h: float
    rule_evaluations_per_s: float | None


LCU = CapacityUnit(25, 3_000, 1, 1_000)
"""Application Load Balancer, targets on EC2, in containers or by address."""
NLCU = CapacityUnit(800, 100_000, 1, None)
"""Network Load Balancer, TCP."""


@dataclass(frozen=True, slots=True)
class UnitsUsed:
    """Capacity units by dimension; `rule_evaluations` is None where the balancer has no such dimension."""

    new_connections: float
    active_connections: float
    processed_bytes: float
    rule_evaluations: float | None

    @property
    def consumed(self) -> float:
        """What is billed: the largest dimension."""
        return max(self.new_connections, self.active_connections, self.processed_bytes, self.rule_evaluations or 0.0)


def billed_evaluations(rules: float) -> float:
    """Return how many of the rules that a request meets are billed: the first ten are free.

    >>> billed_evaluations(60), billed_evaluations(10)
    (50, 0.0)
    """
    return max(0.0, rules - FREE_RULES)


def units_used(
    unit: CapacityUnit,
    *,
    new_connections_per_s: float,
    active_connections: float,
    gb_per_h: float,
    evaluations_per_s: float = 0.0,
) -> UnitsUsed:
    """Return the capacity units used, by dimension.

    Parameters
    ----------
    evaluations_per_s
        Rules that requests meet and that are billed, of all of them together: see :func:`billed_evaluations`.

    >>> units_used(LCU, new_connections_per_s=1, active_connections=120, gb_per_h=1.08)
    UnitsUsed(new_connections=0.04, active_connections=0.04, processed_bytes=1.08, rule_evaluations=0.0)
    """
    rate = unit.rule_evaluations_per_s
    return UnitsUsed(
        new_connections_per_s / unit.new_connections_per_s,
        active_connections / unit.active_connections,
        gb_per_h / unit.gb_per_h,
        None if rate is None else evaluations_per_s / rate,
    )
