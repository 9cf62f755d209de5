"""When a service may try to start tasks again.

Source: Amazon ECS Developer Guide, service-throttle-logic.html: the delay grows while tasks go from PENDING to STOPPED without having
reached RUNNING, up to 27 minutes; tasks that reached RUNNING do not count, whatever stops them; a new task definition ends it at once.
"""

from __future__ import annotations

from fargsim.policy.deployment import throttle_delay_s
from fargsim.sim.kit import US_PER_S, Kit


class LaunchThrottle:
    """Growing delays between the starts of a service whose tasks never reach RUNNING."""

    def __init__(self, kit: Kit) -> None:
        self.not_before = 0
        self._kit = kit
        self._failures = 0
        self._counted = -1

    def failed(self, created_at: int) -> int:
        """Count a task that stopped without having reached RUNNING and return how many attempts in a row have failed.

        Tasks that were started together are one attempt.
        """
        if created_at <= self._counted:
            return self._failures
        self._counted = self._kit.now
        self._failures += 1
        parameters = self._kit.parameters
        delay = throttle_delay_s(
            self._failures,
            base_s=parameters.number("throttle_base_s"),
            factor=parameters.number("throttle_factor"),
            cap_s=parameters.number("throttle_cap_s"),
        )
        self.not_before = self._kit.now + round(delay * US_PER_S)
        return self._failures

    def reset(self) -> None:
        """Forget the failures: a task has reached RUNNING, or the service was given a new task definition."""
        self._failures = self.not_before = 0

    def holds(self, now_us: int) -> bool:
        """Whether no task may be started yet."""
        return now_us < self.not_before


class PlacementRetry:
    """When tasks that find no place are tried again: at a steady pace or, as an alternative, in two speeds.

    The two speeds are those of a public experiment (github.com/reproio/ecs_deploy, pull request 53): about 50 s of quick tries, then one
    every five minutes.
    """

    def __init__(self, kit: Kit) -> None:
        self._kit = kit
        self._since: int | None = None
        self._not_before = 0

    @property
    def two_speed(self) -> bool:
        """Whether the two speeds are in force."""
        return self._kit.parameters.flag("placement_retry_two_speed")

    def failed(self) -> int:
        """Take note of a failed try and return how long to wait for the next one, in microseconds."""
        kit = self._kit
        self._since = kit.now if self._since is None else self._since
        wait = kit.us("placement_retry_s")
        if self.two_speed and kit.now >= self._since + kit.us("placement_retry_fast_window_s"):
            wait = kit.us("placement_retry_slow_s")
            self._not_before = kit.now + wait
        return wait

    def queue_full(self) -> int:
        """Take note that too many tasks wait for instances already; the next try comes after ``provisioning_retry_s``, not before."""
        wait = self._kit.us("provisioning_retry_s")
        self._not_before = self._kit.now + wait
        return wait

    def found(self) -> None:
        """Take note of a task that has found its place."""
        self._since = None
        self._not_before = 0

    def waits(self) -> bool:
        """Whether the slow pace holds the next try back, whatever capacity has come meanwhile."""
        return self._kit.now < self._not_before

    @property
    def not_before(self) -> int:
        """The instant of the next try in the slow pace."""
        return self._not_before
