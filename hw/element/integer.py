"""The element inside an array of integer or aligned activations, which takes its operands recoded.

`mixpe.hw.PE` is the element to place alone: it takes plain codes, whatever the datapath.
"""

from collections.abc import Collection, Mapping

from amaranth.hdl import Cat, Module, Mux, Shape, Signal, Value, signed
from amaranth.lib.wiring import In, Out

from ...spec.array import Config
from ...spec.schemes.integer import RECODED
from ..arith.adders import Adders
from ..arith.recode import recode
from ..modules import Modules
from ..ports import Component
from .datapath import STRATEGIES
from .shell import Shell
from .special import note_infinities


def drain_shape(config: Config) -> Shape:
    """Returns the shape of a group's sum as it leaves an element: signed, or a word with carries apart."""
    return Shape(config.drain_bits, signed=not config.carry_columns)


class ArrayElement(Shell):
    """Accumulates one group sum `P = sum(weight * act)` of MixPE, exactly, and passes its operands on.

    What it takes and gives depends on the datapath: recoding of weights (`recoded_weights`) and the addition
    of saved carries (`resolved`) are done once for a column, at the array's edge.

    `shared`, timing and flow are those of `Shell`: every cycle brings `lanes` products, and a bubble is a
    zero operand.

    Ports
    -----
    acts: in, `Config.act_wires`, cycle t: activations in two's complement, lane 0 in the low bits; aligned
        ones as `mixpe.hw.element.special` says.
    weights: in, `lanes` times `Config.weight_wires`, cycle t: weights as `recoded_weights` makes them, in
        two's complement or in digits, lane 0 in the low bits.
    group_end: in, 1, cycle t+1: the operands of cycle t were their group's last.
    acts_out: out, cycle t+1: `acts`, for the right neighbour.
    weights_out: out, cycle t+1: `weights`, for the lower neighbour.
    group_end_out: out, 1, cycle t+2: `group_end`, for the right neighbour.
    sum: out, `drain_shape`, cycle t+2 of a group's last operands: P, signed; with the datapath "carry_save" a
        word of which `mixpe.hw.element.datapath.resolved` makes P. It is zero if no group ended.
    """

    def __init__(self, config: Config, modules: Modules | None = None, shared: Collection[str] = ()):
        operands = {
            "acts": config.act_wires,
            "weights": config.lanes * config.weight_wires,
        }
        super().__init__(config, operands, drain_shape(config), self._step, modules, shared)

    def _step(self, _m: Module, adders: Adders, word: Value, held: Mapping[str, Signal]) -> Value:
        config = self.config
        pairs = [
            (
                held["weights"].word_select(lane, config.weight_wires),
                held["acts"].word_select(lane, config.lane_wires).as_signed(),
            )
            for lane in range(config.lanes)
        ]
        step = STRATEGIES[config.datapath](config, adders, word, pairs)
        if config.has_infinities:
            step = note_infinities(config, word, step, held["acts"][-1], pairs)
        return step


def recoded_weights(config: Config, weights: Value) -> Value:
    """Returns what an array of integers takes for `weights`, two's-complement codes side by side."""
    if config.datapath not in RECODED:
        return weights
    width = config.weight.bits
    return Cat(recode(weights.word_select(code, width)) for code in range(len(weights) // width))


class RowSum(Component):
    """Accumulates `S = sum(act)` of a group for one array row, which all its zero points multiply.

    It stands beside the row's first element, and listens to what that passes on. Fixed latency, no flow
    control; cycles are those of the element.

    Ports
    -----
    acts: in, `lanes` times `Config.lane_wires`, cycle t+1: the element's `acts_out`.
    done: in, 1, cycle t+2: the element's `group_end_out`.
    sum: out, signed, `Config.row_sum_bits`, cycle t+2 of a group's last operands: S. It is zero if no group
        ended.
    """

    def __init__(self, config: Config):
        self.config = config
        super().__init__(
            {
                "acts": In(config.lanes * config.lane_wires),
                "done": In(1),
                "sum": Out(signed(config.row_sum_bits)),
            }
        )

    def elaborate(self, platform):
        m = Module()
        total = Signal.like(self.sum, reset_less=True)
        lanes, width = self.config.lanes, self.config.lane_wires
        addends = [self.acts.word_select(lane, width).as_signed() for lane in range(lanes)]
        m.d.sync += total.eq(sum(addends, Mux(self.done, 0, total)))
        m.d.comb += self.sum.eq(Mux(self.done, total, 0))
        return m
