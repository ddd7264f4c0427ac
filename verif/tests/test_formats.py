"""Floating-point formats: every encoding against ml_dtypes and NumPy."""

import itertools
import math

import ml_dtypes
import numpy as np
import pytest

from mixpe.spec.formats.numbers import (
    ACT_FORMATS,
    FLOAT_FORMATS,
    FP4_E2M1,
    FP6_E3M2,
    FP8_E4M3,
    FP16,
    FP32,
)
from mixpe.spec.formats.weights import WEIGHT_FORMATS

DTYPES = {
    "fp16": np.dtype(np.float16),
    "bf16": np.dtype(ml_dtypes.bfloat16),
    "fp8_e4m3": np.dtype(ml_dtypes.float8_e4m3fn),
    "fp8_e5m2": np.dtype(ml_dtypes.float8_e5m2),
    "fp6_e3m2": np.dtype(ml_dtypes.float6_e3m2fn),
    "fp4_e2m1": np.dtype(ml_dtypes.float4_e2m1fn),
}


def values(name: str) -> np.ndarray:
    """float64 of every code of a format, in the order of the codes."""
    dtype = DTYPES[name]
    codes = np.arange(1 << FLOAT_FORMATS[name].bits, dtype=f"u{dtype.itemsize}")
    with np.errstate(invalid="ignore"):  # signalling NaN
        return codes.view(dtype).astype(np.float64)


def test_every_format_has_a_reference():
    """FP32 has a test of its own, of some codes."""
    assert {*ACT_FORMATS, *WEIGHT_FORMATS} == set(DTYPES) == set(FLOAT_FORMATS) - {"fp32"}
    assert all(FLOAT_FORMATS[name].bits <= 8 * dtype.itemsize for name, dtype in DTYPES.items())


@pytest.mark.parametrize("name", DTYPES)
def test_every_code_decodes(name):
    form = FLOAT_FORMATS[name]
    decoded = np.array([form.decode(code) for code in range(1 << form.bits)])
    want = values(name)
    assert np.array_equal(decoded, want, equal_nan=True)
    assert np.array_equal(np.signbit(decoded), np.signbit(want))


@pytest.mark.parametrize("name", DTYPES)
def test_every_value_encodes_to_its_code(name):
    form = FLOAT_FORMATS[name]
    for code, value in enumerate(values(name)):
        assert form.encode(float(value)) == (form.nan if math.isnan(value) else code)


@pytest.mark.parametrize("name", DTYPES)
def test_values_between_round_to_even(name):
    """Midpoints of neighbours, and what lies next to them, as ml_dtypes and NumPy cast them."""
    form, dtype = FLOAT_FORMATS[name], DTYPES[name]
    numbers = np.unique(values(name)[np.isfinite(values(name))])
    beyond = 2 * numbers[-1] - numbers[-2]  # where the next number would be
    ties = np.array([(a + b) / 2 for a, b in itertools.pairwise([*numbers, beyond])])
    near = np.concatenate([ties, np.nextafter(ties, -np.inf), np.nextafter(ties, np.inf), [beyond, np.inf]])
    near = np.concatenate([near, -near])
    with np.errstate(over="ignore", invalid="ignore"):
        if dtype != np.float16:
            # ml_dtypes casts float64 by way of float32: only what that leaves as it is has a reference.
            near = near[near.astype(np.float32) == near]
        cast = near.astype(dtype)
    codes = cast.view(f"u{dtype.itemsize}")
    codes = np.where(np.isnan(cast), form.nan, codes) if form.nans else codes
    assert len(near) > 2 * len(numbers)
    assert [form.encode(value) for value in near.tolist()] == codes.tolist()


def test_fp32_codes_are_numpys():
    rng = np.random.default_rng(0)
    codes = rng.integers(0, 1 << 32, 20000, dtype=np.uint32)
    codes[:4] = 0, 1 << 31, 1, 0x807FFFFF
    with np.errstate(invalid="ignore"):
        floats = codes.view(np.float32).astype(np.float64)
    for code, value in zip(codes.tolist(), floats.tolist(), strict=True):
        assert math.isnan(value) or FP32.encode(value) == code
        assert FP32.decode(code) == value or math.isnan(value)


def test_formats_without_specials():
    """Numbers alone: what is beyond is the largest, and NaN has no code."""
    for form, largest in ((FP6_E3M2, 28.0), (FP4_E2M1, 6.0)):
        assert (form.specials, form.decode(form.largest)) == ((), largest)
        assert form.largest == (1 << (form.bits - 1)) - 1
        assert form.encode(math.inf) == form.encode(1e9) == form.largest
        with pytest.raises(ValueError, match=f"{form} has no NaN"):
            form.encode(math.nan)


def test_specials():
    assert (FP16.infinity, FP16.nan, FP16.largest) == (0x7C00, 0x7E00, 0x7BFF)
    assert (FP8_E4M3.nan, FP8_E4M3.largest, FP8_E4M3.field_max) == (0x7F, 0x7E, 15)
    assert FP8_E4M3.decode(0x7E) == 448
    assert FP8_E4M3.encode(math.inf) == FP8_E4M3.encode(465.0) == 0x7F
    assert FP8_E4M3.encode(-math.inf) == 0x7F
    assert FP8_E4M3.encode(464.0) == 0x7E
