"""``docs/validation.md``: what ``fargsim verify`` finds, as a page. The same findings give the same bytes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from fargsim.report.verify_facts import Example, Experiment, Figure, Minute, Verification

IMAGES = "images"

HEAD = """# Validation

Written by `fargsim verify -o docs --force`; do not edit. `fargsim verify` prints the same tables and exits with 1 where a figure is out of
its tolerance.

Every simulated figure says how it came about:

* **calibrated**: a global parameter was chosen so that it fits (there are three, below);
* **predicted**: nothing was chosen for it;
* **by construction**: the published figure itself is an input, so it confirms nothing;
* **distance only**: the conditions of the measurement are not known well enough, or nothing was promised; the distance is told.

*Uncalibrated* is the model with the catalogue's own figures, shown beside the calibrated one. Nothing is fitted to a single experiment.
The scenarios are in `scenarios/published`: conditions and quotas of the date as published, the measured series beside them. The list of
published targets by number is that of `tests/published`.

Sources of the experiments: [2020](https://www.vladionescu.me/posts/scaling-containers-in-aws/) with
[its data](https://github.com/Vlaaaaaaad/blog-scaling-containers-in-aws),
[2022](https://www.vladionescu.me/posts/scaling-containers-on-aws-in-2022/) with
[its code and figure](https://github.com/Vlaaaaaaad/blog-scaling-containers-on-aws-in-2022).
"""

LIMITS = """## What is not reproduced

* The runs of 2020 with a raised launch rate ("tuned"): their set-up is not described fully enough to say what they should give.
* EKS, App Runner and Lambda of 2020 and 2022, and Windows and ARM64 on ECS of 2022: not simulated here, or no series.
* 2021: shown in a talk, no number in text.
"""


def page(verification: Verification) -> str:
    """Return the page."""
    parts = [HEAD, _calibration(verification), _verdict(verification)]
    parts += [_experiment(e) for e in verification.experiments]
    parts += [_examples(verification.examples), LIMITS]
    return "\n".join(parts)


def image_name(experiment: Experiment) -> str:
    """Return the file name of an experiment's picture."""
    return f"validation-{experiment.key}.png"


def number(value: float | None) -> str:
    """Write a number with three digits or so.

    >>> number(3117.0), number(55.93), number(0.0317), number(None)
    ('3,117', '55.9', '0.0317', '-')
    """
    if value is None:
        return "-"
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.3g}"


def table(head: Sequence[str], rows: Iterable[Sequence[str]], numbers: int = 0) -> str:
    """Return a Markdown table whose last columns, as many as `numbers`, are set to the right."""
    marks = ["---"] * (len(head) - numbers) + ["---:"] * numbers
    lines = [head, marks, *rows]
    return "".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |\n" for line in lines)


def figure_cells(figure: Figure) -> tuple[str, ...]:
    """Return a figure's cells: what, basis, verdict, published, simulated, distance, allowed, uncalibrated."""
    off = figure.off_percent
    spread = "" if figure.low is None or figure.low == figure.high else f" ({number(figure.low)}-{number(figure.high)})"
    return (
        f"{figure.what}, {figure.unit}" if figure.unit else figure.what,
        figure.basis,
        figure.verdict,
        number(figure.published),
        number(figure.simulated) + spread,
        "-" if off is None else f"{off:+.1f} %",
        "-" if figure.allowed is None else f"+/-{number(figure.allowed)}",
        number(figure.uncalibrated),
    )


FIGURE_HEAD = ("figure", "basis", "verdict", "published", "simulated", "distance", "allowed", "uncalibrated")


def _calibration(verification: Verification) -> str:
    rows = [(f"`{p.name}`", p.on, f"{p.value:g}", f"{p.catalogue:g}") for p in verification.parameters]
    told = (
        "The calibrated values are those of the `calibrated` variants of the scenarios; the catalogue keeps its own.\n"
        "`python -m fargsim.study.verify_calibration scenarios/published` works them out again.\n"
    )
    return "## Calibration\n\n" + table(("parameter", "calibrated on", "value", "catalogue"), rows, 2) + "\n" + told


def _verdict(verification: Verification) -> str:
    figures = [f for e in verification.experiments for f in e.figures if f.ok is not None]
    examples = [e for e in verification.examples if e.verdict is not None]
    good = sum(f.ok is True for f in figures), sum(e.verdict is True for e in examples)
    lines = [
        f"{good[0]} of {len(figures)} measured figures and {good[1]} of {len(examples)} worked examples and limits are within "
        "their tolerance.\n"
    ]
    lines += [f"* out of tolerance: {failure}\n" for failure in verification.failures]
    return "## Verdict\n\n" + "".join(lines)


def _experiment(experiment: Experiment) -> str:
    parts = [f"## {experiment.title}\n", "\n".join(f"* {line}" for line in experiment.about) + "\n"]
    parts += [f"Scenario: `scenarios/published/{experiment.key}.yaml`\n"]
    parts += [f"![{experiment.title}]({IMAGES}/{image_name(experiment)})\n"]
    parts += [table(FIGURE_HEAD, map(figure_cells, experiment.figures), 5)]
    parts += [f"{note}\n" for note in experiment.notes]
    for name, minutes in experiment.minutes:
        parts += [f"### {name}\n", table(MINUTE_HEAD, map(minute_cells, until_settled(minutes)), 6)]
    return "\n".join(parts)


MINUTE_HEAD = (
    "why the group was resized",
    "minute",
    "running",
    "waiting in PROVISIONING",
    "metric, %",
    "instances requested",
    "registered",
)


def minute_cells(one: Minute) -> tuple[str, ...]:
    """Return the cells of a minute, the reason first."""
    counts = (one.requested, one.registered)
    return (
        one.why or "-",
        str(one.minute),
        str(one.running),
        str(one.waiting),
        number(one.metric),
        *map(str, counts),
    )


def until_settled(minutes: Sequence[Minute]) -> Sequence[Minute]:
    """Return the minutes up to the second one after which nothing changes any more."""
    last = len(minutes)
    while last > 2 and _state(minutes[last - 1]) == _state(minutes[last - 2]):
        last -= 1
    return minutes[: last + 1]


def _state(one: Minute) -> tuple[int, int, int, int, str]:
    return one.running, one.waiting, one.requested, one.registered, one.why


def _examples(examples: Sequence[Example]) -> str:
    words = {True: "ok", False: "**OUT**", None: "-"}
    rows = [(e.number, e.what, e.published, e.found, words[e.verdict], e.basis, e.source) for e in examples]
    head = ("number", "what", "published", "found", "verdict", "basis", "source")
    return "## Worked examples and limits\n\n" + table(head, rows)
