"""On-chip memories in synthesis: counted with their sizes, and neither cells nor area; the parts of cores."""

import io
from pathlib import Path
from typing import Any

import pytest
from amaranth.hdl import Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out
from rich.console import Console

from mixpe.gen.verilog import convert
from mixpe.gen.write import design_verilog
from mixpe.hw.modules import Modules, place
from mixpe.hw.ram import place_ram
from mixpe.spec.array import Config
from mixpe.spec.core import CoreConfig
from mixpe.synth.flow import Recipe, Synthesis, synthesize
from mixpe.synth.liberty import Library
from mixpe.synth.parts import CORE_PARTS, parts
from mixpe.synth.report import records, table
from verif.libraries.few import DFF, INV, LIBRARY, XOR, library_of
from verif.samples.arrays import instances, modules

CORE = CoreConfig(name="t", array=Config(rows=3, cols=2, lanes=2))


@pytest.fixture
def few(tmp_path: Path) -> Library:
    return library_of(tmp_path, LIBRARY)


def run(
    tmp_path: Path,
    text: str,
    library: Library | None,
    *,
    design: Config | CoreConfig = CORE,
    flatten: bool = False,
) -> Synthesis:
    verilog = tmp_path / "design in.v"
    verilog.write_text(text)
    reported = [part.module for part in parts(design)]
    log, recipe = tmp_path / "synth.log", Recipe(flatten=flatten)
    return synthesize(verilog, design.name, reported, tmp_path, log, library=library, recipe=recipe)


def printed(found: list[dict[str, Any]]) -> str:
    console = Console(width=100, file=io.StringIO())
    console.print(table(found))
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


class Block(wiring.Component):
    """Four registers of inverted inputs, into two memories; the exclusive or of what these hold."""

    def __init__(self, modules: Modules):
        self.modules = modules
        super().__init__({"i": In(4), "o": Out(4)})

    def elaborate(self, platform):
        m = Module()
        state = Signal(4, reset_less=True)
        m.d.sync += state.eq(~self.i)
        rams = [place_ram(m, f"ram{index}", 256, 4, self.modules, "t") for index in range(2)]
        for ram, read in zip(rams, (self.i[0], self.i[1]), strict=True):
            m.d.comb += [ram.write.eq(1), ram.write_data.eq(state), ram.read.eq(read)]
        m.d.comb += self.o.eq(rams[0].read_data ^ rams[1].read_data)
        return m


class Blocks(wiring.Component):
    """Two blocks in a row, and one memory more."""

    def __init__(self, modules: Modules):
        self.modules = modules
        super().__init__({"i": In(4), "o": Out(16)})

    def elaborate(self, platform):
        m = Module()
        blocks = [
            place(m, f"block{index}", lambda: Block(self.modules), self.modules, "t_act_buffer")
            for index in range(2)
        ]
        ram = place_ram(m, "ram", 1024, 16, self.modules, "t")
        m.d.comb += [
            blocks[0].i.eq(self.i),
            blocks[1].i.eq(blocks[0].o),
            ram.write.eq(1),
            ram.write_data.eq(blocks[1].o),
            ram.read.eq(1),
            self.o.eq(ram.read_data),
        ]
        return m


def test_memories_are_apart(tmp_path: Path, few: Library) -> None:
    text = convert("t", Blocks)
    for library, names in ((few, ("DFF", "INV", "XOR2")), (None, ("$_DFF_P_", "$_NOT_", "$_XOR_"))):
        for flatten in (False, True):
            synthesis = run(tmp_path, text, library, flatten=flatten)
            block, top = synthesis.cells["t_act_buffer"], synthesis.cells["t"]
            assert block.by_type == dict.fromkeys(names, 4)
            assert (block.registers, block.memories) == (4, {"t_ram_256x4": 2})
            if not flatten:  # dissolved, an inverter may join the next block's gates
                assert top.by_type == dict.fromkeys(names, 8)
                assert top.area == (8 * (DFF + INV + XOR) if library else None)
            assert (top.registers, top.memories) == (8, {"t_ram_1024x16": 1, "t_ram_256x4": 4})
            assert synthesis.instances == {"t": 1, "t_act_buffer": 2}


def test_memories_in_the_report(tmp_path: Path, few: Library) -> None:
    found = records(CORE, run(tmp_path, convert("t", Blocks), few), few, Recipe())
    assert [record["part"] for record in found] == ["activation buffer", "core"]
    assert found[0]["memories"] == [
        {"module": "t_ram_256x4", "count": 2, "depth": 256, "width": 4, "bits": 2048}
    ]
    assert [(each["count"], each["bits"]) for each in found[1]["memories"]] == [(1, 16384), (4, 4096)]
    assert found[1]["configuration"]["array"]["rows"] == 3
    lines = printed(found).splitlines()
    assert "areas in um2 without memories" in lines[0]
    ends = {line.split("  ")[1].strip(): line.split() for line in lines if line.startswith("  ")}
    assert ends["activation buffer"][-1] == "0.25"
    assert ends["core without memories"][-1] == "2.50"
    assert ends["memory 1024 x 16"][3:] == ["16", "1", *"-----", "2.00"]
    assert ends["memory 256 x 4"][3:] == ["4", "4", *"-----", "0.50"]


def test_array_called_as_a_memory(tmp_path: Path) -> None:
    text = """module t_ram_4x4(input clk, d, output q);
      t_ram_4x4_pe pe(clk, d, q);
    endmodule
    module t_ram_4x4_pe(input clk, d, output reg q); always @(posedge clk) q <= d; endmodule"""
    config = Config(name="t_ram_4x4")
    synthesis = run(tmp_path, text, None, design=config)
    assert synthesis.cells["t_ram_4x4"].by_type == {"$_DFF_P_": 1}
    found = records(config, synthesis, None, Recipe())
    assert [record["memories"] for record in found] == [[], []]
    assert "memor" not in printed(found)


def test_parts_of_cores() -> None:
    """Every module that a core places is a part, and every part is one of some core."""
    array = Config(rows=2, cols=2, group=4, token_scale=True)
    found: set[str] = set()
    for bus in ("axi", "stream"):
        core = CoreConfig(name="t", array=array, bus=bus)
        written = modules(design_verilog(core))
        placed = {kind for kind, _, _ in instances(written["t"])}
        if "t_range_check" in written:  # it stands in `commands`, and is a part of its own
            placed.add("t_range_check")
        assert placed <= {part.module for part in parts(core)}
        assert "t_engine" in placed
        found |= placed - {"t_engine"}
    assert found == {f"t_{end}" for end in CORE_PARTS}
