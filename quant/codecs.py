"""NumPy arrays of numbers, and their codes: one codec for each kind of number format.

An array of integers may have any integer dtype. An array of a floating-point format has the format's own
dtype, NumPy's or that of `ml_dtypes`, so that it says itself what its bytes mean.
"""

from functools import lru_cache
from typing import Any

import ml_dtypes
import numpy as np

from ..spec.errors import UserError
from ..spec.formats.numbers import FloatFormat, IntFormat

FLOAT_TYPES: dict[str, np.dtype] = {
    "fp32": np.dtype(np.float32),
    "fp16": np.dtype(np.float16),
    "bf16": np.dtype(ml_dtypes.bfloat16),
    "fp8_e4m3": np.dtype(ml_dtypes.float8_e4m3fn),
    "fp8_e5m2": np.dtype(ml_dtypes.float8_e5m2),
    "fp6_e3m2": np.dtype(ml_dtypes.float6_e3m2fn),
    "fp4_e2m1": np.dtype(ml_dtypes.float4_e2m1fn),
}
"""The dtype of each floating-point format."""


class IntCodec:
    """Two's-complement or plain binary integers of at most 16 bits.

    dtype: the narrowest NumPy type. storage: the unsigned type of the same size, which holds codes.
    """

    def __init__(self, form: IntFormat):
        self.form = form
        self.bits = form.bits
        size = 8 if form.bits <= 8 else 16
        self.dtype = np.dtype(f"{'int' if form.signed else 'uint'}{size}")
        self.storage = np.dtype(f"uint{size}")

    def encode(self, values: np.ndarray) -> np.ndarray:
        """Returns the codes of numbers, unsigned; a code's bits above `bits` are any."""
        return values.astype(self.storage)

    def decode(self, codes: np.ndarray) -> np.ndarray:
        """Returns the numbers of unsigned codes; a code's bits above `bits` are not looked at."""
        unused = 8 * self.storage.itemsize - self.bits
        return (codes.astype(self.storage) << unused).view(self.dtype) >> unused

    def check(self, name: str, value: Any, shape: str) -> np.ndarray:
        """Returns `value` as an array of the format with the dimensions that `shape` names, such as "[M, K]".

        Raises `UserError` that names the operand, its first element at fault and what is allowed.
        """
        array = check_array(name, value, shape)
        if array.dtype.kind not in "iu":
            raise UserError(f"{name} must have an integer dtype, not {array.dtype}")
        form = self.form
        if int(array.min()) < form.min or int(array.max()) > form.max:
            # Compare inside the array's own type, where the format's limits may not be representable.
            info = np.iinfo(array.dtype)
            bad = (array < max(form.min, info.min)) | (array > min(form.max, info.max))
            place = tuple(int(x) for x in np.unravel_index(int(bad.argmax()), bad.shape))
            raise UserError(
                f"{name}{list(place)} must be {form} ({form.min} to {form.max}), not {int(array[place])}"
            )
        return array


class FloatCodec:
    """A floating-point format; `dtype`: its own, `storage`: the unsigned type of the same size."""

    def __init__(self, form: FloatFormat):
        self.form = form
        self.bits = form.bits
        self.dtype = FLOAT_TYPES[form.name]
        self.storage = np.dtype(f"uint{8 * self.dtype.itemsize}")

    def encode(self, values: np.ndarray) -> np.ndarray:
        """Returns the codes of numbers, unsigned."""
        return np.ascontiguousarray(values).view(self.storage)

    def decode(self, codes: np.ndarray) -> np.ndarray:
        """Returns the numbers of unsigned codes; a code's bits above `bits` are not looked at."""
        low = np.ascontiguousarray(codes.astype(self.storage)) & ((1 << self.bits) - 1)
        return low.astype(self.storage).view(self.dtype)

    def check(self, name: str, value: Any, shape: str) -> np.ndarray:
        """Returns `value` as an array of the format's dtype with the dimensions that `shape` names; any value
        is legal. Raises `UserError` as `IntCodec.check` does."""
        array = check_array(name, value, shape)
        if array.dtype != self.dtype:
            raise UserError(f"{name} must have dtype {self.dtype} for {self.form}, not {array.dtype}")
        return array


@lru_cache
def codec(form: IntFormat | FloatFormat) -> IntCodec | FloatCodec:
    """Returns the codec of a number format."""
    return IntCodec(form) if isinstance(form, IntFormat) else FloatCodec(form)


def check_array(name: str, value: Any, shape: str) -> np.ndarray:
    """Returns `value` as a non-empty array with as many dimensions as `shape` names, such as "[M, K]"."""
    try:
        array = np.asarray(value)
    except ValueError:  # a ragged list
        raise UserError(f"{name} must be an array, not {type(value).__name__} of uneven rows") from None
    dimensions = shape.count(",") + 1
    if array.ndim != dimensions:
        raise UserError(f"{name} must be an array {shape}, not of shape {array.shape}")
    if not array.size:
        raise UserError(f"{name} must have at least one element along each of {shape}, not {array.shape}")
    return array
