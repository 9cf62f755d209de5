"""From files to one document: task definition files put in their places, a variant and overrides laid over."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path as FilePath

from fargsim.load.document import missing, read_document, within
from fargsim.load.issue import LocatedIssue, ScenarioError
from fargsim.load.node import Mapping, Node, Scalar, Sequence, locate
from fargsim.load.overlay import apply_overrides, overlay
from fargsim.model.base import Path


@dataclass(slots=True)
class Source:
    """A scenario file, read but not validated.

    Parameters
    ----------
    base
        The document without its variants; task definition files are in their places.
    variants
        The overlays, in order.
    issues
        Faults found on the way; nodes that are marked broken belong to them.
    """

    path: FilePath
    base: Mapping
    variants: dict[str, Mapping]
    issues: list[LocatedIssue]

    @property
    def folder(self) -> FilePath:
        """The folder that the files it names must be in."""
        return self.path.parent

    def document(self, variant: str | None, overrides: Iterable[tuple[str, str]] = ()) -> Mapping:
        """Return the document of a variant with overrides laid over it."""
        root: Node = self.base if variant is None else overlay(self.base, self.variants[variant])
        root = apply_overrides(root, overrides)
        assert isinstance(root, Mapping)
        return root

    def require_variant(self, name: str) -> None:
        """Raise ScenarioError, naming the variants there are, unless there is one of that name."""
        if name in self.variants:
            return
        names = list(self.variants)
        close = difflib.get_close_matches(name, names, n=3)
        hint = (
            f"did you mean {' or '.join(close)}?" if close else f"it has {', '.join(names)}" if names else "it has none"
        )
        raise ScenarioError([locate(self.base, ("variants",), f"there is no variant '{name}': {hint}")])


def read_source(path: FilePath, *, allow_outside: bool = False) -> Source:
    """Read a scenario file and the task definition files that it names.

    Raises
    ------
    ScenarioError
        When the file is no document with keys at all; faults of other files are collected in `Source.issues`.
    """
    root = read_document(path)
    if not isinstance(root, Mapping):
        raise ScenarioError(
            [locate(root, (), "a scenario is a mapping, with keys such as name, duration and services")]
        )
    return source_of(root, path, allow_outside=allow_outside)


def source_of(root: Mapping, path: FilePath, *, allow_outside: bool = False) -> Source:
    """Return the source of a document that has been read."""
    issues: list[LocatedIssue] = []
    variants = _variants(root, issues)
    base = Mapping({k: v for k, v in root.entries.items() if k != "variants"}, root.mark, root.keys)
    for document, prefix in ((base, ()), *((v, ("variants", name)) for name, v in variants.items())):
        definitions = document.entries.get("taskDefinitions")
        if isinstance(definitions, Sequence):
            path_here = (*prefix, "taskDefinitions")
            document.entries["taskDefinitions"] = _with_files(definitions, path, allow_outside, root, path_here, issues)
    return Source(path, base, variants, issues)


def _variants(root: Mapping, issues: list[LocatedIssue]) -> dict[str, Mapping]:
    node = root.entries.get("variants")
    if node is None or (isinstance(node, Scalar) and node.value is None):
        return {}
    if not isinstance(node, Mapping) or not node.entries:
        issues.append(locate(root, ("variants",), "must be a mapping from names to what differs, like {ec2: {...}}"))
        return {}
    found = {}
    for name, over in node.entries.items():
        plain_name = name.replace("-", "").replace("_", "").replace(".", "")
        if not plain_name.isalnum() or not plain_name.isascii() or not name[0].isalnum() or len(name) > 100:
            message = f"'{name[:60]}' is no name for a variant: use letters, digits, '-', '_' and '.'"
            issues.append(locate(root, ("variants", name), message, at_key=True))
        elif isinstance(over, Scalar) and over.value is None:
            found[name] = Mapping({}, over.mark)
        elif isinstance(over, Mapping):
            found[name] = Mapping(dict(over.entries), over.mark, over.keys)
        else:
            issues.append(locate(root, ("variants", name), "must be a mapping with what differs from the scenario"))
    return found


def _with_files(
    node: Sequence, path: FilePath, allow_outside: bool, root: Mapping, at: Path, issues: list[LocatedIssue]
) -> Sequence:
    items: list[Node] = []
    for n, item in enumerate(node.items):
        if not isinstance(item, Mapping) or "file" not in item.entries:
            items.append(item)
            continue
        try:
            items.append(_definition(item, path, allow_outside, root, (*at, n)))
        except ScenarioError as error:
            issues += error.issues
            items.append(Mapping(item.entries, item.mark, item.keys, broken=True))
    return Sequence(items, node.mark)


def _definition(item: Mapping, path: FilePath, allow_outside: bool, root: Mapping, at: Path) -> Mapping:
    name = item.entries["file"]
    others = [k for k in item.entries if k != "file"]
    if others:
        message = f"'file' stands alone: {', '.join(others)} belongs into the file, or into a variant by its family"
        raise ScenarioError([locate(root, (*at, "file"), message, at_key=True)])
    if not isinstance(name, Scalar) or not isinstance(name.value, str):
        raise ScenarioError([locate(root, (*at, "file"), "must be the name of a file")])
    try:
        found = within(path.parent, name.value, allow_outside=allow_outside)
    except ValueError as error:
        raise ScenarioError([locate(root, (*at, "file"), str(error))]) from None
    if not found.is_file():
        raise ScenarioError([locate(root, (*at, "file"), f"'{name.value}': {missing(found)}")])
    definition = read_document(found)
    if not isinstance(definition, Mapping):
        raise ScenarioError(
            [locate(definition, (), "a task definition is a mapping with family and containerDefinitions")]
        )
    return Mapping(definition.entries, definition.mark, definition.keys, whole=True)
