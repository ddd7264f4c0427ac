"""The shell of all processing elements: operands passed on, a group's end, an accumulator that drains."""

from collections.abc import Callable, Collection, Mapping

from amaranth.hdl import Module, Mux, Shape, Signal, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from ...spec.array import Config
from ..arith.adders import Adders
from ..modules import Modules
from ..ports import Component, PortGroup

Step = Callable[[Module, Adders, Value, Mapping[str, Signal]], Value]
"""`step(m, adders, word, held)` returns the accumulator's next word.

It makes it of the accumulator's `word`, which is 0 where a group begins, and of the operands in `held`, by
the names
of their ports. It is combinational, but for registers that it adds to `m` itself."""


class Shell(Component):
    """Registers and passes on operands, accumulates `step` and drains the group's word.

    Fixed latency, no flow control: operands that enter in cycle t leave to the neighbours in cycle t+1
    and are in the word in t+2. `group_end` travels one cycle behind the operands. In reset every cycle ends
    a group, so that operands need no reset.

    `operands`: names and widths of the operands. `word`: the shape of the accumulator. `modules`: as for
    `mixpe.hw.modules`; with it, one-bit adders are modules. `shared`: operands, and "group_end", that a
    neighbour has registered for this element too; they enter a cycle later, when the neighbour passes them
    on, and are passed on in the same cycle.

    Ports
    -----
    <operand>: in, of the operand's width, cycle t.
    <operand>_out: out, cycle t+1: the same, for the neighbour.
    group_end: in, 1, cycle t+1: the operands of cycle t were their group's last; those of cycle t+1 begin the
        next.
    group_end_out: out, 1, cycle t+2: the same, for the neighbour.
    sum: out, shape `word`, cycle t+2 of a group's last operands: the group's word. It is zero in every cycle
        that ends no group, so that a column of elements shares one OR bus.
    """

    early: Collection[str] = ()
    """The operands that come one cycle before those of the others that they meet."""

    def __init__(
        self,
        config: Config,
        operands: Mapping[str, int],
        word: Shape,
        step: Step,
        modules: Modules | None,
        shared: Collection[str] = (),
    ):
        self.config = config
        self.shared = tuple(shared)
        self.operands = dict(operands)
        self.word = word
        self.step = step
        self.modules = modules
        self._inputs = wiring.Signature({name: In(width) for name, width in self.operands.items()})
        self._outputs = wiring.Signature({f"{name}_out": Out(width) for name, width in self.operands.items()})
        super().__init__(
            {
                **self._inputs.members,
                "group_end": In(1),
                **self._outputs.members,
                "group_end_out": Out(1),
                "sum": Out(word),
            }
        )

    def elaborate(self, platform):
        m = Module()
        held = {name: Signal(width, name=name, reset_less=True) for name, width in self.operands.items()}
        done = Signal(init=1)
        inputs = PortGroup(self, "", self._inputs).ports
        outputs = PortGroup(self, "", self._outputs).ports.values()
        for name, kept in held.items():
            m.d["comb" if name in self.shared else "sync"] += kept.eq(inputs[name])
        m.d["comb" if "group_end" in self.shared else "sync"] += done.eq(self.group_end)
        m.d.comb += [port.eq(kept) for kept, port in zip(held.values(), outputs, strict=True)]
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
