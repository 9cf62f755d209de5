"""Published targets Fargate 28 to 30: start times.

Sources: https://aws.amazon.com/blogs/aws/aws-fargate-enables-faster-container-startup-using-seekable-oci/ (28);
https://github.com/aws/containers-roadmap/issues/696 (29, 30). 28 and 29 were measured without full conditions: nothing is tuned to them,
and no distance is asked; `fargsim verify` and docs/validation.md tell it. What must hold is their order.
"""

from __future__ import annotations

import re

import pytest

from fargsim.study.verify_examples_runs import start_times

CALIBRATED = {"fargate_latency_scale": 2.06, "fargate_latency_spread": 2.24}


@pytest.fixture(scope="module")
def told() -> dict[str, list[tuple[str, str, bool | None]]]:
    found: dict[str, list[tuple[str, str, bool | None]]] = {}
    for example in start_times(CALIBRATED):
        found.setdefault(example.number, []).append((example.what, example.found, example.verdict))
    return found


def models(words: str) -> tuple[float, float]:
    """The seconds by the catalogue's model, and by the calibrated one."""
    catalogue, calibrated = re.findall(r"(?:catalogue|calibrated) (\d+)", words)
    return float(catalogue), float(calibrated)


def test_fargate_28_the_distance_with_a_soci_index_is_told(told) -> None:
    [(what, found, verdict)] = told["Fargate 28"]
    assert verdict is None
    assert re.search(
        r"here \d+\.\d GiB / \d+\.\d GiB", what
    )  # the size is not published: what the models need for 129 s
    assert all(seconds < 129 for seconds in models(found))


def test_fargate_29_the_distance_of_gzip_and_zstd_is_told(told) -> None:
    (_, gzip, _), (_, zstd, verdict) = told["Fargate 29"]
    assert verdict is None
    # the catalogue's model gives about half of what was measured, as its authors say; the calibrated one is nearer, in both
    assert models(gzip)[0] < 90
    assert models(zstd)[0] < 60
    for words, published in ((gzip, 90), (zstd, 60)):
        catalogue, calibrated = models(words)
        assert abs(calibrated - published) < abs(catalogue - published)
    assert models(zstd) < models(gzip)


def test_fargate_30_a_cached_image_on_ec2_starts_within_1_to_3_seconds(told) -> None:
    [(_, found, verdict)] = told["Fargate 30"]
    low, high = (float(x) for x in found.split(" to "))
    assert verdict is True
    assert 1 <= low < 1.6
    assert 2.4 < high <= 3
