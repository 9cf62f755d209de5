"""EC2 capacity: which types can be had in which zone, on demand and on Spot; where there is none, launches fail.

Source: Amazon EC2 User Guide, troubleshooting-launch.html (InsufficientInstanceCapacity).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from fargsim.policy.mixed_instances import Market
from fargsim.sim.kit import Kit

if TYPE_CHECKING:
    from fargsim.sim.instances import InstanceRun

EVERY = "*"


class Ec2Capacity:
    """What cannot be had at this instant.

    Attributes
    ----------
    back
        Called when capacity has come back.
    spot_instances
        Spot instances that have come up, by type and zone.
    """

    def __init__(self, kit: Kit) -> None:
        self.back: list[Callable[[], None]] = []
        self.spot_instances: dict[tuple[str, str], dict[str, InstanceRun]] = {}
        self._kit = kit
        self._out: dict[tuple[Market, str, str], int] = {}

    def withdraw(
        self,
        zones: Iterable[str],
        for_us: int,
        types: Iterable[str] = (EVERY,),
        markets: Iterable[Market] = ("on-demand", "spot"),
    ) -> None:
        """Let types have no capacity in zones for a while; what is out for longer already stays so.

        Parameters
        ----------
        types
            Instance types; ``*``: all.
        """
        until = self._kit.now + for_us
        types, markets = tuple(types), tuple(markets)
        for zone in zones:
            for name in types:
                for market in markets:
                    key = (market, name, zone)
                    self._out[key] = max(until, self._out.get(key, 0))
        self._kit.at(until, self._tell)

    def _tell(self) -> None:
        now = self._kit.now
        self._out = {key: until for key, until in self._out.items() if until > now}
        for act in list(self.back):
            act()

    def open(self, market: Market, type_name: str, zone: str) -> bool:
        """Whether an instance of the type can be launched in the zone."""
        if not self._out:
            return True
        now = self._kit.now
        return all(self._out.get((market, name, zone), 0) <= now for name in (type_name, EVERY))

    def spot_there(self, pools: Iterable[tuple[str, str]]) -> list[InstanceRun]:
        """Return the Spot instances of some pools that are there and have no notice yet."""
        found = []
        for pool in pools:
            members = self.spot_instances.get(pool, {})
            for name in [name for name, i in members.items() if i.terminated_at is not None]:
                del members[name]
            found += [i for i in members.values() if i.interrupted_at is None]
        return found
