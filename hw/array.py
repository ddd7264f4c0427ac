"""Rows x columns of processing elements, and the skew that feeds them."""

from functools import reduce
from operator import or_

from amaranth.hdl import Cat, Module, Signal, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from .config import Config
from .modules import Modules, place
from .pe import PE, RowSum


class Row(wiring.Component):
    """One row: activations and `group_end` move right, weights move down into the next row.

    Element j works j cycles behind element 0. Ports as of `PE`, side by side, column 0 in the low bits;
    `row_sum` (if `Config.has_row_sum`) appears with element 0's sum.
    """

    def __init__(self, config: Config, modules: Modules | None = None):
        self.config = config
        self.modules = modules
        weights = config.cols * config.lanes * config.weight_bits
        members = {
            "acts": In(config.lanes * config.act_bits),
            "group_end": In(1),
            "weights": In(weights),
            "weights_out": Out(weights),
            "sums": Out(config.cols * config.sum_bits),
        }
        if config.has_row_sum:
            members["row_sum"] = Out(signed(config.row_sum_bits))
        super().__init__(members)

    def elaborate(self, platform):
        m = Module()
        config = self.config
        width = config.lanes * config.weight_bits
        pes = [
            place(m, f"pe{col}", lambda: PE(config), self.modules, f"{config.name}_pe") for col in range(config.cols)
        ]
        acts, end = self.acts, self.group_end
        for col, pe in enumerate(pes):
            m.d.comb += [
                pe.acts.eq(acts),
                pe.group_end.eq(end),
                pe.weights.eq(self.weights.word_select(col, width)),
            ]
            acts, end = pe.acts_out, pe.group_end_out
        m.d.comb += [
            self.weights_out.eq(Cat(pe.weights_out for pe in pes)),
            self.sums.eq(Cat(pe.sum for pe in pes)),
        ]
        if config.has_row_sum:
            m.submodules.row_sum = row_sum = RowSum(config)
            m.d.comb += [
                row_sum.acts.eq(pes[0].acts_out),
                row_sum.done.eq(pes[0].group_end_out),
                self.row_sum.eq(row_sum.sum),
            ]
        return m


class Skew(wiring.Component):
    """Delays row i of the activations by i cycles, column j of the weights by j, and `group_end` to match.

    `group_end` enters with the last operands of a group; `ends[i]` leaves one cycle behind row i's, as `PE`
    asks. In reset, and until the first operands arrive, every cycle ends a group.
    """

    def __init__(self, config: Config):
        self.config = config
        acts = config.rows * config.lanes * config.act_bits
        weights = config.cols * config.lanes * config.weight_bits
        super().__init__(
            {
                "acts": In(acts),
                "weights": In(weights),
                "group_end": In(1),
                "acts_out": Out(acts),
                "weights_out": Out(weights),
                "ends": Out(config.rows),
            }
        )

    def elaborate(self, platform):
        m = Module()
        config = self.config
        for source, target, places in (
            (self.acts, self.acts_out, config.rows),
            (self.weights, self.weights_out, config.cols),
        ):
            width = len(source) // places
            for index in range(places):
                entering, leaving = source.word_select(index, width), target.word_select(index, width)
                if index == 0:
                    m.d.comb += leaving.eq(entering)
                else:
                    line = Signal(index * width, reset_less=True, name=f"{source.name}_line{index}")
                    m.d.sync += line.eq(Cat(entering, line))
                    m.d.comb += leaving.eq(line[-width:])
        ends = Signal(config.rows, init=-1)
        m.d.sync += ends.eq(Cat(self.group_end, ends))
        m.d.comb += self.ends.eq(ends)
        return m


class SystolicArray(wiring.Component):
    """Output-stationary array of `rows` x `cols` processing elements. It never stalls.

    Operands come skewed (`Skew`): those of row i (column j) for the same k enter i (j) cycles behind
    those of row (column) 0; element (i, j) multiplies them in cycle t+i+j. A bubble is a zero operand.

    Drain: the group that ends with the operands of cycle t has the sum of element (i, j) on
    `sums[j]` in cycle t+2+i+j, and the activation sum of row i on `row_sum` in cycle t+2+i. Each bus is
    the OR of its column, so groups must end at least `rows` cycles apart (`Config.group_gap`).

    Ports: `acts` (rows x lanes), `weights` (cols x lanes), `ends` (rows), `sums` (cols x `sum_bits`),
    `row_sum` (if `Config.has_row_sum`); index 0 in the low bits.
    """

    def __init__(self, config: Config, modules: Modules | None = None):
        self.config = config
        self.modules = modules
        members = {
            "acts": In(config.rows * config.lanes * config.act_bits),
            "weights": In(config.cols * config.lanes * config.weight_bits),
            "ends": In(config.rows),
            "sums": Out(config.cols * config.sum_bits),
        }
        if config.has_row_sum:
            members["row_sum"] = Out(signed(config.row_sum_bits))
        super().__init__(members)

    def elaborate(self, platform):
        m = Module()
        config = self.config
        rows = [
            place(m, f"row{index}", lambda: Row(config, self.modules), self.modules, f"{config.name}_row")
            for index in range(config.rows)
        ]
        weights = self.weights
        for index, row in enumerate(rows):
            m.d.comb += [
                row.acts.eq(self.acts.word_select(index, config.lanes * config.act_bits)),
                row.group_end.eq(self.ends[index]),
                row.weights.eq(weights),
            ]
            weights = row.weights_out
        m.d.comb += self.sums.eq(_or_tree([row.sums for row in rows]))
        if config.has_row_sum:
            m.d.comb += self.row_sum.eq(_or_tree([row.row_sum for row in rows]))
        return m


def _or_tree(values):
    """The OR of `values` as a balanced tree, so that depth grows with the logarithm of the rows."""
    if len(values) <= 2:
        return reduce(or_, values)
    half = len(values) // 2
    return _or_tree(values[:half]) | _or_tree(values[half:])
