"""A task that was not started, and what is said about it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Refusal:
    """A task that was not started.

    Parameters
    ----------
    reason
        AWS's failure reason, such as ``RESOURCE:MEMORY``.
    event
        What the service event says.
    passes
        Whether it passes by itself within moments: the launch rate of the account.
    """

    reason: str
    event: str = ""
    event_name: str = "SERVICE_TASK_PLACEMENT_FAILURE"
    detail: str = ""
    arn: str = ""
    passes: bool = False
