"""How a daemon service moves: one task on every ACTIVE instance that meets its constraints, renewed instance by instance.

Source: Amazon ECS Developer Guide, ecs_service-options.html (daemon scheduling strategy), container-instance-draining.html; Amazon ECS API
Reference, API_DeploymentConfiguration.html. The step itself is a model that satisfies them; AWS does not publish its own.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Literal

DaemonStanding = Literal["pending", "undecided", "healthy", "unhealthy"]
Why = Literal["unhealthy", "revision", "constraint", "draining"]


@dataclass(frozen=True, slots=True)
class DaemonHost:
    """One instance, as a daemon service sees it.

    Parameters
    ----------
    host
        Its row in the fleet.
    place
        ``wanted``: ACTIVE and meets every constraint; ``unmet``: ACTIVE, but a constraint is not met (any more); ``draining``.
    standing
        How its daemon task stands; None where no living one is there.
    newest
        Whether that task is of the newest deployment.
    blocked
        Whether nothing can start there now: a former task has not stopped yet, its loss has not been noticed, or the agent is away.
    alone
        Whether no task but daemon tasks is left on it: on a draining instance they are the last to stop.
    protected
        Whether scale-in protection keeps its task from being renewed by a deployment; a failed check, a constraint that is not met any
        more and a draining instance it does not stop.
    """

    host: int
    place: Literal["wanted", "unmet", "draining"] = "wanted"
    standing: DaemonStanding | None = None
    newest: bool = True
    blocked: bool = False
    alone: bool = False
    protected: bool = False


@dataclass(frozen=True, slots=True)
class DaemonStep:
    """What one look decides.

    Parameters
    ----------
    desired
        On how many instances a task is wanted.
    starts
        Hosts on which a task of the newest deployment starts.
    stops
        Hosts whose task stops, and why.
    complete
        Every wanted host has a healthy task of the newest deployment.
    stalled
        Something is left to do, nothing may be stopped, and nothing is in flight: the configuration forbids it.
    """

    desired: int
    starts: tuple[int, ...]
    stops: tuple[tuple[int, Why], ...]
    complete: bool
    stalled: bool


def daemon_step(
    hosts: Sequence[DaemonHost],
    *,
    minimum_healthy_percent: int = 0,
    failed: bool = False,
    resolving: bool = False,
    launches: int = 1 << 30,
) -> DaemonStep:
    """Decide on which hosts a daemon task starts and stops now.

    An instance never holds two (``maximumPercent`` is 100), so a deployment stops the old task first and starts the new one in its place,
    on as many instances at once as ``minimumHealthyPercent`` of the wanted ones allows.

    Parameters
    ----------
    minimum_healthy_percent
        0 by default for a daemon service.
    failed
        Whether the newest deployment has been given up: it starts nothing and replaces nothing.
    resolving
        Whether its first task has yet to establish the digests of the images: no other one starts before.
    launches
        How many launches the rate limits allow now.

    Examples
    --------
    Two of four old tasks may stop first:

    >>> old = [DaemonHost(row, standing="healthy", newest=False) for row in range(4)]
    >>> daemon_step(old, minimum_healthy_percent=50).stops
    ((0, 'revision'), (1, 'revision'))
    """
    wanted = [h for h in hosts if h.place == "wanted"]
    lower = math.ceil(Fraction(len(wanted) * minimum_healthy_percent, 100))
    healthy = sum(h.standing == "healthy" for h in wanted)
    bare = [h for h in wanted if h.standing is None]
    newest = sum(h.standing is not None and h.newest for h in wanted)

    room = 0 if failed else launches
    if resolving:
        room = min(room, max(0, 1 - newest))
    starts = tuple(h.host for h in bare if not h.blocked)[: max(0, room)]

    stops: list[tuple[int, Why]] = [(h.host, "constraint") for h in hosts if h.place == "unmet" and h.standing]
    stops += [(h.host, "draining") for h in hosts if h.place == "draining" and h.standing and h.alone]
    if not failed:
        stops += [(h.host, "unhealthy") for h in wanted if h.standing == "unhealthy" and h.newest]
        old = [h for h in wanted if h.standing is not None and not h.newest and not h.protected]
        # what serves nobody goes first
        old.sort(key=lambda h: h.standing == "healthy")
        renewable = max(0, 1 - len(bare) - newest) if resolving else len(old)
        may_stop = max(0, healthy - lower)
        for host in old:
            if not renewable:
                break
            if host.standing == "healthy":
                if not may_stop:
                    break
                may_stop -= 1
            renewable -= 1
            stops.append((host.host, "revision"))

    complete = all(h.standing == "healthy" and h.newest for h in wanted)
    in_flight = any(h.standing in ("pending", "undecided") or h.blocked for h in hosts) or launches <= 0
    stalled = not (complete or starts or stops or in_flight or bare or failed)
    return DaemonStep(len(wanted), starts, tuple(stops), complete, stalled)
