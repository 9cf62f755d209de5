"""What rules an instance out: the filters that a task's needs make, and placement constraints.

Source: Amazon ECS Developer Guide, task-placement.html, task-placement-constraints.html, api_failures_messages.html; Amazon ECS API
Reference, API_PortMapping.html (at most 100 reserved ports on an instance).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fargsim.model.placement import PlacementConstraint
from fargsim.model.taskdef import MemberOf
from fargsim.policy.cluster_query import Query, parse
from fargsim.policy.needs import TaskNeeds
from fargsim.policy.query_nodes import Comparison, Node, Not
from fargsim.policy.views import ZONE, AttributeColumn, FleetView, GroupView, Mask

NOT_ACTIVE = "INACTIVE"
AGENT = "AGENT"
CPU = "RESOURCE:CPU"
MEMORY = "RESOURCE:MEMORY"
PORTS = "RESOURCE:PORTS"
GPU = "RESOURCE:GPU"
ENI = "RESOURCE:ENI"
LOCATION = "LOCATION"
ATTRIBUTE = "ATTRIBUTE"
MEMBER_OF = "MemberOf placement constraint unsatisfied."
DISTINCT_INSTANCE = "DistinctInstance placement constraint unsatisfied."

RESERVED_PORTS_MAX = 100
"""Host ports that may be reserved on an instance at one time, those of the agent included."""


@dataclass(frozen=True, slots=True)
class Check:
    """One filter or constraint: the failure it stands for and which instances pass."""

    reason: str
    name: str
    passes: Callable[[FleetView, GroupView], Mask]
    row_passes: Callable[[FleetView, GroupView, int], bool] | None = None
    """The same of one row, where that can be said without looking at the others."""
    static: bool = False
    """Whether it depends only on attributes, ids, versions and dates."""
    needed: str = ""
    """What it asks for, in words; read by explanations only."""
    found: Callable[[FleetView, GroupView, int], str] = lambda fleet, group, row: ""
    """What the instance of a row has of it, in words."""


def filters(needs: TaskNeeds) -> tuple[Check, ...]:
    """Return the checks a task's needs make, in the order of the placement process; the first two are status and agent."""
    checks = [
        Check(
            NOT_ACTIVE,
            "status",
            lambda fleet, _: fleet.active,
            needed="ACTIVE",
            found=lambda fleet, _, row: "ACTIVE" if fleet.active[row] else "not ACTIVE",
        ),
        Check(
            AGENT,
            "agent",
            lambda fleet, _: fleet.agent_connected,
            needed="connected",
            found=lambda fleet, _, row: "connected" if fleet.agent_connected[row] else "disconnected",
        ),
    ]
    if needs.cpu_units:
        checks.append(_at_least(CPU, "cpu", lambda fleet: fleet.free_cpu_units, needs.cpu_units, "CPU units"))
    if needs.memory_mib:
        checks.append(_at_least(MEMORY, "memory", lambda fleet: fleet.free_memory_mib, needs.memory_mib, "MiB"))
    if needs.host_ports:
        checks.append(
            Check(
                PORTS,
                "ports",
                lambda fleet, _: _ports_free(fleet, needs),
                lambda fleet, _, row: _row_ports_free(fleet, needs, row),
                needed=", ".join(f"{port}/{protocol}" for port, protocol in needs.host_ports),
                found=lambda fleet, _, row: _ports_taken(fleet, needs, row),
            )
        )
    if needs.gpus:
        checks.append(_at_least(GPU, "gpu", lambda fleet: fleet.free_gpus, needs.gpus, "GPUs"))
    if needs.enis:
        checks.append(_at_least(ENI, "eni", lambda fleet: fleet.free_enis, needs.enis, "network interfaces"))
    if needs.zones is not None:
        checks.append(
            Check(
                LOCATION,
                "subnets",
                lambda fleet, _: _in_zones(fleet, needs.zones or ()),
                static=True,
                needed=" or ".join(needs.zones),
                found=lambda fleet, _, row: value_of(fleet.attributes.get(ZONE), row) or "",
            )
        )
    if needs.attributes:
        checks.append(
            Check(
                ATTRIBUTE,
                "attributes",
                lambda fleet, _: _has_attributes(fleet, needs.attributes),
                static=True,
                needed=", ".join(_asked(name, value) for name, value in needs.attributes),
                found=lambda fleet, _, row: _missing(fleet, needs.attributes, row),
            )
        )
    return tuple(checks)


def constraint(asked: PlacementConstraint | MemberOf) -> Check:
    """Return the check of a placement constraint.

    Raises
    ------
    QueryError
        For an expression that is not of the cluster query language.
    """
    if asked.type == "distinctInstance":
        return Check(
            DISTINCT_INSTANCE,
            "distinctInstance",
            lambda _, group: group.tasks == 0,
            lambda _, group, row: group.tasks.item(row) == 0,
            needed="no task of the group",
            found=lambda _, group, row: f"{group.tasks.item(row)} of the group",
        )
    query = parse(asked.expression or "")
    return Check(
        MEMBER_OF,
        f"memberOf({query.text})",
        _members(query),
        static=query.static,
        needed=query.text,
        found=_values_of(query),
    )


def value_of(column: AttributeColumn | None, row: int) -> str | None:
    """Return an instance's value of an attribute; None where it has none."""
    code = -1 if column is None else int(column.codes[row])
    return None if code < 0 or column is None else column.values[code]


def _at_least(reason: str, name: str, column: Callable[[FleetView], NDArray[np.int64]], need: int, unit: str) -> Check:
    return Check(
        reason,
        name,
        lambda fleet, _: column(fleet) >= need,
        lambda fleet, _, row: column(fleet).item(row) >= need,
        needed=_amount(need, unit),
        found=lambda fleet, _, row: f"{_amount(column(fleet).item(row), unit)} free",
    )


def _amount(number: int, unit: str) -> str:
    return f"{number} {unit.removesuffix('s') if number == 1 else unit}"


def _values_of(query: Query) -> Callable[[FleetView, GroupView, int], str]:
    """Return what says which values an instance has of the attributes, and of the number of tasks, that a query names."""
    subjects = tuple(dict.fromkeys(_subjects(query.root)))

    def found(fleet: FleetView, group: GroupView, row: int) -> str:
        told = []
        for subject in subjects:
            name = subject.removeprefix("attribute:")
            if subject == "runningTasksCount":
                told.append(_amount(fleet.running_tasks.item(row), "tasks"))
            elif subject != name:
                has = value_of(fleet.attributes.get(name), row)
                told.append(f"no {name}" if has is None else f"{name} = {has}" if has else name)
        return ", ".join(told)

    return found


def _subjects(node: Node) -> Iterator[str]:
    if isinstance(node, Comparison):
        yield node.subject
    else:
        for part in (node.part,) if isinstance(node, Not) else node.parts:
            yield from _subjects(part)


def _members(query: Query) -> Callable[[FleetView, GroupView], Mask]:
    return lambda fleet, _: query.mask(fleet)


def _ports_free(fleet: FleetView, needs: TaskNeeds) -> Mask:
    free: Mask = fleet.reserved_ports <= RESERVED_PORTS_MAX - len(needs.host_ports)
    if len(set(needs.host_ports)) < len(needs.host_ports):
        return np.zeros(
            fleet.size, dtype=np.bool_
        )  # two containers ask for the same port: no instance can give it twice
    for port in needs.host_ports:
        taken = fleet.host_ports.get(port)
        if taken is not None:
            free &= ~taken
    return free


def _row_ports_free(fleet: FleetView, needs: TaskNeeds, row: int) -> bool:
    if fleet.reserved_ports.item(row) > RESERVED_PORTS_MAX - len(needs.host_ports):
        return False
    taken = (fleet.host_ports.get(port) for port in needs.host_ports)
    free = not any(column is not None and column.item(row) for column in taken)
    return free and len(set(needs.host_ports)) == len(needs.host_ports)


def _ports_taken(fleet: FleetView, needs: TaskNeeds, row: int) -> str:
    taken = [p for p in needs.host_ports if (column := fleet.host_ports.get(p)) is not None and column.item(row)]
    if taken:
        return ", ".join(f"{port}/{protocol}" for port, protocol in taken) + " in use"
    return f"{fleet.reserved_ports.item(row)} of {RESERVED_PORTS_MAX} reserved"


def _in_zones(fleet: FleetView, zones: tuple[str, ...]) -> Mask:
    column = fleet.attributes[ZONE] if fleet.size else None
    if column is None:
        return np.zeros(0, dtype=np.bool_)
    wanted = [code for code, value in enumerate(column.values) if value in zones]
    return np.isin(column.codes, wanted)


def _has_attributes(fleet: FleetView, asked: tuple[tuple[str, str | None], ...]) -> Mask:
    mask = np.ones(fleet.size, dtype=np.bool_)
    for name, value in asked:
        column = fleet.attributes.get(name)
        if column is None:
            return np.zeros(fleet.size, dtype=np.bool_)
        if value is None:
            mask &= column.codes >= 0
        else:
            codes = [code for code, known in enumerate(column.values) if known == value]
            mask &= np.isin(column.codes, codes)
    return mask


def _asked(name: str, value: str | None) -> str:
    return name if value is None else f"{name} = {value}"


def _missing(fleet: FleetView, asked: tuple[tuple[str, str | None], ...], row: int) -> str:
    """Say which of the attributes an instance lacks, or that it has them all."""
    lacks = []
    for name, value in asked:
        has = value_of(fleet.attributes.get(name), row)
        if has is None:
            lacks.append(f"no {name}")
        elif value is not None and has != value:
            lacks.append(f"{name} = {has}")
    return ", ".join(lacks) or "all of them"
