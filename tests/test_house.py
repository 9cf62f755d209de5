"""The rules of the house that no single test of a room can hold."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

import fargsim

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "fargsim"
MODULES = sorted(PACKAGE.rglob("*.py"))
LONGEST = 450
"""Lines of a source file: what is longer holds two things."""
SLOW_TO_IMPORT = ("matplotlib", "numba", "pandas", "simpy")


def committed() -> list[Path]:
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=False)
    if listed.returncode:
        pytest.skip("not a checkout")
    return [ROOT / name for name in listed.stdout.split("\0") if name and (ROOT / name).is_file()]


def loaded_after(program: str, cwd: Path) -> set[str]:
    """Run a program in a fresh interpreter; return the modules it has loaded. It must print nothing of its own."""
    ending = "\nimport sys, threading\nassert threading.active_count() == 1\nprint('\\n'.join(sys.modules))"
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", program + ending], cwd=cwd, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    return set(done.stdout.split("\n"))


def test_the_package_and_its_command_line_load_quickly(tmp_path: Path) -> None:
    assert not loaded_after("import fargsim, fargsim.cli", tmp_path) & {*SLOW_TO_IMPORT, "numpy", "pyarrow", "pydantic"}


@pytest.mark.parametrize("room", ["model", "catalog", "policy", "load"])
def test_a_room_loads_no_engine(room: str, tmp_path: Path) -> None:
    assert not loaded_after(f"import fargsim.{room}\n" + all_modules(room), tmp_path) & set(SLOW_TO_IMPORT)


def all_modules(room: str = "") -> str:
    base = PACKAGE / room if room else PACKAGE
    names = [".".join(path.relative_to(ROOT).with_suffix("").parts) for path in MODULES if path.is_relative_to(base)]
    return "".join(f"import {name.removesuffix('.__init__')}\n" for name in names)


def test_importing_every_module_does_nothing_else(tmp_path: Path) -> None:
    program = "import numpy as np, os\nbefore = np.random.get_state()[1].tolist(), dict(os.environ), os.getcwd()\n"
    program += all_modules()
    program += "assert before == (np.random.get_state()[1].tolist(), dict(os.environ), os.getcwd())"
    loaded = loaded_after(program, tmp_path)
    assert "matplotlib.pyplot" not in loaded, "pyplot holds figures for the whole process"
    assert list(tmp_path.iterdir()) == []


def test_the_public_names_are_those_of_the_readme() -> None:
    documented = re.findall(r"^\| `fargsim\.(\w+)", (ROOT / "README.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert sorted(documented) == sorted(fargsim.__all__)
    for name in fargsim.__all__:
        assert getattr(fargsim, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'launch'"):
        _ = fargsim.launch  # type: ignore[attr-defined]


@pytest.mark.parametrize("path", [*MODULES, *sorted((ROOT / "tests").rglob("*.py"))], ids=lambda p: p.name)
def test_no_file_is_too_long(path: Path) -> None:
    assert len(path.read_text(encoding="utf-8").splitlines()) <= LONGEST


CLOCKS = {"time", "random", "secrets", "uuid"}
CLOCK_CALLS = {"now", "utcnow", "today", "urandom", "getpid"}
NUMPY_RANDOM = {"Generator", "PCG64", "SeedSequence", "BitGenerator"}


def impurities(tree: ast.AST) -> Iterator[str]:
    """Yield what would make a run depend on anything but its scenario and its seed."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (f"import {a.name}" for a in node.names if a.name.split(".")[0] in CLOCKS)
        elif isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] in CLOCKS:
            yield f"from {node.module}"
        elif isinstance(node, ast.Attribute):
            owner = ast.unparse(node.value)
            if owner in ("np.random", "numpy.random") and node.attr not in NUMPY_RANDOM:
                yield f"{owner}.{node.attr}"
            if node.attr in CLOCK_CALLS and owner.split(".")[-1] in ("datetime", "date", "os", "Timestamp"):
                yield f"{owner}.{node.attr}"


def counters(tree: ast.Module) -> Iterator[str]:
    """Yield state that all objects of a process would share: numbering that depends on what ran before."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Global):
            yield f"global {', '.join(node.names)}"
        if isinstance(node, ast.AugAssign) and isinstance(node.target, ast.Attribute):
            owner = ast.unparse(node.target.value)
            if owner in ("cls", "type(self)", "self.__class__") or owner[:1].isupper():
                yield ast.unparse(node)
    for body in [tree.body, *(n.body for n in ast.walk(tree) if isinstance(n, ast.ClassDef))]:
        for node in body:
            value = node.value if isinstance(node, ast.Assign | ast.AnnAssign) else None
            if isinstance(value, ast.Call) and ast.unparse(value.func) in ("count", "itertools.count", "iter"):
                yield ast.unparse(node)


@pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_a_run_depends_on_its_scenario_and_seed_alone(path: Path) -> None:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    assert list(impurities(tree)) == []
    assert list(counters(tree)) == []


@pytest.mark.parametrize(
    "source",
    [
        "import time",
        "from random import choice",
        "import datetime\nx = datetime.datetime.now()",
        "import numpy as np\nx = np.random.rand()",
        "from itertools import count\nclass Task:\n    number = count(1)",
        "import itertools\nNUMBERS = itertools.count()",
        "N = 0\ndef f():\n    global N",
        "class Task:\n    made = 0\n    def __init__(self):\n        Task.made += 1",
        "class Task:\n    made = 0\n    def __init__(self):\n        type(self).made += 1",
    ],
)
def test_the_check_above_sees_what_it_looks_for(source: str) -> None:
    tree = ast.parse(source)
    assert [*impurities(tree), *counters(tree)]


def test_no_committed_file_knows_this_machine_or_a_package_host() -> None:
    # pieced together, so that this file does not hold what it looks for
    hosts = ["pypi" + ".org", "python" + "hosted", "ana" + "conda.org", "--index" + "-url", "--find" + "-links"]
    places = [f"{place}/" for place in (ROOT, Path.home()) if len(place.parts) > 2]
    places += ["/home/" + "user/", "/ro" + "ot/", "/wo" + "rk/"]
    found = []
    for path in committed():
        text = path.read_bytes().decode("utf-8", "replace")
        found += [f"{path.relative_to(ROOT)}: {word}" for word in (*hosts, *places) if word in text]
    assert not found


def test_every_dependency_is_pinned_by_name_and_version_alone() -> None:
    lines = (ROOT / "requirements" / "lock.txt").read_text(encoding="utf-8").splitlines()
    pins = [line for line in lines if not line.startswith("#")]
    form = re.compile(r"([a-z0-9-]+)==([0-9][0-9a-z.]*)( ; [a-z_]+ [=!<>]+ \"[a-z0-9.]+\")?")
    assert [pin for pin in pins if not form.fullmatch(pin)] == []
    names = {pin.partition("==")[0] for pin in pins}
    assert len(names) == len(pins)
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    wanted = [*project["project"]["dependencies"], *project["project"]["optional-dependencies"]["dev"]]
    wanted += project["build-system"]["requires"]
    stated = {re.split(r"[<>=!;\[ ]", one)[0].lower().replace(".", "-").replace("_", "-") for one in wanted}
    assert stated <= names


@pytest.mark.skipif(os.name != "posix", reason="a shell script")
@pytest.mark.parametrize(
    ("answers", "said"),
    [
        ("exit 1", "found no Python from 3.11 to 3.13"),
        ('case "$2" in *venv*) exit 1;; esac', "has no venv module (or no ensurepip)"),
    ],
)
def test_a_machine_without_a_fitting_python_is_told_so(tmp_path: Path, answers: str, said: str) -> None:
    (tmp_path / "requirements").mkdir()
    script = tmp_path / "requirements" / "environment.sh"
    script.write_bytes((ROOT / "requirements" / "environment.sh").read_bytes())
    python = tmp_path / "python3"
    python.write_text(f"#!/bin/sh\n{answers}\n", encoding="utf-8")
    python.chmod(0o755)
    done = subprocess.run(
        ["sh", script], env={**os.environ, "PYTHON": str(python)}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert said in done.stderr
    assert not (tmp_path / ".venv").exists()


def test_the_gate_runs_the_readmes_test_command() -> None:
    gate = ROOT / ".ci" / "run"
    assert os.access(gate, os.X_OK)
    commands = [line for line in gate.read_text(encoding="utf-8").splitlines() if line and line[0] != "#"]
    assert commands[-1].split()[:2] == ["make", "test"]
    assert "make test" in (ROOT / "README.md").read_text(encoding="utf-8")
