"""A scaling policy of the user's own: one function, asked once a minute.

It sees what Application Auto Scaling could see, never the clock, the random numbers or the tables, and remembers what it returned last.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class UserView:
    """What a policy of the user's own sees.

    Parameters
    ----------
    at_us
        Instant of the decision, in microseconds of the run.
    desired, running, pending, healthy
        The service's counts at this instant.
    minimum, maximum
        Limits of the scalable target; what is returned is brought within them.
    deploying
        Whether a deployment is in progress.
    cpu_utilization, memory_utilization
        Percent, of the newest published minute; None where there was no data.
    request_count_per_target
        Requests per target in that minute; None where there were none.
    request_count
        Requests that reached its targets in that minute, whatever their number: divide by what one task may have, and tasks that are not
        healthy yet do no harm. None where there were none.
    messages_visible
        Messages that wait in the queue its tasks take them from, at the end of that minute; None without a queue.
    running_mean
        Mean number of RUNNING tasks in that minute: a metric of that minute goes with it, not with today's count.
    data_end_us
        When that minute ended: metrics are a publish lag old.
    """

    at_us: int
    desired: int
    running: int
    pending: int
    healthy: int
    minimum: int
    maximum: int
    deploying: bool
    cpu_utilization: float | None
    memory_utilization: float | None
    request_count_per_target: float | None
    running_mean: float
    data_end_us: int
    request_count: float | None = None
    messages_visible: float | None = None


UserPolicy = Callable[[UserView, Any], tuple[int | None, Any, str]]
"""Takes a view and what it remembered (None at first); returns the desired count or None for no change, what to remember, and why."""
