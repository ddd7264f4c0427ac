"""The operands of one product, checked.

Shapes, with K the inner dimension:

    a[M, K]  activations of config.act_code: integers, or the format's own dtype
    weights  a `mixpe.quant.matrix.QuantizedMatrix` [K, N] of config.matrix
    t[M]     token scales, float32; exactly when config.token_scale
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from ..spec.array import Config
from ..spec.errors import UserError, check_type
from ..spec.formats.numbers import FloatFormat, IntFormat
from .codecs import check_array, codec
from .matrix import QuantizedMatrix


@dataclass(frozen=True)
class Operands:
    """Checked operands of one product; shapes as in the module's docstring."""

    config: Config
    a: np.ndarray
    weights: QuantizedMatrix
    t: np.ndarray | None = None

    @property
    def m(self) -> int:
        """Rows of the result."""
        return self.a.shape[0]

    @property
    def k(self) -> int:
        """The inner dimension."""
        return self.a.shape[1]

    @property
    def n(self) -> int:
        """Columns of the result."""
        return self.weights.shape[1]

    def padded(self) -> "Operands":
        """Returns the operands with zero rows and columns up to whole tiles."""
        m, n = -self.m % self.config.rows, -self.n % self.config.cols
        a = np.zeros((self.m + m, self.k), self.a.dtype)
        a[: self.m] = self.a
        t = None if self.t is None else np.pad(self.t, (0, m))
        return Operands(self.config, a, self.weights.padded(n), t)


def float_dtype(form: FloatFormat) -> np.dtype:
    """Returns the NumPy type of a floating-point format."""
    return codec(form).dtype


def int_dtype(form: IntFormat) -> np.dtype:
    """Returns the narrowest NumPy type of an integer format of at most 16 bits."""
    return codec(form).dtype


def check_acts(a: Any, config: Config) -> np.ndarray:
    """Returns activations [M, K] of config.act_code."""
    return codec(config.act_code).check("a", a, "[M, K]")


def check_token_scales(t: Any, config: Config) -> np.ndarray | None:
    """Returns token scales [M], float32, any value; None exactly when the configuration has none."""
    if not config.row_members:
        if t is not None:
            raise UserError("t must be None in a configuration with token_scale = false")
        return None
    if t is None:
        raise UserError("t is missing: a configuration with token_scale = true needs token scales [M]")
    (member,) = config.row_members
    return codec(member.format).check("t", t, "[M]")


def check_results(out: Any, config: Config) -> np.ndarray:
    """Returns results [M, N] of config.out."""
    return codec(config.out).check("out", check_array("out", out, "[M, N]"), "[M, N]")


def check_operands(a: Any, weights: Any, t: Any, config: Config) -> Operands:
    """Checks every operand by itself and against the others.

    Raises `UserError` that names the operand, its value or shape and what is allowed.
    """
    check_type("config", config, Config)
    a = check_acts(a, config)
    if not isinstance(weights, QuantizedMatrix):
        raise UserError(f"weights must be a QuantizedMatrix, not {type(weights).__name__}")
    weights.check(config.matrix)
    if weights.shape[0] != a.shape[1]:
        raise UserError(
            f"weights must have K = {a.shape[1]} rows, as a has columns, not shape {weights.shape}"
        )
    t = check_token_scales(t, config)
    if t is not None and t.shape != a.shape[:1]:
        raise UserError(f"t must have shape [M] = {a.shape[:1]}, not {t.shape}")
    return Operands(config, a, weights, t)
