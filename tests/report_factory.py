"""Results for the tests of the report room: rows with dull defaults, and one synthetic day of a web service."""

from __future__ import annotations

import math
from typing import Any

from fargsim.record.buffer import Recorder
from fargsim.record.result import Result
from fargsim.record.schema import TABLES

START_US = 1_772_409_600_000_000
"""2026-03-02T00:00:00Z."""
SECOND = 1_000_000
MINUTE = 60 * SECOND
HOUR = 60 * MINUTE

WORDS = {
    "cluster": "default",
    "service": "web",
    "group": "service:web",
    "family": "web",
    "launch_type": "FARGATE",
    "operating_system_family": "LINUX",
    "cpu_architecture": "X86_64",
    "last_status": "STOPPED",
    "desired_status": "STOPPED",
    "health_status": "UNKNOWN",
    "instance_type": "m5.large",
    "availability_zone": "us-east-1a",
    "market": "on-demand",
    "status": "ACTIVE",
    "event_type": "INFO",
    "outcome": "placed",
}
NUMBERS = {"cpu_units": 1024, "memory_mib": 2048, "period_s": 60.0, "revision": 1}


class Story:
    """A result under construction; instants are microseconds since the start of the run."""

    def __init__(self, duration_us: int = HOUR, **provenance: Any) -> None:
        self.recorder = Recorder(START_US)
        self.duration_us = duration_us
        scenario = {"name": "test", "start": "2026-03-02T00:00:00Z", "duration_us": duration_us, "slo": {}}
        scenario.update(provenance.pop("scenario", {}))
        self.provenance = {"scenario": scenario, "seed": 7, **provenance}

    def add(self, table: str, **values: Any) -> Story:
        dull: dict[str, Any] = {}
        for column in TABLES[table].columns:
            if not column.nullable:
                zero = {"instant": 0, "int64": 0, "float64": 0.0, "bool": False, "string": "x"}[column.dtype]
                dull[column.name] = WORDS.get(column.name, NUMBERS.get(column.name, zero))
        self.recorder[table].add(**{**dull, **values})
        return self

    def result(self) -> Result:
        return Result(self.recorder.tables(), self.provenance)


LIFE = ("PROVISIONING", "PENDING", "ACTIVATING", "RUNNING", "DEACTIVATING", "STOPPING", "DEPROVISIONING", "STOPPED")


def add_task(story: Story, task_id: str, instants: list[int], **values: Any) -> None:
    """Add a task that entered the states of LIFE at the given instants, as far as they go."""
    at = dict(zip(LIFE, instants, strict=False))
    last = LIFE[len(instants) - 1]
    wanted = "STOPPED" if "DEACTIVATING" in at else "RUNNING"
    story.add(
        "tasks",
        **{
            "task_id": task_id,
            "service": "web",
            "last_status": last,
            "desired_status": wanted,
            "created_at": instants[0],
            "connectivity_at": at.get("PENDING"),
            "pull_started_at": at.get("ACTIVATING"),
            "started_at": at.get("RUNNING"),
            "stopping_at": at.get("DEACTIVATING"),
            "execution_stopped_at": at.get("DEPROVISIONING"),
            "stopped_at": at.get("STOPPED"),
            **values,
        },
    )
    for state, instant in at.items():
        desired = "STOPPED" if LIFE.index(state) >= LIFE.index("DEACTIVATING") else "RUNNING"
        story.add("task_states", task_id=task_id, at=instant, last_status=state, desired_status=desired)


def day(variant: str = "fargate", *, price: float = 0.04048, slow: float = 1.0, replication: int = 0) -> Result:
    """One synthetic day of a web service: two humps of traffic, tasks that follow, a short outage in the evening."""
    story = Story(
        24 * HOUR,
        variant=variant,
        replication=replication,
        scenario={
            "name": "fargate-vs-ec2",
            "slo": {"latency_p99": 400_000, "error_rate": 0.001},
            "region": "us-east-1",
        },
    )
    running, serial = 0, 0
    alive: list[tuple[str, int]] = []
    for minute in range(24 * 60):
        hour = minute / 60
        rate = 40 + 260 * (0.7 * math.exp(-(((hour - 11) / 2.6) ** 2)) + math.exp(-(((hour - 20) / 1.9) ** 2)))
        rate *= 1 + 0.04 * math.sin(minute * 1.7 + replication) * math.cos(minute * 0.37)
        desired = max(2, math.ceil(rate / 12))
        broken = 1210 <= minute < 1216
        now = minute * MINUTE
        while running < desired and not broken:
            alive.append((f"{serial:032x}", now))
            serial, running = serial + 1, running + 1
        while running > desired + 1:
            task_id, born = alive.pop(0)
            running -= 1
            life = [born, born + 13 * SECOND, born + 15 * SECOND, born + 30 * SECOND]
            life += [now + 31 * SECOND, now + 33 * SECOND, now + 40 * SECOND, now + 55 * SECOND]
            add_task(story, task_id, life, cpu_core_s=(now - born) / 1e6 * 0.5)
        arrived = round(rate * 60)
        failed = round(arrived * 0.3) if broken else 0
        load = rate / max(running, 1) / 12
        p50 = slow * (38 + 12 * load)
        story.add(
            "services",
            period_start_at=now,
            load_balancer="web",
            desired=desired,
            running=running,
            healthy=running,
            running_mean=float(running),
            requests_arrived=arrived,
            requests_served=arrived - failed,
            requests_no_target_503=failed,
            requests_active_mean=rate * p50 / 1000,
            latency_mean_ms=p50 * 1.2,
            latency_p50_ms=p50,
            latency_p95_ms=p50 * 2.6 * (1 + 0.05 * math.sin(minute)),
            latency_p99_ms=p50 * (5.2 + 0.6 * math.sin(minute * 2.1) + (6 if broken else 0)),
            cpu_utilization=55 * load + 3 * math.sin(minute * 0.9),
            cpu_utilization_min=42 * load,
            cpu_utilization_max=min(100.0, 68 * load + 4),
            memory_utilization=31.0 + 3 * load,
            memory_utilization_min=28.0,
            memory_utilization_max=37.0,
            request_count_per_target=arrived / max(running, 1),
        )
        if minute % 60 == 0:
            hours = running
            for item, unit, each, scale in (
                ("fargate vCPU", "vCPU-hour", price, 1.0),
                ("fargate memory", "GB-hour", price / 9.1, 2.0),
                ("load balancer hours", "hour", 0.0225, 1 / max(hours, 1)),
                ("load balancer LCU", "LCU-hour", 0.008, rate / 25 / max(hours, 1)),
                ("public IPv4", "address-hour", 0.005, 1.0),
            ):
                amount = hours * scale
                story.add(
                    "costs",
                    hour_at=now,
                    item=item,
                    cluster="default",
                    service="web",
                    quantity=amount,
                    unit=unit,
                    usd_per_unit=each,
                    usd=amount * each,
                    price_basis="assumed" if item == "load balancer LCU" else "listed",
                )
    for task_id, born in alive:
        life = [born, born + 13 * SECOND, born + 15 * SECOND, born + 30 * SECOND]
        add_task(story, task_id, life, cpu_core_s=(24 * HOUR - born) / 1e6 * 0.5)
    for lower, upper, requests in ((40_000, 41_000, 900), (100_000, 102_000, 80), (250_000, 254_000, 20)):
        edges = {"lower_us": lower * slow, "upper_us": upper * slow}
        story.add("latencies", service="web", **edges, requests=requests)
    return story.result()
