"""Which instance types hold a task, and what to say of one that no instance of its provider will ever hold.

Source: Amazon ECS Developer Guide, managed-scaling-behavior.html (tasks that do not fit the smallest type of the group are not scaled
for), api_failures_messages.html (``TaskFailedToStart: RESOURCE:CPU``).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from fargsim.policy.managed_instances import Offer
from fargsim.policy.managed_scaling import tasks_per_instance
from fargsim.policy.needs import TaskNeeds


def holds(offer: Offer, needs: TaskNeeds) -> bool:
    """Whether an empty instance of a type takes a task: its resources, and its processor where the task asks for one."""
    return tasks_per_instance(needs, offer.shape) != 0 and needs.architecture in (None, offer.architecture)


def smallest(offers: Sequence[Offer], needs: TaskNeeds) -> Offer | None:
    """Return the smallest type that holds a task: by vCPU, then by memory, then by price; None where none does.

    >>> from fargsim.policy.managed_scaling import InstanceShape
    >>> offers = [Offer("m", "x86_64", InstanceShape(4096, 16000), 0.19), Offer("c", "x86_64", InstanceShape(4096, 8000), 0.17)]
    >>> smallest(offers, TaskNeeds(4096, 1024)).name, smallest(offers, TaskNeeds(8192, 1024))
    ('c', None)
    """
    fitting = [o for o in offers if holds(o, needs)]
    if not fitting:
        return None
    return min(fitting, key=lambda o: (o.shape.cpu_units, o.shape.memory_mib, o.price_usd, o.name))


def never_held(
    needs: TaskNeeds, own: Sequence[Offer], every: Iterable[Offer], *, waits: bool, picks: bool
) -> str | None:
    """Say that no instance of a provider will ever hold a task, and which type would; None where one will.

    Parameters
    ----------
    own
        The types that the provider may launch; of a group without any, nothing is said.
    every
        The types of the region.
    waits
        Whether its tasks wait in PROVISIONING (managed scaling, Managed Instances) or are refused.
    picks
        Whether ECS picks the type for the task (Managed Instances), of the task's processor, which is x86_64 where it does not say;
        otherwise every type of the group must hold it, for managed scaling goes by the smallest.
    """
    if picks:
        own = [o for o in own if o.architecture == (needs.architecture or "x86_64")]
    small = [o for o in own if not holds(o, needs)]
    one_will_do = picks or not waits
    if (len(small) < len(own) if one_will_do else not small) or not (own or picks):
        return None
    asked = f"{needs.cpu_units} CPU units, {needs.memory_mib} MiB"
    asked += "".join(f", {n} {what}" for n, what in ((needs.gpus, "GPUs"), (needs.enis, "interface")) if n)
    asked += "" if needs.architecture is None else f", {needs.architecture}"
    which = "type that meets the instanceRequirements" if picks else small[0].name
    says = f"no {which} holds one ({asked}), so they "
    says += "stay PROVISIONING and stop in the end" if waits else "are refused"
    if len(small) < len(own):
        says += "; managed scaling goes by the smallest type of the group"
    wanted = needs.architecture or (small[0].architecture if small else "x86_64")
    best = smallest([o for o in every if o.architecture == wanted], needs)
    return f"{says}; " + (
        "no instance type would do" if best is None else f"the smallest type that would do is {best.name}"
    )
