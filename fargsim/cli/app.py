"""The commands."""

from __future__ import annotations

import json
import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from fargsim import __version__
from fargsim.cli.interrupts import end_when_asked
from fargsim.cli.status import AT_FAULT, FAILED, faults_shown, refuse, say

app = typer.Typer(
    name="fargsim",
    help="Simulate Amazon ECS on AWS Fargate and EC2: tasks, services, placement, requests, scaling and the bill.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,  # a traceback means a bug, and a plain one is easier to report
    context_settings={"help_option_names": ["-h", "--help"]},
)


class Format(StrEnum):
    """Formats of tables."""

    parquet = "parquet"
    csv = "csv"


class CatalogTable(StrEnum):
    """Tables of the catalogue."""

    sizes = "sizes"
    instances = "instances"
    prices = "prices"
    quotas = "quotas"
    assumptions = "assumptions"


File = Annotated[Path, typer.Argument(help="Scenario file, YAML or JSON.", show_default=False)]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON document and nothing else on standard output.")]
Force = Annotated[bool, typer.Option("--force", help="Write into a folder that exists.")]
AllowOutside = Annotated[
    bool, typer.Option("--allow-outside", help="The scenario may name files outside its own folder.")
]
Jobs = Annotated[
    int | None,
    typer.Option("--jobs", "-j", min=1, help="Runs to do at once. [default: one per core]", show_default=False),
]


def _print_version(wanted: bool) -> None:
    if wanted:
        print(f"fargsim {__version__}")
        raise typer.Exit


@app.callback()
def common(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """Options of the program itself; the version is printed by its callback."""


@app.command()
def run(
    file: File,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Folder to make. [default: out/NAME]", show_default=False)
    ] = None,
    variant: Annotated[
        list[str] | None, typer.Option("--variant", help="Run this variant only; may be given again.")
    ] = None,
    seed: Annotated[int | None, typer.Option("--seed", min=0, max=2**63 - 1, help="Another seed.")] = None,
    replications: Annotated[
        int, typer.Option("--replications", min=1, help="Runs of each variant, with other random numbers each.")
    ] = 1,
    jobs: Jobs = None,
    assign: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="PATH=VALUE", help="Change one value, for example services[web].desiredCount=6."),
    ] = None,
    format: Annotated[Format, typer.Option("--format", help="Format of the tables.")] = Format.parquet,
    as_json: AsJson = False,
    force: Force = False,
    allow_outside: AllowOutside = False,
    fail_on_slo: Annotated[bool, typer.Option("--fail-on-slo", help="Exit 1 if a run breaks the SLO.")] = False,
) -> None:
    """Run a scenario, all its variants, and compare them."""
    with faults_shown(str(file)):
        from fargsim.cli.load import read_variants

        scenarios = read_variants(file, variant or [], assign or [], allow_outside=allow_outside)
        if fail_on_slo and not any(scenario.slo.model_dump(exclude_none=True) for scenario in scenarios):
            raise refuse(f"{file}: slo: --fail-on-slo needs an SLO, and the scenario states none")
        folder = output or Path("out") / scenarios[0].name

        from fargsim.record.folder import output_folder

        with output_folder(folder, force=force) as fresh:
            # only now the engine and the libraries below it: a folder that is in the way is refused at once
            from fargsim.cli.show import progress_bar, show_runs
            from fargsim.study.many import cores, run_all, summaries
            from fargsim.study.many import jobs as jobs_of
            from fargsim.study.output import fill

            work = jobs_of(scenarios, seed=seed, replications=replications)
            with progress_bar(work) as progress:
                results = run_all(work, workers=jobs or cores(), progress=progress, draw=True)
            comparison = fill(results, fresh, format=format.value)
        if as_json:
            _print_json({"scenario": scenarios[0].name, "runs": summaries(results)})
        else:
            show_runs(results, comparison, folder)
        if fail_on_slo and any(result.summary["slo_met"] is False for result in results):
            say(f"{file}: the SLO is broken")
            raise typer.Exit(FAILED)


@app.command()
def validate(
    files: Annotated[
        list[Path], typer.Argument(metavar="FILE...", help="Scenarios or task definitions.", show_default=False)
    ],
    as_json: AsJson = False,
    allow_outside: AllowOutside = False,
) -> None:
    """Check files, all faults at once, and run nothing."""
    with faults_shown(str(files[0])):
        from fargsim.cli.load import check_files

        if not check_files(files, as_json=as_json, allow_outside=allow_outside):
            raise typer.Exit(AT_FAULT)


@app.command()
def report(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="A folder that run wrote.", show_default=False)],
) -> None:
    """Write the report of a saved folder anew, from its tables."""
    with faults_shown(str(folder)):
        from fargsim.cli.show import show_comparison
        from fargsim.study.output import read, render_again

        comparison = render_again(folder)
        show_comparison(comparison, read(folder)[0], folder)


@app.command()
def rerun(
    folder: Annotated[
        Path, typer.Argument(metavar="DIR", help="A folder that run wrote, or one of its runs.", show_default=False)
    ],
    output: Annotated[Path | None, typer.Option("--output", "-o", help="Keep the new results here.")] = None,
    format: Annotated[Format, typer.Option("--format", help="Format of the tables.")] = Format.parquet,
    jobs: Jobs = None,
    force: Force = False,
) -> None:
    """Run saved results again from their birth certificates and say whether they are the same; exit 1 if not."""
    with faults_shown(str(folder)):
        from contextlib import nullcontext

        from fargsim.cli.show import progress_bar, show_rerun
        from fargsim.record.folder import output_folder
        from fargsim.study.many import cores, run_all
        from fargsim.study.output import fill, jobs_again, read

        former = read(folder)
        with output_folder(output, force=force) if output else nullcontext() as fresh:
            work = jobs_again(former)
            with progress_bar(work) as progress:
                results = run_all(work, workers=jobs or cores(), progress=progress, draw=True)
            if fresh is not None:
                fill(results, fresh, format=format.value)
        if not show_rerun(former, results):
            raise typer.Exit(FAILED)


@app.command()
def verify(
    folder: Annotated[
        Path | None,
        typer.Argument(
            metavar="[DIR]",
            help="Folder of the published experiments. [default: scenarios/published]",
            show_default=False,
        ),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="Write validation.md and its pictures there.", show_default=False),
    ] = None,
    as_json: AsJson = False,
    force: Force = False,
) -> None:
    """Simulate what is published and compare: measured experiments, worked examples, limits; exit 1 if one is out of tolerance."""
    with faults_shown(str(folder or "scenarios/published")):
        from contextlib import nullcontext

        from fargsim.record.folder import output_folder

        with output_folder(output, force=force) if output else nullcontext() as fresh:
            from fargsim.cli import verify as shown
            from fargsim.study.verify import published_folder
            from fargsim.study.verify import verify as verify_all

            found = verify_all(published_folder(folder), shown.tell())
            if fresh is not None:
                shown.write(found, fresh)
        if as_json:
            _print_json(shown.as_json(found))
        else:
            shown.show(found)
        if not found.ok:
            raise typer.Exit(FAILED)


@app.command()
def explain(
    folder: Annotated[
        Path, typer.Argument(metavar="RESULT", help="A folder that run wrote, or one of its runs.", show_default=False)
    ],
    task: Annotated[
        str | None, typer.Option("--task", help="Id of a task, or its beginning.", show_default=False)
    ] = None,
    service: Annotated[
        str | None, typer.Option("--service", help="The tasks of this service.", show_default=False)
    ] = None,
    last: Annotated[bool, typer.Option("--last", help="Only the task that was created last.")] = False,
    run: Annotated[
        str | None, typer.Option("--run", help="Which run, where the folder holds several.", show_default=False)
    ] = None,
) -> None:
    """Say why a task is where it is, step by step, and why it was stopped."""
    with faults_shown(str(folder)):
        from fargsim.cli.explain import explanation, show

        show(explanation(folder, task=task, service=service, last=last, run=run))


@app.command()
def catalog(
    table: Annotated[CatalogTable, typer.Argument(metavar="TABLE", help="|".join(CatalogTable), show_default=False)],
    match: Annotated[
        str, typer.Argument(metavar="[WORD]", help="Only rows that hold this word.", show_default=False)
    ] = "",
    region: Annotated[str, typer.Option("--region", help="Region of prices and quotas.")] = "us-east-1",
    as_json: AsJson = False,
) -> None:
    """Print facts: every value with unit, basis, source and date."""
    with faults_shown("--region"):
        from fargsim.catalog.listing import rows

        found = [row for row in rows(table.value, region=region) if not match or match in " ".join(row.values())]
        if as_json:
            _print_json(found)
        elif not found:
            say(f"no row of {table.value} holds '{match}'")
        else:
            from fargsim.cli.show import show_facts

            show_facts(found)


@app.command()
def schema() -> None:
    """Print the JSON Schema of a scenario, for editors."""
    from fargsim.load import json_schema

    _print_json(json_schema())


def _print_json(value: Any) -> None:
    sys.stdout.write(json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def main() -> None:
    """Run the program."""
    end_when_asked()
    app()
