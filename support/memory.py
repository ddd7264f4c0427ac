"""How much memory there is: what needs more is refused before the work."""

import os
import resource
from contextlib import suppress
from pathlib import Path

from ..spec.errors import UserError

_UNITS = ("bytes", "KiB", "MiB", "GiB", "TiB", "PiB")

_CONTAINER_LIMITS = ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes")
"""Files in which a container finds its own limit."""


def require_memory(needed: int, what: str) -> None:
    """Raises `UserError` if `what` needs more bytes of memory than this process can get."""
    available = available_memory()
    if needed > available:
        raise UserError(f"{what} needs {_words(needed)} of memory, and {_words(available)} are available")


def available_memory() -> int:
    """Returns the bytes that this process can get: what is free, within the limits that are set for it."""
    limits = [_free()]
    for path in _CONTAINER_LIMITS:
        with suppress(OSError, ValueError):
            limits.append(int(Path(path).read_text()))
    soft, _ = resource.getrlimit(resource.RLIMIT_AS)
    if soft != resource.RLIM_INFINITY:
        limits.append(soft)
    return min(limits)


def _free() -> int:
    """Returns what the system can give without swapping; where it does not say, all that is built in."""
    with suppress(OSError, ValueError, StopIteration):
        lines = Path("/proc/meminfo").read_text().splitlines()
        return int(next(line for line in lines if line.startswith("MemAvailable:")).split()[1]) << 10
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def _words(count: int) -> str:
    """Says a number of bytes in the largest unit that is not above it."""
    power = min((max(count, 1).bit_length() - 1) // 10, len(_UNITS) - 1)
    return f"{count / (1 << 10 * power):.{1 if power else 0}f} {_UNITS[power]}"
