"""What is put in place of names once a scenario is sound: traces by their figures, subnets by zones.

So a stored scenario holds everything that a run needs, and no file of the machine where it was written.
"""

from __future__ import annotations

from pathlib import Path as FilePath
from typing import Any

from fargsim.load.document import missing, within
from fargsim.load.issue import LocatedIssue, ScenarioError
from fargsim.load.node import Mapping, locate
from fargsim.load.trace import read_counts_or_steps, read_instants
from fargsim.model.base import Path
from fargsim.model.behaviour import Behaviour
from fargsim.model.network import Subnet
from fargsim.model.scenario import Scenario
from fargsim.model.traffic import Counts, Rate
from fargsim.model.utilization import PercentFrom, PercentTrace


def resolve(scenario: Scenario, root: Mapping, folder: FilePath, *, allow_outside: bool) -> Scenario:
    """Return the scenario with its traces read and its subnets declared.

    Raises
    ------
    ScenarioError
        With every trace at fault.
    """
    issues: list[LocatedIssue] = []
    changed: dict[str, Any] = {}
    for section in ("traffic", "jobs"):
        items = []
        for n, item in enumerate(getattr(scenario, section)):
            rate = item.rate
            if rate is not None and (rate.trace is not None or rate.timestamps is not None):
                try:
                    rate = _read_rate(rate, root, (section, n, "rate"), folder, allow_outside)
                except ScenarioError as error:
                    issues += error.issues
            items.append(item if rate is item.rate else item.model_copy(update={"rate": rate}))
        changed[section] = tuple(items)
    behaviours = {}
    for key, behaviour in scenario.behaviour.items():
        try:
            behaviours[key] = _read_utilization(
                behaviour, root, ("behaviour", key, "utilization"), folder, allow_outside
            )
        except ScenarioError as error:
            issues += error.issues
    changed["behaviour"] = behaviours
    if issues:
        raise ScenarioError(issues)
    subnets = declared_subnets(scenario)
    if subnets != scenario.network.subnets:
        changed["network"] = scenario.network.model_copy(update={"subnets": subnets})
    return scenario.model_copy(update=changed)


def _read_rate(rate: Rate, root: Mapping, path: Path, folder: FilePath, allow_outside: bool) -> Rate:
    kind = "trace" if rate.trace is not None else "timestamps"
    named = rate.trace or rate.timestamps
    assert named is not None
    at = (*path, kind, "file")
    try:
        found = within(folder, named.file, allow_outside=allow_outside)
    except ValueError as error:
        raise ScenarioError([locate(root, at, str(error))]) from None
    if not found.is_file():
        raise ScenarioError([locate(root, at, f"'{named.file}': {missing(found)}")])
    if rate.timestamps is not None:
        return rate.model_copy(update={"timestamps": None, "instants": read_instants(rate.timestamps, found)})
    assert rate.trace is not None
    figures = read_counts_or_steps(rate.trace, found)
    return rate.model_copy(update={"trace": None, "counts" if isinstance(figures, Counts) else "steps": figures})


def _read_utilization(
    behaviour: Behaviour, root: Mapping, path: Path, folder: FilePath, allow_outside: bool
) -> Behaviour:
    does = behaviour.utilization
    if does is None:
        return behaviour
    read = {}
    for what, level in (("cpu", does.cpu), ("memory", does.memory)):
        if level is not None and level.trace is not None:
            file = level.trace.model_copy(update={"kind": "rate"})
            rate = _read_rate(Rate(trace=file), root, (*path, what), folder, allow_outside)
            steps = tuple(PercentFrom.model_construct(at=s.at, percent=s.rate) for s in rate.steps or ())
            read[what] = PercentTrace.model_construct(steps=steps)
    return behaviour.model_copy(update={"utilization": does.model_copy(update=read)}) if read else behaviour


def used_subnets(scenario: Scenario) -> list[str]:
    """Return the subnets that a scenario names anywhere, in order, each once."""
    updates = [e.update_service for e in scenario.timeline if e.update_service is not None]
    created = [e.create_service for e in scenario.timeline if e.create_service is not None]
    run = [e.run_task for e in scenario.timeline if e.run_task is not None]
    networks = [s.network_configuration for s in (*scenario.services, *created)]
    networks += [x.network_configuration for x in updates]
    networks += [x.network_configuration for x in (*(j.run_task for j in scenario.jobs), *run)]
    found = [s for n in networks if n is not None for s in n.awsvpc_configuration.subnets]
    found += [s for g in scenario.auto_scaling_groups for s in g.subnets]
    managed = [p.managed_instances_provider for p in scenario.capacity_providers]
    found += [s for m in managed if m for s in m.instance_launch_template.network_configuration.subnets]
    found += [s for b in scenario.load_balancers for s in b.subnets]
    return list(dict.fromkeys(found))


def declared_subnets(scenario: Scenario) -> tuple[Subnet, ...]:
    """Return the subnets with their zones; where a scenario declares none, those it names, one zone after the other."""
    if scenario.network.subnets:
        return scenario.network.subnets
    from fargsim.catalog import availability_zones, parameters

    count = int(parameters(scenario.assumptions).number("default_zones"))
    zones = availability_zones(scenario.region, count)
    return tuple(
        Subnet(subnet_id=name, availability_zone=zones[n % len(zones)]) for n, name in enumerate(used_subnets(scenario))
    )
