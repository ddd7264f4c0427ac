"""Saves compilers work that is the same for every design that Verilator makes C++ of.

Verilator's makefile puts `$(OBJCACHE)` before each compiler call; `mixpe.sim.verilator` sets it to this
file, run as a script, and MIXPE_OBJCACHE to a folder, in which two kinds of things are kept:

- The objects of the sources in Verilator's own include folder. They are compiled once per machine.
- With GCC, a precompiled header of Verilator's own headers for each set of options. Reading these headers
  takes most of the time that a small design takes to compile: 1.3 of 1.6 s for each file at -O0.

Everything is found by a hash of the command, the contents of the sources and the compiler's version, and is
used only if its own SHA-256 is that which stands beside it: what is damaged is made again.
"""

import contextlib
import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

_HEADERS = ("verilated.h", "verilated_dpi.h", "verilated_vpi.h")
"""Verilator's headers that go into the precompiled one."""

_KEPT_SECONDS = 30 * 24 * 3600

_SUM = ".sha256"
"""Ends the name of the file that holds another's SHA-256."""


def main(command: list[str]) -> int:
    """Runs a compiler `command`, or copies the object it would make; returns its exit status."""
    library = Path(os.environ["VERILATOR_ROOT"]) / "include"
    folder = Path(os.environ["MIXPE_OBJCACHE"])
    source = Path(command[-1])
    if source.suffix != ".cpp" or "-c" not in command or "-o" not in command:
        return subprocess.call(command)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if source.parent == library:
            return _compile_once(command, source, folder)
        header = _precompiled_header(command, library, folder)
    except OSError:  # no place to keep anything
        header = None
    return subprocess.call(command if header is None else [command[0], "-include", str(header), *command[1:]])


def _compile_once(command: list[str], source: Path, folder: Path) -> int:
    """Copies the object of a source of Verilator's own, compiled first if it is not in `folder`."""
    output = Path(command[command.index("-o") + 1])
    cached = folder / f"{source.stem}-{_key(command, _version(command[0]), source.read_bytes())}.o"
    if is_intact(cached):
        shutil.copyfile(cached, output)
        return 0
    with locked(cached):
        if is_intact(cached):
            shutil.copyfile(cached, output)
            return 0
        if status := subprocess.call(command):
            return status
        with contextlib.suppress(OSError):  # made it is, kept or not
            keep(output, cached)
    return 0


def _precompiled_header(command: list[str], library: Path, folder: Path) -> Path | None:
    """Returns the header to include before all else in what `command` compiles, precompiled beside itself.

    GCC reads the header's text instead where the precompiled one does not fit. Returns None for other
    compilers, which may fail then, and for a command that has a precompiled header of its own.
    """
    version = _version(command[0])
    if b"Free Software Foundation" not in version or "-include" in command:
        return None
    options = _options(command)
    contents = b"".join(path.read_bytes() for path in sorted(library.rglob("*.h")))
    header = folder / f"verilated-{_key(sorted(options), version, contents)}.h"
    precompiled = header.with_suffix(".h.gch")
    if not is_intact(precompiled):
        with locked(header):
            if not is_intact(precompiled):
                with contextlib.suppress(FileNotFoundError):
                    precompiled.unlink()  # GCC would read it, damaged as it is, while the new one is made
                header.write_text("".join(f'#include "{name}"\n' for name in _HEADERS))
                made = header.with_suffix(".made")
                make = [command[0], *options, "-x", "c++-header", "-o", str(made), str(header)]
                try:
                    if subprocess.call(make):
                        return None
                    keep(made, precompiled)
                finally:
                    with contextlib.suppress(OSError):
                        made.unlink()
        for pattern in ("*.gch", "*.made", "*.partial"):
            forget_unused(folder, pattern)
    return header


def is_intact(path: Path) -> bool:
    """Whether a file is there whose SHA-256 is that beside it; it counts as used now."""
    try:
        with path.open("rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
        if _sum_of(path).read_text(encoding="ascii") != found:
            return False
    except (OSError, ValueError):
        return False
    with contextlib.suppress(OSError):  # a folder that can only be read
        os.utime(path)
    return True


def keep(made: Path, path: Path) -> None:
    """Puts a copy of `made` at `path`, and its SHA-256 beside it; the caller holds the lock."""
    partial = path.with_name(f"{path.name}.partial")
    try:
        shutil.copyfile(made, partial)
        with partial.open("rb") as file:
            content = hashlib.file_digest(file, "sha256").hexdigest()
        _sum_of(path).write_text(content, encoding="ascii")
        partial.replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            partial.unlink()
        raise


def forget_unused(folder: Path, pattern: str = "*") -> None:
    """Deletes files that nobody has used for long, and with each its SHA-256."""
    for path in folder.glob(pattern):
        with contextlib.suppress(OSError):
            if path.suffix != _SUM and path.stat().st_mtime < time.time() - _KEPT_SECONDS:
                path.unlink()
                _sum_of(path).unlink()


def _sum_of(path: Path) -> Path:
    return path.with_name(f"{path.name}{_SUM}")


def _options(command: list[str]) -> list[str]:
    """Returns the options of a compiler `command` that its headers depend on."""
    options = command[1:-1]
    place = options.index("-o")
    del options[place : place + 2]
    return [option for option in options if option not in ("-c", "-I.", "-I..", "-MMD")]


def _version(compiler: str) -> bytes:
    return subprocess.run([compiler, "--version"], capture_output=True, check=False).stdout


def _key(command: list[str], version: bytes, contents: bytes) -> str:
    return hashlib.sha256("\0".join(command).encode() + version + contents).hexdigest()[:24]


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    """Holds the lock of `path` among all processes."""
    handle = os.open(path.with_suffix(".lock"), os.O_CREAT | os.O_RDWR)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
