"""The one way into the compiled code."""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

from fargsim.kernel.advance import close, rebuild, route, run_chunk, set_rate
from fargsim.kernel.closed_loop import run_users
from fargsim.kernel.jit import entry, source_digest
from fargsim.kernel.layout import Arrays, Chunk

RUN, RUN_USERS, ROUTE, UNROUTE, CLOSE, RATE, REBUILD = range(7)

Operate = Callable[[int, Arrays, Chunk, int, int, float, float], int]


def _with_cache_key(digest: int) -> Operate:
    def operate(op: int, a: Arrays, chunk: Chunk, first: int, second: int, third: float, fourth: float) -> int:
        if op == RUN:
            return run_chunk(a, chunk, first, second, int(third))
        if op == RUN_USERS:
            return run_users(a, chunk, first, second)
        if op == ROUTE:
            route(a, first, 1)
        elif op == UNROUTE:
            route(a, first, 0)
        elif op == CLOSE:
            return close(a, first, float(second))
        elif op == RATE:
            set_rate(a, first, float(second), third, fourth)
        elif op == REBUILD:
            rebuild(a, first, float(second), third)
        else:
            return digest  # never asked for: it makes the digest part of the cache's key
        return 0

    return cast(Operate, entry(operate))


operate: Operate = _with_cache_key(source_digest())
"""Do one thing to a plane: one compiled function, so that one entry of the cache holds all of the machine code."""
