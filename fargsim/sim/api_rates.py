"""How often the API may be called: a token bucket for each group of actions, per account and region.

Source: Amazon ECS API Reference, request-throttling.html (buckets; RunTask, StartTask and StopTask share one); Amazon ECS Developer Guide,
throttling.html (RunTask on Fargate). Which group another action belongs to is read from the names of the groups.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any, TypeVar, cast

from fargsim.catalog.quotas import API_GROUPS, api_buckets
from fargsim.sim.account import TokenBucket
from fargsim.sim.errors import ThrottlingException
from fargsim.sim.kit import Kit

BUILDING = ("cluster_modify", "capacity_provider_modify", "service_modify", "task_definition_modify")
"""Groups whose verbs build: what they do before any time has passed is the first state, which was there before the run."""

Verb = TypeVar("Verb", bound=Callable[..., Any])


class ApiRates:
    """The buckets of the verbs of Amazon ECS.

    Verbs that only look are free unless ``api_read_throttling`` says otherwise: who looks is mostly not in the account, but in front of
    the screen.
    """

    def __init__(self, kit: Kit) -> None:
        self._kit = kit
        self._on = kit.parameters.flag("api_throttling")
        reads = kit.parameters.flag("api_read_throttling")
        self._buckets = {
            group: TokenBucket(facts.burst, facts.refill_per_s)
            for group, facts in api_buckets().items()
            if reads or not group.endswith("_read")
        }
        rate = kit.quotas["fargate_run_task_calls_per_s"]
        self._fargate = None if rate is None else TokenBucket(rate, rate)

    def call(self, verb: str) -> None:
        """Count a call of a verb, in boto3's name; one whose group has no bucket is free.

        Raises
        ------
        ThrottlingException
            When the bucket is empty.
        """
        group = API_GROUPS.get(verb, "")
        bucket, now = self._buckets.get(group), self._kit.now
        if bucket is None or not self._on or (now == 0 and group in BUILDING) or bucket.take(now, 1):
            return
        others = [_action(name) for name, of in API_GROUPS.items() if of == group and name != verb]
        shared = f", shared with {', '.join(others)}" if others else ""
        raise ThrottlingException(
            f"Rate exceeded: the account may call {_action(verb)} {bucket.burst:g} times at once and {bucket.per_s:g} times a second"
            f"{shared}. Wait, or set the assumption api_throttling to false."
        )

    def run_on_fargate(self) -> None:
        """Count a call of RunTask on Fargate, which has a rate of its own.

        Raises
        ------
        ThrottlingException
            When that rate is exceeded.
        """
        if self._fargate is None or not self._on or self._fargate.take(self._kit.now, 1):
            return
        raise ThrottlingException(f"Rate exceeded: RunTask on Fargate takes {self._fargate.burst:g} calls a second.")


def _action(verb: str) -> str:
    """Return AWS's name of a verb.

    >>> _action("run_task")
    'RunTask'
    """
    return "".join(part.capitalize() for part in verb.split("_"))


def counted(verb: Verb) -> Verb:
    """Let every call of a verb count against the rate of its group, before anything is read of it."""

    @wraps(verb)
    def call(self: Any, *arguments: Any, **more: Any) -> Any:
        self.rates.call(verb.__name__)
        return verb(self, *arguments, **more)

    return cast(Verb, call)
