"""CPU credits of burstable instances: what is earned, spent, borrowed and charged.

One credit is one vCPU at 100 % for one minute. An instance earns at a constant rate up to what it earns in 24 hours. In ``standard`` mode
it can spend what it has; in ``unlimited`` mode it goes on with surplus credits, which later earnings pay back and which are charged beyond
24 hours of earning and when the instance is terminated.

Sources: EC2 User Guide, burstable-credits-baseline-concepts.html, burstable-performance-instances-standard-mode-concepts.html,
burstable-performance-instances-unlimited-mode-concepts.html.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

CreditMode = Literal["standard", "unlimited"]
US_PER_MINUTE = 60_000_000.0


@dataclass(frozen=True, slots=True)
class CreditFacts:
    """What a type's credits are.

    Parameters
    ----------
    vcpu
        Number of vCPUs.
    credits_per_hour, max_credits
        Earned by the whole instance, and the most it holds.
    """

    vcpu: int
    credits_per_hour: float
    max_credits: float

    @property
    def baseline_vcpu(self) -> float:
        """VCPUs that can be used for ever.

        >>> CreditFacts(2, 24, 576).baseline_vcpu
        0.4
        """
        return self.credits_per_hour / 60

    def low_credits(self, low_minutes: float) -> float:
        """Return the balance that full use would spend, above the baseline, in some minutes."""
        return (self.vcpu - self.baseline_vcpu) * low_minutes


@dataclass(frozen=True, slots=True)
class Credits:
    """Where an instance stands: balance, surplus that is to be paid back, and what has been charged so far, in credits."""

    balance: float = 0.0
    surplus: float = 0.0
    charged: float = 0.0


def after(credits: Credits, facts: CreditFacts, mode: CreditMode, span_us: float, used_vcpu_us: float) -> Credits:
    """Return where an instance stands after a while of even use.

    Parameters
    ----------
    span_us, used_vcpu_us
        How long, and the CPU time used in it, microseconds.

    >>> facts = CreditFacts(2, 24, 576)
    >>> hour = 3.6e9
    >>> after(Credits(100.0), facts, "standard", hour, 0.4 * hour).balance  # at the baseline
    100.0
    >>> after(Credits(10.0), facts, "unlimited", hour, 2 * hour)
    Credits(balance=0.0, surplus=86.0, charged=0.0)
    """
    earned, used = facts.credits_per_hour / 60 * span_us / US_PER_MINUTE, used_vcpu_us / US_PER_MINUTE
    net = credits.balance - credits.surplus + (earned - used)
    balance = min(max(net, 0.0), facts.max_credits)
    if mode == "standard":
        return replace(credits, balance=balance)
    surplus = max(-net, 0.0)
    beyond = max(0.0, surplus - facts.max_credits)
    return Credits(balance, surplus - beyond, credits.charged + beyond)


def terminated(credits: Credits) -> Credits:
    """Return where an instance stands when it is terminated: what it has not paid back is charged."""
    return Credits(credits.balance, 0.0, credits.charged + credits.surplus)


def allowed_vcpu(credits: Credits, facts: CreditFacts, mode: CreditMode, low_minutes: float) -> float:
    """Return how many vCPUs an instance may use at this balance.

    AWS lowers an instance whose balance runs low to its baseline over 15 minutes and does not say how; here the part above the baseline is
    proportional to what is left of a low balance, so that it never sinks below zero.

    >>> facts = CreditFacts(2, 24, 576)
    >>> [round(allowed_vcpu(Credits(b), facts, "standard", 15), 2) for b in (100, 24, 12, 0)]
    [2.0, 2.0, 1.2, 0.4]
    """
    low = facts.low_credits(low_minutes)
    if mode == "unlimited" or credits.balance >= low:
        return float(facts.vcpu)
    return facts.baseline_vcpu + (facts.vcpu - facts.baseline_vcpu) * credits.balance / low


def look_again_us(credits: Credits, facts: CreditFacts, low_minutes: float, step_us: int) -> int:
    """Return after how long the balance may be low: at once while it is, else not before full use could have brought it there."""
    spare = credits.balance - facts.low_credits(low_minutes)
    return max(step_us, round(spare / (facts.vcpu - facts.baseline_vcpu) * US_PER_MINUTE))
