"""Published target Fargate 2: how many legal pairs there are.

Source: Amazon ECS Developer Guide, task-cpu-memory-error.html; https://aws.amazon.com/fargate/pricing/ (32 vCPU row).
"""

from __future__ import annotations

from collections import Counter

from fargsim.catalog import fargate_sizes


def test_fargate_02_pairs_per_cpu_size():
    pairs = Counter(s.cpu_units for s in fargate_sizes())
    assert pairs == {256: 3, 512: 4, 1024: 7, 2048: 13, 4096: 23, 8192: 12, 16384: 12, 32768: 3}
    assert len(fargate_sizes()) == 77
    assert len(fargate_sizes(on="2025-01-01")) == 74


def test_fargate_02_windows_has_43():
    pairs = Counter(s.cpu_units for s in fargate_sizes(windows=True))
    assert pairs == {1024: 7, 2048: 13, 4096: 23}
