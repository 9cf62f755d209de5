"""Fargate sizes, ephemeral storage, EKS pods."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fargsim import catalog
from fargsim.catalog import PodRequest


def test_the_legal_set_is_exactly_the_rule_of_the_guide():
    rule = {256: [512, 1024, 2048], 512: range(1024, 4097, 1024), 1024: range(2048, 8193, 1024)}
    rule |= {2048: range(4096, 16385, 1024), 4096: range(8192, 30721, 1024), 8192: range(16384, 61441, 4096)}
    rule |= {16384: range(32768, 122881, 8192), 32768: [61440, 122880, 249856]}
    assert [(s.cpu_units, s.memory_mib) for s in catalog.fargate_sizes()] == [
        (c, m) for c, ms in rule.items() for m in ms
    ]


def test_sizes_by_date():
    assert max(s.cpu_units for s in catalog.fargate_sizes(on="2022-09-15")) == 4096
    assert max(s.cpu_units for s in catalog.fargate_sizes(on="2022-09-16")) == 16384
    assert "8192, 16384" not in str(catalog.fargate_size_fault(1, 512, on="2022-01-01"))
    assert catalog.fargate_size_fault(32768, 61440) is None
    assert catalog.fargate_size_fault(32768, 61440, on="2025-01-01") is not None


@given(st.integers(0, 40000), st.integers(0, 300000), st.booleans())
def test_fault_and_legal_set_agree(cpu, memory, windows):
    legal = {(s.cpu_units, s.memory_mib) for s in catalog.fargate_sizes(windows=windows)}
    assert (catalog.fargate_size_fault(cpu, memory, windows=windows) is None) == ((cpu, memory) in legal)


@given(st.sampled_from(catalog.fargate_sizes()))
def test_every_legal_size_is_found(size):
    assert catalog.require_fargate_size(size.cpu_units, size.memory_mib) is size


@pytest.mark.parametrize(
    ("cpu", "memory", "windows", "words"),
    [
        (256, 4096, False, "512, 1024 or 2048 MiB, not 4096"),
        (4096, 31744, False, "8192 to 30720 MiB in steps of 1024"),
        (300, 512, False, "legal are 256, 512, 1024, 2048, 4096, 8192, 16384 and 32768"),
        (
            256,
            512,
            True,
            "Windows tasks on Fargate have no task size with 256 CPU units: legal are 1024, 2048 and 4096",
        ),
        (None, 512, False, "cpu is missing"),
        (None, None, False, "cpu and memory is missing"),
    ],
)
def test_messages_name_the_legal_values(cpu, memory, windows, words):
    with pytest.raises(catalog.CatalogError, match=words):
        catalog.require_fargate_size(cpu, memory, windows=windows)


def test_windows_takes_no_ephemeral_storage_setting():
    assert catalog.ephemeral_storage_gib(windows=True) == 20
    with pytest.raises(catalog.CatalogError, match="leave ephemeralStorage out"):
        catalog.ephemeral_storage_gib(30, windows=True)


pods = st.lists(st.builds(PodRequest, st.floats(0, 4), st.floats(0, 20000)), min_size=1, max_size=3)


@given(pods, st.lists(st.builds(PodRequest, st.floats(0, 8), st.floats(0, 30000)), max_size=2))
def test_a_pod_gets_the_smallest_size_that_holds_it(containers, inits):
    size = catalog.eks_pod_size(containers, inits)
    cpu = max(sum(c.vcpu for c in containers), *(c.vcpu for c in inits), 0.0)
    memory = max(sum(c.memory_mib for c in containers), *(c.memory_mib for c in inits), 0.0)
    if not any(c.vcpu or c.memory_mib for c in [*containers, *inits]):
        assert (size.cpu_units, size.memory_mib) == (256, 512)
        return
    assert size.vcpu >= cpu - 1e-9
    assert size.memory_mib >= memory + 256 - 1e-6
    smaller = [s for s in catalog.fargate_sizes() if s < size]
    assert not any(s.vcpu >= cpu and s.memory_mib >= memory + 256 for s in smaller)


def test_a_pod_larger_than_every_size_is_refused():
    with pytest.raises(catalog.CatalogError, match="the largest is 16 vCPU and 122880 MiB"):
        catalog.eks_pod_size([PodRequest(17, 1024)])
    with pytest.raises(catalog.CatalogError, match="negative"):
        catalog.eks_pod_size([PodRequest(-1, 1024)])
