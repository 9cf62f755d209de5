"""Instance refresh: every instance of a group is replaced, so many at a time.

Source: Amazon EC2 Auto Scaling User Guide, asg-instance-refresh.html and instance-refresh-overview.html; API_RefreshPreferences.html.
ECS drains the instances that go where the capacity provider manages draining (Amazon ECS Developer Guide, managed-instance-draining.html).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from fargsim.model.group_options import RefreshPreferences
from fargsim.policy.scaling_group import refresh_batch
from fargsim.sim.kit import US_PER_S, Kit

if TYPE_CHECKING:
    from fargsim.sim.groups import AutoScalingGroupRun
    from fargsim.sim.instances import InstanceRun

WAIT_S = 3600
"""How long a refresh waits for instances that are protected from scale-in."""


class InstanceRefresh:
    """One refresh, from its start to the last instance.

    Attributes
    ----------
    status
        ``InProgress``, ``Successful`` or ``Failed``.
    reason
        Why it has failed.
    """

    def __init__(self, kit: Kit, group: AutoScalingGroupRun, preferences: RefreshPreferences, number: int) -> None:
        self.refresh_id = kit.streams.identifier(f"instance refresh {group.name}", number, 32)
        self.status = "InProgress"
        self.reason: str | None = None
        self.started_at = kit.now
        self.ended_at: int | None = None
        self._kit = kit
        self._group = group
        self._preferences = preferences
        warm = group.warmup_us(preferences.instance_warmup, group.spec.health_check_grace_period)
        self._warmup_us = warm
        current = group.template_version
        self._old = {
            i.instance_id: i
            for i in group.in_service
            if not (preferences.skip_matching and i.template_version == current)
        }
        self._total = len(self._old)
        self._ahead = 0
        self._looking = False
        group.on_change.append(self._look)
        self._stuck_since: int | None = None
        self._look()

    @property
    def percentage_complete(self) -> int:
        """Share of the instances that have been replaced, percent."""
        return 100 if not self._total else 100 * (self._total - len(self._left())) // self._total

    def _left(self) -> list[InstanceRun]:
        serving = self._group.serving_ids
        return [i for name, i in self._old.items() if name in serving]

    def _look(self) -> None:
        """Look once, unless a look is under way: what it does calls for looks by itself."""
        if self._looking or self.status != "InProgress":
            return
        self._looking = True
        self._step()
        self._looking = False

    def _step(self) -> None:
        """Replace as many as may be replaced now."""
        group, preferences = self._group, self._preferences
        left = self._left()
        there = group.in_service
        warm = [i for i in there if i.in_service_at is not None and self._is_warm(i)]
        launching = len(there) - len(warm)
        if not left:
            if launching == 0 and len(there) >= group.desired:
                self._end("Successful")
            return
        ahead, away = refresh_batch(
            group.desired,
            len(warm),
            launching,
            preferences.min_healthy_percentage,
            preferences.max_healthy_percentage,
        )
        for _ in range(min(ahead, len(left) - self._ahead)):
            added = group.launch_one()
            if added is None:
                break
            self._ahead += 1
            self._wake(added)
        able = [i for i in left if preferences.scale_in_protected_instances == "Refresh" or not group.protected(i)]
        if not able and preferences.scale_in_protected_instances == "Ignore":
            self._end("Successful")
            return
        self._watch_for_ever(stuck=not able)
        for instance in able[:away]:
            instance.status_reason = "instance refresh"
            before = set(group.serving_ids)
            group.take_away(instance)
            if self._ahead:
                self._ahead -= 1
            else:
                group.reconcile()
            for name in group.serving_ids - before:
                self._wake(group.instances[name])

    def _is_warm(self, instance: InstanceRun) -> bool:
        at = instance.in_service_at
        return instance.instance_id in self._old or (at is not None and self._kit.now >= at + self._warmup_us)

    def _wake(self, added: InstanceRun) -> None:
        """Look again when a new instance has warmed up."""
        self._group.when_settled(added, lambda: self._kit.at(self._kit.now + self._warmup_us, self._look))

    def _watch_for_ever(self, *, stuck: bool) -> None:
        """Fail after an hour in which every instance that is left was protected; look again each minute meanwhile."""
        now = self._kit.now
        if not stuck:
            self._stuck_since = None
            return
        if self._stuck_since is None:
            self._stuck_since = now
        if now >= self._stuck_since + WAIT_S * US_PER_S:
            self._end("Failed", "instances are protected from scale-in")
        else:
            self._kit.at(now + 60 * US_PER_S, self._look)

    def _end(self, status: str, reason: str | None = None) -> None:
        self.status, self.reason, self.ended_at = status, reason, self._kit.now
        self._group.on_change.remove(self._look)
        text = f"instance refresh {self.refresh_id} of {self._group.name}: {status}" + (
            f" ({reason})" if reason else ""
        )
        kind = "INFO" if status == "Successful" else "ERROR"
        self._kit.event(self._group.cluster.name, None, text, "INSTANCE_REFRESH", kind)
