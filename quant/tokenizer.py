"""The byte-pair tokenizer of llama2.c's models: reader, encoder, decoder.

The file holds int32 max_token_length, then for each token float32 score, int32 length and its bytes, all
little-endian. Token 0 is unknown, 1 begins a text (BOS), 2 ends one; bytes without a token of their own are
the tokens named <0x00> to <0xFF>.
"""

import re
import struct
from dataclasses import dataclass
from pathlib import Path

from ..hw.errors import UserError

BOS = 1
EOS = 2

_BYTE = re.compile(rb"<0x([0-9A-F]{2})>")


@dataclass(frozen=True)
class Tokenizer:
    """Tokens by number, and the score that orders their merges (higher first)."""

    tokens: tuple[bytes, ...]
    scores: tuple[float, ...]

    @classmethod
    def load(cls, path: str | Path, vocab: int | None = None) -> "Tokenizer":
        """Read a tokenizer; `vocab` is the number of tokens it must have, if given.

        Raises `UserError` that names the file and what is wrong with it.
        """
        try:
            data = Path(path).read_bytes()
        except OSError as error:
            raise UserError(f"tokenizer {path} cannot be read: {error.strerror}") from None
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

    def encode(self, text: str) -> list[int]:
        """BOS, then `text` (with a space before it, if it is not empty) as tokens.

        Characters become tokens, or their UTF-8 bytes do; then the neighbours whose joint token has the
        highest score merge, the leftmost of equals first, until none can.
        """
        numbers = {token: number for number, token in reversed(list(enumerate(self.tokens)))}
        parts = [BOS]
        for character in f" {text}" if text else "":
            code = character.encode(errors="surrogatepass")
            names = [code] if code in numbers else [b"<0x%02X>" % byte for byte in code]
            if any(name not in numbers for name in names):
                raise UserError(
                    f"text must be made of the tokenizer's characters, which {character!r} is not"
                )
            parts += [numbers[name] for name in names]
        while True:
            best = None
            for i in range(1, len(parts) - 1):
                number = numbers.get(self.tokens[parts[i]] + self.tokens[parts[i + 1]])
                if number is not None and (best is None or self.scores[number] > self.scores[best[1]]):
                    best = (i, number)
            if best is None:
                return parts
            parts[best[0] : best[0] + 2] = [best[1]]

    def decode(self, numbers: list[int]) -> str:
        """The text of a list of tokens. BOS and EOS have none; the first token after BOS loses one space."""
        text, start = b"", False
        for number in numbers:
            if not 0 <= number < len(self.tokens):
                raise UserError(f"token must be 0 to {len(self.tokens) - 1}, not {number}")
            token = self.tokens[number]
            byte = _BYTE.fullmatch(token)
            if number not in (BOS, EOS):
                piece = bytes([int(byte[1], 16)]) if byte else token
                text += piece[1:] if start and piece.startswith(b" ") else piece
            start = number == BOS
        return text.decode(errors="replace")
