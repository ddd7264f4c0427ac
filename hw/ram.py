"""An on-chip memory, which a chip takes from a memory compiler and an FPGA from its block RAM."""

from typing import Any

from amaranth.hdl import Module, Shape
from amaranth.lib import wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from ..spec.core import ram_module
from .modules import Modules, place
from .ports import Component


class Ram(Component):
    """Holds `depth` words of `width` bits, with one write and one read port.

    A word that is read in the cycle in which it is written is the old one. What a word holds before it is
    written is not promised.

    Ports
    -----
    write: in, 1: a word is written.
    write_address: in: its place.
    write_data: in, `width`: the word.
    read: in, 1: a word is read.
    read_address: in: its place.
    read_data: out, `width`: the word, from the cycle behind `read` on until the next is read.
    """

    def __init__(self, depth: int, width: int):
        self.depth = depth
        self.width = width
        super().__init__(self.ports(depth, width))

    @staticmethod
    def ports(depth: int, width: int) -> wiring.Signature:
        """Returns the ports of a memory of `depth` words of `width` bits."""
        address = max(1, (depth - 1).bit_length())
        return wiring.Signature(
            {
                "write": In(1),
                "write_address": In(address),
                "write_data": In(width),
                "read": In(1),
                "read_address": In(address),
                "read_data": Out(width),
            }
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.words = words = Memory(shape=self.width, depth=self.depth, init=[])
        write, read = words.write_port(), words.read_port()
        m.d.comb += [
            write.en.eq(self.write),
            write.addr.eq(self.write_address),
            write.data.eq(self.write_data),
            read.en.eq(self.read),
            read.addr.eq(self.read_address),
            self.read_data.eq(read.data),
        ]
        return m


class RamModule:
    """Stands for a `Ram` as a module of the Verilog text, in the form from which tools infer block RAM.

    Amaranth gives every memory initial contents and writes them out word by word, which takes minutes and
    gigabytes for a large one.
    """

    def __init__(self, depth: int, width: int):
        self.depth = depth
        self.width = width
        self.signature = Ram.ports(depth, width)

    def verilog(self, module: str) -> str:
        """Returns the text of the module, with the ports that `mixpe.hw.modules` connects."""
        ports = {"clk": ("input", 1), "rst": ("input", 1)}
        for name, member in self.signature.members.items():
            ports[name] = ("input" if member.flow == In else "output", Shape.cast(member.shape).width)
        return _VERILOG.format(
            module=module,
            names=", ".join(ports),
            ports="\n".join(f"  {way} {_range(width)}{name};" for name, (way, width) in ports.items()),
            word=_range(self.width),
            last=self.depth - 1,
        )


def _range(width: int) -> str:
    return f"[{width - 1}:0] " if width > 1 else ""


_VERILOG = """\
module {module}({names});
{ports}
  reg {word}read_data;
  reg {word}words [0:{last}];
  always @(posedge clk) begin
    if (write)
      words[write_address] <= write_data;
    if (read)
      read_data <= words[read_address];
  end
endmodule
"""


def place_ram(m: Module, name: str, depth: int, width: int, modules: Modules | None, prefix: str) -> Any:
    """Adds a memory to `m` as the submodule `name`; its module is called after `prefix` and its size."""
    made = Ram if modules is None else RamModule
    return place(m, name, lambda: made(depth, width), modules, ram_module(prefix, depth, width))
