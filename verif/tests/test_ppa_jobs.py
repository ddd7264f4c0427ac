"""Measuring in parallel: what is kept, found again, given up and resumed."""

import importlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from mixpe.ppa import cache, jobs
from mixpe.ppa.jobs import Interrupted, Job, run_jobs
from mixpe.spec.errors import UserError

# In a module of its own: the processes that measure import it. A file marks each call, and each end.
MEASURE = """
import math, os, signal, subprocess
from dataclasses import dataclass
from pathlib import Path
from mixpe.spec.errors import UserError

@dataclass(frozen=True)
class Design:
    name: str
    folder: Path
    act: str = "measure"
    width: int = 8

def measure(job):
    design = job.design
    with open(design.folder / "calls", "a") as file:
        file.write(f"{design.name} {job.library}\\n")
    if (design.folder / "well").exists():
        act = "measure"
    else:
        act = design.act
    if act == "refuse":
        raise UserError("a combinational loop")
    if act == "break":
        raise LookupError("no such thing")
    if act == "interrupt":
        raise KeyboardInterrupt
    if act == "nan":
        return [{"area_um2": math.nan}]
    if act == "die":
        os.kill(os.getpid(), signal.SIGKILL)
    if act == "wait":
        with subprocess.Popen(["sleep", "60"], start_new_session=True) as child:
            try:
                (design.folder / f"started-{design.name}").write_text(str(child.pid))
                child.wait()
            except BaseException:
                os.killpg(child.pid, signal.SIGKILL)
                raise
    (design.folder / f"end-{design.name}").touch()
    return [{"design": design.name, "library": job.library, "target_ns": target, "pair": (1, design.width)}
            for target in job.targets]
"""


@pytest.fixture
def fake(tmp_path, monkeypatch):
    """The module above; `job(name, act)`, `calls()`, which forgets them, and a cache folder."""
    (tmp_path / "fake_measure.py").write_text(MEASURE)
    (tmp_path / "cells.lib").write_text("library (cells) {}")
    monkeypatch.syspath_prepend(str(tmp_path))
    sys.modules.pop("fake_measure", None)
    module = importlib.import_module("fake_measure")

    def job(name: str, act: str = "measure", targets: tuple[float | None, ...] = (None, 2.5)) -> Job:
        return Job(module.Design(name, tmp_path, act), "lib7", (tmp_path / "cells.lib",), targets)

    def calls() -> list[str]:
        path = tmp_path / "calls"
        lines = path.read_text().splitlines() if path.exists() else []
        path.unlink(missing_ok=True)
        return sorted(line.split()[0] for line in lines)

    yield SimpleNamespace(
        job=job, calls=calls, measure=module.measure, Design=module.Design, cache=tmp_path / "cache"
    )
    sys.modules.pop("fake_measure", None)


def test_results_are_in_order(fake):
    found = run_jobs([fake.job("b"), fake.job("a", targets=(4.0,))], fake.measure)
    both = {"library": "lib7", "pair": [1, 8]}
    assert found == [
        [{"design": "b", "target_ns": None, **both}, {"design": "b", "target_ns": 2.5, **both}],
        [{"design": "a", "target_ns": 4.0, **both}],
    ]
    assert run_jobs([], fake.measure, workers=2) == []


def test_parallel_equals_serial(fake):
    many = [fake.job(name) for name in "edcba"]
    told = []
    serial = run_jobs(many, fake.measure)
    fake.calls()
    parallel = run_jobs(
        many,
        fake.measure,
        workers=2,
        progress=lambda done, total, under_way: told.append((done, total, [job.title for job in under_way])),
    )
    assert parallel == serial
    assert fake.calls() == list("abcde")
    assert told[0] == (0, 5, ["e with lib7", "d with lib7"])
    assert told[-1] == (5, 5, [])
    assert max(len(titles) for _, _, titles in told) == 2


def test_cache_finds_by_content(fake, tmp_path, monkeypatch):
    first = fake.job("a")

    def measured(job: Job, **options) -> bool:
        result = run_jobs([job], fake.measure, cache=fake.cache, **options)
        assert result == run_jobs([job], fake.measure, cache=fake.cache)
        return bool(fake.calls())

    assert measured(first)
    assert not measured(first)
    assert not measured(fake.job("a"))
    assert measured(fake.job("b"))
    assert measured(fake.job("a", targets=(None,)))
    assert measured(Job(fake.Design("a", tmp_path, width=9), *list(vars(first).values())[1:4]))
    # A library: the same under another path, another under the same path, another name.
    (tmp_path / "copy.lib").write_text("library (cells) {}")
    assert not measured(Job(first.design, "lib7", (tmp_path / "copy.lib",), first.targets))
    assert measured(Job(first.design, "lib5", first.sources, first.targets))
    (tmp_path / "cells.lib").write_text("library (cellz) {}")
    assert measured(first)
    # The caller's own text stands for the design.
    (tmp_path / "cells.lib").write_text("library (cells) {}")
    assert measured(Job(first.design, "lib7", first.sources, first.targets, "module a;"))
    assert not measured(
        Job(fake.Design("a", tmp_path, width=9), "lib7", first.sources, first.targets, "module a;")
    )
    assert measured(Job(first.design, "lib7", first.sources, first.targets, "module b;"))
    # Tools and source files.
    assert not measured(first)
    monkeypatch.setattr(jobs, "tools", lambda: {"pyosys": "0.71"})
    assert measured(first)
    monkeypatch.setattr(jobs, "source_hash", lambda *rooms: f"changed {rooms}")
    assert measured(first)


def test_without_a_cache(fake):
    for _ in range(2):
        run_jobs([fake.job("a")], fake.measure)
        assert fake.calls() == ["a"]


def test_source_hash(tmp_path, monkeypatch):
    """Every file of a room counts, but not those that show results."""
    for name in ("measure.py", "report.py", "start.tcl", "__pycache__/measure.pyc"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("1")
    monkeypatch.setattr(
        cache, "find_spec", lambda *_: SimpleNamespace(submodule_search_locations=[str(tmp_path)])
    )
    fresh = cache.source_hash.__wrapped__
    first = fresh("ppa")
    for name, counts in (("report.py", False), ("__pycache__/measure.pyc", False), ("start.tcl", True)):
        (tmp_path / name).write_text("2")
        assert (fresh("ppa") != first) == counts
    assert fresh("hw") != fresh("ppa")


def test_source_hash_of_this_package():
    assert len({cache.source_hash(), cache.source_hash("hw"), cache.source_hash("synth")}) == 3


def test_design_without_a_stable_text(fake):
    with pytest.raises(ValueError, match="memory address"):
        cache.described(SimpleNamespace(build=object()))


@pytest.mark.parametrize("workers", [1, 2])
def test_interrupt_and_resume(workers, fake, tmp_path):
    """The second run measures only what the first did not."""
    names = ["a", "b", "c", "d"]
    many = [fake.job(name, "interrupt" if name == "c" else "measure") for name in names]
    with pytest.raises(Interrupted) as interrupt:
        run_jobs(many, fake.measure, cache=fake.cache, workers=workers)
    done = interrupt.value.done
    assert done == 2 if workers == 1 else 1 <= done <= 3
    assert str(interrupt.value) == f"{done} of 4 jobs done"
    assert "c" in fake.calls()
    (tmp_path / "well").touch()
    results = run_jobs(many, fake.measure, cache=fake.cache, workers=workers)
    again = fake.calls()
    assert "c" in again
    assert len(again) == 4 - done
    assert [records[0]["design"] for records in results] == names


@pytest.mark.parametrize(
    ("act", "reason"),
    [("refuse", "a combinational loop"), ("nan", "a figure is not a finite number")],
)
@pytest.mark.parametrize("workers", [1, 2])
def test_error_names_design_and_library(act, reason, workers, fake, tmp_path):
    many = [fake.job("a"), fake.job("b", act), fake.job("c", act), fake.job("d")]
    with pytest.raises(UserError) as error:
        run_jobs(many, fake.measure, cache=fake.cache, workers=workers)
    assert str(error.value) in (f"b with lib7: {reason}", f"c with lib7: {reason}")
    assert "d" not in fake.calls()
    (tmp_path / "well").touch()
    run_jobs(many, fake.measure, cache=fake.cache)
    assert fake.calls()[-1] == "d"


def test_finished_is_kept_after_an_error(fake, tmp_path):
    with pytest.raises(UserError):
        run_jobs([fake.job("a"), fake.job("b", "refuse")], fake.measure, cache=fake.cache)
    (tmp_path / "well").touch()
    fake.calls()
    run_jobs([fake.job("a"), fake.job("b", "refuse")], fake.measure, cache=fake.cache)
    assert fake.calls() == ["b"]


def test_bug_is_not_hidden(fake):
    with pytest.raises(LookupError):
        run_jobs([fake.job("a", "break")], fake.measure)
    with pytest.raises(RuntimeError, match=r"with lib7: Traceback(.|\n)*no such thing"):
        run_jobs([fake.job("a", "break"), fake.job("b", "break")], fake.measure, workers=2)


def test_killed_process(fake):
    with pytest.raises(
        UserError, match=r"^[ab] with lib7: its process ended with status -9, out of memory\?$"
    ):
        run_jobs([fake.job("a", "die"), fake.job("b", "die")], fake.measure, workers=2)


def test_damaged_cache(fake):
    fake.cache.mkdir()
    (fake.cache / "cache.db").write_text("no database " * 100)
    with pytest.raises(UserError, match=r"cache .*: delete it, or give --no-cache$") as error:
        run_jobs([fake.job("a")], fake.measure, cache=fake.cache)
    assert str(fake.cache) in str(error.value)
    assert fake.calls() == []


def test_missing_liberty_file(fake, tmp_path):
    with pytest.raises(UserError, match=r"none\.lib cannot be read: No such file"):
        run_jobs(
            [Job(fake.Design("a", tmp_path), "lib7", (tmp_path / "none.lib",), (None,))],
            fake.measure,
            cache=fake.cache,
        )


SCRIPT = """
import sys
from pathlib import Path
from fake_measure import Design, measure
from mixpe.ppa.jobs import Interrupted, Job, run_jobs

if __name__ == "__main__":
    folder = Path(sys.argv[1])
    many = [Job(Design(name, folder, "wait"), "lib7", (folder / "cells.lib",), (None,)) for name in "abc"]
    try:
        run_jobs(many, measure, cache=folder / "cache", workers=int(sys.argv[2]))
    except Interrupted as interrupt:
        print(interrupt)
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_signal_ends_what_measurements_started(number, fake, tmp_path):
    (tmp_path / "script.py").write_text(SCRIPT)
    with subprocess.Popen(
        [sys.executable, "script.py", str(tmp_path), "2"],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        try:
            started = [tmp_path / "started-a", tmp_path / "started-b"]
            pids = [int(_content(path)) for path in started]
            # As a terminal does: to all processes of the group.
            (os.kill if number == signal.SIGTERM else os.killpg)(process.pid, number)
            out, err = process.communicate(timeout=20)
        finally:
            process.kill()
    assert (process.returncode, out, err) == (0, "0 of 3 jobs done\n", "")
    for pid in pids:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)


def _content(path: Path) -> str:
    """What `path` holds, once it does."""
    for _ in range(1000):
        if path.exists() and (text := path.read_text()):
            return text
        time.sleep(0.02)
    raise TimeoutError(path)
