"""Ctrl-C, SIGTERM and a lost terminal: one line, status 130, and no process and no file is left."""

import signal
import sys
from pathlib import Path

import pytest

from mixpe.support.data import MODELS, VARIABLE, folders
from verif.harness.processes import Ended, descendants, environment, interrupted
from verif.samples.data import models

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

MODEL = models()[0]
"""What `demo` needs; it bears the mark of a test that is skipped without."""


def surroundings(folder: Path) -> dict[str, str]:
    """Returns an environment with a home in `folder`, where the model is found all the same."""
    (name,) = MODEL.values
    places = [str(place) for place in folders() if all((place / file).is_file() for file in MODELS[name])]
    return environment(folder, **({VARIABLE: places[0]} if places else {}))


@pytest.mark.parametrize(
    ("moment", "number"),
    [
        *((IMPORTS, number) for number in SIGNALS),
        (YOSYS, signal.SIGINT),
        pytest.param(COMPILER, signal.SIGTERM, marks=pytest.mark.nightly),
        pytest.param(SIMULATOR, signal.SIGINT, marks=[*MODEL.marks, pytest.mark.nightly]),
        pytest.param(SIMULATOR, signal.SIGTERM, marks=MODEL.marks),
    ],
)
def test_interrupt(moment, number, tmp_path):
    """Ctrl-C reaches the whole group, as from a terminal; SIGTERM the command alone."""
    arguments, when = moment
    ended = interrupted(
        arguments, tmp_path, surroundings(tmp_path), number, when=when, group=number == signal.SIGINT
    )
    check(ended, tmp_path)


@pytest.mark.nightly
@pytest.mark.parametrize("_model", [MODEL])
def test_interrupted_twice(_model, tmp_path):
    arguments, when = SIMULATOR
    ended = interrupted(
        arguments, tmp_path, surroundings(tmp_path), signal.SIGINT, when=when, group=True, times=3
    )
    check(ended, tmp_path)
