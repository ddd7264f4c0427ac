"""Runs a plain Verilog testbench under Icarus Verilog, as a user without Python does."""

import subprocess
from pathlib import Path


def run_testbench(design: str, bench: str, folder: Path) -> list[str]:
    """Compiles as a user would, without one warning; returns the lines that the simulation prints."""
    (folder / "design.v").write_text(design)
    (folder / "bench.v").write_text(bench)
    compiled = subprocess.run(
        ["iverilog", "-g2001", "-Wall", "-o", "bench", "design.v", "bench.v"],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (compiled.returncode, compiled.stdout, compiled.stderr) == (0, "", "")
    run = subprocess.run(
        ["vvp", "-n", "bench"], cwd=folder, capture_output=True, text=True, timeout=120, check=True
    )
    assert not run.stderr
    lines = run.stdout.splitlines()
    assert sum(line.startswith(("PASS", "FAIL")) for line in lines) == 1, run.stdout
    return lines
