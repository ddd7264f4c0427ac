"""What other tools say of a design's Verilog: Icarus Verilog, Verilator, slang, Yosys and verible.

Every check returns the tool's complaints as text, "" if there are none. Warnings count, but for those that
`WAIVED` lists with their reasons.
"""

import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

from mixpe.sim.verilator import verilator_environment
from mixpe.synth.yosys import SynthesisError, run_yosys

WAIVED = {
    "slang": {
        "case-too-complex": "slang gives up to look for gaps in a wide one-hot choice; each has a default",
        "shift-count-overflow": "a word shifted by its own width is zero, which is meant",
    },
    "yosys": {
        "parallel_case": "Yosys wrote the comment itself: the choices of these cases are one-hot",
    },
}
"""Warnings that do not count, by tool, each with its reason."""

_SLANG_CLEAN = re.compile(r"^Build succeeded: 0 errors, 0 warnings$", re.MULTILINE)
ROOT = Path(__file__).resolve().parents[2]


def icarus(files: Sequence[Path], top: str, *, standard: str) -> str:
    """Icarus Verilog with all warnings, reading the language of `standard`: "2001", "2005" or "2012"."""
    options = [f"-g{standard}", "-Wall", "-t", "null", "-s", top]
    return _run(["iverilog", *options, *map(str, files)])


def verilator(files: Sequence[Path], top: str) -> str:
    """Verilator's lint with all warnings."""
    options = ["--lint-only", "-Wall", "--timing", "--quiet-stats", "--top-module", top]
    return _run(["verilator", *options, *map(str, files)], os.environ | verilator_environment())


def slang(files: Sequence[Path], top: str, *, standard: str = "1364-2005", timescale: str = "") -> str:
    """slang's elaboration, warnings as errors; Verilog-2005 unless another `standard` is named.

    `timescale`: that of modules without one, as "1ns/1ps".
    """
    waived = [f"-Wno-{name}" for name in WAIVED["slang"]]
    waived += ["--timescale", timescale] if timescale else []
    options = [
        "-Werror",
        *waived,
        "--std",
        standard,
        *(["--top", top] if top else ["--lint-only"]),
    ]
    command = [sys.executable, "-m", "verif.lint.slang", *options, *map(str, files)]
    said = _run(command, os.environ | {"PYTHONPATH": str(ROOT)})
    return "" if _SLANG_CLEAN.search(said) else said


def yosys(files: Sequence[Path], top: str) -> str:
    """Yosys, up to registers and gates, with its own check of the netlist."""
    script = [
        *(f"read_verilog {'-sv ' if file.suffix == '.sv' else ''}{file}" for file in files),
        *([f"hierarchy -check -top {top}", "proc", "check -assert"] if top else []),
    ]
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "log"
        try:
            run_yosys("\n".join([*script, ""]), Path(folder), log)
        except SynthesisError as error:
            return str(error)
        lines = log.read_text(encoding="utf-8").splitlines()
    waived = WAIVED["yosys"]
    found = [line for line in lines if "Warning:" in line and not any(word in line for word in waived)]
    return "\n".join(found)


def verible(files: Sequence[Path], _top: str = "") -> str:
    """verible's parser, which other tools of that project share. Its lint is of style, and not asked."""
    return _run(["verible-verilog-syntax", *map(str, files)])


CHECKS: dict[str, Callable[[Sequence[Path], str], str]] = {
    **{
        f"icarus {standard}": lambda files, top, standard=standard: icarus(files, top, standard=standard)
        for standard in ("2001", "2005", "2012")
    },
    "verilator": verilator,
    "slang": slang,
    "yosys": yosys,
    "verible": verible,
}
"""The checks of plain Verilog, by name."""


def _run(command: Sequence[str], environment: dict[str, str] | None = None) -> str:
    """Returns all that a program says; a status other than 0 says something too.

    Programs of the running Python's environment are found first.
    """
    environment = dict(environment or os.environ)
    environment["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{environment['PATH']}"
    done = subprocess.run(
        command,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    said = (done.stdout + done.stderr).strip()
    return said or (f"{command[0]} ended with status {done.returncode}" if done.returncode else "")
