"""Operands for the floating-point units, and the results NumPy and ml_dtypes expect, as bit patterns."""

import ml_dtypes
import numpy as np
from numpy.typing import NDArray

from mixpe.spec.formats.numbers import FP32

from .fp_bank import FACTORS, Integer

Words = NDArray[np.uint64]  # operands of a lane: a in the low half, b in the high half

_FP32 = [
    0x00000000, 0x00000001, 0x00000002, 0x00000003, 0x00400000, 0x007FFFFE, 0x007FFFFF,  # tiny
    0x00800000, 0x00800001, 0x00FFFFFF, 0x01000000, 0x0B800000, 0x0C000000, 0x0C800001,  # smallest normals
    0x33800000, 0x34000000, 0x33FFFFFF, 0x34000001,  # near 2**-24: ties when added to one
    0x3EFFFFFF, 0x3F000000, 0x3F7FFFFF, 0x3F800000, 0x3F800001, 0x3F800002, 0x3FC00000, 0x3FFFFFFF,  # one
    0x40000000, 0x40400000, 0x4B000000, 0x4B7FFFFF, 0x4B800000, 0x4B800001, 0x4C000001,  # around 2**24
    0x7E800000, 0x7EFFFFFF, 0x7F000000, 0x7F7FFFFE, 0x7F7FFFFF, 0x73000000, 0x73800000,  # around overflow
    0x7F800000, 0x7F800001, 0x7FBFFFFF, 0x7FC00000, 0x7FC00001, 0x7FFFFFFF,  # infinity, NaN
    0x32FFFFFF, 0x33000000, 0x33000001, 0x33C00000, 0x387FC000, 0x387FE000, 0x387FF000, 0x38800000,  # FP16
    0x3F801000, 0x3F803000, 0x3F801001, 0x477FE000, 0x477FEFFF, 0x477FF000, 0x47800000,  # ties, overflow
    0x3F808000, 0x3F818000, 0x3F807FFF, 0x00008000, 0x00018000, 0x007F8000, 0x7F7F7FFF, 0x7F7F8000,  # BF16
]  # fmt: skip
_SHORT = [  # FP16; read as BF16 as well
    0x0000, 0x0001, 0x0002, 0x0003, 0x0200, 0x03FF, 0x0400, 0x0401, 0x07FF, 0x3800, 0x3BFF, 0x3C00, 0x3C01,
    0x3E00, 0x3F80, 0x3F81, 0x4000, 0x7BFE, 0x7BFF, 0x7C00, 0x7C01, 0x7DFF, 0x7E00, 0x7F7F, 0x7F80, 0x7F81,
    0x7FC0, 0x7FFF, 0x0080, 0x007F,
]  # fmt: skip
_CANONICAL_NAN = {
    np.dtype(np.float32): 0x7FC00000,
    np.dtype(np.float16): 0x7E00,
    np.dtype(ml_dtypes.bfloat16): 0x7FC0,
}


def corners(kind: int) -> Words:
    """Returns pairs of corner patterns of both signs in the formats of a lane's multiplier, and integers.

    All pairs; with an FP32 pattern everywhere for the cast. Integers lie around powers of two and ties.
    """
    full = np.array([p | s for p in _FP32 for s in (0, 1 << 31)], np.uint64)
    short = np.array([p | s for p in _SHORT for s in (0, 1 << 15)], np.uint64)
    integers = {0}
    for bits in range(64):
        for near in range(-3, 4):
            integers |= {(1 << bits) + near, -(1 << bits) + near}
    for bits in range(25, 41):  # significands of both parities, at, below and above a tie
        for significand in (0x800000, 0x800001, 0xFFFFFE, 0xFFFFFF):
            tie = (2 * significand + 1) << (bits - 25)
            integers |= {sign * (tie + near) for sign in (1, -1) for near in (-1, 0, 1)}
    whole = np.array([value % (1 << 64) for value in sorted(integers)], np.uint64)
    few = [sign * (1 << bits) + near for bits in range(0, 40, 3) for near in (-1, 0, 1) for sign in (1, -1)]
    few = np.array([value % (1 << 32) | (value >> 32) % (1 << 16) << 48 for value in few], np.uint64)
    a, b = (few if isinstance(form, Integer) else full if form == FP32 else short for form in FACTORS[kind])
    pairs = a[:, None] | (b[None, :] << np.uint64(32))
    return np.concatenate([pairs.ravel(), full, whole])


def random_words(rng: np.random.Generator, count: int) -> Words:
    """Draws patterns; kinds take turns, so that every kind meets every lane."""
    a, b = rng.integers(0, 1 << 32, (2, count), dtype=np.uint64)
    sign, exponent, fraction = b & 0x80000000, (a >> np.uint64(23)) & np.uint64(0xFF), b & 0x7FFFFF

    def with_exponent(value: NDArray[np.int64]) -> Words:
        return sign | (np.clip(value, 0, 255).astype(np.uint64) << np.uint64(23)) | fraction

    field = exponent.astype(np.int64)
    kinds = [
        (a, b),
        # exponents within a significand of each other: alignment
        (a, with_exponent(field + rng.integers(-27, 28, count))),
        # the other sign and a few units in the last place apart: cancellation
        (a, (a ^ 0x80000000) + rng.integers(-16, 17, count).astype(np.uint64) & 0xFFFFFFFF),
        # products around the smallest numbers
        (a, with_exponent(127 - field + rng.integers(-26, 4, count))),
        # products around the largest numbers
        (a, with_exponent(381 - field + rng.integers(-3, 3, count))),
        # fractions of few ones: ties
        (a & _sparse(rng, count), b & _sparse(rng, count)),
        # both subnormal, or next to it
        (a & 0x80FFFFFF, b & 0x80FFFFFF),
    ]
    words = [first | (second << np.uint64(32)) for first, second in kinds]
    # integers of every length
    whole = (a | (b << np.uint64(32))).astype(np.int64) >> rng.integers(0, 64, count)
    return np.choose(rng.integers(0, len(kinds) + 1, count), [*words, whole.astype(np.uint64)])


def _sparse(rng: np.random.Generator, count: int) -> Words:
    """Masks that keep sign, exponent and a band of at most six fraction bits."""
    band = rng.integers(0, 64, count).astype(np.uint64) << rng.integers(0, 20, count).astype(np.uint64)
    return np.uint64(0xFF800000) | band


def expected(unit: str, words: Words) -> NDArray[np.unsignedinteger]:
    """Returns bit patterns of `unit`'s results for `words`; NaN is the canonical one."""
    low, high = words.astype(np.uint32), (words >> np.uint64(32)).astype(np.uint32)
    kind, *formats = unit.split("_")
    with np.errstate(all="ignore"):
        if kind == "add":
            result = low.view(np.float32) + high.view(np.float32)
        elif kind == "multiply":
            result = _widen(low, formats[0]) * _widen(high, formats[1])
        elif kind == "scale":
            width, *power = map(int, formats)
            whole = low.astype(np.uint64) | (words >> np.uint64(48) << np.uint64(32))
            result = _integer(whole, width) * _widen(high, "fp16").astype(np.float64)
            if power:
                bits, offset = power
                exponent = (high >> np.uint32(16) & np.uint32((1 << bits) - 1)).astype(np.int64)
                result = np.ldexp(result, np.maximum(exponent, 1) - offset)
            result = result.astype(np.float32)  # exact before, with 24 bits times 11
        elif kind == "cast":
            result = low.view(np.float32).astype(_dtype(formats[0]))
        else:
            result = _integer(words, int(unit.removeprefix("int")))
    bits = result.view(np.uint32 if result.dtype.itemsize == 4 else np.uint16)
    return np.where(np.isnan(result), bits.dtype.type(_CANONICAL_NAN[result.dtype]), bits)


def _integer(words: Words, width: int) -> NDArray[np.float32]:
    """FP32 of the two's-complement integer in the low `width` bits."""
    spare = np.uint64(64 - width)
    return ((words << spare).astype(np.int64) >> spare.astype(np.int64)).astype(np.float32)


def _dtype(name: str) -> np.dtype:
    return np.dtype({"fp32": np.float32, "fp16": np.float16, "bf16": ml_dtypes.bfloat16}[name])


def _widen(bits: NDArray[np.uint32], name: str) -> NDArray[np.float32]:
    dtype = _dtype(name)
    return bits.astype(np.uint32 if dtype.itemsize == 4 else np.uint16).view(dtype).astype(np.float32)
