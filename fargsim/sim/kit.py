"""What every process of a region needs: the clock, the streams, the facts and the recorder."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import count
from typing import TYPE_CHECKING

import simpy

from fargsim.catalog.parameters import Parameters
from fargsim.catalog.quotas import Quotas
from fargsim.record.buffer import Recorder
from fargsim.sim.streams import Streams

if TYPE_CHECKING:
    from fargsim.sim.cpu_credits import CreditRun
    from fargsim.sim.host_sharing import HostSharing
    from fargsim.sim.surroundings import SurroundingsRun
    from fargsim.sim.task_work import TaskWork

US_PER_S = 1_000_000
PERIOD_END = 10
"""Priority of the close of a metric period: after everything else that happens at its boundary."""


class EventCounter:
    """Numbers things of one kind, from 0, for one run."""

    def __init__(self) -> None:
        self._counters: dict[str, count[int]] = {}

    def next(self, kind: str) -> int:
        """Return the next number of a kind."""
        if kind not in self._counters:
            self._counters[kind] = count()
        return next(self._counters[kind])


@dataclass(slots=True)
class Kit:
    """The shared equipment of one run.

    Parameters
    ----------
    env
        SimPy's environment; its clock counts integer microseconds from the start of the run.
    region
        Name of the region.
    zones
        The availability zones in use, in order.
    parameters
        Timings and model parameters.
    quotas
        Limits of the account.
    streams
        Random numbers.
    recorder
        The tables.
    """

    env: simpy.Environment
    region: str
    zones: tuple[str, ...]
    parameters: Parameters
    quotas: Quotas
    streams: Streams
    recorder: Recorder
    counter: EventCounter = field(default_factory=EventCounter)
    account: str = "123456789012"
    surroundings: SurroundingsRun = field(init=False)
    """What tasks find around them."""
    work: TaskWork = field(init=False)
    """The work that tasks find by themselves."""
    sharing: HostSharing = field(init=False)
    """The instances whose tasks share the cores."""
    burstable: dict[str, CreditRun] = field(default_factory=dict)
    """The CPU credits of the instances that have some, by instance."""
    _us: dict[str, int] = field(default_factory=dict)

    @property
    def now(self) -> int:
        """Microseconds since the start of the run."""
        return int(self.env.now)

    def us(self, parameter: str) -> int:
        """Return a parameter given in seconds as whole microseconds."""
        known = self._us.get(parameter)
        if known is None:
            known = self._us[parameter] = round(self.parameters.number(parameter) * US_PER_S)
        return known

    def at(self, instant_us: int, act: Callable[[], None]) -> None:
        """Do something at an instant, now at the earliest."""
        timer = self.env.timeout(max(0, instant_us - self.now))
        assert timer.callbacks is not None
        timer.callbacks.append(lambda _: act())

    def grid(self, instant_us: int) -> int:
        """Return the first tick of the schedulers at or after an instant."""
        tick = self.us("scheduler_tick_s")
        return -(-instant_us // tick) * tick

    def unique(self, stream: str) -> str:
        """Return a name for streams: the one wanted, with a number behind it when it is taken."""
        number = self.counter.next(f"stream {stream}")
        return stream if number == 0 else f"{stream}#{number + 1}"

    def identifier(self, kind: str, digits: int = 32) -> str:
        """Return a new identifier of a kind."""
        return self.streams.identifier(kind, self.counter.next(kind), digits)

    def arn(self, kind: str, name: str, service: str = "ecs") -> str:
        """Return the Amazon Resource Name of something."""
        return f"arn:aws:{service}:{self.region}:{self.account}:{kind}/{name}"

    def event(
        self, cluster: str, service: str | None, message: str, name: str = "", kind: str = "INFO", of: str = ""
    ) -> None:
        """Write a service event; `of`: what it is about, where that is not the service as a whole."""
        said = f"(service {of or service}) {message}" if service else message
        number = self.counter.next("event")
        self.recorder.events.append(
            (self.streams.identifier("event", number, 32), self.now, cluster, service, kind, name, said)
        )
