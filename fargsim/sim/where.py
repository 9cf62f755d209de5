"""Where one task has to go, when that is not left to the placement rules."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Where:
    """A place that somebody has decided on.

    Parameters
    ----------
    host
        Row of the instance, for a daemon task.
    zone
        Availability zone, for a task that balances its service over the zones.
    provider
        Capacity provider; None: by the service's strategy.
    """

    host: int | None = None
    zone: str | None = None
    provider: str | None = None


ANYWHERE = Where()
