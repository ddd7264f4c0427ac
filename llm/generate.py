"""Text from a model and an engine, token by token."""

import hashlib
from collections.abc import Callable, Iterator, Sequence
from math import inf
from time import perf_counter

import numpy as np

from ..models.llama import Linear, Llama
from ..models.tokenizer import BOS, EOS, Decoder, Tokenizer
from ..spec.errors import UserError
from .engine import Call, Engine

Choose = Callable[[np.ndarray], int]
"""The next token of logits [vocab] float32."""


def greedy(logits: np.ndarray) -> int:
    """Returns the likeliest token; of equal ones the first."""
    return int(logits.argmax())


def sampler(temperature: float, seed: int) -> Choose:
    """Draws tokens with the probabilities of logits / temperature; at 0 it is `greedy`.

    Equal seeds and logits draw equal tokens.
    """
    if not 0 <= temperature < inf:
        raise UserError(f"temperature must be a number of at least 0, not {temperature:g}")
    if seed < 0:
        raise UserError(f"seed must be at least 0, not {seed}")
    if temperature == 0:
        return greedy
    generator = np.random.default_rng(seed)

    def choose(logits: np.ndarray) -> int:
        scaled = logits.astype(np.float64)
        with np.errstate(over="ignore"):  # by a temperature near 0: others than the likeliest never come
            scaled = (scaled - scaled.max()) / temperature
        up_to = np.exp(scaled).cumsum()
        # Never beyond the last, whatever the product is rounded to.
        drawn = int(up_to.searchsorted(generator.random() * up_to[-1], side="right"))
        return min(drawn, len(up_to) - 1)

    return choose


def next_tokens(
    model: Llama, prompt: Sequence[int], linear: Linear, choose: Choose = greedy
) -> Iterator[tuple[int, np.ndarray]]:
    """Yields each token after `prompt` and the logits [vocab] that it was chosen by.

    The prompt is one batch of rows, then every token one row. A BOS or EOS is the last; else the text ends
    when the model's positions are full. Raises `UserError` for a prompt that does not fit.
    """
    cache, new = model.new_cache(), list(prompt)
    while True:
        logits = model.forward(new, cache, linear, last=True)[0]
        token = choose(logits)
        yield token, logits
        if token in (BOS, EOS) or cache.length == model.config.seq_len:
            return
        new = [token]


class Generation:
    """Makes a text as it is iterated over, once, for its pieces; what it says of itself grows meanwhile.

    prompt: the text that was given, as its tokens have it; prompt_tokens: with BOS before it.
    tokens: what the model chose, the BOS or EOS that ended the text included. text: of the tokens.
    ending: "count", "end of text", "positions full", or "interrupted" before any of these.
    logits_sha256: of the little-endian float32 logits that each of `tokens` was chosen by, in order.
    positions: tokens that the model can read.
    prefill_seconds, decode_seconds: of the prompt and the first token; of the others.
    """

    def __init__(
        self,
        model: Llama,
        tokenizer: Tokenizer,
        engine: Engine,
        prompt: str = "",
        count: int = 64,
        choose: Choose = greedy,
    ):
        """Raises `UserError` for a prompt that the tokenizer cannot write or that is too long, and for a
        count below 1."""
        if count < 1:
            raise UserError(f"tokens must be at least 1, not {count}")
        self.prompt_tokens = tokenizer.encode(prompt, "prompt")
        self.positions = model.config.seq_len
        if len(self.prompt_tokens) > self.positions:
            raise UserError(
                f"prompt must be at most {self.positions} tokens, the model's positions, "
                f"not {len(self.prompt_tokens)}"
            )
        self._decoder = Decoder(tokenizer)
        self.prompt = "".join(map(self._decoder.feed, self.prompt_tokens))
        self.tokens: list[int] = []
        self.text = ""
        self.ending = "interrupted"
        self.prefill_seconds = self.decode_seconds = 0.0
        self._digest = hashlib.sha256()
        self._count = count
        self._engine, self._first_call = engine, len(engine.calls)
        self._first_decode_call: int | None = None
        self._chosen = next_tokens(model, self.prompt_tokens, engine.linear, choose)

    def __iter__(self) -> Iterator[str]:
        for piece in self._pieces():
            self.text += piece
            if piece:
                yield piece

    def _pieces(self) -> Iterator[str]:
        begun = perf_counter()
        for token, logits in self._chosen:
            self._digest.update(logits.astype("<f4").tobytes())
            self.tokens.append(token)
            seconds = perf_counter() - begun
            if self._first_decode_call is None:
                self.prefill_seconds, self._first_decode_call = seconds, len(self._engine.calls)
            else:
                self.decode_seconds += seconds
            yield self._decoder.feed(token)
            if token in (BOS, EOS) or len(self.tokens) == self._count:
                self.ending = "end of text" if token in (BOS, EOS) else "count"
                break
            begun = perf_counter()  # not what the reader of the pieces does meanwhile
        else:
            self.ending = "positions full"
        yield self._decoder.finish()

    @property
    def logits_sha256(self) -> str:
        return self._digest.hexdigest()

    @property
    def prefill_calls(self) -> list[Call]:
        """Lists the products of the prompt, those under way included."""
        return self._engine.calls[self._first_call : self._first_decode_call]

    @property
    def decode_calls(self) -> list[Call]:
        """Lists the products of whole tokens after the first one, each a row."""
        first = self._first_decode_call
        if first is None:
            return []
        per_token = first - self._first_call
        return self._engine.calls[first : first + self.decoded * per_token]

    @property
    def decoded(self) -> int:
        """Counts the tokens that a row each brought forth: all but the first."""
        return max(0, len(self.tokens) - 1)

    @property
    def tokens_per_second(self) -> float | None:
        """Returns the rate of the tokens after the first; None without any."""
        return self.decoded / self.decode_seconds if self.decoded else None
