"""A Llama-style language model in NumPy, read from a llama2.c checkpoint: a source of real operands.

Every linear layer calls a function that the caller may replace, so that an accelerator, or a recorder,
stands in. Files are little-endian, in one of two of llama2.c's formats:

- version 0: seven int32 (dim, hidden, layers, heads, kv_heads, vocab, seq_len; vocab negative if the
  classifier has weights of its own), then float32 tensors in the order of `_VERSION_0`;
- version 1: a header of 256 bytes, which holds uint32 0x616b3432, int32 1, the seven sizes and a byte that
  is 0 if the classifier has weights of its own and else 1; then float32 tensors in the order of `_VERSION_1`.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, fields
from math import prod
from pathlib import Path

import numpy as np

from ..quant.quantize import check_finite
from ..spec.errors import UserError
from ..support.files import read_bytes
from .tokenizer import BOS, EOS

# (name of the layer, x[M, K], w[K, N]) -> [M, N], all float32
Linear = Callable[[str, np.ndarray, np.ndarray], np.ndarray]

_EPSILON = np.float32(1e-5)
_ROPE_BASE = 10000.0


@dataclass(frozen=True)
class LlamaConfig:
    """Holds the sizes of a model: `heads` query heads share `kv_heads` key and value heads."""

    dim: int
    hidden: int
    layers: int
    heads: int
    kv_heads: int
    vocab: int
    seq_len: int
    shared_classifier: bool = True

    def __post_init__(self):
        for size in fields(self):
            if size.name != "shared_classifier" and getattr(self, size.name) < 1:
                raise UserError(f"{size.name} must be at least 1, not {getattr(self, size.name)}")
        if self.heads % self.kv_heads:
            raise UserError(f"heads must be a multiple of kv_heads ({self.kv_heads}), not {self.heads}")
        if self.dim % (2 * self.heads):
            raise UserError(f"dim must be a multiple of 2*heads ({2 * self.heads}), not {self.dim}")

    @property
    def head_dim(self) -> int:
        return self.dim // self.heads


@dataclass
class KVCache:
    """Holds keys and values of the tokens seen: float32 [layers, room, kv_heads, head_dim] each.

    length: the tokens that it holds.
    """

    keys: np.ndarray
    values: np.ndarray
    length: int = 0

    def reserve(self, length: int) -> None:
        """Makes room for so many tokens in all; doubled, so that a text of any length is copied seldom."""
        room = self.keys.shape[1]
        if length > room:
            more = ((0, 0), (0, max(length, 2 * room) - room), (0, 0), (0, 0))
            self.keys, self.values = np.pad(self.keys, more), np.pad(self.values, more)


def matmul(_name: str, x: np.ndarray, w: np.ndarray) -> np.ndarray:
    """Computes the linear layer in float32."""
    return x @ w


@dataclass(frozen=True)
class Llama:
    """Holds a model and its forward pass (RMSNorm, rotary positions, grouped-query attention, SwiGLU).

    `linears` holds the weights w[K, N] by name: layers.<i>.wq, wk, wv, wo, w1, w2, w3, and classifier.
    """

    config: LlamaConfig
    embedding: np.ndarray
    norms: dict[str, np.ndarray] = field(repr=False)
    linears: dict[str, np.ndarray] = field(repr=False)

    @classmethod
    def load(cls, path: str | Path) -> "Llama":
        """Reads a checkpoint. Raises `UserError` that names the file and what is wrong with it."""
        content = read_bytes(path, "model")
        config, skipped, order = _header(content[:_HEADER_BYTES], path)
        shapes = _shapes(config)
        tensors = {name: shapes[name] for name in order if name in shapes}
        expected = skipped + 4 * sum(prod(shape) for shape in tensors.values())
        if len(content) != expected:
            raise UserError(
                f"model {path} must have {expected} bytes, as its header says, not {len(content)}"
            )
        values = np.frombuffer(content, "<f4", offset=skipped).astype(np.float32, copy=False)
        parts, offset = {}, 0
        for name, shape in tensors.items():
            parts[name] = values[offset : offset + prod(shape)].reshape(shape)
            offset += prod(shape)
            if not name.startswith("freq_cis"):  # which nobody reads
                check_finite(f"model {path}: {name}", parts[name])
        norms, linears = {"final": parts["final"]}, {}
        for i in range(config.layers):
            norms |= {f"layers.{i}.{name}": parts[name][i] for name in ("attention", "feed_forward")}
            linears |= {f"layers.{i}.{name}": parts[name][i].T for name in LINEARS}
        linears["classifier"] = parts["embedding" if config.shared_classifier else "classifier"].T
        return cls(config, parts["embedding"], norms, linears)

    def new_cache(self) -> KVCache:
        """Returns a cache of no token, which grows with what it holds: a file may claim any `seq_len`."""
        c = self.config
        shape = (c.layers, 0, c.kv_heads, c.head_dim)
        return KVCache(np.zeros(shape, np.float32), np.zeros(shape, np.float32))

    def forward(
        self, tokens: list[int], cache: KVCache, linear: Linear = matmul, *, last: bool = False
    ) -> np.ndarray:
        """Logits [M, vocab] of M tokens that follow those in the cache, all at once: each is one row of every
        linear layer. With `last`, those of the last token alone, [1, vocab]: the classifier has one row.

        Appends to the cache. Raises `UserError` for a token or a length that does not fit, and where the
        model's numbers leave FP32."""
        c, m, start = self.config, len(tokens), cache.length
        if not m or start + m > c.seq_len:
            raise UserError(
                f"tokens must number 1 to {c.seq_len - start} after {start} of {c.seq_len}, not {m}"
            )
        for token in tokens:
            if not 0 <= token < c.vocab:
                raise UserError(f"token must be 0 to {c.vocab - 1}, not {token}")
        cache.reserve(start + m)
        with np.errstate(all="ignore"):  # what it makes is checked
            return self._forward(tokens, cache, linear, last)

    def _forward(self, tokens: list[int], cache: KVCache, linear: Linear, last: bool) -> np.ndarray:
        c, m, start = self.config, len(tokens), cache.length
        x = self.embedding[tokens]
        cos, sin = _rotations(np.arange(start, start + m), c.head_dim)
        for i in range(c.layers):

            def layer(name: str, x: np.ndarray, prefix: str = f"layers.{i}.") -> np.ndarray:
                return linear(prefix + name, x, self.linears[prefix + name])

            h = _rms_norm(x, self.norms[f"layers.{i}.attention"])
            q = _rotate(layer("wq", h).reshape(m, c.heads, c.head_dim), cos, sin)
            k = _rotate(layer("wk", h).reshape(m, c.kv_heads, c.head_dim), cos, sin)
            cache.keys[i, start : start + m] = k
            cache.values[i, start : start + m] = layer("wv", h).reshape(m, c.kv_heads, c.head_dim)
            keys, values = cache.keys[i, : start + m], cache.values[i, : start + m]
            x = x + layer("wo", _attention(q, keys, values, start))
            h = _rms_norm(x, self.norms[f"layers.{i}.feed_forward"])
            x = x + layer("w2", _silu(layer("w1", h)) * layer("w3", h))
            _check_numbers(f"layers.{i}", x)
        cache.length += m
        x = _rms_norm(x[-1:] if last else x, self.norms["final"])
        logits = linear("classifier", x, self.linears["classifier"])
        _check_numbers("classifier", logits)
        return logits

    def generate(self, prompt: list[int], count: int, linear: Linear = matmul) -> list[int]:
        """Returns `prompt` and up to `count` likeliest tokens after it; a BOS or EOS ends the text."""
        tokens, cache = list(prompt), self.new_cache()
        new = tokens
        for _ in range(count):
            new = [int(self.forward(new, cache, linear)[-1].argmax())]
            if new[0] in (BOS, EOS):
                break
            tokens += new
        return tokens


LINEARS = ("wq", "wk", "wv", "wo", "w1", "w2", "w3")
"""The linear layers of each layer of a model; `classifier` comes after all."""

_MAGIC = 0x616B3432
_SIZES = 7
_VOCAB = 5
"""Which of the sizes it is."""
_HEADER_BYTES = 256
"""Counts the bytes that come before the tensors in a file of version 1."""

_VERSION_0 = (
    "embedding",
    "attention",
    "wq",
    "wk",
    "wv",
    "wo",
    "feed_forward",
    "w1",
    "w2",
    "w3",
    "final",
    "freq_cis_real",
    "freq_cis_imag",
    "classifier",
)
_VERSION_1 = ("attention", "feed_forward", "final", "embedding", *LINEARS, "classifier")


def _header(start: bytes, path: str | Path) -> tuple[LlamaConfig, int, tuple[str, ...]]:
    """Returns the sizes of a model, the bytes before its tensors, and their order.

    start: the first bytes of its file.
    """
    if len(start) >= 8 and int.from_bytes(start[:4], "little") == _MAGIC:
        version = int.from_bytes(start[4:8], "little", signed=True)
        if version != 1:
            why = ", which holds quantized weights: export it as version 0 or 1" if version == 2 else ""
            raise UserError(f"model {path} must be of llama2.c's version 0 or 1, not {version}{why}")
        first, needed, order = 8, _HEADER_BYTES, _VERSION_1
    else:
        first, needed, order = 0, 4 * _SIZES, _VERSION_0
    if len(start) < needed:
        raise UserError(f"model {path} must have a header of {needed} bytes, not {len(start)} in all")
    sizes = [int(size) for size in np.frombuffer(start, "<i4", _SIZES, first)]
    if order is _VERSION_0:
        shared = sizes[_VOCAB] > 0
        sizes[_VOCAB] = abs(sizes[_VOCAB])
    else:
        shared = start[first + 4 * _SIZES] != 0
    try:
        config = LlamaConfig(*sizes, shared_classifier=shared)
    except UserError as error:
        raise UserError(f"model {path}: {error}") from None
    return config, needed, order


def _shapes(c: LlamaConfig) -> dict[str, tuple[int, ...]]:
    """Returns the shapes of a model's tensors; those of linear layers are [layers, N, K]."""
    kv_dim = c.kv_heads * c.head_dim
    tensors: dict[str, tuple[int, ...]] = {
        "embedding": (c.vocab, c.dim),
        "attention": (c.layers, c.dim),
        "wq": (c.layers, c.dim, c.dim),
        "wk": (c.layers, kv_dim, c.dim),
        "wv": (c.layers, kv_dim, c.dim),
        "wo": (c.layers, c.dim, c.dim),
        "feed_forward": (c.layers, c.dim),
        "w1": (c.layers, c.hidden, c.dim),
        "w2": (c.layers, c.dim, c.hidden),
        "w3": (c.layers, c.hidden, c.dim),
        "final": (c.dim,),
        # cos and sin of the rotary positions, which readers compute themselves
        "freq_cis_real": (c.seq_len, c.head_dim // 2),
        "freq_cis_imag": (c.seq_len, c.head_dim // 2),
    }
    if not c.shared_classifier:
        tensors["classifier"] = (c.vocab, c.dim)
    return tensors


def _check_numbers(name: str, x: np.ndarray) -> None:
    """Raises `UserError` unless all numbers that a layer made are finite."""
    if not np.isfinite(x).all():
        raise UserError(f"{name} must be finite, not {x[~np.isfinite(x)][0]}: weights are too large")


def _rms_norm(x: np.ndarray, gain: np.ndarray) -> np.ndarray:
    return x / np.sqrt(np.mean(x * x, axis=-1, keepdims=True) + _EPSILON) * gain


def _silu(x: np.ndarray) -> np.ndarray:
    with np.errstate(over="ignore"):
        return x / (np.float32(1) + np.exp(-x))


def _rotations(positions: np.ndarray, head_dim: int) -> tuple[np.ndarray, np.ndarray]:
    """Returns cos and sin of each position and pair of elements, [M, 1, head_dim/2] float32."""
    angles = positions[:, None, None] * _ROPE_BASE ** (-np.arange(0, head_dim, 2) / head_dim)
    return np.cos(angles).astype(np.float32), np.sin(angles).astype(np.float32)


def _rotate(x: np.ndarray, cos: np.ndarray, sin: np.ndarray) -> np.ndarray:
    """Rotates neighbouring pairs of elements of x[M, heads, head_dim]."""
    even, odd = x[..., 0::2], x[..., 1::2]
    return np.stack((even * cos - odd * sin, even * sin + odd * cos), axis=-1).reshape(x.shape)


def _attention(q: np.ndarray, keys: np.ndarray, values: np.ndarray, start: int) -> np.ndarray:
    """Computes causal attention of q[M, heads, d] over keys and values [T, kv_heads, d]: [M, heads*d]."""
    m, heads, d = q.shape
    t, kv_heads = keys.shape[:2]
    grouped = q.reshape(m, kv_heads, heads // kv_heads, d)
    scores = np.einsum("mgrd,tgd->grmt", grouped, keys) / np.sqrt(np.float32(d))
    future = np.arange(t) > np.arange(start, start + m)[:, None]
    scores = np.where(future, np.float32(-np.inf), scores)
    weights = np.exp(scores - scores.max(axis=-1, keepdims=True))
    weights /= weights.sum(axis=-1, keepdims=True)
    return np.einsum("grmt,tgd->mgrd", weights, values).reshape(m, heads * d)
