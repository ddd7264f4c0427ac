"""The golden model against exact rational arithmetic that shares nothing with NumPy's floats."""

from dataclasses import replace
from fractions import Fraction
from itertools import product

import ml_dtypes
import numpy as np
import pytest

from mixpe.quant.golden import mpgemm
from mixpe.quant.golden.integer_sums import exact_dtype
from mixpe.quant.matrix import QuantizedMatrix
from mixpe.spec.array import Config
from mixpe.spec.formats.numbers import BF16, FP16, FP32
from verif.reference.exact import NAN, codes, decode, encode, random_operands, reference
from verif.samples.products import matrix


def check(a, weights: QuantizedMatrix, t, config: Config):
    out = mpgemm(a, weights, t=t, config=config)
    assert (
        out.dtype == {"fp32": np.float32, "fp16": np.float16, "bf16": ml_dtypes.bfloat16}[config.out_format]
    )
    np.testing.assert_array_equal(codes(out), reference(a, weights, t, config))


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
    a, weights, t = random_operands(rng, config, 2, 16384 + 3, 2, "plain")
    check(a, weights, t, config)
    a[:] = config.act.min + 1  # odd, and nowhere positive
    q = np.full_like(weights.codes, config.weight_code.max)
    q[0] -= 1
    check(a, replace(weights, codes=q), t, config)


def test_extremes_at_the_limit_of_float32():
    """All operands extreme: the largest sum float32 takes, the first one it must not, odd neighbours."""
    assert exact_dtype(1024, 128, 128) == np.float32
    assert exact_dtype(1025, 128, 128) == np.float64
    for k in (1023, 1024, 1025, 1026):
        config = Config(weight_bits=8, act_bits=8, group=2048)
        a, q = np.full((1, k), -128), np.full((k, 1), -128)
        q[0], a[0, 0] = 1, 1  # an odd sum: 2**24 + 1 for k = 1025
        weights = matrix(config, q, np.ones((1, 1), np.float16))
        out = mpgemm(a, weights, config=config)
        exact = 128 * 128 * (k - 1) + 1
        assert int(out[0, 0]) == (exact if exact <= 1 << 24 else exact - 1)  # ties, to even
        check(a, weights, None, config)


def test_zero_points_that_alone_make_sums_wide():
    """Small codes whose products would fit float32, far from their zero points."""
    config = Config(weight_bits=8, zero_point=True, act_bits=8, group=4096)
    rng = np.random.default_rng(5)
    q, z = rng.integers(0, 2, (4096, 3)), np.array([[-128, 127, -127]])
    weights = matrix(config, q, np.ones((1, 3), np.float16), z)
    check(np.full((1, 4096), -127), weights, None, config)


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
        config = Config(group=1, out_format=out_format)
        check(a, matrix(config, q, pairs), None, config)


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
        config = Config(out_format=out_format, token_scale=True)
        check(a, matrix(config, q, s), t, config)


def test_negative_zero_survives_only_as_the_contract_says():
    config = Config(group=1)
    minus = np.array([[-1.0], [-1.0]], np.float16)
    a, q = np.zeros((1, 2), np.int8), np.full((2, 1), -3, np.int8)

    def zero_sum(s: np.ndarray) -> int:
        return codes(mpgemm(a, matrix(config, q, s), config=config))[0, 0]

    assert zero_sum(minus) == 0x80000000
    assert zero_sum(-minus) == 0
    assert zero_sum(np.array([[-1.0], [1.0]], np.float16)) == 0


def test_tiles_and_order():
    """More rows and columns than one tile: every element equals its own one-element product."""
    config = Config(group=32, zero_point=True, token_scale=True)
    rng = np.random.default_rng(3)
    a, weights, t = random_operands(rng, config, 513, 70, 1030, "plain")
    out = mpgemm(a, weights, t=t, config=config)
    for i, j in [(0, 0), (255, 511), (256, 512), (511, 1023), (512, 1029), (512, 0), (0, 1029)]:
        one = a[i : i + 1], weights.columns(slice(j, j + 1)), t[i : i + 1]
        assert codes(out)[i, j] == reference(*one, config)[0, 0]
    np.testing.assert_array_equal(codes(mpgemm(a[500:], weights, t=t[500:], config=config)), codes(out[500:]))
    np.testing.assert_array_equal(
        codes(mpgemm(a, weights.columns(slice(3, 9)), t=t, config=config)), codes(out[:, 3:9])
    )
