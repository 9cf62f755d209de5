"""Service events, in ECS's own words.

Source: Amazon ECS Developer Guide, service-event-messages-list.html and ecs_cwe_events.html. The newest 100 are shown, and a message that
repeats is suppressed until it is solved or six hours have passed.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

from fargsim.sim.kit import Kit
from fargsim.sim.state import TaskRun


class ServiceEvents:
    """The event log of one service."""

    def __init__(self, kit: Kit, cluster: str, service: str) -> None:
        self._kit = kit
        self._cluster = cluster
        self._service = service
        self._said: dict[str, int] = {}
        self._throttled_at: int | None = None
        self._log: deque[tuple[int, str]] = deque(maxlen=int(kit.parameters.number("service_event_log_size")))

    def say(self, message: str, name: str = "", kind: str = "INFO", task_set: str = "") -> None:
        """Write an event, of one task set if that is meant."""
        of = f"{self._service}, taskSet {task_set}" if task_set else self._service
        self._log.append((self._kit.now, f"(service {of}) {message}"))
        self._kit.event(self._cluster, self._service, message, name, kind, of)

    def announce(self, message: str, name: str, kind: str = "INFO") -> None:
        """Send an event that EventBridge delivers and DescribeServices does not show."""
        self._kit.event(self._cluster, self._service, message, name, kind)

    def once(self, message: str, name: str, kind: str) -> None:
        """Write an event unless the same was written and has not been solved since, or six hours ago."""
        last = self._said.get(message)
        if last is not None and self._kit.now < last + self._kit.us("event_suppression_s"):
            return
        self._said[message] = self._kit.now
        self.say(message, name, kind)

    def throttled(self) -> None:
        """Write that the account's launch rate holds the service's tasks back; once in six hours, though tasks start meanwhile."""
        now = self._kit.now
        if self._throttled_at is None or now >= self._throttled_at + self._kit.us("event_suppression_s"):
            self._throttled_at = now
            self.say("operations are being throttled. Will try again later.", "ECS_OPERATION_THROTTLED", "ERROR")

    def solved(self) -> None:
        """Let a message that comes again be written again."""
        self._said.clear()

    def name_tasks(self, verb: str, noun: str, tasks: Sequence[TaskRun]) -> None:
        """Write which tasks were started or stopped."""
        names = " ".join(f"(task {task.task_id})" for task in tasks)
        self.say(f"{verb} {len(tasks)} {noun}: {names}.")

    def newest(self) -> list[tuple[int, str]]:
        """Return instants and messages, the newest first, as many as DescribeServices shows."""
        return list(reversed(self._log))
