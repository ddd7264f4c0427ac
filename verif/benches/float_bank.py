"""Floating-point elements side by side, and a harness that plays operands from a file without Python."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import cocotb
import numpy as np
from amaranth.hdl import Cat, Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out
from cocotb.clock import Clock
from cocotb.triggers import RisingEdge

from mixpe.gen.verilog import convert
from mixpe.hw.fp.accumulate import to_float
from mixpe.sim.cocotb.runner import Simulator, simulate

RESULT_BITS = 32  # of an element; a shorter result has zeros above
_LATENCY = 4  # of the bank, from operands to their sum

_HARNESS = """
// Plays the words of a file, one a clock, and writes another with the result of each.
module harness (input clk, output reg done);
  reg [{width} - 1:0] operands [0:{cycles} - 1];
  reg [{results} - 1:0] found [0:{cycles} - 1];
  reg [31:0] n = 0;
  reg started = 0, over = 0;
  // Otherwise the word ends a group.
  wire [{width} - 1:0] word = started && n < {cycles} ? operands[n] : {{1'b1, {{({width} - 1){{1'b0}}}}}};
  wire [{results} - 1:0] sums;
  initial begin
    done = 0;
    $readmemh("{folder}/operands.hex", operands);
  end
  always @(posedge clk) begin
    started <= 1;
    if (started) n <= n + 1;
    if (n >= {latency} && n < {cycles} + {latency}) found[n - {latency}] <= sums;
    if (n == {cycles} + {latency}) $writememh("{folder}/sums.hex", found);
    over <= n > {cycles} + {latency};
  end
  always @(negedge clk) done <= over;
  float_bank bank (.clk(clk), .rst(~started), .words(word), .sums(sums));
endmodule
"""


class FloatBank(wiring.Component):
    """Elements, each with its own operands in `words`: the first one's lowest, in their ports' order; then a
    bit: whether a group ends with them. `sums`: `RESULT_BITS` each, drained to the accumulators' formats."""

    def __init__(self, elements: Sequence[Any]):
        self.elements = elements
        super().__init__({"words": In(bank_width(elements)), "sums": Out(RESULT_BITS * len(elements))})

    def elaborate(self, platform):
        m = Module()
        position, sums = 0, []
        # Operands of one cycle meet: what is not due yet waits.
        late = Signal.like(self.words)
        end = Signal()
        m.d.sync += [late.eq(self.words), end.eq(late[-1])]
        for index, element in enumerate(self.elements):
            m.submodules[f"element{index}"] = element
            for name, width in element.operands.items():
                words = self.words if name in element.early else late
                m.d.comb += getattr(element, name).eq(words[position : position + width])
                position += width
            m.d.comb += element.group_end.eq(end)
            result = Signal(RESULT_BITS, name=f"result{index}")
            m.d.comb += result.eq(to_float(m, element.total, element.sum))
            sums.append(result)
        m.d.sync += self.sums.eq(Cat(sums))
        return m


def bank_width(elements: Sequence[Any]) -> int:
    return 1 + sum(sum(element.operands.values()) for element in elements)


def play(
    make, words: Sequence[Mapping[str, np.ndarray]], ends: np.ndarray, simulator: Simulator, folder: Path
) -> np.ndarray:
    """Simulates the elements `make(modules)`, each on its `words` {port: [cycles]}; true `ends` end groups.

    Returns uint32 [cycles, elements], row c of the group that ends with operands c.
    """
    folder.mkdir(parents=True, exist_ok=True)
    elements: list[Any] = []

    def bank(modules):
        elements[:] = make(modules)
        return FloatBank(elements)

    verilog = convert("float_bank", bank)
    cycles, width = len(ends), bank_width(elements)
    (folder / "operands.hex").write_text(_hex(elements, words, ends), encoding="utf-8")
    harness = _HARNESS.format(
        width=width, results=RESULT_BITS * len(elements), cycles=cycles, latency=_LATENCY, folder=folder
    )
    (folder / "bank.v").write_text(verilog + harness, encoding="utf-8")
    simulate(
        sources=[folder / "bank.v"],
        top="harness",
        bench=__name__,
        simulator=simulator,
        build_dir=folder / simulator,
        optimize=simulator == "verilator" and cycles > 100_000,
    )
    lines = (folder / "sums.hex").read_text(encoding="utf-8").splitlines()
    values = [line for line in lines if not line.startswith("//")]
    raw = bytes.fromhex("".join(values))
    return np.frombuffer(raw, ">u4").astype(np.uint32).reshape(cycles, -1)[:, ::-1]


def _hex(elements, words, ends) -> str:
    """A line for each cycle."""
    fields, position = [], 0
    for element, own in zip(elements, words, strict=True):
        for name, width in element.operands.items():
            fields.append((own[name].tolist(), position))
            position += width
    fields.append((ends.astype(int).tolist(), position))
    digits = position // 4 + 1
    total = fields[0][0]
    for values, place in fields[1:]:
        total = [low | value << place for low, value in zip(total, values, strict=True)]
    return "".join([f"{value:0{digits}x}\n" for value in total])


@cocotb.test()
async def run(dut):
    """Lets the harness play; the caller compares."""
    cocotb.start_soon(Clock(dut.clk, 2, unit="ns").start())
    await RisingEdge(dut.done)
