"""Where tasks may run and are put: placement strategies, constraints and capacity provider strategies.

Source: Amazon ECS API Reference, API_PlacementStrategy.html, API_PlacementConstraint.html, API_CapacityProviderStrategyItem.html.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Literal, Self

from pydantic import Field, model_validator

from fargsim.model.base import EcsShape, Issue, raise_faults

FARGATE_PROVIDERS = ("FARGATE", "FARGATE_SPOT")
"""The capacity providers that every cluster can have without creating them."""


class PlacementStrategy(EcsShape):
    """One rule of a strategy chain."""

    type: Literal["random", "spread", "binpack"]
    field: str | None = None

    @model_validator(mode="after")
    def _field_fits(self) -> Self:
        if self.type == "random" and self.field is not None:
            raise ValueError("random takes no field")
        if self.type == "binpack" and (self.field or "").lower() not in ("cpu", "memory"):
            raise ValueError(f"field of binpack must be cpu or memory, {self._given}")
        if self.type == "spread" and not (
            self.field in ("instanceId", "host")
            or (self.field or "").removeprefix("attribute:") not in (self.field, "")
        ):
            raise ValueError(f"field of spread must be instanceId, host or attribute:NAME, {self._given}")
        return self

    @property
    def _given(self) -> str:
        return "but is missing" if self.field is None else f"not {self.field!r}"


class PlacementConstraint(EcsShape):
    """A rule an instance must satisfy."""

    type: Literal["distinctInstance", "memberOf"]
    expression: str | None = Field(default=None, max_length=2000)

    @model_validator(mode="after")
    def _expression_fits(self) -> Self:
        if (self.type == "memberOf") != (self.expression is not None):
            raise ValueError("memberOf needs an expression, distinctInstance takes none")
        return self


class CapacityProviderStrategyItem(EcsShape):
    """A provider's share of a service or of RunTask."""

    capacity_provider: str
    base: int = Field(default=0, ge=0, le=100_000)
    weight: int = Field(default=0, ge=0, le=1_000)


def strategy_faults(items: Sequence[CapacityProviderStrategyItem]) -> Iterator[Issue]:
    """Yield what breaks AWS's rules in a capacity provider strategy, each with its path inside the strategy.

    Source: API_CapacityProviderStrategyItem.html: one base at most; with several providers one weight above zero.

    Examples
    --------
    >>> a, b = (CapacityProviderStrategyItem(capacity_provider=name, base=1, weight=1) for name in ("a", "b"))
    >>> [issue.dotted() for issue in strategy_faults([a, b])]
    ['[1].base']
    """
    based = [n for n, i in enumerate(items) if i.base]
    for n in based[1:]:
        first = items[based[0]].capacity_provider
        yield Issue((n, "base"), f"only one capacity provider of a strategy may have a base, and {first} has one")
    if len(items) > 1 and not any(i.weight for i in items):
        yield Issue((), "with several capacity providers at least one weight must be above zero (legal: 0 to 1000)")
    names = [i.capacity_provider for i in items]
    for n, name in enumerate(names):
        if name in names[:n]:
            yield Issue((n, "capacityProvider"), f"a capacity provider stands twice in the strategy: {name}")
    if len({n in FARGATE_PROVIDERS for n in names}) > 1:
        ours, other = (next(n for n in names if (n in FARGATE_PROVIDERS) == is_so) for is_so in (True, False))
        mixed = "a strategy may not mix Fargate providers with Auto Scaling group providers or Managed Instances"
        yield Issue((), f"{mixed}, and it has {ours} and {other}")


def check_strategy(items: Sequence[CapacityProviderStrategyItem], key: str = "capacityProviderStrategy") -> None:
    """Raise `Faults` where a capacity provider strategy breaks AWS's rules.

    Parameters
    ----------
    key
        Where the strategy stands.
    """
    raise_faults(Issue((key, *issue.path), issue.message) for issue in strategy_faults(items))
