"""What the commands read: variants of a scenario, and files to check."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from fargsim.cli.status import refuse, say
from fargsim.load import FileReport, LocatedIssue, ScenarioError, load, load_variants, validate_file
from fargsim.model.scenario import Scenario


def read_variants(
    file: Path, names: Sequence[str], assignments: Sequence[str], *, allow_outside: bool
) -> list[Scenario]:
    """Return the variants that are named, in that order; all of them, in the order of the file, if none is.

    Raises
    ------
    ScenarioError
        With every fault of the file, or of the variants that are named.
    """
    overrides = tuple(_split(text) for text in assignments)
    if not names:
        return list(load_variants(file, allow_outside=allow_outside, overrides=overrides).values())
    found: list[Scenario] = []
    issues: list[LocatedIssue] = []
    for name in dict.fromkeys(names):
        try:
            found.append(load(file, variant=name, allow_outside=allow_outside, overrides=overrides))
        except ScenarioError as error:
            issues += error.issues
    if issues:
        raise ScenarioError(issues)
    return found


def check_files(files: Sequence[Path], *, as_json: bool, allow_outside: bool) -> bool:
    """Check files and print what they are and what is wrong with them; return whether all are sound."""
    reports = [validate_file(file, allow_outside=allow_outside) for file in files]
    for report in reports:
        for issue in report.issues:
            say(str(issue))
    if as_json:
        print(json.dumps([report.as_json() for report in reports], indent=2, ensure_ascii=False, allow_nan=False))
    else:
        for report in reports:
            if report.ok:
                print(f"{report.file}: {report.kind}: ok ({_facts(report)})")
            for note in report.notes:
                print(f"{report.file}: note: {note}")
    return all(report.ok for report in reports)


def _facts(report: FileReport) -> str:
    """Write the facts of a sound file in one line."""
    shown = {name: ", ".join(map(str, v)) if isinstance(v, list) else v for name, v in report.facts.items()}
    return "; ".join(f"{name.replace('_', ' ')}: {value}" for name, value in shown.items())


def _split(assignment: str) -> tuple[str, str]:
    path, equals, value = assignment.partition("=")
    if not equals or not path.strip():
        raise refuse(f"--set: '{assignment}' is not PATH=VALUE, like services[web].desiredCount=6")
    return path.strip(), value
