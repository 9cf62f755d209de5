"""A group with managed scaling, and what it has decided."""

from __future__ import annotations

from typing import Any

from sim_helpers import associate, fleet, seconds

from fargsim import Region

MIN = 60_000_000


def provider(region: Region, size: int = 0, *, scaling: dict[str, Any] | None = None, **more: Any) -> None:
    """A group and its capacity provider ``cp``; c5.large: 2048 units."""
    group = {k: more.pop(k) for k in list(more) if k[0].isupper() or k in ("registered_at_start", "agent", "kind")}
    fleet(region, size, zones=1, **group)
    region.ecs.create_capacity_provider(
        name="cp",
        autoScalingGroupProvider={
            "autoScalingGroupArn": "asg",
            "managedScaling": {"status": "ENABLED", "instanceWarmupPeriod": 60, **(scaling or {})},
            **more,
        },
    )
    associate(region, "cp")


def service(region: Region, desired: int, **more: Any) -> None:
    region.ecs.create_service(
        serviceName="web",
        taskDefinition="web",
        desiredCount=desired,
        capacityProviderStrategy=[{"capacityProvider": "cp", "weight": 1}],
        **more,
    )


def sizes(region: Region) -> list[tuple[float, int, int]]:
    """Instants and sizes of every decision about the group."""
    frame = region.kit.recorder.scaling.frame()
    rows = frame[frame.resource_id == "autoScalingGroup/asg"]
    return [(seconds(r.at), r.desired_before, r.desired_after) for r in rows.itertuples()]


def percents(region: Region) -> list[float]:
    """The metric at the end of every minute."""
    return region.kit.recorder.clusters.frame().capacity_provider_reservation.dropna().round(1).tolist()
