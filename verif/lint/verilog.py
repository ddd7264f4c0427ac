"""Lints generated Verilog with Verilator: `python -m verif.lint.verilog [--whole]`.

Every named array and core, and some odd ones that reach the corners of the generator, must pass
`verilator --lint-only -Wall`; a warning is an error. Waivers stand in the Verilog, with their reasons.

Verilator copies shared modules, so that its last passes take a minute on 128x128 PEs: of an array that
large, its front end (syntax, names, widths, unused signals) reads the whole, and all of Verilator
two columns and two rows, which are made of the same modules. `--whole` spares nothing.
"""

import argparse
import dataclasses
import os
import subprocess
import sys
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

from mixpe.gen.configurations import load_design, named_designs
from mixpe.gen.write import write_design
from mixpe.sim.verilator import verilator_environment
from mixpe.spec.array import Config
from mixpe.spec.core import CoreConfig

ODD = (
    Config(rows=1, cols=1),
    Config(rows=1, cols=3, group=1),
    Config(rows=3, cols=1, group=7, lanes=2),
    Config(rows=2, cols=5, group=(1 << 24) - 1, act_bits=16, weight_bits=8),
    Config(rows=5, cols=2, group=32, weight_bits=2, act_bits=4, lanes=8, out_format="bf16"),
    Config(rows=4, cols=4, group=32, weight_signed=False, zero_point=True, lanes=4, out_format="fp16"),
    Config(rows=4, cols=4, group=32, weight_signed=False, weight_bits=3, datapath="multiplier"),
    Config(rows=4, cols=3, group=30, zero_point=True, lanes=4, datapath="multiplier", token_scale=True),
    Config(rows=3, cols=2, group=30, lanes=2, datapath="bit_heap", adder="prefix"),
    Config(rows=2, cols=3, group=30, weight_bits=5, datapath="booth"),
    Config(rows=3, cols=3, group=30, weight_signed=False, zero_point=True, datapath="carry_save"),
    Config(rows=2, cols=2, group=30, datapath="booth", target="fpga", acc_bits=32),
    Config(rows=1, cols=1, group=1, act_format="fp16"),
    Config(rows=3, cols=2, group=30, act_format="bf16", align_bits=8, weight_signed=False, zero_point=True),
    Config(rows=2, cols=3, group=9, act_format="fp8_e4m3", lanes=4, datapath="carry_save", token_scale=True),
    Config(rows=2, cols=2, group=30, act_format="fp8_e5m2", weight_signed=False, datapath="booth", lanes=2),
    Config(rows=2, cols=3, group=30, act_format="bf16", fp_scheme="fp_mac", lanes=4, zero_point=True),
    Config(rows=3, cols=2, group=8, act_format="fp8_e4m3", fp_scheme="fp_mac", weight_bits=8, target="fpga"),
    Config(rows=1, cols=1, group=1, act_format="fp16", fp_scheme="fp_mac", weight_bits=2, adder="prefix"),
)
_SMALLEST = Config(rows=1, cols=1, group=1, weight_bits=2, act_bits=4)
_SMALL_SIZES = {"burst": 1, "outstanding": 1, "act_words": 2, "weight_words": 2, "scale_words": 2, "queue": 1}
ODD_CORES = (
    CoreConfig(array=Config(rows=3, cols=5, group=7, lanes=2), data_bits=64, address_bits=32),
    CoreConfig(array=Config(rows=3, cols=5, group=7, lanes=2, token_scale=True), data_bits=64),
    CoreConfig(
        array=Config(rows=2, cols=9, group=30, token_scale=True), data_bits=512, address_bits=64, queue=15
    ),
    CoreConfig(array=_SMALLEST, data_bits=512, **_SMALL_SIZES),
    CoreConfig(array=_SMALLEST, data_bits=64, **_SMALL_SIZES),
    CoreConfig(
        array=Config(rows=5, cols=1, lanes=8, act_bits=12, out_format="bf16"),
        data_bits=256,
        burst=128,
        scale_words=256,
    ),
    CoreConfig(array=Config(rows=2, cols=3, group=30, act_format="fp16", align_bits=13, lanes=4)),
    CoreConfig(
        array=Config(
            rows=4, cols=4, weight_signed=False, zero_point=True, out_format="fp16", token_scale=True
        ),
        data_bits=64,
        act_words=16,
        outstanding=64,
    ),
    CoreConfig(
        array=Config(rows=2, cols=2, group=9, act_format="fp8_e5m2", fp_scheme="fp_mac"), data_bits=64
    ),
    CoreConfig(array=_SMALLEST, bus="stream"),
    CoreConfig(array=Config(rows=3, cols=5, weight_bits=3, act_bits=5, zero_point=True), bus="stream"),
    CoreConfig(array=Config(rows=2, cols=3, act_format="fp16", token_scale=True, lanes=2), bus="stream"),
)
LARGE = 1024  # PEs of the largest array that is linted whole
BUILD = Path("build/lint")
MOST_LINES = 12  # of a design's complaints that are printed

ALL_PASSES = "--lint-only"
FRONT_END = "--json-only"  # which also writes what it read

Run = tuple[Config | CoreConfig, str]


def runs(whole: bool) -> list[Run]:
    """Lists the designs to lint and how far; `whole` takes large ones to the end too."""
    result: list[Run] = []
    for config in (*map(load_design, named_designs()), *ODD, *ODD_CORES):
        if whole or isinstance(config, CoreConfig) or config.rows * config.cols <= LARGE:
            result.append((config, ALL_PASSES))
        else:
            strips = {"cols": 2}, {"rows": 2}
            result.append((config, FRONT_END))
            result += [(dataclasses.replace(config, name="", **strip), ALL_PASSES) for strip in strips]
    return result


def complaints(run: Run) -> str:
    """Writes the design of a run below `BUILD`; returns what Verilator says of it, "" if it is clean."""
    config, passes = run
    folder = BUILD / config.name
    verilog = write_design(config, folder).verilog
    options = ["-Wall", "--quiet-stats", "--Mdir", str(folder), "--top-module", config.name]
    process = subprocess.run(
        ["verilator", passes, *options, str(verilog)],
        env=os.environ | verilator_environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    said = (process.stdout + process.stderr).strip()
    return said or (f"verilator ended with status {process.returncode}" if process.returncode else "")


def main() -> int:
    """Lints all designs, printing a line each; returns 1 if any is not clean, else 0."""
    parser = argparse.ArgumentParser(
        prog="python -m verif.lint.verilog", description="Lint the generated Verilog."
    )
    parser.add_argument("--whole", action="store_true", help="run all passes on large arrays too")
    todo = runs(parser.parse_args().whole)
    failed = 0
    with ProcessPoolExecutor() as pool:
        for (config, passes), said in zip(todo, pool.map(complaints, todo), strict=True):
            part = " (front end)" if passes == FRONT_END else ""
            print(f"verilator: {config.name}{part}: {'not clean' if said else 'clean'}")
            print("".join(f"  {line}\n" for line in said.splitlines()[:MOST_LINES]), end="", flush=True)
            failed += bool(said)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
