"""For tests of language models: small ones in llama2.c's formats or of known logits, a driver of no core."""

import struct
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from mixpe.driver.command import Counters
from mixpe.llm.engine import Engine
from mixpe.llm.generate import Choose, Generation, greedy
from mixpe.models.llama import Llama, LlamaConfig
from mixpe.models.load import load_model
from mixpe.models.tokenizer import Tokenizer
from mixpe.quant.golden import mpgemm
from mixpe.quant.matrix import QuantizedMatrix
from mixpe.quant.packing import memory
from mixpe.spec.array import Config

Header = tuple[int, int, int, int, int, int, int]
"""dim, hidden, layers, heads, kv_heads, vocab (negative: a classifier of its own), seq_len."""

BYTES = [b"<unk>", b"\n<s>\n", b"\n</s>\n", *(b"<0x%02X>" % byte for byte in range(256))]
"""The tokens that every tokenizer begins with."""

VOCABULARY = [*BYTES, *(letter.encode() for letter in " abc\u00e9"), b"ab", b" ab"]

TINY: Header = (24, 37, 2, 4, 2, -len(VOCABULARY), 20)
"""Sizes that are no multiples of an array's or a group's, shared keys and values, a classifier of its own."""


STORY = (
    "Once upon a time, there was a little girl named Lily. She loved to play outside in the park. "
    "One day, she saw a big, red ball."
)
"""What stories260K begins with."""


def shapes(header: Header) -> dict[str, tuple[int, ...]]:
    """Returns the tensors of version 0 in their order; linear layers as [layers, N, K]."""
    dim, hidden, layers, heads, kv_heads, vocab, seq_len = header
    kv, half = dim // heads * kv_heads, dim // heads // 2
    order = {
        "embedding": (abs(vocab), dim),
        "norm1": (layers, dim),
        "wq": (layers, dim, dim),
        "wk": (layers, kv, dim),
        "wv": (layers, kv, dim),
        "wo": (layers, dim, dim),
        "norm2": (layers, dim),
        "w1": (layers, hidden, dim),
        "w2": (layers, dim, hidden),
        "w3": (layers, hidden, dim),
        "norm3": (dim,),
        "cos": (seq_len, half),
        "sin": (seq_len, half),
    }
    return order | ({"classifier": (-vocab, dim)} if vocab < 0 else {})


def random_tensors(header: Header, seed: int = 0) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    return {
        name: rng.standard_normal(shape).astype("<f4") * np.float32(0.5)
        for name, shape in shapes(header).items()
    }


def write_model(path: Path, header: Header, tensors: Mapping[str, np.ndarray] | None = None) -> Path:
    """Writes a file of version 0, of random tensors if none are given."""
    tensors = random_tensors(header) if tensors is None else tensors
    path.write_bytes(
        struct.pack("<7i", *header) + b"".join(tensors[name].tobytes() for name in shapes(header))
    )
    return path


def write_version_1(path: Path, header: Header, tensors: Mapping[str, np.ndarray]) -> Path:
    """Writes a file of version 1 of the same tensors."""
    *sizes, vocab, seq_len = header
    start = struct.pack("<Ii7iB", 0x616B3432, 1, *sizes, abs(vocab), seq_len, vocab > 0)
    order = ["norm1", "norm2", "norm3", "embedding", "wq", "wk", "wv", "wo", "w1", "w2", "w3"]
    order += ["classifier"] if vocab < 0 else []
    path.write_bytes(start.ljust(256, b"\0") + b"".join(tensors[name].tobytes() for name in order))
    return path


def write_tokenizer(
    path: Path, tokens: Sequence[bytes] = VOCABULARY, scores: Sequence[float] | None = None
) -> Path:
    """Writes a tokenizer; without scores, longer tokens merge first."""
    content = struct.pack("<i", max(map(len, tokens)))
    for token, score in zip(tokens, map(len, tokens) if scores is None else scores, strict=True):
        content += struct.pack("<fi", score, len(token)) + token
    path.write_bytes(content)
    return path


def tiny_model(folder: Path) -> tuple[Llama, Tokenizer]:
    """Returns `TINY` and its tokenizer, from the files `model` and `tok` that it writes."""
    model, tokenizer = write_model(folder / "model", TINY), write_tokenizer(folder / "tok")
    return load_model(str(model), str(tokenizer))


def table_model(logits: np.ndarray, seq_len: int = 64) -> Llama:
    """Makes a model whose logits after a token are its row of logits[vocab, vocab], whatever came before.

    Exact but for the rounding of float32 and RMSNorm's small term.
    """
    vocab = len(logits)
    dim = vocab + vocab % 2
    config = LlamaConfig(dim, 2, 1, 1, 1, vocab, seq_len, shared_classifier=False)
    sizes = {"wq": (dim, dim), "wk": (dim, dim), "wv": (dim, dim), "wo": (dim, dim)}
    sizes |= {"w1": (dim, 2), "w2": (2, dim), "w3": (dim, 2)}
    linears = {f"layers.0.{name}": np.zeros(shape, np.float32) for name, shape in sizes.items()}
    classifier = np.zeros((dim, vocab), np.float32)
    classifier[:vocab] = logits / np.sqrt(dim)  # RMSNorm makes sqrt(dim) of a lone 1
    norms = {
        name: np.ones(dim, np.float32) for name in ("final", "layers.0.attention", "layers.0.feed_forward")
    }
    return Llama(config, np.eye(vocab, dim, dtype=np.float32), norms, linears | {"classifier": classifier})


def chain_model(successors: Mapping[int, int], vocab: int = len(VOCABULARY), seq_len: int = 64) -> Llama:
    """Makes a model that follows every token of `successors` by that token, and others by token 0."""
    logits = np.zeros((vocab, vocab))
    for token, successor in successors.items():
        logits[token, successor] = 1
    return table_model(logits, seq_len)


class FakeAccelerator:
    """Stands in for `Accelerator`: the golden model, on operands from memory's bytes.

    `count`: of products; in each, that many times ten cycles were counted.
    """

    def __init__(self, array: Config):
        self.array = array
        self.count = 0

    def load_weights(self, weights: QuantizedMatrix) -> memory.PackedWeights:
        return memory.pack_weights(weights, self.array)

    def matmul(self, a: np.ndarray, weights: memory.PackedWeights, t: np.ndarray | None = None) -> np.ndarray:
        self.count += 1
        a = memory.unpack_acts(memory.pack_acts(a, self.array), a.shape[1], self.array)
        return mpgemm(a, memory.unpack_weights(weights), config=self.array, t=t)

    @property
    def last_counters(self) -> Counters:
        return Counters(cycles=10 * self.count)


def generated(
    loaded: tuple[Llama, Tokenizer],
    engine: Engine,
    prompt: str = "ab",
    count: int = 9,
    choose: Choose = greedy,
) -> Generation:
    """Returns a text of the model on the engine, all of it."""
    model, tokenizer = loaded
    engine.load_all(model.linears)
    generation = Generation(model, tokenizer, engine, prompt, count, choose)
    assert "".join(generation) == generation.text
    return generation
