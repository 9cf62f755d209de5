"""The command ``explain``: why a task of a saved run is where it is."""

from __future__ import annotations

from pathlib import Path

import typer

from fargsim.cli.status import refuse
from fargsim.record.result import Result
from fargsim.report.explain import UnknownTask, explain_service, explain_task, find_task
from fargsim.study.output import read, run_folder


def explanation(folder: Path, *, task: str | None, service: str | None, last: bool, run: str | None) -> list[str]:
    """Return the lines that explain a task, or the tasks of a service, of one of the runs in a folder.

    Raises
    ------
    typer.Exit
        With status 2, after a line that says what is wrong: no such run, no such task, or nothing asked for.
    """
    if task is None and service is None and not last:
        raise refuse(f"{folder}: say what to explain: --task ID, --service NAME or --last")
    result = _run(folder, run)
    try:
        found = find_task(result, task=task, service=service, last=last)
    except UnknownTask as fault:
        raise refuse(f"{folder}: {fault}") from None
    if len(found) == 1 and (last or task is not None):
        return explain_task(result, found[0])
    return explain_service(result, found, service)


def _run(folder: Path, name: str | None) -> Result:
    results = read(folder)
    names = [run_folder(one) for one in results]
    if name is None:
        if len(results) > 1:
            raise refuse(f"{folder}: holds the runs {', '.join(names)}: say which with --run")
        return results[0].record
    if name not in names:
        raise refuse(f"{folder}: there is no run '{name}': there is {', '.join(names)}")
    return results[names.index(name)].record


def show(lines: list[str]) -> None:
    """Print the lines."""
    for line in lines:
        typer.echo(line)
