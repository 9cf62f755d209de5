"""S11 through a run: a task of 512 units and 1,024 MiB that bursts, and one that is idle (service_utilization.html)."""

from __future__ import annotations

from typing import Any

import pytest
from sim_helpers import exact_region, fleet


def test_s11_a_task_bursts_to_four_times_what_it_reserves() -> None:
    region = exact_region()
    fleet(region, 1, "c5.xlarge", zones=1)
    traces: dict[str, Any] = {
        "bursts": {"cpu": 400, "memory": 50},  # 2,048 units and 512 MiB
        "idle": {"cpu": 25, "memory": 12.5},  # 128 units and 128 MiB
    }
    for family, percent in traces.items():
        steps = {k: {"steps": [{"at": "0 s", "percent": v}]} for k, v in percent.items()}
        region.behave(family, {"image": {"size": "10 MiB"}, "utilization": steps})
        region.ecs.register_task_definition(
            family=family,
            networkMode="bridge",
            requiresCompatibilities=["EC2"],
            containerDefinitions=[{"name": "app", "image": "app:1", "cpu": 512, "memoryReservation": 1024}],
        )
        region.ecs.create_service(serviceName=family, taskDefinition=family, desiredCount=1, launchType="EC2")
    region.run("10 min")
    services = region.kit.recorder.services.frame()
    last = services[services.period_start_at == services.period_start_at.max()].set_index("service")
    assert last.cpu_utilization["bursts"] == pytest.approx(400)
    assert last.memory_utilization["bursts"] == pytest.approx(50)
    assert last.cpu_utilization["idle"] == pytest.approx(25)
    assert last.memory_utilization["idle"] == pytest.approx(12.5)
