"""A core file of FuseSoC (CAPI 2), by which a build takes a design by its name."""

import json
import re
from collections.abc import Mapping
from typing import Any

from ..spec.array import Config
from ..spec.core import CoreConfig

_KINDS = {"rtl": "verilogSource", "package": "systemVerilogSource", "tb": "verilogSource"}
"""The file sets, with the types of their files."""


def vlnv(config: Config | CoreConfig, release: str) -> str:
    """Returns the name that a design has in FuseSoC: vendor, library, name and version.

    `release` is the version of this package. FuseSoC takes its numbers alone.
    """
    numbers = re.match(r"\d+(\.\d+)*", release)
    library = "arrays" if isinstance(config, Config) else "cores"
    return f"mixpe:{library}:{config.name}:{numbers[0] if numbers else '0'}"


def core_file(config: Config | CoreConfig, facts: Mapping[str, Any]) -> str:
    """Returns the text of the core file of a design that the manifest `facts` describes.

    File sets: `rtl`; `package`, of a design with streams; `tb`, of an array. Targets: `default`, for designs
    that depend on this one; `sim`, of an array, by Icarus Verilog; `lint`, by Verilator; `synth`, by Yosys.
    """
    files = facts["files"]
    sets = {"rtl": files["verilog"], "package": files.get("payload_package"), "tb": files.get("testbench")}
    sets = {name: file for name, file in sets.items() if file}
    top = config.name
    what = "array" if isinstance(config, Config) else "core"
    lines = [
        "CAPI=2:",
        f"name: {vlnv(config, facts['tools']['mixpe'])}",
        f"description: {json.dumps(f'MixPE {what} {top}; manifest.json beside this file describes it')}",
        "filesets:",
    ]
    for name, file in sets.items():
        lines += [f"  {name}:", f"    files: [{file}]", f"    file_type: {_KINDS[name]}"]
    reused = ", ".join(name for name in sets if name != "tb")
    lines += [
        "targets:",
        *_target("default", "The design, for those that depend on it.", reused, top),
    ]
    if "tb" in sets:
        meaning = "Runs the testbench, which prints PASS or FAIL: Icarus Verilog."
        lines += [
            *_target("sim", meaning, "rtl, tb", f"{top}_tb", "sim", "icarus"),
            "      iverilog_options: [-g2005]",
        ]
    lines += [
        *_target("lint", "Lints the Verilog: Verilator.", "rtl", top, "lint", "verilator"),
        "      verilator_options: [-Wall]",
        *_target("synth", "Synthesizes the Verilog: Yosys.", "rtl", top, "generic", "yosys"),
        "      arch: ice40  # or xilinx, ecp5",
        "",
    ]
    return "\n".join(lines)


def _target(name: str, meaning: str, filesets: str, top: str, flow: str = "", tool: str = "") -> list[str]:
    """Returns the lines of a target, the last of which are the options of its flow, if it has one."""
    lines = [
        f"  {name}:",
        f"    description: {json.dumps(meaning)}",
        f"    filesets: [{filesets}]",
        f"    toplevel: {top}",
    ]
    if flow:
        lines += [f"    flow: {flow}", "    flow_options:", f"      tool: {tool}"]
    return lines
