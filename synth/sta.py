"""Runs OpenSTA (`sta`), the static timing analyser, in a process of its own."""

import os
import re
import shutil
import subprocess
from pathlib import Path

from ..spec.errors import UserError
from ..support.files import write_file
from ..support.programs import missing, run_program

VARIABLE = "MIXPE_STA"

_DONE = "mixpe: script done"
_FAILED = "mixpe: script failed: "
_ERROR = re.compile(rf"^(?:{_FAILED})?(?:Error: (?:script\.tcl,? (?:line )?\d+,? )?)(.*)", re.MULTILINE)
_FAILURE = re.compile(rf"^{_FAILED}(.*)", re.MULTILINE)


class TimingError(UserError):
    """OpenSTA refuses a file, or a netlist cannot be timed: one line that names the culprit."""


def require_sta() -> str:
    """Returns the path of OpenSTA's executable: `sta`, or what the environment variable MIXPE_STA names.

    Raises `UserError` with the command to type where there is none.
    """
    named = os.environ.get(VARIABLE, "")
    if path := shutil.which(named or "sta"):
        return path
    if named:
        raise UserError(f"{VARIABLE} must name OpenSTA's executable, not {named!r}")
    raise missing(
        "OpenSTA (sta) is not installed",
        debian="opensta",
        macos=f"build it from github.com/parallaxsw/OpenSTA and put it on PATH (or name it in {VARIABLE})",
    )


def sta_version() -> str:
    """Returns OpenSTA's version, such as "2.0.17"."""
    done = subprocess.run(
        [require_sta(), "-version"], capture_output=True, text=True, stdin=subprocess.DEVNULL
    )
    return done.stdout.strip()


def run_sta(script: str, folder: Path, log: Path) -> str:
    """Runs the Tcl commands `script` in `folder`; returns what OpenSTA prints, which `log` gets as well.

    OpenSTA ends with status 0 whatever happens, goes on after a command that fails, and only prints what is
    wrong with a file. Here the first error ends the script, and each of them raises `TimingError` with its
    words.
    """
    sta = require_sta()
    guarded = "\n".join(
        [
            f"if {{[catch {{\n{script}",
            "} mixpe_error]} {",
            f'  puts "{_FAILED}$mixpe_error"',
            "} else {",
            f'  puts "{_DONE}"',
            "}\n",
        ]
    )
    (folder / "script.tcl").write_text(guarded, encoding="utf-8")
    status, text = run_program([sta, "-no_init", "-no_splash", "-exit", "script.tcl"], folder)
    write_file(log, text)
    # The tool's own words about a file come before those of the command that then misses its content.
    found = _ERROR.search(text) or _FAILURE.search(text)
    if found or _DONE not in text:
        reason = found[1] if found else f"it stopped with exit status {status}"
        raise TimingError(f"OpenSTA failed: {reason} (all of its output is in {log})")
    return text
