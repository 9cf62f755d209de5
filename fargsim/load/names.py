"""The names of a scenario's parts, read from the document, so that a reference to a part with a fault of its own is not called dangling."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from fargsim.model.placement import FARGATE_PROVIDERS as FARGATE_PROVIDERS
from fargsim.model.taskdef import TaskDefinition


def tail(name_or_arn: str) -> str:
    """Return the name at the end of an ARN, or the name itself.

    >>> tail("arn:aws:elasticloadbalancing:us-east-1:123456789012:targetgroup/web/73e2d6bc24d8a067")
    'web'
    >>> tail("web:2")
    'web:2'
    """
    if not name_or_arn.startswith("arn:"):
        return name_or_arn
    resource = name_or_arn.split(":", 5)[-1]
    parts = resource.split("/")
    if parts[0] in ("targetgroup", "loadbalancer") and len(parts) > 2:
        return parts[-2]
    return resource.rpartition("autoScalingGroupName/")[2].rpartition("/")[2]


def unknown(kind: str, name: str, legal: Iterable[str]) -> str:
    """Say that there is nothing of that name, with close matches or the names there are.

    >>> unknown("service", "wep", ["web", "api"])
    "there is no service 'wep': did you mean web?"
    """
    names = sorted(set(legal))
    close = difflib.get_close_matches(name, names, n=3)
    if close:
        return f"there is no {kind} '{name}': did you mean {' or '.join(close)}?"
    shown = ", ".join(names[:12]) + (", ..." if len(names) > 12 else "")
    return f"there is no {kind} '{name}': there {'is' if len(names) == 1 else 'are'} {shown or 'none'}"


@dataclass(slots=True)
class Names:
    """What a document names, by kind.

    Parameters
    ----------
    revisions
        Number of revisions by family, with those that the timeline registers.
    services
        Service names by cluster.
    incomplete
        Whether a task definition file could not be read: its family is not known then.
    """

    revisions: dict[str, int] = field(default_factory=dict)
    services: dict[str, list[str]] = field(default_factory=dict)
    clusters: list[str] = field(default_factory=list)
    target_groups: list[str] = field(default_factory=list)
    load_balancers: list[str] = field(default_factory=list)
    launch_templates: list[str] = field(default_factory=list)
    auto_scaling_groups: list[str] = field(default_factory=list)
    capacity_providers: list[str] = field(default_factory=list)
    subnets: list[str] = field(default_factory=list)
    behaviour: list[str] = field(default_factory=list)
    queues: list[str] = field(default_factory=list)
    alarms: list[str] = field(default_factory=list)
    incomplete: bool = False


def read_names(data: dict[str, Any]) -> Names:
    """Collect the names of a plain document, whatever else is wrong with it."""
    names = Names()
    timeline = [e for e in _items(data, "timeline") if isinstance(e, dict)]
    for definition in (*_items(data, "taskDefinitions"), *(e.get("ecs.register_task_definition") for e in timeline)):
        family = definition.get("family") if isinstance(definition, dict) else None
        if isinstance(family, str):
            names.revisions[family] = names.revisions.get(family, 0) + 1
    for service in (*_items(data, "services"), *(e.get("ecs.create_service") for e in timeline)):
        if isinstance(service, dict) and isinstance(service.get("serviceName"), str):
            cluster = service.get("cluster", "default")
            names.services.setdefault(tail(cluster) if isinstance(cluster, str) else "?", []).append(
                service["serviceName"]
            )
    if "clusters" in data:
        for cluster in _items(data, "clusters"):
            name = cluster.get("clusterName", "default") if isinstance(cluster, dict) else None
            names.clusters += [name] if isinstance(name, str) else []
    else:
        names.clusters = ["default"]
    names.target_groups = list(_named(data, "targetGroups", "Name"))
    names.load_balancers = list(_named(data, "loadBalancers", "Name"))
    names.launch_templates = list(_named(data, "launchTemplates", "LaunchTemplateName"))
    names.auto_scaling_groups = list(_named(data, "autoScalingGroups", "AutoScalingGroupName"))
    names.capacity_providers = list(_named(data, "capacityProviders", "name"))
    names.queues = list(_named(data, "queues", "QueueName"))
    names.alarms = [*_named(data, "alarms", "AlarmName"), *_named(data, "compositeAlarms", "AlarmName")]
    for verb in ("cloudwatch.put_metric_alarm", "cloudwatch.put_composite_alarm"):
        names.alarms += _named({verb: [entry.get(verb) for entry in timeline]}, verb, "AlarmName")
    network = data.get("network")
    names.subnets = list(_named(network, "subnets", "SubnetId")) if isinstance(network, dict) else []
    behaviour = data.get("behaviour")
    names.behaviour = list(behaviour) if isinstance(behaviour, dict) else []
    return names


def _items(data: dict[str, Any], section: str) -> list[Any]:
    found = data.get(section)
    return found if isinstance(found, list) else []


def _named(data: dict[str, Any], section: str, key: str) -> Iterator[str]:
    for item in _items(data, section):
        name = item.get(key) if isinstance(item, dict) else None
        if isinstance(name, str):
            yield name


def revision_fault(reference: str, names: Names) -> str | None:
    """Say what is wrong with a reference to a task definition; None when nothing is.

    Parameters
    ----------
    reference
        ``family``, ``family:revision`` or an ARN.
    """
    family, _, number = tail(reference).partition(":")
    newest = names.revisions.get(family)
    if newest is None:
        return None if names.incomplete else unknown("task definition", family, names.revisions)
    if number and not (number.isascii() and number.isdigit() and 1 <= int(number[:9]) <= newest):
        legal = f"{family}:1" if newest == 1 else f"{family}:1 to {family}:{newest}"
        return f"there is no revision '{number}' of {family}: there is {legal}"
    return None


def pick(reference: str, by_family: dict[str, list[TaskDefinition]], names: Names) -> TaskDefinition | None:
    """Return the definition that a reference means; None when it, or another revision of its family, has a fault."""
    family, _, number = tail(reference).partition(":")
    known = by_family.get(family, [])
    if not known or len(known) != names.revisions.get(family) or revision_fault(reference, names) is not None:
        return None
    return known[int(number) - 1] if number else known[-1]
