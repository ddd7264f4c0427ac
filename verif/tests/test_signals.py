"""Ctrl-C, SIGTERM and a lost terminal: one line, status 130, and no process and no file is left."""

import signal
import sys
from pathlib import Path

import pytest

from verif.harness.processes import Ended, descendants, environment, interrupted

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="processes are looked for in /proc")

SIGNALS = [signal.SIGINT, signal.SIGTERM, signal.SIGHUP]


def check(ended: Ended, folder: Path) -> None:
    assert (ended.status, ended.lines) == (130, ended.lines[:1])
    assert ended.lines[0].startswith("mixpe: interrupted")
    assert not ended.alive
    assert not list((folder / "tmp").iterdir())
    assert not list(folder.rglob("results.xml")), "the simulation ran to its end"


def loaded(module: str):
    """Whether a process has loaded a library of that name, as far as it has come in its imports."""

    def is_loaded(pid: int) -> bool:
        return module in Path(f"/proc/{pid}/maps").read_text()

    return is_loaded


def started(name: str):
    """Whether a process has started a program of that name, or one that has."""
    return lambda pid: any(each.startswith(name) for each in descendants(pid).values())


IMPORTS = (["matmul"], loaded("_multiarray_umath"))
YOSYS = (["verilog", "w4a8_16x16_g128"], started("python"))
COMPILER = (["matmul"], started("cc1plus"))
SIMULATOR = (["demo", "--simulator", "icarus", "--scheme", "w4a8"], started("vvp"))


@pytest.mark.parametrize(
    ("moment", "number"),
    [
        *((IMPORTS, number) for number in SIGNALS),
        (YOSYS, signal.SIGINT),
        (COMPILER, signal.SIGTERM),
        (SIMULATOR, signal.SIGINT),
        (SIMULATOR, signal.SIGTERM),
    ],
)
def test_interrupt(moment, number, tmp_path):
    """Ctrl-C reaches the whole group, as from a terminal; SIGTERM the command alone."""
    arguments, when = moment
    ended = interrupted(
        arguments, tmp_path, environment(tmp_path), number, when=when, group=number == signal.SIGINT
    )
    check(ended, tmp_path)


def test_interrupted_twice(tmp_path):
    arguments, when = SIMULATOR
    ended = interrupted(
        arguments, tmp_path, environment(tmp_path), signal.SIGINT, when=when, group=True, times=3
    )
    check(ended, tmp_path)
