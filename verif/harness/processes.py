"""Commands as a shell starts them: in a process of their own, with folders of their own."""

import ctypes
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

COMMAND = Path(sys.executable).with_name("mixpe")

_PATIENCE = 60
"""Seconds after which a process that should have ended hangs."""

_SET_SECURE_BITS, _NO_ROOT = 28, 0b11
"""Of Linux's prctl: programs that are started as root get no rights by that, for good."""

_CAPABILITY_VERSION = 0x20080522


@dataclass
class Ended:
    """Holds what is left of a process: its status, what it printed, and its descendants that still run."""

    status: int
    out: str
    err: str
    alive: list[str] = field(default_factory=list)

    @property
    def lines(self) -> list[str]:
        """The lines of the standard error, but those of progress such as "0/24 ..."."""
        return [line for line in self.err.splitlines() if line.strip() and not line[:1].isdigit()]


def environment(folder: Path, **variables: str) -> dict[str, str]:
    """Returns an environment whose home, cache and temporary files lie in `folder`."""
    for name in ("home", "tmp"):
        (folder / name).mkdir(exist_ok=True)
    own = {"HOME": str(folder / "home"), "TMPDIR": str(folder / "tmp")}
    rest = {name: value for name, value in os.environ.items() if name not in ("XDG_CACHE_HOME", "PYTHONPATH")}
    return rest | own | variables


def run(
    arguments: Sequence[str | bytes], folder: Path, variables: Mapping[str, str], **options: object
) -> Ended:
    """Runs `mixpe` to its end in `folder`; `options` of `subprocess.run`."""
    options = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "stdin": subprocess.DEVNULL} | options
    done = subprocess.run(  # type: ignore[call-overload]
        [COMMAND, *arguments], cwd=folder, env=variables, timeout=10 * _PATIENCE, check=False, **options
    )
    out, err = ((text or b"").decode(errors="replace") for text in (done.stdout, done.stderr))
    return Ended(done.returncode, out, err)


def interrupted(
    arguments: Sequence[str],
    folder: Path,
    variables: Mapping[str, str],
    number: signal.Signals,
    *,
    when: Callable[[int], bool],
    group: bool = False,
    times: int = 1,
) -> Ended:
    """Starts `mixpe` in `folder`, and sends it a signal once `when(process id)` is true.

    group: sends it to the whole process group, as a terminal does. times: how often, a moment apart.
    """
    with started([COMMAND, *arguments], folder, env=dict(variables)) as process:
        try:
            while not when(process.pid):
                assert process.poll() is None, process.communicate()
                time.sleep(0.01)
            children = descendants(process.pid)
            for _ in range(times):
                if process.poll() is not None:
                    break
                (os.killpg if group else os.kill)(process.pid, number)
                time.sleep(0.05)
            out, err = process.communicate(timeout=_PATIENCE)
        finally:
            process.kill()
    return Ended(process.returncode, out, err, [name for pid, name in children.items() if _name(pid) == name])


def started(command: Sequence[str | Path], folder: Path, **options: Any) -> subprocess.Popen[str]:
    """Starts a command in `folder`, apart from our terminal, that heeds the signals of one.

    Signals that are ignored, as under `nohup` or in a shell's background, would be ignored there too.
    """
    before = {number: signal.signal(number, signal.SIG_DFL) for number in (signal.SIGINT, signal.SIGHUP)}
    try:
        return subprocess.Popen(
            command,
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
            **options,
        )
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def descendants(pid: int) -> dict[int, str]:
    """Returns the processes that a process has started, and those that they have, with their programs."""
    parents: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and (stat := _stat(int(entry.name))):
            parents.setdefault(int(stat[1]), []).append(int(entry.name))
    found, waiting = {}, [pid]
    while waiting:
        for child in parents.get(waiting.pop(), []):
            found[child] = _name(child)
            waiting.append(child)
    return found


def obey_permissions() -> None:
    """Gives up root's right to read and write what permissions forbid, here and in all that is started."""
    if os.geteuid():
        return
    system = ctypes.CDLL(None, use_errno=True)
    header, nothing = (ctypes.c_uint32 * 2)(_CAPABILITY_VERSION, 0), (ctypes.c_uint32 * 6)()
    if system.prctl(_SET_SECURE_BITS, _NO_ROOT, 0, 0, 0) or system.capset(header, nothing):
        raise OSError(ctypes.get_errno(), "root's rights cannot be given up")


def _stat(pid: int) -> list[str]:
    """Returns state, parent and so on of a process; nothing if it is gone."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return []


def _name(pid: int) -> str:
    """Returns the program of a process; "" if it has ended."""
    try:
        name = Path(f"/proc/{pid}/comm").read_text().strip()
    except OSError:
        return ""
    return "" if _stat(pid)[:1] in ([], ["Z"]) else name
