"""The compiled body of hosts: arrays, their growth, and calls into the compiled code."""

from __future__ import annotations

import heapq
from typing import cast

import numpy as np

from fargsim.kernel.body import Body
from fargsim.kernel.compiled import CompiledBody, grown
from fargsim.kernel.host_layout import GROW, HOST, LANE, MEMBER, Stopped
from fargsim.kernel.hosting import CLOSE, DEMAND, JOIN, OPEN, PART, RUN, SEE, SHARE, HostArrays, operate_hosts
from fargsim.kernel.lanes import WIDTH, are_as_told, write_arrays, write_chunk
from fargsim.kernel.layout import NOTHING, Arrays, Chunk, Records


class CompiledHosts:
    """State of the hosts as `HostArrays`; every method leaves them consistent."""

    def __init__(self) -> None:
        self._bodies: list[CompiledBody] = []
        self._written: list[tuple[Arrays | None, Chunk | None]] = []
        self._unused: dict[str, list[int]] = {"hosts": [], "members": []}
        self.arrays = HostArrays(
            table=np.zeros((0, WIDTH), np.int64),
            lanes=np.zeros(0, LANE),
            hosts=np.zeros(0, HOST),
            members=np.zeros(0, MEMBER),
            heap=np.zeros(0, np.int32),
            size=np.array([0, -1], np.int64),
            at_us=np.zeros(1),
        )

    def add_lane(self, body: Body) -> int:
        """Take a plane in; return its number."""
        compiled = cast(CompiledBody, body)
        assert are_as_told(compiled.arrays)
        self._bodies.append(compiled)
        self._written.append((None, None))
        count = len(self._bodies)
        table = np.zeros((count, WIDTH), np.int64)
        table[:-1] = self.arrays.table
        self.arrays = self.arrays._replace(table=table, lanes=np.zeros(count, LANE))
        return count - 1

    def open_host(self, cores: float) -> int:
        """Open a host; return its number."""
        number = self._free("hosts")
        host = np.zeros(1, HOST)
        host["next_us"], host["cores"], host["first"], host["last"] = np.inf, cores, -1, -1
        self.arrays.hosts[number] = host[0]
        self._operate(OPEN, number)
        return number

    def close_host(self, host: int) -> None:
        """Close a host without members."""
        assert self.arrays.hosts["first"][host] < 0
        self._operate(CLOSE, host)
        heapq.heappush(self._unused["hosts"], host)

    def set_cores(self, now: float, host: int, cores: float) -> None:
        """Change how many cores the members of a host share."""
        self.arrays.hosts["cores"][host] = cores
        self._operate(SHARE, host, now)

    def seat(self, now: float, host: int, lane: int, row: int, weight: float, most: float) -> int:
        """Let a slot be a member; return its number."""
        number = self._free("members")
        self._bodies[lane].arrays.terms["member"][row] = number
        return self._join(number, host, lane, row, weight, most, now)

    def invite(self, now: float, host: int, weight: float, most: float, watch: bool) -> int:
        """Let somebody be a member who works outside of the planes; return the number."""
        number = self._join(self._free("members"), host, -1, -1, weight, most, now)
        self.arrays.members["watch"][number] = int(watch)
        return number

    def _join(self, number: int, host: int, lane: int, row: int, weight: float, most: float, now: float) -> int:
        member = np.zeros(1, MEMBER)
        member["next_us"], member["last_us"] = np.inf, now
        member["host"], member["lane"], member["row"] = host, lane, row
        member["weight"], member["most"], member["cores"] = weight, most, most
        self.arrays.members[number] = member[0]
        self._operate(JOIN, number, now)
        return number

    def refresh(self, now: float, member: int) -> None:
        """Look at a slot again after something was done to it from outside."""
        self._operate(SEE, member, now)

    def leave(self, now: float, member: int) -> None:
        """Take a member out."""
        self._operate(PART, member, now)
        heapq.heappush(self._unused["members"], member)

    def set_demand(self, now: float, member: int, demand: float) -> None:
        """Change how many cores an outside member could keep busy."""
        self._operate(DEMAND, member, now, demand)

    def granted(self, member: int) -> float:
        """Return how many cores a member has been given."""
        return float(self.arrays.members["cores"][member])

    def in_use(self, host: int) -> tuple[float, float]:
        """Return how many of a host's cores are busy now, and how many its members could keep busy."""
        used = wanted = 0.0
        at = int(self.arrays.hosts["first"][host])
        while at >= 0:
            m = self.arrays.members[at]
            used += float(min(m["demand"], m["cores"]))
            wanted += float(min(m["demand"], m["most"]))
            at = int(m["next"])
        return used, wanted

    def used_core_us(self, now: float, member: int) -> float:
        """Return the integral of the cores an outside member has used."""
        m = self.arrays.members[member]
        return float(m["used_core_us"] + min(m["demand"], m["cores"]) * (now - m["last_us"]))

    def run(self, chunks: list[Chunk], lanes: Records, until: float) -> Stopped:
        """Let everything happen in all planes, up to an instant (arrivals before it) or to a reason to stop."""
        for body in self._bodies:
            body.learn()
        self.arrays.lanes[:] = lanes
        while True:
            whom, why = divmod(self._operate(RUN, 0, until, chunks=chunks), 8)
            if why != GROW:
                break
            self._bodies[whom].make_room()
        lanes[:] = self.arrays.lanes
        return Stopped(why, whom, float(self.arrays.at_us[0]))

    def _operate(
        self, op: int, which: int, now: float = 0.0, value: float = 0.0, chunks: list[Chunk] | None = None
    ) -> int:
        for lane, body in enumerate(self._bodies):
            arrays, chunk = self._written[lane]
            wanted = chunk if chunks is None else chunks[lane]
            if arrays is not body.arrays:
                write_arrays(self.arrays.table[lane], 0, body.arrays)
            if chunk is not wanted or wanted is None:
                write_chunk(self.arrays.table[lane], wanted or NOTHING)
            self._written[lane] = (body.arrays, wanted or NOTHING)
        return operate_hosts(op, self.arrays, which, now, value)

    def _free(self, kind: str) -> int:
        """Return a number that nobody has, the lowest one."""
        unused = self._unused[kind]
        if not unused:
            old: Records = getattr(self.arrays, kind)
            size = max(64, 2 * old.size)
            unused.extend(range(old.size, size))
            self.arrays = self.arrays._replace(**{kind: grown(old, size)})
            if kind == "hosts":
                self.arrays = self.arrays._replace(heap=grown(self.arrays.heap, size))
        return heapq.heappop(unused)
