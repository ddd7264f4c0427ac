"""Synthesis: counts and areas known by hand, on a library of a few cells, and the report."""

import io
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from mixpe.spec.array import Config
from mixpe.spec.errors import UserError
from mixpe.synth.flow import Recipe, Synthesis, synthesize
from mixpe.synth.liberty import Library
from mixpe.synth.netlist import Netlist, is_yosys_register
from mixpe.synth.report import parts, records, table
from mixpe.synth.yosys import SynthesisError, run_yosys
from verif.libraries.few import DFF, HEAD, INV, ISOLATION, LATCH, LIBRARY, LOGIC, REGISTER, XOR, library_of

# Three rows of two PEs; a PE is four flip-flops and, of one bit, an inverter.
ARRAY = """\
module t_pe(input clk, input [3:0] d, output reg [3:0] q);
  wire [3:0] next;
  t_bit low(d[0], next[0]);
  assign next[3:1] = d[3:1];
  always @(posedge clk) q <= next;
endmodule
module t_bit(input a, output y);
  assign y = ~a;
endmodule
module t_row(input clk, input [3:0] d, output [3:0] q);
  wire [3:0] m;
  t_pe left(clk, d, m);
  t_pe right(clk, m, q);
endmodule
module t_array(input clk, input [3:0] d, output [11:0] q);
  t_row r0(clk, d, q[3:0]);
  t_row r1(clk, d, q[7:4]);
  t_row r2(clk, d, q[11:8]);
endmodule
module t(input clk, input [3:0] d, output [11:0] q, output parity);
  t_array array(clk, d, q);
  assign parity = d[0] ^ d[1];
endmodule
module t_unused(input a, output y);
  assign y = a;
endmodule
"""
CONFIG = Config(name="t", rows=3, cols=2, lanes=2)


@pytest.fixture
def few(tmp_path: Path) -> Library:
    return library_of(tmp_path, LIBRARY)


def run(tmp_path: Path, text: str, top: str, library: Library | None = None, **recipe: bool) -> Synthesis:
    verilog = tmp_path / "in put.v"
    verilog.write_text(text)
    modules = [part.module for part in parts(CONFIG)]
    log = tmp_path / "synth.log"
    return synthesize(verilog, top, modules, tmp_path, log, library=library, recipe=Recipe(**recipe))


# Counting


def test_netlist_adds_up() -> None:
    modules = {
        "top": {"row": 3, "$_AND_": 1},
        "row": {"pe": 2, "$_NOT_": 5},
        "pe": {"$_DFF_P_": 7, "$_NOT_": 1},
    }
    netlist = Netlist({name: Counter(cells) for name, cells in modules.items()})
    assert netlist.cells("top") == {"$_AND_": 1, "$_NOT_": 3 * (5 + 2), "$_DFF_P_": 42}
    assert netlist.instances("top") == {"top": 1, "row": 3, "pe": 6}
    assert netlist.places("pe") == 2
    assert netlist.has_registers("row")


@pytest.mark.parametrize(
    "cell", ["$dff", "$adffe", "$sdffce", "$aldff", "$ff", "$mem_v2", "$_DFF_P_", "$_SDFFE_PP0P_"]
)
def test_registers_are_registers(cell: str) -> None:
    assert is_yosys_register(cell)


@pytest.mark.parametrize(
    "cell", ["$dlatch", "$_DLATCH_P_", "$and", "$_MUX_", "$shiftx", "$alu", "$add", "DFF"]
)
def test_others_are_not(cell: str) -> None:
    assert not is_yosys_register(cell)


@pytest.mark.parametrize(
    ("cell", "enabled"),
    [
        *((cell, True) for cell in ("$dffe", "$adffe", "$sdffe", "$sdffce", "$aldffe", "$dffsre", "$mem_v2")),
        *((cell, False) for cell in ("$dff", "$adff", "$sdff", "$aldff", "$dffsr", "$ff", "$add", "DFFE")),
    ],
)
def test_registers_with_enables(cell: str, enabled: bool) -> None:
    netlist = Netlist({"top": Counter({"inner": 1}), "inner": Counter({cell: 2})})
    assert netlist.has_enables("top") == enabled


# The flow


def test_generic_gates(tmp_path: Path) -> None:
    synthesis = run(tmp_path, ARRAY, "t")
    assert synthesis.instances == {"t": 1, "t_array": 1, "t_row": 3, "t_pe": 6}
    assert synthesis.cells["t_pe"].by_type == {"$_DFF_P_": 4, "$_NOT_": 1}
    assert synthesis.cells["t_array"].by_type == {"$_DFF_P_": 24, "$_NOT_": 6}
    top = synthesis.cells["t"]
    assert top.by_type == {"$_DFF_P_": 24, "$_NOT_": 6, "$_XOR_": 1}
    assert (top.total, top.registers, top.logic, top.area, top.area_logic) == (31, 24, 7, None, None)


def test_resets_and_enables_are_gates(tmp_path: Path) -> None:
    text = "module t(input clk, rst, en, d, output reg q); always @(posedge clk) {} endmodule"
    plain = run(tmp_path, text.format("q <= d;"), "t").cells["t"]
    assert (plain.registers, plain.logic) == (1, 0)
    reset = run(tmp_path, text.format("if (rst) q <= 0; else q <= d;"), "t").cells["t"]
    assert (reset.registers, reset.logic) == (1, 1)
    enabled = run(tmp_path, text.format("if (en) q <= d;"), "t").cells["t"]
    assert (enabled.registers, enabled.logic) == (1, 1)


@pytest.mark.parametrize("flatten", [False, True])
def test_areas(tmp_path: Path, few: Library, flatten: bool) -> None:
    synthesis = run(tmp_path, ARRAY, "t", few, flatten=flatten)
    pe, top = synthesis.cells["t_pe"], synthesis.cells["t"]
    assert pe.by_type == {"DFF": 4, "INV": 1}
    assert (pe.area, pe.area_registers, pe.area_logic) == (4 * DFF + INV, 4 * DFF, INV)
    # Dissolved, the three rows turn out equal, and Yosys keeps one.
    rows = 1 if flatten else 3
    assert top.by_type["DFF"] == rows * 8
    assert top.area_registers == rows * 8 * DFF
    assert synthesis.instances["t_pe"] == 6


def test_several_files_are_one_library(tmp_path: Path, few: Library) -> None:
    split = library_of(tmp_path, HEAD + LOGIC + ISOLATION + "}", HEAD + LATCH + REGISTER + "}")
    assert split.cells == few.cells
    synthesis = run(tmp_path, ARRAY, "t", split)
    assert synthesis.cells["t_pe"].by_type == {"DFF": 4, "INV": 1}


def test_special_cells_are_not_chosen(tmp_path: Path, few: Library) -> None:
    text = "module t(input clk, a, b, output reg q); always @(posedge clk) q <= a & b; endmodule"
    chosen = run(tmp_path, text, "t", few).cells["t"]
    assert chosen.by_type == {"DFF": 1, "INV": 1, "NAND2": 1}
    free = library_of(tmp_path, LIBRARY.replace("is_isolation_cell : true;", ""))
    assert run(tmp_path, text, "t", free).cells["t"].by_type == {"DFF": 1, "ISO": 1}


def test_replaced_library_is_read_again(tmp_path: Path) -> None:
    """Yosys would find its converted copy of the earlier file, were its cache not in a folder of its own."""
    text = "module t(input clk, a, output reg q); always @(posedge clk) q <= ~a; endmodule"
    for cell in ("INV", "NOT"):
        library = library_of(tmp_path, LIBRARY.replace("(INV)", f"({cell})"))
        assert run(tmp_path, text, "t", library).cells["t"].by_type == {"DFF": 1, cell: 1}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("module t(input e, d, output reg q); always @* if (e) q = d; endmodule", "Latch inferred"),
        (
            "module t(input a, output y); wire z; assign y = ~(z & a); assign z = ~y; endmodule",
            "Found 1 problem",
        ),
        ("module t(input a, output y); wire z; assign y = a ^ z; endmodule", "Found 1 problem"),
        ("module t(input a, output y); assign y = ; endmodule", "syntax error"),
        ("module other(input a, output y); assign y = a; endmodule", "Module `t' not found"),
        ("module t(input a, output y); absent u(a, y); endmodule", "absent"),
    ],
)
def test_bad_design(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(SynthesisError, match=message) as error:
        run(tmp_path, text, "t")
    assert "\n" not in str(error.value)
    assert str(tmp_path / "synth.log") in str(error.value)
    assert "ERROR" in (tmp_path / "synth.log").read_text()


@pytest.mark.parametrize(
    ("mapped", "message"), [(False, "it is no generic gate"), (True, "library few has none for it")]
)
def test_unmapped_cell(tmp_path: Path, few: Library, mapped: bool, message: str) -> None:
    text = 'module t(input clk, d); always @(posedge clk) $display("%b", d); endmodule'
    with pytest.raises(SynthesisError, match=rf"cell \$print of module t is left unmapped: {message}"):
        run(tmp_path, text, "t", few if mapped else None)


def test_register_the_library_lacks(tmp_path: Path, few: Library) -> None:
    text = """module t(input clk, rst, d, output reg q);
      always @(posedge clk, posedge rst) if (rst) q <= 0; else q <= d;
    endmodule"""
    with pytest.raises(SynthesisError, match="async set or reset are not supported"):
        run(tmp_path, text, "t", few)


def test_cell_without_area(tmp_path: Path) -> None:
    library = library_of(tmp_path, LIBRARY.replace(f"area : {DFF};", ""))
    with pytest.raises(UserError, match="few gives no area of cell DFF"):
        run(tmp_path, ARRAY, "t", library)


def test_yosys_reports_steps_and_errors(tmp_path: Path) -> None:
    """Steps are told, and a command Yosys does not know is one line."""
    steps: list[str] = []
    with pytest.raises(SynthesisError, match="No such command: nonsense"):
        run_yosys("design -reset\nproc\nnonsense\n", tmp_path, tmp_path / "log", steps.append)
    assert steps[0] == "PROC pass"


def test_interrupted_run_ends_yosys(tmp_path: Path) -> None:
    def interrupt(step: str) -> None:
        raise KeyboardInterrupt(step)

    with pytest.raises(KeyboardInterrupt, match="PROC pass"):
        run_yosys("proc\nexec -- sleep 60\n", tmp_path, tmp_path / "log", interrupt)
    assert [path.name for path in tmp_path.iterdir()] == ["script.ys"]


# The report


def test_records(tmp_path: Path, few: Library) -> None:
    found = records(CONFIG, run(tmp_path, ARRAY, "t", few), few, Recipe())
    assert [record["module"] for record in found] == ["t_pe", "t_row", "t_array", "t"]
    top = found[-1]
    area = 24 * DFF + 6 * INV + XOR
    assert (top["area_um2"], top["area_registers_um2"]) == (area, 24 * DFF)
    assert top["area_per_mac_um2"] == round(area / (3 * 2 * 2), 6)
    assert found[0]["area_per_mac_um2"] == (4 * DFF + INV) / 2
    assert (top["library"], top["corner"], top["configuration"]["rows"]) == ("few", "typical", 3)
    assert found[0]["instances"] == 6
    shown = printed(found)
    assert "row of PEs" in shown
    assert f"{area:.1f}" in shown
    generic = records(CONFIG, run(tmp_path, ARRAY, "t"), None, Recipe())
    assert generic[-1]["area_um2"] is None
    assert generic[-1]["library"] is None
    assert "generic gates" in printed(generic)


def printed(found: list[dict[str, Any]]) -> str:
    console = Console(width=80, file=io.StringIO())
    console.print(table(found))
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()
