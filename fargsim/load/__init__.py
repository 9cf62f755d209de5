"""Read scenarios, task definitions and traces: every fault in one pass, each with file, line, column and path."""

from fargsim.load.issue import LocatedIssue, ScenarioError
from fargsim.load.notes import load_notes
from fargsim.load.scenario import load, load_variants
from fargsim.load.schema import json_schema
from fargsim.load.trace import RateTrace, read_rate_trace, read_timestamps
from fargsim.load.validate import FileReport, validate_file

__all__ = [
    "FileReport",
    "LocatedIssue",
    "RateTrace",
    "ScenarioError",
    "json_schema",
    "load",
    "load_notes",
    "load_variants",
    "read_rate_trace",
    "read_timestamps",
    "validate_file",
]
