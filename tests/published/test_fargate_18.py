"""Published targets Fargate 18, 19 and 21: real ECS on Fargate, measured in 2020 and 2022.

Sources: https://www.vladionescu.me/posts/scaling-containers-on-aws-in-2022/ and its figure (18);
https://www.vladionescu.me/posts/scaling-containers-in-aws/ and its graph-results.csv (19, 21). One latency scale and spread are
calibrated on the levels 100 and 500 of 2022, one share of the launch rate on 2020; `fargsim verify` tells all of it, and more replications.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from fargsim.study.verify_series import Series, measured, run

FOLDER = Path(__file__).resolve().parents[2] / "scenarios" / "published"


def test_fargate_18_five_services_of_700_predicted() -> None:
    one = run(FOLDER, "fargate-2022", "calibrated")
    launched = one.seconds("tasks", "created_at")
    # (3,500 - 100) at 93.2 % of 20 a second
    assert launched[-1] - launched[0] == pytest.approx(3400 / 18.64, abs=2)
    started = one.started()
    at = np.arange(75.0, 226)
    slope = Series(at, np.searchsorted(started.x, at, side="right").astype(float)).slope(75, 225)
    assert slope == pytest.approx(18.3, rel=0.10)
    assert started.reaches(3000) == pytest.approx(216, rel=0.15)
    for level, at_s in measured(FOLDER).levels_2022.items():
        if 1000 <= level <= 3400:
            assert started.reaches(level) == pytest.approx(at_s, rel=0.10), level


def test_fargate_18_by_the_quotas_alone() -> None:
    """100 at once, then 20 a second: (3,500 - 100) / 20 = 170 s, and a little more for a last service held by its 500 a minute."""
    launched = run(FOLDER, "fargate-2022", "uncalibrated").seconds("tasks", "created_at")
    after = launched - launched[0]
    assert (after[99], after[100], after[3199]) == (0, 1, (3200 - 100) / 20)
    assert 170 <= after[3499] <= 175


def test_fargate_19_four_services_with_a_calibrated_share_of_the_rate() -> None:
    found, published = run(FOLDER, "fargate-2020-services", "calibrated").running_by_minute(), measured(FOLDER)
    assert found.slope(0, 56) == pytest.approx(55.9, rel=0.08)
    assert found.y[56] == pytest.approx(3117, rel=0.08)
    for level in (500, 1000, 2500, 3000):
        at_min = published.services_2020.reaches(level)
        assert found.reaches(level) == pytest.approx(at_min, abs=max(1, 0.05 * at_min)), level


def test_fargate_19_by_the_quota_alone() -> None:
    """1 a second after the burst of ten; 3,490 s for all, and a little more for the last services, each held by its 23 a minute."""
    launched = run(FOLDER, "fargate-2020-services", "uncalibrated").seconds("tasks", "created_at")
    after = launched - launched[0]
    assert (after[9], after[10], after[3399]) == (0, 1, 3390)
    assert 3490 <= after[3499] <= 3520  # tasks after these replace what Spot has taken back


def test_fargate_21_one_service_by_construction() -> None:
    """23 a minute are an input of the scenario: this only says that the input holds the service, minute for minute."""
    launched = run(FOLDER, "fargate-2020-single", "calibrated").seconds("tasks", "created_at")
    assert (launched[23:] - launched[:-23]).min() >= 60
    assert len(launched) / (launched[-1] - launched[0]) * 60 == pytest.approx(23, rel=0.05)
