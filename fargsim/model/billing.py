"""What the bill needs beside the run: commitments, prices of one's own, and the bytes and metrics that AWS would read off the meter.

Source: Savings Plans API Reference, API_SavingsPlan.html; Amazon EC2 API Reference, API_ReservedInstances.html.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, model_validator

from fargsim.model.base import EcsShape, Json, Own, PascalShape
from fargsim.model.quantity import Bytes

YEAR_S = 31_536_000
Payment = Literal["No Upfront", "Partial Upfront", "All Upfront"]


def _dollars(value: Any) -> Any:
    """Read a commitment: the API writes it as text."""
    if isinstance(value, str):
        try:
            return float(value)
        except ValueError:
            raise ValueError(f"'{value}' is not an amount of USD per hour: write it like 1.5") from None
    return value


def _term(value: Any) -> Any:
    if isinstance(value, bool) or value not in (YEAR_S, 3 * YEAR_S):
        raise ValueError(f"must be {YEAR_S} (one year) or {3 * YEAR_S} (three years), not {value!r}")
    return value


Term = Annotated[int, BeforeValidator(_term)]


class SavingsPlan(EcsShape):
    """A Savings Plan as DescribeSavingsPlans shows it; it is taken to be active throughout the run."""

    savings_plan_type: Literal["Compute", "EC2Instance"]
    commitment: Annotated[float, BeforeValidator(_dollars), Field(ge=0.001, le=1_000_000)]
    """USD per hour."""
    term_duration_in_seconds: Term = YEAR_S
    payment_option: Payment = "No Upfront"
    ec2_instance_family: str | None = None
    region: str | None = None
    # not read by the simulation
    currency: Literal["USD"] = "USD"
    savings_plan_id: str | None = None
    savings_plan_arn: str | None = None
    offering_id: str | None = None
    description: str | None = None
    start: str | None = None
    end: str | None = None
    state: str | None = None
    upfront_payment_amount: str | None = None
    recurring_payment_amount: str | None = None
    returnable_until: str | None = None
    product_types: tuple[str, ...] = ()
    tags: Json = None

    @model_validator(mode="after")
    def _family_belongs(self) -> Self:
        if self.savings_plan_type == "EC2Instance" and self.ec2_instance_family is None:
            raise ValueError("an EC2Instance plan needs ec2InstanceFamily, for instance m5")
        if self.savings_plan_type == "Compute" and (self.ec2_instance_family or self.region):
            raise ValueError("a Compute plan covers every family and region: it takes no ec2InstanceFamily or region")
        return self

    @property
    def years(self) -> int:
        """The term."""
        return self.term_duration_in_seconds // YEAR_S


class ReservedInstances(PascalShape):
    """Reserved Instances as DescribeReservedInstances shows them; they are taken to be active throughout the run."""

    instance_type: str
    instance_count: int = Field(ge=1, le=100_000)
    offering_class: Literal["standard", "convertible"] = "standard"
    offering_type: Payment = "No Upfront"
    duration: Term = YEAR_S
    scope: Literal["Region"] = "Region"
    # not read by the simulation
    reserved_instances_id: str | None = None
    product_description: str | None = None
    instance_tenancy: Literal["default"] = "default"
    currency_code: Literal["USD"] = "USD"
    start: str | None = None
    end: str | None = None
    state: str | None = None
    fixed_price: float | None = None
    usage_price: float | None = None
    recurring_charges: Json = None
    tags: Json = None

    @property
    def years(self) -> int:
        """The term."""
        return self.duration // YEAR_S


class PriceTables(Own):
    """Which of the catalogue's price tables Fargate is billed by; ``fargsim catalog prices`` shows what they hold.

    Source: https://aws.amazon.com/fargate/pricing/ (whose per-second rates, printed with few digits, are `page-us-east-1`, and whose
    Windows rates differ from the price list's), its edition of 2018, and snapshots of the Spot feed.
    """

    fargate: Literal["price-list", "page-us-east-1", "launch-2018"] = "price-list"
    fargate_windows: Literal["price-list", "page-us-east-1"] = "price-list"
    fargate_spot: Literal["latest", "spot-2026-09", "spot-2025-11"] = "latest"


class Billing(Own):
    """What the bill needs and AWS would read off the meter; ``None`` takes the catalogue's assumed figure."""

    bytes_per_request: float | None = Field(default=None, ge=0)
    connections_per_request: float | None = Field(default=None, ge=0)
    savings_plans: tuple[SavingsPlan, ...] = Field(default=(), alias="savingsPlans")
    reserved_instances: tuple[ReservedInstances, ...] = Field(default=(), alias="reservedInstances")
    prices: dict[str, float] = Field(default_factory=dict)
    """USD per unit by name, in place of the catalogue's."""
    price_tables: PriceTables = PriceTables()
    nat_bytes_per_request: float = Field(default=0.0, ge=0)
    images_through_nat: bool = False
    """Whether image layers pass a NAT gateway; otherwise they come through the free gateway endpoint of S3."""
    interface_endpoints: int = Field(default=0, ge=0, le=1_000)
    """Interface endpoints of the VPC beside those of `network`, each in every zone of the network."""
    endpoint_bytes_per_request: float = Field(default=0.0, ge=0)
    cross_zone_bytes_per_request: float = Field(default=0.0, ge=0)
    """Bytes that cross from one zone to another for each request; charged in both directions."""
    egress_bytes_per_request: float = Field(default=0.0, ge=0)
    """Bytes to the internet for each request."""
    egress_before: Bytes = 0
    """What the account has sent to the internet in the month in which the run starts, before it starts."""
    log_bytes_per_request: float = Field(default=0.0, ge=0)
    log_bytes_per_task_h: float = Field(default=0.0, ge=0)
    log_storage: Bytes = 0
    """Logs that CloudWatch keeps throughout the run."""
    ecr_storage: Bytes = 0
    """Images that the private registry keeps throughout the run."""
    custom_metrics: int = Field(default=0, ge=0)
    """Custom metrics that the account sends throughout the run, those that this scenario makes aside."""

    model_config = Own.model_config | {"populate_by_name": True}
