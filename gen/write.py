"""Writes a design: Verilog, manifest, testbench."""

import json
from dataclasses import dataclass
from pathlib import Path

from ..hw.config import Config
from ..hw.top import Top
from .files import write_file
from .manifest import manifest
from .testbench import testbench
from .verilog import convert


@dataclass(frozen=True)
class Design:
    """Paths of the files of one design."""

    verilog: Path
    manifest: Path
    testbench: Path


def design_verilog(config: Config) -> str:
    """Returns the Verilog of `config`: the top module `config.name` and all that it instantiates."""
    return convert(config.name, lambda modules: Top(config, modules))


def write_design(config: Config, out_dir: Path | None = None) -> Design:
    """Writes `<name>.v`, `manifest.json` and `<name>_tb.v` to `out_dir` (build/<name> by default).

    Every file appears whole or not at all; the same configuration gives the same bytes.
    Raises `UserError` where the folder cannot be written.
    """
    folder = out_dir if out_dir is not None else Path("build") / config.name
    design = Design(folder / f"{config.name}.v", folder / "manifest.json", folder / f"{config.name}_tb.v")
    verilog = design_verilog(config)
    files = {"verilog": design.verilog.name, "testbench": design.testbench.name}
    write_file(design.verilog, verilog)
    write_file(design.testbench, testbench(config))
    write_file(design.manifest, json.dumps(manifest(config, verilog, files), indent=2) + "\n")
    return design
