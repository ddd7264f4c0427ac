"""The streams' bit layout against a bit-by-bit reading of its description."""

from itertools import product
from typing import Any

import ml_dtypes
import numpy as np
import pytest

from mixpe.quant.golden import mpgemm
from mixpe.quant.matrix import QuantizedMatrix
from mixpe.quant.operands import Operands
from mixpe.quant.packing.beats import (
    Beats,
    beat_index,
    pack_acts,
    pack_matmul,
    pack_outputs,
    pack_scales,
    pack_tokens,
    pack_weights,
    tiles,
    unpack_acts,
    unpack_outputs,
    unpack_tokens,
    unpack_weights,
)
from mixpe.quant.packing.bits import from_beats, to_beats
from mixpe.spec.array import Config
from mixpe.spec.errors import UserError
from mixpe.spec.formats.numbers import IntFormat
from verif.reference.exact import codes
from verif.reference.exact_float import random_acts
from verif.samples.products import matrix


def operands(config: Config, m: int, k: int, n: int, seed: int = 0) -> tuple[Any, QuantizedMatrix, Any]:
    """Returns a, weights and t: any codes, any bits."""
    rng = np.random.default_rng(seed)
    code, groups = config.weight_code, -(-k // config.group)
    if isinstance(config.act_code, IntFormat):
        a = rng.integers(config.act.min, config.act.max, (m, k), endpoint=True)
    else:
        a = random_acts(rng, config.act_float, (m, k))
    q = rng.integers(code.min, code.max, (k, n), endpoint=True)
    s = rng.integers(0, 1 << 16, (groups, n), dtype=np.uint16).view(np.float16)
    z = rng.integers(code.min, code.max, (groups, n), endpoint=True) if config.zero_point else None
    t = rng.integers(0, 1 << 32, m, dtype=np.uint32).view(np.float32) if config.token_scale else None
    return a, matrix(config, q, s, z), t


def bit_fields(value: int, position: int, width: int) -> int:
    return (value >> position) & ((1 << width) - 1)


def expected_streams(a, weights: QuantizedMatrix, t, config: Config) -> Beats:
    """Returns the layout, one field at a time, in plain Python."""
    q, s, z = weights.codes, weights.groups["s"], weights.zeros
    (m, k), n = a.shape, q.shape[1]
    ab, wb, lanes = config.act_bits, config.weight_bits, config.lanes
    a = a if config.act_format == "int" else codes(a)
    beats = Beats()
    for row, col in product(range(0, m, config.rows), range(0, n, config.cols)):
        for g, start in enumerate(range(0, k, config.group)):
            stop = min(start + config.group, k)
            for beat in range(start, stop, lanes):
                acts = own = 0
                for lane, i, j in product(range(lanes), range(config.rows), range(config.cols)):
                    if beat + lane < stop and row + i < m:
                        acts |= (int(a[row + i, beat + lane]) % 2**ab) << ((i * lanes + lane) * ab)
                    if beat + lane < stop and col + j < n:
                        own |= (int(q[beat + lane, col + j]) % 2**wb) << ((j * lanes + lane) * wb)
                last = stop == k and beat + lanes >= stop
                beats.acts.append(acts | last << (config.rows * lanes * ab))
                beats.weights.append(own)
            scales = 0
            for j in range(min(config.cols, n - col)):
                scales |= int(s.view(np.uint16)[g, col + j]) << (16 * j)
                if z is not None:
                    scales |= (int(z[g, col + j]) % 2**wb) << (16 * config.cols + wb * j)
            beats.scales.append(scales)
        if t is not None:
            words = t.view(np.uint32)[row : row + config.rows].tolist()
            beats.tokens.extend(words + [0] * (config.rows - len(words)))
    return beats


ODD = Config(
    rows=3, cols=2, group=5, lanes=2, act_bits=5, weight_bits=3, weight_signed=False, token_scale=True
)
CONFIGS = [
    Config(rows=1, cols=1, group=4),
    Config(rows=2, cols=3, group=8, lanes=4, zero_point=True),
    ODD,
    Config(rows=4, cols=5, group=6, lanes=8, act_bits=16, weight_bits=8, zero_point=True, token_scale=True),
    Config(rows=2, cols=2, group=7, act_bits=11, weight_bits=7, weight_signed=False, zero_point=True),
    Config(rows=3, cols=2, group=5, lanes=2, act_format="fp16", align_bits=13),
    Config(rows=2, cols=3, group=6, lanes=4, act_format="bf16", align_bits=8, zero_point=True),
    Config(rows=3, cols=1, group=9, lanes=8, act_format="fp8_e4m3", token_scale=True),
    Config(rows=1, cols=2, group=4, act_format="fp8_e5m2", fp_scheme="fp_mac", weight_bits=3),
]


@pytest.mark.parametrize("config", CONFIGS, ids=lambda config: config.name)
@pytest.mark.parametrize("size", [(1, 1, 1), (5, 13, 7), (4, 16, 6), (2, 24, 3)])
def test_layout_of_a_product(config, size):
    a, weights, t = operands(config, *size)
    assert pack_matmul(a, weights, config=config, t=t) == expected_streams(a, weights, t, config)


def test_layout_of_a_known_product():
    """Written out by hand: 2 rows, 2 columns, 2 lanes, a group of 3, K = 4."""
    config = Config(rows=2, cols=2, lanes=2, group=3, zero_point=True, token_scale=True)
    a = np.array([[1, 2, 3, 4], [-1, -2, -3, -4]])
    q = np.array([[1], [-1], [2], [-8]])
    s, z = np.array([[1.0], [-2.0]], np.float16), np.array([[7], [-8]])
    t = np.array([1.0, -1.0], np.float32)
    beats = pack_matmul(a, matrix(config, q, s, z), config=config, t=t)
    assert beats.acts == [0x0_FEFF_0201, 0x0_00FD_0003, 0x1_00FC_0004]
    assert beats.weights == [0x00F1, 0x0002, 0x0008]
    assert beats.scales == [0x07_0000_3C00, 0x08_0000_C000]
    assert beats.tokens == [0x3F800000, 0xBF800000]


FLOATS = {
    "fp16": np.float16,
    "bf16": ml_dtypes.bfloat16,
    "fp8_e4m3": ml_dtypes.float8_e4m3fn,
    "fp8_e5m2": ml_dtypes.float8_e5m2,
}


@pytest.mark.parametrize(
    ("act_format", "one", "infinite"),
    [
        ("fp16", 0x3C00, 0x7C00),
        ("bf16", 0x3F80, 0x7F80),
        ("fp8_e4m3", 0x38, 0x7F),
        ("fp8_e5m2", 0x3C, 0x7C),
    ],
)
def test_layout_of_known_floats(act_format, one, infinite):
    """Written out by hand: 2 rows, 2 lanes, K = 3; 1, -1, and in the second row infinity (or NaN), -0, -1."""
    config = Config(rows=2, cols=1, lanes=2, act_format=act_format, fp_scheme="fp_mac")
    a = np.array([[1, -1, 1], [np.inf if act_format != "fp8_e4m3" else np.nan, -0.0, -1]])
    bits = 8 if "fp8" in act_format else 16
    minus, sign = one | 1 << (bits - 1), 1 << (bits - 1)
    first = one | minus << bits | infinite << (2 * bits) | sign << (3 * bits)
    second = one | minus << (2 * bits) | 1 << (4 * bits)
    assert pack_acts(a.astype(FLOATS[act_format]), config) == [first, second]


@pytest.mark.parametrize("act_format", FLOATS)
def test_every_float_code_survives(act_format):
    """NaN payloads, the signs of zeros and NaN, subnormals: packing moves bits."""
    bits = 8 if "fp8" in act_format else 16
    config = Config(rows=8, act_format=act_format, fp_scheme="fp_mac", lanes=8)
    every = np.arange(1 << bits).reshape(8, -1)
    a = every.astype(f"u{bits // 8}").view(FLOATS[act_format])
    back = unpack_acts(pack_acts(a, config), a.shape[1], config)
    assert back.dtype == FLOATS[act_format]
    np.testing.assert_array_equal(codes(back), every)


@pytest.mark.parametrize("act_format", FLOATS)
def test_refuses_activations_of_another_type(act_format):
    config, own = Config(act_format=act_format, fp_scheme="fp_mac"), np.dtype(FLOATS[act_format])
    for dtype in {np.int8, np.uint16, np.float32, np.float64, bool, *FLOATS.values()} - {FLOATS[act_format]}:
        with pytest.raises(UserError) as error:
            pack_acts(np.zeros((2, 3), dtype), config)
        assert str(error.value) == (
            f"a must have dtype {own} for {act_format.upper()}, not {np.dtype(dtype)}"
        )
    with pytest.raises(UserError, match=r"^a must have an integer dtype, not "):
        pack_acts(np.zeros((2, 3), own), Config())


def test_tiles_go_across_then_down():
    assert list(tiles(5, 3, Config(rows=2, cols=2))) == [(0, 0), (0, 2), (2, 0), (2, 2), (4, 0), (4, 2)]


def test_every_group_starts_a_beat():
    index = beat_index(12, Config(group=5, lanes=4))
    assert index.tolist() == [[0, 1, 2, 3], [4, -1, -1, -1], [5, 6, 7, 8], [9, -1, -1, -1], [10, 11, -1, -1]]


@pytest.mark.parametrize("config", CONFIGS, ids=lambda config: config.name)
def test_unpacking_inverts_packing(config):
    k = 3 * config.group - 1
    a, weights, t = operands(config, config.rows, k, config.cols)
    a_back = unpack_acts(pack_acts(a, config), k, config)
    if isinstance(config.act_code, IntFormat):
        np.testing.assert_array_equal(a_back, a)
    else:
        assert a_back.dtype == a.dtype
        np.testing.assert_array_equal(codes(a_back), codes(a))
    back = unpack_weights(pack_weights(weights, config), pack_scales(weights, config), k, config)
    assert back.format == config.matrix
    np.testing.assert_array_equal(back.codes, weights.codes)
    np.testing.assert_array_equal(codes(back.groups["s"]), codes(weights.groups["s"]))
    if weights.zeros is None:
        assert back.zeros is None
    else:
        np.testing.assert_array_equal(back.groups["z"], weights.zeros)
    if t is not None:
        t_back = unpack_tokens(pack_tokens(t, config), config)
        np.testing.assert_array_equal(t_back.view(np.uint32), t.view(np.uint32))
    assert pack_tokens(None, Config()) == []


@pytest.mark.parametrize("out_format", ["fp32", "fp16", "bf16"])
@pytest.mark.parametrize("size", [(1, 1), (3, 4), (7, 9)])
def test_outputs(out_format, size):
    config = Config(rows=3, cols=4, out_format=out_format)
    bits, (m, n) = config.out.bits, size
    dtype = {"fp32": np.float32, "fp16": np.float16, "bf16": ml_dtypes.bfloat16}[out_format]
    words = np.random.default_rng(0).integers(0, 1 << bits, size, dtype=f"u{bits // 8}")
    beats = pack_outputs(words.view(dtype), config)
    assert len(beats) == len(list(tiles(m, n, config))) * 3
    for tile, (row, col) in enumerate(tiles(m, n, config)):
        for i in range(3):
            beat = beats[3 * tile + i]
            assert beat >> (4 * bits) == (i == 2)
            for j in range(4):
                inside = row + i < m and col + j < n
                assert bit_fields(beat, j * bits, bits) == (words[row + i, col + j] if inside else 0)
    back = unpack_outputs(beats, m, n, config)
    assert back.dtype == dtype
    np.testing.assert_array_equal(back.view(words.dtype), words)


@pytest.mark.parametrize("acts", [{}, {"act_format": "fp8_e5m2"}, {"act_format": "bf16", "align_bits": 9}])
def test_streams_hold_the_whole_product(acts):
    """Unpacked tile by tile, multiplied by the golden model, packed again: the product and its padding."""
    fields = {"zero_point": True, "token_scale": True, "weight_signed": False, **acts}
    config = Config(rows=3, cols=4, group=6, lanes=4, **fields)
    a, whole, t = operands(config, 7, 20, 9)
    beats, k = pack_matmul(a, whole, config=config, t=t), 20
    results = []
    for tile, _ in enumerate(tiles(7, 9, config)):
        acts, weights, scales, tokens = (
            stream[tile * count : (tile + 1) * count]
            for stream, count in [(beats.acts, 7), (beats.weights, 7), (beats.scales, 4), (beats.tokens, 3)]
        )
        own_acts, own_t = unpack_acts(acts, k, config), unpack_tokens(tokens, config)
        own_weights = unpack_weights(weights, scales, k, config)
        results += pack_outputs(mpgemm(own_acts, own_weights, t=own_t, config=config), config)
    filled = Operands(config, a, whole, t).padded()
    padded = mpgemm(filled.a, filled.weights, t=filled.t, config=config)
    assert padded.shape == (9, 12)
    assert results == pack_outputs(padded, config)
    out = mpgemm(a, whole, t=t, config=config)
    np.testing.assert_array_equal(unpack_outputs(results, 7, 9, config).view(np.uint32), out.view(np.uint32))


def test_long_streams():
    """More beats than one chunk, and beats of 8192 bits."""
    config = Config(rows=128, cols=128, lanes=8, group=100)
    a, whole, _ = operands(config, 128, 4001, 128)
    acts, weights, scales = pack_acts(a, config), pack_weights(whole, config), pack_scales(whole, config)
    assert len(acts) == len(weights) == 40 * 13 + 1
    assert len(scales) == 41
    assert acts[-1] >> (128 * 64) == 1
    np.testing.assert_array_equal(unpack_acts(acts, 4001, config), a)
    back = unpack_weights(weights, scales, 4001, config)
    np.testing.assert_array_equal(back.codes, whole.codes)
    np.testing.assert_array_equal(codes(back.groups["s"]), codes(whole.groups["s"]))


@pytest.mark.parametrize("width", [1, 2, 3, 7, 8, 11, 16, 31, 32])
def test_bit_fields(width):
    values = np.random.default_rng(width).integers(0, 1 << width, (6, 5), dtype=np.uint32)
    beats = to_beats(values, width)
    assert beats == [sum(int(v) << (i * width) for i, v in enumerate(row)) for row in values]
    np.testing.assert_array_equal(from_beats("x", beats, 5, width), values)


SMALL = Config(rows=2, cols=2, group=4, zero_point=True, token_scale=True)
A, MATRIX, T = operands(SMALL, 2, 5, 2)
Q, S, Z = MATRIX.codes, MATRIX.groups["s"], MATRIX.groups["z"]
ACTS, WEIGHTS, SCALES = pack_acts(A, SMALL), pack_weights(MATRIX, SMALL), pack_scales(MATRIX, SMALL)
OUTPUTS = pack_outputs(np.zeros((2, 2), np.float32), SMALL)
WIDE = matrix(SMALL, np.zeros((5, 3), int), np.zeros((2, 3), np.float16), np.zeros((2, 3), int))
SHORT = matrix(SMALL, Q[:4], S[:1], Z[:1])


def pack_arrays(q, s, z, config: Config) -> Beats:
    """Packs the product of A with the matrix of loose arrays."""
    return pack_matmul(A, matrix(config, q, s, z), config=config, t=T)


def pack_product(a, weights, t, config: Config) -> Beats:
    """Packs a product; the configuration goes last."""
    return pack_matmul(a, weights, config=config, t=t)


@pytest.mark.parametrize(
    ("function", "arguments", "message"),
    [
        (pack_acts, (np.zeros((3, 5), int),), "a must have at most 2 rows in one tile, not 3"),
        (pack_acts, (A + 300,), r"a\[0, 0\] must be INT8"),
        (pack_weights, (WIDE,), "q must have at most 2 columns in one tile, not 3"),
        (pack_arrays, (Q + 16, S, Z), r"q\[0, 0\] must be INT4"),
        (pack_scales, (WIDE,), "s must have at most 2 columns in one tile, not 3"),
        (pack_arrays, (Q, S, None), "z is missing"),
        (
            pack_arrays,
            (Q, S, Z[:1]),
            r"z must have shape \[G, N\] = \(2, 2\) \(groups of 4\), not \(1, 2\)",
        ),
        (pack_arrays, (Q, S.astype(float), Z), "s must have dtype float16"),
        (pack_tokens, (np.zeros(3, np.float32),), "t must have at most 2 rows in one tile, not 3"),
        (pack_outputs, (np.zeros((2, 2), np.float16),), "out must have dtype float32 for FP32, not float16"),
        (
            pack_outputs,
            (np.zeros((0, 2), np.float32),),
            r"out must have at least one element along each of \[M, N\], not \(0, 2\)",
        ),
        (pack_outputs, (np.zeros(2, np.float32),), r"out must be an array \[M, N\], not of shape \(2,\)"),
        (pack_product, (A, SHORT, T), r"weights must have K = 5 rows, .* not shape \(4, 2\)"),
        (unpack_acts, (ACTS[:-1], 5), "acts must have 5 beats, not 4"),
        (unpack_acts, (ACTS[:-1] + [ACTS[-1] & 0xFFFF], 5), r"acts\[4\] must have last = 1 in bit 16"),
        (unpack_acts, ([ACTS[-1]] + ACTS[1:], 5), r"acts\[0\] must have last = 0 in bit 16"),
        (unpack_weights, (WEIGHTS + [0], SCALES, 5), "weights must have 5 beats, not 6"),
        (
            unpack_weights,
            ([256] + WEIGHTS[1:], SCALES, 5),
            r"weights\[0\] must be an unsigned integer of 8 bits",
        ),
        (unpack_weights, ([-1] + WEIGHTS[1:], SCALES, 5), r"weights\[0\] .* not a negative one"),
        (unpack_weights, (WEIGHTS, SCALES[:1], 5), "scales must have 2 beats, not 1"),
        (unpack_weights, (WEIGHTS, [1 << 40, 0], 5), r"scales\[0\] must be an unsigned integer of 8 bits"),
        (unpack_tokens, ([0],), "tokens must have 2 beats, not 1"),
        (unpack_outputs, (OUTPUTS, 3, 2), "outputs must have 4 beats, not 2"),
        (unpack_outputs, (OUTPUTS[::-1], 2, 2), r"outputs\[0\] must have last = 0 in bit 64"),
    ],
)
def test_refusals(function, arguments, message):
    with pytest.raises(UserError, match=message):
        function(*arguments, SMALL)
