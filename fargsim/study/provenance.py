"""The birth certificate of a result: everything that is needed to run it again."""

from __future__ import annotations

import json
from importlib.metadata import version
from typing import Any

from fargsim import __version__
from fargsim.catalog import AS_OF
from fargsim.load.notes import load_notes
from fargsim.model.scenario import Scenario
from fargsim.record.schema import SCHEMA_VERSION

DEPENDENCIES = ("simpy", "numpy", "numba", "pydantic", "pandas", "pyarrow")
"""What the numbers of a run depend on."""


def provenance(scenario: Scenario, seed: int, replication: int) -> dict[str, Any]:
    """Return the birth certificate of a run.

    The scenario is stored resolved: overlays merged, files read in. No wall clock, no host name: the same run has the same certificate.
    """
    return {
        "schema_version": SCHEMA_VERSION,
        "fargsim_version": __version__,
        "catalogue_date": AS_OF,
        "seed": seed,
        "replication": replication,
        "scenario": scenario_json(scenario),
        "notes": list(load_notes(scenario)),
        "dependencies": {name: version(name) for name in DEPENDENCIES},
    }


def scenario_json(scenario: Scenario) -> dict[str, Any]:
    """Return a scenario as JSON that `Scenario.model_validate` reads back."""
    value: dict[str, Any] = json.loads(
        scenario.model_dump_json(by_alias=True, exclude_none=True, exclude_defaults=True)
    )
    value["schema"] = scenario.schema_version
    value["start"] = scenario.start.isoformat().replace("+00:00", "Z")
    return value
