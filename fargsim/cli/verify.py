"""What ``fargsim verify`` prints and writes."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich.table import Table
from rich.text import Text

from fargsim.cli.show import put
from fargsim.cli.status import say
from fargsim.report.verify_facts import Example, Experiment, Verification
from fargsim.report.verify_page import (
    FIGURE_HEAD,
    IMAGES,
    MINUTE_HEAD,
    figure_cells,
    image_name,
    minute_cells,
    page,
    until_settled,
)

PAGE = "validation.md"
COLUMNS = 150
"""Width of what is printed into a file or a pipe."""


def tell() -> Callable[[str], None]:
    """Return a function that says what is under way, at a terminal only."""
    return (lambda words: say(f"... {words}")) if sys.stderr.isatty() else (lambda _: None)


def as_json(found: Verification) -> dict[str, Any]:
    """Return what was found as one JSON document."""
    return {
        "ok": found.ok,
        "failures": list(found.failures),
        "calibration": [asdict(p) for p in found.parameters],
        "experiments": [_experiment(e) for e in found.experiments],
        "examples": [asdict(e) for e in found.examples],
    }


def _experiment(one: Experiment) -> dict[str, Any]:
    figures = [asdict(f) | {"ok": f.ok, "off_percent": f.off_percent} for f in one.figures]
    minutes = {name: [asdict(m) for m in rows] for name, rows in one.minutes}
    return {"name": one.key, "title": one.title, "figures": figures, "minutes": minutes, "notes": list(one.notes)}


def write(found: Verification, folder: Path) -> None:
    """Write the page and its pictures into a folder."""
    # matplotlib is slow to import, and nobody may want pictures
    from fargsim.report.verify_figures import draw_experiment

    (folder / PAGE).write_text(page(found), encoding="utf-8", newline="\n")
    (folder / IMAGES).mkdir()
    for experiment in found.experiments:
        (folder / IMAGES / image_name(experiment)).write_bytes(draw_experiment(experiment).png())


def show(found: Verification) -> None:
    """Print everything: experiments, examples, the verdict."""
    calibration = Table("calibrated parameter", "value", "catalogue", "on", title="Calibration", title_justify="left")
    for p in found.parameters:
        calibration.add_row(p.name, f"{p.value:g}", f"{p.catalogue:g}", p.on)
    put(calibration, "", columns=COLUMNS)
    for experiment in found.experiments:
        _show_experiment(experiment)
    examples = Table("number", "what", "published", "found", "verdict", "basis", title="Worked examples and limits")
    for one in found.examples:
        examples.add_row(one.number, one.what, one.published, one.found, verdict(one), one.basis)
    put(examples, "", Text(summary(found), style="bold"), columns=COLUMNS)


def _show_experiment(experiment: Experiment) -> None:
    figures = Table(*FIGURE_HEAD, title=experiment.title, title_justify="left")
    for figure in experiment.figures:
        figures.add_row(*figure_cells(figure))
    put(figures, *experiment.notes, "", columns=COLUMNS)
    for name, rows in experiment.minutes:
        # the reason comes last here: it is the longest
        minutes = Table(*MINUTE_HEAD[1:], MINUTE_HEAD[0], title=name, title_justify="left")
        for row in until_settled(rows):
            first, *rest = minute_cells(row)
            minutes.add_row(*rest, first)
        put(minutes, "", columns=COLUMNS)


def verdict(one: Example) -> str:
    """Return an example's verdict in a word."""
    return {True: "ok", False: "OUT", None: "-"}[one.verdict]


def summary(found: Verification) -> str:
    """Return the verdict on everything, and what is out of its tolerance."""
    figures = [f.ok for e in found.experiments for f in e.figures if f.ok is not None]
    examples = [e.verdict for e in found.examples if e.verdict is not None]
    words = (
        f"{sum(figures)} of {len(figures)} measured figures and {sum(examples)} of {len(examples)} worked examples and "
        "limits are within their tolerance"
    )
    return "\n".join([words, *(f"out of tolerance: {failure}" for failure in found.failures)])
