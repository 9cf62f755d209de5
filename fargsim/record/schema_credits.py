"""The table of CPU credits."""

from __future__ import annotations

from fargsim.record.column import Table, instant, real, text

CPU_CREDITS = Table(
    "cpu_credits",
    "One row per burstable instance and period; empty without any. A credit is one vCPU at 100 % for one minute.",
    ("instance_id", "period_start_at"),
    (
        instant("period_start_at", "Start of the period."),
        real("period_s", "s", "Length of the period; shorter where the instance was terminated in it."),
        text("cluster", "Cluster of the instance."),
        text("instance_id", "The instance."),
        text("instance_type", "EC2 instance type."),
        text("cpu_credits", "`standard` or `unlimited`."),
        real("earned_credits", "credits", "Credits earned in the period, those above the most it can hold included."),
        real("used_credits", "credits", "Credits spent in the period: minutes of a whole vCPU (CPUCreditUsage)."),
        real("balance_credits", "credits", "Credits held at the end (CPUCreditBalance)."),
        real("surplus_credits", "credits", "Surplus credits not paid back at the end (CPUSurplusCreditBalance)."),
        real("charged_credits", "credits", "Surplus credits charged in the period (CPUSurplusCreditsCharged)."),
        real("allowed_vcpu", "vCPU", "vCPUs that the balance allows at the end."),
    ),
)
