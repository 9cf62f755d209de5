"""Limits of the account: launch rates and vCPUs.

Three gates in series for a Fargate task: the service's launches per minute, the account's token bucket of its purchase option, and the
vCPUs that may run at once. Source: Amazon ECS Developer Guide, throttling.html; AWS General Reference, ecs-service.html.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from fargsim.sim.fargate_capacity import FargateCapacity
from fargsim.sim.kit import US_PER_S, Kit

MINUTE_US = 60 * US_PER_S

LIMITS = {
    "LIMIT:CPU": "The requested CPU configuration is above your limit.",
    "LIMIT:MEMORY": "The requested MEMORY configuration is above your limit.",
    "LIMIT:TASKS": "You've reached the limit on the number of tasks you can run concurrently.",
    "LIMIT:VCPU": "You've reached the limit on the number of vCPUs you can run concurrently.",
}
"""What ECS says of a Fargate task that a quota of the account keeps out: Amazon ECS Developer Guide, service-event-messages-list.html."""


class TokenBucket:
    """A bucket of launch tokens that refills steadily; full at the start.

    Counted in whole micro-tokens, so that nothing drifts.

    Examples
    --------
    >>> bucket = TokenBucket(burst=100, per_s=20)
    >>> bucket.take(0, 1000), bucket.take(1_000_000, 1000), bucket.take(1_000_000, 1)
    (100, 20, 0)
    """

    def __init__(self, burst: float, per_s: float) -> None:
        self.burst = burst
        self.per_s = per_s
        self._level = round(burst * US_PER_S)
        self._at = 0

    def available(self, now_us: int) -> int:
        """Return the whole tokens in the bucket."""
        level = min(round(self.burst * US_PER_S), self._level + round((now_us - self._at) * self.per_s))
        return level // US_PER_S

    def take(self, now_us: int, wanted: int) -> int:
        """Take up to `wanted` tokens and return how many there were."""
        level = min(round(self.burst * US_PER_S), self._level + round((now_us - self._at) * self.per_s))
        granted = max(0, min(wanted, level // US_PER_S))
        self._level = level - granted * US_PER_S
        self._at = now_us
        return granted


class Window:
    """So many launches in any rolling minute."""

    def __init__(self) -> None:
        self._taken: deque[tuple[int, int]] = deque()
        self._sum = 0

    def available(self, now_us: int, per_minute: float | None) -> int:
        """Return how many launches are still allowed in the minute that ends now."""
        while self._taken and self._taken[0][0] <= now_us - MINUTE_US:
            self._sum -= self._taken.popleft()[1]
        return 1 << 30 if per_minute is None else max(0, int(per_minute) - self._sum)

    def take(self, now_us: int, number: int) -> None:
        """Count launches."""
        if number:
            self._taken.append((now_us, number))
            self._sum += number


class FargateAccount:
    """Launch buckets and vCPUs in use of one account and region, on-demand and Spot apart."""

    def __init__(self, kit: Kit) -> None:
        share = kit.parameters.number("launch_rate_share")
        self._task_vcpu, self._task_gib = kit.quotas["fargate_task_vcpu"], kit.quotas["fargate_task_memory_gib"]
        self._buckets = {}
        self._limit_units: dict[str, float] = {}
        self._limit_tasks: dict[str, float | None] = {}
        for option in ("on_demand", "spot"):
            burst, rate = kit.quotas[f"fargate_{option}_launch_burst"], kit.quotas[f"fargate_{option}_launches_per_s"]
            self._buckets[option] = TokenBucket(burst or 1e9, (rate or 1e9) * share)
            vcpu = kit.quotas[f"fargate_{option}_vcpu"]
            self._limit_units[option] = float("inf") if vcpu is None else vcpu * 1024
            self._limit_tasks[option] = kit.quotas[f"fargate_{option}_tasks"]
        self._units = {"on_demand": 0, "spot": 0}
        self._tasks = {"on_demand": 0, "spot": 0}
        self.on_freed: list[Callable[[], None]] = []
        self.capacity = FargateCapacity(kit, self._tell)

    @staticmethod
    def option(capacity_provider: str | None) -> str:
        """Return the purchase option of a capacity provider."""
        return "spot" if capacity_provider == "FARGATE_SPOT" else "on_demand"

    def limit(self, option: str, cpu_units: int, memory_mib: int) -> str:
        """Return which limit of the account keeps one more task of this size out, as `LIMITS` names them; empty where none does."""
        if self._task_vcpu is not None and cpu_units > self._task_vcpu * 1024:
            return "LIMIT:CPU"
        if self._task_gib is not None and memory_mib > self._task_gib * 1024:
            return "LIMIT:MEMORY"
        tasks = self._limit_tasks[option]
        if tasks is not None and self._tasks[option] >= tasks:
            return "LIMIT:TASKS"
        return "" if self._units[option] + cpu_units <= self._limit_units[option] else "LIMIT:VCPU"

    def tokens(self, option: str, now_us: int) -> int:
        """Return the launches the bucket allows now."""
        return self._buckets[option].available(now_us)

    def said(
        self, option: str, tokens: int, cpu_units: int, memory_mib: int, limit: str
    ) -> list[tuple[str, str, bool, str | None, str, str]]:
        """Return what the two gates of the account say of one more task, for records in full."""
        rate = (option, "launch rate", tokens >= 1, None if tokens >= 1 else "THROTTLED", "1 launch", f"{tokens} left")
        if tokens < 1:
            return [rate]
        needed = f"{cpu_units / 1024:g} vCPU"
        if limit == "LIMIT:CPU":
            return [rate, (option, "task size", False, limit, needed, f"at most {self._task_vcpu:g} vCPU a task")]
        if limit == "LIMIT:MEMORY":
            found = f"at most {self._task_gib:g} GiB a task"
            return [rate, (option, "task size", False, limit, f"{memory_mib / 1024:g} GiB", found)]
        most, used = self._limit_units[option], self._units[option]
        found = f"{used / 1024:g} of {most / 1024:g} vCPU in use"
        tasks = self._limit_tasks[option]
        if tasks is not None:
            found += f", {self._tasks[option]} of {tasks:g} tasks"
        quota = "task quota" if limit == "LIMIT:TASKS" else "vCPU quota"
        return [rate, (option, quota, not limit, limit or None, needed, found)]

    def launch(self, option: str, now_us: int, cpu_units: int, token: bool = True) -> None:
        """Count a launched task, and take its token from the bucket."""
        if token:
            self._buckets[option].take(now_us, 1)
        self._units[option] += cpu_units
        self._tasks[option] += 1

    def freed(self, option: str, cpu_units: int) -> None:
        """Give a stopped task's vCPUs back."""
        self._units[option] -= cpu_units
        self._tasks[option] -= 1
        self._tell()

    def _tell(self) -> None:
        for act in self.on_freed:
            act()

    @property
    def vcpu_in_use(self) -> float:
        """The vCPUs of all Fargate tasks."""
        return sum(self._units.values()) / 1024
