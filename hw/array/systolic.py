"""Rows x columns of processing elements, and the skew that feeds them."""

from functools import reduce
from operator import or_
from typing import Any

from amaranth.hdl import Cat, Module, Signal, Value
from amaranth.lib.wiring import In, Out

from ...spec.array import Config
from ..modules import Modules, place
from ..ports import Component
from .schemes import circuits
from .schemes.base import Circuits


def _segments(config: Config, rows: int) -> int:
    """Returns how many segments `rows` rows of elements are cut into; a part of one counts as one."""
    return max(1, rows // config.segment_rows)


def _array_ports(config: Config, rows: int) -> dict:
    """Ports of `rows` rows of elements."""
    buses = _segments(config, rows) * config.buses
    weights = config.cols * config.lanes * config.weight_wires
    ports = {
        "acts": In(rows * config.act_wires),
        "ends": In(rows // config.cluster),
        "weights": In(weights),
        "weights_out": Out(weights),
        "sums": Out(buses * config.cols * config.drain_bits),
    }
    if config.matrix.subtracts:
        ports["row_sum"] = Out(buses * config.row_sum_bits)
    return ports


class Row(Component):
    """Joins the elements of one row: activations and group ends move right, weights move down.

    Element j works j cycles behind element 0. In clusters it is as many rows as a cluster has, whose elements
    in column j work j // `Config.cluster` cycles behind the first: those of a cluster at the same time.

    Ports: those of `SystolicArray` with that many rows
    -----
    acts, ends: in, of the rows.
    weights: in, of all columns, column 0 in the low bits; `weights_out`: out, to the next row.
    sums: out, of all columns, each row's.
    row_sum: out, with element 0's sum, each row's, only where something is subtracted.
    """

    def __init__(self, config: Config, modules: Modules | None = None):
        self.config = config
        self.modules = modules
        super().__init__(_array_ports(config, config.cluster))

    def elaborate(self, platform):
        m = Module()
        config, size = self.config, self.config.cluster
        scheme = circuits(config, self.modules)
        rows = [[self._element(m, scheme, row, col) for col in range(config.cols)] for row in range(size)]
        weights = self.weights
        for row, pes in enumerate(rows):
            acts = self.acts.word_select(row, config.act_wires)
            end = self.ends
            for col, pe in enumerate(pes):
                # Below a cluster's first row, ends come from above, where they are registered.
                m.d.comb += [
                    pe.acts.eq(acts),
                    pe.group_end.eq(rows[0][col].group_end_out if row else end),
                ]
                acts, end = pe.acts_out, pe.group_end_out
            m.d.comb += Cat(pe.weights for pe in pes).eq(weights)
            weights = Cat(pe.weights_out for pe in pes)
        m.d.comb += [
            self.weights_out.eq(weights),
            self.sums.eq(Cat(rows[row][col].sum for col in range(config.cols) for row in range(size))),
        ]
        if config.matrix.subtracts:
            sums = []
            for pes in rows:
                row_sum = scheme.row_accumulator()
                m.submodules["row_sum" if size == 1 else f"row_sum{len(sums)}"] = row_sum
                m.d.comb += [
                    row_sum.acts.eq(pes[0].acts_out[: len(row_sum.acts)]),
                    row_sum.done.eq(pes[0].group_end_out),
                ]
                sums.append(row_sum.sum)
            m.d.comb += self.row_sum.eq(Cat(sums))
        return m

    def _element(self, m: Module, scheme: Circuits, row: int, col: int) -> Any:
        """Adds an element, which has no registers for what a neighbour in its cluster has."""
        config = self.config
        shared, place_in_cluster = [], ""
        if row:
            shared, place_in_cluster = ["weights", "group_end"], "_below"
        if col % config.cluster:
            shared, place_in_cluster = [*shared, "acts", "group_end"], f"{place_in_cluster}_beside"
        name = f"pe{col}" if config.cluster == 1 else f"pe{row}_{col}"
        module = f"{config.name}_pe{place_in_cluster}"
        return place(m, name, lambda: scheme.element(shared), self.modules, module)


class DelayLine(Component):
    """Delays an element of `width` bits by `cycles`.

    Ports
    -----
    i: in, `width`, cycle t. o: out, `width`, cycle t + `cycles`: what `i` was.
    """

    def __init__(self, width: int, cycles: int):
        self.width = width
        self.cycles = cycles
        super().__init__({"i": In(width), "o": Out(width)})

    def elaborate(self, platform):
        m = Module()
        line = Signal(self.width * self.cycles, reset_less=True)
        m.d.sync += line.eq(Cat(self.i, line))
        m.d.comb += self.o.eq(line[-self.width :])
        return m


class Delays(Component):
    """Delays element i of `places` >= 2 elements, `width` bits each, by i cycles.

    The later half waits as long as the earlier half is, and is then delayed like an earlier one.

    Ports
    -----
    i: in, all elements, element 0 in the low bits. o: out, the same, delayed.
    """

    def __init__(self, width: int, places: int, modules: Modules | None = None, *, prefix: str = ""):
        self.width = width
        self.places = places
        self.modules = modules
        self.prefix = prefix
        super().__init__({"i": In(width * places), "o": Out(width * places)})

    def elaborate(self, platform):
        m = Module()
        width = self.width
        count = (self.places + 1) // 2
        lines = [
            place(
                m,
                f"line{index}",
                lambda: DelayLine(width, count),
                self.modules,
                f"{self.prefix}_delay_{count}x{width}",
            )
            for index in range(count, self.places)
        ]
        m.d.comb += Cat(line.i for line in lines).eq(self.i[count * width :])
        earlier, later = self.i[: count * width], Cat(line.o for line in lines)
        halves = [
            delayed(m, name, half, width, self.modules, self.prefix)
            for name, half in (("earlier", earlier), ("later", later))
        ]
        m.d.comb += self.o.eq(Cat(halves))
        return m


def delayed(m: Module, name: str, value, width: int, modules: Modules | None, prefix: str):
    """Returns `value` with its element i, of `width` bits, delayed by i cycles (`Delays`)."""
    places = len(value) // width
    if places == 1:
        return value
    delays = place(
        m,
        name,
        lambda: Delays(width, places, modules, prefix=prefix),
        modules,
        f"{prefix}_delays_{places}x{width}",
    )
    m.d.comb += delays.i.eq(value)
    return delays.o


class Skew(Component):
    """Delays row i of the activations by i cycles, column j of the weights by j, and a group's end to match.

    In clusters, those of one have the same delay: row i's is i // `Config.cluster` cycles, and so on. In
    reset, and until the first operands arrive, every cycle ends a group.

    Ports
    -----
    acts: in, `Config.act_wires` for each row; `acts_out`: out, the same, delayed.
    weights: in, the codes of all columns and lanes; `weights_out`: out, the same, delayed.
    group_end: in, 1: these operands end their group.
    ends: out, 1 for each row (or cluster of rows): what the row's elements ask for, a cycle behind its
        operands.
    """

    def __init__(self, config: Config, modules: Modules | None = None):
        self.config = config
        self.modules = modules
        acts = config.rows * config.act_wires
        weights = config.cols * config.lanes * config.weight_bits
        super().__init__(
            {
                "acts": In(acts),
                "weights": In(weights),
                "group_end": In(1),
                "acts_out": Out(acts),
                "weights_out": Out(weights),
                "ends": Out(config.rows // config.cluster),
            }
        )

    def elaborate(self, platform):
        m = Module()
        config, modules = self.config, self.modules
        act = config.cluster * config.act_wires
        weight = config.cluster * config.lanes * config.weight_bits
        m.d.comb += [
            self.acts_out.eq(delayed(m, "acts_delays", self.acts, act, modules, config.name)),
            self.weights_out.eq(delayed(m, "weights_delays", self.weights, weight, modules, config.name)),
        ]
        ends = Signal(config.rows // config.cluster, init=-1)
        m.d.sync += ends.eq(Cat(self.group_end, ends))
        m.d.comb += self.ends.eq(ends)
        return m


class SystolicArray(Component):
    """Multiplies in an output-stationary array of `rows` x `cols` processing elements. It never stalls.

    Operands come skewed (`Skew`): those of row i (column j) for the same k enter i (j) cycles behind
    those of row (column) 0; element (i, j) multiplies them in cycle t+i+j. A bubble is a zero operand.

    A group that ends with the operands of cycle t has the sum of element (i, j) on `sums[j]` in cycle
    t+2+i+j, and the activation sum of row i on `row_sum` in cycle t+2+i. Each bus is the OR of a segment of
    its column, so groups must end at least `Config.segment_rows` cycles apart (`Config.group_gap`).

    With clusters, i and j above are i // `Config.cluster` and j // `Config.cluster`, and a column has a bus
    for each row of a cluster.

    An array is built of an upper and a lower half down to single rows: halves of equal size are one shared
    module, and OR buses are balanced trees.

    Parameters
    ----------
    rows: how many of the configuration's rows; all if None.

    Ports: index 0 in the low bits
    -----
    acts: in, `Config.act_wires` for each row.
    weights: in, for each column and lane what the scheme's elements take; `weights_out`: out, below the last
        row.
    ends: in, 1 for each row (or cluster of rows): the operands of the cycle before ended their group.
    sums: out, `Config.drain_bits` for each bus of each column, segment by segment.
    row_sum: out, `Config.row_sum_bits` for each row of a cluster and each segment, only where something is
        subtracted.
    """

    def __init__(self, config: Config, modules: Modules | None = None, *, rows: int | None = None):
        self.config = config
        self.modules = modules
        self.rows = config.rows if rows is None else rows
        super().__init__(_array_ports(config, self.rows))

    def elaborate(self, platform):
        m = Module()
        size = self.config.cluster
        half = self.rows // size // 2 * size
        upper, lower = self._part(m, "upper", self.rows - half), self._part(m, "lower", half)
        parts = [part for part in (upper, lower) if part is not None]
        m.d.comb += [
            Cat(part.acts for part in parts).eq(self.acts),
            Cat(part.ends for part in parts).eq(self.ends),
            self.sums.eq(self._joined([part.sums for part in parts])),
        ]
        weights = self.weights
        for part in parts:
            m.d.comb += part.weights.eq(weights)
            weights = part.weights_out
        m.d.comb += self.weights_out.eq(weights)
        if self.config.matrix.subtracts:
            m.d.comb += self.row_sum.eq(self._joined([part.row_sum for part in parts]))
        return m

    def _joined(self, buses: list[Value]) -> Value:
        """Returns the buses of both halves: side by side where each is a segment or more, else as one."""
        return Cat(buses) if _segments(self.config, self.rows) > 1 else reduce(or_, buses)

    def _part(self, m: Module, name: str, rows: int):
        """Adds an array of `rows` rows: a `Row`, or again two halves; None for no rows."""
        config, modules = self.config, self.modules
        if rows == 0:
            return None
        if rows == config.cluster:
            return place(m, name, lambda: Row(config, modules), modules, f"{config.name}_row")
        return place(
            m,
            name,
            lambda: SystolicArray(config, modules, rows=rows),
            modules,
            f"{config.name}_array_{rows}_rows",
        )
