"""Host ports that Docker chooses itself, for containers in bridge mode whose mapping names none.

Source: Amazon ECS API Reference, API_PortMapping.html: a hostPort of 0, or none, is taken from the instance's ephemeral range
(``/proc/sys/net/ipv4/ip_local_port_range``, 32768 to 60999 on Linux); such ports are not among the reserved ones.
"""

from __future__ import annotations

from collections.abc import Container
from typing import TYPE_CHECKING, Any

from fargsim.policy.views import HostPort

if TYPE_CHECKING:
    from fargsim.sim.state import TaskRun

FIRST, LAST = 32768, 60999


class DynamicPorts:
    """The ephemeral range of one instance: handed out in turn, as Docker does.

    Examples
    --------
    >>> ports = DynamicPorts()
    >>> ports.take("tcp", ()), ports.take("tcp", ()), ports.take("udp", ())
    (32768, 32769, 32768)
    """

    def __init__(self) -> None:
        self._next: dict[str, int] = {}
        self._taken: set[HostPort] = set()

    def take(self, protocol: str, reserved: Container[HostPort]) -> int | None:
        """Return a free port; None when the range is used up."""
        port = self._next.get(protocol, FIRST)
        for _ in range(LAST - FIRST + 1):
            found, port = port, FIRST if port == LAST else port + 1
            if (found, protocol) not in self._taken and (found, protocol) not in reserved:
                self._next[protocol] = port
                self._taken.add((found, protocol))
                return found
        return None

    def give_back(self, port: HostPort) -> None:
        """Return a port whose task has stopped."""
        self._taken.discard(port)


def network_bindings(task: TaskRun, container: str) -> dict[str, Any]:
    """Return `networkBindings` of a container as DescribeTasks does, once the task has started: host ports and its own."""
    if task.instance is None or task.started_at is None:
        return {}
    definition = task.revision.definition
    mode = definition.effective_network_mode
    if mode not in ("bridge", "host"):
        return {}
    found: list[tuple[int | None, int, str]] = []
    for one in definition.container_definitions:
        for mapping in one.port_mappings if one.name == container else ():
            fixed = mapping.container_port if mode == "host" else mapping.host_port
            if fixed:
                found.append((mapping.container_port, fixed, mapping.protocol))
    chosen = zip(task.revision.needs.dynamic_ports, task.dynamic_ports, strict=False)
    found += [(port, host, protocol) for (name, port, protocol), host in chosen if name == container and host]
    return {
        "networkBindings": [
            {"bindIP": "0.0.0.0", "containerPort": port, "hostPort": host, "protocol": protocol}
            for port, host, protocol in found
        ]
    }
