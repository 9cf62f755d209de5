"""Meter rules as plain functions: billed seconds, what a Fargate task costs, load balancer capacity units.

Sources: https://aws.amazon.com/fargate/pricing/ (meter and worked examples),
https://aws.amazon.com/elasticloadbalancing/pricing/.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal

from fargsim.catalog import fargate_price
from fargsim.policy.capacity_units import LCU, NLCU, CapacityUnit, billed_evaluations, units_used

__all__ = ["LCU", "NLCU", "CapacityUnit"]

SECOND_US = 1_000_000
HOUR_US = 3_600 * SECOND_US
HOUR_S = 3_600
MIB = 1024**2
GB = 1024**3
"""A GB of the price pages in bytes."""

MIN_LINUX_S = 60
MIN_WINDOWS_S = 300
MIN_EC2_S = 60
FREE_STORAGE_GB = 20


def is_windows(operating_system_family: str) -> bool:
    """Tell whether an operating system family is one of Windows."""
    return operating_system_family.upper().startswith("WINDOWS")


def billed_seconds(used_us: int, operating_system_family: str = "LINUX") -> int:
    """Return the seconds that are billed for one Fargate task run.

    Rounded up to the next second; at least one minute on Linux and five on Windows. The run begins with the image
    pull and ends when the task's containers have ended (``executionStoppedAt``, an assumption: the page says
    "terminates").

    Parameters
    ----------
    used_us
        Length of the run in microseconds.

    Source: https://aws.amazon.com/fargate/pricing/.

    >>> billed_seconds(61_200_000), billed_seconds(20_000_000), billed_seconds(20_000_000, "WINDOWS_SERVER_2022_CORE")
    (62, 60, 300)
    """
    if used_us < 0:
        raise ValueError(f"a run cannot last {used_us} microseconds")
    least = MIN_WINDOWS_S if is_windows(operating_system_family) else MIN_LINUX_S
    return max(least, -(-used_us // SECOND_US))


@dataclass(frozen=True, slots=True)
class FargateCharge:
    """The line items of some Fargate usage in USD."""

    vcpu_usd: float
    memory_usd: float
    storage_usd: float
    licence_usd: float

    @property
    def total_usd(self) -> float:
        """The exact sum."""
        return self.vcpu_usd + self.memory_usd + self.storage_usd + self.licence_usd

    @property
    def page_lines_usd(self) -> tuple[float, float, float, float]:
        """The lines rounded to cents, as the price page prints them: vCPU, memory, storage, licence."""
        return (cents(self.vcpu_usd), cents(self.memory_usd), cents(self.storage_usd), cents(self.licence_usd))

    @property
    def page_total_usd(self) -> float:
        """What the price page adds up: each line rounded to cents first."""
        return cents(sum(self.page_lines_usd))


def cents(usd: float) -> float:
    """Round to cents, half up, as a price page does.

    >>> cents(1.005), cents(0.02772)
    (1.01, 0.03)
    """
    return float(Decimal(repr(usd)).quantize(Decimal("0.01"), ROUND_HALF_UP))


def fargate_charge(
    seconds: float,
    vcpu: float,
    memory_gb: float,
    *,
    storage_gb: float = FREE_STORAGE_GB,
    architecture: str = "X86_64",
    operating_system_family: str = "LINUX",
    region: str = "us-east-1",
    table_name: str = "price-list",
) -> FargateCharge:
    """Return what some on-demand Fargate usage costs.

    Parameters
    ----------
    seconds
        Billed seconds, summed over task runs of this size.
    vcpu, memory_gb
        Size of the task.
    storage_gb
        Ephemeral storage; the first 20 GB are free.
    architecture
        ``X86_64`` or ``ARM64``.
    table_name
        Price table, see :func:`fargsim.catalog.fargate_price`.

    The worked examples of the price page. 1: five tasks of 1 vCPU, 2 GB and 30 GB of storage, ten minutes every day
    for 30 days.

    >>> page = dict(table_name="page-us-east-1")
    >>> one = fargate_charge(5 * 600 * 30, 1, 2, storage_gb=30, **page)
    >>> one.page_lines_usd, one.page_total_usd, round(one.total_usd, 9)
    ((1.01, 0.22, 0.03, 0.0), 1.26, 1.26198)

    2: the same on ARM.

    >>> two = fargate_charge(5 * 600 * 30, 1, 2, storage_gb=30, architecture="ARM64", **page)
    >>> two.page_lines_usd, two.page_total_usd, round(two.total_usd, 9)
    ((0.81, 0.18, 0.03, 0.0), 1.02, 1.015218)

    3: ten pods of 0.25 vCPU and 1 GB, one hour every day.

    >>> three = fargate_charge(10 * 3600 * 30, 0.25, 1, **page)
    >>> three.page_lines_usd, three.page_total_usd, round(three.total_usd, 9)
    ((3.04, 1.33, 0.0, 0.0), 4.37, 4.36968)

    4: ten Windows tasks of 1 vCPU and 2 GB, one hour every day.

    >>> windows = "WINDOWS_SERVER_2019_CORE"
    >>> four = fargate_charge(10 * 3600 * 30, 1, 2, operating_system_family=windows, **page)
    >>> four.page_lines_usd, four.page_total_usd, round(four.total_usd, 9)
    ((27.45, 6.0, 0.0, 13.8), 47.25, 47.250108)
    """
    windows = is_windows(operating_system_family)
    prefix = "windows" if windows else "arm64" if architecture == "ARM64" else "x86"

    def per_second(item: str) -> float:
        price = fargate_price(item, region, table_name=table_name)
        return price.value if price.unit.endswith("-second") else price.value / HOUR_S

    extra_gb = max(0.0, storage_gb - FREE_STORAGE_GB)
    return FargateCharge(
        vcpu_usd=seconds * vcpu * per_second(f"{prefix}_vcpu"),
        memory_usd=seconds * memory_gb * per_second(f"{prefix}_memory"),
        storage_usd=seconds * extra_gb * per_second("storage") if extra_gb else 0.0,
        licence_usd=seconds * vcpu * per_second("windows_os") if windows else 0.0,
    )


def whole_hours(used_us: int) -> int:
    """Return the hours billed for something that charges a partial hour as a full one (load balancer, NAT gateway).

    >>> whole_hours(1), whole_hours(HOUR_US), whole_hours(HOUR_US + 1)
    (1, 1, 2)
    """
    return max(1, -(-used_us // HOUR_US))


def capacity_units(
    unit: CapacityUnit,
    *,
    new_connections_per_s: float,
    active_connections: float,
    gb_per_h: float,
    requests_per_s: float = 0.0,
    rules: float = 0.0,
) -> float:
    """Return the capacity units used in an hour: the largest dimension.

    The first ten rules that a request meets are free.

    Source: https://aws.amazon.com/elasticloadbalancing/pricing/.

    >>> capacity_units(LCU, new_connections_per_s=1, active_connections=120, gb_per_h=1.08)
    1.08
    """
    used = units_used(
        unit,
        new_connections_per_s=new_connections_per_s,
        active_connections=active_connections,
        gb_per_h=gb_per_h,
        evaluations_per_s=billed_evaluations(rules) * requests_per_s,
    )
    return used.consumed
