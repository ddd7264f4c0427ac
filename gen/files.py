"""Output files appear whole or not at all."""

import contextlib
import os
import tempfile
from pathlib import Path

from ..hw.errors import UserError


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


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
