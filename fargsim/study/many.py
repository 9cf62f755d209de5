"""Variants and replications, on any executor of `concurrent.futures`."""

from __future__ import annotations

import os
import signal as signals
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Executor, ProcessPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing import active_children, get_context
from signal import SIG_IGN, SIGINT, SIGTERM, signal

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


def cores() -> int:
    """Return how many cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def run_all(
    work: Sequence[Job],
    *,
    workers: int = 1,
    executor: Executor | None = None,
    progress: Callable[[Job, int], None] | None = None,
    draw: bool = False,
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
    draw
        Whether other processes also draw the pictures of their runs, so that a report need not draw them one by one.
    """
    if executor is None and (workers <= 1 or len(work) <= 1):
        return [_here(job, progress) for job in work]
    if executor is not None:
        return _on(executor, work, progress, draw)
    with _processes(min(workers, len(work))) as pool:
        return _on(pool, work, progress, draw)


@contextmanager
def _processes(workers: int) -> Iterator[Executor]:
    """Give an executor of processes that ends at once when something goes wrong, Ctrl-C above all."""
    others = set(active_children())
    # a forked child would inherit threads of the numeric libraries: spawn is safe everywhere
    pool = ProcessPoolExecutor(workers, mp_context=get_context("spawn"), initializer=_leave_interrupts_to_the_parent)
    try:
        yield pool
    except BaseException:
        # what they are working on is no longer wanted, and a run may take minutes
        for child in set(active_children()) - others:
            child.terminate()
        # waited for: a thread of the pool that was still at it when the program ends would tell of pipes that are gone
        pool.shutdown(cancel_futures=True)
        raise
    pool.shutdown()


@contextmanager
def interrupts_held() -> Iterator[None]:
    """Hold Ctrl-C, and a polite kill that has a handler, back until afterwards: a process that is half started would tell of it.

    What is blocked here another thread may receive, one of a numeric library, and Python runs the handler in the main thread all the same:
    so the handlers only take note meanwhile. Ctrl-C is blocked, too, for processes that are started inherit that and never hear of it.
    """
    if threading.current_thread() is not threading.main_thread():
        yield  # handlers run in the main thread, and disturb nothing here
        return
    came: list[int] = []
    handlers = {number: signals.getsignal(number) for number in (SIGINT, SIGTERM)}
    held = {number: handler for number, handler in handlers.items() if callable(handler)}
    for number in held:
        signal(number, lambda number, frame: came.append(number))
    try:
        with _blocked(SIGINT):
            yield
    finally:
        for number, handler in held.items():
            signal(number, handler)
        if came:
            signals.raise_signal(came[0])


@contextmanager
def _blocked(number: int) -> Iterator[None]:
    """Block a signal in this thread, and in the processes that it starts."""
    if not hasattr(signals, "pthread_sigmask"):
        yield
        return
    before = signals.pthread_sigmask(signals.SIG_BLOCK, {number})
    try:
        yield
    finally:
        signals.pthread_sigmask(signals.SIG_SETMASK, before)


def _leave_interrupts_to_the_parent() -> None:
    """Ctrl-C reaches every process of a terminal; the parent unwinds and ends its children."""
    signal(SIGINT, SIG_IGN)


def _here(job: Job, progress: Callable[[Job, int], None] | None) -> Result:
    tell = None if progress is None else (lambda at_us: progress(job, at_us))
    return run(job.scenario, job.seed, replication=job.replication, progress=tell)


def _drawn(job: Job) -> Result:
    result = _here(job, None)
    if job.replication == 0:
        # matplotlib is slow to import, and not every run is drawn
        from fargsim.report.plots import draw_run

        result.pictures = draw_run(result.record)
    return result


def _plain(job: Job) -> Result:
    return _here(job, None)


def _on(
    executor: Executor, work: Sequence[Job], progress: Callable[[Job, int], None] | None, draw: bool
) -> list[Result]:
    do = _drawn if draw else _plain
    with interrupts_held():
        # the first submission starts the processes, which keep what is held back here until they can ignore it
        futures = {executor.submit(do, job): index for index, job in enumerate(work)}
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
