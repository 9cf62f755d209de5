"""One task definition, in a file of its own or in a scenario: every fault at once, although the shape is wrong.

The model stops at shapes, and contradictions are looked for in sound shapes only. So what it refuses is left out where nothing else asks
for it, and the rest is looked at all the same.
"""

from __future__ import annotations

import json
from copy import deepcopy
from typing import Any

from pydantic import ValidationError

from fargsim.load.facts import definition_faults
from fargsim.load.faults import refused_as, translate
from fargsim.load.issue import LocatedIssue
from fargsim.load.node import Node, locate
from fargsim.model.base import Path
from fargsim.model.taskdef import TOLERANT, TaskDefinition

_ROUNDS = 4
_ALONE = frozenset(
    {
        "interval",
        "timeout",
        "retries",
        "startPeriod",
        "restartAttemptPeriod",
        "ignoredExitCodes",
        "startTimeout",
        "stopTimeout",
    }
)
"""Keys with a default, which no other rule asks for."""


def check_definition(data: Any, root: Node, at: Path = ()) -> tuple[TaskDefinition | None, list[LocatedIssue]]:
    """Validate a task definition.

    Parameters
    ----------
    data
        The plain definition.
    root
        The tree in which places are looked up.
    at
        Where in that tree the definition stands.

    Returns
    -------
    definition : TaskDefinition or None
        ``None`` when anything is at fault.
    issues : list of LocatedIssue
        Every fault found.
    """
    issues: list[LocatedIssue] = []
    rest = deepcopy(data)
    for _ in range(_ROUNDS):
        try:
            definition = TaskDefinition.model_validate_json(
                json.dumps(rest), strict=True, by_alias=True, by_name=False, context=TOLERANT
            )
            break
        except ValidationError as error:
            issues += translate(error, rest, root, lambda path: (*at, *path), TaskDefinition)
            if not _leave_out(rest, error):
                return None, issues
    else:
        return None, issues
    exception = refused_as(at, TaskDefinition)
    issues += [
        locate(root, (*at, *issue.path), issue.message, exception=exception)
        for issue in (*definition.faults(), *definition_faults(definition))
    ]
    return (None if issues else definition), issues


def _leave_out(rest: Any, error: ValidationError) -> bool:
    """Take what is at fault out of a plain definition; false where something else may ask for it."""
    for one in error.errors(include_url=False):
        *around, last = one["loc"] or ("",)
        here: Any = rest
        for part in around:
            if isinstance(here, dict) != isinstance(part, str) or (isinstance(here, dict) and part not in here):
                return False  # a place that the document does not have
            here = here[part]
        if not isinstance(here, dict) or last not in here:
            return False  # it lacks something, or it is an element: without it, others would change their places
        if one["type"] == "too_short" and len(here[last]) >= one["ctx"]["min_length"]:
            continue  # an element that is at fault itself makes the list no shorter
        if one["type"] == "too_long" and isinstance(here[last], list):
            del here[last][one["ctx"]["max_length"] :]
        elif one["type"] == "extra_forbidden" or last in _ALONE:
            del here[last]
        else:
            return False
    return True
