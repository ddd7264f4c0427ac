"""Measuring in parallel: what is kept, found again, given up and resumed."""

from dataclasses import replace
from types import SimpleNamespace

import pytest

from mixpe.ppa.jobs import cache, store
from mixpe.ppa.jobs.job import Job, described
from mixpe.ppa.jobs.run import Interrupted, run_jobs
from mixpe.spec.errors import UserError
from verif.samples.jobs import fake_jobs


@pytest.fixture
def fake(tmp_path):
    with fake_jobs(tmp_path) as made:
        yield made


CELLS = {"file": "cells.lib", "text": "library (cells) {}"}


def test_results_are_in_order(fake):
    found = run_jobs([fake.job("b"), fake.job("a", targets=(4.0,))], fake.measure)
    both = {"library": "lib7", "pair": [1, 8], "cells": CELLS}
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
    (tmp_path / "model.bin").write_text("weights")

    def measured(job: Job, **options) -> bool:
        result = run_jobs([job], fake.measure, cache=fake.cache, **options)
        assert result == run_jobs([job], fake.measure, cache=fake.cache, **options)
        return bool(fake.calls())

    assert measured(first)
    assert not measured(first)
    assert not measured(fake.job("a"))
    assert measured(fake.job("b"))
    assert measured(fake.job("a", targets=(None,)))
    assert measured(replace(first, design=fake.Design("a", tmp_path, width=9)))
    # A library: the same under another path, another under the same path, another name.
    (tmp_path / "copy.lib").write_text("library (cells) {}")
    assert not measured(replace(first, sources=(tmp_path / "copy.lib",)))
    assert measured(replace(first, library="lib5"))
    (tmp_path / "cells.lib").write_text("library (cellz) {}")
    assert measured(first)
    (tmp_path / "cells.lib").write_text("library (cells) {}")
    assert not measured(first)
    # Operands: none, a file, the same file with another content.
    model = replace(first, operands=(tmp_path / "model.bin",))
    assert measured(model)
    (tmp_path / "model.bin").write_text("other weights")
    assert measured(model)
    # Tools and the code that measures.
    monkeypatch.setattr(store, "environment", lambda: {"verilog": "1", "measuring": "1", "pyosys": "0.70"})
    assert measured(first)
    monkeypatch.setattr(store, "environment", lambda: {"verilog": "1", "measuring": "1", "pyosys": "0.71"})
    assert measured(first)
    monkeypatch.setattr(store, "environment", lambda: {"verilog": "1", "measuring": "2", "pyosys": "0.71"})
    assert measured(first)
    # The code that makes Verilog: what counts is the Verilog.
    monkeypatch.setattr(store, "environment", lambda: {"verilog": "2", "measuring": "2", "pyosys": "0.71"})
    assert not measured(first)
    monkeypatch.setattr(store, "environment", lambda: {"verilog": "3", "measuring": "2", "pyosys": "0.71"})
    assert measured(first, source=lambda design: f"module {design.name};")


def test_without_a_cache(fake):
    for _ in range(2):
        run_jobs([fake.job("a")], fake.measure)
        assert fake.calls() == ["a"]


CODE = '''
"""A module."""
LIMIT = 5
"""What a limit is."""
def double(x):
    """Doubles."""
    return 2 * x  # twice
'''


@pytest.mark.parametrize(
    ("before", "after", "same"),
    [
        ("# twice", "# two times", True),
        ('"""Doubles."""', '"""Returns twice `x`."""', True),
        ('    """Doubles."""\n', "", True),
        ('"""A module."""', "", True),
        ('"""What a limit is."""', '"""The greatest."""', True),
        ("2 * x", "(2  *  x)", True),
        ("LIMIT = 5", "LIMIT = 6", False),
        ("2 * x", "3 * x", False),
        ("double(x)", "double(x=1)", False),
    ],
)
def test_code_counts_by_what_it_does(before, after, same):
    """Comments, docstrings and formatting leave the hash, a changed constant does not."""
    assert before in CODE
    changed = CODE.replace(before, after)
    assert (cache.code_hash(changed) == cache.code_hash(CODE)) == same


def test_source_hash(tmp_path, monkeypatch):
    """Every file of a room counts, but not those that run jobs or show results."""
    names = {
        "measure.py": True,
        "start.tcl": True,
        "report/markdown.py": False,
        "jobs/run.py": False,
        "__pycache__/measure.pyc": False,
    }
    for name in names:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("a = 1")
    monkeypatch.setattr(
        cache, "find_spec", lambda *_: SimpleNamespace(submodule_search_locations=[str(tmp_path)])
    )

    def fresh(room: str) -> str:
        cache._content_hash.cache_clear()
        return cache.source_hash.__wrapped__(room)

    first = fresh("ppa")
    assert fresh("hw") != first
    (tmp_path / "measure.py").write_text("# A comment.\na = 1")
    assert fresh("ppa") == first
    for name, counts in names.items():
        (tmp_path / name).write_text("a = 2")
        assert (fresh("ppa") != first) == counts, name
        (tmp_path / name).write_text("a = 1")
    cache._content_hash.cache_clear()


def test_source_hash_of_this_package():
    assert len({cache.source_hash(), cache.source_hash("hw"), cache.source_hash("synth")}) == 3


def test_design_without_a_stable_text():
    with pytest.raises(ValueError, match="memory address"):
        described(SimpleNamespace(build=object()))


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
    """It begins again, twice."""
    with pytest.raises(
        UserError,
        match=r"^[ab] with lib7: its process was killed 3 times \(status -9\), out of memory\?$",
    ):
        run_jobs([fake.job("a", "die"), fake.job("b", "die")], fake.measure, workers=2)
    calls = fake.calls()
    assert 3 in (calls.count("a"), calls.count("b"))


@pytest.mark.parametrize("content", ["no database " * 100, "SQLite format 3\0" + "x" * 5000])
def test_damaged_cache(content, fake, caplog):
    """It is put aside, and a new one serves from then on."""
    fake.cache.mkdir()
    (fake.cache / "cache.db").write_text(content)
    for calls in (["a"], []):
        run_jobs([fake.job("a")], fake.measure, cache=fake.cache)
        assert fake.calls() == calls
    assert (fake.cache.with_name("cache.damaged") / "cache.db").read_text() == content
    (note,) = (record.getMessage() for record in caplog.records if record.name == "mixpe")
    assert note.startswith(f"the cache {fake.cache} is damaged")


def test_missing_liberty_file(fake, tmp_path):
    with pytest.raises(UserError, match=r"none\.lib cannot be read: No such file"):
        run_jobs(
            [Job(fake.Design("a", tmp_path), "lib7", (tmp_path / "none.lib",), (None,))],
            fake.measure,
            cache=fake.cache,
        )
