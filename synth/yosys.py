"""Runs native Yosys (`pyosys`) in a process of its own: an error of Yosys ends its process."""

import re
from collections.abc import Callable
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

from ..spec.errors import UserError
from ..support.files import write_file
from ..support.folders import temporary_folder
from ..support.programs import PYTHON, run_program

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


def require_yosys() -> None:
    """Raises `ModuleNotFoundError` unless native Yosys is installed."""
    if find_spec("pyosys") is None:
        raise ModuleNotFoundError("No module named 'pyosys'", name="pyosys")


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

    def line_printed(line: str) -> None:
        if progress and (match := _PASS.match(line)):
            progress(match[1])

    with temporary_folder("tmp-", folder.resolve()) as temporary:
        status, text = run_program(
            [*PYTHON, "-c", _CHILD, "script.ys"],
            folder,
            variables={"TMPDIR": str(temporary)},
            line_printed=line_printed,
        )
    write_file(log, text)
    if status:
        errors = _ERROR.findall(text)
        reason = errors[0] if errors else f"exit status {status}"
        raise SynthesisError(f"Yosys failed: {reason} (all of its output is in {log})")
