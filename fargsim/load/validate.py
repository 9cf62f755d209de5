"""Any accepted input file: which kind it is, every fault, and the facts it states. Nothing is run."""

from __future__ import annotations

from dataclasses import dataclass, field
from os import PathLike
from pathlib import Path as FilePath
from typing import Any

from fargsim.load.assemble import source_of
from fargsim.load.definition import check_definition
from fargsim.load.document import read_document
from fargsim.load.facts import fargate_ready
from fargsim.load.issue import LocatedIssue, ScenarioError, in_order
from fargsim.load.node import Mapping, Node, locate, to_plain
from fargsim.load.notes import load_notes
from fargsim.load.scenario import load_all
from fargsim.load.shape import legal_keys
from fargsim.model.taskdef import TaskDefinition

SCENARIO = "scenario"
TASK_DEFINITION = "task definition"
UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class FileReport:
    """What one input file is and says.

    Parameters
    ----------
    file
        Its path as given.
    kind
        ``scenario``, ``task definition`` or ``unknown``.
    issues
        Its faults and those of the files it names.
    facts
        Of a task definition: ``family``, ``containers`` (how many), ``cpu_units`` and ``memory_mib`` (what placement subtracts),
        ``network_mode``, ``requires_compatibilities``, ``fargate_ok``. Of a scenario: ``name``, ``region``, ``variants``,
        ``services``, ``duration_s``. Empty when the file is at fault.
    notes
        What a user should know although it is no fault.
    """

    file: str
    kind: str
    issues: tuple[LocatedIssue, ...] = ()
    facts: dict[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    @property
    def ok(self) -> bool:
        """Whether nothing is at fault."""
        return not self.issues

    def as_json(self) -> dict[str, Any]:
        """Return the report as ``fargsim validate --json`` prints it."""
        return {
            "file": self.file,
            "kind": self.kind,
            "ok": self.ok,
            "issues": [issue.as_json() for issue in self.issues],
            "facts": self.facts,
            "notes": list(self.notes),
        }


def validate_file(path: str | PathLike[str], *, allow_outside: bool = False) -> FileReport:
    """Validate a scenario (all its variants) or a task definition; never raises for what is in the file.

    Examples
    --------
    >>> import json, pathlib, tempfile
    >>> definition = {"family": "web", "containerDefinitions": [{"name": "app", "image": "httpd", "memory": 512}]}
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     file = pathlib.Path(folder, "web.json")
    ...     _ = file.write_text(json.dumps(definition))
    ...     report = validate_file(file)
    >>> report.kind, report.ok, report.facts["memory_mib"], report.facts["fargate_ok"]
    ('task definition', True, 512, False)
    """
    file = FilePath(path)
    try:
        root = read_document(file)
    except ScenarioError as error:
        return FileReport(str(file), UNKNOWN, error.issues)
    kind = kind_of(root)
    if kind == TASK_DEFINITION:
        return _definition_report(root, file)
    if kind == SCENARIO:
        assert isinstance(root, Mapping)
        return _scenario_report(root, file, allow_outside)
    return FileReport(str(file), UNKNOWN, (locate(root, (), _neither(root)),))


def kind_of(root: Node) -> str:
    """Return what kind of input a document is, by its keys."""
    if not isinstance(root, Mapping):
        return UNKNOWN
    keys = root.entries.keys()
    if "containerDefinitions" in keys or ("family" in keys and "services" not in keys):
        return TASK_DEFINITION
    scenario_keys = set(legal_keys(())) - {"name", "description", "region"}
    return SCENARIO if keys & scenario_keys else UNKNOWN


def _neither(root: Node) -> str:
    if isinstance(root, Mapping) and isinstance(root.entries.get("taskDefinition"), Mapping):
        return (
            "looks like the output of describe-task-definition: give what stands under 'taskDefinition', with the keys that "
            "register-task-definition takes"
        )
    return (
        "is neither a scenario (a mapping with keys such as name, duration, services) nor a task definition "
        "(family, containerDefinitions)"
    )


def _definition_report(root: Node, file: FilePath) -> FileReport:
    definition, issues = check_definition(to_plain(root), root)
    facts = definition_facts(definition) if definition is not None else {}
    return FileReport(str(file), TASK_DEFINITION, in_order(issues), facts)


def definition_facts(definition: TaskDefinition) -> dict[str, Any]:
    """Return the facts of a sound task definition, ready for JSON."""
    return {
        "family": definition.family,
        "containers": len(definition.container_definitions),
        "cpu_units": definition.cpu_units,
        "memory_mib": definition.memory_mib,
        "network_mode": definition.effective_network_mode,
        "requires_compatibilities": list(definition.requires_compatibilities),
        "fargate_ok": fargate_ready(definition),
    }


def _scenario_report(root: Mapping, file: FilePath, allow_outside: bool) -> FileReport:
    source = source_of(root, file, allow_outside=allow_outside)
    scenarios, issues = load_all(source, allow_outside=allow_outside)
    if issues:
        return FileReport(str(file), SCENARIO, in_order(issues))
    first = next(iter(scenarios.values()))
    facts = {
        "name": first.name,
        "region": first.region,
        "variants": list(scenarios),
        "services": [s.service_name for s in first.services],
        "duration_s": first.duration / 1_000_000,
    }
    notes = dict.fromkeys(note for scenario in scenarios.values() for note in load_notes(scenario))
    return FileReport(str(file), SCENARIO, (), facts, tuple(notes))
