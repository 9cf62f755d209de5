"""Instance types, registered capacity, EC2 prices."""

from __future__ import annotations

import pytest

from fargsim import catalog


def test_every_type_is_consistent():
    for name, kind in catalog.instance_types().items():
        assert kind.name == name == f"{kind.family}.{kind.size}"
        assert kind.architecture in ("x86_64", "arm64")
        assert catalog.registered_cpu_units(name) == 1024 * kind.vcpu
        assert 0 < catalog.registered_memory_mib(name) < kind.memory_mib
        assert catalog.awsvpc_task_limit(name) == kind.max_enis - 1
        assert catalog.awsvpc_task_limit(name, trunking=True) >= catalog.awsvpc_task_limit(name)
        assert (kind.trunk_task_limit is None) == (kind.trunk_basis == "unsupported")


def test_credits_earn_their_baseline_and_hold_a_day():
    burstable = [k for k in catalog.instance_types().values() if k.credits is not None]
    assert len(burstable) == 21
    for kind in burstable:
        assert kind.credits.max_credits == 24 * kind.credits.credits_per_hour
        assert kind.credits.credits_per_hour / (60 * kind.vcpu) == pytest.approx(
            kind.credits.baseline_percent_per_vcpu / 100
        )


def test_registered_memory_by_factor_reserve_and_refusal():
    assert catalog.registered_memory_mib("c5.large", 0, 1.0) == 4096
    assert catalog.registered_memory_mib("c5.large", 96, 1.0) == 4000
    assert catalog.registered_memory_mib("c4.4xlarge") == 30158
    with pytest.raises(catalog.CatalogError, match="cannot register"):
        catalog.registered_memory_mib("t3.nano", 600)
    with pytest.raises(catalog.CatalogError, match="at most 1"):
        catalog.registered_memory_mib("t3.nano", 0, 1.2)


def test_the_trunking_table_of_the_guide():
    table = {
        "c5.large": (2, 10),
        "m5.xlarge": (3, 20),
        "r5.2xlarge": (3, 40),
        "c6g.4xlarge": (7, 60),
        "m6i.8xlarge": (7, 90),
    }
    table |= {"c6i.12xlarge": (7, 120), "m5.16xlarge": (14, 120), "m5.24xlarge": (14, 120), "c6g.medium": (1, 4)}
    table |= {"r5.8xlarge": (7, 7), "c5.18xlarge": (14, 120)}
    found = {n: (catalog.awsvpc_task_limit(n), catalog.awsvpc_task_limit(n, trunking=True)) for n in table}
    assert found == table


def test_prices_carry_their_basis():
    assert catalog.ec2_on_demand_price("m5.large", "us-east-1").basis == "listed"
    bases = {catalog.ec2_on_demand_price(n, "sa-east-1").basis for n in ("m5.large", "m7i.large")}
    assert bases == {"listed", "estimated"}
    spot = catalog.ec2_spot_price("m5.large", "us-east-1")
    saving = catalog.ec2_spot_market("m5.large", "us-east-1").savings_percent
    assert spot.value == pytest.approx(0.096 * (1 - saving / 100))


def test_a_type_the_spot_feed_lacks_gets_the_median_marked_assumed():
    market = catalog.ec2_spot_market("m8i.large", "us-east-1")
    assert (market.savings_percent, market.interruption_band, market.basis) == (66, None, "assumed")
    assert catalog.ec2_spot_price("m8i.large", "us-east-1").basis == "assumed"


@pytest.mark.parametrize(
    ("region", "median"),
    [("us-east-2", 64), ("sa-east-1", 71), ("eu-west-1", 55), ("eu-north-1", 74), ("ap-northeast-1", 65)],
)
def test_median_savings_of_the_feed(region, median):
    import statistics

    from fargsim.catalog.store import table

    savings = [float(r["savings_percent"]) for r in table("ec2_spot") if r["region"] == region]
    assert round(statistics.median(savings)) == median


def test_a_price_that_is_not_there_says_where_one_is():
    with pytest.raises(catalog.CatalogError, match=r"no price of inf2\.xlarge in eu-west-1: it has them for us-east-1"):
        catalog.ec2_on_demand_price("inf2.xlarge", "eu-west-1")
    with pytest.raises(catalog.CatalogError, match="no EC2 prices for eu-west-3"):
        catalog.ec2_on_demand_price("m5.large", "eu-west-3")


def test_commitments():
    assert catalog.ec2_reserved_price("c5.xlarge", "convertible-3y").value == 0.082
    assert catalog.ec2_reserved_price("m5.large", "convertible-3y") is None
    assert catalog.ec2_typical_savings_percent("ec2-instance-plan-3y") == 57
    listed = catalog.fargate_savings_plan_price("3y-no-upfront", "x86_vcpu")
    assert listed.value / 0.04048 == pytest.approx(0.55)
    assert catalog.fargate_savings_plan_price("3y-no-upfront", "x86_vcpu", "eu-west-2").basis == "estimated"
    with pytest.raises(catalog.CatalogError, match="does not cover storage"):
        catalog.fargate_savings_plan_price("1y-no-upfront", "storage")
