"""Other people's tools take the generated files: alone, among files of others, and by FuseSoC."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from mixpe.gen.configurations import load_design, named_designs
from mixpe.gen.fusesoc import vlnv
from mixpe.gen.write import Design, write_design
from mixpe.sim.verilator import verilator_environment
from mixpe.spec.array import Config
from mixpe.spec.core import CoreConfig
from verif.lint.tools import CHECKS, WAIVED, icarus, slang, verilator, yosys

PAGE = Path(__file__).resolve().parents[2] / "docs/tools.md"
PROGRAMS = Path(sys.executable).parent

ARRAY = Config(name="array", rows=2, cols=2, group=4, zero_point=True, token_scale=True)
SMALL = {
    "array": ARRAY,
    "aligned": Config(name="aligned", rows=1, cols=2, group=4, act_format="fp16", datapath="carry_save"),
    "fp_mac": Config(name="fp_mac", rows=1, cols=1, group=4, act_format="fp16", fp_scheme="fp_mac"),
    "core": CoreConfig(name="core", array=Config(rows=1, cols=2, group=4), data_bits=64),
    "stream": CoreConfig(name="stream", array=Config(rows=2, cols=1, group=4), bus="stream"),
}
_OTHER = "module other(input wire a, output wire b);\nassign b = a;\nendmodule\n"
OTHERS = {
    "timescale": f"`timescale 1ns / 1ps\n{_OTHER}",
    "directives": f"`resetall\n`default_nettype none\n{_OTHER}",
    "macros": f"`define array 1\n`define array_pe 2\n`define clk x y\n`define acts__valid (\n{_OTHER}",
}
"""Files that a design must stand beside: their directives act on what follows."""


@pytest.fixture(scope="module")
def written(tmp_path_factory) -> dict[str, Design]:
    folder = tmp_path_factory.mktemp("tools")
    return {name: write_design(config, folder / name) for name, config in SMALL.items()}


def complaints(design: Design, top: str) -> dict[str, str]:
    """What each tool says of all files of a design, by tool."""
    said = {name: check([design.verilog], top) for name, check in CHECKS.items()}
    if design.package:
        said["slang, package"] = slang([design.package], "", standard="1800-2017")
        said["yosys, package"] = yosys([design.package], "")
        said["verible, package"] = CHECKS["verible"]([design.package], "")
    if design.testbench:
        both = [design.verilog, design.testbench]
        bench = f"{top}_tb"
        said |= {f"{name}, testbench": CHECKS[name](both, bench) for name in CHECKS if "icarus" in name}
        said["slang, testbench"] = slang(both, bench)
        said["verible, testbench"] = CHECKS["verible"]([design.testbench], "")
    around = design.verilog.with_name("around.v")
    text = f'module around(input wire clk, input wire rst);\n`include "{design.instance.name}"\nendmodule\n'
    around.write_text(text.replace(f'"{design.instance.name}"', f'"{design.instance}"'))
    said["slang, instance"] = slang([design.verilog, around], "around")
    return {name: text for name, text in said.items() if text}


@pytest.mark.parametrize("name", ["array"])
def test_tools_take_small_designs(name, written):
    assert complaints(written[name], SMALL[name].name) == {}


@pytest.mark.nightly
@pytest.mark.parametrize("name", ["aligned", "fp_mac", "core", "stream"])
def test_tools_take_small_designs_of_other_kinds(name, written):
    assert complaints(written[name], SMALL[name].name) == {}


@pytest.mark.nightly
@pytest.mark.parametrize("name", named_designs())
def test_tools_take_named_designs(name, tmp_path):
    assert complaints(write_design(load_design(name), tmp_path), name) == {}


@pytest.mark.parametrize("kind", OTHERS)
def test_files_of_others(kind, written, tmp_path):
    """In both orders; Icarus tells of a timescale that it hands on, which is no fault of either file."""
    other = tmp_path / "other.v"
    other.write_text(OTHERS[kind])
    design = written["array"].verilog
    for files in ([other, design], [design, other]):
        assert verilator(files, "array") == ""
        heard = icarus(files, "array", standard="2005")
        assert "timescale" in heard if kind == "timescale" else heard == ""
        assert "error" not in heard
        # slang refuses modules without a timescale beside ones with it, unless told which to take.
        assert slang(files, "array", timescale="1ns/1ps") == ""
    assert yosys([other, design], "array") == ""


@pytest.mark.nightly
def test_tools_see_faults(written, tmp_path):
    """Each tool complains of a net of another width and of what is no Verilog."""
    text = written["array"].verilog.read_text()
    broken = tmp_path / "array.v"
    broken.write_text(text.replace("endmodule", "endmodul", 1))
    assert all(check([broken], "array") for check in CHECKS.values())
    broken.write_text(re.sub(r"^  array_pacer pacer \(", "  array_paces pacer (", text, flags=re.MULTILINE))
    assert text != broken.read_text()
    seeing = {name for name, check in CHECKS.items() if check([broken], "array")}
    assert seeing == CHECKS.keys() - {"verible"}  # it reads each file by itself


def test_waived_warnings_have_reasons():
    assert all(len(reason.split()) > 5 for waived in WAIVED.values() for reason in waived.values())


# FuseSoC


def fusesoc(folder: Path, *arguments: str) -> str:
    """Runs FuseSoC in `folder`, which is its home; returns what it prints."""
    homes = {name: str(folder / name) for name in ("XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_CACHE_HOME")}
    environment = os.environ | verilator_environment({"OPT_FAST": "-O0", "OPT_GLOBAL": "-O0"}) | homes
    environment["PATH"] = f"{PROGRAMS}{os.pathsep}{environment['PATH']}"
    done = subprocess.run(
        [str(PROGRAMS / "fusesoc"), *arguments],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    said = done.stdout + done.stderr
    assert done.returncode == 0, said
    return said


@pytest.mark.nightly
@pytest.mark.parametrize("name", ["array", "core", "stream"])
def test_core_file(name, written, tmp_path):
    """FuseSoC finds the design by its name and lints it; it sets every target up."""
    folder = written[name].verilog.parent
    fusesoc(tmp_path, "library", "add", name, str(folder))
    known = vlnv(SMALL[name], "0.1.0").rpartition(":")[0]
    shown = fusesoc(tmp_path, "core", "show", known)
    targets = set(re.findall(r"^(\w+) +:", shown.split("Targets:")[1], re.MULTILINE))
    benches = {"sim"} if name == "array" else set()
    assert targets == {"default", "lint", "synth", *benches}
    for target in targets - {"default"}:
        fusesoc(tmp_path, "run", "--setup", "--target", target, known)
    assert "Warning" not in fusesoc(tmp_path, "run", "--target", "lint", known)


def test_documented_commands(written, tmp_path):
    """The commands of docs/tools.md, of the small array."""
    commands = re.findall(r"^    fusesoc (.*)$", PAGE.read_text(), re.MULTILINE)
    assert [command.split()[0] for command in commands] == ["library", "core", "run"]
    said = ""
    for command in commands:
        own = command.replace("build/w4a8_16x16_g128", str(written["array"].verilog.parent))
        said = fusesoc(tmp_path, *own.replace("w4a8_16x16_g128", "array").split())
    assert "\nPASS array:" in said


@pytest.mark.parametrize(
    ("release", "version"), [("0.1.0", "0.1.0"), ("1.2.dev3+g12", "1.2"), ("2", "2"), ("unknown", "0")]
)
def test_versions(release, version):
    assert vlnv(ARRAY, release) == f"mixpe:arrays:array:{version}"
