"""What DescribeTargetHealth says of a target: its state, and why.

Source: Elastic Load Balancing API Reference, API_TargetHealth.html; Application Load Balancers User Guide, target-group-health-checks.html
(target health status, health check reason codes); Network Load Balancers User Guide, target-group-health-checks.html
(``unhealthy.draining``).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fargsim.sim.targets import Target, TargetGroupRun

NOT_IN_USE = "Target.NotInUse"
FAILED = "Health checks failed"
TIMED_OUT = "Request timed out"


def health(group: TargetGroupRun, target: Target, now_us: int) -> dict[str, Any]:
    """Return a target's ``TargetHealth``."""
    state, reason, description = _health(group, target, now_us)
    found = {"State": state, "Reason": reason, "Description": description}
    return {key: value for key, value in found.items() if value is not None}


def _health(group: TargetGroupRun, target: Target, now_us: int) -> tuple[str, str | None, str | None]:
    if not group.rules:
        return "unused", NOT_IN_USE, "Target group is not configured to receive traffic from the load balancer"
    if target.zone is None:
        return "unused", NOT_IN_USE, "Target is in an Availability Zone that is not enabled for the load balancer"
    if target.state == "draining":
        return "draining", "Target.DeregistrationInProgress", "Target deregistration is in progress"
    if target.state == "initial" and not target.joined:
        return "initial", "Elb.RegistrationInProgress", "Target registration is in progress"
    if target.state == "initial":
        return "initial", "Elb.InitialHealthChecking", "Initial health checks in progress"
    if target.state == "unhealthy":
        state = "unhealthy.draining" if now_us < target.draining_until_us else "unhealthy"
        return state, *why(target)
    return target.state, None, None  # healthy


def why(target: Target) -> tuple[str, str]:
    """Return the reason code and the description of checks that fail."""
    description = target.contact.reason
    if description == TIMED_OUT:
        return "Target.Timeout", description
    return "Target.FailedHealthChecks" if description == FAILED else "Target.ResponseCodeMismatch", description
