"""Which types hold a task, and what is said of one that none of a provider's will."""

from __future__ import annotations

import pytest

from fargsim.policy.fitting import holds, never_held, smallest
from fargsim.policy.managed_instances import Offer
from fargsim.policy.managed_scaling import InstanceShape
from fargsim.policy.needs import TaskNeeds

SMALL = Offer("small", "x86_64", InstanceShape(2048, 4000, enis=2), 0.10)
TALL = Offer("tall", "x86_64", InstanceShape(2048, 16000, enis=2), 0.12)
LARGE = Offer("large", "x86_64", InstanceShape(4096, 8000, enis=3), 0.09)
GPU = Offer("gpu", "x86_64", InstanceShape(4096, 16000, enis=3, gpus=1), 0.50)
ARM = Offer("arm", "arm64", InstanceShape(4096, 8000, enis=3), 0.05)
EVERY = [SMALL, TALL, LARGE, GPU, ARM]
ON_ARM = (("ecs.cpu-architecture", "arm64"),)


@pytest.mark.parametrize(
    ("needs", "name"),
    [
        (TaskNeeds(2048, 4000), "small"),
        (TaskNeeds(1024, 4001), "tall"),  # the fewest vCPUs first, though `large` has the lower price
        (TaskNeeds(2049, 100), "arm"),  # of equal sizes the cheapest
        (TaskNeeds(1, 1, gpus=1), "gpu"),
        (TaskNeeds(1, 1, attributes=ON_ARM), "arm"),
        (TaskNeeds(1, 1, enis=4), None),
    ],
)
def test_the_smallest_type_that_holds_a_task(needs: TaskNeeds, name: str | None) -> None:
    found = smallest(EVERY, needs)
    assert (None if found is None else found.name) == name
    taken = [offer.name for offer in EVERY if holds(offer, needs)]
    assert taken == [] if name is None else name in taken


BIG = TaskNeeds(4096, 1000)


@pytest.mark.parametrize(
    ("needs", "own", "waits", "picks", "words"),
    [
        (BIG, [LARGE], True, False, None),
        (BIG, [SMALL], True, False, "no small holds one (4096 CPU units, 1000 MiB), so they stay PROVISIONING and stop in the end; "
         "the smallest type that would do is large"),
        # managed scaling goes by the smallest type; placement and Managed Instances take any that will do
        (BIG, [LARGE, SMALL], True, False, "no small holds one (4096 CPU units, 1000 MiB), so they stay PROVISIONING and stop in the "
         "end; managed scaling goes by the smallest type of the group; the smallest type that would do is large"),
        (BIG, [LARGE, SMALL], False, False, None),
        (BIG, [LARGE, SMALL], True, True, None),
        # Managed Instances pick a type of the task's processor only
        (BIG, [ARM, SMALL], True, True, "no type that meets the instanceRequirements holds one (4096 CPU units, 1000 MiB), so they stay "
         "PROVISIONING and stop in the end; the smallest type that would do is large"),
        (BIG, [ARM, SMALL, LARGE], True, True, None),
        (TaskNeeds(1, 1, attributes=ON_ARM), [SMALL, ARM], True, True, None),
        (BIG, [SMALL], False, False, "no small holds one (4096 CPU units, 1000 MiB), so they are refused; the smallest type that "
         "would do is large"),
        (BIG, [], True, True, "no type that meets the instanceRequirements holds one (4096 CPU units, 1000 MiB), so they stay "
         "PROVISIONING and stop in the end; the smallest type that would do is large"),
        # a group without types that are known
        (BIG, [], True, False, None),
        (BIG, [], False, False, None),
        (TaskNeeds(1, 1, attributes=ON_ARM), [SMALL], True, False, "no small holds one (1 CPU units, 1 MiB, arm64), so they stay "
         "PROVISIONING and stop in the end; the smallest type that would do is arm"),
        (TaskNeeds(1, 1, gpus=9), [GPU], True, False, "no gpu holds one (1 CPU units, 1 MiB, 9 GPUs), so they stay PROVISIONING and "
         "stop in the end; no instance type would do"),
    ],
)  # fmt: skip
def test_what_is_said(needs: TaskNeeds, own: list[Offer], waits: bool, picks: bool, words: str | None) -> None:
    assert never_held(needs, own, EVERY, waits=waits, picks=picks) == words
