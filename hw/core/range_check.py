"""The check of a command's regions: each must end within the addresses, and rows of results lie apart."""

from dataclasses import dataclass
from typing import Any

from amaranth.hdl import Module, Mux, Signal, Value
from amaranth.lib.wiring import In, Out

from ...spec import layout
from ...spec.core import SIZE_BITS, STRIDE_BITS, CoreConfig
from ...spec.layout import ALIGNMENT
from ...spec.registers import CODE_BITS, Error
from ..modules import Modules, place
from ..ports import Component
from .command import Command
from .plan import Planner, divide

_LINE = (ALIGNMENT - 1).bit_length()
"""Bits of an address within a line of `ALIGNMENT` bytes, in which regions are measured here."""


@dataclass(frozen=True)
class _Region:
    """Describes a region in lines: `more` + 1 parts, `step` apart, the last of `last` + 1 lines."""

    base: Value
    more: Value
    step: Value
    last: Value


class RangeCheck(Component):
    """Finds out whether a command's regions lie within the core's addresses.

    It multiplies a bit at a time, and only as many bits as there are, one region after another: a verdict
    takes some 10 cycles and two for each bit of M and of N / columns; `SIZE_BITS` + 1 more for each division
    by a group, or by columns, that are no power of two.

    Ports
    -----
    start: in, 1: `command` is there, and stays until `done`. It is looked at while `idle` is high.
    command: in, `Command`: its sizes are not 0, and all members have legal bits only.
    idle: out, 1: no command is being checked.
    done: out, 1: a pulse; the verdict is there.
    error: out, `CODE_BITS`, in the cycle of `done`: `Error.RANGE`, `Error.OVERLAP`, or 0.
    """

    def __init__(self, config: CoreConfig, modules: Modules | None = None):
        self.config, self.modules = config, modules
        super().__init__(
            {
                "start": In(1),
                "command": In(Command()),
                "idle": Out(1),
                "done": Out(1),
                "error": Out(CODE_BITS),
            }
        )

    def elaborate(self, platform):
        m = Module()
        config, command = self.config, self.command
        planner: Any = place(m, "planner", lambda: Planner(config), self.modules, f"{config.name}_planner")
        m.d.comb += planner.k.eq(command.k)
        known, tiles, _ = divide(m, planner.done, (command.n - 1)[:SIZE_BITS], config.array.cols)
        regions = self._regions(planner.sizes, tiles)

        # The sum of a region's parts, its bits above the addresses, and whether even those overflow.
        address_lines = config.address_bits - _LINE
        width = 1 + max(address_lines, *(len(part) for each in regions for part in (each.step, each.last)))
        total = Signal(width)
        step = Signal(width)
        beyond = Signal()
        lost = Signal()
        more = Signal(SIZE_BITS)
        region = Signal(range(len(regions)))
        base = Signal(width)
        last = Signal(width)
        addend = Signal(width)
        first_more = Signal.like(more)
        first_step = Signal.like(step)
        with m.Switch(region):
            for index, each in enumerate(regions):
                with m.Case(index):
                    m.d.comb += [
                        base.eq(each.base[:address_lines]),
                        last.eq(each.last),
                        first_more.eq(each.more),
                        first_step.eq(each.step),
                    ]
        begins = Signal()
        overlaps = Signal()
        summed = Signal(width + 1)
        m.d.comb += [
            addend.eq(Mux(begins, last, Mux(more[0], step, 0))),
            summed.eq(Mux(begins, base, total) + addend),
            overlaps.eq((region == len(regions) - 1) & first_more.any() & (first_step <= last)),
        ]
        with m.FSM():
            with m.State("IDLE"):
                m.d.comb += [self.idle.eq(1), planner.start.eq(self.start)]
                m.d.sync += region.eq(0)
                with m.If(self.start):
                    m.next = "PLAN"
            with m.State("PLAN"):
                with m.If(known):
                    m.next = "BEGIN"
            with m.State("BEGIN"):
                m.d.comb += begins.eq(1)
                m.d.sync += [total.eq(summed), more.eq(first_more), step.eq(first_step)]
                m.d.sync += [beyond.eq(0), lost.eq(0)]
                m.next = "ADD"
                with m.If(overlaps):
                    m.d.sync += self.error.eq(Error.OVERLAP)
                    m.next = "DONE"
            with m.State("ADD"):
                m.d.sync += [
                    total.eq(summed),
                    beyond.eq(beyond | summed[-1] | (more[0] & lost)),
                    more.eq(more >> 1),
                    step.eq(step << 1),
                    lost.eq(lost | step[-1]),
                ]
                with m.If(~more.any()):
                    m.d.sync += region.eq(region + 1)
                    m.next = "BEGIN"
                    with m.If(beyond | total[address_lines:].any()):
                        m.d.sync += self.error.eq(Error.RANGE)
                        m.next = "DONE"
                    with m.Elif(region == len(regions) - 1):
                        m.d.sync += self.error.eq(Error.NONE)
                        m.next = "DONE"
            with m.State("DONE"):
                m.d.comb += self.done.eq(1)
                m.next = "IDLE"
        return m

    def _regions(self, sizes: Any, tiles: Value) -> list[_Region]:
        """Returns the regions, that of the results last; `tiles`: the column tiles, less one."""
        config, command = self.config, self.command
        per_line = max(1, ALIGNMENT // config.word_bytes).bit_length() - 1

        def lines(words: Value) -> Value:
            return (words - 1)[: len(words)] >> per_line

        def rows(letter: str, last: Value) -> _Region:
            stride = command[f"{letter}_stride"][_LINE:STRIDE_BITS]
            return _Region(base(letter), (command.m - 1)[:SIZE_BITS], stride, last)

        def base(letter: str) -> Value:
            return command[f"{letter}_address"][_LINE:]

        tile = {letter: lines(sizes[f"{name}_words"]) for letter, name in (("w", "weight"), ("s", "scale"))}
        found = [rows("a", lines(sizes.act_words))]
        found += [_Region(base(letter), tiles, last + 1, last) for letter, last in tile.items()]
        row_bytes = command.n[:SIZE_BITS] * (config.array.out.bits // 8)
        if config.array.row_members:
            token_bytes = command.m[:SIZE_BITS] * (layout.TOKEN_BITS // 8)
            last = (token_bytes - 1)[: len(token_bytes)] >> _LINE
            found.append(_Region(base("t"), Value.cast(0), Value.cast(0), last))
        return [*found, rows("o", (row_bytes - 1)[: len(row_bytes)] >> _LINE)]
