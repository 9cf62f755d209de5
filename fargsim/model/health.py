"""How an application stops passing the health checks of load balancers."""

from __future__ import annotations

from typing import Literal

from fargsim.model.base import Own
from fargsim.model.distribution import Distribution


class HealthBehaviour(Own):
    """When a running application stops passing health checks, those of load balancers and of its container, and for how long.

    Parameters
    ----------
    fails_after
        From the end of `boot` until it stops passing them.
    recovers_after
        From then until it passes them again; ``None``: it does not.
    requests
        What becomes of requests meanwhile: ``refused`` connections (502), or ``served``.
    hangs
        Whether a check of the container gets no answer meanwhile and lasts for its time-out; otherwise it fails at once.
    """

    fails_after: Distribution
    recovers_after: Distribution | None = None
    requests: Literal["refused", "served"] = "refused"
    hangs: bool = False
