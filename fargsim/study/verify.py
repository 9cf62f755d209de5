"""``fargsim verify``: published figures beside simulated ones.

The experiments are the scenarios of ``scenarios/published`` with the measured series beside them; the worked examples and limits are
those of AWS's pages. Nothing is fitted here: what is calibrated stands in the scenarios (`fargsim.study.verify_calibration` works it
out), and the parameter that can be checked at once, the launch share, is worked out again.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from fargsim.catalog.parameters import parameters
from fargsim.load import load
from fargsim.report.verify_facts import Basis, Example, Experiment, Figure, Parameter, Verification
from fargsim.study.verify_calibration import launch_rate_share
from fargsim.study.verify_ec2 import NAME as EC2_2022
from fargsim.study.verify_ec2 import ec2_2022
from fargsim.study.verify_examples import pure_examples
from fargsim.study.verify_examples_ecs import control_plane_examples
from fargsim.study.verify_examples_runs import run_examples
from fargsim.study.verify_experiments import (
    FARGATE_2022,
    SERVICES_2020,
    SINGLE_2020,
    fargate_2022,
    services_2020,
    single_2020,
)
from fargsim.study.verify_series import measured

CALIBRATED = {
    "launch_rate_share": "2020, ECS on Fargate, several services: least-squares slope over 60 a minute",
    "fargate_latency_scale": "2022, ECS on Fargate: when 100 and 500 applications had started",
    "fargate_latency_spread": "2022, ECS on Fargate: when 100 and 500 applications had started",
}
"""Calibrated parameters, and what each was calibrated on."""

FILES = (
    *(f"{name}.yaml" for name in (SERVICES_2020, SINGLE_2020, FARGATE_2022, EC2_2022)),
    "measured-2020.csv",
    "measured-2022.csv",
    "measured-2022-levels.csv",
)


def published_folder(given: Path | None = None) -> Path:
    """Return the folder of the published experiments: the one given, else ``scenarios/published`` here or beside the package.

    Raises
    ------
    FileNotFoundError
        If none of them holds every file.
    """
    here = Path("scenarios/published")
    beside = Path(__file__).resolve().parents[2] / here
    looked = [given] if given is not None else [here, beside]
    for folder in looked:
        if all((folder / name).is_file() for name in FILES):
            return folder
    missing = [name for name in FILES if not (looked[0] / name).is_file()]
    raise FileNotFoundError(2, f"the published experiments are not here: no {', '.join(missing)}", str(looked[0]))


def verify(folder: Path, tell: Callable[[str], None] = lambda _: None) -> Verification:
    """Simulate everything that is published and compare.

    Parameters
    ----------
    folder
        Where the experiments are.
    tell
        Called with what is under way.
    """
    data = measured(folder)
    found = calibration(folder)
    experiments = (
        services_2020(folder, data, tell),
        single_2020(folder, tell),
        fargate_2022(folder, data, tell),
        ec2_2022(folder, tell),
    )
    tell("worked examples")
    values = {p.name: p.value for p in found}
    examples = [
        Example(
            "Calibration",
            "launch_rate_share, worked out again from the series of 2020",
            f"{values['launch_rate_share']:g}",
            f"{launch_rate_share(data):g}",
            "measured-2020.csv",
            values["launch_rate_share"] == launch_rate_share(data),
            "calibrated",
        ),
        *pure_examples(),
        *run_examples(values),
        *_of_experiments({e.key: e for e in experiments}),
        *control_plane_examples(),
    ]
    return Verification(found, experiments, tuple(sorted(examples, key=_order)))


def calibration(folder: Path) -> tuple[Parameter, ...]:
    """Return the calibrated parameters as the scenarios have them.

    Raises
    ------
    ValueError
        If a scenario has other values than the others.
    """
    catalogue = parameters()
    sets = {}
    for name in (SERVICES_2020, SINGLE_2020, FARGATE_2022):
        given = load(folder / f"{name}.yaml", variant="calibrated").assumptions
        sets[name] = {key: float(given[key]) for key in CALIBRATED if key in given}
    first = sets[FARGATE_2022]
    other = next((name for name, values in sets.items() if values != first or len(values) < len(CALIBRATED)), None)
    if other is not None:
        raise ValueError(f"{folder / other}.yaml: the variant 'calibrated' has {sets[other]}, fargate-2022 has {first}")
    return tuple(Parameter(name, first[name], catalogue.number(name), on) for name, on in CALIBRATED.items())


def _of_experiments(experiments: Mapping[str, Experiment]) -> list[Example]:
    """Return the published figures that the experiments answer, under their numbers."""
    at_22, at_20, alone = experiments[FARGATE_2022], experiments[SERVICES_2020], experiments[SINGLE_2020]
    found = [
        _example("Fargate 18", _named(at_22, "rate from"), "2022 figure", 0.10),
        _example("Fargate 18", _named(at_22, "3,000"), "2022 figure", 0.15),
        _example("Fargate 19", _named(at_20, "rate from"), "graph-results.csv of 2020", 0.08),
        _example("Fargate 19", _named(at_20, "running in minute"), "graph-results.csv of 2020", 0.08),
    ]
    single = _named(alone, "rate from")
    words = f"{single.published:g}", f"{single.simulated:.1f}"
    return [*found, Example("Fargate 21", "2020, one service, /min", *words, "2020 post", None, "by construction")]


def _named(experiment: Experiment, beginning: str) -> Figure:
    return next(f for f in experiment.figures if f.what.startswith(beginning))


def _example(number: str, figure: Figure, source: str, share: float) -> Example:
    assert figure.published is not None
    basis: Basis = figure.basis
    ok = abs(figure.simulated - figure.published) <= share * figure.published
    words = f"{figure.published:.4g} (+/-{100 * share:.0f} %)", f"{figure.simulated:.4g}"
    return Example(number, f"{figure.what}, {figure.unit}", *words, source, ok, basis)


def _order(example: Example) -> tuple[int, str, int]:
    """Order examples by list and number: those of Fargate first, then the control plane's by letter."""
    head = example.number.rstrip("0123456789 s")
    digits = "".join(c for c in example.number if c.isdigit())
    lists: Sequence[str] = ("Calibration", "Fargate", "Metric")
    rank = next((n for n, name in enumerate(lists) if head.startswith(name)), len(lists))
    return rank, head if rank == len(lists) else "", int(digits or 0)
