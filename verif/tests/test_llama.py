"""The language model against a forward pass in plain loops, one token and one head at a time, in float64."""

import struct
from math import cos, exp, sin, sqrt
from pathlib import Path

import numpy as np
import pytest

from mixpe.models.llama import Llama, LlamaConfig, matmul
from mixpe.models.tokenizer import BOS, EOS, Tokenizer
from mixpe.spec.errors import UserError
from mixpe.support import data
from verif.samples.data import models
from verif.samples.models import random_tensors, shapes, write_model, write_tokenizer, write_version_1

# dim, hidden, layers, heads, kv_heads, vocab (negative: a classifier of its own), seq_len
MODELS = {
    "grouped": (16, 22, 2, 4, 2, 30, 12),
    "own_classifier": (12, 7, 3, 3, 3, -25, 9),
    "one_head": (4, 5, 1, 1, 1, 20, 5),
}
REAL, REAL_TOKENS = "models/stories260K.bin", "models/tok512.bin"


def tensors(path: Path) -> tuple[tuple[int, ...], dict[str, np.ndarray]]:
    content = path.read_bytes()
    header = struct.unpack("<7i", content[:28])
    parts, offset = {}, 28
    for name, shape in shapes(header).items():
        size = 4 * int(np.prod(shape))
        parts[name] = np.frombuffer(content[offset : offset + size], "<f4").reshape(shape).astype(np.float64)
        offset += size
    assert offset == len(content)
    return header, parts


def naive_logits(path: Path, tokens: list[int]) -> np.ndarray:
    """Logits after every token, float64 [M, vocab]."""
    (dim, _, layers, heads, kv_heads, vocab, _), w = tensors(path)
    size, logits = dim // heads, []
    keys, values = [[] for _ in range(layers)], [[] for _ in range(layers)]

    def norm(x, gain):
        return x / sqrt(sum(v * v for v in x) / len(x) + 1e-5) * gain

    def rotate(x, position):
        out = x.copy()
        for i in range(0, len(x), 2):
            angle = position / 10000 ** ((i % size) / size)
            out[i] = x[i] * cos(angle) - x[i + 1] * sin(angle)
            out[i + 1] = x[i] * sin(angle) + x[i + 1] * cos(angle)
        return out

    for position, token in enumerate(tokens):
        x = w["embedding"][token]
        for layer in range(layers):
            h = norm(x, w["norm1"][layer])
            q = rotate(w["wq"][layer] @ h, position)
            keys[layer].append(rotate(w["wk"][layer] @ h, position))
            values[layer].append(w["wv"][layer] @ h)
            mixed = np.zeros(dim)
            for head in range(heads):
                mine = slice(head * size, (head + 1) * size)
                shared = slice(head * kv_heads // heads * size, (head * kv_heads // heads + 1) * size)
                scores = [exp(q[mine] @ key[shared] / sqrt(size)) for key in keys[layer]]
                for score, value in zip(scores, values[layer], strict=True):
                    mixed[mine] += score / sum(scores) * value[shared]
            x = x + w["wo"][layer] @ mixed
            h = norm(x, w["norm2"][layer])
            gate = np.array([v / (1 + exp(-v)) for v in w["w1"][layer] @ h])
            x = x + w["w2"][layer] @ (gate * (w["w3"][layer] @ h))
        classifier = w["classifier" if vocab < 0 else "embedding"]
        logits.append(classifier @ norm(x, w["norm3"]))
    return np.array(logits)


@pytest.fixture(params=[*MODELS, *models()])
def model_path(request, tmp_path) -> Path:
    """Returns the path of every synthetic model, and of the real one."""
    name = request.param
    return write_model(tmp_path / name, MODELS[name]) if name in MODELS else data.find(REAL)


def test_logits(model_path):
    """All tokens at once, one at a time, and in two parts: the naive logits."""
    model = Llama.load(model_path)
    rng = np.random.default_rng(1)
    tokens = [BOS, *map(int, rng.integers(0, model.config.vocab, min(model.config.seq_len, 10) - 1))]
    expected = naive_logits(model_path, tokens)
    scale = np.abs(expected).max()
    for split in ([len(tokens)], [1] * len(tokens), [3, len(tokens) - 3]):
        cache, rows, done = model.new_cache(), [], 0
        for count in split:
            rows.append(model.forward(tokens[done : done + count], cache))
            done += count
        logits = np.concatenate(rows)
        assert logits.dtype == np.float32
        assert cache.length == len(tokens)
        np.testing.assert_allclose(logits, expected, rtol=0, atol=1e-5 * scale)


def test_generation_is_greedy(model_path):
    model = Llama.load(model_path)
    count = min(model.config.seq_len, 9) - 1
    tokens = model.generate([BOS], count)
    expected = naive_logits(model_path, tokens).argmax(axis=1)
    assert tokens[1:] == expected[:-1].tolist()
    assert len(tokens) == count + 1 or expected[-1] in (BOS, EOS)
    assert model.generate(tokens, 0) == tokens


def test_every_linear_layer_goes_through_the_hook(model_path):
    model, calls = Llama.load(model_path), []

    def record(name: str, x: np.ndarray, w: np.ndarray) -> np.ndarray:
        calls.append((name, x.shape, w.shape))
        return matmul(name, x, w)

    c = model.config
    logits = model.forward([BOS, 3, 4], model.new_cache(), record)
    np.testing.assert_array_equal(logits, model.forward([BOS, 3, 4], model.new_cache()))
    kv = c.kv_heads * c.head_dim
    outputs = {"wq": c.dim, "wk": kv, "wv": kv, "wo": c.dim, "w1": c.hidden, "w3": c.hidden, "w2": c.dim}
    expected = {
        f"layers.{i}.{name}": ((3, c.hidden if name == "w2" else c.dim), n)
        for i in range(c.layers)
        for name, n in outputs.items()
    } | {"classifier": ((3, c.dim), c.vocab)}
    assert len(calls) == len(expected)
    assert {name: (x, w[1]) for name, x, w in calls} == expected
    assert all(x[1] == w[0] for _, x, w in calls)
    assert {name: w.shape for name, w in model.linears.items()} == {name: w for name, _, w in calls}

    def double(name: str, x: np.ndarray, w: np.ndarray) -> np.ndarray:
        return 2 * (x @ w) if name == "classifier" else x @ w

    np.testing.assert_array_equal(model.forward([BOS, 3, 4], model.new_cache(), double), 2 * logits)


STORY = (
    "Once upon a time, there was a little girl named Lily. She loved to play outside in the park. "
    "One day, she saw a big, red ball."
)


@pytest.mark.parametrize("source", ["synthetic", *models()])
def test_text(source, tmp_path):
    """What a model says from BOS on, as text: of the real one, the known story."""
    if source == "synthetic":
        # One dimension for each token, and a classifier that shifts them: a token names its successor.
        tokens = [b"<unk>", b"<s>", b"</s>", b" a", b"b", b"<0x0A>", b"c"]
        path, dim = tmp_path / "chain", 8
        parts = {name: np.zeros(shape, "<f4") for name, shape in shapes((dim, 4, 1, 2, 1, -7, 9)).items()}
        parts["norm3"][:] = 1
        for token, successor in [(1, 3), (3, 4), (4, 5), (5, 6), (6, 2)]:
            parts["embedding"][token, token] = parts["classifier"][successor, token] = 1
        packed = b"".join(part.tobytes() for part in parts.values())
        path.write_bytes(struct.pack("<7i", dim, 4, 1, 2, 1, -7, 9) + packed)
        model, tokenizer = Llama.load(path), Tokenizer.load(write_tokenizer(tmp_path / "tok", tokens), 7)
        assert tokenizer.decode(model.generate([BOS], 8)) == "ab\nc"
    else:
        model = Llama.load(data.find(REAL))
        tokenizer = Tokenizer.load(data.find(REAL_TOKENS), model.config.vocab)
        assert tokenizer.decode(model.generate([BOS], 70)).startswith(STORY)
        assert tokenizer.decode(tokenizer.encode(STORY)) == STORY
        for i in (10, 40):  # a prompt of the story's beginning goes on as the story does
            prompt = tokenizer.encode(STORY)[:i]
            assert tokenizer.decode(model.generate(prompt, 60)).startswith(STORY)


@pytest.fixture
def tokenizer(tmp_path) -> Tokenizer:
    vocabulary = {b"<unk>": 0, b"\n<s>\n": 0, b"\n</s>\n": 0}
    vocabulary |= {b"<0x%02X>" % byte: 0 for byte in range(256)}
    vocabulary |= {token.encode(): 0 for token in " abcé"}
    vocabulary |= {b"ab": -1, b"bc": -2, b" ab": -3, b"abc": -4, b"aa": -5, b"cc": -5}
    return Tokenizer.load(write_tokenizer(tmp_path / "tok", list(vocabulary), list(vocabulary.values())))


@pytest.mark.parametrize(
    ("text", "pieces"),
    [
        ("", []),
        ("a", [" ", "a"]),
        ("ab", [" ab"]),
        ("abc", [" ab", "c"]),  # " ab" (-3) before "abc" (-4)
        ("bc", [" ", "bc"]),
        ("babc", [" ", "b", "abc"]),
        ("aaa", [" ", "aa", "a"]),  # the leftmost of equals
        ("aacc", [" ", "aa", "cc"]),
        ("éa", [" ", "é", "a"]),
        ("€", [" ", "<0xE2>", "<0x82>", "<0xAC>"]),
        ("b\nb", [" ", "b", "<0x0A>", "b"]),
        (" a", [" ", " ", "a"]),
    ],
)
def test_encoding(tokenizer, text, pieces):
    numbers = tokenizer.encode(text)
    assert numbers[0] == BOS
    assert [tokenizer.tokens[number].decode() for number in numbers[1:]] == pieces
    assert tokenizer.decode(numbers) == text


def test_decoding(tokenizer):
    byte = {value: tokenizer.tokens.index(b"<0x%02X>" % value) for value in (0xE2, 0x82)}
    space = tokenizer.tokens.index(b" ")
    assert tokenizer.decode([]) == ""
    assert tokenizer.decode([space]) == " "
    assert tokenizer.decode([BOS, space, space]) == " "
    assert tokenizer.decode([byte[0xE2], byte[0x82]]) == "\ufffd"
    assert tokenizer.decode([BOS, EOS]) == ""
    for number in (-1, len(tokenizer.tokens)):
        with pytest.raises(UserError, match=f"token must be 0 to 269, not {number}"):
            tokenizer.decode([number])


def test_text_without_tokens(tmp_path):
    tokenizer = Tokenizer.load(write_tokenizer(tmp_path / "tok", [b"?", b"<s>", b"</s>", b" "]))
    with pytest.raises(UserError, match="text must be made of the tokenizer's characters, which 'x' is not"):
        tokenizer.encode("x")


# Whole: 4 + (8 + 1) + (8 + 3) + (8 + 4) + (8 + 1) = 45 bytes.
@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda x: b"", "must have a header of 4 bytes, not 0 bytes in all"),
        (lambda x: x[:3], "must have a header of 4 bytes, not 3 bytes in all"),
        (lambda x: x[:9], "ends inside token 0, at 9 bytes"),
        (lambda x: x[:-1], "ends inside token 3, at 44 bytes"),
        (lambda x: x + b"abc", "ends inside token 4, at 48 bytes"),
        (lambda x: b"\0" * 4 + x[4:], "token 0 must be 0 to 0 bytes long, not 1"),
        (lambda x: x[:8] + b"\xff" * 4 + x[12:], "token 0 must be 0 to 4 bytes long, not -1"),
        (lambda x: x + struct.pack("<fi", 0, 0), "must have 4 tokens, as its model has, not 5"),
        (lambda x: x[:13], "must have 4 tokens, as its model has, not 1"),
    ],
)
def test_bad_tokenizers(tmp_path, change, message):
    path = write_tokenizer(tmp_path / "tok", [b"?", b"<s>", b"</s>", b" "])
    path.write_bytes(change(path.read_bytes()))
    with pytest.raises(UserError) as error:
        Tokenizer.load(path, 4)
    assert str(error.value) == f"tokenizer {path}{':' if message.startswith('token') else ''} {message}"


def test_a_tokenizer_needs_its_special_tokens(tmp_path):
    with pytest.raises(UserError, match="must have more than 2 tokens, not 2"):
        Tokenizer.load(write_tokenizer(tmp_path / "tok", [b"?", b"<s>"]))


HEADER = MODELS["grouped"]
# 30*16 embeddings, 5*16 norms, 2 layers of 2*16*16 + 2*8*16 + 3*22*16 weights, 2*12*2 rotations: 4256 floats


@pytest.mark.parametrize(
    ("header", "cut", "message"),
    [
        (HEADER, slice(0), "must have a header of 28 bytes, not 0 in all"),
        (HEADER, slice(27), "must have a header of 28 bytes, not 27 in all"),
        (HEADER, slice(28), "must have 17052 bytes, as its header says, not 28"),
        (HEADER, slice(-1), "must have 17052 bytes, as its header says, not 17051"),
        ((-16, *HEADER[1:]), slice(None), ": dim must be at least 1, not -16"),
        ((*HEADER[:2], 0, *HEADER[3:]), slice(None), ": layers must be at least 1, not 0"),
        ((*HEADER[:4], 3, *HEADER[5:]), slice(None), r": heads must be a multiple of kv_heads \(3\), not 4"),
        ((20, *HEADER[1:]), slice(None), r": dim must be a multiple of 2\*heads \(8\), not 20"),
        ((*HEADER[:5], 0, 12), slice(None), ": vocab must be at least 1, not 0"),
        (
            (2**31 - 16, 2**31 - 1, 2**31 - 1, 4, 2, -(2**31), 2**31 - 1),
            slice(None),
            "as its header says, not 17052",
        ),
    ],
)
def test_bad_models(tmp_path, header, cut, message):
    path = write_model(tmp_path / "model", HEADER)
    path.write_bytes((struct.pack("<7i", *header) + path.read_bytes()[28:])[cut])
    with pytest.raises(UserError, match=message) as error:
        Llama.load(path)
    assert str(error.value).startswith(f"model {path}")


def test_files_that_cannot_be_read(tmp_path):
    with pytest.raises(UserError, match=r"model .*nothing cannot be read: No such file or directory"):
        Llama.load(tmp_path / "nothing")
    with pytest.raises(UserError, match=r"tokenizer .* cannot be read: Is a directory"):
        Tokenizer.load(tmp_path)


def test_tokens_that_do_not_fit(tmp_path):
    model = Llama.load(write_model(tmp_path / "model", HEADER))
    assert model.config == LlamaConfig(16, 22, 2, 4, 2, 30, 12)
    cache = model.new_cache()
    model.forward([1, 2, 3], cache)
    for tokens, message in [
        ([], "tokens must number 1 to 9 after 3 of 12, not 0"),
        ([1] * 10, "tokens must number 1 to 9 after 3 of 12, not 10"),
        ([30], "token must be 0 to 29, not 30"),
        ([-1], "token must be 0 to 29, not -1"),
    ]:
        with pytest.raises(UserError, match=message):
            model.forward(tokens, cache)
    assert cache.length == 3


@pytest.mark.parametrize(("name", "bad"), [("w2", np.nan), ("embedding", np.inf), ("norm3", -np.inf)])
def test_numbers_that_are_not_finite(tmp_path, name, bad):
    header = MODELS["grouped"]
    given = random_tensors(header)
    given[name].flat[-1] = bad
    path = write_model(tmp_path / "model", header, given)
    place = [size - 1 for size in given[name].shape]
    own = {"norm3": "final"}.get(name, name)
    with pytest.raises(UserError) as error:
        Llama.load(path)
    assert str(error.value) == f"model {path}: {own}{place} must be finite, not {bad}"


def test_numbers_that_leave_fp32(tmp_path, recwarn):
    header = MODELS["grouped"]
    given = random_tensors(header)
    given["w1"][:] = given["w3"][:] = 3e38
    model = Llama.load(write_model(tmp_path / "model", header, given))
    with pytest.raises(UserError, match=r"layers\.0 must be finite, not .*: weights are too large"):
        model.forward([BOS, 3], model.new_cache())
    assert not recwarn.list


def test_positions_that_no_memory_holds(tmp_path):
    """A file of version 1 may claim any number of positions: it has no tensor of theirs."""
    header = (*MODELS["grouped"][:6], 2**31 - 1)
    given = random_tensors((*header[:6], 1))
    model = Llama.load(write_version_1(tmp_path / "model", header, given))
    tokens = model.generate([BOS, 3, 4], 5)
    small = Llama.load(
        write_model(
            tmp_path / "small",
            (*header[:6], 12),
            random_tensors((*header[:6], 1))
            | {"cos": np.zeros((12, 2), "<f4"), "sin": np.zeros((12, 2), "<f4")},
        )
    )
    assert tokens == small.generate([BOS, 3, 4], 5)
