"""Every row of docs/fidelity.md names tests that exist."""

from __future__ import annotations

import re
from pathlib import Path

TESTS = Path(__file__).resolve().parent
PAGE = TESTS.parent / "docs" / "fidelity.md"
NAMED = re.compile(r"`(test_\w+)(?:::(test_\w+))?`")


def rows() -> list[list[str]]:
    lines = PAGE.read_text(encoding="utf-8").splitlines()
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if line.startswith("| ")]


def test_every_named_test_exists() -> None:
    missing = []
    for row in rows():
        for file, function in NAMED.findall(row[-1]):
            found = [p for p in (TESTS / f"{file}.py", TESTS / "published" / f"{file}.py") if p.is_file()]
            if not found or (
                function and not re.search(rf"^def {function}\(", found[0].read_text(encoding="utf-8"), re.M)
            ):
                missing.append(f"{file}::{function}" if function else file)
    assert not missing


def test_every_modelled_behaviour_has_a_basis_and_a_test() -> None:
    modelled = [row for row in rows() if len(row) == 4 and row[0] != "behaviour" and row[1] != "not on the bill"]
    assert len(modelled) > 60
    known = {"documented", "measured", "assumed", "model", "law", "estimated", "listed"}
    wrong = [row[0] for row in modelled if not set(re.findall(r"[a-z]+", row[1])) & known or not NAMED.search(row[-1])]
    assert not wrong
