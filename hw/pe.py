"""One processing element of an output-stationary array."""

from amaranth.hdl import Cat, Module, Mux, Shape, Signal, Value, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from .adders import Adders
from .config import RECODED, Config
from .datapath import STRATEGIES
from .modules import Modules
from .recode import recode


def drain_shape(config: Config) -> Shape:
    """Of a group's sum as it leaves an element: signed, or a plain word where carries are kept apart."""
    return Shape(config.drain_bits, signed=not config.carry_columns)


class PE(wiring.Component):
    """Accumulates one group sum `P = sum(weight * act)` of MixPE, exactly, and passes its operands on.

    Fixed latency, no flow control: every cycle brings `lanes` products; a bubble is a zero operand.
    Operands that enter in cycle t leave to the neighbours in cycle t+1 and are in the sum in t+2.
    `group_end` travels one cycle behind the operands: high in cycle t+1, it says that those of cycle t were
    the last of their group. Then `sum` shows the group's sum in cycle t+2 (and zero in every cycle that
    ends no group, so that a column of elements shares one OR bus), and operands of cycle t+1 begin the
    next group. In reset every cycle ends a group, so that operands need no reset.

    Ports: `acts`, `weights`: lanes, lane 0 in the low bits: activations in two's complement (`Config.act`),
    weights as `recoded_weights` makes them (`Config.weight_wires`: two's complement, or digits); `acts_out`,
    `weights_out`, `group_end_out`: the same for the right and lower neighbours; `sum`: the group's sum,
    signed (for the datapath "carry_save" a word of which `mixpe.hw.datapath.resolved` makes the sum).

    `modules`: as of `mixpe.hw.modules`; with it, one-bit adders are modules.
    """

    def __init__(self, config: Config, modules: Modules | None = None):
        self.config = config
        self.modules = modules
        acts, weights = config.lanes * config.act_bits, config.lanes * config.weight_wires
        super().__init__(
            {
                "acts": In(acts),
                "weights": In(weights),
                "group_end": In(1),
                "acts_out": Out(acts),
                "weights_out": Out(weights),
                "group_end_out": Out(1),
                "sum": Out(drain_shape(config)),
            }
        )

    def elaborate(self, platform):
        m = Module()
        config = self.config
        acts = Signal.like(self.acts, reset_less=True)
        weights = Signal.like(self.weights, reset_less=True)
        done = Signal(init=1)
        m.d.sync += [acts.eq(self.acts), weights.eq(self.weights), done.eq(self.group_end)]
        m.d.comb += [self.acts_out.eq(acts), self.weights_out.eq(weights), self.group_end_out.eq(done)]

        pairs = [
            (
                weights.word_select(lane, config.weight_wires),
                acts.word_select(lane, config.act_bits).as_signed(),
            )
            for lane in range(config.lanes)
        ]
        # Gates clear and drain an inverted word by NOR, which is smaller than AND; a carry chain of an FPGA
        # has no inverter behind it.
        inverted = config.target == "asic"
        stored = Signal(config.drain_bits, reset_less=True)
        word = Signal(config.drain_bits)
        m.d.comb += word.eq(Mux(done, 0, ~stored if inverted else stored))
        step = STRATEGIES[config.datapath](config, Adders(m, self.modules, config.name), word, pairs)
        m.d.sync += stored.eq(~step if inverted else step)
        m.d.comb += self.sum.eq(Mux(done, ~stored if inverted else stored, 0))
        return m


def recoded_weights(config: Config, weights: Value) -> Value:
    """What the array takes for `weights`, any number of two's-complement codes side by side."""
    if config.datapath not in RECODED:
        return weights
    codes = range(len(weights) // config.weight_bits)
    return Cat(recode(weights.word_select(code, config.weight_bits)) for code in codes)


class RowSum(wiring.Component):
    """Accumulates `S = sum(act)` of a group for one array row: what all its zero points multiply.

    Stands beside the row's first element and listens to its `acts_out` and `group_end_out`; `sum` shows the
    group's sum in the same cycle as that element's, and zero in every cycle that ends no group.
    """

    def __init__(self, config: Config):
        self.config = config
        super().__init__(
            {
                "acts": In(config.lanes * config.act_bits),
                "done": In(1),
                "sum": Out(signed(config.row_sum_bits)),
            }
        )

    def elaborate(self, platform):
        m = Module()
        total = Signal.like(self.sum, reset_less=True)
        addends = [
            self.acts.word_select(lane, self.config.act_bits).as_signed() for lane in range(self.config.lanes)
        ]
        m.d.sync += total.eq(sum(addends, Mux(self.done, 0, total)))
        m.d.comb += self.sum.eq(Mux(self.done, total, 0))
        return m
