"""CPU credits: earned, spent, borrowed and charged; what a low balance does to tasks; metrics, table and bill."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sim_helpers import START, behind, exact_region, fleet, register, target_group

from fargsim import Region
from fargsim.model.capacity import LaunchTemplateData
from fargsim.policy.cpu_credits import CreditFacts, Credits, after, allowed_vcpu, look_again_us, terminated
from fargsim.report.cost import bill
from fargsim.report.cost_terms import BillingTerms

SMALL = CreditFacts(2, 24, 576)
HOUR = 3_600_000_000


def region_of(
    cpu: float,
    kind: str = "t3.small",
    mode: str | None = None,
    share: float = 0.0,
    idle: str = "0 vCPU",
    **assumptions: Any,
) -> Region:
    """One instance with a task of 2 vCPU that uses some all the time, by messages of its own."""
    region = exact_region(assumptions={"cpu_credit_share_at_start": share, **assumptions})
    data: dict[str, Any] = {"InstanceType": kind}
    if mode is not None:
        data["CreditSpecification"] = {"CpuCredits": mode}
    region.autoscaling.create_launch_template(LaunchTemplateName="t", LaunchTemplateData=data)
    region.autoscaling.create_auto_scaling_group(
        AutoScalingGroupName="asg", MinSize=0, MaxSize=2, DesiredCapacity=1, LaunchTemplate={"LaunchTemplateName": "t"},
        AvailabilityZones=["us-east-1a"], registered_at_start=True,
    )  # fmt: skip
    region.sqs.create_queue(QueueName="work", Attributes={"VisibilityTimeout": "43200"})
    does = {"idle_cpu": idle, "message": {"queue": "work", "cpu": "1 s", "workers": 2}}
    register(region, "burst", cpu=2048, memory=256, fargate=False, behaviour=does)
    region.ecs.run_task(taskDefinition="burst", launchType="EC2")
    if cpu:
        region.send_messages("work", {"constant": f"{cpu} /s", "process": "regular"}, until="60 h")
    return region


def rows(region: Region) -> Any:
    return region.kit.recorder.cpu_credits.frame()


def test_an_idle_instance_earns_up_to_what_it_earns_in_a_day() -> None:
    region = region_of(0)
    region.run("30 h")
    balance = rows(region)["balance_credits"]
    assert balance.iloc[59] == pytest.approx(24)
    assert balance.iloc[-1] == 576
    assert balance.max() == 576


def test_use_at_the_baseline_keeps_the_balance_and_above_it_spends() -> None:
    region = region_of(0.4, share=0.5)
    region.run("4 h")
    table = rows(region)
    assert table["balance_credits"].iloc[[9, -1]].tolist() == pytest.approx([288, 288], abs=0.5)
    busy = region_of(1.4, share=0.5)
    busy.run("2 h")
    # 1.4 vCPU used, 0.4 earned: a credit a minute
    assert rows(busy)["balance_credits"].iloc[-1] == pytest.approx(288 - 120, abs=1)
    assert rows(busy)["used_credits"].sum() == pytest.approx(1.4 * 120, rel=0.01)


def test_a_standard_instance_is_lowered_to_its_baseline_and_never_below_zero() -> None:
    """96 credits: full use of 2 vCPU spends 1.6 a minute; from 24 on it is lowered, with a time constant of 15 minutes."""
    region = region_of(5, mode="standard", share=96 / 576)
    region.run("4 h")
    table = rows(region)
    assert table["allowed_vcpu"].iloc[:44].tolist() == [2.0] * 44, "(96 - 24) / 1.6 = 45 minutes"
    assert (table["balance_credits"] >= 0).all()
    assert table["allowed_vcpu"].iloc[60] == pytest.approx(0.4 + 1.6 / 2.718, abs=0.12)
    assert table["allowed_vcpu"].iloc[-1] == pytest.approx(0.4, abs=0.01)
    used = table["used_credits"].to_numpy()
    assert used[30] == pytest.approx(2.0)
    assert used[-1] == pytest.approx(0.4, abs=0.01)
    # everything it had and earned has been spent
    assert used.sum() == pytest.approx(96 + 24 * 4, abs=2)
    assert table["charged_credits"].sum() == 0
    queue = region.kit.recorder.queues.frame()
    # the task was RUNNING and at work from its start on; a message is a second of CPU
    assert queue["deleted"].sum() == pytest.approx(60 * used.sum(), rel=0.01)


def test_the_same_load_never_slows_an_unlimited_instance_and_is_charged() -> None:
    region = region_of(5)
    region.run("10 h")
    table = rows(region)
    assert set(table["cpu_credits"]) == {"unlimited"}, "the default of T3"
    assert (table["allowed_vcpu"] == 2).all()
    # surplus grows by 1.6 a minute: 576 after 6 hours, and is charged from there on
    surplus = table["surplus_credits"]
    assert surplus.max() == 576
    assert surplus.iloc[299] == pytest.approx(1.6 * 300, abs=2)
    assert table["charged_credits"].iloc[:359].sum() == 0
    assert table["charged_credits"].iloc[-60:].sum() == pytest.approx(96)


def test_surplus_is_paid_back_by_what_is_earned_and_charged_when_the_instance_is_terminated() -> None:
    region = region_of(0)
    region.send_messages("work", {"counts": {"period": "1 h", "values": [7200]}}, until="1 h")
    region.run("3 h")
    table = rows(region)
    peak = float(table["surplus_credits"].max())
    assert peak > 60
    assert table["surplus_credits"].iloc[-1] < peak - 24
    left = float(table["surplus_credits"].iloc[-1])
    region.autoscaling.set_desired_capacity(AutoScalingGroupName="asg", DesiredCapacity=0)
    region.run("4 h")
    table = rows(region)
    assert table["surplus_credits"].iloc[-1] == 0
    assert 0 < table["charged_credits"].sum() <= left
    assert len(table) < 200, "a terminated instance has no more rows"


@pytest.mark.parametrize(("kind", "usd"), [("t3.nano", 0.05), ("t4g.nano", 0.04)])
def test_surplus_is_on_the_bill_by_vcpu_hour(kind: str, usd: float) -> None:
    """A nano may borrow 144 credits; full use of 2 vCPU borrows 1.9 a minute."""
    region = region_of(5, kind)
    region.run("3 h")
    tables = region.finish().tables()
    lines = bill(tables, BillingTerms("us-east-1", START, START + timedelta(hours=3)))
    mine = lines[lines["item"] == "cpu credits (surplus)"]
    charged = tables["cpu_credits"]["charged_credits"].sum()
    assert charged == pytest.approx(1.9 * 180 - 144, rel=0.02)
    assert mine["usd_per_unit"].unique().tolist() == [usd]
    assert mine["usd"].sum() == pytest.approx(charged / 60 * usd)
    assert mine["instance_id"].tolist() == tables["instances"]["instance_id"].tolist() * len(mine)


def test_metrics_come_every_five_minutes() -> None:
    from fargsim.sim.alarm_run import metric_key

    region = region_of(1.4, share=0.5)
    region.run("30 min")
    [name] = region.kit.burstable
    point = region.cloudwatch.windows(
        metric_key("AWS/EC2", "CPUCreditUsage", {"InstanceId": name}), 1_800_000_000, 300_000_000, 1
    )[0]
    assert point is not None
    assert point.total == pytest.approx(7, rel=0.01)
    balance = region.cloudwatch.windows(
        metric_key("AWS/EC2", "CPUCreditBalance", {"InstanceId": name}), 1_800_000_000, 300_000_000, 1
    )[0]
    assert balance is not None
    assert balance.total == pytest.approx(rows(region)["balance_credits"].iloc[-1])


def test_other_types_have_no_credits() -> None:
    region = exact_region()
    fleet(region, 2)
    region.run("10 min")
    assert not region.kit.burstable
    assert rows(region).empty


def test_there_are_two_modes() -> None:
    with pytest.raises(ValueError, match="standard"):
        LaunchTemplateData.model_validate(
            {"InstanceType": "t3.small", "CreditSpecification": {"CpuCredits": "endless"}}
        )


uses = st.lists(st.tuples(st.integers(1, HOUR), st.floats(0, 2)), min_size=1, max_size=30)


@given(uses, st.sampled_from(["standard", "unlimited"]))
def test_credits_are_conserved(pieces: list[tuple[int, float]], mode: Any) -> None:
    credits = Credits(100.0)
    earned = used = dropped = 0.0
    for span, vcpu in pieces:
        before = credits
        vcpu = min(vcpu, allowed_vcpu(credits, SMALL, mode, 15))
        span = min(span, look_again_us(credits, SMALL, 15, 60_000_000)) if mode == "standard" else span
        credits = after(credits, SMALL, mode, span, vcpu * span)
        earned += 0.4 * span / 6e7
        used += vcpu * span / 6e7
        over = before.balance - before.surplus + (0.4 - vcpu) * span / 6e7 - SMALL.max_credits
        dropped += max(0.0, over)
        assert 0 <= credits.balance <= SMALL.max_credits
        assert 0 <= credits.surplus <= SMALL.max_credits
    # used = had + earned - left - what it could not hold + what was borrowed or charged
    borrowed = credits.surplus + credits.charged
    assert used == pytest.approx(100 + earned - credits.balance - dropped + borrowed, abs=1e-6)
    assert terminated(credits).charged == credits.charged + credits.surplus


def test_requests_feel_it_too() -> None:
    """A t3.small without credits: 1 vCPU of requests on a task of 2 vCPU gets no more than the baseline of 0.4 in the end."""
    region = exact_region()
    region.autoscaling.create_launch_template(
        LaunchTemplateName="t",
        LaunchTemplateData={"InstanceType": "t3.small", "CreditSpecification": {"CpuCredits": "standard"}},
    )
    region.autoscaling.create_auto_scaling_group(
        AutoScalingGroupName="asg", MinSize=0, MaxSize=2, DesiredCapacity=1, LaunchTemplate={"LaunchTemplateName": "t"},
        AvailabilityZones=["us-east-1a"], registered_at_start=True,
    )  # fmt: skip
    does = {"request": {"cpu": "100 ms", "workers": 4, "queue": 5}}
    register(region, cpu=2048, memory=256, fargate=False, behaviour=does)
    target_group(region, kind="instance")
    region.ecs.create_service(
        serviceName="web", taskDefinition="web", desiredCount=1, launchType="EC2", loadBalancers=behind()
    )
    region.send_traffic("web", {"constant": "10 /s", "process": "regular"})
    region.run("30 min")
    services, credits = region.kit.recorder.services.frame(), rows(region)
    assert services["cpu_utilization"].iloc[-1] == pytest.approx(20, abs=1), "0.4 of 2 vCPU"
    assert services["requests_served"].iloc[-1] == pytest.approx(4 * 60, abs=6)
    assert services["requests_refused_503"].iloc[-1] > 300
    assert credits["used_credits"].iloc[-1] == pytest.approx(0.4, abs=0.02)
    # what the task reports as CPU used is what the credits were spent on
    assert region.finish().tasks.frame()["cpu_core_s"].sum() == pytest.approx(60 * credits["used_credits"].sum())


def test_what_a_stopped_task_used_is_booked() -> None:
    region = region_of(1.0)
    region.run("125 s")
    [arn] = region.ecs.list_tasks()["taskArns"]
    region.ecs.stop_task(task=arn)
    region.run("10 min")
    cpu = region.finish().tasks.frame()["cpu_core_s"].sum()
    assert cpu > 90
    assert 60 * rows(region)["used_credits"].sum() == pytest.approx(cpu)


def test_what_tasks_use_while_they_are_idle_comes_first() -> None:
    region = region_of(5, mode="standard", idle="0.1 vCPU")
    region.run("1 h")
    used = rows(region)["used_credits"]
    assert used.iloc[-1] == pytest.approx(0.4, abs=0.005), "0.1 idle and 0.3 of work, together the baseline"
