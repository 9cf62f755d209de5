"""Which metrics of load balancers have datapoints here, and by which dimensions: what an alarm can watch.

Source: Elastic Load Balancing, Application Load Balancers User Guide, load-balancer-cloudwatch-metrics.html; Network Load Balancers User
Guide, load-balancer-cloudwatch-metrics.html.
"""

from __future__ import annotations

from collections.abc import Iterable

Dimensions = frozenset[str]

BALANCER: Dimensions = frozenset({"LoadBalancer"})
GROUP: Dimensions = frozenset({"LoadBalancer", "TargetGroup"})
GROUP_ALONE: Dimensions = frozenset({"TargetGroup"})
ZONE: Dimensions = frozenset({"LoadBalancer", "TargetGroup", "AvailabilityZone"})

_ANSWERS = (
    "RequestCount",
    "TargetResponseTime",
    "TargetConnectionErrorCount",
    "TargetTLSNegotiationErrorCount",
    *(f"HTTPCode_Target_{n}XX_Count" for n in (2, 3, 4, 5)),
)
_OWN = (
    "ConsumedLCUs",
    "ProcessedBytes",
    "NewConnectionCount",
    "ActiveConnectionCount",
    "RuleEvaluations",
    *(f"HTTPCode_ELB_{code}_Count" for code in ("4XX", "5XX", "502", "503", "504")),
)
_HOSTS = dict.fromkeys(("HealthyHostCount", "UnHealthyHostCount"), (GROUP, ZONE))
METRICS: dict[str, dict[str, tuple[Dimensions, ...]]] = {
    "AWS/ApplicationELB": {
        **dict.fromkeys(_ANSWERS, (BALANCER, GROUP)),
        **dict.fromkeys(_OWN, (BALANCER,)),
        **_HOSTS,
        "AnomalousHostCount": (GROUP,),
        "MitigatedHostCount": (GROUP,),
        **dict.fromkeys(("TargetControlRequestCount", "TargetControlRequestRejectCount"), (BALANCER, GROUP)),
        "RequestCountPerTarget": (GROUP_ALONE, GROUP),
    },
    "AWS/NetworkELB": {
        **dict.fromkeys(("ConsumedLCUs", "ProcessedBytes", "NewFlowCount", "ActiveFlowCount"), (BALANCER,)),
        **_HOSTS,
    },
}
"""Dimensions by name of the metric and namespace."""


def never_there(namespace: str, name: str, dimensions: Iterable[str]) -> str | None:
    """Say why a metric of load balancers never has data here; None when it may, and for other namespaces.

    >>> never_there("AWS/ApplicationELB", "RejectedConnectionCount", ["LoadBalancer"])
    'nothing here causes it'
    >>> never_there("AWS/ApplicationELB", "RequestCount", ["TargetGroup"])
    'it is there by LoadBalancer, or by LoadBalancer and TargetGroup'
    >>> never_there("AWS/ApplicationELB", "RequestCount", ["TargetGroup", "LoadBalancer"]) is None
    True
    """
    known = METRICS.get(namespace)
    if known is None:
        return None
    found = known.get(name)
    if found is None:
        return "nothing here causes it"
    if frozenset(dimensions) in found:
        return None
    return "it is there by " + ", or by ".join(" and ".join(sorted(one)) for one in found)
