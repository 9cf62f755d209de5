"""Queues of messages and the tasks that take them: Amazon SQS as far as a queue of work needs it.

A message that is received is hidden for the visibility time-out; who ends it in time deletes it. One that is not deleted comes back and,
when it has been received as often as the redrive policy allows, goes to the dead-letter queue at the next attempt to receive it. A receipt
handle deletes as long as nobody has received the message since: Amazon SQS Developer Guide, sqs-visibility-timeout.html,
sqs-dead-letter-queues.html, sqs-queue-message-identifiers.html. Metrics once a minute: sqs-available-cloudwatch-metrics.html.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator, Mapping
from operator import itemgetter
from typing import Any

import numpy as np

from fargsim.kernel import BUCKETS, bucket_edges_us, bucket_of
from fargsim.kernel.pull import PullCounts, PullQueue
from fargsim.kernel.pull_server import Item, PullServer
from fargsim.model.behaviour import MessageBehaviour
from fargsim.model.queues import CreateQueue
from fargsim.policy.metric_data import Point
from fargsim.sim.alarm_run import metric_key
from fargsim.sim.cloudwatch import CloudWatch
from fargsim.sim.errors import QueueDoesNotExist
from fargsim.sim.host_sharing import Seat, most_cores
from fargsim.sim.kit import US_PER_S, Kit
from fargsim.sim.message_feed import Message, MessageFeed
from fargsim.sim.metering import Metering
from fargsim.sim.registry import Registry, tail
from fargsim.sim.state import TaskRun
from fargsim.sim.task_work import WorkUse

MOST_IN_FLIGHT = 120_000
"""Messages of a standard queue that may be in flight: Amazon SQS Developer Guide, quotas-messages.html."""
NAMESPACE = "AWS/SQS"


class QueueRun:
    """One queue."""

    def __init__(self, kit: Kit, spec: CreateQueue) -> None:
        self.name = spec.queue_name
        self.spec = spec
        self.arn = f"arn:aws:sqs:{kit.region}:{kit.account}:{self.name}"
        self.url = f"https://sqs.{kit.region}.amazonaws.com/{kit.account}/{self.name}"
        self.created_at = kit.now
        self.feeds: list[MessageFeed] = []
        self.sources: list[QueueRun] = []
        """The queues whose messages come here when they are given up."""
        self.dead_letters: QueueRun | None = None
        redrive = spec.redrive_policy
        self.pull = PullQueue(
            _work,
            hide_us=spec.visibility_timeout_us,
            keep_us=spec.retention_us,
            most_takes=None if redrive is None else redrive.max_receive_count,
            most_in_flight=MOST_IN_FLIGHT,
            on_dead=self._give_up,
        )
        self.pull.advance(kit.now)
        self.histogram = np.zeros(BUCKETS, np.int64)
        self.minute = self.pull.counts()
        self.row = self.pull.counts()
        self._row_visible_us = 0.0
        self._sharing = kit.sharing
        self.shared = False
        """Whether a worker of it shares an instance, so that it goes together with the planes."""

    def advance(self, now_us: int) -> None:
        """Bring the queue to an instant of the control plane."""
        if self.shared:
            self._sharing.advance(now_us)
            return
        for source in self.sources:
            source.advance(now_us)
        if now_us > self.pull.now_us:
            self._send(now_us)
            self.pull.advance(now_us)

    def feed(self, until_us: int) -> None:
        """Send it what arrives before an instant; those whose dead letters come here go there first, or go together with it."""
        for source in self.sources:
            if not source.shared:
                source.advance(until_us)
        self._send(until_us)

    def _send(self, until_us: int) -> None:
        sent = [feed.before(until_us) for feed in self.feeds]
        self.pull.send(sent[0] if len(sent) == 1 else heapq.merge(*sent, key=itemgetter(0)))

    def share(self) -> None:
        """Go together with the planes from now on."""
        if not self.shared:
            self.shared = True
            self._sharing.add_queue(self)

    def _give_up(self, item: Item, at_us: int) -> None:
        other = self.dead_letters
        if other is not None and other.shared:
            other.pull.put_at(at_us, item.sent_us, item.payload)
        elif other is not None:
            at_us = max(at_us, other.pull.now_us)
            other.pull.advance(at_us)
            other.pull.put(at_us, item.sent_us, item.payload)

    def close_row(self, span_us: int) -> tuple[Any, ...]:
        """Return what a period of the tables said: counts, depth, age, and how long the messages deleted in it had been there."""
        now, before = self.pull.counts(), self.row
        self.row = now
        integral = self.pull.visible_integral_us()
        visible_us, self._row_visible_us = integral - self._row_visible_us, integral
        times = np.asarray(self.pull.take_times(), np.float64)
        figures: tuple[float | None, ...] = (None,) * 5
        if times.size:
            np.add.at(self.histogram, [bucket_of(t) for t in times.tolist()], 1)
            middle, late, last = np.quantile(times, (0.5, 0.95, 0.99)).tolist()
            figures = tuple(x / US_PER_S for x in (float(times.mean()), middle, late, last, float(times.max())))
        return (
            now.sent - before.sent,
            now.moved_in - before.moved_in,
            now.taken - before.taken,
            now.retaken - before.retaken,
            now.done - before.done,
            now.failed - before.failed,
            now.late - before.late,
            now.dead - before.dead,
            now.expired - before.expired,
            now.visible,
            now.in_flight,
            visible_us / span_us,
            self.pull.oldest_age_us() / US_PER_S,
            *figures,
        )


def _work(message: Message, take: int, does: MessageBehaviour) -> tuple[float, float, bool]:
    return message.work(take, does)


class _Worker:
    """A task at its queue."""

    def __init__(self, kit: Kit, queue: QueueRun, task: TaskRun, does: MessageBehaviour, cores: float) -> None:
        self._kit, self._queue, self._does = kit, queue, does
        queue.advance(kit.now)
        beat = does.heartbeat
        self._server: PullServer = queue.pull.open(
            kit.now,
            cores=cores,
            speed=task.revision.behaviour.speed,
            workers=does.workers,
            profile=does,
            beat_us=beat if beat is not None and beat < queue.spec.visibility_timeout_us else None,
        )
        self._seat: Seat | None = None

    def sit(self, task: TaskRun) -> None:
        now = self._now()
        self._seat = seat = self._kit.sharing.seat(task, self._granted)
        if seat is not None:
            self._queue.share()
            self._granted(most_cores(task), now)  # what a seat begins with, whatever low credits left of it until now
            seat.want(float(self._server.busy), now)
            self._server.on_busy = lambda busy, at_us: seat.want(float(busy), at_us)

    def _granted(self, cores: float, at_us: float) -> None:
        self._queue.pull.give_cores(at_us, self._server, cores)

    def _now(self) -> int:
        self._queue.advance(self._kit.now)
        return self._kit.now

    def use(self) -> WorkUse:
        return WorkUse(*self._server.use(self._now()))

    def set_cores(self, cores: float) -> None:
        self._queue.pull.set_rate(self._now(), self._server, cores=cores, speed=self._server.speed)

    def take_no_more(self) -> None:
        self._queue.pull.stop_taking(self._now(), self._server)

    def done_in_us(self) -> int:
        now = self._now()
        finishes = self._does.finish_on_stop and self._server.jobs
        return max(0, self._server.finished_at(now) - now) if finishes else 0

    def leave(self) -> WorkUse:
        now = self._now()
        use = WorkUse(*self._server.use(now))
        self._queue.pull.close(now, self._server)
        if self._seat is not None:
            self._server.on_busy = None
            self._seat.leave()
        return use


class Queues:
    """The queues of the region, their metrics and the rows of the tables."""

    def __init__(self, registry: Registry, metering: Metering, cloudwatch: CloudWatch) -> None:
        self._kit = registry.kit
        self._registry = registry
        self._metering = metering
        self._cloudwatch = cloudwatch
        self.by_name: dict[str, QueueRun] = {}

    def add(self, queue: QueueRun) -> None:
        """Take a queue in; the first one begins the metrics."""
        if not self.by_name:
            self._kit.work.places["queue"] = self
            self._cloudwatch.provide(NAMESPACE, self._datapoints)
            self._metering.on_rows.append(self._write)
        self.by_name[queue.name] = queue
        redrive = queue.spec.redrive_policy
        if redrive is not None:
            queue.dead_letters = self.find(redrive.queue)
            queue.dead_letters.sources.append(queue)

    def find(self, name: str) -> QueueRun:
        """Return a queue by its name, ARN or URL.

        Raises
        ------
        QueueDoesNotExist
            There is none.
        """
        found = self.by_name.get(name.rpartition("/")[2].rpartition(":")[2])
        if found is None:
            known = ", ".join(self.by_name) or "none"
            raise QueueDoesNotExist(f"The specified queue does not exist: '{name}'. Queues: {known}.")
        return found

    # the kind of work

    def wanted(self, task: TaskRun) -> bool:
        """Whether a task takes messages from a queue that is there."""
        message = task.revision.behaviour.message
        return message is not None and message.queue in self.by_name

    def join(self, task: TaskRun, cores: float) -> _Worker:
        """Let a task take messages."""
        does = task.revision.behaviour.message
        assert does is not None
        return _Worker(self._kit, self.by_name[does.queue], task, does, cores)

    # what is measured

    def _datapoints(self, start_us: int, end_us: int) -> Iterator[tuple[str, Mapping[str, str], Point]]:
        """Return the minute of every queue, and put the backlog per task where somebody wants it."""
        for queue in self.by_name.values():
            queue.advance(end_us)
            now, before = queue.pull.counts(), queue.minute
            queue.minute = now
            for name, value in _metrics(now, before, queue.pull.oldest_age_us()):
                yield name, {"QueueName": queue.name}, Point.of(start_us, end_us, value)
            wanted = queue.spec.backlog_per_task
            if wanted is not None:
                cluster = self._registry.clusters.get(tail(wanted.cluster))
                service = None if cluster is None else cluster.services.get(wanted.service)
                running = 0 if service is None else service.running
                dimensions = {"ClusterName": tail(wanted.cluster), "ServiceName": wanted.service}
                key = metric_key(wanted.namespace, wanted.metric, dimensions)
                self._cloudwatch.publish(key, Point.of(start_us, end_us, now.visible / max(1, running)))

    def _write(self, began_us: int, now_us: int) -> None:
        for queue in self.by_name.values():
            queue.advance(now_us)
            begin = max(began_us, queue.created_at)
            if now_us > begin:
                span = now_us - begin
                self._kit.recorder.queues.append((began_us, span / US_PER_S, queue.name, *queue.close_row(span)))

    def finish(self) -> None:
        """Write every queue's histogram of completion times."""
        edges = bucket_edges_us()
        for queue in self.by_name.values():
            for bucket in np.flatnonzero(queue.histogram):
                row = (queue.name, float(edges[bucket]), float(edges[bucket + 1]), int(queue.histogram[bucket]))
                self._kit.recorder.message_latencies.append(row)


def _metrics(now: PullCounts, before: PullCounts, oldest_us: int) -> Iterator[tuple[str, float]]:
    yield "ApproximateNumberOfMessagesVisible", float(now.visible)
    yield "ApproximateNumberOfMessagesNotVisible", float(now.in_flight)
    yield "ApproximateNumberOfMessagesDelayed", 0.0
    yield "ApproximateAgeOfOldestMessage", oldest_us / US_PER_S
    yield "NumberOfMessagesSent", float(now.sent - before.sent)
    yield "NumberOfMessagesReceived", float(now.taken - before.taken)
    yield "NumberOfMessagesDeleted", float(now.done - before.done)
