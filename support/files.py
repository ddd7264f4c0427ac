"""Output files appear whole or not at all; generated parts of documents stand between markers."""

import contextlib
import os
import tempfile
from pathlib import Path

from ..spec.errors import UserError


def write_file(path: Path, text: str) -> Path:
    """Writes `text` to `path`: aside first, then renamed. Makes the folder. Returns `path`.

    Raises `UserError` where the system refuses.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, aside = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        try:
            with os.fdopen(handle, "w", encoding="utf-8", newline="\n") as file:
                file.write(text)
            os.chmod(aside, 0o666 & ~_umask())
            os.replace(aside, path)
        except BaseException:
            with contextlib.suppress(OSError):
                os.unlink(aside)
            raise
    except OSError as error:
        raise UserError(f"cannot write {path}: {error.strerror or error}") from None
    return path


def around(path: Path, begin: str, end: str) -> tuple[str, str]:
    """Returns what stands in a text file before the marker `begin` and behind the marker `end`.

    Raises `UserError` if the file cannot be read, or lacks the markers, once each and in this order.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        raise UserError(f"{path} is not text in UTF-8") from None
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror or error}") from None
    before, _, rest = text.partition(begin)
    _, _, after = rest.partition(end)
    if (text.count(begin), text.count(end), rest.count(end)) != (1, 1, 1):
        raise UserError(f"{path} must hold the lines {begin} and {end}, once each and in this order")
    return before, after


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
