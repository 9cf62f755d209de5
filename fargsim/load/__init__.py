"""Read scenarios, task definitions and traces: every fault in one pass, each with file, line, column and path."""

import sys
from types import ModuleType
from typing import Any

from fargsim.load.issue import LocatedIssue, ScenarioError
from fargsim.load.notes import load_notes
from fargsim.load.scenario import load, load_variants
from fargsim.load.schema import json_schema
from fargsim.load.trace import RateTrace, read_rate_trace, read_timestamps
from fargsim.load.validate import FileReport, validate_file
from fargsim.model.scenario import Scenario

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


class _CallableRoom(ModuleType):
    """The room, which is also the function `fargsim.load`: importing a room binds its name on the package, over the function's."""

    def __call__(self, *args: Any, **kwargs: Any) -> Scenario:
        return load(*args, **kwargs)


sys.modules[__name__].__class__ = _CallableRoom
