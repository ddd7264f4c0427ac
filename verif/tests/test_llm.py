"""Language models on engines: the same bits from the golden model and a core, and text as it comes."""

import hashlib

import numpy as np
import pytest

from mixpe.driver.command import Counters
from mixpe.llm.engine import CoreEngine, FloatEngine, GoldenEngine, array_config, memory_needed
from mixpe.llm.generate import Generation, greedy, sampler
from mixpe.models.llama import Llama
from mixpe.models.load import load_model
from mixpe.models.tokenizer import BOS, EOS, Tokenizer
from mixpe.quant.packing import memory
from mixpe.spec.errors import UserError
from verif.samples.data import models
from verif.samples.models import (
    STORY,
    VOCABULARY,
    FakeAccelerator,
    chain_model,
    generated,
    tiny_model,
    write_tokenizer,
)
from verif.samples.products import matrix

CONFIGS = {
    "w8a8": array_config(8, 16, "a8", rows=4, cols=4),
    "w4a8": array_config(4, 7, "a8", rows=3, cols=5, lanes=2),
    "w3a16": array_config(3, 16, "a16", rows=4, cols=4),
    "zero_points": array_config(4, 16, "a8", zero_point=True),
    "no_token_scale": array_config(8, 16, "a8", token_scale=False),
    "bf16_results": array_config(8, 16, "a8", out_format="bf16"),
}


@pytest.fixture(scope="module")
def tiny(tmp_path_factory) -> tuple[Llama, Tokenizer]:
    return tiny_model(tmp_path_factory.mktemp("tiny"))


# Engines


@pytest.mark.parametrize("config", CONFIGS.values(), ids=list(CONFIGS))
def test_core_and_golden_model_give_the_same_bits(tiny, config):
    golden = generated(tiny, GoldenEngine(config))
    core = generated(tiny, CoreEngine(FakeAccelerator(config)))
    assert golden.tokens == core.tokens
    assert len(golden.tokens) == 9
    assert golden.logits_sha256 == core.logits_sha256
    assert [call.counters for call in core.prefill_calls[:2]] == [Counters(10), Counters(20)]
    assert {call.counters for call in golden.prefill_calls} == {None}


def test_a_wrong_bit_is_seen(tiny):
    class Wrong(FakeAccelerator):
        def matmul(self, a, weights, t=None):
            out = super().matmul(a, weights, t)
            if self.count == 45:  # the classifier, at the third token
                out.view(np.uint32)[0, 0] ^= 1
            return out

    config = CONFIGS["w8a8"]
    golden = generated(tiny, GoldenEngine(config))
    assert golden.logits_sha256 != generated(tiny, CoreEngine(Wrong(config))).logits_sha256


@pytest.mark.parametrize("config", CONFIGS.values(), ids=list(CONFIGS))
def test_quantized_layers_are_near_the_float_ones(tiny, config):
    model, _ = tiny
    golden, exact = GoldenEngine(config), FloatEngine()
    x = {k: np.random.default_rng(3).standard_normal((5, k), np.float32) for k in (24, 37)}
    for engine in (golden, exact):
        engine.load_all(model.linears)
    for name, w in model.linears.items():
        expected = x[len(w)].astype(np.float64) @ w
        scale = np.linalg.norm(expected)
        assert np.linalg.norm(exact.linear(name, x[len(w)]) - expected) < 1e-6 * scale
        out = golden.linear(name, x[len(w)])
        assert out.dtype == np.float32
        # A step over sqrt(12) is the weights' error; the largest of a group is at most thrice their own size.
        steps = 2 ** (config.weight_bits - 1) - 1
        assert np.linalg.norm(out - expected) < (3 / steps / 12**0.5 + 0.02) * scale


def test_weights_and_activations_that_cannot_be_quantized(tiny):
    engine = GoldenEngine(CONFIGS["w8a8"])
    with pytest.raises(UserError, match=r"^layers\.0\.wq: w\[1, 0\] must be finite, not nan"):
        engine.load_all({"layers.0.wq": np.array([[1], [np.nan]], np.float32)})
    engine.load_all({"layers.0.wq": np.ones((2, 1), np.float32)})
    with pytest.raises(UserError, match=r"^layers\.0\.wq: x\[0, 1\] must be finite, not inf"):
        engine.linear("layers.0.wq", np.array([[1, np.inf]], np.float32))
    assert engine.calls == []
    with pytest.raises(UserError, match="acts must be one of a8, a16, not 'a4'"):
        array_config(8, 16, "a4")


def test_large_activations_are_no_trouble(tiny):
    """Beyond FP16's largest number, and below its smallest."""
    engine = GoldenEngine(array_config(8, 16, "a16"))
    engine.load_all({"it": np.ones((2, 1), np.float32)})
    for size in (1e6, 1e-9):
        out = engine.linear("it", np.array([[size, size]], np.float32))
        assert out[0, 0] == pytest.approx(2 * size, rel=1e-3)


def test_memory_holds_weights_and_operands(tiny):
    model, _ = tiny
    config = CONFIGS["w4a8"]
    packed = []
    for k, n in (w.shape for w in model.linears.values()):
        scales = np.zeros((-(-k // config.group), n), np.float16)
        packed.append(memory.pack_weights(matrix(config, np.zeros((k, n), np.int8), scales), config))
    a = memory.pack_acts(np.zeros((20, 37), np.int8), config)
    out = memory.pack_results(np.zeros((20, model.config.vocab), np.float32), config)
    least = sum(each.weights.size + each.scales.size for each in packed) + max(a.size, out.size) + 4 * 20
    assert least <= memory_needed(model, config) <= 2 * least


# Generation


def test_float_engine_is_the_model(tiny):
    model, tokenizer = tiny
    prompt = tokenizer.encode("abc é")
    generation = generated((model, tokenizer), FloatEngine(), "abc é", 9)
    expected = model.generate(prompt, 9)
    assert generation.prompt_tokens == prompt
    assert generation.prompt == "abc é"
    assert [*prompt, *generation.tokens] == expected
    assert generation.text == tokenizer.decode(expected)[len("abc é") :]
    assert generation.ending == "count"


def test_prompt_is_one_batch_and_then_every_token_a_row(tiny):
    model, _ = tiny
    generation = generated(tiny, FloatEngine(), "abc", 4)
    names = [f"layers.{i}.{name}" for i in range(2) for name in ("wq", "wk", "wv", "wo", "w1", "w3", "w2")]
    rows = len(generation.prompt_tokens)
    assert rows > 2
    assert {call.name for call in generation.prefill_calls} == {*names, "classifier"} == {*model.linears}
    assert [call.m for call in generation.prefill_calls] == [rows] * 14 + [1]
    assert [call.m for call in generation.decode_calls] == [1] * 15 * 3
    assert {(call.name, call.k, call.n) for call in generation.decode_calls} == {
        (name, *w.shape) for name, w in model.linears.items()
    }
    assert generation.decoded == 3
    assert generation.tokens_per_second == 3 / generation.decode_seconds


def test_rows_of_the_prompt_make_the_same_text_as_single_tokens(tiny):
    """The last row's logits are those of the whole prompt, in golden arithmetic too."""
    model, tokenizer = tiny
    engine = GoldenEngine(CONFIGS["w8a8"])
    engine.load_all(model.linears)
    tokens = tokenizer.encode("abc")
    cache = model.new_cache()
    one_by_one = [model.forward([token], cache, engine.linear) for token in tokens][-1]
    batch = model.forward(tokens, model.new_cache(), engine.linear)
    last = model.forward(tokens, model.new_cache(), engine.linear, last=True)
    assert last.shape == (1, model.config.vocab)
    np.testing.assert_allclose(last[0], batch[-1], rtol=0, atol=1e-6 * np.abs(batch).max())
    np.testing.assert_allclose(last, one_by_one, rtol=0, atol=0.05 * np.abs(batch).max())


def test_hash_is_of_the_logits_that_tokens_came_from(tiny):
    seen = []

    def choose(logits):
        seen.append(logits.astype("<f4").tobytes())
        return 260 + len(seen)

    generation = generated(tiny, GoldenEngine(CONFIGS["w8a8"]), count=5, choose=choose)
    assert generation.tokens == [261, 262, 263, 264, 265]
    assert len(seen) == 5
    assert len(seen[0]) == 4 * len(VOCABULARY)
    assert generation.logits_sha256 == hashlib.sha256(b"".join(seen)).hexdigest()


@pytest.fixture
def tokenizer(tmp_path) -> Tokenizer:
    return Tokenizer.load(write_tokenizer(tmp_path / "tok"))


def number(token: bytes) -> int:
    return VOCABULARY.index(token)


EURO = [number(b"<0x%02X>" % byte) for byte in "€".encode()]


def pieces(tokenizer, chain: list[int], count: int, **options) -> tuple[list[str], Generation]:
    """What a model says that says `chain`, token by token."""
    successors = dict(zip([BOS, *chain], chain, strict=False))
    model = chain_model(successors, **options)
    engine = FloatEngine()
    engine.load_all(model.linears)
    generation = Generation(model, tokenizer, engine, "", count)
    return list(generation), generation


def test_characters_come_whole(tokenizer):
    a, space = number(b"a"), number(b" ")
    found, generation = pieces(tokenizer, [space, a, *EURO, number("é".encode())], 6)
    assert found == ["a", "€", "é"]
    assert generation.tokens == [space, a, *EURO, number("é".encode())]


def test_a_broken_character_is_replaced(tokenizer):
    a, b = number(b"a"), number(b"b")
    assert pieces(tokenizer, [a, *EURO[:2], b], 4)[0] == ["a", "\ufffdb"]
    found, generation = pieces(tokenizer, [a, *EURO], 3)
    assert found == ["a", "\ufffd"]
    assert generation.text == "a\ufffd" == tokenizer.decode([BOS, *generation.tokens])


def test_endings(tokenizer):
    a, b = number(b"a"), number(b"b")
    for end in (BOS, EOS):
        found, generation = pieces(tokenizer, [a, b, end], 9)
        assert (found, generation.tokens, generation.ending) == (["a", "b"], [a, b, end], "end of text")
    found, generation = pieces(tokenizer, [a, b, a], 3, seq_len=3)
    assert (found, generation.ending) == (["a", "b", "a"], "count")
    found, generation = pieces(tokenizer, [a, b, a], 4, seq_len=3)
    assert (found, generation.ending) == (["a", "b", "a"], "positions full")
    assert pieces(tokenizer, [EOS], 1)[0] == []


def test_what_cannot_be_generated(tiny):
    model, tokenizer = tiny
    for prompt, count, message in [
        ("a", 0, "tokens must be at least 1, not 0"),
        ("a", -2, "tokens must be at least 1, not -2"),
        ("c" * 19, 1, "prompt must be at most 20 tokens, the model's positions, not 21"),
    ]:
        with pytest.raises(UserError, match=message):
            Generation(model, tokenizer, FloatEngine(), prompt, count)
    assert len(generated((model, tokenizer), FloatEngine(), "c" * 18, 5).tokens) == 1
    bare = Tokenizer((b"?", b"<s>", b"</s>", b" "), (0.0,) * 4)
    with pytest.raises(UserError, match=r"^prompt must be made of .*, which 'x' is not"):
        Generation(model, bare, FloatEngine(), "x")


# Sampling


def test_sampling_follows_the_probabilities():
    logits = np.log(
        np.array([0.5, 0, 0.3, 0.2], np.float32),
        where=[True, False, True, True],
        out=np.full(4, -np.inf, np.float32),
    )
    for temperature in (1.0, 2.0):
        choose = sampler(temperature, 5)
        counts = np.bincount([choose(logits) for _ in range(20000)], minlength=4)
        expected = np.array([0.5, 0, 0.3, 0.2]) ** (1 / temperature)
        expected *= 20000 / expected.sum()
        assert counts[1] == 0
        # Six standard deviations.
        assert (np.abs(counts - expected) <= 6 * np.sqrt(expected)).all()


@pytest.mark.parametrize("drawn", [0.0, np.nextafter(1.0, 0.0)])
def test_no_draw_takes_what_has_no_probability(drawn, monkeypatch):
    monkeypatch.setattr(np.random, "default_rng", lambda _: type("Fixed", (), {"random": lambda _: drawn})())
    logits = np.array([-np.inf, 0, 1, -np.inf], np.float32)
    assert sampler(1, 0)(logits) == (1 if drawn == 0 else 2)


def test_seeds():
    logits = np.random.default_rng(0).standard_normal(50).astype(np.float32)
    runs = [[choose(logits) for _ in range(20)] for choose in (sampler(1, seed) for seed in (1, 1, 2))]
    assert runs[0] == runs[1] != runs[2]
    assert sampler(0, 1)(logits) == greedy(logits) == int(logits.argmax())
    assert {sampler(1e-9, 3)(logits) for _ in range(9)} == {greedy(logits)}
    assert sampler(1e9, 3)(np.full(4, 3e38, np.float32)) in range(4)
    for temperature in (-1, float("nan"), float("inf")):
        with pytest.raises(UserError, match="temperature must be a number of at least 0, not"):
            sampler(temperature, 1)
    with pytest.raises(UserError, match="seed must be at least 0, not -1"):
        sampler(1, -1)


# The real model.


@pytest.mark.parametrize("name", models())
def test_quantized_to_eight_bits_it_tells_the_same_story(name):
    loaded = load_model(name)
    for engine in (
        FloatEngine(),
        GoldenEngine(array_config(8, 64)),
        GoldenEngine(array_config(8, 64, "a16")),
    ):
        generation = generated(loaded, engine, "", 64)
        assert generation.text.startswith(STORY)
        assert len(generation.tokens) == 64
