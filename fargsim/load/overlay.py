"""Variants and ``--set``: one document laid over another, before anything is validated.

Mappings merge key by key, ``null`` removes a key, lists of named things merge by their names, any other list and every text or number is
replaced. A value keeps the place where it was written, so a fault of a variant points into the variant.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable

from fargsim.load.issue import LocatedIssue, Mark, ScenarioError, fault
from fargsim.load.node import Limits, Mapping, Node, Scalar, Sequence
from fargsim.load.yaml_reader import read_yaml
from fargsim.model.base import Path
from fargsim.model.distribution import KINDS
from fargsim.model.traffic import RATE_KINDS

NATURAL_KEYS = (
    "serviceName",
    "clusterName",
    "family",
    "name",
    "Name",
    "AutoScalingGroupName",
    "LaunchTemplateName",
    "PolicyName",
    "ScheduledActionName",
    "AlarmName",
    "SubnetId",
    "GroupId",
    "ServiceName",
    "DeviceName",
    "Key",
    "key",
    "containerName",
    "QueueName",
    "to",
    "service",
    "queue",
)
"""Keys that name an element of a list, in the order in which they are tried."""

AS_ONE = (
    "capacityProviderStrategy",
    "defaultCapacityProviderStrategy",
    "placementStrategy",
    "placementConstraints",
    "dependsOn",
)
"""Lists that are one value: a strategy of which half came from elsewhere would be another strategy."""

EXCLUSIVE = (
    frozenset(KINDS),
    frozenset(RATE_KINDS),
    frozenset({"launchType", "capacityProviderStrategy"}),
    frozenset(
        {
            "TargetTrackingScalingPolicyConfiguration",
            "StepScalingPolicyConfiguration",
            "PredictiveScalingPolicyConfiguration",
        }
    ),
    frozenset({"PredefinedMetricSpecification", "CustomizedMetricSpecification"}),
)
"""Keys of which a mapping has one: an overlay that names one takes the others away."""

REMOVE = "$remove"
"""An element of a list with this key set to true takes the element of the same name away."""


def overlay(base: Node, over: Node, *, key: str | None = None) -> Node:
    """Return `base` with `over` laid over it; neither is changed.

    Parameters
    ----------
    key
        The key under which the two stand.
    """
    if isinstance(over, Mapping) and not over.whole and isinstance(base, Mapping):
        return _mappings(base, over)
    if isinstance(over, Sequence) and isinstance(base, Sequence) and key not in AS_ONE:
        merged = _lists(base, over)
        if merged is not None:
            return merged
    return _without_nulls(over)


def _mappings(base: Mapping, over: Mapping) -> Mapping:
    entries, keys = dict(base.entries), dict(base.keys)
    for group in EXCLUSIVE:
        if any(k in group and not _null(v) for k, v in over.entries.items()):
            for rival in group - over.entries.keys():
                entries.pop(rival, None)
    for key, value in over.entries.items():
        if _null(value):
            entries.pop(key, None)
        elif key in entries:
            entries[key] = overlay(entries[key], value, key=key)
            if not isinstance(value, Mapping | Sequence):
                keys[key] = over.keys[key]
        else:
            entries[key] = _without_nulls(value)
            keys[key] = over.keys[key]
    return Mapping(entries, base.mark, keys, whole=base.whole)


def _lists(base: Sequence, over: Sequence) -> Sequence | None:
    """Merge two lists by the name of their elements; None when they have none."""
    found = _names(base, over)
    if found is None:
        return None
    old, new = found
    items: dict[str, Node] = dict(zip(old, base.items, strict=True))
    for name, item in zip(new, over.items, strict=True):
        assert isinstance(item, Mapping)
        gone = item.entries.get(REMOVE)
        if isinstance(gone, Scalar) and gone.value is True:
            items.pop(name, None)
        elif name in items:
            items[name] = overlay(items[name], item)
        else:
            items[name] = _without_nulls(item)
    return Sequence(list(items.values()), base.mark)


def _names(base: Sequence, over: Sequence) -> tuple[list[str], list[str]] | None:
    for key in NATURAL_KEYS:
        old, new = _values(base, key), _values(over, key)
        if old is not None and new is not None:
            return old, new
    return None


def _values(node: Sequence, key: str) -> list[str] | None:
    """Return the names under one key; None unless every element has one and all differ."""
    names = []
    for item in node.items:
        name = item.entries.get(key) if isinstance(item, Mapping) else None
        if not isinstance(name, Scalar) or not isinstance(name.value, str):
            return None
        names.append(name.value)
    return names if len(set(names)) == len(names) else None


def _null(node: Node) -> bool:
    return isinstance(node, Scalar) and node.value is None


def _without_nulls(node: Node) -> Node:
    """Return a value of an overlay that meets nothing in the base: there is nothing to remove, so its nulls go."""
    if isinstance(node, Mapping) and not node.whole:
        kept = {k: _without_nulls(v) for k, v in node.entries.items() if not _null(v)}
        return Mapping(kept, node.mark, node.keys, whole=node.whole, broken=node.broken)
    if isinstance(node, Sequence):
        return Sequence([_without_nulls(item) for item in node.items], node.mark)
    return node


SET_FILE = "--set"
_PATH = re.compile(r"[^.\[\]]+(?:\.[^.\[\]]+|\[[^\[\]]+\])*")
_PART = re.compile(r"\[[^\[\]]+\]|[^.\[\]]+")
_VALUE_LIMITS = Limits(file_bytes=100_000, nodes=10_000, depth=32)


def apply_overrides(root: Node, overrides: Iterable[tuple[str, str]]) -> Node:
    """Lay ``--set path=value`` pairs over a document, in order.

    A path is written like ``services[0].desiredCount`` or ``services[web].desiredCount`` (the element of that name); a value is read
    as YAML, and ``null`` removes the key.

    Raises
    ------
    ScenarioError
        With every pair at fault; the file is ``--set`` and the line its number.
    """
    issues: list[LocatedIssue] = []
    for number, (path, text) in enumerate(overrides, start=1):
        try:
            root = _set(root, path, text, Mark(SET_FILE, number, 1))
        except ScenarioError as error:
            issues += error.issues
    if issues:
        raise ScenarioError(issues)
    return root


def _set(root: Node, path: str, text: str, mark: Mark) -> Node:
    value: Node = Scalar("", mark)
    if text.strip():
        value = _moved(read_yaml(text, SET_FILE, _VALUE_LIMITS), mark)
    return _put(root, _parts(path, mark), value, mark, ())


def _moved(node: Node, mark: Mark) -> Node:
    """Put a value at the place of its override: its own lines are lines of one argument."""
    if isinstance(node, Mapping):
        entries = {k: _moved(v, mark) for k, v in node.entries.items()}
        return Mapping(entries, mark, dict.fromkeys(entries, mark))
    if isinstance(node, Sequence):
        return Sequence([_moved(v, mark) for v in node.items], mark)
    return Scalar(node.value, mark)


def _parts(path: str, mark: Mark) -> list[str]:
    """Split a path; what stands in brackets keeps them."""
    if _PATH.fullmatch(path) is None:
        raise fault(mark, (), f"'{path}' is not a path: write it like services[0].desiredCount")
    return _PART.findall(path)


def _put(node: Node, parts: list[str], value: Node, mark: Mark, done: Path) -> Node:
    head = parts[0]
    if head.startswith("["):
        return _put_item(node, parts, value, mark, done)
    if not isinstance(node, Mapping):
        raise fault(mark, done, f"has no keys, so '{head}' cannot be set in it")
    # a key may itself have dots, like ecs.update_service: the longest one that exists is meant
    taken = 1
    for n in range(len(parts), 0, -1):
        if not any(p.startswith("[") for p in parts[:n]) and ".".join(parts[:n]) in node.entries:
            head, taken = ".".join(parts[:n]), n
            break
    rest = parts[taken:]
    entries, keys = dict(node.entries), dict(node.keys)
    if rest:
        below = entries.get(head)
        if below is None and rest[0].startswith("["):
            raise fault(mark, (*done, head), "is not there, so none of its elements can be set")
        entries[head] = _put(below if below is not None else Mapping({}, mark), rest, value, mark, (*done, head))
        keys.setdefault(head, mark)
    elif _null(value):
        entries.pop(head, None)
    else:
        for group in EXCLUSIVE:
            if head in group:
                for rival in group - {head}:
                    entries.pop(rival, None)
        entries[head], keys[head] = value, mark
    return Mapping(entries, node.mark, keys, whole=node.whole)


def _put_item(node: Node, parts: list[str], value: Node, mark: Mark, done: Path) -> Node:
    name, rest = parts[0][1:-1], parts[1:]
    if not isinstance(node, Sequence):
        raise fault(mark, done, f"is not a list, so it has no element [{name}]")
    at = _index(node, name, mark, done)
    items = list(node.items)
    if not rest and _null(value):
        del items[at]
    else:
        items[at] = _put(items[at], rest, value, mark, (*done, at)) if rest else value
    return Sequence(items, node.mark)


def _index(node: Sequence, name: str, mark: Mark, done: Path) -> int:
    if re.fullmatch(r"[0-9]{1,9}", name):
        if int(name) >= len(node.items):
            raise fault(mark, done, f"has {len(node.items)} elements, so there is no [{name}] (the first is [0])")
        return int(name)
    for key in NATURAL_KEYS:
        names = _values(node, key)
        if names is not None:
            if name in names:
                return names.index(name)
            close = difflib.get_close_matches(name, names, n=3) or names[:12]
            raise fault(mark, done, f"has no element '{name}': it has {', '.join(close)}")
    raise fault(mark, done, f"has no element '{name}': its elements have no names, write a number from 0")
