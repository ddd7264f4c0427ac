"""Quantized weights as one object: codes, and what belongs to each group of them."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np

from ..spec.errors import UserError
from ..spec.formats.matrix import MatrixFormat
from ..spec.formats.weights import WeightFormat
from .codecs import codec


@dataclass(frozen=True, eq=False)
class QuantizedMatrix:
    """A quantized matrix of weights [K, N].

    Parameters
    ----------
    format: what codes and members are; `Config.matrix` of the array that is to multiply the matrix.
    codes: [K, N], weight codes: any integer dtype, or the dtype of a floating-point weight format.
    groups: for each member of `format`, by its symbol, an array [G, N] with G = ceil(K / group): "s", the
        scales, float16 of any value; "z", zero points, integers of the codes' format.

    Everything is checked once, here. Raises `UserError` that names the array, its value or shape and what is
    allowed.
    """

    format: MatrixFormat
    codes: np.ndarray
    groups: Mapping[str, np.ndarray]

    def __post_init__(self):
        codes = codec(self.format.weight.code).check("q", self.codes, "[K, N]")
        wanted = {member.symbol: member for member in self.format.members}
        for symbol in self.groups:
            if symbol not in wanted:
                raise UserError(
                    f"{symbol} must be absent: groups of {self.format} have {', '.join(wanted)} only"
                )
        shape = (self.format.groups(codes.shape[0]), codes.shape[1])
        groups = {}
        for symbol, member in wanted.items():
            if symbol not in self.groups:
                raise UserError(
                    f"{symbol} is missing: groups of {self.format} have a {member.name} {symbol}[G, N]"
                )
            array = codec(member.format).check(symbol, self.groups[symbol], "[G, N]")
            if array.shape != shape:
                raise UserError(
                    f"{symbol} must have shape [G, N] = {shape} (groups of {self.format.group}), "
                    f"not {array.shape}"
                )
            groups[symbol] = array
        object.__setattr__(self, "codes", codes)
        object.__setattr__(self, "groups", groups)

    @property
    def shape(self) -> tuple[int, int]:
        """K and N."""
        k, n = self.codes.shape
        return k, n

    @cached_property
    def integers(self) -> np.ndarray:
        """The integers that the codes stand for, [K, N]: numbers are these times 2**exponent."""
        weight = self.format.weight
        if weight.integers:
            return self.codes
        return _plain(weight)[codec(weight.code).encode(self.codes)]

    @property
    def signed(self) -> np.ndarray:
        """The integers that the array multiplies, int64 [K, N]."""
        return self.integers.astype(np.int64) - self.format.weight.offset

    @property
    def zeros(self) -> np.ndarray | None:
        """The zero points that go with `integers`, [G, N]; None where there are none."""
        return self.groups.get("z")

    @property
    def signed_zeros(self) -> np.ndarray | None:
        """The zero points inside the array, int64 [G, N]; None where nothing is subtracted."""
        if not self.format.subtracts:
            return None
        zeros = np.zeros(self.groups["s"].shape, np.int64) if self.zeros is None else self.zeros
        return zeros.astype(np.int64) - self.format.weight.offset

    @cached_property
    def magnitude(self) -> int:
        """A bound of |q - z|, by the data."""
        low, high = int(self.integers.min()), int(self.integers.max())
        if self.zeros is None:
            return max(-low, high, 0)
        return max(int(self.zeros.max()) - low, high - int(self.zeros.min()), 0)

    def dequantized(self) -> np.ndarray:
        """Returns the numbers s * (q - z) that the codes stand for: float32 [K, N], exact."""
        steps = self.integers.astype(np.float32)
        if self.zeros is not None:
            steps -= self._spread(self.zeros.astype(np.float32))
        scales = np.ldexp(self.groups["s"].astype(np.float32), self.format.weight.exponent)
        return steps * self._spread(scales)

    def columns(self, part: slice) -> "QuantizedMatrix":
        """Returns some columns as a matrix of their own."""
        groups = {symbol: array[:, part] for symbol, array in self.groups.items()}
        return QuantizedMatrix(self.format, self.codes[:, part], groups)

    def padded(self, count: int) -> "QuantizedMatrix":
        """Returns the matrix with `count` more columns, of codes and members that are zero."""
        groups = {symbol: _padded(array, count) for symbol, array in self.groups.items()}
        return QuantizedMatrix(self.format, _padded(self.codes, count), groups)

    def check(self, wanted: MatrixFormat) -> None:
        """Raises `UserError` unless the matrix is of the format `wanted`."""
        if self.format != wanted:
            raise UserError(
                f"the weights are quantized as {self.format}, and the array takes {wanted}: "
                "quantize them anew"
            )

    def _spread(self, per_group: np.ndarray) -> np.ndarray:
        """Repeats the rows of a [G, N] array along K."""
        return np.repeat(per_group, self.format.group, axis=0)[: self.codes.shape[0]]


@lru_cache
def _plain(weight: WeightFormat) -> np.ndarray:
    """The integer of each code of a floating-point weight format."""
    return np.array([weight.plain(code) for code in range(1 << weight.bits)], np.int16)


def _padded(array: np.ndarray, count: int) -> np.ndarray:
    extended = np.zeros((array.shape[0], array.shape[1] + count), array.dtype)
    extended[:, : array.shape[1]] = array
    return extended
