"""Jobs on Dask workers: those of this process by default, or those of a scheduler on many machines."""

import logging
import math
import time
import uuid
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any, cast

import dask.config
from distributed import Client, Future, LocalCluster, wait
from distributed.scheduler import KilledWorker

from ...spec.errors import UserError
from ...support.folders import temporary_folder
from ...support.interrupts import deaf
from . import worker
from .cache import environment
from .child import Outcome
from .job import Job, Measure, Source
from .run import Keep, Tell

CONNECT_SECONDS = 10
"""Seconds until a scheduler that does not answer is given up."""

_POLL_SECONDS = 1

_TRIES = 3
"""How often a job is begun whose own process was killed each time, by a lack of memory perhaps."""


def distribute(
    jobs: Mapping[int, Job],
    measure: Measure,
    source: Source,
    scheduler: str,
    workers: int | None,
    keep: Keep,
    tell: Tell,
    note: Callable[[str], None] | None = None,
) -> None:
    """Does `jobs` on the workers of `scheduler`, or on `workers` threads of this process; keeps each outcome.

    Every job has a process of its own, so that a thread of a worker is enough for it. A job whose worker dies
    is done by another one, one whose own process is killed begins again, a few times each.

    Raises `UserError` as `run_jobs` does. Whatever is raised, no process of the run is left.
    """
    logging.getLogger("distributed").setLevel(logging.CRITICAL)
    run = uuid.uuid4().hex
    with _client(scheduler, workers or 1) as client, client.as_current():
        files = {str(path): path for job in jobs.values() for path in job.files}
        contents = {name: path.read_bytes() for name, path in files.items()}
        client.register_plugin(worker.Files(run, contents))
        run_ = _Run(client, run, scheduler, jobs, measure, source, keep, tell)
        try:
            run_.work(workers, note)
        except BaseException:
            with deaf():
                run_.give_up()
            raise
        finally:
            with deaf(), suppress(Exception):
                client.unregister_worker_plugin(f"mixpe-{run}")


@contextmanager
def _client(scheduler: str, workers: int) -> Iterator[Client]:
    if scheduler:
        client = _connected(scheduler)
        try:
            yield client
        finally:
            with deaf():
                client.close(timeout=_POLL_SECONDS)
        return
    with (
        temporary_folder("mixpe-dask-") as folder,
        dask.config.set({"temporary-directory": str(folder)}),
        LocalCluster(
            n_workers=1,
            threads_per_worker=workers,
            processes=False,
            # In this process: no port takes jobs. What Dask serves besides is on free ports of loopback.
            protocol="inproc://",
            scheduler_kwargs={"dashboard": False, "dashboard_address": "127.0.0.1:0"},
            worker_dashboard_address="127.0.0.1:0",
            local_directory=str(folder),
            memory_limit=0,
            silence_logs=logging.CRITICAL,
        ) as cluster,
        Client(cluster, set_as_default=False) as client,
    ):
        yield client


class _Client(Client):
    """Closes itself at once where it does not reach its scheduler.

    Left to the garbage collector it may close amid another client's start, whose lock it waits for: in the
    same thread, and so for ever.
    """

    def start(self, **options: Any) -> None:
        try:
            super().start(**options)
        except BaseException:
            self.close()
            raise


def _connected(scheduler: str) -> Client:
    """Returns a client of the scheduler at this address, with the certificates of Dask's own settings."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # versions of packages that differ are looked at by the workers
            return _Client(scheduler, timeout=CONNECT_SECONDS, set_as_default=False)
    except Exception as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise UserError(f"--scheduler {scheduler} cannot be reached: {reason}") from None


class _Run:
    """The jobs of one call: which wait, and which are under way."""

    def __init__(
        self,
        client: Client,
        run: str,
        scheduler: str,
        jobs: Mapping[int, Job],
        measure: Measure,
        source: Source,
        keep: Keep,
        tell: Tell,
    ):
        self._client, self._run, self._scheduler = client, run, scheduler
        self._jobs, self._measure, self._source = jobs, measure, source
        self._keep, self._tell = keep, tell
        self._waiting = list(jobs)
        self._tries = dict.fromkeys(jobs, 0)
        self._under_way: dict[Future, int] = {}
        self._told: list[int] = []
        self._environment = environment()

    def work(self, workers: int | None, note: Callable[[str], None] | None) -> None:
        """Does all jobs, no more at a time than there are threads and the user allows."""
        noted = False
        while self._waiting or self._under_way:
            threads = sum(cast(dict[str, int], self._client.nthreads()).values())
            if not threads and not noted and note:
                noted = True
                note(f"waiting for workers of {self._scheduler}")
            # Only what can be done at once: when a worker dies, no waiting job is suspected of it.
            while self._waiting and len(self._under_way) < min(threads, workers or math.inf):
                self._submit(self._waiting.pop(0))
            self._tell_changes()
            if not self._under_way:
                time.sleep(_POLL_SECONDS)
                continue
            with suppress(TimeoutError):
                ended: Any = wait([*self._under_way], timeout=_POLL_SECONDS, return_when="FIRST_COMPLETED")
                for future in ended.done:
                    self._finish(future)

    def _tell_changes(self) -> None:
        under_way = list(self._under_way.values())
        if under_way != self._told:
            self._told = under_way
            self._tell(under_way)

    def _submit(self, index: int) -> None:
        self._tries[index] += 1
        future = self._client.submit(
            worker.work,
            self._run,
            worker.payload_of(self._measure, self._source, self._jobs[index]),
            self._environment,
            pure=False,
            key=f"mixpe-{self._run}-{index}-{self._tries[index]}",
        )
        self._under_way[future] = index

    def _finish(self, future: Future) -> None:
        index = self._under_way.pop(future)
        outcome = self._outcome(future, self._jobs[index])
        if outcome["kind"] != "killed":
            self._keep(index, outcome)
        elif self._tries[index] < _TRIES:
            self._waiting.insert(0, index)
        else:
            raise UserError(
                f"{self._jobs[index].title}: its process was killed {_TRIES} times "
                f"(status {outcome['status']}), out of memory?"
            )

    def _outcome(self, future: Future, job: Job) -> Outcome:
        """Returns what a worker sent. Raises `UserError` where no worker could."""
        try:
            return future.result()
        except KilledWorker:
            raise UserError(
                f"{job.title}: every worker that did it died, out of memory? Others' results are kept"
            ) from None
        except ImportError as error:
            raise UserError(f"{job.title}: a worker lacks a module: {error}") from None
        except Exception as error:
            reason = (str(error).splitlines() or [type(error).__name__])[0]
            raise UserError(f"{job.title}: lost with its worker or the scheduler: {reason}") from None

    def give_up(self) -> None:
        """Keeps what is done and ends what is under way, on every worker."""
        for future, index in list(self._under_way.items()):
            if future.status == "finished":
                with suppress(Exception, KeyboardInterrupt):
                    outcome = future.result(timeout=_POLL_SECONDS)
                    if outcome["kind"] == "records":
                        self._keep(index, outcome)
        with suppress(Exception):
            self._client.cancel([*self._under_way], force=True)
        with suppress(Exception):
            self._client.run(worker.give_up, self._run, on_error="ignore")
