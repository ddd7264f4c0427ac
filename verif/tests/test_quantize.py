"""Properties of the quantizers, checked in exact rational arithmetic."""

from fractions import Fraction
from itertools import product

import ml_dtypes
import numpy as np
import pytest

from mixpe.quant.golden import mpgemm
from mixpe.quant.quantize import quantize_activations, quantize_weights
from mixpe.spec.array import Config
from mixpe.spec.errors import UserError
from verif.samples.products import matrix

LARGEST = {"fp16": 65504, "bf16": (2 - 2**-7) * 2.0**127, "fp8_e4m3": 448, "fp8_e5m2": 57344}
FLOATS = {
    "fp16": np.float16,
    "bf16": ml_dtypes.bfloat16,
    "fp8_e4m3": ml_dtypes.float8_e4m3fn,
    "fp8_e5m2": ml_dtypes.float8_e5m2,
}
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
    scales = weights.groups["s"]
    assert scales.dtype == np.float16
    assert scales.shape == (-(-k // group), 3)
    assert weights.codes.dtype == (np.int8 if signed else np.uint8)
    assert (weights.zeros is None) == (not zero_point)
    values = weights.dequantized()
    assert values.dtype == np.float32
    for i, j in product(range(k), range(3)):
        s, q = exact(scales[i // group, j]), int(weights.codes[i, j])
        z = int(weights.zeros[i // group, j]) if weights.zeros is not None else 0
        assert code.min <= q <= code.max
        assert code.min <= z <= code.max
        assert exact(values[i, j]) == s * (q - z)
        error = abs(exact(w[i, j]) - s * (q - z))
        assert error <= s / 2
        for other in (q - 1, q + 1):
            assert not code.min <= other <= code.max or error <= abs(exact(w[i, j]) - s * (other - z))
    for g, j in product(range(len(scales)), range(3)):
        column = [exact(x) for x in w[g * group : (g + 1) * group, j]]
        span = max(*column, 0) - min(*column, 0) if zero_point else max(abs(x) for x in column)
        least = span / (code.max - code.min if zero_point else code.max)
        below = float(np.nextafter(scales[g, j], np.float16(0)))
        assert exact(below) < least <= exact(scales[g, j])  # the smallest FP16 step that covers the range


def test_known_codes():
    w = np.array([[7.0], [-3.6], [0.5], [1.5], [-7.0], [2.0]])
    weights = quantize_weights(w, Config(group=5))
    assert weights.groups["s"].tolist() == [[1.0], [float(np.float16(2 / 7 + 1e-4))]]
    assert weights.codes.ravel().tolist() == [7, -4, 0, 2, -7, 7]
    weights = quantize_weights(w[:5] - 0.5, Config(weight_signed=False, zero_point=True))
    assert weights.groups["s"].tolist() == [[0.93359375]]  # 14/15 is 0.93333: up to the next FP16
    assert weights.zeros is not None
    assert weights.zeros.tolist() == [[8]]
    assert weights.codes.ravel().tolist() == [15, 4, 8, 9, 0]
    a, t = quantize_activations(np.array([[254.0, -254.0, 3.0, -5.0]]), Config())
    assert t.tolist() == [2.0]
    assert a.tolist() == [[127, -127, 2, -2]]


@pytest.mark.parametrize(("signed", "zero_point"), KINDS + [(False, False)])
def test_zeros_stay_zero(signed, zero_point):
    config = Config(group=4, weight_signed=signed, zero_point=zero_point)
    w = np.zeros((6, 2), np.float32)
    w[5, 1] = 3.0
    weights = quantize_weights(w, config)
    assert weights.groups["s"][0].tolist() == [0.0, 0.0]
    assert not np.signbit(weights.groups["s"]).any()
    assert weights.codes[:4].any() == 0
    assert weights.zeros is None or not weights.zeros[0].any()
    np.testing.assert_array_equal(weights.dequantized() == 0, w == 0)


def test_unsigned_codes_without_zero_points_need_weights_that_are_not_negative():
    config = Config(weight_signed=False)
    weights = quantize_weights(np.array([[0.0, 15.0], [2.4, 30.0]]), config)
    assert weights.codes.tolist() == [[0, 8], [15, 15]]
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


def numbers(act_format: str) -> np.ndarray:
    """Every number of a format from 0 up, in float64; of two neighbours, that of even index is even."""
    dtype = np.dtype(FLOATS[act_format])
    values = np.arange(1 << (8 * dtype.itemsize - 1), dtype=f"u{dtype.itemsize}").view(dtype)
    with np.errstate(invalid="ignore"):  # signalling NaN
        return values[np.isfinite(values)].astype(np.float64)


def floating(act_format: str, **fields) -> Config:
    return Config(act_format=act_format, align_bits=13, **fields)


@pytest.mark.parametrize("act_format", FLOATS)
def test_floating_point_activations_round_once_to_nearest_even(act_format):
    """Every number, every tie, and what is next to a tie in float64."""
    values = numbers(act_format)
    assert values[-1] == LARGEST[act_format]
    low, high = values[:-1], values[1:]
    ties = (low + high) / 2
    even = np.where(np.arange(len(ties)) % 2, high, low)
    x = np.stack([low, high, ties, np.nextafter(ties, 0), np.nextafter(ties, np.inf)])
    a, t = quantize_activations(np.concatenate([x, -x]), floating(act_format))
    assert a.dtype == FLOATS[act_format]
    assert (t.dtype, t.tolist()) == (np.float32, [1.0] * 10)
    expected = np.stack([low, high, even, low, high])
    np.testing.assert_array_equal(a.astype(np.float64), np.concatenate([expected, -expected]))
    np.testing.assert_array_equal(
        np.signbit(a.astype(np.float32)), np.repeat([False, True], 5)[:, None] | (a < 0)
    )


@pytest.mark.parametrize("name", ["normal", "tiny", "below", "large", "spread"])
@pytest.mark.parametrize("act_format", FLOATS)
def test_scaled_floating_point_activations(act_format, name):
    values = numbers(act_format)
    target = min(LARGEST[act_format], 2**16)
    config = floating(act_format, token_scale=True)
    x = distribution(name, (5, 40), seed=3).astype(np.float64)
    x[3] = 0
    scales = quantize_activations(x, config)[1].astype(np.float64)
    # Beside what is there: ties, and what float64 divides into a tie.
    some = np.random.default_rng(5).integers(np.searchsorted(values, target), size=10)
    ties = (values[some] + values[some + 1]) / 2 * scales[:, None]
    x[:, 10:40] = np.concatenate([ties, np.nextafter(ties, 0), np.nextafter(ties, np.inf)], axis=1)
    x[3] = 0
    a, t = quantize_activations(x, config)
    assert (a.dtype, t.dtype, t.shape) == (FLOATS[act_format], np.float32, (5,))
    assert (t[3], a[3].astype(np.float64).any()) == (0, False)
    for i in (0, 1, 2, 4):
        step = exact(t[i])
        least = max(abs(exact(value)) for value in x[i]) / exact(target)
        assert exact(np.nextafter(t[i], np.float32(0))) < least <= step
        for value, code in zip(x[i], a[i], strict=True):
            index = int(np.searchsorted(values, abs(float(code))))
            assert values[index] == abs(float(code))
            error = abs(exact(value) - step * exact(code))
            for other in values[[i for i in (index - 1, index + 1) if 0 <= i < len(values)]]:
                distance = abs(abs(exact(value)) - step * exact(other))
                assert error < distance or (error == distance and index % 2 == 0)


@pytest.mark.parametrize(
    ("act_format", "accepted", "refused"),
    [
        ("fp16", np.nextafter(65520, 0), 65520.0),
        ("bf16", np.nextafter((2 - 2**-8) * 2.0**127, 0), (2 - 2**-8) * 2.0**127),
        ("fp8_e4m3", 464.0, np.nextafter(464, 500)),  # the tie rounds to 448, which is even
        ("fp8_e5m2", np.nextafter(61440, 0), 61440.0),
    ],
)
def test_floating_point_activations_beyond_the_largest(act_format, accepted, refused):
    config, largest = floating(act_format), LARGEST[act_format]
    a, _ = quantize_activations([[accepted, -accepted]], config)
    assert a.astype(np.float64).tolist() == [[largest, -largest]]
    message = (
        rf"x\[1, 0\] must be at most {largest:g} in magnitude for act_format {act_format} with token_scale"
    )
    for value in (refused, 1e300, np.finfo(np.float64).max):
        with pytest.raises(UserError, match=message.replace("+", r"\+")):
            quantize_activations([[0.0, 1.0], [-value, value]], config)
    a, t = quantize_activations([[refused]], floating(act_format, token_scale=True))
    assert float(a[0, 0]) * float(t[0]) == pytest.approx(refused, rel=1e-2)


@pytest.mark.parametrize("act_format", FLOATS)
@pytest.mark.parametrize("scheme", [{"fp_scheme": "aligned", "align_bits": 13}, {"fp_scheme": "fp_mac"}])
def test_scaled_floating_point_activations_leave_room_in_the_sums(act_format, scheme):
    config = Config(act_format=act_format, token_scale=True, group=64, **scheme)
    x, w = np.full((1, 256), 3.0), np.full((256, 1), 7.0)
    a, t = quantize_activations(x, config)
    weights = quantize_weights(w, config)
    out = mpgemm(a, weights, t=t, config=config)
    assert out[0, 0] == pytest.approx(3 * 7 * 256, rel=1e-3)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64, ml_dtypes.bfloat16])
def test_any_float_dtype(dtype):
    w = distribution("normal", (20, 4)).astype(dtype)
    config = Config(group=8)
    same = quantize_weights(w.astype(np.float64), config)
    np.testing.assert_array_equal(quantize_weights(w, config).codes, same.codes)
    np.testing.assert_array_equal(quantize_activations(w, config)[1].shape, (20,))


def test_a_product_of_quantized_operands_is_close():
    """The quantization error of x @ w stays within the bound the half steps give."""
    config = Config(group=16, zero_point=True, token_scale=True)
    x, w = distribution("normal", (6, 50), 1), distribution("normal", (50, 7), 2)
    a, t = quantize_activations(x, config)
    weights = quantize_weights(w, config)
    out = mpgemm(a, weights, t=t, config=config)
    steps = np.repeat(weights.groups["s"].astype(np.float64), 16, axis=0)[:50]
    values = np.abs(weights.dequantized())
    bound = np.abs(x) @ (steps / 2) + (t[:, None] / 2) * values.sum(axis=0)
    assert (np.abs(out - x.astype(np.float64) @ w) <= bound * 1.001).all()


@pytest.mark.parametrize(
    ("w", "message"),
    [
        ([[1, 2]], "w must have a floating-point dtype, not int64"),
        ([1.0, 2.0], r"w must be an array \[K, N\], not of shape \(2,\)"),
        (np.zeros((0, 3)), "w must have at least one element along each of"),
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
    assert weights.groups["s"].tolist() == [[65504.0]]
    assert weights.codes.tolist() == [[7], [-7]]


def test_refused_activations():
    with pytest.raises(UserError, match=r"x\[0, 0\] must be finite, not inf"):
        quantize_activations([[np.inf]], Config())
    with pytest.raises(UserError, match="x needs a scale of 1e\\+41, beyond float32's largest"):
        quantize_activations([[127e41]], Config())
    with pytest.raises(UserError, match=r"x must be an array \[M, K\]"):
        quantize_activations([1.0], Config())
    scaled = Config(act_format="fp8_e4m3", token_scale=True)
    with pytest.raises(UserError, match="x needs a scale of 1e\\+41, beyond float32's largest"):
        quantize_activations([[448e41]], scaled)


def test_refused_matrices():
    config = Config(group=4, zero_point=True)
    q, s, z = np.zeros((5, 2), np.int8), np.zeros((2, 2), np.float16), np.zeros((2, 2), np.int8)
    with pytest.raises(UserError, match=r"s must have shape \[G, N\] = \(2, 2\)"):
        matrix(config, q, s[:1], z)
    with pytest.raises(UserError, match=r"z must have shape \[G, N\] = \(2, 2\)"):
        matrix(config, q, s, z[:1])
    with pytest.raises(UserError, match="z is missing"):
        matrix(config, q, s, None)


ODD = [
    (np.array([[1, "x"]], object), "must have a floating-point dtype, not object"),
    ([[1.0, 2.0], [3.0]], "must be an array, not list of uneven rows"),
    (np.array([[1j]]), "must have a floating-point dtype, not complex128"),
    (np.array([[np.longdouble("1e4000")]]), r"\[0, 0\] must be finite, not inf"),
    (np.frombuffer(b"\x01\x7c", np.float16).reshape(1, 1), r"\[0, 0\] must be finite, not nan"),
    (np.zeros((3, 0)), "must have at least one element along each of"),
]


@pytest.mark.parametrize(("array", "message"), ODD)
@pytest.mark.parametrize("quantize", [quantize_weights, quantize_activations])
def test_odd_arrays_are_refused_without_a_warning(quantize, array, message, recwarn):
    with pytest.raises(UserError, match=message):
        quantize(array, Config())
    assert not recwarn.list


def test_layout_in_memory_changes_nothing(recwarn):
    w = distribution("normal", (40, 6), 3)
    wanted = quantize_weights(w, Config(group=16))
    for same in (
        np.asfortranarray(w),
        w[::-1][::-1],
        w.astype(w.dtype.newbyteorder(">")),
        np.repeat(w, 2, 1)[:, ::2],
    ):
        found = quantize_weights(same, Config(group=16))
        np.testing.assert_array_equal(found.codes, wanted.codes)
        np.testing.assert_array_equal(found.groups["s"], wanted.groups["s"])
    assert not recwarn.list


@pytest.mark.parametrize("size", [1e-300, 5e-324])
def test_smallest_numbers_are_not_zero(size):
    """A scale is 0 of zeros alone, also where float64 itself has no smaller number."""
    for config in (Config(), Config(zero_point=True), Config(weight_format="fp4_e2m1")):
        assert (quantize_weights(np.full((4, 2), size), config).groups["s"] == np.float16(2.0**-24)).all()
    assert (quantize_activations(np.full((2, 4), size), Config(token_scale=True))[1] > 0).all()
