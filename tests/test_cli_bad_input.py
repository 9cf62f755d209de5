"""Bad input through the installed command: every promised kind, each a located line, exit status 2, and nothing left behind."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest
import typer
from installed import Finished

import fargsim
from fargsim.cli.status import faults_shown
from fargsim.study.many import jobs, run_all

Command = Callable[..., Finished]


def spoil(path: Path, old: str, new: str) -> int:
    """Replace a text that stands once in a file; return the line it was on."""
    text = path.read_text(encoding="utf-8")
    assert text.count(old) == 1
    path.write_text(text.replace(old, new), encoding="utf-8")
    return text[: text.index(old)].count("\n") + 1


def refused(done: Finished, small: Path) -> list[str]:
    """Check that the command answered as promised to input that is at fault; return its lines."""
    assert done.returncode == 2, done.stderr
    assert done.stdout == ""
    assert "Traceback" not in done.stderr
    assert sorted(p.name for p in (small.parent.parent / "here").iterdir()) == []
    assert sorted(p.name for p in small.parent.iterdir()) == ["small.yaml", "web.taskdef.json"]
    return done.stderr.splitlines()


FAULTS = {
    "misspelt key": ("small.yaml", "desiredCount: 2", "desiredcount: 2", "services[0].desiredcount", "desiredCount"),
    "no such Fargate size": ("web.taskdef.json", '"memory": "512"', '"memory": "4096"', "memory", "512, 1024 or 2048"),
    "container above task memory": (
        "web.taskdef.json",
        '"memory": 512,',
        '"memory": 1024,',
        "containerDefinitions[0].memory",
        "512 MiB",
    ),
    "host port differs": (
        "web.taskdef.json",
        '"hostPort": 80',
        '"hostPort": 8080',
        "containerDefinitions[0].portMappings[0].hostPort",
        "80",
    ),
    "no such service": ("small.yaml", "to: web", "to: wbe", "traffic[0].to", "web"),
    "negative rate": ("small.yaml", "constant: 4 /s", "constant: -4 /s", "traffic[0].rate.constant", "negative"),
    "no such time zone": (
        "small.yaml",
        "2026-03-02T00:00:00Z",
        "2026-03-02T00:00:00[Europe/Belin]",
        "start",
        "Europe/Berlin",
    ),
}


@pytest.mark.parametrize("kind", FAULTS)
@pytest.mark.parametrize("verb", ["run", "validate"])
def test_a_fault_is_one_line_with_its_place(fargsim_command: Command, small: Path, kind: str, verb: str) -> None:
    name, old, new, path, hint = FAULTS[kind]
    file = small.with_name(name)
    line = spoil(file, old, new)
    lines = refused(fargsim_command(verb, small), small)
    assert len(lines) == 1
    found = re.fullmatch(rf"{re.escape(str(file))}:{line}:(\d+): (\S+): (.+)", lines[0])
    assert found, lines[0]
    assert found[2] == path
    assert hint in found[3]
    column = int(found[1]) - 1
    assert file.read_text(encoding="utf-8").splitlines()[line - 1][column:].lstrip("\"'") != ""


def test_a_truncated_file_is_told_where_it_ends(fargsim_command: Command, small: Path) -> None:
    text = small.read_text(encoding="utf-8")
    cut = text[: text.index(", subnet-b]}}")]
    small.write_text(cut, encoding="utf-8")
    [line] = refused(fargsim_command("run", small), small)
    assert line.startswith(f"{small}:{len(cut.splitlines())}:")


def test_an_alias_bomb_of_100_mb_is_refused(fargsim_command: Command, small: Path) -> None:
    levels = ["a0: &a0 [" + ", ".join(["lol"] * 9) + "]"]
    levels += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 9)]
    bomb = "\n".join(levels) + "\n"
    assert 9**9 * len("lol") > 100_000_000
    small.write_text(bomb + small.read_text(encoding="utf-8"), encoding="utf-8")
    [line] = refused(fargsim_command("run", small), small)
    assert re.match(rf"{re.escape(str(small))}:\d+:\d+: ", line)
    assert "alias" in line


def test_a_file_of_100_mb_is_refused(fargsim_command: Command, small: Path) -> None:
    small.write_bytes(b"# " + b"x" * 100_000_000)
    [line] = refused(fargsim_command("run", small), small)
    assert line.startswith(f"{small}:1:1: .: ")


def test_a_file_outside_the_scenarios_folder_needs_allow_outside(fargsim_command: Command, small: Path) -> None:
    outside = small.parent.parent.parent / f"{small.parent.parent.name}.taskdef.json"
    outside.write_bytes(small.with_name("web.taskdef.json").read_bytes())
    line = spoil(small, "file: web.taskdef.json", f"file: ../../{outside.name}")
    for verb in ("run", "validate"):
        [said] = refused(fargsim_command(verb, small), small)
        assert said.startswith(f"{small}:{line}:")
        assert "taskDefinitions[0].file" in said
        assert "--allow-outside" in said
    assert fargsim_command("validate", small, "--allow-outside").returncode == 0
    assert fargsim_command("run", small, "--allow-outside", "--variant", "spot", "-o", "out").returncode == 0


def test_all_faults_are_told_at_once_and_in_order(fargsim_command: Command, small: Path) -> None:
    for kind in ("misspelt key", "negative rate", "no such service", "no such time zone"):
        name, old, new, _, _ = FAULTS[kind]
        spoil(small.with_name(name), old, new)
    lines = refused(fargsim_command("run", small), small)
    places = [int(line.split(":")[1]) for line in lines]
    assert len(lines) >= 3
    assert places == sorted(places)


def test_a_file_that_is_not_there(fargsim_command: Command, small: Path) -> None:
    [line] = refused(fargsim_command("run", small.with_name("smal.yaml")), small)
    assert line == f"{small.with_name('smal.yaml')}:1:1: .: there is no such file: did you mean small.yaml?"


@pytest.mark.parametrize("workers", [1, 2])
def test_what_a_verb_refuses_names_the_verb_and_the_exception(
    small: Path, capsys: pytest.CaptureFixture[str], workers: int
) -> None:
    # the loader refuses first whatever the region would: a scenario built in Python goes past it
    sound = fargsim.load(small, variant="fargate")
    service = sound.services[0].model_copy(update={"task_definition": "web:7"})
    refused_one = sound.model_copy(update={"services": (service,)})
    with pytest.raises(typer.Exit) as exit_, faults_shown("my.yaml"):
        run_all(jobs([refused_one], replications=2), workers=workers)
    assert exit_.value.exit_code == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert (
        captured.err
        == "my.yaml: ecs.create_service: ClientException: TaskDefinition not found: 'web:7'. Newest revision: web:1.\n"
    )


def test_a_bug_is_not_taken_for_a_users_mistake() -> None:
    with pytest.raises(ZeroDivisionError), faults_shown("my.yaml"):
        _ = 1 / 0


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--set", "services[web].desiredCount=minus one"], "--set:1:1: services[0].desiredCount: "),
        (["--set", "seed=1", "--set", "services[web].desiredCont=3"], "--set:2:1: services[0].desiredCont: "),
        (["--set", "seed"], "--set: 'seed' is not PATH=VALUE"),
        (["--variant", "spto"], "did you mean spot?"),
        (["--replications", "0"], "--replications"),
        (["--format", "xlsx"], "--format"),
        (["--seed", "-1"], "--seed"),
    ],
)
def test_a_wrong_option(fargsim_command: Command, small: Path, arguments: list[str], said: str) -> None:
    assert said in "\n".join(refused(fargsim_command("run", small, *arguments), small))


def test_fail_on_slo_without_a_promise_would_never_fail(fargsim_command: Command, small: Path) -> None:
    spoil(small, "slo: {latency_p99: 1 s, error_rate: 50 %}\n", "")
    [line] = refused(fargsim_command("run", small, "--fail-on-slo"), small)
    assert line == f"{small}: slo: --fail-on-slo needs an SLO, and the scenario states none"


def test_validate_tells_programs_what_it_tells_people(fargsim_command: Command, small: Path) -> None:
    definition = small.with_name("web.taskdef.json")
    line = spoil(definition, '"memory": 512,', '"memory": 1024,')
    done = fargsim_command("validate", small, definition, small.with_name("none.yaml"), "--json")
    assert done.returncode == 2
    scenario, own, absent = json.loads(done.stdout)
    assert [report["kind"] for report in (scenario, own, absent)] == ["scenario", "task definition", "unknown"]
    assert [report["ok"] for report in (scenario, own, absent)] == [False, False, False]
    assert own["file"] == str(definition)
    [issue] = own["issues"]
    assert (issue["path"], issue["line"]) == ("containerDefinitions[0].memory", line)
    assert f"{definition}:{line}:{issue['column']}: {issue['path']}: {issue['message']}" in done.stderr.splitlines()


def test_a_region_that_is_not_there(fargsim_command: Command, small: Path) -> None:
    [line] = refused(fargsim_command("catalog", "prices", "--region", "eu-west-9"), small)
    assert line.startswith("--region: there is no region 'eu-west-9'")


def test_folders_without_results(fargsim_command: Command, small: Path, tmp_path: Path) -> None:
    for verb in ("report", "rerun"):
        for folder in (small.parent, tmp_path / "nowhere"):
            [line] = refused(fargsim_command(verb, folder), small)
            assert line.startswith(f"{folder}: holds no results")
