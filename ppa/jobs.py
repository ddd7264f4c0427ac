"""Measures in parallel; keeps each result as it comes, so that an interrupt loses only what is under way."""

import json
import multiprocessing
import signal
import threading
import traceback
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any, Protocol, cast

from ..spec.errors import UserError
from .cache import Cache, described, digest, file_hash, source_hash, tools

# Seconds a worker has to end its own processes and remove their files.
_GRACE = 10


class Named(Protocol):
    """What `Job` needs of a design; the rest is between those who make and measure it."""

    @property
    def name(self) -> str: ...


@dataclass(frozen=True)
class Job:
    """One design with one library.

    design: has a `name`, can be pickled.
    library: what reports call the library of the Liberty files `sources`.
    targets: periods in ns to synthesize for, None: for area. Each makes one record. If
        empty, `measure` chooses.
    text: what stands for the design and its operands in the cache: all of it, such as the Verilog and
        the stimulus. If empty, the design's `repr` and the source files that make Verilog and operands
        of it, which costs less to get.
    """

    design: Named
    library: str
    sources: tuple[Path, ...]
    targets: tuple[float | None, ...]
    text: str = ""

    @property
    def title(self) -> str:
        return f"{self.design.name} with {self.library}"

    def content(self) -> str:
        """What is measured, as one line; the same in every process, and for a copy of the same files."""
        design = self.text or [described(self.design), source_hash("hw", "gen", "quant")]
        return digest(
            self.design.name, design, self.library, [file_hash(path) for path in self.sources], self.targets
        )


Measure = Callable[[Job], list[dict[str, Any]]]

Progress = Callable[[int, int, Sequence[Job]], None]
"""Told of every change: jobs done (from the cache too), of all, and those under way."""


class Interrupted(KeyboardInterrupt):
    """The run was interrupted after `done` of `total` jobs."""

    def __init__(self, done: int, total: int):
        super().__init__(f"{done} of {total} jobs done")
        self.done, self.total = done, total


def run_jobs(
    jobs: Sequence[Job],
    measure: Measure,
    *,
    cache: Path | None = None,
    workers: int = 1,
    progress: Progress | None = None,
) -> list[list[dict[str, Any]]]:
    """Returns `measure(job)` of every job, in their order, as JSON holds it (a tuple becomes a list).

    `measure` is a top-level function. With several workers each call has a process of its own. It is
    given up by an exception (SystemExit or KeyboardInterrupt), at which it ends what it started.

    cache: folder of results, found again by job, tools and source files of the flow; None: none is kept.
    Each result is kept at once, whatever becomes of the others.

    Raises `UserError`, which names design and library, for the first job that fails with one (what
    is under way is then given up), and `Interrupted` on SIGINT, SIGTERM and SIGHUP.
    """
    store = Cache(cache) if cache else None
    keys = [_key(job) for job in jobs] if store else []
    results: dict[int, list[dict[str, Any]]] = {}

    def keep(index: int, records: list[dict[str, Any]]) -> None:
        results[index] = records
        if store:
            store.put(keys[index], records)

    def tell(under_way: Sequence[int]) -> None:
        if progress:
            progress(len(results), len(jobs), [jobs[index] for index in under_way])

    try:
        with _interruptible():
            for index, key in enumerate(keys):
                if store and (records := store.get(key)) is not None:
                    results[index] = records
            missing = [index for index in range(len(jobs)) if index not in results]
            run = _serial if min(workers, len(missing)) <= 1 else _parallel
            run(jobs, missing, measure, keep, tell, workers)
            tell(())
    except KeyboardInterrupt:
        raise Interrupted(len(results), len(jobs)) from None
    finally:
        if store:
            store.close()
    return [results[index] for index in range(len(jobs))]


def _key(job: Job) -> str:
    return digest(job.content(), tools(), source_hash("ppa", "synth"))


Keep = Callable[[int, list[dict[str, Any]]], None]
Tell = Callable[[Sequence[int]], None]


def _serial(
    jobs: Sequence[Job], missing: list[int], measure: Measure, keep: Keep, tell: Tell, _workers: int
) -> None:
    for index in missing:
        tell([index])
        keep(index, _records(jobs[index], _attempt(measure, jobs[index])))


def _parallel(
    jobs: Sequence[Job], missing: list[int], measure: Measure, keep: Keep, tell: Tell, workers: int
) -> None:
    """A process for each job: a start costs a second, and one that dies takes no other with it."""
    resource_tracker.ensure_running()  # its start sets the signal mask free
    waiting = deque(missing)
    under_way: dict[Connection, tuple[int, BaseProcess]] = {}
    try:
        while waiting or under_way:
            while waiting and len(under_way) < workers:
                index = waiting.popleft()
                with _blocked():  # what starts inherits it, until it minds signals itself
                    receiver, process = _start(measure, jobs[index])
                    under_way[receiver] = index, process
            tell([index for index, _ in under_way.values()])
            for receiver in cast(list[Connection], wait([*under_way])):
                index, process = under_way[receiver]
                keep(index, _records(jobs[index], _received(receiver, process)))
                process.join()
                receiver.close()
                del under_way[receiver]
    except BaseException:
        with _deaf():
            try:
                for receiver, (index, process) in under_way.items():
                    if receiver.poll() and (outcome := _received(receiver, process))[0] == "records":
                        keep(index, outcome[1])
            finally:
                _stop([process for _, process in under_way.values()])
        raise


def _start(measure: Measure, job: Job) -> tuple[Connection, BaseProcess]:
    context = multiprocessing.get_context("spawn")  # not forked: this process has threads
    receiver, sender = cast(tuple[Connection, Connection], context.Pipe(duplex=False))
    process = context.Process(target=_worker, args=(sender, measure, job), name=job.title, daemon=True)
    process.start()
    sender.close()  # its end in the worker is the only one: the end of the worker ends the pipe
    return receiver, process


Outcome = tuple[str, Any]
"""What became of a job: "records", "refused" and why, "interrupted", or "failed" and the traceback."""


def _worker(sender: Connection, measure: Measure, job: Job) -> None:
    # Ctrl-C and a lost terminal reach all its processes: the first one decides, and tells by SIGTERM.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, _leave)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)
    try:
        outcome = _attempt(measure, job)
    except KeyboardInterrupt:
        outcome = "interrupted", None
    except Exception:
        outcome = "failed", traceback.format_exc()
    sender.send(outcome)


def _leave(number: int, _frame: object) -> None:
    signal.signal(number, signal.SIG_IGN)  # nothing disturbs what happens on the way out
    raise SystemExit(128 + number)


def _received(receiver: Connection, process: BaseProcess) -> Outcome:
    try:
        return receiver.recv()
    except (EOFError, OSError):
        process.join()
        killed = process.exitcode == -signal.SIGKILL
        return "refused", f"its process ended with status {process.exitcode}{', out of memory?' * killed}"


def _attempt(measure: Measure, job: Job) -> Outcome:
    try:
        records = measure(job)
    except UserError as error:
        return "refused", str(error)
    try:
        return "records", json.loads(json.dumps(records, allow_nan=False))
    except ValueError:
        return "refused", "a figure is not a finite number"


def _records(job: Job, outcome: Outcome) -> list[dict[str, Any]]:
    kind, found = outcome
    if kind == "refused":
        raise UserError(f"{job.title}: {found}")
    if kind == "failed":
        raise RuntimeError(f"{job.title}: {found}")
    if kind == "interrupted":
        raise KeyboardInterrupt
    return found


def _stop(processes: Sequence[BaseProcess]) -> None:
    for process in processes:
        process.terminate()
    for process in processes:
        process.join(_GRACE)
        if process.exitcode is None:
            process.kill()
            process.join()


_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def _in_main_thread() -> bool:
    return threading.current_thread() is threading.main_thread()


@contextmanager
def _handled(numbers: Sequence[signal.Signals], handler: Any) -> Iterator[None]:
    """`handler` for these signals meanwhile; Python sets handlers in its main thread only."""
    before = {number: signal.signal(number, handler) for number in numbers} if _in_main_thread() else {}
    try:
        yield
    finally:
        for number, old in before.items():
            signal.signal(number, old)


def _interruptible():
    """A request to end is an interrupt too. A hang-up that is ignored (nohup) stays ignored."""
    numbers = [signal.SIGTERM]
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
        numbers.append(signal.SIGHUP)

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    return _handled(numbers, interrupt)


def _deaf():
    return _handled(_SIGNALS, signal.SIG_IGN)


@contextmanager
def _blocked() -> Iterator[None]:
    """Signals wait meanwhile."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
