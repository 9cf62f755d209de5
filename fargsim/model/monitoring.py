"""How finely a service's metrics are measured.

Source: Amazon ECS API Reference, API_MonitoringConfiguration.html, API_MetricConfiguration.html.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from fargsim.model.base import EcsShape


class MetricConfiguration(EcsShape):
    """Metrics and their resolution, in seconds."""

    metric_names: tuple[Literal["CPUUtilization", "MemoryUtilization"], ...] = Field(min_length=1, max_length=5)
    resolution_seconds: Literal[20, 60]


class Monitoring(EcsShape):
    """``monitoring`` of a service."""

    metric_configurations: tuple[MetricConfiguration, ...] = Field(default=(), max_length=5)

    @property
    def high_resolution(self) -> frozenset[str]:
        """The metrics that are sent every 20 seconds."""
        fine = [c.metric_names for c in self.metric_configurations if c.resolution_seconds == 20]
        return frozenset(name for names in fine for name in names)
