"""From a scenario to a region: the first state and the timeline, through the same verbs that a user has."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from fargsim.model.queues import dead_letters_first
from fargsim.model.scenario import Scenario
from fargsim.model.timeline import StopTask, TimelineEntry
from fargsim.model.traffic import Jobs, Rate
from fargsim.policy.user_policy import UserPolicy
from fargsim.record.buffer import Recorder
from fargsim.sim.errors import AwsError, ClientException, NoContainerInstances, ThrottlingException
from fargsim.sim.faults import break_something, oldest_running
from fargsim.sim.kit import US_PER_S
from fargsim.sim.region import Region
from fargsim.sim.scheduled_tasks import ScheduledTasks
from fargsim.sim.sources import Source, source

RETRY_FIRST_S = 2
RETRY_LONGEST_S = 300
"""A client that is throttled backs off from 2 seconds to 5 minutes: Amazon ECS API Reference, API_RunTask.html."""


def build(
    scenario: Scenario,
    seed: int | None = None,
    replication: int = 0,
    policies: Mapping[str, UserPolicy] | None = None,
) -> Region:
    """Build the region of a scenario at the instant at which the run starts.

    Raises
    ------
    AwsError
        When a verb refuses what the scenario asks for; `AwsError.verb` is its name.
    """
    region = Region(
        scenario.region,
        seed=scenario.seed if seed is None else seed,
        start=scenario.start,
        surroundings=scenario.surroundings,
        quotas=scenario.quotas,
        assumptions={**scenario.assumptions, **_metered(scenario)},
        replication=replication,
        record=scenario.record,
    )
    for name, behaviour in scenario.behaviour.items():
        region.behave(name, behaviour)
    for name, answers in scenario.hooks.items():
        region.answer_hook(name, answers)
    for definition in scenario.task_definitions:
        _call(region, "ecs.register_task_definition", arguments_of(definition))

    for cluster in scenario.clusters:
        plain = cluster.model_copy(update={"capacity_providers": (), "default_capacity_provider_strategy": ()})
        _call(region, "ecs.create_cluster", arguments_of(plain))
        if cluster.settings:  # the cluster "default" is there before
            settings = [arguments_of(setting) for setting in cluster.settings]
            _call(region, "ecs.update_cluster_settings", {"cluster": cluster.cluster_name, "settings": settings})
    for template in scenario.launch_templates:
        _call(region, "autoscaling.create_launch_template", arguments_of(template))
    for group in scenario.auto_scaling_groups:
        _call(region, "autoscaling.create_auto_scaling_group", arguments_of(group))
    for provider in scenario.capacity_providers:
        _call(region, "ecs.create_capacity_provider", arguments_of(provider))
    for cluster in scenario.clusters:
        if cluster.capacity_providers:
            strategy = [arguments_of(item) for item in cluster.default_capacity_provider_strategy]
            providers = {
                "cluster": cluster.cluster_name,
                "capacityProviders": list(cluster.capacity_providers),
                "defaultCapacityProviderStrategy": strategy,
            }
            _call(region, "ecs.put_cluster_capacity_providers", providers)
    for queue in dead_letters_first(scenario.queues):
        _call(region, "sqs.create_queue", arguments_of(queue))
    for target_group in scenario.target_groups:
        _call(region, "elbv2.create_target_group", arguments_of(target_group))
    for balancer in scenario.load_balancers:
        _call(region, "elbv2.create_load_balancer", arguments_of(balancer))
    for service in scenario.services:
        _call(region, "ecs.create_service", arguments_of(service))
        if scenario.initial_state == "running":
            region.registry.service(service.cluster, service.service_name).settle()
    for target in scenario.scaling:
        _call(region, "application_autoscaling.register_scalable_target", arguments_of(target))
    for name, policy in (policies or {}).items():
        place, _, service_name = name.rpartition("/")
        region.application_autoscaling.use(service_name, policy, place or "default")
    for metric in scenario.metrics:
        region.cloudwatch.define(metric)
    for alarm in scenario.alarms:
        _call(region, "cloudwatch.put_metric_alarm", arguments_of(alarm))
    for composite in scenario.composite_alarms:
        _call(region, "cloudwatch.put_composite_alarm", arguments_of(composite))
    for traffic in scenario.traffic:
        region.send_traffic(
            traffic.to,
            traffic.rate,
            cluster=traffic.cluster,
            name=traffic.stream,
            until=scenario.duration,
            listener=traffic.listener,
        )
    for messages in scenario.messages:
        region.send_messages(messages.queue, messages.rate, name=messages.stream, until=scenario.duration)
    for jobs in scenario.jobs:
        if jobs.rate is None:
            ScheduledTasks(region, scenario.start, jobs)
        else:
            _Submission(region, scenario, jobs, jobs.rate)
    for entry in scenario.timeline:
        region.kit.at(entry.at, lambda entry=entry: _happen(region, entry))  # type: ignore[misc]
    return region


def _metered(scenario: Scenario) -> dict[str, float]:
    """Return what the scenario's ``billing`` says a balancer counts, by the names of the catalogue's parameters."""
    billing = scenario.billing
    given = {
        "bytes_per_request": billing.bytes_per_request,
        "connections_per_request": billing.connections_per_request,
    }
    return {name: value for name, value in given.items() if value is not None}


def simulate(
    scenario: Scenario,
    seed: int | None = None,
    replication: int = 0,
    progress: Callable[[int], None] | None = None,
    policies: Mapping[str, UserPolicy] | None = None,
) -> Recorder:
    """Run a scenario to its end and return what was recorded.

    Parameters
    ----------
    seed
        Another seed than the scenario's.
    replication
        Number of the replication.
    progress
        Called with the instant of the run, in microseconds, as it goes on.
    policies
        Scaling policies of the user's own by service (``SERVICE`` or ``CLUSTER/SERVICE``).
    """
    region = build(scenario, seed, replication, policies)
    region.run(scenario.duration, progress)
    return region.finish()


def arguments_of(shape: Any) -> dict[str, Any]:
    """Return a model value as the arguments of a verb."""
    dumped: dict[str, Any] = shape.model_dump(mode="json", by_alias=True, exclude_unset=True)
    return dumped


def _call(region: Region, verb: str, arguments: dict[str, Any]) -> None:
    """Call a verb by its name, which an error answer carries along."""
    room, name = verb.split(".")
    try:
        getattr(getattr(region, room), name)(**arguments)
    except AwsError as error:
        error.verb = verb
        raise


def _happen(region: Region, entry: TimelineEntry) -> None:
    if entry.fault is not None:
        break_something(region, entry.fault)
        return
    verb, argument = entry.verb
    try:
        if isinstance(argument, StopTask):
            _stop(region, argument)
            return
        _call(region, verb, arguments_of(argument))
    except AwsError as error:
        # a user's mistake during the run is an answer of the API, not the end of the run
        cluster = str(getattr(argument, "cluster", "default"))
        region.kit.event(cluster, None, f"{verb}: {error.code}: {error}", "API_ERROR", "ERROR")


def _stop(region: Region, spec: StopTask) -> None:
    reason = spec.reason or "Task stopped by user"
    if spec.task is not None:
        region.ecs.stop_task(task=spec.task, cluster=spec.cluster, reason=reason)
        return
    for task in oldest_running(region, spec.cluster, spec.service, spec.count):
        region.ecs.stop_task(task=task.task_id, cluster=spec.cluster, reason=reason)


class _Submission:
    """A client that calls RunTask at the arrivals of a rate and, when it is refused, tries again later."""

    def __init__(self, region: Region, scenario: Scenario, jobs: Jobs, rate: Rate) -> None:
        self._region = region
        self._arguments = arguments_of(jobs.run_task)
        day_us = 86_400 * US_PER_S
        start_us = round(scenario.start.timestamp() * US_PER_S) % day_us
        stream = region.kit.streams[f"arrivals/{jobs.name}"]
        self._source: Source = source(rate, stream, start_us, scenario.duration)
        self._block: list[int] = []
        self._arm()

    def _arm(self) -> None:
        """Wait for the next arrival, drawing a block when the last one is used up."""
        while not self._block:
            block = self._source.block()
            if block is None:
                return
            self._block = block[::-1].tolist()
        self._region.kit.at(self._block.pop(), self._arrive)

    def _arrive(self) -> None:
        self._arm()
        self._call(self._arguments, RETRY_FIRST_S)

    def _call(self, arguments: dict[str, Any], wait_s: int) -> None:
        kit = self._region.kit
        try:
            answer = self._region.ecs.run_task(**arguments)
            left = len(answer["failures"])
        except (ThrottlingException, ClientException, NoContainerInstances):
            left = int(arguments.get("count", 1))
        if left:
            again = {**arguments, "count": left}
            kit.at(
                kit.now + wait_s * US_PER_S,
                lambda: self._call(again, min(RETRY_LONGEST_S, wait_s * 2)),
            )
