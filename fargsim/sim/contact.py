"""What a load balancer meets at a task: security groups on the way, a port that nobody listens on, a path that is not there.

Source: Elastic Load Balancing, Application Load Balancers User Guide, target-group-health-checks.html (the descriptions of reason codes),
target-group-register-targets.html (security groups); Amazon ECS Developer Guide, troubleshoot-service-load-balancers.html.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from fargsim.sim.host_ports import network_bindings
from fargsim.sim.target_health import Contact

if TYPE_CHECKING:
    from fargsim.sim.state import TaskRun
    from fargsim.sim.surroundings import SurroundingsRun
    from fargsim.sim.targets import TargetGroupRun

FIRST_EPHEMERAL_PORT = 32_768
"""What a host port is taken to be that nobody has chosen: the first of Docker's own range."""

SOUND = Contact()


def reachable(around: SurroundingsRun, task: TaskRun, port: int, group: TargetGroupRun) -> bool:
    """Whether a balancer's packets to a TCP port of a task get through the security groups.

    Parameters
    ----------
    port
        Port of the container in ``awsvpc`` mode, of the host otherwise.
    group
        The target group, whose balancer asks.
    """
    network = task.spec.network_configuration
    if network is not None:
        own = network.awsvpc_configuration.security_groups
    else:
        own = () if task.instance is None else task.instance.group.template.security_group_ids
    balancer = None if group.balancer is None else group.balancer.spec
    if balancer is None:
        return around.network.admits(own, port, (), ())
    return around.network.admits(own, port, balancer.security_groups, around.network.blocks(balancer.subnets))


def contact(around: SurroundingsRun, task: TaskRun, group: TargetGroupRun) -> Contact:
    """Return what the balancer of a target group meets at a task, once its application answers."""
    listen = task.revision.behaviour.listen
    if listen is None and around.plain:
        return SOUND
    spec = group.spec
    port, host_port = _traffic_port(task, spec.name)
    own_port = spec.health_check_port
    check_port, check_host_port = (int(own_port),) * 2 if own_port and own_port.isdigit() else (port, host_port)
    ports, local = {port, check_port}, False
    if listen is not None:
        containers = task.revision.definition.container_definitions
        ports = set(listen.ports) or {p.container_port or 0 for c in containers for p in c.port_mappings}
        local = listen.local
    way = reachable(around, task, host_port, group)
    listens = port in ports and not local
    understands = listen is None or listen.speaks(spec.protocol)
    if not reachable(around, task, check_host_port, group):
        return Contact(way, listens, passes=False, silent=True, reason="Request timed out", understands=understands)
    if check_port not in ports or local:
        return Contact(way, listens, passes=False, understands=understands)
    protocol = spec.health_check_protocol or ("HTTP" if spec.protocol in ("HTTP", "HTTPS") else "TCP")
    if listen is not None and not listen.speaks(protocol):
        return Contact(way, listens, passes=False, understands=understands)
    if listen is not None and listen.paths and protocol in ("HTTP", "HTTPS"):
        code = listen.paths.get((spec.health_check_path or "/").partition("?")[0], 404)
        if not _matches(code, spec.matcher.http_code if spec.matcher else None):
            reason = f"Health checks failed with these codes: [{code}]"
            return Contact(way, listens, passes=False, reason=reason, understands=understands)
    return Contact(way, listens, understands=understands)


def _matches(code: int, matcher: str | None) -> bool:
    """Whether a status passes a matcher like ``200``, ``200,302`` or ``200-299``."""
    for part in (matcher or "200").split(","):
        low, _, high = part.strip().partition("-")
        if low.isdigit() and int(low) <= code <= (int(high) if high.isdigit() else int(low)):
            return True
    return False


def _traffic_port(task: TaskRun, group: str) -> tuple[int, int]:
    """Return the container's and the host's port behind a target group."""
    assert task.service is not None
    balancers = task.service.spec.load_balancers
    named = next((b for b in balancers if group in b.target_group_arn.split("/")), balancers[0])
    definition = task.revision.definition
    if definition.effective_network_mode in ("awsvpc", "host"):
        return named.container_port, named.container_port
    bindings = network_bindings(task, named.container_name).get("networkBindings", ())
    host = next((b["hostPort"] for b in bindings if b["containerPort"] == named.container_port), FIRST_EPHEMERAL_PORT)
    return named.container_port, host
