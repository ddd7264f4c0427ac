"""The linear layers of stories260K on a prompt, for `mixpe demo`."""

from dataclasses import dataclass

import numpy as np

from ..quant.operands import Operands
from ..quant.quantize import quantize_activations, quantize_weights
from ..spec.array import Config
from ..spec.errors import UserError
from .llama import BOS
from .load import load_model


@dataclass(frozen=True)
class Layer:
    """Holds a linear layer with the activations it met: x [M, K], w [K, N], float32."""

    name: str
    x: np.ndarray
    w: np.ndarray

    @property
    def shape(self) -> str:
        return f"{self.x.shape[0]}x{self.w.shape[0]}x{self.w.shape[1]}"

    @property
    def macs(self) -> int:
        return self.x.shape[0] * self.w.size

    @property
    def exact(self) -> np.ndarray:
        """Computes x @ w in float64: float32 operands, not quantized."""
        return self.x.astype(np.float64) @ self.w


def layers_of(prompt: str) -> list[Layer]:
    """Returns every linear layer of the model, with its activations when the model reads `prompt`."""
    model, tokenizer = load_model()
    tokens = [BOS, *tokenizer.encode(prompt, "prompt")]
    layers = []

    def linear(name: str, x: np.ndarray, w: np.ndarray) -> np.ndarray:
        layers.append(Layer(name, x, w))
        return x @ w

    try:
        model.forward(tokens, model.new_cache(), linear)
    except UserError as error:
        raise UserError(f"prompt: {error}") from None
    return layers


def quantized(layer: Layer, config: Config) -> Operands:
    """Returns the layer's operands, quantized as an array of `config` takes them."""
    weights = quantize_weights(layer.w, config)
    a, t = quantize_activations(layer.x, config)
    return Operands(config, a, weights, t if config.row_members else None)


def relative_error(out: np.ndarray, exact: np.ndarray) -> float:
    """Returns the Euclidean norm of the difference over that of `exact`."""
    return float(np.linalg.norm(out - exact) / np.linalg.norm(exact))
