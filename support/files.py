"""Files of the user's: read with one door, and written whole or not at all."""

import codecs
import contextlib
import errno
import os
import shutil
import stat
import tempfile
from collections.abc import Mapping
from pathlib import Path

from ..spec.errors import UserError

TEXT_LIMIT = 1 << 28
"""Most bytes of a text file that is read: more is no text that any command takes."""

_MARKS = {
    codecs.BOM_UTF32_LE: "UTF-32",  # begins with the next one
    codecs.BOM_UTF16_LE: "UTF-16",
    codecs.BOM_UTF32_BE: "UTF-32",
    codecs.BOM_UTF16_BE: "UTF-16",
}
"""Byte order marks of other encodings than UTF-8."""

_SAMPLE = 1 << 12
"""Bytes of a text that show its encoding."""


def read_bytes(path: str | os.PathLike[str], what: str = "", *, limit: int | None = None) -> bytes:
    """Returns the bytes of a regular file.

    what: what the file is, such as "text"; it begins the message. limit: most bytes that it may have.

    Raises `UserError` in one line where the file is missing, is none (a folder, a device, a pipe: it is never
    waited for), is too large or cannot be read.
    """
    name = f"{what} {os.fspath(path)}".strip()
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        with open(handle, "rb") as file:
            status = os.fstat(file.fileno())
            if not stat.S_ISREG(status.st_mode):
                raise UserError(f"{name} cannot be read: {_kind(status.st_mode)}")
            if limit is not None and status.st_size > limit:
                raise UserError(f"{name} must have at most {limit:,} bytes, not {status.st_size:,}")
            return file.read()
    except UserError:
        raise
    except (OSError, ValueError) as error:  # ValueError: a name with a NUL byte
        raise UserError(f"{name} cannot be read: {reason(error)}") from None
    except MemoryError:
        raise UserError(f"{name} cannot be read: it is larger than the memory") from None


def read_text(
    path: str | os.PathLike[str], what: str = "", *, encoding: str = "utf-8", limit: int | None = TEXT_LIMIT
) -> str:
    """Returns the text of a regular file, as `read_bytes` does; line ends become "\\n".

    encoding: "utf-8", or "utf-8-sig", which leaves out a byte order mark. The message names the first byte
    that is not of it, or the encoding that the file seems to have.
    """
    content = read_bytes(path, what, limit=limit)
    try:
        text = content.decode(encoding)
    except UnicodeDecodeError as error:
        name = f"{what} {os.fspath(path)}".strip()
        why = looks_like(content) or f"{error.reason} at byte {error.start}"
        raise UserError(f"{name} must be UTF-8: {why}") from None
    return text.replace("\r\n", "\n").replace("\r", "\n")


def looks_like(content: bytes) -> str:
    """Says which other encoding of Unicode a text seems to have: "it looks like UTF-16", or ""."""
    for mark, name in _MARKS.items():
        if content.startswith(mark):
            return f"it looks like {name}"
    start = content[:_SAMPLE]
    for name, width in (("UTF-32", 4), ("UTF-16", 2)):
        # Most texts have letters of the first 256, of which all bytes but one are zero.
        fewest, *others = sorted(start[place::width].count(0) for place in range(width))
        if len(content) % width == 0 and fewest <= len(start) // width // 2 < others[0]:
            return f"it looks like {name}"
    return ""


def check_place(path: Path) -> None:
    """Raises `UserError` where no file can be written: for use before the work, not after it."""
    target = _target(path)
    if target.exists() and not os.access(target, os.W_OK):
        raise UserError(f"cannot write {path}: {os.strerror(errno.EACCES)}")
    _check_above(path, target.parent)


def check_folder(folder: Path) -> None:
    """Raises `UserError` where no file can be written to `folder`, which may be missing as yet."""
    _check_above(folder, folder)


def write_file(path: Path, content: str | bytes) -> Path:
    """Writes `content` to `path`: aside first, then renamed. Makes the folder. Returns `path`.

    Raises `UserError` where the system refuses, and where `path` is there and no regular file.
    """
    write_files({path: content})
    return path


def write_files(contents: Mapping[Path, str | bytes]) -> None:
    """Writes a set of files, all or none: what was there stays unless all of it is replaced.

    All are written aside, beside their places, and reach the disk; then each is renamed, in the given order.
    Where a rename fails, or an interrupt comes, those before it are undone. What cannot be undone is a loss
    of power between two renames: put last what tells whether the others fit together.

    Makes the folders. Raises `UserError` that names the file which the system refuses.
    """
    aside: dict[Path, Path] = {}
    saved: dict[Path, Path | None] = {}
    path, done = Path(), False
    try:
        for path, content in contents.items():
            target = _target(path)
            target.parent.mkdir(parents=True, exist_ok=True)
            aside[target] = _written_aside(target, content)
        for path in contents:
            target = _target(path)
            saved[target] = _second_name(target)
            os.replace(aside[target], target)
        done = True
    except (OSError, ValueError) as error:
        raise _refusal(path, error) from None
    finally:
        if not done:
            _undo(saved)
        for left in (*aside.values(), *saved.values()):
            if left:
                with contextlib.suppress(OSError):
                    left.unlink()


def around(path: Path, begin: str, end: str) -> tuple[str, str]:
    """Returns what stands in a text file before the marker `begin` and behind the marker `end`.

    Raises `UserError` if the file cannot be read, or lacks the markers, once each and in this order.
    """
    text = read_text(path)
    before, _, rest = text.partition(begin)
    _, _, after = rest.partition(end)
    if (text.count(begin), text.count(end), rest.count(end)) != (1, 1, 1):
        raise UserError(f"{path} must hold the lines {begin} and {end}, once each and in this order")
    return before, after


def expanded(path: str) -> Path:
    """Returns `path` with a leading ~ or ~user as that home, where there is one."""
    return Path(os.path.expanduser(path))


def reason(error: Exception) -> str:
    """Says in a few words why the system refuses a file."""
    return getattr(error, "strerror", None) or str(error) or type(error).__name__


def _refusal(path: Path, error: Exception) -> UserError:
    return error if isinstance(error, UserError) else UserError(f"cannot write {path}: {reason(error)}")


def _kind(mode: int) -> str:
    if stat.S_ISDIR(mode):
        return os.strerror(errno.EISDIR)
    return "it is a pipe or a device, not a file"


def _target(path: Path) -> Path:
    """Returns the file that a symbolic link stands for, which stays a link. Refuses what is no file."""
    try:
        target = Path(os.path.realpath(path))
        mode = target.stat().st_mode if target.exists() else path.stat().st_mode
    except FileNotFoundError:
        return Path(os.path.realpath(path))
    except NotADirectoryError:
        raise UserError(f"cannot write {path}: {_first_existing(path)} is not a folder") from None
    except (OSError, ValueError) as error:
        raise _refusal(path, error) from None
    if not stat.S_ISREG(mode):
        raise UserError(f"cannot write {path}: {'it is a folder' if stat.S_ISDIR(mode) else _kind(mode)}")
    return target


def _first_existing(path: Path) -> Path:
    """Returns `path`, or the nearest folder above it that is there."""
    return next(place for place in (path, *path.absolute().parents) if os.path.lexists(place))


def _check_above(path: Path, folder: Path) -> None:
    try:
        there = _first_existing(folder)
        if not there.is_dir():
            raise UserError(f"cannot write {path}: {there} is not a folder")
        place, longest = path.absolute(), os.pathconf(there, "PC_NAME_MAX")
        if len(os.fsencode(place)) >= os.pathconf(there, "PC_PATH_MAX") or any(
            len(os.fsencode(part)) > longest for part in place.parts
        ):
            raise OSError(errno.ENAMETOOLONG, os.strerror(errno.ENAMETOOLONG))
        if not os.access(there, os.W_OK | os.X_OK):
            code = errno.EROFS if os.statvfs(there).f_flag & os.ST_RDONLY else errno.EACCES
            raise UserError(f"cannot write {path}: {os.strerror(code)}")
    except (OSError, ValueError) as error:
        raise _refusal(path, error) from None


def _written_aside(target: Path, content: str | bytes) -> Path:
    """Returns a new file beside `target` with `content`, on the disk, and with the mode of the umask."""
    # Not the target's name, which may be as long as a name can be.
    handle, name = tempfile.mkstemp(dir=target.parent, prefix=".mixpe-")
    try:
        with open(handle, "wb") as file:
            file.write(content.encode() if isinstance(content, str) else content)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(name, 0o666 & ~_umask())
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(name)
        raise
    return Path(name)


def _second_name(target: Path) -> Path | None:
    """Returns another name of the file that is there, by which it can come back; None if there is none."""
    if not target.exists():
        return None
    handle, name = tempfile.mkstemp(dir=target.parent, prefix=".mixpe-")
    os.close(handle)
    os.unlink(name)
    try:
        os.link(target, name)
    except OSError:  # a file system without second names
        shutil.copy2(target, name)
    return Path(name)


def _undo(saved: Mapping[Path, Path | None]) -> None:
    """Brings back what stood at these places before."""
    for target, old in reversed(list(saved.items())):
        with contextlib.suppress(OSError):
            if old:
                os.replace(old, target)
            else:
                target.unlink(missing_ok=True)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
