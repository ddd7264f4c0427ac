"""The registers of the core behind their AXI4-Lite port."""

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from ...spec.core import CoreConfig
from ...spec.registers import COMMAND, REGISTERS, WORD_BITS, Access, Field, Register, constants, register
from ..ports import Component, PortGroup, lead_out, prefixed
from .axi_lite import SLAVE, STROBES, AxiLiteSlave, LiteSlave, axil_members
from .command import CommandPort, member_name

_BYTES = "_BYTES"
"""How the names of counters of bytes end."""

_COUNTERS = tuple(each for each in REGISTERS if each.access is Access.COUNTER)


class Increments(wiring.Signature):
    """Says what each counter adds in a cycle, as the registers declare it; members have the counters' names.

    Counters of bytes take up to a word of the data bus, others 0 or 1.
    """

    def __init__(self, config: CoreConfig):
        most = {each.name: config.word_bytes if each.name.endswith(_BYTES) else 1 for each in _COUNTERS}
        super().__init__({name.lower(): In(limit.bit_length()) for name, limit in most.items()})


class RegisterFile(Component):
    """Holds every register of `mixpe.spec.registers`, of the core `config`.

    A write of SUBMIT waits until the command is checked. One that is refused is answered SLVERR and recorded
    as an error. ERROR keeps the first error until it is cleared; of two in one cycle, that of `failed`, the
    older command, is the first. What happens in the cycle in which software clears INTERRUPT or ERROR is not
    lost. What counters add in the cycle of CONTROL.CLEAR_COUNTERS is. Outputs depend on registers only,
    `error_pending` on `failed` too.

    `counters`: the registers of the counters, by name. They are no ports, but a simulation may set them.

    Ports
    -----
    s_axil_*: the bus (`LiteSlave`).
    The members of `CommandPort`.
    add_*: what each counter adds in this cycle (`Increments`): `add_cycles` and so on.
    irq: out, 1: a cause in INTERRUPT is enabled.
    """

    def __init__(self, config: CoreConfig):
        self.config = config
        self.counters = {each.name: Signal(each.bits, name=each.name.lower()) for each in _COUNTERS}
        port = CommandPort().members
        outputs = ("command", "offered", "submit", "cancel", "error_pending")  # as they stand in Verilog
        super().__init__(
            {
                **axil_members(),
                **{name: port[name] for name in outputs},
                **port,
                **prefixed("add_", Increments(config).members),
                "irq": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.port = port = AxiLiteSlave()
        lead_out(m, self, port, SLAVE, LiteSlave())
        writes = _Writes(port)
        refusal = Signal()
        shown: dict[str, Value] = {
            name: Const(value, register(name).bits) for name, value in constants(self.config).items()
        }
        shown |= {each.name: _storage(m, writes, each) for each in REGISTERS if each.access is Access.WRITE}
        shown |= {each.name: Const(0, each.bits) for each in REGISTERS if each.access is Access.SET}
        shown["STATUS"] = _packed(register("STATUS"), BUSY=self.busy, QUEUED=self.queued)
        shown["DONE"] = self._done(m)
        shown["INTERRUPT"] = self._interrupt(m, writes, refusal)
        shown["ERROR"] = self._error(m, writes, refusal)
        shown |= self._counters(m, writes)
        self._submit(m, writes, shown)
        m.d.comb += [
            refusal.eq(self.submit & self.refused.any()),
            self.cancel.eq(writes.ones("CONTROL", "ABORT")),
            self.irq.eq((shown["INTERRUPT"] & shown["INTERRUPT_ENABLE"]).any()),
        ]
        _answers(m, port, shown, refusal)
        return m

    def _done(self, m: Module) -> Value:
        fields = _field_signals("DONE")
        with m.If(self.done):
            m.d.sync += [fields["COUNT"].eq(fields["COUNT"] + 1), fields["TAG"].eq(self.done_tag)]
        return _packed(register("DONE"), **fields)

    def _interrupt(self, m: Module, writes: "_Writes", refusal: Value) -> Value:
        fields = _field_signals("INTERRUPT")
        for name, cause in {"DONE": self.done, "ERROR": self.failed | refusal}.items():
            m.d.sync += fields[name].eq(fields[name] & ~writes.ones("INTERRUPT", name) | cause)
        return _packed(register("INTERRUPT"), **fields)

    def _error(self, m: Module, writes: "_Writes", refusal: Value) -> Value:
        fields = _field_signals("ERROR")
        code, tag = fields["CODE"], fields["TAG"]
        clear = Signal(name="error_clear")
        vacant = Signal(name="error_vacant")
        m.d.comb += [
            clear.eq(Cat(writes.ones("ERROR", name) for name in fields).any()),
            vacant.eq((code == 0) | clear),
            self.error_pending.eq(code.any() | self.failed),
        ]
        with m.If(vacant & self.failed):
            m.d.sync += [code.eq(self.failed_code), tag.eq(self.failed_tag)]
        with m.Elif(vacant & refusal):
            m.d.sync += [code.eq(self.refused), tag.eq(self.command.tag)]
        with m.Elif(clear):
            m.d.sync += [code.eq(0), tag.eq(0)]
        return _packed(register("ERROR"), **fields)

    def _counters(self, m: Module, writes: "_Writes") -> dict[str, Value]:
        """Returns the counters, their high halves as they were when a low half was last read."""
        port, shown, kept = writes.port, {}, Signal(WORD_BITS, name="counter_high")
        clear = writes.ones("CONTROL", "CLEAR_COUNTERS")
        added = PortGroup(self, "add_", Increments(self.config)).ports
        for each in _COUNTERS:
            count = self.counters[each.name]
            m.d.sync += count.eq(Mux(clear, 0, count + added[each.name.lower()]))
            low, high = count[:WORD_BITS], count[WORD_BITS:]
            with m.If(port.read & (port.read_index == _indices(each)[0])):
                m.d.sync += kept.eq(high)
            shown[each.name] = Cat(low, kept)
        return shown

    def _submit(self, m: Module, writes: "_Writes", shown: dict[str, Value]) -> None:
        submit = register("SUBMIT")
        named = _bits(submit.field("TAG"), writes.lanes).any() & writes.is_for(submit)
        m.d.comb += [
            self.offered.eq(writes.port.write_offered & named),
            writes.port.write_wait.eq(named & ~self.checked),
            self.submit.eq(writes.port.write & named),
        ]
        for each, part in COMMAND:
            value = writes.data if each is submit else shown[each.name]
            m.d.comb += self.command[member_name(each, part)].eq(_bits(part, value))


class _Writes:
    """Says what the port writes in a cycle.

    lanes: ones in the bits that are written. data: what is written there; other bits are 0.
    """

    def __init__(self, port: AxiLiteSlave):
        self.port = port
        self.lanes = Cat(port.write_strobes[byte].replicate(WORD_BITS // STROBES) for byte in range(STROBES))
        self.data = port.write_data & self.lanes

    def hits(self, each: Register, word: int = 0) -> Value:
        """Returns whether it is this word of the register, and is written. Not of SUBMIT, which may wait:
        what other registers do must not depend on the check, which itself depends on what they do."""
        return self.port.write_offered & self.is_for(each, word)

    def is_for(self, each: Register, word: int = 0) -> Value:
        """Returns whether it is this word of the register, written now or held up."""
        return self.port.write_index == _indices(each)[word]

    def ones(self, name: str, part: str) -> Value:
        """Returns the ones written to a field."""
        each = register(name)
        return Mux(self.hits(each), _bits(each.field(part), self.data), 0)


def _storage(m: Module, writes: _Writes, each: Register) -> Value:
    """Keeps, and returns, what software wrote to a register of `Access.WRITE`."""
    parts = {part.name: Signal(part.width, name=_signal_name(each, part)) for part in each.parts}
    for part in each.parts:
        held = parts[part.name]
        for word in range(each.words):
            # The bits of the part in this word, counted from the word's bit 0.
            first = max(part.lsb, word * WORD_BITS)
            last = min(part.lsb + part.width, (word + 1) * WORD_BITS)
            if first < last:
                here = held[first - part.lsb : last - part.lsb]
                there = slice(first - word * WORD_BITS, last - word * WORD_BITS)
                with m.If(writes.hits(each, word)):
                    m.d.sync += here.eq(here & ~writes.lanes[there] | writes.data[there])
    return _packed(each, **parts)


def _answers(m: Module, port: AxiLiteSlave, shown: dict[str, Value], refusal: Value) -> None:
    """Answers reads by what the registers show, and tells the port what is an error."""
    m.d.comb += [port.read_error.eq(1), port.write_error.eq(1)]
    with m.Switch(port.read_index):
        for each in REGISTERS:
            for word, index in enumerate(_indices(each)):
                with m.Case(index):
                    data = shown[each.name].word_select(word, WORD_BITS)
                    m.d.comb += [port.read_data.eq(data), port.read_error.eq(0)]
    with m.Switch(port.write_index):
        with m.Case(*(index for each in REGISTERS if each.access.writable for index in _indices(each))):
            m.d.comb += port.write_error.eq(refusal)


def _indices(each: Register) -> range:
    """Returns the register's places, in words."""
    first = each.offset // STROBES
    return range(first, first + each.words)


def _bits(part: Field, value: Value) -> Value:
    return value[part.lsb : part.lsb + part.width]


def _signal_name(each: Register, part: Field) -> str:
    return "_".join(name.lower() for name in (each.name, part.name) if name)


def _field_signals(name: str) -> dict[str, Signal]:
    each = register(name)
    return {part.name: Signal(part.width, name=_signal_name(each, part)) for part in each.parts}


def _packed(each: Register, **values: Value) -> Value:
    """Returns the register's value from those of all its parts; bits of no part are 0."""
    packed: list[Value] = []
    for part in sorted(each.parts, key=lambda part: part.lsb):
        packed += [Const(0, part.lsb - len(Cat(packed))), values.pop(part.name)]
    if values:
        raise ValueError(f"{each.name} has no {', '.join(values)}")
    return Cat(packed, Const(0, each.bits - len(Cat(packed))))
