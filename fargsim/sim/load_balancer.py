"""A load balancer at run time."""

from __future__ import annotations

from fargsim.model.balancing import LoadBalancer
from fargsim.sim.kit import Kit


class LoadBalancerRun:
    """A load balancer.

    Parameters
    ----------
    zones
        The availability zones of its subnets.
    """

    def __init__(self, kit: Kit, spec: LoadBalancer, zones: tuple[str, ...]) -> None:
        self.spec = spec
        self.zones = zones
        self.created_at = kit.now
        short = "net" if spec.type == "network" else "app"
        name = f"{spec.name}/{kit.identifier('load balancer', 16)}"
        self.arn = kit.arn(f"loadbalancer/{short}", name, "elasticloadbalancing")
