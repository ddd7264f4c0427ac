"""Perplexity of a model under an engine."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import islice
from math import exp

import numpy as np

from ..models.llama import Linear, Llama, matmul
from ..models.tokenizer import BOS
from ..spec import layout
from ..spec.array import Config
from ..spec.errors import UserError
from ..support.memory import require_memory
from .generate import next_tokens, sampler

FLOAT_BITS = 32
"""Counts the bits of a weight that is not quantized."""

_LIST_BYTES = 64
"""Bytes that a list takes besides 8 for each of its members."""


@dataclass(frozen=True)
class Perplexity:
    """Holds exp of the mean negative log-likelihood of `tokens` tokens, each given those before it."""

    value: float
    tokens: int


def samples(model: Llama, count: int, length: int, seed: int) -> list[list[int]]:
    """Returns texts that the model itself makes in FP32 at temperature 1, each with BOS before it.

    Text i is drawn with seed + i; it has `length` tokens, or fewer, the last of which ends it.
    Raises `UserError` before the work, also for more texts than the memory holds.
    """
    for name, value, most in (("samples", count, None), ("length", length, model.config.seq_len)):
        if value < 1 or (most and value > most):
            limit = f"1 to {most}, the model's positions" if most else "at least 1"
            raise UserError(f"{name} must be {limit}, not {value}")
    require_memory(count * (_LIST_BYTES + 8 * (length + 1)), f"a list of {count} samples")
    return [
        [
            BOS,
            *(token for token, _ in islice(next_tokens(model, [BOS], matmul, sampler(1, seed + i)), length)),
        ]
        for i in range(count)
    ]


def windows(tokens: Sequence[int], seq_len: int) -> list[list[int]]:
    """Cuts a text, given with BOS before it, into windows: BOS and up to `seq_len` of its tokens each.

    A model of `seq_len` positions predicts all but the BOS, and every token of the text is in one window.
    """
    text = list(tokens[1:])
    if not text:
        raise UserError("text must not be empty")
    return [[tokens[0], *text[start : start + seq_len]] for start in range(0, len(text), seq_len)]


def measure(
    model: Llama,
    texts: Sequence[Sequence[int]],
    linear: Linear = matmul,
    progress: Callable[[int], None] = lambda _: None,
) -> Perplexity:
    """Measures texts of tokens: each token but a text's first is predicted from those before it.

    progress: told of every text the number of its tokens that were predicted.
    """
    total, count = 0.0, 0
    for text in texts:
        logits = model.forward(list(text[:-1]), model.new_cache(), linear)
        total += float(losses(logits, text[1:]).sum())
        count += len(logits)
        progress(len(logits))
    mean = total / count
    return Perplexity(exp(mean) if mean < 700 else float("inf"), count)


def losses(logits: np.ndarray, tokens: Sequence[int]) -> np.ndarray:
    """Returns -log of the probability that each row of logits [M, vocab] gives its token: float64 [M]."""
    shifted = logits.astype(np.float64)
    shifted -= shifted.max(axis=1, keepdims=True)
    return np.log(np.exp(shifted).sum(axis=1)) - shifted[np.arange(len(shifted)), list(tokens)]


def bits_per_weight(model: Llama, config: Config | None) -> float:
    """Returns the mean bits of a weight of the linear layers: its code and its share of scale and zero point.

    Padding does not count.

    config: None for FP32.
    """
    if config is None:
        return FLOAT_BITS
    per_group = layout.scale_beat_bits(config) / config.cols
    weights, bits = 0, 0.0
    for w in model.linears.values():
        k, n = w.shape
        weights += k * n
        bits += k * n * config.weight_bits + layout.groups(k, config) * n * per_group
    return bits / weights
