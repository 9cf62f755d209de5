"""Published target Fargate 14: 730 hours of a NAT gateway, a load balancer and a public address.

Sources: AWS price list of 2026-07-07; https://aws.amazon.com/elasticloadbalancing/pricing/.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pandas as pd
import pytest

from fargsim.report.cost import BillingTerms, LoadBalancer, NatGateway, bill, total_usd, usd_by

START = datetime(2026, 3, 1, tzinfo=UTC)
END = START + timedelta(hours=730)


@pytest.mark.parametrize(("region", "usd"), [("us-east-1", 32.85), ("eu-west-1", 35.04)])
def test_fargate_14_nat_gateway(region, usd):
    terms = BillingTerms(region, START, END, nat_gateways=(NatGateway("nat", START, public_ipv4_addresses=0),))
    assert total_usd(bill({}, terms)) == pytest.approx(usd, rel=1e-12)


def test_fargate_14_load_balancer():
    balancer = LoadBalancer("lb", "application", START, None, (), 0)
    assert total_usd(bill({}, BillingTerms("us-east-1", START, END, load_balancers=(balancer,)))) == pytest.approx(
        16.425
    )


def test_fargate_14_public_address():
    row = {
        "instance_id": "i-1",
        "cluster": "default",
        "instance_type": "m5.large",
        "market": "on-demand",
        "cpu_units": 2048,
        "memory_mib": 7987,
        "public_ip": True,
        "root_volume_gib": 0,
        "launched_at": START,
        "running_at": START,
        "terminated_at": pd.NaT,
    }
    costs = bill({"instances": pd.DataFrame([row])}, BillingTerms("us-east-1", START, END))
    assert usd_by(costs, "item")["public IPv4"] == pytest.approx(3.65, rel=1e-12)
