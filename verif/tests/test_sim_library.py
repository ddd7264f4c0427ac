"""The simulated core as a library: compiled once, with one-line errors for what is missing or wrong."""

import os
import shutil
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from mixpe.sim import build
from mixpe.sim.build import BuildError, verilog_library
from mixpe.sim.fast import SimulatedCore, SimulationError
from mixpe.spec.array import Config
from mixpe.spec.core import CoreConfig
from mixpe.spec.errors import UserError
from verif.harness.copy_engine import COPY, SOURCE, copy, engine
from verif.harness.processes import environment, obey_permissions


def test_library_is_built_once(tmp_path, monkeypatch):
    """By one of several that want it at the same time, and no more; another Verilog has its own."""
    built = []

    def stand_in(verilog, _options, work):
        built.append(verilog)
        (work / "model.so").write_text(verilog)
        return work / "model.so"

    monkeypatch.setattr(build, "_build", stand_in)
    with ThreadPoolExecutor(4) as pool:
        paths = set(pool.map(lambda _: verilog_library("a", "top", folder=tmp_path), range(8)))
    (path,) = paths
    assert (path.read_text(), built) == ("a", ["a"])
    others = {
        verilog_library("b", "top", folder=tmp_path),
        verilog_library("a", "pot", folder=tmp_path),
        verilog_library("a", "top", folder=tmp_path, trace=True),
    }
    assert len(others | paths) == 4
    assert not list(tmp_path.glob("*.partial"))


@pytest.mark.parametrize(
    "damage",
    [
        lambda _: b"",
        lambda content: content[:-1],
        lambda content: bytes([content[0] ^ 1]) + content[1:],
        lambda content: content + b"\0",
    ],
    ids=["empty", "cut", "a bit", "longer"],
)
@pytest.mark.parametrize("file", ["library", "sum", "no sum"])
def test_damaged_library_is_built_again(damage, file, tmp_path, monkeypatch):
    """It would end the process with a bus error, or worse, compute something else."""
    built = []

    def stand_in(verilog, _options, work):
        built.append(verilog)
        (work / "model.so").write_text(verilog)
        return work / "model.so"

    monkeypatch.setattr(build, "_build", stand_in)
    path = verilog_library("some Verilog", "top", folder=tmp_path)
    summed = path.with_name(f"{path.name}.sha256")
    if file == "no sum":
        summed.unlink()
    else:
        damaged = path if file == "library" else summed
        damaged.write_bytes(damage(damaged.read_bytes()))
    for _ in range(2):
        assert verilog_library("some Verilog", "top", folder=tmp_path).read_text() == "some Verilog"
    assert len(built) == 2


_BUILDS = """
import sys
from mixpe.sim import build

def stand_in(verilog, options, work):
    print("built")
    (work / "model.so").write_text(verilog)
    return work / "model.so"

build._build = stand_in
print(build.verilog_library(sys.argv[1], "top"))
"""


def test_cache_that_can_only_be_read(tmp_path):
    """What it holds is used; what it lacks is built, and kept elsewhere."""
    variables = environment(tmp_path)

    def built(verilog: str) -> list[str]:
        done = subprocess.run(
            [sys.executable, "-c", _BUILDS, verilog],
            env=variables,
            capture_output=True,
            text=True,
            check=True,
            preexec_fn=obey_permissions,
        )
        return done.stdout.split()

    _, first = built("a")
    folder = Path(first).parent
    assert folder.is_relative_to(tmp_path / "home")
    folder.chmod(0o555)
    assert built("a") == [first]
    for expected in (["built"], []):
        *told, path = built("b")
        assert told == expected
        assert Path(path).is_relative_to(tmp_path / "tmp")
    folder.chmod(0o755)


def test_unused_libraries_are_deleted(tmp_path, monkeypatch):
    """When another one is built, a month after the last use."""
    monkeypatch.setattr(build, "_build", lambda _verilog, _options, work: Path(shutil.copy(__file__, work)))
    used, unused = (verilog_library(text, "top", folder=tmp_path) for text in ("used", "unused"))
    month_ago = time.time() - 31 * 24 * 3600
    for path in (used, unused):
        os.utime(path, (month_ago, month_ago))
    assert verilog_library("used", "top", folder=tmp_path) == used
    assert unused.exists()
    verilog_library("new", "top", folder=tmp_path)
    assert used.exists()
    assert not unused.exists()


def test_verilog_that_does_not_compile(tmp_path):
    with pytest.raises(
        BuildError, match=r"^verilator ended with status \d+:\n.*Can't find definition of.*undone"
    ):
        verilog_library("module top(input a, output b); assign b = undone; endmodule", "top", folder=tmp_path)
    assert not list(tmp_path.glob("*.so"))


def test_folder_that_cannot_be_written(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match=r"^cannot write .*file/sub: "):
        verilog_library("a", "top", folder=tmp_path / "file" / "sub")


def test_missing_programs(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", "")
    monkeypatch.setattr(sys, "platform", "linux")
    with pytest.raises(UserError) as error:
        verilog_library("a", "top", folder=tmp_path)
    assert str(error.value) == (
        "simulator verilator needs perl, make, c++; type: sudo apt-get install g++ make perl"
    )


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"memory_bytes": 100}, "memory_bytes must be a multiple of 64, not 100"),
        ({"memory_bytes": 0}, "memory_bytes must be a multiple of 64, not 0"),
        ({"memory_base": 32}, "memory_base must be a multiple of 64, not 32"),
        ({"memory_base": 1 << 40}, "memory must end at 2**40, the core's addresses, not at 0x10004000000"),
        ({"latency": 0}, "latency must be at least 1, not 0"),
        ({"write_latency": 0}, "write_latency must be at least 1, not 0"),
        ({"requests": 0}, "requests must be at least 1, not 0"),
        ({"bytes_per_cycle": 0.0}, "bytes_per_cycle must be above 0, or None, not 0.0"),
        ({"back_pressure": 1.0}, "back_pressure must be at least 0 and below 1, not 1.0"),
    ],
)
def test_wrong_option(options, message):
    with pytest.raises(UserError) as error:
        SimulatedCore(COPY, **options)
    assert str(error.value) == message


def test_core_without_registers():
    with pytest.raises(UserError, match=r"^bus must be axi for a simulated core, not stream$"):
        SimulatedCore(CoreConfig(array=Config(rows=1, cols=1), bus="stream"))


def test_access_outside_the_memory_and_after_the_end():
    core = engine()
    for address, size in ((0, 1), (core.memory_base - 1, 1), ((1 << 17) - 1, 2)):
        message = f"^memory must hold {size} bytes at {address:#x}, and has 65536 from 0x10000 on$"
        with pytest.raises(UserError, match=message):
            core.read_memory(address, size)
    with pytest.raises(UserError, match=r"^response must be one of SLVERR, DECERR, not 'OKAY'$"):
        core.inject(0, 1, "OKAY")
    core.close()
    core.close()
    with pytest.raises(SimulationError, match=r"^the simulation of copy_engine is closed$"):
        core.read_register(SOURCE)


def test_waveform(tmp_path):
    path = tmp_path / "waves.vcd"
    with engine(trace=path) as core:
        copy(core, 2, 2)
    text = path.read_text()
    assert "m_axi_araddr" in text
    assert f"#{2 * 20}" in text
    with pytest.raises(SimulationError, match="cannot write"):
        engine(trace=tmp_path / "absent" / "waves.vcd")
