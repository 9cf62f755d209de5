"""A balancer and its targets that do not speak the same protocol: TLS on one side only."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from balancer_helpers import QUICK, SEED, kept, service
from sim_helpers import exact_region, register

from fargsim import Region
from fargsim.kernel import Outcome, Plane
from fargsim.model.scenario import Record
from fargsim.policy.metric_data import Point
from fargsim.sim.alarm_run import metric_key

MINUTE = 60_000_000
GROUP = {"TargetGroup": "tg", "LoadBalancer": "lb-tg"}
BALANCER = {"LoadBalancer": "lb-tg"}


@pytest.mark.parametrize("compiled", [True, False], ids=["compiled", "twin"])
def test_what_is_not_understood_ends_at_once_in_502_and_is_no_connection_error(compiled: bool) -> None:
    plane = Plane("round_robin", compiled=compiled, record_every=1)
    slot = plane.open_slot(0, cores=1.0, mode="garble")
    plane.offer(np.array([0, 10]), np.array([100.0, 100.0]))
    plane.advance(5)
    plane.set_mode(5, slot, "serve")
    plane.advance(1000)
    assert plane.take_outcomes()["outcome"].tolist() == [Outcome.CUT_OFF, Outcome.SERVED]
    c = plane.counters()
    assert (c.cut_off, c.misunderstood, c.target_connection_errors) == (1, 1, 0)


def meet(protocol: str, checked: str | None, speaks: str | None) -> Region:
    """Two tasks that were healthy before anybody looked, and a request a second for nine minutes."""
    region = exact_region(seed=SEED, record=Record(requests="full"))
    listen: dict[str, Any] = {} if speaks is None else {"listen": {"protocol": speaks}}
    register(region, behaviour={"request": QUICK, **listen})
    network = protocol in ("TCP", "TLS")
    balancer = {"Type": "network"} if network else {}
    checks = {} if checked is None else {"HealthCheckProtocol": checked}
    certificate = {"Certificates": [{"CertificateArn": "arn"}]} if protocol in ("HTTPS", "TLS") else {}
    region.elbv2.create_target_group(
        Name="tg", Protocol=protocol, HealthCheckIntervalSeconds=5, HealthCheckTimeoutSeconds=2, **checks
    )
    forward = [{"Type": "forward", "TargetGroupArn": "tg"}]
    region.elbv2.create_load_balancer(
        Name="lb-tg", Listeners=[{"Protocol": protocol, "DefaultActions": forward, **certificate}], **balancer
    )
    service(region, "web", 2)
    region.send_traffic("web", {"constant": "1 /s", "process": "regular"}, until="9 min")
    region.run(until="10 min")
    return region


def counted(region: Region, name: str, dimensions: dict[str, str]) -> float | None:
    key = metric_key("AWS/ApplicationELB", name, dimensions)
    [point] = region.cloudwatch.windows(key, 5 * MINUTE, MINUTE, 1)
    return point.statistic("Sum") if isinstance(point, Point) else None


@pytest.mark.parametrize(
    ("protocol", "checked", "speaks", "outcome", "healthy"),
    [
        ("HTTPS", None, None, "served", True),
        ("HTTPS", None, "HTTPS", "served", False),  # checks are HTTP unless stated
        ("HTTPS", "HTTPS", "HTTPS", "served", True),
        ("HTTPS", None, "HTTP", "cut_502", True),  # the classic: every target is healthy, and every request ends in 502
        ("HTTPS", "HTTPS", "HTTP", "cut_502", False),
        ("HTTP", None, "HTTPS", "cut_502", False),
        ("HTTP", None, "HTTP", "served", True),
        ("TCP", None, "HTTPS", "served", True),
        ("TLS", None, "HTTP", "cut_502", True),
    ],
)
def test_who_speaks_what(protocol: str, checked: str | None, speaks: str | None, outcome: str, healthy: bool) -> None:
    region = meet(protocol, checked, speaks)
    targets = region.registry.target_groups["tg"].targets.values()
    assert {target.state == "healthy" for target in targets} == {healthy}
    tls = (
        counted(region, "TargetTLSNegotiationErrorCount", GROUP),
        counted(region, "TargetTLSNegotiationErrorCount", BALANCER),
    )
    failed = 60.0 if outcome == "cut_502" and protocol == "HTTPS" else None
    assert tls == (failed, failed)
    assert counted(region, "TargetConnectionErrorCount", GROUP) is None
    assert set(kept(region).outcome) == {outcome}
