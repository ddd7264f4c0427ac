"""Round-to-nearest quantizers: weights per group of K and column, activations per token.

Every scale is rounded up to its stored format before the codes are computed, so that the codes are the best
ones for the stored scale, and no value is further than half a step (of the stored scale) from its code's
value. Rounding up also keeps a scale too small for FP16 at its smallest subnormal, 2**-24, instead of 0.
A scale beyond the format's largest number is refused. Only a group of zeros has the scale 0; its codes are 0.
"""

from typing import Any

import ml_dtypes
import numpy as np

from ..spec.array import Config
from ..spec.errors import UserError, check_type
from ..spec.formats.numbers import FloatFormat, IntFormat
from .codecs import check_array, codec
from .matrix import QuantizedMatrix

_MOST_SCALED = 2.0**16
"""The most that a scale makes of a floating-point activation: above FP16's largest number."""


def quantize_weights(w: Any, config: Config) -> QuantizedMatrix:
    """Quantizes w[K, N] (any floating-point dtype) in groups along K, the last of which may be shorter.

    - Integers without zero points: the step is max|w| / code.max, symmetric around 0 (the most negative
      signed code goes unused); unsigned codes then need weights that are nowhere negative.
    - Integers with zero points: the range runs from min(w, 0) to max(w, 0) over all codes, so that 0 stays
      exactly 0.
    - Floating-point codes: the scale takes a group's largest magnitude to the format's largest number.

    Raises `UserError` for weights that are no non-empty finite matrix, negative ones as above, and a scale
    beyond FP16.
    """
    check_type("config", config, Config)
    w = _finite_matrix("w", w, "[K, N]")
    matrix = config.matrix
    starts = np.arange(0, w.shape[0], config.group)
    high, low = np.maximum.reduceat(w, starts), np.minimum.reduceat(w, starts)
    if not matrix.weight.integers:
        largest = matrix.weight.code.decode(matrix.weight.code.largest)  # type: ignore[union-attr]
        s = _stored_scale("w", *_quotient(np.maximum(high, -low), largest), np.float16)
        codes = _rounded_quotients(w, _spread(s, w, config), matrix.weight.code)  # type: ignore[arg-type]
        return QuantizedMatrix(matrix, codes.astype(codec(matrix.weight.code).dtype), {"s": s})
    code = matrix.weight.code
    assert isinstance(code, IntFormat)
    if not matrix.has("z"):
        if not code.signed and low.min() < 0:
            k, n = _first(w < 0)
            raise UserError(
                f"w[{k}, {n}] must be at least 0 for unsigned codes without zero points "
                f"(weight_signed = false, zero_point = false), not {w[k, n]}"
            )
        s = _stored_scale("w", *_quotient(np.maximum(high, -low), code.max), np.float16)
        return QuantizedMatrix(matrix, _codes(w, _spread(s, w, config), 0, code), {"s": s})
    high, low = np.maximum(high, 0), np.minimum(low, 0)
    steps = code.max - code.min
    s = _stored_scale("w", high / steps - low / steps, high != low, np.float16)
    z = np.clip(np.rint(code.min - _divide(low, s)), code.min, code.max)
    z = np.where(s == 0, 0, z)
    q = _codes(w, _spread(s, w, config), _spread(z, w, config), code)
    return QuantizedMatrix(matrix, q, {"s": s, "z": z.astype(codec(code).dtype)})


def quantize_activations(x: Any, config: Config) -> tuple[np.ndarray, np.ndarray]:
    """Quantizes x[M, K] (any floating-point dtype), with one scale per row (token): x is close to t * a.

    Returns a[M, K] of config.act_code, in the dtype that `mpgemm` takes, and t[M] float32. Integers are
    symmetric around 0 and always have scales. Of a floating-point format, a is x / t, exact until it is
    rounded to nearest, ties to even; subnormals and the sign of zero are kept. With config.token_scale, t
    takes a row's largest magnitude to the format's largest number, but at most to 2**16, as BF16's own would
    overflow the FP32 sums; without, t is 1. A row of zeros has the scale 0 where there are scales.

    Raises `UserError` for activations that are no non-empty finite matrix, for a step beyond FP32, and
    without scales for a number that rounds beyond the format's largest.
    """
    check_type("config", config, Config)
    x = _finite_matrix("x", x, "[M, K]")
    form = config.act_code
    if isinstance(form, IntFormat):
        t = _stored_scale("x", *_quotient(np.abs(x).max(axis=1), form.max), np.float32)
        a = np.clip(np.rint(_divide(x, t[:, None])), form.min, form.max)
        return a.astype(codec(form).dtype), t
    largest = form.decode(form.largest)
    if config.row_members:
        t = _stored_scale("x", *_quotient(np.abs(x).max(axis=1), min(largest, _MOST_SCALED)), np.float32)
        a = _rounded_quotients(x, t[:, None], form)
    else:
        t = np.ones(len(x), np.float32)
        a = _rounded_quotients(x, t[:, None], form)
        if (beyond := np.abs(a) > largest).any():
            i, j = _first(beyond)
            raise UserError(
                f"x[{i}, {j}] must be at most {largest:g} in magnitude for act_format {form.name} with "
                f"token_scale = false, not {x[i, j]}"
            )
    return a.astype(codec(form).dtype), t


def _rounded_quotients(x: np.ndarray, t: np.ndarray, form: FloatFormat) -> np.ndarray:
    """x / t in one rounding to `form`'s precision (ties to even), also beyond its largest; t is float32."""
    # float64's own rounding makes no tie: t times a tie has few enough bits to be a float64, so that x is
    # this product or at least its last bit away, which moves the quotient by more than half its last bit.
    quotient = _divide(x, t)
    exponent = np.maximum(np.frexp(quotient)[1] - 1, 1 - form.bias)
    ulp = np.ldexp(1.0, exponent - form.fraction_bits)
    with np.errstate(over="ignore"):
        return np.rint(quotient / ulp) * ulp


def _finite_matrix(name: str, value: Any, shape: str) -> np.ndarray:
    array = check_array(name, value, shape)
    if array.dtype.kind != "f" and array.dtype != ml_dtypes.bfloat16:
        raise UserError(f"{name} must have a floating-point dtype, not {array.dtype}")
    with np.errstate(all="ignore"):  # numbers beyond float64, signalling NaN
        array = array.astype(np.float64)
    check_finite(name, array)
    return array


def check_finite(name: str, array: np.ndarray) -> None:
    """Raises `UserError` that names the first element of an array that is NaN or infinite."""
    finite = np.isfinite(array)
    if not finite.all():
        place = tuple(int(index) for index in np.unravel_index(int((~finite).argmax()), finite.shape))
        raise UserError(f"{name}{list(place)} must be finite, not {array[place]}")


def _first(mask: np.ndarray) -> tuple[int, int]:
    i, j = np.unravel_index(int(mask.argmax()), mask.shape)
    return int(i), int(j)


def _quotient(magnitude: np.ndarray, divisor: float) -> tuple[np.ndarray, np.ndarray]:
    """`magnitude` / `divisor`, and where it is more than zero, though float64 may have no number so small."""
    return magnitude / divisor, magnitude != 0


def _stored_scale(name: str, exact: np.ndarray, some: np.ndarray, dtype: Any) -> np.ndarray:
    """`exact`, which is not negative, rounded up to `dtype`; +0 only where `some` is false."""
    exact = np.where(some & (exact == 0), np.nextafter(0, 1), np.abs(exact))
    with np.errstate(over="ignore", under="ignore"):
        stored = exact.astype(dtype)
        stored = np.where(stored < exact, np.nextafter(stored, dtype(np.inf)), stored)
    if np.isinf(stored).any():
        raise UserError(
            f"{name} needs a scale of {exact.max():g}, beyond {np.dtype(dtype)}'s largest, "
            f"{float(np.finfo(dtype).max):g}: scale {name} down"
        )
    return stored


def _divide(x: np.ndarray, s: np.ndarray) -> np.ndarray:
    """x / s in float64, 0 where the scale is 0 (and so is x)."""
    s = s.astype(np.float64)
    return x / np.where(s == 0, 1, s)


def _spread(per_group: np.ndarray, like: np.ndarray, config: Config) -> np.ndarray:
    """Repeats the rows of a [G, N] array along the K rows of `like`."""
    return np.repeat(per_group, config.group, axis=0)[: like.shape[0]]


def _codes(w: np.ndarray, s: np.ndarray, z: np.ndarray | int, code: IntFormat) -> np.ndarray:
    return np.clip(np.rint(_divide(w, s)) + z, code.min, code.max).astype(codec(code).dtype)
