"""Embeds an element and an array in components of your own: `python examples/embed.py > engine.v`.

An argument chooses the datapath: `python examples/embed.py booth > engine.v`.
"""

import argparse
from dataclasses import replace

from amaranth.back import verilog
from amaranth.hdl import Cat, Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from mixpe import Config
from mixpe.gen.verilog import convert
from mixpe.hw import PE, Modules, Top
from mixpe.spec.array import DATAPATHS

CONFIG = Config(rows=2, cols=3, group=4, zero_point=True)


class DotProduct(wiring.Component):
    """Computes dot products with one element, a pair a cycle.

    A vector has at most `config.group` pairs, and `config.lanes` is 1. The datapath may be any.

    Ports
    -----
    weight, act: in, `config.weight_bits` and `config.act_bits`: a pair.
    en: in: the pair counts. last: in, with it: it is the vector's last pair.
    result: out, signed: the dot product, from the third cycle after the last pair on.
    done: out: high in that cycle.
    """

    def __init__(self, config: Config):
        self.pe = PE(config)
        ports = {"weight": In(config.weight_bits), "act": In(config.act_bits), "en": In(1), "last": In(1)}
        super().__init__(ports | {"result": Out(self.pe.sum.shape()), "done": Out(1)})

    def elaborate(self, platform):
        m = Module()
        m.submodules.pe = pe = self.pe
        with m.If(self.en):  # else a bubble: zero operands
            m.d.comb += [pe.weights.eq(self.weight), pe.acts.eq(self.act)]
        # The element hears of a vector's end a cycle after its last pair, and shows the sum in the next.
        ended = Signal(2)
        m.d.sync += [ended.eq(Cat(self.en & self.last, ended)), self.done.eq(ended[1])]
        m.d.comb += pe.group_end.eq(ended[0])
        with m.If(ended[1]):
            m.d.sync += self.result.eq(pe.sum)
        return m


class Engine(wiring.Component):
    """Multiplies on an array whose results pass a ReLU: out = max(0, activations x weights), in FP32.

    The streams are those of `mixpe.hw.Top`. With `modules`, equal parts of the array become one
    module of the Verilog; without it, they are plain submodules, as Amaranth's simulator wants them.
    """

    def __init__(self, modules: Modules | None = None, config: Config = CONFIG):
        self.top = Top(config, modules)
        super().__init__(self.top.signature)

    def elaborate(self, platform):
        m = Module()
        m.submodules.top = top = self.top
        for name in ("acts", "weights", "scales"):
            wiring.connect(m, wiring.flipped(getattr(self, name)), getattr(top, name))
        m.d.comb += [
            self.out.valid.eq(top.out.valid),
            top.out.ready.eq(self.out.ready),
            self.out.payload.last.eq(top.out.payload.last),
        ]
        for col in range(top.config.cols):
            result = top.out.payload.y[col]
            with m.If(~result[-1]):  # the sign bit
                m.d.comb += self.out.payload.y[col].eq(result)
        return m


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Print the Verilog of a dot product unit and an engine.")
    parser.add_argument("datapath", nargs="?", choices=DATAPATHS, default=CONFIG.datapath)
    chosen = replace(CONFIG, name="", datapath=parser.parse_args().datapath)
    print(verilog.convert(DotProduct(chosen), name="dot_product", emit_src=False))
    print(convert("engine", lambda modules: Engine(modules, chosen)))
