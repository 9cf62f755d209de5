"""The containers of one task, each with a life of its own: order of start and stop, health, restarts, ends.

Only tasks that need it have a machine (`fargsim.sim.container_run.needs_machine`): a task of one plain container has one life, that of
`fargsim.sim.task_life`. Nothing is polled; every instant is computed when what decides it is known.

Sources: Amazon ECS API Reference, API_ContainerDefinition.html, API_ContainerDependency.html, API_ContainerRestartPolicy.html,
API_HealthCheck.html; the order of the agent's steps: github.com/aws/amazon-ecs-agent, agent/engine.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import Any

import simpy

from fargsim.model.quantity import US_PER_S
from fargsim.policy.containers import Health, dependents_of, health_changes, may_start, restarts, task_health
from fargsim.policy.start_up import agent_duration
from fargsim.sim.container_limits import DISK_FULL, KILLED, TaskDisk, TaskMemory, stop_limit_us, storage_left_bytes
from fargsim.sim.container_run import NOTHING, ContainerRun, container_behaviour, serving_name, trouble_of
from fargsim.sim.kit import Kit
from fargsim.sim.state import Stop, TaskRun

Process = Generator[simpy.Event, Any, None]
EXITED = "Essential container in task exited"
EXEC_FORMAT = "exec format error"
"""What a program says that was built for another processor."""
NOT_STARTED = 143
"""The agent reports this code for a container that it does not start because of a dependency."""


class ContainerMachine:
    """The containers of a task.

    Attributes
    ----------
    all_started
        Event: every container has been started, so that the task is RUNNING.
    ended
        Event: the task ends because of its containers, as `stop` says.
    """

    def __init__(self, kit: Kit, task: TaskRun) -> None:
        self.runs = {
            c.name: ContainerRun(c, container_behaviour(task, c) or NOTHING)
            for c in task.revision.definition.container_definitions
        }
        self.serving = self.runs[serving_name(task)]
        self.all_started = kit.env.event()
        self.ended = kit.env.event()
        self.stop: Stop | None = None
        """What `ended` says."""
        self.on_serving: Callable[[int | None], None] = lambda ready_at: None
        """Told that the container that serves requests has ended while the task runs on (None), and from when on its next run answers."""
        self.on_health: Callable[[Health], None] = lambda status: None
        """Told the task's health when that of a container changes."""
        self._kit = kit
        self._task = task
        self._depends_on = {
            name: tuple((d.container_name, d.condition) for d in run.definition.depends_on)
            for name, run in self.runs.items()
        }
        self._stopping = False
        self._all_stopped = kit.env.event()
        self.memory = TaskMemory(kit, task, self.runs, self.serving)
        self._disk = TaskDisk(kit, storage_left_bytes(kit, task)) if task.fargate else None

    # from the first to the last start

    def begin(self) -> None:
        """Start the containers that wait for nobody; the others follow."""
        if self._task.settled:
            # what others wait for to be over is over
            over = {name for needs in self._depends_on.values() for name, c in needs if c in ("COMPLETE", "SUCCESS")}
            for name in over:
                self.runs[name].phase, self.runs[name].exit_code, self.runs[name].run = "stopped", 0, 0
            for run in self.runs.values():
                if run.phase == "waiting":
                    self._start(run)
            return
        for run in [r for r in self.runs.values() if not self._depends_on[r.name]]:
            self._start(run)

    @property
    def ran(self) -> bool:
        """Whether any container has been started."""
        return any(run.run >= 0 for run in self.runs.values())

    def _go_on(self) -> None:
        """Start those whose dependencies are met by now; give up where one never will be."""
        if self._stopping or self.stop is not None:
            return
        seen = {name: run.seen for name, run in self.runs.items()}
        for run in self.runs.values():
            if run.phase != "waiting":
                continue
            found = may_start(self._depends_on[run.name], seen)
            if found.verdict == "yes":
                self._enter(run, "starting")
                self._at(run, self._kit.now + self._kit.us("container_start_s"), self._start)
            elif found.verdict == "never":
                self._not_started(
                    run,
                    f"dependency graph: failed to resolve container ordering dependency [{found.of}] for target "
                    f"[{run.name}] as {found.why}.",
                )
                return

    def _start(self, run: ContainerRun) -> None:
        """Start a container, the first time or again."""
        kit, task, now = self._kit, self._task, self._kit.now
        family, serves = task.revision.definition.family, run is self.serving
        self.memory.settle()
        self._enter(run, "running")
        run.run += 1
        run.started_at, run.exited_at, run.exit_code, run.reason, run.last_words = now, None, None, None, None
        run.health = "UNKNOWN"
        settled = task.settled and run.run == 0
        stream = family if serves else f"{family}/{run.name}"
        run.ready_at = now + (0 if settled else kit.streams.duration_us(f"boot/{stream}", run.does.boot))
        run.trouble = trouble_of(kit, run, stream)
        self._plan_exit(run, settled)
        self._plan_health(run)
        self._plan_giving_up(run)
        self.memory.join(run, lambda: self.exit(run, 137, KILLED))
        if self._disk is not None and run.does.disk_writes_per_hour:
            self._disk.join(run, lambda: self.exit(run, 1, words=DISK_FULL))
        if serves:
            task.boot_done_at, task.trouble = run.ready_at, run.trouble
            if run.trouble is not None:
                task.outage = (run.trouble.from_us, run.trouble.until_us)
            if run.run:
                self.on_serving(run.ready_at)
        if not self.all_started.triggered and all(r.run >= 0 for r in self.runs.values()):
            self.all_started.succeed()
        self._go_on()

    def _plan_exit(self, run: ContainerRun, settled: bool) -> None:
        """Compute when a container ends by itself: its run is over, it crashes, or it crashes at boot."""
        kit, does, family = self._kit, run.does, self._task.revision.definition.family
        assert run.started_at is not None
        assert run.ready_at is not None
        ends: list[tuple[int, int]] = []
        words = None
        if kit.surroundings.cannot_execute(self._task, run.definition):
            words = EXEC_FORMAT
            ends.append((run.started_at + kit.us("exec_failure_s"), 1))
        elif does.run is not None:
            after = kit.streams.duration_us(f"run/{family}/{run.name}", does.run)
            ends.append((run.started_at + after, does.exit_code))
        crash = self._task.revision.behaviour.crash
        if crash is not None and run is self.serving:
            ends.append((run.started_at + kit.streams.duration_us(f"crash/{family}", crash), 1))
        if does.boot_exit_code is not None and not settled:
            ends.append((run.ready_at, does.boot_exit_code))
        if ends:
            at, code = min(ends)
            self._at(run, at, lambda r: self.exit(r, code, words=words))

    def _plan_giving_up(self, run: ContainerRun) -> None:
        """Compute when those that wait for a container to complete or to be healthy give up.

        It is the time-out of the container that is waited for that counts, from its start.
        """
        if run.run or not any(self._waits_for(other, run) for other in self.runs.values()):
            return
        timeout, watchdog = run.definition.start_timeout, None
        if timeout is None:
            if not self._task.fargate:
                return
            watchdog = self._kit.us("start_watchdog_s")
        limit_us = timeout * US_PER_S if timeout is not None else watchdog
        assert limit_us is not None

        def give_up() -> None:
            # a restart in place grants no more time
            if self._stopping or self.stop is not None:
                return
            for other in self.runs.values():
                if other.phase == "waiting" and self._waits_for(other, run):
                    if watchdog is not None:
                        waited = agent_duration(watchdog / US_PER_S)
                        why = f"Could not transition to started; timed out after waiting {waited}"
                        self._not_started(other, why, "DockerTimeoutError")
                    else:
                        self._not_started(
                            other,
                            f"dependency graph: container ordering dependency [{run.name}] for target [{other.name}] "
                            "has timed out.",
                        )
                    return

        self._kit.at(self._kit.now + limit_us, give_up)

    def _waits_for(self, other: ContainerRun, run: ContainerRun) -> bool:
        """Whether a container waits for another one to complete or to be healthy, as things are."""
        needs = [(of, c) for of, c in self._depends_on[other.name] if of == run.name and c != "START"]
        return may_start(needs, {run.name: run.seen}).verdict == "wait"

    def _not_started(self, run: ContainerRun, why: str, error: str = "CannotStartContainerError") -> None:
        """Give a container up before it has started: the task goes to STOPPED."""
        self._enter(run, "stopped")
        run.exit_code, run.reason = NOT_STARTED, f"{error}: {why}"
        self._end(Stop("TaskFailedToStart", run.reason))

    # health

    def _plan_health(self, run: ContainerRun) -> None:
        check = run.definition.health_check
        if check is None:
            return
        assert run.started_at is not None
        assert run.ready_at is not None
        for at, status in health_changes(
            run.started_at,
            run.ready_at,
            interval_us=check.interval * US_PER_S,
            timeout_us=check.timeout * US_PER_S,
            retries=check.retries,
            start_period_us=check.start_period * US_PER_S,
            trouble=run.trouble,
        ):
            self._at(run, at, lambda r, status=status: self._set_health(r, status))  # type: ignore[misc]

    def _set_health(self, run: ContainerRun, status: Health) -> None:
        run.health = status
        self.tell_health()
        self._go_on()

    @property
    def checked(self) -> bool:
        """Whether an essential container has a health check."""
        return any(r.definition.health_check is not None and r.definition.essential for r in self.runs.values())

    def tell_health(self) -> None:
        """Tell the task's health, which is that of its essential containers."""
        self.on_health(
            task_health(
                r.health for r in self.runs.values() if r.definition.essential and r.definition.health_check is not None
            )
        )

    # ends

    def exit(self, run: ContainerRun, code: int, reason: str | None = None, words: str | None = None) -> None:
        """Let a container end: it may be restarted in place; an essential one takes the task with it."""
        if not run.alive:
            return
        now, signalled = self._kit.now, run.phase == "stopping"
        self.memory.settle()
        self._enter(run, "stopped")
        run.exited_at, run.exit_code, run.reason, run.last_words = now, code, reason, words
        self.memory.leave(run)
        if self._disk is not None:
            self._disk.leave(run)
        self._record(run)
        if signalled or self._stopping:
            if run is self.serving:
                self._kit.work.leave(self._task)
            self._signal()
            return
        policy = run.definition.restart_policy
        assert run.started_at is not None
        if (
            policy is not None
            and self._task.alive
            and restarts(
                now - run.started_at,
                code,
                enabled=policy.enabled,
                ignored_exit_codes=policy.ignored_exit_codes,
                attempt_period_us=policy.restart_attempt_period * US_PER_S,
            )
        ):
            run.phase = "starting"
            if run is self.serving:
                self.on_serving(None)
            self._at(run, now + self._kit.us("container_start_s"), self._start)
            return
        if run.definition.essential:
            if self._task.exit_code is None:
                self._task.exit_code, self._task.container_reason = code, reason
            self._end(Stop("EssentialContainerExited", EXITED, code))
            return
        if run is self.serving:
            self.on_serving(None)  # the task runs on, and nothing listens any more
        self._go_on()

    def _end(self, stop: Stop) -> None:
        if self.stop is None:
            self.stop = stop
            self.ended.succeed()

    def stop_all(self) -> Process:
        """Tell the containers to stop, each when those that depend on it have stopped; SIGKILL after its stop time-out."""
        self._stopping = True
        for run in self.runs.values():
            if run.phase in ("waiting", "starting"):
                self._enter(run, "stopped")
        if any(run.alive for run in self.runs.values()):
            self._signal()
            yield self._all_stopped
        else:
            # the containers ended by themselves: the agent takes a moment to notice
            yield self._kit.env.timeout(self._kit.us("stopping_overhead_s"))
        if self._task.exit_code is None:
            codes = [r.exit_code for r in self.runs.values() if r.definition.essential and r.exited_at is not None]
            self._task.exit_code = next((c for c in codes if c), 0) if codes else None

    def _signal(self) -> None:
        """Signal those that nobody alive depends on."""
        if not any(run.alive for run in self.runs.values()):
            if self._stopping and not self._all_stopped.triggered:
                self._all_stopped.succeed()
            return
        for run in self.runs.values():
            above = dependents_of(run.name, self._depends_on)
            if self._stopping and run.phase == "running" and not any(self.runs[name].alive for name in above):
                self._sigterm(run)

    def _sigterm(self, run: ContainerRun) -> None:
        kit, task = self._kit, self._task
        family, wish = task.revision.definition.family, run.does.stop
        wanted = (
            kit.us("stopping_overhead_s")
            if wish is None
            else kit.streams.duration_us(f"stop/{family}/{run.name}", wish)
        )
        if run is self.serving:
            wanted = max(wanted, kit.work.done_in_us(task))
        self._enter(run, "stopping")
        self._end_after(run, wanted, kit.now + stop_limit_us(task, run.definition))

    def _end_after(self, run: ContainerRun, wanted_us: int, killed_at: int) -> None:
        """Let a container that was signalled exit when it wants to, or kill it at the end of its time."""
        at = self._kit.now + wanted_us
        if at > killed_at:
            self._at(run, killed_at, lambda r: self.exit(r, 137))
            return

        def exit_or_go_on(run: ContainerRun) -> None:
            # neighbours on the instance may have slowed it down meanwhile
            more = self._kit.work.done_in_us(self._task) if run is self.serving else 0
            if more:
                self._end_after(run, more, killed_at)
            else:
                self.exit(run, run.does.stop_exit_code)

        self._at(run, at, exit_or_go_on)

    def vanish(self) -> None:
        """Let every container be gone at once, with its host."""
        self._stopping = True
        self.memory.settle()
        for run in self.runs.values():
            if run.alive:
                run.exited_at = self._kit.now
                self._enter(run, "stopped")
                self._record(run)
                self.memory.leave(run)
            else:
                self._enter(run, "stopped")

    # memory and storage

    def requests(self, in_task: int, worked: int) -> None:
        """Take how many requests are in the task and how many it has worked on: they hold memory and have written."""
        request, run = self._task.revision.behaviour.request, self.serving
        if request is None or run.phase != "running":
            return
        if in_task and self.memory.over(run, in_task * request.memory):
            self.exit(run, 137, KILLED)
        elif self._disk is not None and request.disk_writes and self._disk.requests_wrote(worked * request.disk_writes):
            self.exit(run, 1, words=DISK_FULL)

    # what is written down

    def _record(self, run: ContainerRun) -> None:
        self._kit.recorder.containers.append(
            (
                self._task.task_id,
                run.name,
                max(run.run, 0),
                run.definition.essential,
                run.last_status,
                run.health,
                run.started_at,
                run.exited_at,
                run.exit_code,
                run.reason,
                run.last_words,
            )
        )

    def finish(self) -> None:
        """Record what has not ended, and what never started: at the end of the task or of the run."""
        for run in self.runs.values():
            if run.alive or run.run < 0:
                self._record(run)

    # phases

    def _enter(self, run: ContainerRun, phase: Any) -> None:
        run.phase = phase
        run.epoch += 1

    def _at(self, run: ContainerRun, instant_us: int, act: Callable[[ContainerRun], None]) -> None:
        """Do something at an instant, unless the container is in another phase by then."""
        epoch = run.epoch
        self._kit.at(instant_us, lambda: act(run) if run.epoch == epoch else None)
