"""Quotas of Amazon ECS and AWS Fargate, today's and those of earlier dates, and the throttling of API requests.

Sources: Amazon ECS endpoints and quotas, https://docs.aws.amazon.com/general/latest/gr/ecs-service.html; Amazon ECS
Developer Guide, throttling.html and request-throttling.html; dated editions of service_limits.md and
service-quotas.md in github.com/awsdocs/amazon-ecs-developer-guide.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from types import MappingProxyType

from fargsim.catalog.regions import region as region_facts
from fargsim.catalog.store import AS_OF, CatalogError, Source, sources, table, unknown


@dataclass(frozen=True, slots=True)
class Quota:
    """One quota in one region at one date.

    Parameters
    ----------
    name
        Its name in ``quotas:`` of a scenario.
    value
        The default; None where this quota does not apply at that date (before it existed, or after another took its
        place).
    unit
        Unit of the value.
    adjustable
        Whether AWS raises it on request.
    since
        ISO date of the oldest text with this value; empty when no earlier value is known.
    source
        Where it is documented.
    """

    name: str
    value: float | None
    unit: str
    adjustable: bool
    since: str
    source: Source


class Quotas(Mapping[str, float | None]):
    """Every quota of a region at a date, by name; None where it does not apply.

    >>> quotas("us-east-1")["fargate_on_demand_vcpu"]
    6.0
    >>> quotas("af-south-1")["fargate_service_launches_per_min"]
    125.0
    >>> q = quotas("eu-west-1", on="2020-06-01"); q["fargate_on_demand_tasks"], q["fargate_on_demand_vcpu"]
    (100.0, None)
    """

    __slots__ = ("_by_name",)

    def __init__(self, by_name: Mapping[str, Quota]) -> None:
        self._by_name = dict(by_name)

    def __getitem__(self, name: str) -> float | None:
        return self.quota(name).value

    def __contains__(self, name: object) -> bool:
        return name in self._by_name

    def __iter__(self) -> Iterator[str]:
        return iter(self._by_name)

    def __len__(self) -> int:
        return len(self._by_name)

    def quota(self, name: str) -> Quota:
        """Return a quota with unit and source; CatalogError with close matches when there is none of that name."""
        found = self._by_name.get(name)
        if found is None:
            raise unknown("quota", name, self._by_name)
        return found

    def limit(self, name: str) -> float:
        """Return the value, infinity where the quota does not apply."""
        value = self[name]
        return math.inf if value is None else value


@cache
def _defaults(launch_class: str, on: str) -> Mapping[str, Quota]:
    found: dict[str, Quota] = {}
    for r in table("quotas"):
        name = r["name"]
        old = found.get(name)
        starts = not r["since"] or r["since"] <= on
        if not starts or r["launch_class"] not in ("*", launch_class):
            if old is None:
                found[name] = Quota(name, None, r["unit"], r["adjustable"] == "yes", "", sources()[r["source"]])
            continue
        # rows of one quota stand in order of time
        value = float(r["value"]) if r["value"] else None
        found[name] = Quota(name, value, r["unit"], r["adjustable"] == "yes", r["since"], sources()[r["source"]])
    return MappingProxyType(found)


def quotas(region: str, *, on: str = AS_OF, overrides: Mapping[str, float] | None = None) -> Quotas:
    """Return the quotas of a region.

    Parameters
    ----------
    on
        ISO date: the defaults of that time.
    overrides
        Values that a scenario states for its account, by name.

    Raises
    ------
    CatalogError
        For an unknown region or quota, or a value that is not a number of at least zero.
    """
    found = dict(_defaults(region_facts(region).launch_class, on))
    for name, value in (overrides or {}).items():
        if name not in found:
            raise unknown("quota", name, found)
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < math.inf:
            raise CatalogError(f"quota {name} must be a number of at least 0, not {value!r}")
        old = found[name]
        found[name] = Quota(name, float(value), old.unit, old.adjustable, "", _SCENARIO)
    return Quotas(found)


_SCENARIO = Source("scenario", "scenario", "", "set by the scenario")


@dataclass(frozen=True, slots=True)
class TokenBucket:
    """A token bucket: ``burst`` tokens when full, ``refill_per_s`` tokens a second."""

    burst: float
    refill_per_s: float


@cache
def api_buckets() -> Mapping[str, TokenBucket]:
    """Return the request-throttling bucket of every group of ECS API actions, per account and region.

    Source: Amazon ECS Developer Guide, request-throttling.html.

    >>> api_buckets()["cluster_resource_modify"]
    TokenBucket(burst=100.0, refill_per_s=40.0)
    """
    return MappingProxyType(
        {r["group"]: TokenBucket(float(r["burst"]), float(r["refill_per_s"])) for r in table("api_buckets")}
    )


API_GROUPS: Mapping[str, str] = MappingProxyType(
    {
        "create_cluster": "cluster_modify",
        "delete_cluster": "cluster_modify",
        "update_cluster": "cluster_modify",
        "update_cluster_settings": "cluster_modify",
        "put_cluster_capacity_providers": "cluster_modify",
        "describe_clusters": "cluster_read",
        "list_clusters": "cluster_read",
        "create_service": "service_modify",
        "update_service": "service_modify",
        "delete_service": "service_modify",
        "stop_service_deployment": "service_modify",
        "continue_service_deployment": "service_modify",
        "describe_services": "service_read",
        "list_services": "service_read",
        "describe_service_deployments": "service_read",
        "list_service_deployments": "service_read",
        "describe_service_revisions": "service_read",
        "register_task_definition": "task_definition_modify",
        "deregister_task_definition": "task_definition_modify",
        "describe_task_definition": "task_definition_read",
        "list_task_definitions": "task_definition_read",
        "run_task": "cluster_resource_modify",
        "start_task": "cluster_resource_modify",
        "stop_task": "cluster_resource_modify",
        "update_container_instances_state": "cluster_resource_modify",
        "deregister_container_instance": "agent_modify",
        "put_attributes": "cluster_resource_modify",
        "delete_attributes": "cluster_resource_modify",
        "list_attributes": "cluster_resource_read",
        "describe_tasks": "cluster_resource_read",
        "list_tasks": "cluster_resource_read",
        "describe_container_instances": "cluster_resource_read",
        "list_container_instances": "cluster_resource_read",
        "create_capacity_provider": "capacity_provider_modify",
        "update_capacity_provider": "capacity_provider_modify",
        "delete_capacity_provider": "capacity_provider_modify",
        "update_task_protection": "task_protection",
        "get_task_protection": "task_protection",
    }
)
"""Group of each API action in boto3's name. RunTask, StartTask and StopTask are named by the source; the others
follow from the names of the groups."""
