"""Published target Fargate 6: the four worked examples of the price page, us-east-1.

Source: https://aws.amazon.com/fargate/pricing/.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pandas as pd
import pytest

from fargsim.report.cost import BillingTerms, bill, fargate_charge, total_usd

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


SIZES = {
    # tasks, seconds a day, vCPU, GB, storage, architecture, operating system
    1: (5, 600, 1, 2, 30, "X86_64", "LINUX"),
    2: (5, 600, 1, 2, 30, "ARM64", "LINUX"),
    3: (10, 3600, 0.25, 1, 20, "X86_64", "LINUX"),
    4: (10, 3600, 1, 2, 20, "X86_64", "WINDOWS_SERVER_2019_CORE"),
}


@pytest.mark.parametrize("example", SIZES)
def test_fargate_06_as_the_bill_of_a_month_of_runs(example):
    tasks, seconds, vcpu, gb, storage, architecture, system = SIZES[example]
    start = datetime(2026, 4, 1, tzinfo=UTC)
    rows = []
    for day in range(30):
        begin = start + timedelta(days=day, hours=8)
        end = begin + timedelta(seconds=seconds)
        row = {
            "cluster": "default",
            "service": None,
            "launch_type": "FARGATE",
            "capacity_provider": None,
            "operating_system_family": system,
            "cpu_architecture": architecture,
            "cpu_units": int(1024 * vcpu),
            "memory_mib": 1024 * gb,
            "ephemeral_storage_gib": storage,
            "instance_id": None,
            "public_ip": False,
            "execution_stopped_at": end,
            "stopped_at": end,
        }
        row |= dict.fromkeys(("created_at", "pull_started_at", "pull_stopped_at", "started_at"), begin)
        rows += [{**row, "task_id": f"{day}-{n}"} for n in range(tasks)]
    table = "page-us-east-1"
    terms = BillingTerms("us-east-1", start, start + timedelta(days=30), fargate_table=table, windows_table=table)
    assert total_usd(bill({"tasks": pd.DataFrame(rows)}, terms)) == pytest.approx(EXAMPLES[example][2], rel=1e-9)
