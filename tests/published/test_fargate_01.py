"""Published target Fargate 1: which pairs of CPU and memory are legal.

Source: Amazon ECS Developer Guide, task-cpu-memory-error.html; API_RegisterTaskDefinition.html.
"""

from __future__ import annotations

import pytest

from fargsim.catalog import CatalogError, fargate_size_fault, require_fargate_size


def test_fargate_01_the_smallest_pair_is_legal():
    assert fargate_size_fault(256, 512) is None
    size = require_fargate_size(256, 512)
    assert (size.vcpu, size.memory_gib) == (0.25, 0.5)


@pytest.mark.parametrize(
    ("cpu_units", "memory_mib"), [(256, 4096), (512, 512), (1024, 1024), (4096, 31744), (8192, 18432), (16384, 40000)]
)
def test_fargate_01_illegal_pairs_are_refused_with_the_legal_memory_named(cpu_units, memory_mib):
    fault = fargate_size_fault(cpu_units, memory_mib)
    assert fault is not None
    assert str(cpu_units) in fault
    assert f"not {memory_mib}" in fault
    with pytest.raises(CatalogError, match="go with memory of"):
        require_fargate_size(cpu_units, memory_mib)
