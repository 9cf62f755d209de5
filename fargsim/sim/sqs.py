"""The verbs of Amazon SQS, as boto3 spells them, as far as queues of work need them."""

from __future__ import annotations

from typing import Any

from fargsim.model.queues import LIMITS, CreateQueue
from fargsim.model.traffic import Rate
from fargsim.sim.errors import InvalidAttributeValue, QueueNameExists
from fargsim.sim.kit import US_PER_S, Kit
from fargsim.sim.message_feed import MessageFeed
from fargsim.sim.queue_work import QueueRun, Queues
from fargsim.sim.shapes import read
from fargsim.sim.sources import source

DAY_US = 86_400 * US_PER_S


class Sqs:
    """Queues. Source: Amazon SQS API Reference, API_CreateQueue.html, API_GetQueueAttributes.html, API_ListQueues.html."""

    def __init__(self, kit: Kit, queues: Queues, start_us: int) -> None:
        self._kit = kit
        self._queues = queues
        self._start_us = start_us

    def create_queue(self, **arguments: Any) -> dict[str, Any]:
        """Create a queue; one of the same name and attributes is returned as it is.

        Raises
        ------
        InvalidAttributeValue
            An attribute that there is not, or a value that it cannot have.
        QueueNameExists
            A queue of that name has other attributes.
        QueueDoesNotExist
            The dead-letter queue is not there.
        """
        spec = read(CreateQueue, arguments, InvalidAttributeValue)
        known = self._queues.by_name.get(spec.queue_name)
        if known is not None:
            if known.spec.attributes != spec.attributes:
                raise QueueNameExists(f"A queue named '{spec.queue_name}' exists with other attributes.")
            return {"QueueUrl": known.url}
        redrive = spec.redrive_policy
        if redrive is not None:
            self._queues.find(redrive.queue)
        queue = QueueRun(self._kit, spec)
        self._queues.add(queue)
        return {"QueueUrl": queue.url}

    def list_queues(self, *, QueueNamePrefix: str = "") -> dict[str, Any]:
        """List the URLs of queues."""
        return {"QueueUrls": [q.url for q in self._queues.by_name.values() if q.name.startswith(QueueNamePrefix)]}

    def get_queue_attributes(self, *, QueueUrl: str, AttributeNames: list[str] | None = None) -> dict[str, Any]:
        """Return a queue's attributes, as text; messages that are visible and in flight as they are now."""
        queue = self._queues.find(QueueUrl)
        queue.advance(self._kit.now)
        counts, given = queue.pull.counts(), queue.spec.attributes
        every = {
            "QueueArn": queue.arn,
            "ApproximateNumberOfMessages": str(counts.visible),
            "ApproximateNumberOfMessagesNotVisible": str(counts.in_flight),
            "ApproximateNumberOfMessagesDelayed": "0",
            **{key: str(given.get(key, default)) for key, (default, _, _) in LIMITS.items()},
            **({"RedrivePolicy": given["RedrivePolicy"]} if "RedrivePolicy" in given else {}),
        }
        wanted = AttributeNames or ["All"]
        return {"Attributes": {k: v for k, v in every.items() if "All" in wanted or k in wanted}}

    def send(self, queue: str, rate: Rate, name: str | None, until_us: int) -> None:
        """Send messages to a queue from now on, until an instant of the run: not AWS's verb, but what many calls of SendMessage do."""
        found = self._queues.find(queue)
        found.advance(self._kit.now)
        stream = self._kit.unique(name or found.name)
        generator = self._kit.streams[f"arrivals/{stream}"]
        arrivals = source(rate, generator, self._start_us % DAY_US, until_us, self._kit.now)
        found.feeds.append(MessageFeed(arrivals, self._kit.streams, stream))
