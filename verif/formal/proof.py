"""A part under proof: its inputs are free, and what must hold of it is written in Amaranth."""

from collections.abc import Callable, Collection, Mapping
from typing import Any

from amaranth.hdl import Module, ResetSignal, Signal, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from mixpe.hw.modules import Modules, place

BROKEN, REACHED, ASSUMED, FREE, INNER = "broken_", "reached_", "assumed_", "free_", "inner_"
"""How the ports of a proof begin: what must stay low, what must become high, what is taken to be high, what
takes any value, and what is a signal within the part."""

PART = "part"
"""The instance of what is under proof."""


class Proof(wiring.Component):
    """Holds a part, and says what is to be proved of it, in every cycle without reset.

    Registers begin as reset leaves them, those that it does not touch with any value. Reset comes at any
    time. Inputs of the part take any value in every cycle, as far as the assumptions let them.

    name: what the table of results calls it.
    module, make: the part's module, and what makes it; `modules` collects its modules.
    cut: modules within the part whose outputs take any value in every cycle. On-chip memories are cut always.

    Attributes
    ----------
    part: the part's ports; its inputs are driven.
    m: a module for registers that watch the part; the part's reset resets them.
    reset: the reset. after_reset: it was high in the cycle before.
    """

    def __init__(
        self,
        name: str,
        modules: Modules,
        module: str,
        make: Callable[[], Any],
        cut: Collection[str] = (),
    ):
        self.name, self.cut = name, tuple(cut)
        self.m = Module()
        self.part = place(self.m, PART, make, modules, module)
        self._outputs: dict[str, Value] = {}
        self._free: dict[str, Value] = {}
        self._inner: dict[str, Signal] = {}
        for path, member, value in self.part.signature.flatten(self.part):
            if member.flow == In:
                self._free["__".join(str(each) for each in path)] = Value.cast(value)
        self.reset = ResetSignal()
        self.after_reset = Signal(reset_less=True)
        self.m.d.sync += self.after_reset.eq(self.reset)

    def prove(self, name: str, holds: Any) -> None:
        """Says that `holds` is high in every cycle without reset."""
        self._say(BROKEN + name, ~(self.reset | Value.cast(holds).bool()))

    def reach(self, name: str, happens: Any) -> None:
        """Says that `happens` can be high in a cycle without reset: the assumptions leave room for it."""
        self._say(REACHED + name, Value.cast(happens).bool() & ~self.reset)

    def assume(self, name: str, holds: Any) -> None:
        """Takes `holds` to be high in every cycle."""
        self._say(ASSUMED + name, holds)

    def _say(self, name: str, value: Any) -> None:
        assert name not in self._outputs, f"{name} is said twice"
        self._outputs[name] = Value.cast(value).bool()

    def free(self, name: str, shape: Any) -> Signal:
        """Returns a signal that takes any value in every cycle."""
        self._free[name] = signal = Signal(shape, name=name)
        return signal

    def inner(self, name: str, shape: Any) -> Signal:
        """Returns a signal within the part, by its name in the Verilog: `ram.write` is a port of `ram`.

        The proof cannot be made if the part has no such signal.
        """
        self._inner[name] = signal = Signal(shape, name=name.replace(".", "__"))
        return signal

    def constant(self, name: str, shape: Any) -> Signal:
        """Returns a register that takes any value in reset and keeps it."""
        kept = Signal(shape, name=f"{name}_kept", reset_less=True)
        free = self.free(name, shape)
        with self.m.If(self.reset):
            self.m.d.sync += kept.eq(free)
        return kept

    def past(self, value: Any) -> Signal:
        """Returns a register with the value of the cycle before; it is 0 in the cycle behind reset."""
        value = Value.cast(value)
        kept = Signal(len(value), name="past")
        self.m.d.sync += kept.eq(value)
        return kept

    def count(self, up: Any, down: Any, most: int, name: str) -> Signal:
        """Returns a register that counts, up to `most` and one more: `up` less `down`."""
        level = Signal(range(most + 2), name=name)
        self.m.d.sync += level.eq(level + Value.cast(up) - Value.cast(down))
        return level

    @property
    def assumptions(self) -> list[str]:
        """Names of the outputs that are taken to be high."""
        return [name for name in self._outputs if name.startswith(ASSUMED)]

    @property
    def inners(self) -> dict[str, str]:
        """Names of the inputs that are signals within the part, and of these signals."""
        return {INNER + each.name: f"{PART}.{name}" for name, each in self._inner.items()}

    def seal(self) -> "Proof":
        """Makes the ports, after which nothing can be said; returns the proof."""
        inputs = {FREE + name: value for name, value in self._free.items()}
        inputs |= {INNER + value.name: value for value in self._inner.values()}
        ports: Mapping[str, Any] = {name: In(len(value)) for name, value in inputs.items()}
        super().__init__({**ports, **{name: Out(1) for name in self._outputs}})
        self.m.d.comb += [getattr(self, name).eq(value) for name, value in self._outputs.items()]
        self.m.d.comb += [value.eq(getattr(self, name)) for name, value in inputs.items()]
        return self

    def elaborate(self, _platform):
        return self.m
