"""The golden model against exact rational arithmetic that shares nothing with NumPy's floats."""

import warnings
from fractions import Fraction
from itertools import product
from typing import Any

import ml_dtypes
import numpy as np
import pytest

from mixpe.hw.config import Config
from mixpe.hw.errors import UserError
from mixpe.hw.formats import BF16, FP16, FP32, FloatFormat
from mixpe.quant import blas
from mixpe.quant.bench import bench
from mixpe.quant.golden import exact_dtype, mpgemm

# A float is (sign, magnitude): sign 0 or 1, magnitude a Fraction, INF or NAN.
INF, NAN = "inf", "nan"


def decode(code: int, fmt: FloatFormat):
    sign, exponent = code >> (fmt.bits - 1), (code >> fmt.fraction_bits) & fmt.exponent_max
    fraction = code & ((1 << fmt.fraction_bits) - 1)
    if exponent == fmt.exponent_max:
        return (sign, NAN if fraction else INF)
    significand = fraction | (1 << fmt.fraction_bits if exponent else 0)
    power = max(exponent, 1) - fmt.bias - fmt.fraction_bits
    return (sign, Fraction(significand) * Fraction(2) ** power)


def encode(value, fmt: FloatFormat) -> int:
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


def round32(value):
    return decode(encode(value, FP32), FP32)


def multiply(x, y):
    sign, magnitudes = x[0] ^ y[0], (x[1], y[1])
    if NAN in magnitudes or (INF in magnitudes and 0 in magnitudes):
        return (0, NAN)
    return (sign, INF) if INF in magnitudes else round32((sign, x[1] * y[1]))


def add(x, y):
    if NAN in (x[1], y[1]) or (x[1] == y[1] == INF and x[0] != y[0]):
        return (0, NAN)
    if INF in (x[1], y[1]):
        return x if x[1] == INF else y
    total = (-x[1] if x[0] else x[1]) + (-y[1] if y[0] else y[1])
    return round32((total < 0 if total else x[0] & y[0], abs(total)))


def reference(a, q, s, z, t, config: Config) -> np.ndarray:
    """Codes of the output, uint32 [M, N]; P - z*S in Python ints, then rational arithmetic."""
    (m, k), n = a.shape, q.shape[1]
    out = np.empty((m, n), np.uint32)
    for i, j in product(range(m), range(n)):
        y = None
        for g, start in enumerate(range(0, k, config.group)):
            group = range(start, min(start + config.group, k))
            p = sum(int(q[x, j]) * int(a[i, x]) for x in group)
            c = p - (int(z[g, j]) * sum(int(a[i, x]) for x in group) if z is not None else 0)
            d = multiply(round32((int(c < 0), Fraction(abs(c)))), decode(int(s.view(np.uint16)[g, j]), FP16))
            y = d if y is None else add(y, d)
        if t is not None:
            y = multiply(y, decode(int(t.view(np.uint32)[i]), FP32))
        out[i, j] = encode(y, config.out)
    return out


def codes(array: np.ndarray) -> np.ndarray:
    return array.view(f"u{array.dtype.itemsize}").astype(np.uint32)


def random_operands(
    rng, config: Config, m: int, k: int, n: int, scales="any"
) -> tuple[Any, Any, Any, Any, Any]:
    """Random operands; half of the integers are extremes. Scales: "any" bit pattern, or "plain" ones."""

    def draw(fmt, shape):
        anything = rng.integers(fmt.min, fmt.max, shape, endpoint=True)
        return np.where(rng.random(shape) < 0.5, anything, rng.choice([fmt.min, fmt.max, 0], shape))

    groups = -(-k // config.group)
    bits = rng.integers(0, 1 << 16, (groups, n), dtype=np.uint16)
    s = bits.view(np.float16) if scales == "any" else rng.standard_normal((groups, n)).astype(np.float16)
    z = draw(config.weight_code, (groups, n)) if config.zero_point else None
    t = rng.standard_normal(m).astype(np.float32) if config.token_scale else None
    return draw(config.act, (m, k)), draw(config.weight_code, (k, n)), s, z, t


def check(a, q, s, z, t, config: Config):
    out = mpgemm(a, q, s, z, t=t, config=config)
    assert (
        out.dtype == {"fp32": np.float32, "fp16": np.float16, "bf16": ml_dtypes.bfloat16}[config.out_format]
    )
    np.testing.assert_array_equal(codes(out), reference(a, q, s, z, t, config))


def test_reference_agrees_with_known_codes():
    for value, fp32, fp16, bf16 in [
        (Fraction(1), 0x3F800000, 0x3C00, 0x3F80),
        (Fraction(1, 3), 0x3EAAAAAB, 0x3555, 0x3EAB),
        (Fraction(65519), 0x477FEF00, 0x7BFF, 0x4780),
        (Fraction(65520), 0x477FF000, 0x7C00, 0x4780),
        (Fraction(1, 1 << 24), 0x33800000, 0x0001, 0x3380),
        (Fraction(1, 1 << 25), 0x33000000, 0x0000, 0x3300),
        (Fraction(3, 1 << 150), 0x00000002, 0x0000, 0x0000),
        (Fraction((1 << 24) - 1, 1 << 150), 0x00800000, 0x0000, 0x0080),
    ]:
        assert [encode((0, value), fmt) for fmt in (FP32, FP16, BF16)] == [fp32, fp16, bf16]
    for code in range(1 << 16):
        magnitude = decode(code, FP16)[1]
        assert encode(decode(code, FP16), FP16) == (code if magnitude != NAN else FP16.nan)


@pytest.mark.parametrize("out_format", ["fp32", "fp16", "bf16"])
@pytest.mark.parametrize("zero_point", [False, True])
@pytest.mark.parametrize("signed", [False, True])
def test_every_kind(signed, zero_point, out_format):
    rng = np.random.default_rng(1)
    for weight_bits, act_bits, group, k, token in [
        (4, 8, 8, 8, False),
        (4, 8, 8, 21, True),
        (2, 4, 1, 5, False),
        (8, 16, 16, 37, True),
        (3, 5, 128, 7, False),
    ]:
        config = Config(
            weight_bits=weight_bits,
            weight_signed=signed,
            zero_point=zero_point,
            act_bits=act_bits,
            group=group,
            out_format=out_format,
            token_scale=token,
        )
        for scales in ("any", "plain"):
            check(*random_operands(rng, config, 4, k, 5, scales), config)


@pytest.mark.parametrize("signed", [False, True])
@pytest.mark.parametrize("zero_point", [False, True])
def test_sums_wider_than_a_significand(signed, zero_point):
    """8x16 bits over 16384: 37-bit sums, rounded once, then a tail."""
    config = Config(weight_bits=8, weight_signed=signed, zero_point=zero_point, act_bits=16, group=16384)
    rng = np.random.default_rng(2)
    a, q, s, z, t = random_operands(rng, config, 2, 16384 + 3, 2, "plain")
    check(a, q, s, z, t, config)
    a[:] = config.act.min + 1  # odd, and nowhere positive
    q[:] = config.weight_code.max
    q[0] -= 1
    check(a, q, s, z, t, config)


def test_extremes_at_the_limit_of_float32():
    """All operands extreme: the largest sum float32 takes, the first one it must not, odd neighbours."""
    assert exact_dtype(1024, 128, 128) == np.float32
    assert exact_dtype(1025, 128, 128) == np.float64
    for k in (1023, 1024, 1025, 1026):
        config = Config(weight_bits=8, act_bits=8, group=2048)
        a, q = np.full((1, k), -128), np.full((k, 1), -128)
        q[0], a[0, 0] = 1, 1  # an odd sum: 2**24 + 1 for k = 1025
        out = mpgemm(a, q, np.ones((1, 1), np.float16), config=config)
        exact = 128 * 128 * (k - 1) + 1
        assert int(out[0, 0]) == (exact if exact <= 1 << 24 else exact - 1)  # ties, to even
        check(a, q, np.ones((1, 1), np.float16), None, None, config)


def test_zero_points_that_alone_make_sums_wide():
    """Small codes whose products would fit float32, far from their zero points."""
    config = Config(weight_bits=8, zero_point=True, act_bits=8, group=4096)
    rng = np.random.default_rng(5)
    q, z = rng.integers(0, 2, (4096, 3)), np.array([[-128, 127, -127]])
    check(np.full((1, 4096), -127), q, np.ones((1, 3), np.float16), z, None, config)


def test_special_scales():
    """Every sum sign with every special scale, in the first group and in a later one."""
    scales = np.array(
        [
            0x0000,
            0x8000,
            0x0001,
            0x8001,
            0x03FF,
            0x0400,
            0x7BFF,
            0xFBFF,
            0x7C00,
            0xFC00,
            0x7E00,
            0xFE01,
            0x7C01,
        ],
        np.uint16,
    ).view(np.float16)
    pairs = np.array(list(product(scales, scales))).T
    a = np.array([[x, y] for x, y in product((-3, 0, 5), repeat=2)])
    q = np.repeat([[-2], [7]], pairs.shape[1], axis=1)
    for out_format in ("fp32", "fp16", "bf16"):
        check(a, q, pairs, None, None, Config(group=1, out_format=out_format))


def test_special_token_scales():
    """Overflow, underflow to subnormals and the cast's own corners, through t."""
    t = np.array(
        [
            0,
            1 << 31,
            1,
            0x80000001,
            0x007FFFFF,
            0x00800000,
            0x7F7FFFFF,
            0x7F800000,
            0xFF800000,
            0x7FC00001,
            0xFF812345,
        ]
        + [0x33000000, 0x33000001, 0x337FFFFF, 0x477FEFFF, 0x477FF000, 0x3F808000, 0x3F818000, 0x3F808001],
        np.uint32,
    ).view(np.float32)
    a, q = np.ones((len(t), 1), np.int8), np.array([[1, -1, 0, 3, -8]], np.int8)
    s = np.array([[1, 1, 1, 0.5, 6e-8]], np.float16)
    for out_format in ("fp32", "fp16", "bf16"):
        check(a, q, s, None, t, Config(out_format=out_format, token_scale=True))


def test_negative_zero_survives_only_as_the_contract_says():
    config = Config(group=1)
    minus = np.array([[-1.0], [-1.0]], np.float16)
    zero_sum = np.zeros((1, 2), np.int8), np.full((2, 1), -3, np.int8)
    assert codes(mpgemm(*zero_sum, minus, config=config))[0, 0] == 0x80000000
    assert codes(mpgemm(*zero_sum, -minus, config=config))[0, 0] == 0
    assert codes(mpgemm(*zero_sum, np.array([[-1.0], [1.0]], np.float16), config=config))[0, 0] == 0


def test_tiles_and_order():
    """More rows and columns than one tile: every element equals its own one-element product."""
    config = Config(group=32, zero_point=True, token_scale=True)
    rng = np.random.default_rng(3)
    a, q, s, z, t = random_operands(rng, config, 513, 70, 1030, "plain")
    out = mpgemm(a, q, s, z, t=t, config=config)
    for i, j in [(0, 0), (255, 511), (256, 512), (511, 1023), (512, 1029), (512, 0), (0, 1029)]:
        one = a[i : i + 1], q[:, j : j + 1], s[:, j : j + 1], z[:, j : j + 1], t[i : i + 1]
        assert codes(out)[i, j] == reference(*one, config)[0, 0]
    np.testing.assert_array_equal(codes(mpgemm(a[500:], q, s, z, t=t[500:], config=config)), codes(out[500:]))
    np.testing.assert_array_equal(
        codes(mpgemm(a, q[:, 3:9], s[:, 3:9], z[:, 3:9], t=t, config=config)), codes(out[:, 3:9])
    )


@pytest.mark.parametrize("dtype", [np.int8, np.int16, np.int32, np.int64, np.uint8, np.uint64])
def test_any_integer_dtype_and_layout(dtype):
    config = Config(weight_signed=False, zero_point=True)
    rng = np.random.default_rng(4)
    a, q, s, z, _ = random_operands(rng, config, 3, 9, 4)
    a = np.abs(a) & 127
    expected = reference(a, q, s, z, None, config)
    a, q, z = (x.astype(dtype) for x in (a, q, z))
    np.testing.assert_array_equal(codes(mpgemm(a, q, s, z, config=config)), expected)
    strided = [np.repeat(x, 2, axis=1)[:, ::2] for x in (a, q, s, z)]
    np.testing.assert_array_equal(codes(mpgemm(*strided, config=config)), expected)
    fortran = [np.asfortranarray(x) for x in (a, q, s, z)]
    np.testing.assert_array_equal(codes(mpgemm(*fortran, config=config)), expected)


def test_no_warnings():
    config = Config(token_scale=True, out_format="fp16", group=1)
    a, q = np.full((1, 2), -128), np.full((2, 1), -8)
    s, t = np.array([[np.inf], [-np.inf]], np.float16), np.array([3e38], np.float32)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert codes(mpgemm(a, q, s, t=t, config=config))[0, 0] == FP16.nan
        assert codes(mpgemm(a, q, abs(s), t=t, config=config))[0, 0] == FP16.infinity


def test_no_warnings_on_other_threads():
    config = Config(group=1, out_format="fp16")
    a, q = np.full((300, 2), -128), np.full((2, 2000), -8)
    s = np.full((2, 2000), np.inf, np.float16)
    s[1] = -s[0]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert (codes(mpgemm(a, q, s, config=config)) == FP16.nan).all()


@pytest.fixture
def openblas():
    """OpenBLAS set to three threads, and set back afterwards; stood in for where NumPy has another BLAS."""
    real, stand_in = blas._OPENBLAS, [3]
    if real.get is None or real.set is None:
        real.get, real.set = (lambda: stand_in[0]), (lambda count: stand_in.__setitem__(0, count))
        yield real
        real.get = real.set = None
    else:
        before = real.get()
        real.set(3)
        yield real
        real.set(before)


def test_blas_threads_are_as_before(openblas):
    """One thread inside overlapping products; as many as before after them, after a failure, after none."""
    done = []

    def item(number: int) -> None:
        if number == 7:
            raise UserError("seven")
        if number >= 0:
            blas.run(item, [-1, -2])
        done.append(number)
        assert openblas.get() == 1

    blas.run(item, range(6))
    assert sorted(done) == sorted([*range(6), *[-1, -2] * 6])
    assert openblas.get() == 3
    with pytest.raises(UserError, match="seven"):
        blas.run(item, [1, 7, 2])
    assert openblas.get() == 3
    blas.run(item, [])
    assert openblas.get() == 3


def test_a_blas_that_cannot_be_told(monkeypatch):
    monkeypatch.setattr(blas._OPENBLAS, "get", None)
    config = Config(group=32)
    a, q, s, _, _ = random_operands(np.random.default_rng(6), config, 3, 40, 1100, "plain")
    check(a, q[:, 500:530], s[:, 500:530], None, None, config)
    whole = codes(mpgemm(a, q, s, config=config))
    monkeypatch.undo()
    np.testing.assert_array_equal(whole, codes(mpgemm(a, q, s, config=config)))


def good():
    """Operands that are right for a zero-point and token-scale configuration of group 4."""
    return {
        "a": np.zeros((2, 5), np.int8),
        "q": np.zeros((5, 3), np.int8),
        "s": np.zeros((2, 3), np.float16),
        "z": np.zeros((2, 3), np.int8),
        "t": np.zeros(2, np.float32),
    }


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"a": np.zeros((0, 5), np.int8)},
            r"a must have at least one row and one column, not shape \(0, 5\)",
        ),
        ({"a": np.zeros((2, 0), np.int8)}, "a must have at least one row"),
        ({"q": np.zeros((5, 0), np.int8)}, "q must have at least one row"),
        ({"a": np.zeros(5, np.int8)}, r"a must have two dimensions \[M, K\], not shape \(5,\)"),
        ({"a": [[1, 2], [3]]}, "a must be an array, not list of uneven rows"),
        ({"a": np.zeros((2, 5))}, "a must have an integer dtype, not float64"),
        ({"q": np.zeros((5, 3), bool)}, "q must have an integer dtype, not bool"),
        ({"q": np.zeros((4, 3), np.int8)}, r"q must have K = 5 rows, as a has columns, not shape \(4, 3\)"),
        (
            {"s": np.zeros((1, 3), np.float16)},
            r"s must have shape \[G, N\] = \(2, 3\) \(groups of 4\), not \(1, 3\)",
        ),
        ({"s": np.zeros((2, 3), np.float32)}, "s must have dtype float16, not float32"),
        (
            {"z": np.zeros((3, 3), np.int8)},
            r"z must have shape \[G, N\] = \(2, 3\) \(groups of 4\), not \(3, 3\)",
        ),
        ({"z": np.zeros((2, 3), np.float16)}, "z must have an integer dtype, not float16"),
        ({"z": None}, "z is missing"),
        ({"t": None}, "t is missing"),
        ({"t": np.zeros(3, np.float32)}, r"t must have shape \[M\] = \(2,\), not \(3,\)"),
        ({"t": np.zeros((2, 1), np.float32)}, r"t must be a non-empty array \[M\], not of shape \(2, 1\)"),
        ({"t": np.zeros(2)}, "t must have dtype float32, not float64"),
        ({"a": np.full((2, 5), 128)}, r"a\[0, 0\] must be INT8 \(-128 to 127\), not 128"),
        ({"a": np.full((2, 5), 2**63, np.uint64)}, r"a\[0, 0\] must be INT8 .* not 9223372036854775808"),
        ({"q": np.eye(5, 3, -2, int) * -9}, r"q\[2, 0\] must be INT4 \(-8 to 7\), not -9"),
        ({"z": np.eye(2, 3, 1, int) * 8}, r"z\[0, 1\] must be INT4 \(-8 to 7\), not 8"),
    ],
)
def test_refusals(change, message):
    operands = good() | change
    with pytest.raises(UserError, match=message) as error:
        mpgemm(**operands, config=Config(group=4, zero_point=True, token_scale=True))
    assert "\n" not in str(error.value)


def test_refuses_what_the_configuration_has_not():
    operands = good()
    with pytest.raises(UserError, match="z must be None in a configuration with zero_point = false"):
        mpgemm(**operands, config=Config(group=4, token_scale=True))
    with pytest.raises(UserError, match="t must be None in a configuration with token_scale = false"):
        mpgemm(**operands, config=Config(group=4, zero_point=True))
    operands["q"][0, 0] = -1
    with pytest.raises(UserError, match=r"q\[0, 0\] must be UINT4 \(0 to 15\), not -1"):
        mpgemm(**operands, config=Config(group=4, zero_point=True, token_scale=True, weight_signed=False))


def test_bench_compares_the_same_product():
    result = bench(40, 300, 600, group=128, repeat=1)
    assert result.bit_equal
    assert result.golden_seconds > 0
    assert result.naive_seconds > 0
    assert result.ratio == result.naive_seconds / result.golden_seconds
