"""The life of one task, from PROVISIONING to STOPPED, as one readable process.

Source of the states and of what is done in each: Amazon ECS Developer Guide, task-lifecycle-explanation.html; timestamps: Amazon ECS API
Reference, API_Task.html.
"""

from __future__ import annotations

import contextlib
from collections.abc import Generator
from typing import Any

import simpy

from fargsim.model.quantity import US_PER_S
from fargsim.sim.container_limits import KILLED, requests_pass_limit
from fargsim.sim.container_machine import EXITED, ContainerMachine
from fargsim.sim.container_run import needs_machine
from fargsim.sim.containers import (
    cannot_execute,
    essential_exit,
    start_containers,
    stop_containers,
    take_end,
    watch_health,
)
from fargsim.sim.kit import Kit
from fargsim.sim.places import free_place, leave_group, release_reservation
from fargsim.sim.records import record_killed, record_task
from fargsim.sim.start_up import StartFailed, activate, leave, provision, settle, wait_for_host
from fargsim.sim.state import Stop, TaskRun
from fargsim.sim.task_state import enter

Process = Generator[simpy.Event, Any, None]
RECLAIMED = "Your Spot Task was interrupted."


def live(kit: Kit, task: TaskRun) -> Process:
    """Live a task's life."""
    try:
        if task.placed is not None:
            yield task.placed
        if task.settled:
            settle(kit, task)
        else:
            yield from provision(kit, task)
            yield from wait_for_host(kit, task)
            yield from activate(kit, task)
        if needs_machine(task.revision) or cannot_execute(kit, task):
            yield from start_containers(kit, task)
        if task.alive:
            yield from run(kit, task)
    except (simpy.Interrupt, StartFailed):
        # the reason is in task.stop_wanted; what follows depends on how far the task has come
        pass
    yield from wind_down(kit, task)


def run(kit: Kit, task: TaskRun) -> Process:
    """Run the containers until an essential one ends or somebody stops the task."""
    task.started_at = kit.now
    machine = task.machine
    if machine is None:
        boot = task.revision.behaviour.boot
        task.boot_done_at = kit.now + (
            0 if task.settled else kit.streams.duration_us(f"boot/{task.revision.definition.family}", boot)
        )
    assert task.boot_done_at is not None
    if task.service is not None:
        task.targets = [(g, g.register(task, task.boot_done_at)) for g in task.service.target_groups(task)]
    enter(kit, task, "RUNNING")
    if machine is not None:
        yield from run_machine(kit, task, machine)
        return
    kit.work.started(task, task.boot_done_at)
    watch_health(kit, task)
    ends = essential_exit(kit, task)
    reclaimed = spot_interruption(kit, task)
    if reclaimed is not None and (ends is None or reclaimed < ends[0]):
        yield kit.env.timeout(reclaimed)
        take_end(task, Stop("SpotInterruption", RECLAIMED, drain=False))
        return
    if ends is None:
        yield kit.env.event()  # until somebody interrupts
        return
    after, exit_code = ends
    yield kit.env.timeout(after)
    task.exit_code = exit_code
    take_end(task, Stop("EssentialContainerExited", EXITED, exit_code))


def run_machine(kit: Kit, task: TaskRun, machine: ContainerMachine) -> Process:
    """Run containers that have lives of their own until they end the task or Fargate reclaims it."""
    machine.memory.held_before_running = machine.memory.byte_us()
    machine.on_serving = lambda ready_at: _restarted(kit, task, ready_at)
    if machine.serving.alive and task.boot_done_at is not None:
        kit.work.started(task, task.boot_done_at)
    elif not machine.serving.alive:
        for group, target in task.targets:
            group.restarted(target, None)  # it has ended already; if it is restarted, it says when it answers
    if task.service is not None:
        task.service.task_started(task, machine.checked)
    machine.tell_health()
    reclaimed = spot_interruption(kit, task)
    if reclaimed is None:
        yield machine.ended
    else:
        yield machine.ended | kit.env.timeout(reclaimed)
    if machine.stop is not None:
        take_end(task, machine.stop)
    else:
        take_end(task, Stop("SpotInterruption", RECLAIMED, drain=False))


def _restarted(kit: Kit, task: TaskRun, ready_at: int | None) -> None:
    kit.work.restarted(task, ready_at)
    for group, target in task.targets:
        group.restarted(target, ready_at)


def press(kit: Kit, task: TaskRun, in_task: int, worked: int) -> None:
    """Let a running task feel what its requests hold in memory and have written at this instant.

    Parameters
    ----------
    in_task, worked
        Requests in the task, waiting ones included, and requests it has worked to the end so far.
    """
    if task.last_status != "RUNNING" or not task.alive:
        return
    if task.machine is not None:
        task.machine.requests(in_task, worked)
    elif requests_pass_limit(task, in_task):
        crash(kit, task, 137, KILLED)


def crash(kit: Kit, task: TaskRun, exit_code: int, reason: str | None = None) -> None:
    """Let the container that serves a task's requests die: it may be restarted in place, or it takes the task with it.

    Parameters
    ----------
    reason
        Why, in ECS's words; None where it died by itself.
    """
    if task.machine is not None:
        task.machine.exit(task.machine.serving, exit_code, reason)
        return
    task.exit_code, task.container_reason = exit_code, reason
    if reason is not None:
        record_killed(kit, task)
    stop_task(kit, task, Stop("EssentialContainerExited", EXITED, exit_code, drain=False))


def spot_interruption(kit: Kit, task: TaskRun) -> int | None:
    """Return after how long Fargate reclaims a Spot task; AWS publishes no rate, so it is a parameter."""
    per_hour = kit.parameters.number("spot_interruptions_per_task_hour")
    if task.capacity_provider != "FARGATE_SPOT" or not per_hour:
        return None
    hours = float(kit.streams[f"spot/{task.group}"].standard_exponential()) / per_hour
    return round(hours * 3600 * US_PER_S)


def stop_task(kit: Kit, task: TaskRun, stop: Stop) -> bool:
    """Set the desired status to STOPPED and let the task wind down; false when it already is on its way out."""
    if not task.alive and not (stop.kill and task.last_status != "STOPPED"):
        return False
    task.desired_status = "STOPPED"
    leave_group(task)
    if task.stop_wanted is None or not stop.kill:
        task.stop_wanted = stop
    if stop.kill:
        task.stop_wanted.kill = True
    task.cluster.waiting.pop(task.task_id, None)  # nobody needs an instance for it any more
    process = task.process
    if process is not None and process.is_alive and process is not kit.env.active_process:
        process.interrupt(stop.code)
    return True


def wind_down(kit: Kit, task: TaskRun) -> Process:
    """Deregister, stop the containers, detach the interface."""
    stop = task.stop_wanted
    assert stop is not None
    task.desired_status = "STOPPED"
    task.healthy = False
    machine = task.machine
    if task.exit_code is not None or stop.kill:
        kit.work.leave(task)  # what has ended works on nothing
    ran = task.started_at is not None or (machine is not None and machine.ran)
    try:
        while task.instance is not None and task.instance.reconnected is not None and not stop.kill:
            # an agent that is cut off neither hears that the task is to stop nor says that it has: it stays as it was last known
            leave_group(task)
            for group, target in task.targets if task.exit_code is not None else ():
                group.drop(target)  # but what has ended answers nobody
            yield task.instance.reconnected
        if ran and not stop.kill:
            if task.exit_code is None and stop.drain:
                yield from drain(kit, task)
            for group, target in task.targets:
                if task.exit_code is None and stop.code == "SpotInterruption":
                    group.stop_routing(target)  # what it holds may still be answered until its containers have gone
                else:
                    group.drop(target)
            release_reservation(kit, task)
            task.stopping_at = kit.now
            enter(kit, task, "STOPPING")
            kit.work.stopping(task)
            yield from stop_containers(kit, task)
        elif task.pull_started_at is not None and not stop.kill:
            task.execution_stopped_at = kit.now
    except simpy.Interrupt:
        pass  # its instance is gone: nothing is left to wait for
    if machine is not None and stop.kill:
        machine.vanish()
    kit.work.leave(task)
    for group, target in task.targets:
        group.drop(target)
    if ran and task.execution_stopped_at is None:
        task.execution_stopped_at = kit.now
    if stop.kill and task.stopping_at is None and ran:
        task.stopping_at = kit.now
    release_reservation(kit, task)
    free_place(kit, task)
    awsvpc = task.fargate or task.revision.definition.effective_network_mode == "awsvpc"
    if awsvpc and not stop.kill and task.zone is not None and not task.without_interface:
        enter(kit, task, "DEPROVISIONING")
        with contextlib.suppress(simpy.Interrupt):
            yield kit.env.timeout(kit.us("deprovision_s"))
    leave(kit, task)
    task.stopped_at = kit.now
    enter(kit, task, "STOPPED")
    record_task(kit, task)
    task.cluster.retire(task)
    if task.service is not None:
        task.service.task_stopped(task)


def drain(kit: Kit, task: TaskRun) -> Process:
    """Deregister from every target group and wait until each target is unused."""
    if not task.targets:
        return
    leave_group(task)
    enter(kit, task, "DEACTIVATING")
    if task.instance is not None and task.spec.placement_constraints:
        task.cluster.capacity_changed()  # it is not of the group any more: another task may come to its instance
    unused = kit.env.event()
    left = len(task.targets)

    def one() -> None:
        nonlocal left
        left -= 1
        if left == 0 and not unused.triggered:
            unused.succeed()

    for group, target in task.targets:
        group.deregister(target, one)
    if task.machine is None:
        yield unused
    else:
        yield unused | task.machine.ended  # a container that ends by itself serves nobody any more
