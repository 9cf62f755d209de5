"""Which capacity provider the next task of a service goes to, and which gives one back.

Source: Amazon ECS API Reference, API_CapacityProviderStrategyItem.html (base, weight, weight 0). How the weighted part is divided task
by task is not published; here each task goes to the provider with the largest deficit, which gives every published example.
"""

from __future__ import annotations

from collections.abc import Sequence

from fargsim.model.placement import CapacityProviderStrategyItem


def next_provider(strategy: Sequence[CapacityProviderStrategyItem], placed: Sequence[int]) -> int:
    """Return the index of the provider the next task goes to.

    The base is filled first. Of the tasks beyond it, the provider with the largest ``weight x (k + 1) / sum of weights - placed`` gets the
    next, where k tasks beyond the base are there; ties go to the order of the strategy.

    Parameters
    ----------
    placed
        Tasks of the service by provider (PENDING and RUNNING), in the order of the strategy.

    Examples
    --------
    On-demand base 2 and weight 1, Spot weight 3: of ten tasks four are on demand.

    >>> items = [CapacityProviderStrategyItem(capacity_provider="FARGATE", base=2, weight=1),
    ...          CapacityProviderStrategyItem(capacity_provider="FARGATE_SPOT", weight=3)]
    >>> placed = [0, 0]
    >>> for _ in range(10):
    ...     placed[next_provider(items, placed)] += 1
    >>> placed
    [4, 6]
    """
    for index, item in enumerate(strategy):
        if placed[index] < item.base:
            return index
    weights = _weights(strategy)
    beyond = [max(0, n - item.base) for n, item in zip(placed, strategy, strict=True)]
    after = sum(beyond) + 1
    # exact in integers: the deficit times the sum of the weights
    deficits = [w * after - b * sum(weights) if w else None for w, b in zip(weights, beyond, strict=True)]
    best = max(d for d in deficits if d is not None)
    return deficits.index(best)


def provider_to_shrink(
    strategy: Sequence[CapacityProviderStrategyItem], placed: Sequence[int], may_stop: Sequence[bool] | None = None
) -> int | None:
    """Return the index of the provider that gives a task back: the one with the largest surplus; None where none can.

    Not published; the inverse of `next_provider`: the base is given back last, and ties go to the end of the strategy, so that
    giving back retraces the way the tasks came.

    Parameters
    ----------
    may_stop
        Whether the provider has a task that may stop; all have by default.

    Examples
    --------
    >>> items = [CapacityProviderStrategyItem(capacity_provider="a", weight=1),
    ...          CapacityProviderStrategyItem(capacity_provider="b", weight=4)]
    >>> provider_to_shrink(items, [1, 4]), provider_to_shrink(items, [1, 2])
    (1, 0)
    """
    able = [n > 0 and (may_stop is None or may_stop[i]) for i, n in enumerate(placed)]
    if not any(able):
        return None
    weights = _weights(strategy)
    beyond = [max(0, n - item.base) for n, item in zip(placed, strategy, strict=True)]
    total = max(0, sum(beyond) - 1)
    best, best_surplus = None, 0
    for index, ok in enumerate(able):
        if not ok or not beyond[index]:
            continue
        surplus = beyond[index] * sum(weights) - weights[index] * total
        if best is None or surplus >= best_surplus:
            best, best_surplus = index, surplus
    if best is None:  # only the base is left
        best = next(index for index, ok in enumerate(able) if ok)
    return best


def _weights(strategy: Sequence[CapacityProviderStrategyItem]) -> list[int]:
    """Return the weights; a provider that stands alone needs none."""
    weights = [item.weight for item in strategy]
    return [1] if len(weights) == 1 and not weights[0] else weights
