"""Speed of the golden model against the same arithmetic written in obvious ways."""

from collections.abc import Callable
from dataclasses import dataclass
from time import perf_counter

import numpy as np

from ..quant.golden import mpgemm
from ..quant.matrix import QuantizedMatrix
from ..spec.array import Config


@dataclass(frozen=True)
class BenchResult:
    """Holds seconds of the golden model and its opponents on one product, and whether all bits agree."""

    m: int
    k: int
    n: int
    group: int
    golden_seconds: float
    naive_seconds: float
    looped_seconds: float
    bit_equal: bool

    @property
    def ratio(self) -> float:
        """Tells how many times as fast as the naive model the golden one is."""
        return self.naive_seconds / self.golden_seconds

    @property
    def looped_ratio(self) -> float:
        return self.looped_seconds / self.golden_seconds


def naive_mpgemm(a: np.ndarray, q: np.ndarray, s: np.ndarray, config: Config) -> np.ndarray:
    """Computes the formula as it stands: one int64 `einsum` over all groups, then D and Y of the contract.

    a: [M, K] int64, q: [K, N] int64, s: [G, N] float16; no zero points, no token scales.
    Returns float32 [M, N].
    """
    groups, tail = len(s), -a.shape[1] % config.group
    a, q = np.pad(a, ((0, 0), (0, tail))), np.pad(q, ((0, tail), (0, 0)))
    c = np.einsum("mgk,gkn->gmn", a.reshape(-1, groups, config.group), q.reshape(groups, config.group, -1))
    d = c.astype(np.float32) * s.astype(np.float32)[:, None]
    y = d[0]
    for d_g in d[1:]:
        y = y + d_g
    return y


def looped_mpgemm(a: np.ndarray, q: np.ndarray, s: np.ndarray, config: Config) -> np.ndarray:
    """Computes it group by group, one int64 `einsum` each, kept in the cache: a stronger opponent."""
    y = np.empty(0)
    for g, k in enumerate(range(0, a.shape[1], config.group)):
        c = np.einsum("mk,kn->mn", a[:, k : k + config.group], q[k : k + config.group])
        d = c.astype(np.float32) * s[g].astype(np.float32)
        y = d if g == 0 else y + d
    return y


def bench(
    m: int = 256, k: int = 4096, n: int = 4096, *, group: int = 128, repeat: int = 20, seed: int = 0
) -> BenchResult:
    """Times the models on the same random W4A8 operands, the whole product each time.

    The golden model: best of `repeat` runs on int8 operands, which it checks. Its opponents, slower and so
    less disturbed: best of two runs each on operands that are int64 already.
    """
    config = Config(group=group)
    rng = np.random.default_rng(seed)
    a = rng.integers(-128, 127, (m, k), dtype=np.int8, endpoint=True)
    q = rng.integers(-8, 7, (k, n), dtype=np.int8, endpoint=True)
    s = rng.standard_normal((-(-k // group), n)).astype(np.float16)
    wide_a, wide_q = a.astype(np.int64), q.astype(np.int64)
    weights = QuantizedMatrix(config.matrix, q, {"s": s})
    golden_seconds, out = _best(lambda: mpgemm(a, weights, config=config), repeat)
    naive_seconds, naive = _best(lambda: naive_mpgemm(wide_a, wide_q, s, config), 2)
    looped_seconds, looped = _best(lambda: looped_mpgemm(wide_a, wide_q, s, config), 2)
    equal = all(np.array_equal(out.view(np.uint32), other.view(np.uint32)) for other in (naive, looped))
    return BenchResult(m, k, n, group, golden_seconds, naive_seconds, looped_seconds, equal)


def _best(function: Callable[[], np.ndarray], repeat: int) -> tuple[float, np.ndarray]:
    """Returns the shortest of `repeat` times, in seconds, and the result."""
    best, result = float("inf"), np.empty(0)
    for _ in range(repeat):
        start = perf_counter()
        result = function()
        best = min(best, perf_counter() - start)
    return best, result
