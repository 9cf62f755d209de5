"""Scenario files to scenarios."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from os import PathLike
from pathlib import Path as FilePath

from fargsim.load.assemble import Source, read_source
from fargsim.load.check import check
from fargsim.load.issue import LocatedIssue, ScenarioError
from fargsim.load.resolve import resolve
from fargsim.model.scenario import Scenario

DEFAULT_VARIANT = "default"
"""The name under which a scenario without variants stands."""


def load(
    path: str | PathLike[str],
    *,
    variant: str | None = None,
    allow_outside: bool = False,
    overrides: Iterable[tuple[str, str]] = (),
) -> Scenario:
    """Read a scenario from a YAML or JSON file.

    Parameters
    ----------
    path
        The file. One that ends in ``.json`` is read as JSON.
    variant
        Name of the overlay under ``variants``; ``None`` reads the scenario without any.
    allow_outside
        Whether files that the scenario names may lie outside its folder.
    overrides
        Pairs of path and value, like ``("services[0].desiredCount", "8")``; see ``docs/scenario.md``.

    Returns
    -------
    Scenario
        Resolved: traces and task definition files are part of it.

    Raises
    ------
    ScenarioError
        With every fault of the file and of those it names, each with file, line, column and path.
    """
    source = read_source(FilePath(path), allow_outside=allow_outside)
    if variant is not None:
        source.require_variant(variant)
    scenario, issues = load_one(source, variant, allow_outside=allow_outside, overrides=overrides)
    # a fault in another variant's file is no fault of this one
    own = [i for i in source.issues if variant is None or i.path[:1] != ("variants",) or i.path[1:2] == (variant,)]
    if scenario is None or issues or own:
        raise ScenarioError([*own, *issues])
    return scenario


def load_variants(
    path: str | PathLike[str], *, allow_outside: bool = False, overrides: Iterable[tuple[str, str]] = ()
) -> dict[str, Scenario]:
    """Read every variant of a scenario, in the order of the file.

    Returns
    -------
    dict of str to Scenario
        By variant; a file without variants gives one scenario by the name ``default``.

    Raises
    ------
    ScenarioError
        With every fault of every variant; one that not all variants share says whose it is.
    """
    source = read_source(FilePath(path), allow_outside=allow_outside)
    scenarios, issues = load_all(source, allow_outside=allow_outside, overrides=tuple(overrides))
    if issues:
        raise ScenarioError(issues)
    return scenarios


def load_all(
    source: Source, *, allow_outside: bool, overrides: tuple[tuple[str, str], ...] = ()
) -> tuple[dict[str, Scenario], list[LocatedIssue]]:
    """Validate every variant of a source; return those that are sound, and the faults of all."""
    names: list[str | None] = list(source.variants) or [None]
    scenarios: dict[str, Scenario] = {}
    whose: dict[LocatedIssue, list[str]] = {}
    for name in names:
        scenario, issues = load_one(source, name, allow_outside=allow_outside, overrides=overrides)
        label = name or DEFAULT_VARIANT
        if scenario is not None:
            scenarios[label] = scenario
        for issue in dict.fromkeys(issues):
            whose.setdefault(issue, []).append(label)
    found = [
        issue if len(labels) == len(names) else replace(issue, message=f"{issue.message} (variant {', '.join(labels)})")
        for issue, labels in whose.items()
    ]
    return scenarios, [*source.issues, *found]


def load_one(
    source: Source, variant: str | None, *, allow_outside: bool, overrides: Iterable[tuple[str, str]] = ()
) -> tuple[Scenario | None, list[LocatedIssue]]:
    """Validate and resolve one variant of a source; the scenario is ``None`` when anything is at fault."""
    try:
        root = source.document(variant, overrides)
    except ScenarioError as error:
        return None, list(error.issues)
    scenario, issues = check(root)
    if scenario is None:
        return None, issues
    try:
        scenario = resolve(scenario, root, source.folder, allow_outside=allow_outside)
    except ScenarioError as error:
        return None, list(error.issues)
    return (scenario if variant is None else scenario.model_copy(update={"variant": variant})), []
