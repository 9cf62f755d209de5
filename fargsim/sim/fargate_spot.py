"""Fargate Spot as a whole: times without capacity, and tasks that are taken back many at once.

Source: Amazon ECS Developer Guide, fargate-capacity-providers.html: the warning and SIGTERM come together, the service tries Spot again
until there is capacity, and never falls back to on-demand. AWS publishes no rates: a two-state process of each
zone and bursts are parameters.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import TYPE_CHECKING, Any

import simpy

from fargsim.sim.fargate_capacity import ARCHITECTURES
from fargsim.sim.kit import US_PER_S
from fargsim.sim.state import Stop, TaskRun
from fargsim.sim.task_life import RECLAIMED, stop_task

if TYPE_CHECKING:
    from fargsim.model.spot_faults import FargateSpotReclaim
    from fargsim.sim.registry import Registry

HOUR_US = 3600 * US_PER_S
Process = Generator[simpy.Event, Any, None]


class FargateSpot:
    """Lets Fargate Spot capacity of the zones come and go, as far as the parameters say that it does."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self._kit = registry.kit
        parameters = self._kit.parameters
        absent = not parameters.flag("spot_capacity_available")
        for zone in self._kit.zones:
            if absent or parameters.number("spot_available_mean_h"):
                self._kit.env.process(self._two_states(zone, absent))
            if parameters.number("spot_bursts_per_day"):
                for architecture in ARCHITECTURES:
                    self._kit.env.process(self._bursts(zone, architecture))

    def _two_states(self, zone: str, absent: bool) -> Process:
        """Alternate between capacity and none, each for an exponential time."""
        kit = self._kit
        draws = kit.streams[f"fargate-spot-capacity/{zone}"]
        there_h, gone_h = (kit.parameters.number(f"spot_{n}_mean_h") for n in ("available", "unavailable"))
        while True:
            if not absent:
                if not there_h:
                    return
                yield kit.env.timeout(round(float(draws.standard_exponential()) * there_h * HOUR_US))
            absent = False
            gone_us = round(float(draws.standard_exponential()) * gone_h * HOUR_US)
            self._registry.fargate.capacity.withdraw([zone], ["spot"], gone_us)
            yield kit.env.timeout(gone_us)

    def _bursts(self, zone: str, architecture: str) -> Process:
        """Take a share of the tasks of a zone and architecture back at once, now and then."""
        kit = self._kit
        draws = kit.streams[f"fargate-spot-burst/{zone}/{architecture}"]
        share = kit.parameters.number("spot_burst_share_percent") / 100
        mean_us = 24 * HOUR_US / kit.parameters.number("spot_bursts_per_day")
        while True:
            yield kit.env.timeout(round(float(draws.standard_exponential()) * mean_us))
            self._registry.fargate.capacity.withdraw([zone], ["spot"], kit.us("spot_burst_outage_s"), [architecture])
            for task in self._there((zone,), architecture):
                if float(draws.random()) < share:
                    stop_task(kit, task, Stop("SpotInterruption", RECLAIMED, drain=False))

    def _there(self, zones: tuple[str, ...], architecture: str | None) -> list[TaskRun]:
        found = [
            task
            for cluster in self._registry.clusters.values()
            for task in cluster.tasks.values()
            if task.capacity_provider == "FARGATE_SPOT" and task.alive and task.started_at is not None
        ]
        return [
            task
            for task in sorted(found, key=lambda t: t.number)
            if (not zones or task.zone in zones) and architecture in (None, task.revision.definition.cpu_architecture)
        ]

    def reclaim(self, fault: FargateSpotReclaim) -> list[TaskRun]:
        """Let Fargate take Spot tasks back as a scenario says; returns which."""
        kit = self._kit
        there = self._there(fault.zones, fault.cpu_architecture)
        if fault.service is not None:
            service = self._registry.service(fault.cluster, fault.service)
            there = [task for task in there if task.service is service]
        order = kit.streams["fault/fargate_spot_reclaim"].permutation(len(there))
        hit = sorted((there[n] for n in order[: fault.number(len(there))]), key=lambda t: t.number)
        if fault.no_capacity_for:
            hit_there = ARCHITECTURES if fault.cpu_architecture is None else (fault.cpu_architecture,)
            capacity = self._registry.fargate.capacity
            capacity.withdraw(fault.zones or kit.zones, ["spot"], fault.no_capacity_for, hit_there)
        for task in hit:
            stop_task(kit, task, Stop("SpotInterruption", RECLAIMED, drain=False))
        return hit
