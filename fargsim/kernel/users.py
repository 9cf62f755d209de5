"""Users of a closed loop: those who think are a binary heap by the instant of their next request, then by number.

That order is total, so that it does not matter in which order slots have told their users.
"""

from __future__ import annotations

import numpy as np

from fargsim.kernel.jit import jit
from fargsim.kernel.layout import Arrays


@jit
def before(a: Arrays, one: int, other: int) -> bool:
    """Tell whether a user's next request comes before another's."""
    mine = a.users[one].due_us
    theirs = a.users[other].due_us
    return mine < theirs or (mine == theirs and one < other)


@jit
def think(a: Arrays, user: int, now: float) -> None:
    """Let a user, whose request has just ended, think, counted from the first whole microsecond after the end."""
    plane = a.plane[0]
    a.users[user].due_us = np.int64(np.ceil(now)) + a.users[user].think_us
    place = plane.thinking
    plane.thinking += 1
    while place > 0:
        above = (place - 1) >> 1
        if not before(a, user, a.users[above].heap):
            break
        a.users[place].heap = a.users[above].heap
        place = above
    a.users[place].heap = user


@jit
def wake(a: Arrays) -> int:
    """Take the user out whose request is next."""
    plane = a.plane[0]
    first = a.users[0].heap
    plane.thinking -= 1
    count = plane.thinking
    moved = a.users[count].heap
    place = 0
    while 2 * place + 1 < count:
        below = 2 * place + 1
        if below + 1 < count and before(a, a.users[below + 1].heap, a.users[below].heap):
            below += 1
        if not before(a, a.users[below].heap, moved):
            break
        a.users[place].heap = a.users[below].heap
        place = below
    a.users[place].heap = moved
    return int(first)
