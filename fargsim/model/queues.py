"""Queues of messages: request shapes of Amazon SQS, and who sends what.

Source: Amazon SQS API Reference, API_CreateQueue.html, API_SetQueueAttributes.html, API_SendMessage.html.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any, Self

from pydantic import Field, model_validator

from fargsim.model.base import Issue, Json, Own, PascalShape, raise_faults
from fargsim.model.quantity import US_PER_S
from fargsim.model.traffic import Rate

LIMITS = {
    "VisibilityTimeout": (30, 0, 43_200),
    "MessageRetentionPeriod": (345_600, 60, 1_209_600),
    "DelaySeconds": (0, 0, 900),
    "ReceiveMessageWaitTimeSeconds": (0, 0, 20),
    "MaximumMessageSize": (262_144, 1024, 1_048_576),
}
"""Default, least and greatest value of the attributes that are whole numbers."""
WITHOUT_EFFECT = (
    "Policy",
    "KmsMasterKeyId",
    "KmsDataKeyReusePeriodSeconds",
    "SqsManagedSseEnabled",
    "RedriveAllowPolicy",
)
REFUSED = ("FifoQueue", "ContentBasedDeduplication", "DeduplicationScope", "FifoThroughputLimit")
MOST_RECEIVES = 1000


class RedrivePolicy(Own):
    """After how many receives a message goes to which other queue."""

    dead_letter_target_arn: str = Field(alias="deadLetterTargetArn", min_length=1)
    max_receive_count: int = Field(alias="maxReceiveCount", ge=1, le=MOST_RECEIVES)

    @property
    def queue(self) -> str:
        """The name of the dead-letter queue; its ARN ends in it."""
        return self.dead_letter_target_arn.rpartition(":")[2]


class BacklogMetric(Own):
    """A metric of one's own, put once a minute: visible messages over the service's running tasks, or over one if there are none.

    Source: Amazon EC2 Auto Scaling User Guide, as-using-sqs-queue.html, which does so for instances.
    """

    service: str
    cluster: str = "default"
    namespace: str = Field(min_length=1, max_length=255)
    metric: str = Field(default="BacklogPerTask", min_length=1, max_length=255)


class CreateQueue(PascalShape):
    """CreateQueue: a standard queue.

    Attributes are AWS's, as text; ``RedrivePolicy`` is JSON in a text, as AWS has it, or a mapping. `backlog_per_task` is ours.
    """

    queue_name: str = Field(min_length=1, max_length=80, pattern=r"^[A-Za-z0-9_-]+(\.fifo)?$")
    attributes: dict[str, Any] = Field(default_factory=dict)
    tags: Json = None
    backlog_per_task: BacklogMetric | None = Field(default=None, alias="backlog_per_task")

    @model_validator(mode="after")
    def _sound(self) -> Self:
        if self.queue_name.endswith(".fifo"):
            raise ValueError("FIFO queues are not simulated: give a standard queue, whose name does not end in .fifo")
        raise_faults(self._faults())
        return self

    def _faults(self) -> list[Issue]:
        found = []
        for key, value in self.attributes.items():
            message = None
            if key in LIMITS:
                _, least, most = LIMITS[key]
                text = str(value)
                if not (text.isascii() and text.isdigit() and least <= int(text[:12]) <= most):
                    message = f"must be a whole number from {least} to {most}, not '{value}'"
            elif key == "RedrivePolicy":
                message = self._redrive_fault(value)
            elif key in REFUSED:
                message = "FIFO queues are not simulated" if str(value).lower() != "false" else None
            elif key not in WITHOUT_EFFECT:
                legal = ", ".join((*LIMITS, "RedrivePolicy", *WITHOUT_EFFECT))
                message = f"there is no attribute '{key}' of a queue: there are {legal}"
            if message is not None:
                found.append(Issue(("Attributes", key), message))
        if self.number("DelaySeconds"):
            found.append(Issue(("Attributes", "DelaySeconds"), "delayed messages are not simulated: leave it at 0"))
        return found

    @staticmethod
    def _redrive_fault(value: Any) -> str | None:
        try:
            policy = _redrive(value)
        except ValueError as fault:
            return f"must be JSON with deadLetterTargetArn and maxReceiveCount (1 to {MOST_RECEIVES}): {_first(fault)}"
        return None if policy.queue else "deadLetterTargetArn names no queue"

    def number(self, key: str) -> int:
        """Return an attribute that is a whole number."""
        text = str(self.attributes.get(key, LIMITS[key][0]))
        return int(text) if text.isascii() and text.isdigit() else LIMITS[key][0]

    @property
    def visibility_timeout_us(self) -> int:
        """How long a message is hidden from others when it is received."""
        return self.number("VisibilityTimeout") * US_PER_S

    @property
    def retention_us(self) -> int:
        """How long a message is kept."""
        return self.number("MessageRetentionPeriod") * US_PER_S

    @property
    def redrive_policy(self) -> RedrivePolicy | None:
        """What becomes of messages that are received too often."""
        given = self.attributes.get("RedrivePolicy")
        return None if given in (None, "") else _redrive(given)


def _first(fault: ValueError) -> str:
    return str(fault).splitlines()[0]


def _redrive(value: Any) -> RedrivePolicy:
    found = json.loads(value) if isinstance(value, str) else value
    if not isinstance(found, dict):
        raise ValueError("it is no mapping")
    return RedrivePolicy.model_validate(found)


class Messages(Own):
    """Messages sent to a queue, in an open loop.

    Parameters
    ----------
    queue
        Name of the queue.
    name
        Name of its random streams; by default that of the queue.
    """

    queue: str
    name: str | None = None
    rate: Rate

    @model_validator(mode="after")
    def _open_loop(self) -> Self:
        if self.rate.users is not None:
            raise ValueError("messages arrive in an open loop: users are for requests")
        return self

    @property
    def stream(self) -> str:
        """The name of its random streams."""
        return self.name or self.queue


def dead_letters_first(queues: Iterable[CreateQueue]) -> list[CreateQueue]:
    """Return queues so that each comes after its dead-letter queue, else in their order; a ring is cut somewhere.

    >>> redrive = {"deadLetterTargetArn": "b", "maxReceiveCount": 3}
    >>> a, b = CreateQueue(queue_name="a", attributes={"RedrivePolicy": redrive}), CreateQueue(queue_name="b")
    >>> [q.queue_name for q in dead_letters_first([a, b])]
    ['b', 'a']
    """
    by_name = {q.queue_name: q for q in queues}
    found: dict[str, CreateQueue] = {}

    def take(queue: CreateQueue, above: tuple[str, ...]) -> None:
        redrive = queue.redrive_policy
        below = None if redrive is None else by_name.get(redrive.queue)
        if below is not None and below.queue_name not in above:
            take(below, (*above, below.queue_name))
        found.setdefault(queue.queue_name, queue)

    for one in by_name.values():
        take(one, (one.queue_name,))
    return list(found.values())
