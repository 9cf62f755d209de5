"""Every shipped scenario still says what it said: `scenarios/expected/NAME.json` holds the summaries of its variants.

A change of these files is a change of behaviour and belongs into the changelog. `python tests/test_golden.py` writes them anew.
"""

from __future__ import annotations

import json
import math
import sys
from pathlib import Path

import pytest

import fargsim

SCENARIOS = Path(__file__).resolve().parents[1] / "scenarios"
NAMES = sorted(path.stem for path in SCENARIOS.glob("*.yaml"))


def summaries(name: str) -> dict[str, dict[str, object]]:
    variants = fargsim.load_variants(SCENARIOS / f"{name}.yaml")
    return {variant: dict(fargsim.run(scenario).summary) for variant, scenario in variants.items()}


def same(expected: object, actual: object) -> bool:
    """Figures agree to rounding: other versions of NumPy may add in another order."""
    if isinstance(expected, float) and isinstance(actual, int | float):
        return math.isclose(expected, actual, rel_tol=1e-9, abs_tol=1e-12)
    return expected == actual


@pytest.mark.parametrize("name", NAMES)
def test_a_shipped_scenario_gives_its_expected_summary(name: str) -> None:
    expected = json.loads((SCENARIOS / "expected" / f"{name}.json").read_text(encoding="utf-8"))
    actual = summaries(name)
    assert list(actual) == list(expected)
    wrong = [
        f"{variant}.{key}: expected {value!r}, got {actual[variant].get(key)!r}"
        for variant, summary in expected.items()
        for key, value in summary.items()
        if not same(value, actual[variant].get(key))
    ]
    assert not wrong, "\n".join(wrong)
    assert {v: set(s) for v, s in actual.items()} == {v: set(s) for v, s in expected.items()}


def test_every_scenario_has_expected_summaries_and_no_other_file_is_there() -> None:
    assert sorted(path.stem for path in (SCENARIOS / "expected").glob("*.json")) == NAMES


if __name__ == "__main__":
    for scenario in sys.argv[1:] or NAMES:
        text = json.dumps(summaries(scenario), indent=1, allow_nan=False)
        (SCENARIOS / "expected" / f"{scenario}.json").write_text(text + "\n", encoding="utf-8")
        sys.stdout.write(f"{scenario}\n")
