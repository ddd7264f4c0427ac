"""Does jobs side by side; keeps each result as it comes: an interrupt loses only what is under way."""

from collections.abc import Callable, Sequence
from pathlib import Path

from ...spec.errors import UserError
from ...support.interrupts import Interrupts
from .cache import Cache
from .child import Outcome, attempt
from .job import Job, Measure, Source, described
from .store import Records, Store

Progress = Callable[[int, int, Sequence[Job]], None]
"""Told of every change: jobs done (from the cache too), of all, and those under way."""

Keep = Callable[[int, Outcome], None]
Tell = Callable[[Sequence[int]], None]


class Interrupted(KeyboardInterrupt):
    """The run was interrupted after `done` of `total` jobs."""

    def __init__(self, done: int, total: int):
        super().__init__(f"{done} of {total} jobs done")
        self.done, self.total = done, total


def run_jobs(
    jobs: Sequence[Job],
    measure: Measure,
    *,
    source: Source = described,
    cache: Path | None = None,
    workers: int | None = 1,
    scheduler: str = "",
    progress: Progress | None = None,
    note: Callable[[str], None] | None = None,
) -> list[Records]:
    """Returns `measure(job)` of every job, in their order, as JSON holds it (a tuple becomes a list).

    measure, source: top-level functions; `source` returns the text that a design is measured as. With several
        workers or a scheduler each call has a process of its own. An exception (SystemExit) gives it up, at
        which it ends what it started.
    cache: folder of results, found again by what they depend on; None: none is kept. Each result is kept at
        once, whatever becomes of the others.
    workers: jobs under way at a time; None: as many as the scheduler's workers have threads.
    scheduler: address of a Dask scheduler whose workers do the jobs; "": this machine does.
    note: told what the user should know while nothing happens.

    Raises `UserError` for a scheduler that cannot be reached, and, naming design and library, for the first
    job that fails with one (what is under way is then given up); `Interrupted` on SIGINT, SIGTERM and SIGHUP.
    """
    store = Store(Cache(cache), source) if cache else None
    results: dict[int, Records] = {}

    def keep(index: int, outcome: Outcome) -> None:
        results[index] = _records(jobs[index], outcome)
        if store:
            store.keep(jobs[index], outcome["source"], results[index])

    def tell(under_way: Sequence[int]) -> None:
        if progress:
            progress(len(results), len(jobs), [jobs[index] for index in under_way])

    try:
        with Interrupts():
            for index, job in enumerate(jobs):
                if store and (records := store.find(job)) is not None:
                    results[index] = records
            missing = {index: job for index, job in enumerate(jobs) if index not in results}
            if not scheduler and min(workers or 1, len(missing)) <= 1:
                for index, job in missing.items():
                    tell([index])
                    keep(index, attempt(measure, source, job))
            elif missing:
                from .cluster import distribute  # Dask takes a second to import

                distribute(missing, measure, source, scheduler, workers, keep, tell, note)
            tell(())
    except KeyboardInterrupt:
        raise Interrupted(len(results), len(jobs)) from None
    finally:
        if store:
            store.close()
    return [results[index] for index in range(len(jobs))]


def _records(job: Job, outcome: Outcome) -> Records:
    """Returns the records of an outcome. Raises what became of the job instead."""
    if outcome["kind"] == "refused":
        raise UserError(f"{job.title}: {outcome['why']}")
    if outcome["kind"] == "failed":
        raise RuntimeError(f"{job.title}: {outcome['why']}")
    if outcome["kind"] == "interrupted":
        raise KeyboardInterrupt
    return outcome["records"]
