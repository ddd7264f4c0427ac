"""Interrupts and dead workers: nothing is lost, nothing is left behind, with workers here and elsewhere."""

import gc
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from distributed import Client

from mixpe.ppa.jobs import cluster
from mixpe.ppa.jobs.run import run_jobs
from mixpe.spec.errors import UserError
from verif.harness.processes import started
from verif.samples.jobs import fake_jobs


@pytest.fixture
def fake(tmp_path):
    with fake_jobs(tmp_path) as made:
        yield made


class Workers:
    """A Dask scheduler and workers, started by hand as a user does; a dead worker is not started again."""

    def __init__(self, folder: Path, address: str, processes: list[subprocess.Popen]):
        self.folder, self.address, self.processes = folder, address, processes

    def living(self) -> int:
        """Returns how many workers are alive."""
        return sum(process.poll() is None for process in self.processes)


@contextmanager
def by_hand(folder: Path, count: int, allowed_failures: int = 3) -> Iterator[Workers]:
    described = folder / "scheduler.json"
    place = ["--scheduler-file", str(described), "--no-dashboard"]
    settings = {
        "PYTHONPATH": os.pathsep.join([str(folder), os.environ["PYTHONPATH"]]),
        "DASK_DISTRIBUTED__SCHEDULER__ALLOWED_FAILURES": str(allowed_failures),
    }
    processes: list[subprocess.Popen] = []

    def start(program: str, *options: str) -> None:
        command = [sys.executable, "-m", f"distributed.cli.dask_{program}", *place, *options]
        with open(folder / f"{program}{len(processes)}.log", "w") as log:
            processes.append(
                subprocess.Popen(command, cwd=folder, env=os.environ | settings, stdout=log, stderr=log)
            )

    try:
        start("scheduler", "--host", "127.0.0.1", "--port", "0")
        address = _address(described)
        for _ in range(count):
            start("worker", "--nthreads", "1", "--no-nanny", "--local-directory", str(folder / "scratch"))
        yield Workers(folder, address, processes[1:])
    finally:
        for process in reversed(processes):
            process.kill()
            process.wait()


def _address(described: Path) -> str:
    text = _content(described)
    return json.loads(text)["address"]


def test_the_same_records_from_workers_started_by_hand(fake, tmp_path):
    many = [fake.job(name) for name in "abcd"]
    here = run_jobs(many, fake.measure)
    with by_hand(tmp_path, 2) as workers:
        fake.calls()
        assert run_jobs(many, fake.measure, workers=None, scheduler=workers.address) == here
        assert fake.calls() == list("abcd")
        assert not list((tmp_path / "scratch").rglob("cells.lib"))  # the workers' copies are removed


def test_a_killed_worker_loses_nothing(fake, tmp_path):
    """The measurement of c kills its worker; the other one does it again.

    A result that the dead worker had not sent yet is made again, too.
    """
    acts = {"a": "measure", "b": "measure", "c": "kill worker once", "d": "measure", "e": "measure"}
    many = [fake.job(name, act) for name, act in acts.items()]
    with by_hand(tmp_path, 2) as workers:
        there = run_jobs(many, fake.measure, cache=fake.cache, workers=None, scheduler=workers.address)
        assert workers.living() == 1
    calls = fake.calls()
    assert set(calls) == set("abcde")
    assert calls.count("c") == 2
    pid = int((tmp_path / "killed").read_text())
    assert _ends(pid), "the measurement outlived its worker"
    assert there == run_jobs([fake.job(name) for name in acts], fake.measure)
    fake.calls()
    assert run_jobs(many, fake.measure, cache=fake.cache) == there
    assert fake.calls() == []


def test_a_job_that_kills_every_worker(fake, tmp_path):
    many = [fake.job("a"), fake.job("b", "kill worker")]
    with by_hand(tmp_path, 2, allowed_failures=1) as workers:
        with pytest.raises(UserError) as error:
            run_jobs(many, fake.measure, cache=fake.cache, workers=None, scheduler=workers.address)
        assert str(error.value).startswith("b with lib7: every worker that did it died")
        assert workers.living() == 0
    fake.calls()
    run_jobs(many[:1], fake.measure, cache=fake.cache)
    assert fake.calls() == []


def test_another_version_is_refused(fake, tmp_path, monkeypatch):
    monkeypatch.setattr(cluster, "environment", lambda: {"pyosys": "0.1"})
    with by_hand(tmp_path, 1) as workers, pytest.raises(UserError) as error:
        run_jobs([fake.job("a")], fake.measure, workers=None, scheduler=workers.address)
    assert str(error.value).startswith("a with lib7: the worker has ")
    assert fake.calls() == []


@pytest.mark.parametrize(
    "address",
    ["tcp://127.0.0.1:1", "tls://127.0.0.1:1", "pigeon://there", "tcp://nowhere.invalid:8786", "tcp://"],
)
def test_a_scheduler_that_cannot_be_reached(address, fake, monkeypatch):
    monkeypatch.setattr(cluster, "CONNECT_SECONDS", 0.5)
    start = time.monotonic()
    with pytest.raises(UserError) as error:
        run_jobs([fake.job("a")], fake.measure, workers=None, scheduler=address)
    assert time.monotonic() - start < 30
    assert str(error.value).startswith(f"--scheduler {address} cannot be reached: ")
    assert "\n" not in str(error.value)


def test_a_client_that_reached_nothing_is_closed(fake, monkeypatch):
    """One that the garbage collector closes may wait for ever, amid the start of the next one."""
    monkeypatch.setattr(cluster, "CONNECT_SECONDS", 0.5)
    gc.collect()
    gc.disable()
    try:
        with pytest.raises(UserError):
            run_jobs([fake.job("a")], fake.measure, workers=None, scheduler="tls://127.0.0.1:1")
        clients = [each for each in gc.get_objects() if isinstance(each, Client)]
    finally:
        gc.enable()
    assert {client.status for client in clients} <= {"closed", "newly-created"}


SCRIPT = """
import sys
from pathlib import Path
from fake_measure import Design, measure
from mixpe.ppa.jobs.job import Job
from mixpe.ppa.jobs.run import Interrupted, run_jobs

if __name__ == "__main__":
    folder = Path(sys.argv[1])
    many = [Job(Design(name, folder, "wait"), "lib7", (folder / "cells.lib",), (None,)) for name in "abc"]
    try:
        run_jobs(many, measure, cache=folder / "cache", workers=2, scheduler=sys.argv[2])
    except Interrupted as interrupt:
        print(interrupt)
"""


@pytest.mark.usefixtures("fake")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_signal_ends_what_measurements_started(number, tmp_path):
    _interrupted(tmp_path, number, "")


@pytest.mark.usefixtures("fake")
def test_interrupt_ends_what_workers_elsewhere_do(tmp_path):
    with by_hand(tmp_path, 2) as workers:
        _interrupted(tmp_path, signal.SIGINT, workers.address)
        assert workers.living() == 2


def _interrupted(folder: Path, number: signal.Signals, scheduler: str) -> None:
    """Interrupts a run with two jobs under way: it says so, and none of its processes is left."""
    (folder / "script.py").write_text(SCRIPT)
    with started([sys.executable, "script.py", str(folder), scheduler], folder) as process:
        try:
            pids = [int(_content(folder / f"started-{name}")) for name in "ab"]
            # As a terminal does: to all processes of the group.
            (os.kill if number == signal.SIGTERM else os.killpg)(process.pid, number)
            out, err = process.communicate(timeout=60)
        finally:
            process.kill()
    assert (process.returncode, out, err) == (0, "0 of 3 jobs done\n", "")
    for pid in pids:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)


def _content(path: Path) -> str:
    """Returns what `path` holds, once it does."""
    for _ in range(3000):
        if path.exists() and (text := path.read_text()):
            return text
        time.sleep(0.02)
    raise TimeoutError(path)


def _ends(pid: int) -> bool:
    """Whether a process ends before long."""
    for _ in range(1000):
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return True
        time.sleep(0.02)
    return False
