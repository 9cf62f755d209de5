"""Variants and replications, on any executor of `concurrent.futures`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Executor, ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from multiprocessing import get_context

from fargsim.model.scenario import Scenario
from fargsim.study.run import Result, run


@dataclass(frozen=True, slots=True)
class Job:
    """One run to do."""

    scenario: Scenario
    seed: int
    replication: int

    @property
    def label(self) -> str:
        """What a progress bar shows."""
        variant = self.scenario.variant or self.scenario.name
        return variant if self.replication == 0 else f"{variant} #{self.replication}"


def jobs(scenarios: Iterable[Scenario], *, seed: int | None = None, replications: int = 1) -> list[Job]:
    """Return the runs of some variants, each replicated; variants share seeds, so that they meet the same traffic."""
    return [
        Job(scenario, scenario.seed if seed is None else seed, replication)
        for scenario in scenarios
        for replication in range(replications)
    ]


def run_all(
    work: Sequence[Job],
    *,
    workers: int = 1,
    executor: Executor | None = None,
    progress: Callable[[Job, int], None] | None = None,
) -> list[Result]:
    """Do runs and return their results in the order of the jobs, whoever finished first.

    Parameters
    ----------
    workers
        Processes to use; 1 runs in this process.
    executor
        Anything with the interface of `concurrent.futures.Executor`, in place of processes of this machine.
    progress
        Called with a job and the instant it has reached, in microseconds; from other processes only when a job is done.
    """
    if executor is None and (workers <= 1 or len(work) <= 1):
        return [_here(job, progress) for job in work]
    if executor is not None:
        return _on(executor, work, progress)
    # a forked child would inherit threads of the numeric libraries: spawn is safe everywhere
    with ProcessPoolExecutor(min(workers, len(work)), mp_context=get_context("spawn")) as pool:
        return _on(pool, work, progress)


def _here(job: Job, progress: Callable[[Job, int], None] | None) -> Result:
    tell = None if progress is None else (lambda at_us: progress(job, at_us))
    return run(job.scenario, job.seed, replication=job.replication, progress=tell)


def _on(executor: Executor, work: Sequence[Job], progress: Callable[[Job, int], None] | None) -> list[Result]:
    futures = {executor.submit(_here, job, None): index for index, job in enumerate(work)}
    results: dict[int, Result] = {}
    for future in as_completed(futures):
        index = futures[future]
        results[index] = future.result()
        if progress is not None:
            progress(work[index], work[index].scenario.duration)
    return [results[index] for index in range(len(work))]


def summaries(results: Iterable[Result]) -> list[Mapping[str, object]]:
    """Return the rows of ``fargsim run --json``: variant, replication, seed and summary of each run."""
    return [
        {
            "variant": result.provenance["scenario"].get("variant") or "default",
            "replication": result.provenance["replication"],
            "seed": result.provenance["seed"],
            "summary": result.summary,
        }
        for result in results
    ]
