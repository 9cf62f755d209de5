"""Discrete-event simulation of Amazon ECS on AWS Fargate and EC2.

The names a user needs; everything else is a module of a room: ``fargsim.model``, ``fargsim.sim``, ``fargsim.report`` ...
Importing the package loads nothing but this file.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"
__all__ = ["Region", "Result", "Scenario", "ScenarioError", "__version__", "load", "load_variants", "run"]

if TYPE_CHECKING:
    from fargsim.load import ScenarioError, load, load_variants
    from fargsim.model.scenario import Scenario
    from fargsim.sim.region import Region
    from fargsim.study.run import Result, run

_HOME = {
    "Region": "fargsim.sim.region",
    "Result": "fargsim.study.run",
    "Scenario": "fargsim.model.scenario",
    "ScenarioError": "fargsim.load",
    "load": "fargsim.load",
    "load_variants": "fargsim.load",
    "run": "fargsim.study.run",
}


def __getattr__(name: str) -> Any:
    """Load a public name when it is first used, so that ``fargsim --version`` waits for nothing."""
    if name not in _HOME:
        raise AttributeError(f"module 'fargsim' has no attribute '{name}'")
    import importlib

    return getattr(importlib.import_module(_HOME[name]), name)
