"""Perplexity: of models whose logits are known, by hand; the model's own texts; `mixpe perplexity`."""

import json
import sys
from math import exp, log
from pathlib import Path

import numpy as np
import pytest

from mixpe.cli.main import main
from mixpe.llm.engine import FloatEngine, GoldenEngine, array_config
from mixpe.llm.perplexity import bits_per_weight, losses, measure, samples, windows
from mixpe.models.llama import matmul
from mixpe.models.load import load_model
from mixpe.models.tokenizer import BOS, EOS
from mixpe.spec.errors import UserError
from verif.samples.data import models
from verif.samples.models import chain_model, table_model, tiny_model


def test_uniform_model():
    """Its perplexity is the number of tokens, whatever the text."""
    for vocab in (5, 266):
        model = table_model(np.zeros((vocab, vocab)))
        found = measure(model, [[BOS, 3, 4, 0], [BOS, 2]])
        assert found.value == pytest.approx(vocab, rel=1e-12)
        assert found.tokens == 4
        quantized = GoldenEngine(array_config(2, 3))
        quantized.load_all(model.linears)
        assert measure(model, [[BOS, 3, 4, 0]], quantized.linear).value == pytest.approx(vocab, rel=1e-12)


def test_known_probabilities():
    """Rows of probabilities: after 0, after 1 and after 2."""
    rows = np.array([[0.5, 0.25, 0.25], [0.125, 0.125, 0.75], [0.2, 0.5, 0.3]])
    model = table_model(np.log(rows))
    texts = [[1, 2, 1, 0], [1, 2, 2]]
    # 1 -> 2, 2 -> 1, 1 -> 0; 1 -> 2, 2 -> 2
    expected = (0.75 * 0.5 * 0.125 * 0.75 * 0.3) ** (-1 / 5)
    told = []
    found = measure(model, texts, matmul, told.append)
    assert found.value == pytest.approx(expected, rel=1e-4)  # RMSNorm's small term
    assert (found.tokens, told) == (5, [3, 2])


def test_losses():
    logits = np.log(np.array([[1, 3], [8, 2]], np.float32)) + np.float32(5)
    np.testing.assert_allclose(losses(logits, [1, 1]), [log(4 / 3), log(5)], rtol=1e-6)
    assert losses(np.array([[1e30, 0, 1e30]], np.float32), [0])[0] == pytest.approx(log(2))
    assert measure(table_model(np.array([[0, 1e6]] * 2)), [[1, 0]]).value == float("inf")


def test_windows_hold_every_token_once():
    text = [BOS, *range(100, 123)]
    found = windows(text, 10)
    assert [len(window) for window in found] == [11, 11, 4]
    assert all(window[0] == BOS for window in found)
    assert [token for window in found for token in window[1:]] == text[1:]
    assert windows([BOS, 7], 10) == [[BOS, 7]]
    with pytest.raises(UserError, match="text must not be empty"):
        windows([BOS], 10)


def test_a_whole_window_fits_the_model():
    model = table_model(np.zeros((9, 9)), seq_len=4)
    (window,) = windows([BOS, 5, 6, 7, 8], 4)
    assert measure(model, [window]).tokens == 4


def test_samples_follow_the_model():
    """Tokens after BOS as often as it says; no text goes on after its end."""
    rows = np.full((5, 5), 1e-30)
    rows[BOS] = [0.25, 1e-30, 0.125, 0.5, 0.125]
    rows[[0, 3, 4]] = [0.5, 1e-30, 0.5, 1e-30, 1e-30]
    model = table_model(np.log(rows))
    found = samples(model, 4000, 3, 17)
    assert all(text[0] == BOS for text in found)
    firsts = np.bincount([text[1] for text in found], minlength=5)
    expected = 4000 * rows[BOS]
    assert (np.abs(firsts - expected) <= 6 * np.sqrt(expected) + 1e-9).all()
    for text in found:
        ended = text.index(EOS) if EOS in text else 3
        assert len(text) == ended + 1
    assert {len(text) for text in found} == {2, 3, 4}


def test_samples_have_seeds_of_their_own():
    model = table_model(np.random.default_rng(1).standard_normal((50, 50)))
    found = samples(model, 3, 12, 5)
    assert found == samples(model, 3, 12, 5)
    assert found[1:] == samples(model, 2, 12, 6)
    assert len({tuple(text) for text in found}) == 3
    for arguments, message in [
        ((0, 5, 0), "samples must be at least 1, not 0"),
        ((1, 0, 0), "length must be 1 to 64, the model's positions, not 0"),
        ((1, 65, 0), "length must be 1 to 64, the model's positions, not 65"),
        ((10**15, 1, 0), r"^a list of 1000000000000000 samples needs 71\.1 PiB of memory, and "),
        ((1, 5, -1), "seed must be at least 0, not -1"),
    ]:
        with pytest.raises(UserError, match=message):
            samples(model, *arguments)


def test_bits_per_weight():
    """Five layers of 6x6, two of 6x2, one of 2x6: 216 weights; in groups of four, 5*12 + 2*4 + 6 groups."""
    model, weights, groups = chain_model({}, vocab=6), 216, 74
    assert bits_per_weight(model, None) == 32
    assert bits_per_weight(model, array_config(4, 4)) == pytest.approx(4 + 16 * groups / weights)
    zeros = array_config(3, 4, zero_point=True)
    assert bits_per_weight(model, zeros) == pytest.approx(3 + 19 * groups / weights)
    assert bits_per_weight(model, array_config(2, 6)) > 2 + 16 / 6  # w2 has two rows


@pytest.fixture
def mixpe(tmp_path, monkeypatch, capsys):
    """Runs `mixpe perplexity` on the tiny model, in a folder of its own; exit status, output and errors."""
    monkeypatch.chdir(tmp_path)
    tiny_model(tmp_path)

    def run(*arguments: str) -> tuple[int, str, str]:
        own = ["--model", "model", "--tokenizer", "tok"]
        monkeypatch.setattr(sys, "argv", ["mixpe", "perplexity", *own, *arguments])
        with pytest.raises(SystemExit) as end:
            main()
        assert isinstance(end.value.code, int)
        return end.value.code, *capsys.readouterr()

    return run


NAMES = ["FP32", "W8", "W4", "W3", "W2"]


def test_command(mixpe, tmp_path):
    status, out, err = mixpe(
        "--samples", "3", "--length", "9", "--seed", "2", "--group", "16", "--json", "it.json"
    )
    assert status == 0, err
    model, _ = load_model("model", "tok")
    texts = samples(model, 3, 9, 2)
    found = json.loads(Path("it.json").read_text())
    assert found["samples"] == {"count": 3, "length": 9, "seed": 2}
    assert (found["windows"], found["tokens"]) == (3, sum(len(text) - 1 for text in texts))
    rows = [line.split() for line in out.splitlines()]
    for name, figures in zip(NAMES, found["perplexities"], strict=True):
        config = None if name == "FP32" else array_config(int(name[1]), 16)
        engine = GoldenEngine(config) if config else FloatEngine()
        engine.load_all(model.linears)
        expected = measure(model, texts, engine.linear)
        assert figures == {
            "weights": name,
            "bits_per_weight": bits_per_weight(model, config),
            "perplexity": expected.value,
        }
        ratio = expected.value / found["perplexities"][0]["perplexity"]
        assert [
            name,
            f"{bits_per_weight(model, config):.3f}",
            f"{expected.value:,.4f}",
            f"{ratio:,.4f}x",
        ] in rows
    assert "tokens in 3 windows: 3 texts of its own, seeds 2 to 4\n" in out


def test_command_on_a_text(mixpe):
    Path("text").write_text("abc é" * 10, encoding="utf-8")
    scheme = ("--acts", "a16", "--zero-point", "--group", "8")
    status, out, err = mixpe("--text", "text", *scheme, "--json", "it.json")
    assert status == 0, err
    model, tokenizer = load_model("model", "tok")
    tokens = tokenizer.encode("abc é" * 10)
    texts = [[BOS, *tokens[1 + start : 21 + start]] for start in range(0, len(tokens) - 1, 20)]
    found = json.loads(Path("it.json").read_text())
    assert (found["text"], found["samples"]) == ("text", None)
    assert (found["windows"], found["tokens"]) == (len(texts), len(tokens) - 1)
    engine = GoldenEngine(array_config(4, 8, "a16", zero_point=True))
    engine.load_all(model.linears)
    assert found["perplexities"][2]["perplexity"] == measure(model, texts, engine.linear).value
    assert out.startswith(
        f"model, group 8, zero points, A16; {len(tokens) - 1} tokens in {len(texts)} windows: text\n"
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--text", "none"], "text none cannot be read: No such file or directory"),
        (["--text", "empty"], "text must not be empty"),
        (["--text", "latin"], "text latin must be UTF-8: invalid continuation byte at byte 1"),
        (["--text", "tok", "--samples", "2"], "--samples must not be given with --text"),
        (["--text", "tok", "--seed", "0"], "--seed must not be given with --text"),
        (["--samples", "0"], "samples must be at least 1, not 0"),
        (["--length", "21"], "length must be 1 to 20, the model's positions, not 21"),
        (["--seed", "-1"], "seed must be at least 0, not -1"),
        (
            ["--group", "0"],
            "group must be 1 to 16777215, not 0; for per-channel quantization give a group of at least K",
        ),
        (["--json", "."], "cannot write .: it is a folder"),
    ],
)
def test_a_mistake_is_one_line(mixpe, arguments, message):
    Path("empty").write_text("")
    Path("latin").write_bytes(b"a\xe4b")
    status, out, err = mixpe(*arguments)
    assert (status, out, err) == (2, "", f"mixpe: error: {message}\n")


@pytest.mark.parametrize("name", models())
def test_perplexity_of_own_texts_is_that_of_the_entropy(name):
    """The mean of -log p of tokens drawn from p is the mean entropy of p, up to the draws' own deviation."""
    model, _ = load_model(name)
    texts = samples(model, 4, 128, 1)
    means, deviations = [], []
    for text in texts:
        logits = model.forward(text[:-1], model.new_cache()).astype(np.float64)
        p = np.exp(logits - logits.max(axis=1, keepdims=True))
        p /= p.sum(axis=1, keepdims=True)
        surprise = -np.log(p)
        entropy = (p * surprise).sum(axis=1)
        means += entropy.tolist()
        deviations += ((p * surprise**2).sum(axis=1) - entropy**2).tolist()
    found = measure(model, texts)
    assert found.tokens == len(means) == sum(len(text) - 1 for text in texts)
    deviation = np.sqrt(np.sum(deviations)) / len(means)
    assert deviation < 0.06
    assert abs(log(found.value) - np.mean(means)) < 4 * deviation
    assert 2 < found.value < 6


@pytest.mark.parametrize("name", models())
def test_fewer_bits_cost_more(name):
    model, _ = load_model(name)
    texts = samples(model, 2, 128, 3)
    found = [measure(model, texts).value]
    for bits in (8, 4, 3, 2):
        engine = GoldenEngine(array_config(bits, 32))
        engine.load_all(model.linears)
        found.append(measure(model, texts, engine.linear).value)
    assert found[1] == pytest.approx(found[0], rel=0.02)
    assert found[1] < found[2] < found[3] < found[4]
    assert found[2] < exp(log(found[0]) + 0.5)
