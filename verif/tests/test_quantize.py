"""Properties of the quantizers, checked in exact rational arithmetic."""

from fractions import Fraction
from itertools import product

import ml_dtypes
import numpy as np
import pytest

from mixpe.hw.config import Config
from mixpe.hw.errors import UserError
from mixpe.quant.golden import mpgemm
from mixpe.quant.quantize import (
    QuantizedWeights,
    dequantize_weights,
    quantize_activations,
    quantize_weights,
)

KINDS = [(True, False), (True, True), (False, True)]


def distribution(name: str, shape: tuple[int, int], seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    values = {
        "normal": rng.standard_normal(shape),
        "positive": rng.random(shape) + 3,
        "negative": -rng.random(shape) - 3,
        "tiny": rng.standard_normal(shape) * 1e-7,
        "below": rng.standard_normal(shape) * 1e-12,
        "large": rng.uniform(-65504, 65504, shape),
        "spread": rng.standard_normal(shape) * 10.0 ** rng.integers(-9, 4, shape),
    }
    return values[name].astype(np.float32)


def exact(value) -> Fraction:
    return Fraction(float(value))


@pytest.mark.parametrize("name", ["normal", "positive", "negative", "tiny", "below", "large", "spread"])
@pytest.mark.parametrize(("signed", "zero_point"), KINDS)
@pytest.mark.parametrize(("bits", "group", "k"), [(4, 8, 21), (2, 5, 5), (8, 16, 40), (3, 64, 7)])
def test_weights(bits, group, k, signed, zero_point, name):
    config = Config(weight_bits=bits, group=group, weight_signed=signed, zero_point=zero_point)
    code, w = config.weight_code, distribution(name, (k, 3), seed=bits)
    weights = quantize_weights(w, config)
    assert weights.s.dtype == np.float16
    assert weights.s.shape == (-(-k // group), 3)
    assert weights.q.dtype == (np.int8 if signed else np.uint8)
    assert (weights.z is None) == (not zero_point)
    values = dequantize_weights(weights, config)
    assert values.dtype == np.float32
    for i, j in product(range(k), range(3)):
        s, z = exact(weights.s[i // group, j]), int(weights.z[i // group, j]) if weights.z is not None else 0
        q = int(weights.q[i, j])
        assert code.min <= q <= code.max
        assert code.min <= z <= code.max
        assert exact(values[i, j]) == s * (q - z)
        error = abs(exact(w[i, j]) - s * (q - z))
        assert error <= s / 2
        for other in (q - 1, q + 1):
            assert not code.min <= other <= code.max or error <= abs(exact(w[i, j]) - s * (other - z))
    for g, j in product(range(len(weights.s)), range(3)):
        column = [exact(x) for x in w[g * group : (g + 1) * group, j]]
        span = max(*column, 0) - min(*column, 0) if zero_point else max(abs(x) for x in column)
        least = span / (code.max - code.min if zero_point else code.max)
        below = float(np.nextafter(weights.s[g, j], np.float16(0)))
        assert exact(below) < least <= exact(weights.s[g, j])  # the smallest FP16 step that covers the range


def test_known_codes():
    w = np.array([[7.0], [-3.6], [0.5], [1.5], [-7.0], [2.0]])
    weights = quantize_weights(w, Config(group=5))
    assert weights.s.tolist() == [[1.0], [float(np.float16(2 / 7 + 1e-4))]]
    assert weights.q.ravel().tolist() == [7, -4, 0, 2, -7, 7]
    weights = quantize_weights(w[:5] - 0.5, Config(weight_signed=False, zero_point=True))
    assert weights.s.tolist() == [[0.93359375]]  # 14/15 is 0.93333: up to the next FP16
    assert weights.z is not None
    assert weights.z.tolist() == [[8]]
    assert weights.q.ravel().tolist() == [15, 4, 8, 9, 0]
    a, t = quantize_activations(np.array([[254.0, -254.0, 3.0, -5.0]]), Config())
    assert t.tolist() == [2.0]
    assert a.tolist() == [[127, -127, 2, -2]]


@pytest.mark.parametrize(("signed", "zero_point"), KINDS + [(False, False)])
def test_zeros_stay_zero(signed, zero_point):
    config = Config(group=4, weight_signed=signed, zero_point=zero_point)
    w = np.zeros((6, 2), np.float32)
    w[5, 1] = 3.0
    weights = quantize_weights(w, config)
    assert weights.s[0].tolist() == [0.0, 0.0]
    assert not np.signbit(weights.s).any()
    assert weights.q[:4].any() == 0
    assert weights.z is None or not weights.z[0].any()
    np.testing.assert_array_equal(dequantize_weights(weights, config) == 0, w == 0)


def test_unsigned_codes_without_zero_points_need_weights_that_are_not_negative():
    config = Config(weight_signed=False)
    weights = quantize_weights(np.array([[0.0, 15.0], [2.4, 30.0]]), config)
    assert weights.q.tolist() == [[0, 8], [15, 15]]
    with pytest.raises(UserError, match=r"w\[1, 0\] must be at least 0 for unsigned codes .* not -0.5"):
        quantize_weights(np.array([[1.0], [-0.5]]), config)


@pytest.mark.parametrize("name", ["normal", "positive", "negative", "tiny", "below", "large", "spread"])
@pytest.mark.parametrize("bits", [4, 8, 13, 16])
def test_activations(bits, name):
    config = Config(act_bits=bits)
    x = distribution(name, (5, 9), seed=bits)
    x[3] = 0
    a, t = quantize_activations(x, config)
    assert a.dtype == (np.int8 if bits <= 8 else np.int16)
    assert t.dtype == np.float32
    assert t.shape == (5,)
    assert (t[3], a[3].any()) == (0, False)
    for i, j in product(range(5), range(9)):
        assert abs(int(a[i, j])) <= config.act.max
        assert abs(exact(x[i, j]) - exact(t[i]) * int(a[i, j])) <= exact(t[i]) / 2
    for i in (0, 1, 2, 4):
        least = max(abs(exact(value)) for value in x[i]) / config.act.max
        assert exact(np.nextafter(t[i], np.float32(0))) < least <= exact(t[i])


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64, ml_dtypes.bfloat16])
def test_any_float_dtype(dtype):
    w = distribution("normal", (20, 4)).astype(dtype)
    config = Config(group=8)
    same = quantize_weights(w.astype(np.float64), config)
    np.testing.assert_array_equal(quantize_weights(w, config).q, same.q)
    np.testing.assert_array_equal(quantize_activations(w, config)[1].shape, (20,))


def test_a_product_of_quantized_operands_is_close():
    """The quantization error of x @ w stays within the bound the half steps give."""
    config = Config(group=16, zero_point=True, token_scale=True)
    x, w = distribution("normal", (6, 50), 1), distribution("normal", (50, 7), 2)
    a, t = quantize_activations(x, config)
    weights = quantize_weights(w, config)
    out = mpgemm(a, weights.q, weights.s, weights.z, t=t, config=config)
    steps = np.repeat(weights.s.astype(np.float64), 16, axis=0)[:50]
    values = np.abs(dequantize_weights(weights, config))
    bound = np.abs(x) @ (steps / 2) + (t[:, None] / 2) * values.sum(axis=0)
    assert (np.abs(out - x.astype(np.float64) @ w) <= bound * 1.001).all()


@pytest.mark.parametrize(
    ("w", "message"),
    [
        ([[1, 2]], "w must have a floating-point dtype, not int64"),
        ([1.0, 2.0], r"w must be a non-empty matrix \[K, N\], not of shape \(2,\)"),
        (np.zeros((0, 3)), "w must be a non-empty matrix"),
        ([[1.0, np.nan]], r"w\[0, 1\] must be finite, not nan"),
        ([[1.0], [-np.inf]], r"w\[1, 0\] must be finite, not -inf"),
        ([[65504.0 * 7 + 1]], r"w needs a scale of 65504.1, beyond float16's largest, 65504"),
        ([[1e300]], "beyond float16's largest, 65504"),
    ],
)
def test_refused_weights(w, message):
    with pytest.raises(UserError, match=message):
        quantize_weights(w, Config())


def test_largest_weights_are_not_refused():
    weights = quantize_weights([[65504.0 * 7], [-65504.0 * 7]], Config())
    assert weights.s.tolist() == [[65504.0]]
    assert weights.q.tolist() == [[7], [-7]]


def test_refused_activations():
    with pytest.raises(UserError, match=r"x\[0, 0\] must be finite, not inf"):
        quantize_activations([[np.inf]], Config())
    with pytest.raises(UserError, match="x needs a scale of 1e\\+41, beyond float32's largest"):
        quantize_activations([[127e41]], Config())
    with pytest.raises(UserError, match=r"x must be a non-empty matrix \[M, K\]"):
        quantize_activations([1.0], Config())


def test_refused_dequantization():
    config = Config(group=4, zero_point=True)
    q, s, z = np.zeros((5, 2), np.int8), np.zeros((2, 2), np.float16), np.zeros((2, 2), np.int8)
    with pytest.raises(UserError, match=r"s must have shape \[G, N\] = \(2, 2\)"):
        dequantize_weights(QuantizedWeights(q, s[:1], z), config)
    with pytest.raises(UserError, match=r"z must have shape \[G, N\] = \(2, 2\)"):
        dequantize_weights(QuantizedWeights(q, s, z[:1]), config)
    with pytest.raises(UserError, match="z is missing"):
        dequantize_weights(QuantizedWeights(q, s, None), config)
