"""The golden model's formulas in exact rational arithmetic, and operands to try them on.

The arithmetic shares nothing with NumPy's floats: a float is a fraction, rounded where IEEE 754 rounds, to
nearest, ties to even.
"""

from fractions import Fraction
from itertools import product
from typing import Any

import numpy as np

from mixpe.quant.codecs import FLOAT_TYPES
from mixpe.quant.matrix import QuantizedMatrix
from mixpe.spec.array import Config
from mixpe.spec.formats.numbers import FP16, FP32, FloatFormat

# A float is (sign, magnitude): sign 0 or 1, magnitude a Fraction, INF or NAN.
Float = tuple[int, Any]
INF, NAN = "inf", "nan"


def decode(code: int, fmt: FloatFormat) -> Float:
    """Returns the float that `code`, a bit pattern of `fmt`, stands for."""
    sign, exponent = code >> (fmt.bits - 1), (code >> fmt.fraction_bits) & fmt.exponent_max
    fraction = code & ((1 << fmt.fraction_bits) - 1)
    if exponent == fmt.exponent_max and fmt.infinities:
        return (sign, NAN if fraction else INF)
    significand = fraction | (1 << fmt.fraction_bits if exponent else 0)
    power = max(exponent, 1) - fmt.bias - fmt.fraction_bits
    return (sign, Fraction(significand) * Fraction(2) ** power)


def encode(value: Float, fmt: FloatFormat) -> int:
    """Returns the bit pattern of `value` rounded to `fmt`; a NaN gives the canonical one."""
    sign, magnitude = value
    if magnitude == NAN:
        return fmt.nan
    top = sign << (fmt.bits - 1)
    if magnitude == INF:
        return top | fmt.infinity
    if magnitude == 0:
        return top
    power = magnitude.numerator.bit_length() - magnitude.denominator.bit_length()
    power -= magnitude < Fraction(2) ** power  # 2**power <= magnitude < 2**(power + 1)
    power = max(power, 1 - fmt.bias) - fmt.fraction_bits
    units = round(magnitude / Fraction(2) ** power)  # Python rounds a Fraction to nearest, ties to even
    # A subnormal's units are its code; a normal's exponent field counts from there, and carries into it.
    return top | min(units + ((power + fmt.bias + fmt.fraction_bits - 1) << fmt.fraction_bits), fmt.infinity)


def round32(value: Float) -> Float:
    """Returns `value` rounded to FP32."""
    return decode(encode(value, FP32), FP32)


def multiply(x: Float, y: Float) -> Float:
    """Returns the FP32 product."""
    sign, magnitudes = x[0] ^ y[0], (x[1], y[1])
    if NAN in magnitudes or (INF in magnitudes and 0 in magnitudes):
        return (0, NAN)
    return (sign, INF) if INF in magnitudes else round32((sign, x[1] * y[1]))


def add(x: Float, y: Float) -> Float:
    """Returns the FP32 sum."""
    if NAN in (x[1], y[1]) or (x[1] == y[1] == INF and x[0] != y[0]):
        return (0, NAN)
    if INF in (x[1], y[1]):
        return x if x[1] == INF else y
    total = (-x[1] if x[0] else x[1]) + (-y[1] if y[0] else y[1])
    return round32((total < 0 if total else x[0] & y[0], abs(total)))


def reference(a, weights: QuantizedMatrix, t, config: Config) -> np.ndarray:
    """Returns codes of the output, uint32 [M, N]; C in exact rational numbers, then rational arithmetic.

    Operands as `mixpe.quant.golden.mpgemm` takes them, of integer activations; t may be None.
    """
    (m, k), n = a.shape, weights.shape[1]
    q, z, s = weight_values(weights), weights.groups.get("z"), codes(weights.groups["s"])
    out = np.empty((m, n), np.uint32)
    for i, j in product(range(m), range(n)):
        y = None
        for g, start in enumerate(range(0, k, config.group)):
            group = range(start, min(start + config.group, k))
            zero = 0 if z is None else int(z[g, j])
            c = sum((q[x][j] - zero) * int(a[i, x]) for x in group)
            d = multiply(round32((int(c < 0), Fraction(abs(c)))), decode(int(s[g, j]), FP16))
            y = d if y is None else add(y, d)
        assert y is not None
        if t is not None:
            y = multiply(y, decode(int(t.view(np.uint32)[i]), FP32))
        out[i, j] = encode(y, config.out)
    return out


def codes(array: np.ndarray) -> np.ndarray:
    """Returns the bit patterns of an array of floats, uint32, of the array's shape."""
    return array.view(f"u{array.dtype.itemsize}").astype(np.uint32)


def weight_values(weights: QuantizedMatrix) -> list[list[Fraction]]:
    """Returns the numbers of the weight codes, exactly."""
    form = weights.format.weight.code
    if not isinstance(form, FloatFormat):
        return [[Fraction(int(q)) for q in row] for row in weights.codes]
    values = [[decode(int(code), form) for code in row] for row in codes(weights.codes)]
    return [[-magnitude if sign else magnitude for sign, magnitude in row] for row in values]  # type: ignore[misc]


def random_operands(
    rng: np.random.Generator, config: Config, m: int, k: int, n: int, scales: str = "any"
) -> tuple[Any, QuantizedMatrix, Any]:
    """Returns random a, weights and t for `config`; half of the integers are extremes.

    `scales`: "any" bit pattern, or "plain" numbers.
    """

    def draw(form, shape):
        if isinstance(form, FloatFormat):
            dtype = FLOAT_TYPES[form.name]
            return rng.integers(0, 1 << form.bits, shape).astype(f"u{dtype.itemsize}").view(dtype)
        anything = rng.integers(form.min, form.max, shape, endpoint=True)
        return np.where(rng.random(shape) < 0.5, anything, rng.choice([form.min, form.max, 0], shape))

    groups = -(-k // config.group)
    bits = rng.integers(0, 1 << 16, (groups, n), dtype=np.uint16)
    members = {}
    for member in config.matrix.members:
        if member.symbol == "s":
            plain = rng.standard_normal((groups, n)).astype(np.float16)
            members["s"] = bits.view(np.float16) if scales == "any" else plain
        else:
            members[member.symbol] = draw(member.format, (groups, n))
    t = rng.standard_normal(m).astype(np.float32) if config.token_scale else None
    a = draw(config.act_code, (m, k))
    return a, QuantizedMatrix(config.matrix, draw(config.weight_code, (k, n)), members), t
