"""Published target Fargate 8: a run is rounded up to the next second.

Source: https://aws.amazon.com/fargate/pricing/.
"""

from __future__ import annotations

import pytest

from fargsim.report.cost import billed_seconds


@pytest.mark.parametrize(
    ("used_us", "seconds"), [(61_200_000, 62), (61_000_000, 61), (61_000_001, 62), (60_999_999, 61)]
)
def test_fargate_08_rounded_up(used_us, seconds):
    assert billed_seconds(used_us) == seconds
