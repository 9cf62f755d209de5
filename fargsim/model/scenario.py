"""The scenario: everything a run needs to know, resolved and frozen.

A scenario is built in a test, read from YAML by ``fargsim.load`` or taken from a stored result; it opens no file and knows no engine.
"""

from __future__ import annotations

import difflib
import re
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, PlainSerializer, model_validator

from fargsim.model.access import ImageRegistry, Repository, Role, Surroundings
from fargsim.model.alarms import CompositeAlarm, CustomMetric, MetricAlarm
from fargsim.model.balancing import LoadBalancer, TargetGroup
from fargsim.model.base import Issue, Own, raise_faults
from fargsim.model.behaviour import Behaviour
from fargsim.model.billing import Billing
from fargsim.model.capacity import AutoScalingGroup, CapacityProvider, Cluster, LaunchTemplate
from fargsim.model.lifecycle import HookAnswer
from fargsim.model.network import Network
from fargsim.model.quantity import US_PER_S, DurationUs, format_duration
from fargsim.model.queues import CreateQueue, Messages
from fargsim.model.scaling import ScalableTarget, Slo
from fargsim.model.service import CreateService
from fargsim.model.taskdef import TaskDefinition
from fargsim.model.timeline import TimelineEntry
from fargsim.model.traffic import Jobs, Traffic

SCHEMA_VERSION = 1


_NAMED_ZONE = re.compile(r"(\S+?)(?:\s+|\[)([A-Za-z_]+(?:/[A-Za-z0-9_+-]+)*)\]?")


def _in_named_zone(text: str) -> datetime | str:
    """Read ``2026-03-02T00:00:00[Europe/Berlin]`` (RFC 9557) or the same with a space; anything else comes back as it is."""
    found = _NAMED_ZONE.fullmatch(text)
    if found is None:
        return text
    import zoneinfo  # reads the zones of the system, and few scenarios name one

    name = found.group(2)
    try:
        zone = zoneinfo.ZoneInfo(name)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
        close = difflib.get_close_matches(name, sorted(zoneinfo.available_timezones()), n=3)
        hint = f"did you mean {' or '.join(close)}?" if close else "write an IANA name like Europe/Berlin, or an offset"
        raise ValueError(f"there is no time zone '{name}': {hint}") from None
    local = datetime.fromisoformat(found.group(1))
    if local.tzinfo is not None:
        raise ValueError(f"'{text}' says its zone twice")
    return local.replace(tzinfo=zone)


def _instant(value: Any) -> Any:
    """Read an ISO 8601 instant that says its zone."""
    if isinstance(value, str):
        value = _in_named_zone(value)
    if isinstance(value, str):
        try:
            value = datetime.fromisoformat(value)
        except ValueError as fault:
            raise ValueError(f"'{value}' is not an instant: write it like 2026-03-02T00:00:00Z ({fault})") from None
    if not isinstance(value, datetime):
        raise ValueError("must be an instant like 2026-03-02T00:00:00Z")
    if value.tzinfo is None:
        raise ValueError("says no time zone: write it like 2026-03-02T00:00:00Z")
    if not 2000 <= value.year <= 2100:
        raise ValueError("must lie between the years 2000 and 2100")
    return value.astimezone(UTC)


Instant = Annotated[
    datetime,
    BeforeValidator(_instant),
    PlainSerializer(lambda t: t.isoformat().replace("+00:00", "Z"), return_type=str, when_used="json"),
]


class Record(Own):
    """What is kept beyond the tables that every run has."""

    requests: Literal["off", "sampled", "full"] = "off"
    sample_every: int = Field(default=1000, ge=1)
    period: DurationUs = Field(default=60 * US_PER_S, ge=US_PER_S)
    placements: Literal["summary", "full"] = "summary"


class Scenario(Own):
    """One fully resolved configuration of a run."""

    schema_version: Literal[1] = Field(default=1, alias="schema")
    name: str = Field(min_length=1, max_length=100, pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")
    description: str = ""
    region: str = "us-east-1"
    start: Instant = datetime(2026, 1, 5, tzinfo=UTC)
    duration: DurationUs = Field(gt=0, le=366 * 86_400 * US_PER_S)
    seed: int = Field(default=1, ge=0, lt=2**63)
    initial_state: Literal["empty", "running"] = "empty"
    """``running``: the services' tasks run and are healthy when the run begins; ``empty``: they start then."""
    network: Network = Network()
    roles: dict[str, Role] = Field(default_factory=dict)
    images: dict[str, Repository] = Field(default_factory=dict)
    registries: dict[str, ImageRegistry] = Field(default_factory=dict)
    secrets: tuple[str, ...] | None = None
    log_groups: tuple[str, ...] | None = None
    clusters: tuple[Cluster, ...] = (Cluster(),)
    task_definitions: tuple[TaskDefinition, ...] = Field(default=(), alias="taskDefinitions")
    behaviour: dict[str, Behaviour] = Field(default_factory=dict)
    load_balancers: tuple[LoadBalancer, ...] = Field(default=(), alias="loadBalancers")
    target_groups: tuple[TargetGroup, ...] = Field(default=(), alias="targetGroups")
    launch_templates: tuple[LaunchTemplate, ...] = Field(default=(), alias="launchTemplates")
    auto_scaling_groups: tuple[AutoScalingGroup, ...] = Field(default=(), alias="autoScalingGroups")
    capacity_providers: tuple[CapacityProvider, ...] = Field(default=(), alias="capacityProviders")
    services: tuple[CreateService, ...] = ()
    scaling: tuple[ScalableTarget, ...] = ()
    alarms: tuple[MetricAlarm, ...] = ()
    composite_alarms: tuple[CompositeAlarm, ...] = Field(default=(), alias="compositeAlarms")
    metrics: tuple[CustomMetric, ...] = ()
    traffic: tuple[Traffic, ...] = ()
    queues: tuple[CreateQueue, ...] = ()
    messages: tuple[Messages, ...] = ()
    jobs: tuple[Jobs, ...] = ()
    timeline: tuple[TimelineEntry, ...] = ()
    hooks: dict[str, tuple[HookAnswer, ...]] = Field(default_factory=dict)
    slo: Slo = Slo()
    quotas: dict[str, float] = Field(default_factory=dict)
    assumptions: dict[str, Any] = Field(default_factory=dict)
    billing: Billing = Billing()
    record: Record = Record()
    variant: str | None = None

    model_config = Own.model_config | {"populate_by_name": True}

    @model_validator(mode="after")
    def _timeline_inside(self) -> Self:
        raise_faults(
            Issue(("timeline", n, "at"), f"{format_duration(entry.at)} is beyond the end of the run, {length}")
            for length in (format_duration(self.duration),)
            for n, entry in enumerate(self.timeline)
            if entry.at > self.duration
        )
        return self

    @property
    def surroundings(self) -> Surroundings:
        """What its tasks find around them."""
        return Surroundings(**{name: getattr(self, name) for name in Surroundings.model_fields})

    @property
    def end(self) -> datetime:
        """The instant at which the run ends."""
        return self.start + timedelta(microseconds=self.duration)
