"""The bill as a picture: one stacked bar a variant, one colour a line item."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from fargsim.record.result import Result
from fargsim.report.compare import money
from fargsim.report.facts import Facts, facts_of
from fargsim.report.style import INK, MUTED, Picture, no_data, picture, settings, titled

# Hue says what is paid for, a light tint what is paid for in vain, hatching that it is Spot capacity. Darks and lights alternate along a
# bar, and every segment has a white edge, so the order can be read without colour.
ITEMS: dict[str, tuple[str, str]] = {
    "fargate vCPU": ("#0072b2", ""),
    "fargate memory": ("#7cc3ee", ""),
    "fargate spot vCPU": ("#0072b2", "////"),
    "fargate spot memory": ("#7cc3ee", "////"),
    "fargate ephemeral storage": ("#332288", ""),
    "fargate Windows licence": ("#882255", ""),
    "ec2 instance (used)": ("#00795a", ""),
    "ec2 instance (idle)": ("#a9d8c8", ""),
    "ec2 spot instance (used)": ("#00795a", "////"),
    "ec2 spot instance (idle)": ("#a9d8c8", "////"),
    "ebs volume": ("#8c6d00", ""),
    "load balancer hours": ("#f3c35b", ""),
    "load balancer LCU": ("#d55e00", ""),
    "public IPv4": ("#cc79a7", ""),
    "savings plan (unused)": ("#a50026", ""),
    "reserved instance (unused)": ("#fddbc7", ""),
    "managed instances fee": ("#44aa99", ""),
    "nat gateway hours": ("#6b5876", ""),
    "nat gateway data": ("#c7b5d1", ""),
}
"""Colour and hatching of the known line items, in the order in which they are stacked."""
HATCHES = {"Compute Savings Plan": "....", "EC2 Instance Savings Plan": "oo", "Reserved Instance": "++"}
"""Hatching of what a commitment covers."""
OTHERS = ("#4d4d4d", "#999999", "#c4c4c4")


def plot_cost(results: Sequence[Result]) -> Picture:
    """Draw what each variant costs, by line item.

    With replications a bar is the mean over them. An item one of whose prices is assumed rather than listed says so
    in the legend.

    Parameters
    ----------
    results
        Billed results of one scenario, in the order of the bars.

    Raises
    ------
    ValueError
        If there is no result.
    """
    if not results:
        raise ValueError("there is nothing to plot")
    facts = [facts_of(result) for result in results]
    usd = _by_item(results, facts)
    with settings():
        made = picture(9, 1.5 + 0.46 * len(usd), _title(facts))
        axes = made.subplots()
        if usd.empty or usd.columns.empty:
            no_data(axes, "Nothing was billed.")
            return made
        assumed = _assumed(results)
        rows = range(len(usd))
        left = pd.Series(0.0, index=usd.index)
        for item, (colour, hatch) in _looks(list(usd.columns)).items():
            label = f"{item} (assumed price)" if item in assumed else item
            axes.barh(
                rows,
                usd[item],
                left=left,
                height=0.66,
                color=colour,
                hatch=hatch,
                edgecolor="white",
                linewidth=0.8,
                label=label,
            )
            left = left + usd[item]
        for row, total in zip(rows, left, strict=True):
            axes.annotate(
                f"{money(float(total))} USD",
                (total, row),
                (5, 0),
                textcoords="offset points",
                va="center",
                color=INK,
                fontsize=9,
            )
        axes.set_yticks(list(rows), [str(name) for name in usd.index], color=INK)
        axes.set_ylim(len(usd) - 0.4, -0.6)
        axes.set_xlim(0, (float(left.max()) or 1.0) * 1.14)
        axes.grid(False, axis="y")
        axes.tick_params(axis="y", length=0)
        axes.spines["left"].set_color(MUTED)
        axes.set_xlabel(_unit(facts, results))
        made.legend(loc="outside lower left", ncols=3, handlelength=1.4, handleheight=1.0)
        made.set_figheight(made.get_figheight() + 0.2 * -(-len(usd.columns) // 3))
    return made


def _title(facts: Sequence[Facts]) -> str:
    if len({fact.variant for fact in facts}) == 1:
        return titled("Cost by line item", facts[0])
    return f"Cost by line item and variant · {facts[0].name}"


def _unit(facts: Sequence[Facts], results: Sequence[Result]) -> str:
    hours = facts[0].duration_s / 3600
    span = f"{hours:,.4g} h" if hours >= 1 else f"{hours * 60:,.4g} min"
    replications = max(sum(fact.variant == name for fact in facts) for name in {fact.variant for fact in facts})
    return f"USD for {span}" + (f", mean of {replications} replications" if replications > 1 else "")


def _by_item(results: Sequence[Result], facts: Sequence[Facts]) -> pd.DataFrame:
    """Return mean USD over replications: a row a variant in the order given, a column an item with a cost."""
    sums = [result.tables["costs"].groupby("item", sort=True)["usd"].sum() for result in results]
    frame = pd.DataFrame(sums).fillna(0.0).reset_index(drop=True)
    names = pd.Series([fact.variant or fact.name for fact in facts], name="variant")
    means = frame.groupby(names, sort=False).mean()
    return means.loc[:, (means != 0).any()]


def _assumed(results: Sequence[Result]) -> set[str]:
    found: set[str] = set()
    for result in results:
        costs = result.tables["costs"]
        found |= set(costs.loc[costs["price_basis"].str.contains("assumed"), "item"])
    return found


def _looks(items: Sequence[str]) -> dict[str, tuple[str, str]]:
    """Return the items in stacking order with their looks: known ones first, others by name in greys."""
    known: dict[str, tuple[str, str]] = {}
    for item, (colour, hatch) in ITEMS.items():
        if item in items:
            known[item] = (colour, hatch)
        # what a commitment covers stands beside what it is, in the same colour
        known |= {one: (colour, HATCHES[label]) for label in HATCHES for one in items if one == _covered(item, label)}
    others = sorted(set(items) - set(known))
    return known | {item: (OTHERS[k % len(OTHERS)], "") for k, item in enumerate(others)}


def _covered(item: str, label: str) -> str:
    """Return the name of the part of an item that a commitment covers, as the bill writes it."""
    return f"{item[:-1]}, {label})" if item.endswith(")") else f"{item} ({label})"
