"""Rules of queues of messages and of CPU credits: what is named is there, and what is put together works.

Sources: Amazon SQS API Reference, API_SetQueueAttributes.html, API_ChangeMessageVisibility.html.
"""

from __future__ import annotations

from collections.abc import Iterator

from fargsim.catalog.instances import instance_types
from fargsim.load.names import Names, tail, unknown
from fargsim.model.base import Issue, Path
from fargsim.model.quantity import format_duration
from fargsim.model.queues import CreateQueue
from fargsim.model.scenario import Scenario


def work_faults(scenario: Scenario, names: Names) -> Iterator[Issue]:
    """Yield the faults of queues, of who sends to them and of who takes from them.

    Parameters
    ----------
    scenario
        The parts that are sound by themselves.
    names
        The names of all parts.
    """
    queues = {q.queue_name: q for q in scenario.queues}
    for n, queue in enumerate(scenario.queues):
        path: Path = ("queues", n)
        if queue.queue_name in [q.queue_name for q in scenario.queues[:n]]:
            yield Issue((*path, "QueueName"), f"'{queue.queue_name}' stands twice in queues")
        yield from _redrive(queue, queues, names, path)
        backlog = queue.backlog_per_task
        if backlog is not None:
            known = names.services.get(tail(backlog.cluster), [])
            if backlog.service not in known:
                yield Issue((*path, "backlog_per_task", "service"), unknown("service", backlog.service, known))
    for n, messages in enumerate(scenario.messages):
        if messages.queue not in names.queues:
            yield Issue(("messages", n, "queue"), unknown("queue", messages.queue, names.queues))
        if messages.stream in [m.stream for m in scenario.messages[:n]]:
            key = "queue" if messages.name is None else "name"
            message = f"'{messages.stream}' stands twice in messages: give each a name of its own"
            yield Issue(("messages", n, key), message)
    for key, behaviour in scenario.behaviour.items():
        does = behaviour.message
        if does is None:
            continue
        at: Path = ("behaviour", key, "message")
        if does.queue not in names.queues:
            yield Issue((*at, "queue"), unknown("queue", does.queue, names.queues))
        elif does.heartbeat is not None and does.queue in queues:
            hidden = queues[does.queue].visibility_timeout_us
            if does.heartbeat >= hidden:
                message = f"must be shorter than the VisibilityTimeout of {does.queue}, {format_duration(hidden)}"
                yield Issue((*at, "heartbeat"), message)


def _redrive(queue: CreateQueue, queues: dict[str, CreateQueue], names: Names, path: Path) -> Iterator[Issue]:
    at: Path = (*path, "Attributes", "RedrivePolicy")
    redrive = queue.redrive_policy
    if redrive is None:
        return
    if redrive.queue not in names.queues:
        yield Issue(at, unknown("queue", redrive.queue, names.queues))
        return
    seen, other = [queue.queue_name], queues.get(redrive.queue)
    while other is not None:
        if other.queue_name in seen:
            if other.queue_name == queue.queue_name:
                yield Issue(at, f"dead-letter queues in a ring: {', '.join(seen)}")
            return
        seen.append(other.queue_name)
        further = other.redrive_policy
        other = None if further is None else queues.get(further.queue)


def credit_faults(scenario: Scenario) -> Iterator[Issue]:
    """Yield launch templates that say something about CPU credits of a type that has none.

    Source: Amazon EC2 API Reference, API_CreditSpecificationRequest.html.
    """
    known = instance_types()
    for n, template in enumerate(scenario.launch_templates):
        data = template.launch_template_data
        facts = known.get(data.instance_type)
        if data.credit_specification is not None and facts is not None and not facts.burstable:
            message = f"{data.instance_type} has no CPU credits: CreditSpecification is for t3, t3a and t4g"
            yield Issue(("launchTemplates", n, "LaunchTemplateData", "CreditSpecification"), message)
