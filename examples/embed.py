"""Embeds an element and an array in components of your own: `python examples/embed.py > engine.v`."""

from amaranth.back import verilog
from amaranth.hdl import Cat, Module, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from mixpe.hw.array.beats import Beat
from mixpe.hw.array.top import Top
from mixpe.hw.element.integer import PE
from mixpe.spec.array import Config

CONFIG = Config(rows=2, cols=3, group=4, zero_point=True)


class DotProduct(wiring.Component):
    """One element as a dot product unit: a pair a cycle while `en` is high; `last` with a vector's last pair.

    `result` holds the dot product of a vector from the third cycle after its last pair on; `done` is high in
    that cycle. A vector has at most `config.group` pairs, and `config.lanes` is 1.
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
    """An array whose results pass a ReLU: out = max(0, activations x weights), in FP32.

    Streams as of `mixpe.hw.array.top.Top`.
    """

    acts: In(stream.Signature(Beat(CONFIG, "acts")))
    weights: In(stream.Signature(Beat(CONFIG, "weights")))
    scales: In(stream.Signature(Beat(CONFIG, "scales")))
    out: Out(stream.Signature(Beat(CONFIG, "out")))

    def elaborate(self, platform):
        m = Module()
        m.submodules.top = top = Top(CONFIG)
        for name in ("acts", "weights", "scales"):
            wiring.connect(m, wiring.flipped(getattr(self, name)), getattr(top, name))
        m.d.comb += [
            self.out.valid.eq(top.out.valid),
            top.out.ready.eq(self.out.ready),
            self.out.payload.last.eq(top.out.payload.last),
        ]
        for col in range(CONFIG.cols):
            result = top.out.payload.y[col]
            with m.If(~result[-1]):  # the sign bit
                m.d.comb += self.out.payload.y[col].eq(result)
        return m


if __name__ == "__main__":
    print(verilog.convert(DotProduct(CONFIG), name="dot_product", emit_src=False))
    print(verilog.convert(Engine(), name="engine", emit_src=False))
