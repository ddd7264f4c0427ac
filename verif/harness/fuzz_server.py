"""Runs command lines of `mixpe`, each in a process of its own: a copy of this one, which has imported all.

A line of JSON on the standard input asks for one: its arguments in Latin-1, its folder and its environment.
The exit status comes back in a line, "hang" after the limit of time. Standard output and error go to the
files `stdout` and `stderr` beside the folder.
"""

import contextlib
import json
import os
import resource
import signal
import sys
import time
import traceback
from importlib import import_module

from mixpe.cli import main as command_line
from mixpe.cli.commands import COMMANDS

from .processes import obey_permissions

MEMORY = 12 << 30
"""Bytes of addresses that a command may have: a size out of a file must not ask for all of a machine."""

_LATER = (
    "mixpe.gen.write",
    "mixpe.ppa.competitors",
    "mixpe.ppa.designs",
    "mixpe.bench.golden",
    "mixpe.sim.fast",
    "mixpe.synth.flow",
)
"""What commands import only when they need it."""


def main() -> None:
    for name in COMMANDS:
        import_module(f"mixpe.cli.{name}")
    for name in _LATER:
        import_module(name)
    print("ready", flush=True)
    for line in sys.stdin:
        job = json.loads(line)
        child = os.fork()
        if not child:
            _run(job)
        print(json.dumps(_wait(child, job["seconds"])), flush=True)


def _run(job: dict) -> None:
    """Becomes the command; never returns."""
    status = 70
    try:
        os.setsid()
        obey_permissions()
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
        os.chdir(job["folder"])
        for name, descriptor in (("stdin", 0), ("stdout", 1), ("stderr", 2)):
            path = "/dev/null" if name == "stdin" else f"{job['folder']}.{name}"
            os.dup2(os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC), descriptor)
        os.environ.update(job["environment"])
        sys.argv = ["mixpe", *(os.fsdecode(argument.encode("latin-1")) for argument in job["arguments"])]
        try:
            command_line.main()
            status = 0
        except SystemExit as end:
            status = end.code if isinstance(end.code, int) else 1
        except BaseException:
            traceback.print_exc()
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
    finally:
        os._exit(status)


def _wait(child: int, seconds: float) -> int | str:
    """Returns the child's exit status, minus a signal's number, or "hang" once it is killed for its time."""
    end = time.monotonic() + seconds
    while True:
        found, status = os.waitpid(child, os.WNOHANG)
        if found:
            return os.waitstatus_to_exitcode(status)
        if time.monotonic() > end:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(child, signal.SIGKILL)
            os.waitpid(child, 0)
            return "hang"
        time.sleep(0.005)


if __name__ == "__main__":
    main()
