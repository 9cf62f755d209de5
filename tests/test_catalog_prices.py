"""Fargate prices, what surrounds them, quotas, parameters."""

from __future__ import annotations

import math
import pickle

import pytest

from fargsim import catalog


def test_arm_is_listed_or_estimated_and_never_across_ap_south_1():
    listed = {g for g in catalog.regions() if catalog.fargate_price("arm64_vcpu", g).basis == "listed"}
    assert listed == {
        "us-east-1", "eu-west-1", "eu-central-1", "ap-southeast-1", "ap-northeast-1", "ap-south-1", "sa-east-1",
    }  # fmt: skip
    for region in set(catalog.regions()) - {"ap-south-1"}:
        for item in ("vcpu", "memory"):
            ratio = (
                catalog.fargate_price(f"arm64_{item}", region).value
                / catalog.fargate_price(f"x86_{item}", region).value
            )
            assert ratio == pytest.approx(0.8, abs=0.01), region
    assert catalog.fargate_price("arm64_vcpu", "ap-south-1").value / 0.04256 == pytest.approx(0.56, abs=0.001)


def test_the_estimate_rule_reproduces_a_listed_region():
    rule = 0.04656 * 0.03238 / 0.04048
    assert catalog.fargate_price("arm64_vcpu", "eu-central-1").value == pytest.approx(rule, rel=1e-3)


def test_spot_is_cheaper_everywhere_and_arm_spot_is_listed_in_two_regions():
    for region in catalog.regions():
        for item in ("x86_vcpu", "x86_memory", "arm64_vcpu", "arm64_memory"):
            share = catalog.fargate_spot_price(item, region).value / catalog.fargate_price(item, region).value
            assert 0.28 < share < 0.42, (region, item)
    listed = {g for g in catalog.regions() if catalog.fargate_spot_price("arm64_vcpu", g).basis == "listed"}
    assert listed == {"us-east-1", "eu-west-1"}
    old = catalog.fargate_spot_price("x86_vcpu", "us-east-1", table_name="spot-2025-11")
    assert (old.value, catalog.fargate_spot_price("x86_vcpu", "us-east-1").value) == (0.01264355, 0.01288871)


def test_windows_has_two_tables():
    listed = catalog.fargate_price("windows_vcpu", "us-east-1")
    page = catalog.fargate_price("windows_vcpu", "us-east-1", table_name="page-us-east-1").per_hour()
    assert (listed.value, listed.unit) == (0.046552, "vCPU-hour")
    assert page.value == pytest.approx(0.0915, abs=5e-5)
    assert catalog.fargate_price("windows_os", "eu-west-1").value == 0.046
    assert catalog.fargate_price("windows_vcpu", "eu-west-1").basis == "estimated"


def test_the_page_table_is_for_us_east_1_and_differs_in_the_fifth_digit():
    page = catalog.fargate_price("x86_vcpu", "us-east-1", table_name="page-us-east-1").per_hour()
    assert page.value == pytest.approx(0.04048, rel=1e-4)
    assert page.value != 0.04048
    with pytest.raises(catalog.CatalogError, match="has no x86_vcpu for eu-west-1"):
        catalog.fargate_price("x86_vcpu", "eu-west-1", table_name="page-us-east-1")


def test_the_price_cut_of_2019():
    before = catalog.fargate_price("x86_memory", "us-east-1", table_name="launch-2018").value
    assert 1 - catalog.fargate_price("x86_memory", "us-east-1").value / before == pytest.approx(0.65, abs=0.001)


@pytest.mark.parametrize("item", catalog.surrounding_items())
def test_every_surrounding_price_exists_in_every_region(item):
    for region in catalog.regions():
        price = catalog.surrounding_price(item, region)
        assert price.value > 0
        assert price.basis in ("listed", "documented", "assumed")
    assert catalog.surrounding_price(item, "us-east-1").basis != "assumed"


def test_quotas_by_region_and_date():
    new = catalog.quotas("us-east-1")
    assert (new["fargate_on_demand_launch_burst"], new["fargate_on_demand_launches_per_s"]) == (100, 20)
    other = catalog.quotas("me-south-1")
    assert (other["fargate_spot_launch_burst"], other["fargate_spot_launches_per_s"]) == (25, 5)
    assert new["fargate_service_launches_per_min"] == 500
    old = catalog.quotas("eu-west-1", on="2020-04-04")
    assert (old["fargate_on_demand_launch_burst"], old["fargate_on_demand_launches_per_s"]) == (10, 1)
    assert old["fargate_on_demand_vcpu"] is None
    assert old.limit("fargate_on_demand_vcpu") == math.inf
    assert new["provisioning_tasks_per_cluster"] == 500
    assert catalog.quotas("us-east-1", on="2022-04-20")["provisioning_tasks_per_cluster"] == 300
    assert catalog.quotas("us-east-1", on="2022-04-20")["ec2_service_launches_per_min"] == 250
    assert new["fargate_on_demand_tasks"] is None
    history = ["2018-01-17", "2018-12-01", "2020-06-01", "2020-10-01", "2021-06-01"]
    tasks = [catalog.quotas("us-east-1", on=d)["fargate_on_demand_tasks"] for d in history]
    assert tasks == [20, 50, 100, 500, 1000]


def test_quota_overrides():
    mine = catalog.quotas("us-east-1", overrides={"fargate_on_demand_vcpu": 200})
    assert (mine["fargate_on_demand_vcpu"], mine["fargate_spot_vcpu"]) == (200, 6)
    assert mine.quota("fargate_on_demand_vcpu").source.basis == "scenario"
    with pytest.raises(catalog.CatalogError, match="did you mean fargate_on_demand_vcpu"):
        catalog.quotas("us-east-1", overrides={"fargate_on_demand_vcpus": 200})
    with pytest.raises(catalog.CatalogError, match="at least 0"):
        catalog.quotas("us-east-1", overrides={"fargate_on_demand_vcpu": -1})


def test_every_api_action_has_a_bucket():
    assert set(catalog.API_GROUPS.values()) <= set(catalog.api_buckets())


def test_parameters_are_overridden_by_name():
    mine = catalog.parameters({"service_reaction_s": 2, "digest_first_task": False, "reg_delay": 7})
    assert (mine.service_reaction_s, mine["digest_first_task"], mine.reg_delay_s) == (2.0, False, 7.0)
    assert mine.parameter("service_reaction_s").basis == "scenario"
    assert catalog.parameters().service_reaction_s == 5
    assert len(mine) == len(catalog.parameters())
    assert pickle.loads(pickle.dumps(mine)) == mine
    assert hash(mine) != hash(catalog.parameters())


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("service_reaktion_s", 5, "did you mean service_reaction_s"),
        ("service_reaction_s", "5 s", "must be a number"),
        ("service_reaction_s", True, "must be a number"),
        ("service_reaction_s", float("nan"), "must be a number"),
        ("service_reaction_s", -1, "at least 0"),
        ("registered_memory_factor", 1.1, "between 0.01 and 1"),
        ("digest_first_task", 1, "true or false"),
    ],
)
def test_a_wrong_override_is_explained(name, value, words):
    assert words in catalog.parameter_fault(name, value)
    with pytest.raises(catalog.CatalogError, match=words):
        catalog.parameters({name: value})


def test_notes_tell_what_no_source_gives():
    notes = catalog.parameters({"root_volume_gib": 8}).notes(["root_volume_gib", "bytes_per_request", "throttle_cap_s"])
    assert [n.split(" = ")[0] for n in notes] == ["bytes_per_request"]
    assert "(assumed)" in notes[0]


def test_the_throttle_lands_on_its_cap():
    p = catalog.parameters()
    assert p.throttle_base_s * p.throttle_factor**7 == p.throttle_cap_s
