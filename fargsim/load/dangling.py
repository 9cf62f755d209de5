"""Names that an element with a fault of its own refers to: read from the document, because the model has refused the element."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from fargsim.load.names import FARGATE_PROVIDERS, Names, revision_fault, tail, unknown
from fargsim.model.base import Issue, Path

_Check = Callable[[str, dict[str, Any], Names], str | None]


def _definition(name: str, around: dict[str, Any], names: Names) -> str | None:
    return revision_fault(name, names)


def _cluster(name: str, around: dict[str, Any], names: Names) -> str | None:
    return None if tail(name) in names.clusters else unknown("cluster", tail(name), names.clusters)


def _service(name: str, around: dict[str, Any], names: Names) -> str | None:
    cluster = around.get("cluster", "default")
    known = names.services.get(tail(cluster), []) if isinstance(cluster, str) else []
    if not known or tail(name) in known:
        # an unknown cluster is told by itself
        return None if known or cluster != "default" else unknown("service", tail(name), known)
    return unknown("service" if cluster == "default" else f"service in cluster {cluster}", tail(name), known)


def _provider(name: str, around: dict[str, Any], names: Names) -> str | None:
    legal = [*FARGATE_PROVIDERS, *names.capacity_providers]
    return None if name in legal else unknown("capacity provider", name, legal)


def _target_group(name: str, around: dict[str, Any], names: Names) -> str | None:
    return None if tail(name) in names.target_groups else unknown("target group", tail(name), names.target_groups)


def _group(name: str, around: dict[str, Any], names: Names) -> str | None:
    return (
        None
        if tail(name) in names.auto_scaling_groups
        else unknown("Auto Scaling group", tail(name), names.auto_scaling_groups)
    )


def _template(name: str, around: dict[str, Any], names: Names) -> str | None:
    return None if name in names.launch_templates else unknown("launch template", name, names.launch_templates)


_REFERENCES: dict[str, dict[str, _Check]] = {
    "services": {
        "taskDefinition": _definition,
        "cluster": _cluster,
        "capacityProvider": _provider,
        "targetGroupArn": _target_group,
    },
    "jobs": {"taskDefinition": _definition, "cluster": _cluster, "capacityProvider": _provider},
    "traffic": {"to": _service, "cluster": _cluster},
    "scaling": {"service": _service, "cluster": _cluster},
    "timeline": {
        "service": _service,
        "cluster": _cluster,
        "taskDefinition": _definition,
        "capacityProvider": _provider,
        "targetGroupArn": _target_group,
        "AutoScalingGroupName": _group,
        "auto_scaling_group": _group,
    },
    "autoScalingGroups": {"LaunchTemplateName": _template, "cluster": _cluster},
    "capacityProviders": {"autoScalingGroupArn": _group, "cluster": _cluster},
    "loadBalancers": {"TargetGroupArn": _target_group},
}
"""Keys that hold a name of another part, by section."""


def dangling_faults(data: dict[str, Any], section: str, index: int, names: Names) -> Iterator[Issue]:
    """Yield the dangling names of one element of a section, at any depth."""
    checks = _REFERENCES.get(section)
    if checks is not None:
        yield from _walk(data[section][index], (section, index), checks, names)


def _walk(value: Any, path: Path, checks: dict[str, _Check], names: Names) -> Iterator[Issue]:
    if isinstance(value, dict):
        for key, below in value.items():
            if key in checks and isinstance(below, str):
                message = checks[key](below, value, names)
                if message is not None:
                    yield Issue((*path, key), message)
            else:
                yield from _walk(below, (*path, key), checks, names)
    elif isinstance(value, list):
        for n, below in enumerate(value):
            yield from _walk(below, (*path, n), checks, names)
