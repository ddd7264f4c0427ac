"""One processing element of an output-stationary array."""

from amaranth.hdl import Module, Mux, Signal, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from .config import Config
from .datapath import STRATEGIES


class PE(wiring.Component):
    """Accumulates one group sum `P = sum(weight * act)` of MixPE, exactly, and passes its operands on.

    Fixed latency, no flow control: every cycle brings `lanes` products; a bubble is a zero operand.
    Operands that enter in cycle t leave to the neighbours in cycle t+1 and are in the sum in t+2.
    `group_end` travels one cycle behind the operands: high in cycle t+1, it says that those of cycle t were
    the last of their group. Then `sum` shows the group's sum in cycle t+2 (and zero in every cycle that
    ends no group, so that a column of elements shares one OR bus), and operands of cycle t+1 begin the
    next group. In reset every cycle ends a group, so that operands need no reset.

    Ports: `acts`, `weights`: lanes, lane 0 in the low bits, two's complement (`Config.act`,
    `Config.weight`); `acts_out`, `weights_out`, `group_end_out`: the same for the right and lower neighbours;
    `sum`: signed, `Config.sum_bits` wide.
    """

    def __init__(self, config: Config):
        self.config = config
        acts, weights = config.lanes * config.act_bits, config.lanes * config.weight_bits
        super().__init__(
            {
                "acts": In(acts),
                "weights": In(weights),
                "group_end": In(1),
                "acts_out": Out(acts),
                "weights_out": Out(weights),
                "group_end_out": Out(1),
                "sum": Out(signed(config.sum_bits)),
            }
        )

    def elaborate(self, platform):
        m = Module()
        acts = Signal.like(self.acts, reset_less=True)
        weights = Signal.like(self.weights, reset_less=True)
        total = Signal.like(self.sum, reset_less=True)
        done = Signal(init=1)
        m.d.sync += [acts.eq(self.acts), weights.eq(self.weights), done.eq(self.group_end)]
        m.d.comb += [self.acts_out.eq(acts), self.weights_out.eq(weights), self.group_end_out.eq(done)]

        pairs = [
            (
                weights.word_select(lane, self.config.weight_bits).as_signed(),
                acts.word_select(lane, self.config.act_bits).as_signed(),
            )
            for lane in range(self.config.lanes)
        ]
        multiply_add = STRATEGIES[self.config.datapath]
        m.d.sync += total.eq(multiply_add(Mux(done, 0, total), pairs))
        m.d.comb += self.sum.eq(Mux(done, total, 0))
        return m


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
