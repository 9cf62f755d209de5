"""What the commands print: answers on standard output, progress on standard error and only at a terminal."""

from __future__ import annotations

import io
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console, RenderableType
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from fargsim.report.compare import Comparison
from fargsim.report.facts import facts_of, firsts
from fargsim.report.failed_requests import failed_requests_table
from fargsim.report.rollouts import rollouts_table
from fargsim.report.stops import stops_table
from fargsim.report.story import story_table
from fargsim.report.terminal import comparison_tables
from fargsim.report.use_table import use_table
from fargsim.study.many import Job
from fargsim.study.output import differing, run_folder
from fargsim.study.run import Result

STORY_TASKS = 20
"""A run of at most so many tasks, and without variants, is told as a story."""
PERMILLE = 1000


PLAIN_COLUMNS = 120
"""Width of what is printed into a file or a pipe."""


def put(*things: RenderableType, columns: int = PLAIN_COLUMNS) -> None:
    """Print on standard output: as wide as the terminal, or without colours and trailing blanks where there is none."""
    if sys.stdout.isatty():
        Console().print(*things, sep="\n")
        return
    text = io.StringIO()
    Console(file=text, width=columns, color_system=None).print(*things, sep="\n")
    sys.stdout.writelines(f"{line.rstrip()}\n" for line in text.getvalue().splitlines())


@contextmanager
def progress_bar(work: Sequence[Job]) -> Iterator[Callable[[Job, int], None] | None]:
    """Give a function that shows how far some runs are; ``None`` where nobody watches."""
    if not sys.stderr.isatty():
        yield None
        return
    parts = (TextColumn("{task.description}"), BarColumn(None), TaskProgressColumn(), TimeElapsedColumn())
    with Progress(*parts, console=Console(stderr=True), transient=True) as progress:
        bars = {id(job): progress.add_task(job.label, total=PERMILLE, start=False) for job in work}
        reached = dict.fromkeys(bars, -1)

        def tell(job: Job, at_us: int) -> None:
            # called at every instant of a run: the bar moves at most a thousand times
            now = at_us * PERMILLE // job.scenario.duration
            if now > reached[id(job)]:
                if reached[id(job)] < 0:
                    progress.start_task(bars[id(job)])
                reached[id(job)] = now
                progress.update(bars[id(job)], completed=now)

        yield tell


def show_runs(results: Sequence[Result], comparison: Comparison, folder: Path) -> None:
    """Print what came out of some runs: the story of a small one, the comparison, the verdict, where the rest is."""
    first = results[0]
    if len(results) == 1 and len(first.tables["tasks"]) <= STORY_TASKS:
        put(story_table(first.record), "")
    else:
        shown = list(firsts(result.record for result in results).values())
        stopped = stops_table(shown)
        if stopped is not None:
            put(stopped, "")
        ends = rollouts_table(shown)
        if ends is not None:
            put(ends, "")
        failed = failed_requests_table(first.record) if len(results) == 1 else None
        if failed is not None:
            put(failed, "")
    show_comparison(comparison, first, folder)


def show_comparison(comparison: Comparison, first: Result, folder: Path) -> None:
    """Print a comparison and its verdict, and name the report."""
    title = facts_of(first.record).name
    put(*comparison_tables(comparison, title), Text(comparison.verdict, style="bold"))
    used = use_table(comparison)
    if used is not None:
        put(used)
    print(f"report: {folder / 'report.html'}")


def show_rerun(former: Sequence[Result], results: Sequence[Result]) -> bool:
    """Print for each run whether it came out as before; return whether all did."""
    same = True
    for before, after in zip(former, results, strict=True):
        tables = differing(before, after)
        same = same and not tables
        if not tables:
            print(f"{run_folder(before)}: identical, all {len(before.tables)} tables")
            continue
        print(f"{run_folder(before)}: differs in {', '.join(tables)}")
        for change in _changes(before.provenance, after.provenance):
            print(f"  {change}")
    return same


def _changes(before: Mapping[str, object], after: Mapping[str, object]) -> list[str]:
    """Say which versions have changed between two birth certificates: the likely reason why results differ."""
    pairs = {name: (before.get(name), after.get(name)) for name in ("fargsim_version", "catalogue_date")}
    libraries = [certificate.get("dependencies") for certificate in (before, after)]
    old, new = (library if isinstance(library, Mapping) else {} for library in libraries)
    pairs |= {name: (old.get(name), new.get(name)) for name in sorted({*old, *new})}
    return [f"{name}: {one} then, {other} now" for name, (one, other) in pairs.items() if one != other]


def show_facts(rows: Sequence[Mapping[str, str]]) -> None:
    """Print rows of the catalogue as a table; their sources, which are long, stand numbered below it."""
    sources = list(dict.fromkeys(row["source"] for row in rows))
    numbers = {source: f"[{n}]" for n, source in enumerate(sources, 1)}
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    names = [name for name in rows[0] if name != "source"]
    for name in names:
        table.add_column(Text(name.replace("_", " ")), justify="right" if _numeric(rows, name) else "left")
    table.add_column("source")
    for row in rows:
        table.add_row(*(Text(row[name]) for name in names), Text(numbers[row["source"]]))
    # a row that is folded cannot be read or cut by other programs: without a terminal there is no width to fold at
    put(table, "", columns=1000)
    for source, number in numbers.items():
        print(f"{number} {source}")


def _numeric(rows: Sequence[Mapping[str, str]], name: str) -> bool:
    return all(row[name].replace(".", "", 1).replace("-", "", 1).isdigit() for row in rows if row[name])
