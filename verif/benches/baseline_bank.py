"""Elements of `mixpe.hw.baselines.integer` side by side, and cocotb's test that feeds them operands from a
file."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import cocotb
import numpy as np
from amaranth.hdl import Cat, Module, Signal, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out
from cocotb.clock import Clock
from cocotb.triggers import RisingEdge

from mixpe.gen.verilog import convert
from mixpe.hw.baselines.integer import BitFusionPE, DequantizeFirstPE
from mixpe.hw.element.datapath import resolved
from mixpe.sim.cocotb.runner import simulate

SUM_BITS = 32
_LATENCY = 3  # of the bank, from operands to their sum
_FILES = "MIXPE_BASELINE_BANK"  # environment variable: folder of the files below
_OPERANDS, _SUMS = "operands.npz", "sums.npy"

Element = DequantizeFirstPE | BitFusionPE


class BaselineBank(wiring.Component):
    """Elements of equal operand ports, with the operands of all; `sums`: 32 bits each, the first one lowest.

    Sums come `_LATENCY` cycles after their operands, of pipelined elements too.
    """

    def __init__(self, elements: Sequence[Element]):
        self.elements = elements
        inputs = {name: In(width) for name, width in elements[0].operands.items()}
        super().__init__({**inputs, "group_end": In(1), "sums": Out(SUM_BITS * len(elements))})

    def elaborate(self, platform):
        m = Module()
        sums = []
        for index, element in enumerate(self.elements):
            m.submodules[f"element{index}"] = element
            # Operands of one cycle meet: what is not due yet waits.
            for name in (*element.operands, "group_end"):
                port, value = getattr(element, name), getattr(self, name)
                if name not in element.early:
                    late = Signal.like(value, name=f"{name}{index}")
                    m.d.sync += late.eq(value)
                    value = late
                m.d.comb += port.eq(value)
            total = Signal(signed(SUM_BITS), name=f"sum{index}")
            m.d.comb += total.eq(resolved(element.total, element.sum))
            sums.append(total)
        m.d.comb += self.sums.eq(Cat(sums))
        return m


def sums(make, words: Mapping[str, Sequence[int]], ends: np.ndarray, folder: Path) -> np.ndarray:
    """Simulates the elements `make(modules)` on `words` {port: [cycles]}; sums end at each true `ends`.

    Returns int32 [cycles, elements], row c from the cycle in which a sum that ends with operands c shows.
    """
    source = folder / "bank.v"
    source.write_text(convert("bank", lambda modules: BaselineBank(make(modules))), encoding="utf-8")
    np.savez(folder / _OPERANDS, ends=ends, **{name: np.array(row, np.int64) for name, row in words.items()})
    simulate(
        sources=[source],
        top="bank",
        bench=__name__,
        simulator="icarus",
        build_dir=folder / "build",
        env={_FILES: str(folder)},
    )
    return np.load(folder / _SUMS)


@cocotb.test()
async def feed(dut):
    """Feeds the file's operands and writes the sums; the caller compares."""
    folder = Path(os.environ[_FILES])
    with np.load(folder / _OPERANDS) as file:
        words = {name: file[name].tolist() for name in file.files}
    ends = words.pop("ends")
    ports = [(getattr(dut, name), row) for name, row in words.items()]
    cocotb.start_soon(Clock(dut.clk, 2, unit="ns").start())
    dut.rst.value = 1
    for port, _ in ports:
        port.value = 0
    dut.group_end.value = 1
    for _ in range(3):
        await RisingEdge(dut.clk)
    dut.rst.value = 0
    width, found = len(dut.sums) // 8, []
    for cycle in range(len(ends) + _LATENCY):
        if cycle < len(ends):
            for port, row in ports:
                port.value = row[cycle]
        dut.group_end.value = int(ends[cycle - 1]) if 1 <= cycle <= len(ends) else 1
        await RisingEdge(dut.clk)
        if cycle >= _LATENCY:
            found.append(dut.sums.value.to_unsigned().to_bytes(width, "little"))
    np.save(folder / _SUMS, np.frombuffer(b"".join(found), np.int32).reshape(len(ends), -1))
