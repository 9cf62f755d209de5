"""Published target Fargate 7: the minimum charge of a task that runs for 20 seconds.

Source: https://aws.amazon.com/fargate/pricing/.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pandas as pd
import pytest

from fargsim.report.cost import BillingTerms, bill, billed_seconds, fargate_charge, total_usd

START = datetime(2026, 3, 2, tzinfo=UTC)


def test_fargate_07_linux_is_billed_a_minute():
    assert billed_seconds(20_000_000) == 60
    charge = fargate_charge(billed_seconds(20_000_000), 1, 2, table_name="page-us-east-1")
    assert charge.total_usd == pytest.approx(0.00082284, rel=1e-12)


def test_fargate_07_windows_is_billed_five_minutes():
    assert billed_seconds(20_000_000, "WINDOWS_SERVER_2022_FULL") == 300


def test_fargate_07_in_the_bill_of_a_run():
    end = START + timedelta(seconds=20)
    row = {
        "task_id": "t",
        "cluster": "default",
        "service": None,
        "launch_type": "FARGATE",
        "capacity_provider": None,
        "operating_system_family": "LINUX",
        "cpu_architecture": "X86_64",
        "cpu_units": 1024,
        "memory_mib": 2048,
        "ephemeral_storage_gib": 20,
        "instance_id": None,
        "public_ip": False,
        "created_at": START,
        "pull_started_at": START,
        "pull_stopped_at": START,
        "started_at": START,
        "execution_stopped_at": end,
        "stopped_at": end,
    }
    terms = BillingTerms("us-east-1", START, START + timedelta(hours=1), fargate_table="page-us-east-1")
    assert total_usd(bill({"tasks": pd.DataFrame([row])}, terms)) == pytest.approx(0.00082284, rel=1e-12)
