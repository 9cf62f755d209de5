"""Every formula of docs/metrics.md against tables small enough to reckon by hand."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from report_factory import HOUR, MINUTE, SECOND, Story, add_task

from fargsim.report.facts import facts_of, slo_words
from fargsim.report.summary import SUMMARY_KEYS, latency_quantiles_ms, slo_met, summarize

METRICS = Path(__file__).resolve().parents[1] / "docs" / "metrics.md"


def test_the_keys_are_those_of_the_design_in_its_order():
    text = """requests failed_requests error_rate latency_mean_ms latency_p50_ms latency_p95_ms latency_p99_ms slo_met
    tasks_started tasks_stopped task_hours running_tasks_mean running_tasks_max instance_hours cpu_utilization_mean
    memory_utilization_mean placement_failures scaling_actions cost_usd cost_compute_usd
    cost_per_million_requests_usd cost_reserved_usd cost_used_usd cost_idle_usd vcpu_hours_paid vcpu_hours_reserved
    vcpu_hours_used gib_hours_paid gib_hours_reserved gib_hours_used"""
    assert list(SUMMARY_KEYS) == text.split()
    assert list(summarize(Story().result())) == text.split()


def test_every_key_is_defined_on_the_page():
    page = METRICS.read_text(encoding="utf-8")
    defined = [line.split("`")[1] for line in page.splitlines() if line.startswith("| `")]
    assert [key for key in defined if key in SUMMARY_KEYS] == list(SUMMARY_KEYS)


def test_a_run_without_anything():
    assert summarize(Story().result()) == {
        "requests": 0,
        "failed_requests": 0,
        "error_rate": None,
        "latency_mean_ms": None,
        "latency_p50_ms": None,
        "latency_p95_ms": None,
        "latency_p99_ms": None,
        "slo_met": None,
        "tasks_started": 0,
        "tasks_stopped": 0,
        "task_hours": 0.0,
        "running_tasks_mean": 0.0,
        "running_tasks_max": 0,
        "instance_hours": 0.0,
        "cpu_utilization_mean": None,
        "memory_utilization_mean": None,
        "placement_failures": 0,
        "scaling_actions": 0,
        "cost_usd": 0.0,
        "cost_compute_usd": 0.0,
        "cost_per_million_requests_usd": None,
        "cost_reserved_usd": 0.0,
        "cost_used_usd": 0.0,
        "cost_idle_usd": 0.0,
        "vcpu_hours_paid": 0.0,
        "vcpu_hours_reserved": 0.0,
        "vcpu_hours_used": 0.0,
        "gib_hours_paid": 0.0,
        "gib_hours_reserved": 0.0,
        "gib_hours_used": 0.0,
    }


def test_requests_and_error_rate_count_every_way_to_end():
    story = Story()
    story.add("services", requests_arrived=100, requests_served=60, requests_failed=1, latency_mean_ms=10.0)
    story.add(
        "services",
        period_start_at=MINUTE,
        requests_arrived=60,
        requests_served=75,
        requests_refused_503=2,
        requests_no_target_503=3,
        requests_cut_502=4,
        requests_timeout_504=5,
        requests_in_flight=10,
        latency_mean_ms=20.0,
    )
    summary = summarize(story.result())
    assert summary["requests"] == 160
    assert summary["failed_requests"] == 15
    assert summary["error_rate"] == 15 / 150  # ten are still in flight: they are no error and no success
    assert summary["latency_mean_ms"] == (60 * 10 + 75 * 20) / 135


def test_a_period_without_a_served_request_does_not_spoil_the_mean():
    story = Story().add("services", requests_arrived=2, requests_served=2, latency_mean_ms=8.0)
    story.add("services", period_start_at=MINUTE, requests_arrived=1, requests_no_target_503=1)
    assert summarize(story.result())["latency_mean_ms"] == 8.0


def test_percentiles_are_nearest_ranks_in_the_merged_histogram():
    story = Story()
    story.add("latencies", service="web", lower_us=100.0, upper_us=102.0, requests=49)
    story.add("latencies", service="web", lower_us=300.0, upper_us=304.0, requests=1)
    story.add("latencies", service="api", lower_us=200.0, upper_us=204.0, requests=49)
    story.add("latencies", service="api", lower_us=300.0, upper_us=304.0, requests=1)
    summary = summarize(story.result())
    assert summary["latency_p50_ms"] == 0.202  # rank 50 of 100 is the first of `api`
    assert summary["latency_p95_ms"] == 0.202
    assert summary["latency_p99_ms"] == 0.302


@given(st.lists(st.tuples(st.integers(0, 30), st.integers(0, 5)), min_size=1), st.sampled_from([1, 7, 50, 95, 99, 100]))
def test_a_quantile_is_that_of_the_sorted_list(buckets: list[tuple[int, int]], percent: int):
    story = Story()
    values = []
    for k, (lower, requests) in enumerate(buckets):
        story.add(
            "latencies", service=f"s{k}", lower_us=1000.0 * lower, upper_us=1000.0 * (lower + 1), requests=requests
        )
        values += [lower + 0.5] * requests
    values.sort()
    expected = values[max(-(-percent * len(values) // 100), 1) - 1] if values else None
    assert latency_quantiles_ms(story.result().tables["latencies"], [percent / 100]) == [expected]


def test_tasks_are_counted_from_running_to_the_first_sign_of_stopping():
    story = Story(2 * HOUR)
    add_task(story, "a", [0, 10, 20, 30 * MINUTE])  # runs to the end: 90 min
    add_task(story, "b", [0, 10, 20, 0 + HOUR, 90 * MINUTE, 91 * MINUTE, 92 * MINUTE, 93 * MINUTE])  # 30 min
    add_task(story, "c", [0, 10, 20])  # never ran
    add_task(story, "d", [0, 10, 20, 90 * MINUTE, 100 * MINUTE], execution_stopped_at=95 * MINUTE)  # crashed: 5 min
    summary = summarize(story.result())
    assert summary["tasks_started"] == 3
    assert summary["tasks_stopped"] == 1
    assert summary["task_hours"] == 125 / 60
    assert summary["running_tasks_mean"] == pytest.approx(125 / 120, rel=1e-15)
    assert summary["running_tasks_max"] == 2  # d starts in the instant in which b stops


def test_a_task_stopped_before_it_ran_and_one_told_to_stop_early_ran_no_time():
    story = Story()
    add_task(story, "a", [0, 10, 20, 30], stopping_at=25, stopped_at=40)
    summary = summarize(story.result())
    assert (summary["tasks_started"], summary["tasks_stopped"]) == (1, 1)
    assert (summary["task_hours"], summary["running_tasks_max"]) == (0.0, 0)


def test_instance_hours_run_from_running_to_terminated_or_the_end():
    story = Story(3 * HOUR)
    story.add("instances", instance_id="i-1", running_at=HOUR, terminated_at=150 * MINUTE)
    story.add("instances", instance_id="i-2", running_at=2 * HOUR)
    story.add("instances", instance_id="i-3", launched_at=HOUR)
    assert summarize(story.result())["instance_hours"] == 2.5


def test_cpu_is_used_over_reserved_while_running():
    story = Story()
    add_task(story, "a", [0, 0, 0, 0], cpu_units=2048, cpu_core_s=3600.0)  # 1 of 2 cores
    add_task(story, "b", [0, 0, 0, 30 * MINUTE], cpu_units=1024, cpu_core_s=1800.0)  # all of 1 core
    add_task(story, "c", [0, 0, 0, 0], cpu_units=0, cpu_core_s=99.0)  # reserves nothing: has no utilisation
    assert summarize(story.result())["cpu_utilization_mean"] == pytest.approx(100 * 5400 / 9000)


def test_memory_is_weighted_by_running_time():
    story = Story()
    story.add("services", running_mean=1.0, memory_utilization=10.0)
    story.add("services", period_start_at=MINUTE, running_mean=3.0, memory_utilization=30.0)
    story.add("services", period_start_at=2 * MINUTE, running_mean=0.0)
    assert summarize(story.result())["memory_utilization_mean"] == 25.0


def test_failures_to_place_and_changes_of_desired_count():
    story = Story()
    for outcome in ("placed", "failed", "failed"):
        story.add("placements", outcome=outcome)
    for before, after in ((2, 4), (4, 4), (4, 3)):
        story.add("scaling", desired_before=before, desired_after=after)
    summary = summarize(story.result())
    assert summary["placement_failures"] == 2
    assert summary["scaling_actions"] == 2


def test_costs_in_all_for_compute_and_per_million_requests():
    story = Story().add("services", requests_arrived=500_000, requests_served=500_000, latency_mean_ms=1.0)
    for item, usd in (
        ("fargate vCPU", 1.0),
        ("fargate spot memory", 2.0),
        ("ec2 instance (used)", 4.0),
        ("ec2 instance (idle)", 8.0),
        ("ebs volume", 16.0),
        ("load balancer LCU", 32.0),
    ):
        story.add("costs", item=item, usd=usd)
    summary = summarize(story.result())
    assert summary["cost_usd"] == 63.0
    assert summary["cost_compute_usd"] == 15.0
    assert summary["cost_per_million_requests_usd"] == 126.0


def test_a_run_that_was_not_billed_does_not_cost_nothing():
    story = Story()
    add_task(story, "a", [0, 0, 0, 0])
    summary = summarize(story.result())
    assert summary["cost_usd"] is summary["cost_compute_usd"] is summary["cost_per_million_requests_usd"] is None


SERVED = {
    "requests": 10,
    "error_rate": 0.001,
    "latency_mean_ms": 50.0,
    "latency_p95_ms": 200.0,
    "latency_p99_ms": 400.0,
}


@pytest.mark.parametrize(
    ("slo", "met"),
    [
        ({}, None),
        ({"latency_p99": 400_000}, True),
        ({"latency_p99": 399_999}, False),
        ({"latency_mean": 50_000, "latency_p95": 199_000}, False),
        ({"error_rate": 0.001}, True),
        ({"error_rate": 0.0009}, False),
        ({"latency_p99": 400_000, "error_rate": 0.0009}, False),
    ],
)
def test_the_verdict_takes_every_promise(slo: dict[str, float], met: bool | None):
    assert slo_met(SERVED, slo) is met


def test_no_request_no_verdict_but_no_answer_is_no_success():
    nothing = {"requests": 0, "error_rate": None, "latency_p99_ms": None}
    assert slo_met(nothing, {"latency_p99": 1.0}) is None
    refused = {"requests": 5, "error_rate": 1.0, "latency_p99_ms": None}
    assert slo_met(refused, {"latency_p99": 1.0}) is False
    waiting = {"requests": 5, "error_rate": None, "latency_p99_ms": None}
    assert slo_met(waiting, {"error_rate": 0.1}) is False


def test_the_slo_is_read_in_numbers_or_in_words():
    numbers = Story(scenario={"slo": {"latency_p99": 400_000, "error_rate": 0.001, "latency_p95": None}})
    words = Story(scenario={"slo": {"latency_p99": "400 ms", "error_rate": "0.1 %"}})
    assert (
        facts_of(numbers.result()).slo
        == facts_of(words.result()).slo
        == {"latency_p99": 400_000.0, "error_rate": 0.001}
    )
    assert slo_words(facts_of(words.result()).slo) == "p99 latency at most 400 ms, at most 0.1 % errors"


def test_the_span_is_read_from_the_scenario():
    story = Story(90 * SECOND, variant="ec2", replication=3, scenario={"start": "2026-03-02T01:00:00+01:00"})
    facts = facts_of(story.result())
    assert (str(facts.start), str(facts.end)) == ("2026-03-02 00:00:00+00:00", "2026-03-02 00:01:30+00:00")
    assert (facts.variant, facts.replication, facts.seed, facts.duration_s) == ("ec2", 3, 7, 90.0)
    del story.provenance["scenario"]["duration_us"]
    story.provenance["scenario"]["duration"] = "1.5 min"
    assert facts_of(story.result()).duration_s == 90.0


def test_a_provenance_without_a_span_is_refused():
    story = Story()
    del story.provenance["scenario"]["start"]
    with pytest.raises(ValueError, match=r"lacks scenario\.start or scenario\.duration_us"):
        summarize(story.result())


def test_values_are_plain_python():
    story = Story(scenario={"slo": {"latency_p99": 1}})
    story.add("services", requests_arrived=1, requests_served=1, latency_mean_ms=1.0)
    story.add("latencies", lower_us=1000.0, upper_us=1001.0, requests=1)
    add_task(story, "a", [0, 0, 0, 0], cpu_core_s=1.0)
    summary = summarize(story.result())
    assert {type(value) for value in summary.values()} <= {int, float, bool, type(None)}
    assert all(math.isfinite(value) for value in summary.values() if value is not None)
