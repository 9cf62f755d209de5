"""The small commands, and what the program loads to answer them."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from installed import Finished

import fargsim
from fargsim.catalog import TABLES, rows
from fargsim.load import json_schema

Command = Callable[..., Finished]
HEAVY = ("numba", "pandas", "matplotlib", "simpy", "numpy", "pyarrow")


def test_the_version(fargsim_command: Command) -> None:
    done = fargsim_command("--version")
    assert (done.returncode, done.stdout, done.stderr) == (0, f"fargsim {fargsim.__version__}\n", "")


def test_help_names_every_command(fargsim_command: Command) -> None:
    done = fargsim_command("--help")
    assert done.returncode == 0
    for command in ("run", "validate", "report", "rerun", "verify", "catalog", "schema"):
        assert f" {command} " in done.stdout
        assert fargsim_command(command, "--help").returncode == 0


@pytest.mark.parametrize(
    ("arguments", "unwanted"),
    [
        (["--version"], (*HEAVY, "pydantic", "rich")),
        (["validate", "small.yaml"], ("numba", "pandas", "matplotlib", "simpy", "pyarrow")),
        (["run", "nothing.yaml"], ("numba", "pandas", "matplotlib", "simpy", "pyarrow")),
        (["catalog", "quotas", "--json"], ("numba", "pandas", "matplotlib", "simpy", "pyarrow")),
        (["schema"], ("numba", "pandas", "matplotlib", "simpy", "pyarrow")),
    ],
)
def test_a_quick_answer_waits_for_no_library_it_does_not_need(
    small: Path, arguments: list[str], unwanted: tuple[str, ...]
) -> None:
    program = (
        "import sys, fargsim.cli\n"
        f"sys.argv = ['fargsim', *{arguments!r}]\n"
        "try:\n    fargsim.cli.main()\n"
        "except SystemExit:\n    pass\n"
        f"print(sorted(set({unwanted!r}) & set(sys.modules)), file=sys.stderr)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=small.parent, capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stderr.splitlines()[-1] == "[]"


def test_validate_says_what_a_sound_file_is(fargsim_command: Command, small: Path) -> None:
    done = fargsim_command("validate", small, small.with_name("web.taskdef.json"))
    assert (done.returncode, done.stderr) == (0, "")
    sound = [line for line in done.stdout.splitlines() if ": note: " not in line]
    assert len(sound) == 2
    assert sound[0].startswith(f"{small}: scenario: ok (name: small; region: us-east-1; variants: fargate, spot; ")
    assert sound[1].startswith(f"{small.with_name('web.taskdef.json')}: task definition: ok (family: web; ")
    # a figure that no source gives is pointed out where it is used
    assert any("bytes_per_request" in line and "(assumed)" in line for line in done.stdout.splitlines())


def test_validate_gives_programs_the_facts(fargsim_command: Command, small: Path) -> None:
    done = fargsim_command("validate", "--json", small.with_name("web.taskdef.json"))
    assert (done.returncode, done.stderr) == (0, "")
    [report] = json.loads(done.stdout)
    assert report == {
        "file": str(small.with_name("web.taskdef.json")),
        "kind": "task definition",
        "ok": True,
        "issues": [],
        "notes": [],
        "facts": {
            "family": "web",
            "containers": 1,
            "cpu_units": 256,
            "memory_mib": 512,
            "network_mode": "awsvpc",
            "requires_compatibilities": ["FARGATE"],
            "fargate_ok": True,
        },
    }


@pytest.mark.parametrize("table", TABLES)
def test_the_catalogue_is_printed_whole(fargsim_command: Command, table: str) -> None:
    facts = rows(table, region="eu-west-1")
    done = fargsim_command("catalog", table, "--region", "eu-west-1", "--json")
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(done.stdout) == [dict(row) for row in facts]
    text = fargsim_command("catalog", table, "--region", "eu-west-1").stdout
    body, _, sources = text.partition("\n\n")
    assert len(body.splitlines()) == 1 + len(facts)
    assert len(sources.splitlines()) == len({row["source"] for row in facts})
    assert all({"basis", "as_of", "source"} <= set(row) for row in facts)


def test_the_catalogue_can_be_narrowed(fargsim_command: Command) -> None:
    done = fargsim_command("catalog", "prices", "m6i.large", "--json")
    assert [row["item"] for row in json.loads(done.stdout)] == ["ec2 m6i.large", "ec2 spot m6i.large"]
    done = fargsim_command("catalog", "prices", "m6i.gigantic")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "no row of prices holds 'm6i.gigantic'\n")


def test_the_schema_is_the_one_of_the_loader(fargsim_command: Command) -> None:
    done = fargsim_command("schema")
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(done.stdout) == json_schema()


def test_an_unknown_command_is_exit_2(fargsim_command: Command) -> None:
    done = fargsim_command("rnu")
    assert (done.returncode, done.stdout) == (2, "")
    assert "rnu" in done.stderr
