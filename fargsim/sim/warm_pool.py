"""Warm pools: instances that have been prepared beside an Auto Scaling group, stopped, running or hibernated.

Source: Amazon EC2 Auto Scaling User Guide, ec2-auto-scaling-warm-pools.html and warm-pool-instance-lifecycle.html; Amazon ECS Developer
Guide, using-warm-pool.html: agents with ``ECS_WARM_POOLS_CHECK`` register when the instance leaves the pool. Instances do not come back on
scale-in: ECS capacity providers do not allow it.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from typing import TYPE_CHECKING, Any

import simpy

from fargsim.model.group_options import WarmPoolConfiguration
from fargsim.sim.instances import InstanceRun
from fargsim.sim.kit import Kit
from fargsim.sim.records import record_instance

if TYPE_CHECKING:
    from fargsim.sim.groups import AutoScalingGroupRun

Process = Generator[simpy.Event, Any, None]


class WarmPool:
    """The warm pool of a group.

    An instance is launched into it like any other and passes the hooks of a launch; when it has done what its start-up does (the time that
    an instance outside takes from running to its registration), it goes into the pool's state.
    """

    def __init__(self, kit: Kit, group: AutoScalingGroupRun, spec: WarmPoolConfiguration) -> None:
        self.spec = spec
        self.instances: dict[str, InstanceRun] = {}
        self._ready: dict[str, InstanceRun] = {}
        self._kit = kit
        self._group = group

    def fill(self) -> None:
        """Bring the pool to its size for the group's desired capacity: prepare instances, or terminate the newest."""
        group = self._group
        size = self.spec.size(group.desired, group.maximum)
        while len(self.instances) < size:
            if not self._prepare():
                break  # the group looks again when capacity is back
        while len(self.instances) > size:
            self._drop(list(self.instances.values())[-1])

    def _prepare(self) -> bool:
        """Launch an instance into the pool, into the emptiest zone that has capacity; false where none has."""
        group = self._group
        zones = [i.zone for i in (*group.in_service, *self.instances.values())]
        able = [z for z in group.zones if group.capacity.open("on-demand", group.template.instance_type, z)]
        if not able:
            return False
        zone = min(able, key=zones.count)
        instance = InstanceRun(self._kit, self._group, zone)
        instance.lifecycle_state = "Warmed:Pending"
        self.instances[instance.instance_id] = instance
        self._kit.env.process(self._warm(instance))
        return True

    def _warm(self, instance: InstanceRun) -> Process:
        kit = self._kit
        yield kit.env.timeout(kit.us("ec2_launch_to_running_s"))
        if instance.gone():
            return
        instance.running_at = kit.now
        go_on = True
        if self._group.hooks.launching:
            go_on = yield from self._group.hooks.launch(instance)
        if go_on and not instance.gone():
            yield kit.env.timeout(self._group.registration_us())
        if instance.gone():
            return
        if not go_on:
            self._drop(instance)
            self.fill()
            return
        instance.lifecycle_state = f"Warmed:{self.spec.pool_state}"
        if self.spec.pool_state != "Running":
            instance.stopped_at = kit.now
        self._ready[instance.instance_id] = instance

    def take(self, counts: Sequence[int]) -> InstanceRun | None:
        """Take a prepared instance out, of the zone where the group has the fewest; None where none is ready."""
        zones = self._group.zones
        if not self._ready:
            return None
        chosen = min(self._ready.values(), key=lambda i: (counts[zones.index(i.zone)], i.number))
        del self._ready[chosen.instance_id]
        del self.instances[chosen.instance_id]
        return chosen

    def start_us(self) -> int:
        """Return how long an instance takes from the pool's state to running."""
        state = self.spec.pool_state
        return 0 if state == "Running" else self._kit.us(f"warm_{state.lower()}_to_running_s")

    def _drop(self, instance: InstanceRun) -> None:
        self.instances.pop(instance.instance_id, None)
        self._ready.pop(instance.instance_id, None)
        instance.terminated_at = self._kit.now
        instance.status = "INACTIVE"
        instance.lifecycle_state = "Warmed:Terminated"
        record_instance(self._kit, instance)
