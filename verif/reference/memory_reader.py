"""Operands in memory, read bit by bit as docs/memory.md tells; nothing here is shared with the packer."""

from typing import Any

import numpy as np

from mixpe.quant.matrix import QuantizedMatrix
from mixpe.spec.array import Config
from mixpe.spec.formats.numbers import ACT_FORMATS

from .exact import codes, random_operands
from .exact_float import random_float_operands


def up(x: int, y: int) -> int:
    """Returns x / y, rounded up."""
    return (x + y - 1) // y


def field(data: Any, bit: int, width: int) -> int:
    """Returns the bits [bit +: width] of uint8 [bytes]."""
    bits = (int(data[i // 8]) >> i % 8 & 1 for i in range(bit, bit + width))
    return sum(value << i for i, value in enumerate(bits))


class Reader:
    """Places and sizes for an inner dimension `k`; names are the document's."""

    def __init__(self, config: Config, k: int):
        self.C, self.L, self.G, self.w = config.cols, config.lanes, config.group, config.weight_bits
        self.c = next(bits for bits in (4, 8, 16) if config.act_bits <= bits)
        self.groups = up(k, self.G)
        self.beats = k // self.G * up(self.G, self.L) + up(k % self.G, self.L)
        self.weight_tile = up(self.beats * self.L * self.C * self.w, 512) * 64
        self.scale_beat = self.C * (16 + self.w if config.zero_point else 16)
        self.scale_tile = up(self.groups * self.scale_beat, 512) * 64
        self.a_stride = up(self.beats * self.L * self.c, 512) * 64

    def position(self, k: int) -> int:
        return k // self.G * up(self.G, self.L) * self.L + k % self.G

    def a(self, data: Any, m: int, k: int) -> int:
        return field(data[m], self.position(k) * self.c, self.c)

    def q(self, data: Any, k: int, n: int) -> int:
        p = self.position(k)
        bit = ((p // self.L * self.C + n % self.C) * self.L + p % self.L) * self.w
        return field(data[n // self.C * self.weight_tile :], bit, self.w)

    def s(self, data: Any, g: int, n: int) -> int:
        return field(data[n // self.C * self.scale_tile :], g * self.scale_beat + n % self.C * 16, 16)

    def z(self, data: Any, g: int, n: int) -> int:
        bit = g * self.scale_beat + self.C * 16 + n % self.C * self.w
        return field(data[n // self.C * self.scale_tile :], bit, self.w)


def random_config(rng: np.random.Generator) -> Config:
    """Any formats, lanes and results; small groups and few columns."""
    act_format = str(rng.choice(["int", "int", *ACT_FORMATS]))
    acts: dict[str, Any] = {"act_bits": int(rng.integers(4, 17))}
    flags = ("weight_signed", "zero_point", "token_scale")
    return Config(
        weight_bits=int(rng.integers(2, 9)),
        act_format=act_format,
        group=int(rng.integers(1, 20)),
        cols=int(rng.integers(1, 10)),
        lanes=int(rng.choice([1, 2, 4, 8])),
        out_format=str(rng.choice(["fp32", "fp16", "bf16"])),
        **(acts if act_format == "int" else {"fp_scheme": "fp_mac"}),
        **{name: bool(rng.integers(2)) for name in flags},
    )


def operands(
    rng: np.random.Generator, config: Config, m: int, k: int, n: int
) -> tuple[Any, QuantizedMatrix, Any]:
    """Returns random a, weights and t."""
    draw = random_operands if config.act_format == "int" else random_float_operands
    return draw(rng, config, m, k, n)


def number_codes(values: Any) -> np.ndarray:
    """Returns numbers as integers: integers as they are, floating-point numbers by their bits."""
    return values if values.dtype.kind in "iu" else codes(values)
