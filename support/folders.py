"""Folders of the software's own: where it keeps what takes long to make, and temporary ones.

Where there is no home, or it cannot be written, a private folder below the temporary folder serves.
"""

import atexit
import contextlib
import logging
import os
import re
import shutil
import stat
import sys
import tempfile
import time
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

from ..spec.errors import UserError
from .files import reason
from .interrupts import deferred

_PLAIN = re.compile(r"[\w./+@,-]+")
"""Names that makefiles and shells take as they are."""

_TRIES = 50

_log = logging.getLogger("mixpe")


def user_cache() -> Path | None:
    """Returns the user's cache: mixpe in $XDG_CACHE_HOME or ~/.cache. None: the user has no home."""
    named = os.environ.get("XDG_CACHE_HOME", "")
    if os.path.isabs(named):
        return Path(named, "mixpe")
    try:
        home = Path.home()
    except RuntimeError:  # no HOME, and a user that the system does not know
        return None
    return home / ".cache" / "mixpe" if home.is_absolute() else None


def cache_folders(name: str) -> list[Path]:
    """Returns the folders to look for kept things of the kind `name`; the last one can be written.

    The first is in the user's cache. It is the only one unless it cannot be written.

    Raises `UserError` if no folder can be written at all.
    """
    cache = user_cache()
    if cache is None:
        return [_private("the user has no home") / name]
    folder = cache / name
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if os.access(folder, os.W_OK | os.X_OK):
            return [folder]
        why = f"{cache} cannot be written"
    except (OSError, ValueError) as error:
        why = f"{cache} cannot be written: {reason(error)}"
    private = _private(why) / name
    with contextlib.suppress(OSError):
        private.mkdir(exist_ok=True)
    return [folder, private]


def cache_variables() -> dict[str, str]:
    """Returns what programs that keep a cache of their own, and fail without, need in the environment.

    Nothing if the user's own folder of caches can be written; else the place of a private one.
    """
    cache = user_cache()
    if cache is None:
        why = "the user has no home"
    else:
        try:
            cache.parent.mkdir(parents=True, exist_ok=True)
            if os.access(cache.parent, os.W_OK | os.X_OK):
                return {}
            why = f"{cache} cannot be written"
        except (OSError, ValueError) as error:
            why = f"{cache} cannot be written: {reason(error)}"
    folder = str(_private(why))
    # The first is where Linux's programs look, the second where macOS's do.
    return {"XDG_CACHE_HOME": folder, **({"HOME": folder} if sys.platform == "darwin" else {})}


@contextlib.contextmanager
def temporary_folder(prefix: str, above: str | Path | None = None) -> Iterator[Path]:
    """A folder in `above`, or the folder of temporary files, which is removed at the end of the `with`.

    An interrupt leaves nothing behind, nor does a killed program that still writes while it dies.
    """
    made = ""
    try:
        with deferred():
            made = tempfile.mkdtemp(prefix=prefix, dir=above or _temporary())
        yield Path(made)
    finally:
        with deferred():
            for _ in range(_TRIES if made else 0):
                shutil.rmtree(made, ignore_errors=True)
                if not os.path.lexists(made):
                    break
                time.sleep(0.02)


def plain_temporary() -> str:
    """Returns a folder for temporary files whose name a makefile takes: no space, nothing special.

    Raises `UserError` if there is none.
    """
    for folder in (_temporary(), "/tmp", "/var/tmp"):
        if _PLAIN.fullmatch(folder) and os.access(folder, os.W_OK | os.X_OK):
            return folder
    raise UserError(
        f"TMPDIR must name a folder without a space or a special letter for Verilator, not {_temporary()!r}"
    )


def plain(path: Path) -> Path:
    """Returns `path`, or a symbolic link to it whose name a makefile takes; it is the same in every run."""
    path = path.absolute()
    if _PLAIN.fullmatch(str(path)):
        return path
    import hashlib

    name = hashlib.sha256(os.fsencode(path)).hexdigest()[:16]
    link = private_folder(plain_temporary()) / f"link-{name}"
    if not (link.is_symlink() and os.readlink(link) == str(path)):
        aside = link.with_name(f"{link.name}-{os.getpid()}")
        with contextlib.suppress(FileNotFoundError):
            aside.unlink()
        aside.symlink_to(path)
        aside.replace(link)
    return link


def private_folder(above: str) -> Path:
    """Returns a folder in `above` that this user alone can write: the same each time, or else a fresh one.

    A fresh one, where another user has taken its name, is removed when the process ends.
    """
    folder = Path(above, f"mixpe-{os.getuid()}")
    with contextlib.suppress(FileExistsError):
        folder.mkdir(mode=0o700)
    status = folder.lstat()
    if stat.S_ISDIR(status.st_mode) and status.st_uid == os.getuid() and not status.st_mode & 0o022:
        return folder
    return _fresh(above)


@lru_cache
def _fresh(above: str) -> Path:
    made = tempfile.mkdtemp(prefix="mixpe-", dir=above)
    atexit.register(shutil.rmtree, made, ignore_errors=True)
    return Path(made)


@lru_cache
def _private(why: str) -> Path:
    """Returns the private folder that stands for the user's cache, and says so once."""
    try:
        folder = private_folder(_temporary())
    except OSError as error:
        raise UserError(f"{why}; nor can {_temporary()}: {reason(error)}") from None
    _log.warning("%s; what is kept for the next time goes to %s", why, folder)
    return folder


def _temporary() -> str:
    """Returns the folder of temporary files, absolute. Raises `UserError` if none can be written."""
    try:
        return os.path.abspath(tempfile.gettempdir())
    except OSError as error:
        raise UserError(f"no folder takes temporary files: set TMPDIR to one ({reason(error)})") from None
