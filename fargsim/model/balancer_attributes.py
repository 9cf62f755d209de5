"""Attributes of load balancers and target groups: which there are, for which kind, and what values they take.

Source: Elastic Load Balancing API Reference 2015-12-01, API_TargetGroupAttribute.html, API_LoadBalancerAttribute.html.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, Self

from pydantic import Field, model_validator

from fargsim.model.base import Issue, PascalShape, raise_faults

Kind = Literal["application", "network"]
BOTH: tuple[Kind, ...] = ("application", "network")
ALB: tuple[Kind, ...] = ("application",)
NLB: tuple[Kind, ...] = ("network",)


class Attribute(PascalShape):
    """One key and value of ModifyTargetGroupAttributes or ModifyLoadBalancerAttributes."""

    key: str
    value: str


@dataclass(frozen=True, slots=True)
class Legal:
    """What an attribute may be.

    Parameters
    ----------
    kinds
        The kinds of load balancer that have it.
    words
        The words it may be.
    low, high
        Or the ends of the whole numbers it may be; without either, any text.
    also
        A word, or a number outside the range, that is legal beside it.
    """

    kinds: tuple[Kind, ...]
    words: tuple[str, ...] = ()
    low: int | None = None
    high: int | None = None
    also: str | None = None

    def fault(self, key: str, value: str) -> str | None:
        """Say what is wrong with a value and what is legal; None when it is sound.

        >>> Legal(ALB, low=30, high=900, also="0").fault("slow_start.duration_seconds", "10")
        "slow_start.duration_seconds must be 0 or from 30 to 900, not '10'"
        """
        if self.words:
            return None if value in self.words else f"{key} must be one of {', '.join(self.words)}, not '{value}'"
        if self.low is None or self.high is None or value == self.also:
            return None
        if value.isascii() and value.isdigit() and self.low <= int(value) <= self.high:
            return None
        also = "" if self.also is None else f"{self.also} or "
        whole = ": a whole number" if re.fullmatch(r"[0-9]+\.[0-9]+", value) else ""
        return f"{key} must be {also}from {self.low} to {self.high}, not '{value}'{whole}"


_SWITCH = ("true", "false")
_MINIMUM = "target_group_health.{}.minimum_healthy_targets.{}"
_MOST_TARGETS = 1000

TARGET_GROUP_ATTRIBUTES: dict[str, Legal] = {
    "deregistration_delay.timeout_seconds": Legal(BOTH, low=0, high=3600),
    "slow_start.duration_seconds": Legal(ALB, low=30, high=900, also="0"),
    "load_balancing.algorithm.type": Legal(ALB, ("round_robin", "least_outstanding_requests", "weighted_random")),
    "load_balancing.algorithm.anomaly_mitigation": Legal(ALB, ("on", "off")),
    "load_balancing.cross_zone.enabled": Legal(BOTH, (*_SWITCH, "use_load_balancer_configuration")),
    _MINIMUM.format("dns_failover", "count"): Legal(BOTH, low=1, high=_MOST_TARGETS, also="off"),
    _MINIMUM.format("dns_failover", "percentage"): Legal(BOTH, low=1, high=100, also="off"),
    _MINIMUM.format("unhealthy_state_routing", "count"): Legal(BOTH, low=1, high=_MOST_TARGETS),
    _MINIMUM.format("unhealthy_state_routing", "percentage"): Legal(BOTH, low=1, high=100, also="off"),
    "stickiness.enabled": Legal(BOTH, _SWITCH),
    "stickiness.type": Legal(BOTH, ("lb_cookie", "app_cookie", "source_ip")),
    "stickiness.lb_cookie.duration_seconds": Legal(ALB, low=1, high=604_800),
    "stickiness.app_cookie.duration_seconds": Legal(ALB, low=1, high=604_800),
    "stickiness.app_cookie.cookie_name": Legal(ALB),
    "lambda.multi_value_headers.enabled": Legal(ALB, _SWITCH),
    "deregistration_delay.connection_termination.enabled": Legal(NLB, _SWITCH),
    "preserve_client_ip.enabled": Legal(NLB, _SWITCH),
    "proxy_protocol_v2.enabled": Legal(NLB, _SWITCH),
    "target_health_state.unhealthy.connection_termination.enabled": Legal(NLB, _SWITCH),
    "target_health_state.unhealthy.draining_interval_seconds": Legal(NLB, low=0, high=360_000),
}
LOAD_BALANCER_ATTRIBUTES: dict[str, Legal] = {
    "idle_timeout.timeout_seconds": Legal(ALB, low=1, high=4000),
    "client_keep_alive.seconds": Legal(ALB, low=60, high=604_800),
    "deletion_protection.enabled": Legal(BOTH, _SWITCH),
    "load_balancing.cross_zone.enabled": Legal(BOTH, _SWITCH),
    "access_logs.s3.enabled": Legal(BOTH, _SWITCH),
    "access_logs.s3.bucket": Legal(BOTH),
    "access_logs.s3.prefix": Legal(BOTH),
    "connection_logs.s3.enabled": Legal(ALB, _SWITCH),
    "connection_logs.s3.bucket": Legal(ALB),
    "connection_logs.s3.prefix": Legal(ALB),
    "health_check_logs.s3.enabled": Legal(ALB, _SWITCH),
    "health_check_logs.s3.bucket": Legal(ALB),
    "health_check_logs.s3.prefix": Legal(ALB),
    "ipv6.deny_all_igw_traffic": Legal(BOTH, _SWITCH),
    "zonal_shift.config.enabled": Legal(BOTH, _SWITCH),
    "routing.http.desync_mitigation_mode": Legal(ALB, ("monitor", "defensive", "strictest")),
    "routing.http.drop_invalid_header_fields.enabled": Legal(ALB, _SWITCH),
    "routing.http.preserve_host_header.enabled": Legal(ALB, _SWITCH),
    "routing.http.x_amzn_tls_version_and_cipher_suite.enabled": Legal(ALB, _SWITCH),
    "routing.http.xff_client_port.enabled": Legal(ALB, _SWITCH),
    "routing.http.xff_header_processing.mode": Legal(ALB, ("append", "preserve", "remove")),
    "routing.http2.enabled": Legal(ALB, _SWITCH),
    "waf.fail_open.enabled": Legal(ALB, _SWITCH),
    "dns_record.client_routing_policy": Legal(
        NLB, ("availability_zone_affinity", "partial_availability_zone_affinity", "any_availability_zone")
    ),
    "secondary_ips.auto_assigned.per_subnet": Legal(NLB, low=0, high=7),
}
"""Cross-zone load balancing of an Application Load Balancer cannot be turned off: only ``true`` passes."""


def attribute_faults(attributes: Sequence[Attribute], legal: Mapping[str, Legal], of: str) -> Iterator[Issue]:
    """Yield a fault for every attribute that is unknown, stands twice or is out of its range, naming what is legal.

    Parameters
    ----------
    of
        ``Target group`` or ``Load balancer``.
    """
    keys = [attribute.key for attribute in attributes]
    for n, attribute in enumerate(attributes):
        known = legal.get(attribute.key)
        if known is None:
            text = f"{of} attribute key '{attribute.key}' is not recognized: legal are {', '.join(legal)}"
            yield Issue(("Attributes", n, "Key"), text)
            continue
        if attribute.key in keys[:n]:
            yield Issue(("Attributes", n, "Key"), f"'{attribute.key}' stands twice")
        fault = known.fault(attribute.key, attribute.value)
        if fault is not None:
            yield Issue(("Attributes", n, "Value"), fault)


class ModifyTargetGroupAttributes(PascalShape):
    """ModifyTargetGroupAttributes: the target group by its ARN or name, and the attributes that change."""

    target_group_arn: str
    attributes: tuple[Attribute, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _sound(self) -> Self:
        raise_faults(attribute_faults(self.attributes, TARGET_GROUP_ATTRIBUTES, "Target group"))
        return self


class ModifyLoadBalancerAttributes(PascalShape):
    """ModifyLoadBalancerAttributes: the load balancer by its ARN or name, and the attributes that change."""

    load_balancer_arn: str
    attributes: tuple[Attribute, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _sound(self) -> Self:
        raise_faults(attribute_faults(self.attributes, LOAD_BALANCER_ATTRIBUTES, "Load balancer"))
        return self


def merged(before: Sequence[Attribute], after: Sequence[Attribute]) -> tuple[Attribute, ...]:
    """Return attributes with some of them changed.

    >>> merged([Attribute(key="a", value="1"), Attribute(key="b", value="2")], [Attribute(key="a", value="3")])
    (Attribute(key='a', value='3'), Attribute(key='b', value='2'))
    """
    found = {attribute.key: attribute for attribute in (*before, *after)}
    return tuple(found.values())


def unsupported(attributes: Sequence[Attribute], legal: Mapping[str, Legal], kind: Kind) -> list[str]:
    """Return the keys that load balancers of a kind do not have."""
    return [a.key for a in attributes if kind not in legal[a.key].kinds]
