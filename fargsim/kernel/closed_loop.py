"""The plane's clock where users make the arrivals: an end makes one, at least a microsecond after it.

So nothing may run ahead: all slots go together, from one whole microsecond at which something happens to the next.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from fargsim.kernel.advance import admit, settle
from fargsim.kernel.calendar import next_event
from fargsim.kernel.jit import jit
from fargsim.kernel.layout import NOBODY, Arrays, Chunk
from fargsim.kernel.users import think, wake


@jit
def next_instant(a: Arrays, limit: int) -> int:
    """Return the first whole microsecond at which an end or a time-out has happened, at most `limit`."""
    plane = a.plane[0]
    event: Any = np.int64(np.ceil(next_event(a, float(limit))))
    instant: int = min(event, limit)
    oldest = a.requests[NOBODY].younger
    if oldest != NOBODY:
        instant = min(instant, a.requests[oldest].arrival_us + plane.idle_us)
    return instant


@jit
def run_users(a: Arrays, chunk: Chunk, begin: int, until: int) -> int:
    """Let everything happen up to an instant, or up to the arrival for which the chunk has no demand left.

    Returns the position it came to; its complement (~) when a pool was full and it must be called again.
    """
    plane = a.plane[0]
    special = plane.special == 1
    i = begin
    while True:
        if plane.sample > 0 and a.outcomes.size - plane.recorded < plane.used + 1:
            return ~i
        due = until
        if plane.thinking > 0:
            due = min(due, a.users[a.users[0].heap].due_us)
        instant = next_instant(a, due)
        settle(a, instant)
        if instant < due:
            continue  # an end up to then may have made a nearer arrival; at `due` itself it cannot
        if due == until or i == chunk.think_us.size:
            return i
        if plane.free < 0:
            return ~i
        user = wake(a)
        a.users[user].think_us = chunk.think_us[i]
        item = admit(a, chunk, i, due, special)
        if item < 0:
            think(a, user, float(due))
        else:
            a.requests[item].user = user
        i += 1
