"""Commitments against usage: Reserved Instances, then EC2 Instance Savings Plans, then Compute Savings Plans.

Hour by hour. Within the plans of one type the highest saving over on-demand comes first, of equal savings the lowest
rate; what a commitment does not reach is charged at on-demand rates, what usage does not take of a commitment is lost
with its hour. Spot, storage, licences and everything beside compute are not covered.

Sources: Savings Plans User Guide, sp-applying.html; Amazon EC2 User Guide, apply_ri.html (regional Reserved Instances
cover any size of their family by normalised units, the smallest first).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from fargsim.catalog import Price, family_of, normalization_factor
from fargsim.report.cost_ledger import Floats, Ledger
from fargsim.report.cost_meter import HOUR_US
from fargsim.report.cost_terms import BillingTerms, ReservedInstances, SavingsPlan

RESERVED, EC2_INSTANCE_PLAN, COMPUTE_PLAN = 0, 1, 2
"""Tiers, in the order in which they take usage."""
LABELS = {
    RESERVED: "Reserved Instance",
    EC2_INSTANCE_PLAN: "EC2 Instance Savings Plan",
    COMPUTE_PLAN: "Compute Savings Plan",
}
_DUST = 1e-12


@dataclass(frozen=True, slots=True)
class Offer:
    """One commitment as the allocation sees it.

    Parameters
    ----------
    tier
        :data:`RESERVED`, :data:`EC2_INSTANCE_PLAN` or :data:`COMPUTE_PLAN`.
    capacity
        What it holds in each hour, in units of its own: USD for a plan, normalised units for reserved instances.
    weights
        Capacity that one unit of each kind of usage takes; None for what it does not cover.
    usd_per_capacity
        Price of one unit of capacity: 1 for a plan.
    """

    tier: int
    capacity: Floats
    weights: tuple[float | None, ...]
    usd_per_capacity: float = 1.0


def allocate(usage: Floats, on_demand: Sequence[float], offers: Sequence[Offer]) -> tuple[Floats, Floats]:
    """Apply commitments to usage the way AWS does.

    Parameters
    ----------
    usage
        Amount by kind of usage and hour, two-dimensional.
    on_demand
        On-demand price of each kind, USD per unit.
    offers
        The commitments; their order tells apart what nothing else does.

    Returns
    -------
    covered : ndarray
        Amount covered, by offer, kind and hour.
    unused : ndarray
        Capacity left, by offer and hour.

    An hour of a two-dollar Compute plan, before four instances of 1.00 (0.70 under the plan): it covers 2.86 of them.

    >>> plan = Offer(COMPUTE_PLAN, np.array([2.0]), (0.7,))
    >>> covered, unused = allocate(np.array([[4.0]]), [1.0], [plan])
    >>> round(float(covered[0, 0, 0]), 2), float(unused[0, 0])
    (2.86, 0.0)
    """
    left = usage.astype(np.float64).copy()
    unused = np.array([offer.capacity for offer in offers], dtype=np.float64).reshape(len(offers), usage.shape[1])
    unused = unused.copy()
    covered = np.zeros((len(offers), *usage.shape))
    pairs = [
        (_rank(offer, weight, on_demand[kind]), number, kind, weight)
        for number, offer in enumerate(offers)
        for kind, weight in enumerate(offer.weights)
        if weight is not None
    ]
    for _, number, kind, weight in sorted(pairs):
        free = weight <= 0
        takes = left[kind] if free else np.minimum(left[kind], unused[number] / weight)
        # what is exhausted is exactly zero, not a rounding beside it
        whole = takes >= left[kind] * (1 - _DUST)
        takes = np.where(whole, left[kind], takes)
        rest = np.where(whole, unused[number] - takes * weight, 0.0) if not free else unused[number]
        unused[number] = np.where(rest > unused[number] * _DUST, rest, 0.0)
        left[kind] = left[kind] - takes
        covered[number, kind] += takes
    return covered, unused


def _rank(offer: Offer, weight: float, on_demand: float) -> tuple[int, float, float]:
    """Return what decides the order: the tier; then the size for reserved instances, saving and rate for plans."""
    rate = weight * offer.usd_per_capacity
    if offer.tier == RESERVED:
        return offer.tier, weight, 0.0
    # to nine digits, so that 25 % is 25 % whichever two prices it comes from
    saving = round(1 - rate / on_demand, 9) if on_demand > 0 else 0.0
    return offer.tier, -saving, rate


def apply_commitments(ledger: Ledger, terms: BillingTerms) -> None:
    """Re-price what the commitments of a bill cover, and add what is left of them as lines of their own."""
    if not terms.commitments:
        return
    first, hours = _hours_of(terms)
    kinds = ledger.coverable()
    usage = np.array([ledger.usage(kind, first, len(hours)) for kind in kinds]).reshape(len(kinds), len(hours))
    priced = [[_price(commitment, kind, terms) for kind in kinds] for commitment in terms.commitments]
    offers = [
        _offer(commitment, prices, kinds, hours, terms)
        for commitment, prices in zip(terms.commitments, priced, strict=True)
    ]
    covered, unused = allocate(usage, [ledger.on_demand(kind) for kind in kinds], offers)
    with np.errstate(invalid="ignore", divide="ignore"):
        share = np.where(usage > 0, covered / usage, 0.0)
    for k, kind in enumerate(kinds):
        parts = [
            (LABELS[offer.tier], price, share[n, k])
            for n, (offer, prices) in enumerate(zip(offers, priced, strict=True))
            if (price := prices[k]) is not None and (share[n, k] > 0).any()
        ]
        ledger.cover(kind, first, parts)
    numbers = first + np.arange(len(hours), dtype=np.int64)
    for commitment, left in zip(terms.commitments, unused, strict=True):
        if isinstance(commitment, SavingsPlan):
            price = Price(1.0, "USD committed", "scenario", "the commitment", "")
            ledger.add("savings plan (unused)", price, numbers, left)
        else:
            own = _own_price(commitment, terms)
            ledger.add("reserved instance (unused)", own, numbers, left / _factor(commitment.instance_type))


def _hours_of(terms: BillingTerms) -> tuple[int, Floats]:
    """Return the first hour of the run, since 1970, and how much of each hour lies inside it.

    A commitment runs on before and after the run: of an hour that the run does not fill, its part of the commitment
    counts, an assumption.
    """
    first = terms.start_us // HOUR_US
    last = max(first, (terms.end_us - 1) // HOUR_US)
    edges = np.arange(first, last + 2, dtype=np.int64) * HOUR_US
    low, high = np.maximum(edges[:-1], terms.start_us), np.minimum(edges[1:], terms.end_us)
    return int(first), np.asarray(np.maximum(high - low, 0) / HOUR_US, dtype=np.float64)


def _price(commitment: SavingsPlan | ReservedInstances, kind: str, terms: BillingTerms) -> Price | None:
    """Return the rate of a kind of usage under a commitment; None where it does not cover it."""
    market, _, name = kind.partition(":")
    if isinstance(commitment, SavingsPlan):
        if market == "fargate":
            return terms.fargate_plan(commitment, name)
        covers = commitment.family is None or commitment.family == family_of(name)
        return terms.ec2_plan(commitment, name) if covers else None
    # a plan covers what a Windows instance costs beside its licence, Reserved Instances of Linux do not
    if market != "ec2" or family_of(name) != family_of(commitment.instance_type):
        return None
    if name == commitment.instance_type:
        return _own_price(commitment, terms)
    factor = normalization_factor(name)
    if factor is None or normalization_factor(commitment.instance_type) is None:
        return None
    rule = f"{name} by its normalised units of {commitment.instance_type}"
    own = _own_price(commitment, terms)
    return own.scaled(factor / _factor(commitment.instance_type), own.basis, rule)


def _own_price(reserved: ReservedInstances, terms: BillingTerms) -> Price:
    return terms.reserved(reserved)


def _factor(name: str) -> float:
    """Return the normalised units of a size; one that covers only itself counts as one."""
    return normalization_factor(name) or 1.0


def _offer(
    commitment: SavingsPlan | ReservedInstances,
    prices: Sequence[Price | None],
    kinds: Sequence[str],
    hours: Floats,
    terms: BillingTerms,
) -> Offer:
    if isinstance(commitment, SavingsPlan):
        tier = COMPUTE_PLAN if commitment.family is None else EC2_INSTANCE_PLAN
        weights = tuple(None if price is None else price.value for price in prices)
        return Offer(tier, commitment.usd_per_h * hours, weights)
    factor = _factor(commitment.instance_type)
    weights = tuple(
        None if price is None else _factor(kind.partition(":")[2]) for kind, price in zip(kinds, prices, strict=True)
    )
    own = _own_price(commitment, terms).value
    return Offer(RESERVED, commitment.count * factor * hours, weights, own / factor)


def committed_usd(terms: BillingTerms) -> float:
    """Return what the commitments of a bill cost in its run, whatever is used of them."""
    _, hours = _hours_of(terms)
    per_hour = sum(
        c.usd_per_h if isinstance(c, SavingsPlan) else c.count * _own_price(c, terms).value for c in terms.commitments
    )
    return per_hour * float(hours.sum())


__all__ = ["COMPUTE_PLAN", "EC2_INSTANCE_PLAN", "RESERVED", "Offer", "allocate", "apply_commitments", "committed_usd"]
