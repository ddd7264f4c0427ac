"""Verilator's headers are precompiled once, and never used once they changed."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from mixpe.sim import objcache

SCRIPT = Path(objcache.__file__)
SOURCE = '#include "verilated.h"\nint main() { return VALUE; }\n'


@pytest.fixture
def compile_and_run(tmp_path):
    """Returns a function that compiles a program as Verilator's makefile does, and runs it.

    The program returns the number that a header defines; so does the function.
    """
    include, work, cache = (tmp_path / name for name in ("root/include", "work", "cache"))
    include.mkdir(parents=True)
    work.mkdir()
    for name in ("verilated.h", "verilated_dpi.h", "verilated_vpi.h"):
        (include / name).write_text("#pragma once\n")
    (work / "own.cpp").write_text(SOURCE)

    def write_header(value: int) -> None:
        guarded = f"#ifndef GUARD\n#define GUARD\nenum {{ VALUE = {value} }};\n#endif\n"
        (include / "verilated.h").write_text(guarded)

    def run(value: int, *options: str, compiler: str = "c++") -> int:
        write_header(value)
        command = [compiler, "-I.", "-MMD", f"-I{include}", *options, "-c", "-o", "own.o", "own.cpp"]
        variables = {"VERILATOR_ROOT": str(include.parent), "MIXPE_OBJCACHE": str(cache)}
        subprocess.run([sys.executable, SCRIPT, *command], cwd=work, env=os.environ | variables, check=True)
        subprocess.run(["c++", "own.o", "-o", "own"], cwd=work, check=True)
        return subprocess.run([work / "own"], check=False).returncode

    run.write_header = write_header
    run.cache, run.include, run.work = cache, include, work
    return run


def precompiled(run) -> dict[str, int]:
    """Returns when each precompiled header was written."""
    return {path.name: path.stat().st_mtime_ns for path in run.cache.glob("*.gch")}


def gcc() -> bool:
    return b"Free Software Foundation" in subprocess.run(["c++", "--version"], capture_output=True).stdout


@pytest.mark.skipif(not gcc(), reason="c++ is not GCC here: no header is precompiled for other compilers")
def test_headers_are_precompiled_once_for_each_set_of_options(compile_and_run):
    assert compile_and_run(3, "-O0") == 3
    first = precompiled(compile_and_run)
    assert len(first) == 1
    assert compile_and_run(3, "-O0") == 3
    assert precompiled(compile_and_run) == first
    compile_and_run(3, "-O1")
    assert len(precompiled(compile_and_run)) == 2
    # It is what the compiler reads: with another one under its name, the number is another.
    compile_and_run.write_header(5)
    (header,) = (compile_and_run.cache / name.removesuffix(".gch") for name in first)
    command = [
        "c++",
        f"-I{compile_and_run.include}",
        "-O0",
        "-x",
        "c++-header",
        "-o",
        f"{header}.gch",
        header,
    ]
    subprocess.run(command, check=True)
    assert compile_and_run(3, "-O0") == 5


def test_a_changed_header_is_read(compile_and_run):
    assert [compile_and_run(value, "-O0") for value in (1, 2, 1)] == [1, 2, 1]


def test_a_damaged_precompiled_header_is_not_used(compile_and_run):
    compile_and_run(1, "-O0")
    for path in compile_and_run.cache.glob("*.gch"):
        path.write_bytes(b"damaged")
    assert compile_and_run(1, "-O0") == 1


def test_other_compilers_have_none(compile_and_run):
    other = compile_and_run.work / "other"
    other.write_text(f'#!/bin/sh\n[ "$1" = --version ] && echo clang || exec {shutil.which("c++")} "$@"\n')
    other.chmod(0o755)
    assert compile_and_run(4, "-O0", compiler=str(other)) == 4
    assert not precompiled(compile_and_run)


def test_without_a_folder_to_keep_anything(compile_and_run):
    compile_and_run.cache.write_text("a file")
    assert compile_and_run(6, "-O0") == 6


def test_errors_are_the_compilers(compile_and_run):
    (compile_and_run.work / "own.cpp").write_text("this is no C++\n")
    with pytest.raises(subprocess.CalledProcessError):
        compile_and_run(1, "-O0")
