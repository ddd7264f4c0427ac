"""Writes a design: Verilog, manifest, and what helps to place, simulate or drive it."""

import json
from dataclasses import dataclass
from pathlib import Path

from ..spec.array import Config
from ..spec.core import CoreConfig
from ..support.files import write_file
from .component import component
from .core_manifest import core_manifest
from .manifest import manifest
from .placing import instance_template, payload_package
from .registers import c_header
from .testbench import testbench
from .verilog import convert


@dataclass(frozen=True)
class Design:
    """Paths of the files of one design; None for those that designs of its kind lack."""

    verilog: Path
    manifest: Path
    instance: Path
    package: Path | None = None
    testbench: Path | None = None
    header: Path | None = None

    @property
    def paths(self) -> list[Path]:
        """All files."""
        files = (self.verilog, self.manifest, self.testbench, self.header, self.instance, self.package)
        return [path for path in files if path]


def design_verilog(config: Config | CoreConfig) -> str:
    """Returns the Verilog of `config`: the top module `config.name` and all that it instantiates."""
    return convert(config.name, lambda modules: component(config, modules))


def write_design(config: Config | CoreConfig, out_dir: Path | None = None) -> Design:
    """Writes `<name>.v` and `manifest.json` to `out_dir` (build/<name> by default).

    Beside them: `<name>_inst.v`, a template of an instance; of a design with streams `<name>_pkg.sv`, a
    SystemVerilog package of their payloads; of an array `<name>_tb.v`, a self-checking testbench; of a core
    with registers `<name>.h`, a C header of the register map.

    Every file appears whole or not at all; the same configuration gives the same bytes.
    Raises `UserError` where the folder cannot be written.
    """
    folder = out_dir if out_dir is not None else Path("build") / config.name
    text, files = design_verilog(config), _files(config)
    verilog = write_file(folder / files["verilog"], text)
    bench = header = None
    if isinstance(config, Config):
        bench = write_file(folder / files["testbench"], testbench(config))
        facts = manifest(config, text, files)
    else:
        facts = core_manifest(config, text, files)
    if name := files.get("c_header"):
        header = write_file(folder / name, c_header(config.name))
    instance = write_file(folder / files["instance_template"], instance_template(facts))
    package = None
    if name := files.get("payload_package"):
        package = write_file(folder / name, payload_package(facts))
    described = write_file(folder / "manifest.json", json.dumps(facts, indent=2) + "\n")
    return Design(verilog, described, instance, package, bench, header)


def _files(config: Config | CoreConfig) -> dict[str, str]:
    """Names of the files of a design, but for the manifest, which lists them."""
    name = config.name
    files = {"verilog": f"{name}.v"}
    if isinstance(config, Config):
        files["testbench"] = f"{name}_tb.v"
    elif config.bus == "axi":
        files["c_header"] = f"{name}.h"
    files["instance_template"] = f"{name}_inst.v"
    if isinstance(config, Config) or config.bus == "stream":
        files["payload_package"] = f"{name}_pkg.sv"
    return files
