"""Regions, their Availability Zones and their launch class.

AWS maps zone letters per account; the letters and the number of zones are assumed. The launch class decides the
Fargate launch quotas: 16 large regions have the higher ones (Amazon ECS endpoints and quotas,
https://docs.aws.amazon.com/general/latest/gr/ecs-service.html).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from types import MappingProxyType

from fargsim.catalog.store import table, unknown


@dataclass(frozen=True, slots=True)
class RegionFacts:
    """One region.

    Parameters
    ----------
    name
        For instance ``us-east-1``.
    zones
        Availability Zones, for instance ``("us-east-1a", ...)``; letters assumed.
    launch_class
        ``established`` or ``other``.
    """

    name: str
    zones: tuple[str, ...]
    launch_class: str


@cache
def regions() -> Mapping[str, RegionFacts]:
    """Return every region the catalogue has Fargate prices for.

    >>> regions()["eu-north-1"].zones
    ('eu-north-1a', 'eu-north-1b', 'eu-north-1c')
    """
    return MappingProxyType(
        {
            r["region"]: RegionFacts(
                r["region"], tuple(r["region"] + letter for letter in "abcdef"[: int(r["zones"])]), r["launch_class"]
            )
            for r in table("regions")
        }
    )


def region(name: str) -> RegionFacts:
    """Return one region; CatalogError naming the regions there are when it is not one of them."""
    found = regions().get(name)
    if found is None:
        raise unknown("region", name, regions(), show=30)
    return found


def availability_zones(name: str, count: int | None = None) -> tuple[str, ...]:
    """Return the zones of a region, the first ``count`` of them when a number is given.

    >>> availability_zones("us-east-1", 3)
    ('us-east-1a', 'us-east-1b', 'us-east-1c')
    """
    return region(name).zones[:count]
