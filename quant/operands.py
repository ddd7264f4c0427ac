"""The operands of one mpGEMM and the one place where they are checked.

Shapes, with K the inner dimension and G = ceil(K / config.group) groups:

    a[M, K]  activations of config.act_code: integers, or the format's own dtype
    q[K, N]  weight codes, integers of config.weight_code
    s[G, N]  group scales, float16
    z[G, N]  zero points, integers of config.weight_code; exactly when config.zero_point
    t[M]     token scales, float32; exactly when config.token_scale
"""

from dataclasses import dataclass
from typing import Any

import ml_dtypes
import numpy as np

from ..spec.array import Config
from ..spec.errors import UserError
from ..spec.formats.numbers import FloatFormat, IntFormat

_FLOAT_TYPES: dict[str, np.dtype] = {
    "fp32": np.dtype(np.float32),
    "fp16": np.dtype(np.float16),
    "bf16": np.dtype(ml_dtypes.bfloat16),
    "fp8_e4m3": np.dtype(ml_dtypes.float8_e4m3fn),
    "fp8_e5m2": np.dtype(ml_dtypes.float8_e5m2),
}


@dataclass(frozen=True)
class Product:
    """Operands as of `mixpe.quant.golden.mpgemm`."""

    a: np.ndarray
    q: np.ndarray
    s: np.ndarray
    z: np.ndarray | None = None
    t: np.ndarray | None = None


@dataclass(frozen=True)
class Operands:
    """Checked operands of one product; shapes as in the module's docstring.

    `act_magnitude` bounds |a|, of aligned activations their integers; `weight_magnitude` bounds |q - z|; both
    by the actual data where there are integers.
    """

    config: Config
    a: np.ndarray
    q: np.ndarray
    s: np.ndarray
    z: np.ndarray | None
    t: np.ndarray | None
    act_magnitude: int
    weight_magnitude: int

    @property
    def m(self) -> int:
        return self.a.shape[0]

    @property
    def k(self) -> int:
        return self.a.shape[1]

    @property
    def n(self) -> int:
        return self.q.shape[1]


def float_dtype(fmt: FloatFormat) -> np.dtype:
    """The NumPy type of a floating-point format."""
    return _FLOAT_TYPES[fmt.name]


def int_dtype(fmt: IntFormat) -> np.dtype:
    """The narrowest NumPy type of an integer format of at most 16 bits."""
    return np.dtype(f"{'int' if fmt.signed else 'uint'}{8 if fmt.bits <= 8 else 16}")


def group_count(k: int, config: Config) -> int:
    """Groups along K, the last of which may be shorter."""
    return -(-k // config.group)


def check_integers(name: str, value: Any, shape: str, fmt: IntFormat) -> tuple[np.ndarray, int, int]:
    """Return `value` as a non-empty 2-D integer array whose elements fit `fmt`, and its minimum and maximum.

    Raises `UserError` that names the operand, its first element at fault and what is allowed.
    """
    array = _matrix(name, value, shape)
    if array.dtype.kind not in "iu":
        raise UserError(f"{name} must have an integer dtype, not {array.dtype}")
    low, high = int(array.min()), int(array.max())
    if low < fmt.min or high > fmt.max:
        # Compare inside the array's own type, where `fmt`'s limits may not be representable.
        info = np.iinfo(array.dtype)
        bad = (array < max(fmt.min, info.min)) | (array > min(fmt.max, info.max))
        i, j = (int(x) for x in np.unravel_index(int(bad.argmax()), bad.shape))
        raise UserError(f"{name}[{i}, {j}] must be {fmt} ({fmt.min} to {fmt.max}), not {int(array[i, j])}")
    return array, low, high


def check_acts(a: Any, config: Config) -> np.ndarray:
    """Activations [M, K] of config.act_code."""
    return _acts(a, config)[0]


def _acts(a: Any, config: Config) -> tuple[np.ndarray, int]:
    """Activations, and a bound of their magnitude in the array."""
    if isinstance(config.act_code, IntFormat):
        array, low, high = check_integers("a", a, "[M, K]", config.act_code)
        return array, max(-low, high, 0)
    array, dtype = _matrix("a", a, "[M, K]"), float_dtype(config.act_code)
    if array.dtype != dtype:
        raise UserError(f"a must have dtype {dtype} for act_format {config.act_format}, not {array.dtype}")
    return array, config.act_limits[1]


def signed_codes(codes: np.ndarray, config: Config) -> np.ndarray:
    """Weight codes or zero points as the array sees them (`Config.weight`): signed, int64."""
    return codes.astype(np.int64) - (0 if config.weight_signed else 1 << (config.weight_bits - 1))


def check_weights(q: Any, config: Config) -> np.ndarray:
    """Weight codes [K, N] of config.weight_code."""
    return check_integers("q", q, "[K, N]", config.weight_code)[0]


def check_scales(s: Any) -> np.ndarray:
    """Group scales [G, N], float16; any value, infinities and NaN too."""
    array = _matrix("s", s, "[G, N]")
    if array.dtype != np.float16:
        raise UserError(f"s must have dtype float16, not {array.dtype}")
    return array


def check_zero_points(z: Any, config: Config) -> np.ndarray | None:
    """Zero points [G, N] of config.weight_code; None exactly when the configuration has none."""
    if not config.zero_point:
        if z is not None:
            raise UserError("z must be None in a configuration with zero_point = false")
        return None
    if z is None:
        raise UserError("z is missing: a configuration with zero_point = true needs zero points [G, N]")
    return check_integers("z", z, "[G, N]", config.weight_code)[0]


def check_token_scales(t: Any, config: Config) -> np.ndarray | None:
    """Token scales [M], float32, any value; None exactly when the configuration has none."""
    if not config.token_scale:
        if t is not None:
            raise UserError("t must be None in a configuration with token_scale = false")
        return None
    if t is None:
        raise UserError("t is missing: a configuration with token_scale = true needs token scales [M]")
    array = _array("t", t)
    if array.ndim != 1 or not array.size:
        raise UserError(f"t must be a non-empty array [M], not of shape {array.shape}")
    if array.dtype != np.float32:
        raise UserError(f"t must have dtype float32, not {array.dtype}")
    return array


def check_quantized(
    q: Any, s: Any, z: Any, config: Config, k: int | None = None
) -> tuple[np.ndarray, np.ndarray, np.ndarray | None, int]:
    """Checks q, s and z by themselves and against each other; returns them and a bound of |q - z| by data.

    `k`: what K must be, where it is known.
    """
    q, q_low, q_high = check_integers("q", q, "[K, N]", config.weight_code)
    s = check_scales(s)
    if k is not None and q.shape[0] != k:
        raise UserError(f"q must have K = {k} rows, as a has columns, not shape {q.shape}")
    groups = (group_count(q.shape[0], config), q.shape[1])
    if s.shape != groups:
        raise UserError(f"s must have shape [G, N] = {groups} (groups of {config.group}), not {s.shape}")
    if not config.zero_point or z is None:
        return q, s, check_zero_points(z, config), max(-q_low, q_high, 0)
    z, z_low, z_high = check_integers("z", z, "[G, N]", config.weight_code)
    if z.shape != groups:
        raise UserError(f"z must have shape [G, N] = {groups} (groups of {config.group}), not {z.shape}")
    return q, s, z, max(z_high - q_low, q_high - z_low, 0)


def check_results(out: Any, config: Config) -> np.ndarray:
    """Results [M, N] of config.out."""
    out, dtype = np.asarray(out), float_dtype(config.out)
    if out.dtype != dtype or out.ndim != 2 or not out.size:
        raise UserError(f"out must be a non-empty {dtype} array [M, N], not {out.dtype} {out.shape}")
    return out


def check_operands(a: Any, q: Any, s: Any, z: Any, t: Any, config: Config) -> Operands:
    """Check every operand by itself and against the others.

    Raises `UserError` that names the operand, its value or shape and what is allowed.
    """
    a, act_magnitude = _acts(a, config)
    q, s, z, weight_magnitude = check_quantized(q, s, z, config, a.shape[1])
    t = check_token_scales(t, config)
    if t is not None and t.shape != a.shape[:1]:
        raise UserError(f"t must have shape [M] = {a.shape[:1]}, not {t.shape}")
    return Operands(
        config=config,
        a=a,
        q=q,
        s=s,
        z=z,
        t=t,
        act_magnitude=act_magnitude,
        weight_magnitude=weight_magnitude,
    )


def _array(name: str, value: Any) -> np.ndarray:
    try:
        return np.asarray(value)
    except ValueError:  # a ragged list
        raise UserError(f"{name} must be an array, not {type(value).__name__} of uneven rows") from None


def _matrix(name: str, value: Any, shape: str) -> np.ndarray:
    array = _array(name, value)
    if array.ndim != 2:
        raise UserError(f"{name} must have two dimensions {shape}, not shape {array.shape}")
    if not array.size:
        raise UserError(f"{name} must have at least one row and one column, not shape {array.shape}")
    return array
