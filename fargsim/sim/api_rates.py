"""How often the API may be called: a token bucket for each group of actions, per account and region.

Source: Amazon ECS Developer Guide, throttling.html (RunTask on Fargate); Amazon ECS API Reference, request-throttling.html.
"""

from __future__ import annotations

from fargsim.catalog.quotas import api_buckets
from fargsim.sim.account import TokenBucket
from fargsim.sim.errors import ThrottlingException
from fargsim.sim.kit import Kit

TASKS = "cluster_resource_modify"
"""The group of RunTask, StartTask and StopTask."""


class ApiRates:
    """The buckets of the verbs that start and stop tasks."""

    def __init__(self, kit: Kit) -> None:
        self._kit = kit
        facts = api_buckets()[TASKS]
        self._tasks = TokenBucket(facts.burst, facts.refill_per_s)
        rate = kit.quotas["fargate_run_task_calls_per_s"]
        self._fargate = None if rate is None else TokenBucket(rate, rate)

    def call(self, verb: str) -> None:
        """Count a call of RunTask, StartTask or StopTask.

        Raises
        ------
        ThrottlingException
            When the bucket is empty.
        """
        if not self._tasks.take(self._kit.now, 1):
            raise ThrottlingException(
                f"Rate exceeded: {verb} shares {self._tasks.burst:g} calls at once, {self._tasks.per_s:g} a second, "
                "with RunTask, StartTask and StopTask of the account."
            )

    def run_on_fargate(self) -> None:
        """Count a call of RunTask on Fargate, which has a rate of its own.

        Raises
        ------
        ThrottlingException
            When that rate is exceeded.
        """
        if self._fargate is not None and not self._fargate.take(self._kit.now, 1):
            raise ThrottlingException(
                f"Rate exceeded: RunTask on Fargate takes {self._fargate.burst:g} calls a second."
            )
