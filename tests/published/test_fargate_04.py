"""Published target Fargate 4: the size an EKS pod gets, as a pure function.

Source: Amazon EKS User Guide, fargate-pod-configuration.html.
"""

from __future__ import annotations

import pytest

from fargsim.catalog import PodRequest, eks_pod_size


@pytest.mark.parametrize(
    ("vcpu", "memory_mib", "size"),
    [(1, 8 * 1024, (2, 9)), (0, 0, (0.25, 0.5)), (0.25, 512, (0.25, 1))],
    ids=["the guide's example", "no requests", "256 MiB on top"],
)
def test_fargate_04_pod_size(vcpu, memory_mib, size):
    found = eks_pod_size([PodRequest(vcpu, memory_mib)])
    assert (found.vcpu, found.memory_gib) == size


def test_fargate_04_the_largest_init_container_against_the_sum_of_the_others():
    found = eks_pod_size([PodRequest(0.5, 512), PodRequest(0.5, 512)], [PodRequest(2, 256), PodRequest(1, 1024)])
    assert (found.vcpu, found.memory_gib) == (2, 4)
