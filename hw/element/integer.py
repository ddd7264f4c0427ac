"""One processing element of an output-stationary array."""

from collections.abc import Mapping

from amaranth.hdl import Cat, Module, Mux, Shape, Signal, Value, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from ...spec.array import Config
from ...spec.schemes.integer import RECODED
from ..arith.adders import Adders
from ..arith.recode import recode
from ..modules import Modules
from .datapath import STRATEGIES
from .shell import Shell
from .special import note_infinities


def drain_shape(config: Config) -> Shape:
    """Of a group's sum as it leaves an element: signed, or a plain word where carries are kept apart."""
    return Shape(config.drain_bits, signed=not config.carry_columns)


class PE(Shell):
    """Accumulates one group sum `P = sum(weight * act)` of MixPE, exactly, and passes its operands on.

    Timing and flow as of `Shell`: every cycle brings `lanes` products; a bubble is a zero operand.

    Ports: `acts`, `weights`: lanes, lane 0 in the low bits: activations in two's complement (`Config.act`;
    aligned ones as `mixpe.hw.element.special` says), weights as `recoded_weights` makes them
    (`Config.weight_wires`: two's complement, or digits); `acts_out`, `weights_out`, `group_end_out`: the same
    for the right and lower neighbours; `sum`: the group's sum, signed (for the datapath "carry_save" a word
    of which `mixpe.hw.element.datapath.resolved` makes the sum).
    """

    def __init__(self, config: Config, modules: Modules | None = None):
        operands = {
            "acts": config.act_wires,
            "weights": config.lanes * config.weight_wires,
        }
        super().__init__(config, operands, drain_shape(config), self._step, modules)

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
    """What an array of integers takes for `weights`, any number of two's-complement codes side by side."""
    if config.datapath not in RECODED:
        return weights
    width = config.weight.bits
    return Cat(recode(weights.word_select(code, width)) for code in range(len(weights) // width))


class RowSum(wiring.Component):
    """Accumulates `S = sum(act)` of a group for one array row: what all its zero points multiply.

    Stands beside the row's first element and listens to its `acts_out` and `group_end_out`; `sum` shows the
    group's sum in the same cycle as that element's, and zero in every cycle that ends no group.
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
