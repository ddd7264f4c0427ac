"""Writes a design: Verilog, manifest, and a testbench (of arrays) or a C header (of cores with registers)."""

import json
from dataclasses import dataclass
from pathlib import Path

from ..spec.array import Config
from ..spec.core import CoreConfig
from ..support.files import write_file
from .component import component
from .core_manifest import core_manifest
from .manifest import manifest
from .registers import c_header
from .testbench import testbench
from .verilog import convert


@dataclass(frozen=True)
class Design:
    """Paths of the files of one design; None for those that designs of its kind lack."""

    verilog: Path
    manifest: Path
    testbench: Path | None = None
    header: Path | None = None

    @property
    def paths(self) -> list[Path]:
        """Of all files."""
        return [path for path in (self.verilog, self.manifest, self.testbench, self.header) if path]


def design_verilog(config: Config | CoreConfig) -> str:
    """Returns the Verilog of `config`: the top module `config.name` and all that it instantiates."""
    return convert(config.name, lambda modules: component(config, modules))


def write_design(config: Config | CoreConfig, out_dir: Path | None = None) -> Design:
    """Writes `<name>.v` and `manifest.json` to `out_dir` (build/<name> by default).

    Beside them, of an array `<name>_tb.v`, a self-checking testbench, and of a core with registers
    `<name>.h`, a C header of the register map.

    Every file appears whole or not at all; the same configuration gives the same bytes.
    Raises `UserError` where the folder cannot be written.
    """
    folder = out_dir if out_dir is not None else Path("build") / config.name
    text = design_verilog(config)
    verilog = write_file(folder / f"{config.name}.v", text)
    files = {"verilog": verilog.name}
    bench = header = None
    if isinstance(config, Config):
        bench = write_file(folder / f"{config.name}_tb.v", testbench(config))
        facts = manifest(config, text, files | {"testbench": bench.name})
    elif config.bus == "axi":
        name = f"{config.name}.h"
        header = write_file(folder / name, c_header(name))
        facts = core_manifest(config, text, files | {"c_header": name})
    else:
        facts = core_manifest(config, text, files)
    described = write_file(folder / "manifest.json", json.dumps(facts, indent=2) + "\n")
    return Design(verilog, described, bench, header)
