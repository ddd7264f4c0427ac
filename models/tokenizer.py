"""The byte-pair tokenizer of llama2.c's models: reader, encoder, decoder.

The file holds int32 max_token_length, then for each token float32 score, int32 length and its bytes, all
little-endian. Token 0 is unknown, 1 begins a text (BOS), 2 ends one; bytes without a token of their own are
the tokens named <0x00> to <0xFF>.
"""

import codecs
import re
import struct
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from heapq import heappop, heappush
from math import isfinite
from pathlib import Path

from ..spec.errors import UserError
from ..support.files import read_bytes

BOS = 1
EOS = 2

_MOST_BYTES = 1 << 28

_BYTE = re.compile(rb"<0x([0-9A-F]{2})>")
_SURROGATE = re.compile("[\ud800-\udfff]")


@dataclass(frozen=True)
class Tokenizer:
    """Holds tokens by number, and the score that orders their merges (higher first)."""

    tokens: tuple[bytes, ...]
    scores: tuple[float, ...]

    @classmethod
    def load(cls, path: str | Path, vocab: int | None = None) -> "Tokenizer":
        """Reads a tokenizer; `vocab` is the number of tokens it must have, if given.

        Raises `UserError` that names the file and what is wrong with it.
        """
        data = read_bytes(path, "tokenizer", limit=_MOST_BYTES)
        if len(data) < 4:
            raise UserError(f"tokenizer {path} must have a header of 4 bytes, not {len(data)} bytes in all")
        (longest,) = struct.unpack_from("<i", data)
        tokens, scores, offset = [], [], 4
        while offset < len(data):
            if len(data) - offset < 8:
                raise UserError(f"tokenizer {path} ends inside token {len(tokens)}, at {len(data)} bytes")
            score, length = struct.unpack_from("<fi", data, offset)
            offset += 8
            if not 0 <= length <= longest:
                raise UserError(
                    f"tokenizer {path}: token {len(tokens)} must be 0 to {longest} bytes long, not {length}"
                )
            if not isfinite(score):
                raise UserError(
                    f"tokenizer {path}: the score of token {len(tokens)} must be a number, not {score}"
                )
            if len(data) - offset < length:
                raise UserError(f"tokenizer {path} ends inside token {len(tokens)}, at {len(data)} bytes")
            tokens.append(data[offset : offset + length])
            scores.append(score)
            offset += length
        if vocab is not None and len(tokens) != vocab:
            raise UserError(f"tokenizer {path} must have {vocab} tokens, as its model has, not {len(tokens)}")
        if len(tokens) <= EOS:
            raise UserError(f"tokenizer {path} must have more than {EOS} tokens, not {len(tokens)}")
        return cls(tuple(tokens), tuple(scores))

    @cached_property
    def _numbers(self) -> dict[bytes, int]:
        """Numbers tokens by their bytes; of equal ones the first counts."""
        return {token: number for number, token in reversed(list(enumerate(self.tokens)))}

    def encode(self, text: str, what: str = "text") -> list[int]:
        """Returns BOS, then `text` (with a space before it, if it is not empty) as tokens.

        Characters become tokens, or their UTF-8 bytes do; then the neighbours whose joint token has the
        highest score merge, the leftmost of equals first, until none can.

        what: the text's name in messages.

        Raises `UserError` for a text that the tokenizer cannot write, and for one with half a surrogate pair:
        such a character stands for a byte that was not UTF-8 where the text came from.
        """
        if (lone := _SURROGATE.search(text)) is not None:
            raise UserError(f"{what} must be UTF-8: character {lone.start()} is {_no_text(lone[0])}")
        numbers, parts = self._numbers, []
        for character in f" {text}" if text else "":
            code = character.encode()
            names = [code] if code in numbers else [b"<0x%02X>" % byte for byte in code]
            if any(name not in numbers for name in names):
                raise UserError(
                    f"{what} must be made of the tokenizer's characters, which {character!r} is not"
                )
            parts += [numbers[name] for name in names]
        return [BOS, *self._merged(parts)]

    def _merged(self, tokens: list[int]) -> list[int]:
        """Returns tokens after all merges, in time n log n: outdated candidates in a heap are skipped."""
        parts: list[int | None] = [*tokens]  # None: merged into the one before
        ends = len(parts)
        before, after = list(range(-1, ends - 1)), list(range(1, ends + 1))
        heap: list[tuple[float, int, int, int, int]] = []

        def propose(left: int) -> None:
            """Notes that the part at `left` may merge with the next."""
            if left < 0 or after[left] == ends:
                return
            a, b = parts[left], parts[after[left]]
            if a is not None and b is not None:
                joint = self._numbers.get(self.tokens[a] + self.tokens[b])
                if joint is not None:
                    heappush(heap, (-self.scores[joint], left, a, b, joint))

        for left in range(ends):
            propose(left)
        while heap:
            _, left, a, b, joint = heappop(heap)
            right = after[left]
            if parts[left] != a or right == ends or parts[right] != b:
                continue
            parts[left], parts[right], after[left] = joint, None, after[right]
            if after[left] < ends:
                before[after[left]] = left
            propose(before[left])
            propose(left)
        return [part for part in parts if part is not None]

    def decode(self, numbers: Iterable[int]) -> str:
        """Returns the text of tokens. BOS and EOS have none; the first token after BOS loses one space."""
        decoder = Decoder(self)
        return "".join(map(decoder.feed, numbers)) + decoder.finish()


def _no_text(surrogate: str) -> str:
    """Says what a lone surrogate is: Python spells a byte that is not UTF-8 as U+DC80 to U+DCFF."""
    code = ord(surrogate)
    return f"the byte 0x{code - 0xDC00:02X}" if 0xDC80 <= code <= 0xDCFF else f"half a pair, U+{code:04X}"


class Decoder:
    """Decodes tokens as they come, as `Tokenizer.decode` does: a character's bytes wait for its last."""

    def __init__(self, tokenizer: Tokenizer):
        self._tokens = tokenizer.tokens
        self._utf8 = codecs.getincrementaldecoder("utf-8")("replace")
        self._start = False

    def feed(self, number: int) -> str:
        """Returns what the next token adds to the text; empty where a character is not whole yet."""
        if not 0 <= number < len(self._tokens):
            raise UserError(f"token must be 0 to {len(self._tokens) - 1}, not {number}")
        token, start = self._tokens[number], self._start
        self._start = number == BOS
        if number in (BOS, EOS):
            return ""
        byte = _BYTE.fullmatch(token)
        piece = bytes([int(byte[1], 16)]) if byte else token
        return self._utf8.decode(piece[1:] if start and piece.startswith(b" ") else piece)

    def finish(self) -> str:
        """Returns the end of the text: a replacement character, if bytes of one are left over."""
        return self._utf8.decode(b"", final=True)
