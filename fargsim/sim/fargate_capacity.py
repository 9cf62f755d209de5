"""Fargate capacity by zone: where it is out, nothing is launched until it is back.

Source: AWS re:Post Knowledge Center, ecs-fargate-capacity-unavailable (capacity is managed by zone, so that more subnets help); Amazon ECS
Developer Guide, service-event-messages-list.html; EventBridge names the reason ``RESOURCE:FARGATE`` (ecs_service_events.html).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from itertools import product

from fargsim.sim.kit import Kit

ARCHITECTURES = ("X86_64", "ARM64")
UNAVAILABLE = "Capacity is unavailable at this time. Please try again later or in a different availability zone"


class FargateCapacity:
    """Which zones have Fargate capacity, on demand (``on_demand``) and on Spot (``spot``).

    Parameters
    ----------
    back
        Called when capacity has come back.
    """

    def __init__(self, kit: Kit, back: Callable[[], None]) -> None:
        self._kit = kit
        self._back = back
        self._out: dict[tuple[str, str, str], int] = {}

    def withdraw(
        self,
        zones: Iterable[str],
        options: Iterable[str],
        for_us: int,
        architectures: Iterable[str] = ARCHITECTURES,
    ) -> None:
        """Let zones have no capacity for a while, for some processors; what is out for longer already stays so."""
        until = self._kit.now + for_us
        for key in product(options, zones, architectures):
            self._out[key] = max(until, self._out.get(key, 0))
        self._kit.at(until, self._back)

    def open(self, option: str, zones: Sequence[str], architecture: str) -> Sequence[str]:
        """Return those of some zones that have capacity for a processor."""
        if not self._out:
            return zones
        return [zone for zone in zones if self._out.get((option, zone, architecture), 0) <= self._kit.now]
