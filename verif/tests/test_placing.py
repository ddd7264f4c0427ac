"""The instance template and the package of payloads: Verilator takes them as the manifest means them."""

import itertools
import json
import os
import subprocess
from pathlib import Path

import pytest

from mixpe.gen.placing import payload_package
from mixpe.gen.write import Design, write_design
from mixpe.sim.verilator import verilator_environment
from mixpe.spec.array import Config
from mixpe.spec.core import CoreConfig

ARRAY = Config(
    name="array",
    rows=2,
    cols=3,
    lanes=2,
    weight_bits=3,
    weight_signed=False,
    zero_point=True,
    token_scale=True,
)
DESIGNS = {
    "array": ARRAY,
    "fp8": Config(name="fp8", rows=1, cols=2, act_format="fp8_e4m3", out_format="bf16"),
    "stream": CoreConfig(array=ARRAY, name="stream", bus="stream"),
    "core": CoreConfig(array=Config(rows=1, cols=1), name="core"),
}
WITH_STREAMS = ("array", "fp8", "stream")


@pytest.fixture(scope="module")
def written(tmp_path_factory) -> dict[str, Design]:
    folder = tmp_path_factory.mktemp("placing")
    return {name: write_design(config, folder / name) for name, config in DESIGNS.items()}


def lint(folder: Path, text: str, *files: Path) -> str:
    """What Verilator says of the module `around` and `files`."""
    (folder / "around.sv").write_text(text)
    command = ["verilator", "--lint-only", "-Wall", "--quiet-stats", "--top-module", "around"]
    waived = ("UNDRIVEN", "UNUSEDSIGNAL", "UNUSEDPARAM", "DECLFILENAME", "GENUNNAMED")
    done = subprocess.run(
        [*command, *(f"-Wno-{name}" for name in waived), f"-I{folder}", *map(str, files), "around.sv"],
        cwd=folder,
        env=os.environ | verilator_environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    said = (done.stdout + done.stderr).strip()
    assert said or not done.returncode
    return said


def facts_of(design: Design) -> dict:
    return json.loads(design.manifest.read_text())


@pytest.mark.parametrize("name", DESIGNS)
def test_instance(name, written):
    """Included in a module, it places the design: all ports, each with a net of its width."""
    design = written[name]
    text = f'module around(input clk, input rst);\n`include "{design.instance.name}"\nendmodule\n'
    assert lint(design.instance.parent, text, design.verilog) == ""
    text = design.instance.read_text()
    for port in facts_of(design)["ports"]:
        assert text.count(f"({port['name']})") == 1
        assert port["name"] in ("clk", "rst") or f"{port['direction']}: {port['meaning']}\n" in text


def test_lint_sees_a_wrong_width_and_a_lost_port(written):
    design = written["array"]
    text = design.instance.read_text()
    around = "module around(input clk, input rst);\n{}\nendmodule\n"
    wrong = text.replace("wire [32:0] acts__payload", "wire [31:0] acts__payload")
    assert "WIDTH" in lint(design.instance.parent, around.format(wrong), design.verilog)
    lost = text.replace("  .out__ready       (out__ready)\n", "").replace("(out__valid),", "(out__valid)")
    assert "out__ready" in lint(design.instance.parent, around.format(lost), design.verilog)


def checks(facts: dict, shift: int = 0) -> str:
    """A module that does not elaborate unless every element of every field lies where the manifest says."""
    lines, top = ["module around;"], facts["top"]
    for stream, described in facts["streams"].items():
        kind, width = f"{top}_pkg::{stream}_t", described["width"]
        lines.append(f'if ($bits({kind}) != {width}) $error("{stream} has %0d bits", $bits({kind}));')
        for field in described["fields"]:
            for place in itertools.product(*map(range, field["counts"].values())):
                lsb = eval(field["element_lsb"], dict(zip(field["counts"], place, strict=True))) + shift
                element = field["name"] + "".join(f"[{index}]" for index in place)
                label = f"at_{stream}_{field['name']}" + "".join(f"_{index}" for index in place)
                ones = (1 << field["element_bits"]) - 1
                mask = f"{width}'h{ones << lsb & (1 << width) - 1:x}"
                lines += [
                    f"localparam {kind} {label} = {kind}'({mask});",
                    f'if ({label}.{element} != \'1) $error("{stream}.{element} is not at bit {lsb}");',
                ]
    return "\n".join([*lines, "endmodule", ""])


@pytest.mark.parametrize("name", WITH_STREAMS)
def test_payloads_lie_as_the_manifest_says(name, written):
    design = written[name]
    assert design.package
    assert lint(design.package.parent, checks(facts_of(design)), design.package) == ""


def test_verilator_sees_a_wrong_place(written):
    """All bits of an element must be at its place: one bit further is an error of each."""
    design = written["array"]
    assert design.package
    said = lint(design.package.parent, checks(facts_of(design), shift=1), design.package)
    for element in ("acts.a[1][1]", "acts.last", "weights.q[2][0]", "scales.s[0]", "scales.z[2]", "tokens.t"):
        assert f"{element} is not at bit" in said
    swapped = (
        design.package.read_text().replace("logic last;", "", 1).replace("} acts_t", "logic last;\n} acts_t")
    )
    (design.package.parent / "swapped.sv").write_text(swapped)
    said = lint(design.package.parent, checks(facts_of(design)), design.package.parent / "swapped.sv")
    assert "acts.last is not at bit 32" in said


def test_no_gap_goes_unseen():
    field = {"name": "a", "lsb": 1, "width": 2, "element_bits": 2, "counts": {}, "type": "", "meaning": ""}
    stream = {"direction": "input", "width": 3, "meaning": "", "fields": [field]}
    with pytest.raises(ValueError, match="gap below bit 1"):
        payload_package({"top": "top", "streams": {"acts": stream}})


@pytest.mark.parametrize("name", DESIGNS)
def test_manifest_lists_the_files(name, written):
    design, files = written[name], facts_of(written[name])["files"]
    listed = {path.name for path in design.paths} - {"manifest.json"}
    assert set(files.values()) == listed == {path.name for path in design.verilog.parent.glob(f"{name}*")}
    assert files["instance_template"] == f"{name}_inst.v"
    assert files.get("payload_package") == (f"{name}_pkg.sv" if name in WITH_STREAMS else None)
