"""The published experiments: what they must meet, and what the prediction on EC2 is made of."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest

from fargsim.study.verify_ec2 import minute_by_minute
from fargsim.study.verify_series import measured, run

FOLDER = Path(__file__).resolve().parents[1] / "scenarios" / "published"


def test_2022_on_ec2_the_first_minutes_by_hand() -> None:
    """c6g.4xlarge registers 31,948 MiB: 15 tasks of 2 GiB. 300 wait, 20 instances are missing: M = 21 of N = 1, and 21 / 0.95 = 22.1."""
    one = run(FOLDER, "ec2-2022", "retry-10s", duration_us=240_000_000)
    first, second, third, fourth = minute_by_minute(one)
    assert (first.running, first.waiting, first.metric, first.requested, first.registered) == (15, 300, 2100, 23, 1)
    # the 22 boot: nothing is missing, but 23 of 23 are above 95 %, and 23 / 0.95 = 24.2
    assert (second.metric, second.requested, second.running) == (100, 25, 15)
    # they register a minute and a half after they were asked for; what they hold makes room for others that wait
    assert second.registered < 10 < 20 <= third.registered <= 25
    assert third.waiting == 300
    assert third.metric == pytest.approx(100 * (25 + 20 - (25 - third.registered)) / 25, abs=8)
    assert fourth.registered == 25


def test_2022_on_ec2_laws_of_the_prediction() -> None:
    one = run(FOLDER, "ec2-2022", "retry-60s")
    minutes = minute_by_minute(one)
    assert all(0 <= m.waiting <= 300 for m in minutes)
    assert all(m.registered <= m.requested <= 250 for m in minutes)
    assert all(m.running <= 15 * m.registered for m in minutes)
    assert all(a.requested <= b.requested for a, b in itertools.pairwise(minutes))
    assert (minutes[-1].running, minutes[-1].waiting, minutes[-1].registered) == (3500, 0, minutes[-1].requested)
    # a group that is resized says why, one that is not says nothing
    sizes = [1, *(m.requested for m in minutes)]
    assert [bool(m.why) for m in minutes] == [a != b for a, b in itertools.pairwise(sizes)]


def test_with_a_longer_retry_the_line_is_not_full_when_the_metric_looks() -> None:
    ten, sixty = (run(FOLDER, "ec2-2022", f"retry-{s}s", duration_us=720_000_000) for s in (10, 60))
    full, seen = ([m.waiting for m in minute_by_minute(one)] for one in (ten, sixty))
    assert full == [300] * 12
    assert min(seen) < 100
    assert ten.started().reaches(1000) + 60 < sixty.started().reaches(1000)


def test_2020_services_share_the_bucket_evenly() -> None:
    """No service starves: the curve stays straight, as measured, though each may have only 23 of the 56 launches of a minute."""
    one = run(FOLDER, "fargate-2020-services", "calibrated", duration_us=1_800_000_000)
    counts = one.tables["tasks"].groupby("service").size()
    assert counts.max() - counts.min() <= 0.05 * counts.max()
    published, found = measured(FOLDER).services_2020, one.running_by_minute()
    for level in (500, 1000):
        assert found.reaches(level) == pytest.approx(published.reaches(level), abs=1)
