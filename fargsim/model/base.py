"""Bases of every model class.

Three spellings meet in a scenario: ECS writes ``camelCase``, Elastic Load Balancing and Auto Scaling write ``PascalCase``, and
fargsim's own keys are ``snake_case``. The class a value derives from says which one its keys are written in; Python attributes are
``snake_case`` everywhere.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, ConfigDict
from pydantic.alias_generators import to_camel, to_pascal

Json = Any
"""A part of an AWS shape that the simulation does not read, kept as it came."""


class Own(BaseModel):
    """A value whose keys are fargsim's own words, in ``snake_case``."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=False, allow_inf_nan=False)


class EcsShape(BaseModel):
    """A value whose keys are those of the ECS API, in ``camelCase``."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", alias_generator=to_camel, populate_by_name=True, allow_inf_nan=False
    )


class PascalShape(BaseModel):
    """A value whose keys are those of the ELB, EC2 and Auto Scaling APIs, in ``PascalCase``."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", alias_generator=to_pascal, populate_by_name=True, allow_inf_nan=False
    )


Path = tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class Issue:
    """One fault of an input, with the path to the value at fault.

    Parameters
    ----------
    path
        Keys and list indices from the root of the document.
    message
        What is wrong and, where there is a closed set, what is legal.
    """

    path: Path
    message: str

    def dotted(self) -> str:
        """Return the path as a person writes it.

        >>> Issue(("services", 0, "desiredCount"), "must not be negative").dotted()
        'services[0].desiredCount'
        """
        text = ""
        for part in self.path:
            text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else str(part)
        return text


class Faults(ValueError):
    """Several faults of one value at once, each with the path inside that value.

    A validator raises it where a rule spans several keys; readers of files take the paths to find the lines.
    """

    def __init__(self, issues: Iterable[Issue]) -> None:
        self.issues = tuple(issues)
        super().__init__("; ".join(f"{i.dotted()}: {i.message}" if i.path else i.message for i in self.issues))

    def __reduce__(self) -> tuple[type[Faults], tuple[tuple[Issue, ...]]]:
        # an error may have to travel from a worker process
        return Faults, (self.issues,)


def raise_faults(issues: Iterable[Issue]) -> None:
    """Raise :class:`Faults` if there are any."""
    found = tuple(issues)
    if found:
        raise Faults(found)
