"""The network at run time: free addresses of subnets, ways out of them, and what a security group lets through.

Sources: Amazon ECS Developer Guide, fargate-task-networking.html, task-networking-awsvpc.html; Amazon EC2 API Reference,
API_Subnet.html; Amazon VPC User Guide, subnet-sizing.html;
Elastic Load Balancing, Application Load Balancers User Guide, target-group-register-targets.html.

One address is one task in ``awsvpc`` mode: ``AvailableIpAddressCount`` is what is free when the run begins, so balancers, endpoints and
instances that are there already are not counted again; interfaces of instances that are launched later are not counted either. A subnet
that gives its block alone has all of it but the five addresses that AWS keeps.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Generator, Iterable
from typing import TYPE_CHECKING, Any

import simpy

from fargsim.model.network import DEFAULT_GROUP, Network, SecurityGroup, Subnet, sees

if TYPE_CHECKING:
    from fargsim.sim.state import TaskRun

HTTPS = 443
VPC = "vpc-0123456789abcdef0"
"""The VPC of a scenario whose security groups name none."""


class SubnetRun:
    """A subnet's free addresses, and who waits for one."""

    def __init__(self, env: simpy.Environment, spec: Subnet) -> None:
        self.spec = spec
        self.free = spec.addresses
        self.counts_tasks = spec.available_ip_address_count is not None
        """Whether `free` leaves out already what tasks have that were there before the run began."""
        self._env = env
        self._waiting: deque[simpy.Event] = deque()

    @property
    def full(self) -> bool:
        """Whether it has no address to give."""
        return self.free is not None and self.free <= 0

    def wait(self) -> simpy.Event:
        """Return an event that comes when an address is handed over; in the order in which they were asked for."""
        event = self._env.event()
        self._waiting.append(event)
        return event

    def withdraw(self, event: simpy.Event) -> None:
        """Ask for nothing any more; an address that was handed over already goes to the next."""
        if event.triggered:
            self.give_back()
        else:
            self._waiting.remove(event)

    def give_back(self) -> None:
        """Take an address back, and hand it to the first who waits."""
        if self.free is None:
            return
        if self._waiting:
            self._waiting.popleft().succeed()
        else:
            self.free += 1


class NetworkRun:
    """The subnets, endpoints and security groups of a region."""

    def __init__(self, env: simpy.Environment, spec: Network, subnets: Iterable[Subnet]) -> None:
        self.subnets = {subnet.subnet_id: SubnetRun(env, subnet) for subnet in subnets}
        self.without_fargate = frozenset(spec.zones_without_fargate)
        self._spec = spec
        self.vpc_id = next((g.vpc_id for g in spec.security_groups if g.vpc_id), VPC)
        """Identifier of the VPC: the one that security groups name, or one of our own."""
        self._by_service = {endpoint.service: endpoint for endpoint in spec.endpoints}
        self._groups = {
            name: group for group in spec.security_groups for name in (group.group_id, group.group_name) if name
        }

    # addresses

    def take_address(self, task: TaskRun) -> bool:
        """Give a task an address in a subnet of its zone that has one; false if none has.

        A task that was there before the run began has its address already: where the subnet says what is free, that one is not among it.
        """
        network = task.spec.network_configuration
        if network is None:
            return True
        here = [self.subnets[s] for s in network.awsvpc_configuration.subnets if s in self.subnets]
        here = [s for s in here if s.spec.availability_zone == task.zone]
        if not here:
            return True
        subnet = next((s for s in here if not s.full), here[0])
        task.subnet = subnet.spec.subnet_id
        if subnet.full and not task.settled:
            return False
        if subnet.free is not None and not (task.settled and subnet.counts_tasks):
            subnet.free -= 1
        task.address = subnet
        return True

    def wait_for_address(self, task: TaskRun, timeout_us: int) -> Generator[simpy.Event, Any, bool]:
        """Wait until another task gives its address back; false when the time is over."""
        assert task.subnet is not None
        subnet = self.subnets[task.subnet]
        handed = subnet.wait()
        try:
            yield handed | handed.env.timeout(timeout_us)
        except simpy.Interrupt:
            subnet.withdraw(handed)
            raise
        if not handed.triggered:
            subnet.withdraw(handed)
            return False
        task.address = subnet
        return True

    # ways out

    def reaches(self, subnet: str | None, public_ip: bool, groups: Iterable[str], service: str) -> bool:
        """Whether something in a subnet reaches a service of AWS (``ecr.api``, ``s3``, ``logs``, ...) or the ``internet`` on port 443.

        An interface endpoint takes all traffic to its service, whatever the route, because its private name leads there.
        """
        if not self._lets_out(groups, HTTPS):
            return False
        endpoint = self._by_service.get(service)
        if endpoint is not None:
            return endpoint.gateway or self.admits(
                endpoint.security_group_ids, HTTPS, groups, self.blocks((subnet,) if subnet else ())
            )
        route = None if subnet is None or subnet not in self.subnets else self.subnets[subnet].spec.route
        return route in (None, "nat") or (route == "internet_gateway" and public_ip)

    def behind_nat(self, subnet: str | None) -> bool:
        """Whether a subnet's traffic goes out with the address of a NAT gateway."""
        return subnet is not None and subnet in self.subnets and self.subnets[subnet].spec.route == "nat"

    # security groups

    def admits(self, groups: Iterable[str], port: int, source: Iterable[str], blocks: Iterable[str]) -> bool:
        """Whether one of the groups lets a TCP port be reached from a source; a group that is not listed lets everything in.

        Parameters
        ----------
        groups
            Of the side that is reached; none means the VPC's default group.
        source
            Groups of the side that reaches.
        blocks
            Blocks of addresses in which that side lies, as far as they are known.
        """
        others = [self._groups.get(name, name) for name in tuple(source) or (DEFAULT_GROUP,)]
        known = tuple(blocks)
        for name in tuple(groups) or (DEFAULT_GROUP,):
            group = self._groups.get(name)
            if group is None or any(rule.covers(port) and sees(rule, others, known) for rule in group.ip_permissions):
                return True
        return False

    def _lets_out(self, groups: Iterable[str], port: int) -> bool:
        for name in tuple(groups) or (DEFAULT_GROUP,):
            group: SecurityGroup | None = self._groups.get(name)
            if group is None or group.ip_permissions_egress is None:
                return True
            if any(rule.covers(port) for rule in group.ip_permissions_egress):
                return True
        return False

    def blocks(self, subnets: Iterable[str]) -> tuple[str, ...]:
        """Return the blocks of addresses of subnets; none when one of them does not say its own."""
        found = [self.subnets[s].spec.cidr_block if s in self.subnets else None for s in subnets]
        return () if None in found else tuple(block for block in found if block is not None)
