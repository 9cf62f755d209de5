"""Commitments, one hour and one offer at a time: the part of `slow_bill` that Savings Plans and Reserved Instances are."""

from __future__ import annotations

from collections import defaultdict

from fargsim.catalog import family_of, normalization_factor
from fargsim.report.cost_terms import BillingTerms, ReservedInstances, SavingsPlan

HOUR = 3_600_000_000
Offer = SavingsPlan | ReservedInstances
Key = tuple[str, int, str | None, str | None, str | None]
Bill = dict[Key, float]
Coverable = tuple[str, str, float, float, Key]
"""Kind of usage, item, amount, on-demand price, and whose line it is."""


class SlowCommitments:
    """What the coverable lines of a bill cost under its commitments, and what is left of these: `usd`."""

    def __init__(self, terms: BillingTerms, lines: list[Coverable]) -> None:
        self.terms, self.usd = terms, defaultdict(float)
        low, high = terms.start_us, terms.end_us
        for hour in range(low // HOUR, max(low // HOUR, (high - 1) // HOUR) + 1):
            part = (min(high, (hour + 1) * HOUR) - max(low, hour * HOUR)) / HOUR
            self._hour(hour, [one for one in lines if one[4][1] == hour], max(0.0, part))

    def _hour(self, hour: int, lines: list[Coverable], part: float) -> None:
        """The best offer first: what it takes of a kind of usage it takes of every line alike."""
        listed = {kind: price for kind, _, _, price, _ in lines}
        left: dict[str, float] = defaultdict(float)
        for kind, _, amount, _, _ in lines:
            left[kind] += amount
        whole = dict(left)
        offers = self.terms.commitments
        room = [self._room(offer) * part for offer in offers]
        ranked = sorted(
            (*self._rank(offer, kind, listed[kind]), number, kind)
            for number, offer in enumerate(offers)
            for kind in listed
            if self._rate(offer, kind) is not None
        )
        taken: dict[tuple[str, int], float] = defaultdict(float)
        for *_, number, kind in ranked:
            takes = self._takes(offers[number], kind)
            amount = min(left[kind], room[number] / takes) if takes else left[kind]
            left[kind] -= amount
            room[number] -= amount * takes
            taken[kind, number] += amount
        for kind, item, amount, price, key in lines:
            for number, offer in enumerate(offers):
                share = taken[kind, number] / whole[kind]
                label = self._label(offer)
                name = f"{item[:-1]}, {label})" if item.endswith(")") else f"{item} ({label})"
                if share:
                    self.usd[(name, *key[1:])] += amount * share * (self._rate(offer, kind) or 0.0)
            self.usd[key] += amount * max(0.0, left[kind]) / whole[kind] * price
        for number, offer in enumerate(offers):
            if isinstance(offer, SavingsPlan):
                self.usd["savings plan (unused)", hour, None, None, None] += room[number]
            else:
                usd = self.terms.reserved(offer).value / (normalization_factor(offer.instance_type) or 1)
                self.usd["reserved instance (unused)", hour, None, None, None] += room[number] * usd

    @staticmethod
    def _label(offer: Offer) -> str:
        if isinstance(offer, ReservedInstances):
            return "Reserved Instance"
        return "Compute Savings Plan" if offer.family is None else "EC2 Instance Savings Plan"

    @staticmethod
    def _room(offer: Offer) -> float:
        """Dollars of a plan, normalised units of Reserved Instances."""
        if isinstance(offer, SavingsPlan):
            return offer.usd_per_h
        return offer.count * (normalization_factor(offer.instance_type) or 1)

    def _rate(self, offer: Offer, kind: str) -> float | None:
        """What an hour of a kind of usage costs under an offer; None where it covers none."""
        market, _, name = kind.partition(":")
        if isinstance(offer, ReservedInstances):
            own, size = (
                normalization_factor(offer.instance_type),
                normalization_factor(name) if market == "ec2" else None,
            )
            if market != "ec2" or family_of(name) != family_of(offer.instance_type):
                return None
            if name == offer.instance_type:
                return self.terms.reserved(offer).value
            return None if own is None or size is None else self.terms.reserved(offer).value * size / own
        if market == "fargate":
            price = self.terms.fargate_plan(offer, name)
            return None if price is None else price.value
        return self.terms.ec2_plan(offer, name).value if offer.family in (None, family_of(name)) else None

    def _takes(self, offer: Offer, kind: str) -> float:
        if isinstance(offer, ReservedInstances):
            return normalization_factor(kind.partition(":")[2]) or 1
        return self._rate(offer, kind) or 0.0

    def _rank(self, offer: Offer, kind: str, listed: float) -> tuple[int, float, float]:
        if isinstance(offer, ReservedInstances):
            return 0, self._takes(offer, kind), 0.0
        rate = self._rate(offer, kind) or 0.0
        return 2 if offer.family is None else 1, -round(1 - rate / listed, 9), rate
