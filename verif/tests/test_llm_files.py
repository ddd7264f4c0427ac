"""Tokenizers and checkpoints of language models: merges, bytes, formats, names."""

import struct
from pathlib import Path

import numpy as np
import pytest

from mixpe.models.llama import Llama
from mixpe.models.load import load_model
from mixpe.models.tokenizer import BOS, EOS, Decoder, Tokenizer
from mixpe.spec.errors import UserError
from mixpe.support import data
from verif.samples.models import (
    BYTES,
    TINY,
    VOCABULARY,
    random_tensors,
    write_model,
    write_tokenizer,
    write_version_1,
)


@pytest.fixture
def tokenizer(tmp_path) -> Tokenizer:
    return Tokenizer.load(write_tokenizer(tmp_path / "tok"))


def number(token: bytes) -> int:
    return VOCABULARY.index(token)


def merged_naively(tokenizer: Tokenizer, tokens: list[int]) -> list[int]:
    """One merge at a time, each after a look at all neighbours."""
    numbers = {token: i for i, token in reversed(list(enumerate(tokenizer.tokens)))}
    while True:
        best = None
        for i in range(len(tokens) - 1):
            joint = numbers.get(tokenizer.tokens[tokens[i]] + tokenizer.tokens[tokens[i + 1]])
            if joint is not None and (best is None or tokenizer.scores[joint] > tokenizer.scores[best[1]]):
                best = (i, joint)
        if best is None:
            return tokens
        tokens = [*tokens[: best[0]], best[1], *tokens[best[0] + 2 :]]


def test_merges_are_the_naive_ones():
    rng = np.random.default_rng(11)
    for _ in range(300):
        more = {bytes(rng.choice(list(b" ab"), int(rng.integers(2, 6))).tolist()) for _ in range(15)}
        tokens = (b"?", b"<s>", b"</s>", b" ", b"a", b"b", *sorted(more))
        tokenizer = Tokenizer(tokens, tuple(map(float, rng.integers(-3, 3, len(tokens)))))
        text = "".join(rng.choice(list("ab "), int(rng.integers(1, 40))))
        letters = [tokens.index(letter.encode()) for letter in f" {text}"]
        assert tokenizer.encode(text) == [BOS, *merged_naively(tokenizer, letters)]


def test_a_long_text_is_encoded_soon(tokenizer):
    """Where time grows with the square of the length, this takes hours."""
    assert tokenizer.encode("ab" * 100_000) == [BOS, number(b" ab"), *[number(b"ab")] * 99_999]


def test_decoder_says_what_decode_does(tokenizer):
    rng = np.random.default_rng(2)
    for _ in range(200):
        tokens = rng.integers(0, len(VOCABULARY), int(rng.integers(0, 12))).tolist()
        decoder, raw, start = Decoder(tokenizer), b"", False
        text = "".join(decoder.feed(token) for token in tokens) + decoder.finish()
        for token in tokens:
            piece = VOCABULARY[token]
            if piece in BYTES[3:]:
                piece = bytes([token - 3])
            if token not in (BOS, EOS):
                raw += piece[1:] if start and piece[:1] == b" " else piece
            start = token == BOS
        assert text == raw.decode(errors="replace") == tokenizer.decode(tokens)


@pytest.mark.parametrize("vocab", [-40, 40])
def test_version_1_is_the_same_model(tmp_path, vocab):
    header = (*TINY[:5], vocab, TINY[6])
    tensors = random_tensors(header)
    old = Llama.load(write_model(tmp_path / "old", header, tensors))
    new = Llama.load(write_version_1(tmp_path / "new", header, tensors))
    assert old.config == new.config
    assert old.config.shared_classifier == (vocab > 0)
    np.testing.assert_array_equal(old.embedding, new.embedding)
    for mine, theirs in ((old.norms, new.norms), (old.linears, new.linears)):
        assert mine.keys() == theirs.keys()
        for name in mine:
            np.testing.assert_array_equal(mine[name], theirs[name])


VERSIONS = "version 0 or 1"
WHY = f"which holds quantized weights: export it as {VERSIONS}"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda x: x[:255], " must have a header of 256 bytes, not 255 in all"),
        (lambda x: x[:-1], " must have 12736 bytes, as its header says, not 12735"),
        (lambda x: x[:4] + struct.pack("<i", 2) + x[8:], f" must be of llama2.c's {VERSIONS}, not 2, {WHY}"),
        (lambda x: x[:4] + struct.pack("<i", -1) + x[8:], f" must be of llama2.c's {VERSIONS}, not -1"),
        (lambda x: x[:28] + struct.pack("<i", -40) + x[32:], ": vocab must be at least 1, not -40"),
    ],
)
def test_bad_version_1(tmp_path, change, message):
    # Sizes: 5*16 norms, 40*16 embeddings, 2 layers of 2*16*16 + 2*8*16 + 3*9*16
    header = (16, 9, 2, 4, 2, 40, 5)
    path = write_version_1(tmp_path / "model", header, random_tensors(header))
    path.write_bytes(change(path.read_bytes()))
    with pytest.raises(UserError) as error:
        Llama.load(path)
    assert str(error.value) == f"model {path}{message}"


def test_models_by_name_and_path(tmp_path, monkeypatch):
    path, tokenizer = str(write_model(tmp_path / "model", TINY)), str(write_tokenizer(tmp_path / "tok"))
    assert data.find_model(path, tokenizer) == (Path(path), Path(tokenizer))
    for arguments, message in [
        ((path,), f"tokenizer is missing: the model {path} needs the path of its own"),
        ((path, f"{path}x"), f"tokenizer must be a file, not '{path}x'"),
        (("stories260K", ""), "tokenizer must be a file, not ''"),
        (("stories", tokenizer), "model must be stories260K or a checkpoint file, not 'stories'"),
        (("", tokenizer), "model must be stories260K or a checkpoint file, not ''"),
    ]:
        with pytest.raises(UserError) as error:
            data.find_model(*arguments)
        assert str(error.value) == message
    asked = []
    monkeypatch.setattr(data, "find", lambda name: asked.append(name) or Path(name))
    assert data.find_model("stories260K") == (Path("models/stories260K.bin"), Path("models/tok512.bin"))
    assert data.find_model("stories260K", tokenizer) == (Path("models/stories260K.bin"), Path(tokenizer))
    with pytest.raises(UserError, match="must have 40 tokens, as its model has, not 266"):
        load_model(str(write_model(tmp_path / "model", (*TINY[:5], 40, 20))), tokenizer)
