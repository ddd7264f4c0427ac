"""What floating-point elements get while their energy is measured, and the sums they must give."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from fractions import Fraction

import numpy as np

from ..quant.golden.float_sums import float_sums
from ..spec.array import Config
from ..spec.formats.inside import AccumulatorFormat, normalized_code, recoded_bits, recoded_code, word_code
from ..spec.formats.numbers import FP32, FloatFormat
from ..synth.simulate.gates import Stimulus
from .operands import CYCLES, SUM_LAG, Operands, Walk, layer_operands, pe_walk, port_values, walk_stimulus


def fp_mac_stimulus(config: Config) -> Stimulus:
    """Returns integer weights and activations as they are, with sums in FP32."""
    operands = layer_operands(config)
    walk = pe_walk(config, operands, CYCLES - SUM_LAG)
    inputs = {
        "weights": port_values(walk.weights, config.weight_wires, config.weight_digits.encode),
        "acts": _floats(walk.acts, config),
    }
    sums = group_sums(walk, walk.weights, config.float_sum.out)
    return _checked(walk, inputs, sums, config.float_sum, operands)


def float_mac_stimulus(config: Config, total: AccumulatorFormat, early: Sequence[str]) -> Stimulus:
    """Returns weights dequantized to FP16 beforehand, and activations, with sums in the format of `total`."""
    operands = layer_operands(config)
    walk = pe_walk(config, operands, CYCLES - len(early[:1]) - SUM_LAG)
    weights = dequantized(walk, operands, config)
    inputs = {"weights": _factors(weights, config), "acts": _floats(walk.acts, config)}
    sums = group_sums(walk, weights, total.out)
    return _checked(walk, inputs, sums, total, operands, early)


def dequantize_first_stimulus(config: Config, total: AccumulatorFormat, early: Sequence[str]) -> Stimulus:
    """Returns unsigned codes with zero points and FP16 scales, which the element makes FP16 weights of."""
    config = replace(config, weight_signed=False, zero_point=True, name="")
    operands = layer_operands(config)
    walk = pe_walk(config, operands, CYCLES - len(early[:1]) - SUM_LAG)
    zeros, scales = (np.zeros((len(walk), 1), dtype) for dtype in (np.int64, np.float16))
    for group, own in zip(walk.groups, walk.beats(), strict=True):
        layer = operands.layers[group.layer]
        assert layer.z is not None
        zeros[own] = layer.z[group.start // config.group, group.n]
        scales[own] = layer.s[group.start // config.group, group.n]
    weights = dequantized(walk, operands, config)
    # Back to unsigned codes; a beat without a product has code 0.
    unsigned = walk.weights + config.matrix.weight.offset * (walk.useful > 0)[:, None]
    inputs = {
        "weights": port_values(unsigned, config.weight_bits),
        "zeros": port_values(zeros, config.weight_bits),
        "scales": _floats(scales, config),
        "acts": _floats(walk.acts, config),
    }
    sums = group_sums(walk, weights, total.out)
    return _checked(walk, inputs, sums, total, operands, early)


def dequantized(walk: Walk, operands: Operands, config: Config) -> np.ndarray:
    """Returns float16 weights [beats, lanes]: the group's scale times its steps, rounded once."""
    weights = np.zeros(walk.weights.shape, np.float16)
    for group, own in zip(walk.groups, walk.beats(), strict=True):
        layer, g = operands.layers[group.layer], group.start // config.group
        zero = 0 if layer.z is None else int(layer.z[g, group.n]) - config.matrix.weight.offset
        # Exact in float32 before the one rounding: 11 bits times 5.
        steps = (walk.weights[own] - zero).astype(np.float32)
        weights[own] = (steps * layer.s[g, group.n].astype(np.float32)).astype(np.float16)
    return weights


def group_sums(walk: Walk, weights: np.ndarray, out: FloatFormat) -> list[int]:
    """Returns the code of each group's sum of exact products, rounded to `out` after each addition."""
    sums = []
    for own in walk.beats():
        a, q = walk.acts[own].reshape(1, -1), weights[own].reshape(-1, 1)
        if out == FP32:
            sums.append(int(float_sums(a, q, None, walk.acts.shape[1]).view(np.uint32)[0, 0]))
            continue
        code = 0
        for x, y in zip(a.ravel().tolist(), q.ravel().tolist(), strict=True):
            value = Fraction(out.decode(code)) + Fraction(x) * Fraction(y)
            assert Fraction(float(value)) == value  # real operands: float64 holds them
            code = out.encode(float(value))
        sums.append(code)
    return sums


def _floats(values: np.ndarray, config: Config) -> list[int]:
    """Returns port patterns of floating-point operands [beats, lanes], as elements take them."""
    form = config.act_float
    return port_values(codes(values), config.act_normal.bits, lambda code: normalized_code(code, form))


def _factors(values: np.ndarray, config: Config) -> list[int]:
    """Returns what `_floats` does, for the operand that is multiplied digit by digit."""
    form, normal = config.act_float, config.act_normal
    return port_values(
        codes(values), recoded_bits(normal), lambda code: recoded_code(normalized_code(code, form), normal)
    )


def codes(values: np.ndarray) -> np.ndarray:
    """Returns the bit patterns of floating-point numbers, as integers."""
    return values.view(f"u{values.dtype.itemsize}").astype(np.int64)


def _checked(
    walk: Walk,
    inputs: Mapping[str, Sequence[int]],
    sums: Sequence[int],
    total: AccumulatorFormat,
    operands: Operands,
    early: Sequence[str] = (),
) -> Stimulus:
    """Returns a stimulus that checks the accumulators' words; a zero has either sign."""
    words = [word_code(code, total) for code in sums]
    made = walk_stimulus(walk, inputs, words, total.bits, operands, early)
    value = f"(sum[{total.bits - 2}:0] == 0 ? 0 : sum)"
    return replace(made, expected={"word": made.expected["sum"]}, derived={"word": (total.bits, value)})
