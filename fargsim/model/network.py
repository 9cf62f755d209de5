"""The network: subnets and their routes, VPC endpoints, security groups.

What a scenario does not say is taken to be sound: a subnet without ``route`` reaches everything, a security group that is not listed
admits everything.

Source: Amazon EC2 API Reference, API_Subnet.html, API_CreateVpcEndpoint.html, API_IpPermission.html, API_SecurityGroup.html; Amazon ECS
Developer Guide, fargate-task-networking.html; Amazon ECR User Guide, vpc-endpoints.html.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from fargsim.model.base import Json, Own, PascalShape

Route = Literal["internet_gateway", "nat", "none"]

GATEWAY_SERVICES = ("s3", "dynamodb")
"""Services that have a gateway endpoint: a route, not an interface with a security group."""

RESERVED_ADDRESSES = 5
"""Addresses of every subnet that AWS keeps: Amazon VPC User Guide, subnet-sizing.html."""

DEFAULT_GROUP = "default"
"""Name of the VPC's own security group, which a task or balancer has that names none."""


def _cidr(value: str) -> str:
    try:
        ipaddress.ip_network(value)
    except ValueError as fault:
        raise ValueError(f"'{value}' is not a block of addresses like 10.0.0.0/24 ({fault})") from None
    return value


Cidr = Annotated[str, AfterValidator(_cidr)]


class Subnet(PascalShape):
    """A subnet, the zone it lies in, and where its default route leads.

    Parameters
    ----------
    available_ip_address_count
        Addresses that are free when the run begins; each task in ``awsvpc`` mode takes one. ``None``: those of the `cidr_block`;
        without one it is never short of them.
    route
        ``internet_gateway``: out with a public address only; ``nat``: out through a NAT gateway; ``none``: nowhere but to the VPC's
        endpoints. ``None`` reaches everything.
    """

    subnet_id: str
    availability_zone: str
    available_ip_address_count: int | None = Field(default=None, ge=0)
    cidr_block: Cidr | None = None
    map_public_ip_on_launch: bool = False
    route: Route | None = Field(default=None, alias="route")

    @property
    def addresses(self) -> int | None:
        """Addresses that are free when the run begins: as it is said, otherwise all of its block but the five that AWS keeps.

        >>> Subnet(subnet_id="a", availability_zone="us-east-1a", cidr_block="10.0.0.0/28").addresses
        11
        """
        if self.available_ip_address_count is not None or self.cidr_block is None:
            return self.available_ip_address_count
        return max(0, ipaddress.ip_network(self.cidr_block).num_addresses - RESERVED_ADDRESSES)


class VpcEndpoint(PascalShape):
    """CreateVpcEndpoint, as far as it says who reaches which service."""

    service_name: str = Field(min_length=1)
    vpc_endpoint_type: Literal["Interface", "Gateway"] | None = None
    security_group_ids: tuple[str, ...] = ()
    subnet_ids: tuple[str, ...] = ()
    # not read by the simulation
    vpc_id: str | None = None
    private_dns_enabled: bool | None = None
    route_table_ids: tuple[str, ...] = ()
    policy_document: Json = None
    ip_address_type: str | None = None
    dns_options: Json = None
    tag_specifications: tuple[Json, ...] = ()

    @model_validator(mode="after")
    def _kind_fits(self) -> Self:
        if self.vpc_endpoint_type == "Gateway" and self.service not in GATEWAY_SERVICES:
            raise ValueError(f"only {' and '.join(GATEWAY_SERVICES)} have Gateway endpoints: use Interface")
        return self

    @property
    def service(self) -> str:
        """The service without the region: ``ecr.api`` of ``com.amazonaws.us-east-1.ecr.api``.

        >>> VpcEndpoint(service_name="com.amazonaws.us-east-1.ecr.api").service
        'ecr.api'
        """
        return (
            self.service_name.split(".", 3)[-1] if self.service_name.startswith("com.amazonaws.") else self.service_name
        )

    @property
    def gateway(self) -> bool:
        """Whether it is a route, which asks no security group."""
        kind = self.vpc_endpoint_type or ("Gateway" if self.service in GATEWAY_SERVICES else "Interface")
        return kind == "Gateway"


class IpRange(PascalShape):
    """A range of IPv4 addresses."""

    cidr_ip: Cidr
    description: str | None = None


class UserIdGroupPair(PascalShape):
    """A security group as a source or a destination."""

    group_id: str | None = None
    group_name: str | None = None
    user_id: str | None = None
    vpc_id: str | None = None
    description: str | None = None

    @model_validator(mode="after")
    def _named(self) -> Self:
        if self.group_id is None and self.group_name is None:
            raise ValueError("give GroupId or GroupName")
        return self


class IpPermission(PascalShape):
    """What a rule of a security group admits."""

    ip_protocol: Literal["tcp", "udp", "icmp", "icmpv6", "-1"]
    from_port: int | None = Field(default=None, ge=-1, le=65535)
    to_port: int | None = Field(default=None, ge=-1, le=65535)
    ip_ranges: tuple[IpRange, ...] = ()
    user_id_group_pairs: tuple[UserIdGroupPair, ...] = ()
    ipv6_ranges: tuple[Json, ...] = ()
    prefix_list_ids: tuple[Json, ...] = ()

    @model_validator(mode="after")
    def _ports(self) -> Self:
        if self.ip_protocol in ("tcp", "udp"):
            if self.from_port is None or self.to_port is None:
                raise ValueError(f"a rule for {self.ip_protocol} needs FromPort and ToPort")
            if self.to_port < self.from_port:
                raise ValueError(f"ToPort ({self.to_port}) is below FromPort ({self.from_port})")
        return self

    def covers(self, port: int) -> bool:
        """Whether the rule is about a TCP port."""
        if self.ip_protocol == "-1":
            return True
        if self.ip_protocol != "tcp":
            return False
        assert self.from_port is not None
        assert self.to_port is not None
        return self.from_port <= port <= self.to_port


class SecurityGroup(PascalShape):
    """A security group and its rules, as DescribeSecurityGroups shows them.

    Without ``IpPermissionsEgress`` it lets everything out, as a new one does.
    """

    group_id: str = Field(min_length=1)
    group_name: str | None = None
    description: str | None = None
    ip_permissions: tuple[IpPermission, ...] = ()
    ip_permissions_egress: tuple[IpPermission, ...] | None = None
    vpc_id: str | None = None
    tags: tuple[Json, ...] = ()

    def named(self, name: str) -> bool:
        """Whether a reference means this group."""
        return name in (self.group_id, self.group_name)


class Network(Own):
    """The VPC's subnets, endpoints, security groups and NAT gateways.

    Without subnets a scenario has one in each of the zones it uses.

    Parameters
    ----------
    zones_without_fargate
        Zones of this account in which AWS does not offer Fargate; a service with subnets in such zones only never gets a task.
    """

    subnets: tuple[Subnet, ...] = ()
    endpoints: tuple[VpcEndpoint, ...] = ()
    security_groups: tuple[SecurityGroup, ...] = ()
    nat_gateways: int = Field(default=0, ge=0, le=100)
    zones_without_fargate: tuple[str, ...] = ()


def sees(permission: IpPermission, groups: Iterable[SecurityGroup | str], blocks: Iterable[str]) -> bool:
    """Whether the other side of a rule matches: one of its security groups, or a range that holds all its addresses.

    Parameters
    ----------
    groups
        Security groups of the other side; those that are not listed by their names.
    blocks
        Blocks in which the other side's addresses lie. Without any, a range of private addresses is taken to hold them: a scenario that
        does not say its blocks means its own VPC.
    """
    names = {
        name
        for group in groups
        for name in ((group,) if isinstance(group, str) else (group.group_id, group.group_name))
    }
    if any({pair.group_id, pair.group_name} & (names - {None}) for pair in permission.user_id_group_pairs):
        return True
    ranges = [ipaddress.ip_network(one.cidr_ip) for one in permission.ip_ranges]
    inside = [ipaddress.ip_network(block) for block in blocks]
    if not inside:
        return any(one.prefixlen == 0 or one.is_private for one in ranges)
    return all(
        any(one.version == block.version and block.subnet_of(one) for one in ranges)  # type: ignore[arg-type]
        for block in inside
    )
