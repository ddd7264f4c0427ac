"""The golden model with floating-point activations, against exact rational arithmetic."""

import math
from dataclasses import replace
from fractions import Fraction
from itertools import product

import numpy as np
import pytest

from mixpe.quant.golden import mpgemm
from mixpe.quant.matrix import QuantizedMatrix
from mixpe.quant.operands import float_dtype
from mixpe.spec.array import Config
from mixpe.spec.formats.numbers import ACT_FORMATS, BF16, FP32
from verif.reference.exact import INF, NAN, codes, encode
from verif.reference.exact_float import decode_act, float_reference, random_float_operands, signed
from verif.samples.products import matrix

EXACT = {"fp16": 41, "bf16": 41, "fp8_e4m3": 19, "fp8_e5m2": 33, "fp6_e3m2": 10}
"""Greatest align_bits; for BF16 not exact."""

KINDS = [(True, False), (True, True), (False, False), (False, True)]
"""weight_signed, zero_point."""


def schemes(act_format: str, **fields) -> list[Config]:
    """Configurations of a format: of several widths if aligned, of all lanes if not."""
    widths = [*(b for b in (8, 11, 13, 16) if b < EXACT[act_format]), EXACT[act_format]]
    aligned = [Config(act_format=act_format, align_bits=b, **fields) for b in widths]
    return aligned + [
        Config(act_format=act_format, fp_scheme="fp_mac", lanes=lanes, **fields) for lanes in (1, 2, 4, 8)
    ]


def check(a, weights: QuantizedMatrix, t, config: Config) -> np.ndarray:
    found = codes(mpgemm(a, weights, t=t, config=config))
    np.testing.assert_array_equal(found, float_reference(a, weights, t, config))
    return found


def array(act_format: str, rows) -> np.ndarray:
    """Numbers that the format holds exactly, or infinities and NaN."""
    a = np.array(rows, np.float64).astype(float_dtype(ACT_FORMATS[act_format]))
    np.testing.assert_array_equal(a.astype(np.float64), rows)
    return a


@pytest.mark.parametrize("act_format", ACT_FORMATS)
def test_reference_decodes_every_code(act_format):
    form = ACT_FORMATS[act_format]
    for code in range(1 << form.bits):
        sign, magnitude = decode_act(code, form)
        value = form.decode(code)
        expected = NAN if math.isnan(value) else INF if math.isinf(value) else Fraction(abs(value))
        assert (sign, magnitude) == (code >> (form.bits - 1), expected)


@pytest.mark.parametrize("act_format", ACT_FORMATS)
@pytest.mark.parametrize(("weight_signed", "zero_point"), KINDS)
def test_random_codes(act_format, weight_signed, zero_point):
    """Any bit pattern of activations and scales; whole groups, tails and groups of one."""
    rng = np.random.default_rng(1)
    kind = {"weight_signed": weight_signed, "zero_point": zero_point}
    for weight_bits, group, k, out_format, token in [
        (4, 8, 21, "fp32", False),
        (8, 16, 16, "bf16", True),
        (2, 1, 3, "fp16", False),
        (3, 128, 13, "fp32", True),
    ]:
        shape = {"weight_bits": weight_bits, "group": group, "out_format": out_format, "token_scale": token}
        for config in schemes(act_format, **kind, **shape):
            for scales, specials in [("any", True), ("plain", False)]:
                check(*random_float_operands(rng, config, 2, k, 3, scales, specials), config)


def adversarial(act_format: str, length: int) -> np.ndarray:
    """Rows of one group: what rounds, cancels, is lost, or is no number."""
    form, rng = ACT_FORMATS[act_format], np.random.default_rng(2)
    huge, tiny = form.decode(form.largest), form.decode(1)
    normal, subnormal = form.decode(1 << form.fraction_bits), form.decode((1 << form.fraction_bits) - 1)
    nan = np.nan if form.nans else -huge
    inf = np.inf if form.infinities else np.nan if form.nans else huge
    odd = 1 + form.decode(form.encode(1.0) + 1) - 1  # 1 and an ulp
    rows = [
        [huge, -huge] * (length // 2),
        [odd, -1.0] * (length // 2),
        [huge, tiny, -huge, -tiny, 1.0, odd, -odd, -1.0] * (length // 8),
        [huge] + [tiny] * (length - 1),
        [-huge] + [normal, subnormal, -tiny] * (length // 3 + 1),
        [1.0] + [2.0**-i for i in range(1, 8)] + [-(2.0**-i) * 1.5 for i in range(8)],
        [subnormal, -tiny] * (length // 2),
        list(tiny * rng.integers(-(2**form.fraction_bits) + 1, 2**form.fraction_bits, length)),
        [0.0, -0.0] * (length // 2),
        [-0.0] * length,
        [huge] * length,
        [1.0, inf, -1.0] + [0.0] * (length - 3),
        [inf, inf] + [huge] * (length - 2),
        [-inf, 1.0, -inf] + [tiny] * (length - 3),
        [inf, 1.0, 2.0, -inf] + [1.0] * (length - 4),
        [nan] + [1.0] * (length - 1),
        [inf] * (length - 1) + [nan],
    ]
    values = np.array([(row + [0.0] * length)[:length] for row in rows])
    dtype = float_dtype(form)
    return np.array([[form.encode(x) for x in row] for row in values], f"u{dtype.itemsize}").view(dtype)


@pytest.mark.parametrize("act_format", ACT_FORMATS)
@pytest.mark.parametrize(("weight_signed", "zero_point"), KINDS)
def test_adversarial_groups(act_format, weight_signed, zero_point):
    rng, length = np.random.default_rng(3), 16
    a = adversarial(act_format, length)
    for config in schemes(act_format, group=length, weight_signed=weight_signed, zero_point=zero_point):
        code = config.weight_code
        q = rng.integers(code.min, code.max, (length, 6), endpoint=True)
        for col, value in enumerate((code.max, 1, code.min)):
            q[:, col] = value
        q[:, 3] = np.where(rng.random(length) < 0.6, 0 if weight_signed else 8, q[:, 3])  # 0 in the array
        s = np.array([[1.0, 0.1, -6e-8, 65504.0, np.inf, -0.0]], np.float16)
        z = rng.integers(code.min, code.max, (1, 6), endpoint=True) if zero_point else None
        check(a, matrix(config, q, s, z), None, config)
        if z is not None:
            check(a, matrix(config, q, s, np.full_like(z, q[0, 3])), None, config)
        twice = [None if x is None else np.tile(x, (2, 1)) for x in (q, s, z)]
        check(np.concatenate([a, a[::-1]], axis=1), matrix(config, *twice), None, config)


# What can be told without a reference


ONE = np.ones((1, 1), np.float16)


@pytest.mark.parametrize(
    ("act_format", "bits"), [(f, b) for f in ACT_FORMATS for b in (8, 11, 13, 16) if b < EXACT[f]]
)
def test_ties_of_the_alignment(act_format, bits):
    """Beside 2**e the unit is 2**(e - bits + 2): halves go to the even neighbour, all else to the nearest."""
    top = {"fp8_e4m3": 8, "fp6_e3m2": 4}.get(act_format, 14)
    config = Config(act_format=act_format, align_bits=bits, group=2)
    # FP6 has nothing nearer to half a unit.
    near = [(1.5, 1), (0.5, 0)] if act_format == "fp6_e3m2" else [(1.25, 1), (0.75, 0)]
    for halves, units in [(1, 0), (3, 2), (5, 2), (7, 4), (2, 1), *near, (2.5, 1), (3.5, 2)]:
        for sign in (1, -1):
            unit = 2.0 ** (top - bits + 2)
            a = array(act_format, [[2.0**top, sign * halves * unit / 2]])
            out = mpgemm(a, matrix(config, np.ones((2, 1), int), ONE), config=config)
            assert out[0, 0] == 2.0**top + sign * units * unit


@pytest.mark.parametrize(
    ("act_format", "bits", "largest"),
    [
        ("fp16", 8, 127 * 2.0**9),
        ("fp16", 11, 1023 * 2.0**6),
        ("fp16", 12, 65504),
        ("bf16", 8, 127 * 2.0**121),
        ("bf16", 9, 255 * 2.0**120),
    ],
)
def test_clamp(act_format, bits, largest):
    """The largest number rounds up to 2**(bits - 1) units where its significand is wider than bits - 1."""
    form = ACT_FORMATS[act_format]
    a = array(act_format, [[form.decode(form.largest)], [-form.decode(form.largest)]])
    config = Config(act_format=act_format, align_bits=bits)
    out = mpgemm(a, matrix(config, np.ones((1, 1), int), ONE), config=config)
    assert out[:, 0].tolist() == [largest, -largest]


def test_bf16_results_beyond_the_range():
    """D overflows, is subnormal, and is rounded once there; P overflows before a scale could mend it."""
    powers = [2.0**p for p in (127, 120, 113, 112, 111, 0, -101, -115, -125, -126, -127, -130, -133)]
    values = [x * p for p in powers for x in (1, 1.9921875, 1.5, -1) if p * x * 2.0**133 % 1 == 0]
    a = array("bf16", [[x] for x in values])
    q = np.array([[1, -1, 7, 5, 3, -8, 2, 7]])
    s = np.array([[1, 6e-8, 65504, 0.1, 3.0e-5, 1.0009765625, -65504, 5e-6]], np.float16)
    for config in schemes("bf16", group=1):
        found = check(a, matrix(config, q, s), None, config).view(np.float32)
        assert np.isinf(found).any()
        assert ((found != 0) & (abs(found) < 2.0**-126)).any()


def test_subnormal_results_are_rounded_once():
    """24 bits of a sum times 11 of a scale: rounding to 24 first would meet ties that there are not."""
    config, rng = Config(act_format="bf16", align_bits=41, group=16), np.random.default_rng(7)
    a = (rng.standard_normal((8, 16)) * 2.0 ** rng.integers(-128, -118, (8, 16))).astype(float_dtype(BF16))
    q = rng.integers(-8, 8, (16, 16))
    s = (2.0 ** -rng.integers(8, 15, (1, 16)) * rng.uniform(1, 2, (1, 16))).astype(np.float16)
    found = check(a, matrix(config, q, s), None, config).view(np.float32)
    assert (abs(found) < 2.0**-126).mean() > 0.5


@pytest.mark.parametrize(("weight_signed", "zero_point"), KINDS)
@pytest.mark.parametrize("act_format", ["fp16", "bf16"])
def test_sums_wider_than_float64(act_format, weight_signed, zero_point):
    """41x8 bits over 16384: sums up to 2**62, rounded once, then a tail."""
    config = Config(
        act_format=act_format,
        align_bits=41,
        weight_bits=8,
        group=16384,
        weight_signed=weight_signed,
        zero_point=zero_point,
    )
    rng, k = np.random.default_rng(4), 16384 + 3
    a, weights, t = random_float_operands(rng, config, 2, k, 2, "plain", specials=False)
    a[0] = rng.standard_normal(k) * 2.0 ** rng.integers(-8, 9, k)
    check(a, weights, t, config)
    a[:] = np.where(rng.random(k) < 0.01, -(2.0**-14), 15.0)  # of one sign but for some far below
    q = np.full_like(weights.codes, config.weight_code.min)
    q[::1000] += 1
    z = None if weights.zeros is None else np.full_like(weights.zeros, config.weight_code.max)
    check(a, matrix(config, q, weights.groups["s"], z), t, config)


@pytest.mark.parametrize(("total", "rounded"), [(8197, [-1, 1, 1]), (8199, [-1, -1, 1])])
def test_a_tie_broken_far_below(total, rounded):
    """2047 * total units of 2**29 are a tie of FP32 above 2**53, which the least unit breaks."""
    config = Config(act_format="fp16", weight_bits=8, group=128)
    a = array("fp16", [[65504.0] * 70 + [2.0**-24]])
    q = np.zeros((71, 3), int)
    q[:64], q[64] = 127, total - 64 * 127
    q[70] = (-1, 0, 1)
    out = mpgemm(a, matrix(config, q, np.ones((1, 3), np.float16)), config=config)
    assert [float(x) / 32 - 2047 * total for x in out[0]] == rounded


@pytest.mark.parametrize("act_format", ["fp16", "fp8_e4m3", "fp8_e5m2"])
@pytest.mark.parametrize(("weight_signed", "zero_point"), KINDS)
def test_exact_alignment_rounds_the_true_dot_product_once(act_format, weight_signed, zero_point):
    """With a power of two for scale, the result is the dot product itself, correctly rounded."""
    config = Config(
        act_format=act_format, group=32, weight_bits=5, weight_signed=weight_signed, zero_point=zero_point
    )
    rng = np.random.default_rng(5)
    a, weights, _ = random_float_operands(rng, config, 6, 32, 6, "plain", specials=False)
    a[3:] = a[3:].astype(np.float64) * 0.001
    q, z = weights.codes, weights.zeros
    s = (2.0 ** rng.integers(-8, 9, (1, 6))).astype(np.float16)
    out = codes(mpgemm(a, matrix(config, q, s, z), config=config))
    form, half = config.act_float, 0 if z is None else z[0]
    for i, j in product(range(6), range(6)):
        acts = [signed(decode_act(int(code), form)) for code in codes(a)[i]]
        own = [int(w) for w in (q - half)[:, j]]
        true = sum(x * w for x, w in zip(acts, own, strict=True)) * Fraction(float(s[0, j]))
        assert out[i, j] == encode((int(true < 0), abs(Fraction(true))), FP32)


@pytest.mark.parametrize("act_format", [name for name, form in ACT_FORMATS.items() if form.nans])
@pytest.mark.parametrize(("weight_signed", "zero_point"), KINDS)
def test_schemes_agree_on_infinities_and_nan(act_format, weight_signed, zero_point):
    """Small activations and finite scales overflow nowhere: a special result has special operands.

    An infinite scale is left out: it makes NaN of a sum that is 0, and rounding makes sums 0 in one scheme
    and not in the other.
    """
    form, rng = ACT_FORMATS[act_format], np.random.default_rng(6)
    drawn = [np.nan] + [np.inf, -np.inf] * 4 * form.infinities
    for group, k in ((8, 7), (8, 8), (4, 11)):
        fields = {"group": group, "weight_signed": weight_signed, "zero_point": zero_point}
        configs = schemes(act_format, **fields)
        _, weights, _ = random_float_operands(rng, configs[0], 1, k, 40, "plain")
        groups = {symbol: member.copy() for symbol, member in weights.groups.items()}
        groups["s"][:, ::7] = 0
        if zero_point:
            groups["z"][:, ::3] = 0 if weight_signed else 8  # 0 in the array
        weights = replace(weights, groups=groups)
        a = rng.choice([0.0, -0.0, 1.0, -1.5, 0.125, 8.0], (60, k))
        a = np.where(rng.random(a.shape) < 0.15, rng.choice(drawn, a.shape), a).astype(float_dtype(form))
        results = [mpgemm(a, weights, config=config) for config in configs]
        seen = [kind(results[0]).any() for kind in (np.isnan, np.isinf, np.isfinite)]
        assert seen == [True, form.infinities, True]
        for result in results[1:]:
            np.testing.assert_array_equal(pattern(result), pattern(results[0]))


def pattern(result: np.ndarray) -> np.ndarray:
    """Codes of infinities and NaN, 0 for numbers."""
    return np.where(np.isfinite(result), 0, codes(result))


def test_order_of_sums():
    """2**24, 1, 1 and -2**24, every `stride` k: 1 is lost on 2**24, not if the second half is added first."""
    a = np.zeros((3, 16))
    for row, stride in enumerate((1, 2, 4)):
        a[row, : 4 * stride : stride] = 2.0**24, 1, 1, -(2.0**24)
    for lanes in (1, 2, 4, 8):
        config = Config(act_format="bf16", fp_scheme="fp_mac", lanes=lanes)
        out = mpgemm(array("bf16", a), matrix(config, np.ones((16, 1), int), ONE), config=config)
        assert out[:, 0].tolist() == [float(lanes > stride) for stride in (1, 2, 4)]
