"""The three figures that are calibrated, and how; ``python -m fargsim.study.verify_calibration scenarios/published`` works them out again.

* ``launch_rate_share``, the share of the nominal launch rate that launches reach: the least-squares slope of the ECS series of 2020 over
  the 60 a minute of its quota.
* ``fargate_latency_scale`` and ``fargate_latency_spread``: those with which the experiment of 2022, simulated, reaches 100 and 500
  containers when the measured one did. Its other levels are not looked at.

The results stand in the ``calibrated`` variants of the scenarios, the same in each of them.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt

from fargsim.study.verify_series import Measured, measured, run

NOMINAL_PER_MINUTE_2020 = 60.0
LEVELS = (100, 500)
REPLICATIONS = 5
LOOKS_S = 120
"""How long a run must be to reach both levels."""

Floats = npt.NDArray[np.float64]


def launch_rate_share(data: Measured) -> float:
    """Return the share of the nominal launch rate that the services of 2020 reached, to three digits."""
    return round(data.services_2020.slope(0, 56) / NOMINAL_PER_MINUTE_2020, 3)


def latency(folder: Path, data: Measured, share: float) -> tuple[float, float]:
    """Return scale and spread of Fargate's latency with which 2022 reaches its two lowest levels in time, to two digits."""
    wanted = np.array([data.levels_2022[level] for level in LEVELS])

    def reached(x: Floats) -> Floats:
        given = {
            "launch_rate_share": share,
            "fargate_latency_scale": float(x[0]),
            "fargate_latency_spread": float(x[1]),
        }
        runs = [
            run(folder, "fargate-2022", "uncalibrated", n, given, LOOKS_S * 1_000_000).started()
            for n in range(REPLICATIONS)
        ]
        return np.array([np.mean([r.reaches(level) for r in runs]) for level in LEVELS])

    found = solve(lambda x: reached(x) - wanted, np.array([2.0, 1.5]))
    return round(float(found[0]), 2), round(float(found[1]), 2)


def solve(miss: Callable[[Floats], Floats], start: Floats, *, step: float = 0.02, within: float = 0.05) -> Floats:
    """Return where two functions of two variables vanish, by Newton's method with differences for derivatives.

    Raises
    ------
    ArithmeticError
        If twelve steps do not come as near as `within`.

    Examples
    --------
    >>> solve(lambda x: np.array([x[0] * x[1] - 6, x[0] - x[1] - 1]), np.array([2.0, 1.5]), within=1e-6).round(3).tolist()
    [3.0, 2.0]
    """
    x = start
    for _ in range(12):
        here = miss(x)
        if np.abs(here).max() <= within:
            return x
        slopes = np.column_stack([(miss(x + step * unit) - here) / step for unit in np.eye(len(x))])
        # half a unit at most: the slopes are those of here
        x = x - np.clip(np.linalg.solve(slopes, here), -0.5, 0.5)
    raise ArithmeticError("no latency scale and spread reach both levels in time")


def main(folder: Path) -> None:
    """Work the three figures out and print them."""
    data = measured(folder)
    share = launch_rate_share(data)
    scale, spread = latency(folder, data, share)
    print(f"launch_rate_share: {share}\nfargate_latency_scale: {scale}\nfargate_latency_spread: {spread}")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
