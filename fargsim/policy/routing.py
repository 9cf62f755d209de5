"""To which targets a balancer sends requests: health, failing open, zones."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Minimum:
    """How many healthy targets are enough.

    Parameters
    ----------
    count
        Healthy targets.
    percentage
        Of the registered ones; None: off.
    """

    count: int = 1
    percentage: float | None = None

    def met(self, healthy: int, registered: int) -> bool:
        """Whether so many healthy targets are enough.

        >>> Minimum(1, 50).met(1, 3), Minimum(1, 50).met(2, 4), Minimum(2).met(1, 1)
        (False, True, False)
        """
        if healthy < self.count:
            return False
        return self.percentage is None or 100 * healthy >= self.percentage * registered


@dataclass(frozen=True, slots=True)
class Routed:
    """Where requests go.

    Parameters
    ----------
    targets
        For each target, whether requests are sent to it.
    zones
        The zones by which requests enter: those that DNS answers with, in order.
    """

    targets: tuple[bool, ...]
    zones: tuple[int, ...]


def routed(
    targets: Sequence[tuple[int, bool | None]],
    zones: int,
    *,
    cross_zone: bool,
    routing: Minimum = Minimum(),
    dns: Minimum = Minimum(),
) -> Routed:
    """Decide which targets get requests.

    Healthy targets do. Where fewer of them are left than the minimum for routing (in the zone, or everywhere with cross-zone load
    balancing) the balancer fails open: all registered targets get requests, whatever their health. Without cross-zone load balancing a
    zone with fewer healthy targets than the minimum for DNS fail-over is taken out of DNS, unless every zone would be.

    Parameters
    ----------
    targets
        Zone and health of every registered target that is not draining; None for one whose first checks are not through yet: it is not
        healthy, and gets requests only when the balancer fails open.
    zones
        Number of the balancer's zones.
    cross_zone
        Whether requests cross zones.
    routing, dns
        The two minima.

    Source: Elastic Load Balancing, Application Load Balancers User Guide, edit-target-group-attributes.html (target group health),
    target-group-health-checks.html, modify-target-group-health-settings.html (failing open: to all registered targets),
    load-balancer-troubleshooting.html (503 only without registered targets).

    Examples
    --------
    >>> routed([(0, True), (1, False)], 2, cross_zone=True).targets
    (True, False)
    >>> routed([(0, False), (1, False), (1, None)], 2, cross_zone=True).targets
    (True, True, True)
    >>> routed([(0, True), (1, False), (1, None)], 2, cross_zone=True).targets
    (True, False, False)
    >>> routed([(0, True), (1, False)], 2, cross_zone=False)
    Routed(targets=(True, False), zones=(0,))
    """
    everywhere = tuple(range(zones))
    if cross_zone:
        open_to_all = not routing.met(sum(healthy is True for _, healthy in targets), len(targets))
        wanted = (healthy is True or open_to_all for _, healthy in targets)
        return Routed(tuple(wanted), everywhere)
    registered = [0] * zones
    well = [0] * zones
    for zone, healthy in targets:
        registered[zone] += 1
        well[zone] += healthy is True
    answered = tuple(z for z in everywhere if dns.met(well[z], registered[z])) or everywhere
    open_in = {z for z in answered if not routing.met(well[z], registered[z])}
    return Routed(
        tuple(zone in answered and (healthy is True or zone in open_in) for zone, healthy in targets),
        answered,
    )
