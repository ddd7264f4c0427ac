"""Groups of floating-point operands that are hard to add; their sums by NumPy's float32 and by integers."""

import ml_dtypes
import numpy as np

from mixpe.spec.formats.inside import ScaledDigits, normalized_code
from mixpe.spec.formats.numbers import FP16, FP32, FloatFormat

GROUP = 128
DTYPES = {
    "fp16": np.float16,
    "bf16": ml_dtypes.bfloat16,
    "fp8_e4m3": ml_dtypes.float8_e4m3fn,
    "fp8_e5m2": ml_dtypes.float8_e5m2,
}
NAN = {FP32: 0x7FC00000, FP16: 0x7E00}


def values(codes, form):
    """Returns the codes' values in float32."""
    unsigned = np.uint8 if form.bits == 8 else np.uint16
    return codes.astype(unsigned).view(DTYPES[form.name]).astype(np.float32)


def act_codes(rng, form: FloatFormat, kind, shape):
    """Draws codes [groups, cycles, lanes] of the kinds of `KINDS`."""
    sign = 1 << (form.bits - 1)
    signs = rng.integers(0, 2, shape) * sign
    largest = form.largest
    if kind == "any":
        return rng.integers(0, 1 << form.bits, shape)
    if kind == "finite":
        return rng.integers(0, largest + 1, shape) | signs
    if kind == "near":
        low, high = (form.bias - 2) << form.fraction_bits, (form.bias + 2) << form.fraction_bits
        return rng.integers(low, high, shape) | signs
    if kind == "subnormal":
        return rng.integers(0, 2 << form.fraction_bits, shape) | signs
    if kind == "cancel":
        codes = rng.integers(1, largest + 1, shape) | signs
        codes[:, 1::2] = np.clip(
            (codes[:, ::2] & ~sign) + rng.integers(-1, 2, codes[:, ::2].shape), 0, largest
        )
        codes[:, 1::2] |= ~codes[:, ::2] & sign
        return codes
    if kind == "huge":
        codes = rng.integers(0, 3 << form.fraction_bits, shape) | signs
        codes[:, 0] = largest | signs[:, 0]
        codes[:, -1] = largest | (~signs[:, 0] & sign)
        return codes
    if kind == "special":
        codes = rng.integers(0, largest + 1, shape) | signs
        rare = rng.random(shape) < 0.02
        codes[rare] = rng.choice([largest + 1, largest + 1 + sign, 0, sign, form.nan], shape)[rare]
        return codes
    # Ties: powers of two, of which some are half a unit in the last place of others, or near it.
    base = rng.integers(0, form.field_max + 1, (shape[0], 1, 1))
    fields = np.clip(base - rng.choice([0, 21, 22, 23, 24, 25], shape), 0, form.field_max)
    return fields << form.fraction_bits | (rng.random(shape) < 0.3) | signs


KINDS = ("any", "finite", "near", "subnormal", "cancel", "huge", "special", "ties")


def tree(products):
    """Returns the float32 sum of the last axis in pairs."""
    while products.shape[-1] > 1:
        products = products[..., ::2] + products[..., 1::2]
    return products[..., 0]


def float32_sums(products):
    """uint32 codes of the groups [groups, cycles, lanes], each sum rounded, NaN canonical."""
    total = np.zeros(len(products), np.float32)
    with np.errstate(all="ignore"):
        for cycle in range(products.shape[1]):
            total = total + tree(products[:, cycle])
    assert total.dtype == np.float32
    return np.where(np.isnan(total), NAN[FP32], total.view(np.uint32))


def float16_sums(weights, acts):
    """Codes of FP16 sums of exact products of float32 [groups, cycles]: integers in units of 2**-48."""
    infinity, sums = 1 << (16 + 48), []
    for own_weights, own_acts in zip(weights.astype(float), acts.astype(float), strict=True):
        total, special = 0, 0.0
        for product in own_weights * own_acts:  # exact in float64
            if not np.isfinite(product) or special:
                special += product
                continue
            total += int(product * 2**48)
            step = 1 << max(24, abs(total).bit_length() - 11)
            whole, rest = divmod(abs(total), step)
            whole += 2 * rest > step or (2 * rest == step and whole & 1)
            total = whole * step * (1 if total > 0 else -1)
            special = 0.0 if abs(total) < infinity else np.copysign(np.inf, total)
        value = np.float16(special or total * 2.0**-48)
        sums.append(NAN[FP16] if np.isnan(value) else int(value.view(np.uint16)))
    return np.array(sums)


def packed(words, bits):
    """Packs lanes [..., lanes] into Python integers, first lane lowest, a cycle after the other."""
    lanes = words.reshape(-1, words.shape[-1]).astype(object)
    return (lanes << (bits * np.arange(words.shape[-1]).astype(object))).sum(axis=1)


def normal_codes(codes, form):
    table = np.array([normalized_code(code, form) for code in range(1 << form.bits)])
    return table[codes]


def encoded(weights, bits):
    digits = ScaledDigits(bits)
    low = -1 << (bits - 1)
    return np.array([digits.encode(value) for value in range(low, -low)])[weights - low]
