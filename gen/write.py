"""Writes a design: Verilog, manifest, and what helps to place, simulate or drive it."""

from dataclasses import dataclass
from pathlib import Path

from ..spec.array import Config
from ..spec.core import CoreConfig
from ..spec.errors import check_type
from ..support.documents import to_json
from ..support.files import check_folder, write_files
from .component import component
from .core_manifest import core_manifest
from .fusesoc import core_file
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
    fusesoc: Path
    package: Path | None = None
    testbench: Path | None = None
    header: Path | None = None

    @property
    def paths(self) -> list[Path]:
        """All files."""
        files = (self.verilog, self.manifest, self.testbench, self.header, self.instance, self.package)
        return [*filter(None, files), self.fusesoc]


def design_verilog(config: Config | CoreConfig) -> str:
    """Returns the Verilog of `config`: the top module `config.name` and all that it instantiates."""
    return convert(config.name, lambda modules: component(config, modules))


def write_design(config: Config | CoreConfig, out_dir: Path | None = None) -> Design:
    """Writes `<name>.v` and `manifest.json` to `out_dir` (build/<name> by default).

    Beside them: `<name>_inst.v`, a template of an instance; `<name>.core`, a core file of FuseSoC; of a
    design with streams `<name>_pkg.sv`, a SystemVerilog package of their payloads; of an array `<name>_tb.v`,
    a self-checking testbench; of a core with registers `<name>.h`, a C header of the register map.

    The files appear together or not at all: if one cannot be written, or an interrupt comes, those of an
    earlier design stay. The same configuration gives the same bytes.
    Raises `UserError` where the folder cannot be written.
    """
    check_type("config", config, Config, CoreConfig)
    folder = out_dir if out_dir is not None else Path("build") / config.name
    check_folder(folder)
    text, files = design_verilog(config), _files(config)
    contents = {"verilog": text}
    if isinstance(config, Config):
        contents["testbench"] = testbench(config)
        facts = manifest(config, text, files)
    else:
        facts = core_manifest(config, text, files)
    if "c_header" in files:
        contents["c_header"] = c_header(config.name)
    contents["instance_template"] = instance_template(facts)
    contents["fusesoc_core"] = core_file(config, facts)
    if "payload_package" in files:
        contents["payload_package"] = payload_package(facts)
    paths = {role: folder / name for role, name in files.items()}
    described = folder / "manifest.json"
    # The manifest comes last: it holds the hash of the Verilog, and tells whether the set is whole.
    write_files({paths[role]: content for role, content in contents.items()} | {described: to_json(facts)})
    return Design(
        paths["verilog"],
        described,
        paths["instance_template"],
        paths["fusesoc_core"],
        paths.get("payload_package"),
        paths.get("testbench"),
        paths.get("c_header"),
    )


def _files(config: Config | CoreConfig) -> dict[str, str]:
    """Names of the files of a design, but for the manifest, which lists them."""
    name = config.name
    files = {"verilog": f"{name}.v"}
    if isinstance(config, Config):
        files["testbench"] = f"{name}_tb.v"
    elif config.bus == "axi":
        files["c_header"] = f"{name}.h"
    files["instance_template"] = f"{name}_inst.v"
    files["fusesoc_core"] = f"{name}.core"
    if isinstance(config, Config) or config.bus == "stream":
        files["payload_package"] = f"{name}_pkg.sv"
    return files
