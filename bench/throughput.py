"""Products on a core, measured: against the golden model, the formulas and the array's peak."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..driver.accelerator import Accelerator
from ..driver.command import Counters
from ..quant.golden import mpgemm
from ..quant.samples import random_operands
from ..spec import cycles as traffic
from ..spec import layout
from ..spec.core import CoreConfig


@dataclass(frozen=True)
class Throughput:
    """Holds what a product of `m` x `k` x `n` on `config` took.

    counters: what the core counted. estimate: cycles by the formulas of docs/core.md. exact: all bits of the
    results are those of the golden model.
    """

    m: int
    k: int
    n: int
    config: CoreConfig
    counters: Counters
    estimate: traffic.Estimate
    exact: bool

    @property
    def shape(self) -> str:
        return f"{self.m}x{self.k}x{self.n}"

    @property
    def utilization(self) -> float:
        """Returns the multiplications asked for as a share of those that fit in the time."""
        array = self.config.array
        return self.m * self.k * self.n / (self.counters.cycles * array.rows * array.cols * array.lanes)

    @property
    def formulas(self) -> dict[str, int]:
        """Returns what docs/core.md says of the counters that have an exact formula."""
        return {
            "beats": traffic.beats(self.m, self.k, self.n, self.config),
            "read_bytes": traffic.read_bytes(self.m, self.k, self.n, self.config),
            "write_bytes": traffic.write_bytes(self.m, self.n, self.config),
        }

    @property
    def complaints(self) -> list[str]:
        """Says what is wrong: results, or a counter that is not as its formula says."""
        found = [] if self.exact else [f"{self.shape}: results differ from the golden model's"]
        for name, expected in self.formulas.items():
            if (counted := getattr(self.counters, name)) != expected:
                found.append(f"{self.shape}: {name.upper()} counts {counted:,}, the formula {expected:,}")
        return found


def measure(
    accelerator: Accelerator,
    config: CoreConfig,
    shape: tuple[int, int, int],
    memory: Mapping[str, Any],
    rng: np.random.Generator,
) -> Throughput:
    """Multiplies random matrices of M x K x N.

    memory: of the core, as `mixpe.spec.cycles.estimate` takes it by keywords.
    """
    a, matrix, t = random_operands(rng, *shape, config.array)
    weights = accelerator.load_weights(matrix)
    out = accelerator.matmul(a, weights, t)
    weights.free()  # not after an interrupt, when it would wait for the product's end
    exact = out.tobytes() == mpgemm(a, matrix, config=config.array, t=t).tobytes()
    estimate = traffic.estimate(*shape, config, **memory)
    return Throughput(*shape, config, accelerator.last_counters, estimate, exact)


def measuring_memory(config: CoreConfig, shape: tuple[int, int, int]) -> int:
    """Returns the bytes that `measure` takes: the core's memory, and the operands and results beside it."""
    m, k, n = shape
    # NumPy draws numbers of 64 bits, one operand at a time; a result of FP32 is the core's, one the model's.
    drawn, operands, results = 8 * max(m * k, k * n), 2 * m * k + k * n, 2 * 4 * m * n
    return memory_needed(config, shape) + drawn + operands + results


def memory_needed(config: CoreConfig, shape: tuple[int, int, int]) -> int:
    """Returns the bytes of the operands and results of a product."""
    array, (m, k, n) = config.array, shape
    weights = layout.weight_bytes(k, n, array) + layout.scale_bytes(k, n, array)
    rows = m * (layout.act_stride(k, array) + layout.out_stride(n, array))
    return weights + rows + layout.aligned(layout.token_bytes(m))
