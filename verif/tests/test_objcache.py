"""Verilator's headers are precompiled once, and never used once they changed."""

import hashlib
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from mixpe.sim import objcache

SCRIPT = Path(objcache.__file__)
SOURCE = '#include "verilated.h"\nint main() { return VALUE; }\n'


DAMAGES = {
    "empty": lambda _: b"",
    "cut": lambda whole: whole[: len(whole) // 2],
    "flipped": lambda whole: whole[:-9] + bytes([whole[-9] ^ 1]) + whole[-8:],
}


class Compiler:
    """Compiles a program as Verilator's makefile does. The program returns what a header defines."""

    def __init__(self, folder: Path):
        self.include, self.work, self.cache = (folder / name for name in ("root/include", "work", "cache"))
        self.include.mkdir(parents=True)
        self.work.mkdir()
        for name in ("verilated_dpi.h", "verilated_vpi.h"):
            (self.include / name).touch()
        (self.work / "own.cpp").write_text(SOURCE)

    def write_header(self, value: int) -> None:
        """Makes the header define `value`."""
        guarded = f"#ifndef GUARD\n#define GUARD\nenum {{ VALUE = {value} }};\n#endif\n"
        (self.include / "verilated.h").write_text(guarded)

    def __call__(self, value: int, *options: str, compiler: str = "c++") -> int:
        """Writes the header, compiles the program and runs it; returns what it returned."""
        self.write_header(value)
        command = [compiler, "-I.", "-MMD", f"-I{self.include}", *options, "-c", "-o", "own.o", "own.cpp"]
        self.run(command)
        subprocess.run(["c++", "own.o", "-o", "own"], cwd=self.work, check=True)
        return subprocess.run([self.work / "own"], check=False).returncode

    def run(self, command: list[str]) -> None:
        """Runs a compiler's command through the cache."""
        variables = {"VERILATOR_ROOT": str(self.include.parent), "MIXPE_OBJCACHE": str(self.cache)}
        subprocess.run(
            [sys.executable, SCRIPT, *command], cwd=self.work, env=os.environ | variables, check=True
        )

    @property
    def precompiled(self) -> dict[str, int]:
        """Returns the precompiled headers, each with the number of its file, which no other has."""
        return {path.name: path.stat().st_ino for path in self.cache.glob("*.gch")}


@pytest.fixture
def compiled(tmp_path):
    return Compiler(tmp_path)


def gcc() -> bool:
    """Tells whether `c++` is GCC."""
    return b"Free Software Foundation" in subprocess.run(["c++", "--version"], capture_output=True).stdout


@pytest.mark.skipif(not gcc(), reason="c++ is not GCC here: no header is precompiled for other compilers")
def test_headers_are_precompiled_once_for_each_set_of_options(compiled):
    assert compiled(3, "-O0") == 3
    first = compiled.precompiled
    assert len(first) == 1
    assert compiled(3, "-O0") == 3
    assert compiled.precompiled == first
    compiled(3, "-O1")
    assert len(compiled.precompiled) == 2
    # It is what the compiler reads: with another one under its name, the number is another.
    compiled.write_header(5)
    (header,) = (compiled.cache / name.removesuffix(".gch") for name in first)
    command = [
        "c++",
        f"-I{compiled.include}",
        "-O0",
        "-x",
        "c++-header",
        "-o",
        f"{header}.gch",
        header,
    ]
    subprocess.run(command, check=True)
    made = Path(f"{header}.gch")
    made.with_name(f"{made.name}.sha256").write_text(hashlib.sha256(made.read_bytes()).hexdigest())
    assert compiled(3, "-O0") == 5


@pytest.mark.skipif(not gcc(), reason="c++ is not GCC here: no header is precompiled for other compilers")
def test_unused_headers_are_deleted(compiled):
    """When another one is made, a month after the last use."""
    compiled(1, "-O0")
    compiled(1, "-O1")
    month_ago = time.time() - 31 * 24 * 3600
    for path in compiled.cache.glob("*.gch"):
        os.utime(path, (month_ago, month_ago))
    assert compiled(1, "-O0") == 1
    compiled(1, "-Os")
    assert len(compiled.precompiled) == 2


def test_a_changed_header_is_read(compiled):
    assert [compiled(value, "-O0") for value in (1, 2, 1)] == [1, 2, 1]


@pytest.mark.skipif(not gcc(), reason="c++ is not GCC here: no header is precompiled for other compilers")
@pytest.mark.parametrize("how", DAMAGES)
def test_a_damaged_precompiled_header_is_made_again(how, compiled):
    compiled(1, "-O0")
    (path,) = compiled.cache.glob("*.gch")
    whole = path.read_bytes()
    path.write_bytes(DAMAGES[how](whole))
    assert compiled(1, "-O0") == 1
    assert objcache.is_intact(path)
    assert len(path.read_bytes()) > len(whole) // 2


@pytest.mark.parametrize("how", DAMAGES)
def test_a_damaged_object_is_made_again(how, compiled):
    """One of Verilator's own sources, which is compiled once."""
    source = compiled.include / "verilated.cpp"
    source.write_text("int answer() { return 42; }\n")
    command = ["c++", "-c", "-o", "lib.o", str(source)]
    compiled.run(command)
    (kept,) = compiled.cache.glob("*.o")
    whole = kept.read_bytes()
    kept.write_bytes(DAMAGES[how](whole))
    compiled.run(command)
    assert (compiled.work / "lib.o").read_bytes() == kept.read_bytes() == whole


def test_other_compilers_have_none(compiled):
    other = compiled.work / "other"
    other.write_text(f'#!/bin/sh\n[ "$1" = --version ] && echo clang || exec {shutil.which("c++")} "$@"\n')
    other.chmod(0o755)
    assert compiled(4, "-O0", compiler=str(other)) == 4
    assert not compiled.precompiled


def test_without_a_folder_to_keep_anything(compiled):
    compiled.cache.write_text("a file")
    assert compiled(6, "-O0") == 6


def test_errors_are_the_compilers(compiled):
    (compiled.work / "own.cpp").write_text("this is no C++\n")
    with pytest.raises(subprocess.CalledProcessError):
        compiled(1, "-O0")
