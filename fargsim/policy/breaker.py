"""The deployment circuit breaker's count of failed tasks.

Source: Amazon ECS Developer Guide, deployment-circuit-breaker.html. The threshold is `fargsim.policy.deployment.breaker_threshold`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

TaskEvent = Literal["never_ran", "running", "healthy", "replaced_unhealthy"]
"""What happened to a task of the deployment: it stopped without having reached RUNNING (or could not be launched); it reached RUNNING; it
became healthy; it was replaced because a balancer, Cloud Map or container health check failed."""


@dataclass(frozen=True, slots=True)
class BreakerMemory:
    """The breaker of one deployment.

    Parameters
    ----------
    stage
        1 until the first task of the deployment is RUNNING, then 2.
    failures
        Failed tasks counted in this stage.
    """

    stage: Literal[1, 2] = 1
    failures: int = 0


def breaker_step(memory: BreakerMemory, event: TaskEvent, *, reset_on_healthy_task: bool = True) -> BreakerMemory:
    """Count one event.

    Stage 1 counts tasks that never reach RUNNING. As soon as one task runs, stage 2 counts, from zero, tasks replaced after failing
    health checks. A task that becomes healthy sets the count back, unless the count is cumulative.

    Examples
    --------
    >>> memory = BreakerMemory()
    >>> for event in ("never_ran", "never_ran", "running", "replaced_unhealthy"):
    ...     memory = breaker_step(memory, event)
    >>> memory
    BreakerMemory(stage=2, failures=1)
    """
    if event == "running" and memory.stage == 1:
        return BreakerMemory(stage=2)
    if event == "healthy" and reset_on_healthy_task:
        return BreakerMemory(stage=memory.stage)
    counted = "never_ran" if memory.stage == 1 else "replaced_unhealthy"
    return BreakerMemory(memory.stage, memory.failures + 1) if event == counted else memory


def breaker_open(memory: BreakerMemory, threshold: int) -> bool:
    """Return whether the deployment has failed.

    >>> breaker_open(BreakerMemory(failures=3), 3)
    True
    """
    return memory.failures >= threshold
