"""Runs native Yosys (`pyosys`) in a process of its own: an error of Yosys ends its process."""

import os
import re
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

from ..gen.files import write_file
from ..hw.errors import UserError

_CHILD = "import sys; from pyosys import libyosys as ys; ys.run_pass(f'script {sys.argv[1]}', ys.Design())"
_PASS = re.compile(r"^[\d.]+ Executing (.*?)(?: \(|\.$)")
# ABC's own error comes before Yosys's, which then only misses ABC's output.
_ERROR = re.compile(
    r"^(?:ABC: Error: |ABC: (?=.*Assertion .* failed|Reading SCL library .* failed)|"
    r"(?:\S+:\d+: )?ERROR: )(.*)",
    re.MULTILINE,
)


class SynthesisError(UserError):
    """Yosys refuses the design or the library. The message is one line with Yosys's own words."""


def yosys_version() -> str:
    return version("pyosys")


def run_yosys(script: str, folder: Path, log: Path, progress: Callable[[str], None] | None = None) -> None:
    """Runs the Yosys commands `script` in `folder`, writes what Yosys prints to `log`.

    `progress` is told each pass as it begins. Every run has a temporary folder of its own: Yosys keeps a
    cache of converted Liberty files there, found again by path and not by content, which would give
    the results of a file since replaced.

    Raises `SynthesisError` with the first error Yosys or ABC printed.
    """
    (folder / "script.ys").write_text(script, encoding="utf-8")
    lines: list[str] = []
    with (
        tempfile.TemporaryDirectory(dir=folder.resolve()) as temporary,
        subprocess.Popen(
            [sys.executable, "-c", _CHILD, "script.ys"],
            cwd=folder,
            env=os.environ | {"TMPDIR": temporary},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
            errors="replace",
            start_new_session=True,
        ) as child,
    ):
        try:
            for line in child.stdout or ():
                lines.append(line)
                if progress and (match := _PASS.match(line)):
                    progress(match[1])
        except BaseException:
            os.killpg(child.pid, signal.SIGKILL)  # Yosys, and an ABC it may be running
            raise
    text = "".join(lines)
    write_file(log, text)
    if child.returncode:
        errors = _ERROR.findall(text)
        reason = errors[0] if errors else f"exit status {child.returncode}"
        raise SynthesisError(f"Yosys failed: {reason} (all of its output is in {log})")
