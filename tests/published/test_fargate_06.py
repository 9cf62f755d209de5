"""Published target Fargate 6: the four worked examples of the price page, us-east-1.

Source: https://aws.amazon.com/fargate/pricing/.
"""

from __future__ import annotations

import pytest

from fargsim.report.cost import fargate_charge

PAGE = {"table_name": "page-us-east-1"}
EXAMPLES = {
    1: (
        fargate_charge(5 * 600 * 30, 1, 2, storage_gb=30, **PAGE),
        {"vcpu": 1.01, "memory": 0.22, "storage": 0.03, "total": 1.26},
        1.26198,
    ),
    2: (
        fargate_charge(5 * 600 * 30, 1, 2, storage_gb=30, architecture="ARM64", **PAGE),
        {"vcpu": 0.81, "memory": 0.18, "storage": 0.03, "total": 1.02},
        1.015218,
    ),
    3: (fargate_charge(10 * 3600 * 30, 0.25, 1, **PAGE), {"vcpu": 3.04, "memory": 1.33, "total": 4.37}, 4.36968),
    4: (
        fargate_charge(10 * 3600 * 30, 1, 2, operating_system_family="WINDOWS_SERVER_2019_CORE", **PAGE),
        {"vcpu": 27.45, "memory": 6.00, "licence": 13.80, "total": 47.25},
        47.250108,
    ),
}


@pytest.mark.parametrize("example", EXAMPLES)
def test_fargate_06_worked_example(example):
    charge, page, exact = EXAMPLES[example]
    lines = dict(zip(("vcpu", "memory", "storage", "licence"), charge.page_lines_usd, strict=True))
    got = {name: usd for name, usd in lines.items() if usd} | {"total": charge.page_total_usd}
    assert got == page
    assert charge.total_usd == pytest.approx(exact, rel=1e-12)
