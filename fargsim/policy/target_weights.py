"""How much of the traffic a target gets: slow start, and automatic target weights.

Source: Elastic Load Balancing, Application Load Balancers User Guide, edit-target-group-attributes.html (slow start mode; Automatic
Target Weights: anomaly detection on HTTP 5xx and connection failures against peers, with three healthy targets at least, weights adjusted
every 5 seconds). How far from its peers a target must be, and how weights move, is not published: a model.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

LEAST_TARGETS = 3
"""Healthy targets without which nothing is anomalous."""


def slow_start_weight(since_us: int, duration_us: int, least: float) -> float:
    """Return the weight of a target so long after it became healthy: a straight line to 1.

    >>> slow_start_weight(15, 60, 0.01), slow_start_weight(0, 60, 0.01), slow_start_weight(61, 60, 0.01)
    (0.25, 0.01, 1.0)
    """
    return min(1.0, max(least, since_us / duration_us))


@dataclass(frozen=True, slots=True)
class Seen:
    """What one target answered since the last look.

    Parameters
    ----------
    answers
        Requests that ended at the target or on the way to it.
    errors
        Of these, 5xx of the target and connections that failed.
    """

    answers: int
    errors: int


def anomalous(seen: Sequence[Seen], sigma: float) -> tuple[bool, ...]:
    """Say which targets fail more often than their peers do.

    The target's share of errors is compared with that of all others together; the test is the one for two proportions, one-sided.

    Parameters
    ----------
    seen
        The healthy targets.
    sigma
        Standard deviations of the difference from which on a target is anomalous.

    Examples
    --------
    >>> anomalous([Seen(100, 30), Seen(100, 1), Seen(100, 0)], 3.0)
    (True, False, False)
    >>> anomalous([Seen(100, 30), Seen(100, 33), Seen(100, 28)], 3.0)
    (False, False, False)
    >>> anomalous([Seen(100, 30), Seen(100, 1)], 3.0)
    (False, False)
    """
    if len(seen) < LEAST_TARGETS:
        return (False,) * len(seen)
    answers, errors = sum(s.answers for s in seen), sum(s.errors for s in seen)
    found = []
    for one in seen:
        others = answers - one.answers
        if not one.errors or not others or errors == answers:
            found.append(False)
            continue
        pooled = errors / answers
        spread = math.sqrt(pooled * (1 - pooled) * (1 / one.answers + 1 / others))
        found.append(one.errors / one.answers - (errors - one.errors) / others > sigma * spread)
    return tuple(found)


def mitigated(weight: float, seen: Seen, is_anomalous: bool, *, factor: float, step: float, least: float) -> float:
    """Return the weight of a target after a look: less while it is anomalous, then gradually back to 1.

    A target that was sent nothing since the last look has shown nothing, and keeps its weight.

    Parameters
    ----------
    factor, step, least
        What an anomalous target's weight is multiplied by, what a recovered one's grows by, and the lowest weight.

    Examples
    --------
    >>> mitigated(1.0, Seen(10, 5), True, factor=0.5, step=0.1, least=0.01)
    0.5
    >>> mitigated(0.5, Seen(10, 0), False, factor=0.5, step=0.1, least=0.01)
    0.6
    """
    if is_anomalous:
        return max(least, weight * factor)
    return weight if seen.answers == 0 else min(1.0, weight + step)
