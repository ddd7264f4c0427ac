"""Verilog for the simulation of a mapped netlist: its cells with their delays, and a testbench for inputs."""

import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from ...spec.errors import UserError
from ..cells import STATE, Bit, CellModels, Register, Table
from ..clock_gates import ClockGate
from ..gate_netlist import GateInstance, GateNetlist

# Wires and processes in a scope: Icarus looks them up one after the other.
_BLOCK = 256

HOLD = 0.01
"""Inputs change this share of a period after the clock edge."""

BENCH_SCOPE = "mixpe_bench.dut"
"""Where `stimulus_bench` places the netlist's top module."""


class NetlistWriter:
    """The netlist as Verilog: one primitive or register per cell output, all nets below the scope `nets`.

    Clock gates have no delay, whatever `delays` says: the clock is ideal on both sides of them.
    """

    def __init__(self, gates: GateNetlist, models: CellModels, delays: dict[str, tuple[int, int]]):
        self._gates, self._models, self._delays = gates, models, delays
        self._tables: dict[tuple[int, ...], str] = {}
        self._count = 0
        self._inner: list[str] = []
        self._latches = False

    def lines(self) -> Iterator[str]:
        body = [line for instance in self._gates.instances for line in self._instance(instance)]
        initial = self._initial()
        yield from self._primitives()
        yield f"module {self._gates.top} ({', '.join(self._gates.ports)});"
        for name, (direction, bits) in self._gates.ports.items():
            yield f"  {direction} {f'[{len(bits) - 1}:0] ' if len(bits) > 1 else ''}{name};"
        yield "  generate if (1) begin : nets"
        for number, own in _blocks(self._gates.nets):
            yield f"  if (1) begin : c{number}"
            for net in own:
                yield f"  reg n{net} = 1'b{initial[net]};" if net in initial else f"  wire n{net};"
            yield "  end"
        yield "  end"
        for number, own in _blocks(range(len(self._inner))):
            yield f"  if (1) begin : w{number}"
            yield from (f"  wire s{index};" for index in own)
            yield "  end"
        for number, own in _blocks(range(len(body))):
            yield f"  if (1) begin : b{number}"
            yield from (body[index] for index in own)
            yield "  end"
        yield "  endgenerate"
        for name, (direction, bits) in self._gates.ports.items():
            for index, bit in enumerate(bits):
                place = f"{name}[{index}]" if len(bits) > 1 else name
                own = _net(bit)
                yield f"  assign {place} = {own};" if direction == "output" else f"  assign {own} = {place};"
        yield "endmodule"

    def _initial(self) -> dict[int, int]:
        """Returns the first values of the nets that registers drive."""
        return {
            net: int(what.inverted)
            for instance in self._gates.instances
            for pin, what in self._models[instance.cell].outputs.items()
            if isinstance(what, Register) and isinstance(net := instance.pins.get(pin), int)
        }

    def _instance(self, instance: GateInstance) -> Iterator[str]:
        for pin, what in self._models[instance.cell].outputs.items():
            net = instance.pins.get(pin)
            if net is None:
                continue
            rise, fall = self._delays.get(f"{instance.path}/{pin}", (1, 1))
            if isinstance(what, ClockGate):
                yield from self._clock_gate(instance, net, what)
            elif isinstance(what, Register):
                yield from self._register(instance, net, what, (rise + fall) // 2)
            else:
                operands = [_net(instance.pins.get(pin, "x")) for pin in what.pins]
                yield self._gate(what, operands, f"#({rise},{fall})", _net(net))

    def _gate(self, table: Table, operands: Sequence[str], delay: str, net: str) -> str:
        self._count += 1
        name = f"g{self._count}"
        if not operands:
            return f"  buf {name} ({net}, 1'b{table.values[0]});"
        if table.values == (0, 1):
            return f"  buf {delay} {name} ({net}, {operands[0]});"
        if table.values == (1, 0):
            return f"  not {delay} {name} ({net}, {operands[0]});"
        primitive = self._tables.setdefault(table.values, f"mixpe_function{len(self._tables)}")
        return f"  {primitive} {delay} {name} ({', '.join([net, *operands])});"

    def _register(self, instance: GateInstance, net: Bit, register: Register, delay: int) -> Iterator[str]:
        """Writes a flip-flop; an asynchronous input that is a constant 0 needs nothing."""
        sign = "~" if register.inverted else ""
        pins = {pin: _net(bit) for pin, bit in instance.pins.items()} | {STATE: f"{sign}{_net(net)}"}
        clock, lines = self._signal(register.clock, pins)
        yield from lines
        data, lines = self._signal(register.data, pins)
        yield from lines
        edges, branches = [f"posedge {clock}"], ""
        for table, value in register.forced:
            own, lines = self._signal(table, pins)
            if own != "1'b0":
                yield from lines
                edges.append(f"posedge {own}")
                branches += f"if ({own}) {_net(net)} <= #{delay} 1'b{value ^ register.inverted}; else "
        yield f"  always @({' or '.join(edges)}) {branches}{_net(net)} <= #{delay} {sign}{data};"

    def _clock_gate(self, instance: GateInstance, net: Bit, gate: ClockGate) -> Iterator[str]:
        """Writes a latch that follows the enable while the clock is 0, and the clock while the latch is 1."""
        clock, enable = (_net(instance.pins[pin]) for pin in (gate.clock, gate.enable))
        held = self._inner_wire()
        self._count += 1
        self._latches = True
        yield f"  mixpe_latch l{self._count} ({held}, {clock}, {enable});"
        yield self._gate(_BOTH, [clock, held], "", _net(net))

    def _inner_wire(self) -> str:
        index = len(self._inner)
        name = f"w{index // _BLOCK}.s{index}"
        self._inner.append(name)
        return name

    def _signal(self, table: Table, pins: Mapping[str, str]) -> tuple[str, list[str]]:
        """Returns what has the value of `table`, without delay, and the lines that make it."""
        operands = [pins.get(pin, "1'bx") for pin in table.pins]
        if table.values == (0, 1):
            return operands[0], []
        if all(operand in ("1'b0", "1'b1") for operand in operands):
            row = "".join(operand[-1] for operand in operands)
            return f"1'b{table.values[int(row or '0', 2)]}", []
        name = self._inner_wire()
        return name, [self._gate(table, operands, "", name)]

    def _primitives(self) -> Iterator[str]:
        if self._latches:
            yield _LATCH
        for values, name in self._tables.items():
            width = len(values).bit_length() - 1
            inputs = ", ".join(f"i{index}" for index in range(width))
            yield f"primitive {name} (y, {inputs});\n  output y; input {inputs};\n  table"
            for cube, value in _cubes(values, width):
                yield f"    {' '.join(cube)} : {value};"
            yield "  endtable\nendprimitive"


_BOTH = Table(("clock", "held"), (0, 0, 0, 1))
_LATCH = """\
primitive mixpe_latch (held, clock, enable);
  output held; reg held; input clock, enable;
  initial held = 1'b0;
  table
    0 0 : ? : 0;
    0 1 : ? : 1;
    1 ? : ? : -;
  endtable
endprimitive"""


def _net(bit: Bit) -> str:
    return f"nets.c{bit // _BLOCK}.n{bit}" if isinstance(bit, int) else f"1'b{bit}"


def _blocks(numbers: Iterable[int]) -> Iterator[tuple[int, list[int]]]:
    """Yields ascending `numbers` by block."""
    for number, own in itertools.groupby(numbers, lambda own: own // _BLOCK):
        yield number, list(own)


def _cubes(values: Sequence[int], width: int) -> Iterator[tuple[str, int]]:
    """Yields rows that cover every input, such as "01?" and the value; neighbours of one value are merged."""
    for value in (0, 1):
        cubes = {format(row, f"0{width}b") for row, own in enumerate(values) if own == value}
        primes: set[str] = set()
        while cubes:
            merged, used = set(), set()
            for cube in cubes:
                for place, char in enumerate(cube):
                    other = f"{cube[:place]}1{cube[place + 1 :]}"
                    if char == "0" and other in cubes:
                        merged.add(f"{cube[:place]}?{cube[place + 1 :]}")
                        used |= {cube, other}
            primes |= cubes - used
            cubes = merged
        for cube in sorted(primes):
            yield cube, value


def stimulus_bench(
    gates: GateNetlist,
    values: Mapping[str, Sequence[int]],
    expected: Mapping[str, Sequence[tuple[int, int]]],
    derived: Mapping[str, tuple[int, str]],
    period: int,
    folder: Path,
) -> str:
    """Returns a testbench `mixpe_bench` that plays `values` and checks `expected`, as `Stimulus` says.

    `period` is in time steps. Cycle c begins with a clock edge (but for cycle 0); its inputs change shortly
    after it, outputs are looked at as long before the next. A wrong one prints a line that begins with
    MISMATCH. Before cycle 0 one period passes with all inputs 0, for the nets to settle. `folder` takes the
    values. Raises `UserError` for ports the netlist lacks, and values that do not fit.
    """
    cycles = len(next(iter(values.values())))
    inputs = {
        name: len(bits)
        for name, (way, bits) in gates.ports.items()
        if way == "input" and name not in ("clk", "rst")
    }
    outputs = {name: len(bits) for name, (way, bits) in gates.ports.items() if way == "output"}
    if set(inputs) != set(values):
        raise UserError(f"stimulus must drive ports {sorted(inputs)}, not {sorted(values)}")
    widths = outputs | {name: width for name, (width, _) in derived.items()}
    if unknown := set(expected) - set(widths):
        raise UserError(f"stimulus expects values of ports {sorted(unknown)}, which are no outputs")
    for name, width in inputs.items():
        _write_memory(folder / f"{name}.hex", [int(value) for value in values[name]], name, width)
    for name, pairs in expected.items():
        checked = [0] * cycles
        for cycle, value in pairs:
            if not 0 <= cycle < cycles:
                raise UserError(f"stimulus expects a value of port {name} in cycle {cycle} of {cycles}")
            checked[cycle] = int(value) | 1 << widths[name]
        _write_memory(folder / f"{name}.hex", checked, name, widths[name] + 1)
    hold = max(2, int(period * HOLD))
    lines = ["module mixpe_bench;", "  reg clk = 0;", "  integer cycle;"]
    for name, width in inputs.items():
        lines.append(f"  reg [{width - 1}:0] {name} = 0; reg [{width - 1}:0] {name}_all [0:{cycles - 1}];")
    for name, width in outputs.items():
        lines.append(f"  wire [{width - 1}:0] {name};")
    for name, (width, expression) in derived.items():
        lines.append(f"  wire [{width - 1}:0] {name} = {expression};")
    for name in expected:
        msb = widths[name]
        lines.append(f"  reg [{msb}:0] {name}_due; reg [{msb}:0] {name}_all [0:{cycles - 1}];")
    connections = [f".{name}({name})" for name in (*inputs, *outputs)]
    connections += [".clk(clk)"] if "clk" in gates.ports else []
    connections += [".rst(1'b0)"] if "rst" in gates.ports else []
    lines.append(f"  {gates.top} dut ({', '.join(connections)});")
    lines.append("  initial begin")
    lines += [f'    $readmemh("{name}.hex", {name}_all);' for name in (*inputs, *expected)]
    lines.append(f"    #{period};")
    lines.append(f"    for (cycle = 0; cycle < {cycles}; cycle = cycle + 1) begin")
    lines.append(f"      clk = cycle != 0; #{hold};")
    lines += [f"      {name} = {name}_all[cycle];" for name in inputs]
    lines.append(f"      #{period // 2 - hold} clk = 0; #{period - period // 2 - hold};")
    for name in expected:
        width = widths[name]
        lines.append(
            f"      {name}_due = {name}_all[cycle];\n"
            f"      if ({name}_due[{width}] && {name} !== {name}_due[{width - 1}:0])\n"
            f'        $display("MISMATCH port {name} in cycle %0d is %h, not %h", '
            f"cycle, {name}, {name}_due[{width - 1}:0]);"
        )
    lines.append(f"      #{hold};\n    end\n    #{hold} $finish;\n  end\nendmodule")
    return "\n".join(lines)


def _write_memory(path: Path, values: Sequence[int], port: str, width: int) -> None:
    for cycle, value in enumerate(values):
        if not 0 <= value < 1 << width:
            raise UserError(
                f"stimulus of port {port} must be 0 to {(1 << width) - 1}, not {value} in cycle {cycle}"
            )
    path.write_text("".join(f"{value:x}\n" for value in values), encoding="utf-8")
