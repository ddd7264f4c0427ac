"""All processing elements for weights and activations up to 8 bits side by side, as one design."""

from amaranth.hdl import Cat, Const, Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from mixpe.gen.verilog import convert
from mixpe.hw.element.integer import ArrayElement, recoded_weights
from mixpe.hw.modules import Modules, place
from mixpe.spec.array import DATAPATHS, Config

OPERAND_BITS = 8
SUM_BITS = 32
GROUP = 8


VARIANTS = [
    *({"datapath": datapath} for datapath in DATAPATHS),
    {"datapath": "bit_heap", "adder": "prefix"},
    {"datapath": "bit_heap", "target": "fpga"},
    {"datapath": "booth", "adder": "prefix"},
    {"datapath": "booth", "target": "fpga"},
]
"""Fields of a configuration: every way to build an element."""


def spec(weight_bits: int, act_bits: int, lanes: int, variant: dict[str, str]) -> Config:
    """Describes one element of the bank; it reads the low bits of the bank's operand lanes."""
    return Config(
        name=f"w{weight_bits}a{act_bits}_l{lanes}_{'_'.join(variant.values())}",
        weight_bits=weight_bits,
        act_bits=act_bits,
        lanes=lanes,
        group=GROUP * lanes,
        **variant,
    )


def formats(lanes: int) -> list[tuple[int, int]]:
    """Returns bits of weights and activations; elements of one format share operands."""
    if lanes > 1:
        return [(2, 4), (3, 5), (4, 8), (8, 8)]
    return [(w, a) for w in range(2, OPERAND_BITS + 1) for a in (4, OPERAND_BITS)]


def specs(lanes: int) -> list[Config]:
    """Lists every format, in the order of `formats`, in every variant."""
    return [spec(*bits, lanes, variant) for bits in formats(lanes) for variant in VARIANTS]


class PEBank(wiring.Component):
    """The elements of `specs(lanes)`, and operands for each format.

    `weights`, `acts`: 8 bits for each lane of each format, of which its elements take the low ones; the
    first format and lane lowest. `sums`: the elements' words, 32 bits each, the first one lowest: signed
    sums, or where carries are kept apart (`Config.carry_columns`) a sum's bits and above them its carries.
    """

    def __init__(self, lanes: int, modules: Modules | None = None):
        self.lanes = lanes
        self.modules = modules
        super().__init__(
            {
                "weights": In(len(formats(lanes)) * lanes * OPERAND_BITS),
                "acts": In(len(formats(lanes)) * lanes * OPERAND_BITS),
                "group_end": In(1),
                "sums": Out(len(specs(lanes)) * SUM_BITS),
            }
        )

    def elaborate(self, platform):
        m = Module()
        sums = []
        for index, config in enumerate(specs(self.lanes)):
            pe = place(m, f"pe{index}", lambda config=config: ArrayElement(config), self.modules, config.name)
            first = formats(self.lanes).index((config.weight_bits, config.act_bits)) * self.lanes
            m.d.comb += [
                pe.weights.eq(recoded_weights(config, self._low(self.weights, first, config.weight_bits))),
                pe.acts.eq(self._low(self.acts, first, config.act_bits)),
                pe.group_end.eq(self.group_end),
            ]
            top = pe.sum[-1] if pe.sum.shape().signed else Const(0, 1)
            sums.append(Cat(pe.sum, top.replicate(SUM_BITS - len(pe.sum))))
        m.d.comb += self.sums.eq(Cat(sums))
        return m

    def _low(self, operands, first: int, bits: int):
        """The low `bits` of each lane's operand, lanes counted from `first`."""
        lanes = range(first, first + self.lanes)
        return Cat(operands.word_select(lane, OPERAND_BITS)[:bits] for lane in lanes)


def bank_verilog(lanes: int) -> str:
    """Returns Verilog of the bank as module `pe_bank`."""
    return convert("pe_bank", lambda modules: PEBank(lanes, modules))
