"""What all processing elements share: operands passed on, a group's end, an accumulator that drains."""

from collections.abc import Callable, Collection, Mapping
from typing import Any

from amaranth.hdl import Module, Mux, Shape, Signal, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from ...spec.array import Config
from ..arith.adders import Adders
from ..modules import Modules

Step = Callable[[Module, Adders, Value, Mapping[str, Signal]], Value]
"""`step(m, adders, word, held)`: the accumulator's next word, from its word (0 where a group begins) and the
operands held, by name. Combinational, but for registers that it adds to `m` itself."""


class Shell(wiring.Component):
    """Registers and passes on operands, accumulates `step` and drains the group's word.

    Fixed latency, no flow control: operands that enter in cycle t leave to the neighbours in cycle t+1
    and are in the word in t+2. `group_end` travels one cycle behind the operands: high in cycle t+1, it says
    that those of cycle t were the last of their group. Then `sum` shows the group's word in cycle t+2 (and
    zero in every cycle that ends no group, so that a column of elements shares one OR bus), and operands of
    cycle t+1 begin the next group. In reset every cycle ends a group, so that operands need no reset.

    Ports: one for each of `operands` (names and widths), with `<name>_out` for the neighbour; `group_end`,
    `group_end_out`; `sum` of the shape `word`.

    `modules`: as of `mixpe.hw.modules`; with it, one-bit adders are modules.
    """

    early: Collection[str] = ()
    """Ports whose operands come one cycle before those of the others that they meet."""

    def __init__(
        self, config: Config, operands: Mapping[str, int], word: Shape, step: Step, modules: Modules | None
    ):
        self.config = config
        self.operands = dict(operands)
        self.word = word
        self.step = step
        self.modules = modules
        ports: dict[str, Any] = {name: In(width) for name, width in self.operands.items()}
        ports["group_end"] = In(1)
        ports |= {f"{name}_out": Out(width) for name, width in self.operands.items()}
        ports["group_end_out"] = Out(1)
        super().__init__(ports | {"sum": Out(word)})

    def elaborate(self, platform):
        m = Module()
        held = {name: Signal(width, name=name, reset_less=True) for name, width in self.operands.items()}
        done = Signal(init=1)
        m.d.sync += [held[name].eq(getattr(self, name)) for name in held]
        m.d.sync += done.eq(self.group_end)
        m.d.comb += [getattr(self, f"{name}_out").eq(held[name]) for name in held]
        m.d.comb += self.group_end_out.eq(done)

        # Gates clear and drain an inverted word by NOR, which is smaller than AND; a carry chain of an FPGA
        # has no inverter behind it.
        inverted = self.config.target == "asic"
        stored = Signal(self.word.width, reset_less=True)
        word = Signal(self.word.width)
        m.d.comb += word.eq(Mux(done, 0, ~stored if inverted else stored))
        step = self.step(m, Adders(m, self.modules, self.config.name), word, held)
        m.d.sync += stored.eq(~step if inverted else step)
        m.d.comb += self.sum.eq(Mux(done, ~stored if inverted else stored, 0))
        return m
