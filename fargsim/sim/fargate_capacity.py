"""Fargate capacity by zone: where it is out, nothing is launched until it is back.

Source: AWS re:Post Knowledge Center, ecs-fargate-capacity-unavailable (capacity is managed by zone, so that more subnets help); Amazon ECS
Developer Guide, service-event-messages-list.html; EventBridge names the reason ``RESOURCE:FARGATE`` (ecs_service_events.html).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from fargsim.sim.kit import Kit

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
        self._out: dict[tuple[str, str], int] = {}

    def withdraw(self, zones: Iterable[str], options: Iterable[str], for_us: int) -> None:
        """Let zones have no capacity for a while; one that is out for longer already stays so."""
        until = self._kit.now + for_us
        options = tuple(options)
        for zone in zones:
            for option in options:
                self._out[option, zone] = max(until, self._out.get((option, zone), 0))
        self._kit.at(until, self._back)

    def open(self, option: str, zones: Sequence[str]) -> Sequence[str]:
        """Return those of some zones that have capacity."""
        if not self._out:
            return zones
        return [zone for zone in zones if self._out.get((option, zone), 0) <= self._kit.now]
