"""What a bill needs to know beside the tables: region, prices to use, balancers, gateways, traffic assumptions."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Literal

from fargsim.catalog import (
    FARGATE_TABLES,
    SPOT_TABLES,
    CatalogError,
    Parameters,
    Price,
    ec2_on_demand_price,
    ec2_plan_price,
    ec2_reserved_instance_price,
    ec2_spot_price,
    fargate_plan_price,
    fargate_price,
    fargate_spot_price,
    instance_families,
    parameters,
    price_fault,
    region,
    surrounding_price,
)
from fargsim.catalog.store import unknown

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def to_us(instant: datetime) -> int:
    """Return an instant as whole microseconds since 1970.

    Raises
    ------
    ValueError
        For an instant without a time zone.
    """
    if instant.tzinfo is None:
        raise ValueError(f"{instant} has no time zone")
    return (instant - _EPOCH) // timedelta(microseconds=1)


@dataclass(frozen=True, slots=True)
class LoadBalancer:
    """A load balancer that is charged for.

    Parameters
    ----------
    name
        Its name.
    kind
        ``application`` or ``network``.
    created_at, deleted_at
        Its life; None for one that outlives the run.
    services
        ``(cluster, service)`` of every service that its rules can reach: what it costs by the hour belongs to the only one.
    public_ipv4_addresses
        Addresses it holds: one for each zone of an internet-facing balancer, none for an internal one.
    """

    name: str
    kind: Literal["application", "network"]
    created_at: datetime
    deleted_at: datetime | None
    services: tuple[tuple[str, str], ...]
    public_ipv4_addresses: int


@dataclass(frozen=True, slots=True)
class NatGateway:
    """A NAT gateway: charged by the hour, its public address, and (through :class:`BillingTerms`) by the GB."""

    name: str
    created_at: datetime
    deleted_at: datetime | None = None
    public_ipv4_addresses: int = 1


@dataclass(frozen=True, slots=True)
class SavingsPlan:
    """A Savings Plan in force throughout the run.

    Parameters
    ----------
    usd_per_h
        The commitment, USD per hour.
    years
        Term, 1 or 3.
    payment
        ``No Upfront``, ``Partial Upfront`` or ``All Upfront``; what is paid upfront is spread over the term.
    family
        Instance family of an EC2 Instance Savings Plan; None for a Compute Savings Plan.

    Raises
    ------
    CatalogError
        For a commitment of zero or less, or an unknown family.
    """

    usd_per_h: float
    years: int = 1
    payment: str = "No Upfront"
    family: str | None = None

    def __post_init__(self) -> None:
        if not 0 < self.usd_per_h < math.inf:
            raise CatalogError(f"the commitment of a Savings Plan must be above 0 USD per hour, not {self.usd_per_h!r}")
        if self.family is not None and self.family not in instance_families():
            raise unknown("instance family", self.family, instance_families())


@dataclass(frozen=True, slots=True)
class ReservedInstances:
    """Reserved Instances of a region, in force throughout the run.

    Parameters
    ----------
    instance_type
        What is reserved; other sizes of its family are covered in proportion.
    count
        How many.
    offering_class
        ``standard`` or ``convertible``.
    years, payment
        As of :class:`SavingsPlan`.
    """

    instance_type: str
    count: int
    offering_class: str = "standard"
    years: int = 1
    payment: str = "No Upfront"

    def __post_init__(self) -> None:
        if self.count < 1:
            raise CatalogError(f"at least one instance is reserved, not {self.count}")


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a bill needs to know of traffic, logs, images and metrics.

    Parameters
    ----------
    nat_bytes_per_request
        Bytes through the NAT gateways for each request of a service (calls to other systems).
    nat_bytes_per_pull
        Bytes through the NAT gateways for each image pull, beside the layers.
    images_through_nat
        Whether the layers of a pull pass a NAT gateway; otherwise the free gateway endpoint of S3.
    interface_endpoints
        Interface endpoints by the zone: endpoints times zones.
    endpoint_bytes_per_request, cross_zone_bytes_per_request, egress_bytes_per_request
        Bytes for each request through interface endpoints, between zones (once; charged in both directions), to the
        internet.
    egress_before_bytes
        What the account has sent to the internet in the month in which the run starts, before it.
    log_bytes_per_request, log_bytes_per_task_h
        Bytes that CloudWatch Logs takes in.
    log_storage_bytes, ecr_storage_bytes
        What is kept throughout the run.
    custom_metrics
        Custom metrics that the account sends throughout the run, those of the simulated services aside.
    container_insights
        ``enabled`` or ``enhanced`` by cluster; a cluster without it is not there.
    high_resolution
        ``(cluster, service)`` of every service whose metrics have a resolution of 20 s.
    containers
        Containers of a task by family; one where nothing is said.
    managed_providers
        Capacity providers of ECS Managed Instances, whose instances bear the management fee.
    """

    nat_bytes_per_request: float = 0.0
    nat_bytes_per_pull: float = 0.0
    images_through_nat: bool = False
    interface_endpoints: int = 0
    endpoint_bytes_per_request: float = 0.0
    cross_zone_bytes_per_request: float = 0.0
    egress_bytes_per_request: float = 0.0
    egress_before_bytes: float = 0.0
    log_bytes_per_request: float = 0.0
    log_bytes_per_task_h: float = 0.0
    log_storage_bytes: float = 0.0
    ecr_storage_bytes: float = 0.0
    custom_metrics: int = 0
    container_insights: Mapping[str, str] = field(default_factory=dict)
    high_resolution: tuple[tuple[str, str], ...] = ()
    containers: Mapping[str, int] = field(default_factory=dict)
    managed_providers: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class BillingTerms:
    """Everything a bill depends on that is not in the record tables.

    Parameters
    ----------
    region
        AWS region.
    start_at, end_at
        The run; nothing is charged outside it, but whole-hour charges and minimum charges that begin inside it are
        charged in full.
    fargate_table, windows_table, spot_table
        Price tables of :func:`fargsim.catalog.fargate_price` and :func:`fargsim.catalog.fargate_spot_price`.
    price_overrides
        USD per unit by name, in place of the catalogue's; the names are those of :func:`fargsim.catalog.price_names`.
    load_balancers, nat_gateways
        What is charged beside compute.
    around
        Traffic, logs, images and metrics.
    commitments
        Savings Plans and Reserved Instances.
    parameters
        Assumptions: ``bytes_per_request``, ``connections_per_request``, ``connection_lifetime_s``,
        ``rules_per_listener``, ``hours_per_month``, ``ipv4_billing_granularity_s``.

    Raises
    ------
    CatalogError
        For an unknown region, price table or override, or a price below zero.
    """

    region: str
    start_at: datetime
    end_at: datetime
    fargate_table: str = "price-list"
    windows_table: str = "price-list"
    spot_table: str = "latest"
    price_overrides: Mapping[str, float] = field(default_factory=dict)
    load_balancers: tuple[LoadBalancer, ...] = ()
    nat_gateways: tuple[NatGateway, ...] = ()
    around: Surroundings = field(default_factory=Surroundings)
    commitments: tuple[SavingsPlan | ReservedInstances, ...] = ()
    parameters: Parameters = field(default_factory=parameters)

    def __post_init__(self) -> None:
        region(self.region)
        if to_us(self.end_at) < to_us(self.start_at):
            raise ValueError("a run cannot end before it starts")
        for name, legal in (
            (self.fargate_table, FARGATE_TABLES),
            (self.windows_table, FARGATE_TABLES),
            (self.spot_table, SPOT_TABLES),
        ):
            if name not in legal:
                raise unknown("price table", name, legal)
        for name, usd in self.price_overrides.items():
            fault = price_fault(name, usd)
            if fault is not None:
                raise CatalogError(fault)

    @property
    def start_us(self) -> int:
        """Start of the run in microseconds since 1970."""
        return to_us(self.start_at)

    @property
    def end_us(self) -> int:
        """End of the run in microseconds since 1970."""
        return to_us(self.end_at)

    def _choose(self, name: str, otherwise: Price) -> Price:
        usd = self.price_overrides.get(name)
        if usd is None:
            return otherwise
        return Price(usd, otherwise.unit, "scenario", "set by the scenario", otherwise.as_of)

    def _as_saving(self, name: str, committed: Price, listed: Price) -> Price:
        """Return a committed rate; where the scenario sets the on-demand price, it saves the same share of that.

        A share that is an assumption stays one.
        """
        usd = self.price_overrides.get(name)
        if usd is None:
            return committed
        saving = f"{1 - committed.value / listed.value:.1%} less than the scenario's on-demand price"
        basis = "scenario" if committed.basis == "listed" else committed.basis
        return committed.scaled(usd / listed.value, basis, saving)

    def fargate(self, item: str, *, spot: bool = False) -> Price:
        """Return the hourly price of a Fargate item."""
        if spot:
            price = fargate_spot_price(item, self.region, table_name=self.spot_table)
            return self._choose(f"fargate_spot_{item}", price)
        name = self.windows_table if item.startswith("windows") else self.fargate_table
        return self._choose(f"fargate_{item}", fargate_price(item, self.region, table_name=name).per_hour())

    def ec2(self, instance_type: str, *, spot: bool = False) -> Price:
        """Return the hourly price of an instance."""
        if spot:
            return self._choose(f"ec2_spot:{instance_type}", ec2_spot_price(instance_type, self.region))
        return self._choose(f"ec2:{instance_type}", ec2_on_demand_price(instance_type, self.region))

    def fargate_plan(self, plan: SavingsPlan, item: str) -> Price | None:
        """Return the rate of a Fargate item under a plan; None where it does not cover it."""
        if plan.family is not None:
            return None
        price = fargate_plan_price(item, self.region, years=plan.years, payment=plan.payment, assumed=self.parameters)
        return None if price is None else self._as_saving(f"fargate_{item}", price, fargate_price(item, self.region))

    def ec2_plan(self, plan: SavingsPlan, instance_type: str) -> Price:
        """Return the hourly rate of an instance under a plan that covers it."""
        price = ec2_plan_price(
            instance_type,
            self.region,
            plan_type="Compute" if plan.family is None else "EC2Instance",
            years=plan.years,
            payment=plan.payment,
            assumed=self.parameters,
        )
        return self._as_saving(f"ec2:{instance_type}", price, ec2_on_demand_price(instance_type, self.region))

    def reserved(self, reserved: ReservedInstances) -> Price:
        """Return the hourly price of one Reserved Instance, used or not."""
        name = reserved.instance_type
        price = ec2_reserved_instance_price(
            name,
            self.region,
            offering_class=reserved.offering_class,
            years=reserved.years,
            payment=reserved.payment,
            assumed=self.parameters,
        )
        return self._as_saving(f"ec2:{name}", price, ec2_on_demand_price(name, self.region))

    def other(self, item: str) -> Price:
        """Return the price of something beside compute."""
        return self._choose(item, surrounding_price(item, self.region))
