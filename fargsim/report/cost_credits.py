"""Surplus CPU credits of unlimited instances.

Source: EC2 User Guide, burstable-performance-instances-unlimited-mode-concepts.html (per vCPU-hour; what exceeds 24 hours of earning is
charged at the end of the hour, the rest when the instance is terminated).
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from fargsim.catalog.instances import instance_type
from fargsim.report.cost_ec2 import windows_of
from fargsim.report.cost_ledger import Ledger, instants_us
from fargsim.report.cost_meter import HOUR_US
from fargsim.report.cost_terms import BillingTerms

CREDITS_PER_VCPU_HOUR = 60
ITEM = "cpu credits (surplus)"


def add_credits(ledger: Ledger, credits: pd.DataFrame, instances: pd.DataFrame, terms: BillingTerms) -> None:
    """Add the surplus credits charged, by instance and hour.

    Parameters
    ----------
    credits
        The table ``cpu_credits``.
    """
    charged = credits[credits["charged_credits"] > 0]
    if charged.empty:
        return
    rows = pd.Index(instances["instance_id"]).get_indexer(pd.Index(charged["instance_id"])).astype(np.int64)
    arm = np.array([instance_type(str(t)).architecture == "arm64" for t in charged["instance_type"]], dtype=np.bool_)
    windows = windows_of(instances)[rows]
    hour = instants_us(charged, "period_start_at") // HOUR_US
    vcpu_hours = charged["charged_credits"].to_numpy(dtype=np.float64) / CREDITS_PER_VCPU_HOUR
    for which, item in (
        (~arm & ~windows, "cpu_credit_surplus_x86"),
        (arm, "cpu_credit_surplus_arm64"),
        (windows, "cpu_credit_surplus_windows"),
    ):
        if which.any():
            ledger.add(ITEM, terms.other(item), hour[which], vcpu_hours[which], instance_row=rows[which])
