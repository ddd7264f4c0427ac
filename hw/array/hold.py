"""What arrives for all rows of a segment, until it is each row's turn."""

from amaranth.hdl import Module
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from ...spec.array import Config
from ..choose import chosen, words
from ..ports import Component


class Hold(Component):
    """Holds a value of `width` bits for each row of a segment; those of a cluster's rows arrive together.

    Ports
    -----
    arrives: in, 1: values are there.
    word: in, `Config.held_word_bits`: the cluster that they are of.
    values: in, `width` for each row of a cluster: seen from the next cycle on.
    row: in, `Config.segment_row_bits`.
    value: out, `width`, in the same cycle: what that row holds.
    """

    def __init__(self, config: Config, width: int):
        self.config = config
        self.width = width
        super().__init__(
            {
                "arrives": In(1),
                "word": In(config.held_word_bits),
                "values": In(config.buses * width),
                "row": In(config.segment_row_bits),
                "value": Out(width),
            }
        )

    def elaborate(self, platform):
        m = Module()
        buses, bits = self.config.buses, self.config.held_word_bits
        m.submodules.words = held = Memory(shape=len(self.values), depth=1 << bits, init=[])
        write, read = held.write_port(), held.read_port(domain="comb")
        inside = (buses - 1).bit_length()
        m.d.comb += [
            write.en.eq(self.arrives),
            write.addr.eq(self.word),
            write.data.eq(self.values),
            read.addr.eq(self.row >> inside),
            self.value.eq(chosen(self.row[:inside], words(read.data, buses))),
        ]
        return m
