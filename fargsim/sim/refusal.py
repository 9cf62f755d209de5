"""A task that was not started, and what is said about it."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Refusal:
    """A task that was not started.

    Parameters
    ----------
    reason
        AWS's failure reason, such as ``RESOURCE:MEMORY``.
    event
        What the service event says.
    passes
        Whether it passes by itself within moments: the launch rate of the account.
    """

    reason: str
    event: str = ""
    event_name: str = "SERVICE_TASK_PLACEMENT_FAILURE"
    detail: str = ""
    arn: str = ""
    passes: bool = False


@dataclass(slots=True)
class RefusedShares:
    """What the providers of a strategy have refused in one look of a service, or in one call of RunTask.

    What one refuses is its share still: the others get theirs and no more, so that on demand is never a substitute for Spot
    (github.com/aws/containers-roadmap/issues/852).
    """

    why: dict[str, Refusal] = field(default_factory=dict)
    number: dict[str, int] = field(default_factory=dict)

    def note(self, provider: str, refusal: Refusal) -> Refusal:
        """Count a task that a provider has refused."""
        self.number[provider] = self.number.get(provider, 0) + 1
        return self.why.setdefault(provider, refusal)
