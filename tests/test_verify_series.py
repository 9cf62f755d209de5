"""Measured series, the readings taken of a run, and the calibration."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from fargsim.load import load
from fargsim.sim.region import Region
from fargsim.study.verify import FILES, calibration, published_folder
from fargsim.study.verify_calibration import LEVELS, latency, launch_rate_share, solve
from fargsim.study.verify_series import Run, measured, run

FOLDER = Path(__file__).resolve().parents[1] / "scenarios" / "published"
START = pd.Timestamp("2022-04-13", tz="UTC")


def tables(started: list[float], stopped: list[float]) -> Run:
    """A run of ten minutes in which tasks start and stop at some seconds."""
    scenario = load(FOLDER / "fargate-2022.yaml", variant="uncalibrated")
    ends = [*stopped, *[np.nan] * (len(started) - len(stopped))]
    frame = pd.DataFrame({"started_at": started, "stopping_at": ends})
    frame = frame.apply(lambda column: START + pd.to_timedelta(column, unit="s"))
    return Run(scenario, {"tasks": frame})


def test_the_largest_number_of_a_minute_counts_the_minutes_from_the_first_container() -> None:
    # 1 task from 130 s, 3 from 150 s, 2 from 170 s, 4 from 250 s, 3 from 299 s
    found = tables([130, 150, 150, 250, 250], [170, 299]).running_by_minute()
    assert found.x.tolist() == list(range(8))
    assert found.y.tolist() == [3, 2, 4, 3, 3, 3, 3, 3]


def test_what_has_started_is_counted_whatever_stops() -> None:
    found = tables([5.5, 2.25, 9], [6]).started()
    assert found.x.tolist() == [2.25, 5.5, 9.0]
    assert found.y.tolist() == [1, 2, 3]
    assert [found.reaches(n) for n in (1, 2, 3, 4)] == [2.25, 5.5, 9.0, float("inf")]


def test_the_measured_series_are_those_published() -> None:
    data = measured(FOLDER)
    assert (len(data.services_2020.x), data.services_2020.y[[0, 9, 56]].tolist()) == (57, [1, 496, 3117])
    assert data.services_2020.slope(0, 56) == pytest.approx(55.9, abs=0.05)
    assert data.fargate_2022.slope(75, 225) == pytest.approx(18.3, abs=0.15)
    assert data.levels_2022 == {
        100: 51, 500: 81, 1000: 108, 1750: 149, 2500: 192, 3000: 216, 3300: 241, 3400: 262, 3490: 442,
    }  # fmt: skip


def test_every_scenario_has_the_same_calibration_and_only_there() -> None:
    values = {p.name: p.value for p in calibration(FOLDER)}
    assert values["launch_rate_share"] == launch_rate_share(measured(FOLDER)) == 0.932
    for path in FOLDER.glob("*.yaml"):
        for variant in ("calibrated", "uncalibrated") if path.stem.startswith("fargate") else ("retry-10s",):
            given = load(path, variant=variant).assumptions
            assert {k: v for k, v in given.items() if k in values} == (values if variant == "calibrated" else {})


def test_calibrations_that_differ_are_refused(tmp_path: Path) -> None:
    shutil.copytree(FOLDER, tmp_path / "p")
    other = tmp_path / "p" / "fargate-2020-single.yaml"
    other.write_text(other.read_text().replace("launch_rate_share: 0.932", "launch_rate_share: 0.95"))
    with pytest.raises(ValueError, match=r"fargate-2020-single\.yaml: the variant 'calibrated' has"):
        calibration(tmp_path / "p")


def test_the_levels_that_calibrate_are_met_within_the_error_of_reading() -> None:
    data = measured(FOLDER)
    runs = [run(FOLDER, "fargate-2022", "calibrated", n, duration_us=120_000_000).started() for n in range(5)]
    for level in LEVELS:
        assert np.mean([r.reaches(level) for r in runs]) == pytest.approx(data.levels_2022[level], abs=0.5)


@pytest.mark.slow
def test_the_calibration_is_what_its_module_works_out() -> None:
    data = measured(FOLDER)
    values = {p.name: p.value for p in calibration(FOLDER)}
    found = latency(FOLDER, data, launch_rate_share(data))
    assert found == (values["fargate_latency_scale"], values["fargate_latency_spread"])


def test_equations_without_a_solution_are_told() -> None:
    with pytest.raises(ArithmeticError, match="no latency scale and spread"):
        solve(lambda x: np.array([x[0] ** 2 + 1, x[1]]), np.array([2.0, 1.5]))


def test_a_folder_that_lacks_a_file_is_told(tmp_path: Path) -> None:
    shutil.copytree(FOLDER, tmp_path / "p")
    assert published_folder(tmp_path / "p") == tmp_path / "p"
    (tmp_path / "p" / FILES[-1]).unlink()
    with pytest.raises(FileNotFoundError, match=r"no measured-2022-levels\.csv"):
        published_folder(tmp_path / "p")


def test_without_a_folder_the_checkouts_is_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert published_folder() == FOLDER


# the factor on the spread


def provisioning(spread: float) -> np.ndarray:
    """Seconds from the record to the pull of 40 Fargate tasks."""
    region = Region("us-east-1", quotas={"fargate_on_demand_vcpu": 100}, assumptions={"fargate_latency_spread": spread})
    region.ecs.register_task_definition(
        family="web", cpu="256", memory="512", networkMode="awsvpc", requiresCompatibilities=["FARGATE"],
        containerDefinitions=[{"name": "app", "image": "app:1"}],
    )  # fmt: skip
    for _ in range(4):
        region.ecs.run_task(
            taskDefinition="web", launchType="FARGATE", count=10,
            networkConfiguration={"awsvpcConfiguration": {"subnets": ["subnet-a"]}},
        )  # fmt: skip
    region.run(until="10 min")
    frame = region.finish().drain()["tasks"]
    return np.sort((frame.pull_started_at - frame.created_at).dt.total_seconds().to_numpy())


def test_the_spread_is_a_power_of_each_provisioning_time_over_the_median() -> None:
    plain, wide, none = (provisioning(spread) for spread in (1.0, 2.0, 0.0))
    assert none == pytest.approx([13.0] * 40)
    assert np.log(wide / 13) == pytest.approx(2 * np.log(plain / 13), abs=1e-5)
    assert plain.std() > 1
