"""Where tasks may run and are put: placement strategies, constraints and capacity provider strategies.

Source: Amazon ECS API Reference, API_PlacementStrategy.html, API_PlacementConstraint.html, API_CapacityProviderStrategyItem.html.
"""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from fargsim.model.base import EcsShape


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


def check_strategy(items: tuple[CapacityProviderStrategyItem, ...]) -> None:
    """Raise ValueError where a capacity provider strategy breaks AWS's rules.

    Source: API_CapacityProviderStrategyItem.html: one base at most; with several providers one weight above zero.
    """
    if sum(1 for i in items if i.base) > 1:
        raise ValueError("only one capacity provider of a strategy may have a base")
    if len(items) > 1 and not any(i.weight for i in items):
        raise ValueError("with several capacity providers at least one weight must be above zero")
    names = [i.capacity_provider for i in items]
    if len(set(names)) < len(names):
        raise ValueError("a capacity provider stands twice in the strategy")
    fargate = {n in ("FARGATE", "FARGATE_SPOT") for n in names}
    if len(fargate) > 1:
        raise ValueError("a strategy may not mix Fargate providers with Auto Scaling group providers")
