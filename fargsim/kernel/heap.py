"""Pairing heaps threaded through the request records: no array to grow, memory as large as what is in flight.

A heap is the index of its root record, -1 when empty. Order is by `key`; requests of equal key end at the same
instant, so their order among themselves changes nothing that leaves the plane.

Source: M. L. Fredman, R. Sedgewick, D. D. Sleator, R. E. Tarjan, "The pairing heap", Algorithmica 1 (1986).
"""

from __future__ import annotations

from fargsim.kernel.jit import inlined, jit
from fargsim.kernel.layout import Records


@inlined
def meld(requests: Records, a: int, b: int) -> int:
    """Return the root of two heaps made one (both not empty)."""
    if requests[b].key < requests[a].key:
        a, b = b, a
    child = requests[a].child
    requests[b].next = child
    requests[b].prev = a
    if child >= 0:
        requests[child].prev = b
    requests[a].child = b
    return a


@inlined
def push(requests: Records, root: int, item: int) -> int:
    """Add a record whose key is set; return the new root."""
    requests[item].child = -1
    requests[item].next = -1
    requests[item].prev = -1
    if root < 0:
        return item
    return meld(requests, root, item)


@jit
def pair_up(requests: Records, first: int) -> int:
    """Return the root over two siblings or more: pairs from the left, then one heap from the right."""
    done = -1  # heaps made of pairs, the last one first, chained by `next`
    while first >= 0:
        a = first
        b = requests[a].next
        if b < 0:
            first = -1
        else:
            first = requests[b].next
            a = meld(requests, a, b)
        requests[a].next = done
        done = a
    root = done
    rest = requests[root].next
    while rest >= 0:
        after = requests[rest].next
        root = meld(requests, root, rest)
        rest = after
    return root


@inlined
def pop(requests: Records, root: int) -> int:
    """Take the root out; return the new one."""
    child: int = requests[root].child
    if child < 0:
        return -1
    if requests[child].next >= 0:
        child = pair_up(requests, child)
    requests[child].next = -1
    requests[child].prev = -1
    return child


@jit
def remove(requests: Records, root: int, item: int) -> int:
    """Take any record out; return the new root."""
    rest = pop(requests, item)
    if item == root:
        return rest
    before = requests[item].prev
    after = requests[item].next
    if requests[before].child == item:
        requests[before].child = after
    else:
        requests[before].next = after
    if after >= 0:
        requests[after].prev = before
    if rest < 0:
        return root
    return meld(requests, root, rest)
