"""One document to one scenario: shape, references and facts, with every fault in one pass.

The model checks all shapes at once but stops there. So what it refuses is taken out, element by element, and the rest is checked for
references and facts all the same; places keep pointing into the whole document.
"""

from __future__ import annotations

import json
from typing import Any

from pydantic import ValidationError

from fargsim.load.dangling import dangling_faults
from fargsim.load.definition import check_definition
from fargsim.load.facts import fact_faults
from fargsim.load.faults import refused_as, translate
from fargsim.load.issue import LocatedIssue
from fargsim.load.names import read_names
from fargsim.load.node import Mapping, Sequence, locate, to_plain
from fargsim.load.references import reference_faults
from fargsim.model.base import Path
from fargsim.model.scenario import Scenario

_STAND_INS: dict[str, Any] = {"name": "scenario", "duration": "366 d"}
"""What takes the place of a needed value that is at fault, while the rest is checked."""

_NAMED = ("behaviour", "quotas", "assumptions", "hooks", "roles", "images", "registries")
"""Sections that are mappings from names: one name that is at fault leaves the others."""

_ROUNDS = 4


class _Rest:
    """A document without the parts that are at fault."""

    def __init__(self, data: dict[str, Any]) -> None:
        self.data: dict[str, Any] = {
            key: list(value) if isinstance(value, list) else dict(value) if isinstance(value, dict) else value
            for key, value in data.items()
        }
        self._counts = {key: len(value) for key, value in data.items() if isinstance(value, list)}
        self._kept = {key: list(range(len(value))) for key, value in data.items() if isinstance(value, list)}

    def place(self, path: Path) -> Path:
        """Return where a path of this document lies in the whole one."""
        if len(path) > 1 and isinstance(path[1], int) and path[0] in self._kept:
            kept = self._kept[str(path[0])]
            if path[1] < len(kept):
                return (path[0], kept[path[1]], *path[2:])
        return path

    def refused(self) -> list[tuple[str, int]]:
        """Return the elements that were taken out, by section and index in the whole document."""
        return [
            (section, n)
            for section, count in self._counts.items()
            for n in sorted(set(range(count)) - set(self._kept[section]))
        ]

    def without(self, paths: set[Path]) -> bool:
        """Take out the elements in which the paths (of this document) lie; False when there was nothing to take."""
        taken = False
        for path in sorted({p[:2] for p in paths if p}, key=str, reverse=True):
            section = str(path[0])
            here = self.data.get(section)
            if len(path) > 1 and isinstance(here, dict) and section in _NAMED:
                taken |= here.pop(path[1], None) is not None
            elif not (len(path) > 1 and isinstance(here, list)):
                taken |= section in self.data or section in _STAND_INS
                self.data.pop(section, None)
                if section in _STAND_INS:
                    self.data[section] = _STAND_INS[section]
        gone: dict[str, set[int]] = {}
        for path in paths:
            if len(path) > 1 and isinstance(path[1], int) and isinstance(self.data.get(str(path[0])), list):
                gone.setdefault(str(path[0]), set()).add(path[1])
        for section, indices in gone.items():
            self.data[section] = [v for n, v in enumerate(self.data[section]) if n not in indices]
            self._kept[section] = [v for n, v in enumerate(self._kept[section]) if n not in indices]
            taken = True
        return taken


def check(root: Mapping) -> tuple[Scenario | None, list[LocatedIssue]]:
    """Validate a document.

    Returns
    -------
    scenario : Scenario or None
        ``None`` when anything is at fault.
    issues : list of LocatedIssue
        Every fault found.
    """
    data = to_plain(root)
    rest = _Rest(data)
    issues: list[LocatedIssue] = []
    broken = _broken(root)
    rest.without(broken)
    scenario: Scenario | None = None
    for _ in range(_ROUNDS):
        try:
            scenario = Scenario.model_validate_json(json.dumps(rest.data), strict=True, by_alias=True, by_name=False)
            break
        except ValidationError as error:
            issues += translate(error, rest.data, root, rest.place)
            if not rest.without(_fault_paths(error, rest.data)):
                break
    names = read_names(data)
    names.incomplete = bool(broken)
    for section, n in rest.refused():
        if section == "taskDefinitions" and (section, n) not in broken:
            issues += check_definition(data[section][n], root, (section, n))[1]
        issues += [locate(root, issue.path, issue.message) for issue in dangling_faults(data, section, n, names)]
    if scenario is None:
        return None, issues
    for issue in (*reference_faults(scenario, names), *fact_faults(scenario)):
        path = rest.place(issue.path)
        issues.append(locate(root, path, issue.message, exception=refused_as(path)))
    return (None if issues or broken else scenario), issues


def _broken(root: Mapping) -> set[Path]:
    definitions = root.entries.get("taskDefinitions")
    if not isinstance(definitions, Sequence):
        return set()
    return {
        ("taskDefinitions", n) for n, item in enumerate(definitions.items) if isinstance(item, Mapping) and item.broken
    }


def _fault_paths(error: ValidationError, data: Any) -> set[Path]:
    """Return the first two steps to every fault; a fault of the whole document names its section in its own path."""
    found: set[Path] = set()
    for one in error.errors(include_url=False):
        path: Path = tuple(one["loc"])
        cause = (one.get("ctx") or {}).get("error")
        below = [issue.path for issue in getattr(cause, "issues", ())] or [()]
        found |= {(*path, *more)[:2] for more in below}
    return found
