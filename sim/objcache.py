"""Compiles Verilator's run-time library once per machine instead of once per design.

Verilator's makefile puts `$(OBJCACHE)` before each compiler call; `mixpe.sim.verilator` sets it to this
file, run as a script, and MIXPE_OBJCACHE to a folder. The objects of the sources in Verilator's own
include folder, the same for every design, are kept there under a hash of the command, the source and
the compiler's version; every other call goes straight to the compiler.
"""

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path


def main(command: list[str]) -> int:
    """Run a compiler `command`, or copy the object it would make; returns its exit status."""
    source = Path(command[-1])
    library = Path(os.environ["VERILATOR_ROOT"]) / "include"
    if source.suffix != ".cpp" or source.parent != library or "-o" not in command:
        return subprocess.call(command)
    output = Path(command[command.index("-o") + 1])
    version = subprocess.run([command[0], "--version"], capture_output=True, check=False).stdout
    key = hashlib.sha256("\0".join(command).encode() + version + source.read_bytes()).hexdigest()[:24]
    cached = Path(os.environ["MIXPE_OBJCACHE"]) / f"{source.stem}-{key}.o"
    try:
        cached.parent.mkdir(parents=True, exist_ok=True)
        lock = os.open(cached.with_suffix(".lock"), os.O_CREAT | os.O_RDWR)
    except OSError:  # no place to keep anything
        return subprocess.call(command)
    fcntl.flock(lock, fcntl.LOCK_EX)  # held until this process ends
    if not cached.exists():
        if status := subprocess.call(command):
            return status
        partial = cached.with_suffix(".partial")
        shutil.copyfile(output, partial)
        partial.replace(cached)
        return 0
    shutil.copyfile(cached, output)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
