"""Engines: who multiplies in a model's linear layers.

`FloatEngine` does in FP32; `GoldenEngine` and `CoreEngine` quantize weights and activations in the same way,
and multiply with the golden model or with an accelerator, so that they differ in the product alone.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..driver.accelerator import Accelerator, LoadedWeights
from ..driver.command import Counters
from ..models.llama import Llama, matmul
from ..quant.golden import mpgemm
from ..quant.matrix import QuantizedMatrix
from ..quant.quantize import check_finite, quantize_activations, quantize_weights
from ..spec import layout
from ..spec.array import Config
from ..spec.errors import UserError

ACTIVATIONS: dict[str, dict[str, Any]] = {
    "a8": {"act_format": "int", "act_bits": 8, "token_scale": True},
    "a16": {
        "act_format": "fp16",
        "act_bits": 16,
        "fp_scheme": "aligned",
        "align_bits": 13,
        "token_scale": True,
    },
}
"""Fields of the configurations, by the activations: INT8, or FP16 aligned to 13 bits.

Both have a scale per token. FP16 would do without for most models; with one, no activation of any model is
beyond FP16's largest number, and small ones keep all their bits.
"""


def array_config(weight_bits: int, group: int, acts: str = "a8", **fields: Any) -> Config:
    """Returns the array of a model quantized so, `acts` of ACTIVATIONS; `fields` are more of `Config`'s."""
    if acts not in ACTIVATIONS:
        raise UserError(f"acts must be one of {', '.join(ACTIVATIONS)}, not {acts!r}")
    return Config(weight_bits=weight_bits, group=group, **(ACTIVATIONS[acts] | fields))


@dataclass(frozen=True)
class Call:
    """Holds a product of a linear layer, [m, k] times [k, n], and what a core counted if there was one."""

    name: str
    m: int
    k: int
    n: int
    counters: Counters | None = None

    @property
    def macs(self) -> int:
        return self.m * self.k * self.n


class Engine(ABC):
    """Multiplies by the linear layers of a model, by name. `calls` records every product."""

    def __init__(self):
        self.calls: list[Call] = []

    def load_all(self, linears: Mapping[str, np.ndarray]) -> None:
        """Takes the weights w[K, N] of every layer, which `linear` then knows by name."""
        for name, w in linears.items():
            try:
                self.load(name, w)
            except UserError as error:
                raise UserError(f"{name}: {error}") from None

    @abstractmethod
    def load(self, name: str, w: np.ndarray) -> None:
        """Takes the weights of one layer, w[K, N] float32. Raises `UserError` for weights it cannot hold."""

    @abstractmethod
    def multiply(self, name: str, x: np.ndarray) -> tuple[np.ndarray, Counters | None]:
        """Returns x[M, K] float32 times a layer's weights, [M, N] float32, and what the core counted."""

    def linear(self, name: str, x: np.ndarray, _w: np.ndarray | None = None) -> np.ndarray:
        """Returns x[M, K] times the weights of the loaded layer `name`; for `mixpe.models.llama`."""
        try:
            out, counters = self.multiply(name, x)
        except UserError as error:
            raise UserError(f"{name}: {error}") from None
        m, k = x.shape
        self.calls.append(Call(name, m, k, out.shape[1], counters))
        return out


class FloatEngine(Engine):
    """Multiplies in NumPy's float32: the reference of what quantization costs."""

    def __init__(self):
        super().__init__()
        self._loaded: dict[str, np.ndarray] = {}

    def load(self, name: str, w: np.ndarray) -> None:
        check_finite("w", w)
        self._loaded[name] = w

    def multiply(self, name: str, x: np.ndarray) -> tuple[np.ndarray, Counters | None]:
        return matmul(name, x, self._loaded[name]), None


class QuantizedEngine(Engine):
    """Quantizes weights when they are loaded, activations at every product, for an array of `config`."""

    def __init__(self, config: Config):
        super().__init__()
        self.config = config
        self._loaded: dict[str, Any] = {}

    def load(self, name: str, w: np.ndarray) -> None:
        self._loaded[name] = self.place(quantize_weights(w, self.config))

    def multiply(self, name: str, x: np.ndarray) -> tuple[np.ndarray, Counters | None]:
        a, t = quantize_activations(x, self.config)
        scaled = bool(self.config.row_members)
        out, counters = self.product(a, self._loaded[name], t if scaled else None)
        out = out.astype(np.float32, copy=False)
        # An array without token scales leaves them to its user.
        return (out if scaled else out * t[:, None]), counters

    def place(self, weights: QuantizedMatrix) -> Any:
        """Returns what `product` will know the weights by."""
        return weights

    @abstractmethod
    def product(
        self, a: np.ndarray, weights: Any, t: np.ndarray | None
    ) -> tuple[np.ndarray, Counters | None]:
        """Returns a[M, K] times what `place` returned, in the array's format, and what the core counted."""


class GoldenEngine(QuantizedEngine):
    """Multiplies by the golden model: bit for bit what a core makes."""

    def product(
        self, a: np.ndarray, weights: QuantizedMatrix, t: np.ndarray | None
    ) -> tuple[np.ndarray, None]:
        return mpgemm(a, weights, config=self.config, t=t), None


class CoreEngine(QuantizedEngine):
    """Multiplies on an accelerator core, by its driver."""

    def __init__(self, accelerator: Accelerator):
        super().__init__(accelerator.array)
        self._accelerator = accelerator

    def place(self, weights: QuantizedMatrix) -> LoadedWeights:
        return self._accelerator.load_weights(weights)

    def product(
        self, a: np.ndarray, weights: LoadedWeights, t: np.ndarray | None
    ) -> tuple[np.ndarray, Counters]:
        out = self._accelerator.matmul(a, weights, t)
        return out, self._accelerator.last_counters


def memory_needed(model: Llama, config: Config) -> int:
    """Returns the bytes that hold a model's weights for `config`, and its largest product's operands."""
    weights = operands = 0
    for w in model.linears.values():
        k, n = w.shape
        weights += layout.weight_bytes(k, n, config) + layout.scale_bytes(k, n, config)
        operands = max(operands, layout.act_stride(k, config) + layout.out_stride(n, config))
    rows = model.config.seq_len
    return weights + rows * operands + layout.aligned(layout.token_bytes(rows))
