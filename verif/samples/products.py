"""Products with random operands, and what they give."""

from typing import NamedTuple

import numpy as np

from mixpe.quant.golden import mpgemm
from mixpe.quant.samples import random_operands
from mixpe.spec.array import Config


class Product(NamedTuple):
    """Holds operands as `mixpe.quant.golden.mpgemm` takes them, and its result."""

    a: np.ndarray
    q: np.ndarray
    s: np.ndarray
    z: np.ndarray | None
    t: np.ndarray | None
    out: np.ndarray


def random_product(
    rng: np.random.Generator, config: Config, m: int, k: int, n: int, *, extreme: bool = False
) -> Product:
    """Draws a product; `extreme`: with operands of corner cases only."""
    a, q, s, z, t = random_operands(rng, m, k, n, config, extreme=extreme)
    return Product(a, q, s, z, t, mpgemm(a, q, s, z, config=config, t=t))


def same(out: np.ndarray, expected: np.ndarray) -> bool:
    """Whether type, shape and every bit are equal."""
    return out.dtype == expected.dtype and out.shape == expected.shape and out.tobytes() == expected.tobytes()
