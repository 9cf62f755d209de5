"""A folder of results: the tables of every run, and the report over all of them.

::

    summary.csv         one row a run
    comparison.txt      the table and the verdict that the terminal showed
    report.html         everything on one page, pictures included
    plots/*.png         the pictures
    runs/NAME/          the tables of one run and its birth certificate (provenance.json)

A run's NAME is its variant (``default`` where the scenario has none), followed by ``@1``, ``@2``, ... for the
replications after the first: a variant's name cannot hold an ``@``, so no two runs share a folder.
"""

from __future__ import annotations

import csv
import io
import shutil
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from fargsim.model.scenario import Scenario
from fargsim.record.folder import output_folder
from fargsim.record.store import PROVENANCE, write_files
from fargsim.report.compare import Comparison, compare
from fargsim.report.facts import facts_of
from fargsim.report.html import render_report
from fargsim.report.plots import draw_all
from fargsim.report.terminal import comparison_tables
from fargsim.report.use_table import use_table
from fargsim.study.many import Job
from fargsim.study.run import Result

RUNS = "runs"
SUMMARY = "summary.csv"
COLUMNS = 100
"""Width of ``comparison.txt``."""


class DamagedFolder(ValueError):
    """A folder that holds no results, or not all of them."""


def run_folder(result: Result) -> str:
    """Return the name of a run's folder below ``runs/``."""
    facts = facts_of(result.record)
    return (facts.variant or "default") + (f"@{facts.replication}" if facts.replication else "")


def fill(results: Sequence[Result], folder: Path, *, format: str = "parquet") -> Comparison:
    """Write runs and the report over them into a folder that is there, and return the comparison.

    Parameters
    ----------
    results
        The runs of one scenario.
    folder
        An empty folder, best one of `fargsim.record.folder.output_folder`, which makes the whole appear at once.
    format
        ``parquet`` or ``csv``.
    """
    for result in results:
        place = folder / RUNS / run_folder(result)
        place.mkdir(parents=True)
        write_files(result.record, place, format=format)  # type: ignore[arg-type]
    return render(results, folder)


def render(results: Sequence[Result], folder: Path) -> Comparison:
    """Write the report over some runs into a folder, beside their tables, and return the comparison."""
    records = [result.record for result in results]
    comparison = compare(records)
    comparison.frame().to_csv(folder / SUMMARY, index=False, lineterminator="\n")
    text = comparison_text(comparison, facts_of(records[0]).name) + use_text(comparison)
    (folder / "comparison.txt").write_text(text, encoding="utf-8")
    ready = {name: png for result in results for name, png in result.pictures.items()}
    pictures = draw_all(records, ready)
    (folder / "plots").mkdir(exist_ok=True)
    for name, png in pictures.items():
        (folder / "plots" / name).write_bytes(png)
    (folder / "report.html").write_text(render_report(records, pictures), encoding="utf-8")
    return comparison


def comparison_text(comparison: Comparison, name: str) -> str:
    """Return the comparison of a scenario's runs as plain text: the table, then the verdict."""
    text = io.StringIO()
    console = Console(file=text, width=COLUMNS, color_system=None)
    console.print(*comparison_tables(comparison, name), sep="\n")
    console.print(comparison.verdict, highlight=False)
    return "".join(f"{line.rstrip()}\n" for line in text.getvalue().splitlines())


def use_text(comparison: Comparison) -> str:
    """Return what was paid for, reserved and used as plain text; empty where nothing was paid."""
    table = use_table(comparison)
    if table is None:
        return ""
    text = io.StringIO()
    Console(file=text, width=COLUMNS, color_system=None).print(table)
    return "\n" + "".join(f"{line.rstrip()}\n" for line in text.getvalue().splitlines())


def read(folder: str | Path) -> list[Result]:
    """Read the runs of a folder, in the order of its summary; or the one run whose tables the folder holds.

    Raises
    ------
    DamagedFolder
        If there is no run, or one of them cannot be read.
    """
    folder = Path(folder)
    places = [folder] if (folder / PROVENANCE).is_file() else _run_places(folder)
    if not places:
        raise DamagedFolder(f"holds no results: there is neither {PROVENANCE} nor {RUNS}/*/{PROVENANCE}")
    try:
        return [Result.read(place) for place in places]
    except (FileNotFoundError, ValueError) as error:
        raise DamagedFolder(str(error)) from None


def _run_places(folder: Path) -> list[Path]:
    found = {path.parent.name: path.parent for path in sorted(folder.glob(f"{RUNS}/*/{PROVENANCE}"))}
    # the order is only comfort: without the summary the runs are told by name
    names = [name for name in _names_in_order(folder / SUMMARY) if name in found]
    return [found[name] for name in dict.fromkeys([*names, *found])]


def _names_in_order(summary: Path) -> list[str]:
    if not summary.is_file():
        return []
    with summary.open(encoding="utf-8", newline="") as stream:
        rows = [(row.get("variant") or "", row.get("replication") or "0") for row in csv.DictReader(stream)]
    return [variant + ("" if number == "0" else f"@{number}") for variant, number in rows]


def render_again(folder: str | Path) -> Comparison:
    """Write the report of a saved folder anew, its tables untouched.

    Raises
    ------
    DamagedFolder
        If the folder holds no runs below ``runs/``.
    """
    folder = Path(folder)
    if not _run_places(folder):
        raise DamagedFolder(f"holds no results: there is no {RUNS}/*/{PROVENANCE}")
    results = read(folder)
    with output_folder(folder, force=True) as fresh:
        # whatever is in the folder at the end takes the place of the former files: the tables must be among it
        shutil.copytree(folder / RUNS, fresh / RUNS)
        return render(results, fresh)


def differing(one: Result, other: Result) -> list[str]:
    """Return the names of the tables in which two runs differ."""
    return [name for name, table in one.tables.items() if not table.equals(other.tables[name])]


def jobs_again(results: Sequence[Result]) -> list[Job]:
    """Return the jobs that would make some results again, from their birth certificates.

    Raises
    ------
    DamagedFolder
        If a certificate does not hold a scenario that this version can run.
    """
    found = []
    for result in results:
        certificate = result.provenance
        try:
            scenario = Scenario.model_validate(certificate["scenario"])
            found.append(Job(scenario, int(certificate["seed"]), int(certificate["replication"])))
        except (KeyError, TypeError, ValueError) as error:
            raise DamagedFolder(f"the birth certificate of {run_folder(result)} cannot be run: {error}") from None
    return found
