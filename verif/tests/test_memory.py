"""Operands in memory against a bit-by-bit reading of docs/memory.md."""

import dataclasses
from itertools import product
from typing import Any

import numpy as np
import pytest

from mixpe.quant.packing import beats as packing
from mixpe.quant.packing import memory
from mixpe.spec.array import Config
from mixpe.spec.errors import UserError
from verif.reference.exact import codes, random_operands
from verif.reference.memory_reader import Reader, field, number_codes, operands, random_config, up
from verif.samples.products import matrix


@pytest.mark.parametrize("seed", range(40))
def test_every_field_is_where_the_document_says(seed, monkeypatch):
    """Sizes, fields, and what comes back; in pieces of few codes and in one piece."""
    rng = np.random.default_rng(seed)
    config = random_config(rng)
    m, k, n = (int(rng.integers(1, high)) for high in (4, 50, 25))
    a, weights, t = operands(rng, config, m, k, n)
    q, s, z = weights.codes, weights.groups["s"], weights.zeros
    if seed % 2:
        monkeypatch.setattr(memory, "_CHUNK", 100)
    packed, reader = memory.pack_weights(weights, config), Reader(config, k)
    tiles = up(n, config.cols)
    assert packed.weights.shape == (tiles * reader.weight_tile,)
    assert packed.scales.shape == (tiles * reader.scale_tile,)
    for i, j in product(range(k), range(n)):
        assert reader.q(packed.weights, i, j) == q[i, j] % 2**config.weight_bits
    for g, j in product(range(reader.groups), range(n)):
        assert reader.s(packed.scales, g, j) == codes(s)[g, j]
        assert z is None or reader.z(packed.scales, g, j) == z[g, j] % 2**config.weight_bits
    acts, expected = memory.pack_acts(a, config), number_codes(a)
    assert acts.shape == (m, reader.a_stride)
    for i, j in product(range(m), range(k)):
        found = reader.a(acts, i, j)
        assert found == expected[i, j] % 2**reader.c
    # Nothing else is set: as many bits as in the fields.
    assert np.unpackbits(packed.weights).sum() == count_bits(q, config.weight_bits)
    assert np.unpackbits(packed.scales).sum() == count_bits(codes(s), 16) + (
        0 if z is None else count_bits(z, config.weight_bits)
    )
    assert np.unpackbits(acts).sum() == count_bits(expected, reader.c)
    check_inverses(config, packed, acts, (a, weights, t))


def count_bits(values: Any, width: int) -> int:
    return sum((int(value) % 2**width).bit_count() for value in np.ravel(values))


def check_inverses(config: Config, packed: memory.PackedWeights, acts: np.ndarray, arrays: Any) -> None:
    a, weights, t = arrays
    s, z = weights.groups["s"], weights.zeros
    back = memory.unpack_weights(packed)
    assert back.format == config.matrix
    q_back, s_back, z_back = back.codes, back.groups["s"], back.zeros
    kind = f"{'' if config.weight_signed else 'u'}int8"
    assert q_back.dtype == kind
    np.testing.assert_array_equal(q_back, weights.codes)
    np.testing.assert_array_equal(codes(s_back), codes(s))
    assert (z_back is None) == (z is None)
    if z is not None and z_back is not None:
        assert z_back.dtype == kind
        np.testing.assert_array_equal(z_back, z)
    a_back = memory.unpack_acts(acts, a.shape[1], config)
    if config.act_format == "int":
        assert a_back.dtype == (np.int8 if config.act_bits <= 8 else np.int16)
        np.testing.assert_array_equal(a_back, a)
    else:
        assert a_back.dtype == a.dtype
        np.testing.assert_array_equal(codes(a_back), codes(a))
    if t is not None:
        data = memory.pack_tokens(t)
        assert data.tolist() == list(b"".join(int(code).to_bytes(4, "little") for code in codes(t)))
        np.testing.assert_array_equal(codes(memory.unpack_tokens(data)), codes(t))


@pytest.mark.parametrize("seed", range(12))
def test_tiles_hold_the_beats_of_the_streams(seed):
    rng = np.random.default_rng(seed)
    config = random_config(rng)
    k, n = int(rng.integers(1, 60)), int(rng.integers(1, 25))
    _, whole, _ = operands(rng, config, 1, k, n)
    packed, reader = memory.pack_weights(whole, config), Reader(config, k)
    for tile in range(up(n, config.cols)):
        cols = slice(tile * config.cols, (tile + 1) * config.cols)
        part = whole.columns(cols)
        weights = packing.pack_weights(part, config)
        width = config.cols * config.lanes * config.weight_bits
        region = packed.weights[tile * reader.weight_tile :]
        assert weights == [field(region, b * width, width) for b in range(len(weights))]
        scales = packing.pack_scales(part, config)
        region, width = packed.scales[tile * reader.scale_tile :], reader.scale_beat
        assert scales == [field(region, g * width, width) for g in range(reader.groups)]


@pytest.mark.parametrize("out_format", ["fp32", "fp16", "bf16"])
@pytest.mark.parametrize("n", [1, 16, 33])
def test_results(out_format, n):
    config = Config(out_format=out_format)
    size, bits = config.out.bits // 8, config.out.bits
    words = np.random.default_rng(n).integers(0, 1 << bits, (3, n), dtype=f"u{size}")
    out = memory.unpack_results(words.view(np.uint8).reshape(3, -1), n, config)
    data = memory.pack_results(out, config)
    assert data.shape == (3, up(n * size, 64) * 64)
    for i, row in enumerate(words):
        expected = b"".join(int(word).to_bytes(size, "little") for word in row)
        assert data[i].tobytes() == expected.ljust(data.shape[1], b"\0")
    wide = np.pad(data, ((0, 0), (0, 128)), constant_values=0xFF)
    back = memory.unpack_results(wide, n, config)
    wide[:] = 0  # the core's next results
    assert back.dtype == out.dtype
    np.testing.assert_array_equal(codes(back), words)


def test_padding_is_not_looked_at():
    """Ones wherever no field is; rows further apart than they must be."""
    rng = np.random.default_rng(0)
    config = Config(cols=3, lanes=4, group=5, weight_bits=3, act_bits=6, zero_point=True)
    a, weights, _ = random_operands(rng, config, 2, 13, 7)
    ones = np.full((3, 7), 0xFFFF, np.uint16).view(np.float16)
    every = matrix(config, np.full((13, 7), -1), ones, np.full((3, 7), -1))
    fields = memory.pack_weights(every, config)
    packed = memory.pack_weights(weights, config)
    dirty = dataclasses.replace(
        packed, weights=packed.weights | ~fields.weights, scales=packed.scales | ~fields.scales
    )
    assert (dirty.weights != packed.weights).sum() > 100
    assert (dirty.scales != packed.scales).sum() > 100
    back = memory.unpack_weights(dirty)
    np.testing.assert_array_equal(back.codes, weights.codes)
    for symbol in ("s", "z"):
        np.testing.assert_array_equal(back.groups[symbol], weights.groups[symbol])
    acts = memory.pack_acts(a, config) | ~memory.pack_acts(np.full_like(a, -1), config)
    acts = np.pad(acts, ((0, 0), (0, 64)), constant_values=0xFF) ^ 0xC0  # above the six bits, too
    np.testing.assert_array_equal(memory.unpack_acts(acts, 13, config), a)


def test_a_large_matrix():
    """4096 x 11008 W4, in many pieces: its last tile is that of its last columns."""
    config, rng = Config(zero_point=True), np.random.default_rng(0)
    q = rng.integers(-8, 8, (4096, 11008), dtype=np.int8)
    s = rng.integers(0, 1 << 16, (32, 11008), dtype=np.uint16).view(np.float16)
    z = rng.integers(-8, 8, (32, 11008), dtype=np.int8)
    packed = memory.pack_weights(matrix(config, q, s, z), config)
    last = memory.pack_weights(matrix(config, q[:, -16:], s[:, -16:], z[:, -16:]), config)
    np.testing.assert_array_equal(packed.weights[-4096 * 8 :], last.weights)
    np.testing.assert_array_equal(packed.scales[-32 * 40 :], last.scales)
    back = memory.unpack_weights(packed)
    assert (back.codes == q).all()
    assert (codes(back.groups["s"]) == codes(s)).all()
    assert (back.groups["z"] == z).all()


SMALL = Config(cols=2, group=4, zero_point=True, out_format="fp16")
Q, S, Z = np.zeros((5, 2), int), np.zeros((2, 2), np.float16), np.zeros((2, 2), int)
BYTES = np.zeros((2, 64), np.uint8)


def pack_arrays(q: Any, s: Any, z: Any, config: Config) -> memory.PackedWeights:
    """Packs the matrix of loose arrays."""
    return memory.pack_weights(matrix(config, q, s, z), config)


@pytest.mark.parametrize(
    ("function", "arguments", "message"),
    [
        (pack_arrays, (Q + 16, S, Z, SMALL), r"q\[0, 0\] must be INT4 \(-8 to 7\), not 16"),
        (pack_arrays, (Q[:4], S, Z, SMALL), r"s must have shape \[G, N\] = \(1, 2\) \(groups of 4\)"),
        (pack_arrays, (Q, S, Z[:1], SMALL), r"z must have shape \[G, N\] = \(2, 2\) \(groups of 4\)"),
        (pack_arrays, (Q, S.astype(float), Z, SMALL), "s must have dtype float16 for FP16, not float64"),
        (pack_arrays, (Q, S, None, SMALL), "z is missing"),
        (pack_arrays, (Q, S, Z, Config(group=4)), "z must be absent: groups of INT4 .* have s only"),
        (memory.pack_weights, (Q, SMALL), "weights must be a QuantizedMatrix, not ndarray"),
        (
            memory.pack_weights,
            (matrix(SMALL, Q, S, Z), Config(group=4)),
            "the weights are quantized as INT4 .* with s in FP16, z in INT4, and the array takes .* FP16: ",
        ),
        (memory.pack_acts, (Q + 128, SMALL), r"a\[0, 0\] must be INT8 \(-128 to 127\), not 128"),
        (
            memory.pack_acts,
            (Q[:0], SMALL),
            r"a must have at least one element along each of \[M, K\], not \(0, 2\)",
        ),
        (
            memory.unpack_acts,
            (BYTES, 65, SMALL),
            r"activations must be uint8 \[M, stride\] with a stride of at least 65, not uint8 \[2, 64\]",
        ),
        (memory.unpack_acts, (BYTES[0], 1, SMALL), r"activations must be .*, not uint8 \[64\]"),
        (memory.unpack_acts, (BYTES.view(np.int8), 1, SMALL), r"activations must be .*, not int8 \[2, 64\]"),
        (memory.unpack_acts, (BYTES, 0, SMALL), "k must be at least 1, not 0"),
        (memory.pack_tokens, (S[0],), "t must have dtype float32 for FP32, not float16"),
        (memory.pack_tokens, (None,), r"t must be an array \[M\], not of shape \(\)"),
        (memory.unpack_tokens, (BYTES[0, :6],), r"token scales must be uint8 \[4\*M\], not uint8 \[6\]"),
        (memory.unpack_tokens, (b"0000",), r"token scales must be uint8 \[4\*M\], not bytes"),
        (
            memory.pack_results,
            (S.astype(np.float32), SMALL),
            "out must have dtype float16 for FP16, not float32",
        ),
        (memory.pack_results, (S[0], SMALL), r"out must be an array \[M, N\], not of shape \(2,\)"),
        (
            memory.pack_results,
            (S[:0], SMALL),
            r"out must have at least one element along each of \[M, N\], not \(0, 2\)",
        ),
        (memory.unpack_results, (BYTES, 33, SMALL), r"results must be .* at least 66, not uint8 \[2, 64\]"),
        (memory.unpack_results, (BYTES, 0, SMALL), "n must be at least 1, not 0"),
    ],
)
def test_refuses(function, arguments, message):
    with pytest.raises(UserError, match=f"^{message}"):
        function(*arguments)
