"""Runs through the installed command: what is printed, what is written, what the exit status says."""

from __future__ import annotations

import csv
import hashlib
import json
import os
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from installed import COMMAND, Finished

from fargsim import Result
from fargsim.record.schema import TABLES
from fargsim.report.summary import SUMMARY_KEYS

Command = Callable[..., Finished]
SCENARIOS = Path(__file__).resolve().parents[1] / "scenarios"


def digests(folder: Path) -> dict[str, str]:
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def test_a_run_prints_the_comparison_and_writes_a_whole_folder(fargsim_command: Command, small: Path) -> None:
    done = fargsim_command("run", small)
    assert (done.returncode, done.stderr) == (0, "")
    folder = small.parent.parent / "here" / "out" / "small"
    lines = done.stdout.splitlines()
    assert lines[-1] == "report: out/small/report.html"
    assert [line.split()[0] for line in lines if "yes" in line] == ["fargate", "*"]
    assert "The cheapest of them is spot" in done.stdout
    assert (folder / "comparison.txt").read_text(encoding="utf-8").splitlines()[:6] == lines[:6]
    files = set(digests(folder))
    tables = {f"{name}.parquet" for name in Result.read(folder / "runs" / "fargate").tables} | {"provenance.json"}
    assert {name.rpartition("/")[2] for name in files if name.startswith("runs/spot/")} == tables
    kinds = ("traffic", "latency", "cpu", "gantt")
    pictures = {"plots/cost.png"} | {f"plots/{variant}-{kind}.png" for variant in ("fargate", "spot") for kind in kinds}
    assert {name for name in files if name.startswith("plots/")} == pictures
    assert {name for name in files if "/" not in name} == {
        ".fargsim-files",
        "comparison.txt",
        "report.html",
        "summary.csv",
    }


def test_json_is_one_document_that_agrees_with_the_summary_table(fargsim_command: Command, small: Path) -> None:
    done = fargsim_command("run", small, "--json", "--replications", 2, "--seed", 5, "-o", "out")
    assert (done.returncode, done.stderr) == (0, "")
    answer = json.loads(done.stdout)
    assert list(answer) == ["scenario", "runs"]
    assert answer["scenario"] == "small"
    assert [(run["variant"], run["replication"], run["seed"]) for run in answer["runs"]] == [
        ("fargate", 0, 5),
        ("fargate", 1, 5),
        ("spot", 0, 5),
        ("spot", 1, 5),
    ]
    assert all(list(run["summary"]) == list(SUMMARY_KEYS) for run in answer["runs"])
    # the same requests meet every variant, and other ones every replication
    requests = [run["summary"]["requests"] for run in answer["runs"]]
    assert requests[:2] == requests[2:]
    assert requests[0] != requests[1]
    folder = small.parent.parent / "here" / "out"
    assert sorted(path.name for path in (folder / "runs").iterdir()) == ["fargate", "fargate@1", "spot", "spot@1"]
    with (folder / "summary.csv").open(encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert [row["variant"] for row in rows] == [run["variant"] for run in answer["runs"]]
    assert [float(row["cost_usd"]) for row in rows] == [run["summary"]["cost_usd"] for run in answer["runs"]]


def test_processes_change_no_byte(fargsim_command: Command, small: Path) -> None:
    for jobs in (1, 3):
        assert fargsim_command("run", small, "--jobs", jobs, "--replications", 2, "-o", f"out{jobs}").returncode == 0
    here = small.parent.parent / "here"
    assert digests(here / "out1") == digests(here / "out3")


def test_variants_and_values_can_be_chosen(fargsim_command: Command, small: Path) -> None:
    arguments = ["--variant", "spot", "--set", "services[web].desiredCount=3", "--set", "duration=5 min", "--json"]
    done = fargsim_command("run", small, *arguments)
    assert done.returncode == 0
    [run] = json.loads(done.stdout)["runs"]
    assert (run["variant"], run["summary"]["running_tasks_max"]) == ("spot", 3)


def test_a_folder_that_exists_is_kept_unless_forced(fargsim_command: Command, small: Path) -> None:
    folder = small.parent.parent / "here" / "out"
    assert fargsim_command("run", small, "-o", "out", "--seed", 1).returncode == 0
    (folder / "mine.txt").write_text("keep", encoding="utf-8")
    before = digests(folder)
    done = fargsim_command("run", small, "-o", "out", "--seed", 2)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == f"the folder {folder} exists; --force writes into it, or name another one\n"
    assert digests(folder) == before
    done = fargsim_command("run", small, "-o", "out", "--seed", 2, "--force", "--variant", "spot")
    assert done.returncode == 0
    after = digests(folder)
    assert after["mine.txt"] == before["mine.txt"]
    assert after["report.html"] != before["report.html"]
    assert not any(name.startswith("runs/fargate/") for name in after)


def test_a_file_in_the_way_is_never_replaced(fargsim_command: Command, small: Path) -> None:
    (small.parent.parent / "here" / "out").write_text("mine", encoding="utf-8")
    for force in ([], ["--force"]):
        done = fargsim_command("run", small, "-o", "out", *force)
        assert (done.returncode, done.stdout) == (2, "")
        assert "is a file; name a folder" in done.stderr
    assert (small.parent.parent / "here" / "out").read_text(encoding="utf-8") == "mine"


@pytest.mark.parametrize(("promise", "status"), [("1 s", 0), ("10 ms", 1)])
def test_fail_on_slo_is_exit_1_with_the_whole_answer(
    fargsim_command: Command, small: Path, promise: str, status: int
) -> None:
    done = fargsim_command("run", small, "--set", f"slo.latency_p99={promise}", "--fail-on-slo", "--json", "-o", "out")
    assert done.returncode == status
    assert [run["summary"]["slo_met"] for run in json.loads(done.stdout)["runs"]] == [status == 0] * 2
    assert done.stderr == ("" if status == 0 else f"{small}: the SLO is broken\n")
    assert (small.parent.parent / "here" / "out" / "report.html").is_file()


def test_a_small_run_without_variants_is_told_as_a_story(fargsim_command: Command) -> None:
    done = fargsim_command("run", SCENARIOS / "quickstart.yaml")
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert sum("ACTIVATING -> RUNNING" in line for line in lines) == 3, "two tasks and one in place of the crashed one"
    assert sum("EssentialContainerExited" in line for line in lines) == 1
    assert any("has reached a steady state." in line for line in lines)
    instants = [line.split()[0] for line in lines if line.startswith("+")]
    assert instants == sorted(instants)
    assert lines[-1] == "report: out/quickstart/report.html"


@pytest.mark.parametrize("format", ["parquet", "csv"])
def test_a_rerun_from_the_birth_certificate_is_identical(fargsim_command: Command, small: Path, format: str) -> None:
    assert fargsim_command("run", small, "-o", "out", "--format", format, "--replications", 2).returncode == 0
    # the certificate is enough: the scenario's own files may be gone
    for file in small.parent.iterdir():
        file.unlink()
    done = fargsim_command("rerun", "out", "-o", "again", "--format", format)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines() == [
        f"{name}: identical, all {len(TABLES)} tables" for name in ("fargate", "fargate@1", "spot", "spot@1")
    ]
    here = small.parent.parent / "here"
    assert digests(here / "out") == digests(here / "again")
    one = fargsim_command("rerun", "out/runs/spot@1")
    assert (one.returncode, one.stdout) == (0, f"spot@1: identical, all {len(TABLES)} tables\n")


def test_a_rerun_that_differs_says_in_what_and_exits_1(fargsim_command: Command, small: Path) -> None:
    assert fargsim_command("run", small, "-o", "out", "--variant", "spot").returncode == 0
    certificate = small.parent.parent / "here" / "out" / "runs" / "spot" / "provenance.json"
    told = json.loads(certificate.read_text(encoding="utf-8"))
    told["seed"] += 1
    told["dependencies"]["numpy"] = "1.0"
    certificate.write_text(json.dumps(told), encoding="utf-8")
    done = fargsim_command("rerun", "out")
    assert done.returncode == 1
    first, *rest = done.stdout.splitlines()
    assert first.startswith("spot: differs in tasks, ")
    assert len(rest) == 1
    assert rest[0].startswith("  numpy: 1.0 then, ")


def test_a_report_is_written_anew_from_the_tables(fargsim_command: Command, small: Path) -> None:
    assert fargsim_command("run", small, "-o", "out", "--replications", 2).returncode == 0
    folder = small.parent.parent / "here" / "out"
    before = digests(folder)
    (folder / "report.html").unlink()
    (folder / "plots" / "cost.png").write_bytes(b"spoilt")
    (folder / "notes.txt").write_text("mine", encoding="utf-8")
    done = fargsim_command("report", "out")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines()[-1] == "report: out/report.html"
    assert {name: digest for name, digest in digests(folder).items() if name != "notes.txt"} == before
    assert (folder / "notes.txt").read_text(encoding="utf-8") == "mine"


@pytest.mark.skipif(os.name != "posix", reason="signals to a group of processes")
@pytest.mark.parametrize("jobs", [1, 2])
@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_an_interrupted_run_leaves_nothing(small: Path, jobs: int, number: signal.Signals, status: int) -> None:
    here = small.parent.parent / "here"
    here.mkdir()
    words = [COMMAND, "run", small, "-o", "deep/out", "--set", "duration=300 d", "--jobs", str(jobs)]
    with subprocess.Popen(
        words, cwd=here, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    ) as running:
        try:
            while not list(here.glob("deep/.out.*.partial")):
                assert running.poll() is None, "it ended before it began to write"
                time.sleep(0.01)
            time.sleep(2)
            assert running.poll() is None, "it ended before it was interrupted"
            os.killpg(running.pid, number)
            out, err = running.communicate(timeout=60)
        finally:
            running.kill()
    assert (running.returncode, out) == (status, "")
    assert err == ("interrupted: nothing was written\n" if number == signal.SIGINT else "")
    assert list(here.iterdir()) == []
