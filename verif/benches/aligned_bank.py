"""One row's aligner and an element for every weight: all activations, each beside partners that align it."""

from collections.abc import Sequence
from pathlib import Path

import cocotb
import numpy as np
from amaranth.hdl import Cat, Const, Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out
from cocotb.clock import Clock
from cocotb.triggers import RisingEdge

from mixpe.gen.verilog import convert
from mixpe.hw.array.align import RowAligner
from mixpe.hw.element.datapath import resolved
from mixpe.hw.element.integer import ArrayElement, recoded_weights
from mixpe.hw.modules import Modules, place
from mixpe.sim.cocotb.runner import Simulator, simulate
from mixpe.spec.array import Config

_LATENCY = 6  # of the bank, from a code to the products with it

# Plays every code of `bits` bits beside each partner, one pair a clock, and writes what comes of it.
_HARNESS = """
module harness (input clk, output reg done);
  localparam PAIRS = {pairs}, LATENCY = {latency};
  reg [{width} - 1:0] found [0:PAIRS - 1];
  reg [31:0] n = 0;
  reg [1:0] begun = 0;
  wire [{width} - 1:0] result;
  wire [31 - {bits}:0] turn = n[31:{bits}];
  wire [{bits} - 1:0] code = n[{bits} - 1:0], partner = {partner};
  initial done = 0;
  aligned_bank bank (.clk(clk), .rst(!begun[1]), .code(code), .partner(partner), .result(result));
  always @(posedge clk) begin
    begun <= {{begun[0], 1'b1}};
    if (begun[1]) n <= n + 1;
    if (n >= LATENCY && n < PAIRS + LATENCY) found[n - LATENCY] <= result;
    if (n == PAIRS + LATENCY) $writememh("{folder}/found.hex", found);
  end
  always @(negedge clk) done <= n > PAIRS + LATENCY + 1;
endmodule
"""


class AlignedBank(wiring.Component):
    """Groups of one beat and two lanes, `code` and `partner`, through the row's aligner, a beat a cycle.

    `result`: from bit 0 up the group's code (`Config.group_code_bits`) and the sums of the elements
    (`Config.sum_bits` each), element w's of `code` times the weight w + `Config.weight.min`; the partner's
    weights are 0.
    """

    def __init__(self, config: Config, modules: Modules):
        self.config = config
        self.modules = modules
        width = config.group_code_bits + (1 << config.weight_bits) * config.sum_bits
        super().__init__({"code": In(config.act_bits), "partner": In(config.act_bits), "result": Out(width)})

    def elaborate(self, platform):
        m = Module()
        config = self.config
        m.submodules.aligner = aligner = RowAligner(config)
        m.d.comb += [
            aligner.entering.eq(Cat(self.code, self.partner)),
            aligner.take.eq(1),
            aligner.ending.eq(1),
            aligner.begin.eq(1),
            aligner.advance.eq(1),
        ]
        # The memory's part: operands meet their group's code two cycles after they enter.
        before, stored = Signal.like(aligner.entering), Signal.like(aligner.entering)
        m.d.sync += [before.eq(aligner.entering), stored.eq(before)]
        m.d.comb += aligner.stored.eq(stored)
        code = aligner.code
        for stage in range(2):
            later = Signal.like(code, name=f"code{stage}")
            m.d.sync += later.eq(code)
            code = later
        results = [code]
        for index, weight in enumerate(range(config.weight.min, config.weight.max + 1)):
            pe = place(m, f"pe{index}", lambda: ArrayElement(config), self.modules, f"{config.name}_pe")
            codes = Cat(Const(weight, config.weight_bits), Const(0, config.weight_bits))
            m.d.comb += [
                pe.acts.eq(aligner.acts),
                pe.weights.eq(recoded_weights(config, codes)),
                pe.group_end.eq(1),
            ]
            results.append(resolved(config, pe.sum).as_unsigned())
        m.d.sync += self.result.eq(Cat(results))
        return m


def products(
    config: Config, partners: Sequence[int], simulator: Simulator, folder: Path
) -> tuple[np.ndarray, np.ndarray]:
    """Simulates a bank of `config` (two lanes, group 2) with every code beside each of `partners`.

    Returns group codes [partners, codes], and sums [partners, codes, weights] modulo 2**`Config.sum_bits`,
    both as Python integers.
    """
    codes, count = 1 << config.act_bits, 1 << config.weight_bits
    width = config.group_code_bits + count * config.sum_bits
    turns = [f"turn == {index} ? {config.act_bits}'d{partner} : " for index, partner in enumerate(partners)]
    harness = _HARNESS.format(
        pairs=codes * len(partners),
        bits=config.act_bits,
        width=width,
        latency=_LATENCY,
        partner="".join(turns) + "0",
        folder=folder,
    )
    source = folder / "bank.v"
    source.write_text(convert("aligned_bank", lambda modules: AlignedBank(config, modules)) + harness)
    simulate(
        sources=[source],
        top="harness",
        bench=__name__,
        simulator=simulator,
        build_dir=folder / simulator,
        optimize=simulator == "verilator",
    )
    lines = (folder / "found.hex").read_text(encoding="utf-8").splitlines()
    words = np.array([int(line, 16) for line in lines if not line.startswith("//")], dtype=object)
    words = words.reshape(len(partners), codes)
    shifts = np.array([config.group_code_bits + index * config.sum_bits for index in range(count)], object)
    group_codes = words & ((1 << config.group_code_bits) - 1)
    return group_codes, (words[..., None] >> shifts) & ((1 << config.sum_bits) - 1)


@cocotb.test()
async def run(dut):
    """Lets the harness play; the caller compares."""
    cocotb.start_soon(Clock(dut.clk, 2, unit="ns").start())
    await RisingEdge(dut.done)
