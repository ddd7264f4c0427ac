"""Products with random operands, and what they give."""

from typing import NamedTuple

import numpy as np

from mixpe.quant.golden import mpgemm
from mixpe.quant.matrix import QuantizedMatrix
from mixpe.quant.samples import random_operands
from mixpe.spec.array import Config


class Product(NamedTuple):
    """Holds operands of `mixpe.quant.golden.mpgemm`, and its result."""

    a: np.ndarray
    weights: QuantizedMatrix
    t: np.ndarray | None
    out: np.ndarray


def random_product(
    rng: np.random.Generator, config: Config, m: int, k: int, n: int, *, extreme: bool = False
) -> Product:
    """Returns a product with random operands; `extreme`: corner cases only."""
    a, weights, t = random_operands(rng, m, k, n, config, extreme=extreme)
    return Product(a, weights, t, mpgemm(a, weights, config=config, t=t))


def matrix(config: Config, q, s, z=None) -> QuantizedMatrix:
    """Returns a quantized matrix of codes, scales and, where the format has them, zero points."""
    return QuantizedMatrix(config.matrix, q, {"s": s} if z is None else {"s": s, "z": z})


def same(out: np.ndarray, expected: np.ndarray) -> bool:
    """Whether type, shape and every bit are equal."""
    return out.dtype == expected.dtype and out.shape == expected.shape and out.tobytes() == expected.tobytes()
