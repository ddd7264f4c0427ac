"""Payloads of the top's streams."""

from amaranth.hdl import Shape, signed
from amaranth.lib import data

from ...spec.array import Config
from ...spec.formats.numbers import IntFormat


def _code(config: Config) -> Shape:
    """A weight code or zero point."""
    return Shape(config.weight_bits, signed=config.weight_code.signed)


class ActsBeat(data.StructLayout):
    """`a[m][lane]`: activations of all rows (signed, or codes of `Config.act_float`); `last`: the tile's
    last beat."""

    def __init__(self, config: Config):
        act = signed(config.act_bits) if isinstance(config.act_code, IntFormat) else config.act_bits
        lanes = data.ArrayLayout(act, config.lanes)
        super().__init__({"a": data.ArrayLayout(lanes, config.rows), "last": 1})


class WeightsBeat(data.StructLayout):
    """`q[n][lane]`: weight codes of all columns."""

    def __init__(self, config: Config):
        lanes = data.ArrayLayout(_code(config), config.lanes)
        super().__init__({"q": data.ArrayLayout(lanes, config.cols)})


class ScalesBeat(data.StructLayout):
    """`s[n]`: a group's scales (FP16 codes); `z[n]`, if `Config.zero_point`: its zero points."""

    def __init__(self, config: Config):
        members: dict = {"s": data.ArrayLayout(config.scale.bits, config.cols)}
        if config.zero_point:
            members["z"] = data.ArrayLayout(_code(config), config.cols)
        super().__init__(members)


class OutBeat(data.StructLayout):
    """`y[n]`: one row of the tile (codes of `Config.out`); `last`: it is the tile's last row."""

    def __init__(self, config: Config):
        super().__init__({"y": data.ArrayLayout(config.out.bits, config.cols), "last": 1})
