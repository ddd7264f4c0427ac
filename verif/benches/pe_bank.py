"""All processing elements for weights and activations up to 8 bits side by side, as one design."""

from dataclasses import dataclass

from amaranth.hdl import Cat, Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from ...gen.verilog import convert
from ...hw.config import DATAPATHS, Config
from ...hw.modules import Modules, place
from ...hw.pe import PE

OPERAND_BITS = 8
SUM_BITS = 32
GROUP = 8


@dataclass(frozen=True)
class Spec:
    """One element of the bank; it reads the low bits of the bank's operand lanes."""

    weight_bits: int
    act_bits: int
    lanes: int
    datapath: str

    @property
    def config(self) -> Config:
        return Config(
            name=f"w{self.weight_bits}a{self.act_bits}_l{self.lanes}_{self.datapath}",
            weight_bits=self.weight_bits,
            act_bits=self.act_bits,
            lanes=self.lanes,
            datapath=self.datapath,
            group=GROUP * self.lanes,
        )


FORMATS = [(w, a) for w in range(2, OPERAND_BITS + 1) for a in range(4, OPERAND_BITS + 1)]
"""Bits of weights and activations; elements of one format share operands."""


def specs(lanes: int) -> list[Spec]:
    """Every format, in the order of `FORMATS`, with every datapath."""
    return [
        Spec(weight_bits, act_bits, lanes, datapath)
        for weight_bits, act_bits in FORMATS
        for datapath in DATAPATHS
    ]


class PEBank(wiring.Component):
    """The elements of `specs(lanes)`, and operands for each format.

    `weights`, `acts`: 8 bits for each lane of each format, of which its elements take the low ones; the
    first format and lane lowest. `sums`: the elements' sums, sign-extended to 32 bits, the first one lowest.
    """

    def __init__(self, lanes: int, modules: Modules | None = None):
        self.lanes = lanes
        self.modules = modules
        super().__init__(
            {
                "weights": In(len(FORMATS) * lanes * OPERAND_BITS),
                "acts": In(len(FORMATS) * lanes * OPERAND_BITS),
                "group_end": In(1),
                "sums": Out(len(specs(lanes)) * SUM_BITS),
            }
        )

    def elaborate(self, platform):
        m = Module()
        sums = []
        for index, spec in enumerate(specs(self.lanes)):
            config = spec.config
            pe = place(m, f"pe{index}", lambda config=config: PE(config), self.modules, config.name)
            first = FORMATS.index((spec.weight_bits, spec.act_bits)) * self.lanes
            m.d.comb += [
                pe.weights.eq(self._low(self.weights, first, config.weight_bits)),
                pe.acts.eq(self._low(self.acts, first, config.act_bits)),
                pe.group_end.eq(self.group_end),
            ]
            sums.append(Cat(pe.sum, pe.sum[-1].replicate(SUM_BITS - len(pe.sum))))
        m.d.comb += self.sums.eq(Cat(sums))
        return m

    def _low(self, operands, first: int, bits: int):
        """The low `bits` of each lane's operand, lanes counted from `first`."""
        lanes = range(first, first + self.lanes)
        return Cat(operands.word_select(lane, OPERAND_BITS)[:bits] for lane in lanes)


def bank_verilog(lanes: int) -> str:
    """Verilog of the bank as module `pe_bank`."""
    return convert("pe_bank", lambda modules: PEBank(lanes, modules))
