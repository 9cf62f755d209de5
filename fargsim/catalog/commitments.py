"""Savings Plans and Reserved Instances: what a commitment takes off the on-demand price.

Listed: the Fargate rates of the Compute Savings Plan offer of 2026-09-25 (us-east-1) and the no-upfront Reserved
Instance rates of three types. Everything else follows by a rule and says so in its ``basis``:

* No table of EC2 rates under Savings Plans was found. The published maxima of Compute and EC2 Instance plans equal
  those of Convertible and Standard Reserved Instances, so these are the proxy: ``estimated`` for a type with a listed
  Reserved Instance rate, else on-demand less the parameter ``ec2_instance_plan_1y_saving_percent`` and its like,
  ``assumed``.
* All Upfront on EC2: the no-upfront rate times what All Upfront is to No Upfront on Fargate (0.9125 for one year,
  0.873 for three), ``estimated``.
* Partial Upfront lies between the two at the parameter ``partial_upfront_share``, ``assumed``.
* Fargate in other regions, and rates that are not listed: on-demand less the listed discount on x86 vCPU, ``estimated``.

Sources: https://aws.amazon.com/savingsplans/compute-pricing/, https://docs.aws.amazon.com/savingsplans/latest/userguide/.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from types import MappingProxyType

from fargsim.catalog.instances import instance_type, instance_types
from fargsim.catalog.parameters import Parameters, parameters
from fargsim.catalog.prices import Price, ec2_on_demand_price, fargate_price
from fargsim.catalog.store import CatalogError, sources, table, unknown

SAVINGS_PLAN_TYPES = ("Compute", "EC2Instance")
PAYMENT_OPTIONS = ("No Upfront", "Partial Upfront", "All Upfront")
TERM_YEARS = (1, 3)
OFFERING_CLASSES = ("standard", "convertible")

_PARAMETER = {"standard": "ec2_instance_plan", "convertible": "compute_plan"}
_PROXY = {"EC2Instance": "standard", "Compute": "convertible"}
_NOT_COVERED = ("storage", "windows_os")


@cache
def _fargate_plans() -> Mapping[tuple[str, str], Price]:
    found = {}
    for r in table("fargate_savings_plans"):
        s = sources()[r["source"]]
        found[r["plan"], r["item"]] = Price(float(r["usd"]), r["unit"], s.basis, s.reference, s.as_of)
    return found


def fargate_savings_plans() -> tuple[str, ...]:
    """Return the Compute Savings Plans with listed Fargate rates."""
    return tuple(dict.fromkeys(plan for plan, _ in _fargate_plans()))


def fargate_savings_plan_price(plan: str, item: str, region: str = "us-east-1") -> Price:
    """Return the Fargate rate under a Compute Savings Plan.

    Listed for us-east-1; elsewhere, and for rates not listed, the on-demand price less the plan's discount on x86
    vCPU, ``estimated``. Ephemeral storage and the Windows licence are not covered (the licence: an assumption).

    >>> fargate_savings_plan_price("1y-no-upfront", "x86_vcpu").value
    0.032384
    >>> round(fargate_savings_plan_price("3y-all-upfront", "x86_memory").value, 9)
    0.0021336
    """
    if plan not in fargate_savings_plans():
        raise unknown("Savings Plan", plan, fargate_savings_plans())
    full = fargate_price(item, region)
    found = _fargate_plans().get((plan, item))
    if found is not None and region == "us-east-1":
        return found
    if item in _NOT_COVERED:
        raise CatalogError(f"a Compute Savings Plan does not cover {item} on Fargate")
    return full.scaled(
        _fargate_share(plan), "estimated", f"on-demand price less the discount of {plan} on x86 vCPU in us-east-1"
    )


def _fargate_share(plan: str) -> float:
    """Return what a plan's rate of x86 vCPU is to the on-demand price."""
    return _fargate_plans()[plan, "x86_vcpu"].value / fargate_price("x86_vcpu", "us-east-1").value


def _must_be(kind: str, value: object, legal: tuple[object, ...]) -> None:
    if value not in legal:
        raise unknown(kind, value, [str(one) for one in legal])


def _upfront(none: Price, full: Price, payment: str, assumed: Parameters) -> Price:
    """Return the rate at a payment option, from those without and with everything paid upfront."""
    if payment == "No Upfront":
        return none
    if payment == "All Upfront":
        return full
    share = assumed.number("partial_upfront_share")
    value = none.value + share * (full.value - none.value)
    rule = f"{share:g} of the way from No Upfront to All Upfront"
    return Price(value, none.unit, "assumed", f"{rule}; from {none.source}", none.as_of)


def fargate_plan_price(
    item: str, region: str, *, years: int, payment: str, assumed: Parameters | None = None
) -> Price | None:
    """Return the hourly rate of a Fargate item under a Compute Savings Plan; None for what no plan covers.

    Parameters
    ----------
    item
        One of :data:`fargsim.catalog.FARGATE_ITEMS`.
    years
        1 or 3.
    payment
        One of :data:`PAYMENT_OPTIONS`. What is paid upfront is spread over the term.
    assumed
        Parameters, for ``partial_upfront_share``.

    >>> fargate_plan_price("x86_vcpu", "us-east-1", years=3, payment="All Upfront").value
    0.0194304
    >>> fargate_plan_price("storage", "us-east-1", years=3, payment="All Upfront") is None
    True
    """
    _must_be("term", years, TERM_YEARS)
    _must_be("payment option", payment, PAYMENT_OPTIONS)
    if item in _NOT_COVERED:
        return None
    none = fargate_savings_plan_price(f"{years}y-no-upfront", item, region)
    full = fargate_savings_plan_price(f"{years}y-all-upfront", item, region)
    return _upfront(none, full, payment, assumed or parameters())


@cache
def _ec2() -> Mapping[tuple[str, str], tuple[float, str, str]]:
    return MappingProxyType(
        {
            (r["offer"], r["instance_type"]): (float(r["value"]), r["unit"], r["source"])
            for r in table("ec2_commitments")
        }
    )


def ec2_typical_savings_percent(offer: str) -> float:
    """Return the typical saving of a no-upfront plan on EC2 in percent: an assumption, not a published rate.

    Parameters
    ----------
    offer
        ``ec2-instance-plan-1y``, ``ec2-instance-plan-3y``, ``compute-plan-1y`` or ``compute-plan-3y``.

    >>> ec2_typical_savings_percent("compute-plan-1y")
    28.0
    """
    legal = [f"{name.replace('_', '-')}-{years}y" for name in _PARAMETER.values() for years in TERM_YEARS]
    if offer not in legal:
        raise unknown("commitment", offer, legal)
    return parameters().number(f"{offer.replace('-', '_')}_saving_percent")


def ec2_reserved_price(name: str, offer: str) -> Price | None:
    """Return the exact no-upfront Reserved Instance rate in us-east-1, where one is known.

    Parameters
    ----------
    offer
        ``standard-1y``, ``standard-3y``, ``convertible-1y`` or ``convertible-3y``.

    >>> ec2_reserved_price("t3.medium", "standard-1y").value
    0.0261
    """
    found = _ec2().get((offer, name))
    if found is None:
        return None
    source = sources()[found[2]]
    return Price(found[0], found[1], source.basis, source.reference, source.as_of)


def ec2_reserved_instance_price(
    name: str, region: str, *, offering_class: str, years: int, payment: str, assumed: Parameters | None = None
) -> Price:
    """Return the hourly price of a Reserved Instance: Linux, shared tenancy, what is paid upfront spread over the term.

    Parameters
    ----------
    name
        Instance type.
    offering_class
        ``standard`` or ``convertible``.
    years
        1 or 3.
    payment
        One of :data:`PAYMENT_OPTIONS`.
    assumed
        Parameters: ``ec2_instance_plan_1y_saving_percent`` and its like, ``partial_upfront_share``.

    Raises
    ------
    CatalogError
        For an unknown type, region, class, term or payment option, or a type without a price in the region.

    >>> ec2_reserved_instance_price("t3.medium", "us-east-1", offering_class="standard", years=1, payment="No Upfront").value
    0.0261
    >>> price = ec2_reserved_instance_price("m5.large", "us-east-1", offering_class="standard", years=1, payment="No Upfront")
    >>> round(price.value, 5), price.basis
    (0.06048, 'assumed')
    """
    _must_be("offering class", offering_class, OFFERING_CLASSES)
    _must_be("term", years, TERM_YEARS)
    _must_be("payment option", payment, PAYMENT_OPTIONS)
    known = assumed or parameters()
    on_demand = ec2_on_demand_price(name, region)
    listed = ec2_reserved_price(name, f"{offering_class}-{years}y")
    if listed is not None and region == "us-east-1":
        none = listed
    elif listed is not None:
        share = listed.value / ec2_on_demand_price(name, "us-east-1").value
        none = on_demand.scaled(share, "estimated", f"on-demand times reserved / on-demand of {name} in us-east-1")
    else:
        parameter = f"{_PARAMETER[offering_class]}_{years}y_saving_percent"
        percent = known.number(parameter)
        none = on_demand.scaled(1 - percent / 100, "assumed", f"on-demand less {parameter} = {percent:g} %")
    ratio = _fargate_share(f"{years}y-all-upfront") / _fargate_share(f"{years}y-no-upfront")
    basis = "estimated" if none.basis == "listed" else none.basis
    full = none.scaled(ratio, basis, "no-upfront rate times All Upfront / No Upfront of Fargate")
    return _upfront(none, full, payment, known)


def ec2_plan_price(
    name: str, region: str, *, plan_type: str, years: int, payment: str, assumed: Parameters | None = None
) -> Price:
    """Return the hourly rate of an instance under a Savings Plan; the rate of a Reserved Instance is the proxy.

    Parameters
    ----------
    plan_type
        ``Compute`` (as a Convertible Reserved Instance) or ``EC2Instance`` (as a Standard one).

    >>> ec2_plan_price("c5.xlarge", "us-east-1", plan_type="Compute", years=1, payment="No Upfront").value
    0.123
    """
    _must_be("type of Savings Plan", plan_type, SAVINGS_PLAN_TYPES)
    price = ec2_reserved_instance_price(
        name, region, offering_class=_PROXY[plan_type], years=years, payment=payment, assumed=assumed
    )
    if price.basis != "listed":
        return price
    return price.scaled(1.0, "estimated", "the rate of a Reserved Instance, as no plan's rate is known")


_FACTORS = {"nano": 0.25, "micro": 0.5, "small": 1.0, "medium": 2.0, "large": 4.0, "xlarge": 8.0}


def family_of(name: str) -> str:
    """Return the family of an instance type, for instance ``m5``."""
    instance_type(name)
    return name.partition(".")[0]


def instance_families() -> tuple[str, ...]:
    """Return the families of the catalogue."""
    return tuple(dict.fromkeys(name.partition(".")[0] for name in instance_types()))


def normalization_factor(name: str) -> float | None:
    """Return how many normalised units an instance counts for, by its size; None where a reservation covers its own size only.

    A regional Reserved Instance covers any size of its family in proportion to these, a bare metal size as two units a vCPU. Types with
    accelerators (G4dn, G5, G5g, G6, G6e, Inf2) have no such flexibility.

    Source: Amazon EC2 User Guide, apply_ri.html.

    >>> [normalization_factor(f"m5.{size}") for size in ("large", "xlarge", "2xlarge", "24xlarge", "metal")]
    [4.0, 8.0, 16.0, 192.0, 192.0]
    >>> normalization_factor("g5.xlarge") is None
    True
    """
    facts = instance_type(name)
    if facts.gpus or facts.neuron_devices:
        return None
    size = name.partition(".")[2]
    if size.startswith("metal"):
        return 2.0 * facts.vcpu
    number, word, rest = size.partition("xlarge")
    if word and not rest and number.isdigit():
        return 8.0 * int(number)
    return _FACTORS.get(size)
