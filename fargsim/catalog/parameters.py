"""Timings and model parameters that a scenario may override by name.

Where AWS publishes a figure it stands here with its source; where it publishes none, the value is an assumption, a
measurement by a third party or a model's constant, and says so.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cache
from types import MappingProxyType
from typing import Any

from fargsim.catalog.store import CatalogError, table, unknown

Value = float | bool | str


@dataclass(frozen=True, slots=True)
class Parameter:
    """One named parameter.

    Parameters
    ----------
    name
        Its name in ``assumptions:`` of a scenario; carries the unit.
    value
        A number or a truth value.
    unit
        Unit of the value.
    low, high
        Legal range of a number, both ends included; None where open.
    basis
        ``documented``, ``measured``, ``model`` or ``assumed``; ``scenario`` once a scenario has set it.
    source
        Where the value comes from, or why it is what it is.
    as_of
        ISO date.
    meaning
        What it is.
    """

    name: str
    value: Value
    unit: str
    low: float | None
    high: float | None
    basis: str
    source: str
    as_of: str
    meaning: str

    @property
    def note(self) -> str:
        """One line for validation reports.

        >>> print(parameters().parameter("root_volume_gib").note)
        root_volume_gib = 30 GiB (assumed): gp3 root volume of a container instance
        """
        value = str(self.value).lower() if isinstance(self.value, bool) else f"{self.value:g}"
        return f"{self.name} = {value}{f' {self.unit}' if self.unit else ''} ({self.basis}): {self.meaning}"


class Parameters(Mapping[str, Value]):
    """Every parameter with its value: ``p.service_reaction_s``, ``p["service_reaction_s"]`` or ``p.number("...")``.

    Immutable; :meth:`with_overrides` returns a new one.

    >>> p = parameters({"service_reaction_s": 2})
    >>> p.service_reaction_s, p["scheduler_tick_s"]
    (2.0, 1.0)
    """

    __slots__ = ("_by_name", "_numbers")

    def __init__(self, by_name: Mapping[str, Parameter]) -> None:
        object.__setattr__(self, "_by_name", MappingProxyType(dict(by_name)))
        object.__setattr__(self, "_numbers", {})

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError("parameters do not change: use with_overrides")

    def __reduce__(self) -> tuple[Any, ...]:
        # a mapping proxy cannot be pickled, and runs in other processes need the parameters
        return (Parameters, (dict(self._items()),))

    def _items(self) -> Mapping[str, Parameter]:
        found: Mapping[str, Parameter] = object.__getattribute__(self, "_by_name")
        return found

    def __getitem__(self, name: str) -> Value:
        return self.parameter(name).value

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        try:
            return self.parameter(name).value
        except CatalogError as error:
            raise AttributeError(str(error)) from None

    def __contains__(self, name: object) -> bool:
        return name in self._items()

    def __iter__(self) -> Iterator[str]:
        return iter(self._items())

    def __len__(self) -> int:
        return len(self._items())

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Parameters) and self._items() == other._items()

    def __hash__(self) -> int:
        return hash(tuple(self._items().values()))

    def parameter(self, name: str) -> Parameter:
        """Return the parameter with its unit, basis and source; CatalogError with close matches when there is none."""
        found = self._items().get(_aliases().get(name, name))
        if found is None:
            raise unknown("parameter", name, self)
        return found

    def number(self, name: str) -> float:
        """Return a numeric parameter as float."""
        known: dict[str, float] = object.__getattribute__(self, "_numbers")  # a task reads a dozen of them
        value = known.get(name)
        if value is None:
            found = self[name]
            if isinstance(found, bool | str):
                raise CatalogError(f"{name} is not a number")
            value = known[name] = found
        return value

    def flag(self, name: str) -> bool:
        """Return a parameter that is true or false."""
        value = self[name]
        if not isinstance(value, bool):
            raise CatalogError(f"{name} is not true or false")
        return value

    def with_overrides(self, overrides: Mapping[str, object]) -> Parameters:
        """Return these parameters with some replaced.

        Raises
        ------
        CatalogError
            On the first unknown name, wrong type or value out of range; :func:`parameter_fault` tells all of them.
        """
        changed = dict(self._items())
        for name, value in overrides.items():
            old = self.parameter(name)
            fault = _value_fault(old, value)
            if fault is not None:
                raise CatalogError(fault)
            new: Value = value if isinstance(value, bool) else float(value)  # type: ignore[arg-type]
            changed[old.name] = replace(old, value=new, basis="scenario", source="set by the scenario")
        return Parameters(changed)

    def notes(self, used: Iterable[str] | None = None) -> tuple[str, ...]:
        """Return a line for each parameter whose value no source gives (``assumed`` or ``model``).

        Parameters
        ----------
        used
            Only these names; None for all.
        """
        names = list(self) if used is None else [self.parameter(n).name for n in used]
        found = [self.parameter(n) for n in names]
        return tuple(p.note for p in found if p.basis in ("assumed", "model"))


@cache
def _aliases() -> Mapping[str, str]:
    return {r["alias"]: r["name"] for r in table("assumptions") if r["alias"]}


@cache
def _defaults() -> Parameters:
    found = {}
    for r in table("assumptions"):
        value: Value = r["value"] == "true" if r["kind"] == "boolean" else float(r["value"])
        found[r["name"]] = Parameter(
            name=r["name"],
            value=value,
            unit=r["unit"],
            low=float(r["low"]) if r["low"] else None,
            high=float(r["high"]) if r["high"] else None,
            basis=r["basis"],
            source=r["source"],
            as_of=r["as_of"],
            meaning=r["meaning"],
        )
    return Parameters(found)


def parameters(overrides: Mapping[str, object] | None = None) -> Parameters:
    """Return all parameters, with a scenario's ``assumptions`` put over the catalogue's values.

    Raises
    ------
    CatalogError
        For a name that does not exist (with close matches), a wrong type or a value out of range.
    """
    return _defaults().with_overrides(overrides) if overrides else _defaults()


def parameter_fault(name: str, value: object) -> str | None:
    """Say what is wrong with one override; None when nothing is.

    >>> print(parameter_fault("service_reactions_s", 5))
    there is no parameter 'service_reactions_s' in the catalogue: did you mean service_reaction_s?
    >>> print(parameter_fault("registered_memory_factor", 1.5))
    registered_memory_factor must be between 0.01 and 1, not 1.5
    """
    try:
        return _value_fault(_defaults().parameter(name), value)
    except CatalogError as error:
        return str(error)


def _value_fault(known: Parameter, value: object) -> str | None:
    if isinstance(known.value, bool):
        return None if isinstance(value, bool) else f"{known.name} must be true or false, not {value!r}"
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        unit = f" ({known.unit})" if known.unit else ""
        return f"{known.name} must be a number{unit}, not {value!r}"
    low, high = known.low, known.high
    if (low is not None and value < low) or (high is not None and value > high):
        legal = f"at least {low:g}" if high is None else f"between {low:g} and {high:g}"
        return f"{known.name} must be {legal}, not {value:g}"
    return None
